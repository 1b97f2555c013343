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

enum troupe_dtype trp_dtype_guess(struct trp_str name)
{
    static const struct word {
        struct trp_str name;
        enum troupe_dtype dtype;
    } words[] = {
        { { "float", 5 }, TROUPE_FP32 },    { { "float32", 7 }, TROUPE_FP32 },
        { { "double", 6 }, TROUPE_FP64 },   { { "float64", 7 }, TROUPE_FP64 },
        { { "half", 4 }, TROUPE_FP16 },     { { "float16", 7 }, TROUPE_FP16 },
        { { "bfloat16", 8 }, TROUPE_BF16 }, { { "int", 3 }, TROUPE_INT64 },
        { { "long", 4 }, TROUPE_INT64 },    { { "string", 6 }, TROUPE_BYTES },
        { { "str", 3 }, TROUPE_BYTES },     { { "boolean", 7 }, TROUPE_BOOL },
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (trp_str_is_equal_nocase(name, words[i].name))
            return words[i].dtype;
    for (int32_t d = TROUPE_NO_DTYPE + 1; d < TROUPE_DTYPES; d++)
        if (trp_str_is_equal_nocase(name, dtypes[d].name) ||
            trp_str_is_equal_nocase(name, dtypes[d].config_name))
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
