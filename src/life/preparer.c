/* life/preparer.c - prepares models beside serving, one at a time.
 *
 *   begin ──► queue ──► is there memory for it? ──► job ──► done
 *               ▲              no │                  │ a load has waited for its memory
 *               └─────────────────┴──────────────────┘ (tried again after a pause)
 *
 * A model that was loaded plainly although it could be mapped is prepared afterwards: the load was
 * what somebody waited for.  What is made serves the next load of it, here or in another process;
 * what serves now goes on as it is, because it is open and warm. The thread is nice to all others,
 * holds nothing of the version, and is given up when the server ends.
 *
 * What it takes meanwhile is several times the model.  That is reserved, so that the budget holds;
 * where nobody leaves room for it, it has others go as a run would.  Nobody waits for a
 * preparation, so a load that does wait has its memory at once. */
#include "life/preparer.h"
#include "life/heat.h"
#include "life/life_parts.h"
#include "life/tenure.h"

#include <stdio.h>

#include "residence/clearance.h"
#include "store/maker.h"
#include "store/sweeper.h"

#define ARENA_BLOCK 4096
#define ARENA_MAX (1u << 20)
#define TRP_PREPARER_NICE 10
#define TICK_NS TRP_PREPARER_LOOKS_NS /* while anybody is to be prepared */
/* Thousandths of what the model holds, at most: 1710 of an encoder of 438 MB, 2660 of a
 * convolution net of 102 MB. */
#define PREPARING_TAKES 2700u
#define YIELDS_AFTER_NS TRP_MS(250) /* that a load has waited for */
#define PAUSE_NS TRP_S(2)           /* after it yielded; doubled each time, up to */
#define PAUSE_NS_MAX TRP_S(600)
#define ASKS_AFTER_NS TRP_S(10) /* without room that others left */

