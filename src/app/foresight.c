/* app/foresight.c - see foresight.h.
 *
 * The server's own routing, with a registry that holds what lies in the repositories and nobody
 * behind it: where the routing would ask life to look into a model, that is done on the spot.
 *
 *   listing ──► registry, all models cold ──► routing: read, look, check ──► the names that it would publish
 *                                                       │ SURVEY                   │ reasons, doubts
 *                                                       ▼                          ▼
 *                                                    glance ── what is wrong ──► what is told
 *
 * Models are shown as if each were loaded by demand: whether one is there at the start, nobody can
 * say beforehand. */
#include "app/foresight.h"

#include "app/backend_set.h"
#include "app/listing_opts.h"
#include "app/routes_place.h"
#include "base/file.h"
#include "catalog/routing.h"
#include "life/glance.h"
#include "route/key_list.h"

#define BLOCK_BYTES (16u << 10)

struct told {
    struct trp_foreseen it;
    struct told *next;
};

struct told_list {
    struct told *first, **end;
    uint32_t n;
};

struct foreseer {
    const struct trp_alloc *alloc;
    struct trp_arena *arena; /* of what is told */
    const struct trp_foresight_opts *opts;
    struct trp_routes_place place;
    struct trp_repo_listing listing;
    struct trp_metrics *metrics;
    struct trp_backends *backends;
    struct trp_glance *glance;
    struct trp_registry *registry;
    struct trp_loop *control; /* this thread */
    struct trp_key_lists *lists;
    struct trp_directories directories;
    struct trp_route_env env;
    struct trp_cookbook_opts cookbook;
    struct trp_routing *routing;
    struct told_list refusals, doubts;
    struct trp_error error; /* of what is called back: no memory */
};

static uint64_t setting(const struct foreseer *f, enum trp_setting id)
{
    return trp_settings_u64(f->opts->settings, id);
}

/* ---- what is told ---- */

/* `text` lives in the arena; without one there was no memory for it. */
static void tell(struct foreseer *f, struct told_list *list, struct trp_str text)
{
    struct told *t = trp_arena_zeroed(f->arena, 1, sizeof *t);
    if (!t || !text.ptr) {
        (void)trp_fail(&f->error, TRP_OUT_OF_MEMORY, "what is wrong with routes");
        return;
    }
    t->it = (struct trp_foreseen){ .text = text.ptr, .is_doubt = list == &f->doubts };
    *list->end = t;
    list->end = &t->next;
    list->n++;
}

static trp_status put_together(const struct foreseer *f, struct trp_foresight *out,
                               struct trp_error *err)
{
    const struct told *const lists[] = { f->refusals.first, f->doubts.first };
    out->items =
        trp_arena_zeroed(f->arena, (size_t)f->refusals.n + f->doubts.n + 1, sizeof *out->items);
    if (!out->items)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "what is wrong with routes");
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        for (const struct told *t = lists[i]; t; t = t->next)
            out->items[out->n++] = t->it;
    return trp_ok();
}

/* A route is ready with its doubt; a composition that nobody could check is not. */
static void tell_item(struct foreseer *f, const struct trp_directory_item *item,
                      struct trp_str trouble)
{
    struct trp_target_state state = { .ready = true };
    if (item->reason.len > 0 && !trp_str_is_equal(item->reason, trouble))
        tell(f, &f->refusals, trp_arena_dup(f->arena, item->reason));
    if (item->target)
        item->target->ops->state(item->target, &state);
    if (state.reason.len > 0)
        tell(f, &f->doubts,
             trp_arena_format(f->arena, "%s '%.*s'%s: %.*s", item->kind, TRP_STR(item->name),
                              state.ready ? "" : " is not ready", TRP_STR(state.reason)));
}

static void tell_all(struct foreseer *f)
{
    const struct trp_directory *d = f->directories.newest;
    const struct trp_str trouble = trp_directory_trouble(d);
    if (trouble.len > 0)
        tell(f, &f->refusals, trp_arena_dup(f->arena, trouble));
    for (uint32_t i = 0; i < trp_directory_count(d); i++)
        tell_item(f, trp_directory_at(d, i), trouble);
}

/* ---- models ---- */

