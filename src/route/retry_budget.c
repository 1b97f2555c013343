/* route/retry_budget.c - see retry_budget.h. */
#include "route/retry_budget.h"

void trp_retry_budget_init(struct trp_retry_budget *b, const struct trp_retry_budget_opts *opts)
{
    *b = (struct trp_retry_budget){ .opts = *opts };
    if (b->opts.window_ns < 1000000)
        b->opts.window_ns = 1000000;
}

void trp_retry_budget_carry(struct trp_retry_budget *b, const struct trp_retry_budget *from)
{
    trp_counter_set(&b->taken, trp_counter_get(&from->taken));
    trp_counter_set(&b->refused, trp_counter_get(&from->refused));
    if (b->opts.window_ns == from->opts.window_ns && b->opts.share == from->opts.share &&
        b->opts.floor_per_s == from->opts.floor_per_s)
        trp_recent_carry(&b->recent, &from->recent);
}

void trp_retry_budget_add(struct trp_retry_budget *b, int64_t now_ns)
{
    trp_recent_add(&b->recent, b->opts.window_ns, 1, 0, now_ns);
}

double trp_retry_budget_left(const struct trp_retry_budget *b, int64_t now_ns)
{
    const struct trp_recent_sums lately = trp_recent_get(&b->recent, b->opts.window_ns, now_ns);
    const double left = b->opts.share * lately.all +
                        b->opts.floor_per_s * ((double)b->opts.window_ns / 1e9) - lately.some;
    return left > 0 ? left : 0;
}

bool trp_retry_budget_try_take(struct trp_retry_budget *b, int64_t now_ns)
{
    if (trp_retry_budget_left(b, now_ns) < 1) {
        trp_counter_add(&b->refused, 1);
        return false;
    }
    trp_recent_add(&b->recent, b->opts.window_ns, 0, 1, now_ns);
    trp_counter_add(&b->taken, 1);
    return true;
}
