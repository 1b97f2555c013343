/* What a composition would do with a request is told without doing it: by the rules that it is
 * done by. */
#include "unit/compose/compose_fixture.h"

static float x[] = { 1, 2, 3, 4, 5, 6 };

/* Explains a name for one row of three as input x, or for nothing. */
static const char *explain(struct trp_buf *b, const char *name, bool has_input)
{
    struct trp_target *target;
    void (*release)(struct trp_target *);
    const struct trp_sought sought = { trp_str_of(name), 0, NULL };
    struct trp_call_tensor in = {
        .name = TRP_STR_LIT("x"),
        .tensor = { .dtype = TROUPE_FP32, .rank = 2, .shape = { 1, 3 }, .data = x, .bytes = 12 }
    };
    struct trp_wanted wanted = { .name = trp_str_of(fx.wanted ? fx.wanted : "") };
    struct trp_param wild = { .name = TRP_STR_LIT("wild"), .kind = TRP_PARAM_BOOL, .v.b = true };
    struct trp_call *call = trp_call_take(fx.pool);
    uint32_t left = 20;
    const struct trp_target_question q = { .call = call, .left = &left };
    assert_non_null(call);
    call->model = trp_str_of(name);
    call->inputs = &in;
    call->inputs_n = has_input;
    call->wanted = &wanted;
    call->wanted_n = fx.wanted != NULL;
    call->params = &wild;
    call->params_n = 1;
    assert_false(trp_failed(fixture_find(NULL, 0, &sought, &target, &release, &fx.err)));
    trp_buf_reset(b);
    target->ops->explain(target, &q, b);
    release(target);
    call->inputs = NULL;
    call->inputs_n = call->wanted_n = 0;
    trp_call_give_back(call);
    const char *text = trp_buf_text(b);
    assert_non_null(text);
    return text;
}

static void expect(const char *text, const char *piece)
{
    if (!strstr(text, piece))
        fail_msg("no %s in %s", piece, text);
}

/* What stands of one step, up to the next. */
static void expect_step(const char *text, const char *step, const char *piece)
{
    char begin[64];
    (void)snprintf(begin, sizeof begin, "{\"name\":\"%s\",", step);
    const char *at = strstr(text, begin);
    if (!at)
        fail_msg("no step %s in %s", step, text);
    const char *end = strstr(at, "\"each_row\"");
    const char *found = strstr(at, piece);
    if (!found || found > end)
        fail_msg("no %s of step %s in %s", piece, step, text);
}

static void
an_ensemble_tells_its_members_their_weights_and_how_long_they_are_waited_for(void **state)
{
    (void)state;
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 1 << 20);
    fixture_serve("ensembles:\n  e: { members: { one: 1, two: 2.5, six: 3 }, vote: average, "
                  "quorum: 2, deadline: 20ms }\n");
    const char *text = explain(&b, "e", true);
    expect(text, "{\"composition\":\"e\",\"kind\":\"ensemble\",\"place\":\"routes.yaml:2\","
                 "\"ready\":true,\"reason\":\"\",\"missing\":[],\"vote\":\"average\","
                 "\"quorum\":2,\"deadline_ms\":20,\"learned\":null,");
    expect_step(text, "two", "\"asks\":\"two\",\"done\":\"yes\",\"why\":null,\"when\":null");
    expect_step(text, "two", "\"weight\":2.5,\"weight_now\":2.5,\"may_fail\":true");
    expect(text, "\"does\":\"average\"");
    expect(text, "\"outputs\":[{\"name\":\"y\",\"from\":[{\"tensor\":\"vote/answer\","
                 "\"step\":\"vote\",\"made\":\"yes\"}]}]}");
    assert_int_equal(fake("one")->asked_n, 0);
    assert_int_equal(fixture_metric(TRP_METRIC_COMPOSED), 0);
    expect(explain(&b, "e", false), "\"missing\":[\"x\"]");
    trp_buf_deinit(&b);
}

/* The same as its state: a member that is gone before one that takes fewer rows. */
static void what_is_doubted_of_one_that_serves_is_told(void **state)
{
    static const char gone[] = "'two', which it asks, is not there any more";
    static const char rows[] = "routes.yaml:1: 'one' takes at most 8 rows, and 'two' more: a "
                               "request of more is answered without it";
    static const struct {
        uint32_t gone;
        const char *says;
    } turns[] = { { UINT32_MAX, rows }, { 1, gone }, { UINT32_MAX, rows } };
    (void)state;
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 1 << 20);
    fake("two")->signature = &fake_unbounded;
    fixture_serve("ensembles: { e: { members: [one, two], vote: mean, quorum: 1 } }");
    struct trp_target *e = fixture_target("e");
    for (size_t i = 0; i < ARRAY_LEN(turns); i++) {
        char want[256];
        struct trp_target_state seen;
        (void)trp_composition_set_gone(trp_composition_of(e), turns[i].gone);
        (void)snprintf(want, sizeof want, "\"reason\":\"\",\"doubt\":\"%s\"", turns[i].says);
        expect(explain(&b, "e", true), want);
        e->ops->state(e, &seen);
        assert_true(trp_str_is(seen.reason, turns[i].says));
    }
    trp_buf_deinit(&b);
}

