/* memory/eviction.c - see eviction.h.
 *
 * Which set of residents frees at least so much at the least cost is the minimum knapsack cover,
 * which is hard; and blobs that several residents share make it harder, because two of them may
 * free together what neither frees alone.  But there are few residents, and once a load is not
 * often, so we can look at all of them several times:
 *
 *  1. Everybody is looked at: may it go, what does its going cost?  A blob of which any user stays
 *     is held; of the others we count the users that are left.
 *  2. In the order of cost for what is freed, residents are taken that are not enough yet.  Each
 *     time, the cheapest one that would be enough together with those taken completes a set; the
 *     cheapest set of all is kept.  The first such set is the cheapest single resident.  This ends
 *     when no larger set can be cheaper.
 *  3. The same is tried once more where blobs are shared, now with a blob's bytes divided among its
 *     users, so that the eight variants of one base, none of which frees much alone, are seen as
 *     what they are together.
 *  4. Whoever is not needed in the set after all (a later one covers its part) stays.
 *
 * Invariants:
 *  a. When all who may go together are enough, a set is found: the one that would make it enough,
 *     taken last, is at the latest a completion.
 *  b. Ties go to who was asked for least recently, then to the lower index: the answer is a
 *     function of its arguments.
 *  c. After a decision nobody is taken; what it wrote is the residents' own to explain it by. */
#include "memory/eviction.h"

#include <inttypes.h>
#include <math.h>

#include "base/status.h"

#define NOBODY UINT32_MAX
#define EVERYBODY (UINT32_MAX - 1)
#define COST_MAX 1e12 /* sums of costs stay finite */

/* How a shared blob counts for somebody who is not its last user. */
enum lens { LENS_ALONE, LENS_TOGETHER };

struct plan {
    const struct trp_eviction_opts *opts;
    struct trp_residents *who;
    struct trp_amounts missing;
    struct trp_amounts gained; /* by those taken */
    enum lens lens;
    uint32_t stale;  /* the group whose gains have changed, EVERYBODY, or NOBODY */
    uint32_t *taken; /* the caller's array of victims */
    uint32_t taken_n;
    double cost;      /* of those taken */
    double best_cost; /* INFINITY: no set yet */
};

const char *trp_eviction_policy_name(enum trp_eviction_policy policy)
{
    static const char *const names[TRP_EVICTION_POLICIES] = {
        [TRP_EVICTION_COST] = "cost",
        [TRP_EVICTION_LRU] = "lru",
    };
    return (unsigned)policy < TRP_EVICTION_POLICIES ? names[policy] : "unknown";
}

const char *trp_standing_name(enum trp_standing standing)
{
    static const char *const names[TRP_STANDINGS] = {
        [TRP_STANDING_MAY_GO] = "may go",
        [TRP_STANDING_PINNED] = "pinned",
        [TRP_STANDING_BUSY] = "busy",
        [TRP_STANDING_FRESH] = "just loaded",
    };
    return (unsigned)standing < TRP_STANDINGS ? names[standing] : "unknown";
}

/* --- looking at everybody --------------------------------------------------------------------- */

static int64_t sum_ns(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* When it stops being safe because it has just come. */
static int64_t fresh_until(const struct trp_eviction_opts *opts, const struct trp_resident *r)
{
    int64_t fresh_ns;
    if (__builtin_mul_overflow(r->reload_ns, (int64_t)opts->fresh_reloads, &fresh_ns))
        fresh_ns = INT64_MAX;
    if (fresh_ns < opts->fresh_ns)
        fresh_ns = opts->fresh_ns;
    const int64_t until = sum_ns(r->loaded_ns, fresh_ns);
    return until > r->safe_until_ns ? until : r->safe_until_ns;
}

static enum trp_standing standing_of(const struct trp_eviction_opts *opts,
                                     const struct trp_resident *r, int64_t now_ns)
{
    if (r->is_pinned)
        return TRP_STANDING_PINNED;
    if (r->in_flight > 0)
        return TRP_STANDING_BUSY;
    return now_ns < fresh_until(opts, r) ? TRP_STANDING_FRESH : TRP_STANDING_MAY_GO;
}

static double cost_of(const struct trp_eviction_opts *opts, const struct trp_resident *r,
                      int64_t now_ns)
{
    const double weight = r->weight > 0 ? r->weight : 1;
    const double seconds = r->reload_ns > 0 ? (double)r->reload_ns * 1e-9 : 0;
    const double cost = trp_rate_per_s(&r->rate, now_ns, opts->half_life_ns) * seconds * weight;
    return cost < COST_MAX ? cost : COST_MAX;
}

/* The bytes of shared blobs that a resident who stays in any case needs, each counted once. */
static uint64_t count_shared(struct trp_residents *who, const struct trp_resident *r)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < r->shared_n; i++) {
        struct trp_shared *s = &who->shared[r->shared[i]];
        bytes += s->is_counted ? 0 : s->bytes;
        s->is_counted = true;
    }
    return bytes;
}

