/* The canary of a rule: it gets its share, is taken back when it fails, goes on when its route is
 * read again; in models that do as they are told, and a clock of its own. */
#include "routes.h"

#include "route/route_canary.h"
#include "route/route_parts.h"

#define TEXT                                                                                       \
    "routes: { r: [ { use: a, canary: { use: b, steps: [25%%, 100%%], hold: 10s, answers: 40 }%s " \
    "} ] }"

static int moves[TRP_CANARY_ROLL_BACK + 1];

static int set_up(void **state)
{
    static struct routes r; /* one test at a time */
    routes_init(&r);
    (void)routes_add(&r, "a");
    (void)routes_add(&r, "b");
    memset(moves, 0, sizeof moves);
    *state = &r;
    return 0;
}

static void count_move(void *user, const struct trp_route_plan *plan,
                       const struct trp_route_rule *rule, enum trp_canary_move move,
                       const struct trp_route_canary_view *view)
{
    (void)user;
    (void)plan;
    assert_non_null(rule->canary);
    assert_true(strlen(view->reason) > 0);
    moves[move]++;
}

static void look(struct routes *r)
{
    const struct trp_route_canary_told told = { count_move, NULL };
    trp_route_canary_look(trp_route_file_at(r->file, 0), r->now_ns, &told);
}

static void read_ok(struct routes *r, const char *rest)
{
    char text[300];
    (void)snprintf(text, sizeof text, TEXT, rest);
    if (trp_failed(routes_read(r, text)))
        fail_msg("%s", r->err.text);
    look(r);
}

static struct trp_route_canary_view view_of(const struct routes *r)
{
    struct trp_route_canary_view view;
    trp_route_canary_get(trp_route_plan_of(trp_route_file_at(r->file, 0))->rules[0].canary, &view);
    return view;
}

/* So many requests a second, looked at each second; how many of them failed. */
static int serve(struct routes *r, int seconds, int a_second)
{
    int failed = 0;
    for (int s = 0; s < seconds; s++) {
        for (int i = 0; i < a_second; i++)
            failed += routes_ask(r, "r") != TRP_OK;
        r->now_ns += TRP_S(1);
        look(r);
    }
    return failed;
}

static void a_good_one_gets_all_of_them(void **state)
{
    struct routes *r = *state;
    read_ok(r, "");
    assert_int_equal(view_of(r).step, 1);
    assert_int_equal(serve(r, 9, 20), 0);
    assert_in_range(routes_model(r, "b")->asked, 9 * 20 / 4 - 2, 9 * 20 / 4 + 2);
    assert_string_equal(r->model_name[0] == 'b' ? r->why : "route r, rule 1: canary",
                        "route r, rule 1: canary");
    assert_int_equal(serve(r, 15, 20), 0);
    assert_int_equal(view_of(r).phase, TRP_CANARY_DONE);
    const int before = routes_model(r, "a")->asked;
    assert_int_equal(serve(r, 3, 20), 0);
    assert_int_equal(routes_model(r, "a")->asked, before);
    assert_int_equal(moves[TRP_CANARY_ADVANCE], 2); /* to the first, and to the second */
    assert_int_equal(moves[TRP_CANARY_FINISH], 1);
}

static void a_bad_one_gets_no_more_and_costs_its_share_at_most(void **state)
{
    struct routes *r = *state;
    read_ok(r, "");
    routes_model(r, "b")->fails = TRP_BACKEND_FAILED;
    const int failed = serve(r, 10, 20);
    assert_in_range(failed, 20, 20 * 10 / 4);
    assert_int_equal(view_of(r).phase, TRP_CANARY_ROLLED_BACK);
    assert_true(view_of(r).share == 0);
    assert_int_equal(moves[TRP_CANARY_ROLL_BACK], 1);
    assert_non_null(strstr(view_of(r).reason, " of the old one's "));
    assert_non_null(strstr(view_of(r).reason, "; the last one of: told to fail"));
    assert_int_equal(serve(r, 3, 20), 0);
}

/* A client that asks for what neither has is no reason to take anything back, and with `sticky` it
 * may be the canary's alone. */
