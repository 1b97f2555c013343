/* store/census.h - everything that a store holds, and who needs it.
 * Answers "which artefacts are there, which blobs do they share, and who uses them?".  Private
 * to this room. */
#ifndef TRP_CENSUS_H
#define TRP_CENSUS_H

#include "base/table.h"
#include "store/sweeper.h"

struct trp_census_blob {
    struct trp_blob blob;
    uint32_t artefacts_n; /* that name it */
    bool is_pinned;       /* a draft builds upon it */
    const char *damage;   /* NULL: none known */
};

struct trp_census_made {
    struct trp_stored stored;
    struct trp_census_blob **blobs; /* stored.blobs_n */
    bool is_gone;
};

struct trp_census {
    struct trp_arena arena;
    struct trp_table *blobs;       /* by name */
    struct trp_table *held;        /* by key */
    struct trp_census_made **made; /* the least recently used first */
    uint32_t made_n, capacity;
    uint64_t bytes; /* of all skeletons, and of blobs that somebody names */
};

/* Reads all manifests, leases and pins.
 *   Owns  : the caller deinits, also after a failure.
 *   Thread: any; exact only while the store is locked alone.
 *   Blocks: disk.
 *   Errors: OUT_OF_MEMORY, as trp_fail_errno(); a damaged manifest is none. */
trp_status trp_census_take(struct trp_census *c, const struct trp_store *s, struct trp_error *err);
void trp_census_deinit(struct trp_census *c);

/* Finds a blob by its name; NULL: nobody names it.
 *   Owns  : the census's.
 *   Thread: owner.
 *   Errors: none. */
struct trp_census_blob *trp_census_find(const struct trp_census *c, const char *name);

/* Takes an artefact out: its blobs have one less that names them.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
void trp_census_strike(struct trp_census *c, struct trp_census_made *made);

#endif
