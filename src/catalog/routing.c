/* catalog/routing.c - see routing.h. */
#include "catalog/routing.h"

#include <stdio.h>

#include "base/file.h"
#include "base/table.h"
#include "catalog/circles.h"
#include "catalog/declared.h"
#include "catalog/known_names.h"
#include "catalog/settling.h"
#include "catalog/unloaded.h"
#include "catalog/upkeep.h"
#include "repo/digest.h"
#include "route/key_list.h"

struct look { /* a model whose files are looked into before the check */
    struct trp_order order;
    struct trp_routing *routing;
};

#define LOOKS_AT_ONCE 64u  /* compositions with each publication */
#define UNASKED UINT32_MAX /* of names_n: whatever their number, ask */

struct trp_routing {
    const struct trp_alloc *alloc;
    struct trp_routing_opts opts;
    struct trp_routing_life life;
    const struct trp_snapshot *snapshot; /* the newest; NULL: none yet */

    uint64_t taken;                        /* digest of what was read last */
    uint64_t hidden;                       /* digest of the models that a route hides */
    bool is_refused, is_at_work, is_stale; /* stale: listed again meanwhile */
    bool is_closing, is_stopped;
    struct trp_settling settling;
    struct trp_timer settle_timer;
    bool is_unsettled;           /* routes.yaml was not whole when it was looked at last */
    bool has_suspects;           /* folders, by the check at work */
    struct trp_error trouble;    /* of the last reading */
    struct trp_route_file *file; /* that serves */
    struct trp_cookbook *book;   /* the same */
    bool has_file;    /* routes.yaml serves, too: something is written there, and it was right */
    uint64_t verdict; /* of what serves: what was written, and what of it was left out, and why */
    uint32_t names_n; /* of models, when compositions were last asked whether theirs are there */

    struct trp_arena arena; /* of the reading that is at work */
    struct trp_declared declared;
    struct trp_key_reading reading; /* the files of its lists; kept open while it is at work */
    struct trp_mail reading_mail;
    struct trp_route_file *next; /* that it has read */
    struct trp_cookbook *next_book;
    struct look *looks;
    uint32_t looks_n, looks_out;

    struct trp_order rescan; /* for requests */
    bool is_rescanning;
    struct trp_routing_order *waiting, *asked; /* for the reading at work; for the next rescan */
    struct trp_routing_order *loaded; /* all its models; judged when the reading at work ends */
};

static void settle_due(struct trp_timer *timer, int64_t now_ns);

trp_status trp_routing_create(const struct trp_alloc *alloc, const struct trp_routing_opts *opts,
                              struct trp_routing **out_routing, struct trp_error *err)
{
    *out_routing = NULL;
    struct trp_routing *r = trp_alloc_zeroed(alloc, 1, sizeof *r);
    if (!r)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "routes");
    r->alloc = alloc;
    r->opts = *opts;
    r->settle_timer.due = settle_due;
    r->names_n = UNASKED;
    trp_arena_init(&r->arena, alloc, 4096, 0);
    *out_routing = r;
    return trp_ok();
}

static void drop_next(struct trp_routing *r)
{
    trp_route_file_unref(r->next);
    trp_cookbook_destroy(r->next_book);
    r->next = NULL;
    r->next_book = NULL;
}

static void drop_reading(struct trp_routing *r)
{
    drop_next(r);
    for (uint32_t i = 0; i < r->reading.paths_n; i++)
        trp_key_list_close(r->reading.lists[i]);
    r->reading = (struct trp_key_reading){ .paths = NULL };
    r->declared = (struct trp_declared){ .arena = NULL };
    r->looks = NULL;
    r->looks_n = 0;
    trp_arena_reset(&r->arena);
}

void trp_routing_destroy(struct trp_routing *r)
{
    if (!r)
        return;
    drop_reading(r);
    trp_route_file_unref(r->file);
    trp_cookbook_destroy(r->book);
    trp_arena_deinit(&r->arena);
    trp_alloc_free(r->alloc, r);
}

void trp_routing_close(struct trp_routing *r)
{
    if (r)
        r->is_closing = true;
}

void trp_routing_stop(struct trp_routing *r)
{
    if (!r)
        return;
    r->is_stopped = true;
    if (r->opts.control)
        trp_timer_disarm(r->opts.control, &r->settle_timer);
}

void trp_routing_set_life(struct trp_routing *r, const struct trp_routing_life *life)
{
    r->life = *life;
}

/* ---- the end of a reading ---- */

static void begin_rescan(struct trp_routing *r, bool is_patient);
static void look_again(struct trp_routing *r);

