/* What a tensor carries, by its name, type and shape: a row per case, and the names of the
 * kinds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "model/input_kind.h"

static void a_kind_is_derived_from_name_type_and_shape(void **state)
{
    (void)state;
    static const struct row {
        const char *name;
        int32_t dtype;
        uint32_t rank;
        int64_t dims[5];
        enum trp_input_kind want;
    } rows[] = {
        { "x", TROUPE_FP32, 4, { -1, 3, 224, 224 }, TRP_INPUT_IMAGE },
        { "x", TROUPE_FP32, 4, { 1, 3, -1, -1 }, TRP_INPUT_IMAGE },
        { "x", TROUPE_UINT8, 4, { -1, 480, 640, 3 }, TRP_INPUT_IMAGE },
        { "x", TROUPE_FP16, 4, { -1, 1, 28, 28 }, TRP_INPUT_IMAGE },
        { "x", TROUPE_FP32, 3, { 3, 224, 224 }, TRP_INPUT_IMAGE },
        { "x", TROUPE_FP32, 3, { 1, 28, 28 }, TRP_INPUT_TENSOR },
        { "x", TROUPE_FP32, 4, { -1, 3, 4, 4 }, TRP_INPUT_TENSOR },
        { "x", TROUPE_FP32, 4, { -1, 12, 64, 64 }, TRP_INPUT_TENSOR },
        { "x", TROUPE_FP32, 4, { -1, -1, -1, -1 }, TRP_INPUT_TENSOR },
        { "x", TROUPE_INT64, 4, { -1, 3, 224, 224 }, TRP_INPUT_TENSOR },
        { "x", TROUPE_FP32, 5, { -1, 3, 8, 224, 224 }, TRP_INPUT_TENSOR },
        { "x", TROUPE_FP32, 2, { -1, 64 }, TRP_INPUT_TENSOR },
        { "image", TROUPE_FP32, 2, { -1, 64 }, TRP_INPUT_TENSOR },
        { "x", TROUPE_BYTES, 1, { -1 }, TRP_INPUT_TEXT },
        { "input_ids", TROUPE_INT64, 2, { -1, -1 }, TRP_INPUT_TEXT },
        { "Input_IDs:0", TROUPE_INT32, 2, { 1, 128 }, TRP_INPUT_TEXT },
        { "attention_mask", TROUPE_INT64, 2, { -1, -1 }, TRP_INPUT_TEXT },
        { "input_ids", TROUPE_FP32, 2, { -1, -1 }, TRP_INPUT_TENSOR },
        { "input_ids", TROUPE_INT64, 3, { -1, -1, 2 }, TRP_INPUT_TENSOR },
        { "tokenstream", TROUPE_INT64, 1, { -1 }, TRP_INPUT_TENSOR },
        { "ids", TROUPE_INT64, 1, { -1 }, TRP_INPUT_TENSOR },
        { "audio", TROUPE_FP32, 2, { -1, -1 }, TRP_INPUT_AUDIO },
        { "raw_waveform", TROUPE_INT16, 1, { -1 }, TRP_INPUT_AUDIO },
        { "audio", TROUPE_INT64, 1, { -1 }, TRP_INPUT_TENSOR },
        { "wave", TROUPE_FP32, 2, { -1, -1 }, TRP_INPUT_TENSOR },
        { "x", TROUPE_FP32, 0, { 0 }, TRP_INPUT_TENSOR },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_io io = { .name = trp_str_of(r->name), .dtype = r->dtype, .rank = r->rank };
        for (uint32_t d = 0; d < r->rank; d++)
            io.dims[d] = r->dims[d];
        print_message("'%s', rank %u, row %zu\n", r->name, r->rank, (size_t)(r - rows));
        assert_int_equal(trp_input_kind_derive(&io), r->want);
    }
}

static void any_rank_is_no_picture_and_may_be_a_text(void **state)
{
    (void)state;
    struct trp_io io = { .name = TRP_STR_LIT("x"), .dtype = TROUPE_FP32, .any_rank = true };
    assert_int_equal(trp_input_kind_derive(&io), TRP_INPUT_TENSOR);
    io.dtype = TROUPE_BYTES;
    assert_int_equal(trp_input_kind_derive(&io), TRP_INPUT_TEXT);
}

static void kinds_have_names_both_ways(void **state)
{
    (void)state;
    for (int i = 0; i < TRP_INPUT_KINDS; i++)
        assert_int_equal(
            trp_input_kind_parse(trp_str_of(trp_input_kind_name((enum trp_input_kind)i))), i);
    assert_int_equal(trp_input_kind_parse(TRP_STR_LIT("IMAGE")), TRP_INPUT_IMAGE);
    assert_int_equal(trp_input_kind_parse(TRP_STR_LIT("picture")), TRP_INPUT_KINDS);
    assert_int_equal(trp_input_kind_parse(TRP_STR_LIT("")), TRP_INPUT_KINDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kind_is_derived_from_name_type_and_shape),
        cmocka_unit_test(any_rank_is_no_picture_and_may_be_a_text),
        cmocka_unit_test(kinds_have_names_both_ways),
    };
    return cmocka_run_group_tests_name("input_kind", tests, NULL, NULL);
}
