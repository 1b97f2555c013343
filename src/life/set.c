/* life/set.c - see set.h */
#include "life/set.h"

bool trp_set_init(const struct trp_alloc *alloc, struct trp_set *set, uint32_t n)
{
    set->n = 0;
    set->items = trp_alloc_zeroed(alloc, (size_t)n + 1, sizeof(struct trp_version *));
    return set->items != NULL;
}

bool trp_set_dup(const struct trp_alloc *alloc, struct trp_set *set, const struct trp_set *from)
{
    if (!trp_set_init(alloc, set, from->n))
        return false;
    for (uint32_t i = 0; i < from->n; i++) {
        trp_version_ref(from->items[i]);
        set->items[set->n++] = from->items[i];
    }
    return true;
}

bool trp_set_put(const struct trp_alloc *alloc, struct trp_set *set, struct trp_version *v)
{
    struct trp_set grown;
    if (!trp_set_init(alloc, &grown, set->n + 1))
        return false;
    for (uint32_t i = 0; i < set->n; i++) {
        struct trp_version *old = set->items[i];
        if (v && old->target.version >= v->target.version) {
            const bool is_same = old->target.version == v->target.version;
            grown.items[grown.n++] = v;
            v = NULL;
            if (is_same) {
                trp_version_unref(old);
                continue;
            }
        }
        grown.items[grown.n++] = old;
    }
    if (v)
        grown.items[grown.n++] = v;
    trp_alloc_free(alloc, set->items);
    *set = grown;
    return true;
}

void trp_set_drop(const struct trp_alloc *alloc, struct trp_set *set)
{
    for (uint32_t i = 0; i < set->n; i++)
        trp_version_unref(set->items[i]);
    trp_alloc_free(alloc, set->items);
    *set = (struct trp_set){ 0 };
}

bool trp_set_has(const struct trp_set *set, const struct trp_version *v)
{
    for (uint32_t i = 0; i < set->n; i++)
        if (set->items[i] == v)
            return true;
    return false;
}

struct trp_version *trp_set_numbered(const struct trp_set *set, int64_t number)
{
    for (uint32_t i = 0; i < set->n; i++)
        if (set->items[i]->target.version == number)
            return set->items[i];
    return NULL;
}