static void a_cascade_tells_from_when_on_the_next_one_is_asked(void **state)
{
    (void)state;
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 1 << 20);
    fixture_serve("cascades:\n  c: { steps: [ one, { model: two, threshold: 0.75 }, six ], "
                  "confidence: margin, threshold: 0.9, per: row }\n");
    const char *text = explain(&b, "c", true);
    expect_step(text, "one", "\"done\":\"yes\"");
    expect_step(text, "two",
                "\"done\":\"depends\",\"why\":\"only where 'one' is not sure enough\"");
    expect_step(text, "two",
                "\"unless_sure\":{\"step\":\"one\",\"confidence\":\"margin\",\"threshold\":0.9,"
                "\"per\":\"row\"}");
    expect_step(text, "six", "\"step\":\"two\",\"confidence\":\"margin\",\"threshold\":0.75");
    expect(text, "\"step\":\"six\",\"made\":\"depends\"},{");
    trp_buf_deinit(&b);
}

static void conditions_are_told_where_nothing_has_to_run_for_it(void **state)
{
    (void)state;
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 1 << 20);
    fixture_serve(
        "pipelines:\n  p:\n    steps:\n"
        "      - { name: first, model: two, inputs: { x: x }, outputs: { y: a } }\n"
        "      - { name: small, model: one, inputs: { x: x }, outputs: { y: s }, when: "
        "inputs.x.max < 3 }\n"
        "      - { name: after, model: one, inputs: { x: s }, outputs: { y: t } }\n"
        "      - { name: later, model: six, inputs: { x: a }, outputs: { y: b }, when: "
        "inputs.a.max > 5 }\n"
        "      - { name: either, model: six, inputs: { x: a }, outputs: { y: c }, when: "
        "inputs.a.max > 5 || params.wild }\n"
        "      - { name: there, model: six, inputs: { x: a }, outputs: { y: d }, when: "
        "has(inputs.a) }\n"
        "      - { name: unless, model: six, inputs: { x: a }, outputs: { y: e }, when: "
        "inputs.a.max.orValue(0.0) > 1 }\n"
        "      - { name: untold, model: six, inputs: { x: x }, outputs: { y: f }, when: "
        "params.gone > 1 }\n"
        "      - { name: last, model: one, inputs: { x: b }, outputs: { y: g } }\n"
        "      - { name: rows, op: softmax, input: x, output: h, when: request.rows == 1 }\n"
        "    outputs: { y: [t, b, a], c: c, d: d, e: e, f: f, g: g, h: h }\n");
    const char *text = explain(&b, "p", true);
    expect_step(text, "first", "\"done\":\"yes\"");
    expect_step(text, "small", "\"done\":\"no\",\"why\":\"its condition does not hold\"");
    expect_step(text, "small", "{\"text\":\"inputs.x.max\",\"depth\":1,\"value\":3}");
    expect_step(text, "after", "\"done\":\"no\",\"why\":\"nothing makes 's'\"");
    expect_step(text, "later",
                "\"done\":\"depends\",\"why\":\"its condition depends on what other steps make\"");
    expect_step(text, "later",
                "\"value\":null,\"why\":\"inputs.a.max is not known before other steps are done\"");
    expect_step(text, "later", "\"takes\":[\"a\"],\"gives\":[\"b\"]");
    expect_step(text, "either", "\"done\":\"yes\"");
    expect_step(text, "there", "\"done\":\"depends\"");
    expect_step(text, "unless", "\"done\":\"depends\"");
    expect_step(text, "untold",
                "\"done\":\"no\",\"why\":\"nobody can tell whether its condition holds\"");
    expect_step(text, "last", "\"done\":\"depends\",\"why\":\"'b' may not be made\"");
    expect_step(text, "rows", "\"does\":\"softmax\",\"done\":\"yes\"");
    expect(text, "{\"name\":\"y\",\"from\":[{\"tensor\":\"t\",\"step\":\"after\",\"made\":\"no\"},"
                 "{\"tensor\":\"b\",\"step\":\"later\",\"made\":\"depends\"},"
                 "{\"tensor\":\"a\",\"step\":\"first\",\"made\":\"yes\"}]}");
    fx.wanted = "f";
    text = explain(&b, "p", true);
    expect_step(text, "first", "\"done\":\"no\",\"why\":\"no output that is wanted needs it\"");
    fx.wanted = NULL;
    trp_buf_deinit(&b);
}

