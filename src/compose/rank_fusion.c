/* compose/rank_fusion.c - see rank_fusion.h.
 *
 * A row of lists is one array of entries, one for each place: sorted by item they are added up,
 * sorted by score they are the answer.  The sort is a heap sort, because it needs neither memory
 * nor luck. */
#include "compose/rank_fusion.h"

#include <math.h>

#include "compose/known_name.h"
#include "compose/numbers.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define K_OTHERWISE 60.0
#define LEVELS \
    0x1p36 /* of a score of 1: what differs by less is equal, and was so before it was rounded */
#define LENGTH_BYTES ((uint64_t)4) /* in front of each element of BYTES */

static const char *const kinds[TRP_RANKS] = {
    [TRP_RANK_BORDA] = "borda",
    [TRP_RANK_RECIPROCAL] = "reciprocal_rank",
};

bool trp_rank_parse(struct trp_str name, enum trp_rank_kind *out)
{
    const uint32_t at = trp_known_name_find(kinds, TRP_RANKS, name);
    if (at < TRP_RANKS)
        *out = (enum trp_rank_kind)at;
    return at < TRP_RANKS;
}

const char *trp_rank_near(struct trp_str name)
{
    return trp_known_name_near(kinds, TRP_RANKS, name);
}

const char *trp_rank_name(enum trp_rank_kind kind)
{
    return kinds[kind];
}

/* What a place is worth; equal ones share a place between two. */
static double worth(const struct trp_rank_opts *opts, double place, double places)
{
    if (opts->kind == TRP_RANK_BORDA)
        return places - place + 1;
    return 1 / ((opts->k > 0 ? opts->k : K_OTHERWISE) + place);
}

/* ---- sorting ---- */

typedef bool (*is_before_fn)(const void *a, const void *b);

struct range {
    char *base;
    size_t n, size;
    is_before_fn is_before;
};

static void swap(const struct range *r, size_t a, size_t b)
{
    char *x = r->base + a * r->size, *y = r->base + b * r->size, kept[64];
    TRP_DEBUG_ASSERT(r->size <= sizeof kept);
    memcpy(kept, x, r->size);
    memcpy(x, y, r->size);
    memcpy(y, kept, r->size);
}

static void sift(const struct range *r, size_t at, size_t n)
{
    for (size_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        const char *c = r->base + child * r->size;
        if (child + 1 < n && r->is_before(c, c + r->size))
            c += r->size, child++;
        if (!r->is_before(r->base + at * r->size, c))
            return;
        swap(r, at, child);
        at = child;
    }
}

static void sort(void *base, size_t n, size_t size, is_before_fn is_before)
{
    const struct range r = { base, n, size, is_before };
    for (size_t i = n / 2; i-- > 0;)
        sift(&r, i, n);
    for (size_t left = n; left-- > 1;) {
        swap(&r, 0, left);
        sift(&r, 0, left);
    }
}

/* ---- who takes part ---- */

struct raters {
    const struct troupe_tensor *tensors[TRP_VOTE_MEMBERS_MAX];
    double weights[TRP_VOTE_MEMBERS_MAX]; /* sum to 1 */
    uint32_t n;
};

static trp_status gather_raters(const struct trp_vote_member *members, uint32_t members_n,
                                struct raters *out, struct trp_error *err)
{
    double sum = 0;
    if (members_n > TRP_VOTE_MEMBERS_MAX)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%u members, expected at most %u", members_n,
                        TRP_VOTE_MEMBERS_MAX);
    for (uint32_t m = 0; m < members_n; m++) {
        uint64_t bytes;
        const struct troupe_tensor *t = members[m].tensor;
        if (!t)
            continue;
        if (!(members[m].weight >= 0 && members[m].weight <= 1e300))
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "member %u has weight %g, expected 0 or more", m, members[m].weight);
        if (t->dtype != TROUPE_BYTES &&
            (!trp_shape_bytes(t->shape, t->rank, t->dtype, &bytes) || bytes > t->bytes))
            return trp_fail(err, TRP_INVALID_ARGUMENT, "member %u: too few bytes for its shape", m);
        out->tensors[out->n] = t;
        out->weights[out->n++] = members[m].weight;
        sum += members[m].weight;
    }
    if (out->n == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "no member answered");
    for (uint32_t m = 0; m < out->n; m++)
        out->weights[m] = sum > 0 ? out->weights[m] / sum : 1.0 / out->n;
    return trp_ok();
}

/* ---- scores of all items ---- */

struct scored {
    double score;
    uint64_t item;
};

