/* exec/exec.c - loops and executors around one queue.  See exec.h; the parts are turn.h (a loop's side), runqueue.h (the queue
 * between), executor.h (the threads) and run.h (one call meets the backend). */
#include "exec/exec.h"

#include "exec/admission.h"
#include "exec/executor.h"
#include "exec/split.h"
#include "exec/turn.h"
#include "exec/waiting.h"

struct trp_exec {
    const struct trp_alloc *alloc;
    struct trp_exec_opts opts;
    struct trp_runqueue queue;
    struct trp_admission admission;
    struct trp_turn *turns; /* one a loop; unattached ones have no loop */
    struct trp_executor *executors;
};

static struct trp_run_place place_at(const struct trp_exec *x, uint32_t shard, enum trp_metric runs)
{
    return (struct trp_run_place){ .admission = &x->admission,
                                   .clock = x->opts.clock,
                                   .metrics = trp_metrics_shard(x->opts.metrics, shard),
                                   .runs = runs,
                                   .waited_ns = trp_thread_waited_ns,
                                   .output_bytes_max = x->opts.output_bytes_max,
                                   .run_bytes_max = x->opts.run_bytes_max };
}

static void hear_room(void *user)
{
    trp_exec_tell_room(user);
}

trp_status trp_exec_create(const struct trp_alloc *alloc, const struct trp_exec_opts *opts,
                           struct trp_exec **out_exec, struct trp_error *err)
{
    *out_exec = NULL;
    struct trp_exec *x = trp_alloc_zeroed(alloc, 1, sizeof *x);
    if (!x)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "executors");
    x->alloc = alloc;
    x->opts = *opts;
    trp_runqueue_init(&x->queue, opts->queue_max, opts->model_queue_max);
    x->admission = (struct trp_admission){ .headrooms = opts->headrooms,
                                           .ledger = opts->ledger,
                                           .wait_ns = opts->room_wait_ns };
    x->turns = trp_alloc_zeroed(alloc, opts->loops_n, sizeof *x->turns);
    x->executors = trp_alloc_zeroed(alloc, opts->executors_n, sizeof *x->executors);
    if (!x->turns || !x->executors) {
        trp_exec_destroy(x);
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%u executors", opts->executors_n);
    }
    for (uint32_t i = 0; i < opts->executors_n; i++) {
        x->executors[i].queue = &x->queue;
        trp_batch_init(&x->executors[i].batch, alloc);
        x->executors[i].nice = opts->executors_nice;
        x->executors[i].long_run_ns = opts->inline_turn_ns;
        x->executors[i].place = place_at(x, opts->loops_n + i, TRP_METRIC_EXECUTOR_RUNS);
    }
    if (opts->ledger)
        trp_ledger_on_room(opts->ledger, hear_room, x);
    *out_exec = x;
    return trp_ok();
}

trp_status trp_exec_attach(struct trp_exec *x, uint32_t loop_index, struct trp_loop *loop,
                           struct trp_error *err)
{
    if (loop_index >= x->opts.loops_n)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "loop %u of %u", loop_index, x->opts.loops_n);
    const struct trp_run_place place = place_at(x, loop_index, TRP_METRIC_INLINE_RUNS);
    trp_turn_init(&x->turns[loop_index], loop, &x->queue, &place, x->opts.inline_run_ns,
                  x->opts.inline_turn_ns);
    return trp_ok();
}

trp_status trp_exec_start(struct trp_exec *x, struct trp_error *err)
{
    for (uint32_t i = 0; i < x->opts.executors_n; i++)
        TRP_TRY(trp_executor_start(&x->executors[i], i, err), err, "executor %u of %u", i + 1,
                x->opts.executors_n);
    return trp_ok();
}

void trp_exec_stop(struct trp_exec *x)
{
    struct trp_call_list left = { 0 };
    struct trp_call *call;
    trp_runqueue_stop(&x->queue);
    for (uint32_t i = 0; i < x->opts.executors_n; i++)
        trp_executor_join(&x->executors[i]);
    trp_runqueue_drain(&x->queue, &left);
    while ((call = trp_call_list_pop(&left)) != NULL) {
        (void)trp_fail(&call->error, TRP_UNAVAILABLE, "Server not ready: it is stopping");
        trp_run_settle(call);
        trp_call_finish_from(call);
    }
}

