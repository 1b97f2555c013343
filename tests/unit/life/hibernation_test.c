/* Models that sleep instead of going, and what wakes them.  Those of this page fail each run
 * that comes while they sleep. */
#include "cold_asking.h"

#include "exec/batch.h"
#include "life/hibernation.h"
#include "life/joining.h"
#include "life/tenure.h"
#include "life/whereabouts.h"

#define MB UINT64_C(1000000)
#define ECHO "input X FP32 [-1]\noutput Y FP32 [-1]\n"
#define SLEEPER ECHO "weighs 1000000\nhibernates\n"
#define WITH_CALLS(test) cmocka_unit_test_setup_teardown(test, set_up, end_asking)

static void put_model(struct fixture *f, const char *name, const char *more)
{
    char path[64], text[256];
    (void)snprintf(path, sizeof path, "%s/model.yaml", name);
    put(f, path, "max_bytes: 1010000\n");
    (void)snprintf(path, sizeof path, "%s/1/model.echo", name);
    (void)snprintf(text, sizeof text, SLEEPER "load_sleep 20ms\n%s", more);
    put(f, path, text);
}

/* There is room for two of them, awake. */
static void start_sleepers(struct fixture *f)
{
    f->budget_bytes = 2 * MB + 500000;
    f->opts.hibernated_bytes_max = MB / 2;
    f->opts.repo.load_default = TRP_LOAD_ON_DEMAND;
    start(f);
    pump(f, f->life->has_listed);
    begin_asking(f);
}

static struct trp_member *member(const struct fixture *f, const char *name)
{
    return trp_member_get(f->life, trp_str_of(name));
}

static bool is_asleep(const struct fixture *f, const char *name)
{
    const struct trp_version *v = highest(f, name);
    return is(f, name, "READY") && trp_gauge_get(&v->residency) == TRP_RESIDENCY_HIBERNATED;
}

static bool is_awake(const struct fixture *f, const char *name)
{
    const struct trp_version *v = highest(f, name);
    return is(f, name, "READY") && trp_gauge_get(&v->residency) == TRP_RESIDENCY_MAPPED &&
           !trp_door_is_shut(&v->door);
}

/* Whoever wants its room would have it hibernate; nothing is in hand any more when it does. */
static void put_to_sleep(struct fixture *f, const char *name)
{
    pump(f, !member(f, name)->op && trp_hibernation_begin(member(f, name), "a test"));
    pump(f, is_asleep(f, name) && !member(f, name)->op);
}

static uint64_t used(const struct fixture *f)
{
    struct trp_budget b;
    trp_ledger_look(f->ledger, &b);
    return trp_budget_used(&b).of[TRP_RESOURCE_BYTES];
}

static bool tells(struct fixture *f, const char *name, enum trp_place place, const char *words)
{
    struct trp_whereabouts w;
    struct trp_error err;
    must(trp_presence_rank(f->life, &err), &err);
    trp_whereabouts_tell(f->life, trp_str_of(name), &w);
    return w.place == place && strstr(w.why, words) != NULL;
}

/* Model a, which is as it says, is asked for the least, and its room is wanted for c. */
static void crowd_out_a(struct fixture *f, const char *a)
{
    put_model(f, "a", a);
    put_model(f, "b", "");
    put_model(f, "c", "");
    start_sleepers(f);
    answers(f, "a");
    f->now_ns += TRP_S(11);
    answers(f, "b");
    answers(f, "b");
    f->now_ns += TRP_S(11);
    answers(f, "c");
}

/* ---- tests ---- */

static void whose_room_is_wanted_sleeps_and_is_woken_by_the_next_call(void **state)
{
    struct fixture *f = *state;
    crowd_out_a(f, "");
    assert_true(is_asleep(f, "a"));
    assert_true(is_awake(f, "b"));
    assert_true(used(f) <= f->budget_bytes);
    assert_int_equal(trp_counter_get(&highest(f, "a")->weights.bytes), 0);
    assert_int_equal(metric(f, TRP_METRIC_HIBERNATIONS), 1);
    assert_int_equal(metric(f, TRP_METRIC_HIBERNATED), 1);
    assert_true(log_says(f, "hibernating 'a': room for 'c'"));
    f->now_ns += TRP_S(11);
    answers(f, "a");
    assert_true(is_awake(f, "a"));
    assert_int_equal(metric(f, TRP_METRIC_WAKES_OK), 1);
    assert_int_equal(metric(f, TRP_METRIC_LOADS_OK), 3);
    assert_int_equal(metric(f, TRP_METRIC_UNLOADS), 0);
    assert_int_equal(metric(f, TRP_METRIC_HIBERNATIONS), 2); /* for its room */
    assert_true(used(f) <= f->budget_bytes);
    assert_true(log_says(f, "woke 'a' in"));
}