static void load_next(struct trp_routing_order *request);

static void loaded(struct trp_order *order, void *user)
{
    struct trp_routing_order *request = user;
    request->loaded_n++;
    if (trp_failed(order->error.status)) {
        request->error = order->error;
        request->loaded_n = request->models_n; /* without it the others do not help */
        trp_error_within(&request->error, "'%.*s'", TRP_STR(request->name));
    }
    load_next(request);
}

/* What the newest picture says of it. */
static const struct trp_directory_item *see(const struct trp_routing *r,
                                            struct trp_routing_order *request)
{
    const struct trp_directory_item *item =
        trp_directory_find(r->opts.directories->newest, request->name);
    request->is_there = item != NULL;
    request->error = item ? (struct trp_error){ 0 } : r->trouble;
    if (item && item->reason.len)
        (void)trp_fail(&request->error, TRP_INVALID_ARGUMENT, "%.*s", TRP_STR(item->reason));
    return item;
}

/* Whether its models fit is known only now, when it is known what they take. */
static void judge_load(const struct trp_routing *r, struct trp_routing_order *request)
{
    const struct trp_directory_item *item = see(r, request);
    struct trp_target_state state;
    if (!item || !item->target || trp_failed(request->error.status))
        return;
    item->target->ops->state(item->target, &state);
    if (!state.ready)
        (void)trp_fail(&request->error, TRP_INVALID_ARGUMENT, "%.*s", TRP_STR(state.reason));
}

static void judge_loaded(struct trp_routing *r)
{
    struct trp_routing_order *request = r->loaded;
    r->loaded = NULL;
    while (request) {
        struct trp_routing_order *next = request->slot;
        judge_load(r, request);
        request->done(request);
        request = next;
    }
}

static void end_load(struct trp_routing_order *request)
{
    struct trp_routing *r = request->routing;
    trp_arena_deinit(&request->arena);
    if (!request->loads || !request->is_there || trp_failed(request->error.status)) {
        request->done(request);
        return;
    }
    request->slot = r->loaded;
    r->loaded = request;
    if (!r->next) /* else what serves was not looked at again */
        judge_loaded(r);
}

static void load_next(struct trp_routing_order *request)
{
    const struct trp_routing *r = request->routing;
    if (request->loaded_n == request->models_n) {
        end_load(request);
        return;
    }
    request->load = (struct trp_order){ .kind = TRP_ORDER_LOAD,
                                        .model = request->models[request->loaded_n],
                                        .done = loaded,
                                        .user = request };
    r->life.submit(r->life.user, &request->load);
}

/* Told, or loaded first. */
static void tell(struct trp_routing *r, struct trp_routing_order *request)
{
    request->routing = r;
    request->models_n = request->loaded_n = 0;
    trp_arena_init(&request->arena, r->alloc, 1024, 0);
    if (request->loads && request->is_there && !trp_failed(request->error.status))
        request->error.status =
            trp_unloaded_find(&request->arena, r->opts.directories->newest, r->snapshot,
                              request->name, &request->models, &request->models_n, &request->error);
    load_next(request);
}

/* `failure`: the files could not even be listed; NULL: they were. */
static void answer_waiting(struct trp_routing *r, const struct trp_error *failure)
{
    struct trp_routing_order *request = r->waiting;
    r->waiting = NULL;
    while (request) {
        struct trp_routing_order *next = request->slot;
        (void)see(r, request);
        if (failure)
            request->error = *failure;
        tell(r, request);
        request = next;
    }
}

/* What they asked about was listed while an older listing was read, or somebody was writing it, and
 * not looked at: with the next one. */
static void ask_again(struct trp_routing *r)
{
    while (r->waiting) {
        struct trp_routing_order *request = r->waiting;
        r->waiting = request->slot;
        request->slot = r->asked;
        r->asked = request;
    }
}

static void settle_waiting(struct trp_routing *r, const struct trp_error *failure)
{
    if ((r->is_stale || r->is_unsettled) && !failure)
        ask_again(r);
    else
        answer_waiting(r, failure);
}

/* Loops see the old names until they have the new picture; whoever reads the index sees the
 * trouble with them. */
