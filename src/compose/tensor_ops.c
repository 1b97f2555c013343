/* compose/tensor_ops.c - see tensor_ops.h.  The parts do the work (op_parts.h); here is who is
 * asked, and with how much memory.
 *
 * A plan infers shapes from the real ones, by the same rules that were used at load: what passes
 * both times cannot differ. */
#include "compose/tensor_ops.h"

#include "compose/known_name.h"
#include "compose/op_parts.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

static const char *const kinds[TRP_TENSOR_OPS] = {
    [TRP_TENSOR_OP_SOFTMAX] = "softmax",     [TRP_TENSOR_OP_ARGMAX] = "argmax",
    [TRP_TENSOR_OP_TOP_K] = "top_k",         [TRP_TENSOR_OP_NORMALISE] = "normalise",
    [TRP_TENSOR_OP_RESIZE] = "resize",       [TRP_TENSOR_OP_DECODE] = "decode",
    [TRP_TENSOR_OP_GATHER] = "gather",       [TRP_TENSOR_OP_CONCATENATE] = "concatenate",
    [TRP_TENSOR_OP_THRESHOLD] = "threshold", [TRP_TENSOR_OP_CAST] = "cast",
};

bool trp_tensor_op_parse(struct trp_str name, enum trp_tensor_op_kind *out)
{
    const uint32_t at = trp_known_name_find(kinds, TRP_TENSOR_OPS, name);
    if (at < TRP_TENSOR_OPS)
        *out = (enum trp_tensor_op_kind)at;
    return at < TRP_TENSOR_OPS;
}

const char *trp_tensor_op_near(struct trp_str name)
{
    return trp_known_name_near(kinds, TRP_TENSOR_OPS, name);
}

const char *trp_tensor_op_name(enum trp_tensor_op_kind kind)
{
    return kinds[kind];
}

void trp_tensor_op_init(struct trp_tensor_op *op, enum trp_tensor_op_kind kind)
{
    const bool is_from_front = kind == TRP_TENSOR_OP_CONCATENATE || kind == TRP_TENSOR_OP_GATHER;
    *op = (struct trp_tensor_op){ .kind = kind, .axis = is_from_front ? 0 : -1 };
}

void trp_tensor_op_counts(const struct trp_tensor_op *op, uint32_t *out_inputs_min,
                          uint32_t *out_inputs_max, uint32_t *out_outputs)
{
    *out_inputs_min = op->kind == TRP_TENSOR_OP_GATHER ? 2 : 1;
    *out_inputs_max =
        op->kind == TRP_TENSOR_OP_CONCATENATE ? TRP_TENSOR_OP_INPUTS_MAX : *out_inputs_min;
    *out_outputs = op->kind == TRP_TENSOR_OP_TOP_K ? 2 : 1;
}

/* ---- plan ---- */

static trp_status describe(const struct troupe_tensor *in, uint32_t in_n, struct trp_io *out,
                           struct trp_error *err)
{
    for (uint32_t i = 0; i < in_n; i++) {
        uint64_t bytes;
        out[i] = (struct trp_io){ .dtype = in[i].dtype, .rank = in[i].rank };
        memcpy(out[i].dims, in[i].shape, sizeof out[i].dims);
        if (in[i].rank > TROUPE_RANK_MAX || !trp_shape_elements(in[i].shape, in[i].rank, &bytes))
            return trp_fail(err, TRP_INVALID_ARGUMENT, "input %u has no shape", i);
        if (in[i].dtype != TROUPE_BYTES &&
            (!trp_shape_bytes(in[i].shape, in[i].rank, in[i].dtype, &bytes) ||
             bytes != in[i].bytes))
            return trp_fail(err, TRP_INVALID_ARGUMENT, "input %u has not the bytes of its shape",
                            i);
        if (!in[i].data && in[i].bytes > 0)
            return trp_fail(err, TRP_INVALID_ARGUMENT, "input %u is not there", i);
    }
    return trp_ok();
}

