/* life/life.c - see life.h
 *
 * Problem: models come, change and go while requests run, and loading one may take minutes, fail,
 * or never end.  The request side must not notice, and an operator must be able to say "load this"
 * and know, when the answer comes, that it holds.
 *
 * Design: one control thread owns every decision (life_parts.h says which file decides what),
 * loader threads do what blocks. They share nothing but jobs that move back and forth whole.
 *
 *  1. A model's ops are done one after the other; different models do not wait for each other.
 *  2. A change is published as one snapshot: old versions or new ones, never a mixture.
 *  3. An order is answered when every reader has seen the snapshot that holds its result: whoever
 *     was told "loaded" finds the model on each connection, and after "unloaded" no request begins
 *     on it.
 *  4. A version is closed when its last owner has gone, on a loader thread.
 *  5. Failure of one thing is that thing's: it is in the index, the log and the answer, and changes
 *     nothing else.
 *
 *   repository ─ rescan ─► member ─ change ─► registry ─ publish ─► loops
 *   operator ── order ────►  │                                        │ seen
 *                            └─ tenure (close, free) ◄── last unref ──┘ */
#include "life/life.h"

#include "base/map_loss.h"
#include "life/demand.h"
#include "life/heat.h"
#include "life/labelling.h"
#include "life/life_parts.h"
#include "life/preparer.h"
#include "life/rescan.h"
#include "life/steward.h"
#include "life/trimmer.h"
#include "life/verifier.h"
#include "life/watcher.h"

#define LAZY_NS TRP_MS(25)
#define WATCHED_MAX 60u                      /* repositories, of TRP_MAP_LOSS_FOLDERS */
#define OUTPUT_BYTES_MAX ((uint64_t)1 << 30) /* of a warm-up run */

/* ---- publishing and answering ---- */

static void answer_up_to(struct trp_life *l, uint64_t seen)
{
    while (l->answers && l->answers->epoch && l->answers->epoch <= seen) {
        struct trp_order *order = l->answers;
        l->answers = order->next;
        if (!l->answers)
            l->answers_end = &l->answers;
        order->done(order, order->user); /* the order is its owner's again */
    }
}

static void answer_due(struct trp_life *l)
{
    answer_up_to(l, trp_registry_oldest_seen(l->registry));
}

/* What could not be shown, or forgotten, for lack of memory. */
static void show_stale(struct trp_life *l)
{
    for (struct trp_member *m = l->members, *next; m && l->stale_n; m = next) {
        next = m->next;
        if (!m->is_stale)
            continue;
        m->is_stale = false;
        l->stale_n--;
        trp_life_show(m, true);
        trp_member_tidy(m); /* m may be gone now */
    }
}

static void publish(struct trp_task *task)
{
    struct trp_life *l = TRP_CONTAINER_OF(task, struct trp_life, publish_task);
    trp_timer_disarm(l->opts.control, &l->lazy_timer);
    show_stale(l);
    if (l->is_dirty) {
        l->is_dirty = false;
        const struct trp_snapshot *before = trp_registry_current(l->registry);
        const struct trp_snapshot *s = trp_registry_publish(l->registry);
        if (l->opts.publish && s != before)
            l->opts.publish(l->opts.publish_user, s);
    }
    const uint64_t epoch = trp_snapshot_epoch(trp_registry_current(l->registry));
    for (struct trp_order *o = l->answers; o && !l->stale_n; o = o->next)
        if (o->epoch == 0)
            o->epoch = epoch;
    answer_due(l);
}

static void publish_soon(struct trp_life *l)
{
    trp_loop_ready(l->opts.control, &l->publish_task);
}

static void lazy_due(struct trp_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    publish_soon(TRP_CONTAINER_OF(timer, struct trp_life, lazy_timer));
}

static void changed(struct trp_life *l, bool lazy)
{
    struct trp_loop *control = l->opts.control;
    l->is_dirty = true;
    if (lazy && l->lazy_timer.slot)
        return;
    if (!lazy || trp_failed(trp_timer_arm(control, &l->lazy_timer,
                                          trp_loop_now_ns(control) + LAZY_NS, NULL)))
        publish_soon(l);
}

static void show_later(struct trp_member *m)
{
    m->life->stale_n += !m->is_stale;
    m->is_stale = true;
    changed(m->life, true);
}

