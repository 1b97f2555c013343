/* sched/placement.c - see placement.h. */
#include "sched/placement.h"

enum trp_place trp_place_call(const struct trp_turn_budget *budget, int64_t cost_ns,
                              uint32_t executors_idle)
{
    if (cost_ns <= 0 || cost_ns > budget->run_max_ns)
        return TRP_PLACE_EXECUTOR;
    if (!budget->used || cost_ns <= budget->left_ns)
        return TRP_PLACE_INLINE;
    return executors_idle > 0 ? TRP_PLACE_EXECUTOR : TRP_PLACE_LATER;
}

int64_t trp_cost_estimate(const struct trp_cost *cost, uint64_t bytes)
{
    if (cost->run_ns <= 0)
        return 0;
    const uint64_t learned = cost->run_bytes > 0 ? (uint64_t)cost->run_bytes : 1;
    if (bytes <= 2 * learned)
        return cost->run_ns; /* about the same */
    const double scaled = (double)cost->run_ns * ((double)bytes / (double)learned);
    return scaled < 9e18 ? (int64_t)scaled : INT64_MAX;
}

/* Runs below this are noise among themselves. */
#define NOISE_NS 20000

bool trp_cost_is_news(int64_t expected_ns, int64_t measured_ns, int64_t *surprises)
{
    if (expected_ns <= 0 || measured_ns <= NOISE_NS || measured_ns / 4 <= expected_ns) {
        *surprises = 0;
        return true;
    }
    return ++*surprises >= 2;
}
