/* store/blob.h - pieces of weights, each once.
 * Answers "is this content here, and is it what its name says?".  A blob's name is made of its
 * bytes, so equal weights of whatever models, versions and processes are one file, and one set
 * of pages in memory. */
#ifndef TRP_BLOB_H
#define TRP_BLOB_H

#include "store/store.h"
#include "troupe/backend.h"

/* What is written down of a blob when it is put, to notice cheaply whether it is still the same. */
struct trp_blob {
    char name[TROUPE_BLOB_NAME_MAX]; /* "ab/cdef..." below blobs/ */
    uint64_t bytes;
    uint64_t edges; /* hash of its first and last page */
};

/* Names content, and says how it is recognised.
 *   Owns  : borrowed; `out` is the caller's.
 *   Thread: any.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_blob_describe(const void *data, uint64_t bytes, struct trp_blob *out,
                             struct trp_error *err);

/* Stores what was described, unless it is there.  Whoever needs it later writes that down before:
 * pins.h.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(). */
trp_status trp_blob_put(struct trp_store *s, const void *data, const struct trp_blob *blob,
                        struct trp_error *err);

/* Looks whether a blob is there with its size, its date and its first and last page, or (verify)
 * with every byte, as fast as `pace` says (NULL: as it can).
 *   Owns  : borrowed.
 *   Thread: any.
 *   Blocks: disk; verify: as long as reading it takes.
 *   Errors: NOT_FOUND, DATA_LOSS with the blob's name and what is wrong, CANCELLED (by `pace`),
 *           else as trp_fail_errno(). */
trp_status trp_blob_check(const struct trp_store *s, const struct trp_blob *blob,
                          struct trp_error *err);
trp_status trp_blob_verify(const struct trp_store *s, const struct trp_blob *blob,
                           const struct trp_sha256_pace *pace, struct trp_error *err);

#endif
