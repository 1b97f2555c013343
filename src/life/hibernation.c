/* life/hibernation.c - see hibernation.h.
 *
 *   begin ──► doors shut ─ nobody inside ─► SLEEP ── job: drop pages ──► ASLEEP: READY, and calls wait at the door
 *               │ somebody is                  │ failed                      │ a call came
 *               ▼                              ▼                             ▼
 *            open again ◄──────────────────────┘        residence: is there room? ── job: wake ──► doors open, calls sent on
 *                                                            │ no: told so              │ failed, late
 *                                                            ▼                          ▼
 *                                                       sleeps on                  let go, and loaded anew
 *
 *  1. A call counts itself in before it looks at the door, and the door is shut before anybody
 *     looks who is inside: no run begins on what sleeps.  The door of a version that is let go in
 *     its sleep stays shut; what was on its way to it waits elsewhere.
 *  2. Whoever waits at a door is in the room where calls wait for a load, so deadlines, classes and
 *     limits are the same.
 *  3. All that serves of a model sleeps and wakes together.
 *  4. What is in hand holds the versions that it works on: they are not closed meanwhile,
 *     whatever becomes of the model. */
#include "life/hibernation.h"

#include <stdio.h>

#include "life/demand.h"
#include "life/joining.h"
#include "life/steward.h"
#include "life/tenure.h"

/* One version, and what its own weights took before. */
struct sleeper {
    struct trp_version *version; /* one reference */
    uint64_t held_bytes;
    bool is_done;
};

struct slumber {
    struct trp_job job; /* first */
    struct trp_life *life;
    struct trp_member *member; /* NULL: given up, what it brings is not waited for */
    struct trp_ask ask;
    struct trp_timer timer;
    struct trp_error error; /* status OK: all of them */
    int64_t took_ns;
    uint32_t n;
    struct sleeper all[];
};

/* ---- what holds now ---- */

static bool can_hibernate(const struct trp_version *v)
{
    const struct trp_stay *stay = trp_tenure_stay(v);
    if (!v->model || !stay->guest || trp_flag_is_up(&v->is_damaged) ||
        !(trp_backend_capabilities(v->model) & TROUPE_CAN_HIBERNATE))
        return false;
    return stay->shares_n > 0 || !trp_tenure_blobs(v); /* else nobody knows what it shares */
}

bool trp_hibernation_is_able(const struct trp_member *m)
{
    for (uint32_t i = 0; i < m->serving.n; i++)
        if (!can_hibernate(m->serving.items[i]))
            return false;
    return m->serving.n > 0 && !m->is_overridden;
}

bool trp_hibernation_is_asleep(const struct trp_member *m)
{
    for (uint32_t i = 0; i < m->serving.n; i++)
        if (trp_door_is_shut(&m->serving.items[i]->door))
            return true;
    return false;
}

/* For calls, and for what gave up because it was shut. */
static void open_door(struct trp_version *v)
{
    trp_door_open(&v->door);
    trp_joining_go_on(v);
}

static void open_doors(const struct trp_member *m)
{
    for (uint32_t i = 0; i < m->serving.n; i++)
        open_door(m->serving.items[i]);
}

static bool shut_doors(const struct trp_member *m)
{
    for (uint32_t i = 0; i < m->serving.n; i++) {
        struct trp_version *v = m->serving.items[i];
        if (trp_door_shut(&v->door, &v->stats->in_flight))
            continue;
        open_doors(m);
        return false;
    }
    return true;
}

/* ---- what both ops have in common ---- */

/* Those of its versions whose doors are shut. */
static struct slumber *make_slumber(struct trp_member *m)
{
    struct trp_life *l = m->life;
    struct slumber *s =
        trp_alloc_zeroed(l->alloc, 1, sizeof *s + (size_t)m->serving.n * sizeof s->all[0]);
    if (!s)
        return NULL;
    s->life = l;
    s->member = m;
    for (uint32_t i = 0; i < m->serving.n; i++) {
        struct trp_version *v = m->serving.items[i];
        if (!trp_door_is_shut(&v->door))
            continue;
        trp_version_ref(v);
        s->all[s->n++] =
            (struct sleeper){ .version = v, .held_bytes = trp_counter_get(&v->weights.bytes) };
    }
    return s;
}

