/* What is written as before goes on as it was before, whatever else has changed in the file. */
#include "routes.h"

#include "route/route_hedge.h"
#include "route/route_parts.h"

/* Reads routes again, as whoever watches the file does; the old ones go. */
static const struct trp_route_plan *read_again(struct routes *r, const char *text)
{
    struct trp_router *before = trp_route_file_at(r->file, 0);
    trp_route_retain(trp_route_target(before));
    routes_read_ok(r, text);
    struct trp_router *now = trp_route_file_at(r->file, 0);
    trp_route_carry(now, before);
    trp_route_release(trp_route_target(before));
    return trp_route_plan_of(now);
}

static const struct trp_route_plan *read_first(struct routes *r, const char *text)
{
    routes_read_ok(r, text);
    return trp_route_plan_of(trp_route_file_at(r->file, 0));
}

static void who_is_left_alone_stays_so_when_another_rule_comes(void **state)
{
    struct routes *r = *state;
    struct model *a = routes_model(r, "a");
    (void)read_first(r, "routes: { r: [ { use: a, fallback: b } ] }");
    a->fails = TRP_INTERNAL;
    for (int i = 0; i < 20; i++)
        assert_int_equal(routes_ask(r, "r"), TRP_OK);
    assert_int_equal(a->asked, 10);
    const struct trp_route_plan *p = read_again(
        r, "routes: { r: [ { when: has(params.n), use: c }, { use: a, fallback: b } ] }");
    assert_int_equal(routes_ask(r, "r"), TRP_OK);
    assert_int_equal(a->asked, 10);
    assert_non_null(strstr(r->why, "its breaker is open"));
    assert_int_equal(trp_counter_get(&p->rules[0].matched), 0);
    assert_int_equal(trp_counter_get(&p->rules[1].matched), 21);
    assert_int_equal(trp_counter_get(&p->goals[1].asked), 10);
    a->fails = 0;
    r->now_ns += TRP_S(2); /* it recovers as it would have */
    routes_turn(r);
    for (int i = 0; i < 3; i++)
        assert_int_equal(routes_ask(r, "r"), TRP_OK);
    assert_int_equal(a->asked, 13);
    assert_int_equal(trp_breaker_get(&p->goals[1].breaker, r->now_ns).phase, TRP_BREAKER_CLOSED);
}

static void breakers_of_other_kinds_begin_closed_with_their_counts(void **state)
{
    struct routes *r = *state;
    struct model *a = routes_model(r, "a");
    (void)read_first(r, "routes: { r: { rules: [ { use: a, fallback: b } ] } }");
    a->fails = TRP_INTERNAL;
    for (int i = 0; i < 20; i++)
        assert_int_equal(routes_ask(r, "r"), TRP_OK);
    const struct trp_route_plan *p =
        read_again(r, "routes: { r: { breaker: { row: 7 }, rules: [ { use: a, fallback: b } ] } }");
    const struct trp_breaker_view now = trp_breaker_get(&p->goals[0].breaker, r->now_ns);
    assert_int_equal(now.phase, TRP_BREAKER_CLOSED);
    assert_int_equal(now.opened, 1);
    assert_int_equal(now.refused, 10);
}

#define TARGETS(model)                                                                  \
    "routes: { r: { targets: { t: { model: " model ", outputs: { y: y } } }, rules: [ " \
    "{ use: t, hedge: p95, shadow: b, fallback: c } ] } }"

