/* wire/h2_memory.h - small blocks for HTTP/2 sessions, kept for reuse.
 * Answers "where does nghttp2 get its streams, headers and frames?".  It takes about ten small
 * blocks a request and gives them back soon; lists of free blocks by size, one set a loop, cost a
 * fraction of malloc(), which joins and splits them again and again. */
#ifndef TRP_H2_MEMORY_H
#define TRP_H2_MEMORY_H

#include "base/alloc.h"

#define TRP_H2_MEMORY_CLASSES 7u /* 32, 64, ... 2048 bytes */

/* Open so that it can be embedded; touch it by the functions only. */
struct trp_h2_memory {
    const struct trp_alloc *alloc;
    struct trp_h2_block *free[TRP_H2_MEMORY_CLASSES];
    size_t kept_bytes;
};

/* Sets up an empty set; deinit gives what is free back.
 *   Owns  : the caller deinits after every session that uses it; `alloc` is borrowed.
 *   Thread: owner.
 *   Errors: none. */
void trp_h2_memory_init(struct trp_h2_memory *m, const struct trp_alloc *alloc);
void trp_h2_memory_deinit(struct trp_h2_memory *m);

/* As malloc, free and realloc; blocks are aligned to 16.
 *   Owns  : the caller gives them back to the same set.
 *   Thread: owner.
 *   Errors: NULL when there is no memory; resize leaves `block` valid then. */
void *trp_h2_memory_get(struct trp_h2_memory *m, size_t bytes);
void trp_h2_memory_give(struct trp_h2_memory *m, void *block); /* accepts NULL */
void *trp_h2_memory_resize(struct trp_h2_memory *m, void *block, size_t bytes);

#endif
