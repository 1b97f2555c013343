/* life/member.c - one model: its orders one after the other
 *
 * Every wish that concerns a model, whether an operator's or the repository's, becomes an op in the
 * model's own queue, and the next begins when the last has ended.  So a load and an unload that
 * were sent at the same time end in the order in which they arrived, and what happens to one model
 * never waits for another one.
 *
 *   LOAD    look at the files (a job) ──► change ──► answer
 *   UNLOAD  drain what serves ──► answer; then survey, so that the index still says what the model takes
 *   LABEL   move labels ──► answer
 *   TAKE    the files are known: wanted or serving ──► change; else survey, and perhaps the backlog
 *   LEAVE   drain what serves; forget the name
 *   MEND    look at the files (a job) ──► change: a version that is damaged is not kept
 *   SLEEP   drop pages (a job);  WAKE  room, bring them back (a job) ──► answer: hibernation.c
 *
 * `serving` is READY and answers.  `shown` stands in its place in the index while nothing
 * serves. */
#include "exec/sequencer.h"
#include "life/change.h"
#include "life/demand.h"
#include "life/hibernation.h"
#include "life/labelling.h"
#include "life/life_parts.h"
#include "life/proposal.h"
#include "life/tenure.h"

#include <stdio.h>

/* ---- members ---- */

struct trp_member *trp_member_get(struct trp_life *l, struct trp_str name)
{
    return trp_table_get(l->names, name);
}

struct trp_member *trp_member_make(struct trp_life *l, struct trp_str name)
{
    struct trp_member *m = trp_member_get(l, name);
    if (m)
        return m;
    m = trp_alloc_zeroed(l->alloc, 1, sizeof *m);
    char *text = m ? trp_alloc_text(l->alloc, name.ptr, name.len) : NULL;
    if (m)
        m->life = l;
    if (!text || trp_failed(trp_cold_open(m, NULL)) ||
        trp_failed(trp_table_put(l->names, name, m, NULL, NULL))) {
        if (m)
            trp_waiting_unref(m->room);
        trp_alloc_free(l->alloc, text);
        trp_alloc_free(l->alloc, m);
        TRP_ERROR_LOG(l->opts.log, "life", "no room for model '%.*s'", TRP_STR(name));
        return NULL;
    }
    m->name = trp_str_make(text, name.len);
    m->end = &m->first;
    m->next = l->members;
    if (m->next)
        m->next->prev = m;
    l->members = m;
    return m;
}

/* Not before the registry has let it go: its entry holds versions. */
static void free_member(struct trp_member *m)
{
    struct trp_life *l = m->life;
    if (!trp_life_hide(m))
        return;
    trp_cold_close(m);
    trp_backoff_reset(m);
    trp_idle_end(m);
    l->stale_n -= m->is_stale;
    if (l->taking.member == m)
        l->taking.member = m->next;
    if (m->prev)
        m->prev->next = m->next;
    else
        l->members = m->next;
    if (m->next)
        m->next->prev = m->prev;
    (void)trp_table_take(l->names, m->name);
    l->unsettled_n -= m->is_unsettled;
    trp_guest_part(m->guest);
    trp_sequencer_forget(m->sequencers);
    trp_labelling_forget(m);
    trp_scaling_forget(m);
    trp_member_say(m, NULL, NULL);
    trp_alloc_free(l->alloc, m->went.why);
    trp_alloc_free(l->alloc, (char *)(uintptr_t)m->name.ptr);
    trp_alloc_free(l->alloc, m);
    trp_life_check(l);
}

void trp_member_tidy(struct trp_member *m)
{
    if (m->op || m->first || m->running || m->surveys_n || m->survey.catalog || m->in_backlog ||
        m->serving.n)
        return;
    if (m->life->is_stopping || (!m->is_present && !m->wanted && m->shown.n == 0 && !m->reason))
        free_member(m);
}

static const char no_memory[] = "there is no memory for the reason";

