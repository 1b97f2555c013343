/* A loop's turn: what runs here, what is handed over, what waits; with a fake clock and no
 * executor. */
#include "exec/turn.h"
#include "unit/exec/exec_fixture.h"

#define X_ONLY "input x FP32 [-1]\noutput y FP32 [-1]\n"

static struct world w;
static struct trp_runqueue queue;
static struct trp_turn turn;

static int set_up(void **state)
{
    (void)state;
    make_world(&w, NULL);
    trp_runqueue_init(&queue, 16, 8);
    const struct trp_run_place here = { .clock = &w.time.clock,
                                        .metrics = trp_metrics_shard(w.metrics, 0),
                                        .runs = TRP_METRIC_INLINE_RUNS };
    trp_turn_init(&turn, w.loop, &queue, &here, TRP_US(50), TRP_US(200));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    struct trp_call_list left = { 0 };
    struct trp_call *call;
    trp_turn_abandon(&turn);
    trp_runqueue_drain(&queue, &left);
    while ((call = trp_call_list_pop(&left)) != NULL) {
        trp_run_settle(call);
        trp_call_finish(call);
    }
    settle_world(&w);
    drop_world(&w);
    trp_runqueue_deinit(&queue);
    return 0;
}

/* A model whose runs were learned to take so long. */
static struct trp_version *make_known(int64_t run_ns)
{
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    trp_gauge_set(&v->stats->run_ns, run_ns);
    trp_gauge_set(&v->stats->run_bytes, 16);
    return v;
}

static uint32_t queued(void)
{
    return (uint32_t)trp_gauge_get(&queue.queued);
}

static void nothing_comes_back_from_inside_start(void **state)
{
    (void)state;
    struct trp_version *v = make_known(TRP_US(5));
    trp_turn_start(&turn, make_call(&w, v));
    assert_int_equal(w.finished_n, 0);
    assert_int_equal(trp_gauge_get(&v->stats->in_flight), 1);
    turn_loop(&w, 0);
    assert_int_equal(w.finished_n, 1); /* run and told in one turn */
    assert_int_equal(w.finished[0]->error.status.code, TRP_OK);
    assert_int_equal(trp_gauge_get(&v->stats->in_flight), 0);
}

static void an_unknown_model_goes_to_the_executors(void **state)
{
    (void)state;
    struct trp_version *v = make_known(0);
    trp_turn_start(&turn, make_call(&w, v));
    turn_loop(&w, 0);
    assert_int_equal(w.finished_n, 0);
    assert_int_equal(queued(), 1);
    assert_int_equal(trp_gauge_get(&v->stats->queued), 1);
}

static void longer_calls_are_handed_over_before_tiny_ones_run(void **state)
{
    (void)state;
    struct trp_version *tiny = make_known(TRP_US(5)), *long_one = make_known(TRP_MS(50));
    trp_turn_start(&turn, make_call(&w, tiny));
    trp_turn_start(&turn, make_call(&w, long_one));
    trp_turn_start(&turn, make_call(&w, tiny));
    turn_loop(&w, 0);
    assert_int_equal(w.finished_n, 2);
    assert_int_equal(queued(), 1);
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_INLINE_CAPPED), 0);
}

static void a_used_up_turn_keeps_the_rest_for_the_next_when_executors_are_busy(void **state)
{
    (void)state;
    struct trp_version *v = make_known(TRP_US(45));
    w.time.step_ns = TRP_US(15); /* three looks at the clock a run: 45 us */
    for (int i = 0; i < 8; i++)
        trp_turn_start(&turn, make_call(&w, v));
    turn_loop(&w, 0);
    assert_int_equal(w.finished_n, 4); /* 180 of 200 us */
    assert_int_equal(queued(), 0);     /* behind whole runs it would wait longer */
    turn_loop(&w, TRP_S(100));         /* must not sleep */
    assert_int_equal(w.finished_n, 8);
}