static void tell_trouble(struct trp_routing *r)
{
    const struct trp_directory *old = r->opts.directories->newest;
    const uint32_t n = trp_directory_count(old);
    struct trp_directory_item *items = trp_alloc_zeroed(r->alloc, (size_t)n + 1, sizeof *items);
    struct trp_directory *d = NULL;
    for (uint32_t i = 0; items && i < n; i++) {
        items[i] = *trp_directory_at(old, i);
        if (items[i].reason.len == 0 ||
            trp_str_is_equal(items[i].reason, trp_directory_trouble(old)))
            items[i].reason = trp_str_of(r->trouble.text);
    }
    if (items && !trp_failed(trp_directory_build(r->alloc, items, n, trp_str_of(r->trouble.text),
                                                 &d, NULL))) {
        if (!trp_directory_is_whole(old))
            trp_directory_mark_partial(d);
        trp_directories_publish(r->opts.directories, d);
    }
    trp_directory_unref(d);
    trp_alloc_free(r->alloc, items);
}

/* A line of the log for each of its lines, or the caret would point at nothing. */
static void log_lines(const struct trp_routing *r, enum trp_log_level level, const char *lead,
                      const char *text)
{
    for (const char *end; *text; text = *end ? end + 1 : end, lead = "") {
        end = text + strcspn(text, "\n");
        trp_log_write(r->opts.log, level, "route", "%s%.*s", lead, (int)(end - text), text);
    }
}

static void log_trouble(const struct trp_routing *r, const char *lead, const char *text)
{
    log_lines(r, TRP_LOG_ERROR, lead, text);
}

static void finish(struct trp_routing *r, const struct trp_error *err)
{
    const bool is_refused = trp_failed(err->status);
    const struct trp_error trouble = is_refused ? *err : r->declared.file_why;
    const bool is_new = strcmp(r->trouble.text, trouble.text) != 0;
    r->trouble = trouble;
    r->is_refused = is_refused || trp_declared_is_partial(&r->declared);
    r->is_at_work = false;
    drop_reading(r);
    /* Models may have become known while it was at work; and what goes on may be asked by others
     * now. */
    r->names_n = UNASKED;
    look_again(r);
    judge_loaded(r);
    if (trp_failed(trouble.status) && is_new)
        log_trouble(r,
                    r->has_file ? "routes stay as they were: "
                                : "no route or composition of the file serves: ",
                    trouble.text);
    if (is_refused && is_new)
        tell_trouble(r);
    if (r->is_refused)
        trp_metrics_add(r->opts.metrics, TRP_METRIC_ROUTES_REFUSED, 1);
    if (!r->is_rescanning) /* else the listing that they asked for is not over yet */
        settle_waiting(r, NULL);
    if (r->asked || r->is_stale)
        begin_rescan(r, !r->asked);
}

/* ---- taking it up ---- */

/* Of the reading that is at work, or else of those that serve. */
static struct trp_known_names names_of(const struct trp_routing *r)
{
    return (struct trp_known_names){ .snapshot = r->snapshot,
                                     .file = r->next ? r->next : r->file,
                                     .book = r->next ? r->next_book : r->book,
                                     .declared = &r->declared,
                                     .serving = r->opts.directories->newest,
                                     .serves = !r->next };
}

/* A route that serves does not fit a model that became known, or does by now. */
static void tell_doubt(void *user, const struct trp_router *route, const char *doubt)
{
    const struct trp_routing *r = user;
    const struct trp_str name = trp_route_plan_of(route)->name;
    char lead[320];
    (void)snprintf(lead, sizeof lead,
                   "route '%.*s' goes on, and may not fit its targets: ", TRP_STR(name));
    if (doubt)
        log_lines(r, TRP_LOG_WARNING, lead, doubt);
    else
        TRP_INFO(r->opts.log, "route", "route '%.*s' fits its targets now", TRP_STR(name));
}

/* The same of a composition, which does not go on. */
static void tell_unfit(void *user, const struct trp_error *why)
{
    log_lines(user, TRP_LOG_ERROR, "", why->text);
}

/* Somebody that it asks has left, or all are there again. */
static void tell_gone(void *user, struct trp_composition *c, const char *doubt)
{
    const struct trp_routing *r = user;
    const char *kind = trp_composition_kind(c);
    const struct trp_str name = trp_composition_target(c)->name;
    if (doubt)
        TRP_WARN(r->opts.log, "route", "%s '%.*s': %s", kind, TRP_STR(name), doubt);
    else
        TRP_INFO(r->opts.log, "route", "all that %s '%.*s' asks are there now", kind,
                 TRP_STR(name));
}

/* Of those that serve and may lose a member, for the rows of a request. */
static void tell_rows(struct trp_routing *r)
{
    for (uint32_t i = 0; i < trp_cookbook_count(r->book); i++) {
        struct trp_composition *c = trp_cookbook_at(r->book, i);
        const struct trp_str rows = trp_composition_take_rows(c);
        char lead[320];
        (void)snprintf(lead, sizeof lead, "%s '%.*s' goes on: ", trp_composition_kind(c),
                       TRP_STR(trp_composition_target(c)->name));
        if (rows.len > 0)
            log_lines(r, TRP_LOG_WARNING, lead, rows.ptr);
    }
}

