/* One call on its way through a route: who is asked, who is asked next, and that it comes back
 * once, as the rules say. */
#include "routes.h"

#include "model/stats.h"
#include "route/route_parts.h"

static void the_first_rule_that_holds_decides(void **state)
{
    struct routes *r = *state;
    routes_read_ok(
        r, "routes: { r: [ { when: params.n == 1, use: a }, { when: params.n > 1, use: b }, "
           "{ use: c } ] }");
    struct trp_param *n = routes_param(r, "n", 1);
    static const char *const who[] = { "c", "a", "b", "b" };
    for (int64_t i = 0; i < 4; i++) {
        n->v.i = i;
        assert_int_equal(routes_ask(r, "r"), TRP_OK);
        assert_string_equal(r->model_name, who[i]);
    }
    assert_string_equal(r->why, "route r, rule 2 -> b/3");
    r->params_n = 0;
    assert_int_equal(routes_ask(r, "r"), TRP_OK); /* unknown twice, then the rest */
    const struct trp_route_plan *p = trp_route_plan_of(trp_route_file_at(r->file, 0));
    assert_int_equal(trp_counter_get(&p->rules[0].unknown), 1);
    assert_int_equal(trp_counter_get(&p->rules[1].matched), 2);
    assert_int_equal(trp_counter_get(&p->rules[2].matched), 2);
}

static void what_no_rule_takes_is_refused_with_what_each_found(void **state)
{
    struct routes *r = *state;
    routes_read_ok(
        r, "routes: { r: [ { when: params.n == 1, use: a }, { when: params.m, use: b } ] }");
    (void)routes_param(r, "n", 2);
    assert_int_equal(routes_ask(r, "r"), TRP_NOT_FOUND);
    assert_non_null(
        strstr(r->err.text, "no rule of route 'r' matches: rule 1 does not hold; rule 2 "));
    assert_non_null(strstr(r->err.text, "params.m is missing"));
    assert_int_equal(trp_route_unmatched(trp_route_file_at(r->file, 0)), 1);
}

/* Not a name that the client wrote: it is there, and may be able to answer later. */
static void a_target_that_is_not_there_is_no_unknown_model(void **state)
{
    static const char *const texts[] = { "routes: { r: [ { use: a } ] }",
                                         "routes: { r: [ { use: b, fallback: a } ] }",
                                         "routes: { r: [ { use: a, timeout: 1s } ] }" };
    struct routes *r = *state;
    routes_model(r, "a")->is_missing = routes_model(r, "b")->is_missing = true;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        routes_read_ok(r, texts[i]);
        assert_int_equal(routes_ask(r, "r"), TRP_NOT_READY);
        assert_string_equal(r->err.text, "route 'r', rule 1: 'a' is not found");
    }
}

static void a_target_that_fails_is_followed_by_the_next(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes: { r: [ { use: a, fallback: [b, c] } ] }");
    routes_model(r, "a")->fails = TRP_BACKEND_FAILED;
    routes_model(r, "b")->is_missing = true;
    assert_int_equal(routes_ask(r, "r"), TRP_OK);
    assert_string_equal(r->model_name, "c");
    assert_string_equal(r->why, "route r, rule 1: fallback, because it was not ready -> c/3");
    routes_model(r, "c")->fails = TRP_QUEUE_FULL;
    assert_int_equal(routes_ask(r, "r"), TRP_QUEUE_FULL); /* the last one's */
    routes_model(r, "a")->fails = TRP_INVALID_ARGUMENT;
    const int before = routes_model(r, "c")->asked;
    assert_int_equal(routes_ask(r, "r"), TRP_INVALID_ARGUMENT); /* the client's own fault */
    assert_int_equal(routes_model(r, "c")->asked, before);
}

static void a_target_that_fails_again_and_again_is_left_alone(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes: { r: [ { use: a, fallback: b } ] }");
    routes_model(r, "a")->fails = TRP_BACKEND_FAILED;
    for (int i = 0; i < 50; i++)
        assert_int_equal(routes_ask(r, "r"), TRP_OK);
    assert_in_range(routes_model(r, "a")->asked, 10, 20);
    assert_string_equal(r->why, "route r, rule 1: fallback, because its breaker is open -> b/3");
    routes_model(r, "a")->fails = 0;
    for (int i = 0; i < 20; i++) {
        r->now_ns += TRP_S(1);
        assert_int_equal(routes_ask(r, "r"), TRP_OK);
    }
    assert_string_equal(r->model_name, "a"); /* it closes by itself */
}

/* What is kept of the last decision. */
static struct trp_route_sample last_sample(struct routes *r)
{
    struct trp_route_sample samples[TRP_ROUTE_SAMPLES_MAX];
    struct trp_router *route = trp_route_file_at(r->file, 0);
    assert_true(trp_route_samples_copy(&route->samples, samples) > 0);
    r->now_ns += TRP_MS(200); /* the next one is kept, too */
    routes_turn(r);
    return samples[0];
}

