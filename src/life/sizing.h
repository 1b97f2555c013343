/* life/sizing.h - how much a version will take, before it is loaded.
 * Answers "what must there be room for?".  What a model held the last time is known best; otherwise
 * it follows from what was prepared of it, or from its files.  Private to this room. */
#ifndef TRP_SIZING_H
#define TRP_SIZING_H

#include "backend/backend_host.h"
#include "base/arena.h"
#include "residence/guest.h"
#include "store/store.h"

struct trp_sizing {
    struct trp_store *store; /* NULL: none */
    struct trp_backend *backend;
    const struct troupe_model_desc *desc;
    uint64_t weights_bytes;              /* in its files, also external ones; 0: not known */
    bool is_packed;                      /* to be opened with copies of its weights: heat.h */
    uint64_t bytes_max;                  /* that it may hold; 0: no limit */
    uint64_t digest;                     /* of its files */
    const struct trp_measured *measured; /* TRP_MEASURED_MAX of them; NULL: none */
};

/* Estimates.
 *   Units : bytes, mappings, descriptors.
 *   Owns  : names live in `arena`.
 *   Thread: loader.
 *   Blocks: disk: the manifest of what was prepared.
 *   Errors: OUT_OF_MEMORY; whatever is wrong with the store or the files is the load's to find
 *           out. */
trp_status trp_sizing_estimate(const struct trp_sizing *s, struct trp_arena *arena,
                               struct trp_size *out, struct trp_error *err);

/* Remembers what a load has measured.
 *   Units : ns.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_sizing_learn(struct trp_measured all[TRP_MEASURED_MAX], uint64_t digest, bool is_mapped,
                      uint64_t bytes, int64_t load_ns);

/* Finds what was measured of a version's files; NULL: nothing.
 *   Owns  : as `all`.
 *   Thread: any.
 *   Errors: none. */
const struct trp_measured *trp_sizing_measured(const struct trp_measured all[TRP_MEASURED_MAX],
                                               uint64_t digest);

#endif