static bool is_higher(const void *a, const void *b)
{
    return ((const struct scored *)a)->score > ((const struct scored *)b)->score;
}

uint64_t trp_rank_scores_scratch(uint64_t items)
{
    if (items > TRP_RANK_PLACES_MAX)
        return UINT64_MAX;
    return items * (sizeof(struct scored) + 2 * sizeof(double));
}

/* Adds what one member's order of a row is worth. */
static void add_order(const struct trp_rank_opts *opts, struct scored *order, size_t ranked,
                      size_t items, double weight, double *fused)
{
    sort(order, ranked, sizeof *order, is_higher);
    for (size_t first = 0, next; first < ranked; first = next) {
        for (next = first + 1; next < ranked && order[next].score == order[first].score;)
            next++;
        const double place = ((double)(first + 1) + (double)next) / 2;
        for (size_t i = first; i < next; i++)
            fused[order[i].item] += weight * worth(opts, place, (double)items);
    }
}

static void fuse_row(const struct trp_rank_opts *opts, const struct raters *raters, uint64_t row,
                     size_t items, double *scratch)
{
    double *fused = scratch, *scores = scratch + items;
    struct scored *order = (struct scored *)(void *)(scratch + 2 * items);
    memset(fused, 0, items * sizeof *fused);
    for (uint32_t m = 0; m < raters->n; m++) {
        const struct troupe_tensor *t = raters->tensors[m];
        size_t ranked = 0;
        trp_numbers_read(t->dtype, t->data, row * items, items, scores);
        for (size_t i = 0; i < items; i++)
            if (!isnan(scores[i]))
                order[ranked++] = (struct scored){ scores[i], i };
        add_order(opts, order, ranked, items, raters->weights[m], fused);
    }
}

static trp_status check_scores(const struct raters *raters, const struct troupe_tensor *out,
                               struct trp_error *err)
{
    char said[400], wanted[400];
    uint64_t bytes;
    if (out->dtype != TROUPE_FP32 && out->dtype != TROUPE_FP64)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "fused scores are FP32 or FP64, not %s",
                        trp_dtype_name(out->dtype));
    if (out->rank == 0 || !trp_shape_bytes(out->shape, out->rank, out->dtype, &bytes) ||
        bytes > out->bytes)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "the output has no room for shape %s",
                        trp_shape_format(out->shape, out->rank, said, sizeof said));
    if ((uint64_t)out->shape[out->rank - 1] > TRP_RANK_PLACES_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "%lld items, at most %u are ranked",
                        (long long)out->shape[out->rank - 1], TRP_RANK_PLACES_MAX);
    for (uint32_t m = 0; m < raters->n; m++) {
        const struct troupe_tensor *t = raters->tensors[m];
        if (!trp_numbers_is_number(t->dtype))
            return trp_fail(err, TRP_INVALID_ARGUMENT, "scores are numbers, not %s",
                            trp_dtype_name(t->dtype));
        if (t->rank != out->rank || memcmp(t->shape, out->shape, t->rank * sizeof *t->shape) != 0)
            return trp_fail(err, TRP_INVALID_ARGUMENT, "scores of shape %s, expected %s",
                            trp_shape_format(t->shape, t->rank, said, sizeof said),
                            trp_shape_format(out->shape, out->rank, wanted, sizeof wanted));
    }
    return trp_ok();
}

trp_status trp_rank_scores(const struct trp_rank_opts *opts, const struct trp_vote_member *members,
                           uint32_t members_n, struct troupe_tensor *out, void *scratch,
                           struct trp_error *err)
{
    struct raters raters = { 0 };
    uint64_t elements = 0;
    TRP_CHECK(gather_raters(members, members_n, &raters, err));
    TRP_CHECK(check_scores(&raters, out, err));
    if (!trp_shape_elements(out->shape, out->rank, &elements) || elements == 0)
        return trp_ok();
    const size_t items = (size_t)out->shape[out->rank - 1];
    for (uint64_t row = 0; row < elements / items; row++) {
        fuse_row(opts, &raters, row, items, scratch);
        trp_numbers_write(out->dtype, scratch, items, out->data, row * items);
    }
    return trp_ok();
}

/* ---- lists of ids ---- */

struct entry {
    struct trp_str text; /* BYTES: the id; else empty */
    int64_t id;
    double score;
    uint32_t member, place; /* that gave the best place, and that place */
};

static int compare_ids(const struct entry *a, const struct entry *b)
{
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return trp_str_compare(a->text, b->text);
}

static bool is_lower_id(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    const int order = compare_ids(x, y);
    if (order != 0)
        return order < 0;
    return x->member != y->member ? x->member < y->member : x->place < y->place;
}

