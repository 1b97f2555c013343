/* The shared queue: who is woken, who waits, and what is left at the end. */
#include "exec/runqueue.h"
#include "unit/exec/exec_fixture.h"

#define X_ONLY "input x FP32 [-1]\noutput y FP32 [-1]\n"

static struct world w;
static struct trp_runqueue queue;

static int set_up(void **state)
{
    (void)state;
    make_world(&w, NULL);
    trp_runqueue_init(&queue, 4, 3);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    drop_world(&w);
    trp_runqueue_deinit(&queue);
    return 0;
}

static void push(struct trp_call *call)
{
    struct trp_call_list calls = { 0 }, refused = { 0 };
    trp_call_list_push(&calls, call);
    trp_runqueue_push(&queue, &calls, &refused);
    assert_null(refused.first);
}

static void keep(struct trp_call *call)
{
    w.finished[w.finished_n++] = call; /* given back by the fixture */
    call->done_n = 0;
}

static struct trp_call *take(struct trp_version *ended)
{
    struct trp_call_list expired = { 0 };
    struct trp_call_list calls;
    assert_true(trp_runqueue_take(&queue, &w.time.clock, ended, &calls, &expired));
    assert_null(expired.first);
    assert_true(calls.count <= 1);
    return calls.first;
}

static void a_list_keeps_its_order(void **state)
{
    (void)state;
    struct trp_call calls[3] = { 0 };
    struct trp_call_list list = { 0 };
    for (size_t i = 0; i < 3; i++)
        trp_call_list_push(&list, &calls[i]);
    assert_int_equal(list.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_ptr_equal(trp_call_list_pop(&list), &calls[i]);
    assert_null(trp_call_list_pop(&list));
    trp_call_list_push(&list, &calls[0]); /* and can be used again */
    assert_ptr_equal(list.last, &calls[0]);
}

static void a_slot_goes_to_the_next_call_in_one_stroke(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    v->config.instances = 1;
    struct trp_call *first = make_call(&w, v), *second = make_call(&w, v);
    push(first);
    push(second);
    assert_int_equal(trp_gauge_get(&queue.queued), 2);
    assert_ptr_equal(take(NULL), first);
    assert_ptr_equal(take(v), second);
    assert_null(take(v)); /* nothing is left, and it does not sleep */
    assert_int_equal(trp_gauge_get(&v->stats->queued), 0);
    keep(first);
    keep(second);
}

static void expired_calls_come_with_the_take_or_alone(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    struct trp_call *late = make_call(&w, v);
    struct trp_call_list calls, expired = { 0 };
    late->deadline_ns = w.time.now_ns + TRP_MS(1);
    push(late);
    assert_int_equal(trp_runqueue_expire(&queue, w.time.now_ns, &expired), late->deadline_ns);
    w.time.now_ns += TRP_MS(1);
    assert_true(trp_runqueue_take(&queue, &w.time.clock, NULL, &calls, &expired));
    assert_null(calls.first);
    assert_ptr_equal(trp_call_list_pop(&expired), late);
    assert_int_equal(trp_runqueue_expire(&queue, w.time.now_ns, &expired), 0);
    keep(late);
}

struct sleeper {
    struct trp_thread thread;
    struct trp_call *got[4];
    uint32_t got_n;
};

static void take_until_stopped(void *user)
{
    struct sleeper *s = user;
    struct trp_call_list expired = { 0 };
    struct trp_call_list calls;
    while (trp_runqueue_take(&queue, trp_clock_system(), NULL, &calls, &expired))
        s->got[s->got_n++] = calls.first;
}

static void wait_for_sleepers(int64_t n)
{
    while (trp_gauge_get(&queue.idle) != n)
        usleep(100);
}

static void sleepers_are_woken_by_work_and_by_the_end(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    struct sleeper sleepers[2] = { 0 };
    for (size_t i = 0; i < 2; i++)
        assert_false(trp_failed(trp_thread_start(&sleepers[i].thread, "sleeper", take_until_stopped,
                                                 &sleepers[i], NULL)));
    wait_for_sleepers(2);
    push(make_call(&w, v));
    wait_for_sleepers(2); /* taken, and asleep again */
    struct trp_call_list calls = { 0 }, refused = { 0 };
    for (int i = 0; i < 3; i++)
        trp_call_list_push(&calls, make_call(&w, v));
    trp_runqueue_push(&queue, &calls, &refused);
    wait_for_sleepers(2);
    while (trp_gauge_get(&queue.queued) > 0)
        usleep(100);
    trp_runqueue_stop(&queue);
    for (size_t i = 0; i < 2; i++)
        trp_thread_join(&sleepers[i].thread);
    assert_int_equal(sleepers[0].got_n + sleepers[1].got_n, 4);
    for (size_t i = 0; i < 2; i++)
        for (uint32_t k = 0; k < sleepers[i].got_n; k++)
            keep(sleepers[i].got[k]);
}

static void a_stopped_queue_takes_nothing_and_gives_back_what_it_has(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    struct trp_call *left = make_call(&w, v), *late = make_call(&w, v);
    struct trp_call_list taken, calls = { 0 }, refused = { 0 }, expired = { 0 };
    push(left);
    trp_runqueue_stop(&queue);
    trp_call_list_push(&calls, late);
    trp_runqueue_push(&queue, &calls, &refused);
    assert_ptr_equal(trp_call_list_pop(&refused), late);
    assert_int_equal(late->error.status.code, TRP_UNAVAILABLE);
    assert_false(trp_runqueue_take(&queue, &w.time.clock, NULL, &taken, &expired));
    assert_null(taken.first);
    trp_runqueue_drain(&queue, &calls);
    assert_ptr_equal(trp_call_list_pop(&calls), left);
    assert_null(trp_call_list_pop(&calls));
    keep(left);
    keep(late);
}

static void who_waits_for_memory_does_not_keep_its_model_busy_unless_it_is_first(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    struct trp_call *first = make_call(&w, v), *second = make_call(&w, v);
    struct trp_runqueue_return how = { .is_first = true };
    trp_gauge_set(&v->stats->in_flight, 2);
    push(first);
    push(second);
    assert_int_equal(trp_stats_busy(v->stats), 2);
    assert_ptr_equal(take(NULL), first);
    assert_int_equal(trp_runqueue_put_back(&queue, first, &how), TRP_PUT_BACK_QUEUED);
    assert_int_equal(trp_stats_busy(v->stats), 2); /* it is its turn next */
    trp_runqueue_tell_room(&queue);
    assert_ptr_equal(take(NULL), first);
    how = (struct trp_runqueue_return){ .words_before = trp_counter_get(&queue.words) };
    assert_int_equal(trp_runqueue_put_back(&queue, first, &how), TRP_PUT_BACK_QUEUED);
    assert_int_equal(trp_stats_busy(v->stats), 0);
    trp_runqueue_tell_room(&queue);
    assert_int_equal(trp_stats_busy(v->stats), 0); /* nobody has asked again yet */
    assert_ptr_equal(take(NULL), first);
    assert_int_equal(trp_stats_busy(v->stats), 2); /* it runs now */
    assert_ptr_equal(take(v), second);
    assert_null(take(v));
    trp_gauge_set(&v->stats->in_flight, 0);
    keep(first);
    keep(second);
}

static void a_version_that_is_let_go_gives_back_who_waits_for_memory(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL), *next = make_version(&w, X_ONLY, NULL);
    struct trp_call *first = make_call(&w, v), *second = make_call(&w, v);
    struct trp_call_list out = { 0 };
    const struct trp_runqueue_return how = { .words_before = 0 };
    v->config.instances = 2;
    push(first);
    push(second);
    assert_ptr_equal(take(NULL), first);
    assert_int_equal(trp_runqueue_put_back(&queue, first, &how), TRP_PUT_BACK_QUEUED);
    trp_runqueue_tell_room(&queue);
    assert_ptr_equal(take(NULL), first); /* and asks, while */
    trp_version_ref(next);
    trp_runqueue_let_go(&queue, v, next, &out);
    assert_null(out.first); /* the other was not told that there is no room */
    assert_int_equal(trp_runqueue_put_back(&queue, first, &how), TRP_PUT_BACK_LET_GO);
    assert_ptr_equal(take(NULL), second);
    assert_int_equal(trp_runqueue_put_back(&queue, second, &how), TRP_PUT_BACK_LET_GO);
    assert_ptr_equal(v->successor, next);
    push(
        first); /* with its slots back; who comes from an old snapshot may run where it still can */
    push(second);
    assert_ptr_equal(take(NULL), first);
    assert_ptr_equal(take(v), second);
    assert_null(take(v));
    keep(first);
    keep(second);
}

