/* route/route_file.c - see route_file.h. */
#include "route/route_file.h"

#include <stdio.h>

#include "base/atomic.h"
#include "route/key_list.h"
#include "route/route_file_parts.h"
#include "route/route_section.h"
#include "route/zone.h"

#define NODES_MAX 1000000u
#define LISTS_MAX 64u
#define NAMES_MAX (10 * TRP_ROUTE_FILE_ROUTES_MAX) /* a directory has not that many */
#define ARENA_BYTES (16u << 10)

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "routes: no memory");
}

static bool is_text(const struct trp_node *n)
{
    return n->kind == TRP_NODE_WORD || n->kind == TRP_NODE_STR;
}

/* ---- its life ---- */

static void unref(void *user)
{
    struct trp_route_file *f = user;
    if (!trp_refs_down(&f->refs))
        return;
    for (uint32_t i = 0; i < f->common.lists_n; i++)
        trp_key_list_close(f->lists[i]);
    trp_zone_close(f->zone);
    trp_table_destroy(f->names);
    trp_arena_deinit(&f->arena);
    trp_alloc_free(f->alloc, f);
}

/* The routes keep the file, and the file its routes: until its reader lets it go.  Those that it
 * has adopted keep their own. */
void trp_route_file_unref(struct trp_route_file *f)
{
    if (!f)
        return;
    for (uint32_t i = 0; i < f->routes_n; i++)
        trp_route_release(trp_route_target(f->routes[i]));
    f->routes_n = 0;
    unref(f);
}

void trp_route_file_retain(struct trp_route_file *f)
{
    trp_refs_up(&f->refs);
}

void trp_route_file_let_go(struct trp_route_file *f)
{
    unref(f);
}

const struct trp_route_common *trp_route_file_common(const struct trp_route_file *f)
{
    return &f->common;
}

const struct trp_str *trp_route_file_lists(const struct trp_route_file *f, uint32_t *out_n)
{
    *out_n = f->common.lists_n;
    return f->list_names;
}

const struct trp_route_source *trp_route_file_source(const struct trp_route_file *f)
{
    return &f->source;
}

uint32_t trp_route_file_count(const struct trp_route_file *f)
{
    return f->routes_n;
}

struct trp_router *trp_route_file_at(const struct trp_route_file *f, uint32_t index)
{
    return index < f->routes_n ? f->routes[index] : NULL;
}

struct trp_router *trp_route_file_find(const struct trp_route_file *f, struct trp_str name)
{
    const struct trp_route_place *place = trp_table_get(f->names, name);
    return place ? place->route : NULL;
}

/* ---- time zone and lists ---- */

static trp_status take_zone(struct trp_route_file *f, const struct trp_node *at,
                            struct trp_error *err)
{
    if (!at)
        return trp_ok();
    struct trp_error why = { 0 };
    if (is_text(at) && !trp_failed(trp_zone_open(f->alloc, at->v.s, &f->zone, &why))) {
        f->common.zone = f->zone;
        return trp_ok();
    }
    return trp_route_source_fail(&f->source, at, at->key, err, "time_zone: %s",
                                 is_text(at) ? why.text : "expected a name, such as Europe/Berlin");
}

/* { file: PATH } or PATH alone; NULL: neither. */
static const struct trp_node *file_of_list(const struct trp_node *at)
{
    const struct trp_node *file = at->kind == TRP_NODE_MAP ? trp_node_get(at, "file") : at;
    return file && is_text(file) && file->v.s.len > 0 ? file : NULL;
}

static struct trp_str path_of_list(struct trp_arena *arena, const struct trp_route_file_opts *opts,
                                   const struct trp_node *file)
{
    const bool is_absolute = file->v.s.ptr[0] == '/';
    return trp_arena_format(arena, "%s%s%.*s", is_absolute ? "" : opts->folder,
                            is_absolute ? "" : "/", TRP_STR(file->v.s));
}

/* paths_n: it is not among them. */
static uint32_t find_path(const char *const *paths, uint32_t paths_n, const char *path)
{
    uint32_t i = 0;
    while (i < paths_n && strcmp(paths[i], path) != 0)
        i++;
    return i;
}