static void whoever_asks_where_it_is_hears_why_it_sleeps_and_what_wakes_it(void **state)
{
    struct fixture *f = *state;
    struct question q;
    struct trp_whereabouts w;
    put_model(f, "a", "wake_sleep 300ms\n");
    put_model(f, "b", "");
    put_model(f, "c", "");
    start_sleepers(f);
    answers(f, "a");
    assert_true(tells(f, "a", TRP_PLACE_IN, "until its room is wanted"));
    pump(f, !member(f, "a")->op && trp_hibernation_begin(member(f, "a"), "a test wants it"));
    assert_true(tells(f, "a", TRP_PLACE_ASLEEP, "a test wants it; its pages are being dropped"));
    pump(f, is_asleep(f, "a") && !member(f, "a")->op);
    const int64_t since_ns = trp_loop_now_ns(f->loop);
    f->now_ns += TRP_S(11);
    turn(f);
    assert_true(tells(f, "a", TRP_PLACE_ASLEEP, "a test wants it; its next request wakes it"));
    assert_true(tells(f, "a", TRP_PLACE_ASLEEP, "number 1 to go"));
    trp_whereabouts_tell(f->life, TRP_STR_LIT("a"), &w);
    assert_true(w.since_ns > 0 && w.since_ns <= since_ns);
    load(f, "b", TRP_OK, "");
    answers(f, "c"); /* fresh: a waits until it may go */
    assert_true(ask_version(&q, "a", 0));
    pump(f, tells(f, "a", TRP_PLACE_ASLEEP, "it waits for room to wake: "));
    pump(f, tells(f, "a", TRP_PLACE_ASLEEP, "1 just loaded"));
    f->now_ns += TRP_S(11);
    pump(f, tells(f, "a", TRP_PLACE_ASLEEP, "it is being woken"));
    pump(f, q.is_done);
    assert_int_equal(q.error.status.code, TRP_OK);
    assert_true(tells(f, "a", TRP_PLACE_IN, "just loaded"));
}

/* Whether its calls may run together is tried out beside; the trial must not be lost for good. */
static void what_its_sleep_kept_from_being_found_out_is_found_when_it_wakes(void **state)
{
    struct fixture *f = *state;
    put_model(f, "m", "");
    start_sleepers(f);
    answers(f, "m");
    put_to_sleep(f, "m");
    struct trp_version *v = highest(f, "m");
    v->company->ask(v);
    pump(f, trp_tenure_joining(v)->is_put_off);
    assert_true(is_asleep(f, "m"));
    assert_int_equal(trp_version_batching(v).len, 0);
    answers(f, "m");
    pump(f, trp_version_batching(v).len > 0);
    assert_non_null(strstr(trp_version_batching(v).ptr, "on: its rows are independent"));
    assert_false(trp_tenure_joining(v)->is_put_off);
}

/* For want of memory nothing is known; that is no word for as long as it is loaded. */
static void what_could_not_be_found_out_is_tried_again_after_a_while(void **state)
{
    struct fixture *f = *state;
    put_model(f, "m", "holds 1000\n");
    start_sleepers(f);
    answers(f, "m");
    struct trp_version *v = highest(f, "m");
    const uint64_t limit = v->activations.limit;
    v->activations.limit = 10;
    trp_batch_want(v);
    pump(f, trp_version_batching(v).len > 0);
    assert_non_null(strstr(trp_version_batching(v).ptr, "could not be found out yet"));
    v->activations.limit = limit;
    trp_batch_want(v); /* too early */
    turn(f);
    assert_int_equal(trp_tenure_joining(v)->failures, 1);
    f->now_ns += TRP_S(31);
    pump(f, trp_oneshot_get(&v->company->asked) == 0);
    trp_batch_want(v);
    pump(f, trp_gauge_get(&v->company->rows_max) > 0);
    assert_non_null(strstr(trp_version_batching(v).ptr, "on: its rows are independent"));
}

