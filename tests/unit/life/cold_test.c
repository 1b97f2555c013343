/* Models that are loaded by their first call, let go, tried again, and loaded by themselves
 * beside serving. */
#include "cold_asking.h"

#define ECHO "input X FP32 [-1]\noutput Y FP32 [-1]\n"

static bool is_cold(const struct fixture *f, const char *model)
{
    const struct trp_version *v = highest(f, model);
    return v && is(f, model, "NEW") && v->is_cold && strcmp(v->reason, "on demand") == 0;
}

/* ---- tests ---- */

static void the_first_call_has_it_loaded_for_all_who_come_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct question q[10];
    put(f, "m/1/model.echo", ECHO);
    put(f, "m/2/model.echo", ECHO "load_sleep 50ms\n");
    put(f, "m/model.yaml", "version_policy: {all: {}}\n");
    start_on_demand(f);
    assert_true(is_cold(f, "m"));
    assert_int_equal(entry(f, "m")->versions_n, 2);
    assert_true(trp_life_is_settled(f->life));
    for (int i = 0; i < 10; i++)
        assert_true(ask_version(&q[i], "m", i % 3));
    for (int i = 0; i < 10; i++) {
        pump(f, q[i].is_done);
        assert_int_equal(q[i].error.status.code, TRP_OK);
        assert_int_equal(q[i].answered_by, i % 3 ? i % 3 : 2);
    }
    assert_true(is(f, "m", "READY"));
    assert_int_equal(metric(f, TRP_METRIC_LOADS_OK), 2);
    assert_int_equal(metric(f, TRP_METRIC_COLD_LOADS), 1);
    assert_int_equal(metric(f, TRP_METRIC_COLD_WAITING), 0);
    assert_false(entry(f, "m")->wanted);
}

static void it_stays_cold_and_known_in_the_index_while_it_loads(void **state)
{
    struct fixture *f = *state;
    struct question q;
    put(f, "m.echo", ECHO "load_sleep 200ms\n");
    start_on_demand(f);
    pump(f, highest(f, "m")->has_signature);
    const struct trp_target *cold = &highest(f, "m")->target;
    assert_null(trp_target_signature(cold));          /* no call is bound to it, */
    assert_true(cold->ops->face(cold)->inputs_n > 0); /* but clients may read it */
    assert_true(ask_version(&q, "m", 0));
    for (int i = 0; i < 5; i++) {
        turn(f);
        assert_true(is_cold(f, "m") || q.is_done);
        assert_true(highest(f, "m")->has_signature);
    }
    pump(f, q.is_done);
    assert_int_equal(q.error.status.code, TRP_OK);
}

static void a_failure_is_told_at_once_during_a_pause_that_grows(void **state)
{
    struct fixture *f = *state;
    struct question q;
    put(f, "m.echo", ECHO "load_fail no luck\n");
    start_on_demand(f);
    for (int64_t pause_ns = TRP_S(1); pause_ns <= TRP_S(128); pause_ns *= 2) {
        const int64_t expected_ns = pause_ns < TRP_S(60) ? pause_ns : TRP_S(60);
        assert_true(ask_version(&q, "m", 0));
        fails(f, &q, TRP_NOT_READY, "model 'm' version 1 cannot be loaded: no luck");
        pump(f, is(f, "m", "FAILED"));
        const int64_t failed_ns = highest(f, "m")->life.since_ns[TRP_MODEL_FAILED];
        f->now_ns = failed_ns + expected_ns - TRP_MS(100);
        turn(f);
        assert_false(ask_version(&q, "m", 0));
        assert_int_equal(q.error.status.code, TRP_NOT_READY);
        assert_non_null(strstr(q.error.text, "no luck"));
        f->now_ns = failed_ns + expected_ns + TRP_MS(100);
        turn(f);
        turn(f);
    }
    assert_int_equal(metric(f, TRP_METRIC_LOADS_FAILED), 8);
    assert_int_equal(metric(f, TRP_METRIC_LOAD_RETRIES), 7);
    put(f, "m.echo", ECHO);
    answers(f, "m");
    assert_int_equal(f->life->members->retry_ns, 0);
}

