/* compose/op_decode.c - the step that makes pictures of files; see tensor_ops.h.
 *
 * Sizes are known from the headers alone, so all of a request is refused or given memory before a
 * pixel is decoded.  The files may lie in memory that a client still writes to: what the plan
 * saw is looked at again. */
#include <string.h>

#include "compose/image_decode.h"
#include "compose/op_parts.h"

#define CHANNELS_OTHERWISE 3u

struct files {
    const struct troupe_tensor *t;
    uint64_t offset, n;
};

static struct files files_of(const struct troupe_tensor *t)
{
    return (struct files){ t, 0, t->rank > 0 ? (uint64_t)t->shape[0] : 0 };
}

static trp_status next_file(struct files *f, struct trp_str *out, struct trp_error *err)
{
    uint32_t length = 0;
    const char *at = (const char *)f->t->data + f->offset;
    const uint64_t left = f->t->bytes - f->offset;
    if (left >= sizeof length)
        memcpy(&length, at, sizeof length);
    if (left < sizeof length || length > left - sizeof length)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "it does not fill its bytes");
    *out = trp_str_make(at + sizeof length, length);
    f->offset += sizeof length + length;
    return trp_ok();
}

static uint32_t channels_of(const struct trp_tensor_op *op)
{
    return op->channels > 0 ? op->channels : CHANNELS_OTHERWISE;
}

static trp_status look_at(const struct trp_tensor_op *op, const struct trp_tensor_op_limits *limits,
                          struct files *f, struct trp_image_info *info, struct trp_str *out_file,
                          struct trp_error *err)
{
    if (limits->stop && trp_flag_is_up(limits->stop))
        return trp_fail(err, TRP_CANCELLED, "the request was cancelled");
    TRP_CHECK(next_file(f, out_file, err));
    return trp_image_info(limits->alloc, *out_file, op->upright, limits->pixels_max, info, err);
}

/* Memory for a picture that is made smaller or larger afterwards. */
static uint64_t room_for(const struct trp_tensor_op *op, const struct trp_image_info *info)
{
    const struct trp_op_picture p = { 1, info->height, info->width, channels_of(op) };
    const uint64_t pixels = (uint64_t)info->width * info->height * p.channels;
    return ((pixels + 15) & ~UINT64_C(15)) + trp_op_resize_scratch(&p, op->height, op->width);
}

trp_status trp_op_decode_plan(const struct trp_tensor_op *op,
                              const struct trp_tensor_op_limits *limits,
                              const struct troupe_tensor *in, struct troupe_tensor *out,
                              uint64_t *out_scratch_bytes, struct trp_error *err)
{
    struct files f = files_of(in);
    struct trp_image_info first = { .width = op->width, .height = op->height }, info;
    *out_scratch_bytes = 0;
    for (uint64_t i = 0; i < f.n; i++) {
        struct trp_str file;
        TRP_TRY(look_at(op, limits, &f, &info, &file, err), err, "file %llu",
                (unsigned long long)i);
        if (op->width > 0) {
            const uint64_t room = room_for(op, &info);
            *out_scratch_bytes = room > *out_scratch_bytes ? room : *out_scratch_bytes;
            continue;
        }
        if (i == 0)
            first = info;
        if (info.width != first.width || info.height != first.height)
            return trp_fail(
                err, TRP_INVALID_ARGUMENT,
                "file %llu: %u x %u pixels, the first has %u x %u: give the step a size",
                (unsigned long long)i, info.width, info.height, first.width, first.height);
    }
    out->dtype = TROUPE_UINT8;
    out->rank = 4;
    out->shape[0] = (int64_t)f.n;
    out->shape[1] = first.height;
    out->shape[2] = first.width;
    out->shape[3] = channels_of(op);
    return trp_ok();
}

/* One file, straight into its place or by way of `scratch`. */
static trp_status decode_one(const struct trp_tensor_op *op,
                             const struct trp_tensor_op_limits *limits, struct trp_str file,
                             const struct trp_image_info *info, struct troupe_tensor *out,
                             char *scratch, struct trp_error *err)
{
    const uint32_t channels = channels_of(op);
    const uint64_t bytes = (uint64_t)info->width * info->height * channels;
    if (op->width == 0 || (info->width == op->width && info->height == op->height))
        return trp_image_decode(limits->alloc, file, info, channels, out->data, err);
    const struct troupe_tensor whole = { .dtype = TROUPE_UINT8,
                                         .rank = 3,
                                         .shape = { info->height, info->width, channels },
                                         .data = scratch,
                                         .bytes = bytes };
    struct trp_tensor_op resize = *op;
    resize.layout = TRP_LAYOUT_NHWC;
    TRP_CHECK(trp_image_decode(limits->alloc, file, info, channels, (uint8_t *)scratch, err));
    trp_op_resize(&resize, &whole, out, scratch + ((bytes + 15) & ~UINT64_C(15)));
    return trp_ok();
}

trp_status trp_op_decode(const struct trp_tensor_op *op, const struct trp_tensor_op_limits *limits,
                         const struct troupe_tensor *in, struct troupe_tensor *out,
                         const struct trp_tensor_op_scratch *scratch, struct trp_error *err)
{
    struct files f = files_of(in);
    const uint64_t step = (uint64_t)out->shape[1] * (uint64_t)out->shape[2] * channels_of(op);
    for (uint64_t i = 0; i < f.n; i++) {
        struct trp_image_info info;
        struct trp_str file;
        struct troupe_tensor place = *out;
        place.data = (char *)out->data + i * step;
        TRP_TRY(look_at(op, limits, &f, &info, &file, err), err, "file %llu",
                (unsigned long long)i);
        const bool fits = op->width > 0 ? room_for(op, &info) <= scratch->bytes
                                        : info.width == (uint64_t)out->shape[2] &&
                                              info.height == (uint64_t)out->shape[1];
        if (!fits)
            return trp_fail(err, TRP_INVALID_ARGUMENT, "file %llu changed while it was read",
                            (unsigned long long)i);
        TRP_TRY(decode_one(op, limits, file, &info, &place, scratch->ptr, err), err, "file %llu",
                (unsigned long long)i);
    }
    return trp_ok();
}
