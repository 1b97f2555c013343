/* exec/runqueue.c - see runqueue.h.
 *
 * Waking costs more than a tiny run, so nobody is woken twice for one call: `told` counts the
 * signals that were sent and not answered yet, and only sleepers beyond those are signalled.
 * `idle` (sleepers that nobody has called) is what loops look at to decide whether a hand-over
 * would start at once. */
#include "exec/runqueue.h"

#include "exec/fanout.h"
#include "exec/seating.h"

void trp_runqueue_init(struct trp_runqueue *q, uint32_t queue_max, uint32_t model_queue_max)
{
    *q = (struct trp_runqueue){ 0 };
    trp_lock_init(&q->lock, TRP_LOCK_EXEC);
    trp_signal_init(&q->wake);
    trp_sched_init(&q->sched, queue_max, model_queue_max);
}

void trp_runqueue_deinit(struct trp_runqueue *q)
{
    TRP_ASSERT(q->sched.queued == 0 && q->sleeping == 0 && !q->parts.first);
    trp_intake_deinit(&q->intake);
    trp_signal_deinit(&q->wake);
    trp_lock_deinit(&q->lock);
}

static struct trp_version *version_of(const struct trp_call *call)
{
    return trp_version_of(call->target);
}

static void show_numbers(struct trp_runqueue *q)
{
    trp_gauge_set(&q->idle, (int64_t)q->sleeping - q->told);
    trp_gauge_set(&q->queued, q->sched.queued);
}

uint32_t trp_runqueue_slots(const struct trp_version *v)
{
    return trp_intake_slots(v);
}

bool trp_runqueue_needs_slot(const struct trp_version *v)
{
    return trp_intake_slots(v) != 0;
}

uint32_t trp_runqueue_call_up(struct trp_runqueue *q, uint32_t wanted)
{
    const uint32_t asleep = q->sleeping - q->told;
    const uint32_t woken = wanted < asleep ? wanted : asleep;
    q->told += woken;
    show_numbers(q);
    return woken;
}

/* Somebody may come at any time whom a client waits for, and a run cannot be interrupted: what
 * nobody waits for runs only while one more of us sleeps, if there is more than one.  sleepers:
 * that would be left. */
static bool is_aside_held(const struct trp_runqueue *q, uint32_t sleepers)
{
    return sleepers == 0 && q->intake.opts.executors_n > 1;
}

void trp_runqueue_signal(struct trp_runqueue *q, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        trp_signal_one(&q->wake);
}

static void left_queue(struct trp_call *call)
{
    const struct trp_version *v = version_of(call);
    const struct trp_sched_model *m = v->exec_slot;
    trp_gauge_add(&v->stats->queued, -1);
    if (m->queued == 0)
        trp_gauge_set(&v->stats->aside, 0);
}

static trp_status push_one(struct trp_runqueue *q, struct trp_call *call, int64_t now_ns,
                           struct trp_call_list *refused)
{
    struct trp_call *shed = NULL;
    trp_status st;
    if (trp_flag_is_up(&q->stopping))
        st = trp_fail(&call->error, TRP_UNAVAILABLE, "Server not ready: it is stopping");
    else
        st = trp_intake_push(&q->intake, &q->sched, call, now_ns, &shed);
    if (shed) {
        left_queue(shed);
        trp_call_list_push(refused, shed);
    }
    if (trp_failed(st))
        trp_call_list_push(refused, call);
    else
        trp_gauge_add(&version_of(call)->stats->queued, 1);
    return st;
}

void trp_runqueue_push(struct trp_runqueue *q, struct trp_call_list *calls,
                       struct trp_call_list *refused)
{
    const struct trp_clock *const clock = q->intake.opts.clock;
    const int64_t now_ns = clock ? trp_clock_now_ns(clock) : 0;
    struct trp_call *call;
    uint32_t pushed = 0;
    trp_lock_enter(&q->lock);
    const uint32_t asleep = q->sleeping - q->told;
    while ((call = trp_call_list_pop(calls)) != NULL)
        pushed +=
            !trp_failed(push_one(q, call, now_ns, refused)) && trp_pickup_is_work(call) &&
            !(call->is_aside && is_aside_held(q, asleep > pushed + 1 ? asleep - pushed - 1 : 0));
    const uint32_t woken = trp_runqueue_call_up(q, pushed);
    show_numbers(q);
    trp_lock_leave(&q->lock);
    trp_runqueue_signal(q, woken);
}

