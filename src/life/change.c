/* life/change.c - one set of versions on its way to READY, all or none
 *
 * The set that the repository wants is compared with what serves: a version whose files did not
 * change is kept as it is, the others are loaded side by side.  While they load, what served goes
 * on serving.
 *
 *   every load ended well   all fresh versions become READY in one snapshot; those they replace drain
 *   one of them failed      all fresh versions become FAILED; what served stays, with the reason in the index
 *
 *  1. A version is shown while it loads only where nothing serves.
 *  2. A load that passes its time is given up at once, whatever its backend does: the version is
 *     FAILED, the order is answered; the loader thread is free when the backend returns, and what
 *     it brings then is closed.
 *  3. Results of a load belong to the loader thread until its `done`; only then are they put
 *     into the version. */
#include <stdio.h>

#include "exec/sequencer.h"
#include "life/change.h"
#include "life/change_words.h"
#include "life/demand.h"
#include "life/heat.h"
#include "life/joining.h"
#include "life/labelling.h"
#include "life/life_parts.h"
#include "life/preparer.h"
#include "life/proposal.h"
#include "life/steward.h"
#include "life/tenure.h"

struct load {
    struct trp_loading loading; /* first */
    struct trp_mail begun, warming;
    struct trp_timer timer;
    struct trp_rehearsal rehearsal;
    struct trp_life *life;
    struct trp_change *change; /* NULL: given up */
    struct trp_catalog *catalog;
    struct trp_version *version;                    /* one reference */
    struct trp_measured measured[TRP_MEASURED_MAX]; /* a copy for the loader thread */
    int64_t begun_ns;
    bool is_looking; /* in its first half */
    bool is_taken;   /* its model is the version's */
    bool is_late;    /* out of time; what it brings is not waited for */
    bool has_ended;
};

struct trp_change {
    struct trp_member *member;
    struct trp_set next;     /* all versions that are wanted: kept and fresh ones */
    struct load **loads;     /* of the fresh ones */
    uint32_t loads_n, out_n; /* out_n: not ended yet */
    uint32_t looking_n;      /* in their first half */
    struct trp_ask ask;
    uint32_t kept_n;
    struct trp_error error; /* status OK: none has failed */
    bool is_older;          /* the newest have failed: what served before it was let go */
    struct {                /* the newest, then */
        struct trp_set versions;
        struct trp_error error;
        char failures[400];
    } newest;
};

/* ---- single loads ---- */

static void free_load(struct load *d)
{
    struct trp_life *l = d->life;
    trp_sequencer_unref(d->loading.loaded.sequencer);
    trp_timer_disarm(l->opts.control, &d->timer);
    trp_rehearsal_deinit(&d->rehearsal);
    trp_loading_drop(&d->loading);
    if (!d->is_taken)
        trp_stay_end(trp_tenure_stay(d->version)); /* nothing of it is open any more */
    trp_version_unref(d->version);
    trp_catalog_unref(d->catalog);
    trp_alloc_free(l->alloc, d);
}

static void close_late(struct trp_job *job)
{
    struct load *d = (struct load *)job;
    trp_backend_close(d->loading.loaded.model);
    d->loading.loaded.model = NULL;
    trp_mapping_release(d->life->opts.store, &d->loading.loaded.mapping);
    trp_backend_trim(d->life->opts.backends);
}

static void closed_late(struct trp_job *job)
{
    free_load((struct load *)job);
}

/* Lets a load go that nobody needs: an open model is closed on a loader thread first. */
static void drop_load(struct load *d)
{
    d->change = NULL;
    if (!d->has_ended)
        return; /* its `done` comes back here */
    trp_stay_leave(trp_tenure_stay(d->version));
    if (!d->loading.loaded.model) {
        free_load(d);
        return;
    }
    d->loading.job.work = close_late;
    d->loading.job.done = closed_late;
    trp_loaders_submit(d->life->loaders, TRP_LANE_CHORE, &d->loading.job);
}

