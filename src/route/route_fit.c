/* route/route_fit.c - see route_fit.h.
 *
 * The call's own inputs are never changed: a fitted call has a list of its own, in which they are
 * lent, beside what was cast or given. So they can be put back when the target fails and another
 * is asked, and whoever gives the call back finds each of them once. */
#include "route/route_fit.h"

#include "call/call_memory.h"
#include "route/route_cast.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define NAMES_MAX 256u
#define VALUES_MAX 65536u
#define SMALL_BYTES 1024u /* of a constant that lies in the call's own arena */

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory to fit a request to its target");
}

static bool is_text(const struct trp_node *n)
{
    return n->kind == TRP_NODE_WORD || n->kind == TRP_NODE_STR;
}

#define FAIL(r, at, err, ...) \
    trp_route_source_fail((r)->source, (at), (at)->key, (err), __VA_ARGS__)

/* ---- reading ---- */

static trp_status read_renames(const struct trp_route_fit_reader *r, const struct trp_node *at,
                               const struct trp_route_rename **out, uint32_t *out_n,
                               struct trp_error *err)
{
    if (!at)
        return trp_ok();
    if (at->kind != TRP_NODE_MAP || at->children_n > NAMES_MAX)
        return FAIL(r, at, err, "%.*s: expected { OURS: THEIRS, ... }, at most %u",
                    TRP_STR(at->key), NAMES_MAX);
    struct trp_route_rename *all =
        trp_arena_zeroed(r->arena, at->children_n + (size_t)1, sizeof *all);
    if (!all)
        return no_memory(err);
    for (const struct trp_node *n = at->first; n; n = n->next) {
        if (!is_text(n) || n->v.s.len == 0)
            return FAIL(r, n, err, "expected the name that the target has for '%.*s'",
                        TRP_STR(n->key));
        all[(*out_n)++] = (struct trp_route_rename){ n->key, n->v.s };
    }
    *out = all;
    return trp_ok();
}

static trp_status read_casts(const struct trp_route_fit_reader *r, const struct trp_node *at,
                             struct trp_route_fit *fit, struct trp_error *err)
{
    if (!at)
        return trp_ok();
    if (at->kind != TRP_NODE_MAP || at->children_n > NAMES_MAX)
        return FAIL(r, at, err, "cast: expected { INPUT_OR_OUTPUT: DATATYPE, ... }");
    struct trp_route_cast *all =
        trp_arena_zeroed(r->arena, at->children_n + (size_t)1, sizeof *all);
    if (!all)
        return no_memory(err);
    fit->casts = all;
    for (const struct trp_node *n = at->first; n; n = n->next) {
        const int32_t dtype = is_text(n) ? (int32_t)trp_dtype_parse(n->v.s) : TROUPE_NO_DTYPE;
        if (dtype == TROUPE_NO_DTYPE || dtype == TROUPE_BYTES)
            return FAIL(r, n, err, "cast: '%.*s' cannot become that; expected INT64, FP32, ...",
                        TRP_STR(n->key));
        all[fit->casts_n++] = (struct trp_route_cast){ n->key, dtype };
    }
    return trp_ok();
}

static bool store_text(int32_t dtype, struct trp_str text, void *at)
{
    int64_t i;
    double d;
    if (dtype == TROUPE_BOOL && (trp_str_is(text, "true") || trp_str_is(text, "false")))
        return trp_route_cast_int(dtype, trp_str_is(text, "true"), at);
    const bool is_negative = text.len > 1 && text.ptr[0] == '-';
    if (trp_str_parse_i64(is_negative ? trp_str_make(text.ptr + 1, text.len - 1) : text, &i) &&
        trp_dtype_bytes(dtype) > 0 && dtype <= TROUPE_INT64)
        return trp_route_cast_int(dtype, is_negative ? -i : i, at);
    return trp_str_parse_f64(text, &d) && trp_route_cast_double(dtype, d, at);
}

/* Of what a lone value looks like. */
static int32_t guess(const struct trp_node *value)
{
    const struct trp_node *one = value->kind == TRP_NODE_LIST ? value->first : value;
    int64_t i;
    double d;
    if (!one || !is_text(one) || one->kind == TRP_NODE_STR)
        return TROUPE_BYTES;
    struct trp_str s = one->v.s;
    if (trp_str_is(s, "true") || trp_str_is(s, "false"))
        return TROUPE_BOOL;
    const bool is_negative = s.len > 1 && s.ptr[0] == '-';
    if (trp_str_parse_i64(is_negative ? trp_str_make(s.ptr + 1, s.len - 1) : s, &i))
        return TROUPE_INT64;
    return trp_str_parse_f64(s, &d) ? TROUPE_FP32 : TROUPE_BYTES;
}

