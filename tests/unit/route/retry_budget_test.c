/* How many more calls than it was asked for. */
#include "route/retry_budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"

static const struct trp_retry_budget_opts tenth = { .window_ns = TRP_S(8),
                                                    .share = 0.1,
                                                    .floor_per_s = 1 };

static void a_quiet_route_has_its_floor(void **state)
{
    (void)state;
    struct trp_retry_budget b;
    trp_retry_budget_init(&b, &tenth);
    for (int i = 0; i < 8; i++)
        assert_true(trp_retry_budget_try_take(&b, TRP_S(100)));
    assert_false(trp_retry_budget_try_take(&b, TRP_S(100)));
    assert_false(trp_retry_budget_try_take(&b, TRP_S(107)));
    assert_true(trp_retry_budget_try_take(&b, TRP_S(108)));
    assert_int_equal(trp_counter_get(&b.taken), 9);
    assert_int_equal(trp_counter_get(&b.refused), 2);
}

static void a_busy_one_has_its_share(void **state)
{
    (void)state;
    struct trp_retry_budget b;
    trp_retry_budget_init(&b, &tenth);
    for (int i = 0; i < 1000; i++)
        trp_retry_budget_add(&b, TRP_S(100));
    assert_int_equal((int)trp_retry_budget_left(&b, TRP_S(100)), 108);
    uint32_t taken = 0;
    while (trp_retry_budget_try_take(&b, TRP_S(101)))
        taken++;
    assert_int_equal(taken, 108);
}

/* Every request fails and would be retried for ever: what is asked grows by a tenth and the
 * floor, not more. */
static void it_holds_whatever_fails(void **state)
{
    (void)state;
    struct trp_random random = { 8 };
    struct trp_retry_budget b;
    trp_retry_budget_init(&b, &tenth);
    uint32_t requests = 0, retries = 0;
    int64_t now_ns = TRP_S(10);
    for (; now_ns < TRP_S(110); requests++) {
        now_ns += (int64_t)(trp_random_next(&random) % (uint64_t)TRP_MS(4));
        trp_retry_budget_add(&b, now_ns);
        for (int i = 0; i < 3 && trp_retry_budget_try_take(&b, now_ns); i++)
            retries++;
    }
    assert_in_range(retries, requests / 10, requests / 10 + 100 + 20);
}

static void none_at_all_is_possible(void **state)
{
    (void)state;
    const struct trp_retry_budget_opts none = { .window_ns = 0 };
    struct trp_retry_budget b;
    trp_retry_budget_init(&b, &none);
    for (int i = 0; i < 1000; i++)
        trp_retry_budget_add(&b, TRP_S(1));
    assert_false(trp_retry_budget_try_take(&b, TRP_S(1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_route_has_its_floor),
        cmocka_unit_test(a_busy_one_has_its_share),
        cmocka_unit_test(it_holds_whatever_fails),
        cmocka_unit_test(none_at_all_is_possible),
    };
    return cmocka_run_group_tests_name("retry_budget", tests, NULL, NULL);
}
