/* memory/recollection.c - see recollection.h.  It is looked at when a model comes or goes, which
 * takes a thousand times as long as a search through all of it. */
#include "memory/recollection.h"

void trp_recollection_clear(struct trp_recollection *r)
{
    trp_alloc_free(r->alloc, r->items);
    r->items = NULL;
    r->kept = 0;
}

/* Where a key is; or else the place that nobody has, or whose owner left longest ago. */
static struct trp_recalled *place_of(const struct trp_recollection *r, uint64_t key)
{
    struct trp_recalled *oldest = r->items;
    for (struct trp_recalled *at = r->items; at < r->items + r->most; at++) {
        if (at->key == key)
            return at;
        if (at->order < oldest->order)
            oldest = at;
    }
    return oldest;
}

void trp_recollection_keep(struct trp_recollection *r, uint64_t key, const struct trp_peaks *peaks,
                           uint64_t small_size)
{
    if (key == 0 || r->most == 0)
        return;
    if (!r->items)
        r->items = trp_alloc_zeroed(r->alloc, r->most, sizeof *r->items);
    if (!r->items)
        return;
    *place_of(r, key) = (struct trp_recalled){
        .key = key, .order = ++r->kept, .small_size = small_size, .peaks = *peaks
    };
}

const struct trp_recalled *trp_recollection_find(const struct trp_recollection *r, uint64_t key)
{
    if (key == 0 || !r->items)
        return NULL;
    const struct trp_recalled *at = place_of(r, key);
    return at->key == key ? at : NULL;
}
