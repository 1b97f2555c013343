/* catalog/suspects.c - folders that a check has found wrong. */
#include "catalog/routing_parts.h"

/* A check failed for a folder: the others are checked all the same.  Without memory nobody is to
 * blame. */
bool trp_suspects_spare(void *user, struct trp_str name, const struct trp_error *why)
{
    struct trp_routing *r = user;
    struct trp_declared_folder *f = trp_declared_find(&r->declared, name);
    struct trp_error pointed = *why;
    trp_declared_point(&r->declared, r->opts.path, &pointed);
    if (!f || trp_failed(trp_declared_suspect(&r->declared, f, &pointed, NULL)))
        return false;
    r->has_suspects = true;
    return true;
}

static struct trp_declared_folder *find_suspect(const struct trp_routing *r, struct trp_str name)
{
    struct trp_declared_folder *f = trp_declared_find(&r->declared, name);
    f = f ? f : trp_declared_find_out(&r->declared, name); /* by now */
    return f && f->suspicion.len > 0 ? f : NULL;
}

/* The first of those that it asks who is suspected, too: it may be wrong only because of him.
 * NULL: there is none. */
static struct trp_declared_folder *asked_suspect(const struct trp_routing *r, struct trp_str name)
{
    const struct trp_router *route = trp_route_file_find(r->next, name);
    const struct trp_route_plan *p = route ? trp_route_plan_of(route) : NULL;
    const struct trp_composition *c = route ? NULL : trp_cookbook_find(r->next_book, name);
    struct trp_declared_folder *suspect = NULL;
    struct trp_str asked;
    uint32_t cursor = 0;
    for (uint32_t i = 0; p && !suspect && i < p->goals_n; i++)
        suspect = find_suspect(r, p->goals[i].model);
    while (c && !suspect && trp_composition_next_name(c, &cursor, &asked))
        suspect = find_suspect(r, asked);
    return suspect;
}

/* All that are suspected are left out at once, so that fifty that are wrong are read twice, not
 * fifty times: but those that ask one of them, who are looked at again without him.  Where all
 * of them do, some ask each other, and one of these gives way. */
void trp_suspects_leave_out(struct trp_routing *r)
{
    struct trp_declared_folder *const all = r->declared.folders;
    struct trp_declared_folder *last = NULL;
    const uint32_t n = r->declared.folders_n;
    bool is_anybody_out = false;
    for (uint32_t i = 0; i < n; i++) {
        if (all[i].suspicion.len == 0)
            continue;
        last = &all[i];
        if (asked_suspect(r, all[i].name))
            continue;
        all[i].why = all[i].suspicion;
        is_anybody_out = true;
    }
    if (is_anybody_out || !last)
        return;
    for (uint32_t i = 0; i < n; i++) /* from whoever leads there into the circle */
        last = asked_suspect(r, last->name);
    last->why = last->suspicion;
}

void trp_suspects_forget(struct trp_routing *r)
{
    for (uint32_t i = 0; i < r->declared.folders_n; i++)
        r->declared.folders[i].suspicion = (struct trp_str){ NULL, 0 };
    r->has_suspects = false;
}
