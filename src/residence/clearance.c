/* residence/clearance.c - see clearance.h.
 *
 * The policy wants plain arrays: a resident for each guest, a share for each blob.  They are made
 * anew for each decision, because a decision comes before an eviction and a load, which take a
 * thousand times as long.
 *
 *  1. A guest is one resident: all its versions go together.  What a guest has that is LEAVING is
 *     nobody's any more: it is taken off the budget before the policy sees it, so nobody is evicted
 *     for room that is on its way; for a load, for LEAVING_NS.
 *  2. The newcomer's own versions, which serve while their successors load, count as pinned: they
 *     go when those are READY.
 *  3. Whoever had better hibernate than go is shown with what that gives back and what waking
 *     takes; who is asleep, with the little that it still has.  Only when there is no room that
 *     way everybody is shown once more, with all that going would free. */
#include "residence/clearance.h"

#include <inttypes.h>
#include <stdio.h>

#define FRESH_RELOADS 10    /* while thrashing: most of the time goes to answers */
#define LEAVING_NS TRP_S(2) /* what is not back by then may be long in coming: others go */

struct trp_clearance {
    const struct trp_alloc *alloc;
    struct trp_residents who;
    struct trp_guest **guests; /* of who.all */
    bool *sleeps;              /* of who.all: it would hibernate */
    uint32_t sleepers_n;       /* of those */
    uint32_t *victims;
    bool *have_gone; /* of them */
    uint32_t *refs;  /* into who.shared, of all residents one after the other */
    uint32_t all_capacity, shared_capacity, refs_capacity, refs_n;
};

trp_status trp_clearance_create(const struct trp_alloc *alloc, struct trp_clearance **out_clearance,
                                struct trp_error *err)
{
    struct trp_clearance *c = trp_alloc_zeroed(alloc, 1, sizeof *c);
    *out_clearance = c;
    if (!c)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "clearance");
    c->alloc = alloc;
    return trp_ok();
}

void trp_clearance_destroy(struct trp_clearance *c)
{
    if (!c)
        return;
    trp_alloc_free(c->alloc, c->who.all);
    trp_alloc_free(c->alloc, c->who.shared);
    trp_alloc_free(c->alloc, c->guests);
    trp_alloc_free(c->alloc, c->sleeps);
    trp_alloc_free(c->alloc, c->victims);
    trp_alloc_free(c->alloc, c->have_gone);
    trp_alloc_free(c->alloc, c->refs);
    trp_alloc_free(c->alloc, c);
}

/* ---- tables ---- */

/* Makes room for `n` items, twice as many when it must grow; what was in it is not kept. */
static bool fit_table(struct trp_clearance *c, void *table, uint32_t n, uint32_t had, size_t size)
{
    void **items = table;
    if (n <= had)
        return true;
    trp_alloc_free(c->alloc, *items);
    *items = trp_alloc_get(c->alloc, (size_t)n * 2, size);
    return *items != NULL;
}

static bool fit_guests(struct trp_clearance *c, uint32_t n)
{
    const uint32_t had = c->all_capacity;
    c->all_capacity = 0;
    if (!fit_table(c, &c->who.all, n, had, sizeof *c->who.all) ||
        !fit_table(c, &c->guests, n, had, sizeof(struct trp_guest *)) ||
        !fit_table(c, &c->sleeps, n, had, sizeof *c->sleeps) ||
        !fit_table(c, &c->victims, n, had, sizeof *c->victims) ||
        !fit_table(c, &c->have_gone, n, had, sizeof *c->have_gone))
        return false;
    c->all_capacity = n <= had ? had : n * 2;
    return true;
}

static bool fit_shares(struct trp_clearance *c, uint32_t shares_n, uint32_t refs_n)
{
    const uint32_t had = c->shared_capacity, refs_had = c->refs_capacity;
    c->shared_capacity = c->refs_capacity = 0;
    if (!fit_table(c, &c->who.shared, shares_n, had, sizeof *c->who.shared) ||
        !fit_table(c, &c->refs, refs_n, refs_had, sizeof *c->refs))
        return false;
    c->shared_capacity = shares_n <= had ? had : shares_n * 2;
    c->refs_capacity = refs_n <= refs_had ? refs_had : refs_n * 2;
    return true;
}

