/* store/store_key.h - what makes two prepared models the same.
 * Answers "under which name would this one lie?".  A key is made of the bytes of the model's files,
 * the backend and its version, its options, and the kind of processor: change any of them, and
 * it is another artefact. */
#ifndef TRP_STORE_KEY_H
#define TRP_STORE_KEY_H

#include "store/store.h"
#include "troupe/backend.h"

struct trp_store_subject {
    const char *path; /* the model file; its external data is found by looking into it */
    const char *backend, *fingerprint; /* trp_backend_fingerprint() */
    const struct troupe_option *options;
    uint32_t options_n;
    const volatile int32_t *cancel; /* gives the reading up; may be NULL */
};

/* Makes the key.  Files whose size, time and inode are as when they were last read are not read
 * again.
 *   Owns  : borrowed; `out` is the caller's.
 *   Thread: any.
 *   Blocks: disk; the first time as long as reading all files takes.
 *   Errors: NOT_FOUND, DATA_LOSS and others of the files; UNAVAILABLE (they change meanwhile),
 *           CANCELLED, OUT_OF_MEMORY. */
trp_status trp_store_key(struct trp_store *s, const struct trp_store_subject *subject,
                         struct trp_sha256 *out, struct trp_error *err);

/* Makes the part of a key that the model's files alone decide: the digest of what is in them.
 *   Owns  : borrowed; `out` is the caller's.
 *   Thread: any.
 *   Blocks: disk; as trp_store_key().
 *   Errors: as trp_store_key(), INVALID_ARGUMENT (no model). */
trp_status trp_store_content(struct trp_store *s, const char *path, const volatile int32_t *cancel,
                             struct trp_sha256 *out, struct trp_error *err);

/* Visits the contents of all models that were read before, wherever they lie, and whose files are
 * as they were.
 *   Owns  : borrowed for the call.
 *   Thread: any.
 *   Blocks: disk; a look at each file, and reads no model.
 *   Errors: OUT_OF_MEMORY, as trp_fail_errno(), or what `each` returned. */
trp_status trp_store_content_each(const struct trp_store *s,
                                  trp_status (*each)(void *user, const struct trp_sha256 *content,
                                                     struct trp_error *err),
                                  void *user, struct trp_error *err);

/* Makes the key from what was read before, and reads no model: nobody who waits for it waits for a
 * gigabyte to be hashed.
 *   Owns  : borrowed; `out` is the caller's.
 *   Thread: any.
 *   Blocks: disk, a few looks.
 *   Errors: NOT_FOUND (never read, or changed since), OUT_OF_MEMORY. */
trp_status trp_store_key_known(const struct trp_store *s, const struct trp_store_subject *subject,
                               struct trp_sha256 *out, struct trp_error *err);

#endif
