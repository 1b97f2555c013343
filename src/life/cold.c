/* life/cold.c - models that are not loaded, and the calls that wait for them
 *
 *   call ──► version that does not serve ──► room ──mail──► wanted
 *                                             ▲               │ nothing in hand
 *                                             │               ▼
 *   loop ◄── sent home, to what serves now ───┴── ended ◄── LOAD, one for all who wait
 *
 *  1. A cold version is NEW and shown READY: clients need not know that it is not in memory.
 *  2. Whoever waits is looked after whenever an op has ended and when nothing is in hand, so every
 *     way on leads to an answer: what serves, another load, or why there is neither.
 *  3. A version that a call was pinned to while it waited is only a place to wait at: what answers
 *     is chosen when the load has ended, by the number that was asked for. */
#include <stdio.h>

#include "life/demand.h"
#include "life/hibernation.h"
#include "life/labelling.h"
#include "life/life_parts.h"
#include "life/presence.h"
#include "life/tenure.h"
#include "model/registry.h"

#define WAITING_MAX 4000u
#define UNKNOWN_MODEL "Request for unknown model: '%.*s'" /* clients match these words */

const char *trp_cold_reason(const struct trp_member *m)
{
    if (m->held_back)
        return "unloaded";
    return m->on_demand ? "on demand" : "";
}

/* ---- calls that wait ---- */

static void wanted(void *user)
{
    trp_member_go_on(user);
}

trp_status trp_cold_open(struct trp_member *m, struct trp_error *err)
{
    const struct trp_life_opts *o = &m->life->opts;
    const struct trp_waiting_opts opts = { .calls_max =
                                               o->waiting_max ? o->waiting_max : WAITING_MAX,
                                           .control = o->control,
                                           .metrics = o->metrics,
                                           .wanted = wanted,
                                           .user = m };
    return trp_waiting_create(m->life->alloc, &opts, &m->room, err);
}

static void fail_stopping(struct trp_error *err)
{
    (void)trp_fail(err, TRP_UNAVAILABLE, "Server not ready: it is stopping");
}

void trp_cold_close(struct trp_member *m)
{
    struct trp_error err = { 0 };
    if (m->life->is_stopping)
        fail_stopping(&err);
    else
        (void)trp_fail(&err, TRP_NOT_FOUND, UNKNOWN_MODEL " is not found", TRP_STR(m->name));
    trp_waiting_close(m->room, &err);
    trp_waiting_unref(m->room);
    m->room = NULL;
}

/* Of what failed, the version that was asked for counts the call, or else the highest. */
static struct trp_version *failed_one(const struct trp_member *m, int64_t number)
{
    for (uint32_t i = m->shown.n; i-- > 0;) {
        struct trp_version *v = m->shown.items[i];
        if ((number == 0 || v->target.version == number) &&
            trp_lifecycle_get(&v->life) == TRP_MODEL_FAILED)
            return v;
    }
    return NULL;
}

static void send_home(struct trp_task *task)
{
    struct trp_life *l = TRP_CONTAINER_OF(task, struct trp_life, homeward_task);
    struct trp_call *call;
    while ((call = trp_call_list_pop(&l->homeward)) != NULL)
        trp_waiting_send(call);
}

/* Behind the snapshot that tells of what has ended, which is published by a task that was queued
 * before: whoever has his answer and looks into the index finds what he was told. */
static void send_soon(struct trp_life *l, struct trp_call *call)
{
    trp_call_list_push(&l->homeward, call);
    l->homeward_task.run = send_home;
    trp_loop_ready(l->opts.control, &l->homeward_task);
}

/* Sends everybody home with what failed of what he asked for, or with `why` where nothing did. */
static void refuse_all(struct trp_member *m, const struct trp_error *why)
{
    struct trp_call_list calls = { 0 };
    struct trp_call *call;
    trp_waiting_take(m->room, &calls, trp_loop_now_ns(m->life->opts.control));
    while ((call = trp_call_list_pop(&calls)) != NULL) {
        struct trp_version *failed = failed_one(m, trp_labelling_number(m, call->version));
        struct trp_error told = *why;
        if (failed)
            (void)trp_version_refuse(failed, m->name, &told); /* as to those who come later */
        trp_waiting_decide(call, failed, &told);
        send_soon(m->life, call);
    }
}

/* Resources may be there the next time, and clients should know; anything else is how the model
 * is. */
static enum trp_code call_code(int32_t code)
{
    switch (code) {
    case TRP_OUT_OF_MEMORY:
    case TRP_OVER_BUDGET:
    case TRP_UNAVAILABLE:
    case TRP_NOT_FOUND:
        return (enum trp_code)code;
    default:
        return TRP_NOT_READY;
    }
}

static void refuse_for(struct trp_member *m, int32_t code, const char *words)
{
    struct trp_error why = { 0 };
    (void)trp_fail(&why, call_code(code), "model '%.*s' cannot be loaded: %s", TRP_STR(m->name),
                   words);
    refuse_all(m, &why);
}

static struct trp_version *numbered(const struct trp_set *set, int64_t number)
{
    for (uint32_t i = set->n; i-- > 0;)
        if (number == 0 || set->items[i]->target.version == number)
            return set->items[i];
    return NULL;
}

static void send_to(struct trp_member *m, const struct trp_set *set)
{
    struct trp_call_list calls = { 0 };
    struct trp_call *call;
    trp_waiting_take(m->room, &calls, trp_loop_now_ns(m->life->opts.control));
    while ((call = trp_call_list_pop(&calls)) != NULL) {
        const int64_t number = trp_labelling_number(m, call->version);
        struct trp_version *v = numbered(set, number);
        struct trp_error why = { 0 };
        if (!v && number < 0)
            (void)trp_fail(&why, TRP_NOT_FOUND, UNKNOWN_MODEL " has no version of this label",
                           TRP_STR(m->name));
        else if (!v)
            (void)trp_fail(&why, TRP_NOT_FOUND, UNKNOWN_MODEL " version %lld is not found",
                           TRP_STR(m->name), (long long)number);
        trp_waiting_decide(call, v, v ? NULL : &why);
        send_soon(m->life, call);
    }
}

