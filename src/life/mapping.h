/* life/mapping.h - what the store does for a load.
 * Answers "was this model prepared, and if not, should it be?".  Private to this room. */
#ifndef TRP_MAPPING_H
#define TRP_MAPPING_H

#include "backend/backend_host.h"
#include "store/blob_use.h"
#include "store/store_lease.h"

/* How a model was opened.  Zero: plainly, and there is no store. */
struct trp_mapping {
    bool is_mapped;             /* from what was prepared */
    bool is_packed;             /* and has copies of its weights */
    bool should_prepare;        /* it was not there, or was damaged, and it would pay */
    struct trp_sha256 key;      /* of one that is mapped */
    struct trp_store_hold hold; /* keeps it in the store while it is open */
    uint64_t mapped_bytes;      /* of its blobs */
    struct trp_blob_use *use;   /* those blobs, charged once for all that have them; NULL: none */
    char note[240]; /* why it was opened plainly, for whoever wonders; empty: nothing to say */
};

struct trp_mapping_opts {
    struct trp_store *store;    /* NULL: none */
    struct trp_blob_uses *uses; /* where its blobs are counted; NULL: nowhere */
    struct trp_backend *backend;
    const struct troupe_model_desc *desc;
    bool is_worth_it; /* large enough that mapping it pays */
    bool is_packed;   /* copies of its weights pay */
    struct trp_log *log;
};

/* Opens a model from the store where it is there and whole, else the model itself, without reading
 * it to find out.  What turns out to be damaged is to be prepared anew.
 *   Owns  : the caller closes *out_model, then releases *out.
 *   Thread: loader.
 *   Blocks: disk, device.
 *   Errors: as trp_backend_open() of the model itself; nothing about the store is an error. */
trp_status trp_mapping_open(const struct trp_mapping_opts *o, struct trp_arena *arena,
                            struct trp_mapping *out, struct trp_backend_model **out_model,
                            struct trp_signature *out_signature, struct trp_error *err);
void trp_mapping_release(struct trp_store *store, struct trp_mapping *mapping);

#endif
