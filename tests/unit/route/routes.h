/* tests/unit/route/routes.h - a file of routes over models that do as they are told, on a loop
 * of its own. */
#ifndef ROUTES_H
#define ROUTES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "call/call.h"
#include "call/target.h"
#include "route/route_file.h"
#include "unit/base/scarce.h"

#define MODELS_MAX 8
#define ELEMENTS_MAX 100000

struct routes;

struct model {                /* answers y = x, or fails, or keeps the call */
    struct trp_target target; /* first */
    struct routes *routes;
    int32_t fails;       /* code; 0: it answers */
    bool keeps;          /* until let_go() */
    int64_t patience_ns; /* 0: as long as it takes */
    bool is_missing;     /* nobody finds it */
    bool is_too_late;    /* it fails as admission does that sees no time for it */
    struct trp_call *kept;
    int asked, refs;
    int counted, counted_failed; /* as statistics count them */
    int64_t took_ns, queued_ns;  /* of the last one counted; when it was queued: 0: never */
    struct trp_signature signature;
    struct trp_io input, output;
};

struct routes {
    struct trp_clock clock;
    int64_t now_ns, deadline_ns; /* of the calls to come */
    struct trp_loop *loop;
    struct trp_call_pool *pool;
    struct model models[MODELS_MAX];
    uint32_t models_n;
    struct trp_route_env env;
    struct trp_route_file *file;
    struct trp_param params[4];
    uint32_t params_n;
    uint64_t sequence_number; /* of the calls to come */
    struct trp_str sequence_text;
    uint64_t elements;               /* of their inputs, each 1; 0: 1 and 2 */
    struct trp_wanted wanted;        /* by the calls to come; without a name: all */
    const struct trp_alloc *account; /* of their inputs; NULL: none */
    struct trp_call *answered;
    int finished;
    char model_name[64], why[160];
    struct trp_error err;
};

static int64_t routes_now(void *user)
{
    return ((struct routes *)user)->now_ns;
}

static const struct trp_signature *model_signature(const struct trp_target *t)
{
    return &((const struct model *)t)->signature;
}

static void model_state(const struct trp_target *t, struct trp_target_state *out)
{
    *out = (struct trp_target_state){ .ready = !((const struct model *)t)->is_missing,
                                      .state = "READY",
                                      .reason = TRP_STR_LIT("it is not there") };
}

static void model_answer(struct model *m, struct trp_call *call)
{
    struct trp_call_tensor *out = trp_arena_zeroed(&call->arena, 1, sizeof *out);
    assert_non_null(out);
    if (m->fails) {
        (void)trp_fail(&call->error, (enum trp_code)m->fails, "told to fail");
        call->is_too_late = m->is_too_late;
    } else {
        assert_int_equal(call->inputs_n, m->signature.inputs_n);
        *out = call->inputs[0];
        out->name = m->output.name;
        out->tensor.release = NULL;
        call->outputs = out;
        call->outputs_n = 1;
    }
    if (!trp_call_try_done(call) && !trp_failed(call->error.status))
        (void)trp_fail(&call->error, TRP_CANCELLED, "cancelled");
    trp_call_finish_soon(call);
}

static void model_start(struct trp_target *t, struct trp_call *call)
{
    struct model *m = (struct model *)t;
    m->asked++;
    if (m->keeps && !m->fails)
        m->kept = call;
    else
        model_answer(m, call);
}

static int64_t model_patience_ns(const struct trp_target *t, const struct trp_call *call)
{
    (void)call;
    return ((const struct model *)t)->patience_ns;
}

static void model_release(struct trp_target *t)
{
    ((struct model *)t)->refs--;
}

static const struct trp_target_ops model_ops = { .signature = model_signature,
                                                 .patience_ns = model_patience_ns,
                                                 .start = model_start,
                                                 .state = model_state };

static inline struct model *routes_model(struct routes *r, const char *name)
{
    for (uint32_t i = 0; i < r->models_n; i++)
        if (trp_str_is(r->models[i].target.name, name))
            return &r->models[i];
    return NULL;
}