static void end_change(struct trp_change *c);
static void look_ended(struct trp_change *c, struct load *d, struct trp_error *err);

/* One load less to wait for; `err` with status OK when it went well. */
static void load_ended(struct trp_change *c, struct load *d, struct trp_error *err)
{
    struct trp_life *l = d->life;
    trp_timer_disarm(l->opts.control, &d->timer);
    trp_change_name_memory(err);
    if (trp_failed(err->status)) {
        TRP_ERROR_LOG(l->opts.log, "life", "failed to load '%s': %s", d->version->id, err->text);
        trp_metrics_add(l->opts.metrics, TRP_METRIC_LOADS_FAILED, 1);
        trp_metrics_hit(l->opts.metrics, err);
        trp_version_say(d->version, trp_str_of(err->text));
        d->version->failure = err->status.code == TRP_OVER_BUDGET ? TRP_OVER_BUDGET : 0;
        trp_tenure_move(l, d->version, TRP_MODEL_FAILED);
        if (!trp_failed(c->error.status))
            c->error = *err;
    } else {
        if (trp_lifecycle_get(&d->version->life) == TRP_MODEL_LOADING)
            trp_tenure_move(l, d->version, TRP_MODEL_WARMING);
        trp_steward_settle(d->version, &d->loading.loaded,
                           trp_loop_now_ns(l->opts.control) - d->begun_ns);
    }
    if (--c->out_n == 0)
        end_change(c);
}

static void load_done(struct trp_job *job)
{
    struct load *d = (struct load *)job;
    d->has_ended = true;
    if (!d->change)
        drop_load(d);
    else if (!d->is_late)
        load_ended(d->change, d, &d->loading.loaded.error);
}

static void end_soon(struct load *d)
{
    trp_flag_raise(&d->version->stop);
    trp_rehearsal_stop(&d->rehearsal);
}

static void too_late(struct trp_timer *timer, int64_t now_ns)
{
    struct load *d = TRP_CONTAINER_OF(timer, struct load, timer);
    struct trp_error err = { 0 };
    (void)now_ns;
    d->is_late = true;
    end_soon(d);
    (void)trp_fail_limit(&err, TRP_DEADLINE_EXCEEDED, TRP_LIMIT_LOAD_TIME,
                         "the load did not end within %lld ms (timeouts.load)",
                         (long long)(d->life->opts.load_ns_max / 1000000));
    if (d->is_looking)
        look_ended(d->change, d, &err);
    else
        load_ended(d->change, d, &err);
}

static void deliver_begun(struct trp_mail *mail)
{
    struct load *d = TRP_CONTAINER_OF(mail, struct load, begun);
    struct trp_loop *control = d->life->opts.control;
    d->begun_ns = trp_loop_now_ns(control);
    if (!d->change || d->life->opts.load_ns_max <= 0)
        return;
    struct trp_error err;
    d->timer.due = too_late;
    if (trp_failed(
            trp_timer_arm(control, &d->timer, d->begun_ns + d->life->opts.load_ns_max, &err)))
        TRP_WARN(d->life->opts.log, "life", "'%s' loads without a time limit: %s", d->version->id,
                 err.text);
}

static void deliver_warming(struct trp_mail *mail)
{
    struct load *d = TRP_CONTAINER_OF(mail, struct load, warming);
    if (d->change && trp_lifecycle_get(&d->version->life) == TRP_MODEL_LOADING)
        trp_tenure_move(d->life, d->version, TRP_MODEL_WARMING);
}

static void post_begun(struct trp_loading *loading)
{
    struct load *d = (struct load *)loading;
    d->begun.deliver = deliver_begun;
    trp_loop_post(d->life->opts.control, &d->begun);
}

static void watch_files(struct trp_loading *loading)
{
    trp_tenure_watch(loading->version, loading->loaded.model, &loading->loaded.mapping);
}

