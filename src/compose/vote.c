/* compose/vote.c - see vote.h.
 *
 * Sums are made in doubles whatever the members' types are.  What looks at single elements (average
 * to max) goes through the tensors in blocks, so that its inner loops are plain; what looks at
 * rows takes them one by one. */
#include "compose/vote.h"

#include <math.h>
#include <string.h>

#include "compose/known_name.h"
#include "compose/numbers.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define BLOCK ((size_t)256) /* elements */
#define SAME_WEIGHT 1e-9    /* sums of weights that differ by less, of the whole, are equal */

static const char *const kinds[TRP_VOTES] = {
    [TRP_VOTE_HARD] = "hard",
    [TRP_VOTE_SOFT] = "soft",
    [TRP_VOTE_AVERAGE] = "average",
    [TRP_VOTE_MEAN] = "mean",
    [TRP_VOTE_MEDIAN] = "median",
    [TRP_VOTE_MAX] = "max",
    [TRP_VOTE_TRIMMED_MEAN] = "trimmed_mean",
};

bool trp_vote_parse(struct trp_str name, enum trp_vote_kind *out)
{
    const uint32_t at = trp_known_name_find(kinds, TRP_VOTES, name);
    if (at < TRP_VOTES)
        *out = (enum trp_vote_kind)at;
    return at < TRP_VOTES;
}

const char *trp_vote_near(struct trp_str name)
{
    return trp_known_name_near(kinds, TRP_VOTES, name);
}

const char *trp_vote_name(enum trp_vote_kind kind)
{
    return kinds[kind];
}

static bool is_by_row(enum trp_vote_kind kind)
{
    return kind == TRP_VOTE_HARD || kind == TRP_VOTE_SOFT;
}

static bool is_label(int32_t dtype)
{
    return trp_numbers_is_number(dtype) && !trp_numbers_is_float(dtype) && dtype != TROUPE_UINT64;
}

static trp_status check_opts(const struct trp_vote_opts *opts, uint32_t members_n,
                             struct trp_error *err)
{
    if (opts->kind == TRP_VOTE_TRIMMED_MEAN && !(opts->trim >= 0 && opts->trim < 0.5))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "trim is %g, expected 0 or more, below 0.5",
                        opts->trim);
    if (members_n == 0 || members_n > TRP_VOTE_MEMBERS_MAX)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%u members, expected 1 to %u", members_n,
                        TRP_VOTE_MEMBERS_MAX);
    return trp_ok();
}

/* ---- what comes out ---- */

static trp_status check_type(const struct trp_vote_opts *opts, int32_t dtype, bool first_is_label,
                             struct trp_error *err)
{
    if (!trp_numbers_is_number(dtype))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "gives %s, a vote takes numbers",
                        trp_dtype_name(dtype));
    if (opts->kind == TRP_VOTE_SOFT && !trp_numbers_is_float(dtype))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "gives %s, and a soft vote (the default) takes probabilities: `output` "
                        "says which output they are, or `vote: hard` counts labels",
                        trp_dtype_name(dtype));
    if (opts->kind != TRP_VOTE_HARD)
        return trp_ok();
    if (!trp_numbers_is_float(dtype) && !is_label(dtype))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "gives %s, labels are INT64 at most",
                        trp_dtype_name(dtype));
    if (is_label(dtype) != first_is_label)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "gives %s, where the first member gives %s: all vote by scores, or all by "
                        "labels",
                        trp_dtype_name(dtype), first_is_label ? "labels" : "scores");
    return trp_ok();
}

/* One member's shape into that of all. */
static trp_status join_shape(const struct trp_io *io, struct trp_io *out, struct trp_error *err)
{
    char said[400], others[400];
    bool fits = io->any_rank || out->any_rank || io->rank == out->rank;
    if (out->any_rank && !io->any_rank) {
        out->any_rank = false;
        out->rank = io->rank;
        memcpy(out->dims, io->dims, sizeof out->dims);
    }
    for (uint32_t d = 0; fits && !io->any_rank && d < io->rank; d++) {
        if (out->dims[d] < 0)
            out->dims[d] = io->dims[d];
        fits = io->dims[d] < 0 || io->dims[d] == out->dims[d];
    }
    if (fits)
        return trp_ok();
    return trp_fail(err, TRP_INVALID_ARGUMENT, "has shape %s, the others have %s",
                    trp_shape_format(io->dims, io->rank, said, sizeof said),
                    trp_shape_format(out->dims, out->rank, others, sizeof others));
}

static bool is_wide(int32_t dtype)
{
    return dtype == TROUPE_FP64 || dtype == TROUPE_INT64 || dtype == TROUPE_UINT64;
}

