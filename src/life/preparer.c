/* life/preparer.c - prepares models beside serving, one at a time.
 *
 * A model that was loaded plainly although it could be mapped is prepared afterwards: the load was what somebody waited for.  What
 * is made serves the next load of it, here or in another process; what serves now goes on as it is, because it is open and warm.
 * The thread is nice to all others, holds nothing of the version, and is given up when the server ends. */
#include "life/preparer.h"
#include "life/heat.h"
#include "life/life_parts.h"
#include "life/member.h"
#include "life/tenure.h"

#include <stdio.h>

#include "store/maker.h"
#include "store/sweeper.h"

#define ARENA_BLOCK 4096
#define ARENA_MAX (1u << 20)
#define TRP_PREPARER_NICE 10

struct preparing {
    struct trp_job job; /* first */
    struct preparing *next;
    struct trp_life *life;
    struct trp_arena arena; /* what desc points to */
    struct trp_str model;   /* that is told what came of it, if it still serves */
    int64_t number;
    struct trp_backend *backend;
    struct troupe_model_desc desc;
    bool was_there; /* under its content: prepared from another path, or by another process */
    int64_t begun_ns, ended_ns;
    struct trp_error error;
};

static void free_preparing(struct preparing *p)
{
    trp_arena_deinit(&p->arena);
    trp_alloc_free(p->life->alloc, p);
}

/* The store has a size, and has just grown. */
static void make_room(const struct trp_life *l)
{
    const struct trp_gc_opts opts = { .bytes_max = l->opts.store_bytes_max };
    struct trp_swept swept;
    struct trp_error err;
    if (opts.bytes_max == 0)
        return;
    if (trp_failed(trp_sweeper_gc(l->opts.store, &opts, &swept, &err)))
        TRP_WARN(l->opts.log, "store", "it may be larger than store.max_bytes: %s", err.text);
    else if (swept.removed_n > 0)
        TRP_INFO(l->opts.log, "store", "%u prepared models went to keep within store.max_bytes",
                 swept.removed_n);
}

/* The load opened the model without asking what is in it, so this is the first time that somebody reads it whole. */
static trp_status prepare(struct preparing *p, const struct trp_making *making,
                          struct trp_error *err)
{
    struct trp_sha256 key;
    struct trp_artefact found;
    TRP_CHECK(trp_making_key(making, &key, err));
    const trp_status st = trp_artefact_get(making->store, &key, &found, err);
    if (!trp_failed(st)) {
        trp_artefact_deinit(&found);
        p->was_there = true;
        return st;
    }
    if (st.code != TRP_NOT_FOUND && st.code != TRP_DATA_LOSS)
        return st;
    return trp_making_run(making, &key, err);
}

static void work(struct trp_job *job)
{
    struct preparing *p = (struct preparing *)job;
    const struct trp_life *l = p->life;
    const struct trp_making making = { .store = l->opts.store,
                                       .backend = p->backend,
                                       .desc = &p->desc,
                                       .memory_bytes_max = l->opts.run_bytes_max };
    p->begun_ns = trp_clock_now_ns(l->opts.clock);
    p->error = (struct trp_error){ 0 };
    p->error.status = prepare(p, &making, &p->error);
    if (!trp_failed(p->error.status) && !p->was_there)
        make_room(l);
    p->ended_ns = trp_clock_now_ns(l->opts.clock);
}

/* The thread holds nothing of the version: that may have gone meanwhile. */
static void explain(const struct preparing *p, const char *what, const char *why)
{
    const bool is_prepared = !trp_failed(p->error.status);
    char words[320];
    const struct trp_member *m = trp_member_get(p->life, p->model);
    (void)snprintf(words, sizeof words, "as it is: %s%s", what, why);
    for (uint32_t i = 0; m && i < m->serving.n; i++) {
        struct trp_version *v = m->serving.items[i];
        if (v->target.version != p->number || !trp_str_is(v->path, p->desc.path))
            continue;
        trp_tenure_explain(v, words);
        if (is_prepared)
            trp_heat_prepared(v);
    }
}

