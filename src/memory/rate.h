/* memory/rate.h - how much of something lately.
 * Answers "how often is it asked for?".  A sum whose parts lose half their weight every half-life:
 * two numbers, O(1) to add to, no list of what happened when.  Pure: the time is an argument. */
#ifndef TRP_RATE_H
#define TRP_RATE_H

#include <stdint.h>

struct trp_rate { /* zero: nothing ever happened */
    double weight;
    int64_t at_ns; /* when it was added to last, and what `weight` was worth then */
};

/* Adds `amount` (1: a request) that happened at `now_ns`.
 *   Units : ns on one clock; half_life_ns > 0; a time before the last one counts as the last one.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : O(1).
 *   Errors: none.
 *   Source: exponentially decayed sums; Cormode, Shkapenyuk, Srivastava, Xu: Forward Decay, ICDE
 *           2009, section III. */
void trp_rate_add(struct trp_rate *r, double amount, int64_t now_ns, int64_t half_life_ns);

/* What is left of everything that was added; and the same as an amount per second: what a steady
 * stream of that many a second would have left.
 *   Units : as trp_rate_add(); amount; amount per second.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : O(1).
 *   Errors: none. */
double trp_rate_weight(const struct trp_rate *r, int64_t now_ns, int64_t half_life_ns);
double trp_rate_per_s(const struct trp_rate *r, int64_t now_ns, int64_t half_life_ns);

#endif
