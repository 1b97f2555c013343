/* A source of memory that runs dry: it grants `left` more blocks, and counts what is out. */
#ifndef TRP_TEST_SCARCE_H
#define TRP_TEST_SCARCE_H

#include "base/alloc.h"
#include "base/atomic.h"

struct scarce {
    struct trp_alloc alloc; /* first, so that a pointer to it is a pointer to the whole */
    struct trp_counter left, out;
};

static void *scarce_get(const struct trp_alloc *a, size_t bytes, size_t align)
{
    struct scarce *s = a->user;
    if (trp_counter_get(&s->left) == 0)
        return NULL;
    trp_counter_sub(&s->left, 1);
    trp_counter_add(&s->out, 1);
    return trp_heap()->alloc(trp_heap(), bytes, align);
}

static void scarce_free(const struct trp_alloc *a, void *block)
{
    struct scarce *s = a->user;
    if (block)
        trp_counter_sub(&s->out, 1);
    trp_heap()->free(trp_heap(), block);
}

static inline const struct trp_alloc *scarce_init(struct scarce *s, uint64_t blocks)
{
    s->alloc = (struct trp_alloc){ scarce_get, scarce_free, s, "scarce" };
    trp_counter_set(&s->left, blocks);
    trp_counter_set(&s->out, 0);
    return &s->alloc;
}

#endif