/* What pinned residents keep, and of blobs what the newcomer needs. */
static struct trp_amounts pinned_amounts(struct trp_residents *who)
{
    struct trp_amounts kept = { { 0 } };
    for (uint32_t i = 0; i < who->shared_n; i++) {
        who->shared[i].is_counted = who->shared[i].is_wanted;
        kept.of[TRP_RESOURCE_BYTES] += who->shared[i].is_wanted ? who->shared[i].bytes : 0;
    }
    for (uint32_t i = 0; i < who->n; i++) {
        if (who->all[i].standing != TRP_STANDING_PINNED)
            continue;
        kept = trp_amounts_sum(kept, who->all[i].own);
        kept.of[TRP_RESOURCE_BYTES] += count_shared(who, &who->all[i]);
    }
    return kept;
}

/* Blobs of which a user stays are held; the others' users are counted. */
static void count_users(struct trp_residents *who)
{
    for (uint32_t i = 0; i < who->shared_n; i++) {
        who->shared[i].is_held = who->shared[i].is_wanted;
        who->shared[i].users_left = 0;
    }
    for (uint32_t i = 0; i < who->n; i++) {
        const struct trp_resident *r = &who->all[i];
        for (uint32_t k = 0; k < r->shared_n; k++) {
            struct trp_shared *s = &who->shared[r->shared[k]];
            s->users_left++;
            s->is_held = s->is_held || r->standing != TRP_STANDING_MAY_GO;
        }
    }
}

/* Residents that share what may become free, or share it with somebody who does, are a group: what
 * one of them frees depends on the others, and on nobody else. */
static uint32_t group_of(struct trp_residents *who, uint32_t index)
{
    while (who->all[index].group != index) {
        who->all[index].group = who->all[who->all[index].group].group;
        index = who->all[index].group;
    }
    return index;
}

static void find_groups(struct trp_residents *who)
{
    for (uint32_t i = 0; i < who->shared_n; i++)
        who->shared[i].first_user = NOBODY;
    for (uint32_t i = 0; i < who->n; i++)
        who->all[i].group = i;
    for (uint32_t i = 0; i < who->n; i++) {
        for (uint32_t k = 0; k < who->all[i].shared_n; k++) {
            struct trp_shared *s = &who->shared[who->all[i].shared[k]];
            if (s->is_held)
                continue;
            if (s->first_user == NOBODY)
                s->first_user = i;
            else
                who->all[group_of(who, i)].group = group_of(who, s->first_user);
        }
    }
    for (uint32_t i = 0; i < who->n; i++)
        who->all[i].group = group_of(who, i);
}

static void look_at_everybody(const struct trp_eviction_opts *opts, struct trp_residents *who,
                              int64_t now_ns, struct trp_eviction *out)
{
    out->retry_ns = INT64_MAX;
    for (uint32_t i = 0; i < who->n; i++) {
        struct trp_resident *r = &who->all[i];
        r->standing = standing_of(opts, r, now_ns);
        r->cost = cost_of(opts, r, now_ns);
        r->rank = NOBODY;
        r->is_taken = false;
        out->standing_n[r->standing]++;
        if (r->standing == TRP_STANDING_FRESH && fresh_until(opts, r) < out->retry_ns)
            out->retry_ns = fresh_until(opts, r);
    }
    count_users(who);
    find_groups(who);
}

/* --- taking and putting back ------------------------------------------------------------------ */

/* What becomes free if it goes as well. */
static struct trp_amounts gain_of(const struct trp_residents *who, const struct trp_resident *r)
{
    struct trp_amounts gain = r->own;
    for (uint32_t i = 0; i < r->shared_n; i++) {
        const struct trp_shared *s = &who->shared[r->shared[i]];
        if (!s->is_held && s->users_left == 1)
            gain.of[TRP_RESOURCE_BYTES] += s->bytes;
    }
    return gain;
}

