/* exec/waiting.c - see waiting.h.
 *
 * The mail that calls for the control thread lives in the room and may be out once only:
 * `is_asking` is lowered by the delivery alone, under the lock, so whoever enters while it is out
 * knows that its reader has not looked yet.
 *
 * Calls hang in three lists, one for each class of priority, linked both ways by their queue_node:
 * one that is cancelled leaves at once, wherever it stands. */
#include "exec/waiting.h"

#include "base/thread.h"
#include "exec/run.h"

#define CLASSES 3u

struct trp_waiting {
    const struct trp_alloc *alloc;
    struct trp_waiting_opts opts;
    struct trp_refs refs;
    struct trp_lock lock;
    struct trp_queue_chain rows[CLASSES]; /* lock, as are the next two */
    bool is_asking, is_closed;
    struct trp_counter count; /* changed under the lock */
    const struct trp_error
        *why;             /* written before is_closed is set, constant after; static, or its own */
    struct trp_mail mail; /* out while is_asking, with a reference */
    struct trp_rate_limit rate; /* under the run queue's lock */
};

/* ---- rows ---- */

static struct trp_queue_chain *row_of(struct trp_waiting *w, const struct trp_call *call)
{
    switch (call->priority_class) {
    case TRP_PRIORITY_INTERACTIVE:
        return &w->rows[0];
    case TRP_PRIORITY_BATCH:
        return &w->rows[2];
    case TRP_PRIORITY_NORMAL:
    default:
        return &w->rows[1];
    }
}

static void append(struct trp_waiting *w, struct trp_call *call)
{
    call->queue = w;
    trp_queue_chain_append(row_of(w, call), &call->queue_node);
    trp_counter_add(&w->count, 1);
}

static void take_out(struct trp_waiting *w, struct trp_call *call)
{
    trp_queue_chain_remove(row_of(w, call), &call->queue_node);
    call->queue = NULL;
    trp_counter_sub(&w->count, 1);
}

/* ---- the room ---- */

trp_status trp_waiting_create(const struct trp_alloc *alloc, const struct trp_waiting_opts *opts,
                              struct trp_waiting **out_waiting, struct trp_error *err)
{
    struct trp_waiting *w = trp_alloc_zeroed(alloc, 1, sizeof *w);
    *out_waiting = w;
    if (!w)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "a place for waiting calls");
    w->alloc = alloc;
    w->opts = *opts;
    trp_refs_init(&w->refs);
    trp_lock_init(&w->lock, TRP_LOCK_WAITING);
    return trp_ok();
}

void trp_waiting_ref(struct trp_waiting *w)
{
    trp_refs_up(&w->refs);
}

/* Who comes when all is over is told why; without memory for that, that it is over. */
static const struct trp_error closed_words = { .status = { TRP_UNAVAILABLE },
                                               .text = "the model is not served any more" };

static const struct trp_error *keep_error(const struct trp_alloc *alloc,
                                          const struct trp_error *why)
{
    struct trp_error *copy = trp_alloc_get(alloc, 1, sizeof *copy);
    if (!copy)
        return &closed_words;
    *copy = *why;
    return copy;
}

static void free_error(const struct trp_alloc *alloc, const struct trp_error *kept)
{
    if (kept != &closed_words)
        trp_alloc_free(alloc, (struct trp_error *)(uintptr_t)kept);
}

void trp_waiting_unref(struct trp_waiting *w)
{
    if (!w || !trp_refs_down(&w->refs))
        return;
    TRP_ASSERT(trp_counter_get(&w->count) ==
               0); /* a call in here holds a version, which holds us */
    trp_lock_deinit(&w->lock);
    free_error(w->alloc, w->why);
    trp_alloc_free(w->alloc, w);
}

struct trp_rate_limit *trp_waiting_rate(struct trp_waiting *w)
{
    return &w->rate;
}

uint32_t trp_waiting_count(const struct trp_waiting *w)
{
    return (uint32_t)trp_counter_get(&w->count);
}

/* ---- in ---- */

