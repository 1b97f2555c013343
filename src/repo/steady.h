/* repo/steady.h - a change counts when it has stayed.
 * Answers "is this still what was found before, and for how long?": somebody may be writing or
 * copying what was found.  Pure. */
#ifndef TRP_STEADY_H
#define TRP_STEADY_H

#include <stdbool.h>
#include <stdint.h>

#define TRP_STEADY_ABSENT 2u /* as a digest of what is not there: those of what is there are odd */

struct trp_steady {  /* zero: nothing waits */
    uint64_t digest; /* of what was found last, and waits; 0: nothing does */
    int64_t since_ns;
};

/* Whether what was found has been the same for settle_ns; else it waits from now on, or goes on
 * waiting.  It waits until it is forgotten, also when it has stayed.
 *   Units : digest != 0; ns on the monotonic clock; settle_ns <= 0: nothing waits.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
bool trp_steady_has_stayed(struct trp_steady *s, uint64_t digest, int64_t settle_ns,
                           int64_t now_ns);

/* Nothing waits any more: it was taken up, or is again what it was.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
void trp_steady_forget(struct trp_steady *s);

#endif