static size_t value_bytes(int32_t dtype, const struct trp_node *value, uint32_t n)
{
    size_t bytes = (size_t)n * trp_dtype_bytes(dtype);
    if (dtype != TROUPE_BYTES)
        return bytes;
    for (const struct trp_node *v = value->kind == TRP_NODE_LIST ? value->first : value; n > 0;
         v = v->next, n--)
        bytes += sizeof(uint32_t) + (is_text(v) ? v->v.s.len : 0);
    return bytes;
}

/* One constant: a value or a list of them, with a type when it is not that which it looks like. */
static trp_status read_constant(const struct trp_route_fit_reader *r, const struct trp_node *at,
                                struct trp_route_constant *out, struct trp_error *err)
{
    const bool is_map = at->kind == TRP_NODE_MAP;
    const struct trp_node *value = is_map ? trp_node_get(at, "value") : at;
    const struct trp_node *type = is_map ? trp_node_get(at, "type") : NULL;
    const int32_t dtype = type && is_text(type) ? (int32_t)trp_dtype_parse(type->v.s)
                          : value               ? guess(value)
                                                : TROUPE_NO_DTYPE;
    if (!value || dtype == TROUPE_NO_DTYPE || value->kind == TRP_NODE_MAP)
        return FAIL(r, at, err, "expected a value, or { value: V, type: DATATYPE }");
    const uint32_t n = value->kind == TRP_NODE_LIST ? value->children_n : 1;
    if (n == 0 || n > VALUES_MAX)
        return FAIL(r, at, err, "expected 1 to %u values", VALUES_MAX);
    const size_t bytes = value_bytes(dtype, value, n);
    char *to = trp_arena_get(r->arena, bytes);
    if (!to)
        return no_memory(err);
    out->name = at->key;
    out->tensor = (struct troupe_tensor){
        .dtype = dtype, .rank = 1, .shape = { n }, .data = to, .bytes = bytes
    };
    const struct trp_node *v = value->kind == TRP_NODE_LIST ? value->first : value;
    for (uint32_t i = 0; i < n; i++, v = v->next) {
        if (dtype == TROUPE_BYTES && is_text(v)) {
            const uint32_t len = (uint32_t)v->v.s.len;
            memcpy(to, &len, sizeof len);
            memcpy(to + sizeof len, v->v.s.ptr, len);
            to += sizeof len + len;
        } else if (is_text(v) && store_text(dtype, v->v.s, to)) {
            to += trp_dtype_bytes(dtype);
        } else {
            return FAIL(r, at, err, "value %u of '%.*s' is no %s", i + 1, TRP_STR(at->key),
                        trp_dtype_name(dtype));
        }
    }
    return trp_ok();
}

static trp_status read_constants(const struct trp_route_fit_reader *r, const struct trp_node *at,
                                 const struct trp_route_constant **out, uint32_t *out_n,
                                 struct trp_error *err)
{
    if (!at)
        return trp_ok();
    if (at->kind != TRP_NODE_MAP || at->children_n > NAMES_MAX)
        return FAIL(r, at, err, "%.*s: expected { NAME: VALUE, ... }", TRP_STR(at->key));
    struct trp_route_constant *all =
        trp_arena_zeroed(r->arena, at->children_n + (size_t)1, sizeof *all);
    if (!all)
        return no_memory(err);
    *out = all;
    for (const struct trp_node *n = at->first; n; n = n->next)
        TRP_CHECK(read_constant(r, n, &all[(*out_n)++], err));
    return trp_ok();
}

static trp_status check_keys(const struct trp_route_fit_reader *r, const struct trp_node *at,
                             struct trp_error *err)
{
    static const struct trp_str known[] = { { "model", 5 },     { "inputs", 6 },
                                            { "outputs", 7 },   { "cast", 4 },
                                            { "constants", 9 }, { "constant_outputs", 16 } };
    char hint[TRP_ROUTE_HINT_MAX];
    for (const struct trp_node *n = at->first; n; n = n->next) {
        uint32_t i = 0;
        while (i < ARRAY_LEN(known) && !trp_str_is_equal(n->key, known[i]))
            i++;
        trp_route_hint(hint, n->key, known, ARRAY_LEN(known));
        if (i == ARRAY_LEN(known))
            return FAIL(r, n, err, "unknown key '%.*s' of a target%s", TRP_STR(n->key), hint);
    }
    return trp_ok();
}

