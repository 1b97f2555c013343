/* Calls that wait for a model to be loaded: who is told, in which order they go on, and that
 * each comes back once. */
#include "exec/waiting.h"

#include "base/thread.h"

#include "unit/exec/exec_fixture.h"

#define X_ONLY "input x FP32 [-1]\noutput y FP32 [-1]\n"

static struct world w;
static struct trp_exec *x;
static struct trp_waiting *room;
static struct trp_version *cold, *ready;
static uint32_t wanted_n;

static void count_wanted(void *user)
{
    (void)user;
    wanted_n++;
}

static struct trp_version *make_cold(void)
{
    const struct trp_version_opts opts = {
        .model = TRP_STR_LIT("m"), .number = 1, .ops = trp_exec_version_ops(), .runner = x
    };
    struct trp_version *v;
    assert_false(trp_failed(trp_version_create(trp_heap(), &opts, &v, NULL)));
    v->is_cold = true;
    v->room = room;
    return v;
}

static void make_room(struct trp_loop *control, uint32_t calls_max, void (*wanted)(void *user))
{
    const struct trp_waiting_opts opts = {
        .calls_max = calls_max, .control = control, .metrics = w.metrics, .wanted = wanted
    };
    assert_false(trp_failed(trp_waiting_create(trp_heap(), &opts, &room, NULL)));
    cold = make_cold();
    ready = make_version(&w, X_ONLY, x);
    ready->room = room;
    for (int to = TRP_MODEL_LOADING; to <= TRP_MODEL_READY; to++)
        assert_false(
            trp_failed(trp_lifecycle_move(&ready->life, (enum trp_model_state)to, 1, NULL)));
}

static void make_exec(uint32_t loops_n)
{
    const struct trp_exec_opts opts = { .executors_n = 2,
                                        .loops_n = loops_n,
                                        .inline_run_ns = TRP_US(200),
                                        .inline_turn_ns = TRP_MS(1),
                                        .queue_max = 10000,
                                        .model_queue_max = 10000,
                                        .clock = trp_clock_system(),
                                        .metrics = w.metrics };
    x = start_exec(&w, &opts);
}

static int set_up(void **state)
{
    (void)state;
    wanted_n = 0;
    make_world(&w, trp_clock_system());
    make_exec(1);
    make_room(w.loop, 8, count_wanted);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    trp_exec_stop(x);
    settle_world(&w);
    give_back_finished(&w);
    trp_version_unref(cold);
    trp_waiting_unref(room);
    trp_exec_destroy(x);
    drop_world(&w);
    return 0;
}

/* A call as front leaves it: pinned to a version that does not serve, not bound. */
static struct trp_call *start_cold(enum trp_priority_class class)
{
    struct trp_call *call = make_call(&w, ready);
    trp_version_ref(cold);
    trp_call_pin(call, &cold->target, trp_version_release_target);
    call->is_unbound = true;
    call->priority_class = class;
    trp_target_start(&cold->target, call);
    return call;
}

static void send_all(struct trp_version *v, const struct trp_error *err)
{
    struct trp_call_list calls = { 0 };
    struct trp_call *call;
    trp_waiting_take(room, &calls, trp_loop_now_ns(w.loop));
    while ((call = trp_call_list_pop(&calls)) != NULL) {
        trp_waiting_decide(call, v, err);
        trp_waiting_send(call);
    }
}

