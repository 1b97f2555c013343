/* Pipelines: tensors pass from step to step where they lie; steps have conditions, and rows of
 * their own; Triton's form is read unchanged. */
#include "unit/compose/compose_fixture.h"

static float x[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };

static void three_steps_pass_their_tensors_without_a_copy(void **state)
{
    (void)state;
    fixture_serve("pipelines:\n  p:\n    steps:\n"
                  "      - { model: two, inputs: { x: x }, outputs: { y: a } }\n"
                  "      - { model: two, inputs: { x: a }, outputs: { y: b } }\n"
                  "      - { model: six, inputs: { x: b }, outputs: { y: c } }\n"
                  "    outputs: { y: c }\n");
    struct trp_call *call = fixture_ask("p", x, 3);
    static const float want[] = { 24, 48, 72, 96, 120, 144, 168, 192, 216 };
    fixture_expect(call, want, 9);
    assert_int_equal(fixture_metric(TRP_METRIC_BYTES_COPIED), 0);
    assert_int_equal(fx.finished_n, 3);
    assert_int_equal(fx.released_n, 0); /* until the client has its answer */
    fixture_give_back();
    assert_int_equal(fx.released_n, 3);
}

static void steps_may_be_written_in_any_order(void **state)
{
    (void)state;
    fixture_serve("pipelines:\n  p:\n    steps:\n"
                  "      - { model: six, inputs: { x: a }, outputs: { y: c } }\n"
                  "      - { model: two, inputs: { x: x }, outputs: { y: a } }\n"
                  "    outputs: { y: c }\n");
    fixture_expect(fixture_ask("p", x, 1), (const float[]){ 12, 24, 36 }, 3);
    fixture_give_back();
}

static void built_in_steps_need_no_model(void **state)
{
    (void)state;
    fixture_serve("pipelines:\n  p:\n    steps:\n"
                  "      - { model: two, outputs: { y: a } }\n"
                  "      - { op: top_k, k: 2, input: a, outputs: [best, places] }\n"
                  "    outputs: [best, places]\n");
    struct trp_call *call = fixture_ask("p", x, 1);
    fixture_expect(call, (const float[]){ 6, 4 }, 2);
    const int64_t *places = call->outputs[1].tensor.data;
    assert_int_equal(places[0], 2);
    assert_int_equal(places[1], 1);
    assert_int_equal(fixture_metric(TRP_METRIC_COMPOSED_BUILTIN), 1);
    fixture_give_back();
}

static void a_step_whose_condition_does_not_hold_is_left_out(void **state)
{
    (void)state;
    fixture_serve(
        "pipelines:\n  p:\n    steps:\n"
        "      - { model: two, outputs: { y: a } }\n"
        "      - { model: six, inputs: { x: a }, outputs: { y: b }, when: inputs.a.max > 10 }\n"
        "    outputs: { y: [b, a] }\n");
    fixture_expect(fixture_ask("p", x, 1), (const float[]){ 2, 4, 6 }, 3);
    assert_int_equal(fake("six")->asked_n, 0);
    fixture_give_back();
    fixture_expect(fixture_ask("p", x + 6, 1), (const float[]){ 84, 96, 108 }, 3);
    fixture_give_back();
}

static void what_nobody_made_is_an_error_that_says_so(void **state)
{
    (void)state;
    fixture_serve("pipelines:\n  p:\n    steps:\n"
                  "      - { model: two, outputs: { y: a }, when: inputs.x.max > 100 }\n"
                  "    outputs: { y: a }\n");
    struct trp_call *call = fixture_ask("p", x, 1);
    assert_int_equal(call->error.status.code, TRP_FAILED_PRECONDITION);
    assert_non_null(strstr(call->error.text, "no step has made output 'y'"));
    fixture_give_back();
}

