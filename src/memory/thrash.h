/* memory/thrash.h - whether what is used fits into what there is.
 * Answers "are we loading the same models again and again, and how much more memory would end it?".
 *
 * Who was evicted for room leaves a ghost: a name, a size, and when.  When a ghost is asked for
 * again within the window, its eviction was a loss: the seconds of loading it again are waste, and
 * a budget larger by what was evicted since, and by the model itself, would have saved them.  Much
 * waste for the time that passes is thrashing.  It begins above one mark and ends below a lower
 * one, so that it does not flicker.
 *
 * Pure: time is an argument, and the ghosts live in the caller's array. */
#ifndef TRP_THRASH_H
#define TRP_THRASH_H

#include <stdbool.h>

#include "memory/rate.h"

struct trp_thrash_opts {
    int64_t window_ns;    /* who is asked for again later than that was rightly evicted */
    int64_t half_life_ns; /* of waste; > 0 */
    double begin_ratio;   /* wasted seconds per second above which it is thrashing */
    double end_ratio;     /* and below which it is none any more; > 0, <= begin_ratio */
    double returns_min;   /* so many returns lately, else it is chance */
};

struct trp_ghost { /* zero: a free place */
    uint64_t id;
    uint64_t bytes;
    uint64_t order;          /* of its last eviction among all */
    int64_t seen_ns;         /* its last eviction or return */
    struct trp_rate waste;   /* seconds of loading it again */
    uint64_t distance_bytes; /* by which the budget was too small at its last return */
    bool is_used, is_out;
};

struct trp_thrash {
    struct trp_thrash_opts opts;
    struct trp_ghost *ghosts;
    uint32_t ghosts_n;
    uint64_t evictions;     /* of all times */
    uint64_t returns;       /* of ghosts, of all times */
    uint64_t episodes;      /* how often thrashing began */
    struct trp_rate lately; /* returns */
    bool is_thrashing;
    int64_t since_ns; /* when it began or ended last */
};

/* Sets up in the caller's storage; no ghosts yet.  The more there is room for, the longer a circle
 * of models can be and still be seen.
 *   Owns  : `ghosts` is borrowed for good.
 *   Thread: owner.
 *   Errors: none. */
void trp_thrash_init(struct trp_thrash *t, const struct trp_thrash_opts *opts,
                     struct trp_ghost *ghosts, uint32_t ghosts_n);

/* Somebody was evicted for room (not because it was idle, or by order).
 *   Units : bytes that its going freed; ns on one clock.
 *   Owns  : nothing; `id` is the caller's name for it, the same after it returns.
 *   Thread: owner.
 *   Cost  : O(ghosts), no allocation.
 *   Errors: none; the ghost that was longest without news gives up its place. */
void trp_thrash_evicted(struct trp_thrash *t, uint64_t id, uint64_t bytes, int64_t now_ns);

/* Somebody is wanted in memory, and loading it will take about so long: to be told before room is
 * made for it, or those who go for it would seem to have been in its way.  True: it was evicted
 * within the window.
 *   Units : ns.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : O(ghosts), no allocation.
 *   Errors: none. */
bool trp_thrash_wanted(struct trp_thrash *t, uint64_t id, int64_t reload_ns, int64_t now_ns);

/* Somebody will not come again: it is gone from the repository, or was unloaded by order.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : O(ghosts).
 *   Errors: none. */
void trp_thrash_forget(struct trp_thrash *t, uint64_t id);

struct trp_thrash_seen {
    bool is_thrashing;
    bool has_changed;    /* since it was looked at last: worth a line in the log */
    double waste_ratio;  /* seconds spent on loading the evicted again, per second */
    uint64_t cure_bytes; /* what the budget lacks to bring the waste under its lower mark; 0 when
                            it is below */
};

/* Looks at all ghosts and decides whether this is thrashing.
 *   Units : ns.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : O(ghosts); O(ghosts^2) while there is more waste than the lower mark.
 *   Errors: none.
 *   Source: ghosts as in ARC: Megiddo, Modha, FAST 2003; what a larger memory would have saved by
 *           stack distance: Mattson, Gecsei, Slutz, Traiger, IBM Systems Journal 9(2), 1970. */
struct trp_thrash_seen trp_thrash_look(struct trp_thrash *t, int64_t now_ns);

#endif
