/* backend/nursery.h - threads that are as urgent as the program is.
 * Answers "whose child is a thread that a loader wants?".  A thread inherits how much its maker
 * yields to others, and so does a process that it starts; loaders yield more than whoever runs
 * models.  So another thread makes them, which yields to nobody. */
#ifndef TRP_NURSERY_H
#define TRP_NURSERY_H

#include "base/thread.h"

struct trp_nursery {
    struct trp_thread thread;
    struct trp_lock lock;
    struct trp_signal changed;
    struct trp_nursery_wish *wish; /* NULL: nobody wants any */
    bool is_ending;
};

/* Starts the thread; ends it.
 *   Owns  : the caller's storage.
 *   Thread: startup: one that yields to nobody.
 *   Errors: OUT_OF_MEMORY, IO; deinit is allowed all the same. */
trp_status trp_nursery_init(struct trp_nursery *n, struct trp_error *err);
void trp_nursery_deinit(struct trp_nursery *n);

/* As trp_thread_start(), from there.
 *   Owns  : the caller joins `t`; `user` is borrowed by the thread.
 *   Thread: any.
 *   Blocks: for a moment.
 *   Errors: as trp_thread_start(). */
trp_status trp_nursery_start(struct trp_nursery *n, struct trp_thread *t, const char *name,
                             void (*body)(void *user), void *user, struct trp_error *err);

#endif