static void take_expired(struct trp_runqueue *q, int64_t now_ns, struct trp_call_list *expired)
{
    struct trp_call *call;
    while ((call = trp_sched_expire(&q->sched, now_ns)) != NULL) {
        left_queue(call);
        trp_call_list_push(expired, call);
    }
}

/* With a line that rests, until it may have rested enough; one sleeper keeps that time for all. */
static void sleep_until_called(struct trp_runqueue *q, int64_t now_ns)
{
    const int64_t until_ns = trp_pickup_until_ns(&q->sched, &q->pickup);
    q->sleeping++;
    show_numbers(q);
    if (until_ns == 0) {
        trp_signal_wait(&q->wake, &q->lock);
    } else {
        q->pickup.kept_ns = until_ns;
        trp_signal_wait_for(&q->wake, &q->lock, until_ns - now_ns);
        if (q->pickup.kept_ns == until_ns)
            q->pickup.kept_ns = 0; /* else somebody keeps an earlier one */
    }
    q->sleeping--;
    if (q->told > 0)
        q->told--; /* a wake without a signal answers somebody else's, who finds nothing and sleeps
                    * on */
    show_numbers(q);
}

/* Whoever goes to work cannot keep the time any more, nor do what he has left over: calls that
 * rested woke nobody when they came, and one run may not take them all.  How many of those who
 * sleep on are to be called for it; the next one sees to the rest. */
static uint32_t pass_on(struct trp_runqueue *q)
{
    const uint32_t sleepers = q->sleeping - q->told;
    q->sched.holds_aside = is_aside_held(q, sleepers > 0 ? sleepers - 1 : 0);
    const bool is_needed = trp_pickup_until_ns(&q->sched, &q->pickup) != 0 ||
                           (q->told == 0 && q->sleeping > 0 && trp_pickup_has_more(&q->sched));
    return is_needed ? trp_runqueue_call_up(q, 1) : 0;
}

bool trp_runqueue_take(struct trp_runqueue *q, const struct trp_clock *clock,
                       struct trp_call *ended, struct trp_call_list *out_calls,
                       struct trp_call_list *expired)
{
    bool stopping;
    uint32_t woken = 0, left = TRP_SEATING_NOWHERE;
    *out_calls = (struct trp_call_list){ 0 };
    trp_lock_enter(&q->lock);
    if (ended) { /* one more may run: this thread sees to it */
        left = trp_seating_leave(ended);
        trp_sched_end(&q->sched, version_of(ended)->exec_slot);
    }
    for (;;) {
        stopping = trp_flag_is_up(&q->stopping);
        if (stopping)
            break;
        if (q->parts.first) { /* whose run has its turn already */
            trp_call_list_push(out_calls, trp_call_list_pop(&q->parts));
            break;
        }
        const int64_t now_ns = trp_clock_now_ns(clock);
        take_expired(q, now_ns, expired);
        q->pickup.sleepers = q->sleeping;
        q->sched.holds_aside = is_aside_held(q, q->sleeping - q->told);
        trp_pickup_run(&q->sched, &q->pickup, now_ns, out_calls);
        for (struct trp_call *call = out_calls->first; call; call = call->queue_next) {
            left_queue(call);
            trp_gauge_set(&version_of(call)->stats->aside, 0); /* it asks anew */
        }
        if (out_calls->first || expired->first || ended)
            break;
        sleep_until_called(q, now_ns);
    }
    if (out_calls->first) {
        const bool is_same = ended && ended->target == out_calls->first->target;
        trp_seating_take(out_calls, is_same ? left : TRP_SEATING_NOWHERE);
        woken = pass_on(q);
    }
    show_numbers(q);
    trp_lock_leave(&q->lock);
    trp_runqueue_signal(q, woken);
    return !stopping;
}

enum trp_put_back trp_runqueue_put_back(struct trp_runqueue *q, struct trp_call *call,
                                        const struct trp_runqueue_return *how)
{
    struct trp_version *const v = version_of(call);
    trp_lock_enter(&q->lock);
    const enum trp_put_back result = trp_oneshot_get(&call->outcome) != TRP_OUTCOME_OPEN
                                         ? TRP_PUT_BACK_UNWANTED
                                     : v->successor ? TRP_PUT_BACK_LET_GO
                                                    : TRP_PUT_BACK_QUEUED;
    (void)trp_seating_leave(call);
    if (result == TRP_PUT_BACK_QUEUED) {
        trp_sched_put_back(&q->sched, v->exec_slot, call);
        trp_gauge_add(&v->stats->queued, 1);
        trp_gauge_set(&v->stats->aside, !how->is_first);
        if (trp_counter_get(&q->words) != how->words_before)
            trp_sched_unblock(&q->sched); /* this thread takes next, and finds them */
    } else {
        trp_sched_end(&q->sched, v->exec_slot);
    }
    show_numbers(q);
    trp_lock_leave(&q->lock);
    return result;
}