static bool is_there(const struct trp_stay *s)
{
    return s->state == TRP_STAY_IN || s->state == TRP_STAY_COMING || s->state == TRP_STAY_DOZING ||
           s->state == TRP_STAY_ASLEEP || s->is_waking;
}

static bool make_tables(struct trp_residence *r)
{
    uint32_t refs_n = 0;
    for (const struct trp_guest *g = r->guests; g; g = g->next)
        for (const struct trp_stay *s = g->stays; s; s = s->next)
            refs_n += is_there(s) ? s->shares_n : 0;
    return fit_guests(r->clearance, r->guests_n) && fit_shares(r->clearance, refs_n, refs_n);
}

/* ---- everybody ---- */

static uint32_t in_flight_of(const struct trp_stay *s)
{
    return (s->stats ? trp_stats_busy(s->stats) : 0) + (s->state == TRP_STAY_COMING);
}

/* The shares of one stay, each once, and without those that other stays of the guest have too. */
static void add_shares(struct trp_clearance *c, struct trp_resident *to, const struct trp_stay *s,
                       uint32_t round)
{
    for (uint32_t i = 0; s->is_sharing && i < s->shares_n; i++) {
        struct trp_share *h = s->shares[i];
        if (h->mark != round) {
            h->mark = round;
            h->index = c->who.shared_n++;
            h->last_guest = UINT32_MAX;
            c->who.shared[h->index] = (struct trp_shared){ .bytes = h->bytes };
        }
        if (h->last_guest == c->who.n)
            continue;
        h->last_guest = c->who.n;
        TRP_ASSERT(c->refs != NULL); /* make_tables() counted this one */
        c->refs[c->refs_n++] = h->index;
        to->shared_n++;
    }
}

/* Without a measurement, a quarter of a load: less than it costs at most to be tried. */
static int64_t wake_ns_of(const struct trp_guest *g)
{
    return g->sleep.wake_ns > 0 ? g->sleep.wake_ns : g->reload_ns / 4;
}

/* To load again what could have been woken takes the same pages besides. */
static void show_sleep(struct trp_resident *one, const struct trp_guest *g, bool would_sleep)
{
    if (would_sleep) {
        for (const struct trp_stay *s = g->stays; s; s = s->next)
            if (is_there(s))
                one->own = trp_amounts_less(one->own, trp_stay_rest(s));
        one->reload_ns = wake_ns_of(g);
    } else if (g->sleep.wake_ns > 0 && !trp_guest_is_asleep(g)) {
        one->reload_ns += g->sleep.wake_ns;
    }
}

static void add_guest(struct trp_residence *r, struct trp_guest *g, bool is_newcomer,
                      bool may_sleep)
{
    struct trp_clearance *c = r->clearance;
    if (r->opts.describe && g->owner)
        r->opts.describe(r->opts.user, g);
    struct trp_resident one = { .rate = g->rate,
                                .loaded_ns = g->loaded_ns,
                                .safe_until_ns = g->safe_until_ns,
                                .reload_ns = g->reload_ns,
                                .weight = g->weight,
                                .shared = c->refs ? c->refs + c->refs_n : NULL,
                                .in_flight = g->is_held || !g->owner,
                                .is_pinned = g->is_pinned || is_newcomer };
    bool is_resident = false;
    for (const struct trp_stay *s = g->stays; s; s = s->next) {
        if (!is_there(s))
            continue;
        is_resident = true;
        one.own = trp_amounts_sum(one.own, s->hold.amounts);
        one.in_flight += in_flight_of(s);
        add_shares(c, &one, s, r->shares.round);
    }
    if (!is_resident)
        return;
    const bool would_sleep = may_sleep && !one.is_pinned && trp_guest_may_sleep(g);
    show_sleep(&one, g, would_sleep);
    c->sleepers_n += would_sleep;
    c->sleeps[c->who.n] = would_sleep;
    c->guests[c->who.n] = g;
    c->who.all[c->who.n++] = one;
}

static void mark_wanted(struct trp_residence *r, const struct trp_guest *newcomer)
{
    struct trp_clearance *c = r->clearance;
    for (const struct trp_stay *s = newcomer ? newcomer->stays : NULL; s; s = s->next)
        for (uint32_t i = 0; s->state == TRP_STAY_WAITING && i < s->shares_n; i++)
            if (s->shares[i]->mark == r->shares.round)
                c->who.shared[s->shares[i]->index].is_wanted = true;
}

