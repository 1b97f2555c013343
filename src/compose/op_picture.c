/* compose/op_picture.c - steps on pictures: normalise and resize; see tensor_ops.h.
 *
 * Both go line by line.  normalise makes a line doubles, one channel after the other, and writes
 * them in the layout that is asked for.  resize makes each line of the result out of the lines
 * around it first and shortens or lengthens that one line afterwards, so that it keeps one line
 * and no second picture, whatever the sizes are. */
#include <math.h>
#include <string.h>

#include "compose/numbers.h"
#include "compose/op_parts.h"
#include "tensor/dtype.h"

struct trp_op_picture trp_op_picture_of(const struct troupe_tensor *t, enum trp_layout layout)
{
    const int64_t *d = t->shape + (t->rank - 3);
    struct trp_op_picture p = { .n = t->rank == 4 ? (uint64_t)t->shape[0] : 1 };
    const bool is_nhwc = layout == TRP_LAYOUT_NHWC;
    p.height = (uint64_t)d[is_nhwc ? 0 : 1];
    p.width = (uint64_t)d[is_nhwc ? 1 : 2];
    p.channels = (uint64_t)d[is_nhwc ? 2 : 0];
    return p;
}

/* ---- normalise ---- */

uint64_t trp_op_normalise_scratch(const struct trp_op_picture *p)
{
    uint64_t line;
    if (__builtin_mul_overflow(p->width, p->channels, &line) || line > (UINT64_MAX >> 5))
        return UINT64_MAX;
    return 2 * line * sizeof(double);
}

/* A line, one channel after the other.  `at` is the first element of the picture. */
static void load_line(const struct troupe_tensor *t, const struct trp_op_picture *p,
                      enum trp_layout layout, uint64_t at, uint64_t y, double *line)
{
    const uint64_t w = p->width, c = p->channels;
    if (layout == TRP_LAYOUT_NCHW) {
        for (uint64_t ch = 0; ch < c; ch++)
            trp_numbers_read(t->dtype, t->data, at + (ch * p->height + y) * w, w, line + ch * w);
        return;
    }
    double *mixed = line + w * c;
    trp_numbers_read(t->dtype, t->data, at + y * w * c, w * c, mixed);
    for (uint64_t ch = 0; ch < c; ch++)
        for (uint64_t x = 0; x < w; x++)
            line[ch * w + x] = mixed[x * c + ch];
}

static void store_line(struct troupe_tensor *t, const struct trp_op_picture *p,
                       enum trp_layout layout, uint64_t at, uint64_t y, double *line)
{
    const uint64_t w = p->width, c = p->channels;
    if (layout == TRP_LAYOUT_NCHW) {
        for (uint64_t ch = 0; ch < c; ch++)
            trp_numbers_write(t->dtype, line + ch * w, w, t->data, at + (ch * p->height + y) * w);
        return;
    }
    double *mixed = line + w * c;
    for (uint64_t ch = 0; ch < c; ch++)
        for (uint64_t x = 0; x < w; x++)
            mixed[x * c + ch] = line[ch * w + x];
    trp_numbers_write(t->dtype, mixed, w * c, t->data, at + y * w * c);
}

static double of_channel(const double *given, uint32_t given_n, uint64_t channel, double otherwise)
{
    if (given_n == 0)
        return otherwise;
    return given[given_n == 1 ? 0 : channel];
}

static void normalise_line(const struct trp_tensor_op *op, const struct trp_op_picture *p,
                           double *line)
{
    const double scale = op->scale != 0 ? op->scale : 1;
    for (uint64_t ch = 0; ch < p->channels; ch++) {
        const double mean = of_channel(op->mean, op->mean_n, ch, 0);
        const double std = of_channel(op->std, op->std_n, ch, 1);
        double *v = line + ch * p->width;
        for (uint64_t x = 0; x < p->width; x++)
            v[x] = (v[x] * scale - mean) / std;
    }
}

