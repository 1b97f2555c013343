/* route/sticky.h - a weighted split that remembers nobody.
 * Answers "which of the choices does this key, or the next request, belong to?".
 *
 * Keys are hashed to places on a ring of 2^32.  The first choice owns the ring; each other one
 * takes its share of it, from an anchor of its own (1/2, 1/4, 3/4, 1/8, ...) onwards, around what
 * choices before it have taken:
 *
 *      0               1/4        .35            1/2             .65                   1
 *      |     first      |    c     |    first     |       b       |       first        |    { first: 75, b: 15, c: 10 }
 *
 *  1. The split depends on the weights and their order alone: after a restart, and on another
 *     server, a key is where it was.
 *  2. What a choice gains it gains from the first, and what it loses the first gets; keys of others
 *     stay where they are, as long as no two shares touch.  A canary that grows from 5 to 10 %
 *     takes 5 % of all keys, all of them from the first choice.
 *  3. A choice that is added at the end moves no keys but those that it takes.
 * Weighted rendezvous hashing would need a hash and a logarithm for each choice, and moves keys
 * between the others too (5.2 % and more of all keys, where 5 % must move, with three choices).  No
 * split of three or more that remembers nothing can do with the least for every change of
 * weights: here a change between two choices that are not the first moves up to twice that. */
#ifndef TRP_STICKY_H
#define TRP_STICKY_H

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

#define TRP_STICKY_CHOICES_MAX 64u

struct trp_sticky_span {
    uint32_t last; /* its last place */
    uint32_t choice;
};

struct trp_sticky {
    const struct trp_sticky_span *spans; /* in their order; the last one ends at UINT32_MAX */
    uint32_t spans_n;
};

/* Makes the split.
 *   Shape : n weights, 1..TRP_STICKY_CHOICES_MAX, of any sum above 0; a choice of weight 0 gets
 *           nothing.
 *   Owns  : lives in `arena`.
 *   Thread: owner of the arena.
 *   Cost  : O(n^2).
 *   Errors: INVALID_ARGUMENT: no or too many choices, or all weights are 0; OUT_OF_MEMORY. */
trp_status trp_sticky_make(struct trp_arena *arena, const uint32_t *weights, uint32_t n,
                           struct trp_sticky *out, struct trp_error *err);

/* The choice at a place.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : O(log n), no allocation.
 *   Errors: none. */
uint32_t trp_sticky_pick(const struct trp_sticky *s, uint32_t place);

/* Where a key lies.  A text and a number are different keys; a whole floating-point number is the
 * integer's.
 *   Units : `seed`: one for splits that shall divide their keys alike, such as that of the route's
 *           name.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
uint32_t trp_sticky_place_of_text(uint64_t seed, struct trp_str key);
uint32_t trp_sticky_place_of_int(uint64_t seed, int64_t key);
uint32_t trp_sticky_place_of_double(uint64_t seed, double key);
uint64_t trp_sticky_seed(struct trp_str name);

/* Where the nth request without a key goes.  Any n in a row are spread evenly, so that shares are
 * right after few requests already.
 *   Units : `seed` moves the start, so that loops do not go in step.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none.
 *   Source: the additive recurrence of the golden ratio; Knuth, TAOCP 3, section 6.4, theorem S. */
uint32_t trp_sticky_place_of_turn(uint64_t seed, uint64_t n);

#endif
