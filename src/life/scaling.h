/* life/scaling.h - how many runs of a model an operator lets go on at once.
 * Answers "who said so, and how long does it hold?".  Control's, and private to this room. */
#ifndef TRP_SCALING_H
#define TRP_SCALING_H

#include "life/life.h"

struct trp_member;

/* What was said of versions of a model; zeros: nothing. */
struct trp_scaling {
    struct trp_scale {
        int64_t version;
        uint64_t digest; /* of its files */
        uint32_t instances;
    } * all;
    uint32_t n;
};

/* Does an order for instances, for all of its versions or none.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: NOT_FOUND: no such version; FAILED_PRECONDITION: a backend that makes one run at a
 *           time; OUT_OF_MEMORY: nothing is changed. */
trp_status trp_scaling_order(struct trp_member *m, struct trp_error *err);

/* Gives a version that is being made what was said of its files.
 *   Owns  : nothing.
 *   Thread: control; nobody else knows of it yet.
 *   Errors: none. */
void trp_scaling_apply(const struct trp_member *m, struct trp_version *v);

/* Forgets all that was said.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_scaling_forget(struct trp_member *m);

#endif
