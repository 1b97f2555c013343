/* 16-bit floats: every value there and back, and rounding to nearest even. */
#include "base/half.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/str.h"

static void every_half_comes_back(void **state)
{
    (void)state;
    for (uint32_t i = 0; i <= UINT16_MAX; i++) {
        const uint16_t v = (uint16_t)i;
        const float half = trp_fp16_to(v), brain = trp_bf16_to(v);
        if (isnan(half))
            assert_true(isnan(trp_fp16_to(trp_fp16_of(half))));
        else
            assert_int_equal(trp_fp16_of(half), v);
        if (isnan(brain))
            assert_true(isnan(trp_bf16_to(trp_bf16_of(brain))));
        else
            assert_int_equal(trp_bf16_of(brain), v);
    }
}

/* Halfway between two neighbours goes to the even one; a hair to either side goes there. */
static void between_two_halves_the_nearest_is_taken(void **state)
{
    (void)state;
    for (uint16_t v = 0; v < 0x7bff; v++) {
        const float low = trp_fp16_to(v), high = trp_fp16_to((uint16_t)(v + 1));
        const float middle = (low + high) / 2; /* exact in float */
        assert_int_equal(trp_fp16_of(middle), v % 2 ? v + 1 : v);
        assert_int_equal(trp_fp16_of(nextafterf(middle, 0)), v);
        assert_int_equal(trp_fp16_of(nextafterf(middle, INFINITY)), v + 1);
        assert_int_equal(trp_fp16_of(-middle), 0x8000 | (v % 2 ? v + 1 : v));
    }
    for (uint16_t v = 0x80; v < 0x7f7f; v++) {
        const float low = trp_bf16_to(v), high = trp_bf16_to((uint16_t)(v + 1));
        const float middle = low + (high - low) / 2;
        assert_int_equal(trp_bf16_of(middle), v % 2 ? v + 1 : v);
        assert_int_equal(trp_bf16_of(nextafterf(middle, 0)), v);
        assert_int_equal(trp_bf16_of(nextafterf(middle, INFINITY)), v + 1);
    }
}

static void the_ends_of_the_range_are_right(void **state)
{
    (void)state;
    static const struct row {
        float v;
        uint16_t fp16, bf16;
    } rows[] = {
        { 0, 0, 0 },
        { -0.0f, 0x8000, 0x8000 },
        { 1, 0x3c00, 0x3f80 },
        { -2, 0xc000, 0xc000 },
        { 65504, 0x7bff, 0x4780 },
        { 65519.996f, 0x7bff, 0x4780 },
        { 65520, 0x7c00, 0x4780 },
        { INFINITY, 0x7c00, 0x7f80 },
        { -INFINITY, 0xfc00, 0xff80 },
        { FLT_MAX, 0x7c00, 0x7f80 },
        { 0x1p-24f, 0x0001, 0x3380 },
        { 0x1p-25f, 0x0000, 0x3300 },
        { 0x1p-14f, 0x0400, 0x3880 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("%g\n", (double)r->v);
        assert_int_equal(trp_fp16_of(r->v), r->fp16);
        assert_int_equal(trp_bf16_of(r->v), r->bf16);
    }
    assert_true(isnan(trp_fp16_to(trp_fp16_of(NAN))) && isnan(trp_bf16_to(trp_bf16_of(NAN))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_comes_back),
        cmocka_unit_test(between_two_halves_the_nearest_is_taken),
        cmocka_unit_test(the_ends_of_the_range_are_right),
    };
    return cmocka_run_group_tests_name("half", tests, NULL, NULL);
}
