/* base/shifted_clock.h - a clock whose wall can be moved.
 * Answers "what would the server do at three at night?".  Its monotonic time is that of the clock
 * below and is never touched: deadlines and timers do not see a shift. */
#ifndef TRP_SHIFTED_CLOCK_H
#define TRP_SHIFTED_CLOCK_H

#include "base/atomic.h"
#include "base/clock.h"

struct trp_shifted_clock {
    struct trp_clock clock; /* to be handed on */
    const struct trp_clock *below;
    struct trp_gauge offset_ns;
};

/* Sets up; moves the wall to `offset_ns` ahead of the clock below (or behind it), or tells how far
 * it is.
 *   Units : ns.
 *   Owns  : the caller's storage, which stays where it is; `below` is borrowed.
 *   Thread: init: startup; shift, offset: any.
 *   Errors: none; a sum beyond an int64 stays at its end. */
void trp_shifted_clock_init(struct trp_shifted_clock *c, const struct trp_clock *below,
                            int64_t offset_ns);
void trp_shifted_clock_shift(struct trp_shifted_clock *c, int64_t offset_ns);
int64_t trp_shifted_clock_offset(const struct trp_shifted_clock *c);

#endif