/* Under the lock. */
static void count_out(struct trp_waiting *w, const struct trp_call *call, int64_t now_ns)
{
    const int64_t waited_ns = now_ns - call->stamps_ns[TRP_PHASE_QUEUED];
    trp_metrics_add(w->opts.metrics, TRP_METRIC_COLD_WAITING, (uint64_t)0 - 1);
    trp_metrics_add(w->opts.metrics, TRP_METRIC_COLD_CALLS, 1);
    trp_metrics_add(w->opts.metrics, TRP_METRIC_COLD_WAIT_US,
                    waited_ns > 0 ? (uint64_t)waited_ns / 1000 : 0);
}

static void tell_control(struct trp_mail *mail)
{
    struct trp_waiting *w = TRP_CONTAINER_OF(mail, struct trp_waiting, mail);
    trp_lock_enter(&w->lock);
    w->is_asking = false;
    const bool is_closed = w->is_closed;
    trp_lock_leave(&w->lock);
    if (!is_closed)
        w->opts.wanted(w->opts.user);
    trp_waiting_unref(w);
}

static trp_status refuse(const struct trp_waiting *w, struct trp_call *call)
{
    if (w->is_closed) {
        call->error = *w->why;
        return call->error.status;
    }
    trp_metrics_add(w->opts.metrics, TRP_METRIC_REFUSED_QUEUE, 1);
    return trp_fail_limit(&call->error, TRP_QUEUE_FULL, TRP_LIMIT_QUEUE,
                          "Exceeds maximum queue size: %u requests wait for model '%.*s' to be "
                          "loaded",
                          w->opts.calls_max, TRP_STR(call->target->name));
}

/* Whom the room can do without sooner than `call`, taken out: of the least urgent class the
 * newest; NULL: nobody.  Under the lock. */
static struct trp_call *make_place(struct trp_waiting *w, const struct trp_call *call,
                                   int64_t now_ns)
{
    const struct trp_queue_chain *own = row_of(w, call), *row = &w->rows[CLASSES - 1];
    while (row > own && !row->last)
        row--;
    if (row == own)
        return NULL;
    struct trp_call *const shed = TRP_CONTAINER_OF(row->last, struct trp_call, queue_node);
    take_out(w, shed);
    count_out(w, shed, now_ns);
    trp_metrics_add(w->opts.metrics, TRP_METRIC_REFUSED_SHED, 1);
    return shed;
}

/* Perhaps on another loop than its own, and never from inside its start. */
static void send_away(const struct trp_waiting *w, struct trp_call *shed)
{
    struct trp_error why = { 0 };
    (void)trp_fail_limit(&why, TRP_QUEUE_FULL, TRP_LIMIT_QUEUE,
                         "Exceeds maximum queue size: %u requests wait for model '%.*s' to be "
                         "loaded, and it made room for a more urgent one",
                         w->opts.calls_max, TRP_STR(shed->target->name));
    trp_waiting_decide(shed, NULL, &why);
    trp_waiting_send(shed);
}

static trp_status enter(struct trp_waiting *w, struct trp_call *call, int64_t now_ns,
                        uint32_t calls_max)
{
    trp_status st = trp_ok();
    struct trp_call *shed = NULL;
    bool must_tell = false;
    trp_lock_enter(&w->lock);
    const bool is_full = trp_waiting_count(w) >= calls_max;
    if (!w->is_closed && is_full)
        shed = make_place(w, call, now_ns);
    if (w->is_closed || (is_full && !shed)) {
        st = refuse(w, call);
    } else {
        if (call->stamps_ns[TRP_PHASE_QUEUED] == 0)
            call->stamps_ns[TRP_PHASE_QUEUED] = now_ns; /* else it has waited here before */
        call->is_waiting = true;
        append(w, call);
        trp_metrics_add(w->opts.metrics, TRP_METRIC_COLD_WAITING, 1);
        must_tell = !w->is_asking;
        w->is_asking = true;
        if (must_tell)
            trp_refs_up(&w->refs); /* the mail's, before the call can leave */
    }
    trp_lock_leave(&w->lock);
    if (shed)
        send_away(w, shed);
    if (must_tell) {
        w->mail.deliver = tell_control;
        trp_loop_post(w->opts.control, &w->mail);
    }
    return st;
}

trp_status trp_waiting_enter(struct trp_waiting *w, struct trp_call *call, int64_t now_ns)
{
    return enter(w, call, now_ns, w->opts.calls_max);
}

/* ---- out ---- */

