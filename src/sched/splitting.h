/* sched/splitting.h - whether one large run should be several side by side.
 * Answers "how many parts, and how large?".  Rows that one slot would take long for are divided
 * among the slots that are idle, where the cost curve says that this saves time worth having and
 * does not cost much more work in all. */
#ifndef TRP_SPLITTING_H
#define TRP_SPLITTING_H

#include "sched/cost_curve.h"

struct trp_splitting_rules {
    uint32_t parts_max;  /* idle slots or executors, the asking one included */
    int64_t part_min_ns; /* a part that runs for less is not worth handing over */
    int64_t join_ns;     /* what each further part costs to hand over and join */
    bool is_try;         /* what parts cost is hoped anew, whatever was measured */
};

/* Decides into how many parts to divide so many rows; 1: leave it whole.  The fewest parts within 5
 * % of the shortest time, if they save a fifth of it at least, and all together take no more than
 * half as much work again.  What parts cost counts as their share of the whole until runs of their
 * size have told, and again when those tell that fewer rows cost more.
 *   Units : rows, ns.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : O(parts_max x points), no allocation.
 *   Errors: none; 1 while the cost is not known. */
uint32_t trp_splitting_parts(const struct trp_splitting_rules *rules,
                             const struct trp_cost_curve *curve, uint32_t rows);

/* The rows of part `i` of `parts`: in order, as equal as can be, the larger ones first.
 *   Units : rows >= parts >= 1; i < parts.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
uint32_t trp_splitting_rows(uint32_t rows, uint32_t parts, uint32_t i);

#endif
