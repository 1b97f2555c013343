/* compose/confidence.c - see confidence.h.
 *
 * A row is read in pieces, so that nothing has to be kept of it but its two largest and two sums.
 * Logits need their largest before they can be summed: they are read twice. */
#include "compose/confidence.h"

#include <math.h>

#include "compose/known_name.h"
#include "compose/numbers.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define PIECE ((size_t)128)

static const char *const kinds[TRP_CONFIDENCES] = {
    [TRP_CONFIDENCE_MAX] = "max",
    [TRP_CONFIDENCE_MARGIN] = "margin",
    [TRP_CONFIDENCE_ENTROPY] = "entropy",
};

bool trp_confidence_parse(struct trp_str name, enum trp_confidence_kind *out)
{
    const uint32_t at = trp_known_name_find(kinds, TRP_CONFIDENCES, name);
    if (at < TRP_CONFIDENCES)
        *out = (enum trp_confidence_kind)at;
    return at < TRP_CONFIDENCES;
}

const char *trp_confidence_near(struct trp_str name)
{
    return trp_known_name_near(kinds, TRP_CONFIDENCES, name);
}

const char *trp_confidence_name(enum trp_confidence_kind kind)
{
    return kinds[kind];
}

/* What is known of a row: the two largest, the sum of p and of p log p. */
struct gist {
    double first, second, sum, sum_log;
    bool is_nan;
};

static void add_probability(struct gist *g, double p)
{
    if (isnan(p))
        g->is_nan = true;
    p = p < 0 ? 0 : p > 1 ? 1 : p;
    if (p > g->first) {
        g->second = g->first;
        g->first = p;
    } else if (p > g->second) {
        g->second = p;
    }
    g->sum += p;
    g->sum_log += p > 0 ? p * log(p) : 0;
}

static double measure(enum trp_confidence_kind kind, const struct gist *g, size_t classes)
{
    if (g->is_nan || !(g->sum > 0))
        return 0;
    if (kind == TRP_CONFIDENCE_MAX)
        return g->first;
    if (kind == TRP_CONFIDENCE_MARGIN)
        return g->first - g->second;
    /* with q = p / sum:  -sum q log q  =  log(sum) - (sum p log p) / sum */
    const double entropy = log(g->sum) - g->sum_log / g->sum;
    return fmin(1, fmax(0, 1 - entropy / log((double)classes)));
}

/* The largest logit; NaN when one is, or when it is not finite. */
static double top_of(const struct troupe_tensor *t, uint64_t start, size_t classes)
{
    double piece[PIECE], top = -INFINITY;
    for (size_t at = 0; at < classes; at += PIECE) {
        const size_t n = classes - at < PIECE ? classes - at : PIECE;
        trp_numbers_read(t->dtype, t->data, start + at, n, piece);
        for (size_t i = 0; i < n; i++)
            top = isnan(top) || piece[i] <= top ? top : piece[i]; /* takes NaN, and keeps it */
    }
    return isfinite(top) ? top : (double)NAN;
}

static double confidence_of(enum trp_confidence_kind kind, bool logits,
                            const struct troupe_tensor *t, uint64_t start, size_t classes)
{
    double piece[PIECE], top = 0, total = 0;
    struct gist g = { 0 };
    if (classes == 1) {
        trp_numbers_read(t->dtype, t->data, start, 1, piece);
        const double x = piece[0];
        add_probability(&g, logits ? 1 / (1 + exp(-x)) : x);
        add_probability(&g, logits ? 1 / (1 + exp(x)) : 1 - x);
        return logits && x == INFINITY ? 0 : measure(kind, &g, 2);
    }
    if (logits) {
        top = top_of(t, start, classes);
        if (isnan(top))
            return 0;
        for (size_t at = 0; at < classes; at += PIECE) {
            const size_t n = classes - at < PIECE ? classes - at : PIECE;
            trp_numbers_read(t->dtype, t->data, start + at, n, piece);
            for (size_t i = 0; i < n; i++)
                total += exp(piece[i] - top);
        }
    }
    for (size_t at = 0; at < classes; at += PIECE) {
        const size_t n = classes - at < PIECE ? classes - at : PIECE;
        trp_numbers_read(t->dtype, t->data, start + at, n, piece);
        for (size_t i = 0; i < n; i++)
            add_probability(&g, logits ? exp(piece[i] - top) / total : piece[i]);
    }
    return measure(kind, &g, classes);
}

trp_status trp_confidence_rows(enum trp_confidence_kind kind, bool logits,
                               const struct troupe_tensor *t, double *out, uint64_t rows,
                               struct trp_error *err)
{
    uint64_t bytes, places, had = t->rank > 1 ? (uint64_t)t->shape[0] : 1;
    char shape[400];
    if (!trp_numbers_is_number(t->dtype))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "confidence is of numbers, not of %s",
                        trp_dtype_name(t->dtype));
    if (t->rank == 0 || !trp_shape_bytes(t->shape, t->rank, t->dtype, &bytes) || bytes > t->bytes ||
        had != rows || (rows > 0 && bytes == 0))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "confidence of %llu rows is of [rows, .., classes], not of %s",
                        (unsigned long long)rows,
                        trp_shape_format(t->shape, t->rank, shape, sizeof shape));
    if (rows == 0)
        return trp_ok();
    const uint64_t classes = (uint64_t)t->shape[t->rank - 1];
    places = bytes / trp_dtype_bytes(t->dtype) / classes / rows;
    for (uint64_t row = 0; row < rows; row++) {
        out[row] = 1;
        for (uint64_t place = 0; place < places; place++) {
            const uint64_t start = (row * places + place) * classes;
            out[row] = fmin(out[row], confidence_of(kind, logits, t, start, (size_t)classes));
        }
    }
    return trp_ok();
}
