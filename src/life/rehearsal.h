/* life/rehearsal.h - how long a run may take that no client has asked for.
 * Answers "what if it never ends?".  A loader thread makes the run; the control loop has the
 * time and ends it.  Private to this room. */
#ifndef TRP_REHEARSAL_H
#define TRP_REHEARSAL_H

#include "backend/backend_host.h"
#include "base/loop.h"
#include "base/thread.h"

#define TRP_REHEARSAL_NS TRP_S(10) /* at most */

struct trp_rehearsal {
    struct trp_flag cancel; /* the run's; up: it was ended */
    struct trp_loop *control;
    struct trp_timer timer;
    struct trp_mail begun;
    struct trp_lock lock; /* what follows */
    struct trp_signal changed;
    struct trp_backend_model *model; /* that runs; NULL: none does */
    bool is_used;                    /* by somebody who ends its run: it stays open */
};

/* Sets up; frees.
 *   Owns  : the caller's storage, until the loader's job has come back to the control loop;
 *           `control` is borrowed.
 *   Thread: control.
 *   Errors: none. */
void trp_rehearsal_init(struct trp_rehearsal *r, struct trp_loop *control);
void trp_rehearsal_deinit(struct trp_rehearsal *r);

/* Before and after the run, whose number is UINT64_MAX and whose flag is `cancel`; once.
 *   Owns  : `model` is borrowed, until trp_rehearsal_end().
 *   Thread: loader.
 *   Blocks: end: while the run is being ended, for a moment.
 *   Errors: none. */
void trp_rehearsal_begin(struct trp_rehearsal *r, struct trp_backend_model *model);
void trp_rehearsal_end(struct trp_rehearsal *r);

/* Ends the run, also one that has not begun: its time is over, or nobody needs the load any more.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_rehearsal_stop(struct trp_rehearsal *r);

#endif
