/* exec/runqueue.c - see runqueue.h.
 *
 * Waking costs more than a tiny run, so nobody is woken twice for one call: `told` counts the signals that were sent and not
 * answered yet, and only sleepers beyond those are signalled.  `idle` (sleepers that nobody has called) is what loops look at
 * to decide whether a hand-over would start at once. */
#include "exec/runqueue.h"

#include "backend/backend_host.h"

void trp_runqueue_init(struct trp_runqueue *q, uint32_t queue_max, uint32_t model_queue_max)
{
    *q = (struct trp_runqueue){ 0 };
    trp_lock_init(&q->lock, TRP_LOCK_EXEC);
    trp_signal_init(&q->wake);
    trp_sched_init(&q->sched, queue_max, model_queue_max);
}

void trp_runqueue_deinit(struct trp_runqueue *q)
{
    TRP_ASSERT(q->sched.queued == 0 && q->sleeping == 0);
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

/* A backend that cannot run twice at once has one slot, so that no thread waits inside it. */
static uint32_t slots_of(const struct trp_version *v)
{
    return (trp_backend_capabilities(v->model) & TROUPE_CAN_CONCURRENT) ? v->config.instances : 1;
}

bool trp_runqueue_needs_slot(const struct trp_version *v)
{
    return slots_of(v) != 0;
}

/* A version's place in the scheduler is made by its first call, in its own arena: it goes when the version goes, which every
 * call in here prevents. */
static struct trp_lines *place_of(struct trp_version *v)
{
    struct trp_lines *l = v->exec_slot;
    if (l)
        return l;
    l = trp_arena_zeroed(&v->arena, 1, sizeof *l);
    if (l) {
        l->model.slots = slots_of(v);
        l->model.own.model = &l->model;
    }
    v->exec_slot = l;
    return l;
}

static struct trp_lines *lines_of(struct trp_sched_model *m)
{
    return TRP_CONTAINER_OF(m, struct trp_lines, model);
}

static trp_status push_one(struct trp_runqueue *q, struct trp_call *call)
{
    struct trp_version *const v = version_of(call);
    struct trp_error *const err = &call->error;
    if (trp_flag_is_up(&q->stopping))
        return trp_fail(err, TRP_UNAVAILABLE, "Server not ready: it is stopping");
    struct trp_lines *const l = place_of(v);
    if (!l)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "model '%s': its queue", v->id);
    const uint64_t rows = call->batch_key != 0 ? call->batch_rows : trp_run_rows(call);
    const struct trp_sched_ask ask = { .line = trp_lines_find(l, &v->arena, call),
                                       .cost_ns = trp_run_cost_ns(call),
                                       .rows = rows < UINT32_MAX ? (uint32_t)rows : UINT32_MAX };
    switch (trp_sched_push_as(&q->sched, &ask, call)) {
    case TRP_SCHED_QUEUED:
        break;
    case TRP_SCHED_FULL:
        return trp_fail_limit(err, TRP_QUEUE_FULL, TRP_LIMIT_QUEUE,
                              "Exceeds maximum queue size: %u requests wait for all models",
                              q->sched.queue_max);
    case TRP_SCHED_MODEL_FULL:
        return trp_fail_limit(err, TRP_QUEUE_FULL, TRP_LIMIT_QUEUE,
                              "Exceeds maximum queue size: %u requests wait for model '%s'",
                              q->sched.model_queue_max, v->id);
    }
    trp_gauge_add(&v->stats->queued, 1);
    return trp_ok();
}

/* How many of `wanted` sleepers to signal, now that there is work; the caller signals after it has left the lock. */
static uint32_t call_up(struct trp_runqueue *q, uint32_t wanted)
{
    const uint32_t asleep = q->sleeping - q->told;
    const uint32_t woken = wanted < asleep ? wanted : asleep;
    q->told += woken;
    return woken;
}

static void signal_some(struct trp_runqueue *q, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        trp_signal_one(&q->wake);
}

void trp_runqueue_push(struct trp_runqueue *q, struct trp_call_list *calls,
                       struct trp_call_list *refused)
{
    struct trp_call *call;
    uint32_t pushed = 0;
    trp_lock_enter(&q->lock);
    while ((call = trp_call_list_pop(calls)) != NULL) {
        if (trp_failed(push_one(q, call)))
            trp_call_list_push(refused, call);
        else
            pushed++;
    }
    const uint32_t woken = call_up(q, pushed);
    show_numbers(q);
    trp_lock_leave(&q->lock);
    signal_some(q, woken);
}

static void left_queue(struct trp_call *call)
{
    const struct trp_version *v = version_of(call);
    const struct trp_sched_model *m = v->exec_slot;
    trp_gauge_add(&v->stats->queued, -1);
    if (m->queued == 0)
        trp_gauge_set(&v->stats->aside, 0);
}

static void take_expired(struct trp_runqueue *q, int64_t now_ns, struct trp_call_list *expired)
{
    struct trp_call *call;
    while ((call = trp_sched_expire(&q->sched, now_ns)) != NULL) {
        left_queue(call);
        trp_call_list_push(expired, call);
    }
}

static void sleep_until_called(struct trp_runqueue *q)
{
    q->sleeping++;
    show_numbers(q);
    trp_signal_wait(&q->wake, &q->lock);
    q->sleeping--;
    if (q->told > 0)
        q->told--; /* a wake without a signal answers somebody else's, who finds nothing and sleeps on */
    show_numbers(q);
}