void trp_life_show(struct trp_member *m, bool lazy)
{
    struct trp_life *l = m->life;
    struct trp_error err;
    const struct trp_set *set = m->serving.n ? &m->serving : &m->shown;
    struct trp_version_label labels[TRP_VERSION_LABELS_MAX];
    const struct trp_entry entry = { .labels = labels,
                                     .labels_n = trp_labelling_shown(m, labels),
                                     .name = m->name,
                                     .versions_n = set->n,
                                     .versions = set->items,
                                     .reason = m->reason,
                                     .wanted = m->wanted,
                                     .is_unloaded = m->held_back && !m->is_refused };
    if (!trp_failed(trp_registry_put(l->registry, &entry, &err))) {
        changed(l, lazy);
        return;
    }
    TRP_ERROR_LOG(l->opts.log, "life", "'%.*s' is not shown as it is: %s", TRP_STR(m->name),
                  err.text);
    show_later(m);
}

bool trp_life_hide(struct trp_member *m)
{
    struct trp_life *l = m->life;
    struct trp_error err;
    if (!trp_failed(trp_registry_remove(l->registry, m->name, &err))) {
        changed(l, false);
        return true;
    }
    TRP_ERROR_LOG(l->opts.log, "life", "'%.*s' stays in the index: %s", TRP_STR(m->name), err.text);
    show_later(m);
    return false;
}

void trp_life_answer(struct trp_life *l, struct trp_order *order)
{
    order->next = NULL;
    order->epoch = 0;
    *l->answers_end = order;
    l->answers_end = &order->next;
    publish_soon(l);
}

void trp_life_seen(struct trp_life *l, uint32_t index, uint64_t epoch)
{
    trp_registry_seen(l->registry, index, epoch);
    answer_due(l);
}

/* ---- orders ---- */

static void refuse_order(struct trp_life *l, struct trp_order *order, enum trp_code code,
                         const char *words)
{
    (void)trp_fail(&order->error, code, "%s", words);
    trp_life_answer(l, order);
}

/* There is no place for one more name: because of the limit, or for lack of memory. */
static void refuse_member(struct trp_life *l, struct trp_order *order)
{
    if (trp_table_count(l->names) < l->opts.repo.models_max) {
        refuse_order(l, order, TRP_OUT_OF_MEMORY, "no memory for one more model");
        return;
    }
    trp_metrics_add(l->opts.metrics, TRP_METRIC_LIMIT_MODELS, 1);
    refuse_order(l, order, TRP_TOO_LARGE, "no room for one more model (limits.models)");
}

static void survey(struct trp_life *l, struct trp_order *order)
{
    struct trp_member *m = trp_member_get(l, order->model);
    if (m)
        trp_survey_await(m, order);
    else
        trp_life_answer(l, order); /* whoever asked finds that it is not there */
}

void trp_life_submit(struct trp_life *l, struct trp_order *order)
{
    order->error = (struct trp_error){ 0 };
    if (l->is_stopping) {
        refuse_order(l, order, TRP_UNAVAILABLE, "the server is stopping");
        return;
    }
    if (order->kind == TRP_ORDER_RESCAN) {
        trp_rescan_begin(l, order->is_patient, order);
        return;
    }
    if (order->model.len == 0) {
        refuse_order(l, order, TRP_INVALID_ARGUMENT, "a model's name may not be empty");
        return;
    }
    if (order->kind == TRP_ORDER_SURVEY) {
        survey(l, order);
        return;
    }
    const bool is_load = order->kind == TRP_ORDER_LOAD;
    struct trp_member *m =
        is_load ? trp_member_make(l, order->model) : trp_member_get(l, order->model);
    const bool is_unload = order->kind == TRP_ORDER_UNLOAD;
    if (!m && !is_load && !is_unload) {
        (void)trp_fail(&order->error, TRP_NOT_FOUND,
                       "Request for unknown model: '%.*s' is not found", TRP_STR(order->model));
        trp_life_answer(l, order);
        return;
    }
    if (!m && is_unload) {
        trp_life_answer(l, order); /* what is not there is unloaded */
        return;
    }
    if (!m) {
        refuse_member(l, order);
        return;
    }
    const struct trp_op op = { .kind = is_load                          ? TRP_OP_LOAD
                                       : is_unload                      ? TRP_OP_UNLOAD
                                       : order->kind == TRP_ORDER_LABEL ? TRP_OP_LABEL
                                                                        : TRP_OP_KEEP,
                               .order = order };
    (void)trp_member_push(m, &op);
}

