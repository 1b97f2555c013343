/* call/bind.c - a decoded call meets the signature of whoever will answer it.
 * Everything that can be known before a backend sees the tensors is checked here, with the words
 * that clients of the Open Inference Protocol match; see trp_call_bind() in call.h.
 *
 *  1. Nothing of the call changes before all checks have passed: a refused call releases what it
 *     came with, once.
 *  2. A call whose inputs stand in the signature's order (nearly all do) is bound in place: no
 *     copy, no allocation.
 *  3. Named dimensions are hints of exporters, not a law: only fixed dimensions are checked. */
#include <stdio.h>

#include "call/call.h"
#include "call/target.h"
#include "tensor/dtype.h"
#include "tensor/reshape.h"
#include "tensor/shape.h"

#define NONE UINT32_MAX
#define NAMES_MAX 200 /* bytes of a list of names in a message */
#define LISTED_MAX 16 /* names in it */

#define BATCH_NOTE                                                                                \
    " NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to " \
    "be prepended to each input shape. If you want to specify the full shape including the "      \
    "batch dim in your input dims config, try setting max_batch_size to zero. See the model "     \
    "configuration docs for more info on max_batch_size."

/* As the client wrote it: whom a route asks in its place is no word of the client's. */
static struct trp_str model_name(const struct trp_call *call)
{
    while (call->stands_in && call->parent)
        call = call->parent;
    if (call->model.len == 0 && call->target)
        return call->target->name;
    return call->model;
}

/* ---- the raw binary request: a body that is the tensor of the model's only input ---- */

static bool is_raw(const struct trp_call *call)
{
    return call->inputs_n == 1 && call->inputs[0].name.len == 0 &&
           call->inputs[0].tensor.dtype == TROUPE_NO_DTYPE;
}

/* Resolves the one free dimension from the byte count; the batch is 1. */
static trp_status raw_shape(const struct trp_io *io, int32_t batch_max, struct troupe_tensor *t,
                            struct trp_error *err)
{
    uint32_t free_at = NONE;
    if (io->any_rank)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "raw request: the model does not say the shape of input '%.*s'",
                        TRP_STR(io->name));
    t->rank = io->rank;
    for (uint32_t d = 0; d < io->rank; d++) {
        t->shape[d] = io->dims[d];
        if (d == 0 && batch_max > 0)
            t->shape[d] = 1;
        if (t->shape[d] >= 0)
            continue;
        if (free_at != NONE)
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "raw request: the shape of input '%.*s' cannot be deduced, it has more "
                            "than one variable dimension",
                            TRP_STR(io->name));
        free_at = d;
        t->shape[d] = 1;
    }
    uint64_t bytes = 0;
    if (free_at == NONE || io->dtype == TROUPE_BYTES ||
        !trp_shape_bytes(t->shape, t->rank, io->dtype, &bytes) || bytes == 0)
        return trp_ok();
    t->shape[free_at] = (int64_t)(t->bytes / bytes); /* a remainder is found by the byte count */
    return trp_ok();
}

/* A single string comes without its length; the raw layout wants one. */
static trp_status raw_string(struct trp_call *call, const struct trp_io *io,
                             struct trp_call_tensor *in, struct trp_error *err)
{
    uint64_t elements = 0;
    struct troupe_tensor *t = &in->tensor;
    if (t->rank == 0 || !trp_shape_elements(t->shape, t->rank, &elements) || elements != 1)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "For BYTES datatype raw input '%.*s', the model must have input shape [1]",
                        TRP_STR(io->name));
    if (t->bytes > UINT32_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "input '%.*s': a string of %llu bytes",
                        TRP_STR(io->name), (unsigned long long)t->bytes);
    const uint32_t len = (uint32_t)t->bytes;
    char *copy = trp_arena_get(&call->arena, sizeof len + (size_t)len);
    if (!copy)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "input '%.*s'", TRP_STR(io->name));
    memcpy(copy, &len, sizeof len); /* little-endian, as this machine is */
    if (len > 0)
        memcpy(copy + sizeof len, t->data, len);
    if (t->release)
        t->release(t->release_user, t->data);
    t->release = NULL;
    t->data = copy;
    t->bytes = sizeof len + (uint64_t)len;
    return trp_ok();
}

