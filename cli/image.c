/* cli/image.c - JPEG and PNG images as tensors; see tensor_file.h.
 *
 * Decoding is compose/image_decode's, which is what pipelines do.  Resizing averages the source
 * pixels that fall on each target pixel, which is right for making things smaller, the usual
 * case here. */
#include <string.h>

#include "base/file.h"
#include "cli/tensor_file.h"
#include "compose/image_decode.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define SIDE_MAX 16384u
#define FILE_BYTES_MAX ((size_t)256 << 20)

struct picture { /* 8-bit RGB, row-major */
    uint32_t width, height;
    unsigned char *rgb; /* in the arena */
};

/* -- what the model wants -- */

struct layout {
    uint32_t width, height, channels;
    size_t row, pixel, plane; /* strides in elements */
};

static uint32_t root_of(int64_t n)
{
    uint32_t r = 0;
    while ((int64_t)(r + 1) * (r + 1) <= n)
        r++;
    return (int64_t)r * r == n ? r : 0;
}

static uint32_t side(int64_t dim, uint32_t of_image)
{
    return dim > 0 && dim <= SIDE_MAX ? (uint32_t)dim : of_image;
}

/* Recognises the shape; leading dimensions are batch and become 1. */
static trp_status choose(const struct cli_wanted *w, const struct picture *p, struct layout *out,
                         struct troupe_tensor *t, struct trp_error *err)
{
    const uint32_t r = w->rank;
    const int64_t *d = w->dims;
    char text[128];
    *t = (struct troupe_tensor){ .dtype = w->dtype, .rank = r };
    for (uint32_t i = 0; i < r; i++)
        t->shape[i] = 1;
    if (r >= 3 && (d[r - 3] == 1 || d[r - 3] == 3)) {
        *out = (struct layout){
            side(d[r - 1], p->width), side(d[r - 2], p->height), (uint32_t)d[r - 3], 0, 1, 0
        };
        t->shape[r - 3] = out->channels;
        t->shape[r - 2] = out->height;
        t->shape[r - 1] = out->width;
        out->row = out->width;
        out->plane = (size_t)out->width * out->height;
    } else if (r >= 3 && (d[r - 1] == 1 || d[r - 1] == 3)) {
        *out = (struct layout){
            side(d[r - 2], p->width), side(d[r - 3], p->height), (uint32_t)d[r - 1], 0, 0, 1
        };
        t->shape[r - 3] = out->height;
        t->shape[r - 2] = out->width;
        t->shape[r - 1] = out->channels;
        out->pixel = out->channels;
        out->row = (size_t)out->width * out->channels;
    } else if (r >= 1 && d[r - 1] > 0 && (root_of(d[r - 1]) || root_of(d[r - 1] / 3))) {
        const bool grey = root_of(d[r - 1]) != 0;
        const uint32_t s = grey ? root_of(d[r - 1]) : root_of(d[r - 1] / 3);
        *out = (struct layout){ s, s, grey ? 1 : 3, s, 1, (size_t)s * s };
        t->shape[r - 1] = d[r - 1];
    } else {
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "an image does not fit shape %s: wanted are [.., 1 or 3, h, w], [.., h, w, "
                        "1 or 3] or a "
                        "flat square",
                        trp_shape_format(d, r, text, sizeof text));
    }
    return trp_ok();
}

/* The average of one channel over the source pixels of a target pixel; grey weighs as ITU-R
 * BT.601 does. */
static double sample(const struct picture *p, const struct layout *l, uint32_t x, uint32_t y,
                     uint32_t c)
{
    const uint32_t x0 = (uint32_t)((uint64_t)x * p->width / l->width);
    const uint32_t y0 = (uint32_t)((uint64_t)y * p->height / l->height);
    uint32_t x1 = (uint32_t)((uint64_t)(x + 1) * p->width / l->width);
    uint32_t y1 = (uint32_t)((uint64_t)(y + 1) * p->height / l->height);
    double sum = 0;
    x1 = x1 > x0 ? x1 : x0 + 1;
    y1 = y1 > y0 ? y1 : y0 + 1;
    for (uint32_t sy = y0; sy < y1; sy++) {
        for (uint32_t sx = x0; sx < x1; sx++) {
            const unsigned char *rgb = p->rgb + ((size_t)sy * p->width + sx) * 3;
            sum += l->channels == 3 ? rgb[c] : 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
        }
    }
    return sum / ((double)(x1 - x0) * (y1 - y0));
}