trp_status trp_route_fit_read(const struct trp_route_fit_reader *r, const struct trp_node *at,
                              struct trp_str *out_model, struct trp_route_fit **out_fit,
                              struct trp_error *err)
{
    *out_fit = NULL;
    if (at->kind != TRP_NODE_MAP)
        return FAIL(r, at, err, "target '%.*s': expected { model: MODEL, inputs: ..., ... }",
                    TRP_STR(at->key));
    TRP_CHECK(check_keys(r, at, err));
    const struct trp_node *model = trp_node_get(at, "model");
    if (model && (!is_text(model) || model->v.s.len == 0))
        return FAIL(r, model, err, "model: expected a name");
    *out_model = model ? model->v.s : trp_str_make(NULL, 0);
    struct trp_route_fit *fit = trp_arena_zeroed(r->arena, 1, sizeof *fit);
    if (!fit)
        return no_memory(err);
    TRP_CHECK(read_renames(r, trp_node_get(at, "inputs"), &fit->inputs, &fit->inputs_n, err));
    TRP_CHECK(read_renames(r, trp_node_get(at, "outputs"), &fit->outputs, &fit->outputs_n, err));
    TRP_CHECK(read_casts(r, trp_node_get(at, "cast"), fit, err));
    TRP_CHECK(
        read_constants(r, trp_node_get(at, "constants"), &fit->constants, &fit->constants_n, err));
    TRP_CHECK(
        read_constants(r, trp_node_get(at, "constant_outputs"), &fit->given, &fit->given_n, err));
    if (fit->inputs_n + fit->outputs_n + fit->casts_n + fit->constants_n + fit->given_n > 0)
        *out_fit = fit;
    return trp_ok();
}

/* ---- on the way there ---- */

static struct trp_str theirs(const struct trp_route_rename *all, uint32_t n, struct trp_str name)
{
    for (uint32_t i = 0; i < n; i++)
        if (trp_str_is_equal(all[i].ours, name))
            return all[i].theirs;
    return name;
}

static struct trp_str ours(const struct trp_route_rename *all, uint32_t n, struct trp_str name)
{
    for (uint32_t i = 0; i < n; i++)
        if (trp_str_is_equal(all[i].theirs, name))
            return all[i].ours;
    return name;
}

/* How often constants are given: once for each row, of which nobody has checked yet that there
 * are so many.  0: without rows.  A bound call has optional inputs that nobody sent, of no rank. */
static trp_status rows_of(const struct trp_call *call, int32_t batch_max, int64_t *out_rows,
                          struct trp_error *err)
{
    uint32_t at = 0;
    while (at < call->inputs_n && call->inputs[at].tensor.rank == 0)
        at++;
    const struct troupe_tensor *t = at < call->inputs_n ? &call->inputs[at].tensor : NULL;
    *out_rows = batch_max > 0 ? t ? t->shape[0] : 1 : 0;
    if (*out_rows > batch_max)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "inference request batch-size must be <= %d, got %lld", batch_max,
                        (long long)*out_rows);
    if (t && t->dtype == TROUPE_BYTES && *out_rows > 1 &&
        (uint64_t)*out_rows > t->bytes / sizeof(uint32_t))
        return trp_fail(
            err, TRP_INVALID_ARGUMENT, "input '%.*s' has %llu bytes, too few for %lld strings",
            TRP_STR(call->inputs[at].name), (unsigned long long)t->bytes, (long long)*out_rows);
    return trp_ok();
}

/* As often as there are rows when the target is asked in batches: [rows, n]; else [n].  A copy in
 * any case: the plan may go while children of the call still look at it. */