void trp_op_normalise(const struct trp_tensor_op *op, const struct troupe_tensor *in,
                      struct troupe_tensor *out, double *scratch)
{
    const struct trp_op_picture p = trp_op_picture_of(in, op->layout);
    for (uint64_t n = 0; n < p.n; n++) {
        const uint64_t at = n * p.height * p.width * p.channels;
        for (uint64_t y = 0; y < p.height; y++) {
            load_line(in, &p, op->layout, at, y, scratch);
            normalise_line(op, &p, scratch);
            store_line(out, &p, op->to_layout, at, y, scratch);
        }
    }
}

/* ---- resize ---- */

/* Which pixels of a line, and with what weight, make one pixel of the result. */
struct taps {
    uint64_t first, n;
    double *weights;
};

/* One direction of a resize. */
struct stretch {
    uint64_t from, to;
    double ratio,
        reach; /* pixels of the source for one of the result; how far a pixel is looked for */
};

static struct stretch stretch_of(uint64_t from, uint64_t to, enum trp_resize method)
{
    const double ratio = (double)from / (double)to;
    return (struct stretch){ from, to, ratio,
                             method == TRP_RESIZE_AREA && ratio > 1 ? ratio : 1.0 };
}

static uint64_t taps_max(const struct stretch *s)
{
    return 2 * (uint64_t)ceil(s->reach) + 1;
}

static void find_taps(const struct stretch *s, uint64_t at, struct taps *t)
{
    const double centre = ((double)at + 0.5) * s->ratio;
    const double low = centre - s->reach + 0.5, high = centre + s->reach + 0.5;
    uint64_t last = high > 0 ? (uint64_t)high : 0;
    double sum = 0;
    t->first = low > 0 ? (uint64_t)low : 0;
    t->first = t->first < s->from ? t->first : s->from - 1;
    last = last < s->from ? last : s->from;
    last = last > t->first ? last : t->first + 1;
    t->n = last - t->first;
    for (uint64_t i = 0; i < t->n; i++) {
        const double away = fabs(((double)(t->first + i) - centre + 0.5) / s->reach);
        t->weights[i] = away < 1 ? 1 - away : 0;
        sum += t->weights[i];
    }
    for (uint64_t i = 0; i < t->n; i++)
        t->weights[i] = sum > 0 ? t->weights[i] / sum : 1.0 / (double)t->n;
}

/* What a resize keeps beside the two pictures; `channels` lie mixed within a line. */
struct workshop {
    struct stretch across, down;
    uint64_t channels;
    struct taps *taps; /* for each pixel of a line of the result */
    double *weights;   /* of all of them */
    double *down_weights, *sum, *one, *line;
};

static uint64_t workshop_bytes(const struct stretch *across, const struct stretch *down,
                               uint64_t channels)
{
    return across->to * (sizeof(struct taps) + taps_max(across) * sizeof(double)) +
           (taps_max(down) + channels * (2 * across->from + across->to)) * sizeof(double);
}

uint64_t trp_op_resize_scratch(const struct trp_op_picture *p, uint32_t height, uint32_t width)
{
    const struct stretch across = stretch_of(p->width, width, TRP_RESIZE_AREA);
    const struct stretch down = stretch_of(p->height, height, TRP_RESIZE_AREA);
    if (p->width > UINT32_MAX || p->height > UINT32_MAX || p->channels > UINT16_MAX)
        return UINT64_MAX;
    return workshop_bytes(&across, &down, p->channels);
}

static void lay_out(struct workshop *w, void *scratch)
{
    const uint64_t line = w->across.from * w->channels, most = taps_max(&w->across);
    w->taps = scratch;
    w->weights = (double *)(void *)(w->taps + w->across.to);
    w->down_weights = w->weights + w->across.to * most;
    w->sum = w->down_weights + taps_max(&w->down);
    w->one = w->sum + line;
    w->line = w->one + line;
    for (uint64_t x = 0; x < w->across.to; x++) {
        w->taps[x].weights = w->weights + x * most;
        find_taps(&w->across, x, &w->taps[x]);
    }
}