static void post_warming(struct trp_loading *loading)
{
    struct load *d = (struct load *)loading;
    d->warming.deliver = deliver_warming;
    trp_loop_post(d->life->opts.control, &d->warming);
}

static void work(struct trp_job *job)
{
    trp_loading_work((struct trp_loading *)job);
}

static void look(struct trp_job *job)
{
    trp_loading_look((struct trp_loading *)job);
}

static void finish(struct trp_job *job)
{
    trp_loading_finish((struct trp_loading *)job);
}

/* What a cold version says of its model is said until this one knows better. */
static void keep_face(const struct trp_member *m, struct trp_version *v)
{
    struct trp_version *cold = trp_set_numbered(&m->shown, v->target.version);
    if (!cold || cold->digest != v->digest || !trp_version_face(cold))
        return;
    v->before = (struct trp_version *)(uintptr_t)trp_version_face(cold);
    trp_version_ref(v->before);
}

static trp_status add_load(struct trp_change *c, struct trp_catalog *catalog,
                           const struct trp_repo_model *found, const struct trp_repo_version *files,
                           struct trp_error *err)
{
    struct trp_life *l = c->member->life;
    struct trp_version *v;
    TRP_CHECK(
        trp_tenure_begin(c->member, files, catalog->override_digest, TRP_TENURE_LOADS, &v, err));
    c->next.items[c->next.n++] = v;
    keep_face(c->member, v);
    struct load *d = trp_alloc_zeroed(l->alloc, 1, sizeof *d);
    if (!d)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory to load version %lld",
                        (long long)files->number);
    trp_version_ref(v);
    trp_catalog_ref(catalog);
    d->life = l;
    d->change = c;
    d->version = v;
    d->catalog = catalog;
    trp_rehearsal_init(&d->rehearsal, l->opts.control);
    if (c->member->guest)
        memcpy(d->measured, c->member->guest->measured, sizeof d->measured);
    d->loading = (struct trp_loading){ .job = { .work = work, .done = load_done },
                                       .env = &l->env,
                                       .version = v,
                                       .source = found,
                                       .takes_over = c->member->serving.n > 0,
                                       .rehearsal = &d->rehearsal,
                                       .is_packed = c->member->op->kind == TRP_OP_MEND &&
                                                    trp_heat_wants_packed(&c->member->serving,
                                                                          files->number),
                                       .bytes_max = c->member->keeping.max_bytes,
                                       .on_begin = post_begun,
                                       .on_open = watch_files,
                                       .on_warm = post_warming,
                                       .measured = d->measured };
    c->loads[c->loads_n++] = d;
    return trp_ok();
}

/* ---- the end ---- */

static const char served_older[] = "the last load failed, older files are served: ";

static void free_change(struct trp_change *c)
{
    struct trp_life *l = c->member->life;
    c->member->change = NULL;
    trp_set_drop(l->alloc, &c->next);
    trp_set_drop(l->alloc, &c->newest.versions);
    trp_alloc_free(l->alloc, c->loads);
    trp_alloc_free(l->alloc, c);
}

/* Sequences that began on what is replaced go on there. */
static void succeed(struct trp_member *m, struct trp_version *v)
{
    if (!v->sequencer)
        return;
    trp_sequencer_follow(v->sequencer, m->sequencers);
    trp_sequencer_ref(v->sequencer);
    m->sequencers = v->sequencer;
}