static void many_calls_share_one_wake_and_nobody_else_does_it(void **state)
{
    struct fixture *f = *state;
    struct question q[8];
    put_model(f, "m", "wake_sleep 20ms\n");
    start_sleepers(f);
    answers(f, "m");
    put_to_sleep(f, "m");
    assert_true(highest(f, "m")->has_signature);
    rescan(f);
    assert_true(is_asleep(f, "m"));
    for (int i = 0; i < 8; i++)
        assert_true(ask_version(&q[i], "m", i % 2));
    for (int i = 0; i < 8; i++) {
        pump(f, q[i].is_done);
        assert_int_equal(q[i].error.status.code, TRP_OK);
    }
    assert_int_equal(metric(f, TRP_METRIC_WAKES_OK), 1);
    assert_int_equal(metric(f, TRP_METRIC_LOADS_OK), 1);
    assert_int_equal(metric(f, TRP_METRIC_COLD_WAITING), 0);
}

static void who_runs_out_of_time_is_answered_while_it_wakes(void **state)
{
    struct fixture *f = *state;
    struct question late, patient;
    put_model(f, "m", "wake_sleep 300ms\n");
    start_sleepers(f);
    answers(f, "m");
    put_to_sleep(f, "m");
    assert_true(ask_version(&late, "m", 0));
    assert_true(ask_version(&patient, "m", 0));
    pump(f, member(f, "m")->op);
    assert_true(trp_call_try_expire(late.call));
    late.call->target->ops->cancel(late.call->target, late.call);
    fails(f, &late, TRP_DEADLINE_EXCEEDED, "timeout");
    assert_false(patient.is_done);
    pump(f, patient.is_done);
    assert_int_equal(patient.error.status.code, TRP_OK);
}

static void what_cannot_be_woken_is_loaded_anew(void **state)
{
    struct fixture *f = *state;
    put_model(f, "m", "wake_fail it overslept\n");
    start_sleepers(f);
    answers(f, "m");
    put_to_sleep(f, "m");
    answers(f, "m");
    assert_true(is_awake(f, "m"));
    assert_int_equal(metric(f, TRP_METRIC_WAKES_FAILED), 1);
    assert_int_equal(metric(f, TRP_METRIC_LOADS_OK), 2);
    assert_true(log_says(f, "letting 'm' go: it could not be woken"));
}

static void what_wakes_too_slowly_is_loaded_anew(void **state)
{
    struct fixture *f = *state;
    struct question q;
    put_model(f, "m", "wake_sleep 500ms\n");
    f->opts.load_ns_max = TRP_S(5);
    start_sleepers(f);
    answers(f, "m");
    put_to_sleep(f, "m");
    assert_true(ask_version(&q, "m", 0));
    pump(f, f->life->residence->coming_n == 1);
    f->now_ns += TRP_S(6);
    pump(f, q.is_done);
    assert_int_equal(q.error.status.code, TRP_OK);
    assert_int_equal(metric(f, TRP_METRIC_LOADS_OK), 2);
    pump(f, metric(f, TRP_METRIC_UNLOADS) == 1);
}

static void what_cannot_hibernate_after_all_stays_awake_and_goes_the_next_time(void **state)
{
    struct fixture *f = *state;
    crowd_out_a(f, "hibernate_fail no bed\n");
    assert_true(is(f, "a", "NEW"));
    assert_true(log_says(f, "'a' was not hibernated"));
    assert_int_equal(metric(f, TRP_METRIC_EVICTIONS_LOAD), 1);
    answers(f, "a");
    struct trp_error err;
    must(trp_presence_rank(f->life, &err), &err);
    assert_non_null(strstr(trp_version_opening(highest(f, "a")).ptr, "not hibernated any more"));
}