static const char *target_of(struct routes *r, const struct trp_route_sample *s)
{
    const struct trp_router *route = trp_route_file_at(r->file, 0);
    return trp_route_plan_of(route)->goals[s->goal].text.ptr;
}

/* The first choice was a, and it was b who answered: both are told. */
static void of_a_decision_it_is_told_who_answered_in_the_end(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes: { r: [ { when: params.n == 1, use: a, fallback: b } ] }");
    struct trp_param *n = routes_param(r, "n", 1);
    assert_int_equal(routes_ask(r, "r"), TRP_OK);
    struct trp_route_sample s = last_sample(r);
    assert_string_equal(s.answered_by, "a");
    assert_int_equal(s.version, 3);
    assert_string_equal(s.because, "first choice");
    routes_model(r, "a")->is_missing = true;
    assert_int_equal(routes_ask(r, "r"), TRP_OK);
    s = last_sample(r);
    assert_true(strncmp(target_of(r, &s), "a", 1) == 0);
    assert_string_equal(s.answered_by, "b");
    assert_string_equal(s.because, "fallback, because it was not ready");
    assert_int_equal(s.code, TRP_OK);
    routes_model(r, "b")->fails = TRP_QUEUE_FULL;
    assert_int_equal(routes_ask(r, "r"), TRP_QUEUE_FULL);
    s = last_sample(r);
    assert_string_equal(s.answered_by, "");
    assert_null(s.because);
    assert_int_equal(s.code, TRP_QUEUE_FULL);
    n->v.i = 2;
    assert_int_equal(routes_ask(r, "r"), TRP_NOT_FOUND);
    s = last_sample(r);
    assert_int_equal(s.goal, UINT32_MAX);
    assert_int_equal(s.code, TRP_NOT_FOUND);
}

static void a_decision_is_ended_only_while_it_is_kept(void **state)
{
    struct routes *r = *state;
    struct trp_route_sample samples[TRP_ROUTE_SAMPLES_MAX];
    routes_read_ok(r, "routes: { r: [ { when: params.n == 1, use: a }, { use: b } ] }");
    struct trp_param *n = routes_param(r, "n", 1);
    struct model *a = routes_model(r, "a");
    a->keeps = true;
    struct trp_call *call = routes_start(r, "r");
    routes_turn(r);
    struct trp_route_sample s = last_sample(r);
    assert_null(s.because);
    assert_int_equal(s.code, TRP_OK);
    n->v.i = 2;
    for (uint32_t i = 0; i < TRP_ROUTE_SAMPLES_MAX; i++) {
        assert_int_equal(routes_ask(r, "r"), TRP_OK);
        (void)last_sample(r);
    }
    model_answer(a, a->kept);
    routes_turn(r);
    routes_end(r, call);
    struct trp_router *route = trp_route_file_at(r->file, 0);
    const uint32_t kept = trp_route_samples_copy(&route->samples, samples);
    assert_int_equal(kept, TRP_ROUTE_SAMPLES_MAX);
    for (uint32_t i = 0; i < kept; i++)
        assert_string_equal(samples[i].answered_by, "b");
}

static const struct trp_route_goal *first_goal(struct routes *r)
{
    return &trp_route_plan_of(trp_route_file_at(r->file, 0))->goals[0];
}

/* An alert on failed/asked is about the target, not about who asks it wrongly, or goes. */
static void a_clients_own_mistake_is_no_failure_of_the_target(void **state)
{
    static const char *const texts[] = {
        "routes: { r: [ { use: a } ] }", "routes: { r: [ { use: a, fallback: b } ] }",
        "routes: { r: [ { use: a, timeout: 1s, fallback: b } ] }"
    };
    struct routes *r = *state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        routes_read_ok(r, texts[i]);
        const struct trp_route_goal *a = first_goal(r);
        struct model *m = routes_model(r, "a");
        m->fails = TRP_INVALID_ARGUMENT;
        assert_int_equal(routes_ask(r, "r"), TRP_INVALID_ARGUMENT);
        m->fails = TRP_OK;
        r->wanted.name = TRP_STR_LIT("nothing"); /* refused before it is begun */
        assert_int_equal(routes_ask(r, "r"), TRP_INVALID_ARGUMENT);
        r->wanted.name = (struct trp_str){ NULL, 0 };
        assert_int_equal(trp_counter_get(&a->failed), 0);
        assert_int_equal(trp_counter_get(&a->client_errors), 2);
        m->fails = TRP_CANCELLED;
        (void)routes_ask(r, "r");
        assert_int_equal(trp_counter_get(&a->failed), 0);
        m->fails = TRP_OK;
        m->is_missing = true;
        (void)routes_ask(r, "r");
        m->is_missing = false;
        assert_int_equal(trp_counter_get(&a->failed), 1);
        assert_int_equal(trp_counter_get(&a->client_errors), 2);
        assert_int_equal(trp_counter_get(&a->asked), 4);
    }
}

