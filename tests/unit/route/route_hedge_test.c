/* A second request for an answer that is late: when it is sent, who wins, and that everybody comes
 * back; in models that do as they are told, and a clock of its own. */
#include "routes.h"

#include "route/route_canary.h"
#include "route/route_hedge.h"
#include "route/route_parts.h"

static const struct trp_hedge *hedge_of(const struct routes *r)
{
    return &trp_route_plan_of(trp_route_file_at(r->file, 0))->rules[0].hedge->hedge;
}

static uint32_t hedge_of_goal(const struct routes *r)
{
    return trp_route_plan_of(trp_route_file_at(r->file, 0))->rules[0].hedge->goal - 1;
}

static void ignore_move(void *user, const struct trp_route_plan *plan,
                        const struct trp_route_rule *rule, enum trp_canary_move move,
                        const struct trp_route_canary_view *view)
{
    (void)user;
    (void)plan;
    (void)rule;
    (void)move;
    (void)view;
}

static void turn(struct routes *r)
{
    for (int i = 0; i < 5; i++)
        routes_turn(r);
}

static void later(struct routes *r, int64_t ns)
{
    r->now_ns += ns;
    turn(r);
}

static void the_second_answers_and_the_first_comes_back_later(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes: { r: [ { use: a, hedge: { use: b, after: 20ms } } ] }");
    struct model *a = routes_model(r, "a");
    a->keeps = true;
    struct trp_call *call = routes_start(r, "r");
    later(r, TRP_MS(19));
    assert_int_equal(routes_model(r, "b")->asked, 0);
    later(r, TRP_MS(2));
    assert_int_equal(routes_model(r, "b")->asked, 1);
    assert_ptr_equal(r->answered, call);
    assert_int_equal(call->error.status.code, TRP_OK);
    assert_int_equal(call->outputs_n, 1);
    assert_int_equal(call->outputs[0].tensor.bytes, 8);
    assert_int_equal(call->lent_n,
                     1); /* the first one is still at work on what the call lends it */
    assert_int_equal(trp_oneshot_get(&a->kept->outcome), TRP_OUTCOME_CANCELLED);
    model_answer(a, a->kept);
    turn(r);
    routes_end(r, call);
    assert_string_equal(r->model_name, "b");
    assert_string_equal(r->why, "route r, rule 1: hedge -> b/3");
    assert_int_equal(trp_counter_get(&hedge_of(r)->sent), 1);
    assert_int_equal(trp_counter_get(&hedge_of(r)->won), 1);
    assert_int_equal(r->finished, 2);
}

static void the_first_answers_and_the_second_comes_back_later(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes: { r: [ { use: a, hedge: { use: b, after: 20ms } } ] }");
    struct model *a = routes_model(r, "a"), *b = routes_model(r, "b");
    a->keeps = b->keeps = true;
    struct trp_call *call = routes_start(r, "r");
    later(r, TRP_MS(21));
    assert_null(r->answered);
    model_answer(a, a->kept);
    turn(r);
    assert_ptr_equal(r->answered, call);
    assert_int_equal(trp_oneshot_get(&b->kept->outcome), TRP_OUTCOME_CANCELLED);
    model_answer(b, b->kept);
    turn(r);
    routes_end(r, call);
    assert_string_equal(r->model_name, "a");
    assert_string_equal(r->why, "route r, rule 1 -> a/3");
    assert_int_equal(trp_counter_get(&hedge_of(r)->won), 0);
}

static void one_that_answers_in_time_is_asked_once(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes: { r: [ { use: a, hedge: 20ms } ] }");
    for (int i = 0; i < 20; i++) {
        assert_int_equal(routes_ask(r, "r"), TRP_OK);
        later(r, TRP_MS(30)); /* its timer is gone with it */
    }
    assert_int_equal(routes_model(r, "a")->asked, 20);
    assert_int_equal(trp_counter_get(&hedge_of(r)->sent), 0);
}

/* The model keeps a state for it, which a second request would move on. */
static void what_belongs_to_a_sequence_is_asked_once(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes: { r: [ { use: a, hedge: 20ms, shadow: a } ] }");
    struct model *a = routes_model(r, "a");
    a->keeps = true;
    for (int is_text = 0; is_text < 2; is_text++) {
        r->sequence_number = is_text ? 0 : 7;
        r->sequence_text = is_text ? TRP_STR_LIT("seven") : (struct trp_str){ 0 };
        struct trp_call *call = routes_start(r, "r");
        later(r, TRP_MS(30));
        assert_int_equal(a->asked, 1 + is_text);
        model_answer(a, a->kept);
        turn(r);
        assert_ptr_equal(r->answered, call);
        routes_end(r, call);
    }
    assert_int_equal(trp_counter_get(&hedge_of(r)->sent), 0);
    a->keeps = false; /* a shadow of another model has a state of its own */
    routes_read_ok(r, "routes: { r: [ { use: a, shadow: b } ] }");
    assert_int_equal(routes_ask(r, "r"), TRP_OK);
    turn(r);
    assert_int_equal(routes_model(r, "b")->asked, 1);
}