static void take_shape(const struct trp_io *from, struct troupe_tensor *out)
{
    *out = (struct troupe_tensor){ .dtype = from->dtype, .rank = from->rank };
    memcpy(out->shape, from->dims, sizeof out->shape);
}

/* Such a step has nothing to do, and where one size is 0 the others may be anything. */
static bool is_empty(const struct troupe_tensor *t)
{
    uint64_t elements;
    return !trp_shape_elements(t->shape, t->rank, &elements) || elements == 0;
}

/* Bytes of strings cannot be told from a shape. */
static trp_status measure_output(const struct trp_tensor_op *op,
                                 const struct trp_tensor_op_limits *limits,
                                 const struct troupe_tensor *in, uint32_t in_n,
                                 struct troupe_tensor *out, struct trp_error *err)
{
    if (out->dtype == TROUPE_BYTES && op->kind == TRP_TENSOR_OP_GATHER)
        return trp_op_gather_bytes(op, limits->alloc, in, &out->bytes, err);
    if (out->dtype == TROUPE_BYTES)
        return trp_op_concatenate_bytes(in, in_n, &out->bytes, err);
    if (trp_shape_bytes(out->shape, out->rank, out->dtype, &out->bytes))
        return trp_ok();
    return trp_fail(err, TRP_TOO_LARGE, "an output of more bytes than there are");
}

static uint64_t scratch_of(const struct trp_tensor_op *op, const struct troupe_tensor *in)
{
    const uint32_t axis = in->rank > 0 ? trp_op_axis_of(op->axis, in->rank) : UINT32_MAX;
    const uint64_t n = axis != UINT32_MAX ? (uint64_t)in->shape[axis] : 0;
    struct trp_op_picture p;
    switch (op->kind) {
    case TRP_TENSOR_OP_SOFTMAX:
    case TRP_TENSOR_OP_ARGMAX:
        return n > (UINT64_MAX >> 4) ? UINT64_MAX : n * sizeof(double);
    case TRP_TENSOR_OP_TOP_K: /* k is not above n */
        return n > (UINT64_MAX >> 5) ? UINT64_MAX
                                     : n * sizeof(double) + (uint64_t)op->k * sizeof(uint64_t);
    case TRP_TENSOR_OP_GATHER:
        return trp_op_gather_scratch(in);
    case TRP_TENSOR_OP_NORMALISE:
        p = trp_op_picture_of(in, op->layout);
        return trp_op_normalise_scratch(&p);
    case TRP_TENSOR_OP_RESIZE:
        p = trp_op_picture_of(in, op->layout);
        return trp_op_resize_scratch(&p, op->height, op->width);
    default:
        return 0;
    }
}

static trp_status check_limits(const struct trp_tensor_op *op,
                               const struct trp_tensor_op_limits *limits,
                               const struct troupe_tensor *out, uint32_t out_n,
                               struct trp_error *err)
{
    const uint64_t pixels = (uint64_t)op->width * op->height;
    uint64_t bytes = 0;
    if (limits->pixels_max > 0 && pixels > limits->pixels_max)
        return trp_fail_limit(err, TRP_TOO_LARGE, TRP_LIMIT_IMAGE,
                              "makes images of %u x %u pixels, at most %llu (limits.image_pixels)",
                              op->width, op->height, (unsigned long long)limits->pixels_max);
    for (uint32_t i = 0; i < out_n; i++)
        if (__builtin_add_overflow(bytes, out[i].bytes, &bytes))
            bytes = UINT64_MAX;
    if (limits->output_bytes > 0 && bytes > limits->output_bytes)
        return trp_fail_limit(err, TRP_TOO_LARGE, TRP_LIMIT_OUTPUT,
                              "gives %llu bytes, at most %llu (limits.output_bytes)",
                              (unsigned long long)bytes, (unsigned long long)limits->output_bytes);
    return trp_ok();
}