static int32_t joint_type(const struct trp_vote_opts *opts, const struct trp_io *members,
                          uint32_t members_n)
{
    bool alike = true, wide = false;
    for (uint32_t m = 0; m < members_n; m++) {
        alike = alike && members[m].dtype == members[0].dtype;
        wide = wide || is_wide(members[m].dtype);
    }
    const bool is_kept = trp_numbers_is_float(members[0].dtype) || opts->kind == TRP_VOTE_HARD ||
                         opts->kind == TRP_VOTE_MAX;
    if (alike && is_kept)
        return members[0].dtype;
    if (opts->kind == TRP_VOTE_HARD && is_label(members[0].dtype))
        return TROUPE_INT64;
    return wide ? TROUPE_FP64 : TROUPE_FP32;
}

trp_status trp_vote_signature(const struct trp_vote_opts *opts, const struct trp_io *members,
                              uint32_t members_n, struct trp_io *out, struct trp_error *err)
{
    TRP_CHECK(check_opts(opts, members_n, err));
    struct trp_io io = members[0];
    const bool first_is_label = is_label(io.dtype);
    for (uint32_t m = 0; m < members_n; m++) {
        TRP_TRY(check_type(opts, members[m].dtype, first_is_label, err), err, "member %u", m);
        TRP_TRY(join_shape(&members[m], &io, err), err, "member %u", m);
    }
    const bool needs_classes =
        is_by_row(opts->kind) && !(opts->kind == TRP_VOTE_HARD && first_is_label);
    if (needs_classes && !io.any_rank && io.rank == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "a %s vote is over the classes of the last axis, and there is none",
                        kinds[opts->kind]);
    io.dtype = joint_type(opts, members, members_n);
    *out = io;
    return trp_ok();
}

/* ---- who takes part ---- */

struct voters {
    const struct trp_vote_opts *opts;
    const struct troupe_tensor *tensors[TRP_VOTE_MEMBERS_MAX];
    double weights[TRP_VOTE_MEMBERS_MAX]; /* sum to 1 */
    uint32_t n;
    uint64_t left_out; /* for NaN */
};

static trp_status check_size(const struct troupe_tensor *t, struct trp_error *err)
{
    uint64_t bytes;
    char shape[400];
    if (!trp_shape_bytes(t->shape, t->rank, t->dtype, &bytes) || bytes > t->bytes ||
        (bytes > 0 && !t->data))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%llu bytes are not %s of shape %s",
                        (unsigned long long)t->bytes, trp_dtype_name(t->dtype),
                        trp_shape_format(t->shape, t->rank, shape, sizeof shape));
    return trp_ok();
}

static trp_status check_member(const struct voters *v, const struct trp_vote_member *member,
                               const struct troupe_tensor *out, struct trp_error *err)
{
    const struct troupe_tensor *t = member->tensor;
    char said[400], wanted[400];
    const bool by_labels = v->n > 0 ? is_label(v->tensors[0]->dtype) : is_label(t->dtype);
    TRP_CHECK(check_type(v->opts, t->dtype, by_labels, err));
    if (t->rank != out->rank || memcmp(t->shape, out->shape, t->rank * sizeof *t->shape) != 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "has shape %s, expected %s",
                        trp_shape_format(t->shape, t->rank, said, sizeof said),
                        trp_shape_format(out->shape, out->rank, wanted, sizeof wanted));
    if (!(member->weight >= 0 && member->weight <= 1e300))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "has weight %g, expected 0 or more",
                        member->weight);
    return check_size(t, err);
}

static trp_status gather_voters(struct voters *v, const struct trp_vote_member *members,
                                uint32_t members_n, const struct troupe_tensor *out,
                                struct trp_error *err)
{
    double sum = 0;
    TRP_CHECK(check_opts(v->opts, members_n, err));
    for (uint32_t m = 0; m < members_n; m++) {
        if (!members[m].tensor)
            continue;
        TRP_TRY(check_member(v, &members[m], out, err), err, "member %u", m);
        v->tensors[v->n] = members[m].tensor;
        v->weights[v->n++] = members[m].weight;
        sum += members[m].weight;
    }
    if (v->n == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "no member answered");
    for (uint32_t m = 0; m < v->n; m++)
        v->weights[m] = sum > 0 ? v->weights[m] / sum : 1.0 / v->n;
    return trp_ok();
}

/* ---- element by element ---- */

static double element_weight(const struct voters *v, uint32_t m)
{
    return v->opts->kind == TRP_VOTE_AVERAGE ? v->weights[m] : 1.0;
}

