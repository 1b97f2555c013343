/* base/map_guard.h - looking into a mapped file that others may cut short meanwhile.
 * Answers "what if somebody copies over the file that we are reading?".  The pages behind a file's
 * new end are gone, and touching one ends the process (SIGBUS).  Under a guard they read as
 * zeros instead, and leaving it tells that this has happened. */
#ifndef TRP_MAP_GUARD_H
#define TRP_MAP_GUARD_H

#include <signal.h>

#include "base/file.h"

struct trp_map_guard {
    const char *start;
    size_t len, page_bytes;
    volatile sig_atomic_t was_cut;
};

/* Guards a mapping until it is left; one at a time in each thread, and by the thread that looks.
 *   Owns  : `g` is the caller's storage and borrowed until it is left; so is the mapping.
 *   Thread: owner.
 *   Cost  : two system calls.
 *   Errors: leave: true when pages were missing: what was read is not what the file holds. */
void trp_map_guard_enter(struct trp_map_guard *g, const struct trp_map *map);
bool trp_map_guard_leave(struct trp_map_guard *g);

/* Puts the handler of SIGBUS in place, and lets the signal through in this thread; see map_loss.h.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
void trp_map_guard_arm(void);

#endif
