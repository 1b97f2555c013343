/* route/hedge.c - see hedge.h. */
#include "route/hedge.h"

#include "route/retry_budget.h"

#define LOOK_EVERY_NS 100000000

void trp_hedge_init(struct trp_hedge *h, const struct trp_hedge_opts *opts)
{
    *h = (struct trp_hedge){ .opts = *opts };
    if (h->opts.half_life_ns < LOOK_EVERY_NS)
        h->opts.half_life_ns = LOOK_EVERY_NS;
}

void trp_hedge_carry(struct trp_hedge *h, const struct trp_hedge *from)
{
    trp_latency_carry(&h->latency, &from->latency);
    trp_word_set(&h->looked, trp_word_get(&from->looked));
    trp_gauge_set(&h->wait_ns, trp_gauge_get(&from->wait_ns));
}

void trp_hedge_add(struct trp_hedge *h, int64_t took_ns)
{
    trp_latency_add(&h->latency, took_ns);
}

/* One of those that come at once looks, the others take what was found before. */
static void look(struct trp_hedge *h, int64_t now_ns)
{
    const uint64_t now = (uint64_t)now_ns / LOOK_EVERY_NS + 1; /* 0: never */
    uint64_t seen = trp_word_get(&h->looked);
    if (seen >= now || !trp_word_try_swap(&h->looked, &seen, now))
        return;
    struct trp_latency_counts counts;
    trp_latency_age(&h->latency, h->opts.half_life_ns, now_ns);
    trp_latency_get(&h->latency, &counts);
    int64_t wait_ns = 0;
    if (trp_latency_count(&counts) >= h->opts.answers_min)
        wait_ns = trp_latency_quantile_ns(&counts, h->opts.quantile);
    trp_gauge_set(&h->wait_ns, wait_ns);
}

int64_t trp_hedge_when_ns(struct trp_hedge *h, int64_t deadline_ns, int64_t now_ns)
{
    const bool is_fixed = h->opts.quantile <= 0;
    if (!is_fixed)
        look(h, now_ns);
    int64_t wait_ns = is_fixed ? h->opts.least_ns : trp_gauge_get(&h->wait_ns);
    if (wait_ns <= 0)
        return 0;
    if (wait_ns < h->opts.least_ns)
        wait_ns = h->opts.least_ns;
    const int64_t when_ns = now_ns + wait_ns;
    return deadline_ns > 0 && when_ns >= deadline_ns ? 0 : when_ns;
}

bool trp_hedge_try_send(struct trp_hedge *h, struct trp_retry_budget *budget, int64_t now_ns)
{
    if (budget && !trp_retry_budget_try_take(budget, now_ns)) {
        trp_counter_add(&h->refused, 1);
        return false;
    }
    trp_counter_add(&h->sent, 1);
    return true;
}

void trp_hedge_won(struct trp_hedge *h)
{
    trp_counter_add(&h->won, 1);
}