static void a_model_to_be_loaded_by_itself_is_tried_by_itself(void **state)
{
    struct fixture *f = *state;
    put(f, "a.echo", ECHO "load_fail no luck\n");
    f->opts.repo.load_default = TRP_LOAD_STARTUP;
    start(f);
    begin_asking(f);
    pump(f, is(f, "a", "FAILED"));
    f->now_ns += TRP_MS(1100);
    pump(f, metric(f, TRP_METRIC_LOADS_FAILED) == 2);
    put(f, "a.echo", ECHO);
    pump(f, is(f, "a", "FAILED"));
    f->now_ns += TRP_MS(2100);
    pump(f, is(f, "a", "READY"));
    assert_true(trp_life_is_settled(f->life));
}

static void other_files_end_the_pause(void **state)
{
    struct fixture *f = *state;
    struct question q;
    put(f, "m.echo", ECHO "load_fail no luck\n");
    start_on_demand(f);
    assert_true(ask_version(&q, "m", 0));
    fails(f, &q, TRP_NOT_READY, "model 'm' version 1 cannot be loaded: no luck");
    put(f, "m.echo", ECHO);
    rescan(f);
    assert_true(is_cold(f, "m"));
    answers(f, "m");
}

static void what_nobody_asks_for_is_let_go(void **state)
{
    struct fixture *f = *state;
    put(f, "idle/1/model.echo", ECHO);
    put(f, "idle/model.yaml", "keep_alive: 10s\n");
    put(f, "pinned/1/model.echo", ECHO);
    put(f, "pinned/model.yaml", "keep_alive: 10s\npin: true\n");
    put(f, "stays.echo", ECHO);
    start_on_demand(f);
    for (int round = 0; round < 2; round++) {
        answers(f, "idle");
        answers(f, "pinned");
        answers(f, "stays");
        f->now_ns += TRP_S(6);
        turn(f);
        answers(f, "idle");
        f->now_ns += TRP_S(6);
        turn(f);
        turn(f);
        assert_true(is(f, "idle", "READY")); /* asked 6 s ago */
        f->now_ns += TRP_S(5);
        pump(f, is_cold(f, "idle"));
    }
    pump(f, highest(f, "idle")->has_signature);
    assert_true(is(f, "pinned", "READY") && is(f, "stays", "READY"));
    assert_int_equal(metric(f, TRP_METRIC_IDLE_UNLOADS), 2);
    assert_true(log_says(f, "letting 'idle' go: no request for"));
    pump(f, metric(f, TRP_METRIC_UNLOADS) == 2);
}

static void an_order_to_load_pins_unless_it_says_how_long(void **state)
{
    struct fixture *f = *state;
    f->opts.repo.keeping = (struct trp_keeping){ TRP_S(1), 0, 10, false };
    put(f, "m.echo", ECHO);
    start_on_demand(f);
    load(f, "m", TRP_OK, "");
    f->now_ns += TRP_S(100);
    turn(f);
    turn(f);
    assert_true(is(f, "m", "READY"));
    struct wish w = { .order = { .has_keep_alive = true, .keep_alive_ns = TRP_S(5) } };
    submit_load(f, &w, "m");
    check_order(f, &w, TRP_OK, "");
    f->now_ns += TRP_S(100);
    pump(f, is_cold(f, "m"));
    answers(f, "m");
}

static struct trp_member *member(struct fixture *f, const char *name)
{
    return trp_member_get(f->life, trp_str_of(name));
}

static void what_is_let_go_serves_to_the_end_and_comes_back_by_a_call(void **state)
{
    struct fixture *f = *state;
    struct question q;
    put(f, "m.echo", ECHO);
    f->opts.repo.load_default = TRP_LOAD_STARTUP;
    start(f);
    begin_asking(f);
    pump(f, is(f, "m", "READY"));
    struct trp_version *held = pin(f, "m", 1);
    assert_true(trp_member_evict(member(f, "m"), "room is wanted"));
    assert_false(trp_member_evict(member(f, "m"), "again"));
    assert_true(ask_version(&q, "m", 0)); /* nobody has seen the new snapshot yet */
    pump(f, q.is_done && is_cold(f, "m"));
    assert_int_equal(q.error.status.code, TRP_OK);
    assert_int_equal(trp_lifecycle_get(&held->life), TRP_MODEL_DRAINING);
    trp_version_unref(held);
    pump(f, metric(f, TRP_METRIC_UNLOADS) == 1);
    assert_true(trp_life_is_settled(f->life));
    pump(f, highest(f, "m")->has_signature);
    answers(f, "m");
    assert_true(is(f, "m", "READY"));
    assert_true(log_says(f, "letting 'm' go: room is wanted"));
}

