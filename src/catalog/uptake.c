/* catalog/uptake.c - what was read takes the place of what serves. */
#include "catalog/routing_parts.h"

#include <stdio.h>

#include "base/table.h"
#include "catalog/circles.h"

/* ---- the names ---- */

struct trp_target *trp_uptake_kept(const struct trp_routing *r,
                                   const struct trp_declared_folder *folder)
{
    const struct trp_directory_item *old =
        trp_directory_find(r->opts.directories->newest, folder->name);
    return old && !trp_routing_is_of_file(r, old->place) ? old->target : NULL;
}

/* Of a folder that is left out: what goes on says why; else the name is there, and not ready. */
static void add_left_out(const struct trp_routing *r, struct trp_directory_item *items, uint32_t *n)
{
    const struct trp_known_names names = trp_routing_names(r);
    for (uint32_t i = 0; i < *n; i++) {
        const struct trp_declared_folder *f = trp_declared_find_out(&r->declared, items[i].name);
        if (f && items[i].target == trp_uptake_kept(r, f)) /* else routes.yaml has the name */
            items[i].reason = f->why;
    }
    for (uint32_t i = 0; i < r->declared.folders_n; i++) {
        const struct trp_declared_folder *f = &r->declared.folders[i];
        if (f->why.len && !trp_known_names_is_made(&names, f->name))
            items[(*n)++] = (struct trp_directory_item){
                .name = f->name, .kind = f->kind, .place = f->name, .reason = f->why
            };
    }
}

/* Of a file that is left out: its names are there, and not ready. */
static trp_status add_refused(struct trp_routing *r, struct trp_directory_item *items, uint32_t *n,
                              struct trp_error *err)
{
    const struct trp_declared *d = &r->declared;
    const struct trp_known_names names = trp_routing_names(r);
    for (uint32_t i = 0; i < d->names.n && *n < TRP_DIRECTORY_MAX; i++) {
        const struct trp_refused_name *name = &d->names.items[i];
        if (!trp_declared_find_refused(d, name->name) ||
            trp_known_names_is_made(&names, name->name))
            continue;
        const struct trp_str place = trp_arena_format(&r->arena, "%s:%u", r->opts.path, name->line);
        if (!place.ptr)
            return trp_fail(err, TRP_OUT_OF_MEMORY, "%u names of routes", d->names.n);
        items[(*n)++] = (struct trp_directory_item){ .name = name->name,
                                                     .kind = name->kind,
                                                     .place = place,
                                                     .reason = trp_str_of(d->file_why.text) };
    }
    return trp_ok();
}

static trp_status collect(struct trp_routing *r, struct trp_directory_item **out_items,
                          uint32_t *out_n, struct trp_error *err)
{
    const uint32_t routes_n = trp_route_file_count(r->next);
    const uint32_t made_n = trp_cookbook_count(r->next_book);
    uint32_t n = 0;
    const size_t left_out_n = (size_t)r->declared.folders_n + r->declared.names.n;
    struct trp_directory_item *items =
        trp_arena_zeroed(&r->arena, routes_n + made_n + left_out_n + 1, sizeof *items);
    if (!items)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%u routes and compositions", routes_n + made_n);
    for (uint32_t i = 0; i < routes_n; i++)
        items[n++] = trp_route_item(trp_route_file_at(r->next, i));
    for (uint32_t i = 0; i < made_n; i++)
        items[n++] = trp_composition_item(trp_cookbook_at(r->next_book, i));
    add_left_out(r, items, &n);
    TRP_CHECK(add_refused(r, items, &n, err));
    *out_items = items;
    *out_n = n;
    return trp_ok();
}

/* ---- the check ---- */

/* Neither may a model be hidden by a name that is written somewhere else, nor the other way
 * round. */
static trp_status check_models(const struct trp_routing *r, const struct trp_directory_item *items,
                               uint32_t n, struct trp_error *err)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct trp_entry *e =
            r->snapshot ? trp_snapshot_find(r->snapshot, items[i].name) : NULL;
        if (e && e->versions_n > 0 && items[i].target && trp_routing_is_of_file(r, items[i].place))
            return trp_fail(err, TRP_ALREADY_EXISTS,
                            "%.*s: the repository has a model '%.*s': a %s needs a name of its own",
                            TRP_STR(items[i].place), TRP_STR(items[i].name), items[i].kind);
    }
    return trp_ok();
}

/* A folder gives way to the file, or to another folder; it is told who has its name. */
static trp_status leave_twin_out(struct trp_routing *r, const struct trp_directory_item *a,
                                 const struct trp_directory_item *b, bool *out_is_anybody_out,
                                 struct trp_error *err)
{
    struct trp_declared_folder *f = trp_declared_find(&r->declared, a->name);
    const bool is_of_a = trp_routing_is_of_file(r, b->place);
    struct trp_error why = { 0 };
    if (!f) /* both stand in the file, or a third one has left it out */
        return trp_ok();
    (void)trp_directory_fail_twin(is_of_a ? a : b, is_of_a ? b : a, &why);
    trp_declared_point(&r->declared, r->opts.path, &why);
    TRP_CHECK(trp_declared_leave_out(&r->declared, f, &why, err));
    *out_is_anybody_out = true;
    return trp_ok();
}