/* Puts a load's results into its version, before the state lets others see them. */
static void take_results(struct load *d)
{
    struct trp_version *v = d->version;
    struct trp_loaded *r = &d->loading.loaded;
    v->config = r->config;
    v->signature = r->signature;
    v->has_signature = true;
    v->file_signature = r->file_signature;
    v->model = r->model;
    r->model = NULL; /* the version's now */
    v->sequencer = r->sequencer;
    r->sequencer = NULL;
    succeed(d->change->member, v);
    d->is_taken = true;
    trp_tenure_keep(v, &r->mapping);
    trp_heat_inherit(&d->change->member->serving, v);
    trp_joining_settle(d->life, v, trp_tenure_joining(v));
    trp_gauge_set(&v->residency, TRP_RESIDENCY_MAPPED);
    const int64_t load_ns = trp_loop_now_ns(d->life->opts.control) - d->begun_ns;
    trp_gauge_set(&v->load_ns, load_ns > 0 ? load_ns : 1);
    const uint64_t counted = trp_counter_get(&v->weights.bytes);
    const uint64_t uncounted = r->bytes > counted ? r->bytes - counted : 0;
    if (trp_account_try_charge(&v->weights, uncounted))
        v->reported_bytes = uncounted;
    trp_version_say(v, r->warning[0] ? trp_str_of(r->warning) : r->device_warning);
}

/* What served and is not wanted any more drains; what is kept has a reference of the new set. */
static void swap_serving(struct trp_change *c)
{
    struct trp_member *m = c->member;
    struct trp_set old = m->serving;
    m->serving = c->next;
    c->next = (struct trp_set){ 0 };
    for (uint32_t i = 0; i < old.n; i++)
        if (!trp_set_has(&m->serving, old.items[i]))
            trp_tenure_move(m->life, old.items[i], TRP_MODEL_DRAINING);
    trp_set_drop(m->life->alloc, &old);
}

static void commit(struct trp_change *c)
{
    struct trp_member *m = c->member;
    struct trp_life *l = m->life;
    const bool is_replacing = m->serving.n > 0;
    for (uint32_t i = 0; i < c->loads_n; i++) {
        struct load *d = c->loads[i];
        take_results(d);
        trp_tenure_move(l, d->version, TRP_MODEL_READY);
        trp_metrics_add(l->opts.metrics, TRP_METRIC_LOADS_OK, 1);
        trp_metrics_add(l->opts.metrics, TRP_METRIC_LOADS_US,
                        (uint64_t)trp_gauge_get(&d->version->load_ns) / 1000);
        if (d->loading.loaded.mapping.is_mapped)
            trp_metrics_add(l->opts.metrics, TRP_METRIC_LOADS_MAPPED, 1);
        trp_change_log_loaded(l->opts.log, &d->loading,
                              trp_loop_now_ns(l->opts.control) - d->begun_ns, is_replacing);
        trp_change_log_warnings(l->opts.log, d->loading.source, d->loading.loaded.device_warning,
                                &m->warned_devices);
        if (d->loading.loaded.mapping.should_prepare)
            trp_preparer_begin(l, d->version, d->loading.loaded.backend);
        free_load(d);
    }
    swap_serving(c);
    trp_labelling_keep(m);
    trp_set_drop(l->alloc, &m->shown);
    trp_survey_forget(m);
    trp_backoff_reset(m);
    m->is_overridden = m->op->catalog && m->op->catalog->override_digest != 0;
    m->is_last_copy = false;
    trp_set_drop(l->alloc, &m->older);
    trp_set_drop(l->alloc, &m->before);
    trp_member_say(m, c->is_older ? served_older : NULL, c->is_older ? c->newest.failures : NULL);
    const struct trp_error result = c->newest.error; /* OK unless it is older */
    free_change(c);
    if (trp_failed(result.status) && result.status.code != TRP_INVALID_ARGUMENT)
        trp_backoff_failed(m);
    trp_member_show(m);
    trp_idle_begin(m);
    trp_member_finish(m, &result);
}

/* The index says what became of it, in place of what was shown meanwhile. */
static void show_failed(struct trp_change *c)
{
    struct trp_member *m = c->member;
    struct trp_set failed;
    if (m->serving.n ||
        !trp_set_dup(m->life->alloc, &failed, c->is_older ? &c->newest.versions : &c->next))
        return; /* without memory what was shown stays, and whoever waits is told */
    trp_survey_forget(m);
    trp_set_drop(m->life->alloc, &m->shown);
    m->shown = failed;
}

