/* life/tenure.c - a version object from its making to its burial
 *
 *   last owner leaves (any thread) ──mail──► control ──job──► close, trim ──► control: check accounts, free
 *
 * A version whose memory is still lent when it should go is kept: its account's address is in
 * somebody's hands, and a leak that the log names is better than a write to freed memory. */
#include "life/tenure.h"

#include "exec/sequencer.h"
#include "life/heat.h"
#include "life/joining.h"
#include "life/life_parts.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define LOST_PATH_MAX 512
#define OPENING_MAX 320

/* What is known of a model that is loaded; behind the tenure, in one block with it. */
struct trp_opened {
    struct trp_mapping mapping;         /* how it was opened */
    const struct trp_blob_use *watched; /* of it; NULL: opened plainly.  Constant once it runs */
    struct trp_heat heat;
    struct trp_joining joining;
    struct trp_stay stay;
    struct trp_mail loss;
    struct tenure *tenure;
    char lost[LOST_PATH_MAX]; /* written before `loss` is posted */
    char openings
        [2][OPENING_MAX]; /* the second when something is known that was not when it was opened */
};

struct tenure {
    struct trp_job close; /* first */
    struct trp_mail unused;
    struct trp_life *life;
    struct trp_version *version;
    bool has_override;
    struct trp_opened *opened; /* NULL: it only stands in the index */
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
    if (t->opened) {
        trp_stay_end(&t->opened->stay);
        trp_joining_end(l, &t->opened->joining);
    }
    if (has_served) {
        const int64_t ns = v->life.since_ns[TRP_MODEL_GONE] - v->life.since_ns[TRP_MODEL_DRAINING];
        TRP_INFO(l->opts.log, "life", "unloaded '%s' (drained in %lld ms)", v->id,
                 (long long)(ns / 1000000));
        trp_metrics_add(l->opts.metrics, TRP_METRIC_UNLOADS, 1);
    }
    if (v->sequencer) {
        trp_sequencer_close(v->sequencer);
        trp_sequencer_unref(v->sequencer);
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

/* ---- files that are cut short while they are mapped ---- */

/* What a plain model maps, external data, lies beside it or below. */
static bool is_beside(const struct trp_version *v, const char *path)
{
    char real[PATH_MAX];
    if (!realpath(v->path.ptr, real))
        return false;
    const size_t n = (size_t)(strrchr(real, '/') - real) + 1;
    return strncmp(path, real, n) == 0;
}

static bool is_ours(void *user, const char *path)
{
    const struct tenure *t = user;
    return t->opened->watched ? trp_blob_use_has(t->opened->watched, path)
                              : is_beside(t->version, path);
}

/* It serves no more, though it is READY: every run of it fails until the change that this begins
 * has replaced it. */
static void deliver_loss(struct trp_mail *mail)
{
    struct tenure *t = TRP_CONTAINER_OF(mail, struct trp_opened, loss)->tenure;
    struct trp_life *l = t->life;
    struct trp_version *v = t->version;
    trp_metrics_add(l->opts.metrics, TRP_METRIC_MAPPING_LOSSES, 1);
    TRP_ERROR_LOG(l->opts.log, "life", "'%s': %s was cut short while it was mapped; %s", v->id,
                  t->opened->lost,
                  t->has_override ? "load the model again, it came with an order"
                                  : "the model is loaded anew");
    trp_flag_raise(&v->is_damaged);
    struct trp_member *m = trp_member_get(l, v->target.name);
    if (m && !t->has_override && !l->is_stopping && trp_set_has(&m->serving, v)) {
        const struct trp_op op = { .kind = TRP_OP_MEND };
        trp_member_push(m, &op);
    }
    trp_version_unref(v);
}

static void on_loss(void *user, const char *path)
{
    struct tenure *t = user;
    (void)trp_str_copy(trp_str_of(path), t->opened->lost, sizeof t->opened->lost);
    t->opened->loss.deliver = deliver_loss;
    trp_version_ref(t->version);
    trp_loop_post(t->life->opts.control, &t->opened->loss);
}

void trp_tenure_watch(struct trp_version *v, struct trp_backend_model *model,
                      const struct trp_mapping *mapping)
{
    struct tenure *t = v->life_slot;
    const struct trp_backend_watch watch = { .is_mine = is_ours, .on_loss = on_loss, .user = t };
    t->opened->watched = mapping->use;
    trp_backend_watch(model, &watch);
}

/* ---- the end ---- */

static void close_model(struct trp_job *job)
{
    struct tenure *t = (struct tenure *)job;
    trp_backend_close(t->version->model);
    t->version->model = NULL;
    trp_mapping_release(t->life->opts.store, &t->opened->mapping);
    trp_gauge_set(&t->version->residency, TRP_RESIDENCY_NONE);
    trp_account_discharge(&t->version->weights, t->version->reported_bytes);
    trp_backend_trim(t->life->opts.backends);
    trp_exec_refresh_room(t->life->opts.exec);
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
                            uint64_t override_digest, enum trp_tenure_kind kind,
                            struct trp_version **out_version, struct trp_error *err)
{
    struct trp_life *l = m->life;
    *out_version = NULL;
    const size_t opened_bytes = kind == TRP_TENURE_LOADS ? sizeof(struct trp_opened) : 0;
    struct tenure *t = trp_alloc_zeroed(l->alloc, 1, sizeof *t + opened_bytes);
    if (!t)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "version %lld", (long long)files->number);
    t->life = l;
    if (opened_bytes) {
        t->opened = (struct trp_opened *)(void *)(t + 1);
        t->opened->tenure = t;
    }
    const struct trp_version_opts opts = { .model = m->name,
                                           .number = files->number,
                                           .ops = trp_exec_version_ops(),
                                           .runner = l->opts.exec,
                                           .weights_parent = l->opts.weights,
                                           .activations_parent = l->opts.activations,
                                           .shared_stats =
                                               kind == TRP_TENURE_SHOWS ? &l->cold_stats : NULL,
                                           .on_unused = on_unused,
                                           .on_unused_user = t };
    struct trp_version *v;
    trp_status st = trp_version_create(l->alloc, &opts, &v, err);
    if (!trp_failed(st)) {
        v->life_slot = t;
        v->path = trp_arena_dup(&v->arena, files->path);
        v->digest = files->digest ^ override_digest;
        v->headroom.key = v->digest;
        t->has_override = override_digest != 0;
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
    trp_scaling_apply(m, v);
    v->room = m->room;
    trp_waiting_ref(v->room);
    l->versions_n++;
    *out_version = v;
    return trp_ok();
}

void trp_tenure_keep(struct trp_version *v, struct trp_mapping *mapping)
{
    struct tenure *t = v->life_slot;
    t->opened->mapping = *mapping;
    t->opened->heat.is_packed = mapping->is_packed;
    t->opened->heat.has_blobs = mapping->is_mapped && mapping->mapped_bytes > 0;
    (void)snprintf(t->opened->openings[0], OPENING_MAX, "%s%s%s%s",
                   !mapping->is_mapped     ? "as it is"
                   : mapping->mapped_bytes ? "mapped"
                                           : "prepared",
                   mapping->is_packed ? ", with packed weights" : "", mapping->note[0] ? ": " : "",
                   mapping->note);
    trp_pointer_put(&v->opening, t->opened->openings[0]);
    mapping->hold = (struct trp_store_hold){ 0 };
    mapping->use = NULL;
}

struct trp_heat *trp_tenure_heat(const struct trp_version *v)
{
    struct tenure *t = v->life_slot;
    return t->opened ? &t->opened->heat : NULL;
}

struct trp_joining *trp_tenure_joining(const struct trp_version *v)
{
    struct tenure *t = v->life_slot;
    return &t->opened->joining;
}

const struct trp_sha256 *trp_tenure_key(const struct trp_version *v)
{
    const struct tenure *t = v->life_slot;
    return t->opened && t->opened->mapping.is_mapped ? &t->opened->mapping.key : NULL;
}

struct trp_blob_use *trp_tenure_use(const struct trp_version *v)
{
    const struct tenure *t = v->life_slot;
    return t->opened ? t->opened->mapping.use : NULL;
}

const struct trp_blob_use *trp_tenure_blobs(const struct trp_version *v)
{
    return trp_tenure_use(v);
}

void trp_tenure_explain(struct trp_version *v, const char *words)
{
    struct tenure *t = v->life_slot;
    if (!t->opened || t->opened->openings[1][0]) /* somebody may be reading it */
        return;
    (void)trp_str_copy(trp_str_of(words), t->opened->openings[1], OPENING_MAX);
    trp_pointer_put(&v->opening, t->opened->openings[1]);
}

struct trp_stay *trp_tenure_stay(const struct trp_version *v)
{
    struct tenure *t = v->life_slot;
    return &t->opened->stay;
}

void trp_tenure_move(struct trp_life *l, struct trp_version *v, enum trp_model_state to)
{
    struct trp_error err;
    const trp_status st = trp_lifecycle_move(&v->life, to, trp_loop_now_ns(l->opts.control), &err);
    TRP_ASSERT(!trp_failed(st)); /* whoever moves it knows where it is */
    if (to == TRP_MODEL_DRAINING)
        trp_stay_leave(trp_tenure_stay(v));
}

void trp_tenure_retire(struct trp_life *l, struct trp_set *set)
{
    for (uint32_t i = 0; i < set->n; i++)
        trp_tenure_move(l, set->items[i], TRP_MODEL_DRAINING);
    trp_set_drop(l->alloc, set);
}