/* Only where something serves: whatever is loaded by a call is looked at then. */
void trp_life_reconsider(struct trp_life *l)
{
    struct trp_member *next;
    for (struct trp_member *m = l->members; m && !l->is_stopping; m = next) {
        const struct trp_op op = { .kind = TRP_OP_LOAD };
        next = m->next;
        if (!m->is_unfit || m->serving.n == 0)
            continue;
        m->is_unfit = false;
        (void)trp_member_push(m, &op);
    }
}

/* ---- the start and the end ---- */

static void tell_stopped(struct trp_task *task)
{
    struct trp_life *l = TRP_CONTAINER_OF(task, struct trp_life, stopped_task);
    void (*stopped)(void *user) = l->stopped;
    l->stopped = NULL;
    answer_up_to(l, UINT64_MAX); /* nobody is left behind, whatever the readers have seen */
    if (stopped)
        stopped(l->stopped_user);
}

void trp_life_check(struct trp_life *l)
{
    if (l->has_listed && l->first_n == 0)
        trp_flag_raise(&l->started);
    if (l->unsettled_n == 0)
        trp_flag_raise(&l->settled);
    else
        trp_flag_lower(&l->settled);
    if (l->is_stopping && !l->members && l->versions_n == 0 && !l->is_listing &&
        !trp_loaders_are_busy(l->loaders) && !trp_preparer_is_busy(l) &&
        !trp_verifier_is_busy(l->verifier) &&
        !(l->residence && trp_residence_is_busy(l->residence)))
        trp_loop_ready(l->opts.control, &l->stopped_task);
}

static void loaders_idle(void *user)
{
    trp_life_check(user);
}

static void first_is_listed(struct trp_order *order, void *user)
{
    struct trp_life *l = user;
    (void)order; /* whether it went well or not, which was logged */
    trp_flag_raise(&l->listed);
}

void trp_life_start(struct trp_life *l)
{
    trp_watcher_start(l->watcher);
    trp_trimmer_start(l);
    trp_verifier_start(l->verifier);
    trp_heat_start(l);
    l->first_listing =
        (struct trp_order){ .kind = TRP_ORDER_RESCAN, .done = first_is_listed, .user = l };
    trp_rescan_begin(l, false, &l->first_listing);
}

bool trp_life_is_started(const struct trp_life *l)
{
    return trp_flag_is_up(&l->started);
}

bool trp_life_is_listed(const struct trp_life *l)
{
    return trp_flag_is_up(&l->listed);
}

bool trp_life_is_settled(const struct trp_life *l)
{
    return trp_flag_is_up(&l->started) && trp_flag_is_up(&l->settled);
}

void trp_life_stop(struct trp_life *l, void (*done)(void *user), void *user)
{
    static const struct trp_error stopping = { .status = { TRP_UNAVAILABLE },
                                               .text = "the server is stopping" };
    l->stopped = done;
    l->stopped_user = user;
    if (l->is_stopping)
        return;
    l->is_stopping = true;
    trp_watcher_stop(l->watcher);
    trp_trimmer_stop(l);
    trp_preparer_stop(l);
    if (l->residence)
        trp_residence_close(l->residence);
    trp_verifier_stop(l->verifier);
    trp_heat_stop(l);
    while (l->rescans) {
        struct trp_order *order = l->rescans;
        l->rescans = order->next;
        order->error = stopping;
        trp_life_answer(l, order);
    }
    l->rescans_end = &l->rescans;
    for (struct trp_member *m = l->members, *next; m; m = next) {
        next = m->next;
        trp_member_stop(m);
    }
    trp_life_check(l);
}

static void init_fields(struct trp_life *l, const struct trp_alloc *alloc,
                        const struct trp_life_opts *opts)
{
    l->alloc = alloc;
    l->opts = *opts;
    l->env = (struct trp_loading_env){ .backends = opts->backends,
                                       .store = opts->store,
                                       .log = opts->log,
                                       .metrics = opts->metrics,
                                       .matched = &l->matched,
                                       .admission = trp_exec_admission(opts->exec),
                                       .exec = opts->exec,
                                       .clock = opts->clock,
                                       .label_bytes_max = opts->repo.config_bytes_max,
                                       .input_bytes_max = opts->warmup_input_bytes_max,
                                       .output_bytes_max = OUTPUT_BYTES_MAX,
                                       .run_bytes_max = opts->run_bytes_max };
    l->surveys_end = &l->surveys;
    l->backlog_end = &l->backlog;
    l->answers_end = &l->answers;
    l->rescans_end = &l->rescans;
    l->listings_end = &l->listings;
    l->publish_task.run = publish;
    l->lazy_timer.due = lazy_due;
    l->stopped_task.run = tell_stopped;
}

