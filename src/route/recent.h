/* route/recent.h - two counts of the last while.
 * Answers "how many lately, and how many of them so?".  A ring of slots, each an eighth of the
 * window; what is older is forgotten slot by slot.  Both counts and the age of a slot are one
 * word, so loops add without a lock and never see half of a change. */
#ifndef TRP_RECENT_H
#define TRP_RECENT_H

#include "base/word.h"

#define TRP_RECENT_SLOTS 8

struct trp_recent { /* zero: nothing happened */
    struct trp_word slots[TRP_RECENT_SLOTS];
};

struct trp_recent_sums {
    uint32_t all, some;
};

/* Adds to both counts.
 *   Units : ns, monotonic; window_ns > 0, the same each time; a slot keeps up to about a million,
 *           and halves both beyond that.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : one compare-and-swap, no allocation.
 *   Errors: none. */
void trp_recent_add(struct trp_recent *r, int64_t window_ns, uint32_t all, uint32_t some,
                    int64_t now_ns);

/* What was counted within the window.
 *   Units : as above.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none; a glance while others add. */
struct trp_recent_sums trp_recent_get(const struct trp_recent *r, int64_t window_ns,
                                      int64_t now_ns);

/* Takes over the counts of another one with the same window.
 *   Owns  : copied; nobody uses `r` yet.
 *   Thread: owner.
 *   Errors: none. */
void trp_recent_carry(struct trp_recent *r, const struct trp_recent *from);

/* Forgets everything.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none; what others add meanwhile may stay. */
void trp_recent_clear(struct trp_recent *r);

#endif
