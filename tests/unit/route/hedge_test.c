/* A second request for an answer that is late. */
#include "route/hedge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "route/retry_budget.h"

#define T0 TRP_S(1000)

static const struct trp_hedge_opts p95 = {
    .quantile = 0.95, .least_ns = TRP_MS(2), .answers_min = 50, .half_life_ns = TRP_S(30)
};

static void who_is_hardly_known_is_not_hedged(void **state)
{
    (void)state;
    struct trp_hedge h;
    trp_hedge_init(&h, &p95);
    assert_int_equal(trp_hedge_when_ns(&h, 0, T0), 0);
    for (int i = 0; i < 49; i++)
        trp_hedge_add(&h, TRP_MS(10));
    assert_int_equal(trp_hedge_when_ns(&h, 0, T0 + TRP_S(1)), 0);
    trp_hedge_add(&h, TRP_MS(10));
    assert_in_range(trp_hedge_when_ns(&h, 0, T0 + TRP_S(2)) - (T0 + TRP_S(2)), TRP_MS(9),
                    TRP_MS(11));
}

static void it_waits_as_long_as_most_answers_take(void **state)
{
    (void)state;
    struct trp_hedge h;
    trp_hedge_init(&h, &p95);
    for (int64_t i = 0; i < 1000; i++)
        trp_hedge_add(&h, i % 10 == 0 ? TRP_MS(500) : i % 2 == 0 ? TRP_MS(20) : TRP_MS(10));
    assert_in_range(trp_hedge_when_ns(&h, 0, T0) - T0, TRP_MS(440), TRP_MS(510));
    for (int64_t i = 0; i < 4000; i++) /* now one of 50 */
        trp_hedge_add(&h, TRP_MS(20));
    assert_in_range(trp_hedge_when_ns(&h, 0, T0 + TRP_MS(50)) - (T0 + TRP_MS(50)), TRP_MS(440),
                    TRP_MS(510)); /* looked at ten times a second */
    const int64_t later_ns = T0 + TRP_MS(150);
    assert_in_range(trp_hedge_when_ns(&h, 0, later_ns) - later_ns, TRP_MS(18), TRP_MS(23));
}

static void never_before_its_least_time_nor_after_the_deadline(void **state)
{
    (void)state;
    struct trp_hedge h;
    trp_hedge_init(&h, &p95);
    for (int i = 0; i < 100; i++)
        trp_hedge_add(&h, TRP_US(100));
    assert_int_equal(trp_hedge_when_ns(&h, 0, T0), T0 + TRP_MS(2));
    assert_int_equal(trp_hedge_when_ns(&h, T0 + TRP_MS(2), T0), 0);
    assert_int_equal(trp_hedge_when_ns(&h, T0 + TRP_MS(3), T0), T0 + TRP_MS(2));
}

static void a_fixed_time_needs_to_know_nothing(void **state)
{
    (void)state;
    const struct trp_hedge_opts opts = { .quantile = 0, .least_ns = TRP_MS(20) };
    struct trp_hedge h;
    trp_hedge_init(&h, &opts);
    assert_int_equal(trp_hedge_when_ns(&h, 0, T0), T0 + TRP_MS(20));
    assert_int_equal(trp_hedge_when_ns(&h, T0 + TRP_MS(20), T0), 0);
}

static void a_target_that_became_faster_is_soon_hedged_sooner(void **state)
{
    (void)state;
    struct trp_hedge h;
    trp_hedge_init(&h, &p95);
    for (int i = 0; i < 1000; i++)
        trp_hedge_add(&h, TRP_MS(800));
    assert_in_range(trp_hedge_when_ns(&h, 0, T0) - T0, TRP_MS(700), TRP_MS(900));
    int64_t now_ns = T0;
    for (int s = 0; s < 200; s++) {
        now_ns += TRP_S(1);
        for (int i = 0; i < 20; i++)
            trp_hedge_add(&h, TRP_MS(8));
        (void)trp_hedge_when_ns(&h, 0, now_ns);
    }
    assert_in_range(trp_hedge_when_ns(&h, 0, now_ns) - now_ns, TRP_MS(7), TRP_MS(10));
}

static void the_budget_limits_it(void **state)
{
    (void)state;
    const struct trp_retry_budget_opts opts = { .window_ns = TRP_S(10), .share = 0.05 };
    struct trp_retry_budget budget;
    struct trp_hedge h;
    trp_hedge_init(&h, &TRP_HEDGE_OPTS_DEFAULT);
    trp_retry_budget_init(&budget, &opts);
    for (int i = 0; i < 100; i++)
        trp_retry_budget_add(&budget, T0);
    int sent = 0;
    for (int i = 0; i < 100; i++)
        sent += trp_hedge_try_send(&h, &budget, T0);
    assert_int_equal(sent, 5);
    assert_int_equal(trp_counter_get(&h.sent), 5);
    assert_int_equal(trp_counter_get(&h.refused), 95);
    assert_true(trp_hedge_try_send(&h, NULL, T0));
    trp_hedge_won(&h);
    assert_int_equal(trp_counter_get(&h.won), 1);
}

/* One answer in thirty hangs for a second.  With a second request after p95 hardly a client
 * waits for it, for a few percent more. */
static void a_tail_is_cut_for_a_few_percent(void **state)
{
    (void)state;
    struct trp_random random = { 3 };
    struct trp_hedge h;
    uint32_t slow = 0, sent = 0;
    int64_t now_ns = T0;
    trp_hedge_init(&h, &TRP_HEDGE_OPTS_DEFAULT);
    for (int i = 0; i < 20000; i++, now_ns += TRP_MS(5)) {
        int64_t took_ns[2];
        for (int k = 0; k < 2; k++) {
            const uint64_t draw = trp_random_next(&random);
            took_ns[k] = draw % 30 == 0 ? TRP_S(1) : TRP_MS(5) + (int64_t)(draw % 3000000);
        }
        const int64_t when_ns = trp_hedge_when_ns(&h, 0, now_ns);
        int64_t answer_ns = took_ns[0];
        if (when_ns > 0 && when_ns - now_ns < took_ns[0]) {
            sent++;
            const int64_t second_ns = when_ns - now_ns + took_ns[1];
            answer_ns = second_ns < answer_ns ? second_ns : answer_ns;
        }
        trp_hedge_add(&h, answer_ns < took_ns[0] ? answer_ns : took_ns[0]);
        slow += answer_ns > TRP_MS(100);
    }
    assert_in_range(slow, 0, 20000 / 300); /* it would be 667 */
    assert_in_range(sent, 500, 20000 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_hardly_known_is_not_hedged),
        cmocka_unit_test(it_waits_as_long_as_most_answers_take),
        cmocka_unit_test(never_before_its_least_time_nor_after_the_deadline),
        cmocka_unit_test(a_fixed_time_needs_to_know_nothing),
        cmocka_unit_test(a_target_that_became_faster_is_soon_hedged_sooner),
        cmocka_unit_test(the_budget_limits_it),
        cmocka_unit_test(a_tail_is_cut_for_a_few_percent),
    };
    return cmocka_run_group_tests_name("hedge", tests, NULL, NULL);
}