static trp_status complete_raw(struct trp_call *call, const struct trp_signature *s,
                               struct trp_error *err)
{
    const struct trp_str model = model_name(call);
    if (s->inputs_n != 1)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "raw request must only have 1 input (found 1) to be deduced but got %u "
                        "inputs in '%.*s' model configuration",
                        s->inputs_n, TRP_STR(model));
    const struct trp_io *io = &s->inputs[0];
    struct trp_call_tensor in = call->inputs[0];
    TRP_CHECK(raw_shape(io, s->batch_max, &in.tensor, err));
    if (io->dtype == TROUPE_BYTES)
        TRP_CHECK(raw_string(call, io, &in, err));
    in.name = io->name;
    in.tensor.dtype = io->dtype;
    call->inputs[0] = in;
    return trp_ok();
}

/* ---- which inputs came ---- */

/* Writes `'A','B'` of the names that `pick` takes; cut with an ellipsis when there are many. */
static const char *name_list(char *out, size_t out_size, const struct trp_str *names, uint32_t n)
{
    size_t len = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < n; i++) {
        const int wrote =
            snprintf(out + len, out_size - len, "%s'%.*s'", i > 0 ? "," : "", TRP_STR(names[i]));
        if (wrote < 0 || (size_t)wrote >= out_size - len - 4) {
            snprintf(out + len, out_size - len, "%s", i > 0 ? ",..." : "...");
            break;
        }
        len += (size_t)wrote;
    }
    return out;
}

/* "expected 2 inputs but got 1 inputs for model 'm'. Got input(s) ['A'], but missing required
 * input(s) ['B']. ..." */
static trp_status wrong_count(const struct trp_call *call, const struct trp_signature *s,
                              const uint32_t *from, struct trp_error *err)
{
    struct trp_str came[LISTED_MAX], missing[LISTED_MAX];
    char came_text[NAMES_MAX], missing_text[NAMES_MAX], expected[64];
    uint32_t came_n = 0, missing_n = 0, optional_n = 0;
    for (uint32_t i = 0; i < call->inputs_n && came_n < LISTED_MAX; i++)
        came[came_n++] = call->inputs[i].name;
    for (uint32_t i = 0; i < s->inputs_n; i++) {
        optional_n += s->inputs[i].optional;
        if (from[i] == NONE && !s->inputs[i].optional && missing_n < LISTED_MAX)
            missing[missing_n++] = s->inputs[i].name;
    }
    if (optional_n > 0)
        snprintf(expected, sizeof expected, "expected number of inputs between %u and %u",
                 s->inputs_n - optional_n, s->inputs_n);
    else
        snprintf(expected, sizeof expected, "expected %u inputs", s->inputs_n);
    return trp_fail(err, TRP_INVALID_ARGUMENT,
                    "%s but got %u inputs for model '%.*s'. Got input(s) [%s], but missing "
                    "required input(s) [%s]. Please provide all required input(s).",
                    expected, call->inputs_n, TRP_STR(model_name(call)),
                    name_list(came_text, sizeof came_text, came, came_n),
                    name_list(missing_text, sizeof missing_text, missing, missing_n));
}

/* A name that the signature lacks, and the names that it has; `kind` is "input" or "output". */
static trp_status unexpected(const struct trp_call *call, const char *kind, struct trp_str name,
                             const struct trp_io *ios, uint32_t ios_n, struct trp_error *err)
{
    struct trp_str known[LISTED_MAX];
    char known_text[NAMES_MAX];
    uint32_t known_n = 0;
    for (; known_n < ios_n && known_n < LISTED_MAX; known_n++)
        known[known_n] = ios[known_n].name;
    return trp_fail(err, TRP_INVALID_ARGUMENT,
                    "unexpected inference %s '%.*s' for model '%.*s'. Its %s(s) are [%s]", kind,
                    TRP_STR(name), TRP_STR(model_name(call)), kind,
                    name_list(known_text, sizeof known_text, known, known_n));
}

