/* How much one model or tenant may ask for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sched/rate_limit.h"

static struct trp_rate_answer ask(struct trp_rate_limit *l, uint32_t rows, int64_t now_ns)
{
    return trp_rate_limit_ask(&l, 1, rows, now_ns);
}

static void without_limits_everything_passes(void **state)
{
    (void)state;
    struct trp_rate_limit none = { 0 }, *const both[] = { NULL, &none };
    for (int i = 0; i < 1000; i++)
        assert_int_equal(trp_rate_limit_ask(both, 2, 1000000, 0).verdict, TRP_RATE_FREE);
    for (int i = 0; i < 1000; i++)
        trp_rate_limit_end(both, 2);
}

static void a_burst_passes_at_once_and_the_rest_evenly(void **state)
{
    (void)state;
    struct trp_rate_limit l = { .requests = { .per_second = 100, .burst = 5 } };
    int64_t now_ns = TRP_S(10);
    for (int i = 0; i < 5; i++)
        assert_int_equal(ask(&l, 1, now_ns).verdict, TRP_RATE_FREE);
    const struct trp_rate_answer no = ask(&l, 1, now_ns);
    assert_int_equal(no.verdict, TRP_RATE_REQUESTS);
    assert_int_equal(no.retry_after_ns, TRP_MS(10));
    assert_int_equal(ask(&l, 1, now_ns + no.retry_after_ns - 1).verdict, TRP_RATE_REQUESTS);
    assert_int_equal(ask(&l, 1, now_ns + no.retry_after_ns).verdict, TRP_RATE_FREE);
    now_ns += TRP_S(100); /* a long pause saves up no more than the burst */
    uint32_t passed = 0;
    for (int i = 0; i < 1000; i++)
        passed += ask(&l, 1, now_ns).verdict == TRP_RATE_FREE;
    assert_int_equal(passed, 5);
}

static void over_time_the_rate_is_kept_whatever_is_asked(void **state)
{
    (void)state;
    struct trp_random random = { 21 };
    struct trp_rate_limit l = { .rows = { .per_second = 1000, .burst = 50 } };
    uint64_t rows = 0;
    int64_t now_ns = 0;
    while (now_ns < TRP_S(100)) {
        const uint32_t n = 1 + (uint32_t)(trp_random_next(&random) % 40);
        if (ask(&l, n, now_ns).verdict == TRP_RATE_FREE)
            rows += n;
        now_ns += (int64_t)(trp_random_next(&random) % (uint64_t)TRP_MS(10));
    }
    assert_in_range(rows, 98000, 100050);
}

static void who_waits_as_told_passes(void **state)
{
    (void)state;
    struct trp_random random = { 22 };
    struct trp_rate_limit l = { .requests = { 70, 3, 0 }, .rows = { 900, 10, 0 } };
    int64_t now_ns = 0;
    for (int i = 0; i < 2000; i++) {
        const uint32_t rows = 1 + (uint32_t)(trp_random_next(&random) % 60);
        const struct trp_rate_answer first = ask(&l, rows, now_ns);
        if (first.verdict == TRP_RATE_FREE)
            continue;
        now_ns += first.retry_after_ns;
        assert_int_equal(ask(&l, rows, now_ns).verdict, TRP_RATE_FREE);
    }
}

static void more_than_a_burst_passes_once_and_is_paid_for_afterwards(void **state)
{
    (void)state;
    struct trp_rate_limit l = { .rows = { .per_second = 10, .burst = 10 } };
    assert_int_equal(ask(&l, 100, TRP_S(1)).verdict, TRP_RATE_FREE);
    const struct trp_rate_answer no = ask(&l, 1, TRP_S(1));
    assert_int_equal(no.verdict, TRP_RATE_ROWS);
    assert_int_equal(no.retry_after_ns, TRP_MS(9100));
}

static void calls_at_once_are_counted_and_given_back(void **state)
{
    (void)state;
    struct trp_rate_limit l = { .calls_max = 2 }, *const limits[] = { &l };
    assert_int_equal(ask(&l, 1, 0).verdict, TRP_RATE_FREE);
    assert_int_equal(ask(&l, 1, 0).verdict, TRP_RATE_FREE);
    assert_int_equal(ask(&l, 1, 0).verdict, TRP_RATE_CALLS);
    trp_rate_limit_end(limits, 1);
    assert_int_equal(ask(&l, 1, 0).verdict, TRP_RATE_FREE);
}

static void who_is_refused_by_one_limit_counts_in_none(void **state)
{
    (void)state;
    struct trp_rate_limit model = { .requests = { 10, 100, 0 } },
                          tenant = { .calls_max = 1 }, *const both[] = { &model, &tenant };
    assert_int_equal(trp_rate_limit_ask(both, 2, 1, 0).verdict, TRP_RATE_FREE);
    const int64_t used_ns = model.requests.used_till_ns;
    const struct trp_rate_answer no = trp_rate_limit_ask(both, 2, 1, 0);
    assert_int_equal(no.verdict, TRP_RATE_CALLS);
    assert_int_equal(no.limit, 1);
    assert_int_equal(model.requests.used_till_ns, used_ns);
    assert_int_equal(model.calls, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_limits_everything_passes),
        cmocka_unit_test(a_burst_passes_at_once_and_the_rest_evenly),
        cmocka_unit_test(over_time_the_rate_is_kept_whatever_is_asked),
        cmocka_unit_test(who_waits_as_told_passes),
        cmocka_unit_test(more_than_a_burst_passes_once_and_is_paid_for_afterwards),
        cmocka_unit_test(calls_at_once_are_counted_and_given_back),
        cmocka_unit_test(who_is_refused_by_one_limit_counts_in_none),
    };
    return cmocka_run_group_tests_name("rate_limit", tests, NULL, NULL);
}
