/* life/preparer.c - prepares models beside serving, one at a time.
 *
 * A model that was loaded plainly although it could be mapped is prepared afterwards: the load was what somebody waited for.  What
 * is made serves the next load of it, here or in another process; what serves now goes on as it is, because it is open and warm.
 * The thread is nice to all others, holds nothing of the version, and is given up when the server ends. */
#include "life/preparer.h"
#include "life/life_parts.h"

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
    struct trp_backend *backend;
    struct troupe_model_desc desc;
    struct trp_sha256 key;
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
    p->error.status = trp_making_run(&making, &p->key, &p->error);
    if (!trp_failed(p->error.status))
        make_room(l);
    p->ended_ns = trp_clock_now_ns(l->opts.clock);
}

static void tell(const struct preparing *p)
{
    const struct trp_life *l = p->life;
    const long long ms = (long long)((p->ended_ns - p->begun_ns) / 1000000);
    switch (p->error.status.code) {
    case TRP_OK:
        TRP_INFO(l->opts.log, "store", "prepared '%s' in %lld ms: its next load maps it",
                 p->desc.name, ms);
        trp_metrics_add(l->opts.metrics, TRP_METRIC_PREPARED_OK, 1);
        return;
    case TRP_CANCELLED:
        return;
    case TRP_FAILED_PRECONDITION:
        TRP_WARN(l->opts.log, "store", "'%s' cannot be prepared and is loaded as it is: %s",
                 p->desc.name, p->error.text);
        trp_metrics_add(l->opts.metrics, TRP_METRIC_PREPARED_REFUSED, 1);
        return;
    default:
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

static bool is_under_way(const struct trp_life *l, const struct trp_sha256 *key)
{
    for (const struct preparing *p = l->preparings; p; p = p->next)
        if (memcmp(&p->key, key, sizeof *key) == 0)
            return true;
    return false;
}

static const char *dup(struct preparing *p, const char *text)
{
    return trp_arena_dup(&p->arena, trp_str_of(text)).ptr;
}

/* False: no memory. */
static bool describe(struct preparing *p, const struct trp_version *v)
{
    const struct trp_model_config *config = &v->config;
    struct troupe_option *options =
        trp_arena_zeroed(&p->arena, (size_t)config->options_n + 1, sizeof *options);
    for (uint32_t i = 0; options && i < config->options_n; i++) {
        options[i].key = dup(p, config->options[i].key);
        options[i].value = dup(p, config->options[i].value);
        if (!options[i].key || !options[i].value)
            return false;
    }
    p->desc = (struct troupe_model_desc){
        .name = dup(p, v->id),
        .path = dup(p, v->path.ptr),
        .options = options,
        .options_n = config->options_n,
        .device = "cpu",
        .thread_mode = TROUPE_THREADS_ONE,
        .account = &p->life->opts.weights->plugin,
        .cancel = (const volatile int32_t *)(const void *)&p->life->stop_preparing.value,
    };
    return options && p->desc.name && p->desc.path;
}

void trp_preparer_begin(struct trp_life *l, const struct trp_version *v,
                        struct trp_backend *backend, const struct trp_sha256 *key)
{
    if (!l->preparers || l->is_stopping || is_under_way(l, key))
        return;
    struct preparing *p = trp_alloc_zeroed(l->alloc, 1, sizeof *p);
    if (!p)
        return; /* the next load of it asks again */
    p->life = l;
    p->backend = backend;
    p->key = *key;
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