static void what_came_with_an_order_is_not_let_go(void **state)
{
    struct fixture *f = *state;
    put(f, "m.echo", ECHO);
    start_on_demand(f);
    struct wish w = { .order = { .config = TRP_STR_LIT("{\"max_batch_size\": \"16\"}"),
                                 .has_keep_alive = true } };
    submit_load(f, &w, "m");
    check_order(f, &w, TRP_OK, "");
    assert_true(trp_idle_is_pinned(member(f, "m")));
    assert_false(trp_member_evict(member(f, "m"), "room is wanted"));
    load(f, "m", TRP_OK, "");
    assert_true(trp_member_evict(member(f, "m"), "room is wanted"));
}

static void those_who_wait_are_told_when_it_is_unloaded_or_has_gone(void **state)
{
    struct fixture *f = *state;
    struct question gone, late;
    put(f, "m.echo", ECHO);
    start_on_demand(f);
    struct trp_version *old = pin(f, "m", 0);
    unload(f, "m");
    assert_false(ask_version(&late, "m", 0));
    assert_int_equal(late.error.status.code, TRP_NOT_FOUND);
    assert_string_equal(highest(f, "m")->reason, "unloaded");
    load(f, "m", TRP_OK, "");
    unload(f, "m");
    take_away(f, "m.echo");
    rescan(f);
    pump(f, !member(f, "m"));
    gone = (struct question){ 0 };
    struct trp_call *call = gone.call = trp_call_take(asking.pool);
    call->is_unbound = true;
    trp_call_pin(call, &old->target, trp_version_release_target); /* an old snapshot had it */
    trp_call_push(call, note_answer, &gone);
    trp_target_start(&old->target, call);
    fails(f, &gone, TRP_NOT_FOUND, "Request for unknown model: 'm' is not found");
}

static void those_who_wait_are_told_when_the_server_ends(void **state)
{
    struct fixture *f = *state;
    struct question q;
    put(f, "m.echo", ECHO "load_sleep 100ms\n");
    start_on_demand(f);
    assert_true(ask_version(&q, "m", 0));
    turn(f);
    stop(f);
    pump(f, q.is_done);
    assert_int_equal(q.error.status.code, TRP_UNAVAILABLE);
}

static void models_in_the_background_come_a_few_at_a_time(void **state)
{
    struct fixture *f = *state;
    enum { MODELS = 12 };
    char name[16], path[24];
    f->opts.repo.load_default = TRP_LOAD_BACKGROUND;
    for (int i = 0; i < MODELS; i++) {
        (void)snprintf(path, sizeof path, "m%02d.echo", i);
        put(f, path, ECHO "load_sleep 20ms\n");
    }
    start(f);
    begin_asking(f);
    assert_int_equal(metric(f, TRP_METRIC_LOADS_OK), 0); /* the start has not waited */
    answers(f, "m11");
    assert_true(metric(f, TRP_METRIC_LOADS_OK) < MODELS / 2);
    for (int i = 0; i < MODELS; i++) {
        (void)snprintf(name, sizeof name, "m%02d", i);
        pump(f, is(f, name, "READY"));
    }
    pump(f, f->life->backlog_out == 0);
    assert_int_equal(metric(f, TRP_METRIC_LOADS_OK), MODELS);
    assert_true(trp_life_is_settled(f->life));
}