void trp_exec_destroy(struct trp_exec *x)
{
    if (!x)
        return;
    if (x->turns && x->executors)
        trp_exec_stop(x); /* the second time there is nothing to do */
    if (x->opts.ledger)
        trp_ledger_forget(x->opts.ledger, x);
    for (uint32_t i = 0; x->turns && i < x->opts.loops_n; i++)
        trp_turn_abandon(&x->turns[i]);
    for (uint32_t i = 0; x->turns && x->executors && i < x->opts.executors_n; i++)
        trp_batch_deinit(&x->executors[i].batch);
    trp_runqueue_deinit(&x->queue);
    trp_alloc_free(x->alloc, x->turns);
    trp_alloc_free(x->alloc, x->executors);
    trp_alloc_free(x->alloc, x);
}

/* Loops are few, and the first one is nearly always it. */
static struct trp_turn *turn_of(struct trp_exec *x, const struct trp_loop *loop)
{
    uint32_t i = 0;
    while (i < x->opts.loops_n && x->turns[i].loop != loop)
        i++;
    TRP_ASSERT(i < x->opts.loops_n); /* a call comes from an attached loop */
    return &x->turns[i];
}

static void refuse(struct trp_call *call)
{
    trp_run_refuse(call);
    trp_call_finish_soon(call);
}

static void wait_for_model(struct trp_version *v, struct trp_call *call)
{
    if (trp_failed(trp_waiting_enter(v->room, call, trp_loop_now_ns(call->loop))))
        refuse(call);
}

/* The version may have become READY since the call was decoded: only its state, looked at here, decides. */
void trp_exec_start_call(struct trp_target *target, struct trp_call *call)
{
    struct trp_version *const v = trp_version_of(target);
    TRP_DEBUG_ASSERT(call->target == target); /* pinned */
    if (v->room && !trp_lifecycle_is_serving(&v->life)) {
        wait_for_model(v, call);
        return;
    }
    if (call->is_unbound && trp_failed(trp_call_bind(call, &v->signature, &call->error))) {
        refuse(call);
        return;
    }
    call->is_unbound = false;
    if (trp_turn_start(turn_of(v->runner, call->loop), call))
        return;
    /* It is hibernated, as only versions with a room are; the call must not hold what was let go in its sleep. */
    if (trp_lifecycle_get(&v->life) == TRP_MODEL_DRAINING && v->successor)
        trp_waiting_send_on(call, v->successor);
    else
        wait_for_model(v, call);
}

void trp_exec_cancel_call(struct trp_target *target, struct trp_call *call)
{
    struct trp_version *const v = trp_version_of(target);
    /* Of one that has left the room, what it waits in now is under another lock. */
    if (call->is_waiting && trp_waiting_remove(v->room, call))
        refuse(call);
    else
        trp_turn_cancel(turn_of(v->runner, call->loop), call);
}

void trp_exec_tell_room(struct trp_exec *x)
{
    trp_runqueue_tell_room(&x->queue);
}

const struct trp_admission *trp_exec_admission(const struct trp_exec *x)
{
    return &x->admission;
}

void trp_exec_refresh_room(struct trp_exec *x)
{
    if (x->opts.headrooms)
        trp_headrooms_refresh(x->opts.headrooms);
}

void trp_exec_let_go(struct trp_exec *x, struct trp_version *v, struct trp_version *successor)
{
    struct trp_call_list aside = { 0 };
    struct trp_call *call;
    trp_version_ref(successor);
    trp_runqueue_let_go(&x->queue, v, successor, &aside);
    while ((call = trp_call_list_pop(&aside)) != NULL) {
        trp_door_leave(&v->stats->in_flight);
        trp_split_drop(call);
        trp_waiting_send_on(call, successor);
    }
}

uint32_t trp_exec_queued(const struct trp_exec *x)
{
    const int64_t queued = trp_gauge_get(&x->queue.queued);
    return queued > 0 ? (uint32_t)queued : 0;
}
