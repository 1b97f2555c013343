/* route/latency.c - see latency.h.
 *
 * A time in units of 1,024 ns is 1xxx... in binary: where its highest bit stands says which
 * doubling it is in, the three bits behind it which eighth. */
#include "route/latency.h"

#define UNIT_SHIFT 10u
#define FINE_BITS 3u
#define FINE (1u << FINE_BITS)
#define OCTAVES (TRP_LATENCY_BUCKETS / FINE)

static uint32_t bucket_of(int64_t ns)
{
    const uint64_t units = ns > 0 ? (uint64_t)ns >> UNIT_SHIFT : 0;
    if (units == 0)
        return 0;
    const uint32_t octave = 63 - (uint32_t)__builtin_clzll(units);
    if (octave >= OCTAVES)
        return TRP_LATENCY_BUCKETS - 1;
    return octave * FINE + (uint32_t)((units << FINE_BITS >> octave) & (FINE - 1));
}

/* Where a bucket begins, and the one before ends. */
static int64_t begin_ns(uint32_t bucket)
{
    const uint32_t octave = bucket / FINE, fine = bucket % FINE;
    return (int64_t)((uint64_t)(FINE + fine) << (octave + UNIT_SHIFT) >> FINE_BITS);
}

void trp_latency_add(struct trp_latency *l, int64_t ns)
{
    trp_counter_add(&l->buckets[bucket_of(ns)], 1);
}

void trp_latency_carry(struct trp_latency *l, const struct trp_latency *from)
{
    for (uint32_t i = 0; i < TRP_LATENCY_BUCKETS; i++)
        trp_counter_set(&l->buckets[i], trp_counter_get(&from->buckets[i]));
    trp_word_set(&l->aged, trp_word_get(&from->aged));
}

void trp_latency_age(struct trp_latency *l, int64_t half_life_ns, int64_t now_ns)
{
    const uint64_t age = (uint64_t)now_ns / (uint64_t)half_life_ns + 1; /* 0: never called */
    uint64_t seen = trp_word_get(&l->aged);
    if (age <= seen || !trp_word_try_swap(&l->aged, &seen, age))
        return;
    const uint64_t passed = seen > 0 ? age - seen : 0;
    for (uint32_t i = 0; i < TRP_LATENCY_BUCKETS; i++) {
        const uint64_t n = trp_counter_get(&l->buckets[i]);
        const uint64_t left = passed < 64 ? n >> passed : 0;
        if (n > left) /* a difference, so that what others add meanwhile is kept */
            trp_counter_sub(&l->buckets[i], n - left);
    }
}

void trp_latency_get(const struct trp_latency *l, struct trp_latency_counts *out)
{
    for (uint32_t i = 0; i < TRP_LATENCY_BUCKETS; i++)
        out->n[i] = trp_counter_get(&l->buckets[i]);
}

void trp_latency_since(const struct trp_latency_counts *now, const struct trp_latency_counts *then,
                       struct trp_latency_counts *out)
{
    for (uint32_t i = 0; i < TRP_LATENCY_BUCKETS; i++)
        out->n[i] = now->n[i] > then->n[i] ? now->n[i] - then->n[i] : 0;
}

uint64_t trp_latency_count(const struct trp_latency_counts *c)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < TRP_LATENCY_BUCKETS; i++)
        sum += c->n[i];
    return sum;
}

int64_t trp_latency_quantile_ns(const struct trp_latency_counts *c, double share)
{
    const double wanted = share * (double)trp_latency_count(c);
    double below = 0;
    int64_t ns = 0;
    for (uint32_t i = 0; i < TRP_LATENCY_BUCKETS; i++) {
        const double here = (double)c->n[i];
        if (here <= 0)
            continue;
        const double begin = (double)begin_ns(i), end = (double)begin_ns(i + 1);
        if (below + here >= wanted) { /* as if those in a bucket lay evenly in it */
            const double part = wanted > below ? (wanted - below) / here : 0;
            return (int64_t)(begin + (end - begin) * part);
        }
        below += here;
        ns = (int64_t)end;
    }
    return ns; /* rounding left the last one out */
}

uint64_t trp_latency_slower(const struct trp_latency_counts *c, int64_t than_ns)
{
    uint64_t sum = 0;
    for (uint32_t i = bucket_of(than_ns) + 1; i < TRP_LATENCY_BUCKETS; i++)
        sum += c->n[i];
    return sum;
}