static void what_both_refuse_counts_for_neither(void **state)
{
    static const char *const rests[] = { "", ", fallback: a", ", timeout: 5s" };
    struct routes *r = *state;
    for (size_t i = 0; i < ARRAY_LEN(rests); i++) {
        read_ok(r, rests[i]);
        const struct trp_route_canary *c =
            trp_route_plan_of(trp_route_file_at(r->file, 0))->rules[0].canary;
        r->wanted.name = TRP_STR_LIT("nothing");
        assert_int_equal(serve(r, 1, 20), 20);
        r->wanted.name = (struct trp_str){ NULL, 0 };
        assert_int_equal(trp_counter_get(&c->new_one.calls), 0);
        assert_int_equal(trp_counter_get(&c->old_one.calls), 0);
        assert_int_equal(serve(r, 1, 20), 0);
        assert_int_equal(trp_counter_get(&c->new_one.calls) + trp_counter_get(&c->old_one.calls),
                         20);
    }
}

static void one_that_takes_less_than_the_old_one_is_taken_back(void **state)
{
    static const char *const rests[] = { "", ", fallback: a", ", timeout: 5s" };
    struct routes *r = *state;
    struct model *b = routes_model(r, "b");
    for (size_t i = 0; i < ARRAY_LEN(rests); i++) {
        read_ok(r, rests[i]);
        b->input.dims[0] = 3; /* clients send two */
        assert_in_range(serve(r, 10, 20), 20, 20 * 10 / 4);
        b->input.dims[0] = -1;
        assert_int_equal(view_of(r).phase, TRP_CANARY_ROLLED_BACK);
        assert_non_null(strstr(view_of(r).reason, "; the last one of: "));
        assert_non_null(strstr(view_of(r).reason, "for input 'x'"));
        const struct trp_route_plan *p = trp_route_plan_of(trp_route_file_at(r->file, 0));
        assert_int_equal(trp_counter_get(&p->rules[0].canary->old_one.failures), 0);
    }
}

static void one_that_is_not_there_is_taken_back_too(void **state)
{
    struct routes *r = *state;
    read_ok(r, ", fallback: a");
    routes_model(r, "b")->is_missing = true;
    assert_int_equal(serve(r, 10, 20), 0); /* another one answers */
    assert_int_equal(view_of(r).phase, TRP_CANARY_ROLLED_BACK);
}

static void it_goes_on_when_its_route_is_read_again(void **state)
{
    struct routes *r = *state;
    read_ok(r, "");
    routes_model(r, "b")->fails = TRP_BACKEND_FAILED;
    (void)serve(r, 10, 20);
    assert_int_equal(view_of(r).phase, TRP_CANARY_ROLLED_BACK);

    struct trp_route_file *old = r->file;
    r->file = NULL;
    read_ok(r, ", retries: 1"); /* something else */
    trp_route_canary_resume(trp_route_file_at(r->file, 0), trp_route_file_at(old, 0));
    assert_int_equal(view_of(r).phase, TRP_CANARY_ROLLED_BACK);
    look(r);
    assert_non_null(strstr(view_of(r).reason, "; the last one of: told to fail")); /* as before */
    assert_int_equal(serve(r, 2, 20), 0);
    trp_route_file_unref(old);
}

static void another_one_begins_anew(void **state)
{
    struct routes *r = *state;
    read_ok(r, "");
    routes_model(r, "b")->fails = TRP_BACKEND_FAILED;
    (void)serve(r, 10, 20);
    struct trp_route_file *old = r->file;
    r->file = NULL;
    assert_false(trp_failed(routes_read(r, "routes: { r: [ { use: a, canary: b } ] }")));
    trp_route_canary_resume(trp_route_file_at(r->file, 0), trp_route_file_at(old, 0));
    look(r);
    assert_int_equal(view_of(r).phase, TRP_CANARY_WATCHING);
    assert_int_equal(view_of(r).steps_n, 5); /* the usual ones */
    trp_route_file_unref(old);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, routes_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_good_one_gets_all_of_them),
        TEST(a_bad_one_gets_no_more_and_costs_its_share_at_most),
        TEST(what_both_refuse_counts_for_neither),
        TEST(one_that_takes_less_than_the_old_one_is_taken_back),
        TEST(one_that_is_not_there_is_taken_back_too),
        TEST(it_goes_on_when_its_route_is_read_again),
        TEST(another_one_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
