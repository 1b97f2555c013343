/* Whether a deadline can be met: by hand, and against what then happens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sched/forecast.h"

#define CALLS 2000

static struct stage {
    struct trp_sched s;
    struct trp_sched_model model, single;
    struct trp_sched_tenant tenants[2];
    struct trp_call calls[CALLS];
    size_t calls_n;
    struct trp_forecast_view view;
} g;

static void make_stage(uint32_t executors)
{
    g = (struct stage){ .view = { .executors = executors }, .single.slots = 1 };
    g.model.own.model = &g.model;
    g.single.own.model = &g.single;
    trp_sched_init(&g.s, CALLS, CALLS);
    trp_sched_tenant_init(&g.s, &g.tenants[0], 1);
    trp_sched_tenant_init(&g.s, &g.tenants[1], 1);
}

static struct trp_sched_ask asks(struct trp_sched_model *m, int tenant, int64_t cost_ns)
{
    return (struct trp_sched_ask){ &m->own, &g.tenants[tenant], cost_ns, 1 };
}

static void push(struct trp_sched_model *m, int tenant, int64_t cost_ns,
                 enum trp_priority_class class, uint32_t n)
{
    const struct trp_sched_ask ask = asks(m, tenant, cost_ns);
    for (uint32_t i = 0; i < n; i++) {
        struct trp_call *const call = &g.calls[g.calls_n++];
        call->priority_class = class;
        assert_int_equal(trp_sched_push_as(&g.s, &ask, call), TRP_SCHED_QUEUED);
    }
}

static struct trp_forecast forecast(struct trp_sched_model *m, int tenant, int64_t cost_ns,
                                    enum trp_priority_class class, int64_t deadline_ns)
{
    const struct trp_sched_ask ask = asks(m, tenant, cost_ns);
    const struct trp_call call = { .priority_class = class, .deadline_ns = deadline_ns };
    return trp_forecast_call(&g.s, &ask, &call, &g.view);
}

static void an_empty_queue_delays_nobody_but_a_run_that_is_longer_than_the_deadline(void **state)
{
    (void)state;
    make_stage(1);
    g.view.now_ns = TRP_S(5);
    struct trp_forecast f =
        forecast(&g.model, 0, TRP_MS(10), TRP_PRIORITY_NORMAL, TRP_S(5) + TRP_MS(10));
    assert_true(f.is_met);
    assert_int_equal(f.end_ns, TRP_S(5) + TRP_MS(10));
    f = forecast(&g.model, 0, TRP_MS(10), TRP_PRIORITY_NORMAL, TRP_S(5) + TRP_MS(7));
    assert_false(f.is_met);
    assert_int_equal(f.retry_after_ns, TRP_MS(3));
    assert_true(forecast(&g.model, 0, 0, TRP_PRIORITY_NORMAL, TRP_S(5) + 1).is_met);
    assert_true(forecast(&g.model, 0, TRP_S(9), TRP_PRIORITY_NORMAL, 0).is_met);
}

static void work_ahead_is_that_of_its_class_and_of_more_urgent_ones(void **state)
{
    (void)state;
    make_stage(2);
    push(&g.model, 0, TRP_MS(2), TRP_PRIORITY_INTERACTIVE, 10);
    push(&g.model, 0, TRP_MS(2), TRP_PRIORITY_NORMAL, 20);
    push(&g.model, 0, TRP_MS(2), TRP_PRIORITY_BATCH, 40);
    g.view.busy_ns = TRP_MS(4);
    assert_int_equal(forecast(&g.model, 0, TRP_MS(2), TRP_PRIORITY_INTERACTIVE, 0).start_ns,
                     TRP_MS(12));
    assert_int_equal(forecast(&g.model, 0, TRP_MS(2), TRP_PRIORITY_NORMAL, 0).start_ns, TRP_MS(32));
    assert_int_equal(forecast(&g.model, 0, TRP_MS(2), TRP_PRIORITY_BATCH, 0).start_ns, TRP_MS(72));
    trp_sched_set_floor(&g.s, TRP_PRIORITY_BATCH, 200);
    assert_int_equal(forecast(&g.model, 0, TRP_MS(2), TRP_PRIORITY_NORMAL, 0).ahead_ns, TRP_MS(75));
}

static void a_flood_of_another_tenant_is_not_ahead(void **state)
{
    (void)state;
    make_stage(1);
    push(&g.model, 0, TRP_MS(1), TRP_PRIORITY_NORMAL, 1000);
    push(&g.model, 1, TRP_MS(1), TRP_PRIORITY_NORMAL, 10);
    const struct trp_forecast f = forecast(&g.model, 1, TRP_MS(1), TRP_PRIORITY_NORMAL, TRP_MS(50));
    assert_true(f.is_met);
    assert_int_equal(f.ahead_ns, TRP_MS(21));
    assert_int_equal(forecast(&g.model, 0, TRP_MS(1), TRP_PRIORITY_NORMAL, 0).ahead_ns,
                     TRP_MS(1010));
}

static void an_earlier_deadline_goes_before_its_tenants_others(void **state)
{
    (void)state;
    make_stage(1);
    push(&g.model, 0, TRP_MS(1), TRP_PRIORITY_NORMAL, 100);
    assert_true(forecast(&g.model, 0, TRP_MS(1), TRP_PRIORITY_NORMAL, TRP_MS(5)).is_met);
}

static void slots_of_its_model_may_be_what_it_waits_for(void **state)
{
    (void)state;
    make_stage(8);
    push(&g.single, 0, TRP_MS(1), TRP_PRIORITY_NORMAL, 16);
    assert_int_equal(forecast(&g.single, 0, TRP_MS(1), TRP_PRIORITY_NORMAL, 0).start_ns,
                     TRP_MS(16));
    assert_int_equal(forecast(&g.model, 0, TRP_MS(1), TRP_PRIORITY_NORMAL, 0).start_ns, TRP_MS(2));
}

/* Open arrivals at twice what one executor can do, each with 50 ms of time: most of what is let in
 * is answered in time, and the executor is hardly ever without work.  Without the forecast
 * hardly anything would be in time. */