static void a_bad_answer_waits_for_the_other(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes: { r: [ { use: a, hedge: { use: b, after: 20ms }, fallback: c } ] }");
    struct model *a = routes_model(r, "a"), *b = routes_model(r, "b");
    a->keeps = b->keeps = true;
    struct trp_call *call = routes_start(r, "r");
    later(r, TRP_MS(21));
    a->fails = TRP_BACKEND_FAILED;
    model_answer(a, a->kept);
    turn(r);
    assert_null(r->answered);
    model_answer(b, b->kept);
    turn(r);
    assert_ptr_equal(r->answered, call);
    routes_end(r, call);
    assert_string_equal(r->model_name, "b");

    a->fails = 0; /* both fail: the next one is asked */
    call = routes_start(r, "r");
    later(r, TRP_MS(21));
    a->fails = b->fails = TRP_BACKEND_FAILED;
    model_answer(b, b->kept);
    model_answer(a, a->kept);
    turn(r);
    assert_ptr_equal(r->answered, call);
    routes_end(r, call);
    assert_string_equal(r->model_name, "c");
    assert_int_equal(r->err.status.code, TRP_OK);
}

static void the_time_of_an_attempt_ends_both(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes: { r: [ { use: a, hedge: { use: b, after: 20ms }, timeout: 50ms, "
                      "fallback: c } ] }");
    struct model *a = routes_model(r, "a"), *b = routes_model(r, "b");
    a->keeps = b->keeps = true;
    struct trp_call *call = routes_start(r, "r");
    later(r, TRP_MS(21));
    later(r, TRP_MS(30));
    assert_ptr_equal(r->answered, call);
    assert_int_equal(call->lent_n, 2);
    model_answer(a, a->kept);
    model_answer(b, b->kept);
    turn(r);
    routes_end(r, call);
    assert_string_equal(r->model_name, "c");
}

static void a_client_that_goes_ends_both(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes: { r: [ { use: a, hedge: { use: b, after: 20ms } } ] }");
    struct model *a = routes_model(r, "a"), *b = routes_model(r, "b");
    a->keeps = b->keeps = true;
    struct trp_call *call = routes_start(r, "r");
    later(r, TRP_MS(21));
    assert_true(trp_call_try_cancel(call));
    assert_int_equal(trp_oneshot_get(&a->kept->outcome), TRP_OUTCOME_CANCELLED);
    assert_int_equal(trp_oneshot_get(&b->kept->outcome), TRP_OUTCOME_CANCELLED);
    model_answer(a, a->kept);
    model_answer(b, b->kept);
    turn(r);
    assert_ptr_equal(r->answered, call);
    routes_end(r, call);
    assert_int_equal(r->err.status.code, TRP_CANCELLED);
}

static void a_client_that_goes_before_is_not_hedged(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes: { r: [ { use: a, hedge: { use: b, after: 20ms } } ] }");
    struct model *a = routes_model(r, "a");
    a->keeps = true;
    struct trp_call *call = routes_start(r, "r");
    turn(r);
    assert_true(trp_call_try_cancel(call));
    later(r, TRP_MS(30));
    assert_int_equal(routes_model(r, "b")->asked, 0);
    model_answer(a, a->kept);
    turn(r);
    assert_ptr_equal(r->answered, call);
    routes_end(r, call);
}

static void the_budget_has_an_end(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes: { r: { budget: { share: 10%, floor: 0 }, rules: [ { use: a, hedge: "
                      "{ use: b, after: 20ms } } ] } }");
    struct model *a = routes_model(r, "a");
    a->keeps = true;
    for (int i = 0; i < 50; i++) {
        struct trp_call *call = routes_start(r, "r");
        later(r, TRP_MS(21));
        model_answer(a, a->kept);
        turn(r);
        assert_ptr_equal(r->answered, call);
        routes_end(r, call);
        assert_int_equal(r->err.status.code, TRP_OK);
    }
    assert_in_range(routes_model(r, "b")->asked, 3, 6);
    assert_in_range(trp_counter_get(&hedge_of(r)->refused), 44, 47);
}

static void what_is_not_known_yet_is_not_hedged(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes: { r: [ { use: a, hedge: { use: b, after: p95, answers: 20 } } ] }");
    struct model *a = routes_model(r, "a");
    a->keeps = true;
    for (int i = 0; i < 30; i++) {
        struct trp_call *call = routes_start(r, "r");
        later(r, TRP_MS(10));
        if (!r->answered)
            model_answer(a, a->kept);
        turn(r);
        assert_ptr_equal(r->answered, call);
        routes_end(r, call);
    }
    assert_int_equal(routes_model(r, "b")->asked, 0);
    assert_in_range(trp_gauge_get(&hedge_of(r)->wait_ns), TRP_MS(9), TRP_MS(12));
    struct trp_call *call = routes_start(r, "r");
    later(r, TRP_MS(15));
    assert_ptr_equal(r->answered, call);
    assert_int_equal(routes_model(r, "b")->asked, 1);
    model_answer(a, a->kept);
    turn(r);
    routes_end(r, call);
}

static struct trp_breaker_view breaker_of(const struct routes *r, uint32_t goal)
{
    const struct trp_route_plan *p = trp_route_plan_of(trp_route_file_at(r->file, 0));
    return trp_breaker_get(&p->goals[goal].breaker, r->now_ns);
}

/* The first answers after 25 ms with this code (0: when it is given up), the second after 30;
 * who is asked is left as it was. */
static int32_t ask_late(struct routes *r, int32_t first, int32_t second)
{
    struct model *a = routes_model(r, "a"), *b = routes_model(r, "b");
    a->keeps = b->keeps = true;
    a->kept = b->kept = NULL;
    struct trp_call *call = routes_start(r, "r");
    later(r, TRP_MS(21));
    later(r, TRP_MS(4));
    a->fails = first;
    b->fails = second;
    if (first)
        model_answer(a, a->kept);
    turn(r);
    if (!r->answered && b->kept) {
        later(r, TRP_MS(5));
        model_answer(b, b->kept);
        turn(r);
    }
    a->fails = 0;
    if (!first)
        model_answer(a, a->kept);
    turn(r);
    a->fails = b->fails = 0;
    assert_ptr_equal(r->answered, call);
    routes_end(r, call);
    return r->err.status.code;
}

#define HEDGED_CANARY                                                                            \
    "routes: { r: { budget: 100%, rules: [ { use: c, canary: { use: a, steps: [100%] }, hedge: " \
    "{ use: b, after: 20ms }, fallback: c } ] } }"

static void a_second_that_answers_does_not_speak_for_the_first(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, HEDGED_CANARY);
    const struct trp_route_rule *rule = &trp_route_plan_of(trp_route_file_at(r->file, 0))->rules[0];
    const struct trp_route_canary_told told = { ignore_move, NULL };
    trp_route_canary_look(trp_route_file_at(r->file, 0), r->now_ns, &told);
    const uint32_t goal = rule->canary->goal;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask_late(r, TRP_BACKEND_FAILED, 0), TRP_OK);
        assert_string_equal(r->model_name, "b");
    }
    assert_int_equal(trp_counter_get(&rule->canary->new_one.calls), 5);
    assert_int_equal(trp_counter_get(&rule->canary->new_one.failures), 5);
    assert_int_equal(breaker_of(r, goal).failures, 5);
    assert_int_equal(breaker_of(r, hedge_of_goal(r)).calls, 5);
    assert_int_equal(breaker_of(r, hedge_of_goal(r)).failures, 0);

    /* Both fail: the first one's mistake is the client's, whatever the second fails of. */
    assert_int_equal(ask_late(r, TRP_INVALID_ARGUMENT, TRP_BACKEND_FAILED), TRP_INVALID_ARGUMENT);
    assert_int_equal(trp_counter_get(&rule->canary->new_one.failures), 6);
    assert_int_equal(breaker_of(r, goal).failures, 5);
    assert_int_equal(breaker_of(r, hedge_of_goal(r)).failures, 1);
    for (int i = 0; i < 5; i++)
        assert_int_equal(ask_late(r, TRP_BACKEND_FAILED, TRP_QUEUE_FULL), TRP_OK);
    assert_string_equal(r->model_name, "c");
    assert_int_equal(breaker_of(r, goal).phase, TRP_BREAKER_OPEN); /* ten in a row */
    assert_int_equal(breaker_of(r, hedge_of_goal(r)).failures, 1);
}

/* Else one that always fails later than the hedge answers would be none the worse for it. */
static void a_canary_that_is_overtaken_is_heard_out(void **state)
{
    struct routes *r = *state;
    struct model *a = routes_model(r, "a");
    routes_read_ok(r, HEDGED_CANARY);
    const struct trp_route_rule *rule = &trp_route_plan_of(trp_route_file_at(r->file, 0))->rules[0];
    const struct trp_route_canary_told told = { ignore_move, NULL };
    trp_route_canary_look(trp_route_file_at(r->file, 0), r->now_ns, &told);
    for (int i = 0; i < 3; i++) {
        a->keeps = true;
        a->fails = 0;
        struct trp_call *call = routes_start(r, "r");
        later(r, TRP_MS(21));
        assert_ptr_equal(r->answered, call); /* nobody waits for it */
        assert_int_equal(trp_oneshot_get(&a->kept->outcome), TRP_OUTCOME_OPEN);
        later(r, i == 2 ? TRP_S(10) : TRP_MS(39));
        a->fails = i == 1 ? TRP_BACKEND_FAILED : 0;
        assert_int_equal(trp_oneshot_get(&a->kept->outcome),
                         i == 2 ? TRP_OUTCOME_EXPIRED : TRP_OUTCOME_OPEN);
        model_answer(a, a->kept);
        turn(r);
        routes_end(r, call);
        assert_string_equal(r->model_name, "b");
        assert_int_equal(trp_counter_get(&rule->canary->new_one.calls), i + 1);
        assert_int_equal(trp_counter_get(&rule->canary->new_one.failures), i);
        if (i == 1) {
            assert_int_equal(breaker_of(r, rule->canary->goal).calls, 2);
            assert_int_equal(breaker_of(r, rule->canary->goal).failures, 1);
        }
    }
}

static void a_second_whose_breaker_is_open_is_left_alone(void **state)
{
    struct routes *r = *state;
    routes_read_ok(
        r, "routes: { r: { breaker: { row: 3, pause: 1s }, budget: 100%, rules: [ { use: a, "
           "hedge: { use: b, after: 20ms } } ] } }");
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask_late(r, TRP_BACKEND_FAILED, TRP_BACKEND_FAILED), TRP_BACKEND_FAILED);
    assert_int_equal(routes_model(r, "b")->asked, 3);
    assert_int_equal(ask_late(r, TRP_BACKEND_FAILED, 0), TRP_BACKEND_FAILED);
    assert_int_equal(routes_model(r, "b")->asked, 3);
    assert_int_equal(trp_counter_get(&hedge_of(r)->sent), 3);
    r->now_ns += TRP_S(2);
    for (int i = 0; i < 3; i++) /* it closes by itself */
        assert_int_equal(ask_late(r, TRP_BACKEND_FAILED, 0), TRP_OK);
    assert_int_equal(routes_model(r, "b")->asked, 6);
    assert_int_equal(breaker_of(r, hedge_of_goal(r)).phase, TRP_BREAKER_CLOSED);
}

static void mistakes_are_told(void **state)
{
    struct routes *r = *state;
    static const char *const texts[][2] = {
        { "routes: { r: [ { use: a, hedge: soon } ] }", "a quantile such as p95, or a time" },
        { "routes: { r: [ { use: a, hedge: { aftr: p95 } } ] }", "did you mean 'after'?" },
        { "routes: { r: [ { use: a, hedge: { use: '' } } ] }", "expected the name of a model" },
        { "routes: { r: { budget: much, rules: [ { use: a } ] } }", "a share such as 5%" },
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_true(trp_failed(routes_read(r, texts[i][0])));
        assert_non_null(strstr(r->err.text, "routes.yaml:1:"));
        if (!strstr(r->err.text, texts[i][1]))
            fail_msg("%s", r->err.text);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, routes_set_up, routes_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_second_answers_and_the_first_comes_back_later),
        TEST(the_first_answers_and_the_second_comes_back_later),
        TEST(one_that_answers_in_time_is_asked_once),
        TEST(what_belongs_to_a_sequence_is_asked_once),
        TEST(a_bad_answer_waits_for_the_other),
        TEST(the_time_of_an_attempt_ends_both),
        TEST(a_client_that_goes_ends_both),
        TEST(a_client_that_goes_before_is_not_hedged),
        TEST(the_budget_has_an_end),
        TEST(what_is_not_known_yet_is_not_hedged),
        TEST(a_second_that_answers_does_not_speak_for_the_first),
        TEST(a_canary_that_is_overtaken_is_heard_out),
        TEST(a_second_whose_breaker_is_open_is_left_alone),
        TEST(mistakes_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
