/* compose/op_infer.c - what the outputs of a built-in step are; see tensor_ops.h.
 *
 * One rule for each step, for shapes that are known in part: -1 is a size, any_rank a rank, that
 * the load does not know yet. */
#include <stdio.h>

#include "compose/numbers.h"
#include "compose/op_parts.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

struct step {
    const struct trp_tensor_op *op;
    const struct trp_io *in;
    uint32_t in_n;
    struct trp_io *out;
};

/* ---- what is wrong ---- */

static trp_status refuse(const struct trp_io *io, uint32_t i, const char *expected,
                         struct trp_error *err)
{
    char shape[400];
    return trp_fail(err, TRP_INVALID_ARGUMENT, "input %u%s%.*s%s is %s %s, expected %s", i,
                    io->name.len > 0 ? " (" : "", TRP_STR(io->name), io->name.len > 0 ? ")" : "",
                    trp_dtype_name(io->dtype),
                    io->any_rank ? "of any rank"
                                 : trp_shape_format(io->dims, io->rank, shape, sizeof shape),
                    expected);
}

static trp_status need_numbers(const struct step *s, struct trp_error *err)
{
    return trp_numbers_is_number(s->in->dtype) ? trp_ok() : refuse(s->in, 0, "numbers", err);
}

static trp_status need_axis(const struct step *s, uint32_t i, uint32_t *out_axis,
                            struct trp_error *err)
{
    char expected[64];
    *out_axis = trp_op_axis_of(s->op->axis, s->in[i].rank);
    if (s->in[i].any_rank || *out_axis != UINT32_MAX)
        return trp_ok();
    (void)snprintf(expected, sizeof expected, "a shape that has axis %d", s->op->axis);
    return refuse(&s->in[i], i, expected, err);
}

/* The axis has elements, as far as is known. */
static trp_status need_elements(const struct step *s, int64_t least, uint32_t *out_axis,
                                struct trp_error *err)
{
    char expected[96];
    TRP_CHECK(need_axis(s, 0, out_axis, err));
    if (s->in->any_rank || s->in->dims[*out_axis] < 0 || s->in->dims[*out_axis] >= least)
        return trp_ok();
    (void)snprintf(expected, sizeof expected, "at least %lld along axis %d", (long long)least,
                   s->op->axis);
    return refuse(s->in, 0, expected, err);
}

static trp_status wrong_number(const char *what, double is, const char *expected,
                               struct trp_error *err)
{
    return trp_fail(err, TRP_INVALID_ARGUMENT, "%s is %g, expected %s", what, is, expected);
}

static trp_status wrong_type(int32_t is, const char *expected, struct trp_error *err)
{
    return trp_fail(err, TRP_INVALID_ARGUMENT, "to is %s, expected %s", trp_dtype_name(is),
                    expected);
}

static void like(const struct trp_io *io, int32_t dtype, struct trp_io *out)
{
    *out = (struct trp_io){ .dtype = dtype, .rank = io->rank, .any_rank = io->any_rank };
    memcpy(out->dims, io->dims, sizeof out->dims);
}

/* ---- along an axis ---- */

static trp_status infer_softmax(const struct step *s, struct trp_error *err)
{
    uint32_t axis;
    if (!trp_numbers_is_float(s->in->dtype))
        return refuse(s->in, 0, "FP16, BF16, FP32 or FP64", err);
    TRP_CHECK(need_axis(s, 0, &axis, err));
    like(s->in, s->in->dtype, s->out);
    return trp_ok();
}

static trp_status infer_argmax(const struct step *s, struct trp_error *err)
{
    uint32_t axis;
    TRP_CHECK(need_numbers(s, err));
    TRP_CHECK(need_elements(s, 1, &axis, err));
    like(s->in, TROUPE_INT64, s->out);
    if (s->in->any_rank)
        return trp_ok();
    if (s->op->keep_axis) {
        s->out->dims[axis] = 1;
        return trp_ok();
    }
    for (uint32_t d = axis; d + 1 < s->in->rank; d++)
        s->out->dims[d] = s->in->dims[d + 1];
    s->out->dims[--s->out->rank] = 0;
    return trp_ok();
}

static trp_status infer_top_k(const struct step *s, struct trp_error *err)
{
    uint32_t axis;
    TRP_CHECK(need_numbers(s, err));
    if (s->op->k < 1)
        return wrong_number("k", (double)s->op->k, "1 or more", err);
    TRP_CHECK(need_elements(s, s->op->k, &axis, err));
    like(s->in, s->in->dtype, &s->out[0]);
    like(s->in, TROUPE_INT64, &s->out[1]);
    s->out[0].name = TRP_STR_LIT("values");
    s->out[1].name = TRP_STR_LIT("indices");
    if (!s->in->any_rank)
        s->out[0].dims[axis] = s->out[1].dims[axis] = s->op->k;
    return trp_ok();
}

/* ---- pictures ---- */

