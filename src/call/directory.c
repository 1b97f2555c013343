/* call/directory.c - see directory.h. */
#include "call/directory.h"

#include <inttypes.h>

#include "base/arena.h"
#include "base/atomic.h"
#include "base/table.h"

struct trp_directory {
    const struct trp_alloc *alloc;
    struct trp_refs refs;
    struct trp_arena arena;
    struct trp_table *names; /* to the items; constant once built */
    struct trp_directory_item *items;
    uint32_t n;
    struct trp_str trouble;
    bool is_partial;
};

static void destroy(struct trp_directory *d)
{
    for (uint32_t i = 0; i < d->n; i++)
        if (d->items[i].target)
            d->items[i].release(d->items[i].target);
    trp_table_destroy(d->names);
    trp_arena_deinit(&d->arena);
    trp_alloc_free(d->alloc, d);
}

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "the names of routes and compositions");
}

trp_status trp_directory_fail_twin(const struct trp_directory_item *item,
                                   const struct trp_directory_item *first, struct trp_error *err)
{
    return trp_fail(err, TRP_ALREADY_EXISTS, "%.*s: '%.*s' is there already: the %s of %.*s",
                    TRP_STR(item->place), TRP_STR(item->name), first->kind, TRP_STR(first->place));
}

/* `d->n` counts those whose targets are retained. */
static trp_status add(struct trp_directory *d, const struct trp_directory_item *from,
                      struct trp_error *err)
{
    struct trp_directory_item *item = &d->items[d->n];
    void *old = NULL;
    *item = *from;
    item->name = trp_arena_dup(&d->arena, from->name);
    item->place = trp_arena_dup(&d->arena, from->place);
    item->reason = trp_arena_dup(&d->arena, from->reason);
    if (!item->name.ptr || !item->place.ptr || !item->reason.ptr)
        return no_memory(err);
    TRP_CHECK(trp_table_put(d->names, item->name, item, &old, err));
    if (old)
        return trp_directory_fail_twin(item, old, err);
    if (item->target)
        item->retain(item->target);
    else
        d->is_partial = true;
    d->n++;
    return trp_ok();
}

static trp_status fill(struct trp_directory *d, const struct trp_directory_item *items, uint32_t n,
                       struct trp_str trouble, struct trp_error *err)
{
    TRP_CHECK(trp_table_create(d->alloc, n + 1, &d->names, err));
    d->items = trp_arena_zeroed(&d->arena, (size_t)n + 1, sizeof *d->items);
    d->trouble = trp_arena_dup(&d->arena, trouble);
    if (!d->items || !d->trouble.ptr)
        return no_memory(err);
    for (uint32_t i = 0; i < n; i++)
        TRP_CHECK(add(d, &items[i], err));
    return trp_ok();
}

trp_status trp_directory_build(const struct trp_alloc *alloc,
                               const struct trp_directory_item *items, uint32_t n,
                               struct trp_str trouble, struct trp_directory **out_directory,
                               struct trp_error *err)
{
    *out_directory = NULL;
    if (n > TRP_DIRECTORY_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "%u routes and compositions; %u are possible", n,
                        TRP_DIRECTORY_MAX);
    struct trp_directory *d = trp_alloc_zeroed(alloc, 1, sizeof *d);
    if (!d)
        return no_memory(err);
    d->alloc = alloc;
    trp_refs_init(&d->refs);
    trp_arena_init(&d->arena, alloc, 4096, 0);
    const trp_status st = fill(d, items, n, trouble, err);
    if (trp_failed(st)) {
        destroy(d);
        return st;
    }
    *out_directory = d;
    return st;
}

void trp_directory_mark_partial(struct trp_directory *d)
{
    d->is_partial = true;
}

bool trp_directory_is_whole(const struct trp_directory *d)
{
    return d && !d->is_partial;
}

void trp_directory_ref(struct trp_directory *d)
{
    trp_refs_up(&d->refs);
}

void trp_directory_unref(struct trp_directory *d)
{
    if (d && trp_refs_down(&d->refs))
        destroy(d);
}

const struct trp_directory_item *trp_directory_find(const struct trp_directory *d,
                                                    struct trp_str name)
{
    return d && d->n > 0 ? trp_table_get(d->names, name) : NULL;
}

uint32_t trp_directory_count(const struct trp_directory *d)
{
    return d ? d->n : 0;
}

const struct trp_directory_item *trp_directory_at(const struct trp_directory *d, uint32_t index)
{
    return d && index < d->n ? &d->items[index] : NULL;
}

struct trp_str trp_directory_trouble(const struct trp_directory *d)
{
    return d ? d->trouble : trp_str_make(NULL, 0);
}

trp_status trp_directory_pick(const struct trp_directory *d, struct trp_str name, int64_t version,
                              struct trp_target **out_target,
                              void (**out_release)(struct trp_target *), struct trp_error *err)
{
    const struct trp_directory_item *item = trp_directory_find(d, name);
    *out_target = NULL;
    if (!item)
        return trp_ok();
    if (version != 0 && version != 1)
        return trp_fail(err, TRP_NOT_FOUND,
                        "Request for unknown model: '%.*s' version %" PRId64
                        " is not found: this %s has no versions",
                        TRP_STR(name), version, item->kind);
    if (!item->target)
        return trp_fail(err, TRP_NOT_READY,
                        "Request for unknown model: '%.*s' is not at ready state: %.*s",
                        TRP_STR(name), TRP_STR(item->reason));
    item->retain(item->target);
    *out_target = item->target;
    *out_release = item->release;
    return trp_ok();
}