/* They are not taken up; `failures` gets what those say that failed. */
static void fail_loads(struct trp_change *c, char *failures, size_t size)
{
    for (uint32_t i = 0; i < c->loads_n; i++) {
        struct load *d = c->loads[i];
        if (trp_lifecycle_get(&d->version->life) == TRP_MODEL_FAILED) {
            trp_change_add_failure(d->version, failures, size);
        } else {
            trp_version_say(
                d->version,
                TRP_STR_LIT("not taken up, because another version of the model failed to load"));
            trp_tenure_move(d->life, d->version, TRP_MODEL_FAILED);
        }
        drop_load(d);
    }
    c->loads_n = 0;
}

/* The files that serve were replaced by some that do not load: nothing could load what serves
 * again. */
static bool is_replaced(const struct trp_change *c)
{
    const struct trp_member *m = c->member;
    for (uint32_t i = 0; i < c->next.n && m->op->kind != TRP_OP_MEND; i++) {
        const struct trp_version *fresh = c->next.items[i];
        const struct trp_version *old = trp_set_numbered(&m->serving, fresh->target.version);
        if (old && old->digest != fresh->digest)
            return true;
    }
    return false;
}

static void found_older(struct trp_catalog *catalog);

/* Clients need not know that it was let go: what served before, though newer files did not load,
 * is loaded again. */
static bool try_older(struct trp_change *c, const struct trp_error *err)
{
    struct trp_member *m = c->member;
    struct trp_life *l = m->life;
    const struct trp_catalog_request request = {
        .opts = &l->opts.repo, .name = m->name, .only = &m->older, .done = found_older, .user = c
    };
    if (m->serving.n || m->older.n == 0 || c->is_older || l->is_stopping ||
        trp_failed(trp_catalog_ask(l->alloc, l->loaders, &request, NULL)))
        return false;
    c->is_older = true;
    c->newest.versions = c->next;
    c->newest.error = *err;
    c->next = (struct trp_set){ 0 };
    trp_alloc_free(l->alloc, c->loads);
    c->loads = NULL;
    c->looking_n = 0;
    c->error = (struct trp_error){ 0 };
    trp_labelling_drop(m);
    if (trp_cold_show(m, &m->older)) /* else they wait where they came to */
        trp_member_show(m);
    return true;
}

static void give_up(struct trp_change *c, const struct trp_error *err)
{
    struct trp_member *m = c->member;
    m->is_last_copy = m->is_last_copy || is_replaced(c);
    if (m->serving.n || m->shown.n == 0)
        trp_member_say(m, m->serving.n ? served_older : "", c->newest.failures);
    else
        trp_member_say(m, NULL, NULL);
    show_failed(c);
    free_change(c); /* what is shown has references of its own */
    if (m->serving.n == 0 || err->status.code != TRP_INVALID_ARGUMENT)
        trp_backoff_failed(m); /* else something serves, and only other files would help */
    trp_labelling_drop(m);
    trp_member_show(m);
    trp_member_finish(m, err);
}

static void abandon(struct trp_change *c)
{
    char failures[sizeof c->newest.failures] = "";
    struct trp_error err = { 0 };
    fail_loads(c, c->is_older ? failures : c->newest.failures, sizeof failures);
    (void)trp_fail(&err, trp_change_code(c->error.status.code), "load failed for model '%.*s': %s",
                   TRP_STR(c->member->name), c->newest.failures);
    if (c->is_older)
        trp_error_within(&err, "what served before fails as well (%s)", failures);
    if (!try_older(c, &err))
        give_up(c, &err);
}