static void a_condition_that_nobody_can_tell_is_counted_and_told(void **state)
{
    (void)state;
    fixture_serve("pipelines:\n  p:\n    steps:\n"
                  "      - { model: two, outputs: { y: a }, when: params.wanted == true }\n"
                  "      - { model: six, outputs: { y: b }, when: models.six.p99 < 1s }\n"
                  "    outputs: { left: a, right: b }\n");
    fx.wanted = "left";
    struct trp_call *call = fixture_ask("p", x, 1);
    assert_int_equal(call->error.status.code, TRP_FAILED_PRECONDITION);
    if (!strstr(call->error.text,
                "whether step 'two' is wanted cannot be told: params.wanted is missing"))
        fail_msg("%s", call->error.text);
    fixture_give_back();
    assert_int_equal(fixture_metric(TRP_METRIC_COMPOSED_UNKNOWN), 1);
    fx.wanted = "right"; /* nobody tells how slow it is */
    (void)fixture_ask("p", x, 1);
    fixture_give_back();
    assert_int_equal(fixture_metric(TRP_METRIC_COMPOSED_UNKNOWN), 2);
    fx.wanted = NULL;
}

/* Of a step: the whole of routes.yaml but for its second step's condition, and what is told of
 * it. */
static void a_condition_knows_what_its_tensors_are(void **state)
{
    (void)state;
    static const struct {
        const char *when, *error; /* NULL: it is right */
    } rows[] = {
        { "inputs.a.max > 10", NULL },
        { "\"inputs.a[0] > 0.5\"", NULL },
        { "\"inputs.a.dtype == 'FP32' && inputs.a.shape[1] == 3\"", NULL },
        { "params.which == 'a' && has(inputs.a)", NULL },
        { "\"inputs.a[0] == 'x'\"", "routes.yaml:5:57: cannot compare a double with a text" },
        { "inputs.a.mean == 'x'", "routes.yaml:5:56: cannot compare a double with a text" },
        { "true && inputs.b.max > 10",
          "routes.yaml:5:71: no tensor that the step uses is called 'b'; there are a" },
        { "inputs.x.max > 10",
          "routes.yaml:5:63: no tensor that the step uses is called 'x'; there are a" },
        { "inputs.a.rows", "routes.yaml:5:56: a rule is true or false; this is an int" },
        { "inputs.c.max > 1",
          "routes.yaml:5:63: no tensor that the step uses is called 'c'; there are a" },
        { "inputs.file.rows == 1",
          "routes.yaml:5:63: no tensor that the step uses is called 'file'; there are a" },
        { "inputs.file.kind == 1", "routes.yaml:5:56: cannot compare a text with an int" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[512];
        (void)snprintf(text, sizeof text,
                       "pipelines:\n  p:\n    steps:\n"
                       "      - { model: two, outputs: { y: a } }\n"
                       "      - { op: softmax, input: a, output: b,      when: %s }\n"
                       "    outputs: [b]\n",
                       rows[i].when);
        trp_cookbook_destroy(fx.book);
        assert_false(trp_failed(trp_cookbook_create(&fx.opts, &fx.book, &fx.err)));
        const trp_status st = fixture_read(text);
        const bool is_right = rows[i].error ? trp_failed(st) && strncmp(fx.err.text, rows[i].error,
                                                                        strlen(rows[i].error)) == 0
                                            : !trp_failed(st);
        if (!is_right)
            print_message("%s: %s\n", rows[i].when, fx.err.text);
        assert_true(is_right);
    }
}

/* Of BYTES that only built-in steps use. */
static void a_condition_knows_declared_inputs(void **state)
{
    (void)state;
    assert_true(trp_failed(fixture_read(
        "pipelines:\n  p:\n"
        "    inputs: { file: { dtype: BYTES, dims: [-1] }, n: { dtype: INT64, dims: [-1] } }\n"
        "    steps:\n"
        "      - { op: gather, inputs: [file, n], output: b, when: inputs.file.mean > 1.0 }\n"
        "    outputs: [b]\n")));
    static const char want[] = "routes.yaml:5:59: input 'file' is of texts (BYTES) and has no mean";
    if (strncmp(fx.err.text, want, strlen(want)) != 0)
        fail_msg("%s", fx.err.text);
}

static void only_what_is_wanted_is_done(void **state)
{
    (void)state;
    fixture_serve("pipelines:\n  p:\n    steps:\n"
                  "      - { model: two, outputs: { y: a } }\n"
                  "      - { model: six, inputs: { x: x }, outputs: { y: b } }\n"
                  "    outputs: { left: a, right: b }\n");
    fx.wanted = "left";
    struct trp_call *call = fixture_ask("p", x, 1);
    assert_int_equal(call->outputs_n, 1);
    fixture_expect(call, (const float[]){ 2, 4, 6 }, 3);
    assert_int_equal(fake("six")->asked_n, 0);
    fixture_give_back();
    fx.wanted = NULL;
    (void)fixture_ask("p", x, 1);
    assert_int_equal(fake("six")->asked_n, 1);
    fixture_give_back();
}

static void each_row_is_asked_alone_and_joined(void **state)
{
    (void)state;
    fixture_serve("pipelines:\n  p:\n    steps:\n"
                  "      - { model: two, outputs: { y: a }, each: row }\n"
                  "    outputs: { y: a }\n");
    struct trp_call *call = fixture_ask("p", x, 3);
    static const float want[] = { 2, 4, 6, 8, 10, 12, 14, 16, 18 };
    fixture_expect(call, want, 9);
    assert_int_equal(fake("two")->asked_n, 3);
    assert_int_equal(fake("two")->seen_rows, 1);
    assert_int_equal(fixture_metric(TRP_METRIC_BYTES_COPIED), 36);
    fixture_give_back();
}

static void joined_rows_have_the_names_of_their_classes(void **state)
{
    (void)state;
    fake("two")->signature = &fake_coloured;
    fixture_serve("pipelines:\n  p:\n    steps:\n"
                  "      - { model: two, outputs: { y: a }, each: row }\n"
                  "    outputs: { y: a }\n");
    assert_int_equal(fixture_colours(fixture_ask("p", x, 3)), 3);
    assert_int_equal(fx.released_n, 2); /* one of them stays: it lends the names */
    fixture_give_back();
    assert_int_equal(fx.released_n, 3);
    assert_int_equal(fx.finished_n, 3);
}

static void one_row_that_fails_fails_its_step(void **state)
{
    (void)state;
    fixture_serve("pipelines:\n  p:\n    steps:\n"
                  "      - { model: two, outputs: { y: a }, each: row }\n"
                  "    outputs: { y: a }\n");
    struct fake_model *two = fake("two");
    two->way = FAKE_HELD;
    struct trp_call *call = fixture_start("p", x, 3);
    assert_int_equal(two->held_n, 3);
    fake_answer(two, two->held[2]);
    fake_settle(two->held[2]);
    (void)trp_fail(&two->held[1]->error, TRP_BACKEND_FAILED, "it broke");
    fake_settle(two->held[1]);
    two->held_n = 1;
    fixture_turns(5);
    assert_int_equal(fx.answered_n, 1);
    assert_string_equal(call->error.text, "step 'two': it broke");
    assert_int_equal(two->cancelled_n, 1);
    fixture_give_back();
}

static void compositions_are_steps_of_others(void **state)
{
    (void)state;
    fixture_serve("pipelines:\n  p:\n    steps:\n"
                  "      - { model: both, outputs: { y: a } }\n"
                  "      - { model: two, inputs: { x: a }, outputs: { y: b } }\n"
                  "    outputs: { y: b }\n"
                  "ensembles: { both: { members: [one, two], vote: mean } }\n");
    fixture_expect(fixture_ask("p", x, 1), (const float[]){ 3, 6, 9 }, 3);
    assert_int_equal(fixture_metric(TRP_METRIC_BYTES_COPIED), 0);
    assert_int_equal(fx.finished_n, 4); /* three models, and the ensemble */
    fixture_give_back();
    assert_int_equal(fx.released_n, 3);
}

static void a_cancelled_pipeline_stops_deep_down(void **state)
{
    (void)state;
    fixture_serve("pipelines:\n  p:\n    steps: [{ model: both, outputs: { y: a } }]\n"
                  "    outputs: { y: a }\n"
                  "ensembles: { both: { members: [one, two], vote: mean } }\n");
    fake("one")->way = fake("two")->way = FAKE_HELD;
    struct trp_call *call = fixture_start("p", x, 1);
    assert_true(trp_call_try_cancel(call));
    call->target->ops->cancel(call->target, call);
    fixture_turns(5);
    assert_int_equal(fx.answered_n, 1);
    assert_int_equal(call->error.status.code, TRP_CANCELLED);
    assert_int_equal(fake("one")->cancelled_n + fake("two")->cancelled_n, 2);
    fixture_give_back();
}

/* ---- what does not fit ---- */

static void what_does_not_fit_is_told_with_what_helps(void **state)
{
    (void)state;
    static const struct mistake {
        const char *yaml, *want;
    } mistakes[] = {
        { "pipelines: { p: { steps: [ { model: one, outputs: { y: a } },\n"
          "                            { model: deep, inputs: { x: a }, outputs: { y: b } } ],\n"
          "                   outputs: [b] } }",
          "step 'deep': \"a\" is FP32 [-1,3], but its input \"x\" takes FP32 [-1,3,1]; the "
          "`reshape` of a model's configuration can make them alike" },
        { "pipelines: { p: { steps: [ { op: argmax, input: image, output: b } ], outputs: [b] } }",
          "step 'argmax': nothing says what \"image\" is: no step makes it; if it is of the "
          "request, say so: inputs: { image: { dtype: FP32, dims: [-1, 64] } }" },
        { "pipelines: { p: { inputs: { image: { dtype: float32, dims: [-1, 64] } },\n"
          "    steps: [ { op: argmax, input: image, output: b } ], outputs: [b] } }",
          "'float32' is no dtype: BOOL, UINT8 to UINT64, INT8 to INT64, FP16, BF16, FP32, FP64, "
          "BYTES; did you mean 'FP32'?" },
        { "pipelines: { p: { inputs: { image: { dtype: pixels, dims: [-1, 64] } },\n"
          "    steps: [ { op: argmax, input: image, output: b } ], outputs: [b] } }",
          "FP64, BYTES" },
        { "pipelines: { p: { inputs: { image: { dims: [-1, 64] } },\n"
          "    steps: [ { op: argmax, input: image, output: b } ], outputs: [b] } }",
          "has a dtype, such as FP32, and a list of dims" },
        { "pipelines:\n  p:\n    steps: one, two\n    outputs: [y]\n",
          "routes.yaml:3: steps are a list, such as [ { model: a }, { model: b } ], not 'one, "
          "two'" },
        { "pipelines: { p: { steps: one, two, outputs: [y] } }",
          "such as [ { model: a }, { model: b } ], not 'one'" },
        { "pipelines: { p: { steps: [], outputs: [y] } }",
          "a pipeline has a list of `steps`, such as [ { model: a } ]" },
        { "pipelines: { p: { steps: [ { model: one } ], outputs: y, z } }",
          "outputs are a list in brackets, such as [ y, z ], or names with their tensors, such as "
          "{ y: h }, not 'y'" },
    };
    static const struct trp_io deep_x = {
        .name = { "x", 1 }, .dtype = TROUPE_FP32, .rank = 3, .dims = { -1, 3, 1 }
    };
    static const struct trp_signature deep = { &deep_x, &fake_y, 1, 1, .batch_max = 8 };
    add_fake("deep", 1)->signature = &deep;
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        fx.err = (struct trp_error){ 0 };
        trp_cookbook_destroy(fx.book);
        assert_false(trp_failed(trp_cookbook_create(&fx.opts, &fx.book, &fx.err)));
        assert_true(trp_failed(fixture_read(mistakes[i].yaml)));
        const char *end = strstr(fx.err.text, mistakes[i].want);
        if (!end || strlen(end) != strlen(mistakes[i].want))
            fail_msg("'%s' does not end with '%s'", fx.err.text, mistakes[i].want);
    }
}