static void show_everybody(struct trp_residence *r, const struct trp_guest *newcomer,
                           bool may_sleep)
{
    struct trp_clearance *c = r->clearance;
    c->who.n = c->who.shared_n = c->refs_n = c->sleepers_n = 0;
    r->shares.round++;
    for (struct trp_guest *g = r->guests; g; g = g->next)
        add_guest(r, g, g == newcomer, may_sleep);
    mark_wanted(r, newcomer);
}

/* ---- sums ---- */

struct trp_amounts trp_clearance_need(struct trp_residence *r, const struct trp_guest *newcomer)
{
    struct trp_amounts need = { { 0 } };
    r->shares.round++;
    for (const struct trp_stay *s = newcomer->stays; s; s = s->next) {
        if (s->state != TRP_STAY_WAITING)
            continue;
        need = trp_amounts_sum(need, trp_amounts_less(trp_amounts_sum(s->own, s->extra), s->rest));
        for (uint32_t i = 0; i < s->shares_n; i++) {
            struct trp_share *h = s->shares[i];
            const bool is_new = h->users == 0 && h->mark != r->shares.round;
            h->mark = r->shares.round;
            const struct trp_amounts piece = { { is_new ? h->bytes : 0 } };
            need = trp_amounts_sum(need, piece);
        }
    }
    return need;
}

/* Who leaves may be kept: by a long run, or by an answer that stands in a stream behind that of a
 * request which waits for this very room.  So no load waits for it for ever. */
static bool is_on_its_way(const struct trp_residence *r, const struct trp_stay *s, bool for_load)
{
    const int64_t since_ns = trp_loop_now_ns(r->opts.control) - s->left_ns;
    return s->state == TRP_STAY_DOZING ||
           (s->state == TRP_STAY_LEAVING && (!for_load || since_ns < LEAVING_NS));
}

struct trp_amounts trp_clearance_leaving(const struct trp_residence *r,
                                         const struct trp_guest *newcomer)
{
    struct trp_amounts leaving = { { r->shares.going_bytes } }, kept = { { 0 } };
    for (const struct trp_guest *g = r->guests; g; g = g->next)
        for (const struct trp_stay *s = g->stays; s; s = s->next)
            if (is_on_its_way(r, s, newcomer != NULL))
                leaving = trp_amounts_sum(leaving, trp_amounts_less(s->hold.amounts, s->rest));
    for (const struct trp_stay *s = newcomer ? newcomer->stays : NULL; s; s = s->next)
        for (uint32_t i = 0; s->state == TRP_STAY_WAITING && i < s->shares_n; i++)
            kept.of[TRP_RESOURCE_BYTES] +=
                trp_share_is_going(s->shares[i]) ? s->shares[i]->bytes : 0;
    return trp_amounts_less(leaving, kept);
}

struct trp_amounts trp_clearance_loading(const struct trp_residence *r)
{
    struct trp_amounts loading = { { 0 } };
    for (const struct trp_guest *g = r->guests; g; g = g->next)
        for (const struct trp_stay *s = g->stays; s; s = s->next)
            if (s->state == TRP_STAY_COMING)
                loading = trp_amounts_sum(loading, s->extra);
    return loading;
}

/* ---- the decision ---- */

static struct trp_eviction_opts policy_of(const struct trp_residence *r)
{
    return (struct trp_eviction_opts){ .policy = r->opts.policy,
                                       .half_life_ns = TRP_RESIDENCE_HALF_LIFE_NS,
                                       .fresh_ns = r->opts.stay_ns,
                                       .fresh_reloads =
                                           r->thrash.is_thrashing ? FRESH_RELOADS : 0 };
}

static bool may_hibernate(const struct trp_residence *r)
{
    return r->opts.hibernate && r->opts.policy == TRP_EVICTION_COST;
}

