/* catalog/looks.c - models that are named, looked into before the check. */
#include "catalog/routing_parts.h"

#include "base/table.h"

static void looked(struct trp_order *order, void *user)
{
    struct look *look = user;
    struct trp_routing *r = look->routing;
    (void)order; /* what is not there is found by the check */
    if (--r->looks_out == 0)
        trp_routing_conclude(r);
}

static trp_status add_look(struct trp_routing *r, struct trp_table *seen, struct trp_str name,
                           struct trp_error *err)
{
    const struct trp_known_names names = trp_routing_names(r);
    struct look *look = &r->looks[r->looks_n];
    if (trp_table_get(seen, name) || trp_known_names_is_made(&names, name))
        return trp_ok();
    TRP_CHECK(trp_table_put(seen, name, look, NULL, err));
    *look = (struct look){
        .order = { .kind = TRP_ORDER_SURVEY, .model = name, .done = looked, .user = look },
        .routing = r
    };
    r->looks_n++;
    return trp_ok();
}

static uint32_t count_names(const struct trp_routing *r)
{
    struct trp_str name;
    uint32_t n = 0;
    for (uint32_t i = 0; i < trp_route_file_count(r->next); i++)
        n += trp_route_plan_of(trp_route_file_at(r->next, i))->goals_n;
    for (uint32_t i = 0; i < trp_cookbook_count(r->next_book); i++)
        for (uint32_t cursor = 0;
             trp_composition_next_name(trp_cookbook_at(r->next_book, i), &cursor, &name);)
            n++;
    return n;
}

static trp_status add_looks(struct trp_routing *r, struct trp_table *seen, struct trp_error *err)
{
    struct trp_str name;
    for (uint32_t i = 0; i < trp_route_file_count(r->next); i++) {
        const struct trp_route_plan *p = trp_route_plan_of(trp_route_file_at(r->next, i));
        for (uint32_t k = 0; k < p->goals_n; k++)
            TRP_CHECK(add_look(r, seen, p->goals[k].model, err));
    }
    for (uint32_t i = 0; i < trp_cookbook_count(r->next_book); i++) {
        const struct trp_composition *c = trp_cookbook_at(r->next_book, i);
        for (uint32_t cursor = 0; trp_composition_next_name(c, &cursor, &name);)
            TRP_CHECK(add_look(r, seen, name, err));
    }
    return trp_ok();
}

/* Each model that is named once; what is not loaded yet tells then what it takes. */
trp_status trp_looks_begin(struct trp_routing *r, struct trp_error *err)
{
    const uint32_t max = count_names(r);
    struct trp_table *seen;
    r->looks = trp_arena_zeroed(&r->arena, (size_t)max + 1, sizeof *r->looks);
    if (!r->looks)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "routes: %u names", max);
    TRP_CHECK(trp_table_create(r->alloc, max + 1, &seen, err));
    const trp_status st = add_looks(r, seen, err);
    trp_table_destroy(seen);
    TRP_CHECK(st);
    r->looks_out = r->looks_n + 1;
    for (uint32_t i = 0; i < r->looks_n; i++)
        r->life.submit(r->life.user, &r->looks[i].order);
    if (--r->looks_out == 0)
        trp_routing_conclude(r);
    return trp_ok();
}
