/* route/agreement.c - see agreement.h. */
#include "route/agreement.h"

#include <math.h>

#include "base/half.h"
#include "tensor/dtype.h"

#define PIECE 256u /* elements that are looked at together */

struct comparing {
    struct trp_agreement_opts opts;
    struct trp_agreement_result *out;
    uint64_t left; /* elements that may still be looked at */
};

static bool is_floating(int32_t dtype)
{
    return dtype == TROUPE_FP32 || dtype == TROUPE_FP64 || dtype == TROUPE_FP16 ||
           dtype == TROUPE_BF16;
}

static void load(const struct troupe_tensor *t, uint64_t first, uint64_t n, double *out)
{
    const char *at = (const char *)t->data + first * trp_dtype_bytes(t->dtype);
    uint16_t half;
    float single;
    for (uint64_t i = 0; i < n; i++) /* copied: what a shadow gives need not be aligned */
        switch (t->dtype) {
        case TROUPE_FP64:
            memcpy(&out[i], at + i * sizeof out[i], sizeof out[i]);
            break;
        case TROUPE_FP32:
            memcpy(&single, at + i * sizeof single, sizeof single);
            out[i] = (double)single;
            break;
        default:
            memcpy(&half, at + i * sizeof half, sizeof half);
            out[i] = (double)(t->dtype == TROUPE_FP16 ? trp_fp16_to(half) : trp_bf16_to(half));
        }
}

/* True when both are as close as may be; notes how far apart they are. */
static bool is_close(struct comparing *c, double a, double b)
{
    if (a == b || (isnan(a) && isnan(b)))
        return true;
    const double apart = fabs(a - b);
    if (!isfinite(apart))
        return false;
    const double larger = fmax(fabs(a), fabs(b));
    const double relative = larger > 0 ? apart / larger : 0;
    if (apart > c->out->worst_abs)
        c->out->worst_abs = apart;
    if (relative > c->out->worst_rel)
        c->out->worst_rel = relative;
    return apart <= c->opts.abs_max || relative <= c->opts.rel_max;
}

struct largest {
    double value;
    uint64_t at;
    bool is_known;
};

static void see(struct largest *l, double value, uint64_t at)
{
    if (!isnan(value) && (!l->is_known || value > l->value))
        *l = (struct largest){ value, at, true };
}

static bool agrees_floating(struct comparing *c, const struct troupe_tensor *a,
                            const struct troupe_tensor *b, uint64_t first, uint64_t n)
{
    double x[PIECE], y[PIECE];
    struct largest in_a = { 0 }, in_b = { 0 };
    bool all_close = true;
    for (uint64_t done = 0; done < n; done += PIECE) {
        const uint64_t here = n - done < PIECE ? n - done : PIECE;
        load(a, first + done, here, x);
        load(b, first + done, here, y);
        for (uint64_t i = 0; i < here; i++) {
            all_close = is_close(c, x[i], y[i]) && all_close;
            see(&in_a, x[i], done + i);
            see(&in_b, y[i], done + i);
        }
    }
    if (a->rank == 2 && a->shape[1] > 1)
        return in_a.is_known == in_b.is_known && in_a.at == in_b.at;
    return all_close;
}

/* Where the next string of a BYTES tensor lies; false: it has no more. */
static bool next_string(const struct troupe_tensor *t, uint64_t *at, struct trp_str *out)
{
    uint32_t length;
    if (t->bytes - *at < sizeof length)
        return false;
    memcpy(&length, (const char *)t->data + *at, sizeof length);
    if (t->bytes - *at - sizeof length < length)
        return false;
    *out = trp_str_make((const char *)t->data + *at + sizeof length, length);
    *at += sizeof length + length;
    return true;
}

static bool agrees_strings(const struct troupe_tensor *a, const struct troupe_tensor *b, uint64_t n,
                           uint64_t at[2])
{
    struct trp_str x, y;
    bool all_equal = true;
    for (uint64_t i = 0; i < n; i++)
        /* Both are read in any case, so that the next row begins where it does. */
        if (!next_string(a, &at[0], &x) || !next_string(b, &at[1], &y))
            return false;
        else if (!trp_str_is_equal(x, y))
            all_equal = false;
    return all_equal;
}