/* It was loaded all the same when its turn in the background had come before the unload's. */
static void what_was_unloaded_is_not_loaded_by_what_was_queued_before(void **state)
{
    struct fixture *f = *state;
    struct wish w = { 0 };
    put(f, "m.echo", ECHO "load_sleep 20ms\n");
    start_on_demand(f);
    submit_load(f, &w, "m"); /* in hand */
    struct wish away = { 0 };
    submit_unload(f, &away, "m");
    const struct trp_op op = { .kind = TRP_OP_LOAD };
    assert_true(trp_member_push(member(f, "m"), &op));
    check_order(f, &away, TRP_OK, "");
    pump(f, !member(f, "m")->op);
    assert_string_equal(highest(f, "m")->reason, "unloaded");
    assert_int_equal(metric(f, TRP_METRIC_LOADS_OK), 1);
}

static void what_is_asked_about_is_looked_into_first(void **state)
{
    struct fixture *f = *state;
    enum { MODELS = 200 };
    struct wish w = {
        .order = { .kind = TRP_ORDER_SURVEY, .model = TRP_STR_LIT("m199"), .done = note_done }
    };
    f->opts.repo.load_default = TRP_LOAD_ON_DEMAND;
    for (int i = 0; i < MODELS; i++) {
        char path[24];
        (void)snprintf(path, sizeof path, "m%03d.echo", i);
        put(f, path, ECHO);
    }
    create(f);
    trp_life_start(f->life);
    pump(f, f->life->has_listed);
    trp_life_submit(f->life, &w.order);
    pump(f, w.is_done);
    assert_true(highest(f, "m199")->has_signature);
    assert_non_null(f->life->surveys); /* the others still wait */
    struct wish nobody = {
        .order = { .kind = TRP_ORDER_SURVEY, .model = TRP_STR_LIT("nobody"), .done = note_done }
    };
    trp_life_submit(f->life, &nobody.order);
    pump(f, nobody.is_done);
}

/* It was missing from the index until its new files had been looked into. */
static void an_unloaded_model_whose_files_change_does_not_leave_the_index(void **state)
{
    struct fixture *f = *state;
    put(f, "m.echo", ECHO);
    f->opts.repo.load_default = TRP_LOAD_STARTUP;
    start(f);
    unload(f, "m");
    put(f, "m.echo", "input Other FP32 [-1]\n");
    struct wish w = { .order = { .kind = TRP_ORDER_RESCAN, .done = note_done } };
    trp_life_submit(f->life, &w.order);
    while (!w.is_done) {
        turn(f);
        assert_non_null(highest(f, "m"));
        assert_string_equal(highest(f, "m")->reason, "unloaded");
    }
    pump(f, highest(f, "m")->has_signature &&
                trp_str_is(highest(f, "m")->signature.inputs[0].name, "Other"));
}

int main(void)
{
#define WITH_CALLS(test) cmocka_unit_test_setup_teardown(test, set_up, end_asking)
    const struct CMUnitTest tests[] = {
        WITH_CALLS(the_first_call_has_it_loaded_for_all_who_come_meanwhile),
        WITH_CALLS(it_stays_cold_and_known_in_the_index_while_it_loads),
        WITH_CALLS(a_failure_is_told_at_once_during_a_pause_that_grows),
        WITH_CALLS(a_model_to_be_loaded_by_itself_is_tried_by_itself),
        WITH_CALLS(other_files_end_the_pause),
        WITH_CALLS(what_nobody_asks_for_is_let_go),
        WITH_CALLS(an_order_to_load_pins_unless_it_says_how_long),
        WITH_CALLS(what_is_let_go_serves_to_the_end_and_comes_back_by_a_call),
        WITH_CALLS(what_came_with_an_order_is_not_let_go),
        WITH_CALLS(those_who_wait_are_told_when_it_is_unloaded_or_has_gone),
        WITH_CALLS(those_who_wait_are_told_when_the_server_ends),
        WITH_CALLS(models_in_the_background_come_a_few_at_a_time),
        WITH_CALLS(what_was_unloaded_is_not_loaded_by_what_was_queued_before),
        WITH_LIFE(what_is_asked_about_is_looked_into_first),
        WITH_LIFE(an_unloaded_model_whose_files_change_does_not_leave_the_index),
    };
    return cmocka_run_group_tests_name("cold", tests, NULL, NULL);
}