static void send_on(struct trp_member *m)
{
    send_to(m, &m->serving);
}

void trp_cold_ended(struct trp_member *m, const struct trp_op *op, const struct trp_error *err)
{
    if (trp_waiting_count(m->room) == 0)
        return;
    if (m->serving.n && !trp_hibernation_is_asleep(m))
        send_on(m);
    else if (op->is_by_call && trp_failed(err->status))
        refuse_for(m, err->status.code, err->text);
}

/* Why nothing serves, and nothing will be done about it now. */
static void refuse_by_state(struct trp_member *m)
{
    struct trp_error why = { 0 };
    (void)trp_fail(&why, TRP_NOT_FOUND, UNKNOWN_MODEL " has no available versions%s%s",
                   TRP_STR(m->name), m->reason ? ": " : "", m->reason ? m->reason : "");
    refuse_all(m, &why);
}

static bool may_load_now(const struct trp_member *m)
{
    const struct trp_version *failed = failed_one(m, 0);
    return m->on_demand && (!failed || trp_flag_is_up(&failed->may_retry));
}

/* What sleeps is woken for whoever waits. */
static bool have_woken(struct trp_member *m)
{
    const struct trp_op op = { .kind = TRP_OP_WAKE, .is_by_call = true };
    if (trp_member_push(m, &op))
        return true;
    refuse_for(m, TRP_OUT_OF_MEMORY, "no memory to wake it");
    return false;
}

bool trp_cold_attend(struct trp_member *m)
{
    const struct trp_op op = { .kind = TRP_OP_LOAD, .is_by_call = true };
    struct trp_error why = { 0 };
    if (trp_waiting_count(m->room) == 0)
        return false;
    if (m->life->is_stopping) {
        fail_stopping(&why);
        refuse_all(m, &why);
    } else if (trp_hibernation_is_asleep(m)) {
        return have_woken(m);
    } else if (m->serving.n) {
        send_on(m);
    } else if (!may_load_now(m)) {
        refuse_by_state(m);
    } else if (trp_member_push(m, &op)) {
        trp_metrics_add(m->life->opts.metrics, TRP_METRIC_COLD_LOADS, 1);
        return true;
    } else {
        refuse_for(m, TRP_OUT_OF_MEMORY, "no memory to begin its load");
    }
    return false;
}

/* ---- letting go ---- */

bool trp_cold_show(struct trp_member *m, const struct trp_set *was)
{
    struct trp_life *l = m->life;
    struct trp_set cold;
    if (!trp_set_init(l->alloc, &cold, was->n))
        return false;
    for (uint32_t i = 0; i < was->n; i++) {
        const struct trp_version *old = was->items[i];
        const struct trp_repo_version files = { .number = old->target.version,
                                                .path = old->path,
                                                .digest = old->digest };
        struct trp_version *v;
        if (trp_failed(trp_tenure_begin(m, &files, 0, TRP_TENURE_SHOWS, &v, NULL))) {
            trp_set_drop(l->alloc, &cold);
            return false;
        }
        trp_version_say(v, trp_str_of(trp_cold_reason(m)));
        if (trp_version_face(old))
            (void)trp_version_take_face(v, trp_version_face(old)); /* else the survey knows more */
        cold.items[cold.n++] = v;
    }
    trp_set_drop(l->alloc, &m->shown);
    m->shown = cold;
    return true;
}

bool trp_member_evict(struct trp_member *m, const char *why)
{
    const bool is_wanted = trp_hibernation_is_asleep(m) && trp_waiting_count(m->room) > 0;
    return !m->op && !is_wanted && trp_cold_let_go(m, why);
}

/* What is let go is not what its files are now, which did not load: it is to be found again.
 * The index goes on saying why. */
static bool keep_older(struct trp_member *m)
{
    trp_set_drop(m->life->alloc, &m->older);
    return !m->reason || trp_set_dup(m->life->alloc, &m->older, &m->shown);
}

/* Calls that wait for memory have not begun: they wait for the model to come back. */
static void send_on_waiters(struct trp_member *m)
{
    for (uint32_t i = 0; i < m->serving.n; i++)
        trp_exec_let_go(m->life->opts.exec, m->serving.items[i], m->shown.items[i]);
}

bool trp_cold_let_go(struct trp_member *m, const char *why)
{
    const bool was_on_demand = m->on_demand, was_asleep = trp_hibernation_is_asleep(m);
    if (m->serving.n == 0 || m->is_overridden || m->is_last_copy || m->life->is_stopping)
        return false;
    m->on_demand = true;
    if (!trp_cold_show(m, &m->serving) || !keep_older(m)) {
        m->on_demand = was_on_demand;
        return false;
    }
    TRP_INFO(m->life->opts.log, "life", "letting '%.*s' go: %s", TRP_STR(m->name), why);
    trp_presence_note(m, why);
    m->was_let_go = true;
    m->wanted = false;
    trp_idle_end(m);
    trp_backoff_reset(m);
    trp_survey_forget(m);
    send_on_waiters(m);
    trp_tenure_retire(m->life, &m->serving);
    trp_member_show(m);
    trp_survey_ask(m);
    if (was_asleep) /* what waited for it to wake must not hold it while it waits for its room */
        send_to(m, &m->shown);
    return true;
}