/* Finds for each input of the signature the place in call->inputs it comes from (NONE: not sent).
 * *out_in_order tells that there is nothing to rearrange. */
static trp_status match_inputs(const struct trp_call *call, const struct trp_signature *s,
                               uint32_t *from, bool *out_in_order, struct trp_error *err)
{
    const struct trp_str model = model_name(call);
    uint32_t found = 0, required = 0, required_found = 0, unknown = NONE;
    *out_in_order = call->inputs_n == s->inputs_n;
    for (uint32_t i = 0; i < s->inputs_n; i++) {
        from[i] = NONE;
        required += !s->inputs[i].optional;
    }
    for (uint32_t i = 0; i < call->inputs_n; i++) {
        const struct trp_str name = call->inputs[i].name;
        const uint32_t at = trp_signature_place(s->inputs, s->inputs_n, name, i);
        if (at == NONE) {
            unknown = unknown == NONE ? i : unknown;
            continue;
        }
        if (from[at] != NONE)
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "input '%.*s' appears more than once in the request for model '%.*s'",
                            TRP_STR(name), TRP_STR(model));
        from[at] = i;
        found++;
        required_found += !s->inputs[at].optional;
        *out_in_order = *out_in_order && at == i;
    }
    if (call->inputs_n > s->inputs_n || (required_found < required && unknown == NONE))
        return wrong_count(call, s, from, err);
    if (unknown != NONE)
        return unexpected(call, "input", call->inputs[unknown].name, s->inputs, s->inputs_n, err);
    return trp_ok();
}

/* ---- whether each fits ---- */

static trp_status wrong_shape(const struct trp_call *call, const struct trp_signature *s,
                              const struct trp_io *io, const struct troupe_tensor *t,
                              struct trp_error *err)
{
    char expected[400], got[400];
    return trp_fail(err, TRP_INVALID_ARGUMENT,
                    "unexpected shape for input '%.*s' for model '%.*s'. Expected %s, got %s.%s",
                    TRP_STR(io->name), TRP_STR(model_name(call)),
                    trp_shape_format(io->dims, io->rank, expected, sizeof expected),
                    trp_shape_format(t->shape, t->rank, got, sizeof got),
                    s->batch_max > 0 ? BATCH_NOTE : "");
}

static trp_status check_batch(const struct trp_call *call, const struct trp_signature *s,
                              const struct trp_io *io, const struct troupe_tensor *t,
                              int64_t *batch, struct trp_error *err)
{
    const struct trp_str model = model_name(call);
    if (s->batch_max <= 0)
        return trp_ok();
    if (t->rank == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "input '%.*s' has no shape but model requires batch dimension for '%.*s'",
                        TRP_STR(io->name), TRP_STR(model));
    if (t->shape[0] < 1)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "inference request batch-size must be >= 1 for '%.*s', got %lld",
                        TRP_STR(model), (long long)t->shape[0]);
    if (t->shape[0] > s->batch_max)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "inference request batch-size must be <= %d for '%.*s', got %lld",
                        s->batch_max, TRP_STR(model), (long long)t->shape[0]);
    if (*batch != 0 && *batch != t->shape[0])
        return trp_fail(
            err, TRP_INVALID_ARGUMENT,
            "input '%.*s' batch size does not match other inputs for '%.*s': %lld rows, "
            "the others have %lld",
            TRP_STR(io->name), TRP_STR(model), (long long)t->shape[0], (long long)*batch);
    *batch = t->shape[0];
    return trp_ok();
}

/* Words for a tensor that does not hold what its shape says; `shape` is only spelled out here,
 * off the usual way. */
