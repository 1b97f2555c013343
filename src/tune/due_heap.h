/* tune/due_heap.h - who is due first, of so many that are numbered.
 * Answers "whose event is next?".  A binary heap; those of one moment come by their number. */
#ifndef TRP_DUE_HEAP_H
#define TRP_DUE_HEAP_H

#include "base/arena.h"

struct trp_due_entry {
    int64_t due_ns;
    uint32_t number;
};
struct trp_due_heap {
    struct trp_due_entry *entries;
    uint32_t n, room;
};

/* Makes an empty heap with room for so many.
 *   Owns  : its memory lies in `arena`.
 *   Thread: owner.
 *   Errors: false: out of memory. */
bool trp_due_heap_init(struct trp_due_heap *h, struct trp_arena *arena, uint32_t room);

/* Puts one in; takes the first out; tells when that is due, INT64_MAX: the heap is empty.
 *   Units : ns, any clock.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : O(log n), no allocation; first: O(1).
 *   Errors: none; more than there is room for, or none to take, is a bug. */
void trp_due_heap_push(struct trp_due_heap *h, uint32_t number, int64_t due_ns);
uint32_t trp_due_heap_pop(struct trp_due_heap *h);
static inline int64_t trp_due_heap_first_ns(const struct trp_due_heap *h)
{
    return h->n > 0 ? h->entries[0].due_ns : INT64_MAX;
}

#endif
