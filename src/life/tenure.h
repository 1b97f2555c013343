/* life/tenure.h - a version object from its making to its burial.
 * Answers "who makes it, moves it on, and frees it?".  Control's, and private to this room. */
#ifndef TRP_TENURE_H
#define TRP_TENURE_H

#include "life/life_parts.h"

/* Makes a NEW version whose last owner's leaving brings it to its burial: closed on a loader thread, then freed.
 *   Owns  : one reference, the caller's.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_tenure_begin(struct trp_member *m, const struct trp_repo_version *files,
                            uint64_t override_digest, struct trp_version **out_version,
                            struct trp_error *err);

/* Keeps what its open model holds of the store, until that is closed.
 *   Owns  : moves the hold out of `mapping`.
 *   Thread: control.
 *   Errors: none. */
void trp_tenure_keep(struct trp_version *v, struct trp_mapping *mapping);

/* Moves a version on; the table of lifecycle.c must allow it.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none (a refusal is a bug). */
void trp_tenure_move(struct trp_life *l, struct trp_version *v, enum trp_model_state to);

/* READY versions leave: no more picks; closed when the last call has gone.  Empties the set.
 *   Owns  : the set's references go.
 *   Thread: control.
 *   Errors: none. */
void trp_tenure_retire(struct trp_life *l, struct trp_set *set);

#endif
