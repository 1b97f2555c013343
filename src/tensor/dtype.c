/* tensor/dtype.c - one table, from troupe/dtype.def; every spelling is looked up in it. */
#include "tensor/dtype.h"

static const struct dtype {
    struct trp_str name, config_name; /* terminated too */
    uint32_t bytes;
} dtypes[TROUPE_DTYPES] = {
    [TROUPE_NO_DTYPE] = { { "", 0 }, { "", 0 }, 0 },
#define TEXT(text)             \
    {                          \
        text, sizeof(text) - 1 \
    }
#define X(name, config_name, bytes) [TROUPE_##name] = { TEXT(#name), TEXT(config_name), bytes },
#include "troupe/dtype.def"
#undef X
#undef TEXT
};

static const struct dtype *entry_of(int32_t dtype)
{
    return &dtypes[dtype > 0 && dtype < TROUPE_DTYPES ? dtype : TROUPE_NO_DTYPE];
}

enum troupe_dtype trp_dtype_parse(struct trp_str name)
{
    for (int32_t d = TROUPE_NO_DTYPE + 1; d < TROUPE_DTYPES; d++)
        if (trp_str_is_equal(name, dtypes[d].name))
            return (enum troupe_dtype)d;
    return TROUPE_NO_DTYPE;
}

const char *trp_dtype_name(int32_t dtype)
{
    return entry_of(dtype)->name.ptr;
}

enum troupe_dtype trp_dtype_parse_config(struct trp_str name)
{
    for (int32_t d = TROUPE_NO_DTYPE + 1; d < TROUPE_DTYPES; d++)
        if (trp_str_is_equal(name, dtypes[d].config_name))
            return (enum troupe_dtype)d;
    return TROUPE_NO_DTYPE;
}

const char *trp_dtype_config_name(int32_t dtype)
{
    return entry_of(dtype)->config_name.ptr;
}

uint32_t trp_dtype_bytes(int32_t dtype)
{
    return entry_of(dtype)->bytes;
}
