/* Runs that wait for memory: real threads, models that hold what they are told to. */
#include "exec/waiting.h"
#include "unit/exec/books_fixture.h"

#define IO "input x FP32 [-1]\noutput y FP32 [-1]\n"

static struct world w;
static struct trp_exec *x;
static struct books books;
static struct trp_counter asked; /* for room */

static void count_asked(void *user, struct trp_amounts need)
{
    (void)user;
    assert_true(need.of[TRP_RESOURCE_BYTES] > 0);
    trp_counter_add(&asked, 1);
}

static void make_server(int64_t wait_ns)
{
    make_world(&w, trp_clock_system());
    make_books(&books, MIB / 4);
    trp_counter_set(&asked, 0);
    trp_ledger_on_short(books.ledger, count_asked, NULL);
    x = start_exec_with(&w, &books,
                        &(struct trp_exec_opts){ .executors_n = 3, .room_wait_ns = wait_ns });
}

static int set_up(void **state)
{
    (void)state;
    make_server(TRP_S(60));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    end_world_with(&w, x, &books);
    return 0;
}

static struct trp_call *start(struct trp_version *v)
{
    struct trp_call *call = make_call(&w, v);
    trp_target_start(&v->target, call);
    return call;
}

static void expect_answer(const struct trp_call *call)
{
    if (trp_failed(call->error.status))
        fail_msg("%s", call->error.text);
}

/* Some 30 s without anything coming back is a failure. */
static void turn_until(uint32_t n)
{
    for (int idle = 0; w.finished_n < n; idle++) {
        assert_true(idle < 600);
        turn_loop(&w, TRP_MS(50));
    }
}

static void big_runs_go_one_after_the_other_and_all_are_answered(void **state)
{
    (void)state;
    struct trp_version *a = make_version(&w, IO "holds 62914560\nsleep 20ms\n", x),
                       *b = make_version(&w, IO "holds 62914560\nsleep 20ms\n", x);
    trp_headroom_learn(books.headrooms, &a->headroom, &a->activations, 16, 60 * MIB);
    trp_headroom_learn(books.headrooms, &b->headroom, &b->activations, 16, 60 * MIB);
    for (int i = 0; i < 5; i++) {
        start(a);
        start(b);
    }
    turn_until(10);
    for (uint32_t i = 0; i < 10; i++)
        expect_answer(w.finished[i]);
    assert_true(trp_counter_get(&a->activations.peak) < 61 * MIB); /* never two of a model, */
    assert_true(trp_metrics_get(w.metrics, TRP_METRIC_RUNS_SHORT) > 0);
    assert_true(trp_counter_get(&asked) > 0);
}

static void first_runs_that_hold_more_than_was_guessed_never_pass_the_budget_together(void **state)
{
    (void)state;
    struct trp_account all;
    struct trp_version *v[3];
    trp_account_init(&all, TRP_ACCOUNT_ACTIVATIONS, NULL, 0);
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        v[i] = make_version(&w, IO "holds 62914560\nsleep 20ms\n", x);
        v[i]->activations.parent = &all;
    }
    for (int i = 0; i < 4; i++)
        for (size_t m = 0; m < ARRAY_LEN(v); m++)
            start(v[m]);
    turn_until(12);
    for (uint32_t i = 0; i < 12; i++)
        expect_answer(w.finished[i]);
    assert_true(trp_counter_get(&all.peak) <= 103 * MIB); /* small runs ask nobody */
    settle_world(&w);
    trp_account_deinit(&all);
}

static void a_run_that_can_never_fit_is_refused_with_the_numbers(void **state)
{
    (void)state;
    struct trp_version *v = make_version(&w, IO "holds 1000\n", x);
    trp_headroom_learn(books.headrooms, &v->headroom, &v->activations, 16, 200 * MIB);
    start(v);
    turn_until(1);
    assert_int_equal(w.finished[0]->error.status.code, TRP_OVER_BUDGET);
    assert_string_equal(w.finished[0]->error.text,
                        "model 'm/1': a run: needs 209715200 bytes; at most 104857600 of 104857600 "
                        "can be had");
    assert_int_equal(w.finished[0]->error.limit, TRP_LIMIT_BUDGET);
}

static void others_that_fit_go_on_meanwhile(void **state)
{
    (void)state;
    struct trp_hold load = { .is_committed = false };
    struct trp_version *big = make_version(&w, IO "holds 62914560\n", x),
                       *fits = make_version(&w, IO "holds 10485760\n", x);
    trp_headroom_learn(books.headrooms, &big->headroom, &big->activations, 16, 60 * MIB);
    assert_int_equal(trp_ledger_reserve(books.ledger, (struct trp_amounts){ { 80 * MIB } }, &load),
                     TRP_RESERVE_DONE);
    struct trp_call *waits = start(big);
    start(fits);
    start(fits);
    turn_until(2);
    assert_int_equal(trp_oneshot_get(&waits->outcome), TRP_OUTCOME_OPEN);
    trp_ledger_release(books.ledger, &load); /* the word of room brings it up */
    turn_until(3);
    assert_ptr_equal(w.finished[2], waits);
    for (uint32_t i = 0; i < 3; i++)
        expect_answer(w.finished[i]);
}

static void who_waits_for_memory_can_be_cancelled(void **state)
{
    (void)state;
    struct trp_hold load = { .is_committed = false };
    struct trp_version *big = make_version(&w, IO "holds 62914560\n", x);
    trp_headroom_learn(books.headrooms, &big->headroom, &big->activations, 16, 60 * MIB);
    assert_int_equal(trp_ledger_reserve(books.ledger, (struct trp_amounts){ { 80 * MIB } }, &load),
                     TRP_RESERVE_DONE);
    struct trp_call *call = start(big);
    for (int i = 0; i < 600 && trp_counter_get(&asked) == 0; i++)
        turn_loop(&w, TRP_MS(50));
    assert_true(trp_call_try_cancel(call));
    trp_exec_cancel_call(&big->target, call);
    turn_until(1);
    assert_int_equal(call->error.status.code, TRP_CANCELLED);
    trp_ledger_release(books.ledger, &load);
}

