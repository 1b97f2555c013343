/* memory/recollection.h - what runs of models held that have gone.
 * Answers "have we run this before?".  A model that was evicted comes back as another object; what
 * its runs hold is learned anew only when its files are others.  The keys are whatever tells files
 * apart.
 * As many as there is room for are remembered, those that left longest ago are forgotten first. */
#ifndef TRP_RECOLLECTION_H
#define TRP_RECOLLECTION_H

#include "base/alloc.h"
#include "memory/peaks.h"

struct trp_recalled {
    uint64_t key;        /* 0: a free place */
    uint64_t order;      /* of its keeping among all */
    uint64_t small_size; /* see struct trp_headroom */
    struct trp_peaks peaks;
};

struct trp_recollection { /* zero but for these two: nothing is remembered */
    const struct trp_alloc *alloc;
    uint32_t most; /* remembered at once */
    uint64_t kept; /* so far */
    struct trp_recalled *items;
};

/* Forgets everything.
 *   Owns  : frees what it has; it can be used again.
 *   Thread: owner.
 *   Errors: none. */
void trp_recollection_clear(struct trp_recollection *r);

/* Remembers, in the place of what was known of the same key.
 *   Units : small_size in bytes.
 *   Owns  : `peaks` is copied.
 *   Thread: owner.
 *   Cost  : O(most); the first time an allocation.
 *   Errors: none: a key of 0 is not remembered, and nothing is without memory. */
void trp_recollection_keep(struct trp_recollection *r, uint64_t key, const struct trp_peaks *peaks,
                           uint64_t small_size);

/* Finds what is remembered; NULL: nothing.
 *   Owns  : borrowed until the next keep or clear.
 *   Thread: owner.
 *   Cost  : O(most).
 *   Errors: none. */
const struct trp_recalled *trp_recollection_find(const struct trp_recollection *r, uint64_t key);

#endif