static void fill(const struct picture *p, const struct layout *l, const struct cli_image_opts *o,
                 struct troupe_tensor *t)
{
    for (uint32_t c = 0; c < l->channels; c++) {
        for (uint32_t y = 0; y < l->height; y++) {
            for (uint32_t x = 0; x < l->width; x++) {
                const double pixel = sample(p, l, x, y, c);
                const double v = (o->invert ? 255.0 - pixel : pixel) * o->scale + o->offset;
                const size_t at = c * l->plane + y * l->row + x * l->pixel;
                if (t->dtype == TROUPE_FP32)
                    ((float *)t->data)[at] = (float)v;
                else
                    ((uint8_t *)t->data)[at] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5);
            }
        }
    }
}

/* What is transparent shows paper. */
static void lay_on_paper(const unsigned char *rgba, size_t pixels, unsigned char *rgb)
{
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < 3; c++)
            rgb[i * 3 + c] =
                (unsigned char)(255 - ((255 - rgba[i * 4 + c]) * rgba[i * 4 + 3] + 127) / 255);
}

static trp_status decode(struct trp_arena *arena, struct trp_str file, struct picture *out,
                         struct trp_error *err)
{
    struct trp_image_info info;
    TRP_CHECK(trp_image_info(trp_heap(), file, false, (uint64_t)SIDE_MAX * SIDE_MAX, &info, err));
    if (info.width > SIDE_MAX || info.height > SIDE_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "image of %u x %u pixels, at most %u a side",
                        info.width, info.height, SIDE_MAX);
    const bool has_alpha = info.format == TRP_IMAGE_PNG && info.channels % 2 == 0;
    const uint32_t channels = has_alpha ? 4 : 3;
    const size_t pixels = (size_t)info.width * info.height;
    unsigned char *decoded = trp_arena_get(arena, pixels * channels);
    if (!decoded)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "image of %u x %u pixels", info.width, info.height);
    TRP_CHECK(trp_image_decode(trp_heap(), file, &info, channels, decoded, err));
    if (has_alpha)
        lay_on_paper(decoded, pixels, decoded); /* four bytes become three: in place */
    *out = (struct picture){ info.width, info.height, decoded };
    return trp_ok();
}

trp_status cli_read_image(struct trp_arena *arena, const char *path,
                          const struct cli_wanted *wanted, const struct cli_image_opts *opts,
                          struct troupe_tensor *out, struct trp_error *err)
{
    char *ptr;
    size_t len;
    struct picture picture = { 0 };
    struct layout layout = { 0 };
    if (wanted->dtype != TROUPE_FP32 && wanted->dtype != TROUPE_UINT8)
        return trp_fail(err, TRP_UNIMPLEMENTED,
                        "%s: an image becomes UINT8 or FP32, the input wants %s", path,
                        trp_dtype_name(wanted->dtype));
    TRP_CHECK(trp_file_read(trp_heap(), path, FILE_BYTES_MAX, &ptr, &len, err));
    const trp_status st = decode(arena, trp_str_make(ptr, len), &picture, err);
    trp_alloc_free(trp_heap(), ptr);
    TRP_TRY(st, err, "%s", path);
    TRP_TRY(choose(wanted, &picture, &layout, out, err), err, "%s", path);
    if (!trp_shape_bytes(out->shape, out->rank, out->dtype, &out->bytes) ||
        !(out->data = trp_arena_get(arena, out->bytes)))
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%s: tensor of the image", path);
    fill(&picture, &layout, opts, out);
    return trp_ok();
}
