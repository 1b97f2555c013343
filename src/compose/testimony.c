/* compose/testimony.c - see testimony.h. */
#include "compose/testimony.h"

#include <math.h>
#include <xxhash.h>

#include "compose/numbers.h"
#include "tensor/reduce.h"
#include "tensor/shape.h"

#define NOBODY (-1) /* a place of a list that no item has; of texts 0 */
#define BATCH 64u

/* ---- what is kept ---- */

static bool is_of_ids(const struct trp_testimony *t)
{
    return t->form == TRP_TESTIMONY_LABELS || t->form == TRP_TESTIMONY_LISTS;
}

static int64_t nobody(const struct trp_testimony *t)
{
    return t->is_text ? 0 : NOBODY;
}

static int64_t key_of(struct trp_str text)
{
    return text.len ? (int64_t)(XXH3_64bits(text.ptr, text.len) | 1) : 0;
}

static const struct troupe_tensor *first_of(const struct trp_vote_member *members, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (members[i].tensor)
            return members[i].tensor;
    return NULL;
}

static enum trp_testimony_form form_of(const struct trp_vote_opts *vote, bool is_ranking,
                                       const struct troupe_tensor *t)
{
    const bool has_fractions = trp_numbers_is_float(t->dtype);
    if (is_ranking)
        return has_fractions ? TRP_TESTIMONY_SCORES : TRP_TESTIMONY_LISTS;
    if (vote->kind == TRP_VOTE_SOFT)
        return TRP_TESTIMONY_SOFT;
    return has_fractions ? TRP_TESTIMONY_HARD : TRP_TESTIMONY_LABELS;
}

/* Lists may be of unlike length. */
static uint64_t widest(const struct trp_vote_member *members, uint32_t n)
{
    uint64_t width = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct troupe_tensor *t = members[i].tensor;
        if (t && t->rank > 0 && (uint64_t)t->shape[t->rank - 1] > width)
            width = (uint64_t)t->shape[t->rank - 1];
    }
    return width;
}

uint64_t trp_testimony_plan(const struct trp_vote_opts *vote, bool is_ranking,
                            const struct trp_vote_member *members, uint32_t members_n,
                            struct trp_testimony *out_head)
{
    const struct troupe_tensor *first = first_of(members, members_n);
    uint64_t elements;
    *out_head = (struct trp_testimony){ .members_n = members_n };
    if (!first || !trp_shape_elements(first->shape, first->rank, &elements) || elements == 0)
        return 0;
    out_head->form = form_of(vote, is_ranking, first);
    out_head->logits = vote->logits;
    out_head->is_text = first->dtype == TROUPE_BYTES;
    if (out_head->form == TRP_TESTIMONY_LABELS) {
        out_head->rows = elements;
        out_head->width = 1;
    } else if (first->rank == 0) {
        return 0;
    } else {
        out_head->rows = elements / (uint64_t)first->shape[first->rank - 1];
        out_head->width = widest(members, members_n);
    }
    const uint64_t most = TRP_TESTIMONY_BYTES_MAX / sizeof(union trp_testimony_word);
    if (out_head->rows > most || out_head->width > most ||
        out_head->rows * out_head->width > most / members_n)
        return 0;
    const uint64_t words = members_n * out_head->rows * out_head->width;
    return sizeof *out_head + words * sizeof(union trp_testimony_word);
}

static union trp_testimony_word *words_of(struct trp_testimony *t, uint32_t member)
{
    return t->words + member * t->rows * t->width;
}

static void write_scores(const struct trp_testimony *t, const struct troupe_tensor *from,
                         union trp_testimony_word *out)
{
    const uint64_t n = t->rows * t->width;
    double some[BATCH];
    for (uint64_t at = 0; at < n; at += BATCH) {
        const size_t count = n - at < BATCH ? (size_t)(n - at) : BATCH;
        trp_numbers_read(from->dtype, from->data, at, count, some);
        for (size_t i = 0; i < count; i++)
            out[at + i].score = some[i];
    }
}

