/* base/arena.h - many small pieces, freed in one stroke.
 * Answers "where do the pieces of one request live?".  Blocks are chained; reset keeps the first
 * one, so a request that fits it allocates nothing.  The build option TRP_ARENA_MALLOC makes every
 * piece a malloc of its own, so that the address sanitizer sees each overrun. */
#ifndef TRP_ARENA_H
#define TRP_ARENA_H

#include "base/alloc.h"
#include "base/str.h"

struct trp_arena_block;

/* Open so that it can be embedded; touch it by the functions only. */
struct trp_arena {
    const struct trp_alloc *alloc;
    struct trp_arena_block *first, *current;
    size_t used;         /* in `current` */
    size_t block_bytes;  /* size of a fresh block */
    size_t total, limit; /* bytes in all blocks, and their maximum */
};

/* Sets up an arena in the caller's storage; takes no memory yet.
 *   Units : block_bytes and limit in bytes; limit 0 means none.
 *   Owns  : the caller calls trp_arena_deinit(); `alloc` is borrowed and outlives it.
 *   Thread: owner.
 *   Errors: none. */
void trp_arena_init(struct trp_arena *a, const struct trp_alloc *alloc, size_t block_bytes,
                    size_t limit);
void trp_arena_deinit(struct trp_arena *a);

/* Drops every piece, keeps the first block.
 *   Owns  : everything handed out becomes invalid.
 *   Thread: owner.
 *   Errors: none. */
void trp_arena_reset(struct trp_arena *a);

/* Gets a piece aligned to 16 (get) or `align`; contents are undefined (zeroed: zero).
 *   Owns  : borrowed until reset or deinit.
 *   Thread: owner.
 *   Errors: NULL when there is no memory or the limit would be passed. */
void *trp_arena_get(struct trp_arena *a, size_t bytes);
void *trp_arena_zeroed(struct trp_arena *a, size_t count, size_t size);

/* Copies bytes into the arena; the copy is terminated as well.
 *   Owns  : borrowed until reset or deinit.
 *   Thread: owner.
 *   Errors: ptr == NULL when there is no memory. */
struct trp_str trp_arena_dup(struct trp_arena *a, struct trp_str s);

/* Copies n pieces into the arena, one behind the other; terminated.
 *   Owns  : borrowed until reset or deinit.
 *   Thread: owner.
 *   Errors: ptr == NULL when there is no memory. */
struct trp_str trp_arena_join(struct trp_arena *a, const struct trp_str *pieces, size_t n);

/* Formats into the arena; terminated.
 *   Owns  : borrowed until reset or deinit.
 *   Thread: owner.
 *   Errors: ptr == NULL when there is no memory. */
struct trp_str trp_arena_format(struct trp_arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
