/* store/maker.h - prepares a model.
 * Answers "how does a model get into the store?". */
#ifndef TRP_MAKER_H
#define TRP_MAKER_H

#include "backend/backend_host.h"
#include "store/artefact.h"
#include "store/store_key.h"

struct trp_making {
    struct trp_store *store;
    struct trp_backend *backend;
    const struct troupe_model_desc
        *desc; /* of a plain open: name, path, options, device, threads, account, cancel */
    uint64_t memory_bytes_max; /* of a run of the proof; 0: no limit */
};

/* Makes the key of a model as a backend opens it; known: as far as that needs no reading of the
 * model.
 *   Owns  : borrowed; `out` is the caller's.
 *   Thread: any.
 *   Blocks: disk; see trp_store_key(), trp_store_key_known().
 *   Errors: as those. */
trp_status trp_making_key(const struct trp_making *m, struct trp_sha256 *out,
                          struct trp_error *err);
trp_status trp_making_known(const struct trp_making *m, struct trp_sha256 *out,
                            struct trp_error *err);

/* Prepares a model: the backend makes a skeleton and blobs, or, where that does not open or answers
 * otherwise, a skeleton that has the weights inside; it is opened and compared with the model
 * itself on generated inputs, and what passes is published, unless the files are others by then.
 * What does not is remembered with its reason, and not tried again for this key.
 *   Owns  : borrowed.
 *   Thread: loader, in the background.
 *   Blocks: disk, device; some times as long as a load.
 *   Errors: FAILED_PRECONDITION (cannot be prepared: why), CANCELLED, UNAVAILABLE (the files
 *           changed meanwhile), OUT_OF_MEMORY, as trp_fail_errno() (disk full); only the first
 *           is remembered. */
trp_status trp_making_run(const struct trp_making *m, const struct trp_sha256 *key,
                          struct trp_error *err);

#endif