/* What is explained is what is served: of all that is certain. */
static void what_is_explained_is_what_is_done(void **state)
{
    (void)state;
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 1 << 20);
    fixture_serve("pipelines:\n  p:\n    steps:\n"
                  "      - { name: s1, model: one, inputs: { x: x }, outputs: { y: a }, when: "
                  "inputs.x.min < 3.5 }\n"
                  "      - { name: s2, model: two, inputs: { x: x }, outputs: { y: b }, when: "
                  "inputs.x.min > 2.5 }\n"
                  "      - { name: s6, model: six, inputs: { x: b }, outputs: { y: c } }\n"
                  "    outputs: { y: [c, a] }\n");
    for (int i = 0; i < 40; i++) {
        const uint32_t before[] = { fake("one")->asked_n, fake("two")->asked_n,
                                    fake("six")->asked_n };
        x[0] = x[1] = x[2] = (float)(i % 7);
        const char *text = explain(&b, "p", true);
        (void)fixture_ask("p", x, 1);
        fixture_give_back();
        expect_step(text, "s1",
                    fake("one")->asked_n > before[0] ? "\"done\":\"yes\"" : "\"done\":\"no\"");
        expect_step(text, "s2",
                    fake("two")->asked_n > before[1] ? "\"done\":\"yes\"" : "\"done\":\"no\"");
        expect_step(text, "s6",
                    fake("six")->asked_n > before[2] ? "\"done\":\"yes\"" : "\"done\":\"no\"");
    }
    trp_buf_deinit(&b);
}

static void those_behind_it_are_explained_in_turn_as_far_as_there_is_room(void **state)
{
    (void)state;
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 1 << 20);
    fixture_serve("ensembles:\n  pair: { members: [ one, two ], vote: mean }\n"
                  "pipelines:\n"
                  "  inner:\n    steps:\n"
                  "      - { name: doubt, model: six, inputs: { x: u }, outputs: { y: v }, when: "
                  "inputs.u.max > 3 }\n"
                  "    outputs: [ v ]\n"
                  "  outer:\n    steps:\n"
                  "      - { model: pair, inputs: { x: x }, outputs: { y: m } }\n"
                  "      - { model: inner, inputs: { u: m }, outputs: { v: w } }\n"
                  "    outputs: [ w ]\n");
    const char *text = explain(&b, "outer", true);
    expect(text, "\"then\":{\"composition\":\"pair\",\"kind\":\"ensemble\"");
    expect(text, "\"then\":{\"composition\":\"inner\",\"kind\":\"pipeline\",\"place\":"
                 "\"routes.yaml:4\",\"ready\":true,\"reason\":\"\",\"missing\":[]");
    expect_step(text, "doubt", "\"done\":\"depends\"");
    expect(text, "\"weight\":null,\"weight_now\":null"); /* a mean has none */
    trp_buf_deinit(&b);
}

static void whoever_asks_too_many_is_cut_short(void **state)
{
    (void)state;
    struct trp_buf b;
    char yaml[4096] = "ensembles:\n  p0: { members: [ one, two ], vote: mean }\npipelines:\n";
    size_t len = strlen(yaml);
    trp_buf_init(&b, trp_heap(), 1 << 20);
    for (int i = 1; i < 6; i++)
        len += (size_t)snprintf(
            yaml + len, sizeof yaml - len,
            "  p%d:\n    steps:\n"
            "      - { name: l, model: p%d, inputs: { x: x }, outputs: { y: a } }\n"
            "      - { name: r, model: p%d, inputs: { x: x }, outputs: { y: b } }\n"
            "    outputs: { y: a, z: b }\n",
            i, i - 1, i - 1);
    fixture_serve(yaml); /* 62 names are behind it */
    expect(explain(&b, "p5", true),
           "\"then\":null,\"trouble\":\"too many names are behind it for one explanation\"");
    trp_buf_deinit(&b);
}

static void one_that_is_not_ready_says_why(void **state)
{
    (void)state;
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 1 << 20);
    fake("two")->signature = NULL;
    fixture_serve("ensembles:\n  e: { members: [ one, two ], vote: mean }\n");
    expect(explain(&b, "e", true), "\"ready\":false,\"reason\":\"routes.yaml:2: step 'two': nobody "
                                   "knows yet what 'two' takes\"}");
    trp_buf_deinit(&b);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up_three, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_ensemble_tells_its_members_their_weights_and_how_long_they_are_waited_for),
        TEST(what_is_doubted_of_one_that_serves_is_told),
        TEST(a_cascade_tells_from_when_on_the_next_one_is_asked),
        TEST(conditions_are_told_where_nothing_has_to_run_for_it),
        TEST(what_is_explained_is_what_is_done),
        TEST(those_behind_it_are_explained_in_turn_as_far_as_there_is_room),
        TEST(whoever_asks_too_many_is_cut_short),
        TEST(one_that_is_not_ready_says_why),
    };
    return cmocka_run_group_tests_name("explanation", tests, NULL, NULL);
}