static void free_slumber(struct slumber *s)
{
    trp_timer_disarm(s->life->opts.control, &s->timer);
    for (uint32_t i = 0; i < s->n; i++)
        trp_version_unref(s->all[i].version);
    trp_alloc_free(s->life->alloc, s);
}

static void fail_short(struct trp_member *m, const char *words)
{
    struct trp_error err = { 0 };
    (void)trp_fail(&err, TRP_OUT_OF_MEMORY, "%s", words);
    trp_member_finish(m, &err);
}

/* ---- going to sleep ---- */

/* The blobs are given up when their pages are. */
static trp_status put_to_sleep(struct sleeper *one, struct trp_error *err)
{
    struct trp_blob_use *use = trp_tenure_use(one->version);
    TRP_CHECK(trp_backend_hibernate(one->version->model, err));
    if (use)
        trp_blob_use_sleep(use);
    one->is_done = true;
    return trp_ok();
}

static trp_status wake_up(struct sleeper *one, struct trp_error *err)
{
    struct trp_blob_use *use = trp_tenure_use(one->version);
    if (use)
        TRP_CHECK(trp_blob_use_wake(use, err));
    return trp_backend_wake(one->version->model, err);
}

/* One of them could not sleep, so none does.  Whose is_done is still true afterwards sleeps on. */
static void wake_again(struct slumber *s)
{
    struct trp_error err;
    for (uint32_t i = 0; i < s->n; i++)
        if (s->all[i].is_done)
            s->all[i].is_done = trp_failed(wake_up(&s->all[i], &err));
}

static void work_to_sleep(struct trp_job *job)
{
    struct slumber *s = (struct slumber *)job;
    const int64_t begun_ns = trp_clock_now_ns(trp_clock_system());
    trp_status st = trp_ok();
    for (uint32_t i = 0; i < s->n && !trp_failed(st); i++)
        st = put_to_sleep(&s->all[i], &s->error);
    s->error.status = st;
    if (trp_failed(st))
        wake_again(s);
    else
        trp_backend_trim(s->life->opts.backends);
    s->took_ns = trp_clock_now_ns(trp_clock_system()) - begun_ns;
}

/* Weights that its backend has given back besides, counted in its account. */
static struct trp_amounts rest_of(const struct sleeper *one)
{
    const struct trp_amounts now = trp_tenure_stay(one->version)->own;
    const uint64_t holds = trp_counter_get(&one->version->weights.bytes);
    const struct trp_amounts freed = { { one->held_bytes > holds ? one->held_bytes - holds : 0 } };
    return trp_amounts_less(now, freed);
}

static uint64_t note_asleep(struct trp_member *m, const struct slumber *s)
{
    uint64_t rest = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct trp_amounts one = rest_of(&s->all[i]);
        rest += one.of[TRP_RESOURCE_BYTES];
        trp_stay_sleep(trp_tenure_stay(s->all[i].version), one);
        trp_gauge_set(&s->all[i].version->residency, TRP_RESIDENCY_HIBERNATED);
    }
    trp_metrics_add(m->life->opts.metrics, TRP_METRIC_HIBERNATIONS, 1);
    return rest;
}

/* It had better go another time; told as long as its files are the same. */
static void spoil_sleep(struct trp_member *m, const struct slumber *s, const char *words)
{
    trp_guest_spoil_sleep(m->guest, words);
    for (uint32_t i = 0; i < s->n; i++)
        trp_tenure_explain(s->all[i].version, words);
}

/* It stays awake. */
static void sleep_failed(struct trp_member *m, const struct slumber *s)
{
    bool is_awake = true;
    TRP_WARN(m->life->opts.log, "life", "'%.*s' was not hibernated: %s", TRP_STR(m->name),
             s->error.text);
    char words[TRP_UNFIT_MAX];
    (void)snprintf(words, sizeof words, "not hibernated any more: %s", s->error.text);
    spoil_sleep(m, s, words);
    for (uint32_t i = 0; i < s->n; i++)
        is_awake = is_awake && !s->all[i].is_done;
    if (!is_awake && trp_cold_let_go(m, "it was half hibernated"))
        return;
    if (!is_awake) { /* without memory for that it sleeps, as far as calls can tell */
        (void)note_asleep(m, s);
        return;
    }
    for (uint32_t i = 0; i < s->n; i++)
        trp_stay_rouse(trp_tenure_stay(s->all[i].version));
    open_doors(m);
}