/* A double would make another id of one beyond 2^53.  Votes and lists take nothing of more than
 * 32 bits but INT64. */
static int64_t read_whole(const struct troupe_tensor *from, uint64_t at)
{
    int64_t wide;
    double narrow;
    if (from->dtype == TROUPE_INT64) {
        memcpy(&wide, (const char *)from->data + at * sizeof wide, sizeof wide);
        return wide;
    }
    trp_numbers_read(from->dtype, from->data, at, 1, &narrow);
    return fabs(narrow) < 0x1p53 ? (int64_t)narrow : NOBODY;
}

static void write_labels(const struct trp_testimony *t, const struct troupe_tensor *from,
                         union trp_testimony_word *out)
{
    for (uint64_t i = 0; i < t->rows * t->width; i++)
        out[i].id = read_whole(from, i);
}

/* INT32, INT64 or BYTES; a shorter list than the longest ends with places that nobody has. */
static void write_lists(struct trp_testimony *t, const struct troupe_tensor *from,
                        union trp_testimony_word *out)
{
    const uint64_t width = (uint64_t)from->shape[from->rank - 1];
    uint64_t offset = 0;
    for (uint64_t i = 0; i < t->rows * t->width; i++)
        out[i].id = nobody(t);
    for (uint64_t i = 0; i < t->rows * width; i++) {
        int64_t *const id = &out[i / width * t->width + i % width].id;
        uint32_t length;
        if (from->dtype != TROUPE_BYTES) {
            *id = read_whole(from, i);
            continue;
        }
        if (from->bytes - offset < sizeof length)
            return;
        memcpy(&length, (const char *)from->data + offset, sizeof length);
        offset += sizeof length;
        if (length > from->bytes - offset)
            return;
        *id = key_of(trp_str_make((const char *)from->data + offset, length));
        offset += length;
    }
}

void trp_testimony_write(struct trp_testimony *t, const struct trp_vote_member *members)
{
    for (uint32_t i = 0; i < t->members_n; i++) {
        union trp_testimony_word *out = words_of(t, i);
        if (!members[i].tensor) {
            memset(out, 0, t->rows * t->width * sizeof *out);
            continue;
        }
        t->spoke |= UINT64_C(1) << i;
        if (t->form == TRP_TESTIMONY_LISTS)
            write_lists(t, members[i].tensor, out);
        else if (t->form == TRP_TESTIMONY_LABELS)
            write_labels(t, members[i].tensor, out);
        else
            write_scores(t, members[i].tensor, out);
    }
}

/* ---- what was right ---- */

static bool read_label(const struct trp_testimony *t, const struct trp_node *n, int64_t *out)
{
    if (t->is_text && n->kind == TRP_NODE_STR && n->v.s.len > 0)
        *out = key_of(n->v.s);
    else if (!t->is_text && n->kind == TRP_NODE_INT)
        *out = n->v.i;
    else
        return false;
    return true;
}

static trp_status check_one(const struct trp_testimony *t, const struct trp_node *n,
                            struct trp_error *err)
{
    int64_t label;
    if (n->kind == TRP_NODE_NULL)
        return trp_ok();
    if (!read_label(t, n, &label))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "label: expected %s, found %s",
                        t->is_text     ? "the id of an item, a text that is not empty"
                        : is_of_ids(t) ? "a whole number"
                                       : "the number of a class or item",
                        trp_node_kind_name(n->kind));
    if (!is_of_ids(t) && (label < 0 || (uint64_t)label >= t->width))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "label: %lld is none of 0 to %llu",
                        (long long)label, (unsigned long long)(t->width - 1));
    return trp_ok();
}

