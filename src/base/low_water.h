/* base/low_water.h - how many of a pool's idle things nobody has needed.
 * Answers "how many may be freed?": the fewest that were idle since the last look were not
 * needed in all that time. */
#ifndef TRP_LOW_WATER_H
#define TRP_LOW_WATER_H

#include <stdint.h>

struct trp_low_water { /* zero is an empty pool */
    uint32_t idle_n;
    uint32_t unused_n; /* the fewest that were idle since trp_low_water_age() */
};

/* One more is idle; one is taken, or freed.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
static inline void trp_low_water_put(struct trp_low_water *w)
{
    w->idle_n++;
}
static inline void trp_low_water_take(struct trp_low_water *w)
{
    w->idle_n--;
    if (w->idle_n < w->unused_n)
        w->unused_n = w->idle_n;
}

/* A new time begins: how many were not needed in the last one, and are to be taken and freed.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
static inline uint32_t trp_low_water_age(struct trp_low_water *w)
{
    const uint32_t unused_n = w->unused_n;
    w->unused_n = w->idle_n - unused_n;
    return unused_n;
}

#endif
