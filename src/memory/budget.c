/* memory/budget.c - see budget.h. */
#include "memory/budget.h"

#include <inttypes.h>

const char *trp_resource_name(enum trp_resource resource)
{
    static const char *const names[TRP_RESOURCES] = {
        [TRP_RESOURCE_BYTES] = "bytes",
        [TRP_RESOURCE_MAPPINGS] = "mappings",
        [TRP_RESOURCE_DESCRIPTORS] = "descriptors",
    };
    return (unsigned)resource < TRP_RESOURCES ? names[resource] : "unknown";
}

/* --- amounts ---------------------------------------------------------------------------------- */

struct trp_amounts trp_amounts_sum(struct trp_amounts a, struct trp_amounts b)
{
    for (int r = 0; r < TRP_RESOURCES; r++)
        if (__builtin_add_overflow(a.of[r], b.of[r], &a.of[r]))
            a.of[r] = UINT64_MAX;
    return a;
}

struct trp_amounts trp_amounts_less(struct trp_amounts a, struct trp_amounts b)
{
    for (int r = 0; r < TRP_RESOURCES; r++)
        a.of[r] = a.of[r] > b.of[r] ? a.of[r] - b.of[r] : 0;
    return a;
}

bool trp_amounts_fit(struct trp_amounts a, struct trp_amounts b)
{
    for (int r = 0; r < TRP_RESOURCES; r++)
        if (a.of[r] > b.of[r])
            return false;
    return true;
}

bool trp_amounts_is_zero(struct trp_amounts a)
{
    return trp_amounts_fit(a, (struct trp_amounts){ { 0 } });
}

/* --- what there is ---------------------------------------------------------------------------- */

/* The limits, without the zeros that mean none. */
static struct trp_amounts limits(const struct trp_budget *b)
{
    struct trp_amounts limit = b->limit;
    for (int r = 0; r < TRP_RESOURCES; r++)
        if (limit.of[r] == 0)
            limit.of[r] = UINT64_MAX;
    return limit;
}

/* What a limit leaves beside `used`: where there is no limit, any amount. */
static struct trp_amounts left_beside(const struct trp_budget *b, struct trp_amounts used)
{
    struct trp_amounts left = trp_amounts_less(limits(b), used);
    for (int r = 0; r < TRP_RESOURCES; r++)
        if (b->limit.of[r] == 0)
            left.of[r] = UINT64_MAX;
    return left;
}

struct trp_amounts trp_budget_used(const struct trp_budget *b)
{
    return trp_amounts_sum(b->fixed, trp_amounts_sum(b->committed, b->reserved));
}

struct trp_amounts trp_budget_left(const struct trp_budget *b)
{
    return left_beside(b, trp_budget_used(b));
}

struct trp_amounts trp_budget_missing(const struct trp_budget *b, struct trp_amounts need)
{
    return trp_amounts_less(trp_amounts_sum(trp_budget_used(b), need), limits(b));
}

struct trp_amounts trp_budget_reach(const struct trp_budget *b, struct trp_amounts kept)
{
    return left_beside(b, trp_amounts_sum(b->fixed, kept));
}

/* --- holds ------------------------------------------------------------------------------------ */

enum trp_reserve trp_budget_reserve(struct trp_budget *b, struct trp_amounts need,
                                    struct trp_hold *hold)
{
    const struct trp_amounts left = trp_budget_left(b);
    TRP_DEBUG_ASSERT(trp_amounts_is_zero(hold->amounts));
    *hold = (struct trp_hold){ .is_committed = false };
    for (int r = 0; r < TRP_RESOURCES; r++)
        b->refused[r] += need.of[r] > left.of[r];
    if (!trp_amounts_fit(need, left)) {
        const struct trp_amounts reach = trp_budget_reach(b, (struct trp_amounts){ { 0 } });
        return trp_amounts_fit(need, reach) ? TRP_RESERVE_NOT_NOW : TRP_RESERVE_NEVER;
    }
    b->reserved = trp_amounts_sum(b->reserved, need);
    hold->amounts = need;
    return TRP_RESERVE_DONE;
}

void trp_budget_release(struct trp_budget *b, struct trp_hold *hold)
{
    struct trp_amounts *from = hold->is_committed ? &b->committed : &b->reserved;
    TRP_DEBUG_ASSERT(trp_amounts_fit(hold->amounts, *from)); /* more given back than taken */
    *from = trp_amounts_less(*from, hold->amounts);
    *hold = (struct trp_hold){ .is_committed = false };
}

void trp_budget_commit(struct trp_budget *b, struct trp_hold *hold, struct trp_amounts measured)
{
    trp_budget_release(b, hold);
    b->committed = trp_amounts_sum(b->committed, measured);
    *hold = (struct trp_hold){ .amounts = measured, .is_committed = true };
}

trp_status trp_budget_refuse(const struct trp_budget *b, struct trp_amounts need,
                             struct trp_amounts had, const char *when, struct trp_error *err)
{
    int short_of = 0;
    while (short_of + 1 < TRP_RESOURCES && need.of[short_of] <= had.of[short_of])
        short_of++;
    return trp_fail(err, TRP_OVER_BUDGET,
                    "needs %" PRIu64 " %s; %s %" PRIu64 " of %" PRIu64 " can be had",
                    need.of[short_of], trp_resource_name((enum trp_resource)short_of), when,
                    had.of[short_of], b->limit.of[short_of]);
}
