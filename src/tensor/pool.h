/* tensor/pool.h - body and tensor buffers, kept for reuse.
 * Answers "where does a body of 600 KB go without page faults?".  One pool per loop; size classes
 * from 4 KB to 16 MB, four per doubling; larger ones come from the account directly and go back at
 * once.  A buffer may be released on any thread: it travels home by a lock-free return list that
 * the pool empties when it is next asked.  See bench: malloc per body costs 3 to 4.5 times the CPU
 * of this. */
#ifndef TRP_POOL_H
#define TRP_POOL_H

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/status.h"
#include "tensor/commons.h"

struct trp_pool;

/* A leased buffer.  Counted, because several tensors may lie in one body. */
struct trp_lease {
    char *ptr;       /* aligned to 64 */
    size_t capacity; /* TRP_JSON_PADDING more bytes behind it are readable */
    struct trp_refs refs;
    struct trp_pool *pool;
    struct trp_lease *next;
    struct trp_plot *plot; /* of the commons; NULL: it lies in the pool's own memory */
};

struct trp_pool_opts {
    size_t keep_bytes_max;              /* idle buffers kept; more is given back. 0: 64 MiB */
    size_t bytes_max;                   /* leased and idle together; 0: no limit */
    struct trp_commons *commons;        /* once it is open, large buffers lie there; NULL: never */
    const struct troupe_account *payer; /* of what lies there; with commons */
};

/* Makes a pool.
 *   Owns  : the caller destroys, after every lease came home; `alloc` (the account) is borrowed,
 *           and so is what opts point to.
 *   Thread: startup; afterwards trp_pool_acquire() by the owner only, trp_lease_release() by any.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_pool_create(const struct trp_alloc *alloc, const struct trp_pool_opts *opts,
                           struct trp_pool **out_pool, struct trp_error *err);
void trp_pool_destroy(struct trp_pool *p);

/* Leases a buffer of at least `bytes`; one owner.
 *   Owns  : the caller releases.
 *   Thread: owner.
 *   Errors: NULL when the pool's or the account's limit would be passed. */
struct trp_lease *trp_pool_acquire(struct trp_pool *p, size_t bytes);
static inline void trp_lease_ref(struct trp_lease *l)
{
    trp_refs_up(&l->refs);
}
void trp_lease_release(struct trp_lease *l); /* accepts NULL */
void trp_lease_release_tensor(void *lease,
                              void *data); /* a troupe_tensor release function; user is the lease */

/* Gives idle buffers back: all of them; or (age) those that nobody needed since the last time, so
 * that what a burst left behind goes after two calls and what is in use stays.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
void trp_pool_trim(struct trp_pool *p);
void trp_pool_age(struct trp_pool *p);

/* Gauges.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
uint64_t trp_pool_idle_bytes(const struct trp_pool *p);
uint64_t trp_pool_leased_bytes(const struct trp_pool *p);

#endif