static void all_who_wait_are_told_of_once_and_go_on_by_class_and_arrival(void **state)
{
    (void)state;
    static const enum trp_priority_class classes[] = { TRP_PRIORITY_BATCH, TRP_PRIORITY_NORMAL,
                                                       TRP_PRIORITY_INTERACTIVE,
                                                       TRP_PRIORITY_NORMAL,
                                                       TRP_PRIORITY_INTERACTIVE };
    static const uint32_t order[] = { 2, 4, 1, 3, 0 };
    struct trp_call *calls[ARRAY_LEN(classes)];
    struct trp_call_list taken = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        calls[i] = start_cold(classes[i]);
    assert_int_equal(trp_waiting_count(room), ARRAY_LEN(classes));
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_COLD_WAITING), ARRAY_LEN(classes));
    settle_world(&w);
    assert_int_equal(wanted_n, 1);
    trp_waiting_take(room, &taken, trp_loop_now_ns(w.loop));
    assert_int_equal(trp_waiting_count(room), 0);
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        struct trp_call *call = trp_call_list_pop(&taken);
        assert_ptr_equal(call, calls[order[i]]);
        trp_waiting_decide(call, ready, NULL);
        trp_waiting_send(call);
    }
    turn_until_finished(&w, ARRAY_LEN(classes));
    for (uint32_t i = 0; i < w.finished_n; i++) {
        assert_int_equal(w.finished[i]->error.status.code, TRP_OK);
        assert_ptr_equal(w.finished[i]->target, &ready->target);
        assert_false(w.finished[i]->is_unbound);
    }
    assert_int_equal(trp_counter_get(&ready->stats->inference_count), ARRAY_LEN(classes));
    assert_int_equal(trp_gauge_get(&ready->stats->in_flight), 0);
    assert_int_equal(trp_gauge_get(&cold->stats->in_flight), 0);
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_COLD_WAITING), 0);
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_COLD_CALLS), ARRAY_LEN(classes));
    start_cold(TRP_PRIORITY_NORMAL); /* whoever comes later is told of again */
    settle_world(&w);
    assert_int_equal(wanted_n, 2);
    send_all(ready, NULL);
    turn_until_finished(&w, ARRAY_LEN(classes) + 1);
}

static void who_is_cancelled_or_late_leaves_at_once(void **state)
{
    (void)state;
    struct trp_call *first = start_cold(TRP_PRIORITY_NORMAL);
    struct trp_call *second = start_cold(TRP_PRIORITY_NORMAL);
    struct trp_call *third = start_cold(TRP_PRIORITY_NORMAL);
    assert_true(trp_call_try_cancel(second));
    trp_exec_cancel_call(&cold->target, second);
    assert_true(trp_call_try_expire(first));
    trp_exec_cancel_call(&cold->target, first);
    turn_until_finished(&w, 2);
    assert_int_equal(second->error.status.code, TRP_CANCELLED);
    assert_int_equal(first->error.status.code, TRP_DEADLINE_EXCEEDED);
    assert_int_equal(trp_waiting_count(room), 1);
    send_all(ready, NULL);
    turn_until_finished(&w, 3);
    assert_int_equal(third->error.status.code, TRP_OK);
}

static void who_is_cancelled_on_the_way_home_is_not_run(void **state)
{
    (void)state;
    struct trp_call *call = start_cold(TRP_PRIORITY_NORMAL);
    send_all(ready, NULL);
    assert_true(trp_call_try_cancel(call));
    trp_exec_cancel_call(call->target, call);
    turn_until_finished(&w, 1);
    assert_int_equal(call->error.status.code, TRP_CANCELLED);
    assert_int_equal(trp_counter_get(&ready->stats->execution_count), 0);
    assert_int_equal(trp_gauge_get(&ready->stats->in_flight), 0);
}

static void what_failed_is_told_to_all_who_wait(void **state)
{
    (void)state;
    struct trp_error why = { 0 };
    struct trp_call *call = start_cold(TRP_PRIORITY_NORMAL),
                    *other = start_cold(TRP_PRIORITY_BATCH);
    (void)trp_fail(&why, TRP_OVER_BUDGET, "it does not fit");
    send_all(NULL, &why);
    turn_until_finished(&w, 2);
    assert_int_equal(call->error.status.code, TRP_OVER_BUDGET);
    assert_string_equal(other->error.text, "it does not fit");
    assert_ptr_equal(call->target, &cold->target);
}

static void a_call_that_does_not_suit_is_refused_when_it_is_bound(void **state)
{
    (void)state;
    struct trp_call *call = start_cold(TRP_PRIORITY_NORMAL);
    call->inputs[0].name = TRP_STR_LIT("nonsense");
    send_all(ready, NULL);
    turn_until_finished(&w, 1);
    assert_int_equal(call->error.status.code, TRP_INVALID_ARGUMENT);
    assert_int_equal(trp_gauge_get(&ready->stats->in_flight), 0);
}