/* ---- steps that take long ---- */

#define MANY 40000

static const char *const long_step = "pipelines:\n  p:\n    steps:\n"
                                     "      - { model: wide, outputs: { y: a } }\n"
                                     "      - { op: softmax, input: a, output: b }\n"
                                     "    outputs: { y: b }\n";

static struct trp_call *start_long_step(void)
{
    static float many[MANY * 3];
    add_fake("wide", 1)->signature = &fake_unbounded;
    fixture_serve(long_step);
    struct trp_call *call = fixture_start("p", many, MANY);
    fixture_turns(5);
    assert_int_equal(fx.answered_n, 0);
    assert_int_equal(fake("wide")->asked_n, 1);
    return call;
}

static void a_long_step_is_done_aside(void **state)
{
    (void)state;
    struct trp_call *call = start_long_step();
    assert_true(trp_crew_do_one(fx.crew));
    fixture_turns(5);
    assert_int_equal(fx.answered_n, 1);
    assert_int_equal(call->error.status.code, TRP_OK);
    const float *y = call->outputs[0].tensor.data;
    assert_true(y[0] > 0.333F && y[MANY * 3 - 1] < 0.334F);
    fixture_give_back();
}

static void one_that_waits_and_is_cancelled_is_answered_without_the_work(void **state)
{
    (void)state;
    struct trp_call *call = start_long_step();
    assert_true(trp_call_try_cancel(call));
    call->target->ops->cancel(call->target, call);
    fixture_turns(2);
    assert_int_equal(fx.answered_n, 1);
    assert_int_equal(call->error.status.code, TRP_CANCELLED);
    assert_false(trp_crew_do_one(fx.crew));
    fixture_give_back();
}