/* `values` holds BLOCK numbers of each member; the joint ones go to `joint`. */
static void average_numbers(struct voters *v, const double *values, size_t n, double *joint)
{
    double weight[BLOCK] = { 0 };
    memset(joint, 0, n * sizeof *joint);
    for (uint32_t m = 0; m < v->n; m++) {
        const double w = element_weight(v, m), *x = values + m * BLOCK;
        uint64_t nans = 0;
        if (w == 0)
            continue; /* not even an infinity of it counts */
        for (size_t i = 0; i < n; i++) {
            const bool is_nan = isnan(x[i]);
            joint[i] += is_nan ? 0 : w * x[i];
            weight[i] += is_nan ? 0 : w;
            nans += is_nan;
        }
        v->left_out += nans;
    }
    for (size_t i = 0; i < n; i++)
        joint[i] = weight[i] > 0 ? joint[i] / weight[i] : (double)NAN;
}

/* Two, four or eight members of one weight are the usual case, and for these a product is as
 * exact. */
static void divide(double *joint, size_t n, double weight)
{
    int exponent;
    if (frexp(weight, &exponent) == 0.5) {
        const double part = 1 / weight;
        for (size_t i = 0; i < n; i++)
            joint[i] *= part;
        return;
    }
    for (size_t i = 0; i < n; i++)
        joint[i] /= weight;
}

/* The same for a block without NaN, as most are: one weight for all of it, and loops that become
 * vectors.  Returns whether it was such a block; a NaN of any member has made one here. */
static bool average_all(const struct voters *v, uint64_t at, size_t n, double *joint)
{
    double weight = 0;
    uint64_t nans = 0;
    memset(joint, 0, n * sizeof *joint);
    for (uint32_t m = 0; m < v->n; m++) {
        const double w = element_weight(v, m);
        if (w == 0)
            continue;
        trp_numbers_add(v->tensors[m]->dtype, v->tensors[m]->data, at, n, w, joint);
        weight += w;
    }
    divide(joint, n, weight);
    for (size_t i = 0; i < n; i++)
        nans |= joint[i] != joint[i] ? UINT64_MAX : 0;
    return nans == 0;
}

static void read_block(const struct voters *v, uint64_t at, size_t n, double *values)
{
    for (uint32_t m = 0; m < v->n; m++)
        trp_numbers_read(v->tensors[m]->dtype, v->tensors[m]->data, at, n, values + m * BLOCK);
}

static void max_block(struct voters *v, const double *values, size_t n, double *joint)
{
    for (size_t i = 0; i < n; i++)
        joint[i] = (double)NAN;
    for (uint32_t m = 0; m < v->n; m++) {
        const double *x = values + m * BLOCK;
        for (size_t i = 0; i < n; i++) {
            v->left_out += isnan(x[i]) ? 1 : 0;
            joint[i] = fmax(joint[i], x[i]); /* of a number and NaN it gives the number */
        }
    }
}

/* Puts the numbers that the members have for one element in order; returns how many there are. */
static uint32_t sort_column(const struct voters *v, const double *values, double *out)
{
    uint32_t n = 0;
    for (uint32_t m = 0; m < v->n; m++) {
        const double x = values[m * BLOCK];
        if (isnan(x))
            continue;
        uint32_t at = n++;
        for (; at > 0 && out[at - 1] > x; at--)
            out[at] = out[at - 1];
        out[at] = x;
    }
    return n;
}