static void the_room_has_an_end(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++)
        start_cold(TRP_PRIORITY_NORMAL);
    struct trp_call *refused = start_cold(TRP_PRIORITY_NORMAL);
    turn_until_finished(&w, 1);
    assert_ptr_equal(w.finished[0], refused);
    assert_int_equal(refused->error.status.code, TRP_QUEUE_FULL);
    assert_int_equal(refused->error.limit, TRP_LIMIT_QUEUE);
    send_all(ready, NULL);
    turn_until_finished(&w, 9);
}

static void a_full_room_does_without_the_newest_of_the_least_urgent(void **state)
{
    (void)state;
    struct trp_call *older = start_cold(TRP_PRIORITY_BATCH),
                    *newer = start_cold(TRP_PRIORITY_BATCH);
    for (int i = 0; i < 6; i++)
        start_cold(TRP_PRIORITY_NORMAL);
    struct trp_call *urgent = start_cold(TRP_PRIORITY_INTERACTIVE);
    struct trp_call *usual = start_cold(TRP_PRIORITY_NORMAL);
    struct trp_call *refused = start_cold(TRP_PRIORITY_NORMAL); /* only its own class is left */
    turn_until_finished(&w, 3);
    assert_int_equal(newer->error.status.code, TRP_QUEUE_FULL);
    assert_int_equal(older->error.status.code, TRP_QUEUE_FULL);
    assert_int_equal(older->error.limit, TRP_LIMIT_QUEUE);
    assert_int_equal(refused->error.status.code, TRP_QUEUE_FULL);
    assert_int_equal(trp_waiting_count(room), 8);
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_REFUSED_SHED), 2);
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_REFUSED_QUEUE), 1);
    send_all(ready, NULL);
    turn_until_finished(&w, 11);
    assert_int_equal(urgent->error.status.code, TRP_OK);
    assert_int_equal(usual->error.status.code, TRP_OK);
    assert_int_equal(trp_gauge_get(&cold->stats->in_flight), 0);
    assert_int_equal(trp_metrics_get(w.metrics, TRP_METRIC_COLD_WAITING), 0);
}

static void after_the_end_everybody_is_refused_and_nobody_is_told(void **state)
{
    (void)state;
    struct trp_error why = { 0 };
    struct trp_call *waits = start_cold(TRP_PRIORITY_NORMAL); /* its word is on its way */
    (void)trp_fail(&why, TRP_NOT_FOUND, "it has gone");
    trp_waiting_close(room, &why);
    struct trp_call *comes = start_cold(TRP_PRIORITY_NORMAL);
    turn_until_finished(&w, 2);
    settle_world(&w);
    assert_int_equal(wanted_n, 0);
    assert_int_equal(waits->error.status.code, TRP_NOT_FOUND);
    assert_string_equal(comes->error.text, "it has gone");
    trp_waiting_close(room, &why);
}

/* ---- threads ---- */

#define LOOPS 3u
#define ROUNDS 40u
#define BATCH 5u

struct client {
    struct trp_loop *loop;
    struct trp_call_pool *pool;
    struct trp_thread thread;
    struct trp_mail begin;
    uint32_t started, finished, ok, cancelled;
    struct trp_counter done;
};

static struct client clients[LOOPS];

static void begin_batch(struct client *c);

static void came_back(struct trp_call *call, void *user)
{
    struct client *c = user;
    c->ok += call->error.status.code == TRP_OK;
    c->cancelled += call->error.status.code == TRP_CANCELLED;
    c->finished++;
    trp_call_give_back(call);
    if (c->finished == ROUNDS * BATCH)
        trp_counter_set(&c->done, 1);
    else if (c->finished == c->started)
        begin_batch(c);
}