static struct model *routes_add(struct routes *r, const char *name)
{
    struct model *m = &r->models[r->models_n++];
    m->target = (struct trp_target){ &model_ops, trp_str_of(name), 3 };
    m->routes = r;
    m->input = (struct trp_io){
        .name = TRP_STR_LIT("x"), .dtype = TROUPE_FP32, .rank = 1, .dims = { -1 }
    };
    m->output = m->input;
    m->output.name = TRP_STR_LIT("y");
    m->signature = (struct trp_signature){
        .inputs = &m->input, .outputs = &m->output, .inputs_n = 1, .outputs_n = 1
    };
    return m;
}

static struct trp_router *routes_route(struct routes *r, struct trp_str name)
{
    for (uint32_t i = 0; r->file && i < trp_route_file_count(r->file); i++)
        if (trp_str_is_equal(trp_route_plan_of(trp_route_file_at(r->file, i))->name, name))
            return trp_route_file_at(r->file, i);
    return NULL;
}

static trp_status routes_find(void *user, uint32_t loop_index, const struct trp_sought *sought,
                              struct trp_target **out_target,
                              void (**out_release)(struct trp_target *), struct trp_error *err)
{
    struct routes *r = user;
    struct trp_router *route = routes_route(r, sought->model);
    assert_int_equal(loop_index, 0);
    for (uint32_t i = 0; !route && i < r->models_n; i++) {
        struct model *m = &r->models[i];
        if (!trp_str_is_equal(m->target.name, sought->model) || m->is_missing)
            continue;
        m->refs++;
        *out_target = &m->target;
        *out_release = model_release;
        return trp_ok();
    }
    if (!route)
        return trp_fail(err, TRP_NOT_FOUND, "Request for unknown model: '%.*s' is not found",
                        TRP_STR(sought->model));
    *out_target = trp_route_target(route);
    *out_release = trp_route_release;
    trp_route_retain(*out_target);
    return trp_ok();
}

static void routes_finished(void *user, uint32_t loop_index, struct trp_call *call)
{
    struct routes *r = user;
    (void)loop_index;
    r->finished++;
    for (uint32_t i = 0; i < r->models_n; i++) {
        struct model *m = &r->models[i];
        if (call->target != &m->target)
            continue;
        m->counted++;
        m->counted_failed += trp_failed(call->error.status);
        m->took_ns = r->now_ns - call->stamps_ns[TRP_PHASE_ARRIVED];
        m->queued_ns = call->stamps_ns[TRP_PHASE_QUEUED];
    }
}

static void routes_init(struct routes *r)
{
    *r = (struct routes){ .now_ns = TRP_S(1000) };
    r->clock = (struct trp_clock){ routes_now, routes_now, r };
    const struct trp_loop_opts opts = { .name = "routes", .clock = &r->clock };
    assert_false(trp_failed(trp_loop_create(trp_heap(), &opts, &r->loop, NULL)));
    assert_false(
        trp_failed(trp_call_pool_create(trp_heap(), r->loop, 4096, 1 << 20, 100, &r->pool, NULL)));
    r->env = (struct trp_route_env){
        .finder = { .user = r, .find = routes_find, .finished = routes_finished },
        .clock = &r->clock,
    };
}

static trp_status routes_read(struct routes *r, const char *text)
{
    const struct trp_route_file_opts opts = {
        .path = "routes.yaml", .text = trp_str_of(text), .env = &r->env, .folder = "."
    };
    struct trp_route_file *old = r->file;
    r->file = NULL;
    r->err = (struct trp_error){ 0 };
    const trp_status st = trp_route_file_read(trp_heap(), &opts, &r->file, &r->err);
    trp_route_file_unref(old);
    return st;
}

static void routes_turn(struct routes *r)
{
    assert_false(trp_failed(trp_loop_turn(r->loop, 0, NULL)));
}

static void routes_done(struct trp_call *call, void *user)
{
    struct routes *r = user;
    r->answered = call;
}

static inline void routes_read_ok(struct routes *r, const char *text)
{
    if (trp_failed(routes_read(r, text)))
        fail_msg("%s", r->err.text);
}