/* Its part of what becomes free if everybody it shares with goes as well. */
static double part_of(const struct trp_residents *who, const struct trp_resident *r)
{
    double bytes = (double)r->own.of[TRP_RESOURCE_BYTES];
    for (uint32_t i = 0; i < r->shared_n; i++) {
        const struct trp_shared *s = &who->shared[r->shared[i]];
        if (!s->is_held && s->users_left > 0)
            bytes += (double)s->bytes / s->users_left;
    }
    return bytes;
}

static void take(struct plan *p, uint32_t index)
{
    struct trp_resident *r = &p->who->all[index];
    p->gained = trp_amounts_sum(p->gained, gain_of(p->who, r));
    p->cost += r->cost;
    r->is_taken = true;
    for (uint32_t i = 0; i < r->shared_n; i++) {
        struct trp_shared *s = &p->who->shared[r->shared[i]];
        s->users_left--;
        if (s->users_left == 1 || p->lens == LENS_TOGETHER)
            p->stale = r->group;
    }
}

/* Without the cost: sums that are subtracted from drift. */
static void put_back(struct plan *p, uint32_t index)
{
    struct trp_resident *r = &p->who->all[index];
    for (uint32_t i = 0; i < r->shared_n; i++)
        p->who->shared[r->shared[i]].users_left++;
    r->is_taken = false;
    p->gained = trp_amounts_less(p->gained, gain_of(p->who, r));
}

/* What all who may go free together; nobody is taken before and after. */
static struct trp_amounts all_together(struct plan *p)
{
    for (uint32_t i = 0; i < p->who->n; i++)
        if (p->who->all[i].standing == TRP_STANDING_MAY_GO)
            take(p, i);
    const struct trp_amounts all = p->gained;
    for (uint32_t i = 0; i < p->who->n; i++)
        if (p->who->all[i].is_taken)
            put_back(p, i);
    p->gained = (struct trp_amounts){ { 0 } };
    p->cost = 0;
    return all;
}

static bool is_enough(const struct plan *p, struct trp_amounts gained)
{
    return trp_amounts_fit(p->missing, gained);
}

/* --- the cheapest set ------------------------------------------------------------------------- */

/* Cost for what is freed, of each missing resource in proportion to what is missing of it.  Where
 * only bytes are missing that orders as cost / bytes. */
static double order_of(const struct plan *p, const struct trp_resident *r)
{
    double parts = 0;
    for (int k = 0; k < TRP_RESOURCES; k++) {
        double freed = (double)r->gain.of[k];
        if (p->missing.of[k] == 0)
            continue;
        if (k == TRP_RESOURCE_BYTES && p->lens == LENS_TOGETHER)
            freed = part_of(p->who, r);
        parts += freed / (double)p->missing.of[k];
    }
    return parts > 0 ? r->cost / parts : INFINITY;
}

static void refresh(struct plan *p)
{
    for (uint32_t i = 0; i < p->who->n; i++) {
        struct trp_resident *r = &p->who->all[i];
        if (r->standing != TRP_STANDING_MAY_GO || r->is_taken)
            continue;
        if (p->stale != EVERYBODY && r->group != p->stale)
            continue;
        r->gain = gain_of(p->who, r);
        r->order = order_of(p, r);
    }
    p->stale = NOBODY;
}

static int64_t last_ns(const struct trp_resident *r)
{
    return r->rate.at_ns > r->loaded_ns ? r->rate.at_ns : r->loaded_ns;
}

/* Whether `r` with `value` goes before whoever is the best so far; ties as (b) above says. */
static bool is_before(const struct plan *p, const struct trp_resident *r, double value,
                      uint32_t best, double best_value)
{
    if (best == NOBODY || value < best_value)
        return true;
    return value == best_value && last_ns(r) < last_ns(&p->who->all[best]);
}

/* Keeps those taken, and `last` after them, as the best set so far. */
static void keep_set(struct plan *p, uint32_t last)
{
    for (uint32_t i = 0; i < p->who->n; i++)
        p->who->all[i].rank = NOBODY;
    for (uint32_t i = 0; i < p->taken_n; i++)
        p->who->all[p->taken[i]].rank = i;
    p->who->all[last].rank = p->taken_n;
    p->best_cost = p->cost + p->who->all[last].cost;
}

