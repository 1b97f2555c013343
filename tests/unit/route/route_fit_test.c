/* A request that is changed on its way to a target: names, types, what is given; and that
 * everything is put back. */
#include "routes.h"

#include "call/call_child.h"
#include "route/route_cast.h"

static int set_up(void **state)
{
    static struct routes r; /* one test at a time */
    routes_init(&r);
    struct model *m = routes_add(&r, "theirs");
    m->input = (struct trp_io){
        .name = TRP_STR_LIT("pixels"), .dtype = TROUPE_INT64, .rank = 1, .dims = { -1 }
    };
    m->output.name = TRP_STR_LIT("top");
    (void)routes_add(&r, "ours");
    *state = &r;
    return 0;
}

#define FITTED                                                                                    \
    "routes:\n  r:\n    targets: { t: { model: theirs, inputs: { x: pixels }, outputs: { y: top " \
    "}, "                                                                                         \
    "cast: { pixels: INT64 } } }\n    rules: [ { use: t } ]\n"

static void names_and_types_are_the_targets_there_and_the_clients_back(void **state)
{
    struct routes *r = *state;
    assert_false(trp_failed(routes_read(r, FITTED)));
    struct trp_call *call = routes_start(r, "r");
    routes_turn(r);
    assert_ptr_equal(r->answered, call);
    assert_int_equal(call->error.status.code, TRP_OK);
    assert_true(trp_str_is(call->outputs[0].name, "y"));
    assert_int_equal(call->outputs[0].tensor.dtype, TROUPE_INT64);
    assert_int_equal(call->outputs[0].tensor.bytes, 16);
    assert_true(trp_str_is(call->inputs[0].name, "x"));
    assert_int_equal(call->inputs[0].tensor.dtype, TROUPE_FP32);
    routes_end(r, call);
}

/* The target's INT64 is FP32 for clients, whether it was asked by their own call, or by one that
 * has a time of its own. */
static void outputs_become_what_clients_are_to_get(void **state)
{
    struct routes *r = *state;
    static const char *const rules[] = { "{ use: t }", "{ use: t, fallback: ours }",
                                         "{ use: t, timeout: 1s }", "{ use: t, hedge: 1s }" };
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        char text[400], room[8] = "";
        (void)snprintf(text, sizeof text,
                       "routes: { r: { targets: { t: { model: theirs, inputs: { x: pixels }, "
                       "outputs: { y: top }, cast: { pixels: INT64, top: FP32 } } }, rules: [ %s ] "
                       "} }",
                       rules[i]);
        routes_read_ok(r, text);
        r->wanted = (struct trp_wanted){ .name = { "y", i % 2 },
                                         .memory = room,
                                         .memory_bytes = sizeof room };
        struct trp_call *call = routes_start(r, "r");
        for (int k = 0; !r->answered && k < 100; k++)
            routes_turn(r);
        assert_int_equal(call->error.status.code, TRP_OK);
        assert_int_equal(call->outputs_n, 1);
        const struct troupe_tensor *y = &call->outputs[0].tensor;
        assert_true(trp_str_is(call->outputs[0].name, "y"));
        assert_int_equal(y->dtype, TROUPE_FP32);
        assert_int_equal(y->bytes, 8);
        assert_memory_equal(y->data, call->inputs[0].tensor.data, 8);
        if (call->wanted_named) /* where it goes in the end; the model is not shown it */
            assert_ptr_equal(call->wanted[0].memory, room);
        routes_end(r, call);
    }
    r->wanted = (struct trp_wanted){ 0 };
}