trp_status trp_testimony_check(const struct trp_testimony *t, const struct trp_node *label,
                               struct trp_error *err)
{
    bool is_known = false;
    if (!label)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "there is no label");
    if (label->kind != TRP_NODE_LIST) {
        if (t->rows != 1)
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "label: the request had %llu rows: expected a list with a label for "
                            "each, or null",
                            (unsigned long long)t->rows);
        if (label->kind == TRP_NODE_NULL)
            return trp_fail(err, TRP_INVALID_ARGUMENT, "label: expected one, found null");
        return check_one(t, label, err);
    }
    if (label->children_n != t->rows)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "label: %u labels, but the request had %llu rows", label->children_n,
                        (unsigned long long)t->rows);
    for (const struct trp_node *n = label->first; n; n = n->next) {
        TRP_CHECK(check_one(t, n, err));
        is_known |= n->kind != TRP_NODE_NULL;
    }
    return is_known ? trp_ok() : trp_fail(err, TRP_INVALID_ARGUMENT, "label: none is known");
}

/* ---- how wrong ---- */

static double probability(const struct trp_testimony *t, const union trp_testimony_word *row,
                          uint64_t label)
{
    double most = -INFINITY, sum = 0;
    if (!t->logits)
        return row[label].score;
    for (uint64_t i = 0; i < t->width; i++)
        most = row[i].score > most ? row[i].score : most;
    for (uint64_t i = 0; i < t->width; i++)
        sum += exp(row[i].score - most);
    return exp(row[label].score - most) / sum;
}

static uint64_t highest(const struct trp_testimony *t, const union trp_testimony_word *row)
{
    uint64_t at = t->width; /* NaN all through: no class */
    for (uint64_t i = 0; i < t->width; i++)
        if (!isnan(row[i].score) && (at == t->width || row[i].score > row[at].score))
            at = i;
    return at;
}

static double place_by_score(const struct trp_testimony *t, const union trp_testimony_word *row,
                             uint64_t label)
{
    uint64_t above = 0, equal = 0;
    for (uint64_t i = 0; i < t->width; i++) {
        above += row[i].score > row[label].score;
        equal += row[i].score == row[label].score;
    }
    return equal ? (double)above + ((double)equal + 1) / 2 : INFINITY; /* NaN equals nothing */
}

static double place_in_list(const struct trp_testimony *t, const union trp_testimony_word *row,
                            int64_t label)
{
    for (uint64_t i = 0; i < t->width; i++)
        if (row[i].id == label && label != nobody(t))
            return (double)(i + 1);
    return INFINITY;
}

static double loss_of(const struct trp_testimony *t, const union trp_testimony_word *row,
                      int64_t label)
{
    double loss = 1;
    switch (t->form) {
    case TRP_TESTIMONY_SOFT:
        loss = 1 - probability(t, row, (uint64_t)label);
        break;
    case TRP_TESTIMONY_HARD:
        loss = highest(t, row) == (uint64_t)label ? 0 : 1;
        break;
    case TRP_TESTIMONY_LABELS:
        loss = row->id == label ? 0 : 1;
        break;
    case TRP_TESTIMONY_SCORES:
        loss = 1 - 1 / place_by_score(t, row, (uint64_t)label);
        break;
    case TRP_TESTIMONY_LISTS:
        loss = 1 - 1 / place_in_list(t, row, label);
        break;
    }
    return !(loss <= 1) ? 1 : loss < 0 ? 0 : loss;
}

static double mean_loss(const struct trp_testimony *t, const union trp_testimony_word *words,
                        const struct trp_node *label)
{
    const struct trp_node *n = label->kind == TRP_NODE_LIST ? label->first : label;
    double sum = 0;
    uint64_t known = 0;
    for (uint64_t row = 0; row < t->rows && n; row++, n = n->next) {
        int64_t right;
        if (!read_label(t, n, &right))
            continue;
        sum += loss_of(t, words + row * t->width, right);
        known++;
    }
    return known ? sum / (double)known : 0;
}

void trp_testimony_losses(const struct trp_testimony *t, const struct trp_node *label,
                          double *out_losses)
{
    for (uint32_t i = 0; i < t->members_n; i++)
        out_losses[i] =
            t->spoke >> i & 1 ? mean_loss(t, t->words + i * t->rows * t->width, label) : -1;
}