/* Thousands of models that are loaded are as many publications, and compositions may ask thousands
 * of names: all of them where some may have come or gone, else the next few. */
static void look_at_members(struct trp_routing *r, const struct trp_route_check *check,
                            const struct trp_cookbook_news *news)
{
    const uint32_t names_n = r->snapshot ? trp_snapshot_count(r->snapshot) : 0;
    const bool may_be_others = names_n != r->names_n;
    r->names_n = names_n;
    trp_cookbook_look_at_members(r->book, check, news, may_be_others ? UINT32_MAX : LOOKS_AT_ONCE);
}

/* What could not be checked before, because models were not known, may be now. */
static void look_again(struct trp_routing *r)
{
    struct trp_known_names names = names_of(r);
    const struct trp_route_check check = trp_known_names_check(&names);
    if (r->next || r->is_closing) /* names are those of a reading; when it ends */
        return;
    const struct trp_cookbook_news news = { r, tell_unfit, tell_gone };
    if (r->book) {
        trp_cookbook_look_again(r->book, &check, &news);
        look_at_members(r, &check, &news);
    }
    tell_rows(r);
    if (r->file)
        trp_route_file_look_again(r->file, &check, tell_doubt, r);
}

void trp_routing_published(struct trp_routing *r, const struct trp_snapshot *snapshot)
{
    r->snapshot = snapshot;
    look_again(r);
}

/* What it brings and takes away is published before or after it. */
static void look_at_names(struct trp_routing *r)
{
    r->names_n = UNASKED;
    look_again(r);
    r->names_n = UNASKED;
}

trp_status trp_routing_fits(void *user, const struct trp_proposal *next,
                            const struct trp_proposal *now, struct trp_error *err)
{
    const struct trp_routing *r = user;
    const struct trp_known_names names = {
        .snapshot = r->snapshot, .file = r->file, .book = r->book, .proposal = next
    };
    return trp_upkeep_judge(&names, now, err);
}

bool trp_routing_is_made(void *user, struct trp_str name)
{
    const struct trp_routing *r = user;
    const struct trp_known_names names = names_of(r); /* there are none before they are read */
    return trp_directory_find(r->opts.directories->newest, name) ||
           trp_declared_find(&r->declared, name) || trp_declared_find_out(&r->declared, name) ||
           trp_refused_names_find(&r->declared.names, name) ||
           (r->next && trp_known_names_is_made(&names, name));
}

static bool is_of_file(const struct trp_routing *r, struct trp_str place)
{
    return trp_str_starts_with(place, trp_str_of(r->opts.path));
}

/* What serves under the name of a folder, and goes on when that is left out. */
static struct trp_target *kept_target(const struct trp_routing *r,
                                      const struct trp_declared_folder *folder)
{
    const struct trp_directory_item *old =
        trp_directory_find(r->opts.directories->newest, folder->name);
    return old && !is_of_file(r, old->place) ? old->target : NULL;
}

/* Of a folder that is left out: what goes on says why; else the name is there, and not ready. */
static void add_left_out(const struct trp_routing *r, struct trp_directory_item *items, uint32_t *n)
{
    const struct trp_known_names names = names_of(r);
    for (uint32_t i = 0; i < *n; i++) {
        const struct trp_declared_folder *f = trp_declared_find_out(&r->declared, items[i].name);
        if (f && items[i].target == kept_target(r, f)) /* else routes.yaml has the name */
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
    const struct trp_known_names names = names_of(r);
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

/* Neither may a model be hidden by a name that is written somewhere else, nor the other way
 * round. */
static trp_status check_models(const struct trp_routing *r, const struct trp_directory_item *items,
                               uint32_t n, struct trp_error *err)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct trp_entry *e =
            r->snapshot ? trp_snapshot_find(r->snapshot, items[i].name) : NULL;
        if (e && e->versions_n > 0 && items[i].target && is_of_file(r, items[i].place))
            return trp_fail(err, TRP_ALREADY_EXISTS,
                            "%.*s: the repository has a model '%.*s': a %s needs a name of its own",
                            TRP_STR(items[i].place), TRP_STR(items[i].name), items[i].kind);
    }
    return trp_ok();
}

static trp_status watch(const struct trp_routing *r, struct trp_str name, bool is_wanted,
                        struct trp_error *err)
{
    const struct trp_load_view *load = r->opts.env->load;
    if (is_wanted)
        return load->watch(load->user, name, err);
    load->unwatch(load->user, name);
    return trp_ok();
}