/* "sure" is none of the target's: it comes with the answer, where and when it is asked for. */
static void outputs_that_a_target_lacks_are_given(void **state)
{
    struct routes *r = *state;
    static const char *const rules[] = { "{ use: t }", "{ use: t, fallback: ours }",
                                         "{ use: t, timeout: 1s }", "{ use: t, hedge: 1s }" };
    static const char *const wishes[] = { "", "y", "sure" };
    char room[8];
    for (size_t i = 0; i < ARRAY_LEN(rules) * ARRAY_LEN(wishes); i++) {
        char text[400];
        const char *wish = wishes[i % ARRAY_LEN(wishes)];
        const uint32_t n = *wish ? 1 : 2;
        (void)snprintf(text, sizeof text,
                       "routes: { r: { targets: { t: { model: theirs, inputs: { x: pixels }, "
                       "outputs: { y: top }, cast: { pixels: INT64 }, constant_outputs: { sure: "
                       "[0.5, 1.5, 2.5] } } }, rules: [ %s ] } }",
                       rules[i / ARRAY_LEN(wishes)]);
        routes_read_ok(r, text);
        r->wanted = (struct trp_wanted){ .name = trp_str_of(wish), .memory = room };
        struct trp_call *call = routes_start(r, "r");
        for (int k = 0; !r->answered && k < 100; k++)
            routes_turn(r);
        assert_int_equal(call->error.status.code, TRP_OK);
        assert_true(call->outputs_n == n && call->wanted_n == n);
        const struct trp_call_tensor *last = &call->outputs[n - 1];
        assert_true(trp_str_is(call->outputs[0].name, *wish ? wish : "y"));
        assert_true(trp_str_is(last->name, *wish ? wish : "sure"));
        assert_true(trp_str_is_equal(last->name, call->wanted[n - 1].name));
        if (strcmp(wish, "y") != 0) {
            static const float sure[] = { 0.5f, 1.5f, 2.5f };
            assert_int_equal(last->tensor.dtype, TROUPE_FP32);
            assert_true(last->tensor.rank == 1 && last->tensor.shape[0] == 3);
            assert_memory_equal(last->tensor.data, sure, sizeof sure);
        }
        if (*wish)
            assert_ptr_equal(call->wanted[0].memory, room);
        routes_end(r, call);
    }
    r->wanted = (struct trp_wanted){ 0 };
}

static void outputs_are_given_once_a_row(void **state)
{
    struct routes *r = *state;
    struct trp_arena arena;
    struct trp_signature s;
    routes_model(r, "ours")->signature.batch_max = 8;
    routes_read_ok(r,
                   "routes: { r: { targets: { t: { model: ours, constant_outputs: { sure: 7 } } }, "
                   "rules: [ { use: t } ] } }");
    struct trp_call *call = routes_start(r, "r");
    for (int k = 0; !r->answered && k < 100; k++)
        routes_turn(r);
    assert_int_equal(call->error.status.code, TRP_OK);
    assert_int_equal(call->outputs_n, 2);
    const struct troupe_tensor *sure = &call->outputs[1].tensor;
    assert_true(sure->rank == 2 && sure->shape[0] == 2 && sure->shape[1] == 1 && sure->bytes == 16);
    assert_memory_equal(sure->data, ((const int64_t[]){ 7, 7 }), 16);
    routes_end(r, call);
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    const struct trp_target *t = trp_route_target(trp_route_file_at(r->file, 0));
    assert_false(trp_failed(t->ops->describe(t, 0, &arena, &s, NULL)));
    assert_int_equal(s.outputs_n, 2);
    assert_true(trp_str_is(s.outputs[1].name, "sure") && s.outputs[1].dtype == TROUPE_INT64);
    assert_true(s.outputs[1].rank == 2 && s.outputs[1].dims[0] == -1 && s.outputs[1].dims[1] == 1);
    trp_arena_deinit(&arena);
}

/* 2 is no BOOL: whoever gives it has failed, and the next one is asked. */
static void an_output_that_cannot_be_cast_is_a_failure_of_its_target(void **state)
{
    struct routes *r = *state;
    static const char *const rules[] = { "{ use: t }", "{ use: t, fallback: u }",
                                         "{ use: t, timeout: 1s }",
                                         "{ use: t, timeout: 1s, fallback: u }" };
    routes_model(r, "theirs")->input.dtype = TROUPE_FP32;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        char text[400];
        (void)snprintf(text, sizeof text,
                       "routes: { r: { targets: { t: { model: theirs, inputs: { x: pixels }, "
                       "cast: { top: BOOL } }, u: { model: ours, cast: { y: INT32 } } }, "
                       "rules: [ %s ] } }",
                       rules[i]);
        routes_read_ok(r, text);
        assert_int_equal(routes_ask(r, "r"), i % 2 ? TRP_OK : TRP_BACKEND_FAILED);
        if (i % 2)
            assert_string_equal(r->model_name, "ours");
        else
            assert_non_null(
                strstr(r->err.text, "output 'top': element 1 of FP32 cannot become BOOL"));
        assert_int_equal(
            trp_counter_get(&trp_route_plan_of(trp_route_file_at(r->file, 0))->goals[0].failed), 1);
    }
}

