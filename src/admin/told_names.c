/* admin/told_names.c - see told_names.h. */
#include "admin/told_names.h"

static void note(struct trp_told_names *t, const struct trp_directory_item *item)
{
    const struct trp_stats *s = item->target ? item->target->ops->stats(item->target) : NULL;
    if (!s)
        return; /* nothing answers under this name */
    t->all[t->n++] = (struct trp_told_name){
        .use = { .asked_n = trp_stats_asked(s), .is_candidate = true }, .item = *item, .stats = s
    };
}

trp_status trp_told_names_hold(struct trp_told_names *t, const struct trp_alloc *alloc,
                               const struct trp_directory *d, uint32_t own_max,
                               struct trp_error *err)
{
    const uint32_t n = trp_directory_count(d);
    *t = (struct trp_told_names){ .alloc = alloc };
    if (n == 0)
        return trp_ok();
    t->all = trp_alloc_zeroed(alloc, n, sizeof *t->all);
    if (!t->all)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the names of a page of metrics");
    for (uint32_t i = 0; i < n; i++)
        note(t, trp_directory_at(d, i));
    t->left_out = t->n;
    t->n = trp_asked_most(t->all, t->n, sizeof *t->all, own_max);
    t->left_out -= t->n;
    for (uint32_t i = 0; i < t->n; i++)
        t->all[i].item.retain(t->all[i].item.target);
    return trp_ok();
}

void trp_told_names_drop(struct trp_told_names *t)
{
    for (uint32_t i = 0; i < t->n; i++)
        t->all[i].item.release(t->all[i].item.target);
    if (t->alloc)
        trp_alloc_free(t->alloc, t->all);
    *t = (struct trp_told_names){ 0 };
}