void trp_member_say(struct trp_member *m, const char *a, const char *b)
{
    const struct trp_alloc *alloc = m->life->alloc;
    char *text = NULL;
    if (a || b) {
        const size_t a_len = a ? strlen(a) : 0, b_len = b ? strlen(b) : 0;
        text = trp_alloc_get(alloc, 1, a_len + b_len + 1);
        if (text) {
            memcpy(text, a ? a : "", a_len);
            memcpy(text + a_len, b ? b : "", b_len + 1);
        }
    }
    if (m->reason != no_memory)
        trp_alloc_free(alloc, (char *)(uintptr_t)m->reason);
    m->reason = text ? text : a || b ? no_memory : NULL;
    m->is_refused = false;
}

void trp_member_show(struct trp_member *m)
{
    const bool is_unsettled = m->wanted && m->serving.n == 0;
    m->life->unsettled_n += (uint32_t)is_unsettled - (uint32_t)m->is_unsettled;
    m->is_unsettled = is_unsettled;
    trp_life_show(m, false);
}

/* ---- ops ---- */

static void fail_op(struct trp_member *m, enum trp_code code, const char *words)
{
    struct trp_error err = { 0 };
    (void)trp_fail(&err, code, "%s", words);
    trp_member_finish(m, &err);
}

/* Drops all that stands behind the name. */
static void let_go(struct trp_member *m)
{
    m->wanted = m->on_demand = m->was_let_go = false;
    m->is_pinned = m->is_unpinned = m->has_stay = m->is_overridden = m->is_last_copy = false;
    trp_set_drop(m->life->alloc, &m->older);
    trp_set_drop(m->life->alloc, &m->before);
    trp_member_say(m, NULL, NULL);
    trp_survey_forget(m);
    trp_backlog_drop(m);
    trp_backoff_reset(m);
    trp_idle_end(m);
    trp_sequencer_forget(m->sequencers); /* under this name nobody reaches them any more */
    m->sequencers = NULL;
    trp_tenure_retire(m->life, &m->serving);
    trp_set_drop(m->life->alloc, &m->shown);
}

/* What an operator unloaded is unloaded, whatever a look at its files finds; a load that was
 * asked for is not. */
static bool stays_unloaded(const struct trp_member *m)
{
    return m->held_back && !m->op->order && !m->op->is_first;
}

static void keep_reason(struct trp_member *m, const struct trp_error *why)
{
    const char *what_is = m->serving.n        ? "the last load failed, older files are served: "
                          : stays_unloaded(m) ? TRP_COLD_UNLOADED_WRONG
                                              : "";
    trp_member_say(m, what_is, why->text);
    m->is_refused = !stays_unloaded(m);
    m->is_last_copy = m->serving.n > 0; /* its own configuration, as it was, is gone as well */
    if (m->serving.n == 0) {            /* nothing of what was shown is true any more */
        trp_survey_forget(m);
        trp_set_drop(m->life->alloc, &m->shown);
    }
    trp_member_show(m);
}

void trp_member_refuse(struct trp_member *m, const struct trp_error *why)
{
    struct trp_error err = { 0 };
    (void)trp_fail(&err, (enum trp_code)why->status.code,
                   "failed to load '%.*s', failed to poll from model repository: %s",
                   TRP_STR(m->name), why->text);
    TRP_ERROR_LOG(m->life->opts.log, "life", "model '%.*s': %s", TRP_STR(m->name), why->text);
    trp_metrics_hit(m->life->opts.metrics, why);
    keep_reason(m, why);
    trp_member_finish(m, &err);
}

/* An order for a name that the repository lacks: what serves under it goes on, and an unknown
 * name stays unknown. */
static void refuse_absent(struct trp_member *m, const struct trp_error *why)
{
    struct trp_error err = { 0 };
    (void)trp_fail(&err, (enum trp_code)why->status.code,
                   "failed to load '%.*s', failed to poll from model repository: %s",
                   TRP_STR(m->name), why->text);
    if (m->op->is_first) { /* the server was told to load it: the index should say why it is not */
        m->wanted = true;
        keep_reason(m, why);
        TRP_ERROR_LOG(m->life->opts.log, "life", "%s", err.text);
    }
    trp_member_finish(m, &err);
}