trp_status trp_route_file_list_paths(const struct trp_route_file_opts *opts,
                                     struct trp_arena *arena, const char *const **out_paths,
                                     uint32_t *out_n, struct trp_error *err)
{
    struct trp_node *root = NULL;
    struct trp_error wrong = { 0 };
    *out_paths = NULL;
    *out_n = 0;
    if (opts->text.len == 0 || !memmem(opts->text.ptr, opts->text.len, "lists", 5))
        return trp_ok(); /* most have none, and need not be read twice */
    const trp_status st =
        trp_node_from_yaml(arena, opts->text, opts->path, NODES_MAX, &root, &wrong);
    const struct trp_node *lists = trp_failed(st) ? NULL : trp_node_get(root, "lists");
    if (st.code == TRP_OUT_OF_MEMORY)
        return no_memory(err);
    if (!lists || lists->kind != TRP_NODE_MAP || lists->children_n > LISTS_MAX)
        return trp_ok();
    const char **paths = trp_arena_zeroed(arena, lists->children_n + (size_t)1, sizeof(char *));
    if (!paths)
        return no_memory(err);
    for (const struct trp_node *n = lists->first; n; n = n->next) {
        const struct trp_node *file = file_of_list(n);
        const struct trp_str path = file ? path_of_list(arena, opts, file) : TRP_STR_LIT("");
        if (!path.ptr)
            return no_memory(err);
        if (path.len > 0 && find_path(paths, *out_n, path.ptr) == *out_n)
            paths[(*out_n)++] = path.ptr;
    }
    *out_paths = paths;
    return trp_ok();
}

static trp_status take_list(struct trp_route_file *f, const struct trp_route_file_opts *opts,
                            const struct trp_node *at, struct trp_error *err)
{
    const struct trp_key_reading *opened = opts->lists;
    const struct trp_node *file = file_of_list(at);
    if (!file)
        return trp_route_source_fail(&f->source, at, at->key, err,
                                     "list '%.*s': expected the path of a file", TRP_STR(at->key));
    const struct trp_str path = path_of_list(&f->arena, opts, file);
    if (!path.ptr)
        return no_memory(err);
    const uint32_t i = opened ? find_path(opened->paths, opened->paths_n, path.ptr) : 0;
    if (!opened || i == opened->paths_n)
        return trp_route_source_fail(&f->source, at, at->key, err, "lists cannot be read here");
    if (!opened->lists[i])
        return trp_route_source_fail(&f->source, file, file->v.s, err, "list '%.*s': %s",
                                     TRP_STR(at->key), opened->errors[i].text);
    trp_key_list_retain(opened->lists[i]);
    f->lists[f->common.lists_n] = opened->lists[i];
    f->list_names[f->common.lists_n++] = at->key;
    return trp_ok();
}

static trp_status take_lists(struct trp_route_file *f, const struct trp_route_file_opts *opts,
                             const struct trp_node *at, struct trp_error *err)
{
    if (!at)
        return trp_ok();
    if (at->kind != TRP_NODE_MAP || at->children_n > LISTS_MAX)
        return trp_route_source_fail(&f->source, at, at->key, err,
                                     "lists: expected names with their files, at most %u",
                                     LISTS_MAX);
    f->lists =
        trp_arena_zeroed(&f->arena, at->children_n + (size_t)1, sizeof(struct trp_key_list *));
    f->list_names = trp_arena_zeroed(&f->arena, at->children_n + (size_t)1, sizeof *f->list_names);
    if (!f->lists || !f->list_names)
        return no_memory(err);
    f->common.lists = f->lists;
    for (const struct trp_node *n = at->first; n; n = n->next)
        TRP_CHECK(take_list(f, opts, n, err));
    return trp_ok();
}

/* ---- routes ---- */

static trp_status keep_name(struct trp_route_file *f, struct trp_router *route, uint32_t index,
                            struct trp_error *err)
{
    const struct trp_str name = trp_route_plan_of(route)->name;
    if (trp_table_get(f->names, name))
        return trp_ok();
    struct trp_route_place *place = trp_arena_zeroed(&f->arena, 1, sizeof *place);
    if (!place)
        return no_memory(err);
    *place = (struct trp_route_place){ route, index };
    return trp_table_put(f->names, name, place, NULL, err);
}

