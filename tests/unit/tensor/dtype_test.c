/* Element types: every spelling, both ways. */
#include "tensor/dtype.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void every_type_has_its_names_and_width(void **state)
{
    (void)state;
    static const struct row {
        const char *name, *config;
        int dtype;
        uint32_t bytes;
    } rows[] = {
        { "BOOL", "TYPE_BOOL", 1, 1 },     { "UINT8", "TYPE_UINT8", 2, 1 },
        { "UINT16", "TYPE_UINT16", 3, 2 }, { "UINT32", "TYPE_UINT32", 4, 4 },
        { "UINT64", "TYPE_UINT64", 5, 8 }, { "INT8", "TYPE_INT8", 6, 1 },
        { "INT16", "TYPE_INT16", 7, 2 },   { "INT32", "TYPE_INT32", 8, 4 },
        { "INT64", "TYPE_INT64", 9, 8 },   { "FP16", "TYPE_FP16", 10, 2 },
        { "FP32", "TYPE_FP32", 11, 4 },    { "FP64", "TYPE_FP64", 12, 8 },
        { "BYTES", "TYPE_STRING", 13, 0 }, { "BF16", "TYPE_BF16", 14, 2 },
    };
    assert_int_equal(ARRAY_LEN(rows), TROUPE_DTYPES - 1);
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("%s\n", r->name);
        assert_int_equal(trp_dtype_parse(trp_str_of(r->name)), r->dtype);
        assert_int_equal(trp_dtype_parse_config(trp_str_of(r->config)), r->dtype);
        assert_string_equal(trp_dtype_name(r->dtype), r->name);
        assert_string_equal(trp_dtype_config_name(r->dtype), r->config);
        assert_int_equal(trp_dtype_bytes(r->dtype), r->bytes);
    }
}

static void nothing_else_is_a_type(void **state)
{
    (void)state;
    static const char *const names[] = { "",   "fp32",  "FP32 ",     " FP32",
                                         "FP", "FP320", "TYPE_FP32", "STRING" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_int_equal(trp_dtype_parse(trp_str_of(names[i])), TROUPE_NO_DTYPE);
    assert_int_equal(trp_dtype_parse_config(TRP_STR_LIT("FP32")), TROUPE_NO_DTYPE);
    assert_int_equal(trp_dtype_parse_config(TRP_STR_LIT("TYPE_BYTES")), TROUPE_NO_DTYPE);
    assert_int_equal(trp_dtype_parse_config(TRP_STR_LIT("")), TROUPE_NO_DTYPE);
    static const int32_t unknown[] = { TROUPE_NO_DTYPE, TROUPE_DTYPES, -1, INT32_MAX, INT32_MIN };
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        assert_string_equal(trp_dtype_name(unknown[i]), "");
        assert_string_equal(trp_dtype_config_name(unknown[i]), "");
        assert_int_equal(trp_dtype_bytes(unknown[i]), 0);
    }
}

static void words_of_other_libraries_are_guessed(void **state)
{
    (void)state;
    static const struct row {
        const char *name;
        int32_t dtype;
    } rows[] = {
        { "float32", TROUPE_FP32 },    { "Float", TROUPE_FP32 },     { "fp32", TROUPE_FP32 },
        { "double", TROUPE_FP64 },     { "TYPE_FP16", TROUPE_FP16 }, { "bfloat16", TROUPE_BF16 },
        { "int64", TROUPE_INT64 },     { "long", TROUPE_INT64 },     { "uint8", TROUPE_UINT8 },
        { "str", TROUPE_BYTES },       { "bool", TROUPE_BOOL },      { "", TROUPE_NO_DTYPE },
        { "float3", TROUPE_NO_DTYPE }, { "FP", TROUPE_NO_DTYPE },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++)
        assert_int_equal(trp_dtype_guess(trp_str_of(r->name)), r->dtype);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_its_names_and_width),
        cmocka_unit_test(nothing_else_is_a_type),
        cmocka_unit_test(words_of_other_libraries_are_guessed),
    };
    return cmocka_run_group_tests_name("dtype", tests, NULL, NULL);
}