static void begin_batch(struct client *c)
{
    struct trp_call *calls[BATCH];
    for (uint32_t i = 0; i < BATCH; i++) {
        static float value = 1;
        struct trp_call *call = calls[i] = trp_call_take(c->pool);
        call->inputs = trp_arena_zeroed(&call->arena, 1, sizeof *call->inputs);
        call->inputs_n = 1;
        call->inputs[0].name = TRP_STR_LIT("x");
        call->inputs[0].tensor = (struct troupe_tensor){
            .dtype = TROUPE_FP32, .rank = 1, .shape = { 1 }, .data = &value, .bytes = 4
        };
        call->is_unbound = true;
        trp_version_ref(cold);
        trp_call_pin(call, &cold->target, trp_version_release_target);
        trp_call_push(call, came_back, c);
    }
    c->started += BATCH;
    for (uint32_t i = 0; i < BATCH; i++)
        trp_target_start(&cold->target, calls[i]);
    if (trp_call_try_cancel(calls[1])) /* in the room, or on its way home already */
        trp_exec_cancel_call(calls[1]->target, calls[1]);
}

static void begin_first(struct trp_mail *mail)
{
    begin_batch(TRP_CONTAINER_OF(mail, struct client, begin));
}

static void run_client(void *user)
{
    struct client *c = user;
    (void)trp_loop_run(c->loop, NULL);
}

static void serve_wanted(void *user)
{
    (void)user;
    wanted_n++;
    send_all(ready, NULL);
}

static void calls_of_many_loops_come_back_once_each(void **state)
{
    (void)state;
    struct trp_loop_opts opts = { .name = "client" };
    make_world(&w, trp_clock_system());
    make_exec(LOOPS + 1);
    make_room(w.loop, 1000, serve_wanted);
    for (uint32_t i = 0; i < LOOPS; i++) {
        struct client *c = &clients[i];
        *c = (struct client){ .begin = { .deliver = begin_first } };
        assert_false(trp_failed(trp_loop_create(trp_heap(), &opts, &c->loop, NULL)));
        assert_false(trp_failed(
            trp_call_pool_create(trp_heap(), c->loop, 4096, 1 << 20, BATCH, &c->pool, NULL)));
        assert_false(trp_failed(trp_exec_attach(x, i + 1, c->loop, NULL)));
        assert_false(trp_failed(trp_thread_start(&c->thread, "client", run_client, c, NULL)));
        trp_loop_post(c->loop, &c->begin);
    }
    for (uint32_t i = 0; i < LOOPS; i++)
        while (!trp_counter_get(&clients[i].done))
            turn_loop(&w, TRP_MS(10));
    for (uint32_t i = 0; i < LOOPS; i++) {
        struct client *c = &clients[i];
        trp_loop_stop(c->loop);
        trp_thread_join(&c->thread);
        assert_int_equal(c->finished, ROUNDS * BATCH);
        assert_int_equal(c->ok + c->cancelled, ROUNDS * BATCH);
        assert_int_equal(c->cancelled, ROUNDS);
        assert_int_equal(trp_call_pool_out(c->pool), 0);
    }
    settle_world(&w);
    assert_int_equal(trp_waiting_count(room), 0);
    assert_true(wanted_n > 0);
    (void)tear_down(NULL);
    for (uint32_t i = 0; i < LOOPS; i++) {
        trp_call_pool_destroy(clients[i].pool);
        trp_loop_destroy(clients[i].loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WITH_ROOM(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
        WITH_ROOM(all_who_wait_are_told_of_once_and_go_on_by_class_and_arrival),
        WITH_ROOM(who_is_cancelled_or_late_leaves_at_once),
        WITH_ROOM(who_is_cancelled_on_the_way_home_is_not_run),
        WITH_ROOM(what_failed_is_told_to_all_who_wait),
        WITH_ROOM(a_call_that_does_not_suit_is_refused_when_it_is_bound),
        WITH_ROOM(the_room_has_an_end),
        WITH_ROOM(a_full_room_does_without_the_newest_of_the_least_urgent),
        WITH_ROOM(after_the_end_everybody_is_refused_and_nobody_is_told),
        cmocka_unit_test(calls_of_many_loops_come_back_once_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