static void retries_ask_the_same_one_again_within_their_budget(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes: { r: [ { use: a, retries: 1 } ] }");
    routes_model(r, "a")->fails = TRP_BACKEND_FAILED;
    for (int i = 0; i < 100; i++)
        assert_int_equal(routes_ask(r, "r"), TRP_BACKEND_FAILED);
    assert_in_range(routes_model(r, "a")->asked, 105, 130); /* a tenth, and one a second */
}

static void an_attempt_with_a_time_of_its_own_is_given_up(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes: { r: [ { use: a, timeout: 30ms, fallback: b } ] }");
    struct model *a = routes_model(r, "a");
    a->keeps = true;
    struct trp_call *call = routes_start(r, "r");
    routes_turn(r);
    assert_null(r->answered);
    assert_non_null(a->kept);
    assert_ptr_not_equal(a->kept, call);
    r->now_ns += TRP_MS(31);
    for (int i = 0; i < 5; i++)
        routes_turn(r);
    assert_ptr_equal(r->answered, call);
    assert_int_equal(call->error.status.code, TRP_OK);
    assert_int_equal(call->lent_n, 1); /* the first one still looks at the inputs */
    model_answer(a, a->kept);
    routes_turn(r);
    assert_int_equal(call->lent_n, 0);
    assert_true(trp_str_is(call->answered_by, "b"));
    assert_true(trp_str_is(call->outputs[0].name, "y"));
    routes_end(r, call);
    assert_string_equal(r->why, "route r, rule 1: fallback after a timeout -> b/3");
    assert_int_equal(r->finished, 2); /* both attempts were counted where they were made */
}

/* A time of its own makes a second call of an attempt; what the client sent stays the same. */
static void a_nested_route_sees_what_the_client_sent(void **state)
{
    static const char *const texts[] = {
        "routes:\n  inner: [ { when: request.protocol == 'http' && request.model == 'outer', use: "
        "a },\n"
        "           { use: b } ]\n  outer: [ { use: inner } ]\n",
        "routes:\n  inner: [ { when: request.protocol == 'http' && request.model == 'outer', use: "
        "a },\n"
        "           { use: b } ]\n  outer: [ { use: inner, timeout: 1s } ]\n",
    };
    struct routes *r = *state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        routes_read_ok(r, texts[i]);
        assert_int_equal(routes_ask(r, "outer"), TRP_OK);
        assert_string_equal(r->model_name, "a");
    }
}

static void a_rule_may_say_of_what_the_next_one_is_asked(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r,
                   "routes: { r: [ { use: a, fallback: b, fallback_on: [timeout, overload] } ] }");
    struct model *a = routes_model(r, "a");
    a->fails = TRP_QUEUE_FULL;
    assert_int_equal(routes_ask(r, "r"), TRP_OK);
    assert_string_equal(r->model_name, "b");
    a->fails = TRP_INTERNAL;
    assert_int_equal(routes_ask(r, "r"), TRP_INTERNAL);
    a->fails = TRP_NOT_READY;
    assert_int_equal(routes_ask(r, "r"), TRP_NOT_READY);
    assert_int_equal(routes_model(r, "b")->asked, 1);
}

static void a_time_that_is_too_short_to_begin_is_a_timeout(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes: { r: [ { use: a, timeout: 30ms, fallback: b } ] }");
    struct model *a = routes_model(r, "a");
    a->fails = TRP_UNAVAILABLE;
    assert_int_equal(routes_ask(r, "r"), TRP_OK);
    assert_string_equal(r->why, "route r, rule 1: fallback, because it was not ready -> b/3");
    a->is_too_late = true;
    assert_int_equal(routes_ask(r, "r"), TRP_OK);
    assert_string_equal(r->why, "route r, rule 1: fallback after a timeout -> b/3");
    for (int i = 0; i < 20; i++)
        assert_int_equal(routes_ask(r, "r"), TRP_OK);
    assert_int_equal(a->asked, 11); /* then it is left alone */
    const struct trp_route_plan *p = trp_route_plan_of(trp_route_file_at(r->file, 0));
    assert_int_equal(trp_counter_get(&p->rules[0].timed_out), 10);
    r->deadline_ns = r->now_ns + TRP_MS(5); /* the client's own hurry opens nothing */
    routes_read_ok(r, "routes: { r: [ { use: a, timeout: 30ms, fallback: b } ] }");
    for (int i = 0; i < 20; i++)
        assert_int_equal(routes_ask(r, "r"), TRP_OK);
    assert_int_equal(a->asked, 31);
}

