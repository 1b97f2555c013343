/* sched/splitting.c - see splitting.h. */
#include "sched/splitting.h"

uint32_t trp_splitting_rows(uint32_t rows, uint32_t parts, uint32_t i)
{
    return rows / parts + (i < rows % parts);
}

#define NOISE 1.25 /* what fewer rows may seem to cost more */

/* Fewer rows never cost more, whatever once disturbed a run of them. */
static double believed(const struct trp_cost_curve *curve, uint32_t rows)
{
    const int64_t known_ns = trp_cost_curve_estimate(curve, rows),
                  most_ns = trp_cost_curve_at_most(curve, rows);
    return (double)(most_ns < known_ns ? most_ns : known_ns);
}

/* What is far above that is no knowledge. */
static bool is_known(const struct trp_cost_curve *curve, uint32_t rows)
{
    return trp_cost_curve_is_known(curve, rows) &&
           (double)trp_cost_curve_estimate(curve, rows) <= NOISE * believed(curve, rows);
}

/* What so many of the rows cost.  As long as that is not known they are hoped to cost their share
 * of the whole: to divide a run is how it becomes known. */
static double cost_of(const struct trp_splitting_rules *rules, const struct trp_cost_curve *curve,
                      uint32_t rows, uint32_t some)
{
    const double known_ns = believed(curve, some);
    if (some == rows || (!rules->is_try && is_known(curve, some)))
        return known_ns;
    const double hope_ns = believed(curve, rows) * some / rows;
    return hope_ns < known_ns ? hope_ns : known_ns;
}

/* Until all parts have ended and are joined: the first one is the largest. */
static double time_of(const struct trp_splitting_rules *rules, const struct trp_cost_curve *curve,
                      uint32_t rows, uint32_t parts)
{
    return cost_of(rules, curve, rows, trp_splitting_rows(rows, parts, 0)) +
           (double)rules->join_ns * (parts - 1);
}

static bool is_worth_it(const struct trp_splitting_rules *rules, const struct trp_cost_curve *curve,
                        uint32_t rows, uint32_t parts)
{
    const double part_ns = cost_of(rules, curve, rows, trp_splitting_rows(rows, parts, parts - 1)),
                 whole_ns = time_of(rules, curve, rows, 1),
                 work_ns = time_of(rules, curve, rows, parts) * parts;
    return part_ns >= (double)rules->part_min_ns && work_ns <= 1.5 * whole_ns &&
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