/* One step of (2): keeps a better set if there is one, and takes the next.  False: it is over. */
static bool step(struct plan *p)
{
    uint32_t next = NOBODY, last = NOBODY;
    double next_order = 0, last_cost = 0;
    const struct trp_amounts still = trp_amounts_less(p->missing, p->gained);
    if (p->stale != NOBODY)
        refresh(p);
    for (uint32_t i = 0; i < p->who->n; i++) {
        const struct trp_resident *r = &p->who->all[i];
        if (r->standing != TRP_STANDING_MAY_GO || r->is_taken)
            continue;
        if (trp_amounts_fit(still, r->gain)) {
            if (is_before(p, r, r->cost, last, last_cost)) {
                last = i;
                last_cost = r->cost;
            }
        } else if (is_before(p, r, r->order, next, next_order)) {
            next = i;
            next_order = r->order;
        }
    }
    if (last != NOBODY && p->cost + last_cost < p->best_cost)
        keep_set(p, last);
    if (next == NOBODY || p->cost + p->who->all[next].cost >= p->best_cost)
        return false;
    take(p, next);
    p->taken[p->taken_n++] = next;
    return true;
}

static void search(struct plan *p, enum lens lens)
{
    p->lens = lens;
    p->stale = EVERYBODY;
    while (step(p))
        ;
    while (p->taken_n > 0)
        put_back(p, p->taken[--p->taken_n]);
    p->gained = (struct trp_amounts){ { 0 } };
    p->cost = 0;
}

/* (4): takes the set that was kept, without those whom it does not need. */
static void take_best(struct plan *p)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < p->who->n; i++) {
        if (p->who->all[i].rank == NOBODY)
            continue;
        p->taken[p->who->all[i].rank] = i;
        p->taken_n++;
        take(p, i);
    }
    for (uint32_t i = p->taken_n; i-- > 0;) {
        put_back(p, p->taken[i]);
        if (is_enough(p, p->gained))
            p->taken[i] = NOBODY;
        else
            take(p, p->taken[i]);
    }
    for (uint32_t i = 0; i < p->taken_n; i++)
        if (p->taken[i] != NOBODY)
            p->taken[kept++] = p->taken[i];
    p->taken_n = kept;
}

static bool is_anything_shared(const struct trp_residents *who)
{
    for (uint32_t i = 0; i < who->shared_n; i++)
        if (!who->shared[i].is_held && who->shared[i].users_left > 1)
            return true;
    return false;
}

static void choose_by_cost(struct plan *p)
{
    search(p, LENS_ALONE);
    if (is_anything_shared(p->who))
        search(p, LENS_TOGETHER);
    take_best(p);
}

/* --- the policy to compare with --------------------------------------------------------------- */

static void choose_by_age(struct plan *p)
{
    while (!is_enough(p, p->gained)) {
        uint32_t oldest = NOBODY;
        for (uint32_t i = 0; i < p->who->n; i++) {
            const struct trp_resident *r = &p->who->all[i];
            if (r->standing == TRP_STANDING_MAY_GO && !r->is_taken && is_before(p, r, 0, oldest, 0))
                oldest = i;
        }
        TRP_ASSERT(oldest != NOBODY); /* all together were enough */
        take(p, oldest);
        p->taken[p->taken_n++] = oldest;
    }
}

/* --- the decision ----------------------------------------------------------------------------- */

/* What is written for whoever explains: as things stand before anybody goes. */
static void explain(struct trp_residents *who)
{
    for (uint32_t i = 0; i < who->n; i++) {
        struct trp_resident *r = &who->all[i];
        r->frees = gain_of(who, r);
        const uint64_t bytes = r->frees.of[TRP_RESOURCE_BYTES];
        r->score = bytes ? r->cost / (double)bytes : INFINITY;
        r->part_bytes = 0;
    }
}

static bool goes_with_them(const struct trp_shared *s)
{
    return !s->is_held && s->users_left == 0;
}

/* What becomes free only because several go is divided among them. */
static void divide(const struct plan *p)
{
    for (uint32_t i = 0; i < p->who->shared_n; i++) {
        p->who->shared[i].goers_left = 0;
        p->who->shared[i].part_bytes_left = p->who->shared[i].bytes;
    }
    for (uint32_t i = 0; i < p->taken_n; i++) {
        const struct trp_resident *r = &p->who->all[p->taken[i]];
        for (uint32_t k = 0; k < r->shared_n; k++)
            p->who->shared[r->shared[k]].goers_left++;
    }
    for (uint32_t i = 0; i < p->taken_n; i++) {
        struct trp_resident *r = &p->who->all[p->taken[i]];
        r->part_bytes = r->own.of[TRP_RESOURCE_BYTES];
        for (uint32_t k = 0; k < r->shared_n; k++) {
            struct trp_shared *s = &p->who->shared[r->shared[k]];
            const uint64_t part = goes_with_them(s) ? s->part_bytes_left / s->goers_left-- : 0;
            s->part_bytes_left -= part;
            r->part_bytes += part;
        }
    }
}