static void without_a_fallback_the_time_that_is_up_is_told(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes: { r: [ { use: a, timeout: 30ms } ] }");
    struct model *a = routes_model(r, "a");
    assert_int_equal(routes_ask(r, "r"), TRP_OK); /* in time */
    assert_string_equal(r->model_name, "a");
    a->keeps = true;
    struct trp_call *call = routes_start(r, "r");
    r->now_ns += TRP_MS(31);
    for (int i = 0; i < 5; i++)
        routes_turn(r);
    assert_ptr_equal(r->answered, call);
    assert_int_equal(call->error.status.code, TRP_DEADLINE_EXCEEDED);
    model_answer(a, a->kept);
    routes_turn(r);
    routes_end(r, call);
}

static void a_client_that_goes_ends_it(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes: { r: [ { use: a, timeout: 1s, fallback: b } ] }");
    struct model *a = routes_model(r, "a");
    a->keeps = true;
    struct trp_call *call = routes_start(r, "r");
    assert_true(trp_call_try_cancel(call));
    assert_true(trp_cancel_is_raised(&a->kept->cancel));
    model_answer(a, a->kept);
    routes_turn(r);
    assert_ptr_equal(r->answered, call);
    assert_int_equal(routes_model(r, "b")->asked, 0); /* nobody waits for an answer */
    routes_end(r, call);
}

static void routes_stand_behind_routes(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes:\n  one: [ { use: two } ]\n  two: [ { use: three, fallback: b } ]\n"
                      "  three: [ { use: a } ]\n");
    assert_int_equal(routes_ask(r, "one"), TRP_OK);
    assert_string_equal(r->model_name, "a");
    assert_string_equal(r->why, "route one, rule 1 -> a/3");
    routes_model(r, "a")->fails = TRP_BACKEND_FAILED;
    assert_int_equal(routes_ask(r, "one"), TRP_OK);
    assert_string_equal(r->model_name, "b");
}

static void a_circle_ends(void **state)
{
    struct routes *r = *state;
    routes_read_ok(
        r, "routes: { one: [ { use: two } ], two: [ { use: one } ] }"); /* not checked here */
    assert_int_equal(routes_ask(r, "one"), TRP_TOO_LARGE);
}

static void what_is_explained_is_what_is_served(void **state)
{
    struct routes *r = *state;
    struct trp_random chance = { 7 };
    uint32_t left = 0;
    routes_read_ok(
        r, "routes: { r: [ { when: params.n % 3 == 0, use: a }, { when: params.m < 5, use: b }, "
           "{ split: { a: 1, b: 1, c: 1 }, sticky: params.n } ] }");
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 1 << 20);
    for (int i = 0; i < 10000; i++) {
        r->params_n = 0;
        (void)routes_param(r, "n", (int64_t)(trp_random_next(&chance) % 1000));
        if (i % 2)
            (void)routes_param(r, "m", (int64_t)(trp_random_next(&chance) % 10));
        struct trp_call *call = trp_call_take(r->pool);
        call->params = r->params;
        call->params_n = r->params_n;
        call->model = TRP_STR_LIT("r");
        trp_buf_reset(&b);
        const struct trp_target_question q = { .call = call, .left = &left };
        trp_route_explain(trp_route_target(trp_route_file_at(r->file, 0)), &q, &b);
        trp_call_give_back(call);
        assert_int_equal(routes_ask(r, "r"), TRP_OK);
        char model[96], why[96];
        (void)snprintf(model, sizeof model, "\"model\":\"%s\"", r->model_name);
        char *const who = strstr(r->why, " -> ");
        assert_non_null(who);
        *who = '\0'; /* explain says it apart */
        (void)snprintf(why, sizeof why, "\"reason\":\"%s\"", r->why);
        const char *text = trp_buf_text(&b);
        assert_non_null(text);
        assert_non_null(strstr(text, model));
        assert_non_null(strstr(text, why));
    }
    trp_buf_deinit(&b);
}

/* It can answer, and speaks of one of its own that it does without. */
static trp_status mutter(const struct trp_target *t, uint32_t loop_index, struct trp_arena *arena,
                         struct trp_signature *out, struct trp_error *err)
{
    (void)t;
    (void)loop_index;
    (void)arena;
    assert_null(out);
    (void)trp_fail(err, TRP_NOT_READY, "one of two is not there");
    return trp_ok();
}

