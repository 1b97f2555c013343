/* life/heat.c - see heat.h.
 *
 *   timer ──► each mapped version: how many cores do its runs keep busy?
 *                │ enough, twice, and nothing is known
 *                ▼
 *             trial (a job of the preparers' thread): opened both ways beside what serves, and raced
 *                │ gain, bytes
 *                ▼
 *             does it pay, and is there room? ──► MEND: the same files, opened packed; a hot swap like any other
 *             does it not pay any more?       ──► MEND: opened mapped again
 *
 * A model that was opened plainly, because nobody had prepared it yet, has private weights of the
 * fast kind.  Once it is prepared it keeps them as long as it is hot, and is opened mapped when it
 * is not.
 *
 * Nobody waits for a trial, so a load that waits for memory has what it holds: it is given up, and
 * begun anew when the model is found as hot again.
 *
 * What is learned moves on to the version that replaces one.  A model that was let go comes back
 * mapped, which is what whoever waits for it needs. */
#include "life/heat.h"

#include <stdio.h>

#include "life/life_parts.h"
#include "life/preparer.h"
#include "life/tenure.h"
#include "store/trial.h"

#define ARENA_BLOCK 4096
#define ARENA_MAX (1u << 20)
#define CORES_LEAST 0.02 /* below, nothing that is saved is worth a trial */
#define GAIN_LEAST 0.03  /* below, it may be chance */
#define SESSION_BYTES ((uint64_t)1 << 20)
#define LOOKS_BEFORE 2u /* in a row, before anything is done */
#define LOOKS_COLD 6u
#define MOVING 0.5 /* how much a look counts */

struct heating {
    struct trp_job job; /* first */
    struct heating *next;
    struct trp_life *life;
    struct trp_flag give_up; /* its memory is wanted, or the server ends */
    struct trp_arena arena;  /* what desc points to */
    struct troupe_model_desc desc;
    struct trp_str model, backend;
    int64_t number, run_ns;
    struct trp_hold hold; /* of what the packed one may take */
    struct trp_sha256 key;
    struct trp_trial trial;
    struct trp_error error;
};

bool trp_heat_pays(const struct trp_heat *h, double bytes_per_core)
{
    const double worth = h->cores * h->gain * bytes_per_core;
    return h->gain >= GAIN_LEAST && worth >= (double)h->bytes / (h->is_packed ? 2 : 1);
}

/* --- trials ----------------------------------------------------------------------------------- */

static void free_heating(struct heating *t)
{
    if (t->life->opts.ledger)
        trp_ledger_release(t->life->opts.ledger, &t->hold);
    trp_arena_deinit(&t->arena);
    trp_alloc_free(t->life->alloc, t);
}

static void work(struct trp_job *job)
{
    struct heating *t = (struct heating *)job;
    const struct trp_life_opts *o = &t->life->opts;
    struct trp_making making = { .store = o->store,
                                 .desc = &t->desc,
                                 .memory_bytes_max = o->run_bytes_max };
    t->error = (struct trp_error){ 0 };
    if (trp_flag_is_up(&t->give_up)) /* before its turn came */
        t->error.status = trp_fail(&t->error, TRP_CANCELLED, "given up");
    else
        t->error.status = trp_backends_get(o->backends, t->backend, &making.backend, &t->error);
    if (!trp_failed(t->error.status))
        t->error.status =
            trp_trial_run(&making, &t->key, o->weights, t->run_ns, &t->trial, &t->error);
    trp_backend_trim(o->backends);
}

/* The version that was asked about, if it still serves. */
static struct trp_version *find(const struct heating *t)
{
    const struct trp_member *m = trp_member_get(t->life, t->model);
    for (uint32_t i = 0; m && i < m->serving.n; i++) {
        struct trp_version *v = m->serving.items[i];
        const struct trp_sha256 *key = trp_tenure_key(v);
        if (v->target.version == t->number && key && memcmp(key, &t->key, sizeof t->key) == 0)
            return v;
    }
    return NULL;
}

static void learn(const struct heating *t, struct trp_heat *h)
{
    const struct trp_trial *seen = &t->trial;
    h->is_tried = true;
    if (trp_failed(t->error.status) || seen->mapped_ns <= 0 || seen->packed_ns >= seen->mapped_ns)
        return;
    h->gain = 1 - (double)seen->packed_ns / (double)seen->mapped_ns;
    h->bytes = seen->private_bytes;
}

static void take_out(struct heating *t)
{
    struct heating **at = &t->life->heatings;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
}

/* A load waited for its memory. */
static void put_off(const struct heating *t, struct trp_heat *h)
{
    const struct trp_life *l = t->life;
    if (h)
        h->hot_n = 0;
    if (l->is_stopping)
        return;
    trp_metrics_add(l->opts.metrics, TRP_METRIC_PREPARATIONS_PUT_OFF, 1);
    TRP_INFO(l->opts.log, "store",
             "'%s': whether packed weights pay is tried later: a load waits for the memory",
             t->desc.name);
}

