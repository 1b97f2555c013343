/* Loops and executors together, with real threads and the real clock. */
#include "unit/exec/exec_fixture.h"

#define X_ONLY "input x FP32 [-1]\noutput y FP32 [-1]\n"

static struct world w;
static struct trp_exec *x;

static int set_up(void **state)
{
    (void)state;
    make_world(&w, trp_clock_system());
    const struct trp_exec_opts opts = { .executors_n = 2,
                                        .loops_n = 1,
                                        .inline_run_ns = TRP_US(200),
                                        .inline_turn_ns = TRP_MS(1),
                                        .queue_max = 200,
                                        .model_queue_max = 200,
                                        .clock = trp_clock_system(),
                                        .metrics = w.metrics };
    x = start_exec(&w, &opts);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    end_world(&w, x);
    return 0;
}

static struct trp_call *start(struct trp_version *v)
{
    struct trp_call *call = make_call(&w, v);
    trp_target_start(&v->target, call);
    return call;
}

static int64_t metric(enum trp_metric id)
{
    return trp_metrics_get(w.metrics, id);
}

static void the_first_run_is_learned_on_an_executor_and_the_next_runs_here(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, x);
    start(v);
    turn_until_finished(&w, 1);
    assert_int_equal(metric(TRP_METRIC_EXECUTOR_RUNS), 1);
    assert_true(trp_gauge_get(&v->stats->run_ns) > 0);
    trp_gauge_set(&v->stats->run_ns, TRP_US(1)); /* whatever a busy machine made of it */
    start(v);
    turn_until_finished(&w, 2);
    assert_int_equal(metric(TRP_METRIC_INLINE_RUNS), 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(w.finished[i]->error.status.code, TRP_OK);
        assert_memory_equal(w.finished[i]->outputs[0].tensor.data,
                            w.finished[i]->inputs[0].tensor.data, 16);
    }
}

static void many_calls_come_back_once_each(void **state)
{
    (void)state;
    struct trp_version *tiny = make_version(&w, X_ONLY, x),
                       *slow = make_version(&w, X_ONLY "sleep 200us\n", x);
    for (int i = 0; i < 100; i++) {
        start(tiny);
        start(slow);
    }
    turn_until_finished(&w, 200);
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(w.finished[i]->error.status.code, TRP_OK);
        assert_int_equal(trp_oneshot_get(&w.finished[i]->outcome), TRP_OUTCOME_DONE);
    }
    assert_int_equal(trp_counter_get(&tiny->stats->inference_count), 100);
    assert_int_equal(trp_counter_get(&slow->stats->inference_count), 100);
    assert_int_equal(trp_gauge_get(&slow->stats->in_flight), 0);
    assert_int_equal(trp_exec_queued(x), 0);
}

static void a_tiny_run_never_waits_behind_a_whole_long_one(void **state)
{
    (void)state;
    struct trp_version *tiny = make_version(&w, X_ONLY, x),
                       *slow = make_version(&w, X_ONLY "sleep 60s\n", x);
    struct trp_call *long_ones[4];
    trp_gauge_set(&tiny->stats->run_ns, TRP_US(1));
    trp_gauge_set(&tiny->stats->run_bytes, 16);
    for (size_t i = 0; i < 4; i++)
        long_ones[i] = start(slow); /* both executors, and a queue */
    turn_loop(&w, 0);
    const int64_t begun_ns = trp_clock_now_ns(trp_clock_system());
    for (int i = 0; i < 50; i++)
        start(tiny);
    turn_until_finished(&w, 50);
    assert_true(trp_clock_now_ns(trp_clock_system()) - begun_ns < TRP_S(30));
    for (uint32_t i = 0; i < 50; i++)
        assert_ptr_equal(w.finished[i]->target, &tiny->target);
    for (size_t i = 0; i < 4; i++) {
        assert_true(trp_call_try_cancel(long_ones[i]));
        trp_exec_cancel_call(&slow->target, long_ones[i]);
    }
    turn_until_finished(&w, 54);
}

static void a_running_call_is_cancelled_through_its_backend(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY "sleep 60s\n", x);
    struct trp_call *call = start(v);
    while (trp_counter_get(&v->stats->execution_count) == 0)
        turn_loop(&w, TRP_MS(1));
    assert_true(trp_call_try_cancel(call));
    v->target.ops->cancel(&v->target, call);
    turn_until_finished(&w, 1);
    assert_int_equal(call->error.status.code, TRP_CANCELLED);
}

