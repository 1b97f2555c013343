/* store/store_lease.h - who uses what of a store.
 * Answers "may this be removed?".  Each process that has a store open holds a lock on a file in
 * leases/, which the kernel drops with it.  In that file stand the artefacts that the process has
 * open, and in files of tmp/ the blobs that it builds upon.  Both are written while STORE/lock is
 * shared, and whoever removes has it alone: so what is written down afterwards is looked for in a
 * store from which nothing is being removed.
 *
 *      hold ──► trp_artefact_get() ──► open ... close ──► release */
#ifndef TRP_STORE_LEASE_H
#define TRP_STORE_LEASE_H

#include "base/thread.h"
#include "store/store.h"

#define TRP_STORE_LEASE_NAME_MAX 64

/* One use of an artefact; zero is none. */
struct trp_store_hold {
    uint32_t place; /* its line in the lease, from 1 */
    struct trp_sha256 key;
};

/* Says that an artefact is used from now on, whether or not there is one: it is not removed until
 * it is released by all, or until they ended.  It counts as used now.
 *   Owns  : the caller releases *out, when what was opened is closed.
 *   Thread: any.
 *   Blocks: disk; until a removal that goes on is over.
 *   Errors: FAILED_PRECONDITION (a store that is only looked at), UNAVAILABLE (a removal takes too
 *           long, or as trp_store_is_there()), OUT_OF_MEMORY, as trp_fail_errno(); *out is zero
 *           then. */
trp_status trp_store_lease_hold(struct trp_store *s, const struct trp_sha256 *key,
                                struct trp_store_hold *out, struct trp_error *err);
void trp_store_lease_release(struct trp_store *s,
                             struct trp_store_hold *hold); /* zeroes it; accepts zero */

/* --- for this room --- */

struct trp_store_lease {
    char
        name[TRP_STORE_LEASE_NAME_MAX]; /* of its file, and the beginning of what it has in tmp/; ""
                                     * when there is none */
    int fd;
    struct trp_lock lock;
    uint64_t *taken; /* lock: a bit a place */
    uint32_t words_n;
};

/* Take a lease, removing what a dead process of the same number left; give it back.
 *   Owns  : `l` is the caller's storage, zeroed before.
 *   Thread: startup.
 *   Blocks: disk.
 *   Errors: UNAVAILABLE (too many), as trp_fail_errno(). */
trp_status trp_store_lease_take(struct trp_store_lease *l, const struct trp_store *s,
                                struct trp_error *err);
void trp_store_lease_give_back(struct trp_store_lease *l, const struct trp_store *s);

/* Removes the leases of processes that are gone, and what they were writing.
 *   Owns  : nothing; *out_n (may be NULL) is how many things in tmp/ went.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(). */
trp_status trp_store_lease_bury(const struct trp_store *s, uint32_t *out_n, struct trp_error *err);

/* Visits every key that any process holds, as often as it is held.
 *   Owns  : borrowed.
 *   Thread: any, while the store is locked alone.
 *   Blocks: disk.
 *   Errors: as trp_fail_errno(), or what `each` returned. */
trp_status trp_store_lease_each(const struct trp_store *s,
                                trp_status (*each)(void *user, const struct trp_sha256 *key,
                                                   struct trp_error *err),
                                void *user, struct trp_error *err);

#endif