static void a_fallback_gets_the_request_as_it_came(void **state)
{
    struct routes *r = *state;
    assert_false(trp_failed(routes_read(
        r,
        "routes:\n  r:\n    targets: { t: { model: theirs, inputs: { x: pixels }, cast: { pixels: "
        "INT64 } } }\n    rules: [ { use: t, fallback: ours } ]\n")));
    routes_model(r, "theirs")->fails = TRP_BACKEND_FAILED;
    assert_int_equal(routes_ask(r, "r"), TRP_OK);
    assert_string_equal(r->model_name, "ours");
}

static void clients_are_shown_their_own_names(void **state)
{
    struct routes *r = *state;
    struct trp_arena arena;
    struct trp_signature s;
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    assert_false(trp_failed(routes_read(r, FITTED)));
    const struct trp_target *t = trp_route_target(trp_route_file_at(r->file, 0));
    assert_false(trp_failed(t->ops->describe(t, 0, &arena, &s, NULL)));
    assert_true(trp_str_is(s.inputs[0].name, "x"));
    assert_true(trp_str_is(s.outputs[0].name, "y"));
    assert_int_equal(s.outputs[0].dtype, TROUPE_FP32);
    routes_read_ok(r, "routes: { r: { targets: { t: { model: theirs, cast: { top: INT8, pixels: "
                      "INT64 } } }, rules: [ { use: t } ] } }");
    t = trp_route_target(trp_route_file_at(r->file, 0));
    assert_false(trp_failed(t->ops->describe(t, 0, &arena, &s, NULL)));
    assert_int_equal(s.outputs[0].dtype, TROUPE_INT8);
    assert_int_equal(s.inputs[0].dtype, TROUPE_INT64);
    assert_false(trp_failed(t->ops->describe(t, 0, &arena, NULL, NULL)));
    routes_model(r, "theirs")->is_missing = true;
    assert_int_equal(t->ops->describe(t, 0, &arena, NULL, &r->err).code, TRP_NOT_READY);
    trp_arena_deinit(&arena);
}

/* Its rules stand in no order of importance when the last one cannot be followed. */
static void while_nobody_of_the_last_rule_is_there_clients_are_shown_another(void **state)
{
    struct routes *r = *state;
    struct trp_arena arena;
    struct trp_signature s;
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    assert_false(trp_failed(routes_read(
        r, "routes:\n  r:\n    targets: { t: { model: theirs, inputs: { x: pixels } } }\n"
           "    rules: [ { when: params.n == 1, use: t }, { use: ours } ]\n")));
    const struct trp_target *t = trp_route_target(trp_route_file_at(r->file, 0));
    assert_false(trp_failed(t->ops->describe(t, 0, &arena, &s, NULL)));
    assert_true(trp_str_is(s.outputs[0].name, "y"));
    routes_model(r, "ours")->is_missing = true;
    r->err = (struct trp_error){ 0 };
    assert_false(trp_failed(t->ops->describe(t, 0, &arena, &s, &r->err)));
    assert_true(trp_str_is(s.outputs[0].name, "top"));
    assert_string_equal(r->err.text, ""); /* whoever is not there is not spoken of */
    assert_int_equal(t->ops->describe(t, 0, &arena, NULL, &r->err).code, TRP_NOT_READY);
    routes_model(r, "theirs")->is_missing = true;
    assert_int_equal(t->ops->describe(t, 0, &arena, &s, &r->err).code, TRP_NOT_READY);
    assert_string_equal(r->err.text, "route 'r': 'ours' is not found"); /* the last rule's */
    assert_false(trp_failed(routes_read(r, "routes: { r: [ { use: ours, fallback: theirs } ] }")));
    routes_model(r, "theirs")->is_missing = false;
    const struct trp_target *fallback = trp_route_target(trp_route_file_at(r->file, 0));
    assert_false(trp_failed(fallback->ops->describe(fallback, 0, &arena, NULL, &r->err)));
    assert_string_equal(r->err.text, "");
    trp_arena_deinit(&arena);
}

struct casting {
    int32_t from, to;
    double value;
    bool is_taken;
};