static trp_status wrong_bytes(const struct trp_io *io, const struct troupe_tensor *t,
                              const char *what, struct trp_error *err)
{
    char shape[400];
    return trp_fail(err, TRP_INVALID_ARGUMENT, "input '%.*s': shape %s %s", TRP_STR(io->name),
                    trp_shape_format(t->shape, t->rank, shape, sizeof shape), what);
}

static trp_status wrong_size(const struct trp_io *io, const struct troupe_tensor *t,
                             uint64_t needed, struct trp_error *err)
{
    char shape[400];
    return trp_fail(err, TRP_INVALID_ARGUMENT,
                    "unexpected size for input '%.*s': got %llu bytes, shape %s of %s needs %llu",
                    TRP_STR(io->name), (unsigned long long)t->bytes,
                    trp_shape_format(t->shape, t->rank, shape, sizeof shape),
                    trp_dtype_name(t->dtype), (unsigned long long)needed);
}

/* The bytes that came are those that shape and type ask for. */
static trp_status check_bytes(const struct trp_io *io, const struct troupe_tensor *t,
                              struct trp_error *err)
{
    uint64_t elements = 0, bytes = 0;
    if (t->dtype != TROUPE_BYTES && trp_shape_bytes(t->shape, t->rank, t->dtype, &bytes))
        return bytes != t->bytes || (bytes > 0 && !t->data) ? wrong_size(io, t, bytes, err)
                                                            : trp_ok();
    if (!trp_shape_elements(t->shape, t->rank, &elements))
        return wrong_bytes(io, t, "has a negative or too large size", err);
    if (t->dtype != TROUPE_BYTES)
        return wrong_bytes(io, t, "is too large", err);
    TRP_TRY(trp_bytes_check(t->data, t->bytes, elements, err), err, "input '%.*s'",
            TRP_STR(io->name));
    return trp_ok();
}

static trp_status check_input(const struct trp_call *call, const struct trp_signature *s,
                              const struct trp_io *io, const struct troupe_tensor *t,
                              int64_t *batch, struct trp_error *err)
{
    if (t->dtype != io->dtype)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "inference input '%.*s' data-type is '%s', but model '%.*s' expects '%s'",
                        TRP_STR(io->name), trp_dtype_name(t->dtype), TRP_STR(model_name(call)),
                        trp_dtype_name(io->dtype));
    TRP_CHECK(check_batch(call, s, io, t, batch, err));
    if (t->rank > TROUPE_RANK_MAX) /* first: what follows reads its sizes */
        return trp_fail(err, TRP_INVALID_ARGUMENT, "input '%.*s': rank %u is above %d",
                        TRP_STR(io->name), t->rank, TROUPE_RANK_MAX);
    if (!trp_reshape_fits(io, t))
        return wrong_shape(call, s, io, t, err);
    return check_bytes(io, t, err);
}

/* ---- putting it in order ---- */

/* Names point to the signature from now on.  A tensor without elements needs an address all the
 * same: NULL says "not sent". */
static trp_status settle_input(struct trp_call *call, const struct trp_io *io,
                               struct trp_call_tensor *in, struct trp_error *err)
{
    in->name = io->name;
    if (!in->tensor.data)
        in->tensor.data = trp_arena_get(&call->arena, 1);
    if (!in->tensor.data)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "input '%.*s'", TRP_STR(io->name));
    return trp_ok();
}

static trp_status arrange_inputs(struct trp_call *call, const struct trp_signature *s,
                                 const uint32_t *from, bool in_order, struct trp_error *err)
{
    struct trp_call_tensor *arranged = call->inputs;
    if (!in_order)
        arranged = trp_arena_zeroed(&call->arena, s->inputs_n, sizeof *arranged);
    if (!arranged && s->inputs_n > 0)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%u inputs", s->inputs_n);
    for (uint32_t i = 0; i < s->inputs_n; i++)
        if (from[i] != NONE)
            TRP_CHECK(settle_input(call, &s->inputs[i], &call->inputs[from[i]], err));
    for (uint32_t i = 0; !in_order && i < s->inputs_n; i++) {
        if (from[i] != NONE)
            arranged[i] = call->inputs[from[i]];
        else {
            arranged[i].name = s->inputs[i].name;
            arranged[i].tensor.dtype = s->inputs[i].dtype;
        }
    }
    call->inputs = arranged;
    call->inputs_n = s->inputs_n;
    return trp_ok();
}