static void what_fits_a_turn_is_not_put_behind_long_runs(void **state)
{
    (void)state;
    struct trp_version *v = make_known(TRP_US(150));
    w.time.step_ns = TRP_US(50);
    trp_gauge_set(&queue.long_runs, 1); /* and nobody sleeps */
    for (int i = 0; i < 3; i++)
        trp_turn_start(&turn, make_call(&w, v));
    for (uint32_t done = 1; done <= 3; done++) {
        turn_loop(&w, 0);
        assert_int_equal(w.finished_n, done);
        assert_int_equal(queued(), 0);
    }
    trp_gauge_set(&queue.long_runs, 0); /* now it would soon be its turn there */
    v = make_known(TRP_US(150));
    for (int i = 0; i < 3; i++)
        trp_turn_start(&turn, make_call(&w, v));
    turn_loop(&w, 0);
    assert_int_equal(w.finished_n, 4);
    assert_int_equal(queued(), 2);
}

static void a_used_up_turn_hands_the_rest_to_executors_that_sleep(void **state)
{
    (void)state;
    struct trp_version *v = make_known(TRP_US(45));
    w.time.step_ns = TRP_US(15);
    trp_gauge_set(&queue.idle, 1);
    for (int i = 0; i < 6; i++)
        trp_turn_start(&turn, make_call(&w, v));
    turn_loop(&w, 0);
    assert_int_equal(w.finished_n, 4);
    assert_int_equal(queued(), 1); /* one sleeper, one call */
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_INLINE_CAPPED), 1);
    turn_loop(&w, 0);
    assert_int_equal(w.finished_n, 5);
}

static void the_measured_time_counts_not_the_expected_one(void **state)
{
    (void)state;
    struct trp_version *v = make_known(TRP_US(5));
    w.time.step_ns = TRP_US(60); /* slower than was learned: 180 us a run */
    for (int i = 0; i < 4; i++)
        trp_turn_start(&turn, make_call(&w, v));
    turn_loop(&w, 0);
    assert_int_equal(w.finished_n, 2);
}

static void start_again_from_done(struct trp_call *call, void *user)
{
    keep_finished(call, &w);
    trp_turn_start(&turn, make_call(&w, user));
}

static void a_call_started_by_a_finished_one_runs_in_the_same_turn(void **state)
{
    (void)state;
    struct trp_version *v = make_known(TRP_US(5));
    struct trp_call *call = make_call(&w, v);
    call->done_n = 0;
    trp_call_push(call, start_again_from_done, v);
    trp_turn_start(&turn, call);
    turn_loop(&w, 0);
    assert_int_equal(w.finished_n, 2);
}

static void a_cancelled_call_leaves_the_queue_at_once(void **state)
{
    (void)state;
    struct trp_version *v = make_known(TRP_MS(50));
    struct trp_call *call = make_call(&w, v), *other = make_call(&w, v);
    trp_turn_start(&turn, call);
    trp_turn_start(&turn, other);
    turn_loop(&w, 0);
    assert_int_equal(queued(), 2);
    assert_true(trp_call_try_cancel(call));
    trp_turn_cancel(&turn, call);
    assert_int_equal(queued(), 1);
    turn_loop(&w, 0);
    assert_int_equal(w.finished_n, 1);
    assert_ptr_equal(w.finished[0], call);
    assert_int_equal(call->error.status.code, TRP_CANCELLED);
}

static void a_call_cancelled_before_its_turn_ends_is_not_run(void **state)
{
    (void)state;
    struct trp_version *v = make_known(TRP_US(5));
    struct trp_call *call = make_call(&w, v);
    trp_turn_start(&turn, call);
    assert_true(trp_call_try_cancel(call));
    trp_turn_cancel(&turn, call);
    turn_loop(&w, 0);
    assert_int_equal(w.finished_n, 1);
    assert_int_equal(call->error.status.code, TRP_CANCELLED);
    assert_int_equal(trp_counter_get(&v->stats->execution_count), 0);
}

static void a_waiting_call_expires_by_the_loops_timer(void **state)
{
    (void)state;
    struct trp_version *v = make_known(TRP_MS(50));
    struct trp_call *first = make_call(&w, v), *second = make_call(&w, v),
                    *patient = make_call(&w, v), *late = make_call(&w, v);
    second->deadline_ns = w.time.now_ns + TRP_MS(20);
    first->deadline_ns = w.time.now_ns + TRP_MS(10);
    late->deadline_ns = w.time.now_ns; /* too late from the start */
    trp_turn_start(&turn, second);
    trp_turn_start(&turn, first);
    trp_turn_start(&turn, patient);
    trp_turn_start(&turn, late);
    turn_loop(&w, 0);
    assert_int_equal(w.finished_n, 1);
    assert_ptr_equal(w.finished[0], late);
    w.time.now_ns += TRP_MS(10);
    turn_loop(&w, 0);
    assert_int_equal(w.finished_n, 2);
    assert_ptr_equal(w.finished[1], first);
    assert_int_equal(first->error.status.code, TRP_DEADLINE_EXCEEDED);
    w.time.now_ns += TRP_MS(10);
    turn_loop(&w, 0);
    assert_int_equal(w.finished_n, 3);
    assert_int_equal(queued(), 1); /* the patient one */
}

