/* store/pins.h - what a draft builds upon.
 * Answers "which blobs will somebody need in a moment?".  Beside a draft in tmp/ lies a list of the
 * blobs that it will name; each is written down before it is looked for or stored, so that no
 * removal comes between. */
#ifndef TRP_PINS_H
#define TRP_PINS_H

#include "store/blob.h"

struct trp_pins {
    const struct trp_store *store;
    char path[TRP_STORE_PATH_MAX]; /* "" when there is none */
    int fd;
    uint64_t bytes;
};

/* Begins the list of a draft, whose path it gets; ends it.
 *   Owns  : `p` is the caller's storage; close accepts a zeroed one.
 *   Thread: owner.
 *   Blocks: disk.
 *   Errors: INVALID_ARGUMENT (path too long), as trp_fail_errno(). */
trp_status trp_pins_open(struct trp_pins *p, const struct trp_store *s, const char *draft,
                         struct trp_error *err);
void trp_pins_close(struct trp_pins *p);

/* Writes one down.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Blocks: disk; until a removal that goes on is over.
 *   Errors: UNAVAILABLE (a removal takes too long), as trp_fail_errno(). */
trp_status trp_pins_add(struct trp_pins *p, const char *blob, struct trp_error *err);

/* Visits the blobs of all drafts of all processes.
 *   Owns  : borrowed.
 *   Thread: any, while the store is locked alone.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(), or what `each` returned. */
trp_status trp_pins_each(const struct trp_store *s,
                         trp_status (*each)(void *user, const char *blob, struct trp_error *err),
                         void *user, struct trp_error *err);

#endif
