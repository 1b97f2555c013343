/* life/preparer.h - makes what the next load maps.
 * Answers "who prepares a model that was loaded plainly, and when?".  Private to this room. */
#ifndef TRP_PREPARER_H
#define TRP_PREPARER_H

#include "base/clock.h"
#include "life/life.h"

/* Makes the thread that prepares models, when there is a store; life destroys it with its other
 * loaders.
 *   Owns  : nothing.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY, IO. */
trp_status trp_preparer_create(struct trp_life *l, struct trp_error *err);

/* Prepares the model of a version that was just loaded plainly, unless one of this file is under
 * way.
 *   Owns  : the version is borrowed for the call, the backend until the end.
 *   Thread: control.
 *   Errors: what cannot be prepared is logged and counted; without memory the next load asks
 *           again. */
void trp_preparer_begin(struct trp_life *l, const struct trp_version *v,
                        struct trp_backend *backend);

/* Describes the model of a version for a job that may outlive it, in the name of all weights.
 *   Owns  : everything in `arena`.
 *   Thread: control.
 *   Errors: false: no memory. */
bool trp_preparer_describe(struct trp_life *l, const struct trp_version *v, struct trp_arena *arena,
                           struct troupe_model_desc *out);

/* Whether what is done in the background is to give its memory back: a load has waited for memory
 * for a while.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
#define TRP_PREPARER_LOOKS_NS TRP_MS(250) /* how often that is to be asked, by whoever holds some */
bool trp_preparer_must_yield(const struct trp_life *l);

/* Gives up; says whether anything is under way.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_preparer_stop(struct trp_life *l);
bool trp_preparer_is_busy(const struct trp_life *l);

#endif