/* All whose name somebody else has, too, at once: what is left is read again. */
static trp_status leave_twins_out(struct trp_routing *r, struct trp_directory_item *items,
                                  uint32_t n, bool *out_is_anybody_out, struct trp_error *err)
{
    struct trp_table *seen;
    TRP_CHECK(trp_table_create(r->alloc, n + 1, &seen, err));
    trp_status st = trp_ok();
    for (uint32_t i = 0; !trp_failed(st) && i < n; i++) {
        const struct trp_directory_item *first = trp_table_get(seen, items[i].name);
        st = first ? leave_twin_out(r, first, &items[i], out_is_anybody_out, err)
                   : trp_table_put(seen, items[i].name, &items[i], NULL, err);
    }
    trp_table_destroy(seen);
    return st;
}

/* One after the other, as long as nobody is suspected: what is found of others later may be for
 * his sake. */
static trp_status check_all(struct trp_routing *r, const struct trp_route_check *check,
                            const struct trp_directory_item *items, uint32_t n,
                            struct trp_error *err)
{
    TRP_CHECK(trp_route_file_check(r->next, check, err));
    if (!r->has_suspects)
        TRP_CHECK(trp_circles_check(&r->arena, items, n, &r->declared, check, err));
    if (!r->has_suspects)
        TRP_CHECK(trp_cookbook_check(r->next_book, check, err));
    if (!r->has_suspects) /* now it is known what compositions take */
        TRP_CHECK(trp_route_file_check(r->next, check, err));
    return check_models(r, items, n, err);
}

/* ---- taken up ---- */

/* What was counted goes on where the same is written under the same name. */
static void carry(const struct trp_routing *r, const struct trp_directory_item *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct trp_directory_item *old =
            trp_directory_find(r->opts.directories->newest, items[i].name);
        if (!old || !old->target || !items[i].target || old->target == items[i].target)
            continue;
        struct trp_router *now = trp_route_of(items[i].target);
        struct trp_router *before = trp_route_of(old->target);
        if (now && before)
            trp_route_carry(now, before);
        else if (!now && !before)
            trp_composition_carry(items[i].target, old->target);
    }
}

static void tell_left_out(const struct trp_routing *r)
{
    for (uint32_t i = 0; i < r->declared.folders_n; i++) {
        const struct trp_declared_folder *f = &r->declared.folders[i];
        char lead[320];
        (void)snprintf(lead, sizeof lead, "%s '%.*s' is not taken up: ", f->kind, TRP_STR(f->name));
        if (f->why.len)
            trp_routing_log(r, TRP_LOG_ERROR, lead, f->why.ptr);
    }
}

/* Loops have the new names from now on. */
static void publish(struct trp_routing *r, struct trp_directory *d,
                    const struct trp_directory_item *items, uint32_t n)
{
    carry(r, items, n);
    if (trp_failed(r->declared.file_why.status))
        trp_directory_mark_partial(d);
    if (r->opts.canaries)
        trp_canary_watch_show(r->opts.canaries, r->next);
    trp_directories_publish(r->opts.directories, d);
    (void)trp_watched_rules_set(r, r->file, r->book, false, NULL);
    trp_route_file_unref(r->file);
    trp_cookbook_destroy(r->book);
    r->file = r->next;
    r->book = r->next_book;
    r->next = NULL;
    r->next_book = NULL;
    r->has_file = r->declared.text.len > 0 && !trp_failed(r->declared.file_why.status);
    r->verdict = trp_declared_verdict(&r->declared, r->taken);
    trp_metrics_add(r->opts.metrics, TRP_METRIC_ROUTES_READ, 1);
    tell_left_out(r);
    TRP_INFO(r->opts.log, "route", "%u routes and compositions are taken up", n);
    r->life.reconsider(r->life.user);
}

/* Nothing is wrong with it that was not wrong before, and nothing else has changed. */
static bool is_in_force(const struct trp_routing *r)
{
    const struct trp_str told = trp_directory_trouble(r->opts.directories->newest);
    return r->file && r->verdict == trp_declared_verdict(&r->declared, r->taken) &&
           trp_str_is_equal(told, trp_str_of(r->declared.file_why.text));
}

trp_status trp_uptake_try(struct trp_routing *r, bool *out_is_anybody_out, struct trp_error *err)
{
    struct trp_known_names names = trp_routing_names(r);
    struct trp_route_check check = trp_known_names_check(&names);
    struct trp_directory_item *items = NULL;
    struct trp_directory *d = NULL;
    uint32_t n = 0;
    check.spare = trp_suspects_spare;
    check.spare_user = r;
    TRP_CHECK(collect(r, &items, &n, err));
    trp_status st =
        trp_directory_build(r->alloc, items, n, trp_str_of(r->declared.file_why.text), &d, err);
    if (st.code == TRP_ALREADY_EXISTS)
        TRP_CHECK(leave_twins_out(r, items, n, out_is_anybody_out, err));
    if (trp_failed(st))
        return st;
    st = check_all(r, &check, items, n, err);
    if (!trp_failed(st) && !r->has_suspects && !is_in_force(r)) {
        st = trp_watched_rules_set(r, r->next, r->next_book, true,
                                   err); /* those that were watched stay so after a failure */
        if (!trp_failed(st))
            publish(r, d, items, n);
    }
    trp_directory_unref(d);
    return st;
}