trp_status trp_clearance_decide(struct trp_residence *r, const struct trp_clearance_wish *wish,
                                struct trp_eviction *out, struct trp_error *err)
{
    struct trp_clearance *c = r->clearance;
    const struct trp_eviction_opts opts = policy_of(r);
    struct trp_budget budget;
    *out = (struct trp_eviction){ .fit = TRP_FIT_NOT_NOW };
    if (!make_tables(r))
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory to find room in memory");
    trp_ledger_look(r->opts.ledger, &budget);
    budget.committed = trp_amounts_less(budget.committed, trp_clearance_leaving(r, wish->newcomer));
    budget.committed = trp_amounts_less(budget.committed, wish->already);
    const struct trp_eviction_need need = { .budget = &budget, .amounts = wish->amounts };
    bool may_sleep = may_hibernate(r);
    do {
        show_everybody(r, wish->newcomer, may_sleep);
        (void)trp_eviction_decide(&opts, &c->who, &need, trp_loop_now_ns(r->opts.control),
                                  c->victims, out);
        may_sleep = false;
    } while (out->fit == TRP_FIT_NOT_NOW && c->sleepers_n > 0);
    if (out->fit == TRP_FIT_NOT_NOW || out->fit == TRP_FIT_NEVER)
        (void)trp_eviction_refuse(out, &need, err);
    return trp_ok();
}

/* ---- who would be next ---- */

trp_status trp_clearance_rank(struct trp_residence *r, struct trp_error *err)
{
    struct trp_clearance *c = r->clearance;
    const struct trp_eviction_opts opts = policy_of(r);
    const int64_t now_ns = trp_loop_now_ns(r->opts.control);
    if (!make_tables(r))
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory to find who would be evicted next");
    for (struct trp_guest *g = r->guests; g; g = g->next)
        g->prospect = (struct trp_prospect){ .is_known = false };
    show_everybody(r, NULL, may_hibernate(r));
    const uint32_t max = c->who.n < TRP_RANKED_MAX ? c->who.n : TRP_RANKED_MAX;
    const uint32_t n = trp_eviction_order(&opts, &c->who, now_ns, c->victims, max);
    for (uint32_t i = 0; i < c->who.n; i++) {
        const struct trp_resident *one = &c->who.all[i];
        c->guests[i]->prospect =
            (struct trp_prospect){ .is_known = true,
                                   .standing = one->standing,
                                   .per_s = trp_rate_per_s(&one->rate, now_ns,
                                                           TRP_RESIDENCE_HALF_LIFE_NS),
                                   .score = one->score,
                                   .frees_bytes = one->frees.of[TRP_RESOURCE_BYTES] };
    }
    for (uint32_t i = 0; i < n; i++)
        c->guests[c->victims[i]]->prospect.next = i + 1;
    return trp_ok();
}

/* ---- evicting ---- */

/* What going frees, as it is told: of each alone, unless it is more than that of all of them
 * together. */
struct gain {
    uint64_t bytes;
    double score;
    char others[40]; /* "": alone */
};

static struct gain gain_of(const struct trp_clearance *c, const struct trp_eviction *decision,
                           uint32_t at)
{
    const struct trp_resident *v = &c->who.all[at];
    struct gain g = { .bytes = v->frees.of[TRP_RESOURCE_BYTES], .score = v->score };
    const uint64_t freed = decision->freed.of[TRP_RESOURCE_BYTES];
    const uint32_t others_n = decision->victims_n - 1;
    uint64_t alone = 0;
    for (uint32_t i = 0; i < decision->victims_n; i++)
        alone += c->who.all[c->victims[i]].frees.of[TRP_RESOURCE_BYTES];
    if (others_n == 0 || alone >= freed)
        return g;
    g.bytes = freed;
    g.score = decision->cost / (double)freed;
    if (snprintf(g.others, sizeof g.others, " together with %" PRIu32 " other%s", others_n,
                 others_n == 1 ? "" : "s") < 0)
        g.others[0] = '\0';
    return g;
}

static bool evict_one(struct trp_residence *r, const struct trp_clearance_wish *wish,
                      const struct trp_eviction *decision, uint32_t at)
{
    const struct trp_clearance *c = r->clearance;
    const struct trp_resident *v = &c->who.all[at];
    struct trp_guest *g = c->guests[at];
    const struct gain gain = gain_of(c, decision, at);
    const int64_t now_ns = trp_loop_now_ns(r->opts.control);
    const bool sleeps = c->sleeps[at];
    char why[256];
    const int n =
        snprintf(why, sizeof why,
                 "room for %s: %" PRIu64
                 " bytes%s, asked for %.3g times a second, %lld ms to %s again, score %.3g",
                 wish->for_whom, gain.bytes, gain.others,
                 trp_rate_per_s(&g->rate, now_ns, TRP_RESIDENCE_HALF_LIFE_NS),
                 (long long)(v->reload_ns / 1000000), sleeps ? "wake it" : "load", gain.score);
    if (n < 0)
        why[0] = '\0';
    return (sleeps ? r->opts.hibernate : r->opts.evict)(r->opts.user, g, why);
}

