/* sched/splitting.c - see splitting.h. */
#include "sched/splitting.h"

uint32_t trp_splitting_rows(uint32_t rows, uint32_t parts, uint32_t i)
{
    return rows / parts + (i < rows % parts);
}

/* Until all parts have ended and are joined: the first one is the largest. */
static double time_of(const struct trp_splitting_rules *rules, const struct trp_cost_curve *curve,
                      uint32_t rows, uint32_t parts)
{
    return (double)trp_cost_curve_estimate(curve, trp_splitting_rows(rows, parts, 0)) +
           (double)rules->join_ns * (parts - 1);
}

static bool is_worth_it(const struct trp_splitting_rules *rules, const struct trp_cost_curve *curve,
                        uint32_t rows, uint32_t parts)
{
    const int64_t part_ns =
        trp_cost_curve_estimate(curve, trp_splitting_rows(rows, parts, parts - 1));
    const double whole_ns = time_of(rules, curve, rows, 1),
                 work_ns = time_of(rules, curve, rows, parts) * parts;
    return part_ns >= rules->part_min_ns && work_ns <= 1.5 * whole_ns &&
           time_of(rules, curve, rows, parts) <= 0.8 * whole_ns;
}

uint32_t trp_splitting_parts(const struct trp_splitting_rules *rules,
                             const struct trp_cost_curve *curve, uint32_t rows)
{
    const uint32_t most = rows < rules->parts_max ? rows : rules->parts_max;
    uint32_t best = 1;
    if (most < 2 || trp_cost_curve_estimate(curve, rows) == 0)
        return 1;
    for (uint32_t parts = 2; parts <= most; parts++)
        if (is_worth_it(rules, curve, rows, parts) &&
            time_of(rules, curve, rows, parts) < 0.95 * time_of(rules, curve, rows, best))
            best = parts;
    return best;
}