static bool is_preferred(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    const double a_level = rint(x->score * LEVELS), b_level = rint(y->score * LEVELS);
    if (a_level != b_level)
        return a_level > b_level;
    return x->place != y->place ? x->place < y->place : x->member < y->member;
}

/* Where each member's list goes on, in bytes. */
struct lists {
    const struct raters *raters;
    uint64_t offsets[TRP_VOTE_MEMBERS_MAX];
    double longest;
};

static trp_status read_text(const struct troupe_tensor *t, uint64_t *offset, struct trp_str *out,
                            struct trp_error *err)
{
    uint32_t length;
    const char *at = (const char *)t->data + *offset;
    const uint64_t left = t->bytes - *offset;
    if (left >= sizeof length)
        memcpy(&length, at, sizeof length);
    if (left < sizeof length || length > left - sizeof length)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "a list of ids ends inside a string");
    *out = trp_str_make(at + sizeof length, length);
    *offset += sizeof length + length;
    return trp_ok();
}

/* The next id of a member's list; false in *out_is_there where nobody has the place. */
static trp_status read_id(struct lists *l, uint32_t m, struct entry *out, bool *out_is_there,
                          struct trp_error *err)
{
    const struct troupe_tensor *t = l->raters->tensors[m];
    const char *at = (const char *)t->data + l->offsets[m];
    if (t->dtype == TROUPE_BYTES) {
        TRP_TRY(read_text(t, &l->offsets[m], &out->text, err), err, "member %u", m);
        *out_is_there = out->text.len > 0;
        return trp_ok();
    }
    if (t->dtype == TROUPE_INT64) {
        memcpy(&out->id, at, sizeof out->id);
    } else {
        int32_t id;
        memcpy(&id, at, sizeof id);
        out->id = id;
    }
    l->offsets[m] += trp_dtype_bytes(t->dtype);
    *out_is_there = out->id != -1;
    return trp_ok();
}

static trp_status read_lists(const struct trp_rank_opts *opts, struct lists *l,
                             struct entry *entries, size_t *out_n, struct trp_error *err)
{
    size_t n = 0;
    for (uint32_t m = 0; m < l->raters->n; m++) {
        const uint32_t places = (uint32_t)l->raters->tensors[m]->shape[1];
        for (uint32_t place = 1; place <= places; place++) {
            struct entry e = { .member = m, .place = place };
            bool is_there;
            TRP_CHECK(read_id(l, m, &e, &is_there, err));
            e.score = l->raters->weights[m] * worth(opts, place, l->longest);
            if (is_there)
                entries[n++] = e;
        }
    }
    *out_n = n;
    return trp_ok();
}

/* Entries of one item become one, in front; returns how many there are. */
static size_t add_up(struct entry *entries, size_t n)
{
    size_t items = 0;
    sort(entries, n, sizeof *entries, is_lower_id);
    for (size_t first = 0, next; first < n; first = next) {
        struct entry sum = entries[first];
        for (next = first + 1; next < n && compare_ids(&entries[first], &entries[next]) == 0;
             next++) {
            const struct entry *e = &entries[next];
            if (e->member == entries[next - 1].member)
                continue; /* it stands in this list already, further up */
            sum.score += e->score;
            if (e->place < sum.place) {
                sum.place = e->place;
                sum.member = e->member;
            }
        }
        entries[items++] = sum;
    }
    return items;
}

static void write_id(struct troupe_tensor *ids, const struct entry *e)
{
    char *at = (char *)ids->data + ids->bytes;
    if (ids->dtype == TROUPE_BYTES) {
        const uint32_t length = e ? (uint32_t)e->text.len : 0;
        memcpy(at, &length, sizeof length);
        if (length > 0)
            memcpy(at + sizeof length, e->text.ptr, length);
        ids->bytes += sizeof length + length;
    } else if (ids->dtype == TROUPE_INT64) {
        const int64_t id = e ? e->id : -1;
        memcpy(at, &id, sizeof id);
        ids->bytes += sizeof id;
    } else {
        const int32_t id = e ? (int32_t)e->id : -1;
        memcpy(at, &id, sizeof id);
        ids->bytes += sizeof id;
    }
}

