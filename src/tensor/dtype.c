/* tensor/dtype.c - one table; every spelling of an element type is looked up in it. */
#include "tensor/dtype.h"

static const struct dtype {
    const char *name, *config_name;
    uint32_t bytes;
} dtypes[TROUPE_DTYPES] = {
    [TROUPE_NO_DTYPE] = { "", "", 0 },
    [TROUPE_BOOL] = { "BOOL", "TYPE_BOOL", 1 },
    [TROUPE_UINT8] = { "UINT8", "TYPE_UINT8", 1 },
    [TROUPE_UINT16] = { "UINT16", "TYPE_UINT16", 2 },
    [TROUPE_UINT32] = { "UINT32", "TYPE_UINT32", 4 },
    [TROUPE_UINT64] = { "UINT64", "TYPE_UINT64", 8 },
    [TROUPE_INT8] = { "INT8", "TYPE_INT8", 1 },
    [TROUPE_INT16] = { "INT16", "TYPE_INT16", 2 },
    [TROUPE_INT32] = { "INT32", "TYPE_INT32", 4 },
    [TROUPE_INT64] = { "INT64", "TYPE_INT64", 8 },
    [TROUPE_FP16] = { "FP16", "TYPE_FP16", 2 },
    [TROUPE_FP32] = { "FP32", "TYPE_FP32", 4 },
    [TROUPE_FP64] = { "FP64", "TYPE_FP64", 8 },
    [TROUPE_BYTES] = { "BYTES", "TYPE_STRING", 0 },
    [TROUPE_BF16] = { "BF16", "TYPE_BF16", 2 },
};

static const struct dtype *entry_of(int32_t dtype)
{
    return &dtypes[dtype > 0 && dtype < TROUPE_DTYPES ? dtype : TROUPE_NO_DTYPE];
}

enum troupe_dtype trp_dtype_parse(struct trp_str name)
{
    for (int32_t d = TROUPE_NO_DTYPE + 1; d < TROUPE_DTYPES; d++)
        if (trp_str_is(name, dtypes[d].name))
            return (enum troupe_dtype)d;
    return TROUPE_NO_DTYPE;
}

const char *trp_dtype_name(int32_t dtype)
{
    return entry_of(dtype)->name;
}

enum troupe_dtype trp_dtype_parse_config(struct trp_str name)
{
    for (int32_t d = TROUPE_NO_DTYPE + 1; d < TROUPE_DTYPES; d++)
        if (trp_str_is(name, dtypes[d].config_name))
            return (enum troupe_dtype)d;
    return TROUPE_NO_DTYPE;
}

const char *trp_dtype_config_name(int32_t dtype)
{
    return entry_of(dtype)->config_name;
}

uint32_t trp_dtype_bytes(int32_t dtype)
{
    return entry_of(dtype)->bytes;
}
