/* life/verifier.h - reads the whole store now and then, slowly.
 * Answers "has a disk, or somebody, changed what nobody writes?".  What is damaged is removed by
 * the store, and models that have it mapped are opened anew.  Private to this room. */
#ifndef TRP_VERIFIER_H
#define TRP_VERIFIER_H

#include "life/life.h"

struct trp_verifier;

/* Makes its thread, when there is a store and store.verify_interval is not 0; begins to look when
 * it is time; gives up.
 *   Owns  : life destroys it, when nothing is under way.
 *   Thread: startup; control.
 *   Errors: OUT_OF_MEMORY, IO; what goes wrong later is logged. */
trp_status trp_verifier_create(struct trp_life *l, struct trp_verifier **out_verifier,
                               struct trp_error *err);
void trp_verifier_destroy(struct trp_verifier *v); /* accepts NULL, as the others do */
void trp_verifier_start(struct trp_verifier *v);
void trp_verifier_stop(struct trp_verifier *v);
bool trp_verifier_is_busy(const struct trp_verifier *v);
void trp_verifier_on_idle(struct trp_verifier *v, void (*idle)(void *user), void *user);

#endif