static const struct trp_repo_model *find_model(const struct foreseer *f, struct trp_str name)
{
    uint32_t first = 0, end = f->listing.models_n;
    while (first < end) {
        const uint32_t middle = first + (end - first) / 2;
        const int order = trp_str_compare(f->listing.models[middle]->name, name);
        if (order == 0)
            return f->listing.models[middle];
        if (order < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return NULL;
}

static void look_into(struct foreseer *f, const struct trp_repo_model *m, struct trp_version *v)
{
    struct trp_error why = { 0 };
    const trp_status st = trp_glance_look(f->glance, m, v, &why);
    if (st.code == TRP_OUT_OF_MEMORY)
        f->error = why;
    else if (trp_failed(st))
        tell(f, &f->doubts,
             trp_arena_format(f->arena, "model '%s' cannot be loaded: %s", v->id, why.text));
}

/* What the routing asks of life: each model that is named, once. */
static void submit(void *user, struct trp_order *order)
{
    struct foreseer *f = user;
    const struct trp_repo_model *m = find_model(f, order->model);
    const struct trp_entry *e = trp_snapshot_find(trp_registry_current(f->registry), order->model);
    if (e && e->reason)
        tell(f, &f->doubts,
             trp_arena_format(f->arena, "model '%.*s' cannot be loaded: %s", TRP_STR(e->name),
                              e->reason));
    for (uint32_t i = 0; m && e && i < e->versions_n; i++)
        look_into(f, m, e->versions[i]);
    order->done(order, order->user);
}

static void reconsider(void *user)
{
    (void)user; /* nothing is held back */
}

static trp_status make_version(struct foreseer *f, const struct trp_repo_model *m, uint32_t index,
                               struct trp_version **out_version, struct trp_error *err)
{
    const struct trp_repo_version *files = &m->versions[index];
    const struct trp_version_opts opts = { .model = m->name, .number = files->number };
    TRP_CHECK(trp_version_create(f->alloc, &opts, out_version, err));
    struct trp_version *v = *out_version;
    v->path = trp_arena_dup(&v->arena, files->path);
    v->digest = files->digest;
    v->is_cold = true;
    return v->path.ptr ? trp_ok() : trp_fail(err, TRP_OUT_OF_MEMORY, "version of a model");
}

/* Its labels are of versions that are there, or the listing would have refused it. */
static trp_status put_entry(struct foreseer *f, const struct trp_repo_model *m,
                            struct trp_version *const *versions, struct trp_error *err)
{
    const bool is_wrong = trp_failed(m->error.status);
    const struct trp_entry entry = { .name = m->name,
                                     .versions = versions,
                                     .versions_n = is_wrong ? 0 : m->versions_n,
                                     .labels = m->peek.labels,
                                     .labels_n = is_wrong ? 0 : m->peek.labels_n,
                                     .reason = is_wrong ? m->error.text : NULL };
    return trp_registry_put(f->registry, &entry, err);
}

static trp_status show_model(struct foreseer *f, const struct trp_repo_model *m,
                             struct trp_error *err)
{
    struct trp_version **versions =
        trp_arena_zeroed(f->arena, m->versions_n + (size_t)1, sizeof(struct trp_version *));
    trp_status st =
        versions ? trp_ok() : trp_fail(err, TRP_OUT_OF_MEMORY, "%u versions", m->versions_n);
    for (uint32_t i = 0; !trp_failed(st) && i < m->versions_n; i++)
        st = make_version(f, m, i, &versions[i], err);
    if (!trp_failed(st))
        st = put_entry(f, m, versions, err);
    for (uint32_t i = 0; versions && i < m->versions_n; i++)
        if (versions[i])
            trp_version_unref(versions[i]);
    return st;
}

static trp_status list_models(struct foreseer *f, struct trp_error *err)
{
    const struct trp_repo_opts opts =
        trp_listing_opts_make(f->opts->settings, f->opts->repositories, f->opts->repositories_n);
    TRP_CHECK(trp_repo_list(&opts, f->arena, &f->listing, err));
    TRP_CHECK(trp_registry_create(f->alloc, 0, &f->registry, err));
    for (uint32_t i = 0; i < f->listing.models_n; i++)
        if (!f->listing.models[i]->definition)
            TRP_CHECK(show_model(f, f->listing.models[i], err));
    return trp_ok();
}

/* ---- the routing ---- */

static trp_status make_parts(struct foreseer *f, struct trp_error *err)
{
    const struct trp_key_lists_opts lists = {
        .limits = { .keys_max = setting(f, TRP_SETTING_ID_LIST_KEYS),
                    .bytes_max = setting(f, TRP_SETTING_ID_LIST_BYTES) },
        .clock = trp_clock_system(),
    };
    const struct trp_loop_opts loop = { .name = "foresight" };
    TRP_CHECK(trp_metrics_create(f->alloc, 1, &f->metrics, err));
    const struct trp_backend_set_opts set = { .settings = f->opts->settings,
                                              .metrics = f->metrics };
    TRP_CHECK(trp_backend_set_create(f->alloc, &set, &f->backends, err));
    const struct trp_glance_opts glance = { .backends = f->backends,
                                            .metrics = f->metrics,
                                            .label_bytes_max =
                                                setting(f, TRP_SETTING_ID_FILE_BYTES) };
    TRP_CHECK(trp_glance_create(f->alloc, &glance, &f->glance, err));
    TRP_CHECK(trp_loop_create(f->alloc, &loop, &f->control, err));
    TRP_CHECK(trp_key_lists_create(f->alloc, &lists, &f->lists, err));
    return trp_directories_init(&f->directories, f->alloc, NULL, 0, f->control, err);
}

static trp_status make_routing(struct foreseer *f, struct trp_error *err)
{
    f->env = (struct trp_route_env){ .clock = trp_clock_system(), .loops_n = 1 };
    f->cookbook =
        (struct trp_cookbook_opts){ .alloc = f->alloc,
                                    .env = { .metrics = f->metrics,
                                             .clock = trp_clock_system(),
                                             .pixels_max = setting(f, TRP_SETTING_ID_IMAGE_PIXELS),
                                             .output_bytes =
                                                 setting(f, TRP_SETTING_ID_OUTPUT_BYTES) } };
    const struct trp_routing_opts opts = { .path = f->place.path,
                                           .folder = f->place.folder,
                                           .bytes_max = setting(f, TRP_SETTING_ID_FILE_BYTES),
                                           .env = &f->env,
                                           .cookbook = &f->cookbook,
                                           .lists = f->lists,
                                           .control = f->control,
                                           .directories = &f->directories,
                                           .metrics = f->metrics };
    const struct trp_routing_life life = { f, submit, reconsider };
    TRP_CHECK(trp_routing_create(f->alloc, &opts, &f->routing, err));
    trp_routing_set_life(f->routing, &life);
    return trp_ok();
}

/* A server without a file of routes has none; a path that somebody wrote is meant. */
static trp_status check_path(const struct foreseer *f, struct trp_error *err)
{
    struct trp_file_stat st;
    if (!*trp_settings_text(f->opts->settings, TRP_SETTING_ID_ROUTES_PATH))
        return trp_ok();
    return trp_file_stat(f->place.path, &st, err);
}

static trp_status run(struct foreseer *f, struct trp_error *err)
{
    TRP_CHECK(trp_routes_place_find(f->opts->settings, f->opts->repositories[0], &f->place, err));
    TRP_CHECK(check_path(f, err));
    TRP_CHECK(list_models(f, err));
    TRP_CHECK(make_parts(f, err));
    TRP_CHECK(make_routing(f, err));
    trp_routing_published(f->routing, trp_registry_publish(f->registry));
    trp_routing_listed(f->routing, &f->listing, false);
    TRP_CHECK(trp_loop_turn(f->control, 0, err)); /* lists were opened: it goes on */
    if (!f->directories.newest)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "routes and compositions");
    tell_all(f);
    if (trp_failed(f->error.status) && err)
        *err = f->error;
    return f->error.status;
}

static void end(struct foreseer *f)
{
    if (f->routing)
        trp_routing_stop(f->routing);
    trp_directories_close(&f->directories);
    trp_loop_destroy(f->control);
    if (f->directories.alloc)
        trp_directories_deinit(&f->directories);
    trp_routing_destroy(f->routing);
    trp_key_lists_destroy(f->lists);
    trp_registry_destroy(f->registry);
    trp_glance_destroy(f->glance);
    trp_backends_destroy(f->backends);
    trp_metrics_destroy(f->metrics);
}

trp_status trp_foresight_run(struct trp_foresight *out, const struct trp_alloc *alloc,
                             const struct trp_foresight_opts *opts, struct trp_error *err)
{
    struct foreseer f = { .alloc = alloc, .arena = &out->arena, .opts = opts };
    *out = (struct trp_foresight){ .n = 0 };
    trp_arena_init(&out->arena, alloc, BLOCK_BYTES, 0);
    f.refusals.end = &f.refusals.first;
    f.doubts.end = &f.doubts.first;
    trp_status st = run(&f, err);
    end(&f);
    if (!trp_failed(st))
        st = put_together(&f, out, err);
    return st;
}

void trp_foresight_deinit(struct trp_foresight *f)
{
    trp_arena_deinit(&f->arena);
}