static void choose(const struct trp_eviction_need *need, struct plan *p, struct trp_eviction *out)
{
    if (p->opts->policy == TRP_EVICTION_LRU)
        choose_by_age(p);
    else
        choose_by_cost(p);
    divide(p);
    out->victims_n = p->taken_n;
    out->freed = p->gained;
    for (uint32_t i = 0; i < p->taken_n; i++) {
        out->cost += p->who->all[p->taken[i]].cost;
        p->who->all[p->taken[i]].is_taken = false;
    }
    const bool is_worth = need->worth <= 0 || out->cost < need->worth;
    out->fit = is_worth ? TRP_FIT_EVICT : TRP_FIT_NOT_WORTH;
}

enum trp_fit trp_eviction_decide(const struct trp_eviction_opts *opts, struct trp_residents *who,
                                 const struct trp_eviction_need *need, int64_t now_ns,
                                 uint32_t *out_victims, struct trp_eviction *out)
{
    *out = (struct trp_eviction){ .missing = trp_budget_missing(need->budget, need->amounts) };
    struct plan p = { .opts = opts,
                      .who = who,
                      .missing = out->missing,
                      .taken = out_victims,
                      .best_cost = INFINITY };
    look_at_everybody(opts, who, now_ns, out);
    explain(who);
    out->evictable = all_together(&p);
    out->reach = trp_budget_reach(need->budget, pinned_amounts(who));
    if (trp_amounts_is_zero(out->missing))
        out->fit = TRP_FIT_FREE;
    else if (!trp_amounts_fit(need->amounts, out->reach))
        out->fit = TRP_FIT_NEVER;
    else if (!is_enough(&p, out->evictable))
        out->fit = TRP_FIT_NOT_NOW;
    else
        choose(need, &p, out);
    return out->fit;
}

/* --- the order -------------------------------------------------------------------------------- */

static uint32_t next_to_go(const struct plan *p)
{
    const bool is_by_age = p->opts->policy == TRP_EVICTION_LRU;
    uint32_t next = NOBODY;
    double next_order = 0;
    for (uint32_t i = 0; i < p->who->n; i++) {
        const struct trp_resident *r = &p->who->all[i];
        const double order = is_by_age ? 0 : r->order;
        if (r->standing != TRP_STANDING_MAY_GO || r->is_taken ||
            !is_before(p, r, order, next, next_order))
            continue;
        next = i;
        next_order = order;
    }
    return next;
}

uint32_t trp_eviction_order(const struct trp_eviction_opts *opts, struct trp_residents *who,
                            int64_t now_ns, uint32_t *out_order, uint32_t max)
{
    struct trp_eviction seen = { .fit = TRP_FIT_FREE };
    struct plan p = { .opts = opts,
                      .who = who,
                      .missing = { { 1 } },
                      .lens = LENS_TOGETHER,
                      .stale = EVERYBODY,
                      .taken = out_order };
    look_at_everybody(opts, who, now_ns, &seen);
    explain(who);
    while (p.taken_n < max) {
        if (p.stale != NOBODY)
            refresh(&p);
        const uint32_t next = next_to_go(&p);
        if (next == NOBODY)
            break;
        take(&p, next);
        p.taken[p.taken_n++] = next;
    }
    for (uint32_t i = p.taken_n; i-- > 0;)
        put_back(&p, p.taken[i]);
    return p.taken_n;
}

trp_status trp_eviction_refuse(const struct trp_eviction *e, const struct trp_eviction_need *need,
                               struct trp_error *err)
{
    const struct trp_amounts left = trp_budget_left(need->budget);
    if (e->fit == TRP_FIT_NEVER)
        return trp_budget_refuse(need->budget, need->amounts, e->reach, "at most", err);
    if (e->fit == TRP_FIT_NOT_WORTH)
        return trp_fail(err, TRP_OVER_BUDGET,
                        "%" PRIu32 " models that are worth more would have to go", e->victims_n);
    const trp_status st = trp_budget_refuse(need->budget, need->amounts,
                                            trp_amounts_sum(left, e->evictable), "now", err);
    trp_error_within(err, "%" PRIu32 " busy, %" PRIu32 " pinned, %" PRIu32 " just loaded",
                     e->standing_n[TRP_STANDING_BUSY], e->standing_n[TRP_STANDING_PINNED],
                     e->standing_n[TRP_STANDING_FRESH]);
    return st;
}