static trp_status watch_conditions(const struct trp_routing *r, const struct trp_cookbook *book,
                                   bool is_wanted, struct trp_error *err)
{
    struct trp_str name;
    for (uint32_t i = 0; i < trp_cookbook_count(book); i++) {
        uint32_t cursor = 0;
        while (trp_composition_next_load(trp_cookbook_at(book, i), &cursor, &name, NULL))
            TRP_CHECK(watch(r, name, is_wanted, err));
    }
    return trp_ok();
}

/* The load of each model that a rule or condition names is kept from now on, or is not wanted
 * any more. */
static trp_status watch_rules(const struct trp_routing *r, const struct trp_route_file *f,
                              const struct trp_cookbook *book, bool is_wanted,
                              struct trp_error *err)
{
    struct trp_str name;
    if (!r->opts.env->load)
        return trp_ok();
    for (uint32_t i = 0; f && i < trp_route_file_count(f); i++) {
        const struct trp_route_plan *p = trp_route_plan_of(trp_route_file_at(f, i));
        for (uint32_t k = 0; k < 2 * p->rules_n; k++) {
            const struct trp_route_rule *rule = &p->rules[k / 2];
            const struct trp_expr *expr = k % 2 == 0 ? rule->when : rule->sticky;
            uint32_t cursor = 0;
            while (expr && trp_expr_next_model(expr, &cursor, &name))
                TRP_CHECK(watch(r, name, is_wanted, err));
        }
    }
    return watch_conditions(r, book, is_wanted, err);
}

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
            log_trouble(r, lead, f->why.ptr);
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
    (void)watch_rules(r, r->file, r->book, false, NULL);
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

/* A folder gives way to the file, or to another folder; it is told who has its name. */
static trp_status leave_twin_out(struct trp_routing *r, const struct trp_directory_item *a,
                                 const struct trp_directory_item *b, bool *out_is_anybody_out,
                                 struct trp_error *err)
{
    struct trp_declared_folder *f = trp_declared_find(&r->declared, a->name);
    const bool is_of_a = is_of_file(r, b->place);
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

/* A check failed for a folder: the others are checked all the same.  Without memory nobody is to
 * blame. */
static bool spare(void *user, struct trp_str name, const struct trp_error *why)
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

/* Taken up, unless it fails or folders are suspected.  ALREADY_EXISTS: *out_is_anybody_out says
 * whether some folders gave way. */
static trp_status take_up(struct trp_routing *r, bool *out_is_anybody_out, struct trp_error *err)
{
    struct trp_known_names names = names_of(r);
    struct trp_route_check check = trp_known_names_check(&names);
    struct trp_directory_item *items = NULL;
    struct trp_directory *d = NULL;
    uint32_t n = 0;
    check.spare = spare;
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
        st = watch_rules(r, r->next, r->next_book, true,
                         err); /* those that were watched stay so after a failure */
        if (!trp_failed(st))
            publish(r, d, items, n);
    }
    trp_directory_unref(d);
    return st;
}

/* ---- models are looked at ---- */

static void conclude(struct trp_routing *r);

static void looked(struct trp_order *order, void *user)
{
    struct look *look = user;
    struct trp_routing *r = look->routing;
    (void)order; /* what is not there is found by the check */
    if (--r->looks_out == 0)
        conclude(r);
}

static trp_status add_look(struct trp_routing *r, struct trp_table *seen, struct trp_str name,
                           struct trp_error *err)
{
    const struct trp_known_names names = names_of(r);
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
static trp_status look_at_models(struct trp_routing *r, struct trp_error *err)
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
        conclude(r);
    return trp_ok();
}

/* ---- reading ---- */

static trp_status section(void *user, const struct trp_node *at, struct trp_route_file *file,
                          struct trp_error *err)
{
    struct trp_routing *r = user;
    return trp_cookbook_read_section(r->next_book, at, file, err);
}

/* A folder that is wrong is left out, and the others go on. */
static trp_status refused(void *user, struct trp_str name, const struct trp_error *why,
                          struct trp_error *err)
{
    struct trp_routing *r = user;
    struct trp_declared_folder *f = trp_declared_find(&r->declared, name);
    struct trp_error pointed = *why;
    trp_declared_point(&r->declared, r->opts.path, &pointed);
    if (f)
        return trp_declared_leave_out(&r->declared, f, &pointed, err);
    *err = *why;
    return why->status;
}