static trp_status give(const struct trp_route_constant *c, struct trp_call *call, int64_t rows,
                       struct trp_call_tensor *out, struct trp_error *err)
{
    const uint64_t times = rows < 1 ? 1 : (uint64_t)rows;
    uint64_t bytes;
    if (__builtin_mul_overflow(times, c->tensor.bytes, &bytes))
        return no_memory(err);
    char *to = bytes <= SMALL_BYTES ? trp_arena_get(&call->arena, (size_t)bytes)
                                    : trp_call_memory_get(call, call->arena.alloc, (size_t)bytes);
    if (!to)
        return no_memory(err);
    for (uint64_t i = 0; i < times; i++)
        memcpy(to + i * c->tensor.bytes, c->tensor.data, c->tensor.bytes);
    *out = (struct trp_call_tensor){ .name = c->name, .tensor = c->tensor };
    struct troupe_tensor *t = &out->tensor;
    t->data = to;
    t->bytes = bytes;
    if (rows < 1)
        return trp_ok();
    t->rank = 2;
    t->shape[1] = t->shape[0];
    t->shape[0] = rows;
    return trp_ok();
}

static void fit_input(const struct trp_route_fit *fit, struct trp_call_tensor *in)
{
    in->tensor.release = NULL; /* the call's own lets it go */
    in->tensor.release_user = NULL;
    in->name = theirs(fit->inputs, fit->inputs_n, in->name);
}

static trp_status fit_inputs(const struct trp_route_fit *fit, struct trp_call *call,
                             int32_t batch_max, struct trp_call_tensor *to, struct trp_error *err)
{
    uint32_t n = 0;
    int64_t rows = 0;
    trp_status st = fit->constants_n > 0 ? rows_of(call, batch_max, &rows, err) : trp_ok();
    for (uint32_t i = 0; !trp_failed(st) && i < call->inputs_n; i++, n++) {
        to[n] = call->inputs[i];
        fit_input(fit, &to[n]);
    }
    for (uint32_t i = 0; !trp_failed(st) && i < fit->constants_n; i++, n++)
        st = give(&fit->constants[i], call, rows, &to[n], err);
    return st;
}

static const struct trp_route_constant *given_by(const struct trp_route_fit *fit,
                                                 struct trp_str name)
{
    for (uint32_t i = 0; i < fit->given_n; i++)
        if (trp_str_is_equal(fit->given[i].name, name))
            return &fit->given[i];
    return NULL;
}

static bool is_named(const struct trp_route_fit *fit, struct trp_str name)
{
    for (uint32_t i = 0; i < fit->casts_n; i++)
        if (trp_str_is_equal(fit->casts[i].name, name))
            return true;
    return false;
}

trp_status trp_route_fit_apply(const struct trp_route_fit *fit, struct trp_call *call,
                               int32_t batch_max, struct trp_route_unfit *undo,
                               struct trp_error *err)
{
    const uint32_t n = call->inputs_n + fit->constants_n;
    struct trp_call_tensor *inputs = trp_arena_zeroed(&call->arena, n + (size_t)1, sizeof *inputs);
    struct trp_wanted *wanted =
        trp_arena_zeroed(&call->arena, call->wanted_n + (size_t)1, sizeof *wanted);
    if (!inputs || !wanted)
        return no_memory(err);
    struct trp_call_memory *const memory = call->memory;
    const trp_status st = fit_inputs(fit, call, batch_max, inputs, err);
    if (trp_failed(st)) {
        trp_call_memory_free(call, memory); /* nobody has seen it yet */
        return st;
    }
    *undo = (struct trp_route_unfit){ .inputs = call->inputs,
                                      .inputs_n = call->inputs_n,
                                      .wanted = call->wanted,
                                      .wanted_n = call->wanted_n,
                                      .memory = memory };
    uint32_t wanted_n = 0; /* of the target; none at all: it gives what it has */
    for (uint32_t i = 0; i < call->wanted_n; i++) {
        if (given_by(fit, call->wanted[i].name))
            continue;
        struct trp_wanted *w = &wanted[wanted_n++];
        *w = call->wanted[i];
        w->name = theirs(fit->outputs, fit->outputs_n, w->name);
        if (is_named(fit, w->name))
            w->memory = NULL; /* it comes as another type, and may be larger */
    }
    call->inputs = inputs;
    call->inputs_n = n;
    if (call->wanted_named) {
        call->wanted = wanted;
        call->wanted_n = wanted_n;
    }
    return trp_ok();
}

/* ---- and back ---- */