static trp_status make_route(struct trp_route_file *f, struct trp_route_plan *plan,
                             struct trp_error *err)
{
    trp_refs_up(&f->refs);
    const struct trp_route_owner owner = { unref, f };
    const trp_status st =
        trp_route_create(f->alloc, plan, &f->common, &owner, &f->routes[f->routes_n], err);
    if (trp_failed(st)) {
        trp_route_plan_drop(plan);
        unref(f);
        return st;
    }
    f->routes_n++;
    return keep_name(f, f->routes[f->routes_n - 1], f->routes_n - 1, err);
}

static trp_status take_route(struct trp_route_file *f, const struct trp_route_source *source,
                             struct trp_str name, const struct trp_node *at, struct trp_error *err)
{
    const struct trp_route_reader reader = { .alloc = f->alloc,
                                             .arena = &f->arena,
                                             .source = source,
                                             .lists = f->list_names,
                                             .lists_n = f->common.lists_n };
    struct trp_route_plan *plan = trp_arena_zeroed(&f->arena, 1, sizeof *plan);
    if (!plan)
        return no_memory(err);
    const trp_status st = trp_route_plan_read(&reader, name, at, plan, err);
    if (trp_failed(st)) {
        trp_route_plan_drop(plan);
        return st;
    }
    plan->source = source;
    plan->at = at;
    plan->lists = f->list_names;
    plan->lists_n = f->common.lists_n;
    return make_route(f, plan, err);
}

static trp_status take_routes(struct trp_route_file *f, const struct trp_node *at,
                              struct trp_error *err)
{
    if (!at)
        return trp_ok();
    if (at->kind != TRP_NODE_MAP)
        return trp_route_source_fail(&f->source, at, at->key, err,
                                     "routes: expected names, each with its rules");
    for (const struct trp_node *n = at->first; n; n = n->next)
        TRP_CHECK(take_route(f, &f->source, n->key, n, err));
    return trp_ok();
}

/* A folder's model.yaml. */
static trp_status take_folder(struct trp_route_file *f, const struct trp_route_folder *folder,
                              struct trp_error *err)
{
    struct trp_node *tree = trp_node_dup(&f->arena, folder->tree);
    struct trp_route_source *source = trp_arena_zeroed(&f->arena, 1, sizeof *source);
    const struct trp_str name = trp_arena_dup(&f->arena, folder->name);
    if (!tree || !source || !name.ptr)
        return no_memory(err);
    const struct trp_str file = trp_arena_format(&f->arena, "%.*s/model.yaml", TRP_STR(name));
    if (!file.ptr)
        return no_memory(err);
    *source = (struct trp_route_source){ file.ptr, trp_arena_dup(&f->arena, folder->text) };
    if (!source->text.ptr)
        return no_memory(err);
    for (const struct trp_node *n = tree->first; n; n = n->next)
        if (!trp_str_is(n->key, "route") && !trp_str_is(n->key, "name"))
            return trp_route_source_fail(source, n, n->key, err,
                                         "unknown key '%.*s' beside a route", TRP_STR(n->key));
    return take_route(f, source, name, trp_node_get(tree, "route"), err);
}

/* ---- the file ---- */

static trp_status check_keys(const struct trp_route_file *f, const struct trp_route_file_opts *opts,
                             const struct trp_node *root, struct trp_error *err)
{
    char hint[TRP_ROUTE_HINT_MAX];
    for (const struct trp_node *n = root->first; n; n = n->next) {
        const struct trp_route_section *section = trp_route_section_find(n->key);
        if (!section) {
            trp_route_section_hint(hint, n->key);
            return trp_route_source_fail(&f->source, n, n->key, err, "unknown key '%.*s'%s",
                                         TRP_STR(n->key), hint);
        }
        if (section->is_composed && !opts->section)
            return trp_route_source_fail(&f->source, n, n->key, err, "'%.*s' cannot be served here",
                                         TRP_STR(n->key));
    }
    return trp_ok();
}