/* Applies `cast: { x: TO }` to one element. */
static bool casts(struct routes *r, const struct casting *c)
{
    union {
        uint8_t u8;
        int64_t i64;
        float f32;
        double f64;
    } element = { .i64 = 0 };
    if (c->from == TROUPE_FP32)
        element.f32 = (float)c->value;
    else if (c->from == TROUPE_FP64)
        element.f64 = c->value;
    else if (c->from == TROUPE_UINT8)
        element.u8 = (uint8_t)c->value;
    else
        element.i64 = (int64_t)c->value;
    const struct trp_route_cast cast = { TRP_STR_LIT("x"), c->to };
    const struct trp_route_fit fit = { .casts = &cast, .casts_n = 1 };
    struct trp_call *call = trp_call_take(r->pool);
    struct trp_call_tensor in = { .name = TRP_STR_LIT("x") };
    struct trp_route_unfit undo;
    in.tensor = (struct troupe_tensor){ .dtype = c->from,
                                        .rank = 1,
                                        .shape = { 1 },
                                        .data = &element,
                                        .bytes = c->from == TROUPE_UINT8  ? 1
                                                 : c->from == TROUPE_FP32 ? 4
                                                                          : 8 };
    call->inputs = &in;
    call->inputs_n = 1;
    const struct trp_route_casting how = { .fit = &fit };
    bool is_away;
    assert_false(trp_failed(trp_route_fit_apply(&fit, call, 0, &undo, &r->err)));
    const bool is_taken = !trp_failed(trp_route_cast_inputs(&how, call, 1, &is_away, &r->err));
    assert_false(is_away);
    assert_int_equal(call->inputs[0].tensor.dtype, is_taken ? c->to : c->from);
    trp_route_fit_undo(call, &undo, false);
    assert_ptr_equal(call->inputs, &in);
    assert_ptr_equal(in.tensor.data, &element);
    call->inputs_n = 0;
    trp_call_give_back(call);
    return is_taken;
}

