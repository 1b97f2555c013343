/* tune/chance.c - see chance.h. */
#include "tune/chance.h"

#include <math.h>

double trp_chance_even(struct trp_random *random)
{
    return ((double)(trp_random_next(random) >> 11) + 0.5) * 0x1p-53;
}

double trp_chance_exponential(struct trp_random *random, double mean)
{
    return -log(trp_chance_even(random)) * mean;
}

double trp_chance_lognormal(struct trp_random *random, double deviation)
{
    const double variance = log(1 + deviation * deviation);
    const double size = sqrt(-2 * log(trp_chance_even(random)));
    const double normal = size * cos(2 * M_PI * trp_chance_even(random));
    return exp(normal * sqrt(variance) - variance / 2);
}