static double middle_of(const double *sorted, uint32_t n)
{
    if (n == 0)
        return (double)NAN;
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static double trimmed_of(const double *sorted, uint32_t n, double trim)
{
    const uint32_t cut = (uint32_t)(trim * n);
    double sum = 0;
    for (uint32_t i = cut; i < n - cut; i++)
        sum += sorted[i];
    return n > 0 ? sum / (n - 2 * cut) : (double)NAN;
}

static void order_block(struct voters *v, const double *values, size_t n, double *joint)
{
    double sorted[TRP_VOTE_MEMBERS_MAX];
    for (size_t i = 0; i < n; i++) {
        const uint32_t got = sort_column(v, values + i, sorted);
        v->left_out += v->n - got;
        joint[i] = v->opts->kind == TRP_VOTE_MEDIAN ? middle_of(sorted, got)
                                                    : trimmed_of(sorted, got, v->opts->trim);
    }
}

static bool is_average(enum trp_vote_kind kind)
{
    return kind == TRP_VOTE_AVERAGE || kind == TRP_VOTE_MEAN;
}

static void join_block(struct voters *v, const double *values, size_t n, double *joint)
{
    if (v->opts->kind == TRP_VOTE_MAX)
        max_block(v, values, n, joint);
    else if (is_average(v->opts->kind))
        average_numbers(v, values, n, joint);
    else
        order_block(v, values, n, joint);
}

static void join_elements(struct voters *v, struct troupe_tensor *out, uint64_t elements,
                          double *scratch)
{
    double *values = scratch, *joint = scratch + v->n * BLOCK;
    for (uint64_t at = 0; at < elements; at += BLOCK) {
        const size_t n = elements - at < BLOCK ? (size_t)(elements - at) : BLOCK;
        if (!is_average(v->opts->kind) || !average_all(v, at, n, joint)) {
            read_block(v, at, n, values);
            join_block(v, values, n, joint);
        }
        trp_numbers_write(out->dtype, joint, n, out->data, at);
    }
}

/* ---- row by row ---- */

static bool soften(double *row, size_t n)
{
    double top = row[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        top = fmax(top, row[i]);
    if (!isfinite(top))
        return false;
    for (size_t i = 0; i < n; i++) {
        row[i] = exp(row[i] - top);
        sum += row[i];
    }
    for (size_t i = 0; i < n; i++)
        row[i] /= sum;
    return true;
}

/* A member's scores of a row; false when it cannot be used. */
static bool read_row(struct voters *v, uint32_t m, uint64_t row, size_t classes, double *out)
{
    const struct troupe_tensor *t = v->tensors[m];
    if (v->weights[m] == 0)
        return false;
    trp_numbers_read(t->dtype, t->data, row * classes, classes, out);
    bool is_usable = true;
    for (size_t i = 0; i < classes; i++)
        is_usable = is_usable && !isnan(out[i]);
    if (is_usable && v->opts->logits)
        is_usable = soften(out, classes);
    v->left_out += is_usable ? 0 : 1;
    return is_usable;
}

static void soft_row(struct voters *v, uint64_t row, size_t classes, double *joint, double *one)
{
    double weight = 0;
    memset(joint, 0, classes * sizeof *joint);
    for (uint32_t m = 0; m < v->n; m++) {
        if (!read_row(v, m, row, classes, one))
            continue;
        for (size_t i = 0; i < classes; i++)
            joint[i] += v->weights[m] * one[i];
        weight += v->weights[m];
    }
    for (size_t i = 0; i < classes; i++)
        joint[i] = weight > 0 ? joint[i] / weight : (double)NAN;
}

static size_t highest(const double *row, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (row[i] > row[best])
            best = i;
    return best;
}

static size_t winner_of(const double *share, const double *score, size_t classes)
{
    const double most = share[highest(share, classes)];
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < classes; i++)
        if (share[i] >= most - SAME_WEIGHT && (best == SIZE_MAX || score[i] > score[best]))
            best = i;
    return best;
}

/* Lifts the winner above all of its row by the least that the type has, where another is as
 * high. */
static void lift(struct troupe_tensor *out, uint64_t start, size_t classes, size_t winner,
                 double *one)
{
    const uint32_t width = trp_dtype_bytes(out->dtype);
    char *row = (char *)out->data + start * width;
    uint64_t bits = 0;
    trp_numbers_read(out->dtype, out->data, start, classes, one);
    const double own = one[winner];
    one[winner] = 0;
    const size_t other = highest(one, classes);
    if (one[other] < own)
        return;
    memcpy(&bits, row + other * width, width); /* little-endian, positive */
    bits++;
    memcpy(row + winner * width, &bits, width);
}

static void hard_row(struct voters *v, uint64_t row, size_t classes, struct troupe_tensor *out,
                     double *scratch)
{
    double *share = scratch, *score = scratch + classes, *one = scratch + 2 * classes, weight = 0;
    memset(share, 0, 2 * classes * sizeof *share);
    for (uint32_t m = 0; m < v->n; m++) {
        if (!read_row(v, m, row, classes, one))
            continue;
        share[highest(one, classes)] += v->weights[m];
        for (size_t i = 0; i < classes; i++)
            score[i] += one[i];
        weight += v->weights[m];
    }
    for (size_t i = 0; i < classes; i++)
        share[i] = weight > 0 ? share[i] / weight : (double)NAN;
    trp_numbers_write(out->dtype, share, classes, out->data, row * classes);
    if (weight > 0)
        lift(out, row * classes, classes, winner_of(share, score, classes), one);
}

static void join_rows(struct voters *v, struct troupe_tensor *out, uint64_t elements,
                      double *scratch)
{
    const size_t classes = (size_t)out->shape[out->rank - 1];
    for (uint64_t row = 0; elements > 0 && row < elements / classes; row++) {
        if (v->opts->kind == TRP_VOTE_HARD) {
            hard_row(v, row, classes, out, scratch);
        } else {
            soft_row(v, row, classes, scratch, scratch + classes);
            trp_numbers_write(out->dtype, scratch, classes, out->data, row * classes);
        }
    }
}

/* ---- votes of labels ---- */

static int64_t label_at(const struct troupe_tensor *t, uint64_t at)
{
    int64_t label;
    double number;
    if (t->dtype == TROUPE_INT64) {
        memcpy(&label, (const char *)t->data + at * sizeof label, sizeof label);
        return label;
    }
    trp_numbers_read(t->dtype, t->data, at, 1, &number); /* 32 bits at most: exact */
    return (int64_t)number;
}

static int64_t elect(const struct voters *v, uint64_t at)
{
    int64_t labels[TRP_VOTE_MEMBERS_MAX];
    double weights[TRP_VOTE_MEMBERS_MAX];
    uint32_t n = 1, best = 0;
    labels[0] = label_at(v->tensors[0], at);
    weights[0] = v->weights[0];
    for (uint32_t m = 1; m < v->n; m++) {
        const int64_t label = label_at(v->tensors[m], at);
        uint32_t i = 0;
        while (i < n && labels[i] != label)
            i++;
        if (i == n) {
            labels[n] = label;
            weights[n++] = 0;
        }
        weights[i] += v->weights[m];
    }
    for (uint32_t i = 1; i < n; i++) {
        const double more = weights[i] - weights[best];
        if (more > SAME_WEIGHT || (more >= -SAME_WEIGHT && labels[i] < labels[best]))
            best = i;
    }
    return labels[best];
}

static void join_labels(const struct voters *v, struct troupe_tensor *out, uint64_t elements)
{
    for (uint64_t at = 0; at < elements; at++) {
        const int64_t label = elect(v, at);
        const double number = (double)label;
        if (out->dtype == TROUPE_INT64)
            memcpy((char *)out->data + at * sizeof label, &label, sizeof label);
        else
            trp_numbers_write(out->dtype, &number, 1, out->data, at);
    }
}

/* ---- all of it ---- */

uint64_t trp_vote_scratch(const struct trp_vote_opts *opts, uint32_t members_n,
                          const struct troupe_tensor *out)
{
    const uint64_t classes =
        out->rank > 0 && out->shape[out->rank - 1] > 0 ? (uint64_t)out->shape[out->rank - 1] : 1;
    if (members_n > TRP_VOTE_MEMBERS_MAX || classes > (UINT64_MAX >> 8))
        return UINT64_MAX;
    return (is_by_row(opts->kind) ? 3 * classes : (members_n + 1) * BLOCK) * sizeof(double);
}

static trp_status check_out(const struct voters *v, const struct troupe_tensor *out, bool by_labels,
                            struct trp_error *err)
{
    const bool needs_floats = is_by_row(v->opts->kind) && !by_labels;
    if (needs_floats && !trp_numbers_is_float(out->dtype))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "parts of votes are no %s",
                        trp_dtype_name(out->dtype));
    if (needs_floats && out->rank == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "a %s vote is over the classes of the last axis",
                        kinds[v->opts->kind]);
    if (by_labels && !is_label(out->dtype))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "labels are no %s", trp_dtype_name(out->dtype));
    if (!trp_numbers_is_number(out->dtype))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "a vote gives no %s",
                        trp_dtype_name(out->dtype));
    return check_size(out, err);
}

trp_status trp_vote_run(const struct trp_vote_opts *opts, const struct trp_vote_member *members,
                        uint32_t members_n, struct troupe_tensor *out, void *scratch,
                        uint64_t *out_left_out, struct trp_error *err)
{
    struct voters v = { .opts = opts };
    uint64_t elements;
    TRP_CHECK(gather_voters(&v, members, members_n, out, err));
    const bool by_labels = opts->kind == TRP_VOTE_HARD && is_label(v.tensors[0]->dtype);
    TRP_TRY(check_out(&v, out, by_labels, err), err, "output");
    if (!trp_shape_elements(out->shape, out->rank, &elements))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "output: its shape has too many elements");
    if (by_labels)
        join_labels(&v, out, elements);
    else if (is_by_row(opts->kind))
        join_rows(&v, out, elements, scratch);
    else
        join_elements(&v, out, elements, scratch);
    if (out_left_out)
        *out_left_out = v.left_out;
    return trp_ok();
}