static void done(struct trp_job *job)
{
    struct heating *t = (struct heating *)job;
    struct trp_log *log = t->life->opts.log;
    struct trp_version *v = find(t);
    struct trp_heat *h = v ? trp_tenure_heat(v) : NULL;
    take_out(t);
    if (h)
        h->is_trying = false;
    if (t->error.status.code == TRP_CANCELLED)
        put_off(t, h);
    else if (h)
        learn(t, h);
    if (!trp_failed(t->error.status))
        TRP_INFO(log, "store",
                 "'%s': a run takes %lld us, with packed weights %lld us and %llu bytes more",
                 t->desc.name, (long long)(t->trial.mapped_ns / 1000),
                 (long long)(t->trial.packed_ns / 1000),
                 (unsigned long long)t->trial.private_bytes);
    else if (t->error.status.code != TRP_CANCELLED)
        TRP_WARN(log, "store", "'%s' stays mapped: %s", t->desc.name, t->error.text);
    free_heating(t);
}

/* The copies of its weights, and a session; what it has mapped is in memory anyhow. */
static bool take_room(struct heating *t, const struct trp_version *v)
{
    struct trp_ledger *ledger = t->life->opts.ledger;
    const struct trp_blob_use *blobs = trp_tenure_blobs(v);
    const uint64_t bytes = blobs ? trp_blob_use_bytes(blobs) : 0;
    const struct trp_amounts need = { { bytes + bytes / 16 + SESSION_BYTES } };
    return !ledger || trp_ledger_reserve(ledger, need, &t->hold) == TRP_RESERVE_DONE;
}

static void give_up_all(struct trp_life *l)
{
    for (struct heating *t = l->heatings; t; t = t->next)
        trp_flag_raise(&t->give_up);
}

static void arm_yielding(struct trp_life *l)
{
    struct trp_loop *control = l->opts.control;
    struct trp_error err;
    if (l->is_stopping || !l->heatings || l->trial_timer.slot)
        return;
    if (trp_failed(trp_timer_arm(control, &l->trial_timer,
                                 trp_loop_now_ns(control) + TRP_PREPARER_LOOKS_NS, &err)))
        TRP_WARN(l->opts.log, "store", "a trial keeps its memory until it is over: %s", err.text);
}

static void look_at_trials(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_life *l = TRP_CONTAINER_OF(timer, struct trp_life, trial_timer);
    (void)now_ns;
    if (trp_preparer_must_yield(l))
        give_up_all(l);
    arm_yielding(l);
}

static void try(struct trp_life *l, struct trp_version *v, struct trp_heat *h)
{
    struct heating *t = trp_alloc_zeroed(l->alloc, 1, sizeof *t);
    if (!t)
        return; /* as below */
    t->life = l;
    trp_arena_init(&t->arena, l->alloc, ARENA_BLOCK, ARENA_MAX);
    t->model = trp_arena_dup(&t->arena, v->target.name);
    t->backend = trp_arena_dup(&t->arena, v->config.backend);
    if (!t->model.ptr || !t->backend.ptr || !trp_preparer_describe(l, v, &t->arena, &t->desc) ||
        !take_room(t, v)) {
        free_heating(t); /* the next look finds it as hot */
        return;
    }
    t->number = v->target.version;
    t->run_ns = trp_gauge_get(&v->stats->run_ns);
    t->key = *trp_tenure_key(v);
    t->job.work = work;
    t->job.done = done;
    h->is_trying = true;
    t->desc.cancel = trp_flag_word(&t->give_up);
    t->next = l->heatings;
    l->heatings = t;
    arm_yielding(l);
    trp_loaders_submit(l->preparers, TRP_LANE_BACKGROUND, &t->job);
}

/* --- looking ---------------------------------------------------------------------------------- */

static void measure(const struct trp_version *v, struct trp_heat *h, int64_t now_ns)
{
    const uint64_t runs_n = trp_counter_get(&v->stats->execution_count);
    const int64_t dt = now_ns - h->looked_ns;
    if (h->looked_ns > 0 && dt > 0) {
        const double busy =
            (double)(runs_n - h->runs_n) * (double)trp_gauge_get(&v->stats->run_ns) / (double)dt;
        h->cores += MOVING * (busy - h->cores);
    }
    h->runs_n = runs_n;
    h->looked_ns = now_ns;
}

static bool has_room(const struct trp_life *l, uint64_t bytes)
{
    struct trp_budget b;
    if (!l->opts.ledger)
        return true;
    trp_ledger_look(l->opts.ledger, &b);
    const uint64_t limit = b.limit.of[TRP_RESOURCE_BYTES];
    const struct trp_amounts used =
        trp_amounts_sum(trp_amounts_sum(b.fixed, b.committed), b.reserved);
    return limit == 0 || (used.of[TRP_RESOURCE_BYTES] < limit &&
                          bytes + bytes / 4 <= limit - used.of[TRP_RESOURCE_BYTES]);
}