static void where_it_does_not_pay_it_goes_instead(void **state)
{
    struct fixture *f = *state;
    put_model(f, "m", "wake_sleep 100ms\n");
    start_sleepers(f);
    answers(f, "m");
    for (int i = 0; i < 2; i++) {
        member(f, "m")->guest->reload_ns = TRP_MS(20); /* the clock of loads is another one here */
        member(f, "m")->guest->sleep.is_able = true;
        assert_true(trp_guest_may_sleep(member(f, "m")->guest));
        put_to_sleep(f, "m");
        answers(f, "m");
    }
    assert_false(trp_guest_may_sleep(member(f, "m")->guest));
    assert_true(log_says(f, "'m' is not hibernated any more: waking took"));
    assert_non_null(
        strstr(trp_version_opening(highest(f, "m")).ptr, "not hibernated any more: waking took"));
}

static void an_idle_one_sleeps_first_and_goes_after_another_keep_alive(void **state)
{
    struct fixture *f = *state;
    put_model(f, "m", "");
    put(f, "m/model.yaml", "keep_alive: 10s\nmax_bytes: 1010000\n");
    start_sleepers(f);
    answers(f, "m");
    f->now_ns += TRP_S(11);
    pump(f, is_asleep(f, "m"));
    assert_int_equal(metric(f, TRP_METRIC_IDLE_UNLOADS), 0);
    f->now_ns += TRP_S(5);
    turn(f);
    answers(f, "m");
    assert_true(is_awake(f, "m"));
    f->now_ns += TRP_S(11);
    pump(f, is_asleep(f, "m"));
    f->now_ns += TRP_S(11);
    pump(f, is(f, "m", "NEW"));
    assert_int_equal(metric(f, TRP_METRIC_IDLE_UNLOADS), 1);
    answers(f, "m");
}

static void orders_find_it_as_if_it_were_awake(void **state)
{
    struct fixture *f = *state;
    struct wish w = { .order = {
                          .kind = TRP_ORDER_PIN, .model = TRP_STR_LIT("m"), .done = note_done } };
    put_model(f, "m", "");
    start_sleepers(f);
    answers(f, "m");
    put_to_sleep(f, "m");
    unload(f, "m");
    assert_true(is(f, "m", "NEW"));
    load(f, "m", TRP_OK, "");
    assert_true(is_awake(f, "m"));
    member(f, "m")->is_pinned = false;
    put_to_sleep(f, "m");
    load(f, "m", TRP_OK, "");
    assert_true(is_awake(f, "m"));
    assert_int_equal(metric(f, TRP_METRIC_LOADS_OK), 2);
    put_to_sleep(f, "m");
    trp_life_submit(f->life, &w.order);
    check_order(f, &w, TRP_OK, "");
    assert_true(is_awake(f, "m"));
    w = (struct wish){
        .order = { .kind = TRP_ORDER_UNPIN, .model = TRP_STR_LIT("m"), .done = note_done }
    };
    trp_life_submit(f->life, &w.order);
    check_order(f, &w, TRP_OK, "");
    put_to_sleep(f, "m");
    w = (struct wish){
        .order = { .kind = TRP_ORDER_EVICT, .model = TRP_STR_LIT("m"), .done = note_done }
    };
    trp_life_submit(f->life, &w.order);
    check_order(f, &w, TRP_OK, "");
    assert_true(is(f, "m", "NEW"));
    answers(f, "m");
}

static void new_files_replace_it_in_its_sleep_unless_they_do_not_load(void **state)
{
    struct fixture *f = *state;
    struct question q;
    put_model(f, "m", "");
    start_sleepers(f);
    answers(f, "m");
    put_to_sleep(f, "m");
    put_model(f, "m", "# other\n");
    rescan(f);
    assert_true(ask_version(&q, "m", 0)); /* served by what replaces it */
    pump(f, q.is_done);
    assert_int_equal(q.error.status.code, TRP_OK);
    assert_true(is_awake(f, "m"));
    assert_int_equal(metric(f, TRP_METRIC_LOADS_OK), 2);
    assert_int_equal(metric(f, TRP_METRIC_WAKES_OK), 0);
    put_to_sleep(f, "m");
    put_model(f, "m", "load_fail no luck\n");
    rescan(f);
    assert_true(ask_version(&q, "m", 0));
    pump(f, q.is_done);
    assert_int_equal(q.error.status.code, TRP_OK); /* by the old one, which was woken for it */
    assert_int_equal(metric(f, TRP_METRIC_WAKES_OK), 1);
    assert_non_null(strstr(entry(f, "m")->reason, "older files are served"));
    put_to_sleep(f, "m");
    take_away(f, "m");
    rescan(f);
    pump(f, !entry(f, "m"));
}

