/* Room in memory: models that weigh something, and a budget that is too small for all of them. */
#include "life_asking.h"

#define MB UINT64_C(1000000)
#define ECHO "input X FP32 [-1]\noutput Y FP32 [-1]\n"

/* A model that holds a million bytes, and says so. */
static void put_model(struct fixture *f, const char *name, const char *more)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/model.yaml", name);
    put(f, path, "max_bytes: 1010000\n");
    char text[256];
    (void)snprintf(text, sizeof text, ECHO "weighs 1000000\n%s", more);
    (void)snprintf(path, sizeof path, "%s/1/model.echo", name);
    put(f, path, text);
}

static void put_models(struct fixture *f, int n)
{
    for (int i = 0; i < n; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "m%d", i);
        put_model(f, name, "");
    }
}

static void start_with(struct fixture *f, uint64_t budget_bytes)
{
    f->budget_bytes = budget_bytes;
    f->opts.repo.load_default = TRP_LOAD_ON_DEMAND;
    start(f);
}

/* As a call would have it loaded: nobody pins it. */
static void want(struct wish *w)
{
    w->order.has_keep_alive = true;
    w->order.keep_alive_ns = -1;
}

static void bring(struct fixture *f, const char *name, int32_t code, const char *words)
{
    struct wish w = { 0 };
    want(&w);
    submit_load(f, &w, name);
    check_order(f, &w, code, words);
}

static uint64_t used(const struct fixture *f)
{
    struct trp_budget b;
    trp_ledger_look(f->ledger, &b);
    return trp_budget_used(&b).of[TRP_RESOURCE_BYTES];
}

static uint32_t loaded_n(const struct fixture *f)
{
    uint32_t n = 0;
    for (const struct trp_member *m = f->life->members; m; m = m->next)
        n += m->serving.n > 0;
    return n;
}

static void all_are_loaded_though_there_is_room_for_a_few(void **state)
{
    struct fixture *f = *state;
    put_models(f, 20);
    start_with(f, 5 * MB + 500000);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 20; i++) {
            char name[16];
            (void)snprintf(name, sizeof name, "m%d", i);
            bring(f, name, TRP_OK, "");
            assert_true(is(f, name, "READY"));
            assert_true(used(f) <= f->budget_bytes);
            f->now_ns += TRP_S(11);
        }
        pump(f, f->life->residence->guests_n == 5);
        assert_int_equal(loaded_n(f), 5);
    }
    assert_int_equal(metric(f, TRP_METRIC_EVICTIONS_LOAD), 35);
    assert_true(is(f, "m0", "NEW"));
    assert_string_equal(highest(f, "m0")->reason, "on demand");
    assert_true(log_says(f, "letting 'm0' go: room for 'm5': 1000064 bytes"));
}

static void who_does_not_fit_is_refused_with_the_numbers(void **state)
{
    struct fixture *f = *state;
    put_models(f, 2);
    put(f, "large/1/model.echo", ECHO "weighs 3000000\n");
    put(f, "large/model.yaml", "max_bytes: 3000200\n");
    start_with(f, 2 * MB + 500000);
    bring(f, "m0", TRP_OK, "");
    f->now_ns += TRP_S(11);
    bring(f, "large", TRP_OVER_BUDGET, "needs 3000200 bytes; at most 2500000 of 2500000");
    assert_true(is(f, "m0", "READY"));
    assert_true(is(f, "large", "FAILED"));
    assert_int_equal(highest(f, "large")->failure, TRP_OVER_BUDGET);
    assert_int_equal(metric(f, TRP_METRIC_EVICTIONS_LOAD), 0);
    assert_int_equal(metric(f, TRP_METRIC_LOADS_OVER_BUDGET), 1);
}