/* What rules choose is not always there; who is asked for a shadow neither. */
static void an_explanation_tells_who_is_not_there_and_who_answers_then(void **state)
{
    struct routes *r = *state;
    static const struct {
        const char *rules, *gone, *say;
    } rows[] = {
        { "{ use: a, fallback: b }", "", "\"trouble\":null}],\"answers\":\"a\",\"shadow\":null" },
        { "{ use: a, fallback: b }", "a", "\"trouble\":\"'a' is not found\"},{\"target\":\"b\"" },
        { "{ use: a, fallback: b }", "a", "\"answers\":\"b\"" },
        { "{ use: a, fallback: b, fallback_on: error }", "a", "\"answers\":null" },
        { "{ use: a, fallback: b }", "ab", "\"answers\":null" },
        { "{ use: a, shadow: { use: b, share: 10% } }", "b",
          "\"answers\":\"a\",\"shadow\":{\"target\":\"b\",\"share\":0.1,"
          "\"trouble\":\"'b' is not found\"}" },
        { "{ use: a, shadow: b }", "",
          "\"shadow\":{\"target\":\"b\",\"share\":1,\"trouble\":null}" },
        { "{ use: inner }", "b", "\"answers\":\"inner\"" }, /* it may decide for another one */
        { "{ use: c }", "", "\"trouble\":null}],\"answers\":\"c\"" },
        { "{ use: c }", "c", "\"trouble\":\"'c' is not found\"}],\"answers\":null" },
    };
    static struct trp_target_ops muttering;
    muttering = *routes_model(r, "c")->target.ops;
    muttering.describe = mutter;
    routes_model(r, "c")->target.ops = &muttering;
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 1 << 20);
    for (uint32_t i = 0; i < ARRAY_LEN(rows); i++) {
        char yaml[256];
        (void)snprintf(yaml, sizeof yaml, "routes: { r: [ %s ], inner: [ { use: b } ] }",
                       rows[i].rules);
        routes_read_ok(r, yaml);
        routes_model(r, "a")->is_missing = strchr(rows[i].gone, 'a') != NULL;
        routes_model(r, "b")->is_missing = strchr(rows[i].gone, 'b') != NULL;
        routes_model(r, "c")->is_missing = strchr(rows[i].gone, 'c') != NULL;
        struct trp_call *call = trp_call_take(r->pool);
        uint32_t left = 8;
        const struct trp_target_question q = { .call = call, .left = &left };
        trp_buf_reset(&b);
        trp_route_explain(trp_route_target(trp_route_file_at(r->file, 0)), &q, &b);
        trp_call_give_back(call);
        const char *text = trp_buf_text(&b);
        assert_non_null(text);
        if (!strstr(text, rows[i].say))
            fail_msg("%s without '%s': no %s in %s", rows[i].rules, rows[i].gone, rows[i].say,
                     text);
    }
    trp_buf_deinit(&b);
}

/* A step of a composition asks the route, and what it will be asked about is not made yet. */
static void what_depends_on_steps_that_did_not_run_is_left_undecided(void **state)
{
    struct routes *r = *state;
    static const struct {
        const char *rules, *say;
    } rows[] = {
        { "{ when: inputs.x.max > 3, use: a }, { use: b }", "\"chosen\":null,\"undecided\":\"1\"" },
        { "{ when: params.n == 1 || inputs.x.max > 3, use: a }, { use: b }", "\"target\":\"a\"" },
        { "{ when: params.n == 2 && inputs.x.max > 3, use: a }, { use: b }", "\"target\":\"b\"" },
        { "{ when: has(inputs.x), use: a }, { use: b }", "\"chosen\":null,\"undecided\":\"1\"" },
        { "{ when: has(inputs.z), use: a }, { use: b }", "\"target\":\"b\"" },
        { "{ when: params.gone > 1, use: a }, { use: b }", "\"target\":\"b\"" },
        { "{ when: params.gone > 1 || request.rows > 1, use: a }, { use: b }",
          "\"chosen\":null,\"undecided\":\"1\"" },
        { "{ split: { a: 1, b: 1 }, sticky: 'inputs.x[0]' }",
          "\"chosen\":null,\"undecided\":\"1\"" },
        { "{ when: params.n == 1, use: a }, { when: inputs.x.max > 3, use: b }",
          "\"undecided\":null" },
        { "{ when: params.n == 2, use: a }, { name: late, when: inputs.x.max > 3, use: b }",
          "\"undecided\":\"late\"" },
    };
    const struct trp_str later[] = { TRP_STR_LIT("x") };
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 1 << 20);
    for (uint32_t i = 0; i < ARRAY_LEN(rows); i++) {
        char yaml[256];
        (void)snprintf(yaml, sizeof yaml, "routes: { r: [ %s ] }", rows[i].rules);
        routes_read_ok(r, yaml);
        r->params_n = 0;
        (void)routes_param(r, "n", 1);
        struct trp_call *call = trp_call_take(r->pool);
        call->params = r->params;
        call->params_n = r->params_n;
        const struct trp_target_question q = { .call = call, .later = later, .later_n = 1 };
        trp_buf_reset(&b);
        trp_route_explain(trp_route_target(trp_route_file_at(r->file, 0)), &q, &b);
        trp_call_give_back(call);
        const char *text = trp_buf_text(&b);
        assert_non_null(text);
        if (!strstr(text, rows[i].say))
            fail_msg("%s: no %s in %s", rows[i].rules, rows[i].say, text);
    }
    trp_buf_deinit(&b);
}

