/* compose/learner.c - see learner.h. */
#include "compose/learner.h"

#include <math.h>

#include "base/json.h"

struct learned {
    struct trp_str name;
    double written;
    struct trp_word weight; /* a double */
    double share, loss_sum; /* under the lock, as the next */
    uint64_t spoke_n;
};

struct trp_learner {
    struct trp_refs refs;
    const struct trp_alloc *alloc;
    struct trp_arena texts;
    struct trp_lock lock;
    struct trp_str name, vote;
    double rate, floor, total;
    uint32_t members_n;
    uint64_t outcomes; /* under the lock */
    struct learned members[];
};

/* ---- arithmetic ---- */

void trp_learner_update(double *shares, const double *losses, uint32_t n, double rate)
{
    double before = 0, after = 0, least = INFINITY;
    for (uint32_t i = 0; i < n; i++)
        if (losses[i] >= 0 && losses[i] < least)
            least =
                losses[i]; /* what all have lost changes nothing, and would only make it small */
    for (uint32_t i = 0; i < n; i++) {
        if (!(losses[i] >= 0))
            continue;
        before += shares[i];
        shares[i] *= exp(-rate * (losses[i] - least));
        after += shares[i];
    }
    for (uint32_t i = 0; i < n && after > 0; i++)
        if (losses[i] >= 0)
            shares[i] *= before / after;
}

/* Who is below is raised; the others pay in proportion, which may bring one of them below: so
 * until nobody is. */
void trp_learner_raise(double *shares, uint32_t n, double floor)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += shares[i];
    for (uint32_t round = 0; round < n; round++) {
        uint32_t low_n = 0;
        double rest = 0;
        for (uint32_t i = 0; i < n; i++) {
            low_n += !(shares[i] > floor);
            rest += shares[i] > floor ? shares[i] : 0;
        }
        const double left = sum - low_n * floor, scale = rest > 0 ? left / rest : 0;
        bool is_done = true;
        for (uint32_t i = 0; i < n; i++) {
            const bool is_low = !(shares[i] > floor);
            shares[i] = is_low ? floor : shares[i] * scale;
            is_done &= is_low || shares[i] >= floor;
        }
        if (is_done)
            return;
    }
}

/* ---- the object ---- */

static uint64_t bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static void publish(struct trp_learner *l)
{
    for (uint32_t i = 0; i < l->members_n; i++)
        trp_word_set(&l->members[i].weight, bits_of(l->members[i].share * l->total));
}

static void begin(struct trp_learner *l, const struct trp_learner_order *order)
{
    double shares[TRP_VOTE_MEMBERS_MAX];
    for (uint32_t i = 0; i < l->members_n; i++)
        l->total += order->weights[i];
    for (uint32_t i = 0; i < l->members_n; i++)
        shares[i] = l->total > 0 ? order->weights[i] / l->total : 1.0 / l->members_n;
    if (!(l->total > 0))
        l->total = l->members_n;
    trp_learner_raise(shares, l->members_n, l->floor);
    for (uint32_t i = 0; i < l->members_n; i++) {
        l->members[i].written = order->weights[i];
        l->members[i].share = shares[i];
    }
    publish(l);
}

static void destroy(struct trp_learner *l)
{
    trp_lock_deinit(&l->lock);
    trp_arena_deinit(&l->texts);
    trp_alloc_free(l->alloc, l);
}

struct trp_learner *trp_learner_create(const struct trp_alloc *alloc,
                                       const struct trp_learner_order *order)
{
    enum { TEXT_BYTES = 512, TEXT_MAX = 1 << 20 };
    TRP_ASSERT(order->members_n > 0 && order->members_n <= TRP_VOTE_MEMBERS_MAX);
    const size_t bytes = sizeof(struct trp_learner) + order->members_n * sizeof(struct learned);
    struct trp_learner *l = trp_alloc_zeroed(alloc, 1, bytes);
    if (!l)
        return NULL;
    trp_refs_init(&l->refs);
    l->alloc = alloc;
    trp_arena_init(&l->texts, alloc, TEXT_BYTES, TEXT_MAX);
    trp_lock_init(&l->lock, TRP_LOCK_LEARNER);
    l->members_n = order->members_n;
    l->rate = order->rate;
    l->floor = order->floor;
    l->name = trp_arena_dup(&l->texts, order->name);
    l->vote = trp_arena_dup(&l->texts, order->vote);
    bool is_whole = l->name.ptr && l->vote.ptr;
    for (uint32_t i = 0; is_whole && i < l->members_n; i++) {
        l->members[i].name = trp_arena_dup(&l->texts, order->members[i]);
        is_whole = l->members[i].name.ptr != NULL;
    }
    if (!is_whole) {
        destroy(l);
        return NULL;
    }
    begin(l, order);
    return l;
}