static uint32_t wanted_n;

static void count_wanted(void *user)
{
    (void)user;
    wanted_n++;
}

/* Waits until a model's call stands aside, which the queue shows. */
static void wait_aside(const struct trp_version *v)
{
    for (int i = 0; i < 600 && trp_gauge_get(&v->stats->aside) == 0; i++) {
        trp_exec_tell_room(x); /* as the meter does */
        turn_loop(&w, TRP_MS(50));
    }
    assert_int_equal(trp_gauge_get(&v->stats->aside), 1);
}

/* Two wait, the second one's model goes for the first, comes back, and both are answered. */
static void who_waits_for_memory_waits_on_when_its_model_goes_for_another(void **state)
{
    (void)state;
    struct trp_hold load = { .is_committed = false };
    struct trp_version *first = make_version(&w, IO "holds 62914560\n", x),
                       *second = make_version(&w, IO "holds 62914560\n", x),
                       *back = make_version(&w, IO "holds 62914560\n", x), *cold;
    const struct trp_waiting_opts opts = {
        .calls_max = 1, .control = w.loop, .metrics = w.metrics, .wanted = count_wanted
    };
    const struct trp_version_opts cold_opts = {
        .model = TRP_STR_LIT("m"), .number = 1, .ops = trp_exec_version_ops(), .runner = x
    };
    struct trp_waiting *room;
    struct trp_call_list calls = { 0 };
    struct trp_call *call;
    wanted_n = 0;
    assert_false(trp_failed(trp_waiting_create(trp_heap(), &opts, &room, NULL)));
    assert_false(trp_failed(trp_version_create(trp_heap(), &cold_opts, &cold, NULL)));
    cold->is_cold = true;
    cold->room = room;
    trp_headroom_learn(books.headrooms, &first->headroom, &first->activations, 16, 60 * MIB);
    trp_headroom_learn(books.headrooms, &second->headroom, &second->activations, 16, 60 * MIB);
    assert_int_equal(trp_ledger_reserve(books.ledger, (struct trp_amounts){ { 80 * MIB } }, &load),
                     TRP_RESERVE_DONE);
    start(first);
    for (int i = 0; i < 600 && trp_counter_get(&asked) == 0; i++)
        turn_loop(&w, TRP_MS(50));
    start(second);
    start(second);
    wait_aside(second);
    assert_true(trp_stats_busy(first->stats) > 0);
    trp_exec_let_go(x, second, cold);
    for (int i = 0; i < 600 && trp_waiting_count(room) < 2; i++)
        turn_loop(&w, TRP_MS(50));
    assert_int_equal(trp_waiting_count(room), 2); /* no limit refuses who was in already */
    assert_int_equal(trp_gauge_get(&second->stats->in_flight), 0);
    settle_world(&w);
    assert_true(wanted_n > 0);
    trp_ledger_release(books.ledger, &load);
    turn_until(1);
    trp_waiting_take(room, &calls, trp_loop_now_ns(w.loop)); /* it was loaded again */
    while ((call = trp_call_list_pop(&calls)) != NULL) {
        trp_waiting_decide(call, back, NULL);
        trp_waiting_send(call);
    }
    turn_until(3);
    for (uint32_t i = 0; i < 3; i++) {
        expect_answer(w.finished[i]);
        assert_ptr_equal(w.finished[i]->target, i == 0 ? &first->target : &back->target);
    }
    trp_version_unref(cold);
    trp_waiting_unref(room);
}

static void who_has_waited_for_too_long_is_refused(void **state)
{
    (void)state;
    struct trp_hold load = { .is_committed = false };
    assert_int_equal(trp_ledger_reserve(books.ledger, (struct trp_amounts){ { 80 * MIB } }, &load),
                     TRP_RESERVE_DONE);
    struct trp_version *big = make_version(&w, IO "holds 62914560\n", x);
    trp_headroom_learn(books.headrooms, &big->headroom, &big->activations, 16, 60 * MIB);
    start(big);
    for (int i = 0; i < 600 && w.finished_n == 0; i++) {
        trp_exec_tell_room(x); /* as the meter does */
        turn_loop(&w, TRP_MS(50));
    }
    assert_int_equal(w.finished_n, 1);
    assert_int_equal(w.finished[0]->error.status.code, TRP_OVER_BUDGET);
    assert_non_null(strstr(w.finished[0]->error.text, "now 20971520 of 104857600 can be had"));
    trp_ledger_release(books.ledger, &load);
}

static int set_up_impatient(void **state)
{
    (void)state;
    make_server(TRP_MS(10));
    return 0;
}

int main(void)
{
#define ADMISSION_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ADMISSION_TEST(big_runs_go_one_after_the_other_and_all_are_answered),
        ADMISSION_TEST(first_runs_that_hold_more_than_was_guessed_never_pass_the_budget_together),
        ADMISSION_TEST(a_run_that_can_never_fit_is_refused_with_the_numbers),
        ADMISSION_TEST(others_that_fit_go_on_meanwhile),
        ADMISSION_TEST(who_waits_for_memory_can_be_cancelled),
        ADMISSION_TEST(who_waits_for_memory_waits_on_when_its_model_goes_for_another),
        cmocka_unit_test_setup_teardown(who_has_waited_for_too_long_is_refused, set_up_impatient,
                                        tear_down),
    };
    return cmocka_run_group_tests_name("admission", tests, NULL, NULL);
}
