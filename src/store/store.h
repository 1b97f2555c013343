/* store/store.h - the folder where prepared models lie.
 * Answers "was this model prepared before, and is what was made still whole?".
 *
 *   STORE/format                  the layout's number
 *   STORE/blobs/ab/cdef...        weights, named by the SHA-256 of their bytes; read only, never changed
 *   STORE/made/KEY/skeleton.onnx  what is left of a model without its weights
 *   STORE/made/KEY/manifest       what it needs, what it was made of; a folder here is whole
 *   STORE/bad/KEY                 why this one cannot be prepared
 *   STORE/seen/PATH-HASH          content of a model's files by size, time and inode
 *   STORE/tmp/NAME                what is being written
 *   STORE/leases/PID.LIFE         a lock for each process that uses the store
 *
 * Several processes may use one store at once. */
#ifndef TRP_STORE_H
#define TRP_STORE_H

#include "base/arena.h"
#include "base/sha256.h"
#include "base/status.h"
#include "base/str.h"
#include "obs/log.h"

#define TRP_STORE_PATH_MAX 4096

struct trp_store;

struct trp_store_opts {
    const char *path;
    struct trp_log *log; /* may be NULL */
};

/* Opens a store, making its folders if need be, and leases it.
 *   Owns  : the caller closes, when nothing of it is mapped any more; opts are copied, the log borrowed.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno() (read-only, no room), FAILED_PRECONDITION (of another layout), OUT_OF_MEMORY. */
trp_status trp_store_open(const struct trp_alloc *alloc, const struct trp_store_opts *opts,
                          struct trp_store **out_store, struct trp_error *err);
void trp_store_close(struct trp_store *s); /* accepts NULL */

const char *trp_store_path(const struct trp_store *s);
struct trp_log *trp_store_log(const struct trp_store *s);

/* Writes a path in the store; a NULL name is the part itself.
 *   Owns  : `out` is the caller's.
 *   Thread: any.
 *   Errors: false when it does not fit. */
bool trp_store_part(const struct trp_store *s, const char *part, const char *name,
                    char out[TRP_STORE_PATH_MAX]);

/* Writes a path in tmp/ that nobody else uses.
 *   Owns  : `out` is the caller's, and what it makes there.
 *   Thread: any.
 *   Errors: false when it does not fit. */
bool trp_store_temporary(struct trp_store *s, char out[TRP_STORE_PATH_MAX]);

#endif