static void a_cast_takes_what_it_can_hold_and_nothing_else(void **state)
{
    struct routes *r = *state;
    static const struct casting castings[] = {
        { TROUPE_FP32, TROUPE_INT64, 3, true },
        { TROUPE_FP32, TROUPE_INT64, 3.5, false },
        { TROUPE_FP32, TROUPE_UINT8, 255, true },
        { TROUPE_FP32, TROUPE_UINT8, 256, false },
        { TROUPE_FP32, TROUPE_UINT8, -1, false },
        { TROUPE_INT64, TROUPE_INT8, -128, true },
        { TROUPE_INT64, TROUPE_INT8, 128, false },
        { TROUPE_INT64, TROUPE_BOOL, 1, true },
        { TROUPE_INT64, TROUPE_BOOL, 2, false },
        { TROUPE_INT64, TROUPE_FP32, 7, true },
        { TROUPE_FP64, TROUPE_INT64, 1e19, false },
        { TROUPE_FP64, TROUPE_FP16, 1.5, true },
        { TROUPE_UINT8, TROUPE_BF16, 200, true },
        { TROUPE_INT64, TROUPE_INT64, 5, true },
        { TROUPE_INT64, TROUPE_UINT64, -1, false },
        { TROUPE_FP64, TROUPE_INT32, 2147483647, true },
        { TROUPE_FP64, TROUPE_INT32, 2147483648.0, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(castings); i++)
        if (casts(r, &castings[i]) != castings[i].is_taken)
            fail_msg("casting %zu", i);
}

static void constants_are_given_once_a_row(void **state)
{
    struct routes *r = *state;
    int64_t two[] = { 7, 8 };
    float rows[6] = { 0 };
    const struct trp_route_constant constant = {
        TRP_STR_LIT("k"),
        { .dtype = TROUPE_INT64, .rank = 1, .shape = { 2 }, .data = two, .bytes = sizeof two }
    };
    const struct trp_route_fit fit = { .constants = &constant, .constants_n = 1 };
    struct trp_call *call = trp_call_take(r->pool);
    struct trp_call_tensor in = { .name = TRP_STR_LIT("x") };
    struct trp_route_unfit undo;
    in.tensor = (struct troupe_tensor){
        .dtype = TROUPE_FP32, .rank = 2, .shape = { 3, 2 }, .data = rows, .bytes = sizeof rows
    };
    call->inputs = &in;
    call->inputs_n = 1;
    for (int is_batched = 0; is_batched <= 1; is_batched++) {
        assert_false(trp_failed(trp_route_fit_apply(&fit, call, is_batched * 3, &undo, &r->err)));
        assert_int_equal(call->inputs_n, 2);
        const struct troupe_tensor *k = &call->inputs[1].tensor;
        assert_int_equal(k->rank, is_batched ? 2 : 1);
        assert_int_equal(k->shape[0], is_batched ? 3 : 2);
        assert_int_equal(k->bytes, is_batched ? 48 : 16);
        assert_int_equal(((const int64_t *)k->data)[is_batched ? 5 : 1], 8);
        trp_route_fit_undo(call, &undo, false);
        assert_int_equal(call->inputs_n, 1);
    }
    assert_int_equal(trp_route_fit_apply(&fit, call, 2, &undo, &r->err).code, TRP_INVALID_ARGUMENT);
    in.tensor.dtype = TROUPE_BYTES; /* so many strings cannot be in so few bytes */
    in.tensor.shape[0] = 1000000;
    assert_int_equal(trp_route_fit_apply(&fit, call, 1 << 30, &undo, &r->err).code,
                     TRP_INVALID_ARGUMENT);
    assert_int_equal(call->inputs_n, 1);
    call->inputs_n = 0;
    trp_call_give_back(call);
}

/* The target stands for others, as an ensemble does: one of them is at work while the other has
 * failed. */
struct part {
    struct trp_call *call, *child;
};

static struct part begin_part(struct routes *r, const char *route, const char *target)
{
    struct part p = { .call = routes_start(r, route) };
    struct model *m = routes_model(r, target);
    routes_turn(r);
    assert_ptr_equal(m->kept, p.call);
    p.child = trp_call_child(m->kept, 0, &r->err);
    assert_non_null(p.child);
    for (uint32_t i = 0; i < m->kept->inputs_n; i++)
        assert_false(trp_failed(
            trp_call_child_input(p.child, TRP_STR_LIT("z"), &m->kept->inputs[i], &r->err)));
    return p;
}

static void end_part(struct routes *r, struct part *p)
{
    trp_call_child_end(p->child, &r->env.finder);
    routes_end(r, p->call);
}

/* What it reads has to be there as long as it works, whatever the route does with the call
 * meanwhile. */
static void what_was_cast_stays_while_a_step_reads_it(void **state)
{
    struct routes *r = *state;
    struct scarce memory;
    routes_read_ok(r, FITTED);
    struct model *m = routes_model(r, "theirs");
    m->keeps = true;
    for (int has_fallback = 0; has_fallback <= 1; has_fallback++) {
        if (has_fallback)
            routes_read_ok(
                r, "routes:\n  r:\n    targets: { t: { model: theirs, inputs: { x: pixels "
                   "}, cast: { pixels: INT64 } } }\n    rules: [ { use: t, fallback: ours } ]\n");
        r->account = scarce_init(&memory, 100);
        struct part p = begin_part(r, "r", "theirs");
        assert_int_equal(trp_counter_get(&memory.out), 1);
        m->fails = TRP_BACKEND_FAILED;
        model_answer(m, p.call);
        for (int i = 0; !r->answered && i < 10; i++)
            routes_turn(r);
        assert_ptr_equal(r->answered, p.call);
        assert_int_equal(p.call->error.status.code, has_fallback ? TRP_OK : TRP_BACKEND_FAILED);
        assert_int_equal(p.call->inputs_n, 1);
        assert_int_equal(p.call->inputs[0].tensor.dtype, TROUPE_FP32);
        const int64_t *read = p.child->inputs[0].tensor.data;
        assert_int_equal(read[0], 1);
        assert_int_equal(read[1], 2);
        end_part(r, &p);
        assert_int_equal(trp_counter_get(&memory.out), 0);
        m->fails = 0;
    }
    r->account = NULL;
}

/* The file is read anew, and the call comes back, while what it asked still works. */
static void constants_outlive_their_route(void **state)
{
    struct routes *r = *state;
    struct model *m = routes_model(r, "ours");
    const struct trp_io inputs[] = {
        m->input, { .name = TRP_STR_LIT("k"), .dtype = TROUPE_INT64, .rank = 1, .dims = { -1 } }
    };
    m->signature.inputs = inputs;
    m->signature.inputs_n = 2;
    m->keeps = true;
    routes_read_ok(
        r, "routes:\n  r:\n    targets: { t: { model: ours, constants: { k: [ 7, 8 ] } } }\n"
           "    rules: [ { use: t } ]\n");
    struct part p = begin_part(r, "r", "ours");
    routes_read_ok(r, FITTED);
    m->fails = TRP_BACKEND_FAILED;
    model_answer(m, p.call);
    routes_turn(r);
    assert_ptr_equal(r->answered, p.call);
    const int64_t *read = p.child->inputs[1].tensor.data;
    assert_int_equal(read[0], 7);
    assert_int_equal(read[1], 8);
    end_part(r, &p);
}

/* They are written when the route has let go of the call. */
static void an_answer_keeps_its_names_when_its_route_goes(void **state)
{
    struct routes *r = *state;
    struct model *m = routes_model(r, "theirs");
    m->keeps = true;
    for (int has_own_time = 0; has_own_time <= 1; has_own_time++) {
        r->wanted.name = has_own_time ? TRP_STR_LIT("y") : (struct trp_str){ NULL, 0 };
        m->patience_ns = has_own_time ? TRP_S(5) : 0;
        routes_read_ok(r, FITTED);
        struct trp_call *call = routes_start(r, "r");
        routes_turn(r);
        assert_non_null(m->kept);
        routes_read_ok(r, "routes:\n  r:\n    rules: [ { use: ours } ]\n");
        model_answer(m, m->kept);
        for (int i = 0; !r->answered && i < 10; i++)
            routes_turn(r);
        assert_ptr_equal(r->answered, call);
        assert_int_equal(call->error.status.code, TRP_OK);
        assert_true(trp_str_is(call->outputs[0].name, "y"));
        assert_true(trp_str_is(call->wanted[0].name, "y"));
        routes_end(r, call);
    }
}

/* A client that keeps to the metadata is refused by nobody. */
static void a_route_takes_as_many_rows_as_whoever_may_answer_takes_fewest(void **state)
{
    struct routes *r = *state;
    static const struct {
        const char *text;
        int32_t ours, more, theirs, whole; /* rows; 0: any number */
    } rows[] = {
        { "routes: { r: [ { use: ours, fallback: more } ] }", 0, 64, 0, 64 },
        { "routes: { r: [ { use: ours, fallback: more } ] }", 8, 64, 0, 8 },
        { "routes: { r: [ { use: ours, canary: more } ] }", 8, 0, 0, 8 },
        { "routes: { r: [ { use: ours, hedge: { use: more, after: 1ms } } ] }", 8, 4, 0, 4 },
        { "routes: { r: [ { use: ours, shadow: more } ] }", 8, 4, 0, 8 },
        { "routes: { r: [ { when: params.n == 1, use: more }, { use: ours } ] }", 8, 4, 0, 4 },
        { "routes: { r: [ { use: ours, fallback: more } ] }", 0, 0, 0, 0 },
    };
    struct trp_arena arena;
    struct trp_signature s;
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    (void)routes_add(r, "more");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        routes_model(r, "ours")->signature.batch_max = rows[i].ours;
        routes_model(r, "more")->signature.batch_max = rows[i].more;
        routes_read_ok(r, rows[i].text);
        const struct trp_target *t = trp_route_target(trp_route_file_at(r->file, 0));
        assert_false(trp_failed(t->ops->describe(t, 0, &arena, &s, NULL)));
        assert_int_equal(s.batch_max, rows[i].whole);
    }
    routes_model(r, "ours")->signature.batch_max = 8;
    routes_model(r, "more")->is_missing = true; /* nobody knows: the first one's own */
    const struct trp_target *t = trp_route_target(trp_route_file_at(r->file, 0));
    assert_false(trp_failed(t->ops->describe(t, 0, &arena, &s, NULL)));
    assert_int_equal(s.batch_max, 8);
    routes_model(r, "more")->is_missing = false;
    routes_model(r, "more")->signature.batch_max = 4;
    routes_model(r, "ours")->output.dims[0] = 1; /* its answer has no rows */
    routes_model(r, "ours")->signature.batch_max = 0;
    assert_false(trp_failed(t->ops->describe(t, 0, &arena, &s, NULL)));
    assert_int_equal(s.batch_max, 0);
    trp_arena_deinit(&arena);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, routes_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(names_and_types_are_the_targets_there_and_the_clients_back),
        TEST(outputs_become_what_clients_are_to_get),
        TEST(outputs_that_a_target_lacks_are_given),
        TEST(outputs_are_given_once_a_row),
        TEST(an_output_that_cannot_be_cast_is_a_failure_of_its_target),
        TEST(a_fallback_gets_the_request_as_it_came),
        TEST(clients_are_shown_their_own_names),
        TEST(while_nobody_of_the_last_rule_is_there_clients_are_shown_another),
        TEST(a_cast_takes_what_it_can_hold_and_nothing_else),
        TEST(constants_are_given_once_a_row),
        TEST(what_was_cast_stays_while_a_step_reads_it),
        TEST(constants_outlive_their_route),
        TEST(an_answer_keeps_its_names_when_its_route_goes),
        TEST(a_route_takes_as_many_rows_as_whoever_may_answer_takes_fewest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