static trp_status check_list(const struct troupe_tensor *t, const struct troupe_tensor *first,
                             struct trp_error *err)
{
    char said[400];
    if (t->dtype != TROUPE_INT64 && t->dtype != TROUPE_INT32 && t->dtype != TROUPE_BYTES)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "ids are INT32, INT64 or BYTES, not %s",
                        trp_dtype_name(t->dtype));
    if (t->rank != 2 || t->shape[0] < 0 || t->shape[1] < 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "a list of ids is [rows, places], not %s",
                        trp_shape_format(t->shape, t->rank, said, sizeof said));
    if (t->dtype != first->dtype || t->shape[0] != first->shape[0])
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "%lld rows of %s, where the first member has %lld of %s",
                        (long long)t->shape[0], trp_dtype_name(t->dtype),
                        (long long)first->shape[0], trp_dtype_name(first->dtype));
    return trp_ok();
}

/* Places of a row, all lists together. */
static trp_status measure_lists(const struct raters *raters, uint64_t k_out, uint64_t *out_places,
                                struct trp_error *err)
{
    uint64_t places = 0;
    for (uint32_t m = 0; m < raters->n; m++) {
        const struct troupe_tensor *t = raters->tensors[m];
        TRP_TRY(check_list(t, raters->tensors[0], err), err, "list %u", m);
        places += (uint64_t)t->shape[1];
        if ((uint64_t)t->shape[1] > TRP_RANK_PLACES_MAX || places > TRP_RANK_PLACES_MAX)
            return trp_fail(err, TRP_TOO_LARGE, "lists of more than %u places a row",
                            TRP_RANK_PLACES_MAX);
    }
    if (k_out == 0 || k_out > TRP_RANK_PLACES_MAX)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "a fused list has 1 to %u places",
                        TRP_RANK_PLACES_MAX);
    *out_places = places;
    return trp_ok();
}

trp_status trp_rank_lists_plan(const struct trp_rank_opts *opts,
                               const struct trp_vote_member *members, uint32_t members_n,
                               struct trp_rank_room *out, struct trp_error *err)
{
    struct raters raters = { 0 };
    uint64_t places, cells, bytes = 0;
    TRP_CHECK(gather_raters(members, members_n, &raters, err));
    TRP_CHECK(measure_lists(&raters, opts->places, &places, err));
    const struct troupe_tensor *first = raters.tensors[0];
    if (__builtin_mul_overflow((uint64_t)first->shape[0], opts->places, &cells) ||
        cells > UINT32_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "%lld lists of %llu places", (long long)first->shape[0],
                        (unsigned long long)opts->places);
    for (uint32_t m = 0; first->dtype == TROUPE_BYTES && m < raters.n; m++)
        bytes += raters.tensors[m]->bytes;
    out->ids_bytes = first->dtype == TROUPE_BYTES ? bytes + LENGTH_BYTES * cells
                                                  : cells * trp_dtype_bytes(first->dtype);
    out->scores_bytes = cells * sizeof(float);
    out->scratch_bytes = places * sizeof(struct entry);
    return trp_ok();
}

static void start_output(struct troupe_tensor *t, int32_t dtype, int64_t rows, uint64_t places)
{
    t->dtype = dtype;
    t->rank = 2;
    t->shape[0] = rows;
    t->shape[1] = (int64_t)places;
    t->bytes = 0;
}

trp_status trp_rank_lists(const struct trp_rank_opts *opts, const struct trp_vote_member *members,
                          uint32_t members_n, struct troupe_tensor *ids_out,
                          struct troupe_tensor *scores_out, void *scratch, struct trp_error *err)
{
    struct raters raters = { 0 };
    struct lists lists = { .raters = &raters };
    struct entry *entries = scratch;
    uint64_t places;
    TRP_CHECK(gather_raters(members, members_n, &raters, err));
    TRP_CHECK(measure_lists(&raters, opts->places, &places, err));
    for (uint32_t m = 0; m < raters.n; m++)
        lists.longest = fmax(lists.longest, (double)raters.tensors[m]->shape[1]);
    const int64_t rows = raters.tensors[0]->shape[0];
    start_output(ids_out, raters.tensors[0]->dtype, rows, opts->places);
    start_output(scores_out, TROUPE_FP32, rows, opts->places);
    for (int64_t row = 0; row < rows; row++) {
        size_t n;
        TRP_CHECK(read_lists(opts, &lists, entries, &n, err));
        n = add_up(entries, n);
        sort(entries, n, sizeof *entries, is_preferred);
        for (uint64_t i = 0; i < opts->places; i++) {
            const float score = i < n ? (float)entries[i].score : 0;
            write_id(ids_out, i < n ? &entries[i] : NULL);
            memcpy((char *)scores_out->data + scores_out->bytes, &score, sizeof score);
            scores_out->bytes += sizeof score;
        }
    }
    return trp_ok();
}