struct tally {
    uint32_t arrived, refused, in_time, late;
};

static struct tally overload(bool is_forecast)
{
    struct tally t = { 0 };
    struct trp_random random = { 31 };
    struct trp_sched_model *m;
    int64_t arrives_ns = 0, free_ns = 0;
    size_t next = 0;
    make_stage(1);
    while (t.arrived < 20000) {
        struct trp_call *const call = &g.calls[next++ % CALLS];
        arrives_ns += (int64_t)(trp_random_next(&random) % (uint64_t)TRP_MS(1)); /* 0.5 ms */
        while (free_ns <= arrives_ns && g.s.queued > 0) { /* runs that begin before it comes */
            struct trp_call *late;
            while ((late = trp_sched_expire(&g.s, free_ns)) != NULL)
                t.late++;
            struct trp_call *const run = trp_sched_take(&g.s, &m);
            if (!run)
                break;
            free_ns += TRP_MS(1);
            t.in_time += free_ns <= run->deadline_ns;
            t.late += free_ns > run->deadline_ns;
            trp_sched_end(&g.s, m);
        }
        if (free_ns < arrives_ns)
            free_ns = arrives_ns;
        t.arrived++;
        const struct trp_sched_ask ask = asks(&g.model, (int)(t.arrived % 2), TRP_MS(1));
        call->deadline_ns = arrives_ns + TRP_MS(50);
        g.view.now_ns = arrives_ns;
        g.view.busy_ns = free_ns - arrives_ns;
        if (is_forecast && !trp_forecast_call(&g.s, &ask, call, &g.view).is_met)
            t.refused++;
        else
            assert_int_equal(trp_sched_push_as(&g.s, &ask, call), TRP_SCHED_QUEUED);
    }
    while (trp_sched_drain(&g.s))
        ;
    print_message("forecast %d: %u in time, %u late, %u refused\n", is_forecast, t.in_time, t.late,
                  t.refused);
    return t;
}

static void at_twice_the_load_the_executor_works_for_those_in_time(void **state)
{
    (void)state;
    const struct tally with = overload(true), without = overload(false);
    assert_true(with.in_time > 9000);          /* of 10,000 that one executor can do */
    assert_true(with.late * 8 < with.in_time); /* most of them left before they ran */
    assert_true(without.late > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_queue_delays_nobody_but_a_run_that_is_longer_than_the_deadline),
        cmocka_unit_test(work_ahead_is_that_of_its_class_and_of_more_urgent_ones),
        cmocka_unit_test(a_flood_of_another_tenant_is_not_ahead),
        cmocka_unit_test(an_earlier_deadline_goes_before_its_tenants_others),
        cmocka_unit_test(slots_of_its_model_may_be_what_it_waits_for),
        cmocka_unit_test(at_twice_the_load_the_executor_works_for_those_in_time),
    };
    return cmocka_run_group_tests_name("forecast", tests, NULL, NULL);
}