/* What a load has found is not in its version yet. */
static const struct trp_signature *signature_of(void *user, const struct trp_version *v)
{
    const struct trp_change *c = user;
    for (uint32_t i = 0; i < c->loads_n; i++)
        if (c->loads[i]->version == v)
            return &c->loads[i]->loading.loaded.signature;
    return v->has_signature ? &v->signature : NULL;
}

/* What served before may serve again: it is what was checked. */
static void judge(struct trp_change *c)
{
    struct trp_member *m = c->member;
    const struct trp_order *order = m->op->order;
    const struct trp_proposal_ask ask = { .next = &c->next,
                                          .signature_of = signature_of,
                                          .user = c,
                                          .is_forced = order && order->is_forced,
                                          .now = trp_proposal_now(m),
                                          .is_held = m->serving.n || trp_proposal_now(m) };
    if (c->is_older || !trp_failed(trp_proposal_judge(m, &ask, &c->error)))
        return;
    trp_proposal_keep(m);
    m->is_unfit = c->error.status.code == TRP_FAILED_PRECONDITION;
    for (uint32_t i = 0; i < c->loads_n; i++) {
        trp_version_say(c->loads[i]->version, trp_str_of(c->error.text));
        trp_tenure_move(m->life, c->loads[i]->version, TRP_MODEL_FAILED);
    }
}

static void end_change(struct trp_change *c)
{
    if (c->member->life->is_stopping && !trp_failed(c->error.status))
        (void)trp_fail(&c->error, TRP_UNAVAILABLE, "the server is stopping");
    if (!trp_failed(c->error.status))
        judge(c);
    if (trp_failed(c->error.status))
        abandon(c);
    else
        commit(c);
}

/* ---- room in memory ---- */

/* Nobody waits for it, and others are in memory: it is loaded when somebody asks for it. */
static bool put_off(struct trp_change *c, const struct trp_error *why)
{
    struct trp_member *m = c->member;
    const struct trp_error ok = { 0 };
    const bool was_on_demand = m->on_demand;
    m->on_demand = true;
    if (!trp_cold_show(m, &c->next)) {
        m->on_demand = was_on_demand;
        return false;
    }
    TRP_INFO(m->life->opts.log, "life", "'%.*s' is loaded when it is asked for: %s",
             TRP_STR(m->name), why->text);
    trp_presence_note_out(m, why->text);
    m->was_let_go = true;
    m->wanted = false;
    for (uint32_t i = 0; i < c->loads_n; i++) {
        trp_tenure_move(m->life, c->loads[i]->version, TRP_MODEL_FAILED);
        drop_load(c->loads[i]);
    }
    free_change(c);
    trp_member_show(m);
    trp_survey_ask(m);
    trp_member_finish(m, &ok);
    return true;
}

/* None of them begins its second half. */
static void fail_looked(struct trp_change *c, const struct trp_error *why)
{
    uint32_t left_n = 0;
    for (uint32_t i = 0; i < c->loads_n; i++)
        left_n += trp_lifecycle_get(&c->loads[i]->version->life) != TRP_MODEL_FAILED;
    for (uint32_t i = 0; left_n > 0; i++) {
        struct load *d = c->loads[i];
        struct trp_error err = *why;
        if (trp_lifecycle_get(&d->version->life) == TRP_MODEL_FAILED)
            continue;
        left_n--; /* the last one ends the change */
        load_ended(c, d, &err);
    }
}

static void answered(struct trp_ask *ask, const struct trp_error *refused)
{
    struct trp_change *c = TRP_CONTAINER_OF(ask, struct trp_change, ask);
    struct trp_loaders *loaders = c->member->life->loaders;
    if (refused && ask->is_put_off && put_off(c, refused))
        return;
    if (refused) {
        fail_looked(c, refused);
        return;
    }
    for (uint32_t i = 0; i < c->loads_n; i++) {
        struct load *d = c->loads[i];
        d->has_ended = false;
        d->loading.job.work = finish;
        d->loading.job.done = load_done;
        trp_loaders_submit(loaders, TRP_LANE_LOAD, &d->loading.job);
    }
}