bool trp_waiting_remove(struct trp_waiting *w, struct trp_call *call)
{
    trp_lock_enter(&w->lock);
    const bool is_here = call->queue == w;
    if (is_here) {
        take_out(w, call);
        count_out(w, call, trp_loop_now_ns(call->loop));
        call->is_waiting = false;
    }
    trp_lock_leave(&w->lock);
    return is_here;
}

void trp_waiting_take(struct trp_waiting *w, struct trp_call_list *out, int64_t now_ns)
{
    trp_lock_enter(&w->lock);
    for (uint32_t i = 0; i < CLASSES; i++) {
        while (w->rows[i].first) {
            struct trp_call *call = TRP_CONTAINER_OF(w->rows[i].first, struct trp_call, queue_node);
            take_out(w, call);
            count_out(w, call, now_ns);
            trp_call_list_push(out, call);
        }
    }
    trp_lock_leave(&w->lock);
}

/* On the call's loop.  What it was sent with stands in exec_slot (the version, with a reference)
 * and in its error. */
static void arrive(struct trp_call *call)
{
    struct trp_version *v = call->exec_slot;
    call->exec_slot = NULL;
    call->is_waiting = false;
    if (v && call->target != &v->target && !call->is_unbound && !trp_failed(call->error.status))
        (void)trp_call_unbind(call, &call->error); /* it waited for one that has been replaced */
    if (v)
        trp_call_pin(call, &v->target, trp_version_release_target);
    if (!trp_failed(call->error.status)) {
        trp_target_start(call->target, call);
        return;
    }
    trp_run_refuse(call);
    trp_call_finish(call);
}

void trp_waiting_decide(struct trp_call *call, struct trp_version *v, const struct trp_error *err)
{
    if (v)
        trp_version_ref(v);
    call->exec_slot = v;
    if (err)
        call->error = *err;
}

void trp_waiting_send(struct trp_call *call)
{
    trp_call_send_home(call, arrive);
}

static void refuse_arrived(struct trp_call *call)
{
    trp_run_refuse(call);
    trp_call_finish(call);
}

/* On the call's loop.  Names of its tensors lie in the version that it leaves. */
static void arrive_again(struct trp_call *call)
{
    struct trp_version *v = call->exec_slot;
    call->exec_slot = NULL;
    if (call->sequence) { /* its state is where it was; the client may send it again */
        (void)trp_fail(&call->error, TRP_UNAVAILABLE,
                       "model '%s' was let go while a request of a sequence waited for memory",
                       trp_version_of(call->target)->id);
        trp_version_unref(v);
        refuse_arrived(call);
        return;
    }
    const trp_status st = trp_call_unbind(call, &call->error);
    trp_call_pin(call, &v->target, trp_version_release_target);
    const bool is_open = trp_oneshot_get(&call->outcome) == TRP_OUTCOME_OPEN;
    if (trp_failed(st) || !is_open) {
        refuse_arrived(call);
        return;
    }
    call->stamps_ns[TRP_PHASE_QUEUED] = 0;
    call->short_since_ns = 0;
    if (trp_lifecycle_is_serving(&v->life) || !v->room)
        trp_target_start(call->target, call);
    else if (trp_failed(enter(v->room, call, trp_loop_now_ns(call->loop), UINT32_MAX)))
        refuse_arrived(call);
}

void trp_waiting_send_on(struct trp_call *call, struct trp_version *successor)
{
    trp_version_ref(successor);
    call->exec_slot = successor;
    trp_call_send_home(call, arrive_again);
}

void trp_waiting_close(struct trp_waiting *w, const struct trp_error *why)
{
    struct trp_call_list left = { 0 };
    struct trp_call *call;
    const struct trp_error *kept = keep_error(w->alloc, why);
    trp_lock_enter(&w->lock);
    if (!w->is_closed) {
        w->why = kept;
        kept = NULL;
    }
    w->is_closed = true;
    trp_lock_leave(&w->lock);
    free_error(w->alloc, kept);
    trp_waiting_take(w, &left, trp_loop_now_ns(w->opts.control));
    while ((call = trp_call_list_pop(&left)) != NULL) {
        trp_waiting_decide(call, NULL, why);
        trp_waiting_send(call);
    }
}