static void idle_work(struct trp_crew_job *job)
{
    (void)job;
}

/* Four steps wait at most (compose_fixture.h): ours and three of somebody else's, who is more
 * urgent and comes once more. */
static void one_that_makes_room_for_others_is_told_so(void **state)
{
    (void)state;
    static struct trp_crew_job others[4];
    struct trp_call *call = start_long_step();
    for (uint32_t i = 0; i < ARRAY_LEN(others); i++) {
        others[i] = (struct trp_crew_job){ .work = idle_work,
                                           .back = idle_work,
                                           .loop = fx.loop,
                                           .priority_class = TRP_PRIORITY_INTERACTIVE,
                                           .tenant = TRP_STR_LIT("urgent") };
        assert_false(trp_failed(trp_crew_push(fx.crew, &others[i], NULL)));
    }
    fixture_turns(2);
    assert_int_equal(fx.answered_n, 1);
    assert_int_equal(call->error.status.code, TRP_QUEUE_FULL);
    assert_int_equal(call->error.limit, TRP_LIMIT_QUEUE);
    assert_string_equal(call->error.text, "step 'softmax': 4 steps of compositions wait for a "
                                          "helper (sched.queue_max)");
    while (trp_crew_do_one(fx.crew))
        continue;
    fixture_turns(2);
    fixture_give_back();
}

