/* admin/told_names.h - the routes and compositions that have series as models do.
 * Answers "of which names that stand for models does a page of metrics tell, besides the models
 * themselves?".  Clients ask for them, so it is their answers and times that somebody has promised.
 * There are as many as there may be models with series of their own; those beyond, asked least, are
 * left out: a sum of what was counted with models already would say nothing. */
#ifndef TRP_TOLD_NAMES_H
#define TRP_TOLD_NAMES_H

#include "admin/asked_most.h"
#include "call/directory.h"
#include "model/stats.h"

struct trp_told_name {
    struct trp_asked use;           /* first */
    struct trp_directory_item item; /* its target is held; of its texts only `kind` may be used */
    const struct trp_stats *stats;  /* the target's */
};

struct trp_told_names { /* zero: none */
    const struct trp_alloc *alloc;
    struct trp_told_name *all; /* in the order of the directory */
    uint32_t n, left_out;
};

/* Chooses the `own_max` of a directory (NULL: none) that were asked most, and holds their targets.
 *   Owns  : counted until they are dropped; drop accepts zero.
 *   Thread: any that holds the directory; the names may outlive it.
 *   Cost  : O(n log n).
 *   Errors: OUT_OF_MEMORY: nothing is held. */
trp_status trp_told_names_hold(struct trp_told_names *t, const struct trp_alloc *alloc,
                               const struct trp_directory *d, uint32_t own_max,
                               struct trp_error *err);
void trp_told_names_drop(struct trp_told_names *t);

#endif