static void who_is_pinned_or_busy_stays(void **state)
{
    struct fixture *f = *state;
    put_models(f, 4);
    start_with(f, 2 * MB + 500000);
    load(f, "m0", TRP_OK, ""); /* an operator's: pinned */
    bring(f, "m1", TRP_OK, "");
    f->now_ns += TRP_S(11);
    struct trp_version *busy = highest(f, "m1");
    trp_gauge_add(&busy->stats->in_flight, 1);
    struct wish w = { 0 };
    want(&w);
    submit_load(f, &w, "m2");
    for (int i = 0; i < 100; i++)
        turn(f);
    assert_false(w.is_done);
    assert_true(is(f, "m1", "READY"));
    trp_gauge_add(&busy->stats->in_flight, -1);
    f->now_ns += TRP_S(2);
    check_order(f, &w, TRP_OK, "");
    assert_true(is(f, "m0", "READY"));
    assert_true(is(f, "m1", "NEW"));
    load(f, "m2", TRP_OK, "");
    bring(f, "m3", TRP_OVER_BUDGET, "at most"); /* beside two that are pinned */
    assert_int_equal(loaded_n(f), 2);
}

static void what_is_in_flight_holds_its_room(void **state)
{
    struct fixture *f = *state;
    put_models(f, 2);
    start_with(f, 1 * MB + 500000);
    bring(f, "m0", TRP_OK, "");
    f->now_ns += TRP_S(11);
    struct trp_version *v = pin(f, "m0", 0);
    struct wish w = { 0 };
    want(&w);
    submit_load(f, &w, "m1");
    pump(f, is(f, "m0", "NEW"));
    for (int i = 0; i < 50; i++)
        turn(f);
    assert_false(w.is_done);
    assert_true(used(f) >= 1 * MB);
    trp_version_unref(v);
    check_order(f, &w, TRP_OK, "");
}

static void what_fits_is_loaded_at_the_start_and_the_rest_when_asked_for(void **state)
{
    struct fixture *f = *state;
    put_models(f, 6);
    f->budget_bytes = 3 * MB + 500000;
    start(f);
    assert_true(trp_life_is_settled(f->life));
    assert_int_equal(loaded_n(f), 3);
    assert_int_equal(metric(f, TRP_METRIC_EVICTIONS_LOAD), 0);
    assert_int_equal(metric(f, TRP_METRIC_LOADS_FAILED), 0);
    assert_true(log_says(f, "is loaded when it is asked for"));
    f->now_ns += TRP_S(11);
    for (int i = 0; i < 6; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "m%d", i);
        bring(f, name, TRP_OK, "");
        f->now_ns += TRP_S(11);
    }
}

static void a_successor_that_does_not_fit_beside_leaves_the_old_one(void **state)
{
    struct fixture *f = *state;
    put_models(f, 1);
    start_with(f, 1 * MB + 500000);
    bring(f, "m0", TRP_OK, "");
    f->now_ns += TRP_S(11);
    put_model(f, "m0", "sleep 1ms\n");
    rescan(f);
    pump(f, !f->life->members->op);
    assert_true(is(f, "m0", "READY"));
    assert_non_null(strstr(entry(f, "m0")->reason, "the last load failed, older files are served"));
    assert_true(used(f) < f->budget_bytes);
}

static void what_failed_to_load_gives_its_room_back(void **state)
{
    struct fixture *f = *state;
    put_models(f, 1);
    put_model(f, "bad", "load_fail the fan stopped\n");
    put_model(f, "broken", "nonsense\n");
    start_with(f, 1 * MB + 500000);
    bring(f, "bad", TRP_INVALID_ARGUMENT, "the fan stopped");
    bring(f, "broken", TRP_INVALID_ARGUMENT, "unknown word");
    assert_int_equal(used(f), 0);
    bring(f, "m0", TRP_OK, "");
}

static void a_load_that_comes_too_late_holds_its_room_until_it_comes(void **state)
{
    struct fixture *f = *state;
    put_models(f, 1);
    put_model(f, "slow", "load_sleep 300ms\n");
    f->opts.load_ns_max = TRP_S(5);
    start_with(f, 1 * MB + 500000);
    struct wish slow = { 0 }, m0 = { 0 };
    want(&slow);
    want(&m0);
    submit_load(f, &slow, "slow");
    pump(f, f->life->residence->coming_n == 1);
    for (int i = 0; i < 10; i++)
        turn(f);
    f->now_ns += TRP_S(6);
    check_order(f, &slow, TRP_DEADLINE_EXCEEDED, "timeouts.load");
    assert_true(used(f) > 0);
    submit_load(f, &m0, "m0");
    check_order(f, &m0, TRP_OK, "");
}