/* What goes on in place of folders that are left out is part of the new reading: others ask it, its
 * canaries, the load that it asks for and the versions that it needs are looked after. */
static trp_status adopt(struct trp_routing *r, struct trp_error *err)
{
    for (uint32_t i = 0; i < r->declared.folders_n; i++) {
        const struct trp_declared_folder *f = &r->declared.folders[i];
        struct trp_target *old = f->why.len ? kept_target(r, f) : NULL;
        const struct trp_known_names names = names_of(r);
        if (!old || trp_known_names_is_made(&names, f->name))
            continue;
        struct trp_router *route = trp_route_of(old);
        if (route)
            TRP_CHECK(trp_route_file_adopt(r->next, route, err));
        else
            TRP_CHECK(trp_cookbook_adopt(r->next_book, old, err));
    }
    return trp_ok();
}

static struct trp_route_file_opts file_opts(struct trp_routing *r)
{
    const bool has_file = !trp_failed(r->declared.file_why.status);
    return (struct trp_route_file_opts){ .path = r->opts.path,
                                         .text = has_file ? r->declared.text : trp_str_make("", 0),
                                         .env = r->opts.env,
                                         .lists = r->opts.lists ? &r->reading : NULL,
                                         .folder = r->opts.folder,
                                         .section = section,
                                         .refused = refused,
                                         .section_user = r };
}

static trp_status read_once(struct trp_routing *r, struct trp_error *err)
{
    const struct trp_declared *d = &r->declared;
    struct trp_route_folder *folders =
        trp_arena_zeroed(&r->arena, d->folders_n + (size_t)1, sizeof *folders);
    struct trp_route_file_opts file = file_opts(r);
    file.folders = folders;
    if (!folders)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "routes");
    for (uint32_t i = 0; i < d->folders_n; i++)
        if (d->folders[i].why.len == 0 && strcmp(d->folders[i].kind, "route") == 0)
            folders[file.folders_n++] =
                (struct trp_route_folder){ d->folders[i].name, d->folders[i].tree,
                                           d->folders[i].text };
    TRP_CHECK(trp_cookbook_create(r->opts.cookbook, &r->next_book, err));
    TRP_CHECK(trp_route_file_read(r->alloc, &file, &r->next, err));
    for (uint32_t i = 0; i < d->folders_n; i++) {
        const struct trp_declared_folder *f = &d->folders[i];
        struct trp_error why = { 0 };
        if (f->why.len > 0 || strcmp(f->kind, "route") == 0)
            continue;
        if (trp_failed(
                trp_cookbook_read_folder(r->next_book, f->name, f->tree, f->text, r->next, &why)))
            TRP_CHECK(refused(r, f->name, &why, err));
    }
    return adopt(r, err);
}

/* A model that came later: the route goes on, and whoever put the model there should know.  Told
 * once. */
static void warn_hidden(struct trp_routing *r, const struct trp_repo_listing *listing)
{
    const struct trp_directory *names = r->opts.directories->newest;
    uint64_t hidden = 0;
    for (uint32_t i = 0; i < listing->models_n; i++) {
        const struct trp_repo_model *m = listing->models[i];
        const struct trp_directory_item *item =
            m->definition ? NULL : trp_directory_find(names, m->name);
        if (item && item->target)
            hidden = trp_digest_add_str(hidden, m->name);
    }
    const bool is_new = hidden != r->hidden;
    r->hidden = hidden;
    for (uint32_t i = 0; is_new && i < listing->models_n; i++) {
        const struct trp_repo_model *m = listing->models[i];
        const struct trp_directory_item *item =
            m->definition ? NULL : trp_directory_find(names, m->name);
        if (item && item->target)
            TRP_WARN(r->opts.log, "route",
                     "model '%.*s' is not reached by its name, because a %s has it: %.*s",
                     TRP_STR(m->name), item->kind, TRP_STR(item->place));
    }
}

/* While nothing of routes.yaml serves, folders do not wait until it is right. */
static bool leave_file_out(struct trp_routing *r, struct trp_error *err)
{
    struct trp_declared *d = &r->declared;
    if (r->has_file || d->text.len == 0 || trp_failed(d->file_why.status) ||
        err->status.code == TRP_OUT_OF_MEMORY)
        return false;
    d->file_why = *err;
    *err = (struct trp_error){ 0 };
    for (uint32_t i = 0; i < d->folders_n; i++) /* that gave way to it, or asked it in vain */
        d->folders[i].why = (struct trp_str){ NULL, 0 };
    return true;
}

