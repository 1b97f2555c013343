/* base/alloc.h - where memory comes from, and in whose name.
 * Answers "who pays for this?".  A `trp_alloc` is handed in at construction; the heap one keeps no
 * account, memory/account.h makes ones that do.  Every allocation of the process that is ours goes
 * through here, so a test build can fail any one of them. */
#ifndef TRP_ALLOC_H
#define TRP_ALLOC_H

#include <stddef.h>
#include <stdint.h>

/* A source of memory.  The functions may be called from any thread. */
struct trp_alloc {
    void *(*alloc)(const struct trp_alloc *a, size_t bytes, size_t align); /* NULL: none left */
    void (*free)(const struct trp_alloc *a, void *block);                  /* accepts NULL */
    void *user;
    const char *name;
};

/* The process heap.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const struct trp_alloc *trp_heap(void);

/* Gives pages of the heap that hold nothing back to the system, wherever they lie: after many small
 * pieces have gone.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : a walk through all free pieces, some 1 ms for 10 MB of them.
 *   Errors: none. */
void trp_heap_trim(void);

/* Gets `count * size` bytes, aligned to 16; the product is checked.
 *   Owns  : the caller frees with trp_alloc_free() of the same `a`.
 *   Thread: any.
 *   Errors: NULL when there is none, or the product overflows. */
void *trp_alloc_get(const struct trp_alloc *a, size_t count, size_t size);
void *trp_alloc_zeroed(const struct trp_alloc *a, size_t count, size_t size);

/* As trp_alloc_get(), aligned to `align`, a power of two up to 4096.
 *   Owns  : as trp_alloc_get().
 *   Thread: any.
 *   Errors: NULL when there is none. */
void *trp_alloc_aligned(const struct trp_alloc *a, size_t bytes, size_t align);

/* Grows or shrinks a block by allocate, copy, free; `block` stays valid when it returns NULL.
 *   Owns  : moves `block` to the result.
 *   Thread: any.
 *   Errors: NULL when there is none. */
void *trp_alloc_resize(const struct trp_alloc *a, void *block, size_t old_bytes, size_t new_bytes);

/* Gives a block back; NULL is allowed.
 *   Owns  : moves `block` away.
 *   Thread: any.
 *   Errors: none. */
void trp_alloc_free(const struct trp_alloc *a, void *block);

/* Copies a byte range to a fresh terminated string.
 *   Owns  : the caller frees.
 *   Thread: any.
 *   Errors: NULL when there is no memory. */
char *trp_alloc_text(const struct trp_alloc *a, const char *ptr, size_t len);

#endif
