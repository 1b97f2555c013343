/* route/binomial.h - whether a difference may be chance.
 * Answers "how likely are so many hits, or more, by chance alone?".  Exact, because the cases that
 * matter are rare events in few calls, where the usual approximation by a normal distribution
 * raises false alarms. */
#ifndef TRP_BINOMIAL_H
#define TRP_BINOMIAL_H

#include <stdint.h>

/* The probability of `hits` or more in `n` trials of probability `p`.
 *   Units : p 0..1.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : O(n) at most; it stops where what follows does not count.
 *   Errors: none. */
double trp_binomial_tail(uint64_t n, double p, uint64_t hits);

/* The probability that of all hits of two, `a_hits` or more fall to the first, if both hit at the
 * same rate.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none; 1 without trials.
 *   Source: the conditional test; Przyborowski and Wilenski, Biometrika 31(3/4), 1940. */
double trp_binomial_compare(uint64_t a_n, uint64_t a_hits, uint64_t b_n, uint64_t b_hits);

#endif
