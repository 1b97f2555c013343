/* tune/chance.h - numbers that are drawn.
 * Answers "how long this time?".  From a generator that is handed in (base/clock.h), so that the
 * same seed gives the same numbers. */
#ifndef TRP_CHANCE_H
#define TRP_CHANCE_H

#include "base/clock.h"

/* Draws a number: even between 0 and 1, neither of them; exponential with a mean; log-normal with
 * mean 1 and a standard deviation.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none.
 *   Source: Box, Muller: A note on the generation of random normal deviates, 1958. */
double trp_chance_even(struct trp_random *random);
double trp_chance_exponential(struct trp_random *random, double mean);
double trp_chance_lognormal(struct trp_random *random, double deviation);

#endif
