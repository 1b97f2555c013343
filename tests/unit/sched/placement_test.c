/* Placement: a row per situation of a loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"
#include "sched/placement.h"

static void a_loop_takes_on_what_is_known_to_be_short(void **state)
{
    (void)state;
    static const struct row {
        const char *what;
        int64_t cost_ns, left_ns;
        bool used;
        uint32_t executors_idle;
        enum trp_place want;
        bool has_long_run;
    } rows[] = {
        { "short, time is left", TRP_US(5), TRP_US(200), true, 2, TRP_PLACE_INLINE, false },
        { "just short enough", TRP_US(50), TRP_US(50), true, 2, TRP_PLACE_INLINE, false },
        { "unknown", 0, TRP_US(200), false, 2, TRP_PLACE_EXECUTOR, false },
        { "unknown, executors busy", 0, TRP_US(200), false, 0, TRP_PLACE_EXECUTOR, false },
        { "too long", TRP_US(51), TRP_US(200), false, 2, TRP_PLACE_EXECUTOR, false },
        { "too long, but executors are busy", TRP_US(51), TRP_US(200), false, 0, TRP_PLACE_INLINE,
          false },
        { "the same, and the turn is nearly over", TRP_US(51), TRP_US(50), true, 0,
          TRP_PLACE_EXECUTOR, false },
        { "the same, and executors are in long runs", TRP_US(51), TRP_US(50), true, 0,
          TRP_PLACE_LATER, true },
        { "the same, and somebody sleeps", TRP_US(51), TRP_US(50), true, 1, TRP_PLACE_EXECUTOR,
          true },
        { "a long run behind long runs", TRP_US(201), TRP_US(50), true, 0, TRP_PLACE_EXECUTOR,
          true },
        { "longer than any turn", TRP_MS(50), TRP_US(200), false, 0, TRP_PLACE_EXECUTOR, false },
        { "turn used up, somebody sleeps", TRP_US(5), TRP_US(4), true, 1, TRP_PLACE_EXECUTOR,
          false },
        { "turn used up, all busy", TRP_US(5), TRP_US(4), true, 0, TRP_PLACE_LATER, false },
        { "overdrawn", TRP_US(5), -TRP_MS(1), true, 0, TRP_PLACE_LATER, false },
        { "first of a turn that is too small", TRP_US(5), TRP_US(1), false, 2, TRP_PLACE_INLINE,
          false },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        const struct trp_turn_budget budget = { TRP_US(50), r->left_ns, r->used, TRP_US(200) };
        const struct trp_executors_seen seen = { r->executors_idle, r->has_long_run };
        print_message("%s\n", r->what);
        assert_int_equal(trp_place_call(&budget, r->cost_ns, &seen), r->want);
    }
}

static void inline_runs_can_be_switched_off(void **state)
{
    (void)state;
    const struct trp_turn_budget budget = { 0, TRP_US(200), false, TRP_US(200) };
    const struct trp_executors_seen none = { 0 };
    assert_int_equal(trp_place_call(&budget, 1, &none), TRP_PLACE_EXECUTOR);
}

static void larger_inputs_are_expected_to_cost_more(void **state)
{
    (void)state;
    static const struct row {
        int64_t run_ns, run_bytes;
        uint64_t bytes;
        int64_t want_ns;
    } rows[] = {
        { 0, 0, 100, 0 },           { 1000, 100, 100, 1000 },
        { 1000, 100, 1, 1000 },     { 1000, 100, 200, 1000 },
        { 1000, 100, 1000, 10000 }, { 1000, 0, 1, 1000 },
        { 1000, 0, 10, 10000 },     { INT64_MAX / 2, 1, UINT64_MAX, INT64_MAX },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        const struct trp_cost cost = { r->run_ns, r->run_bytes };
        assert_int_equal(trp_cost_estimate(&cost, r->bytes), r->want_ns);
    }
}

static void one_long_run_is_noise_and_more_in_a_row_are_news(void **state)
{
    (void)state;
    static const struct row {
        const char *what;
        int64_t known_ns, measured_ns, want_ns, want_surprises;
    } rows[] = {
        { "the first ever", 0, TRP_MS(50), TRP_MS(50), 0 },
        { "a little longer", TRP_US(5), TRP_US(9), TRP_US(6), 0 },
        { "all small", TRP_US(3), TRP_US(19), TRP_US(7), 0 },
        { "three times is no surprise", TRP_MS(1), TRP_MS(3), TRP_US(1500), 0 },
        { "a lone long one", TRP_US(5), TRP_MS(50), 0, 1 },
        { "it was noise", TRP_US(5), TRP_US(5), TRP_US(5), 0 },
        { "long again", TRP_US(5), TRP_MS(50), 0, 1 },
        { "and again: by steps", TRP_US(5), TRP_MS(50), TRP_US(80), 2 },
        { "larger ones", TRP_US(5), TRP_MS(50), TRP_US(320), 3 },
        { "until it fits", TRP_US(5), TRP_US(400), TRP_US(400), 4 },
        { "cheaper is believed twice as fast", TRP_US(100), TRP_US(60), TRP_US(20), 0 },
        { "down to nothing", TRP_US(100), TRP_US(1), 1, 0 },
        { "no time at all is still known", 0, 0, 1, 0 },
    };
    int64_t surprises = 0;
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("%s\n", r->what);
        assert_int_equal(trp_cost_believe(r->known_ns, r->known_ns, r->measured_ns, &surprises),
                         r->want_ns);
        assert_int_equal(surprises, r->want_surprises);
    }
}

static void endless_surprises_do_not_overflow(void **state)
{
    (void)state;
    int64_t surprises = 0;
    for (int i = 0; i < 100; i++)
        assert_true(trp_cost_believe(TRP_S(1), TRP_S(1), INT64_MAX, &surprises) >= 0);
    assert_int_equal(trp_cost_believe(1, 1, INT64_MAX, &surprises), (int64_t)1 << 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_takes_on_what_is_known_to_be_short),
        cmocka_unit_test(inline_runs_can_be_switched_off),
        cmocka_unit_test(larger_inputs_are_expected_to_cost_more),
        cmocka_unit_test(one_long_run_is_noise_and_more_in_a_row_are_news),
        cmocka_unit_test(endless_surprises_do_not_overflow),
    };
    return cmocka_run_group_tests_name("placement", tests, NULL, NULL);
}
