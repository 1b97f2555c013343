/* Whether a difference may be chance. */
#include "route/binomial.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"

static void assert_close(double is, double should, double within)
{
    if (fabs(is - should) > within * fabs(should))
        fail_msg("%.12g instead of %.12g", is, should);
}

/* The probability of k hits by multiplying out: slow, plain, and another way than the code's. */
static double plain_tail(uint64_t n, double p, uint64_t hits)
{
    double row[64] = { 1 };
    for (uint64_t trial = 0; trial < n; trial++)
        for (uint64_t k = trial + 2; k-- > 0;)
            row[k] = row[k] * (1 - p) + (k > 0 ? row[k - 1] * p : 0);
    double sum = 0;
    for (uint64_t k = hits; k <= n; k++)
        sum += row[k];
    return sum;
}

static void tails_are_exact(void **state)
{
    (void)state;
    static const double ps[] = { 0.001, 0.01, 0.1, 0.5, 0.9 };
    for (uint64_t n = 1; n < 60; n += 3)
        for (size_t i = 0; i < ARRAY_LEN(ps); i++)
            for (uint64_t hits = 1; hits <= n; hits++)
                if ((double)hits > (double)n * ps[i])
                    assert_close(trp_binomial_tail(n, ps[i], hits), plain_tail(n, ps[i], hits),
                                 1e-6);
}

static void edges_are_certain_or_impossible(void **state)
{
    (void)state;
    assert_true(trp_binomial_tail(10, 0.3, 0) >= 1);
    assert_true(trp_binomial_tail(10, 0.3, 11) <= 0);
    assert_true(trp_binomial_tail(10, 0, 1) <= 0);
    assert_true(trp_binomial_tail(10, 1, 10) >= 1);
    assert_close(trp_binomial_tail(10, 0.5, 4), 0.5,
                 1e-9); /* fewer than expected: not of interest */
    assert_true(trp_binomial_compare(0, 0, 10, 5) >= 1);
    assert_true(trp_binomial_compare(10, 5, 0, 0) >= 1);
}

static void large_numbers_take_no_longer_and_stay_exact(void **state)
{
    (void)state;
    /* By the normal distribution, which is exact enough here: 3 standard deviations. */
    assert_close(trp_binomial_tail(100000000, 0.01, 1000000 + 2985), 0.00135, 0.03);
    assert_true(trp_binomial_tail(100000000, 0.01, 2000000) < 1e-300);
}

/* Both alike: "less than one in a hundred" is found in no more than about one of a hundred
 * comparisons. */
static void chance_alone_seldom_looks_like_a_difference(void **state)
{
    (void)state;
    struct trp_random random = { 6 };
    uint32_t alarms = 0;
    for (int round = 0; round < 4000; round++) {
        uint64_t hits[2] = { 0, 0 };
        for (int i = 0; i < 1100; i++)
            hits[i < 100] += trp_random_next(&random) % 50 == 0;
        alarms += trp_binomial_compare(100, hits[1], 1000, hits[0]) < 0.01;
    }
    assert_in_range(alarms, 0, 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tails_are_exact),
        cmocka_unit_test(edges_are_certain_or_impossible),
        cmocka_unit_test(large_numbers_take_no_longer_and_stay_exact),
        cmocka_unit_test(chance_alone_seldom_looks_like_a_difference),
    };
    return cmocka_run_group_tests_name("binomial", tests, NULL, NULL);
}
