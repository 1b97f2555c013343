/* cli/npy.c - NumPy files; see tensor_file.h. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/tensor_file.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define NPY_BYTES_MAX ((size_t)4 << 30)

static const struct {
    const char *descr;
    int32_t dtype;
} types[] = {
    { "|b1", TROUPE_BOOL },   { "|u1", TROUPE_UINT8 },  { "<u2", TROUPE_UINT16 },
    { "<u4", TROUPE_UINT32 }, { "<u8", TROUPE_UINT64 }, { "|i1", TROUPE_INT8 },
    { "<i2", TROUPE_INT16 },  { "<i4", TROUPE_INT32 },  { "<i8", TROUPE_INT64 },
    { "<f2", TROUPE_FP16 },   { "<f4", TROUPE_FP32 },   { "<f8", TROUPE_FP64 },
};

/* The text behind `key` in the header's Python dictionary, or NULL. */
static const char *value_of(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    if (!at)
        return NULL;
    at = strchr(at + strlen(key), ':');
    return at ? at + 1 + strspn(at + 1, " ") : NULL;
}

static trp_status read_dtype(const char *header, struct troupe_tensor *out, struct trp_error *err)
{
    const char *v = value_of(header, "'descr'");
    const char *end = v && *v == '\'' ? strchr(v + 1, '\'') : NULL;
    if (!end)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "its header has no 'descr'");
    const struct trp_str descr = trp_str_make(v + 1, (size_t)(end - v - 1));
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (trp_str_is(descr, types[i].descr)) {
            out->dtype = types[i].dtype;
            return trp_ok();
        }
    }
    return trp_fail(err, TRP_UNIMPLEMENTED, "elements of type '%.*s' cannot be sent",
                    TRP_STR(descr));
}

static trp_status read_shape(const char *header, struct troupe_tensor *out, struct trp_error *err)
{
    const char *v = value_of(header, "'shape'");
    if (!v || *v != '(')
        return trp_fail(err, TRP_INVALID_ARGUMENT, "its header has no 'shape'");
    for (v++; *v && *v != ')';) {
        char *end;
        const long long d = strtoll(v, &end, 10);
        if (end == v || d < 0 || out->rank == TROUPE_RANK_MAX)
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "its 'shape' is not a list of up to %d sizes", TROUPE_RANK_MAX);
        out->shape[out->rank++] = d;
        v = end + strspn(end, ", ");
    }
    return trp_ok();
}

static trp_status parse(struct trp_arena *arena, struct trp_str file, struct troupe_tensor *out,
                        struct trp_error *err)
{
    if (file.len < 12 || memcmp(file.ptr, "\x93NUMPY", 6) != 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "not a NumPy file");
    const unsigned char *p = (const unsigned char *)file.ptr;
    const bool is_v1 = p[6] == 1;
    const size_t start = is_v1 ? 10 : 12;
    const size_t len =
        is_v1 ? (size_t)p[8] | (size_t)p[9] << 8
              : (size_t)p[8] | (size_t)p[9] << 8 | (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (len > file.len - start)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "its header is cut short");
    const struct trp_str header = trp_arena_dup(arena, trp_str_make(file.ptr + start, len));
    if (!header.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "its header of %zu bytes", len);
    TRP_CHECK(read_dtype(header.ptr, out, err));
    TRP_CHECK(read_shape(header.ptr, out, err));
    const char *fortran = value_of(header.ptr, "'fortran_order'");
    if (fortran && strncmp(fortran, "True", 4) == 0)
        return trp_fail(err, TRP_UNIMPLEMENTED,
                        "it is in Fortran order; save np.ascontiguousarray(a)");
    if (!trp_shape_bytes(out->shape, out->rank, out->dtype, &out->bytes) ||
        out->bytes != file.len - start - len)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "its data do not fill its shape");
    out->data = (void *)(uintptr_t)(file.ptr + start + len);
    return trp_ok();
}

trp_status cli_read_npy(struct trp_arena *arena, const char *path, struct troupe_tensor *out,
                        struct trp_error *err)
{
    char *ptr;
    size_t len;
    TRP_CHECK(trp_file_read(trp_heap(), path, NPY_BYTES_MAX, &ptr, &len, err));
    const struct trp_str copy = trp_arena_dup(arena, trp_str_make(ptr, len));
    trp_alloc_free(trp_heap(), ptr);
    if (!copy.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%s: %zu bytes", path, len);
    *out = (struct troupe_tensor){ 0 };
    TRP_TRY(parse(arena, copy, out, err), err, "%s", path);
    return trp_ok();
}
