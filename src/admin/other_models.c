/* admin/other_models.c - see other_models.h */
#include "admin/other_models.h"

#include "base/clock.h"

#define RECENT_NS TRP_S(3600)

void trp_other_models_note(struct trp_told_version *t, struct trp_version *v, int64_t now_ns)
{
    const struct trp_stats *s = trp_version_counts(v);
    const int64_t asked_ns = (int64_t)trp_counter_get(&s->last_asked_ns);
    const int64_t ready_ns =
        trp_lifecycle_is_serving(&v->life) ? v->life.since_ns[TRP_MODEL_READY] : 0;
    const int64_t used_ns = asked_ns > ready_ns ? asked_ns : ready_ns;
    t->version = v;
    t->use.asked_n = trp_stats_asked(s);
    t->use.is_candidate = now_ns - used_ns < RECENT_NS; /* loaded or asked in the last hour */
}

/* Two pages at once may each see the other's half: swapping `told` makes the parts that they add
 * come out as the whole. */
void trp_other_models_tell(struct trp_other_models *o, struct trp_version *v, bool is_own)
{
    for (size_t i = 0; v->has_own_stats && i < TRP_STATS_COUNTERS; i++) {
        const uint64_t now = trp_counter_get(trp_stats_counter(v->stats, i));
        const uint64_t before = trp_counter_get(&v->told->n[i]);
        if (now == before)
            continue;
        const uint64_t told = trp_counter_swap(&v->told->n[i], now);
        if (!is_own)
            trp_counter_add(trp_stats_counter(&o->stats, i), now - told);
    }
}

void trp_other_models_gauge(struct trp_other_models *o, const struct trp_told_version *others,
                            uint32_t n)
{
    int64_t queued = 0, in_flight = 0;
    uint64_t weights = 0, activations = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct trp_version *v = others[i].version;
        queued += trp_gauge_get(&v->stats->queued);
        in_flight += trp_stats_calls(v->stats);
        weights += trp_counter_get(&v->weights.bytes);
        activations += trp_counter_get(&v->activations.bytes);
    }
    trp_gauge_set(&o->stats.queued, queued);
    trp_gauge_set(&o->stats.in_flight, in_flight);
    trp_counter_set(&o->weights, weights);
    trp_counter_set(&o->activations, activations);
    if (n)
        trp_flag_raise(&o->were_there);
}
