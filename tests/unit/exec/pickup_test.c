/* Lines that rest for company, with real executors and the real clock: who ends the rest, and
 * that somebody always keeps the time. */
#include "exec/runqueue.h"
#include "unit/exec/exec_fixture.h"

#define ROWS "input x FP32 [-1]\noutput y FP32 [-1]\n"
#define FOREVER TRP_S(50)

static struct world w;
static struct trp_exec *x;

static int set_up_with(const struct trp_exec_opts *how)
{
    struct trp_exec_opts opts = *how;
    make_world(&w, trp_clock_system());
    opts.loops_n = 1;
    opts.queue_max = opts.model_queue_max = 200;
    opts.clock = trp_clock_system();
    opts.metrics = w.metrics;
    x = start_exec(&w, &opts);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    return set_up_with(&(struct trp_exec_opts){ .executors_n = 2 });
}

/* Known short runs stay on the loop. */
static int set_up_here(void **state)
{
    (void)state;
    return set_up_with(&(struct trp_exec_opts){
        .executors_n = 2, .inline_run_ns = TRP_S(1), .inline_turn_ns = TRP_S(10) });
}

static int tear_down(void **state)
{
    (void)state;
    end_world(&w, x);
    return 0;
}

static struct trp_version *make_resting_of(const char *script, int64_t delay_ns, uint32_t preferred)
{
    static struct trp_company companies[VERSIONS_MAX];
    static struct trp_joining_wishes wished[VERSIONS_MAX + 1];
    struct trp_company *c = &companies[w.versions_n];
    struct trp_version *v = make_version(&w, script, x);
    *c = (struct trp_company){ .ask = NULL };
    trp_gauge_set(&c->rows_max, 8);
    v->company = c;
    v->config.batching = TRP_BATCHING_ON;
    struct trp_joining_wishes *wishes = &wished[w.versions_n];
    *wishes = (struct trp_joining_wishes){ .delay_ns = delay_ns,
                                           .preferred = { preferred },
                                           .preferred_n = preferred > 0 };
    v->config.joining = wishes;
    return v;
}

static struct trp_version *make_resting(int64_t delay_ns, uint32_t preferred)
{
    return make_resting_of(ROWS, delay_ns, preferred);
}

static struct trp_call *start_rows(struct trp_version *v, uint32_t rows)
{
    struct trp_call *call = make_call_of(&w, v, rows);
    trp_target_start(&v->target, call);
    turn_loop(&w, 0);
    return call;
}

static struct trp_call *start(struct trp_version *v)
{
    return start_rows(v, 1);
}

#define WAIT_UNTIL(is_so)                  \
    for (int ms = 0; !(is_so); ms++) {     \
        if (ms > 30000)                    \
            fail_msg("%s: never", #is_so); \
        usleep(1000);                      \
    }

static void cancel(struct trp_call *call)
{
    assert_true(trp_call_try_cancel(call));
    trp_exec_cancel_call(call->target, call);
}

static int64_t waited_ns(const struct trp_call *call)
{
    return call->stamps_ns[TRP_PHASE_RUN_START] - call->stamps_ns[TRP_PHASE_QUEUED];
}

static void nobody_waits_for_company_longer_than_the_delay(void **state)
{
    (void)state;
    struct trp_version *v = make_resting(TRP_MS(20), 0);
    const struct trp_call *call = start(v);
    turn_until_finished(&w, 1);
    assert_int_equal(call->error.status.code, TRP_OK);
    assert_true(waited_ns(call) >= TRP_MS(20));
}

/* What is tiny would run on the loop, where it could not wait. */
static void a_tiny_run_waits_as_well(void **state)
{
    (void)state;
    struct trp_version *v = make_resting(TRP_MS(20), 0);
    trp_gauge_set(&v->stats->run_ns, TRP_US(1));
    trp_gauge_set(&v->stats->run_bytes, 4);
    const struct trp_call *call = start(v);
    turn_until_finished(&w, 1);
    assert_true(waited_ns(call) >= TRP_MS(20));
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_INLINE_RUNS), 0);
}

static void enough_company_ends_the_wait(void **state)
{
    (void)state;
    struct trp_version *v = make_resting(FOREVER, 4);
    for (int i = 0; i < 4; i++)
        start(v);
    turn_until_finished(&w, 4);
    assert_int_equal(trp_counter_get(&v->stats->execution_count), 1);
    assert_int_equal(trp_counter_get(&v->stats->batches[0].size), 4);
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_BATCHED_CALLS), 4);
}

static void the_time_is_kept_whoever_goes_to_work(void **state)
{
    (void)state;
    struct trp_version *v = make_resting(TRP_MS(30), 0);
    struct trp_version *other = make_version(&w, ROWS "sleep 60s\n", x);
    for (uint32_t round = 0; round < 4; round++) { /* one of the two executors, then the other */
        start(v);
        struct trp_call *busy = start(other);
        turn_until_finished(&w, 2 * round + 1);
        assert_int_equal(w.finished[2 * round]->target == &v->target, 1);
        cancel(busy);
        turn_until_finished(&w, 2 * round + 2);
    }
}

static void a_rest_that_begins_later_may_end_sooner(void **state)
{
    (void)state;
    struct trp_version *longer = make_resting(FOREVER, 0), *shorter = make_resting(TRP_MS(10), 0);
    struct trp_call *last = start(longer), *first = start(shorter);
    turn_until_finished(&w, 1);
    assert_ptr_equal(w.finished[0], first);
    cancel(last);
    turn_until_finished(&w, 2);
    assert_int_equal(last->error.status.code, TRP_CANCELLED);
}

