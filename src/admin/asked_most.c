/* admin/asked_most.c - see asked_most.h. */
#include "admin/asked_most.h"

#include <stdlib.h>

static int by_place(const void *a, const void *b)
{
    const struct trp_asked *x = a, *y = b;
    return (x->place > y->place) - (x->place < y->place);
}

static int by_use(const void *a, const void *b)
{
    const struct trp_asked *x = a, *y = b;
    if (x->is_candidate != y->is_candidate)
        return x->is_candidate ? -1 : 1;
    if (x->asked_n != y->asked_n)
        return x->asked_n > y->asked_n ? -1 : 1;
    return by_place(a, b);
}

static struct trp_asked *at(void *all, uint32_t i, size_t size)
{
    return (struct trp_asked *)(void *)((char *)all + i * size);
}

uint32_t trp_asked_most(void *all, uint32_t n, size_t size, uint32_t most)
{
    uint32_t own_n = 0;
    for (uint32_t i = 0; i < n; i++)
        at(all, i, size)->place = i;
    if (n)
        qsort(all, n, size, by_use);
    while (own_n < n && own_n < most && at(all, own_n, size)->is_candidate)
        own_n++;
    if (own_n)
        qsort(all, own_n, size, by_place);
    return own_n;
}