static trp_status rename_one(const struct trp_route_fit *fit, struct trp_call *call,
                             struct trp_str *name, struct trp_error *err)
{
    const struct trp_str other = ours(fit->outputs, fit->outputs_n, *name);
    if (other.ptr == name->ptr)
        return trp_ok();
    const struct trp_str copy = trp_arena_dup(&call->arena, other);
    if (!copy.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for an output's name in the route");
    *name = copy;
    return trp_ok();
}

/* Who gave it may have left its name to the wish. */
static struct trp_str name_of(const struct trp_call *call, uint32_t output)
{
    const struct trp_str name = call->outputs[output].name;
    return name.len > 0 || output >= call->wanted_n ? name : call->wanted[output].name;
}

/* An answer in the order in which clients of the route have asked for it. */
struct answer {
    const struct trp_route_fit *fit;
    struct trp_call *call;
    struct trp_call_tensor *outputs;
    struct trp_wanted *wanted;
    uint32_t n;
    int64_t rows; /* that a constant is given for; 0: once */
};

static trp_status add_given(struct answer *a, const struct trp_route_constant *c,
                            struct trp_wanted wish, struct trp_error *err)
{
    struct trp_call_tensor *out = &a->outputs[a->n];
    TRP_CHECK(give(c, a->call, a->rows, out, err));
    out->name = trp_arena_dup(&a->call->arena, c->name); /* the plan may go before it is encoded */
    if (!out->name.ptr)
        return no_memory(err);
    wish.name = out->name;
    wish.index = UINT32_MAX; /* none of the target's */
    a->wanted[a->n++] = wish;
    return trp_ok();
}

/* One that the target gave moves there; false: it did not. */
static bool add_theirs(struct answer *a, const struct trp_wanted *wish)
{
    struct trp_call *call = a->call;
    for (uint32_t i = 0; i < call->outputs_n; i++) {
        if (!trp_str_is_equal(name_of(call, i), wish->name))
            continue;
        a->outputs[a->n] = call->outputs[i];
        call->outputs[i].tensor.release = NULL;
        a->wanted[a->n] = *wish;
        a->wanted[a->n].index = call->wanted[i].index;
        a->wanted[a->n++].memory = call->wanted[i].memory;
        return true;
    }
    return false;
}

static void release_all(struct trp_call_tensor *all, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct troupe_tensor *t = &all[i].tensor;
        if (t->release)
            t->release(t->release_user, t->data);
        t->release = NULL;
    }
}

static trp_status arrange(struct answer *a, const struct trp_route_unfit *was,
                          struct trp_error *err)
{
    struct trp_call *call = a->call;
    if (!call->wanted_named) {
        memcpy(a->outputs, call->outputs, call->outputs_n * sizeof *a->outputs);
        memcpy(a->wanted, call->wanted, call->outputs_n * sizeof *a->wanted);
        a->n = call->outputs_n;
        const struct trp_wanted plain = { .binary = call->binary_default };
        for (uint32_t i = 0; i < a->fit->given_n; i++)
            TRP_CHECK(add_given(a, &a->fit->given[i], plain, err));
        return trp_ok();
    }
    for (uint32_t i = 0; i < was->wanted_n; i++) {
        const struct trp_route_constant *c = given_by(a->fit, was->wanted[i].name);
        if (c)
            TRP_CHECK(add_given(a, c, was->wanted[i], err));
        else if (!add_theirs(a, &was->wanted[i]))
            return trp_fail(err, TRP_BACKEND_FAILED, "output '%.*s' did not come",
                            TRP_STR(was->wanted[i].name));
    }
    release_all(call->outputs, call->outputs_n); /* what nobody has asked for */
    return trp_ok();
}

static trp_status give_outputs(const struct trp_route_fit *fit, struct trp_call *call,
                               const struct trp_route_unfit *was, struct trp_error *err)
{
    const struct trp_signature *s = trp_call_answer_signature(call);
    const size_t n = call->outputs_n + was->wanted_n + fit->given_n + (size_t)1;
    struct answer a = { .fit = fit,
                        .call = call,
                        .outputs = trp_arena_zeroed(&call->arena, n, sizeof *a.outputs),
                        .wanted = trp_arena_zeroed(&call->arena, n, sizeof *a.wanted) };
    if (!a.outputs || !a.wanted)
        return no_memory(err);
    TRP_CHECK(rows_of(call, s ? s->batch_max : 0, &a.rows, err));
    const trp_status st = arrange(&a, was, err);
    if (trp_failed(st)) {
        if (call->wanted_named) /* else they are the call's still */
            release_all(a.outputs, a.n);
        return st;
    }
    call->outputs = a.outputs;
    call->outputs_n = a.n;
    call->wanted = a.wanted;
    call->wanted_n = a.n;
    return trp_ok();
}