/* All of them know how much they need: they wait for it together, so that two models that each have
 * a part never wait for one another. */
static void ask_for_room(struct trp_change *c)
{
    struct trp_member *m = c->member;
    struct trp_error err = { 0 };
    trp_status st = trp_ok();
    for (uint32_t i = 0; i < c->loads_n && !trp_failed(st); i++)
        st = trp_steward_expect(m, c->loads[i]->version, &c->loads[i]->loading.size, &err);
    if (trp_failed(st)) {
        fail_looked(c, &err);
        return;
    }
    c->ask.answer = answered;
    trp_steward_ask(m, &c->ask);
}

static void looked_all(struct trp_change *c)
{
    if (!trp_failed(c->error.status)) {
        ask_for_room(c);
        return;
    }
    c->out_n = 0; /* of those that went well, nothing is out: they are not taken up */
    end_change(c);
}

/* One first half less to wait for; `err` with status OK when it went well. */
static void look_ended(struct trp_change *c, struct load *d, struct trp_error *err)
{
    const bool is_last = c->out_n == 1;
    trp_timer_disarm(d->life->opts.control, &d->timer);
    d->is_looking = false;
    c->looking_n--;
    if (trp_failed(err->status)) {
        load_ended(c, d, err);
        if (is_last)
            return; /* c is gone */
    }
    if (c->looking_n == 0)
        looked_all(c);
}

static void looked(struct trp_job *job)
{
    struct load *d = (struct load *)job;
    d->has_ended = true; /* nothing of it is out, and nothing is open */
    if (!d->change)
        drop_load(d);
    else if (d->is_looking)
        look_ended(d->change, d, &d->loading.loaded.error);
}

static void submit(struct trp_change *c)
{
    struct trp_life *l = c->member->life;
    c->looking_n = l->residence ? c->loads_n : 0;
    for (uint32_t i = 0; i < c->loads_n; i++) {
        struct trp_job *job = &c->loads[i]->loading.job;
        c->loads[i]->is_looking = l->residence != NULL;
        job->work = l->residence ? look : work;
        job->done = l->residence ? looked : load_done;
        trp_loaders_submit(l->loaders, TRP_LANE_LOAD, job);
    }
}

/* ---- the beginning ---- */

/* The version that serves these very files already. */
static struct trp_version *same_files(const struct trp_member *m,
                                      const struct trp_repo_version *files,
                                      uint64_t override_digest)
{
    for (uint32_t i = 0; i < m->serving.n; i++) {
        struct trp_version *v = m->serving.items[i];
        if (v->target.version == files->number && v->digest == (files->digest ^ override_digest) &&
            !trp_flag_is_up(&v->is_damaged))
            return v;
    }
    return NULL;
}

static trp_status plan(struct trp_change *c, struct trp_catalog *catalog,
                       const struct trp_repo_model *found, bool is_forced, struct trp_error *err)
{
    struct trp_life *l = c->member->life;
    c->loads = trp_alloc_zeroed(l->alloc, (size_t)found->versions_n + 1, sizeof(struct load *));
    if (!c->loads || !trp_set_init(l->alloc, &c->next, found->versions_n))
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory to load the model");
    for (uint32_t i = 0; i < found->versions_n; i++) {
        const struct trp_repo_version *files = &found->versions[i];
        struct trp_version *kept =
            is_forced ? NULL : same_files(c->member, files, catalog->override_digest);
        if (!kept) {
            TRP_CHECK(add_load(c, catalog, found, files, err));
            continue;
        }
        trp_version_ref(kept);
        c->next.items[c->next.n++] = kept;
        c->kept_n++;
    }
    return trp_ok();
}

/* Cold versions count as ready, and say what they take and give, while they are loaded as well
 * as before. */