/* When one of them stays, what it shares with the others stays too: each has freed what it frees
 * alone. */
static void count_one(struct trp_residence *r, const struct trp_clearance_wish *wish, uint32_t at,
                      bool all_went)
{
    const struct trp_clearance *c = r->clearance;
    const struct trp_resident *v = &c->who.all[at];
    const uint64_t bytes = all_went ? v->part_bytes : v->frees.of[TRP_RESOURCE_BYTES];
    if (!c->sleeps[at]) {
        trp_metrics_add(r->opts.metrics, wish->counted_as, 1);
        trp_metrics_add(r->opts.metrics, TRP_METRIC_EVICTED_BYTES, bytes);
    }
    trp_thrash_evicted(&r->thrash, c->guests[at]->id, bytes, trp_loop_now_ns(r->opts.control));
}

uint32_t trp_clearance_carry_out(struct trp_residence *r, const struct trp_clearance_wish *wish,
                                 const struct trp_eviction *decision)
{
    struct trp_clearance *c = r->clearance;
    const uint32_t n = decision->fit == TRP_FIT_EVICT ? decision->victims_n : 0;
    uint32_t went_n = 0;
    for (uint32_t i = 0; i < n; i++)
        c->have_gone[i] = evict_one(r, wish, decision, c->victims[i]);
    for (uint32_t i = 0; i < n; i++)
        went_n += c->have_gone[i];
    for (uint32_t i = 0; i < n; i++)
        if (c->have_gone[i])
            count_one(r, wish, c->victims[i], went_n == n);
    return n - went_n;
}

/* ---- those who are asleep ---- */

static uint64_t rest_of(const struct trp_guest *g)
{
    uint64_t bytes = 0;
    for (const struct trp_stay *s = g->stays; s; s = s->next)
        bytes += s->hold.amounts.of[TRP_RESOURCE_BYTES];
    return bytes;
}

/* What it would cost to be without it, for what it holds. */
static double score_of(const struct trp_residence *r, const struct trp_guest *g)
{
    const uint64_t bytes = rest_of(g) + 1;
    return trp_rate_per_s(&g->rate, trp_loop_now_ns(r->opts.control), TRP_RESIDENCE_HALF_LIFE_NS) *
           (g->weight > 0 ? g->weight : 1) * (double)g->reload_ns / (double)bytes;
}

static struct trp_guest *least_asleep(struct trp_residence *r)
{
    struct trp_guest *least = NULL;
    for (struct trp_guest *g = r->guests; g; g = g->next) {
        if (!g->owner || g->is_passed_over || !trp_guest_is_asleep(g))
            continue;
        if (r->opts.describe)
            r->opts.describe(r->opts.user, g);
        if (!g->is_held && (!least || score_of(r, g) < score_of(r, least)))
            least = g;
    }
    return least;
}

/* Whoever cannot go just now (somebody waits for it to wake) does not keep the others. */
void trp_clearance_thin_out(struct trp_residence *r)
{
    struct trp_guest *g;
    if (r->asleep_bytes <= r->opts.asleep_bytes_max)
        return;
    for (g = r->guests; g; g = g->next)
        g->is_passed_over = false;
    while (r->asleep_bytes > r->opts.asleep_bytes_max && (g = least_asleep(r)) != NULL) {
        const uint64_t bytes = rest_of(g);
        g->is_passed_over = true;
        if (!r->opts.evict(r->opts.user, g,
                           "others hibernate, for more than memory.hibernated_max"))
            continue;
        trp_metrics_add(r->opts.metrics, TRP_METRIC_EVICTIONS_ASLEEP, 1);
        trp_metrics_add(r->opts.metrics, TRP_METRIC_EVICTED_BYTES, bytes);
    }
}