/* A thousand rows are not begun in one turn; nor are those that nobody wants any more. */
static void rows_are_asked_some_at_a_time(void **state)
{
    (void)state;
    static float many[150 * 3];
    const struct fake_model *m = fake("two");
    fixture_serve("pipelines:\n  p:\n    steps:\n"
                  "      - { model: two, each: row, outputs: { y: a } }\n"
                  "    outputs: { y: a }\n");
    for (int i = 0; i < 150 * 3; i++)
        many[i] = (float)i;
    struct trp_call *call = fixture_start("p", many, 150);
    assert_int_equal(m->asked_n, 64);
    fixture_turns(1);
    assert_int_equal(m->asked_n, 128);
    fixture_turns(4);
    assert_int_equal(m->asked_n, 150);
    assert_int_equal(fx.answered_n, 1);
    assert_int_equal(call->error.status.code, TRP_OK);
    const float *y = call->outputs[0].tensor.data;
    for (int i = 0; i < 150 * 3; i++)
        assert_true(y[i] == 2 * many[i]);
    fixture_give_back();
}

/* ---- Triton's form ---- */

static const char triton[] = "name: \"chain\"\nplatform: \"ensemble\"\nmax_batch_size: 4\n"
                             "input [ { name: \"IN\" data_type: TYPE_FP32 dims: [ 3 ] } ]\n"
                             "output [ { name: \"OUT\" data_type: TYPE_FP32 dims: [ 3 ] } ]\n"
                             "ensemble_scheduling {\n"
                             "  step [\n"
                             "    { model_name: \"two\" model_version: -1\n"
                             "      input_map { key: \"x\" value: \"IN\" }\n"
                             "      output_map { key: \"y\" value: \"between\" } },\n"
                             "    { model_name: \"six\" model_version: -1\n"
                             "      input_map { key: \"x\" value: \"between\" }\n"
                             "      output_map { key: \"y\" value: \"OUT\" } }\n"
                             "  ]\n}\n";