static void old_rules_end_what_they_began(void **state)
{
    struct routes *r = *state;
    routes_read_ok(r, "routes: { r: [ { use: a, fallback: b } ] }");
    struct model *a = routes_model(r, "a");
    a->keeps = true;
    struct trp_call *call = routes_start(r, "r");
    routes_read_ok(r, "routes: { r: [ { use: c } ] }"); /* the old file is let go */
    a->fails = TRP_BACKEND_FAILED;
    model_answer(a, a->kept);
    for (int i = 0; i < 5; i++)
        routes_turn(r);
    assert_ptr_equal(r->answered, call);
    routes_end(r, call);
    assert_string_equal(r->model_name, "b");
}

/* A call to the route whose first target fails after 200 ms, and whose second one answers 3 ms
 * later; counted as front does it. */
static int32_t ask_a_late_one(struct routes *r)
{
    struct model *a = routes_model(r, "a"), *b = routes_model(r, "b");
    a->keeps = b->keeps = true;
    b->kept = NULL;
    struct trp_call *call = routes_start(r, "r");
    call->stamps_ns[TRP_PHASE_QUEUED] = r->now_ns; /* as exec does it */
    r->now_ns += TRP_MS(200);
    routes_turn(r);
    a->fails = TRP_BACKEND_FAILED;
    model_answer(a, a->kept);
    a->fails = 0;
    for (int i = 0; i < 5; i++)
        routes_turn(r);
    r->now_ns += TRP_MS(3);
    routes_turn(r);
    if (b->kept)
        model_answer(b, b->kept);
    for (int i = 0; i < 5; i++)
        routes_turn(r);
    assert_ptr_equal(r->answered, call);
    routes_finished(r, 0, call);
    const int32_t code = call->error.status.code;
    routes_end(r, call);
    return code;
}

static void each_attempt_is_counted_with_its_own_target_and_time(void **state)
{
    struct routes *r = *state;
    struct model *a = routes_model(r, "a"), *b = routes_model(r, "b");
    routes_read_ok(r, "routes: { r: [ { use: a, fallback: b } ] }");
    assert_int_equal(ask_a_late_one(r), TRP_OK);
    assert_int_equal(a->counted, 1);
    assert_int_equal(a->counted_failed, 1);
    assert_true(a->took_ns == TRP_MS(200));
    assert_int_equal(b->counted, 1);
    assert_int_equal(b->counted_failed, 0);
    assert_true(b->took_ns == TRP_MS(3));
    assert_true(b->queued_ns == 0); /* of the first one's */
    struct trp_target *route = trp_route_target(trp_route_file_at(r->file, 0));
    const struct trp_stats *s = route->ops->stats(route);
    assert_int_equal(trp_counter_get(&s->success.count), 1);
    assert_true(trp_counter_get(&s->success.ns) == TRP_MS(203));

    b->is_missing = true; /* nobody else is counted for what could not be asked */
    r->finished = 0;
    assert_int_equal(ask_a_late_one(r), TRP_NOT_READY);
    assert_int_equal(a->counted, 2);
    assert_int_equal(b->counted, 1);
    assert_int_equal(r->finished, 2); /* the second one: the route, by front */
}

static void what_a_route_behind_a_route_failed_of_is_counted_there(void **state)
{
    struct routes *r = *state;
    struct model *a = routes_model(r, "a"), *b = routes_model(r, "b"), *c = routes_model(r, "c");
    routes_read_ok(
        r, "routes: { r: [ { use: two, fallback: c } ], two: [ { use: a, fallback: b } ] }");
    b->fails = TRP_BACKEND_FAILED;
    assert_int_equal(ask_a_late_one(r), TRP_OK);
    assert_int_equal(a->counted_failed, 1);
    assert_int_equal(b->counted_failed, 1);
    assert_true(b->took_ns == 0);
    assert_int_equal(c->counted, 1);
    assert_int_equal(c->counted_failed, 0);
    assert_int_equal(r->finished, 3);
}