static trp_status read_all(struct trp_routing *r, struct trp_error *err)
{
    trp_status st;
    do {
        drop_next(r);
        st = read_once(r, err);
        trp_declared_point(&r->declared, r->opts.path, err);
    } while (trp_failed(st) && leave_file_out(r, err));
    return st;
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
static void leave_suspects_out(struct trp_routing *r)
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

static void forget_suspects(struct trp_routing *r)
{
    for (uint32_t i = 0; i < r->declared.folders_n; i++)
        r->declared.folders[i].suspicion = (struct trp_str){ NULL, 0 };
    r->has_suspects = false;
}

/* True: it is taken up, or nobody can help it. */
static bool conclude_once(struct trp_routing *r, struct trp_error *err)
{
    bool is_anybody_out = false;
    const trp_status st = take_up(r, &is_anybody_out, err);
    trp_declared_point(&r->declared, r->opts.path, err);
    const bool goes_on = st.code == TRP_ALREADY_EXISTS && is_anybody_out;
    if (trp_failed(st) && !goes_on && !leave_file_out(r, err))
        return true;
    if (!trp_failed(st) && !r->has_suspects)
        return true;
    if (!trp_failed(st))
        leave_suspects_out(r);
    forget_suspects(r);
    *err = (struct trp_error){ 0 };
    return trp_failed(read_all(r, err));
}

static void conclude(struct trp_routing *r)
{
    struct trp_error err = { 0 };
    while (!conclude_once(r, &err))
        ;
    forget_suspects(r);
    finish(r, &err);
}

static void read_files(struct trp_routing *r)
{
    struct trp_error err = { 0 };
    trp_status st = read_all(r, &err);
    if (!trp_failed(st))
        st = look_at_models(r, &err);
    if (trp_failed(st))
        finish(r, &err);
}

static void lists_are_here(struct trp_mail *mail)
{
    struct trp_routing *r = TRP_CONTAINER_OF(mail, struct trp_routing, reading_mail);
    if (!r->is_stopped)
        read_files(r);
}

/* On the thread of the lists. */
static void lists_are_open(struct trp_key_reading *reading)
{
    struct trp_routing *r = TRP_CONTAINER_OF(reading, struct trp_routing, reading);
    trp_loop_post(r->opts.control, &r->reading_mail);
}

/* Whatever serves goes on meanwhile, and so does the control thread. */
static trp_status open_lists(struct trp_routing *r, struct trp_error *err)
{
    const struct trp_route_file_opts file = file_opts(r);
    const char *const *paths = NULL;
    uint32_t n = 0;
    if (r->opts.lists)
        TRP_CHECK(trp_route_file_list_paths(&file, &r->arena, &paths, &n, err));
    if (n == 0) {
        read_files(r);
        return trp_ok();
    }
    r->reading = (struct trp_key_reading){ .paths = paths, .done = lists_are_open };
    r->reading.lists = trp_arena_zeroed(&r->arena, n, sizeof(struct trp_key_list *));
    r->reading.errors = trp_arena_zeroed(&r->arena, n, sizeof *r->reading.errors);
    if (!r->reading.lists || !r->reading.errors)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "routes: %u lists", n);
    r->reading.paths_n = n;
    r->reading_mail.deliver = lists_are_here;
    trp_key_lists_read(r->opts.lists, &r->reading);
    return trp_ok();
}

static void begin(struct trp_routing *r, const struct trp_repo_listing *listing,
                  struct trp_str text)
{
    struct trp_error err = { 0 };
    r->is_at_work = true;
    trp_status st = trp_declared_copy(&r->declared, &r->arena, listing, text, &err);
    if (!trp_failed(st) && !r->has_file)
        st = trp_declared_read_names(&r->declared, listing, &err);
    if (!trp_failed(st))
        st = open_lists(r, &err);
    if (trp_failed(st))
        finish(r, &err);
}

/* ---- what is found ---- */

/* Names that routes.yaml declares, and that answer. */
static uint32_t count_served(const struct trp_routing *r)
{
    const struct trp_directory *names = r->opts.directories->newest;
    uint32_t served_n = 0;
    for (uint32_t i = 0; i < trp_directory_count(names); i++) {
        const struct trp_directory_item *item = trp_directory_at(names, i);
        served_n += item->target && is_of_file(r, item->place);
    }
    return served_n;
}

