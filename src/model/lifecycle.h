/* model/lifecycle.h - the life of one model version.
 * Answers "in what state is it, and what may come next?".  The table in lifecycle.c is the whole
 * law. */
#ifndef TRP_LIFECYCLE_H
#define TRP_LIFECYCLE_H

#include "base/status.h"

enum trp_model_state {
    TRP_MODEL_NEW,
    TRP_MODEL_LOADING,
    TRP_MODEL_WARMING,
    TRP_MODEL_READY,
    TRP_MODEL_DRAINING,
    TRP_MODEL_FAILED,
    TRP_MODEL_GONE,
    TRP_MODEL_STATES
};

/* Names a state: ours ("WARMING"), and Triton's ("LOADING" for LOADING and WARMING, "UNLOADING" for
 * DRAINING,
 * "UNAVAILABLE" for NEW, FAILED and GONE).
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none; a number outside the enum is "UNKNOWN". */
const char *trp_model_state_name(enum trp_model_state s);
const char *trp_model_state_wire_name(enum trp_model_state s);

struct trp_lifecycle {     /* zero is NEW */
    _Atomic int32_t state; /* changed by the control thread, read by any */
    int64_t since_ns[TRP_MODEL_STATES];
};

/* Moves on, when the table allows it.
 *   Units : now_ns monotonic.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: FAILED_PRECONDITION "READY cannot become LOADING"; unchanged. */
trp_status trp_lifecycle_move(struct trp_lifecycle *lc, enum trp_model_state to, int64_t now_ns,
                              struct trp_error *err);
enum trp_model_state trp_lifecycle_get(const struct trp_lifecycle *lc); /* any thread */

/* Whether a version that stands in a snapshot answers: READY, or DRAINING.  What drains is in no
 * new snapshot; a reader that still holds an old one has not seen the change yet, and whatever
 * takes over from it is not in its sight.  Refusing here would be a gap in every hot replacement.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
bool trp_lifecycle_is_serving(const struct trp_lifecycle *lc);

#endif
