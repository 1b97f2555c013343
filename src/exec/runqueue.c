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
static struct trp_sched_model *place_of(struct trp_version *v)
{
    struct trp_sched_model *m = v->exec_slot;
    if (m)
        return m;
    m = trp_arena_zeroed(&v->arena, 1, sizeof *m);
    if (m)
        m->slots = slots_of(v);
    v->exec_slot = m;
    return m;
}

static trp_status push_one(struct trp_runqueue *q, struct trp_call *call)
{
    struct trp_version *const v = version_of(call);
    struct trp_error *const err = &call->error;
    if (trp_flag_is_up(&q->stopping))
        return trp_fail(err, TRP_UNAVAILABLE, "Server not ready: it is stopping");
    struct trp_sched_model *const m = place_of(v);
    if (!m)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "model '%s': its queue", v->id);
    switch (trp_sched_push(&q->sched, m, call)) {
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

bool trp_runqueue_take(struct trp_runqueue *q, const struct trp_clock *clock,
                       struct trp_version *ended, struct trp_call **out_call,
                       struct trp_call_list *expired)
{
    struct trp_sched_model *model;
    bool stopping;
    *out_call = NULL;
    trp_lock_enter(&q->lock);
    if (ended)
        trp_sched_end(&q->sched, ended->exec_slot); /* one more may run: this thread sees to it */
    for (;;) {
        stopping = trp_flag_is_up(&q->stopping);
        if (stopping)
            break;
        take_expired(q, trp_clock_now_ns(clock), expired);
        *out_call = trp_sched_take(&q->sched, &model);
        if (*out_call) {
            left_queue(*out_call);
            trp_gauge_set(&version_of(*out_call)->stats->aside, 0); /* it asks anew */
        }
        if (*out_call || expired->first || ended)
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
    struct trp_queue_node *first;
    trp_lock_enter(&q->lock);
    struct trp_sched_model *const m = v->exec_slot;
    struct trp_version *const spare = v->successor ? successor : NULL;
    if (!spare)
        v->successor = successor;
    while (m && trp_gauge_get(&v->stats->aside) != 0 &&
           (first = trp_pairing_first(&m->calls)) != NULL) {
        struct trp_call *call = TRP_CONTAINER_OF(first, struct trp_call, queue_node);
        trp_sched_remove(&q->sched, call);
        left_queue(call);
        trp_call_list_push(out, call);
    }
    show_numbers(q);
    trp_lock_leave(&q->lock);
    trp_version_unref(spare);
}

/* ---- calls that run together ---- */

#define LOOKS_MAX 256 /* waiting calls that are looked at for one batch */

/* While others sleep, they will take what is left: each gets as many. */
static uint32_t fair_share(const struct trp_runqueue *q, const struct trp_sched_model *m)
{
    const uint32_t all = m->queued + 1, takers = q->sleeping + 1;
    return (all + takers - 1) / takers;
}

void trp_runqueue_join(struct trp_runqueue *q, struct trp_call *call, struct trp_batch *b)
{
    struct trp_version *const v = version_of(call);
    const uint64_t limit = trp_batch_limit(v);
    b->members = (struct trp_call_list){ 0 };
    trp_call_list_push(&b->members, call);
    if (limit <= call->batch_rows || call->batch_key == 0 ||
        trp_gauge_get(&v->stats->queued) <= 0) /* a glance: whoever comes now comes too late */
        return;
    trp_lock_enter(&q->lock);
    struct trp_sched_model *const m = v->exec_slot;
    const struct trp_sched_company company = { .call = call,
                                               .may_meet = trp_batch_may_meet,
                                               .rows_max = limit - call->batch_rows,
                                               .calls_max = fair_share(q, m) - 1,
                                               .looks_max = LOOKS_MAX };
    trp_sched_join(&q->sched, m, &company, &b->members);
    trp_gauge_add(&v->stats->queued, -(int64_t)(b->members.count - 1));
    show_numbers(q);
    trp_lock_leave(&q->lock);
}

static bool is_unwanted(struct trp_call *call, int64_t now_ns)
{
    if (call->deadline_ns != 0 && call->deadline_ns <= now_ns)
        (void)trp_call_try_expire(call);
    return trp_oneshot_get(&call->outcome) != TRP_OUTCOME_OPEN;
}

bool trp_runqueue_seal(struct trp_runqueue *q, struct trp_batch *b, int64_t now_ns,
                       struct trp_call_list *unwanted)
{
    struct trp_call_list wanted = { 0 };
    struct trp_call *call;
    const uint32_t all = b->members.count;
    trp_lock_enter(&q->lock);
    while ((call = trp_call_list_pop(&b->members)) != NULL)
        trp_call_list_push(is_unwanted(call, now_ns) ? unwanted : &wanted, call);
    b->members = wanted;
    b->interested = wanted.count;
    const bool is_sealed = wanted.count == all;
    for (call = wanted.first; is_sealed && call; call = call->queue_next)
        call->batch = b;
    trp_lock_leave(&q->lock);
    return is_sealed;
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
                            struct trp_version *ended)
{
    struct trp_call *call;
    uint32_t returned = 0;
    trp_lock_enter(&q->lock);
    while ((call = trp_call_list_pop(calls)) != NULL) {
        struct trp_version *const v = version_of(call);
        trp_sched_return(&q->sched, v->exec_slot, call);
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
    struct trp_sched_model *const m = place_of(v);
    const bool begun = m && trp_sched_try_begin(m);
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