static void who_stands_aside_leaves_with_all_that_wait_behind_it(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL), *next = make_version(&w, X_ONLY, NULL);
    struct trp_call *first = make_call(&w, v), *second = make_call(&w, v);
    struct trp_call_list out = { 0 };
    const struct trp_runqueue_return how = { .words_before = 0 };
    push(first);
    push(second);
    assert_ptr_equal(take(NULL), first);
    assert_int_equal(trp_runqueue_put_back(&queue, first, &how), TRP_PUT_BACK_QUEUED);
    for (int i = 0; i < 2; i++) { /* the second time nothing happens */
        trp_version_ref(next);
        trp_runqueue_let_go(&queue, v, next, &out);
    }
    assert_ptr_equal(trp_call_list_pop(&out), first);
    assert_ptr_equal(trp_call_list_pop(&out), second);
    assert_null(out.first);
    assert_int_equal(trp_gauge_get(&v->stats->queued), 0);
    keep(first);
    keep(second);
}

static void a_call_that_was_cancelled_while_room_was_asked_for_does_not_wait(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    struct trp_call *call = make_call(&w, v);
    const struct trp_runqueue_return how = { .words_before = 0 };
    v->config.instances = 1;
    push(call);
    assert_ptr_equal(take(NULL), call);
    assert_true(trp_call_try_cancel(call));
    assert_false(trp_runqueue_remove(&queue, call)); /* whoever has it looks */
    assert_int_equal(trp_runqueue_put_back(&queue, call, &how), TRP_PUT_BACK_UNWANTED);
    assert_int_equal(trp_gauge_get(&queue.queued), 0);
    assert_true(trp_runqueue_try_begin(&queue, v)); /* its slot is back */
    trp_runqueue_end(&queue, v);
    keep(call);
}

int main(void)
{
#define QUEUE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        QUEUE_TEST(a_list_keeps_its_order),
        QUEUE_TEST(a_slot_goes_to_the_next_call_in_one_stroke),
        QUEUE_TEST(expired_calls_come_with_the_take_or_alone),
        QUEUE_TEST(sleepers_are_woken_by_work_and_by_the_end),
        QUEUE_TEST(a_stopped_queue_takes_nothing_and_gives_back_what_it_has),
        QUEUE_TEST(who_waits_for_memory_does_not_keep_its_model_busy_unless_it_is_first),
        QUEUE_TEST(a_version_that_is_let_go_gives_back_who_waits_for_memory),
        QUEUE_TEST(a_call_that_was_cancelled_while_room_was_asked_for_does_not_wait),
        QUEUE_TEST(who_stands_aside_leaves_with_all_that_wait_behind_it),
    };
    return cmocka_run_group_tests_name("runqueue", tests, NULL, NULL);
}
