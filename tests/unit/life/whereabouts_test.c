/* Why a model is in memory, or why it is not: each answer that there is, and what it says of the
 * next step. */
#include "life_asking.h"

#include "life/whereabouts.h"

#define MB UINT64_C(1000000)
#define ECHO "input X FP32 [-1]\noutput Y FP32 [-1]\n"
#define LAZY "load: on_demand\nmax_bytes: 1010000\n"

static void start_on_demand(struct fixture *f, uint64_t budget_bytes)
{
    f->budget_bytes = budget_bytes;
    f->opts.repo.load_default = TRP_LOAD_ON_DEMAND;
    start(f);
    pump(f, f->life->has_listed);
}

static struct trp_whereabouts ask(struct fixture *f, const char *name)
{
    struct trp_whereabouts w;
    struct trp_error err;
    must(trp_presence_rank(f->life, &err), &err);
    trp_whereabouts_tell(f->life, trp_str_of(name), &w);
    return w;
}

static void check(struct fixture *f, const char *name, enum trp_place place, const char *words)
{
    const struct trp_whereabouts w = ask(f, name);
    if (w.place != place || !strstr(w.why, words))
        fail_msg("'%s' is %s: %s", name, trp_place_name(w.place), w.why);
}

/* Loaded as by a call: nobody pins it. */
static void begin(struct fixture *f, struct wish *w, const char *name)
{
    *w = (struct wish){ .order = { .has_keep_alive = true, .keep_alive_ns = -1 } };
    submit_load(f, w, name);
}

static void bring(struct fixture *f, const char *name, int32_t code, const char *words)
{
    struct wish w;
    begin(f, &w, name);
    check_order(f, &w, code, words);
}

static void put_heavy(struct fixture *f, const char *name)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/model.yaml", name);
    put(f, path, LAZY);
    (void)snprintf(path, sizeof path, "%s/1/model.echo", name);
    put(f, path, ECHO "weighs 1000000\n");
}

static void who_comes_and_goes_is_told_of_at_each_step(void **state)
{
    struct fixture *f = *state;
    put(f, "m.echo", ECHO);
    start_on_demand(f, 0);
    check(f, "nobody", TRP_PLACE_UNKNOWN, "no repository");
    check(f, "m", TRP_PLACE_OUT, "nobody has asked for it yet; its next request loads it");
    struct wish w;
    begin(f, &w, "m");
    pump(f, is(f, "m", "LOADING") || w.is_done);
    check_order(f, &w, TRP_OK, "");
    check(f, "m", TRP_PLACE_IN, "until its room is wanted; just loaded");
    f->now_ns += TRP_S(11);
    turn(f);
    check(f, "m", TRP_PLACE_IN, "number 1 to go");
    assert_true(trp_member_evict(trp_member_get(f->life, TRP_STR_LIT("m")), "a test wants it"));
    const int64_t gone_ns = trp_loop_now_ns(f->loop);
    f->now_ns += TRP_S(3);
    turn(f);
    check(f, "m", TRP_PLACE_OUT, "a test wants it; its next request loads it");
    assert_int_equal(ask(f, "m").since_ns, gone_ns);
    load(f, "m", TRP_OK, "");
    check(f, "m", TRP_PLACE_IN, "pinned by an operator");
    unload(f, "m");
    check(f, "m", TRP_PLACE_UNLOADED, "an operator unloaded it");
}

static void a_failure_has_its_reason_and_its_next_try(void **state)
{
    struct fixture *f = *state;
    put(f, "lazy.echo", ECHO "load_fail no luck\n");
    put(f, "eager/model.echo", ECHO "load_fail no luck\n");
    put(f, "eager/model.yaml", "load: startup\n");
    put(f, "explicit/model.echo", ECHO);
    put(f, "explicit/model.yaml", "load: explicit\n");
    start_on_demand(f, 0);
    pump(f, is(f, "eager", "FAILED"));
    check(f, "eager", TRP_PLACE_FAILED, "no luck; it is tried again by itself");
    assert_true(ask(f, "eager").retry_ns > 0);
    bring(f, "lazy", TRP_INVALID_ARGUMENT, "no luck");
    check(f, "lazy", TRP_PLACE_FAILED, "a request has it tried again");
    f->now_ns += TRP_S(2);
    turn(f);
    assert_int_equal(ask(f, "lazy").retry_ns, 0);
    check(f, "explicit", TRP_PLACE_OUT, "no request loads it");
}

