/* What runs of so many rows cost, learned from noisy measurements. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sched/cost_curve.h"

/* A run's true cost: so much once, so much a row. */
struct truth {
    int64_t once_ns, row_ns;
};

static int64_t true_cost(const struct truth *t, uint32_t rows)
{
    return t->once_ns + t->row_ns * rows;
}

/* Serves by the curve's own choice, with noise that only makes runs longer, sometimes much. */
static uint32_t serve(struct trp_cost_curve *curve, const struct truth *t, int runs,
                      struct trp_random *random, uint32_t rows_max)
{
    uint32_t last = 1, counts[129] = { 0 }, most = 1;
    for (int i = 0; i < runs; i++) {
        last = trp_cost_curve_best_rows(curve, 1, rows_max);
        assert_in_range(last, 1, rows_max);
        int64_t ns = true_cost(t, last);
        ns += ns * (int64_t)(trp_random_next(random) % 100) / 1000;
        if (trp_random_next(random) % 50 == 0)
            ns *= 10;
        trp_cost_curve_learn(curve, last, ns);
        if (i >= runs / 2)
            counts[last]++;
    }
    for (uint32_t rows = 1; rows <= rows_max; rows++)
        if (counts[rows] > counts[most])
            most = rows;
    return most;
}

static void nothing_known_says_nothing(void **state)
{
    (void)state;
    struct trp_cost_curve curve = { 0 };
    assert_int_equal(trp_cost_curve_estimate(&curve, 8), 0);
    assert_int_equal(trp_cost_curve_best_rows(&curve, 3, 64), 3);
    assert_int_equal(trp_cost_curve_rows_within(&curve, TRP_MS(1), 64), 64);
    trp_cost_curve_learn(&curve, 0, 5);
    trp_cost_curve_learn(&curve, 5, 0);
    assert_int_equal(trp_cost_curve_estimate(&curve, 5), 0);
}

static void between_points_it_interpolates_and_beyond_them_rows_cost_the_same(void **state)
{
    (void)state;
    struct trp_cost_curve curve = { 0 };
    trp_cost_curve_learn(&curve, 4, 400000);
    trp_cost_curve_learn(&curve, 8, 600000);
    assert_int_equal(trp_cost_curve_estimate(&curve, 1), 400000); /* not trusted to cost less */
    assert_int_equal(trp_cost_curve_estimate(&curve, 6), 500000);
    assert_int_equal(trp_cost_curve_estimate(&curve, 16), 1200000);
    assert_int_equal(trp_cost_curve_rows_within(&curve, 500000, 64), 6);
    assert_int_equal(trp_cost_curve_rows_within(&curve, 1, 64), 1);
    assert_int_equal(trp_cost_curve_rows_within(&curve, TRP_S(1), 64), 64);
}

static void more_rows_never_cost_less(void **state)
{
    (void)state;
    struct trp_random random = { 3 };
    for (int round = 0; round < 200; round++) {
        struct trp_cost_curve curve = { 0 };
        for (int i = 0; i < 30; i++)
            trp_cost_curve_learn(&curve, (uint32_t)(trp_random_next(&random) % 70000),
                                 (int64_t)(trp_random_next(&random) % 1000000));
        int64_t last_ns = 0;
        for (uint32_t rows = 1; rows < 100000; rows += 1 + rows / 16) {
            const int64_t ns = trp_cost_curve_estimate(&curve, rows);
            assert_true(ns >= last_ns);
            last_ns = ns;
        }
    }
}

static void small_models_gain_large_ones_do_not(void **state)
{
    (void)state;
    struct trp_random random = { 7 };
    struct trp_cost_curve small = { 0 }, large = { 0 }, middle = { 0 };
    const struct truth small_one = { 100000, 1000 }, large_one = { 50000, 5000000 },
                       middle_one = { 100000, 50000 };
    const uint32_t of_small = serve(&small, &small_one, 4000, &random, 128),
                   of_large = serve(&large, &large_one, 4000, &random, 128),
                   of_middle = serve(&middle, &middle_one, 4000, &random, 128);
    print_message("%u, %u, %u rows\n", of_small, of_middle, of_large);
    assert_in_range(of_small, 64, 128);
    assert_int_equal(of_large, 1);
    assert_in_range(of_middle, 16, 128);
}

static void costs_that_change_are_noticed(void **state)
{
    (void)state;
    struct trp_random random = { 9 };
    struct trp_cost_curve curve = { 0 };
    const struct truth before = { 50000, 5000000 }, after = { 5000000, 50000 };
    assert_int_equal(serve(&curve, &before, 2000, &random, 32), 1);
    assert_in_range(serve(&curve, &after, 6000, &random, 32), 16, 32);
    assert_int_equal(serve(&curve, &before, 6000, &random, 32), 1);
}

static void one_slow_run_changes_nothing(void **state)
{
    (void)state;
    struct trp_cost_curve curve = { 0 };
    for (int i = 0; i < 20; i++)
        trp_cost_curve_learn(&curve, 8, 500000);
    trp_cost_curve_learn(&curve, 8, TRP_S(1));
    assert_int_equal(trp_cost_curve_estimate(&curve, 8), 500000);
}

static void what_all_runs_took_is_counted_whether_believed_or_not(void **state)
{
    struct trp_cost_curve curve = { .asked = 0 };
    (void)state;
    for (int i = 0; i < 9; i++)
        trp_cost_curve_learn(&curve, 1, 1000000);
    trp_cost_curve_learn(&curve, 1, 91000000); /* once so long is noise */
    assert_int_equal(trp_cost_curve_estimate(&curve, 1), 1000000);
    assert_int_equal(curve.points[0].runs, 10);
    assert_int_equal(curve.points[0].all_ns / curve.points[0].runs, 10000000);
    assert_int_equal(curve.points[0].all_rows, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_known_says_nothing),
        cmocka_unit_test(between_points_it_interpolates_and_beyond_them_rows_cost_the_same),
        cmocka_unit_test(more_rows_never_cost_less),
        cmocka_unit_test(small_models_gain_large_ones_do_not),
        cmocka_unit_test(costs_that_change_are_noticed),
        cmocka_unit_test(one_slow_run_changes_nothing),
        cmocka_unit_test(what_all_runs_took_is_counted_whether_believed_or_not),
    };
    return cmocka_run_group_tests_name("cost_curve", tests, NULL, NULL);
}
