/* catalog/circles.c - see circles.h.
 *
 * A walk in depth.  Whoever is on the way and is met again leads back to itself; who has been
 * walked through is not walked again, and its height is known.  The way is short: compositions
 * behind each other are bounded here, routes in between where they were read. */
#include "catalog/circles.h"

#include <stdio.h>

#include "base/table.h"
#include "call/call_child.h"
#include "compose/composition.h"
#include "route/route.h"

#define WAY_MAX 300

enum node_state { NEW, ON_THE_WAY, DONE };

struct node {
    const struct trp_directory_item *item;
    const struct trp_route_plan *route;
    const struct trp_composition *composition; /* neither: nothing serves under this name */
    enum node_state state;
    uint32_t height; /* compositions behind each other, from here on */
    struct node *asked_by;
};

struct walk {
    const struct trp_declared *declared;
    const struct trp_route_check *check; /* NULL: nobody is left out */
    struct trp_table *table;
};

/* Whom it may ask, one after the other. */
static bool next_asked(const struct node *node, uint32_t *cursor, struct trp_str *out)
{
    if (node->composition)
        return trp_composition_next_name(node->composition, cursor, out);
    if (!node->route || *cursor >= node->route->goals_n)
        return false;
    *out = node->route->goals[(*cursor)++].model;
    return true;
}

/* "'a' asks 'b', which asks 'c'", from `first` to `last`. */
static size_t tell_way(const struct node *first, const struct node *last, char *text, size_t size)
{
    size_t len = 0;
    if (last != first)
        len = tell_way(first, last->asked_by, text, size);
    if (len >= size)
        return len;
    const int n = snprintf(text + len, size - len, "%s'%.*s'",
                           last == first             ? ""
                           : last->asked_by == first ? " asks "
                                                     : ", which asks ",
                           TRP_STR(last->item->name));
    return n > 0 ? len + (size_t)n : len;
}

/* Whether the others are walked on without one of those from `last` back to `first`.  A folder
 * gives way to a file, whose routes may serve many others. */
static trp_status blame(const struct walk *w, const struct node *first, const struct node *last,
                        const struct trp_error *why, struct trp_error *err)
{
    const struct trp_route_check *check = w->check;
    struct trp_str guilty = { NULL, 0 };
    for (const struct node *at = last; at; at = at == first ? NULL : at->asked_by)
        if (w->declared && trp_declared_find(w->declared, at->item->name))
            guilty = at->item->name;
    if (guilty.len > 0 && check && check->spare && check->spare(check->spare_user, guilty, why))
        return trp_ok();
    if (err)
        *err = *why;
    return why->status;
}

static trp_status fail_circle(const struct walk *w, const struct node *met, const struct node *last,
                              struct trp_error *err)
{
    char way[WAY_MAX] = "";
    struct trp_error why = { 0 };
    const struct trp_directory_item *item = met->item;
    (void)tell_way(met, last, way, sizeof way);
    (void)trp_fail(&why, TRP_INVALID_ARGUMENT, "%.*s: %s '%.*s' leads back to itself: %s%s '%.*s'",
                   TRP_STR(item->place), item->kind, TRP_STR(item->name), way,
                   met == last ? " asks" : ", which asks", TRP_STR(item->name));
    return blame(w, met, last, &why, err);
}

static trp_status fail_height(const struct walk *w, const struct node *node, struct trp_error *err)
{
    struct trp_error why = { 0 };
    const struct trp_directory_item *item = node->item;
    (void)trp_fail(&why, TRP_INVALID_ARGUMENT,
                   "%.*s: more than %u compositions stand behind each other, from %s '%.*s' on",
                   TRP_STR(item->place), TRP_COMPOSED_DEPTH_MAX, item->kind, TRP_STR(item->name));
    return blame(w, node, node, &why, err);
}

/* A step that leads back, or too far, is not taken, if somebody is left out for it. */
static trp_status visit(const struct walk *w, struct node *node, uint32_t above,
                        struct trp_error *err)
{
    const uint32_t own = node->route ? 0 : 1;
    struct trp_str name;
    uint32_t cursor = 0;
    node->state = ON_THE_WAY;
    node->height = own;
    while (next_asked(node, &cursor, &name)) {
        struct node *asked = trp_table_get(w->table, name);
        if (!asked)
            continue; /* a model */
        if (asked->state == ON_THE_WAY) {
            TRP_CHECK(fail_circle(w, asked, node, err));
            continue;
        }
        if (above + own >= TRP_COMPOSED_DEPTH_MAX && !asked->route) {
            TRP_CHECK(fail_height(w, node, err));
            continue;
        }
        if (asked->state == NEW) {
            asked->asked_by = node;
            TRP_CHECK(visit(w, asked, above + own, err));
        }
        if (asked->height + own > node->height)
            node->height = asked->height + own;
    }
    node->state = DONE;
    return node->height > TRP_COMPOSED_DEPTH_MAX ? fail_height(w, node, err) : trp_ok();
}

static trp_status walk_all(struct walk *w, struct node *nodes,
                           const struct trp_directory_item *items, uint32_t n,
                           struct trp_error *err)
{
    for (uint32_t i = 0; i < n; i++) {
        struct trp_target *target = items[i].target;
        const struct trp_router *route = target ? trp_route_of(target) : NULL;
        nodes[i].item = &items[i];
        nodes[i].route = route ? trp_route_plan_of(route) : NULL;
        nodes[i].composition = target ? trp_composition_of(target) : NULL;
        TRP_CHECK(trp_table_put(w->table, items[i].name, &nodes[i], NULL, err));
    }
    for (uint32_t i = 0; i < n; i++)
        if (nodes[i].state == NEW)
            TRP_CHECK(visit(w, &nodes[i], 0, err));
    return trp_ok();
}

trp_status trp_circles_check(struct trp_arena *arena, const struct trp_directory_item *items,
                             uint32_t n, const struct trp_declared *declared,
                             const struct trp_route_check *check, struct trp_error *err)
{
    struct walk w = { .declared = declared, .check = check };
    struct node *nodes = trp_arena_zeroed(arena, (size_t)n + 1, sizeof *nodes);
    if (!nodes)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%u routes and compositions", n);
    TRP_CHECK(trp_table_create(arena->alloc, n + 1, &w.table, err));
    const trp_status st = walk_all(&w, nodes, items, n, err);
    trp_table_destroy(w.table);
    return st;
}