/* What its owner wants, as its files say now. */
static void take_policy(struct trp_member *m, const struct trp_repo_model *found)
{
    m->policy = found->peek.load;
    m->keeping = found->peek.keeping;
    m->on_demand = !m->held_back && (m->policy == TRP_LOAD_ON_DEMAND ||
                                     m->policy == TRP_LOAD_BACKGROUND || m->was_let_go);
}

/* Whoever asks for a load by name wants the model to be there; a call wants its answer only. */
static void take_order(struct trp_member *m, const struct trp_op *op)
{
    const struct trp_order *order = op->order;
    if (op->kind == TRP_OP_LOAD && order && !trp_hibernation_is_asleep(m))
        trp_keeping_pin(m, order);
    if (order || op->is_first) {
        m->wanted = true;
        m->held_back = false;
    }
}

/* What is made of models has them loaded by whoever knows which they are, and is none. */
static bool is_made_of_models(const struct trp_member *m)
{
    const struct trp_life_opts *opts = &m->life->opts;
    return m->op->is_first && opts->is_made && opts->is_made(opts->is_made_user, m->name);
}

static void looked(struct trp_catalog *c)
{
    struct trp_member *m = c->user;
    m->op->catalog = c; /* with its reference */
    if (m->life->is_stopping) {
        fail_op(m, TRP_UNAVAILABLE, "the server is stopping");
        return;
    }
    const struct trp_repo_model *found = trp_failed(c->error.status) ? NULL : c->listing.models[0];
    if ((!found || trp_failed(found->error.status)) && is_made_of_models(m)) {
        fail_op(m, TRP_NOT_FOUND, "it is made of models");
        return;
    }
    if (!found) {
        refuse_absent(m, &c->error);
        return;
    }
    const bool has_own_files = c->temporary.len != 0;
    if (!has_own_files) {
        m->is_present = true;
        m->looked = m->life->listings_n;
        m->taken = trp_catalog_digest(found);
        trp_steady_forget(&m->found);
    }
    if (trp_failed(found->error.status)) {
        trp_member_refuse(m, &found->error);
        return;
    }
    take_order(m, m->op);
    take_policy(m, found);
    trp_change_begin(m, c, found, c->override_digest != 0);
}

static void begin_load(struct trp_member *m)
{
    struct trp_life *l = m->life;
    struct trp_error err = { 0 };
    const struct trp_catalog_request request = {
        .opts = &l->opts.repo, .name = m->name, .order = m->op->order, .done = looked, .user = m
    };
    if (stays_unloaded(m)) { /* unloaded since this was queued */
        fail_op(m, TRP_NOT_FOUND, "it was unloaded");
        return;
    }
    if (m->retry_ns)
        trp_metrics_add(l->opts.metrics, TRP_METRIC_LOAD_RETRIES, 1);
    trp_backends_forget_failures(l->opts.backends); /* somebody may have put the library there */
    if (trp_failed(trp_catalog_ask(l->alloc, l->loaders, &request, &err)))
        trp_member_finish(m, &err);
}

/* Nothing to drain, nothing that failed: an unload only says that nobody but an operator should
 * load it. */
static bool is_at_rest(const struct trp_member *m)
{
    for (uint32_t i = 0; i < m->shown.n; i++)
        if (m->shown.items[i]->is_cold ||
            trp_lifecycle_get(&m->shown.items[i]->life) != TRP_MODEL_NEW)
            return false;
    return m->serving.n == 0 && !m->reason;
}