/* The lines around line `y` of the result, as one. */
static void blend_lines(struct workshop *w, const struct troupe_tensor *in, uint64_t at, uint64_t y)
{
    const uint64_t n = w->across.from * w->channels;
    struct taps t = { .weights = w->down_weights };
    find_taps(&w->down, y, &t);
    memset(w->sum, 0, n * sizeof *w->sum);
    for (uint64_t i = 0; i < t.n; i++) {
        const double weight = t.weights[i];
        if (weight == 0)
            continue;
        trp_numbers_read(in->dtype, in->data, at + (t.first + i) * n, n, w->one);
        for (uint64_t x = 0; x < n; x++)
            w->sum[x] += weight * w->one[x];
    }
}

static void stretch_line(struct workshop *w)
{
    for (uint64_t x = 0; x < w->across.to; x++) {
        const struct taps *t = &w->taps[x];
        for (uint64_t c = 0; c < w->channels; c++) {
            const double *from = w->sum + t->first * w->channels + c;
            double v = 0;
            for (uint64_t i = 0; i < t->n; i++)
                if (t->weights[i] != 0) /* an infinity or NaN that is not looked at says nothing */
                    v += t->weights[i] * from[i * w->channels];
            w->line[x * w->channels + c] = v;
        }
    }
}

static uint64_t nearest(const struct stretch *s, uint64_t at)
{
    return (2 * at + 1) * s->from / (2 * s->to); /* 32 bits each: exact, and never `from` */
}

static void copy_nearest(const struct workshop *w, const struct troupe_tensor *in, uint64_t in_at,
                         struct troupe_tensor *out, uint64_t out_at)
{
    const uint64_t pixel = w->channels * trp_dtype_bytes(in->dtype);
    for (uint64_t y = 0; y < w->down.to; y++) {
        const char *from = (const char *)in->data + in_at * trp_dtype_bytes(in->dtype) +
                           nearest(&w->down, y) * w->across.from * pixel;
        char *to =
            (char *)out->data + out_at * trp_dtype_bytes(in->dtype) + y * w->across.to * pixel;
        for (uint64_t x = 0; x < w->across.to; x++)
            memcpy(to + x * pixel, from + nearest(&w->across, x) * pixel, pixel);
    }
}

void trp_op_resize(const struct trp_tensor_op *op, const struct troupe_tensor *in,
                   struct troupe_tensor *out, void *scratch)
{
    const struct trp_op_picture p = trp_op_picture_of(in, op->layout);
    const bool is_mixed = op->layout == TRP_LAYOUT_NHWC;
    const uint64_t pictures = is_mixed ? p.n : p.n * p.channels;
    if (pictures == 0 || p.height == 0 || p.width == 0 || p.channels == 0)
        return;
    struct workshop w = { .across = stretch_of(p.width, op->width, op->method),
                          .down = stretch_of(p.height, op->height, op->method),
                          .channels = is_mixed ? p.channels : 1 };
    const uint64_t in_step = p.height * p.width * w.channels;
    const uint64_t out_step = w.down.to * w.across.to * w.channels;
    if (op->method != TRP_RESIZE_NEAREST)
        lay_out(&w, scratch);
    for (uint64_t i = 0; i < pictures; i++) {
        if (op->method == TRP_RESIZE_NEAREST) {
            copy_nearest(&w, in, i * in_step, out, i * out_step);
            continue;
        }
        for (uint64_t y = 0; y < w.down.to; y++) {
            blend_lines(&w, in, i * in_step, y);
            stretch_line(&w);
            trp_numbers_write(out->dtype, w.line, w.across.to * w.channels, out->data,
                              i * out_step + y * w.across.to * w.channels);
        }
    }
}
