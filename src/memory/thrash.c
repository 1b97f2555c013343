/* memory/thrash.c - see thrash.h.
 *
 * The distance of a return is what lies above the model in the stack of everything that was in
 * memory lately: models that were evicted later than it and are still out, and itself.  Those are
 * what a larger memory would have kept besides what this one keeps.  For plain LRU that is exact
 * but for the corners that models of different sizes leave; for a policy that looks at cost as
 * well, a good guess, as the wall would have stood elsewhere.
 *
 * The cure is the least distance such that the returns of longer ones waste less than the lower
 * mark: with so many bytes more, those of at most that distance would not have happened. */
#include "memory/thrash.h"

#include <stddef.h>

#include "base/status.h"

static struct trp_ghost *ghost_of(struct trp_thrash *t, uint64_t id)
{
    for (struct trp_ghost *g = t->ghosts; g < t->ghosts + t->ghosts_n; g++)
        if (g->is_used && g->id == id)
            return g;
    return NULL;
}

/* A free place, or that of whoever was longest without news; NULL when there are no places. */
static struct trp_ghost *place_for(struct trp_thrash *t)
{
    struct trp_ghost *oldest = NULL;
    for (struct trp_ghost *g = t->ghosts; g < t->ghosts + t->ghosts_n; g++) {
        if (!g->is_used)
            return g;
        if (!oldest || g->seen_ns < oldest->seen_ns)
            oldest = g;
    }
    return oldest;
}

void trp_thrash_init(struct trp_thrash *t, const struct trp_thrash_opts *opts,
                     struct trp_ghost *ghosts, uint32_t ghosts_n)
{
    TRP_ASSERT(opts->half_life_ns > 0 && opts->end_ratio > 0);
    TRP_ASSERT(opts->begin_ratio >= opts->end_ratio);
    *t = (struct trp_thrash){ .opts = *opts, .ghosts = ghosts, .ghosts_n = ghosts_n };
    for (uint32_t i = 0; i < ghosts_n; i++)
        ghosts[i] = (struct trp_ghost){ .is_used = false };
}

void trp_thrash_evicted(struct trp_thrash *t, uint64_t id, uint64_t bytes, int64_t now_ns)
{
    struct trp_ghost *g = ghost_of(t, id);
    t->evictions++;
    if (!g) {
        g = place_for(t);
        if (!g)
            return;
        *g = (struct trp_ghost){ .id = id, .is_used = true };
    }
    g->bytes = bytes;
    g->order = t->evictions;
    g->seen_ns = now_ns;
    g->is_out = true;
}

/* Saturating: sizes are what a backend says. */
static uint64_t sum_bytes(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t distance_of(const struct trp_thrash *t, const struct trp_ghost *back)
{
    uint64_t bytes = back->bytes;
    for (const struct trp_ghost *g = t->ghosts; g < t->ghosts + t->ghosts_n; g++)
        if (g->is_used && g->is_out && g->order > back->order)
            bytes = sum_bytes(bytes, g->bytes);
    return bytes;
}

bool trp_thrash_wanted(struct trp_thrash *t, uint64_t id, int64_t reload_ns, int64_t now_ns)
{
    struct trp_ghost *g = ghost_of(t, id);
    if (!g || !g->is_out)
        return false;
    const bool is_loss = now_ns - g->seen_ns <= t->opts.window_ns;
    g->is_out = false;
    if (is_loss) {
        g->distance_bytes = distance_of(t, g);
        trp_rate_add(&g->waste, (double)reload_ns * 1e-9, now_ns, t->opts.half_life_ns);
        trp_rate_add(&t->lately, 1, now_ns, t->opts.half_life_ns);
        t->returns++;
    }
    g->seen_ns = now_ns;
    return is_loss;
}

void trp_thrash_forget(struct trp_thrash *t, uint64_t id)
{
    struct trp_ghost *g = ghost_of(t, id);
    if (g)
        *g = (struct trp_ghost){ .is_used = false };
}

/* What returns of a longer distance waste. */
static double waste_beyond(const struct trp_thrash *t, uint64_t bytes, int64_t now_ns)
{
    double waste = 0;
    for (const struct trp_ghost *g = t->ghosts; g < t->ghosts + t->ghosts_n; g++)
        if (g->is_used && g->distance_bytes > bytes)
            waste += trp_rate_per_s(&g->waste, now_ns, t->opts.half_life_ns);
    return waste;
}

static uint64_t cure(const struct trp_thrash *t, int64_t now_ns)
{
    uint64_t least = UINT64_MAX;
    if (waste_beyond(t, 0, now_ns) < t->opts.end_ratio)
        return 0;
    for (const struct trp_ghost *g = t->ghosts; g < t->ghosts + t->ghosts_n; g++)
        if (g->is_used && g->distance_bytes > 0 && g->distance_bytes < least &&
            waste_beyond(t, g->distance_bytes, now_ns) < t->opts.end_ratio)
            least = g->distance_bytes;
    return least;
}

struct trp_thrash_seen trp_thrash_look(struct trp_thrash *t, int64_t now_ns)
{
    const double waste = waste_beyond(t, 0, now_ns);
    const double returns = trp_rate_weight(&t->lately, now_ns, t->opts.half_life_ns);
    bool is_thrashing = t->is_thrashing;
    if (waste < t->opts.end_ratio)
        is_thrashing = false;
    else if (waste > t->opts.begin_ratio && returns >= t->opts.returns_min)
        is_thrashing = true;
    const struct trp_thrash_seen seen = { .is_thrashing = is_thrashing,
                                          .has_changed = is_thrashing != t->is_thrashing,
                                          .waste_ratio = waste,
                                          .cure_bytes = cure(t, now_ns) };
    if (seen.has_changed) {
        t->is_thrashing = is_thrashing;
        t->since_ns = now_ns;
        t->episodes += is_thrashing;
    }
    return seen;
}
