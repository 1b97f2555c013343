/* base/clock.h - time and chance, handed in.
 * Answers "what time is it, and who says so?".  Loops read the time once a turn, executors around
 * each run; pure rooms get it as an argument.  Tests inject their own. */
#ifndef TRP_CLOCK_H
#define TRP_CLOCK_H

#include <stdint.h>

#define TRP_US(n) ((int64_t)(n)*1000)
#define TRP_MS(n) ((int64_t)(n)*1000000)
#define TRP_S(n) ((int64_t)(n)*1000000000)

struct trp_clock {
    int64_t (*now_ns)(void *user);  /* monotonic */
    int64_t (*wall_ns)(void *user); /* since the epoch, UTC */
    void *user;
};

/* The machine's clocks (CLOCK_MONOTONIC, CLOCK_REALTIME).
 *   Units : ns.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const struct trp_clock *trp_clock_system(void);

static inline int64_t trp_clock_now_ns(const struct trp_clock *c)
{
    return c->now_ns(c->user);
}
static inline int64_t trp_clock_wall_ns(const struct trp_clock *c)
{
    return c->wall_ns(c->user);
}

/* A small, fast, seedable generator (SplitMix64); not for secrets.
 *   Owns  : the state is the caller's.
 *   Thread: owner.
 *   Errors: none.
 *   Source: Steele, Lea, Flood, OOPSLA 2014. */
struct trp_random {
    uint64_t state;
};
uint64_t trp_random_next(struct trp_random *r);

#endif
