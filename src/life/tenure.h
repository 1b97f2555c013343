/* life/tenure.h - a version object from its making to its burial.
 * Answers "who makes it, moves it on, and frees it?", and "how was its model opened, and is what it
 * has mapped still whole?". Control's, and private to this room. */
#ifndef TRP_TENURE_H
#define TRP_TENURE_H

#include "life/life_parts.h"

/* Whether it will be loaded, or only stands in the index: then it counts nothing of its own, and
 * is small. */
enum trp_tenure_kind { TRP_TENURE_LOADS, TRP_TENURE_SHOWS };

/* Makes a NEW version whose last owner's leaving brings it to its burial: closed on a loader
 * thread, then freed.
 *   Owns  : one reference, the caller's.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_tenure_begin(struct trp_member *m, const struct trp_repo_version *files,
                            uint64_t override_digest, enum trp_tenure_kind kind,
                            struct trp_version **out_version, struct trp_error *err);

/* Keeps what its open model holds of the store, until that is closed.
 *   Owns  : moves the hold out of `mapping`.
 *   Thread: control.
 *   Errors: none. */
void trp_tenure_keep(struct trp_version *v, struct trp_mapping *mapping);

/* The version's time in memory.
 *   Owns  : the tenure's.
 *   Thread: control.
 *   Errors: none. */
struct trp_stay *trp_tenure_stay(const struct trp_version *v);

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

/* Says which files its open model has mapped, so that its loss is noticed: the version is damaged
 * then, and loaded anew.
 *   Owns  : borrowed; the mapping's blobs stay as long as the model is open.
 *   Thread: loader, before the model runs.
 *   Errors: none. */
void trp_tenure_watch(struct trp_version *v, struct trp_backend_model *model,
                      const struct trp_mapping *mapping);

/* Under which key what it has open lies in the store; NULL: it was opened plainly.
 *   Owns  : borrowed from the version.
 *   Thread: control.
 *   Errors: none. */
const struct trp_sha256 *trp_tenure_key(const struct trp_version *v);

/* Which blobs its open model has mapped; use: the same, for whoever puts it to sleep and wakes it.
 *   Owns  : borrowed from the version.
 *   Thread: control; use: whoever holds a version that is READY.
 *   Errors: NULL: none, or it is not open yet. */
const struct trp_blob_use *trp_tenure_blobs(const struct trp_version *v);
struct trp_blob_use *trp_tenure_use(const struct trp_version *v);

/* How hot a version is; NULL: it is not open.
 *   Owns  : borrowed from the version.
 *   Thread: control.
 *   Errors: none. */
struct trp_heat *trp_tenure_heat(const struct trp_version *v);

/* What is known of whether its calls may run together; it is open.
 *   Owns  : the tenure's.
 *   Thread: control.
 *   Errors: none. */
struct trp_joining *trp_tenure_joining(const struct trp_version *v);

/* Says something of how it was opened that was not known then; once.
 *   Owns  : `words` is copied.
 *   Thread: control.
 *   Errors: none. */
void trp_tenure_explain(struct trp_version *v, const char *words);

#endif