static void what_is_learned_of_a_target_goes_on_while_it_means_the_same(void **state)
{
    struct routes *r = *state;
    const struct trp_route_plan *p = read_first(r, TARGETS("a"));
    for (int i = 0; i < 200; i++)
        trp_hedge_add(&p->rules[0].hedge->hedge, TRP_MS(8));
    trp_counter_add(&p->rules[0].hedge->hedge.sent, 3);
    trp_agreement_add(&p->rules[0].agreement,
                      &(struct trp_agreement_result){ .rows = 4, .rows_agreeing = 3 });
    trp_agreement_add_failure(&p->rules[0].agreement);
    assert_true(trp_hedge_when_ns(&p->rules[0].hedge->hedge, 0, r->now_ns) > 0);
    p = read_again(r, TARGETS("a"));
    assert_true(trp_hedge_when_ns(&p->rules[0].hedge->hedge, 0, r->now_ns) > 0);
    assert_int_equal(trp_counter_get(&p->rules[0].agreement.calls), 1);
    assert_int_equal(trp_counter_get(&p->rules[0].agreement.failed), 1);
    assert_true(trp_agreement_share(&p->rules[0].agreement) == 0.75);
    p = read_again(r, TARGETS("c")); /* the rule says the same of somebody else */
    assert_int_equal(trp_hedge_when_ns(&p->rules[0].hedge->hedge, 0, r->now_ns), 0);
    assert_int_equal(trp_counter_get(&p->rules[0].hedge->hedge.sent), 3);
    assert_int_equal(trp_counter_get(&p->rules[0].agreement.calls), 0);
}

static void rules_that_change_places_keep_what_is_theirs(void **state)
{
    struct routes *r = *state;
    struct trp_param *n = routes_param(r, "n", 1);
    (void)read_first(r, "routes: { r: [ { when: params.n == 1, use: a }, { when: params.n == 2, "
                        "use: b }, { when: params.n == 3, use: c } ] }");
    for (int i = 1; i <= 4; i++) {
        n->v.i = i;
        for (int k = 0; k < i; k++)
            (void)routes_ask(r, "r");
    }
    const struct trp_route_plan *p =
        read_again(r, "routes: { r: [ { when: params.n == 3, use: c }, { when: params.n == 1, use: "
                      "a }, { when: params.n == 1, use: a }, { use: b } ] }");
    static const uint64_t matched[] = { 3, 1, 0, 0 };
    for (uint32_t i = 0; i < ARRAY_LEN(matched); i++)
        assert_int_equal(trp_counter_get(&p->rules[i].matched), matched[i]);
    assert_int_equal(trp_route_unmatched(trp_route_file_at(r->file, 0)), 4);
}

static void what_is_left_of_the_budget_and_the_last_decisions_goes_on(void **state)
{
    struct routes *r = *state;
    struct trp_route_sample samples[TRP_ROUTE_SAMPLES_MAX];
    struct trp_param *n = routes_param(r, "n", 1);
    static const char text[] = "routes: { r: { budget: { share: 0%, floor: 0.3 }, rules: [ { when: "
                               "params.n == 1, use: a, retries: 1 }, { use: b } ] } }";
    (void)read_first(r, text);
    routes_model(r, "a")->fails = TRP_INTERNAL;
    for (int i = 0; i < 5; i++) {
        r->now_ns += TRP_MS(200);
        assert_int_equal(routes_ask(r, "r"), TRP_INTERNAL);
    }
    assert_int_equal(routes_model(r, "a")->asked, 8); /* three retries in ten seconds */
    n->v.i = 2;
    r->now_ns += TRP_MS(200);
    assert_int_equal(routes_ask(r, "r"), TRP_OK);
    const struct trp_route_plan *p = read_again(
        r, "routes: { r: { budget: { share: 0%, floor: 0.3 }, rules: [ { when: params.n == 7, use: "
           "c }, { when: params.n == 1, use: a, retries: 1 } ] } }");
    assert_int_equal(trp_counter_get(&p->budget.taken), 3);
    assert_true(trp_retry_budget_left(&p->budget, r->now_ns) < 1);
    struct trp_router *route = trp_route_file_at(r->file, 0);
    assert_int_equal(trp_route_samples_copy(&route->samples, samples), 5);
    for (int i = 0; i < 5; i++) { /* the sixth was of a rule that is no more */
        assert_int_equal(samples[i].rule, 1);
        assert_true(trp_str_is(p->goals[samples[i].goal].text, "a"));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, routes_set_up, routes_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(who_is_left_alone_stays_so_when_another_rule_comes),
        TEST(breakers_of_other_kinds_begin_closed_with_their_counts),
        TEST(what_is_learned_of_a_target_goes_on_while_it_means_the_same),
        TEST(rules_that_change_places_keep_what_is_theirs),
        TEST(what_is_left_of_the_budget_and_the_last_decisions_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