void trp_runqueue_let_go(struct trp_runqueue *q, struct trp_version *v,
                         struct trp_version *successor, struct trp_call_list *out)
{
    struct trp_call *call;
    trp_lock_enter(&q->lock);
    struct trp_sched_model *const m = v->exec_slot;
    struct trp_version *const spare = v->successor ? successor : NULL;
    if (!spare)
        v->successor = successor;
    while (m && trp_gauge_get(&v->stats->aside) != 0 &&
           (call = trp_sched_drain_model(&q->sched, m)) != NULL) {
        left_queue(call);
        trp_call_list_push(out, call);
    }
    show_numbers(q);
    trp_lock_leave(&q->lock);
    trp_version_unref(spare);
}

/* ---- calls that run together ---- */

bool trp_runqueue_seal(struct trp_runqueue *q, struct trp_batch *b, int64_t now_ns,
                       struct trp_call_list *unwanted)
{
    struct trp_call_list wanted = { 0 };
    struct trp_call *call;
    const uint32_t all = b->members.count;
    trp_lock_enter(&q->lock);
    while ((call = trp_call_list_pop(&b->members)) != NULL)
        trp_call_list_push(trp_batch_is_wanted(call, now_ns) ? &wanted : unwanted, call);
    b->members = wanted;
    b->interested = wanted.count;
    const bool is_sealed = wanted.count == all;
    for (call = wanted.first; is_sealed && call; call = call->queue_next)
        call->batch = b;
    trp_lock_leave(&q->lock);
    return is_sealed;
}

void trp_runqueue_learn(struct trp_runqueue *q, struct trp_version *v, uint64_t rows,
                        int64_t run_ns)
{
    trp_lock_enter(&q->lock);
    struct trp_lines *const l = v->exec_slot;
    if (rows <= UINT32_MAX)
        trp_cost_curve_learn(&l->curve, (uint32_t)rows, run_ns);
    trp_lock_leave(&q->lock);
}

uint32_t trp_runqueue_cost(struct trp_runqueue *q, const struct trp_version *v,
                           struct trp_cost_curve *out)
{
    trp_lock_enter(&q->lock);
    const struct trp_lines *const l = v->exec_slot;
    *out = l ? l->curve : (struct trp_cost_curve){ .asked = 0 };
    const uint32_t slots = l ? l->model.slots : trp_intake_slots(v);
    trp_lock_leave(&q->lock);
    return slots;
}

void trp_runqueue_look(struct trp_runqueue *q, const struct trp_version *v, int64_t now_ns,
                       struct trp_intake_load *out)
{
    trp_lock_enter(&q->lock);
    trp_intake_look(&q->intake, &q->sched, v, now_ns, out);
    trp_lock_leave(&q->lock);
}

void trp_runqueue_part(struct trp_runqueue *q, struct trp_batch *b)
{
    trp_lock_enter(&q->lock);
    for (struct trp_call *call = b->members.first; call; call = call->queue_next)
        call->batch = NULL;
    trp_lock_leave(&q->lock);
}

uint32_t trp_runqueue_leave(struct trp_runqueue *q, struct trp_call *call, uint64_t *out_first)
{
    struct trp_call *runs = call;
    uint32_t n = 1;
    trp_lock_enter(&q->lock);
    struct trp_batch *const b = call->batch;
    if (b) {
        TRP_DEBUG_ASSERT(b->interested > 0);
        call->batch = NULL; /* counted once */
        runs = --b->interested == 0 ? &b->joint : NULL;
        if (runs)
            trp_flag_raise(&runs->cancel.raised);
    }
    *out_first = (uint64_t)(uintptr_t)runs;
    if (!runs)
        n = 0;
    else if (runs->fanout)
        n = trp_fanout_stop(runs->fanout, out_first);
    trp_lock_leave(&q->lock);
    return n;
}