/* Whoever has come into a line by a key that is not its own is told apart here: what stands in the calls decides. */
static void part_unlike(struct trp_runqueue *q, struct trp_call_list *calls)
{
    struct trp_call_list alike = { 0 };
    struct trp_call *call, *first = trp_call_list_pop(calls);
    trp_call_list_push(&alike, first);
    while ((call = trp_call_list_pop(calls)) != NULL) {
        if (trp_batch_may_meet(first, call))
            trp_call_list_push(&alike, call);
        else
            trp_sched_give_back(&q->sched, &call->seat.line->model->own, call);
    }
    *calls = alike;
}

/* Takes the calls of the next run; the first has the slot. */
static void take_run(struct trp_runqueue *q, int64_t now_ns, struct trp_call_list *out)
{
    struct trp_sched_turn turn;
    if (!trp_sched_next(&q->sched, &turn))
        return;
    const struct trp_version *v = version_of(turn.call);
    const uint64_t most = trp_batch_limit(v);
    if (most == 0 || !trp_lines_is_shared(turn.line)) {
        trp_sched_take_turn(&q->sched, &turn, 0);
        trp_call_list_push(out, turn.call);
        return;
    }
    const struct trp_batching_rules rules = { .rows_max =
                                                  most < UINT32_MAX ? (uint32_t)most : UINT32_MAX,
                                              .is_forced = v->config.batching == TRP_BATCHING_ON };
    const struct trp_batching_now now = { .now_ns = now_ns, .idle = q->sleeping };
    struct trp_lines *l = lines_of(turn.line->model);
    if (trp_batching_take(&q->sched, &turn, &rules, &l->shared->curve, &now, out))
        part_unlike(q, out);
}

bool trp_runqueue_take(struct trp_runqueue *q, const struct trp_clock *clock,
                       struct trp_version *ended, struct trp_call_list *out_calls,
                       struct trp_call_list *expired)
{
    bool stopping;
    *out_calls = (struct trp_call_list){ 0 };
    trp_lock_enter(&q->lock);
    if (ended)
        trp_sched_end(&q->sched, ended->exec_slot); /* one more may run: this thread sees to it */
    for (;;) {
        stopping = trp_flag_is_up(&q->stopping);
        if (stopping)
            break;
        const int64_t now_ns = trp_clock_now_ns(clock);
        take_expired(q, now_ns, expired);
        take_run(q, now_ns, out_calls);
        for (struct trp_call *call = out_calls->first; call; call = call->queue_next) {
            left_queue(call);
            trp_gauge_set(&version_of(call)->stats->aside, 0); /* it asks anew */
        }
        if (out_calls->first || expired->first || ended)
            break;
        sleep_until_called(q);
    }
    show_numbers(q);
    trp_lock_leave(&q->lock);
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
    if (l->shared && rows <= UINT32_MAX)
        trp_cost_curve_learn(&l->shared->curve, (uint32_t)rows, run_ns);
    trp_lock_leave(&q->lock);
}

void trp_runqueue_part(struct trp_runqueue *q, struct trp_batch *b)
{
    trp_lock_enter(&q->lock);
    for (struct trp_call *call = b->members.first; call; call = call->queue_next)
        call->batch = NULL;
    trp_lock_leave(&q->lock);
}

uint64_t trp_runqueue_leave(struct trp_runqueue *q, struct trp_call *call)
{
    uint64_t id = (uint64_t)(uintptr_t)call;
    trp_lock_enter(&q->lock);
    struct trp_batch *const b = call->batch;
    if (b) {
        TRP_DEBUG_ASSERT(b->interested > 0);
        id = --b->interested == 0 ? (uint64_t)(uintptr_t)&b->joint : 0;
        call->batch = NULL; /* counted once */
        if (id != 0)
            trp_flag_raise(&b->joint.cancel.raised);
    }
    trp_lock_leave(&q->lock);
    return id;
}

void trp_runqueue_give_back(struct trp_runqueue *q, struct trp_call_list *calls,
                            struct trp_version *ended, struct trp_call_list *unwanted)
{
    struct trp_call *call;
    uint32_t returned = 0;
    trp_lock_enter(&q->lock);
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
    const uint32_t woken = call_up(q, returned);
    show_numbers(q);
    trp_lock_leave(&q->lock);
    signal_some(q, woken);
}

void trp_runqueue_tell_room(struct trp_runqueue *q)
{
    trp_lock_enter(&q->lock);
    trp_counter_add(&q->words, 1);
    const uint32_t blocked = q->sched.blocked;
    trp_sched_unblock(&q->sched);
    const uint32_t woken = call_up(q, blocked);
    show_numbers(q);
    trp_lock_leave(&q->lock);
    signal_some(q, woken);
}

bool trp_runqueue_try_begin(struct trp_runqueue *q, struct trp_version *v)
{
    trp_lock_enter(&q->lock);
    struct trp_lines *const l = place_of(v);
    const bool begun = l && trp_sched_try_begin(&l->model);
    trp_lock_leave(&q->lock);
    return begun;
}

void trp_runqueue_end(struct trp_runqueue *q, struct trp_version *v)
{
    trp_lock_enter(&q->lock);
    struct trp_sched_model *const m = v->exec_slot;
    trp_sched_end(&q->sched, m);
    const uint32_t woken = call_up(q, m->slots != 0 && m->queued > 0 ? 1 : 0);
    show_numbers(q);
    trp_lock_leave(&q->lock);
    signal_some(q, woken);
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
