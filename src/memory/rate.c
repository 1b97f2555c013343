/* memory/rate.c - see rate.h. */
#include "memory/rate.h"

#include <math.h>

#include "base/status.h"

#define LN2 0.69314718055994530942

double trp_rate_weight(const struct trp_rate *r, int64_t now_ns, int64_t half_life_ns)
{
    TRP_DEBUG_ASSERT(half_life_ns > 0);
    if (now_ns <= r->at_ns)
        return r->weight;
    return r->weight * exp2(-((double)now_ns - (double)r->at_ns) / (double)half_life_ns);
}

double trp_rate_per_s(const struct trp_rate *r, int64_t now_ns, int64_t half_life_ns)
{
    /* One a second leaves the integral of 2^-(t / half-life) over all t: half-life / ln 2. */
    return trp_rate_weight(r, now_ns, half_life_ns) * LN2 * 1e9 / (double)half_life_ns;
}

void trp_rate_add(struct trp_rate *r, double amount, int64_t now_ns, int64_t half_life_ns)
{
    r->weight = trp_rate_weight(r, now_ns, half_life_ns) + amount;
    if (now_ns > r->at_ns)
        r->at_ns = now_ns;
}