static trp_status need_picture(const struct step *s, enum trp_layout layout, int64_t *out_channels,
                               struct trp_error *err)
{
    const struct trp_io *io = s->in;
    const bool is_nhwc = layout == TRP_LAYOUT_NHWC;
    *out_channels = -1;
    TRP_CHECK(need_numbers(s, err));
    if (io->any_rank)
        return trp_ok();
    if (io->rank != 3 && io->rank != 4)
        return refuse(io, 0, is_nhwc ? "[h, w, c] or [n, h, w, c]" : "[c, h, w] or [n, c, h, w]",
                      err);
    *out_channels = io->dims[is_nhwc ? io->rank - 1 : io->rank - 3];
    return trp_ok();
}

static trp_status check_channel_numbers(const struct step *s, int64_t channels,
                                        struct trp_error *err)
{
    const struct trp_tensor_op *op = s->op;
    const char *const what[] = { "mean", "std" };
    const uint32_t n[] = { op->mean_n, op->std_n };
    for (uint32_t i = 0; i < 2; i++)
        if (n[i] > 1 && channels >= 0 && n[i] != (uint64_t)channels)
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "%s has %u numbers, the picture %lld channels", what[i], n[i],
                            (long long)channels);
    for (uint32_t i = 0; i < op->std_n; i++)
        if (op->std[i] == 0)
            return wrong_number("std", 0, "no zero", err);
    return trp_ok();
}

static trp_status infer_normalise(const struct step *s, struct trp_error *err)
{
    const int32_t to = s->op->to != TROUPE_NO_DTYPE ? s->op->to : TROUPE_FP32;
    int64_t channels;
    TRP_CHECK(need_picture(s, s->op->layout, &channels, err));
    TRP_CHECK(check_channel_numbers(s, channels, err));
    if (!trp_numbers_is_float(to))
        return wrong_type(to, "FP16, BF16, FP32 or FP64", err);
    like(s->in, to, s->out);
    if (s->in->any_rank || s->op->layout == s->op->to_layout)
        return trp_ok();
    const int64_t *from = s->in->dims + (s->in->rank - 3);
    int64_t *dims = s->out->dims + (s->in->rank - 3);
    const bool is_to_nchw = s->op->to_layout == TRP_LAYOUT_NCHW;
    for (uint32_t d = 0; d < 3; d++) /* h w c to c h w, or back */
        dims[d] = from[(d + (is_to_nchw ? 2 : 1)) % 3];
    return trp_ok();
}

static trp_status check_size(const struct trp_tensor_op *op, bool is_needed, struct trp_error *err)
{
    const uint32_t side_max = 65535;
    if ((op->height == 0) != (op->width == 0) || (is_needed && op->height == 0) ||
        op->height > side_max || op->width > side_max)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "size is [%u, %u], expected [height, width] of 1 to %u", op->height,
                        op->width, side_max);
    return trp_ok();
}

static trp_status infer_resize(const struct step *s, struct trp_error *err)
{
    int64_t channels;
    TRP_CHECK(check_size(s->op, true, err));
    TRP_CHECK(need_picture(s, s->op->layout, &channels, err));
    like(s->in, s->in->dtype, s->out);
    if (s->in->any_rank)
        return trp_ok();
    const uint32_t at = s->in->rank - 3 + (s->op->layout == TRP_LAYOUT_NCHW ? 1 : 0);
    if (s->in->dims[at] == 0 || s->in->dims[at + 1] == 0)
        return refuse(s->in, 0, "a picture with pixels", err);
    s->out->dims[at] = s->op->height;
    s->out->dims[at + 1] = s->op->width;
    return trp_ok();
}

static trp_status infer_decode(const struct step *s, struct trp_error *err)
{
    const struct trp_io *io = s->in;
    const uint32_t channels = s->op->channels > 0 ? s->op->channels : 3;
    const bool is_list =
        io->any_rank || io->rank == 1 || (io->rank == 2 && (io->dims[1] == 1 || io->dims[1] < 0));
    if (io->dtype != TROUPE_BYTES || !is_list)
        return refuse(io, 0, "BYTES [n] or [n, 1]", err);
    if (channels != 1 && channels != 3 && channels != 4)
        return wrong_number("channels", channels, "1, 3 or 4", err);
    TRP_CHECK(check_size(s->op, false, err));
    *s->out = (struct trp_io){ .dtype = TROUPE_UINT8, .rank = 4 };
    s->out->dims[0] = io->any_rank ? -1 : io->dims[0];
    s->out->dims[1] = s->op->height > 0 ? (int64_t)s->op->height : -1;
    s->out->dims[2] = s->op->width > 0 ? (int64_t)s->op->width : -1;
    s->out->dims[3] = channels;
    return trp_ok();
}

/* ---- pieces ---- */

