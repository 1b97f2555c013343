/* tune/due_heap.c - see due_heap.h. */
#include "tune/due_heap.h"

#include "base/status.h"

bool trp_due_heap_init(struct trp_due_heap *h, struct trp_arena *arena, uint32_t room)
{
    *h = (struct trp_due_heap){ .room = room };
    h->entries = trp_arena_zeroed(arena, room, sizeof *h->entries);
    return h->entries != NULL;
}

static bool is_before(const struct trp_due_entry *a, const struct trp_due_entry *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->number < b->number;
}

void trp_due_heap_push(struct trp_due_heap *h, uint32_t number, int64_t due_ns)
{
    const struct trp_due_entry entry = { due_ns, number };
    TRP_ASSERT(h->n < h->room);
    uint32_t at = h->n++;
    while (at > 0 && is_before(&entry, &h->entries[(at - 1) / 2])) {
        h->entries[at] = h->entries[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    h->entries[at] = entry;
}

uint32_t trp_due_heap_pop(struct trp_due_heap *h)
{
    TRP_ASSERT(h->n > 0);
    const uint32_t number = h->entries[0].number;
    const struct trp_due_entry last = h->entries[--h->n];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= h->n)
            break;
        if (child + 1 < h->n && is_before(&h->entries[child + 1], &h->entries[child]))
            child++;
        if (!is_before(&h->entries[child], &last))
            break;
        h->entries[at] = h->entries[child];
        at = child;
    }
    h->entries[at] = last;
    return number;
}
