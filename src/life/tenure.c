/* life/tenure.c - a version object from its making to its burial
 *
 *   last owner leaves (any thread) ──mail──► control ──job──► close, trim ──► control: check accounts, free
 *
 * A version whose memory is still lent when it should go is kept: its account's address is in somebody's hands, and a leak
 * that the log names is better than a write to freed memory. */
#include "life/tenure.h"
#include "life/life_parts.h"

struct tenure {
    struct trp_job close; /* first */
    struct trp_mail unused;
    struct trp_life *life;
    struct trp_version *version;
    struct trp_mapping mapping; /* how its model was opened */
};

static uint64_t held_bytes(const struct trp_version *v)
{
    return trp_counter_get(&v->weights.bytes) + trp_counter_get(&v->activations.bytes);
}

static void bury(struct tenure *t)
{
    struct trp_life *l = t->life;
    struct trp_version *v = t->version;
    const bool has_served = trp_lifecycle_get(&v->life) == TRP_MODEL_DRAINING;
    trp_tenure_move(l, v, TRP_MODEL_GONE);
    if (has_served) {
        const int64_t ns = v->life.since_ns[TRP_MODEL_GONE] - v->life.since_ns[TRP_MODEL_DRAINING];
        TRP_INFO(l->opts.log, "life", "unloaded '%s' (drained in %lld ms)", v->id,
                 (long long)(ns / 1000000));
        trp_metrics_add(l->opts.metrics, TRP_METRIC_UNLOADS, 1);
    }
    if (held_bytes(v) == 0) {
        trp_waiting_unref(v->room);
        trp_version_destroy(v);
    } else
        TRP_ERROR_LOG(l->opts.log, "life", "'%s': %llu bytes were not given back", v->id,
                      (unsigned long long)held_bytes(v));
    trp_alloc_free(l->alloc, t);
    l->versions_n--;
    trp_life_check(l);
}

static void close_model(struct trp_job *job)
{
    struct tenure *t = (struct tenure *)job;
    trp_backend_close(t->version->model);
    t->version->model = NULL;
    trp_mapping_release(t->life->opts.store, &t->mapping);
    trp_gauge_set(&t->version->residency, TRP_RESIDENCY_NONE);
    trp_account_discharge(&t->version->weights, t->version->reported_bytes);
    trp_backend_trim(t->life->opts.backends);
}

static void closed(struct trp_job *job)
{
    bury((struct tenure *)job);
}

static void nobody_left(struct trp_mail *mail)
{
    struct tenure *t = TRP_CONTAINER_OF(mail, struct tenure, unused);
    if (!t->version->model) {
        bury(t);
        return;
    }
    t->close.work = close_model;
    t->close.done = closed;
    trp_loaders_submit(t->life->loaders, TRP_LANE_CHORE, &t->close);
}

/* On whichever thread was the last. */
static void on_unused(struct trp_version *v, void *user)
{
    struct tenure *t = user;
    (void)v;
    t->unused.deliver = nobody_left;
    trp_loop_post(t->life->opts.control, &t->unused);
}

trp_status trp_tenure_begin(struct trp_member *m, const struct trp_repo_version *files,
                            uint64_t override_digest, struct trp_version **out_version,
                            struct trp_error *err)
{
    struct trp_life *l = m->life;
    *out_version = NULL;
    struct tenure *t = trp_alloc_zeroed(l->alloc, 1, sizeof *t);
    if (!t)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "version %lld", (long long)files->number);
    t->life = l;
    const struct trp_version_opts opts = { .model = m->name,
                                           .number = files->number,
                                           .start = trp_exec_start_call,
                                           .cancel = trp_exec_cancel_call,
                                           .runner = l->opts.exec,
                                           .weights_parent = l->opts.weights,
                                           .activations_parent = l->opts.activations,
                                           .on_unused = on_unused,
                                           .on_unused_user = t };
    struct trp_version *v;
    trp_status st = trp_version_create(l->alloc, &opts, &v, err);
    if (!trp_failed(st)) {
        v->life_slot = t;
        v->path = trp_arena_dup(&v->arena, files->path);
        v->digest = files->digest ^ override_digest;
        v->life.since_ns[TRP_MODEL_NEW] = trp_loop_now_ns(l->opts.control);
        if (!v->path.ptr) {
            trp_version_destroy(v);
            st = trp_fail(err, TRP_OUT_OF_MEMORY, "version %lld", (long long)files->number);
        }
    }
    if (trp_failed(st)) {
        trp_alloc_free(l->alloc, t);
        return st;
    }
    t->version = v;
    v->is_cold = m->on_demand;
    v->room = m->room;
    trp_waiting_ref(v->room);
    l->versions_n++;
    *out_version = v;
    return trp_ok();
}

void trp_tenure_keep(struct trp_version *v, struct trp_mapping *mapping)
{
    struct tenure *t = v->life_slot;
    t->mapping = *mapping;
    mapping->hold = (struct trp_store_hold){ 0 };
}

void trp_tenure_move(struct trp_life *l, struct trp_version *v, enum trp_model_state to)
{
    struct trp_error err;
    const trp_status st = trp_lifecycle_move(&v->life, to, trp_loop_now_ns(l->opts.control), &err);
    TRP_ASSERT(!trp_failed(st)); /* whoever moves it knows where it is */
}

void trp_tenure_retire(struct trp_life *l, struct trp_set *set)
{
    for (uint32_t i = 0; i < set->n; i++)
        trp_tenure_move(l, set->items[i], TRP_MODEL_DRAINING);
    trp_set_drop(l->alloc, set);
}