static void a_models_own_deadline_ends_an_attempt(void **state)
{
    struct routes *r = *state;
    static const char *const texts[] = { "routes: { r: [ { use: a } ] }",
                                         "routes: { r: [ { use: a, timeout: 1s } ] }",
                                         "routes: { r: [ { use: a, hedge: 2s } ] }",
                                         "routes: { r: [ { use: a, fallback: b } ] }" };
    struct model *a = routes_model(r, "a"), *b = routes_model(r, "b");
    a->keeps = true;
    a->patience_ns = TRP_MS(150);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        routes_read_ok(r, texts[i]);
        struct trp_call *call = routes_start(r, "r");
        r->now_ns += TRP_MS(149);
        routes_turn(r);
        assert_null(r->answered);
        r->now_ns += TRP_MS(2);
        for (int k = 0; k < 5; k++)
            routes_turn(r);
        assert_ptr_equal(r->answered, call);
        assert_true(call->deadline_ns == 0); /* the fallback has all of the client's time */
        assert_int_equal(trp_oneshot_get(&a->kept->outcome), TRP_OUTCOME_EXPIRED);
        model_answer(a, a->kept);
        routes_turn(r);
        routes_end(r, call);
        assert_int_equal(r->err.status.code, i < 3 ? TRP_DEADLINE_EXCEEDED : TRP_OK);
        assert_true(i == 3 || strstr(r->err.text, "in the time that its model gives it"));
    }
    assert_int_equal(b->asked, 1);
    assert_string_equal(r->why, "route r, rule 1: fallback after a timeout -> b/3");
    const struct trp_route_plan *p = trp_route_plan_of(trp_route_file_at(r->file, 0));
    assert_int_equal(trp_breaker_get(&p->goals[0].breaker, r->now_ns).failures, 1);
}

static void a_model_that_has_more_time_than_the_client_is_asked_by_his_own_call(void **state)
{
    struct routes *r = *state;
    struct model *a = routes_model(r, "a");
    routes_read_ok(r, "routes: { r: [ { use: a } ] }");
    a->patience_ns = TRP_S(20);
    a->keeps = true;
    r->deadline_ns = r->now_ns + TRP_S(10);
    struct trp_call *call = routes_start(r, "r");
    r->deadline_ns = 0;
    assert_ptr_equal(a->kept, call);
    model_answer(a, a->kept);
    routes_turn(r);
    assert_ptr_equal(r->answered, call);
    routes_end(r, call);
}

/* Labels of classes are found by it. */
static void an_answer_knows_which_output_it_is(void **state)
{
    struct routes *r = *state;
    static const char *const texts[] = { "routes: { r: [ { use: a } ] }",
                                         "routes: { r: [ { use: a, timeout: 1s } ] }" };
    struct model *a = routes_model(r, "a");
    struct trp_io outputs[] = { a->output, a->output };
    outputs[1].name = TRP_STR_LIT("z");
    a->signature.outputs = outputs;
    a->signature.outputs_n = 2;
    r->wanted = (struct trp_wanted){ .name = outputs[1].name, .classification = 1 };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        routes_read_ok(r, texts[i]);
        struct trp_call *call = routes_start(r, "r");
        for (int k = 0; k < 5; k++)
            routes_turn(r);
        assert_ptr_equal(r->answered, call);
        assert_int_equal(call->error.status.code, TRP_OK);
        assert_int_equal(call->wanted_n, 1);
        assert_int_equal(call->wanted[0].index, 1);
        assert_int_equal(call->wanted[0].classification, 1);
        routes_end(r, call);
    }
}

/* Each of them asks by a child: the client's call has the signature of whoever answered, however
 * deep it was. */
static void an_answer_from_behind_two_routes_knows_it_too(void **state)
{
    struct routes *r = *state;
    static const char *const texts[] = {
        "routes: { r: [ { use: s, timeout: 2s } ], s: [ { use: a, timeout: 1s } ] }",
        "routes: { r: [ { use: s, timeout: 2s } ], s: [ { use: a } ] }",
        "routes: { r: [ { use: s } ], s: [ { use: a, timeout: 1s } ] }",
        "routes: { r: [ { use: s, fallback: [b] } ], s: [ { use: a, timeout: 1s, fallback: [c] } ] "
        "}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct model *a = routes_model(r, "a");
        routes_read_ok(r, texts[i]);
        struct trp_call *call = routes_start(r, "r");
        for (int k = 0; k < 9; k++)
            routes_turn(r);
        assert_ptr_equal(r->answered, call);
        assert_int_equal(call->error.status.code, TRP_OK);
        assert_ptr_equal(trp_call_answer_signature(call), &a->signature);
        routes_end(r, call);
    }
}

