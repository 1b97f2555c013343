/* sched/placement.c - see placement.h. */
#include "sched/placement.h"

enum trp_place trp_place_call(const struct trp_turn_budget *budget, int64_t cost_ns,
                              const struct trp_executors_seen *executors)
{
    const bool is_short = cost_ns <= budget->run_max_ns, fits = cost_ns <= budget->left_ns;
    if (cost_ns <= 0 || budget->run_max_ns <= 0)
        return TRP_PLACE_EXECUTOR;
    if (is_short && (fits || !budget->used))
        return TRP_PLACE_INLINE;
    if (executors->idle > 0)
        return TRP_PLACE_EXECUTOR;
    if (fits)
        return TRP_PLACE_INLINE;
    const bool would_wait_long = executors->has_long_run && cost_ns <= budget->turn_ns;
    return is_short || would_wait_long ? TRP_PLACE_LATER : TRP_PLACE_EXECUTOR;
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

#define NOISE_NS 20000   /* runs below this are noise among themselves */
#define SURPRISES_MAX 16 /* by then anything is believed */

int64_t trp_cost_believe(int64_t known_ns, int64_t expected_ns, int64_t measured_ns,
                         int64_t *surprises)
{
    if (known_ns > 0 && measured_ns > NOISE_NS && measured_ns / 4 > expected_ns) {
        if (*surprises < SURPRISES_MAX)
            ++*surprises;
        if (*surprises < 2)
            return 0;
        const int64_t factor = (int64_t)1 << (2 * *surprises); /* 16, 64, 256, ... */
        return measured_ns / factor < known_ns ? measured_ns : known_ns * factor;
    }
    *surprises = 0;
    if (measured_ns < known_ns) /* the average moves a quarter of the way: make that a half */
        return 2 * measured_ns > known_ns ? 2 * measured_ns - known_ns : 1;
    if (known_ns > 0 && measured_ns > expected_ns) /* and a longer one makes it a sixteenth */
        return known_ns + (measured_ns - known_ns) / 4;
    return measured_ns > 0 ? measured_ns : 1;
}
