/* Counting runs by batch size, from one thread and from several. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/str.h"
#include "base/thread.h"
#include "model/stats.h"

static uint64_t runs_of(const struct trp_stats *s, uint64_t rows)
{
    for (size_t i = 0; i < TRP_STATS_BATCH_SIZES; i++)
        if (trp_counter_get(&s->batches[i].size) == rows)
            return trp_counter_get(&s->batches[i].compute_infer.count);
    return 0;
}

static void runs_are_counted_by_their_batch_size(void **state)
{
    (void)state;
    struct trp_stats s = { 0 };
    trp_stats_add_batch(&s, 8, 1, 20, 3);
    trp_stats_add_batch(&s, 1, 1, 5, 1);
    trp_stats_add_batch(&s, 8, 1, 30, 3);
    assert_int_equal(runs_of(&s, 8), 2);
    assert_int_equal(runs_of(&s, 1), 1);
    assert_int_equal(trp_counter_get(&s.batches[0].compute_infer.ns), 50);
    assert_int_equal(trp_counter_get(&s.batches[0].compute_input.ns), 2);
    assert_int_equal(trp_counter_get(&s.batches[0].compute_output.ns), 6);
}

static void sizes_beyond_the_table_share_the_last_slot(void **state)
{
    (void)state;
    struct trp_stats s = { 0 };
    for (uint64_t rows = 1; rows <= 40; rows++)
        trp_stats_add_batch(&s, rows, 0, 1, 0);
    trp_stats_add_batch(&s, UINT64_MAX, 0, 1, 0);
    uint64_t runs = 0;
    for (size_t i = 0; i < TRP_STATS_BATCH_SIZES; i++)
        runs += trp_counter_get(&s.batches[i].compute_infer.count);
    assert_int_equal(runs, 41); /* none is lost */
    assert_int_equal(trp_counter_get(&s.batches[TRP_STATS_BATCH_SIZES - 1].compute_infer.count),
                     10);
}

static void runs_are_sorted_by_powers_of_two_of_rows(void **state)
{
    (void)state;
    struct trp_stats s = { 0 };
    static const uint64_t rows[] = { 1, 1, 2, 3, 4, 5, 4096, 4097, UINT32_MAX };
    static const uint64_t want[TRP_STATS_ROWS_BUCKETS] = {
        [0] = 2, [1] = 1, [2] = 2, [3] = 1, [12] = 1, [13] = 2
    };
    uint64_t sum = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++, sum += rows[i - 1])
        trp_stats_add_batch(&s, rows[i], 0, 1, 0);
    for (size_t i = 0; i < TRP_STATS_ROWS_BUCKETS; i++)
        assert_int_equal(trp_counter_get(&s.run_rows[i]), want[i]);
    assert_int_equal(trp_counter_get(&s.run_rows_sum), sum);
}

static void an_empty_batch_and_a_backward_clock_do_no_harm(void **state)
{
    (void)state;
    struct trp_stats s = { 0 };
    trp_stats_add_batch(&s, 0, 1, 1, 1);
    assert_int_equal(trp_counter_get(&s.batches[0].compute_infer.count), 0);
    trp_stats_add_batch(&s, 2, -5, -5, -5);
    assert_int_equal(trp_counter_get(&s.batches[0].compute_infer.ns), 0);
    assert_int_equal(trp_counter_get(&s.batches[0].compute_infer.count), 1);
}

static void the_average_starts_at_the_first_run_and_moves_by_quarters(void **state)
{
    (void)state;
    struct trp_stats s = { 0 };
    trp_stats_learn_run(&s, 1000);
    assert_int_equal(trp_gauge_get(&s.run_ns), 1000);
    trp_stats_learn_run(&s, 2000);
    assert_int_equal(trp_gauge_get(&s.run_ns), 1250);
    trp_stats_learn_run(&s, 250);
    assert_int_equal(trp_gauge_get(&s.run_ns), 1000);
    struct trp_stats fast = { 0 };
    trp_stats_learn_run(&fast, 0);
    assert_int_equal(trp_gauge_get(&fast.run_ns), 1); /* known, and not 0 */
}

#define RUNS 20000
static void add_many(void *user)
{
    for (uint64_t i = 0; i < RUNS; i++)
        trp_stats_add_batch(user, i % 8 + 1, 0, 1, 0);
}

static void two_threads_that_claim_the_same_sizes_agree(void **state)
{
    (void)state;
    struct trp_stats s = { 0 };
    struct trp_thread threads[2] = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_false(trp_failed(trp_thread_start(&threads[i], "stats", add_many, &s, NULL)));
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        trp_thread_join(&threads[i]);
    for (uint64_t rows = 1; rows <= 8; rows++)
        assert_int_equal(runs_of(&s, rows), 2 * RUNS / 8);
}

static void what_was_counted_is_carried_and_what_is_in_flight_is_not(void **state)
{
    (void)state;
    struct trp_stats before = { 0 }, now = { 0 };
    trp_stats_add_batch(&before, 3, 1, 2, 3);
    trp_duration_add(&before.success, 7);
    trp_stats_learn_run(&before, 50);
    trp_gauge_add(&before.in_flight, 1);
    trp_stats_carry(&now, &before);
    trp_stats_add_batch(&now, 3, 1, 2, 3);
    assert_int_equal(runs_of(&now, 3), 2);
    assert_int_equal(trp_counter_get(&now.success.ns), 7);
    assert_int_equal(trp_gauge_get(&now.run_ns), 50);
    assert_int_equal(trp_gauge_get(&now.in_flight), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_are_counted_by_their_batch_size),
        cmocka_unit_test(runs_are_sorted_by_powers_of_two_of_rows),
        cmocka_unit_test(sizes_beyond_the_table_share_the_last_slot),
        cmocka_unit_test(an_empty_batch_and_a_backward_clock_do_no_harm),
        cmocka_unit_test(the_average_starts_at_the_first_run_and_moves_by_quarters),
        cmocka_unit_test(two_threads_that_claim_the_same_sizes_agree),
        cmocka_unit_test(what_was_counted_is_carried_and_what_is_in_flight_is_not),
    };
    return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