static trp_status read_triton(const char *text, const char *name)
{
    struct trp_node *root;
    TRP_CHECK(
        trp_node_from_pbtxt(&fx.arena, trp_str_of(text), "config.pbtxt", 1000, &root, &fx.err));
    const struct trp_cookbook_folder folder = { .name = trp_str_of(name), .tree = root };
    TRP_CHECK(trp_cookbook_read_folder(fx.book, &folder, NULL, &fx.err));
    const struct trp_route_check check = { .known = fixture_known, .signature = fixture_signature };
    return trp_cookbook_check(fx.book, &check, &fx.err);
}

static void tritons_ensembles_are_read_unchanged(void **state)
{
    (void)state;
    assert_false(trp_failed(read_triton(triton, "chain")));
    struct trp_target *chain = fixture_target("chain");
    const struct trp_signature *s = trp_target_signature(chain);
    assert_int_equal(s->batch_max, 4);
    assert_true(trp_str_is(s->inputs[0].name, "IN"));
    assert_int_equal(s->inputs[0].rank, 2);
    assert_true(trp_str_is(s->platform, "ensemble"));
    const struct trp_node *config = chain->ops->config(chain);
    const struct trp_node *step =
        trp_node_get(trp_node_get(config, "ensemble_scheduling"), "step")->first;
    assert_true(trp_str_is(trp_node_str(step, "model_name", (struct trp_str){ 0 }), "two"));
    const struct trp_composition *c = trp_composition_of(chain);
    struct trp_str name;
    uint32_t cursor = 0;
    assert_true(trp_composition_next_name(c, &cursor, &name));
    assert_true(trp_str_is(name, "two"));
    assert_true(trp_composition_next_name(c, &cursor, &name));
    assert_true(trp_str_is(name, "six"));
    assert_false(trp_composition_next_name(c, &cursor, &name));
}

/* Before those of the model that makes it, also where another one asks it. */
static void tritons_ensembles_name_the_classes_of_their_outputs(void **state)
{
    (void)state;
    struct trp_node *root, *labels;
    fake("six")->signature = &fake_coloured;
    for (int has_labels = 0; has_labels <= 1; has_labels++) {
        trp_cookbook_destroy(fx.book);
        assert_false(trp_failed(trp_cookbook_create(&fx.opts, &fx.book, &fx.err)));
        assert_false(trp_failed(trp_node_from_pbtxt(&fx.arena, trp_str_of(triton), "config.pbtxt",
                                                    1000, &root, &fx.err)));
        assert_false(trp_failed(trp_node_from_yaml(&fx.arena,
                                                   TRP_STR_LIT("OUT: \"ant\\nbee\\r\\ncow\\n\\n\""),
                                                   "labels", 1000, &labels, &fx.err)));
        const struct trp_cookbook_folder folder = { .name = TRP_STR_LIT("chain"),
                                                    .tree = root,
                                                    .labels = has_labels ? labels : NULL };
        assert_false(trp_failed(trp_cookbook_read_folder(fx.book, &folder, NULL, &fx.err)));
        fixture_serve("pipelines:\n  outer: { steps: [{ model: chain, inputs: { IN: x }, outputs: "
                      "{ OUT: y } }], outputs: [y] }\n");
        struct trp_call *call = fixture_ask("outer", x, 1);
        assert_int_equal(call->error.status.code, TRP_OK);
        assert_int_equal(call->outputs[0].labels_n, 3);
        assert_true(trp_str_is(call->outputs[0].labels[0], has_labels ? "ant" : "red"));
        assert_true(trp_str_is(call->outputs[0].labels[1], has_labels ? "bee" : "green"));
        const struct trp_signature *s = trp_target_signature(fixture_target("chain"));
        assert_int_equal(s->outputs[0].labels_n, has_labels ? 3 : 0);
        fixture_give_back();
    }
}