static bool agrees(struct comparing *c, const struct troupe_tensor *a,
                   const struct troupe_tensor *b, uint64_t first, uint64_t n)
{
    const uint64_t bytes = trp_dtype_bytes(a->dtype);
    if (is_floating(a->dtype))
        return agrees_floating(c, a, b, first, n);
    return memcmp((const char *)a->data + first * bytes, (const char *)b->data + first * bytes,
                  n * bytes) == 0;
}

static void compare_rows(struct comparing *c, const struct troupe_tensor *a,
                         const struct troupe_tensor *b, uint64_t rows, uint64_t width)
{
    uint64_t at[2] = { 0, 0 };
    for (uint64_t row = 0; row < rows; row++) {
        const uint64_t n =
            width < c->left ? width : c->left; /* a part of a row is better than none */
        if (n == 0) {
            c->out->is_cut = true;
            return;
        }
        c->out->is_cut = c->out->is_cut || n < width;
        c->left -= n;
        c->out->rows++;
        c->out->rows_agreeing += a->dtype == TROUPE_BYTES ? agrees_strings(a, b, n, at)
                                                          : agrees(c, a, b, row * width, n);
    }
}

static bool has_like_shape(const struct troupe_tensor *a, const struct troupe_tensor *b)
{
    if (a->dtype != b->dtype || a->rank != b->rank || a->rank > TROUPE_RANK_MAX)
        return false;
    for (uint32_t i = 0; i < a->rank; i++)
        if (a->shape[i] != b->shape[i])
            return false;
    return true;
}

/* How many rows, of how many elements; false: that is no shape, or the bytes are not those of
 * it. */
static bool measure(const struct troupe_tensor *t, uint64_t *out_rows, uint64_t *out_width)
{
    uint64_t width = 1;
    for (uint32_t i = 0; i < t->rank; i++)
        if (t->shape[i] < 0)
            return false;
    const uint64_t rows = t->rank > 0 ? (uint64_t)t->shape[0] : 1,
                   element = trp_dtype_bytes(t->dtype);
    for (uint32_t i = 1; i < t->rank; i++)
        if (__builtin_mul_overflow(width, (uint64_t)t->shape[i], &width))
            return false;
    uint64_t bytes;
    if (__builtin_mul_overflow(rows, width, &bytes) ||
        __builtin_mul_overflow(bytes, element, &bytes))
        return false;
    *out_rows = width > 0 ? rows : 0;
    *out_width = width;
    return t->dtype == TROUPE_BYTES || (element > 0 && bytes == t->bytes);
}

static enum trp_agreement_kind compare_output(struct comparing *c, const struct troupe_tensor *a,
                                              const struct troupe_tensor *b)
{
    uint64_t rows = 0, width = 0, their_rows = 0, their_width = 0;
    const bool is_measured = a->rank <= TROUPE_RANK_MAX && measure(a, &rows, &width);
    if (!is_measured || !b || !has_like_shape(a, b) || !measure(b, &their_rows, &their_width)) {
        c->out->rows += is_measured ? rows : 1;
        return TRP_AGREEMENT_UNLIKE;
    }
    if (rows == 0)
        return TRP_AGREEMENT_SAME;
    if (!a->data || !b->data) {
        c->out->rows += rows;
        return TRP_AGREEMENT_UNLIKE;
    }
    if (a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0) {
        c->out->rows += rows;
        c->out->rows_agreeing += rows;
        return TRP_AGREEMENT_SAME;
    }
    const uint64_t before = c->out->rows - c->out->rows_agreeing;
    compare_rows(c, a, b, rows, width);
    return c->out->rows - c->out->rows_agreeing == before ? TRP_AGREEMENT_SAME
                                                          : TRP_AGREEMENT_DIFFERS;
}