static bool shows_cold(const struct trp_member *m)
{
    for (uint32_t i = 0; i < m->shown.n; i++)
        if (!m->shown.items[i]->is_cold ||
            trp_lifecycle_get(&m->shown.items[i]->life) != TRP_MODEL_NEW)
            return false;
    return m->shown.n > 0;
}

/* While nothing serves, the index shows what is being loaded. */
static void show_loading(struct trp_change *c)
{
    struct trp_member *m = c->member;
    struct trp_life *l = m->life;
    struct trp_set shown;
    if (m->older.n == 0)
        trp_member_say(m, NULL, NULL);
    if (m->serving.n == 0 && !shows_cold(m) && trp_set_dup(l->alloc, &shown, &c->next)) {
        trp_survey_forget(m);
        trp_set_drop(l->alloc, &m->shown);
        m->shown = shown;
    }
    trp_member_show(m);
}

/* Only memory can be short here, and the next look may find some. */
static void refuse_for_now(struct trp_member *m, const struct trp_error *err)
{
    m->taken = 0;
    trp_member_refuse(m, err);
}

static void give_up_plan(struct trp_change *c, const struct trp_error *err)
{
    struct trp_member *m = c->member;
    for (uint32_t i = 0; i < c->loads_n; i++)
        free_load(c->loads[i]); /* never submitted */
    free_change(c);
    refuse_for_now(m, err);
}

static void begin_loads(struct trp_change *c, const struct trp_repo_model *found)
{
    trp_change_log_warnings(c->member->life->opts.log, found, found->warnings, &c->member->warned);
    c->out_n = c->loads_n;
    for (uint32_t i = 0; i < c->loads_n; i++)
        trp_tenure_move(c->member->life, c->loads[i]->version, TRP_MODEL_LOADING);
    show_loading(c);
    submit(c);
}

static void found_older(struct trp_catalog *catalog)
{
    struct trp_change *c = catalog->user;
    struct trp_member *m = c->member;
    const struct trp_repo_model *found =
        trp_failed(catalog->error.status) ? NULL : catalog->listing.models[0];
    struct trp_error err = c->newest.error;
    trp_catalog_unref(m->op->catalog);
    m->op->catalog = catalog;
    if (m->life->is_stopping || !found || trp_failed(found->error.status))
        give_up(c, &err);
    else if (trp_failed(plan(c, catalog, found, false, &err)))
        give_up_plan(c, &err);
    else
        begin_loads(c, found);
}

void trp_change_begin(struct trp_member *m, struct trp_catalog *catalog,
                      const struct trp_repo_model *found, bool is_forced)
{
    struct trp_life *l = m->life;
    struct trp_error err = { 0 };
    struct trp_change *c = trp_alloc_zeroed(l->alloc, 1, sizeof *c);
    if (!c) {
        (void)trp_fail(&err, TRP_OUT_OF_MEMORY, "no memory to load the model");
        refuse_for_now(m, &err);
        return;
    }
    c->member = m;
    m->change = c;
    m->is_unfit = false;
    if (trp_failed(plan(c, catalog, found, is_forced, &err)) ||
        trp_failed(trp_labelling_read(m, &found->peek, &err))) {
        give_up_plan(c, &err);
        return;
    }
    if (c->loads_n == 0 && c->kept_n == m->serving.n) { /* nothing is different */
        free_change(c);
        trp_labelling_keep(m);
        trp_member_say(m, NULL, NULL);
        m->is_last_copy = false;
        trp_backoff_reset(m);
        trp_idle_begin(m); /* whoever asked may have said how long it should stay */
        trp_member_show(m);
        trp_member_finish(m, &err);
        return;
    }
    if (c->loads_n == 0) /* nothing is new, but some versions are to go */
        commit(c);
    else
        begin_loads(c, found);
}

void trp_change_cancel(struct trp_change *c)
{
    for (uint32_t i = 0; i < c->loads_n; i++)
        end_soon(c->loads[i]);
}