static void slept(struct trp_job *job)
{
    struct slumber *s = (struct slumber *)job;
    struct trp_member *m = s->member;
    const struct trp_error ok = { 0 };
    if (trp_failed(s->error.status)) {
        sleep_failed(m, s);
    } else {
        const uint64_t rest = note_asleep(m, s);
        TRP_INFO(m->life->opts.log, "life",
                 "'%.*s' is hibernated after %lld ms and keeps %llu bytes", TRP_STR(m->name),
                 (long long)(s->took_ns / 1000000), (unsigned long long)rest);
        trp_idle_begin(m);
    }
    free_slumber(s);
    trp_member_finish(m, &ok);
}

void trp_hibernation_sleep(struct trp_member *m)
{
    struct slumber *s = make_slumber(m);
    if (!s) {
        open_doors(m);
        fail_short(m, "no memory to hibernate it");
        return;
    }
    for (uint32_t i = 0; i < s->n; i++)
        trp_stay_doze(trp_tenure_stay(s->all[i].version));
    s->job.work = work_to_sleep;
    s->job.done = slept;
    trp_loaders_submit(m->life->loaders, TRP_LANE_CHORE, &s->job);
}

bool trp_hibernation_begin(struct trp_member *m, const char *why)
{
    const struct trp_op op = { .kind = TRP_OP_SLEEP };
    if (m->op || m->first || m->life->is_stopping || trp_waiting_count(m->room) > 0 ||
        !trp_hibernation_is_able(m) || trp_hibernation_is_asleep(m) || !shut_doors(m))
        return false;
    TRP_INFO(m->life->opts.log, "life", "hibernating '%.*s': %s", TRP_STR(m->name), why);
    trp_presence_note_out(m, why);
    if (trp_member_push(m, &op))
        return true;
    open_doors(m);
    return false;
}

bool trp_hibernation_try(struct trp_member *m, const char *why)
{
    const struct trp_life_opts *o = &m->life->opts;
    if (o->hibernated_bytes_max == 0 || o->policy != TRP_EVICTION_COST || !m->guest)
        return false;
    m->guest->sleep.is_able = trp_hibernation_is_able(m);
    return trp_guest_may_sleep(m->guest) && trp_hibernation_begin(m, why);
}

/* ---- waking ---- */

static void work_to_wake(struct trp_job *job)
{
    struct slumber *s = (struct slumber *)job;
    const int64_t begun_ns = trp_clock_now_ns(trp_clock_system());
    trp_status st = trp_ok();
    for (uint32_t i = 0; i < s->n && !trp_failed(st); i++)
        st = wake_up(&s->all[i], &s->error);
    s->error.status = st;
    s->took_ns = trp_clock_now_ns(trp_clock_system()) - begun_ns;
}

static void sleep_on(struct slumber *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        trp_stay_sleep_on(trp_tenure_stay(s->all[i].version));
}

static bool let_go_instead(struct trp_member *m, const char *why)
{
    char words[320];
    (void)snprintf(words, sizeof words, "it could not be woken: %s", why);
    if (!trp_cold_let_go(m, words))
        return false;
    trp_metrics_add(m->life->opts.metrics, TRP_METRIC_WAKES_FAILED, 1);
    return true;
}

static void say_whether_it_pays(struct trp_member *m, const struct slumber *s)
{
    char words[TRP_UNFIT_MAX];
    struct trp_guest *g = m->guest;
    if (!g || !trp_guest_learn_wake(g, s->took_ns))
        return;
    (void)snprintf(words, sizeof words,
                   "not hibernated any more: waking took %lld ms, loading %lld ms",
                   (long long)(s->took_ns / 1000000), (long long)(g->reload_ns / 1000000));
    TRP_INFO(m->life->opts.log, "life", "'%.*s' is %s", TRP_STR(m->name), words);
    spoil_sleep(m, s, words);
}