static trp_status join_one(const struct step *s, uint32_t i, uint32_t axis, struct trp_error *err)
{
    const struct trp_io *io = &s->in[i];
    struct trp_io *out = s->out;
    char expected[420], shape[400];
    bool fits = io->dtype == out->dtype && io->rank == out->rank;
    for (uint32_t d = 0; fits && d < io->rank; d++) {
        const int64_t a = out->dims[d], b = io->dims[d];
        if (d == axis && (a < 0 || b < 0))
            out->dims[d] = -1;
        else if (d == axis)
            fits = !__builtin_add_overflow(a, b, &out->dims[d]);
        else if (a < 0)
            out->dims[d] = b;
        else
            fits = b < 0 || a == b;
    }
    if (fits)
        return trp_ok();
    (void)snprintf(expected, sizeof expected, "%s %s but for axis %d", trp_dtype_name(out->dtype),
                   trp_shape_format(s->in[0].dims, s->in[0].rank, shape, sizeof shape),
                   s->op->axis);
    return refuse(io, i, expected, err);
}

static trp_status infer_concatenate(const struct step *s, struct trp_error *err)
{
    uint32_t axis;
    bool any_rank = false;
    if (trp_dtype_name(s->in->dtype)[0] == '\0')
        return refuse(s->in, 0, "a type", err);
    for (uint32_t i = 0; i < s->in_n; i++)
        any_rank = any_rank || s->in[i].any_rank;
    like(s->in, s->in->dtype, s->out);
    s->out->any_rank = any_rank;
    TRP_CHECK(need_axis(s, 0, &axis, err));
    for (uint32_t i = 1; i < s->in_n && !any_rank; i++)
        TRP_CHECK(join_one(s, i, axis, err));
    return trp_ok();
}

static trp_status infer_gather(const struct step *s, struct trp_error *err)
{
    const struct trp_io *data = &s->in[0], *indices = &s->in[1];
    uint32_t axis;
    if (trp_dtype_name(data->dtype)[0] == '\0')
        return refuse(data, 0, "a type", err);
    if (indices->dtype != TROUPE_INT32 && indices->dtype != TROUPE_INT64)
        return refuse(indices, 1, "INT32 or INT64", err);
    TRP_CHECK(need_axis(s, 0, &axis, err));
    *s->out = (struct trp_io){ .dtype = data->dtype };
    if (data->any_rank || indices->any_rank) {
        s->out->any_rank = true;
        return trp_ok();
    }
    if (data->rank - 1 + indices->rank > TROUPE_RANK_MAX)
        return refuse(indices, 1, "a result of rank 16 at most", err);
    uint32_t rank = 0;
    for (uint32_t d = 0; d < axis; d++)
        s->out->dims[rank++] = data->dims[d];
    for (uint32_t d = 0; d < indices->rank; d++)
        s->out->dims[rank++] = indices->dims[d];
    for (uint32_t d = axis + 1; d < data->rank; d++)
        s->out->dims[rank++] = data->dims[d];
    s->out->rank = rank;
    return trp_ok();
}

/* ---- elements ---- */

static trp_status infer_elements(const struct step *s, int32_t otherwise, struct trp_error *err)
{
    const int32_t to = s->op->to != TROUPE_NO_DTYPE ? s->op->to : otherwise;
    TRP_CHECK(need_numbers(s, err));
    if (!trp_numbers_is_number(to))
        return wrong_type(to, "a type of numbers", err);
    like(s->in, to, s->out);
    return trp_ok();
}

static trp_status infer(const struct step *s, struct trp_error *err)
{
    switch (s->op->kind) {
    case TRP_TENSOR_OP_SOFTMAX:
        return infer_softmax(s, err);
    case TRP_TENSOR_OP_ARGMAX:
        return infer_argmax(s, err);
    case TRP_TENSOR_OP_TOP_K:
        return infer_top_k(s, err);
    case TRP_TENSOR_OP_NORMALISE:
        return infer_normalise(s, err);
    case TRP_TENSOR_OP_RESIZE:
        return infer_resize(s, err);
    case TRP_TENSOR_OP_DECODE:
        return infer_decode(s, err);
    case TRP_TENSOR_OP_CONCATENATE:
        return infer_concatenate(s, err);
    case TRP_TENSOR_OP_GATHER:
        return infer_gather(s, err);
    case TRP_TENSOR_OP_THRESHOLD:
        if (s->op->value != s->op->value)
            return wrong_number("value", s->op->value, "a number", err);
        return infer_elements(s, TROUPE_BOOL, err);
    case TRP_TENSOR_OP_CAST:
        return infer_elements(s, TROUPE_NO_DTYPE, err);
    case TRP_TENSOR_OPS:
        break;
    }
    return trp_fail(err, TRP_INVALID_ARGUMENT, "no such step");
}

trp_status trp_tensor_op_infer(const struct trp_tensor_op *op, const struct trp_io *in,
                               uint32_t in_n, struct trp_io *out, struct trp_error *err)
{
    const struct step s = { op, in, in_n, out };
    uint32_t least, most, out_n;
    trp_tensor_op_counts(op, &least, &most, &out_n);
    if (in_n < least || in_n > most)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%u inputs, takes %u to %u", in_n, least, most);
    return infer(&s, err);
}