void trp_runqueue_give_back(struct trp_runqueue *q, struct trp_call_list *calls,
                            struct trp_version *ended, struct trp_call_list *unwanted)
{
    struct trp_call *call;
    uint32_t returned = 0;
    trp_lock_enter(&q->lock);
    if (ended && calls->first)
        (void)trp_seating_leave(calls->first);
    while ((call = trp_call_list_pop(calls)) != NULL) {
        if (trp_oneshot_get(&call->outcome) != TRP_OUTCOME_OPEN) {
            trp_call_list_push(unwanted, call);
            continue;
        }
        struct trp_version *const v = version_of(call);
        struct trp_lines *const l = v->exec_slot;
        trp_sched_give_back(&q->sched, call->batch_key == 0 ? &l->model.own : NULL, call);
        trp_gauge_add(&v->stats->queued, 1);
        returned++;
    }
    if (ended)
        trp_sched_end(&q->sched, ended->exec_slot);
    const uint32_t woken = trp_runqueue_call_up(q, returned);
    show_numbers(q);
    trp_lock_leave(&q->lock);
    trp_runqueue_signal(q, woken);
}

void trp_runqueue_tell_room(struct trp_runqueue *q)
{
    trp_lock_enter(&q->lock);
    trp_counter_add(&q->words, 1);
    const uint32_t blocked = q->sched.blocked;
    trp_sched_unblock(&q->sched);
    const uint32_t woken = trp_runqueue_call_up(q, blocked);
    show_numbers(q);
    trp_lock_leave(&q->lock);
    trp_runqueue_signal(q, woken);
}

bool trp_runqueue_try_begin(struct trp_runqueue *q, struct trp_version *v)
{
    trp_lock_enter(&q->lock);
    struct trp_lines *const l = trp_intake_place(v);
    const bool begun = l && trp_sched_try_begin(&l->model);
    trp_lock_leave(&q->lock);
    return begun;
}

void trp_runqueue_end(struct trp_runqueue *q, struct trp_version *v)
{
    trp_lock_enter(&q->lock);
    struct trp_sched_model *const m = v->exec_slot;
    trp_sched_end(&q->sched, m);
    const uint32_t woken = trp_runqueue_call_up(q, m->slots != 0 && m->queued > 0 ? 1 : 0);
    show_numbers(q);
    trp_lock_leave(&q->lock);
    trp_runqueue_signal(q, woken);
}

/* The gauge is changed under the lock, so that a place that is made meanwhile has the new number
 * from one of the two. */
void trp_runqueue_resize(struct trp_runqueue *q, struct trp_version *v, uint32_t instances)
{
    uint32_t woken = 0;
    trp_lock_enter(&q->lock);
    trp_gauge_set(&v->instances, instances);
    struct trp_lines *const l = v->exec_slot;
    if (l) {
        trp_sched_resize(&q->sched, &l->model, trp_runqueue_slots(v));
        woken = trp_runqueue_call_up(q, l->model.queued);
        show_numbers(q);
    }
    trp_lock_leave(&q->lock);
    trp_runqueue_signal(q, woken);
}

bool trp_runqueue_remove(struct trp_runqueue *q, struct trp_call *call)
{
    trp_lock_enter(&q->lock);
    const bool removed = trp_sched_remove(&q->sched, call);
    if (removed)
        left_queue(call);
    show_numbers(q);
    trp_lock_leave(&q->lock);
    return removed;
}

int64_t trp_runqueue_expire(struct trp_runqueue *q, int64_t now_ns, struct trp_call_list *expired)
{
    trp_lock_enter(&q->lock);
    take_expired(q, now_ns, expired);
    const int64_t next_ns = trp_sched_next_expiry_ns(&q->sched);
    show_numbers(q);
    trp_lock_leave(&q->lock);
    return next_ns;
}

void trp_runqueue_stop(struct trp_runqueue *q)
{
    trp_lock_enter(&q->lock);
    trp_flag_raise(&q->stopping);
    trp_lock_leave(&q->lock);
    trp_signal_all(&q->wake);
}

void trp_runqueue_drain(struct trp_runqueue *q, struct trp_call_list *left)
{
    struct trp_call *call;
    trp_lock_enter(&q->lock);
    while ((call = trp_sched_drain(&q->sched)) != NULL) {
        left_queue(call);
        trp_call_list_push(left, call);
    }
    show_numbers(q);
    trp_lock_leave(&q->lock);
}
