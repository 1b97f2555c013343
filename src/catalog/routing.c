/* catalog/routing.c - see routing.h.
 *
 * The way of a listing, from the first look at it to the end of its reading; steps that are long
 * have files of their own (routing_parts.h):
 *
 *   trp_routing_listed ──► begin ──► open lists ──► read ──► look at models ──► conclude ──► finish
 *     │                              reading.c   reading.c   looks.c     uptake.c, suspects.c    ▲
 *     └─► not whole: wait                           └─► wrong ───────────────────────────────────┘ */
#include "catalog/routing_parts.h"

#include "base/file.h"
#include "catalog/upkeep.h"
#include "repo/digest.h"

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
    r->names_n = TRP_ROUTING_UNASKED;
    trp_arena_init(&r->arena, alloc, 4096, 0);
    const trp_status st = trp_settled_folders_create(alloc, &r->folders, err);
    if (trp_failed(st)) {
        trp_routing_destroy(r);
        return st;
    }
    *out_routing = r;
    return st;
}

static void drop_reading(struct trp_routing *r)
{
    trp_reading_drop(r);
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
    trp_settled_folders_destroy(r->folders);
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

/* ---- what is found ---- */

static void begin(struct trp_routing *r, const struct trp_repo_listing *listing,
                  struct trp_str text);
static void finish(struct trp_routing *r, const struct trp_error *err);

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

/* Names that routes.yaml declares, and that answer. */
static uint32_t count_served(const struct trp_routing *r)
{
    const struct trp_directory *names = r->opts.directories->newest;
    uint32_t served_n = 0;
    for (uint32_t i = 0; i < trp_directory_count(names); i++) {
        const struct trp_directory_item *item = trp_directory_at(names, i);
        served_n += item->target && trp_routing_is_of_file(r, item->place);
    }
    return served_n;
}

static int64_t settle_ns(const struct trp_routing *r)
{
    return r->opts.clock && r->opts.control ? r->opts.settle_ns : 0;
}

static int64_t settle_now_ns(const struct trp_routing *r)
{
    return settle_ns(r) > 0 ? trp_clock_now_ns(r->opts.clock) : 0;
}

/* NULL: there is no file. */
static enum trp_settling_verdict judge(struct trp_routing *r, const char *text, size_t len,
                                       bool is_watched)
{
    const uint32_t served_n = count_served(r);
    const struct trp_settling_look look = { .text = trp_str_make(text ? text : "", len),
                                            .is_there = text != NULL,
                                            .serves = served_n > 0,
                                            .is_patient = is_watched,
                                            .settle_ns = settle_ns(r),
                                            .now_ns = settle_now_ns(r) };
    const enum trp_settling_verdict verdict = trp_settling_judge(&r->settling, &look);
    if (verdict == TRP_SETTLING_TAKE && !text && served_n > 0)
        TRP_WARN(r->opts.log, "route",
                 "%s is not there any more, and the names that it declared (%u) go with it",
                 r->opts.path, served_n);
    return verdict;
}

/* Whoever is at work on what waits has this much time until somebody looks again. */
static void look_later(struct trp_routing *r)
{
    struct trp_error err = { 0 };
    if ((!r->is_unsettled && !r->has_unsettled) || r->is_stopped || r->settle_timer.slot)
        return;
    const int64_t due_ns = trp_clock_now_ns(r->opts.clock) + r->opts.settle_ns;
    if (trp_failed(trp_timer_arm(r->opts.control, &r->settle_timer, due_ns, &err)))
        TRP_WARN(r->opts.log, "route",
                 "%s and folders that have changed are read with the next look at the repository "
                 "only: %s",
                 r->opts.path, err.text);
}

/* What the folders declare, those that wait as they were. */
static trp_status settle_folders(struct trp_routing *r, const struct trp_repo_listing *found,
                                 bool is_watched, struct trp_repo_listing *out_listing,
                                 struct trp_error *err)
{
    const struct trp_settled_folders_look look = { .listing = found,
                                                   .is_patient = is_watched,
                                                   .settle_ns = settle_ns(r),
                                                   .now_ns = settle_now_ns(r) };
    return trp_settled_folders_look(r->folders, &look, out_listing, &r->has_unsettled, err);
}

/* The file cannot be read, or has nothing in it; what serves goes on. */
static void refuse(struct trp_routing *r, const struct trp_error *err)
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

static void look_at_file(struct trp_routing *r, const struct trp_repo_listing *listing,
                         bool is_watched)
{
    struct trp_error err = { 0 };
    char *text = NULL;
    size_t len = 0;
    r->is_unsettled = false;
    const trp_status st =
        trp_file_read(r->alloc, r->opts.path, (size_t)r->opts.bytes_max, &text, &len, &err);
    if (trp_failed(st) && st.code != TRP_NOT_FOUND) {
        refuse(r, &err);
        return;
    }
    warn_hidden(r, listing);
    switch (judge(r, text, len, is_watched)) {
    case TRP_SETTLING_TAKE:
        take_file(r, listing, trp_str_make(text ? text : "", len));
        break;
    case TRP_SETTLING_WAIT:
        r->is_unsettled = true;
        break;
    case TRP_SETTLING_REFUSE:
        (void)trp_fail(&err, TRP_INVALID_ARGUMENT,
                       "%s is empty; `routes: {}` in it says that there are none, and so does its "
                       "absence",
                       r->opts.path);
        refuse(r, &err);
        break;
    }
    trp_alloc_free(r->alloc, text);
}

void trp_routing_listed(void *user, const struct trp_repo_listing *listing, bool is_watched)
{
    struct trp_routing *r = user;
    struct trp_repo_listing settled;
    struct trp_error err = { 0 };
    if (r->is_stopped)
        return;
    trp_doubts_look_at_names(r);
    if (r->is_at_work) {
        r->is_stale = true; /* the next listing finds the difference */
        return;
    }
    r->is_stale = false; /* this is the next one */
    if (trp_failed(settle_folders(r, listing, is_watched, &settled, &err)))
        refuse(r, &err);
    else
        look_at_file(r, &settled, is_watched);
    look_later(r);
}

/* ---- a reading, from beginning to end ---- */

static void begin(struct trp_routing *r, const struct trp_repo_listing *listing,
                  struct trp_str text)
{
    struct trp_error err = { 0 };
    r->is_at_work = true;
    trp_status st = trp_declared_copy(&r->declared, &r->arena, listing, text, &err);
    if (!trp_failed(st) && !r->has_file)
        st = trp_declared_read_names(&r->declared, listing, &err);
    if (!trp_failed(st))
        st = trp_reading_open_lists(r, &err);
    if (trp_failed(st))
        finish(r, &err);
}

void trp_routing_read(struct trp_routing *r)
{
    struct trp_error err = { 0 };
    trp_status st = trp_reading_read(r, &err);
    if (!trp_failed(st))
        st = trp_looks_begin(r, &err);
    if (trp_failed(st))
        finish(r, &err);
}

/* True: it is taken up, or nobody can help it. */
static bool conclude_once(struct trp_routing *r, struct trp_error *err)
{
    bool is_anybody_out = false;
    const trp_status st = trp_uptake_try(r, &is_anybody_out, err);
    trp_declared_point(&r->declared, r->opts.path, err);
    const bool goes_on = st.code == TRP_ALREADY_EXISTS && is_anybody_out;
    if (trp_failed(st) && !goes_on && !trp_reading_leave_file_out(r, err))
        return true;
    if (!trp_failed(st) && !r->has_suspects)
        return true;
    if (!trp_failed(st))
        trp_suspects_leave_out(r);
    trp_suspects_forget(r);
    *err = (struct trp_error){ 0 };
    return trp_failed(trp_reading_read(r, err));
}

void trp_routing_conclude(struct trp_routing *r)
{
    struct trp_error err = { 0 };
    while (!conclude_once(r, &err))
        ;
    trp_suspects_forget(r);
    finish(r, &err);
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
    r->names_n = TRP_ROUTING_UNASKED;
    trp_doubts_look(r);
    trp_askers_judge_loaded(r);
    if (trp_failed(trouble.status) && is_new)
        trp_routing_log(r, TRP_LOG_ERROR,
                        r->has_file ? "routes stay as they were: "
                                    : "no route or composition of the file serves: ",
                        trouble.text);
    if (is_refused && is_new)
        tell_trouble(r);
    if (r->is_refused)
        trp_metrics_add(r->opts.metrics, TRP_METRIC_ROUTES_REFUSED, 1);
    if (!r->is_rescanning) /* else the listing that they asked for is not over yet */
        trp_askers_settle(r, NULL);
    if (r->asked || r->is_stale)
        trp_routing_rescan(r, !r->asked);
    look_later(r); /* the timer may have found this one at work */
}

/* ---- what its other files use ---- */

struct trp_known_names trp_routing_names(const struct trp_routing *r)
{
    return (struct trp_known_names){ .snapshot = r->snapshot,
                                     .file = r->next ? r->next : r->file,
                                     .book = r->next ? r->next_book : r->book,
                                     .declared = &r->declared,
                                     .serving = r->opts.directories->newest,
                                     .serves = !r->next };
}

bool trp_routing_is_of_file(const struct trp_routing *r, struct trp_str place)
{
    return trp_str_starts_with(place, trp_str_of(r->opts.path));
}

void trp_routing_log(const struct trp_routing *r, enum trp_log_level level, const char *lead,
                     const char *text)
{
    for (const char *end; *text; text = *end ? end + 1 : end, lead = "") {
        end = text + strcspn(text, "\n");
        trp_log_write(r->opts.log, level, "route", "%s%.*s", lead, (int)(end - text), text);
    }
}

/* ---- what others ask of it ---- */

void trp_routing_published(struct trp_routing *r, const struct trp_snapshot *snapshot)
{
    r->snapshot = snapshot;
    trp_doubts_look(r);
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
    const struct trp_known_names names =
        trp_routing_names(r); /* there are none before they are read */
    return trp_directory_find(r->opts.directories->newest, name) ||
           trp_declared_find(&r->declared, name) || trp_declared_find_out(&r->declared, name) ||
           trp_refused_names_find(&r->declared.names, name) ||
           (r->next && trp_known_names_is_made(&names, name));
}

/* ---- requests ---- */

static void rescanned(struct trp_order *order, void *user)
{
    struct trp_routing *r = user;
    r->is_rescanning = false;
    if (!r->is_at_work)
        trp_askers_settle(r, trp_failed(order->error.status) ? &order->error : NULL);
    if (!r->is_at_work && ((r->asked && !r->is_unsettled) || r->is_stale))
        trp_routing_rescan(r, !r->asked);
    look_later(r); /* the timer may have found this one at work */
}

void trp_routing_rescan(struct trp_routing *r, bool is_patient)
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
    trp_routing_rescan(r, false);
}

/* Who asked has waited so far; what is found now has to settle as if nobody had asked. */
static void settle_due(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_routing *r = TRP_CONTAINER_OF(timer, struct trp_routing, settle_timer);
    (void)now_ns;
    trp_routing_rescan(r, true);
}