/* NULL: there is no file. */
static enum trp_settling_verdict judge(struct trp_routing *r, const char *text, size_t len,
                                       bool is_watched)
{
    const bool can_wait = r->opts.clock && r->opts.control;
    const uint32_t served_n = count_served(r);
    const struct trp_settling_look look = { .text = trp_str_make(text ? text : "", len),
                                            .is_there = text != NULL,
                                            .serves = served_n > 0,
                                            .is_patient = is_watched,
                                            .settle_ns = can_wait ? r->opts.settle_ns : 0,
                                            .now_ns =
                                                can_wait ? trp_clock_now_ns(r->opts.clock) : 0 };
    const enum trp_settling_verdict verdict = trp_settling_judge(&r->settling, &look);
    if (verdict == TRP_SETTLING_TAKE && !text && served_n > 0)
        TRP_WARN(r->opts.log, "route",
                 "%s is not there any more, and the names that it declared (%u) go with it",
                 r->opts.path, served_n);
    return verdict;
}

/* Whoever is at work on the file has this much time until somebody looks again. */
static void wait_for_file(struct trp_routing *r)
{
    const int64_t due_ns = trp_clock_now_ns(r->opts.clock) + r->opts.settle_ns;
    struct trp_error err = { 0 };
    r->is_unsettled = true;
    if (!r->settle_timer.slot &&
        trp_failed(trp_timer_arm(r->opts.control, &r->settle_timer, due_ns, &err)))
        TRP_WARN(r->opts.log, "route", "%s is read with the next look at the repository only: %s",
                 r->opts.path, err.text);
}

/* It cannot be read, or has nothing in it; what serves goes on. */
static void refuse_file(struct trp_routing *r, const struct trp_error *err)
{
    r->is_at_work = true;
    r->taken = 0;
    finish(r, err);
}

static void take_file(struct trp_routing *r, const struct trp_repo_listing *listing,
                      struct trp_str written)
{
    const uint64_t digest = trp_declared_digest(r->alloc, listing, written);
    if (digest == r->taken && !r->is_refused)
        return;
    r->taken = digest;
    begin(r, listing, written);
}

void trp_routing_listed(void *user, const struct trp_repo_listing *listing, bool is_watched)
{
    struct trp_routing *r = user;
    struct trp_error err = { 0 };
    char *text = NULL;
    size_t len = 0;
    if (r->is_stopped)
        return;
    look_at_names(r);
    if (r->is_at_work) {
        r->is_stale = true; /* the next listing finds the difference */
        return;
    }
    r->is_stale = false; /* this is the next one */
    r->is_unsettled = false;
    const trp_status st =
        trp_file_read(r->alloc, r->opts.path, (size_t)r->opts.bytes_max, &text, &len, &err);
    if (trp_failed(st) && st.code != TRP_NOT_FOUND) {
        refuse_file(r, &err);
        return;
    }
    warn_hidden(r, listing);
    switch (judge(r, text, len, is_watched)) {
    case TRP_SETTLING_TAKE:
        take_file(r, listing, trp_str_make(text ? text : "", len));
        break;
    case TRP_SETTLING_WAIT:
        wait_for_file(r);
        break;
    case TRP_SETTLING_REFUSE:
        (void)trp_fail(&err, TRP_INVALID_ARGUMENT,
                       "%s is empty; `routes: {}` in it says that there are none, and so does its "
                       "absence",
                       r->opts.path);
        refuse_file(r, &err);
        break;
    }
    trp_alloc_free(r->alloc, text);
}

/* ---- requests ---- */

static void rescanned(struct trp_order *order, void *user)
{
    struct trp_routing *r = user;
    r->is_rescanning = false;
    if (!r->is_at_work)
        settle_waiting(r, trp_failed(order->error.status) ? &order->error : NULL);
    if (!r->is_at_work && ((r->asked && !r->is_unsettled) || r->is_stale))
        begin_rescan(r, !r->asked);
    if (r->is_unsettled && !r->is_stopped) /* the timer may have found this one at work */
        wait_for_file(r);
}

static void begin_rescan(struct trp_routing *r, bool is_patient)
{
    if (r->is_rescanning || r->is_at_work)
        return;
    r->waiting = r->asked;
    r->asked = NULL;
    r->is_stale = false;
    r->is_rescanning = true;
    r->rescan = (struct trp_order){
        .kind = TRP_ORDER_RESCAN, .is_patient = is_patient, .done = rescanned, .user = r
    };
    r->life.submit(r->life.user, &r->rescan);
}

void trp_routing_reload(struct trp_routing *r, struct trp_routing_order *request)
{
    request->slot = r->asked;
    r->asked = request;
    begin_rescan(r, false);
}

/* Who asked has waited so far; what is found now has to settle as if nobody had asked. */
static void settle_due(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_routing *r = TRP_CONTAINER_OF(timer, struct trp_routing, settle_timer);
    (void)now_ns;
    begin_rescan(r, true);
}