static void tell(const struct preparing *p)
{
    const struct trp_life *l = p->life;
    const long long ms = (long long)((p->ended_ns - p->begun_ns) / 1000000);
    switch (p->error.status.code) {
    case TRP_OK:
        explain(p, "prepared since, the next load maps it", "");
        if (p->was_there) {
            TRP_INFO(l->opts.log, "store", "'%s' was prepared before: its next load maps it",
                     p->desc.name);
            return;
        }
        TRP_INFO(l->opts.log, "store", "prepared '%s' in %lld ms: its next load maps it",
                 p->desc.name, ms);
        trp_metrics_add(l->opts.metrics, TRP_METRIC_PREPARED_OK, 1);
        return;
    case TRP_CANCELLED:
        return;
    case TRP_FAILED_PRECONDITION:
        explain(p, "cannot be prepared: ", p->error.text);
        TRP_WARN(l->opts.log, "store", "'%s' cannot be prepared and is loaded as it is: %s",
                 p->desc.name, p->error.text);
        trp_metrics_add(l->opts.metrics, TRP_METRIC_PREPARED_REFUSED, 1);
        return;
    default:
        explain(p, "was not prepared: ", p->error.text);
        TRP_WARN(l->opts.log, "store", "'%s' was not prepared: %s", p->desc.name, p->error.text);
        trp_metrics_add(l->opts.metrics, TRP_METRIC_PREPARED_FAILED, 1);
    }
}

static void done(struct trp_job *job)
{
    struct preparing *p = (struct preparing *)job;
    struct preparing **at = &p->life->preparings;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    tell(p);
    free_preparing(p);
}

static bool is_under_way(const struct trp_life *l, const struct trp_version *v)
{
    for (const struct preparing *p = l->preparings; p; p = p->next)
        if (trp_str_is(v->path, p->desc.path))
            return true;
    return false;
}

static const char *dup(struct trp_arena *a, const char *text)
{
    return trp_arena_dup(a, trp_str_of(text)).ptr;
}

bool trp_preparer_describe(struct trp_life *l, const struct trp_version *v, struct trp_arena *a,
                           struct troupe_model_desc *out)
{
    const struct trp_model_config *config = &v->config;
    struct troupe_option *options =
        trp_arena_zeroed(a, (size_t)config->options_n + 1, sizeof *options);
    for (uint32_t i = 0; options && i < config->options_n; i++) {
        options[i].key = dup(a, config->options[i].key);
        options[i].value = dup(a, config->options[i].value);
        if (!options[i].key || !options[i].value)
            return false;
    }
    *out = (struct troupe_model_desc){
        .name = dup(a, v->id),
        .path = dup(a, v->path.ptr),
        .options = options,
        .options_n = config->options_n,
        .device = "cpu",
        .thread_mode = TROUPE_THREADS_ONE,
        .account = &l->opts.weights->plugin,
        .cancel = (const volatile int32_t *)(const void *)&l->stop_preparing.value,
    };
    return options && out->name && out->path;
}

static bool describe(struct preparing *p, const struct trp_version *v)
{
    p->number = v->target.version;
    p->model = trp_arena_dup(&p->arena, v->target.name);
    return p->model.ptr && trp_preparer_describe(p->life, v, &p->arena, &p->desc);
}

void trp_preparer_begin(struct trp_life *l, const struct trp_version *v,
                        struct trp_backend *backend)
{
    if (!l->preparers || l->is_stopping || is_under_way(l, v))
        return;
    struct preparing *p = trp_alloc_zeroed(l->alloc, 1, sizeof *p);
    if (!p)
        return; /* the next load of it asks again */
    p->life = l;
    p->backend = backend;
    trp_arena_init(&p->arena, l->alloc, ARENA_BLOCK, ARENA_MAX);
    if (!describe(p, v)) {
        free_preparing(p);
        return;
    }
    p->job.work = work;
    p->job.done = done;
    p->next = l->preparings;
    l->preparings = p;
    trp_loaders_submit(l->preparers, TRP_LANE_LOAD, &p->job);
}

trp_status trp_preparer_create(struct trp_life *l, struct trp_error *err)
{
    if (!l->opts.store)
        return trp_ok();
    const struct trp_loaders_opts opts = { .threads_n = 1,
                                           .nice = TRP_PREPARER_NICE,
                                           .control = l->opts.control };
    return trp_loaders_create(l->alloc, &opts, &l->preparers, err);
}

void trp_preparer_stop(struct trp_life *l)
{
    trp_flag_raise(&l->stop_preparing);
}

bool trp_preparer_is_busy(const struct trp_life *l)
{
    return l->preparers && trp_loaders_are_busy(l->preparers);
}