struct preparing {
    struct trp_job job; /* first */
    struct preparing *next;
    struct trp_amounts need; /* while it is under way */
    struct trp_hold hold;
    struct trp_flag give_up; /* the memory is wanted, or the server ends */
    bool is_under_way, has_asked;
    uint32_t yields_n;
    int64_t since_ns, not_before_ns;
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
    if (p->life->opts.ledger)
        trp_ledger_release(p->life->opts.ledger, &p->hold);
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

/* The load opened the model without asking what is in it, so this is the first time that
 * somebody reads it whole. */
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

static bool is_under_way(const struct trp_life *l, const struct trp_version *v)
{
    for (const struct preparing *p = l->preparings; p; p = p->next)
        if (trp_str_is(v->path, p->desc.path))
            return true;
    return false;
}

/* --- the queue -------------------------------------------------------------------------------- */

static void show_length(const struct trp_life *l)
{
    uint64_t n = 0;
    for (const struct preparing *p = l->preparings; p; p = p->next)
        n++;
    trp_metrics_set(l->opts.metrics, TRP_METRIC_PREPARATIONS_WAITING, n);
}

static void append(struct trp_life *l, struct preparing *p)
{
    struct preparing **at = &l->preparings;
    while (*at)
        at = &(*at)->next;
    p->next = NULL;
    *at = p;
    show_length(l);
}

static void take_out(struct preparing *p)
{
    struct preparing **at = &p->life->preparings;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    show_length(p->life);
}

static bool fits_now(const struct trp_life *l, struct trp_amounts need)
{
    struct trp_budget b;
    trp_ledger_look(l->opts.ledger, &b);
    return trp_amounts_is_zero(trp_budget_missing(&b, need));
}

/* Whether a load waits for memory: who waits for a thread only is not helped. */
static bool is_memory_wanted(const struct trp_life *l, int64_t now_ns, int64_t since_ns)
{
    const struct trp_ask *first = l->residence ? l->residence->first : NULL;
    return first && first->is_asked_for && now_ns - first->since_ns >= since_ns &&
           !fits_now(l, trp_clearance_need(l->residence, first->guest));
}

/* It has others go, as a run would, when nobody left room for long; a load that comes meanwhile
 * is served first. */
static void ask(struct preparing *p, int64_t now_ns)
{
    struct trp_life *l = p->life;
    if (is_memory_wanted(l, now_ns, 0)) {
        if (p->has_asked)
            trp_ledger_tell_served(l->opts.ledger); /* the wish is withdrawn */
        p->has_asked = false;
        p->since_ns = now_ns;
    } else if (now_ns - p->since_ns >= ASKS_AFTER_NS) {
        trp_ledger_ask_room(l->opts.ledger, p->need);
        p->has_asked = true;
        p->since_ns = now_ns;
    }
}

static void refuse(struct preparing *p)
{
    p->error.status = trp_ledger_refuse(p->life->opts.ledger, p->need, &p->error);
    take_out(p);
    tell(p);
    free_preparing(p);
}

/* True when it has begun; `is_first`: of those that could. */
static bool try_to_begin(struct preparing *p, int64_t now_ns, bool is_first)
{
    struct trp_ledger *ledger = p->life->opts.ledger;
    if (ledger && !fits_now(p->life, p->need)) {
        if (is_first)
            ask(p, now_ns);
        return false;
    }
    if (ledger && trp_ledger_reserve(ledger, p->need, &p->hold) != TRP_RESERVE_DONE)
        return false;
    if (p->has_asked)
        trp_ledger_tell_served(ledger);
    p->has_asked = false;
    p->is_under_way = true;
    trp_loaders_submit(p->life->preparers, TRP_LANE_LOAD, &p->job);
    return true;
}

static bool can_ever_fit(const struct trp_life *l, const struct preparing *p)
{
    struct trp_budget b;
    if (!l->opts.ledger)
        return true;
    trp_ledger_look(l->opts.ledger, &b);
    const struct trp_amounts nothing = { { 0 } };
    return trp_amounts_fit(p->need, trp_budget_reach(&b, nothing));
}

/* One at a time; the first for which there is room. */
static void pump(struct trp_life *l)
{
    const int64_t now_ns = trp_loop_now_ns(l->opts.control);
    bool is_first = true;
    for (const struct preparing *p = l->preparings; p; p = p->next)
        if (p->is_under_way)
            return;
    for (struct preparing *p = l->preparings, *next; p; p = next) {
        next = p->next;
        if (!can_ever_fit(l, p)) {
            refuse(p);
        } else if (now_ns >= p->not_before_ns) {
            if (try_to_begin(p, now_ns, is_first))
                return;
            is_first = false;
        }
    }
}

bool trp_preparer_must_yield(const struct trp_life *l)
{
    return l->opts.ledger && is_memory_wanted(l, trp_loop_now_ns(l->opts.control), YIELDS_AFTER_NS);
}

static void yield_if_wanted(struct trp_life *l)
{
    for (struct preparing *p = l->preparings; p; p = p->next)
        if (p->is_under_way && trp_preparer_must_yield(l))
            trp_flag_raise(&p->give_up);
}

static void arm(struct trp_life *l, int64_t after_ns)
{
    struct trp_loop *control = l->opts.control;
    struct trp_error err;
    if (l->is_stopping || !l->preparings || l->preparing_timer.slot)
        return;
    if (trp_failed(
            trp_timer_arm(control, &l->preparing_timer, trp_loop_now_ns(control) + after_ns, &err)))
        TRP_ERROR_LOG(l->opts.log, "store", "who waits to be prepared waits for the next load: %s",
                      err.text);
}

static void due(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_life *l = TRP_CONTAINER_OF(timer, struct trp_life, preparing_timer);
    (void)now_ns;
    yield_if_wanted(l);
    pump(l);
    arm(l, TICK_NS);
}

/* A load waited for its memory: it is tried again later, after those who have not been. */
static void put_off(struct preparing *p)
{
    struct trp_life *l = p->life;
    const int64_t now_ns = trp_loop_now_ns(l->opts.control);
    const int64_t pause_ns =
        p->yields_n < 10 ? PAUSE_NS << p->yields_n : PAUSE_NS_MAX; /* 2 s << 9 is more */
    trp_ledger_release(l->opts.ledger, &p->hold);
    trp_metrics_add(l->opts.metrics, TRP_METRIC_PREPARATIONS_PUT_OFF, 1);
    TRP_INFO(l->opts.log, "store", "'%s' is prepared later: a load waits for the memory",
             p->desc.name);
    take_out(p);
    p->yields_n++;
    p->is_under_way = false;
    p->since_ns = now_ns;
    p->not_before_ns = now_ns + (pause_ns < PAUSE_NS_MAX ? pause_ns : PAUSE_NS_MAX);
    trp_flag_lower(&p->give_up);
    append(l, p);
}

static void done(struct trp_job *job)
{
    struct preparing *p = (struct preparing *)job;
    struct trp_life *l = p->life;
    if (p->error.status.code == TRP_CANCELLED && !l->is_stopping) {
        put_off(p);
    } else {
        take_out(p);
        tell(p);
        free_preparing(p);
    }
    if (!l->is_stopping)
        pump(l);
    arm(l, TICK_NS);
}

/* --- beginning -------------------------------------------------------------------------------- */

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
        .thread_mode = TROUPE_THREADS_ONE,
        .account = &l->opts.weights->plugin,
        .cancel = trp_flag_word(&l->stop_preparing),
    };
    return options && out->name && out->path;
}

static bool describe(struct preparing *p, const struct trp_version *v)
{
    const struct trp_stay *stay = trp_tenure_stay(v);
    const uint64_t holds = stay->own.of[TRP_RESOURCE_BYTES];
    p->need.of[TRP_RESOURCE_BYTES] = holds / 1000 * PREPARING_TAKES;
    p->number = v->target.version;
    p->model = trp_arena_dup(&p->arena, v->target.name);
    if (!p->model.ptr || !trp_preparer_describe(p->life, v, &p->arena, &p->desc))
        return false;
    p->desc.cancel = trp_flag_word(&p->give_up);
    return true;
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
    p->since_ns = trp_loop_now_ns(l->opts.control);
    append(l, p);
    arm(l, 0); /* when the version serves: it is told what came of it */
}

trp_status trp_preparer_create(struct trp_life *l, struct trp_error *err)
{
    if (!l->opts.store)
        return trp_ok();
    l->preparing_timer.due = due;
    const struct trp_loaders_opts opts = { .threads_n = 1,
                                           .nice = TRP_PREPARER_NICE,
                                           .control = l->opts.control };
    return trp_loaders_create(l->alloc, &opts, &l->preparers, err);
}

void trp_preparer_stop(struct trp_life *l)
{
    trp_flag_raise(&l->stop_preparing);
    trp_timer_disarm(l->opts.control, &l->preparing_timer);
    for (struct preparing *p = l->preparings, *next; p; p = next) {
        next = p->next;
        trp_flag_raise(&p->give_up);
        if (p->is_under_way)
            continue; /* done() has it */
        take_out(p);
        free_preparing(p);
    }
}

bool trp_preparer_is_busy(const struct trp_life *l)
{
    return l->preparers && trp_loaders_are_busy(l->preparers);
}
