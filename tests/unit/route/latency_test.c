/* How long answers took, finely enough to compare. */
#include "route/latency.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"

static int by_size(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void quantiles_are_right_within_an_eighth(void **state)
{
    (void)state;
    static int64_t took_ns[5000];
    static const double shares[] = { 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 1 };
    struct trp_random random = { 41 };
    for (uint32_t round = 0; round < 20; round++) {
        struct trp_latency l = { 0 };
        struct trp_latency_counts counts;
        for (size_t i = 0; i < ARRAY_LEN(took_ns); i++) { /* from 4 us to a second */
            const uint64_t draw = trp_random_next(&random);
            took_ns[i] =
                4000 + (int64_t)(draw % (UINT64_C(1000000000) >> (draw >> 40) % (round + 1)));
            trp_latency_add(&l, took_ns[i]);
        }
        qsort(took_ns, ARRAY_LEN(took_ns), sizeof *took_ns, by_size);
        trp_latency_get(&l, &counts);
        assert_int_equal(trp_latency_count(&counts), ARRAY_LEN(took_ns));
        for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
            const size_t rank = (size_t)(shares[i] * (double)ARRAY_LEN(took_ns));
            const double is = (double)trp_latency_quantile_ns(&counts, shares[i]),
                         exact = (double)took_ns[rank > 0 ? rank - 1 : 0];
            if (is < exact * 0.87 - 600 || is > exact * 1.13 + 600)
                fail_msg("p%g is %.0f, not %.0f", 100 * shares[i], exact, is);
        }
    }
}

static void extremes_have_a_bucket_too(void **state)
{
    (void)state;
    static const int64_t odd_ns[] = { INT64_MIN, -1, 0, 1, 1023, INT64_MAX, TRP_S(200) };
    struct trp_latency l = { 0 };
    struct trp_latency_counts counts;
    trp_latency_get(&l, &counts);
    assert_int_equal(trp_latency_quantile_ns(&counts, 0.5), 0);
    for (const int64_t *ns = odd_ns; ns < odd_ns + ARRAY_LEN(odd_ns); ns++)
        trp_latency_add(&l, *ns);
    trp_latency_get(&l, &counts);
    assert_int_equal(trp_latency_count(&counts), ARRAY_LEN(odd_ns));
    assert_int_equal(counts.n[0], 5);
    assert_int_equal(counts.n[TRP_LATENCY_BUCKETS - 1], 2);
    assert_in_range(trp_latency_quantile_ns(&counts, 1), TRP_S(120), TRP_S(140));
    assert_int_equal(trp_latency_slower(&counts, INT64_MAX), 0);
}

static void those_that_took_longer_are_counted(void **state)
{
    (void)state;
    struct trp_latency l = { 0 };
    struct trp_latency_counts then, now, since;
    for (int64_t ms = 1; ms <= 100; ms++)
        trp_latency_add(&l, TRP_MS(ms));
    trp_latency_get(&l, &then);
    assert_in_range(trp_latency_slower(&then, TRP_MS(50)), 43, 50);
    for (int64_t i = 0; i < 7; i++)
        trp_latency_add(&l, TRP_S(1));
    trp_latency_get(&l, &now);
    trp_latency_since(&now, &then, &since);
    assert_int_equal(trp_latency_count(&since), 7);
    assert_int_equal(trp_latency_slower(&since, TRP_MS(50)), 7);
    trp_latency_since(&then, &now, &since); /* the wrong way round: nothing */
    assert_int_equal(trp_latency_count(&since), 0);
}

static uint64_t count(const struct trp_latency *l)
{
    struct trp_latency_counts counts;
    trp_latency_get(l, &counts);
    return trp_latency_count(&counts);
}

static void what_is_old_weighs_half(void **state)
{
    (void)state;
    struct trp_latency l = { 0 };
    for (int i = 0; i < 1000; i++)
        trp_latency_add(&l, TRP_MS(3));
    trp_latency_age(&l, TRP_S(10), TRP_S(5000)); /* the first look keeps everything */
    assert_int_equal(count(&l), 1000);
    trp_latency_age(&l, TRP_S(10), TRP_S(5009));
    assert_int_equal(count(&l), 1000);
    trp_latency_age(&l, TRP_S(10), TRP_S(5010));
    assert_int_equal(count(&l), 500);
    trp_latency_age(&l, TRP_S(10), TRP_S(5030));
    assert_int_equal(count(&l), 125);
    trp_latency_age(&l, TRP_S(10), TRP_S(5020)); /* a clock that is behind: nothing */
    assert_int_equal(count(&l), 125);
    trp_latency_age(&l, TRP_S(10), TRP_S(90000));
    assert_int_equal(count(&l), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_right_within_an_eighth),
        cmocka_unit_test(extremes_have_a_bucket_too),
        cmocka_unit_test(those_that_took_longer_are_counted),
        cmocka_unit_test(what_is_old_weighs_half),
    };
    return cmocka_run_group_tests_name("latency", tests, NULL, NULL);
}