/* For tests over three models. */
static inline int routes_set_up(void **state)
{
    static struct routes r; /* one test at a time */
    routes_init(&r);
    (void)routes_add(&r, "a");
    (void)routes_add(&r, "b");
    (void)routes_add(&r, "c");
    *state = &r;
    return 0;
}

/* A call with x = [1, 2], as front makes it, started on a route. */
static inline struct trp_call *routes_start(struct routes *r, const char *name)
{
    static float x[] = { 1, 2 }, many[ELEMENTS_MAX];
    struct trp_call *call = trp_call_take(r->pool);
    assert_non_null(call);
    struct trp_call_tensor *in = trp_arena_zeroed(&call->arena, 1, sizeof *in);
    assert_non_null(in);
    in->name = TRP_STR_LIT("x");
    in->account = r->account;
    in->tensor = (struct troupe_tensor){
        .dtype = TROUPE_FP32, .rank = 1, .shape = { 2 }, .data = x, .bytes = sizeof x
    };
    for (uint64_t i = 0; i < r->elements; i++)
        many[i] = 1;
    if (r->elements > 0) {
        in->tensor.shape[0] = (int64_t)r->elements;
        in->tensor.data = many;
        in->tensor.bytes = r->elements * sizeof *many;
    }
    call->inputs = in;
    call->inputs_n = 1;
    call->params = r->params;
    call->params_n = r->params_n;
    call->model = trp_str_of(name);
    call->is_unbound = true;
    call->wanted_named = r->wanted.name.len > 0;
    if (call->wanted_named) {
        call->wanted = trp_arena_zeroed(&call->arena, 1, sizeof *call->wanted);
        assert_non_null(call->wanted);
        *call->wanted = r->wanted;
        call->wanted_n = 1;
    }
    call->deadline_ns = r->deadline_ns;
    call->sequence_number = r->sequence_number;
    call->sequence_text = r->sequence_text;
    call->stamps_ns[TRP_PHASE_ARRIVED] = r->now_ns;
    struct trp_router *route = routes_route(r, call->model);
    assert_non_null(route);
    trp_route_retain(trp_route_target(route));
    trp_call_pin(call, trp_route_target(route), trp_route_release);
    r->answered = NULL;
    trp_call_push(call, routes_done, r);
    trp_target_start(call->target, call);
    return call;
}

static inline void routes_end(struct routes *r, struct trp_call *call)
{
    const struct trp_str why = call->answered_why, name = call->answered_by;
    (void)snprintf(r->model_name, sizeof r->model_name, "%.*s", TRP_STR(name));
    (void)snprintf(r->why, sizeof r->why, "%.*s", TRP_STR(why));
    r->err = call->error;
    assert_int_equal(call->lent_n, 0);
    trp_call_give_back(call);
}

/* Starts a call and waits for it: the code. */
static inline int32_t routes_ask(struct routes *r, const char *name)
{
    struct trp_call *call = routes_start(r, name);
    assert_null(r->answered); /* never from inside start */
    for (int i = 0; !r->answered && i < 100; i++)
        routes_turn(r);
    assert_ptr_equal(r->answered, call);
    const int32_t code = call->error.status.code;
    if (code == TRP_OK) {
        assert_int_equal(call->outputs_n, 1);
        assert_int_equal(call->outputs[0].tensor.bytes, 8);
    }
    routes_end(r, call);
    return code;
}

static inline struct trp_param *routes_param(struct routes *r, const char *name, int64_t value)
{
    struct trp_param *p = &r->params[r->params_n++];
    *p = (struct trp_param){ .name = trp_str_of(name), .kind = TRP_PARAM_INT, .v = { .i = value } };
    return p;
}

static void routes_deinit(struct routes *r)
{
    trp_route_file_unref(r->file);
    for (uint32_t i = 0; i < r->models_n; i++)
        assert_int_equal(r->models[i].refs, 0);
    trp_call_pool_destroy(r->pool);
    trp_loop_destroy(r->loop);
}

static inline int routes_tear_down(void **state)
{
    routes_deinit(*state);
    return 0;
}

#endif