static void a_file_that_is_cut_short_is_mended_in_its_sleep(void **state)
{
    struct fixture *f = *state;
    const struct trp_op mend = { .kind = TRP_OP_MEND };
    struct question q;
    put_model(f, "m", "");
    start_sleepers(f);
    answers(f, "m");
    put_to_sleep(f, "m");
    trp_flag_raise(&highest(f, "m")->is_damaged);
    trp_member_push(member(f, "m"), &mend);
    assert_true(ask_version(&q, "m", 0)); /* bound to what is replaced before it runs */
    pump(f, q.is_done);
    assert_int_equal(q.error.status.code, TRP_OK);
    assert_true(is_awake(f, "m"));
    assert_int_equal(metric(f, TRP_METRIC_WAKES_OK), 0);
    answers(f, "m");
}

static void no_room_to_wake_is_told_with_the_numbers(void **state)
{
    struct fixture *f = *state;
    struct question q;
    put_model(f, "a", "");
    put_model(f, "b", "");
    put_model(f, "c", "");
    start_sleepers(f);
    answers(f, "a");
    put_to_sleep(f, "a");
    load(f, "b", TRP_OK, ""); /* pinned, both */
    load(f, "c", TRP_OK, "");
    assert_true(ask_version(&q, "a", 0));
    fails(f, &q, TRP_OVER_BUDGET, "model 'a' cannot be loaded: no room in memory (memory.budget)");
    assert_true(is_asleep(f, "a"));
    load(f, "a", TRP_OVER_BUDGET, "no room in memory (memory.budget)"); /* no more than cold */
    assert_true(is_asleep(f, "a"));
    unload(f, "b");
    load(f, "a", TRP_OK, "");
    answers(f, "a");
    assert_int_equal(metric(f, TRP_METRIC_WAKES_OK), 1);
}

static void order(struct fixture *f, int kind, const char *name, int32_t code, const char *words)
{
    struct wish w = { .order = { .model = trp_str_of(name), .done = note_done } };
    w.order.kind = kind;
    trp_life_submit(f->life, &w.order);
    check_order(f, &w, code, words);
}

static void a_pin_without_room_to_wake_it_is_refused_and_pins_nothing(void **state)
{
    static const char words[] = "no room in memory (memory.budget)";
    struct fixture *f = *state;
    put_model(f, "a", "");
    put_model(f, "b", "");
    put_model(f, "c", "");
    start_sleepers(f);
    answers(f, "a");
    put_to_sleep(f, "a");
    load(f, "b", TRP_OK, ""); /* pinned, both */
    load(f, "c", TRP_OK, "");
    order(f, TRP_ORDER_PIN, "a", TRP_OVER_BUDGET, words);
    assert_true(is_asleep(f, "a"));
    assert_false(trp_idle_is_pinned(member(f, "a")));
    load(f, "a", TRP_OVER_BUDGET, words); /* to load it by name is to pin it */
    assert_true(is_asleep(f, "a"));
    assert_false(trp_idle_is_pinned(member(f, "a")));
    unload(f, "b");
    order(f, TRP_ORDER_PIN, "a", TRP_OK, "");
    assert_true(is_awake(f, "a"));
    assert_true(trp_idle_is_pinned(member(f, "a")));
    assert_int_equal(metric(f, TRP_METRIC_WAKES_OK), 1);
}

static void no_more_sleep_than_may(void **state)
{
    struct fixture *f = *state;
    put_model(f, "a", "");
    put_model(f, "b", "");
    start_sleepers(f);
    answers(f, "a");
    answers(f, "b");
    answers(f, "b");
    put_to_sleep(f, "a");
    put_to_sleep(f, "b");
    struct trp_residence *r = f->life->residence;
    assert_int_equal(r->asleep_n, 2);
    const struct trp_amounts much = { { 400000 } };
    for (int i = 0; i < 2; i++) { /* as if they kept more than was thought */
        const char *name = i ? "b" : "a";
        struct trp_guest *g = member(f, name)->guest;
        trp_stay_wake(g->stays);
        g->stays->rest = much;
        trp_stay_sleep_on(g->stays);
    }
    pump(f, r->asleep_n == 1);
    assert_true(is_asleep(f, "a") != is_asleep(f, "b"));
    assert_true(log_says(f, "go: others hibernate"));
}

