/* catalog/unloaded.h - the models that a composition needs and that take no calls.
 * Answers "what must be loaded, so that it can answer?".
 *
 * Models that are loaded by their first request take calls; those of `load: explicit` do so when
 * they were loaded, and who loads an ensemble means that, as with Triton. */
#ifndef TRP_UNLOADED_H
#define TRP_UNLOADED_H

#include "base/arena.h"
#include "call/directory.h"
#include "model/registry.h"

/* Walks from a composition to all that it may ask, through other compositions and routes.
 *   Shape : *out_names: each model once, in the order in which it is met; none for a route, which
 *           goes on without some of its targets, and for what is no composition.
 *   Owns  : texts are copied into `arena`.
 *   Thread: control.
 *   Cost  : O(names and what they name).
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_unloaded_find(struct trp_arena *arena, const struct trp_directory *d,
                             const struct trp_snapshot *snapshot, struct trp_str name,
                             const struct trp_str **out_names, uint32_t *out_n,
                             struct trp_error *err);

#endif
