/* catalog/unloaded.c - see unloaded.h.
 *
 * Names are put into a list once, and looked at in its order: those of models stay in it. */
#include "catalog/unloaded.h"

#include "base/table.h"
#include "compose/composition.h"
#include "route/route.h"

#define NAMES_MAX 20000u

struct met {
    struct trp_str name;
    struct met *next;
};

struct search {
    struct trp_arena *arena;
    const struct trp_directory *directory;
    const struct trp_snapshot *snapshot;
    struct trp_table *seen;
    struct met *first, **end;
};

static trp_status meet(struct search *s, struct trp_str name, struct trp_error *err)
{
    if (trp_table_get(s->seen, name))
        return trp_ok();
    struct met *m = trp_arena_zeroed(s->arena, 1, sizeof *m);
    const struct trp_str copy = trp_arena_dup(s->arena, name);
    if (!m || !copy.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "the models of '%.*s'", TRP_STR(name));
    m->name = copy;
    *s->end = m;
    s->end = &m->next;
    return trp_table_put(s->seen, copy, m, NULL, err);
}

/* Whom a composition or a route may ask. */
static trp_status meet_asked(struct search *s, struct trp_target *target, struct trp_error *err)
{
    const struct trp_composition *c = trp_composition_of(target);
    const struct trp_router *route = trp_route_of(target);
    const struct trp_route_plan *p = route ? trp_route_plan_of(route) : NULL;
    uint32_t cursor = 0;
    struct trp_str name;
    while (c && trp_composition_next_name(c, &cursor, &name))
        TRP_CHECK(meet(s, name, err));
    for (uint32_t i = 0; p && i < p->goals_n; i++)
        TRP_CHECK(meet(s, p->goals[i].model, err));
    return trp_ok();
}

static bool takes_no_calls(const struct search *s, struct trp_str name)
{
    struct trp_version *v = NULL;
    if (!s->snapshot || !trp_snapshot_find(s->snapshot, name))
        return false; /* nobody could load it */
    if (trp_failed(trp_snapshot_pick(s->snapshot, name, 0, &v, NULL)))
        return true;
    trp_version_unref(v);
    return false;
}

/* Those that are no models are replaced by whom they ask. */
static trp_status walk(struct search *s, struct trp_str *names, uint32_t *out_n,
                       struct trp_error *err)
{
    for (const struct met *m = s->first; m; m = m->next) {
        const struct trp_directory_item *item = trp_directory_find(s->directory, m->name);
        if (item && item->target)
            TRP_CHECK(meet_asked(s, item->target, err));
        else if (!item && takes_no_calls(s, m->name)) {
            if (names)
                names[*out_n] = m->name;
            ++*out_n;
        }
    }
    return trp_ok();
}

static trp_status list(struct search *s, const struct trp_str **out_names, uint32_t *out_n,
                       struct trp_error *err)
{
    uint32_t n = 0, again = 0;
    TRP_CHECK(walk(s, NULL, &n, err));
    struct trp_str *names = trp_arena_zeroed(s->arena, n + (size_t)1, sizeof *names);
    if (!names)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%u models", n);
    TRP_CHECK(walk(s, names, &again, err)); /* all were met before: nothing is added */
    *out_names = names;
    *out_n = n;
    return trp_ok();
}

trp_status trp_unloaded_find(struct trp_arena *arena, const struct trp_directory *d,
                             const struct trp_snapshot *snapshot, struct trp_str name,
                             const struct trp_str **out_names, uint32_t *out_n,
                             struct trp_error *err)
{
    const struct trp_directory_item *item = trp_directory_find(d, name);
    struct search s = { .arena = arena, .directory = d, .snapshot = snapshot };
    *out_names = NULL;
    *out_n = 0;
    if (!item || !item->target || !trp_composition_of(item->target))
        return trp_ok();
    s.end = &s.first;
    TRP_CHECK(trp_table_create(arena->alloc, NAMES_MAX, &s.seen, err));
    trp_status st = meet_asked(&s, item->target, err);
    if (!trp_failed(st))
        st = list(&s, out_names, out_n, err);
    trp_table_destroy(s.seen);
    return st;
}
