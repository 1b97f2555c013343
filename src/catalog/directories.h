/* catalog/directories.h - how each loop gets the newest names of routes and compositions.
 * Answers "which picture of the names that are no models does this loop see?".
 *
 * One mail for each loop goes there and back.  It brings a reference to the newest picture, and
 * takes the old one home: what is in it is destroyed on the control thread, or with the last
 * call that uses it. */
#ifndef TRP_DIRECTORIES_H
#define TRP_DIRECTORIES_H

#include "base/alloc.h"
#include "base/loop.h"
#include "call/directory.h"

struct trp_directory_seat { /* of one loop */
    struct trp_mail mail;
    struct trp_loop *loop;
    struct trp_directory *held;    /* the loop's own */
    struct trp_directory *travels; /* with the mail */
    struct trp_directories *owner;
    bool is_away, is_behind; /* control's */
};

struct trp_directories {
    const struct trp_alloc *alloc;
    struct trp_directory_seat *seats;
    uint32_t n;
    struct trp_loop *control;
    struct trp_directory *newest; /* control's */
    bool is_closing;
};

/* Makes seats for `n` loops, which hold nothing yet.  close: mail that still travels goes no
 * further; deinit: after the loops and the control loop have ended.
 *   Owns  : the caller deinits; loops are borrowed.
 *   Thread: startup; close: startup, when the loops' threads have ended.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_directories_init(struct trp_directories *d, const struct trp_alloc *alloc,
                                struct trp_loop *const *loops, uint32_t n, struct trp_loop *control,
                                struct trp_error *err);
void trp_directories_close(struct trp_directories *d);
void trp_directories_deinit(struct trp_directories *d);

/* Sends a picture to all loops, and keeps it as the newest.
 *   Owns  : referenced.
 *   Thread: control.
 *   Errors: none. */
void trp_directories_publish(struct trp_directories *d, struct trp_directory *directory);

/* What the loop `index` holds; NULL: nothing yet.
 *   Owns  : borrowed until the loop's next turn.
 *   Thread: that loop.
 *   Errors: none. */
static inline const struct trp_directory *trp_directories_of(const struct trp_directories *d,
                                                             uint32_t index)
{
    return index < d->n ? d->seats[index].held : NULL;
}

#endif