static void reopen(struct trp_life *l, struct trp_version *v, struct trp_heat *h)
{
    const struct trp_op op = { .kind = TRP_OP_MEND };
    struct trp_member *m = trp_member_get(l, v->target.name);
    h->wants_packed = !h->is_packed && !h->could_map;
    TRP_INFO(l->opts.log, "store", "'%s' keeps %.2f cores busy: it is opened %s", v->id, h->cores,
             h->wants_packed ? "with packed weights" : "mapped");
    trp_metrics_add(l->opts.metrics,
                    h->wants_packed ? TRP_METRIC_PACKED_PACKED : TRP_METRIC_PACKED_MAPPED, 1);
    trp_flag_raise(&v->is_damaged); /* not kept, though its files are the same */
    (void)trp_member_push(m, &op);
}

static void decide_plain(struct trp_life *l, struct trp_version *v, struct trp_heat *h)
{
    h->cold_n = h->cores < CORES_LEAST ? h->cold_n + 1 : 0;
    if (h->cold_n >= LOOKS_COLD)
        reopen(l, v, h);
}

static void decide(struct trp_life *l, struct trp_version *v, struct trp_heat *h)
{
    if (h->could_map) {
        decide_plain(l, v, h);
        return;
    }
    const bool pays = trp_heat_pays(h, l->opts.bytes_per_core);
    h->hot_n = h->cores >= CORES_LEAST && (pays || !h->is_tried) ? h->hot_n + 1 : 0;
    h->cold_n = pays ? 0 : h->cold_n + 1;
    if (!h->is_packed && !h->is_tried && !h->is_trying && h->hot_n >= LOOKS_BEFORE)
        try(l, v, h);
    else if (!h->is_packed && h->is_tried && h->hot_n >= LOOKS_BEFORE && has_room(l, h->bytes))
        reopen(l, v, h);
    else if (h->is_packed && h->cold_n >= LOOKS_COLD)
        reopen(l, v, h);
}

static void look_at(struct trp_life *l, struct trp_member *m, int64_t now_ns)
{
    for (uint32_t i = 0; !m->op && !m->is_overridden && i < m->serving.n; i++) {
        struct trp_version *v = m->serving.items[i];
        struct trp_heat *h = trp_tenure_heat(v);
        if (!h || (!h->has_blobs && !h->could_map) || trp_flag_is_up(&v->is_damaged) ||
            trp_door_is_shut(&v->door))
            continue;
        measure(v, h, now_ns);
        decide(l, v, h);
    }
}

static void arm(struct trp_life *l)
{
    struct trp_loop *control = l->opts.control;
    struct trp_error err;
    if (trp_failed(trp_timer_arm(control, &l->heat_timer,
                                 trp_loop_now_ns(control) + l->opts.store_pack_ns, &err)))
        TRP_ERROR_LOG(l->opts.log, "store", "hot models stay mapped: %s", err.text);
}

static void due(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_life *l = TRP_CONTAINER_OF(timer, struct trp_life, heat_timer);
    for (struct trp_member *m = l->members, *next; m; m = next) {
        next = m->next;
        look_at(l, m, now_ns);
    }
    arm(l);
}

void trp_heat_start(struct trp_life *l)
{
    l->heat_timer.due = due;
    l->trial_timer.due = look_at_trials;
    if (l->preparers && l->opts.store_pack_ns > 0)
        arm(l);
}

void trp_heat_stop(struct trp_life *l)
{
    trp_timer_disarm(l->opts.control, &l->heat_timer);
    trp_timer_disarm(l->opts.control, &l->trial_timer);
    give_up_all(l);
}

/* --- what replaces one ------------------------------------------------------------------------ */

static const struct trp_version *find_old(const struct trp_set *serving, int64_t number)
{
    for (uint32_t i = 0; i < serving->n; i++)
        if (serving->items[i]->target.version == number)
            return serving->items[i];
    return NULL;
}

bool trp_heat_wants_packed(const struct trp_set *serving, int64_t number)
{
    const struct trp_version *old = find_old(serving, number);
    const struct trp_heat *h = old ? trp_tenure_heat(old) : NULL;
    return h && h->wants_packed;
}

void trp_heat_prepared(struct trp_version *v)
{
    struct trp_heat *h = trp_tenure_heat(v);
    if (h)
        h->could_map = !h->has_blobs && !h->stays;
}

void trp_heat_inherit(const struct trp_set *serving, struct trp_version *v)
{
    struct trp_heat *h = trp_tenure_heat(v);
    const struct trp_version *old = find_old(serving, v->target.version);
    const struct trp_heat *was = old ? trp_tenure_heat(old) : NULL;
    if (!h || !was)
        return;
    if (!h->has_blobs || !was->has_blobs) {
        h->stays = was->could_map && !h->has_blobs;
        return;
    }
    if (memcmp(trp_tenure_key(v), trp_tenure_key(old), sizeof(struct trp_sha256)) != 0)
        return; /* of other files nothing is known */
    const bool is_packed = h->is_packed;
    *h = *was;
    h->is_packed = h->wants_packed = is_packed;
    h->is_trying = false;
    h->runs_n = 0;
    h->looked_ns = 0;
    h->hot_n = h->cold_n = 0;
}