static void a_full_queue_is_said(void **state)
{
    (void)state;
    struct trp_version *a = make_known(TRP_MS(50)), *b = make_known(TRP_MS(50)),
                       *c = make_known(TRP_MS(50));
    for (int i = 0; i < 9; i++)
        trp_turn_start(&turn, make_call(&w, a));
    turn_loop(&w, 0);
    assert_int_equal(w.finished_n, 1);
    assert_int_equal(w.finished[0]->error.status.code, TRP_QUEUE_FULL);
    assert_string_equal(w.finished[0]->error.text,
                        "Exceeds maximum queue size: 8 requests wait for model 'm/1'");
    for (int i = 0; i < 8; i++)
        trp_turn_start(&turn, make_call(&w, b));
    trp_turn_start(&turn, make_call(&w, c));
    turn_loop(&w, 0);
    assert_int_equal(w.finished_n, 2);
    assert_string_equal(w.finished[1]->error.text,
                        "Exceeds maximum queue size: 16 requests wait for all models");
    for (int i = 0; i < 2; i++)
        assert_int_equal(w.finished[i]->error.limit, TRP_LIMIT_QUEUE);
}

static void a_version_with_taken_slots_queues_even_tiny_runs(void **state)
{
    (void)state;
    struct trp_version *v = make_known(TRP_US(5));
    v->config.instances = 1;
    trp_turn_start(&turn, make_call(&w, v));
    turn_loop(&w, 0);
    assert_int_equal(w.finished_n, 1); /* it took the slot, and gave it back */
    assert_true(trp_runqueue_try_begin(&queue, v));
    trp_turn_start(&turn, make_call(&w, v));
    turn_loop(&w, 0);
    assert_int_equal(w.finished_n, 1);
    assert_int_equal(queued(), 1);
    trp_runqueue_end(&queue, v);
}

static void a_stopping_server_says_so(void **state)
{
    (void)state;
    struct trp_version *v = make_known(TRP_US(5));
    trp_runqueue_stop(&queue);
    trp_turn_start(&turn, make_call(&w, v));
    turn_loop(&w, 0);
    assert_int_equal(w.finished[0]->error.status.code, TRP_UNAVAILABLE);
    assert_non_null(strstr(w.finished[0]->error.text, "Server not ready"));
    trp_turn_start(&turn, make_call(&w, v));
    trp_turn_abandon(&turn); /* the loop has ended before its task ran */
    turn_loop(&w, 0);
    assert_int_equal(w.finished_n, 2);
    assert_int_equal(w.finished[1]->error.status.code, TRP_UNAVAILABLE);
}

int main(void)
{
#define TURN_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TURN_TEST(nothing_comes_back_from_inside_start),
        TURN_TEST(an_unknown_model_goes_to_the_executors),
        TURN_TEST(longer_calls_are_handed_over_before_tiny_ones_run),
        TURN_TEST(a_used_up_turn_keeps_the_rest_for_the_next_when_executors_are_busy),
        TURN_TEST(what_fits_a_turn_is_not_put_behind_long_runs),
        TURN_TEST(a_used_up_turn_hands_the_rest_to_executors_that_sleep),
        TURN_TEST(the_measured_time_counts_not_the_expected_one),
        TURN_TEST(a_call_started_by_a_finished_one_runs_in_the_same_turn),
        TURN_TEST(a_cancelled_call_leaves_the_queue_at_once),
        TURN_TEST(a_call_cancelled_before_its_turn_ends_is_not_run),
        TURN_TEST(a_waiting_call_expires_by_the_loops_timer),
        TURN_TEST(a_full_queue_is_said),
        TURN_TEST(a_version_with_taken_slots_queues_even_tiny_runs),
        TURN_TEST(a_stopping_server_says_so),
    };
    return cmocka_run_group_tests_name("turn", tests, NULL, NULL);
}