static void instances_bound_how_many_run_at_once(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY "sleep 60s\n", x);
    v->config.instances = 1;
    struct trp_call *first = start(v), *second = start(v);
    while (trp_counter_get(&v->stats->execution_count) == 0)
        turn_loop(&w, TRP_MS(1));
    assert_int_equal(trp_exec_queued(x), 1); /* though an executor sleeps */
    assert_true(trp_call_try_cancel(second));
    trp_exec_cancel_call(&v->target, second);
    turn_until_finished(&w, 1);
    assert_ptr_equal(w.finished[0], second);
    assert_true(trp_call_try_cancel(first));
    trp_exec_cancel_call(&v->target, first);
    turn_until_finished(&w, 2);
}

static void more_instances_wake_who_sleeps(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY "sleep 60s\n", x);
    v->config.instances = 1;
    struct trp_call *calls[] = { start(v), start(v) };
    while (trp_counter_get(&v->stats->execution_count) == 0)
        turn_loop(&w, TRP_MS(1));
    assert_int_equal(trp_exec_queued(x), 1);
    trp_exec_resize(x, v, 2);
    while (trp_counter_get(&v->stats->execution_count) < 2)
        turn_loop(&w, TRP_MS(1));
    trp_exec_resize(x, v, 1); /* neither is stopped for it */
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(w.finished_n, i);
        assert_true(trp_call_try_cancel(calls[i]));
        trp_exec_cancel_call(&v->target, calls[i]);
        turn_until_finished(&w, i + 1);
    }
}

/* Four members of one request, handed over in one stroke: each executor has one. */
static void runs_of_several_models_that_are_started_together_use_all_executors(void **state)
{
    (void)state;
    struct trp_version *members[4];
    struct trp_call *calls[4];
    uint64_t running = 0;
    for (size_t i = 0; i < 4; i++) {
        members[i] = make_version(&w, X_ONLY "sleep 60s\n", x);
        trp_gauge_set(&members[i]->stats->run_ns, TRP_MS(2)); /* known, and long */
        trp_gauge_set(&members[i]->stats->run_bytes, 16);
    }
    for (size_t i = 0; i < 4; i++)
        calls[i] = start(members[i]);
    for (int turns = 0; running < 2 && turns < 30000; turns++) {
        turn_loop(&w, TRP_MS(1));
        running = 0;
        for (size_t i = 0; i < 4; i++)
            running += trp_counter_get(&members[i]->stats->execution_count);
    }
    assert_int_equal(running, 2);
    assert_int_equal(trp_exec_queued(x), 2);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(trp_call_try_cancel(calls[i]));
        trp_exec_cancel_call(&members[i]->target, calls[i]);
    }
    turn_until_finished(&w, 4);
}

static void stopping_sends_queued_calls_back_unavailable(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY "sleep 50ms\n", x);
    for (int i = 0; i < 10; i++)
        start(v);
    while (trp_counter_get(&v->stats->execution_count) < 2)
        turn_loop(&w, TRP_MS(1));
    trp_exec_stop(x);
    start(v); /* and whoever comes later */
    turn_until_finished(&w, 11);
    uint32_t ok = 0, unavailable = 0;
    for (uint32_t i = 0; i < w.finished_n; i++) {
        ok += w.finished[i]->error.status.code == TRP_OK;
        unavailable += w.finished[i]->error.status.code == TRP_UNAVAILABLE;
    }
    assert_true(ok >= 2); /* what ran was not cut off */
    assert_int_equal(ok + unavailable, 11);
    assert_int_equal(trp_gauge_get(&v->stats->in_flight), 0);
}

static void a_loop_that_is_not_ours_is_refused(void **state)
{
    (void)state;
    struct trp_error err = { 0 };
    assert_int_equal(trp_exec_attach(x, 1, w.loop, &err).code, TRP_INVALID_ARGUMENT);
}

int main(void)
{
#define EXEC_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EXEC_TEST(the_first_run_is_learned_on_an_executor_and_the_next_runs_here),
        EXEC_TEST(many_calls_come_back_once_each),
        EXEC_TEST(a_tiny_run_never_waits_behind_a_whole_long_one),
        EXEC_TEST(a_running_call_is_cancelled_through_its_backend),
        EXEC_TEST(instances_bound_how_many_run_at_once),
        EXEC_TEST(more_instances_wake_who_sleeps),
        EXEC_TEST(runs_of_several_models_that_are_started_together_use_all_executors),
        EXEC_TEST(stopping_sends_queued_calls_back_unavailable),
        EXEC_TEST(a_loop_that_is_not_ours_is_refused),
    };
    return cmocka_run_group_tests_name("exec", tests, NULL, NULL);
}