/* What was unloaded stays in the index as what it now is: versions that could be loaded again. */
static void begin_unload(struct trp_member *m)
{
    const struct trp_error ok = { 0 };
    struct trp_set was = { 0 };
    const bool has_changed = !is_at_rest(m);
    m->held_back = true;
    if (has_changed) {
        trp_set_dup(m->life->alloc, &was, m->serving.n ? &m->serving : &m->shown);
        let_go(m);
        (void)trp_cold_show(m, &was); /* without memory its lines are missing until the survey */
        trp_set_drop(m->life->alloc, &was);
    }
    m->wanted = m->on_demand = m->was_let_go = false;
    trp_backlog_drop(m);
    trp_member_show(m);
    if (has_changed && m->is_present)
        trp_survey_ask(m);
    trp_member_finish(m, &ok);
}

static void begin_label(struct trp_member *m)
{
    struct trp_error err = { 0 };
    const struct trp_order *order = m->op->order;
    const struct trp_proposal_ask ask = { .next = m->serving.n ? &m->serving : &m->shown,
                                          .signature_of = trp_proposal_face,
                                          .is_forced = order->is_forced,
                                          .is_held = true };
    trp_status st = trp_labelling_move(m, order->labels, order->labels_n, &err);
    if (!trp_failed(st))
        st = trp_proposal_judge(m, &ask, &err);
    if (trp_failed(st)) {
        trp_labelling_drop(m);
    } else {
        trp_labelling_keep(m);
        trp_member_show(m);
    }
    trp_member_finish(m, &err);
}

static void begin_take(struct trp_member *m)
{
    const struct trp_error ok = { 0 };
    struct trp_op *op = m->op;
    m->wanted = m->wanted || (op->is_wanted && !m->held_back && !m->was_let_go);
    if (trp_failed(op->found->error.status)) {
        trp_member_refuse(m, &op->found->error);
        return;
    }
    take_policy(m, op->found);
    const bool can_wait = m->policy == TRP_LOAD_BACKGROUND && !op->is_first;
    if (m->serving.n || (m->wanted && !can_wait)) {
        trp_change_begin(m, op->catalog, op->found, false);
        return;
    }
    struct trp_error err = { 0 };
    if (trp_failed(trp_labelling_read(m, &op->found->peek, &err))) {
        trp_member_refuse(m, &err);
        return;
    }
    trp_labelling_keep(m);
    trp_backoff_reset(m); /* other files, other luck */
    if (m->older.n == 0) {
        trp_member_say(m, NULL, NULL);
        trp_proposal_remember(m, op->found);
        trp_survey_begin(m, op->catalog, op->found);
    } else { /* whether they load is found when somebody asks; until then what served is shown */
        trp_member_say(m, "other files have come, and are tried by the next request", NULL);
        (void)trp_cold_show(m, &m->older);
        trp_member_show(m);
    }
    if (m->wanted)
        trp_backlog_add(m);
    trp_member_finish(m, &ok);
}

static void begin_leave(struct trp_member *m)
{
    const struct trp_error ok = { 0 };
    let_go(m);
    trp_labelling_forget(m);
    trp_scaling_forget(m);
    m->held_back = false; /* should it come back, it is a new model */
    TRP_INFO(m->life->opts.log, "life", "model '%.*s' has left the repository", TRP_STR(m->name));
    trp_member_show(m);
    trp_member_finish(m, &ok);
}

/* Unless something else has happened to it since: whatever serves now was opened anew. */
static void begin_mend(struct trp_member *m)
{
    const struct trp_error ok = { 0 };
    for (uint32_t i = 0; i < m->serving.n; i++) {
        if (trp_flag_is_up(&m->serving.items[i]->is_damaged)) {
            m->taken = 0; /* should this come to nothing, the next look tries again */
            begin_load(m);
            return;
        }
    }
    trp_member_finish(m, &ok);
}

static void begin_keep(struct trp_member *m)
{
    struct trp_error err = { 0 };
    const bool is_pin = m->op->order->kind == TRP_ORDER_PIN;
    if (is_pin && m->serving.n == 0) {
        begin_load(m);
        return;
    }
    if (m->op->order->kind == TRP_ORDER_SCALE)
        err.status = trp_scaling_order(m, &err);
    else if (!is_pin) /* what is to stay is pinned when its order has ended well */
        err.status = trp_keeping_order(m, &err);
    trp_member_finish(m, &err);
}