static void wake_ended_well(struct trp_member *m, struct slumber *s)
{
    struct trp_metrics *metrics = m->life->opts.metrics;
    for (uint32_t i = 0; i < s->n; i++) {
        struct trp_version *v = s->all[i].version;
        trp_stay_awake(trp_tenure_stay(v));
        trp_gauge_set(&v->residency, TRP_RESIDENCY_MAPPED);
        open_door(v);
    }
    trp_metrics_add(metrics, TRP_METRIC_WAKES_OK, 1);
    trp_metrics_add(metrics, TRP_METRIC_WAKE_US,
                    (uint64_t)(s->took_ns > 0 ? s->took_ns : 0) / 1000);
    TRP_INFO(m->life->opts.log, "life", "woke '%.*s' in %lld ms for %s", TRP_STR(m->name),
             (long long)(s->took_ns / 1000000), m->op->is_by_call ? "a request" : "an order");
    say_whether_it_pays(m, s);
    trp_idle_begin(m);
}

static void woken(struct trp_job *job)
{
    struct slumber *s = (struct slumber *)job;
    struct trp_member *m = s->member;
    struct trp_error err = s->error;
    if (!m) { /* it was let go meanwhile */
        free_slumber(s);
        return;
    }
    if (!trp_failed(err.status)) {
        wake_ended_well(m, s);
    } else if (let_go_instead(m, err.text)) {
        err = (struct trp_error){ 0 }; /* whoever waits has it loaded */
    } else {
        sleep_on(s);
    }
    free_slumber(s);
    trp_member_finish(m, &err);
}

/* It is let go, whatever its backend does; what it brings later is closed with the version. */
static void too_late(struct trp_timer *timer, int64_t now_ns)
{
    struct slumber *s = TRP_CONTAINER_OF(timer, struct slumber, timer);
    struct trp_member *m = s->member;
    struct trp_error err = { 0 };
    (void)now_ns;
    (void)trp_fail_limit(&err, TRP_DEADLINE_EXCEEDED, TRP_LIMIT_LOAD_TIME,
                         "it did not wake within %lld ms (timeouts.load)",
                         (long long)(s->life->opts.load_ns_max / 1000000));
    if (!let_go_instead(m, err.text))
        return; /* without memory for that it is waited for */
    s->member = NULL;
    trp_metrics_hit(s->life->opts.metrics, &err);
    trp_member_finish(m, &err);
}

static void arm_limit(struct slumber *s)
{
    struct trp_error err;
    const struct trp_life_opts *o = &s->life->opts;
    if (o->load_ns_max <= 0)
        return;
    s->timer.due = too_late;
    if (trp_failed(trp_timer_arm(o->control, &s->timer,
                                 trp_loop_now_ns(o->control) + o->load_ns_max, &err)))
        TRP_WARN(o->log, "life", "'%.*s' wakes without a time limit: %s", TRP_STR(s->member->name),
                 err.text);
}

static void answered(struct trp_ask *ask, const struct trp_error *refused)
{
    struct slumber *s = TRP_CONTAINER_OF(ask, struct slumber, ask);
    struct trp_member *m = s->member;
    if (refused) {
        const struct trp_error why = *refused;
        sleep_on(s);
        free_slumber(s);
        trp_member_finish(m, &why);
        return;
    }
    s->job.work = work_to_wake;
    s->job.done = woken;
    arm_limit(s);
    trp_loaders_submit(m->life->loaders, TRP_LANE_LOAD, &s->job);
}

void trp_hibernation_wake(struct trp_member *m)
{
    const struct trp_error ok = { 0 };
    struct slumber *s = make_slumber(m);
    if (!s) {
        fail_short(m, "no memory to wake it");
        return;
    }
    if (s->n == 0) {
        free_slumber(s);
        trp_member_finish(m, &ok);
        return;
    }
    for (uint32_t i = 0; i < s->n; i++)
        trp_stay_wake(trp_tenure_stay(s->all[i].version));
    s->ask.answer = answered;
    trp_steward_ask(m, &s->ask);
}

void trp_hibernation_wake_first(struct trp_member *m)
{
    struct trp_op *op = m->op, *wake;
    const bool stays = op->order && (op->kind == TRP_OP_LOAD ||
                                     (op->kind == TRP_OP_KEEP && op->order->kind == TRP_ORDER_PIN));
    if (!stays || op->is_woken || !trp_hibernation_is_asleep(m))
        return;
    op->is_woken = true;
    wake = trp_alloc_zeroed(m->life->alloc, 1, sizeof *wake);
    if (!wake)
        return;
    wake->kind = TRP_OP_WAKE;
    op->next = m->first;
    if (!m->first)
        m->end = &op->next;
    m->first = op;
    m->op = wake;
}