/* Between a call that begins and one that is answered it is tried to have it hibernate, as often
 * as the loop turns. */
static void a_storm_of_calls_loses_none(void **state)
{
    struct fixture *f = *state;
    enum { CALLS = 8 };
    static struct question q[CALLS];
    struct trp_random random = { 7 };
    uint32_t answered_n = 0, slept_n = 0;
    put_model(f, "m", "");
    start_sleepers(f);
    answers(f, "m");
    memset(q, 0, sizeof q);
    for (int i = 0; i < CALLS; i++)
        q[i].is_done = true;
    while (answered_n < 2000 && slept_n < 200) {
        for (int i = 0; i < CALLS; i++) {
            if (!q[i].is_done || trp_random_next(&random) % 4)
                continue;
            answered_n++;
            assert_int_equal(q[i].error.status.code, TRP_OK);
            assert_true(ask_version(&q[i], "m", 0));
        }
        slept_n += trp_hibernation_begin(member(f, "m"), "a storm");
        turn(f);
        slept_n += trp_hibernation_begin(member(f, "m"), "a storm");
        if (trp_random_next(&random) % 8 == 0)
            pump(f, !member(f, "m")->op);
    }
    for (int i = 0; i < CALLS; i++) {
        pump(f, q[i].is_done);
        assert_int_equal(q[i].error.status.code, TRP_OK);
    }
    pump(f, !member(f, "m")->op);
    assert_int_equal(metric(f, TRP_METRIC_LOADS_OK), 1);
    assert_int_equal(trp_gauge_get(&highest(f, "m")->stats->in_flight), 0);
    assert_true(slept_n > 10);
}

static void the_end_comes_in_any_of_its_states(void **state)
{
    struct fixture *f = *state;
    static struct question q[3];
    put_model(f, "a", "");
    put_model(f, "b", "wake_sleep 50ms\n");
    start_sleepers(f);
    answers(f, "a");
    answers(f, "b");
    put_to_sleep(f, "b");
    for (int i = 0; i < 3; i++)
        assert_true(ask_version(&q[i], "b", 0));
    pump(f, member(f, "b")->op);
    assert_true(trp_hibernation_begin(member(f, "a"), "a test"));
    stop(f);
    for (int i = 0; i < 3; i++)
        pump(f, q[i].is_done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CALLS(whose_room_is_wanted_sleeps_and_is_woken_by_the_next_call),
        WITH_CALLS(whoever_asks_where_it_is_hears_why_it_sleeps_and_what_wakes_it),
        WITH_CALLS(what_its_sleep_kept_from_being_found_out_is_found_when_it_wakes),
        WITH_CALLS(what_could_not_be_found_out_is_tried_again_after_a_while),
        WITH_CALLS(many_calls_share_one_wake_and_nobody_else_does_it),
        WITH_CALLS(who_runs_out_of_time_is_answered_while_it_wakes),
        WITH_CALLS(what_cannot_be_woken_is_loaded_anew),
        WITH_CALLS(what_wakes_too_slowly_is_loaded_anew),
        WITH_CALLS(what_cannot_hibernate_after_all_stays_awake_and_goes_the_next_time),
        WITH_CALLS(where_it_does_not_pay_it_goes_instead),
        WITH_CALLS(an_idle_one_sleeps_first_and_goes_after_another_keep_alive),
        WITH_CALLS(orders_find_it_as_if_it_were_awake),
        WITH_CALLS(new_files_replace_it_in_its_sleep_unless_they_do_not_load),
        WITH_CALLS(a_file_that_is_cut_short_is_mended_in_its_sleep),
        WITH_CALLS(no_room_to_wake_is_told_with_the_numbers),
        WITH_CALLS(a_pin_without_room_to_wake_it_is_refused_and_pins_nothing),
        WITH_CALLS(no_more_sleep_than_may),
        WITH_CALLS(a_storm_of_calls_loses_none),
        WITH_CALLS(the_end_comes_in_any_of_its_states),
    };
    return cmocka_run_group_tests_name("hibernation", tests, NULL, NULL);
}