static trp_status plan(const struct trp_tensor_op *op, const struct trp_tensor_op_limits *limits,
                       const struct troupe_tensor *in, uint32_t in_n, struct troupe_tensor *out,
                       struct trp_tensor_op_scratch *out_scratch, struct trp_error *err)
{
    struct trp_io ins[TRP_TENSOR_OP_INPUTS_MAX], outs[TRP_TENSOR_OP_OUTPUTS_MAX];
    uint32_t least, most, out_n;
    trp_tensor_op_counts(op, &least, &most, &out_n);
    if (in_n < least || in_n > most)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%u inputs, takes %u to %u", in_n, least, most);
    TRP_CHECK(describe(in, in_n, ins, err));
    TRP_CHECK(trp_tensor_op_infer(op, ins, in_n, outs, err));
    for (uint32_t i = 0; i < out_n; i++)
        take_shape(&outs[i], &out[i]);
    out_scratch->bytes = is_empty(out) ? 0 : scratch_of(op, in);
    if (op->kind == TRP_TENSOR_OP_DECODE)
        TRP_CHECK(trp_op_decode_plan(op, limits, in, out, &out_scratch->bytes, err));
    for (uint32_t i = 0; i < out_n; i++)
        TRP_CHECK(measure_output(op, limits, in, in_n, &out[i], err));
    if (out_scratch->bytes == UINT64_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "needs more memory than there is");
    return check_limits(op, limits, out, out_n, err);
}

trp_status trp_tensor_op_plan(const struct trp_tensor_op *op,
                              const struct trp_tensor_op_limits *limits,
                              const struct troupe_tensor *in, uint32_t in_n,
                              struct troupe_tensor *out, struct trp_tensor_op_scratch *out_scratch,
                              struct trp_error *err)
{
    TRP_TRY(plan(op, limits, in, in_n, out, out_scratch, err), err, "%s", kinds[op->kind]);
    return trp_ok();
}

/* ---- run ---- */

static trp_status run(const struct trp_tensor_op *op, const struct trp_tensor_op_limits *limits,
                      const struct troupe_tensor *in, uint32_t in_n, struct troupe_tensor *out,
                      const struct trp_tensor_op_scratch *scratch, struct trp_error *err)
{
    switch (op->kind) {
    case TRP_TENSOR_OP_SOFTMAX:
        trp_op_softmax(op, in, out, scratch->ptr);
        break;
    case TRP_TENSOR_OP_ARGMAX:
        trp_op_argmax(op, in, out, scratch->ptr);
        break;
    case TRP_TENSOR_OP_TOP_K:
        trp_op_top_k(op, in, out, scratch->ptr);
        break;
    case TRP_TENSOR_OP_NORMALISE:
        trp_op_normalise(op, in, out, scratch->ptr);
        break;
    case TRP_TENSOR_OP_RESIZE:
        trp_op_resize(op, in, out, scratch->ptr);
        break;
    case TRP_TENSOR_OP_DECODE:
        return trp_op_decode(op, limits, in, out, scratch, err);
    case TRP_TENSOR_OP_CONCATENATE:
        return trp_op_concatenate(op, in, in_n, out, err);
    case TRP_TENSOR_OP_GATHER:
        return trp_op_gather(op, in, out, scratch->ptr, err);
    case TRP_TENSOR_OP_THRESHOLD:
        trp_op_threshold(op, in, out);
        break;
    case TRP_TENSOR_OP_CAST:
        trp_op_cast(in, out);
        break;
    case TRP_TENSOR_OPS:
        break;
    }
    return trp_ok();
}

trp_status trp_tensor_op_run(const struct trp_tensor_op *op,
                             const struct trp_tensor_op_limits *limits,
                             const struct troupe_tensor *in, uint32_t in_n,
                             struct troupe_tensor *out, const struct trp_tensor_op_scratch *scratch,
                             struct trp_error *err)
{
    const bool is_wanted = out[0].data || (op->kind == TRP_TENSOR_OP_TOP_K && out[1].data);
    if (!is_wanted || is_empty(out))
        return trp_ok();
    TRP_TRY(run(op, limits, in, in_n, out, scratch, err), err, "%s", kinds[op->kind]);
    return trp_ok();
}