/* Whoever cuts a file short that a model has mapped harms that model, not the server. */
static bool watch_folder(const struct trp_life *l, const char *folder)
{
    struct trp_error err;
    const bool is_watched = !trp_failed(trp_map_loss_watch(folder, &err));
    if (!is_watched)
        TRP_WARN(l->opts.log, "life",
                 "a file that is cut short while it is used ends the server: %s", err.text);
    return is_watched;
}

static const char *repository_at(const struct trp_life *l, uint32_t i)
{
    return i == 0 ? l->opts.repo.path : l->opts.repo.further[i - 1];
}

static uint32_t repositories_n(const struct trp_life *l)
{
    const uint32_t n = l->opts.repo.path ? l->opts.repo.further_n + 1 : 0;
    return n < WATCHED_MAX ? n : WATCHED_MAX;
}

static void watch_folders(struct trp_life *l)
{
    char blobs[TRP_STORE_PATH_MAX];
    if (l->opts.store && trp_store_part(l->opts.store, "blobs", NULL, blobs))
        l->watches_blobs = watch_folder(l, blobs);
    for (uint32_t i = 0; i < repositories_n(l); i++)
        l->watches_repositories |= (uint64_t)watch_folder(l, repository_at(l, i)) << i;
}

static void unwatch_folders(const struct trp_life *l)
{
    char blobs[TRP_STORE_PATH_MAX];
    if (l->watches_blobs && trp_store_part(l->opts.store, "blobs", NULL, blobs))
        trp_map_loss_unwatch(blobs);
    for (uint32_t i = 0; i < repositories_n(l); i++)
        if (l->watches_repositories >> i & 1)
            trp_map_loss_unwatch(repository_at(l, i));
}

trp_status trp_life_create(const struct trp_alloc *alloc, const struct trp_life_opts *opts,
                           struct trp_life **out_life, struct trp_error *err)
{
    *out_life = NULL;
    struct trp_life *l = trp_alloc_zeroed(alloc, 1, sizeof *l);
    if (!l)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "life");
    init_fields(l, alloc, opts);
    const struct trp_loaders_opts loaders = { .threads_n = opts->loaders_n,
                                              .nice = opts->loaders_nice,
                                              .control = opts->control };
    trp_status st = trp_registry_create(alloc, opts->readers_n, &l->registry, err);
    if (!trp_failed(st))
        st = trp_table_create(alloc, opts->repo.models_max, &l->names, err);
    if (!trp_failed(st))
        st = trp_watcher_create(l, &l->watcher, err);
    if (!trp_failed(st))
        st = trp_loaders_create(alloc, &loaders, &l->loaders, err);
    if (!trp_failed(st))
        st = trp_preparer_create(l, err);
    if (!trp_failed(st))
        st = trp_verifier_create(l, &l->verifier, err);
    if (!trp_failed(st))
        st = trp_blob_uses_create(alloc, opts->shared, &l->uses, err);
    if (!trp_failed(st))
        st = trp_steward_create(l, err);
    if (trp_failed(st)) {
        trp_life_destroy(l);
        return st;
    }
    trp_loaders_on_idle(l->loaders, loaders_idle, l);
    if (l->preparers)
        trp_loaders_on_idle(l->preparers, loaders_idle, l);
    trp_verifier_on_idle(l->verifier, loaders_idle, l);
    l->env.uses = l->uses;
    watch_folders(l);
    *out_life = l;
    return st;
}

void trp_life_destroy(struct trp_life *l)
{
    if (!l)
        return;
    TRP_ASSERT(!l->members &&
               l->versions_n == 0); /* trp_life_stop() first: models are closed by it */
    trp_verifier_destroy(l->verifier);
    trp_loaders_destroy(l->preparers);
    trp_loaders_destroy(l->loaders);
    unwatch_folders(l);
    trp_blob_uses_destroy(l->uses);
    trp_watcher_destroy(l->watcher);
    trp_residence_destroy(l->residence);
    trp_registry_destroy(l->registry);
    trp_presence_forget(l);
    trp_table_destroy(l->names);
    trp_alloc_free(l->alloc, l);
}
