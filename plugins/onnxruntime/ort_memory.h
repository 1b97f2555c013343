/* onnxruntime/ort_memory.h - who pays for what ONNX Runtime allocates.
 * Answers "in whose name is this memory?".  Weights, activations and outputs of all sessions come
 * from one allocator that is registered with the environment; it charges whoever the calling thread
 * works for, keeps what a run gives back for the next run of the same ticket, and refuses what an
 * account or a run's limit does not allow. */
#ifndef TRP_ORT_MEMORY_H
#define TRP_ORT_MEMORY_H

#include <stdbool.h>

#include "ort.h"
#include "troupe/backend.h"

#define ORT_BINS 11u /* blocks of 64, 128, ... 65536 bytes */

struct ort_block; /* see ort_memory.c */
struct ort_home;  /* where large outputs of a model come back to, for its next runs */

/* Blocks that wait for their next use; charged all the while.  Zero is empty. */
struct ort_cache {
    struct ort_block *small[ORT_BINS], *large;
    uint64_t bytes, run; /* waiting; how many runs there were */
};

/* Who pays while it is entered.  Zero, but for the account, is a sane start. */
struct ort_payer {
    const struct troupe_account *account; /* NULL: nobody counts */
    struct ort_cache *cache;              /* NULL: nothing is kept */
    struct ort_home *home;                /* NULL: what leaves the run is gone */
    uint64_t bytes_max;                   /* at once; 0: no limit */
    uint64_t bytes, peak_bytes;           /* held now, and at most so far */
    uint64_t run_peak_bytes;              /* at most since it was entered */
    uint64_t refused_bytes;               /* what was asked for last and not given; 0: nothing */
    uint64_t held_bytes;                  /* `bytes` at that moment */
    bool is_over_limit;                   /* refused by bytes_max, not by the account */
    /* Takes what others keep in this name and do not use now; NULL: there are no others. */
    struct ort_block *(*spare)(void *user);
    void *spare_user;
};

/* The allocator, as ONNX Runtime sees it.  Registered between start and stop. */
struct ort_memory {
    struct OrtAllocator face; /* first */
    const struct OrtMemoryInfo *info;
    const struct troupe_account *stray; /* pays for threads that work for nobody we know */
};

/* Sets the allocator up; registering it is the caller's.
 *   Owns  : info and stray (may be NULL) are borrowed and outlive all sessions.
 *   Thread: startup.
 *   Errors: none. */
void ort_memory_init(struct ort_memory *memory, const struct OrtMemoryInfo *info,
                     const struct troupe_account *stray);

/* From here to ort_memory_leave() this thread's allocations are the payer's.  Not nested.
 *   Units : bytes as the heap gives them, head included.
 *   Owns  : borrowed until left; its cache and account outlive what was allocated.
 *   Thread: any; a payer serves one thread at a time.
 *   Errors: a refusal is thrown through ONNX Runtime, which turns it into a failed status; the
 *           payer says how much was asked for. */
void ort_memory_enter(struct ort_payer *payer);
void ort_memory_leave(void);

/* Takes all blocks out of a cache, as a chain; joins chains; gives a chain back to the accounts.
 *   Owns  : moves.
 *   Thread: any; detach under the lock that guards the cache, free outside of it.
 *   Errors: none; NULL is an empty chain. */
struct ort_block *ort_cache_detach(struct ort_cache *cache);
struct ort_block *ort_cache_join(struct ort_block *first, struct ort_block *second);
void ort_cache_free(struct ort_block *chain);

/* Makes a home; closes it, which gives back what waits there.  What comes back later goes to its
 * account.
 *   Owns  : the caller closes, before the accounts of its runs may end.
 *   Thread: any; nobody is inside a run that was entered with it when it is closed.
 *   Errors: NULL: no memory, and nothing is kept; close and detach accept that. */
struct ort_home *ort_home_open(void);
void ort_home_close(struct ort_home *home);

/* Takes out of a home all that waits there, or (stale) what waited since the last time.
 *   Owns  : moves; see ort_cache_free().
 *   Thread: any.
 *   Errors: none. */
struct ort_block *ort_home_detach(struct ort_home *home, bool is_stale_only);

/* Leaves ONNX Runtime by the one way it has for "no memory": std::bad_alloc.
 *   Owns  : nothing.
 *   Thread: any, inside a call of ONNX Runtime.
 *   Errors: does not return. */
_Noreturn void ort_memory_throw(void);

#endif