trp_status trp_route_fit_answer(const struct trp_route_fit *fit, struct trp_call *call,
                                const struct trp_route_unfit *was, struct trp_error *err)
{
    for (uint32_t i = 0; i < call->outputs_n; i++)
        TRP_CHECK(rename_one(fit, call, &call->outputs[i].name, err));
    for (uint32_t i = 0; i < call->wanted_n; i++)
        TRP_CHECK(rename_one(fit, call, &call->wanted[i].name, err));
    return fit->given_n > 0 ? give_outputs(fit, call, was, err) : trp_ok();
}

void trp_route_fit_undo(struct trp_call *call, const struct trp_route_unfit *undo, bool is_answered)
{
    call->inputs = undo->inputs;
    call->inputs_n = undo->inputs_n;
    for (uint32_t i = 0; is_answered && call->wanted_named && i < undo->wanted_n; i++)
        call->wanted[i].memory = undo->wanted[i].memory;
    if (is_answered)
        return;
    if (call->lent_n == 0)
        trp_call_memory_free(call, undo->memory);
    call->wanted = undo->wanted;
    call->wanted_n = undo->wanted_n;
}

bool trp_route_fit_is_cast(const struct trp_route_fit *fit, struct trp_str name)
{
    for (uint32_t i = 0; fit && i < fit->casts_n; i++)
        if (trp_str_is_equal(fit->casts[i].name, name))
            return true;
    return false;
}

struct trp_str trp_route_fit_output_name(const struct trp_route_fit *fit, struct trp_str theirs)
{
    return fit ? ours(fit->outputs, fit->outputs_n, theirs) : theirs;
}

int32_t trp_route_fit_dtype_given(const struct trp_route_fit *fit, const struct trp_signature *s,
                                  const struct trp_io *output)
{
    for (uint32_t i = 0; fit && i < fit->casts_n; i++)
        if (trp_str_is_equal(fit->casts[i].name, output->name) &&
            !trp_signature_input(s, output->name))
            return fit->casts[i].dtype;
    return output->dtype;
}

static struct trp_io describe_given(const struct trp_route_constant *c, bool is_batched)
{
    struct trp_io io = { .name = c->name, .dtype = c->tensor.dtype, .rank = is_batched ? 2 : 1 };
    io.dims[0] = is_batched ? -1 : c->tensor.shape[0];
    io.dims[1] = is_batched ? c->tensor.shape[0] : 0;
    return io;
}

trp_status trp_route_fit_describe(const struct trp_route_fit *fit, struct trp_arena *arena,
                                  struct trp_signature *s, struct trp_error *err)
{
    struct trp_io *inputs = trp_arena_zeroed(arena, s->inputs_n + (size_t)1, sizeof *inputs);
    struct trp_io *outputs =
        trp_arena_zeroed(arena, s->outputs_n + fit->given_n + (size_t)1, sizeof *outputs);
    uint32_t n = 0;
    if (!inputs || !outputs)
        return no_memory(err);
    for (uint32_t i = 0; i < s->inputs_n; i++) {
        bool is_given = false;
        for (uint32_t k = 0; k < fit->constants_n; k++)
            is_given |= trp_str_is_equal(fit->constants[k].name, s->inputs[i].name);
        if (is_given)
            continue;
        inputs[n] = s->inputs[i];
        inputs[n].name = ours(fit->inputs, fit->inputs_n, s->inputs[i].name);
        n++;
    }
    for (uint32_t i = 0; i < s->outputs_n; i++) {
        outputs[i] = s->outputs[i];
        outputs[i].name = ours(fit->outputs, fit->outputs_n, s->outputs[i].name);
        outputs[i].dtype = trp_route_fit_dtype_given(fit, s, &s->outputs[i]);
    }
    for (uint32_t i = 0; i < fit->given_n; i++)
        outputs[s->outputs_n + i] = describe_given(&fit->given[i], s->batch_max > 0);
    s->inputs = inputs;
    s->inputs_n = n;
    s->outputs = outputs;
    s->outputs_n += fit->given_n;
    s->hidden_inputs_n = s->hidden_outputs_n = 0; /* these arrays have none behind them */
    return trp_ok();
}