static void begin_op(struct trp_member *m)
{
    if (m->life->is_stopping) {
        fail_op(m, TRP_UNAVAILABLE, "the server is stopping");
        return;
    }
    trp_hibernation_wake_first(m);
    switch (m->op->kind) {
    case TRP_OP_LOAD:
        begin_load(m);
        break;
    case TRP_OP_UNLOAD:
        begin_unload(m);
        break;
    case TRP_OP_LABEL:
        begin_label(m);
        break;
    case TRP_OP_KEEP:
        begin_keep(m);
        break;
    case TRP_OP_TAKE:
        begin_take(m);
        break;
    case TRP_OP_LEAVE:
        begin_leave(m);
        break;
    case TRP_OP_MEND:
        begin_mend(m);
        break;
    case TRP_OP_SLEEP:
        trp_hibernation_sleep(m);
        break;
    case TRP_OP_WAKE:
        trp_hibernation_wake(m);
        break;
    }
}

/* Ops that end at once do not pile up on the stack: the outermost call does them all. */
void trp_member_go_on(struct trp_member *m)
{
    if (m->running)
        return;
    m->running = true;
    do {
        while (!m->op && m->first) {
            m->op = m->first;
            m->first = m->op->next;
            if (!m->first)
                m->end = &m->first;
            begin_op(m);
        }
    } while (!m->op && trp_cold_attend(m));
    m->running = false;
    if (m->life->is_stopping && !m->op)
        let_go(m);
    trp_member_tidy(m);
}

/* An op that there is no memory for: whoever waits is told, and the next look finds what this
 * one found. */
static void drop_op(struct trp_member *m, const struct trp_op *op)
{
    struct trp_life *l = m->life;
    if (op->kind == TRP_OP_TAKE || op->kind == TRP_OP_MEND)
        m->taken = 0;
    if (op->kind == TRP_OP_LEAVE)
        m->is_present = true;
    trp_catalog_unref(op->catalog);
    l->first_n -= op->is_first;
    if (op->order) {
        (void)trp_fail(&op->order->error, TRP_OUT_OF_MEMORY, "no memory for the order");
        trp_life_answer(l, op->order);
    }
}

bool trp_member_push(struct trp_member *m, const struct trp_op *op)
{
    struct trp_life *l = m->life;
    struct trp_op *copy = trp_alloc_get(l->alloc, 1, sizeof *copy);
    if (!copy) {
        TRP_ERROR_LOG(l->opts.log, "life", "model '%.*s': no memory for an order",
                      TRP_STR(m->name));
        drop_op(m, op);
        return false;
    }
    *copy = *op;
    copy->next = NULL;
    *m->end = copy;
    m->end = &copy->next;
    trp_member_go_on(m);
    return true;
}

void trp_member_finish(struct trp_member *m, const struct trp_error *err)
{
    struct trp_life *l = m->life;
    struct trp_op *op = m->op;
    struct trp_error end = *err;
    m->op = NULL;
    l->first_n -= op->is_first;
    trp_keeping_ended(m, op, &end);
    trp_cold_ended(m, op, &end);
    if (op->order) {
        op->order->error = end;
        trp_life_answer(l, op->order);
    }
    const bool is_backlog = op->is_backlog;
    trp_catalog_unref(op->catalog);
    trp_alloc_free(l->alloc, op);
    if (l->residence)
        trp_residence_stir(l->residence); /* it may be evicted now */
    trp_life_check(l);
    if (is_backlog)
        trp_backlog_ended(l);
    trp_member_go_on(m);
}

void trp_member_stop(struct trp_member *m)
{
    if (m->change)
        trp_change_cancel(m->change);
    trp_member_go_on(m); /* an op in hand ends first, and then goes on here */
}