void trp_learner_ref(struct trp_learner *l)
{
    trp_refs_up(&l->refs);
}

void trp_learner_unref(struct trp_learner *l)
{
    if (l && trp_refs_down(&l->refs))
        destroy(l);
}

uint32_t trp_learner_refs(const struct trp_learner *l)
{
    return trp_refs_get(&l->refs);
}

bool trp_learner_is_of(const struct trp_learner *l, const struct trp_learner_order *order)
{
    bool is_same = l->members_n == order->members_n && l->rate == order->rate &&
                   l->floor == order->floor && trp_str_is_equal(l->name, order->name) &&
                   trp_str_is_equal(l->vote, order->vote);
    for (uint32_t i = 0; is_same && i < l->members_n; i++)
        is_same = l->members[i].written == order->weights[i] &&
                  trp_str_is_equal(l->members[i].name, order->members[i]);
    return is_same;
}

struct trp_str trp_learner_name(const struct trp_learner *l)
{
    return l->name;
}

uint32_t trp_learner_members(const struct trp_learner *l)
{
    return l->members_n;
}

struct trp_str trp_learner_member(const struct trp_learner *l, uint32_t member)
{
    return l->members[member].name;
}

uint64_t trp_learner_outcomes(struct trp_learner *l)
{
    trp_lock_enter(&l->lock);
    const uint64_t n = l->outcomes;
    trp_lock_leave(&l->lock);
    return n;
}

double trp_learner_weight(const struct trp_learner *l, uint32_t member)
{
    const uint64_t bits = trp_word_get(&l->members[member].weight);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

void trp_learner_learn(struct trp_learner *l, const double *losses)
{
    double shares[TRP_VOTE_MEMBERS_MAX];
    trp_lock_enter(&l->lock);
    for (uint32_t i = 0; i < l->members_n; i++) {
        shares[i] = l->members[i].share;
        if (losses[i] >= 0) {
            l->members[i].loss_sum += losses[i];
            l->members[i].spoke_n++;
        }
    }
    trp_learner_update(shares, losses, l->members_n, l->rate);
    trp_learner_raise(shares, l->members_n, l->floor);
    for (uint32_t i = 0; i < l->members_n; i++)
        l->members[i].share = shares[i];
    l->outcomes++;
    publish(l);
    trp_lock_leave(&l->lock);
}

static void write_members(struct trp_buf *b, const struct trp_learner *l, bool is_loss,
                          const double *values)
{
    bool is_first = true;
    trp_buf_add_text(b, is_loss ? ",\"losses\":{" : ",\"weights\":{");
    for (uint32_t i = 0; i < l->members_n; i++) {
        if (is_loss && values[i] < 0)
            continue;
        if (!is_first)
            trp_buf_add_char(b, ',');
        is_first = false;
        trp_json_write_str(b, l->members[i].name);
        trp_buf_addf(b, ":%.10g", values[i]);
    }
    trp_buf_add_char(b, '}');
}

void trp_learner_write_json(struct trp_learner *l, struct trp_buf *b)
{
    double weights[TRP_VOTE_MEMBERS_MAX] = { 0 }, losses[TRP_VOTE_MEMBERS_MAX] = { 0 };
    trp_lock_enter(&l->lock);
    const uint64_t outcomes = l->outcomes;
    for (uint32_t i = 0; i < l->members_n; i++) {
        const struct learned *m = &l->members[i];
        weights[i] = m->share * l->total;
        losses[i] = m->spoke_n ? m->loss_sum / (double)m->spoke_n : -1;
    }
    trp_lock_leave(&l->lock);
    trp_buf_add_text(b, "{\"outcomes\":");
    trp_buf_add_u64(b, outcomes);
    trp_buf_addf(b, ",\"rate\":%.10g,\"floor\":%.10g", l->rate, l->floor);
    write_members(b, l, false, weights);
    write_members(b, l, true, losses);
    trp_buf_add_char(b, '}');
}
