/* store/store.h - the folder where prepared models lie.
 * Answers "was this model prepared before, and is what was made still whole?".
 *
 *   STORE/format                  the layout's number
 *   STORE/blobs/ab/cdef...        weights, named by the SHA-256 of their bytes; read only, never changed
 *   STORE/made/KEY/skeleton.onnx  what is left of a model without its weights
 *   STORE/made/KEY/manifest       what it needs, what it was made of; a folder here is whole
 *   STORE/bad/KEY                 why this one cannot be prepared
 *   STORE/seen/PATH-HASH          content of a model's files by size, time and inode
 *   STORE/signatures/PATH-HASH    what a model file takes and gives, see known_signature.h
 *   STORE/tmp/NAME                what is being written
 *   STORE/tmp/NAME.blobs          what a draft builds upon, see pins.h
 *   STORE/leases/PID.LIFE         a lock for each process that uses the store, and what it uses, see store_lease.h
 *   STORE/lock                    shared by who writes down what he uses, taken alone by who removes
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

/* Blobs and skeletons are all of one date, 2000-01-01 00:00 UTC: one that says another was written
 * to, or is not the file that was put there, and no look at its ends would tell. */
#define TRP_STORE_DATE_S INT64_C(946684800)

struct trp_store;

struct trp_store_opts {
    const char *path;
    struct trp_log *log; /* may be NULL */
    bool look_only;      /* make nothing, take no lease: nothing can be put, held or removed */
};

/* Opens a store, making its folders if need be, and leases it.
 *   Owns  : the caller closes, when nothing of it is mapped any more; opts are copied, the log
 *           borrowed.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno() (read-only, no room; NOT_FOUND with look_only), FAILED_PRECONDITION
 *           (of another layout), OUT_OF_MEMORY. */
trp_status trp_store_open(const struct trp_alloc *alloc, const struct trp_store_opts *opts,
                          struct trp_store **out_store, struct trp_error *err);
void trp_store_close(struct trp_store *s); /* accepts NULL */

const char *trp_store_path(const struct trp_store *s);
struct trp_log *trp_store_log(const struct trp_store *s);
struct trp_store_lease;
struct trp_store_lease *trp_store_own_lease(struct trp_store *s);

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

/* Writes a file of a part whole or not at all, replacing what is there.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: INVALID_ARGUMENT (path too long), as trp_fail_errno(). */
trp_status trp_store_replace(struct trp_store *s, const char *part, const char *name,
                             struct trp_str text, struct trp_error *err);

/* Whether it is there still: of a file system that was unmounted a folder remains that is no store,
 * and must not become half of one.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : one look at a file's entry.
 *   Errors: UNAVAILABLE. */
trp_status trp_store_is_there(const struct trp_store *s, struct trp_error *err);

/* Keeps others from removing (shared, for a moment) or from writing down what they use (alone).
 *   Owns  : the caller closes *out_fd, and so unlocks.
 *   Thread: any; one thread takes it once.
 *   Blocks: until it is free, for a limited time.
 *   Errors: UNAVAILABLE (waited in vain, or as trp_store_is_there()), as trp_fail_errno(). */
enum trp_store_lock_kind { TRP_STORE_SHARED, TRP_STORE_ALONE };
trp_status trp_store_lock(const struct trp_store *s, enum trp_store_lock_kind kind, int *out_fd,
                          struct trp_error *err);

#endif
