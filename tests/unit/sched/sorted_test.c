/* Calls in order: rows and heap together leave as a searched array says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sched/sorted.h"

#define SPOTS 300

static void what_comes_in_order_stands_in_rows_only(void **state)
{
    (void)state;
    struct trp_queue_rows rows = { 0 };
    static struct trp_queue_spot spots[SPOTS];
    for (int i = 0; i < SPOTS;
         i++) { /* some without a deadline, others with the same time from now */
        spots[i] = (struct trp_queue_spot){ .key = i % 3 ? 1000 + i : INT64_MAX, .arrival = i };
        trp_sorted_push(&rows, &spots[i]);
    }
    assert_null(rows.heap);
    const struct trp_queue_spot *last = NULL;
    for (int i = 0; i < SPOTS; i++) {
        struct trp_queue_spot *const first = trp_sorted_first(&rows);
        if (last)
            assert_true(trp_sorted_is_before(last, first));
        trp_sorted_remove(&rows, first);
        last = first;
    }
    assert_null(trp_sorted_first(&rows));
}

static void agrees_with_a_search_over_random_pushes_and_removals(void **state)
{
    (void)state;
    struct trp_queue_rows rows = { 0 };
    static struct trp_queue_spot spots[SPOTS];
    bool in[SPOTS] = { false };
    struct trp_random random = { 5 };
    for (int64_t step = 0; step < 20000; step++) {
        const size_t i = trp_random_next(&random) % SPOTS;
        if (in[i])
            trp_sorted_remove(&rows, &spots[i]);
        else {
            spots[i].key = (int64_t)(trp_random_next(&random) % 50) + step / 100;
            spots[i].arrival = step;
            trp_sorted_push(&rows, &spots[i]);
        }
        in[i] = !in[i];
        const struct trp_queue_spot *found = NULL;
        for (size_t k = 0; k < SPOTS; k++)
            if (in[k] && (!found || trp_sorted_is_before(&spots[k], found)))
                found = &spots[k];
        assert_ptr_equal(trp_sorted_first(&rows), found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_in_order_stands_in_rows_only),
        cmocka_unit_test(agrees_with_a_search_over_random_pushes_and_removals),
    };
    return cmocka_run_group_tests_name("sorted", tests, NULL, NULL);
}
