/* The shared queue: who is woken, who waits, and what is left at the end. */
#include "exec/runqueue.h"
#include "exec/seating.h"
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
    struct trp_call over = { .target = ended ? &ended->target : NULL };
    struct trp_call_list expired = { 0 };
    struct trp_call_list calls;
    assert_true(trp_runqueue_take(&queue, &w.time.clock, ended ? &over : NULL, &calls, &expired));
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

static void what_nobody_waits_for_leaves_an_executor_free(void **state)
{
    (void)state;
    static const struct row {
        uint32_t executors_n, sleeping, told;
        bool runs;
    } rows[] = {
        { 1, 0, 0, true },  { 2, 0, 0, false }, { 2, 1, 0, true },
        { 2, 1, 1, false }, { 4, 2, 1, true },
    };
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    struct trp_call *const before = make_call(&w, v);
    push(before);
    assert_ptr_equal(take(NULL), before); /* runs, so that it can end */
    keep(before);
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_call *const aside = make_call(&w, v);
        aside->is_aside = true;
        push(aside);
        queue.intake.opts.executors_n = r->executors_n;
        queue.sleeping = r->sleeping;
        queue.told = r->told;
        assert_ptr_equal(take(v), r->runs ? aside : NULL);
        queue.sleeping = queue.told = 0;
        queue.intake.opts.executors_n = 1;
        if (!r->runs)
            assert_ptr_equal(take(NULL), aside);
        keep(aside);
    }
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

static void more_slots_let_more_run_and_fewer_let_what_runs_end(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    struct trp_call *calls[3];
    v->config.instances = 1;
    trp_runqueue_resize(&queue, v, 0); /* nobody has asked yet */
    for (int i = 0; i < 3; i++) {
        calls[i] = make_call(&w, v);
        push(calls[i]);
    }
    assert_ptr_equal(take(NULL), calls[0]);
    trp_runqueue_resize(&queue, v, 2);
    assert_int_equal(trp_runqueue_slots(v), 2);
    assert_ptr_equal(take(NULL), calls[1]);
    trp_runqueue_resize(&queue, v, 0);
    assert_int_equal(trp_runqueue_slots(v), 1);
    assert_null(take(v)); /* one still runs */
    assert_ptr_equal(take(v), calls[2]);
    assert_null(take(v));
    for (int i = 0; i < 3; i++)
        keep(calls[i]);
}

/* 1 slot on core 0, 2 wherever an executor is. */
static struct trp_version *make_unlike(void)
{
    trp_runqueue_deinit(&queue);
    trp_runqueue_init(&queue, 8, 8);
    struct trp_version *v = make_version(&w, X_ONLY, NULL);
    struct trp_slot_groups *g = trp_arena_zeroed(&v->arena, 1, sizeof *g + 2 * sizeof g->groups[0]);
    assert_non_null(g);
    g->groups_n = 2;
    g->count = 3;
    g->groups[0] = (struct trp_slot_group){ .cores = { { 1 } }, .count = 1, .is_bound = true };
    g->groups[1] = (struct trp_slot_group){ .count = 2 };
    v->config.groups = g;
    v->config.instances = 3;
    return v;
}

static struct trp_call *take_after(struct trp_call *ended)
{
    struct trp_call_list expired = { 0 }, calls;
    assert_true(trp_runqueue_take(&queue, &w.time.clock, ended, &calls, &expired));
    return calls.first;
}

static void each_run_has_a_slot_of_a_group_until_it_is_given_back(void **state)
{
    (void)state;
    struct trp_version *v = make_unlike();
    struct trp_call *calls[6];
    for (int i = 0; i < 6; i++) {
        calls[i] = make_call(&w, v);
        push(calls[i]);
    }
    static const uint32_t want[] = { 1, 2, 2 };
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(take_after(NULL), calls[i]);
        assert_int_equal(calls[i]->slot_group, want[i]);
    }
    assert_true(
        trp_cores_is_equal(trp_seating_cores(calls[0]), &v->config.groups->groups[0].cores));
    assert_null(trp_seating_cores(calls[1]));
    assert_ptr_equal(take_after(calls[1]), calls[3]); /* where that one was */
    assert_int_equal(calls[3]->slot_group, 2);
    assert_ptr_equal(take_after(calls[0]), calls[4]);
    assert_int_equal(calls[4]->slot_group, 1);
    const struct trp_runqueue_return how = { .words_before = 0 };
    assert_int_equal(trp_runqueue_put_back(&queue, calls[4], &how), TRP_PUT_BACK_QUEUED);
    trp_runqueue_tell_room(&queue);
    assert_ptr_equal(take_after(NULL), calls[4]); /* the place was free again */
    assert_int_equal(calls[4]->slot_group, 1);
    struct trp_call_list back = { 0 }, unwanted = { 0 };
    trp_call_list_push(&back, calls[3]);
    trp_runqueue_give_back(&queue, &back, v, &unwanted);
    assert_ptr_equal(take_after(NULL), calls[3]);
    assert_int_equal(calls[3]->slot_group, 2);
    assert_ptr_equal(take_after(calls[2]), calls[5]);
    assert_null(take_after(calls[3]));
    assert_null(take_after(calls[4]));
    assert_null(take_after(calls[5]));
    const struct trp_lines *l = v->exec_slot;
    assert_int_equal(l->busy[0] + l->busy[1], 0);
    for (int i = 0; i < 6; i++)
        keep(calls[i]);
}

