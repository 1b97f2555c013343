/* store/blob_use.h - which blobs this process has mapped, and for how many models.
 * Answers "what do shared weights take, who shares them, and what becomes free when one model
 * goes?".  A blob is charged once, to one account, as long as any model that has it is awake; a
 * model's own bytes are charged elsewhere. */
#ifndef TRP_BLOB_USE_H
#define TRP_BLOB_USE_H

#include "memory/account.h"
#include "store/blob.h"

struct trp_blob_uses; /* all of the process */
struct trp_blob_use;  /* one open model's */

/* A blob that is used.  Constant but for the counts, which change under the lock. */
struct trp_used_blob {
    char name[TROUPE_BLOB_NAME_MAX];
    uint64_t bytes;
    uint32_t users_n,
        awake_n; /* open models that have it; of them, those that are not hibernated */
};

/* Makes the list, empty.
 *   Owns  : the caller destroys, when no use is left; `account` (may be NULL) is borrowed.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_blob_uses_create(const struct trp_alloc *alloc, struct trp_account *account,
                                struct trp_blob_uses **out_uses, struct trp_error *err);
void trp_blob_uses_destroy(struct trp_blob_uses *u); /* accepts NULL */

/* A model is about to be opened, awake, with these blobs; it was closed.
 *   Owns  : the caller ends *out_use; `blobs` is borrowed for the call, `folder`, which their names
 *           begin in, is copied.
 *   Thread: any.
 *   Errors: OUT_OF_MEMORY, OVER_BUDGET (the account's limit would be passed); nothing is charged
 *           then. */
trp_status trp_blob_use_begin(struct trp_blob_uses *u, const char *folder,
                              const struct trp_blob *blobs, uint32_t n,
                              struct trp_blob_use **out_use, struct trp_error *err);
void trp_blob_use_end(struct trp_blob_use *use); /* accepts NULL */

/* Its pages were dropped; they are wanted again.
 *   Owns  : nothing.
 *   Thread: any, one at a time for one use.
 *   Errors: wake: OVER_BUDGET; it sleeps on then. */
void trp_blob_use_sleep(struct trp_blob_use *use);
trp_status trp_blob_use_wake(struct trp_blob_use *use, struct trp_error *err);

/* Its blobs, each once, sorted by name; their bytes, and those of them that no other model needs
 * that is awake.
 *   Owns  : borrowed from the use.
 *   Thread: any; counts of others change meanwhile.
 *   Errors: none. */
const struct trp_used_blob *const *trp_blob_use_list(const struct trp_blob_use *use,
                                                     uint32_t *out_n);
uint64_t trp_blob_use_bytes(const struct trp_blob_use *use);
uint64_t trp_blob_use_frees(const struct trp_blob_use *use);

/* Whether a file that is mapped is one of them.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
bool trp_blob_use_has(const struct trp_blob_use *use, const char *path);

#endif
