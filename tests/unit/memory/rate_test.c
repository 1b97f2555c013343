/* tests/unit/memory/rate_test.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "base/str.h"
#include "memory/rate.h"

#define S(n) ((int64_t)(n)*1000000000)

static void half_of_it_is_left_after_each_half_life(void **state)
{
    (void)state;
    struct trp_rate r = { 0 };
    trp_rate_add(&r, 8, S(100), S(60));
    assert_float_equal(trp_rate_weight(&r, S(100), S(60)), 8, 1e-9);
    assert_float_equal(trp_rate_weight(&r, S(160), S(60)), 4, 1e-9);
    assert_float_equal(trp_rate_weight(&r, S(280), S(60)), 1, 1e-9);
    trp_rate_add(&r, 1, S(160), S(60));
    assert_float_equal(trp_rate_weight(&r, S(160), S(60)), 5, 1e-9);
}

static void a_steady_stream_is_told_as_its_rate(void **state)
{
    (void)state;
    static const struct row {
        double per_s;
        int64_t half_life_s;
    } rows[] = { { 1, 60 }, { 100, 60 }, { 0.1, 300 }, { 7, 10 } };
    for (const struct row *row = rows; row < rows + ARRAY_LEN(rows); row++) {
        struct trp_rate r = { 0 };
        const int64_t gap_ns = (int64_t)(1e9 / row->per_s);
        int64_t now_ns = S(5);
        print_message("%g a second, half-life %d s\n", row->per_s, (int)row->half_life_s);
        for (; now_ns < S(20 * row->half_life_s); now_ns += gap_ns)
            trp_rate_add(&r, 1, now_ns, S(row->half_life_s));
        const double told = trp_rate_per_s(&r, now_ns - gap_ns / 2, S(row->half_life_s));
        assert_true(fabs(told / row->per_s - 1) < 0.02);
    }
}

static void what_never_happened_has_no_rate_and_what_was_long_ago_almost_none(void **state)
{
    (void)state;
    struct trp_rate r = { 0 };
    assert_true(trp_rate_per_s(&r, S(1000), S(60)) == 0);
    trp_rate_add(&r, 1e6, S(1), S(60));
    const double faded = trp_rate_per_s(&r, INT64_MAX, S(60));
    assert_true(faded >= 0 && faded < 1e-9);
}

static void a_clock_that_goes_back_takes_nothing_away(void **state)
{
    (void)state;
    struct trp_rate r = { 0 };
    trp_rate_add(&r, 1, S(100), S(60));
    trp_rate_add(&r, 1, S(40), S(60));
    assert_int_equal(r.at_ns, S(100));
    assert_float_equal(trp_rate_weight(&r, S(40), S(60)), 2, 1e-9);
    trp_rate_add(&r, 0, INT64_MAX, S(60));
    assert_true(trp_rate_weight(&r, INT64_MIN, S(60)) >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_of_it_is_left_after_each_half_life),
        cmocka_unit_test(a_steady_stream_is_told_as_its_rate),
        cmocka_unit_test(what_never_happened_has_no_rate_and_what_was_long_ago_almost_none),
        cmocka_unit_test(a_clock_that_goes_back_takes_nothing_away),
    };
    return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
