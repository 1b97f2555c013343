/* admin/other_models.h - the models that have no series of their own.
 * Answers "whose numbers does /metrics print one by one, and what becomes of the rest?".  A
 * monitoring system pays for each series, and ten thousand models that nobody asks would be a
 * million of them.  So those that were used lately have their own, and the others are told as one
 * sum.
 *
 * The sum never goes down, or a rate taken from it would jump: what a model has counted while it
 * had its own series is not in it, and what it counts while it has none is added once, whatever
 * becomes of the model.  For each version `told` says how much of its counters has been told,
 * one way or the other. */
#ifndef TRP_OTHER_MODELS_H
#define TRP_OTHER_MODELS_H

#include "admin/asked_most.h"
#include "model/version.h"

#define TRP_OTHER_MODELS_NAME "(others)" /* as a model's name in labels */

struct trp_other_models {
    struct trp_stats stats;                  /* counters: for ever; gauges: as of the last page */
    struct trp_counter weights, activations; /* bytes, as of the last page */
    struct trp_flag were_there;              /* the sum is printed from its first model on */
};

/* One version that a page could tell of. */
struct trp_told_version {
    struct trp_asked use; /* first; those that were used in the last hour are candidates */
    struct trp_version *version;
};

/* Notes what is known of a version now.
 *   Units : now_ns monotonic.
 *   Owns  : `v` is borrowed.
 *   Thread: any that keeps the version.
 *   Errors: none. */
void trp_other_models_note(struct trp_told_version *t, struct trp_version *v, int64_t now_ns);

/* Takes what one version has counted since it was last told: into the sum (`is_own` false), or as
 * told by itself.
 *   Owns  : nothing.
 *   Thread: any; pages may be written at the same time.
 *   Errors: none. */
void trp_other_models_tell(struct trp_other_models *o, struct trp_version *v, bool is_own);

/* Sets the gauges of the sum from the versions that are in it.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
void trp_other_models_gauge(struct trp_other_models *o, const struct trp_told_version *others,
                            uint32_t n);

#endif
