/* sched/cost_curve.h - what a run of so many rows costs.
 * Answers "does joining rows pay?".  Points are learned where runs were measured, one for each
 * power of two of rows; between them the cost is interpolated, and more rows never cost less.  A
 * model whose runs are as long as their rows are many gains nothing by joining, one whose runs
 * hardly grow gains much; only measuring tells which. Pure: whoever runs brings the
 * measurements. */
#ifndef TRP_COST_CURVE_H
#define TRP_COST_CURVE_H

#include <stdbool.h>
#include <stdint.h>

#define TRP_COST_CURVE_POINTS 16 /* 1, 2, 4, ... 32768 rows */

struct trp_cost_curve { /* zero is: nothing is known */
    struct {
        int64_t run_ns;     /* moving average; 0: not known */
        int64_t milli_rows; /* of those runs, the same average, in thousandths */
        int64_t surprises;  /* see trp_cost_believe() */
        uint32_t seen;      /* runs, counted as far as it matters */
        uint32_t runs;      /* all, as far as 32 bits go */
        int64_t all_ns;     /* that these took, the disturbed ones as well */
        uint64_t all_rows;  /* of these */
    } points[TRP_COST_CURVE_POINTS];
    uint32_t asked; /* how often a batch size was chosen by it */
};

/* Learns from a measured run: how far a single one is believed, see trp_cost_believe() in
 * placement.h.
 *   Units : rows >= 1; ns.
 *   Owns  : the caller's storage.
 *   Thread: owner.
 *   Cost  : O(points), no allocation.
 *   Errors: none; a run of no rows or no time teaches nothing. */
void trp_cost_curve_learn(struct trp_cost_curve *curve, uint32_t rows, int64_t run_ns);

/* The likely cost of a run.  Beyond the largest run known, rows cost what they cost in that one;
 * fewer rows than the smallest one known are not trusted to cost less.
 *   Units : rows >= 1; ns.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none; 0 when nothing is known. */
int64_t trp_cost_curve_estimate(const struct trp_cost_curve *curve, uint32_t rows);

/* What such a run costs at most, if fewer rows never cost more: the cheapest of the points of as
 * many rows or more, however dear the points below are.  Beyond the largest one, rows cost what
 * they cost in that one.
 *   Units : rows >= 1; ns.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none; 0 when nothing is known. */
int64_t trp_cost_curve_at_most(const struct trp_cost_curve *curve, uint32_t rows);

/* As learn(), from a part of a larger run: runs of its size alone may come never again to mend a
 * point that was disturbed, so one above at_most() is taken down to that first.
 *   Units : rows >= 1; ns.
 *   Owns  : the caller's storage.
 *   Thread: owner.
 *   Cost  : O(points), no allocation.
 *   Errors: none; as learn(). */
void trp_cost_curve_learn_part(struct trp_cost_curve *curve, uint32_t rows, int64_t run_ns);

/* Whether enough runs of about so many rows have told what they cost.
 *   Units : rows >= 1.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
bool trp_cost_curve_is_known(const struct trp_cost_curve *curve, uint32_t rows);

/* How many rows to join at most: the fewest that come within 3 % of the most rows a second, if that
 * beats runs of `rows_min` by 10 % at least, else rows_min.  What was not yet measured is tried in
 * steps of two while the step before has gained as much; and twice in 64 another size is tried
 * (twice as many, half as many, rows_min), because costs change with what else the machine does.
 *   Units : rows; rows_min (of the largest single request) <= rows_max.
 *   Owns  : nothing; `curve` counts the tries.
 *   Thread: owner.
 *   Cost  : O(points squared).
 *   Errors: none. */
uint32_t trp_cost_curve_best_rows(struct trp_cost_curve *curve, uint32_t rows_min,
                                  uint32_t rows_max);

/* The same of what is known now, without a try; 0: nothing is known.
 *   Units : rows.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : O(points squared).
 *   Errors: none. */
uint32_t trp_cost_curve_known_best(const struct trp_cost_curve *curve, uint32_t rows_max);

/* The most rows whose run likely takes no longer than limit_ns: at least 1, at most rows_max, which
 * it is while nothing is known.
 *   Units : rows; ns.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : O(log rows_max x points).
 *   Errors: none. */
uint32_t trp_cost_curve_rows_within(const struct trp_cost_curve *curve, int64_t limit_ns,
                                    uint32_t rows_max);

#endif