static const struct troupe_tensor *find(const struct trp_call_tensor *tensors, uint32_t n,
                                        struct trp_str name, uint32_t hint)
{
    if (hint < n && trp_str_is_equal(tensors[hint].name, name))
        return &tensors[hint].tensor;
    for (uint32_t i = 0; i < n; i++)
        if (trp_str_is_equal(tensors[i].name, name))
            return &tensors[i].tensor;
    return NULL;
}

void trp_agreement_compare(const struct trp_call_tensor *ours, uint32_t ours_n,
                           const struct trp_call_tensor *theirs, uint32_t theirs_n,
                           const struct trp_agreement_opts *opts, struct trp_agreement_result *out)
{
    struct comparing c = { .opts = opts ? *opts : (struct trp_agreement_opts){ 0 }, .out = out };
    if (c.opts.abs_max <= 0)
        c.opts.abs_max = 1e-5;
    if (c.opts.rel_max <= 0)
        c.opts.rel_max = 1e-3;
    c.left = c.opts.elements_max ? c.opts.elements_max : 16384;
    *out = (struct trp_agreement_result){ .kind = TRP_AGREEMENT_SAME };
    uint32_t compared = 0;
    for (uint32_t i = 0; i < ours_n; i++) {
        const struct troupe_tensor *const other = find(theirs, theirs_n, ours[i].name, i);
        if (!other && (compared > 0 || i + 1 < ours_n))
            continue; /* what only one of them gives says nothing, but for two that have nothing in
                       * common */
        compared++;
        const enum trp_agreement_kind kind = compare_output(&c, &ours[i].tensor, other);
        if (kind != TRP_AGREEMENT_SAME && out->kind == TRP_AGREEMENT_SAME)
            out->output = ours[i].name;
        if (kind > out->kind)
            out->kind = kind;
    }
}

/* ---- counting ---- */

static uint64_t bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static double of_bits(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static void copy(struct trp_counter *to, const struct trp_counter *from)
{
    trp_counter_set(to, trp_counter_get(from));
}

void trp_agreement_carry(struct trp_agreement *a, const struct trp_agreement *from)
{
    copy(&a->calls, &from->calls);
    copy(&a->same, &from->same);
    copy(&a->unlike, &from->unlike);
    copy(&a->failed, &from->failed);
    copy(&a->rows, &from->rows);
    copy(&a->rows_agreeing, &from->rows_agreeing);
    copy(&a->cut, &from->cut);
    copy(&a->worst_abs_bits, &from->worst_abs_bits);
    copy(&a->worst_rel_bits, &from->worst_rel_bits);
}

void trp_agreement_add(struct trp_agreement *a, const struct trp_agreement_result *result)
{
    trp_counter_add(&a->calls, 1);
    if (result->kind == TRP_AGREEMENT_SAME)
        trp_counter_add(&a->same, 1);
    if (result->kind == TRP_AGREEMENT_UNLIKE)
        trp_counter_add(&a->unlike, 1);
    if (result->is_cut)
        trp_counter_add(&a->cut, 1);
    trp_counter_add(&a->rows, result->rows);
    trp_counter_add(&a->rows_agreeing, result->rows_agreeing);
    trp_counter_raise(&a->worst_abs_bits, bits_of(result->worst_abs));
    trp_counter_raise(&a->worst_rel_bits, bits_of(result->worst_rel));
}

void trp_agreement_add_failure(struct trp_agreement *a)
{
    trp_counter_add(&a->failed, 1);
}

double trp_agreement_share(const struct trp_agreement *a)
{
    const uint64_t agreeing = trp_counter_get(&a->rows_agreeing), rows = trp_counter_get(&a->rows);
    return rows == 0 ? 1 : agreeing < rows ? (double)agreeing / (double)rows : 1;
}

double trp_agreement_worst_abs(const struct trp_agreement *a)
{
    return of_bits(trp_counter_get(&a->worst_abs_bits));
}

double trp_agreement_worst_rel(const struct trp_agreement *a)
{
    return of_bits(trp_counter_get(&a->worst_rel_bits));
}