static trp_status take_text(struct trp_route_file *f, const struct trp_route_file_opts *opts,
                            struct trp_error *err)
{
    struct trp_node *root;
    f->source =
        (struct trp_route_source){ .file = trp_arena_dup(&f->arena, trp_str_of(opts->path)).ptr,
                                   .text = trp_arena_dup(&f->arena, opts->text) };
    if (!f->source.file || !f->source.text.ptr)
        return no_memory(err);
    TRP_CHECK(trp_node_from_yaml(&f->arena, f->source.text, f->source.file, NODES_MAX, &root, err));
    if (root->kind != TRP_NODE_MAP)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: expected routes: { NAME: [ RULE, ... ] }",
                        f->source.file);
    TRP_CHECK(check_keys(f, opts, root, err));
    TRP_CHECK(take_zone(f, trp_node_get(root, "time_zone"), err));
    TRP_CHECK(take_lists(f, opts, trp_node_get(root, "lists"), err));
    const struct trp_node *routes = trp_node_get(root, "routes");
    const uint32_t n = routes ? routes->children_n : 0;
    if (n > TRP_ROUTE_FILE_ROUTES_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "%s: more than %u routes", f->source.file,
                        TRP_ROUTE_FILE_ROUTES_MAX);
    f->routes =
        trp_arena_zeroed(&f->arena, n + opts->folders_n + (size_t)1, sizeof(struct trp_router *));
    if (!f->routes)
        return no_memory(err);
    f->capacity = n + opts->folders_n;
    TRP_CHECK(take_routes(f, routes, err));
    for (const struct trp_node *s = root->first; s; s = s->next)
        if (trp_route_section_find(s->key)->is_composed) /* all keys are known by now */
            TRP_CHECK(opts->section(opts->section_user, s, f, err));
    return trp_ok();
}

trp_status trp_route_file_read(const struct trp_alloc *alloc,
                               const struct trp_route_file_opts *opts,
                               struct trp_route_file **out_file, struct trp_error *err)
{
    *out_file = NULL;
    struct trp_route_file *f = trp_alloc_zeroed(alloc, 1, sizeof *f);
    if (!f)
        return no_memory(err);
    f->alloc = alloc;
    f->common.env = opts->env;
    trp_refs_init(&f->refs);
    trp_arena_init(&f->arena, alloc, ARENA_BYTES, 0);
    trp_status st = trp_table_create(alloc, NAMES_MAX, &f->names, err);
    if (!trp_failed(st))
        st = take_text(f, opts, err);
    for (uint32_t i = 0; !trp_failed(st) && i < opts->folders_n; i++) {
        struct trp_error why = { 0 };
        st = take_folder(f, &opts->folders[i], opts->refused ? &why : err);
        if (trp_failed(st) && opts->refused)
            st = opts->refused(opts->section_user, opts->folders[i].name, &why, err);
    }
    if (trp_failed(st)) {
        trp_route_file_unref(f);
        return st;
    }
    f->own_n = f->routes_n;
    *out_file = f;
    return st;
}

/* ---- what goes on ---- */

static trp_status make_room(struct trp_route_file *f, struct trp_error *err)
{
    if (f->routes_n < f->capacity)
        return trp_ok();
    const uint32_t capacity = 2 * f->capacity + 8;
    struct trp_router **grown = trp_arena_zeroed(&f->arena, capacity, sizeof(struct trp_router *));
    if (!grown)
        return no_memory(err);
    for (uint32_t i = 0; i < f->routes_n; i++)
        grown[i] = f->routes[i];
    f->routes = grown;
    f->capacity = capacity;
    return trp_ok();
}

trp_status trp_route_file_adopt(struct trp_route_file *f, struct trp_router *route,
                                struct trp_error *err)
{
    TRP_CHECK(make_room(f, err));
    TRP_CHECK(keep_name(f, route, f->routes_n, err));
    trp_route_retain(trp_route_target(route));
    f->routes[f->routes_n++] = route;
    return trp_ok();
}