static trp_status bind_inputs(struct trp_call *call, const struct trp_signature *s,
                              struct trp_error *err)
{
    bool in_order = false;
    int64_t batch = 0;
    uint32_t few[64]; /* most signatures fit; larger ones take a piece of the arena */
    uint32_t *from = few;
    if (s->inputs_n > ARRAY_LEN(few))
        from = trp_arena_get(&call->arena, s->inputs_n * sizeof *from);
    if (!from)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%u inputs", s->inputs_n);
    TRP_CHECK(match_inputs(call, s, from, &in_order, err));
    for (uint32_t i = 0; i < s->inputs_n; i++)
        if (from[i] != NONE)
            TRP_CHECK(
                check_input(call, s, &s->inputs[i], &call->inputs[from[i]].tensor, &batch, err));
    return arrange_inputs(call, s, from, in_order, err);
}

/* ---- outputs ---- */

static trp_status want_all(struct trp_call *call, const struct trp_signature *s,
                           struct trp_error *err)
{
    struct trp_wanted *wanted = trp_arena_zeroed(&call->arena, s->outputs_n, sizeof *wanted);
    if (!wanted && s->outputs_n > 0)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%u outputs", s->outputs_n);
    for (uint32_t i = 0; i < s->outputs_n; i++) {
        wanted[i].name = s->outputs[i].name;
        wanted[i].index = i;
        wanted[i].binary = call->binary_default;
    }
    call->wanted = wanted;
    call->wanted_n = s->outputs_n;
    return trp_ok();
}

static trp_status bind_outputs(struct trp_call *call, const struct trp_signature *s,
                               struct trp_error *err)
{
    if (call->wanted_n == 0)
        return want_all(call, s, err);
    for (uint32_t i = 0; i < call->wanted_n; i++) {
        struct trp_wanted *w = &call->wanted[i];
        w->index = trp_signature_place(s->outputs, s->outputs_n, w->name, i);
        if (w->index == NONE)
            return unexpected(call, "output", w->name, s->outputs, s->outputs_n, err);
        for (uint32_t before = 0; before < i; before++)
            if (call->wanted[before].index == w->index)
                return trp_fail(err, TRP_INVALID_ARGUMENT,
                                "output '%.*s' is requested more than once", TRP_STR(w->name));
    }
    return trp_ok();
}

trp_status trp_call_bind(struct trp_call *call, const struct trp_signature *signature,
                         struct trp_error *err)
{
    if (is_raw(call))
        TRP_CHECK(complete_raw(call, signature, err));
    TRP_CHECK(bind_inputs(call, signature, err));
    return bind_outputs(call, signature, err);
}

/* ---- and back ---- */

static trp_status own_name(struct trp_call *call, struct trp_str *name, struct trp_error *err)
{
    const struct trp_str copy = trp_arena_dup(&call->arena, *name);
    if (!copy.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "a name of %zu bytes", name->len);
    *name = copy;
    return trp_ok();
}

trp_status trp_call_unbind(struct trp_call *call, struct trp_error *err)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < call->inputs_n; i++)
        TRP_CHECK(own_name(call, &call->inputs[i].name, err));
    for (uint32_t i = 0; call->wanted_named && i < call->wanted_n; i++)
        TRP_CHECK(own_name(call, &call->wanted[i].name, err));
    for (uint32_t i = 0; i < call->inputs_n; i++)
        if (call->inputs[i].tensor.data) /* else an optional one that was not sent */
            call->inputs[n++] = call->inputs[i];
    call->inputs_n = n;
    if (!call->wanted_named)
        call->wanted_n = 0;
    call->outputs = NULL; /* it may be bound to as many others */
    call->is_unbound = true;
    return trp_ok();
}