/* A text of `triton` replaced, and what is said of it. */
static const struct row {
    const char *what, *by, *error;
} rows[] = {
    { "TYPE_FP32 dims: [ 3 ] } ]\nens", "TYPE_INT64 dims: [ 3 ] } ]\nens",
      "config.pbtxt:5: \"OUT\" is declared as INT64 [-1,3], but for the steps it is FP32 [-1,3]" },
    { "dims: [ 3 ] } ]\nens", "dims: [ 4 ] } ]\nens",
      "config.pbtxt:5: \"OUT\" is declared as FP32 [-1,4], but for the steps it is FP32 [-1,3]" },
    { "\"IN\" data", "\"INN\" data", "no step takes input \"INN\"" },
    { "value: \"IN\"", "value: \"OUT\"", "step 'two' waits for \"OUT\" of step 'six'" },
    { "\"two\"", "\"three\"", "there is no model, route or composition 'three'" },
    { "key: \"x\" value: \"IN\"", "key: \"z\" value: \"IN\"",
      "config.pbtxt:8: step 'two': 'two' has no input \"z\"; its inputs are \"x\"" },
    { "key: \"y\" value: \"OUT\"", "key: \"y\" value: \"between\"",
      "tensor \"between\" is made by step 'two' already" },
    { "name: \"chain\"", "name: \"other\"", "the configuration's name is \"other\"" },
};

static void tritons_mistakes_are_found_at_load(void **state)
{
    (void)state;
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        char text[2048];
        const char *at = strstr(triton, r->what);
        print_message("%s -> %s\n", r->what, r->by);
        assert_non_null(at);
        (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - triton), triton, r->by,
                       at + strlen(r->what));
        trp_cookbook_destroy(fx.book);
        assert_false(trp_failed(trp_cookbook_create(&fx.opts, &fx.book, &fx.err)));
        assert_true(trp_failed(read_triton(text, "chain")));
        if (!strstr(fx.err.text, r->error))
            print_message("is: %s\n", fx.err.text);
        assert_non_null(strstr(fx.err.text, r->error));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up_three, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(three_steps_pass_their_tensors_without_a_copy),
        TEST(steps_may_be_written_in_any_order),
        TEST(built_in_steps_need_no_model),
        TEST(a_step_whose_condition_does_not_hold_is_left_out),
        TEST(what_nobody_made_is_an_error_that_says_so),
        TEST(a_condition_that_nobody_can_tell_is_counted_and_told),
        TEST(a_condition_knows_what_its_tensors_are),
        TEST(a_condition_knows_declared_inputs),
        TEST(only_what_is_wanted_is_done),
        TEST(each_row_is_asked_alone_and_joined),
        TEST(joined_rows_have_the_names_of_their_classes),
        TEST(one_row_that_fails_fails_its_step),
        TEST(compositions_are_steps_of_others),
        TEST(a_cancelled_pipeline_stops_deep_down),
        TEST(what_does_not_fit_is_told_with_what_helps),
        TEST(a_long_step_is_done_aside),
        TEST(one_that_waits_and_is_cancelled_is_answered_without_the_work),
        TEST(one_that_makes_room_for_others_is_told_so),
        TEST(rows_are_asked_some_at_a_time),
        TEST(tritons_ensembles_are_read_unchanged),
        TEST(tritons_ensembles_name_the_classes_of_their_outputs),
        TEST(tritons_mistakes_are_found_at_load),
    };
    return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
