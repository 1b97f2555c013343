/* onnx/onnx_type.c - see onnx_type.h. */
#include "onnx/onnx_type.h"

#include "base/status.h"

static const struct elem {
    const char *name;
    uint8_t bits, dtype;
    char sort; /* 'i' signed, 'u' unsigned, 0 other */
} elems[TRP_ONNX_ELEMS] = {
    [TRP_ONNX_NO_ELEM] = { "unknown", 0, TROUPE_NO_DTYPE, 0 },
    [TRP_ONNX_FLOAT] = { "float", 32, TROUPE_FP32, 0 },
    [TRP_ONNX_UINT8] = { "uint8", 8, TROUPE_UINT8, 'u' },
    [TRP_ONNX_INT8] = { "int8", 8, TROUPE_INT8, 'i' },
    [TRP_ONNX_UINT16] = { "uint16", 16, TROUPE_UINT16, 'u' },
    [TRP_ONNX_INT16] = { "int16", 16, TROUPE_INT16, 'i' },
    [TRP_ONNX_INT32] = { "int32", 32, TROUPE_INT32, 'i' },
    [TRP_ONNX_INT64] = { "int64", 64, TROUPE_INT64, 'i' },
    [TRP_ONNX_STRING] = { "string", 0, TROUPE_BYTES, 0 },
    [TRP_ONNX_BOOL] = { "bool", 8, TROUPE_BOOL, 0 },
    [TRP_ONNX_FLOAT16] = { "float16", 16, TROUPE_FP16, 0 },
    [TRP_ONNX_DOUBLE] = { "double", 64, TROUPE_FP64, 0 },
    [TRP_ONNX_UINT32] = { "uint32", 32, TROUPE_UINT32, 'u' },
    [TRP_ONNX_UINT64] = { "uint64", 64, TROUPE_UINT64, 'u' },
    [TRP_ONNX_COMPLEX64] = { "complex64", 64, TROUPE_NO_DTYPE, 0 },
    [TRP_ONNX_COMPLEX128] = { "complex128", 128, TROUPE_NO_DTYPE, 0 },
    [TRP_ONNX_BFLOAT16] = { "bfloat16", 16, TROUPE_BF16, 0 },
    [17] = { "float8e4m3fn", 8, TROUPE_NO_DTYPE, 0 },
    [18] = { "float8e4m3fnuz", 8, TROUPE_NO_DTYPE, 0 },
    [19] = { "float8e5m2", 8, TROUPE_NO_DTYPE, 0 },
    [20] = { "float8e5m2fnuz", 8, TROUPE_NO_DTYPE, 0 },
    [21] = { "uint4", 4, TROUPE_NO_DTYPE, 0 },
    [22] = { "int4", 4, TROUPE_NO_DTYPE, 0 },
    [23] = { "float4e2m1", 4, TROUPE_NO_DTYPE, 0 },
    [24] = { "float8e8m0", 8, TROUPE_NO_DTYPE, 0 },
    [25] = { "uint2", 2, TROUPE_NO_DTYPE, 0 },
    [26] = { "int2", 2, TROUPE_NO_DTYPE, 0 },
};

static const struct elem *elem_of(int32_t elem)
{
    return &elems[elem > 0 && elem < TRP_ONNX_ELEMS ? elem : TRP_ONNX_NO_ELEM];
}

const char *trp_onnx_elem_name(int32_t elem)
{
    return elem_of(elem)->name;
}

uint32_t trp_onnx_elem_bits(int32_t elem)
{
    return elem_of(elem)->bits;
}

enum troupe_dtype trp_onnx_elem_dtype(int32_t elem)
{
    return (enum troupe_dtype)elem_of(elem)->dtype;
}

bool trp_onnx_elem_is_integer(int32_t elem)
{
    return elem_of(elem)->sort != 0;
}

bool trp_onnx_elem_is_unsigned(int32_t elem)
{
    return elem_of(elem)->sort == 'u';
}

void trp_onnx_type_format(const struct trp_onnx_type *type, struct trp_buf *b)
{
    static const char *const opening[] = {
        [TRP_ONNX_KIND_NONE] = "undeclared",
        [TRP_ONNX_KIND_TENSOR] = "tensor(",
        [TRP_ONNX_KIND_SPARSE] = "sparse_tensor(",
        [TRP_ONNX_KIND_SEQUENCE] = "sequence(",
        [TRP_ONNX_KIND_MAP] = "map(",
        [TRP_ONNX_KIND_OPTIONAL] = "optional(",
        [TRP_ONNX_KIND_OPAQUE] = "opaque",
    };
    size_t open = 0;
    for (; type; type = type->of) { /* a type is a chain: each kind holds one other at most */
        trp_buf_add_text(b, opening[type->kind]);
        if (type->kind == TRP_ONNX_KIND_NONE || type->kind == TRP_ONNX_KIND_OPAQUE)
            break;
        open++;
        if (type->kind == TRP_ONNX_KIND_TENSOR || type->kind == TRP_ONNX_KIND_SPARSE)
            trp_buf_add_text(b, trp_onnx_elem_name(type->elem));
        if (type->kind == TRP_ONNX_KIND_MAP) {
            trp_buf_add_text(b, trp_onnx_elem_name(type->elem));
            trp_buf_add_text(b, ", ");
        }
    }
    while (open-- > 0)
        trp_buf_add_char(b, ')');
}

bool trp_onnx_type_is_zipmap(const struct trp_onnx_type *type)
{
    if (type->kind != TRP_ONNX_KIND_SEQUENCE || !type->of || type->of->kind != TRP_ONNX_KIND_MAP)
        return false;
    const struct trp_onnx_type *map = type->of;
    return (map->elem == TRP_ONNX_INT64 || map->elem == TRP_ONNX_STRING) && map->of &&
           map->of->kind == TRP_ONNX_KIND_TENSOR && map->of->elem == TRP_ONNX_FLOAT;
}

/* Line ends and tabs become spaces, other controls '?': ASCII ones, and the C1 ones that UTF-8
 * writes as C2 80 to C2 9F. */
static char harmless(unsigned char c)
{
    if (c == '\n' || c == '\t' || c == '\r')
        return ' ';
    return c < 0x20 || c == 0x7f ? '?' : (char)c;
}

void trp_onnx_name_format(struct trp_str name, struct trp_buf *b)
{
    const bool is_text = trp_str_is_utf8(name); /* else no byte past ASCII means anything */
    for (size_t i = 0; i < name.len; i++) {
        const unsigned char c = (unsigned char)name.ptr[i];
        if (c == 0xc2 && is_text && (unsigned char)name.ptr[i + 1] < 0xa0) {
            trp_buf_add_char(b, '?');
            i++;
        } else {
            trp_buf_add_char(b, c < 0x80 || is_text ? harmless(c) : '?');
        }
    }
}