/* Together they end the rest, but not in one run: nobody was woken for the second, and the first
 * one takes a minute. */
static void who_is_left_over_when_a_rest_ends_has_another_executor(void **state)
{
    (void)state;
    struct trp_version *v = make_resting_of(ROWS "sleep 60s\n", FOREVER, 2);
    struct trp_call *calls[2] = { start_rows(v, 1) };
    WAIT_UNTIL(trp_exec_idle(x) == 2); /* it rests */
    calls[1] = start_rows(v, 2);
    WAIT_UNTIL(trp_counter_get(&v->stats->execution_count) == 2);
    for (uint32_t i = 0; i < 2; i++)
        cancel(calls[i]);
    turn_until_finished(&w, 2);
}

static void who_leaves_while_it_waits_is_gone(void **state)
{
    (void)state;
    struct trp_version *v = make_resting(FOREVER, 2);
    struct trp_call *calls[3];
    calls[0] = start(v);
    cancel(calls[0]);
    turn_until_finished(&w, 1);
    calls[1] = start(v);
    calls[2] = start(v);
    turn_until_finished(&w, 3);
    assert_int_equal(calls[0]->error.status.code, TRP_CANCELLED);
    for (int i = 1; i < 3; i++)
        assert_int_equal(calls[i]->error.status.code, TRP_OK);
    assert_int_equal(trp_counter_get(&v->stats->execution_count), 1);
}

/* The wait is given up in time for it, and it takes along who waits. */
static void a_deadline_is_not_waited_away(void **state)
{
    (void)state;
    struct trp_version *v = make_resting(FOREVER, 0);
    start(v);
    struct trp_call *call = make_call_of(&w, v, 1);
    call->deadline_ns = trp_clock_now_ns(trp_clock_system()) + TRP_S(2);
    trp_target_start(&v->target, call);
    turn_until_finished(&w, 2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(w.finished[i]->error.status.code, TRP_OK);
    assert_true(call->stamps_ns[TRP_PHASE_RUN_START] < call->deadline_ns);
}

static void the_end_does_not_wait(void **state)
{
    (void)state;
    struct trp_version *v = make_resting(FOREVER, 0);
    const struct trp_call *call = start(v);
    trp_exec_stop(x);
    settle_world(&w);
    assert_int_equal(w.finished_n, 1);
    assert_int_equal(call->error.status.code, TRP_UNAVAILABLE);
}

/* ---- a queue of its own, without threads ---- */

static void push_to(struct trp_runqueue *q, struct trp_version *v, enum trp_priority_class class,
                    uint32_t n)
{
    struct trp_call_list calls = { 0 }, refused = { 0 };
    for (uint32_t i = 0; i < n; i++) {
        struct trp_call *call = make_call_of(&w, v, 1);
        call->done_n = 0; /* it is given back by the fixture */
        call->priority_class = class;
        trp_batch_mark(call);
        w.finished[w.finished_n++] = call;
        trp_call_list_push(&calls, call);
    }
    trp_runqueue_push(q, &calls, &refused);
    assert_null(refused.first);
}

static uint32_t take_from(struct trp_runqueue *q, const struct trp_version *whose)
{
    struct trp_call_list calls, expired = { 0 };
    assert_true(trp_runqueue_take(q, trp_clock_system(), NULL, &calls, &expired));
    assert_non_null(calls.first);
    assert_ptr_equal(calls.first->target, &whose->target);
    return calls.count;
}

static void a_batch_is_small_while_more_urgent_work_waits(void **state)
{
    (void)state;
    struct trp_runqueue q;
    struct trp_call_list left = { 0 };
    struct trp_version *batched = make_resting(0, 0), *urgent = make_version(&w, ROWS, x);
    trp_runqueue_init(&q, 100, 100);
    trp_sched_set_floor(&q.sched, TRP_PRIORITY_BATCH, 500);
    trp_gauge_set(&batched->stats->run_ns, TRP_MS(1));
    trp_gauge_set(&urgent->stats->run_ns, TRP_MS(1));
    push_to(&q, batched, TRP_PRIORITY_BATCH, 20);
    push_to(&q, urgent, TRP_PRIORITY_INTERACTIVE, 3);
    for (int i = 0; i < 8; i++) {
        trp_runqueue_learn(&q, batched, 1, TRP_MS(1));
        trp_runqueue_learn(&q, batched, 8, TRP_MS(2));
    }
    (void)take_from(&q, urgent);
    (void)take_from(&q,
                    urgent); /* by now the other class is owed a run, and one urgent call waits */
    assert_int_equal(take_from(&q, batched), 1);
    (void)take_from(&q, urgent);
    assert_int_equal(take_from(&q, batched), 8);
    trp_runqueue_drain(&q, &left);
    assert_int_equal(left.count, 11);
    trp_runqueue_deinit(&q);
}

int main(void)
{
#define TEST_HERE(f) cmocka_unit_test_setup_teardown(f, set_up_here, tear_down)
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(nobody_waits_for_company_longer_than_the_delay),
        TEST_HERE(a_tiny_run_waits_as_well),
        TEST(enough_company_ends_the_wait),
        TEST(the_time_is_kept_whoever_goes_to_work),
        TEST(a_rest_that_begins_later_may_end_sooner),
        TEST(who_is_left_over_when_a_rest_ends_has_another_executor),
        TEST(who_leaves_while_it_waits_is_gone),
        TEST(a_deadline_is_not_waited_away),
        TEST(the_end_does_not_wait),
        TEST(a_batch_is_small_while_more_urgent_work_waits),
    };
    return cmocka_run_group_tests_name("pickup", tests, NULL, NULL);
}