static void versions_of_a_model_wait_for_room_together(void **state)
{
    struct fixture *f = *state;
    put_model(f, "pair", "");
    put(f, "pair/2/model.echo", ECHO "weighs 1000000\n");
    put(f, "pair/model.yaml", "version_policy: {all: {}}\nmax_bytes: 1010000\n");
    put_model(f, "torn", "");
    put(f, "torn/2/model.echo", "nonsense\n");
    put(f, "torn/model.yaml", "version_policy: {all: {}}\nmax_bytes: 1010000\n");
    put_models(f, 2);
    start_with(f, 2 * MB + 500000);
    bring(f, "m0", TRP_OK, "");
    bring(f, "m1", TRP_OK, "");
    f->now_ns += TRP_S(11);
    bring(f, "torn", TRP_INVALID_ARGUMENT, "unknown word");
    assert_int_equal(metric(f, TRP_METRIC_EVICTIONS_LOAD), 0);
    bring(f, "pair", TRP_OK, "");
    assert_int_equal(metric(f, TRP_METRIC_EVICTIONS_LOAD), 2);
    assert_int_equal(entry(f, "pair")->versions_n, 2);
    f->now_ns += TRP_S(11);
    bring(f, "m0", TRP_OK, "");
    assert_true(is(f, "pair", "NEW"));
}

static void the_end_does_not_wait_for_room(void **state)
{
    struct fixture *f = *state;
    put_models(f, 3);
    start_with(f, 1 * MB + 500000);
    load(f, "m0", TRP_OK, "");
    f->life->members->keeping.pin = false;
    struct trp_version *v = pin(f, "m0", 0);
    trp_gauge_add(&v->stats->in_flight, 1);
    struct wish w[2] = { { .order.has_keep_alive = false } };
    submit_load(f, &w[0], "m1");
    submit_load(f, &w[1], "m2");
    for (int i = 0; i < 20; i++)
        turn(f);
    trp_gauge_add(&v->stats->in_flight, -1);
    trp_version_unref(v);
    stop(f);
    assert_true(w[0].is_done && w[1].is_done);
}

/* What was evicted is still known by what it was measured to hold. */
static void a_second_load_knows_what_the_first_one_measured(void **state)
{
    struct fixture *f = *state;
    put(f, "m0/1/model.echo", ECHO "weighs 1000000\n"); /* the file does not say that it weighs */
    put(f, "m1/1/model.echo", ECHO "weighs 1000000\n");
    start_with(f, 1 * MB + 500000);
    bring(f, "m0", TRP_OK, "");
    f->now_ns += TRP_S(11);
    bring(f, "m1", TRP_OK, ""); /* believed to be small; then somebody must go */
    pump(f, is(f, "m0", "NEW"));
    assert_int_equal(metric(f, TRP_METRIC_EVICTIONS_OVER), 1);
    f->now_ns += TRP_S(11);
    bring(f, "m0", TRP_OK, "");
    assert_int_equal(metric(f, TRP_METRIC_EVICTIONS_LOAD), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LIFE(all_are_loaded_though_there_is_room_for_a_few),
        WITH_LIFE(who_does_not_fit_is_refused_with_the_numbers),
        WITH_LIFE(who_is_pinned_or_busy_stays),
        WITH_LIFE(what_is_in_flight_holds_its_room),
        WITH_LIFE(what_fits_is_loaded_at_the_start_and_the_rest_when_asked_for),
        WITH_LIFE(a_successor_that_does_not_fit_beside_leaves_the_old_one),
        WITH_LIFE(what_failed_to_load_gives_its_room_back),
        WITH_LIFE(a_load_that_comes_too_late_holds_its_room_until_it_comes),
        WITH_LIFE(versions_of_a_model_wait_for_room_together),
        WITH_LIFE(the_end_does_not_wait_for_room),
        WITH_LIFE(a_second_load_knows_what_the_first_one_measured),
    };
    return cmocka_run_group_tests_name("steward", tests, NULL, NULL);
}