/* What the first attempt came back with is forgotten. */
static void an_answer_that_was_taken_back_leaves_nothing(void **state)
{
    struct routes *r = *state;
    struct model *a = routes_model(r, "a"), *b = routes_model(r, "b");
    routes_read_ok(r,
                   "routes: { r: [ { use: s, fallback: [b] } ], s: [ { use: a, timeout: 1s } ] }");
    a->fails = TRP_UNAVAILABLE;
    struct trp_call *call = routes_start(r, "r");
    for (int k = 0; k < 9; k++)
        routes_turn(r);
    assert_ptr_equal(r->answered, call);
    assert_ptr_equal(trp_call_answer_signature(call), &b->signature);
    assert_null(call->answered_as);
    routes_end(r, call);
}

static void a_shadow_is_given_constants_for_each_row(void **state)
{
    struct routes *r = *state;
    struct model *b = routes_model(r, "b");
    struct trp_io inputs[] = {
        b->input,
        { .name = TRP_STR_LIT("k"), .dtype = TROUPE_INT64, .rank = 2, .dims = { -1, 1 } },
    };
    b->signature.inputs = inputs;
    b->signature.inputs_n = 2;
    b->signature.batch_max = 8;
    routes_read_ok(r, "routes: { r: { targets: { t: { model: b, constants: { k: [3] } } }, "
                      "rules: [ { use: a, shadow: t } ] } }");
    assert_int_equal(routes_ask(r, "r"), TRP_OK);
    assert_int_equal(b->asked, 1);
    const struct trp_route_plan *p = trp_route_plan_of(trp_route_file_at(r->file, 0));
    assert_int_equal(trp_counter_get(&p->rules[0].agreement.failed), 0);
}

static void a_shadow_that_takes_too_long_is_given_up(void **state)
{
    struct routes *r = *state;
    assert_int_equal(routes_read(r, "routes: { r: [ { use: a, shadow: b } ] }").code, TRP_OK);
    struct model *b = routes_model(r, "b");
    b->keeps = true;
    struct trp_call *call = routes_start(r, "r");
    for (int i = 0; i < 5; i++)
        routes_turn(r);
    assert_ptr_equal(r->answered, call); /* nobody waits for it */
    assert_int_equal(call->lent_n, 1);
    assert_int_equal(trp_oneshot_get(&b->kept->outcome), TRP_OUTCOME_OPEN);
    assert_int_equal(b->kept->priority_class, TRP_PRIORITY_BATCH); /* it comes after all others */
    assert_true(b->kept->is_class_named && b->kept->is_aside && !call->is_aside);
    r->now_ns += TRP_S(10) + 1;
    for (int i = 0; i < 5; i++)
        routes_turn(r);
    assert_int_equal(trp_oneshot_get(&b->kept->outcome), TRP_OUTCOME_EXPIRED);
    assert_true(trp_cancel_is_raised(&b->kept->cancel)); /* its backend stops */
    model_answer(b, b->kept);
    for (int i = 0; i < 5; i++)
        routes_turn(r);
    routes_end(r, call);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, routes_set_up, routes_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_first_rule_that_holds_decides),
        TEST(what_no_rule_takes_is_refused_with_what_each_found),
        TEST(a_target_that_is_not_there_is_no_unknown_model),
        TEST(a_target_that_fails_is_followed_by_the_next),
        TEST(a_target_that_fails_again_and_again_is_left_alone),
        TEST(of_a_decision_it_is_told_who_answered_in_the_end),
        TEST(a_decision_is_ended_only_while_it_is_kept),
        TEST(a_clients_own_mistake_is_no_failure_of_the_target),
        TEST(retries_ask_the_same_one_again_within_their_budget),
        TEST(an_attempt_with_a_time_of_its_own_is_given_up),
        TEST(a_nested_route_sees_what_the_client_sent),
        TEST(a_rule_may_say_of_what_the_next_one_is_asked),
        TEST(a_time_that_is_too_short_to_begin_is_a_timeout),
        TEST(without_a_fallback_the_time_that_is_up_is_told),
        TEST(a_client_that_goes_ends_it),
        TEST(routes_stand_behind_routes),
        TEST(a_circle_ends),
        TEST(what_is_explained_is_what_is_served),
        TEST(an_explanation_tells_who_is_not_there_and_who_answers_then),
        TEST(what_depends_on_steps_that_did_not_run_is_left_undecided),
        TEST(old_rules_end_what_they_began),
        TEST(each_attempt_is_counted_with_its_own_target_and_time),
        TEST(what_a_route_behind_a_route_failed_of_is_counted_there),
        TEST(a_models_own_deadline_ends_an_attempt),
        TEST(a_model_that_has_more_time_than_the_client_is_asked_by_his_own_call),
        TEST(an_answer_knows_which_output_it_is),
        TEST(an_answer_from_behind_two_routes_knows_it_too),
        TEST(an_answer_that_was_taken_back_leaves_nothing),
        TEST(a_shadow_is_given_constants_for_each_row),
        TEST(a_shadow_that_takes_too_long_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