static void slots_know_their_device_and_runs_are_spread_over_them(void **state)
{
    (void)state;
    struct trp_version *v = make_version_on(&w, X_ONLY, NULL, 2);
    struct trp_call *calls[5];
    trp_runqueue_deinit(&queue);
    trp_runqueue_init(&queue, 8, 8);
    assert_true(trp_seating_matters(v)); /* no loop makes them */
    for (int i = 0; i < 5; i++) {
        calls[i] = make_call(&w, v);
        push(calls[i]);
        assert_int_equal(trp_seating_device(calls[i]), 0); /* it has no slot yet */
    }
    for (uint32_t i = 0; i < 2; i++) {
        assert_ptr_equal(take_after(NULL), calls[i]);
        assert_int_equal(trp_seating_device(calls[i]), i);
    }
    trp_runqueue_resize(&queue, v, 4); /* in turn */
    for (uint32_t i = 2; i < 4; i++) {
        assert_ptr_equal(take_after(NULL), calls[i]);
        assert_int_equal(trp_seating_device(calls[i]), i - 2);
    }
    assert_ptr_equal(take_after(calls[3]), calls[4]); /* whichever slot is free */
    assert_int_equal(trp_seating_device(calls[4]), 1);
    for (int i = 0; i < 5; i++) {
        if (i != 3)
            assert_null(take_after(calls[i]));
        keep(calls[i]);
    }
}

static void groups_share_what_an_operator_says(void **state)
{
    (void)state;
    struct trp_version *v = make_unlike();
    struct trp_call *calls[6];
    uint32_t in_first = 0;
    trp_runqueue_resize(&queue, v, 6);
    for (int i = 0; i < 6; i++) {
        calls[i] = make_call(&w, v);
        push(calls[i]);
    }
    for (int i = 0; i < 6; i++) {
        assert_ptr_equal(take_after(NULL), calls[i]);
        in_first += calls[i]->slot_group == 1;
    }
    assert_int_equal(in_first, 2);
    trp_runqueue_resize(&queue, v, 1); /* what runs goes on where it is */
    for (int i = 0; i < 6; i++) {
        assert_null(take_after(calls[i]));
        keep(calls[i]);
    }
    const struct trp_lines *l = v->exec_slot;
    assert_int_equal(l->busy[0] + l->busy[1], 0);
}

int main(void)
{
#define QUEUE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        QUEUE_TEST(a_list_keeps_its_order),
        QUEUE_TEST(a_slot_goes_to_the_next_call_in_one_stroke),
        QUEUE_TEST(what_nobody_waits_for_leaves_an_executor_free),
        QUEUE_TEST(expired_calls_come_with_the_take_or_alone),
        QUEUE_TEST(sleepers_are_woken_by_work_and_by_the_end),
        QUEUE_TEST(a_stopped_queue_takes_nothing_and_gives_back_what_it_has),
        QUEUE_TEST(who_waits_for_memory_does_not_keep_its_model_busy_unless_it_is_first),
        QUEUE_TEST(a_version_that_is_let_go_gives_back_who_waits_for_memory),
        QUEUE_TEST(a_call_that_was_cancelled_while_room_was_asked_for_does_not_wait),
        QUEUE_TEST(who_stands_aside_leaves_with_all_that_wait_behind_it),
        QUEUE_TEST(more_slots_let_more_run_and_fewer_let_what_runs_end),
        QUEUE_TEST(each_run_has_a_slot_of_a_group_until_it_is_given_back),
        QUEUE_TEST(groups_share_what_an_operator_says),
        QUEUE_TEST(slots_know_their_device_and_runs_are_spread_over_them),
    };
    return cmocka_run_group_tests_name("runqueue", tests, NULL, NULL);
}