static void what_cannot_be_loaded_says_so_before_anybody_asks(void **state)
{
    struct fixture *f = *state;
    put(f, "broken.echo", "nonsense\n");
    start_on_demand(f, 0);
    pump(f, ask(f, "broken").place == TRP_PLACE_FAILED);
    check(f, "broken", TRP_PLACE_FAILED, "it cannot be loaded: ");
    check(f, "broken", TRP_PLACE_FAILED, "nonsense");
    assert_null(strstr(ask(f, "broken").why, "its next request loads it"));
    bring(f, "broken", TRP_INVALID_ARGUMENT, "nonsense");
    check(f, "broken", TRP_PLACE_FAILED, "a request has it tried again");
}

static void older_files_that_serve_say_what_is_wrong_with_the_newer(void **state)
{
    struct fixture *f = *state;
    put(f, "m/1/model.echo", ECHO);
    start_on_demand(f, 0);
    bring(f, "m", TRP_OK, "");
    put(f, "m/2/model.echo", ECHO "load_fail no luck\n");
    bring(f, "m", TRP_INVALID_ARGUMENT, "no luck");
    check(f, "m", TRP_PLACE_IN, "older files are served");
    check(f, "m", TRP_PLACE_IN, "no luck");
}

static void who_waits_for_room_says_for_how_much(void **state)
{
    struct fixture *f = *state;
    struct wish w;
    put_heavy(f, "a");
    put_heavy(f, "b");
    put_heavy(f, "large");
    put(f, "large/1/model.echo", ECHO "weighs 3000000\n");
    put(f, "large/model.yaml", "load: on_demand\nmax_bytes: 3000200\n");
    start_on_demand(f, 1 * MB + 500000);
    bring(f, "a", TRP_OK, "");
    begin(f, &w, "b"); /* a is fresh: nobody goes for it yet */
    pump(f, ask(f, "b").place == TRP_PLACE_WAITING &&
                trp_failed(f->life->residence->first->delay.status));
    check(f, "b", TRP_PLACE_WAITING, "1 just loaded");
    check(f, "b", TRP_PLACE_WAITING, "1500000");
    f->now_ns += TRP_S(11);
    check_order(f, &w, TRP_OK, "");
    check(f, "a", TRP_PLACE_OUT, "room for 'b'");
    bring(f, "large", TRP_OVER_BUDGET, "at most");
    check(f, "large", TRP_PLACE_FAILED, "needs 3000200 bytes; at most 1500000");
}

static void who_is_not_let_in_says_for_want_of_what(void **state)
{
    struct fixture *f = *state;
    put_heavy(f, "a");
    f->budget_bytes = 1 * MB + 500000;
    put(f, "a/model.yaml", "load: startup\nmax_bytes: 1010000\n");
    start(f);
    pump(f, is(f, "a", "READY"));
    put_heavy(f, "b"); /* later, or it could have the room before a has */
    put(f, "b/model.yaml", "load: background\nmax_bytes: 1010000\n");
    rescan(f);
    pump(f, ask(f, "b").place == TRP_PLACE_OUT &&
                trp_member_get(f->life, TRP_STR_LIT("b"))->was_let_go);
    check(f, "b", TRP_PLACE_OUT, "no room in memory (memory.budget)");
    check(f, "b", TRP_PLACE_OUT, "its next request loads it");
}

static void every_place_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < TRP_PLACES; i++)
        assert_true(i == TRP_PLACE_UNKNOWN ||
                    strcmp(trp_place_name((enum trp_place)i), "unknown") != 0);
    assert_string_equal(trp_place_name(TRP_PLACES), "unknown");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_comes_and_goes_is_told_of_at_each_step),
        TEST(a_failure_has_its_reason_and_its_next_try),
        TEST(what_cannot_be_loaded_says_so_before_anybody_asks),
        TEST(older_files_that_serve_say_what_is_wrong_with_the_newer),
        TEST(who_waits_for_room_says_for_how_much),
        TEST(who_is_not_let_in_says_for_want_of_what),
        cmocka_unit_test(every_place_has_a_name),
    };
    return cmocka_run_group_tests_name("whereabouts", tests, NULL, NULL);
}
