/* exec/exec.c - loops and executors around one queue.  See exec.h; the parts are turn.h (a loop's
 * side), runqueue.h (the queue between), executor.h (the threads) and run.h (one call meets the
 * backend). */
#include "exec/exec.h"

#include "exec/admission.h"
#include "exec/executor.h"
#include "exec/quota.h"
#include "exec/sequencer.h"
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
                                   .run_bytes_max = x->opts.run_bytes_max,
                                   .commons = x->opts.commons };
}

static void hear_room(void *user)
{
    trp_exec_tell_room(user);
}

static trp_status make_intake(struct trp_exec *x)
{
    const struct trp_exec_opts *const o = &x->opts;
    const uint64_t seed = (uint64_t)trp_clock_now_ns(o->clock);
    const struct trp_intake_opts opts = { .clock = o->clock,
                                          .metrics = o->metrics,
                                          .executors_n = o->executors_n,
                                          .forecasts = o->forecasts,
                                          .tenants = { .tenants_max = o->tenants_max,
                                                       .rules = o->tenant_rules,
                                                       .rules_n = o->tenant_rules_n,
                                                       .seed = seed,
                                                       .metrics = o->metrics } };
    trp_sched_set_floor(&x->queue.sched, TRP_PRIORITY_NORMAL, o->floor_normal_permille);
    trp_sched_set_floor(&x->queue.sched, TRP_PRIORITY_BATCH, o->floor_batch_permille);
    return trp_intake_init(&x->queue.intake, x->alloc, &opts, &x->queue.sched, &x->queue.lock);
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
    if (!trp_failed(make_intake(x)))
        x->executors = trp_alloc_zeroed(alloc, opts->executors_n, sizeof *x->executors);
    if (!x->turns || !x->executors) {
        trp_exec_destroy(x);
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%u executors", opts->executors_n);
    }
    for (uint32_t i = 0; i < opts->executors_n; i++) {
        x->executors[i].queue = &x->queue;
        x->executors[i].index = i;
        x->executors[i].of = opts->executors_n;
        trp_batch_init(&x->executors[i].batch, alloc);
        trp_fanout_init(&x->executors[i].fanout);
        x->executors[i].fanout.queue = &x->queue;
        x->executors[i].fanout.alloc = alloc;
        x->executors[i].fanout.part_min_ns = opts->split_part_ns;
        x->executors[i].nice = opts->executors_nice;
        x->executors[i].long_run_ns = opts->inline_turn_ns;
        x->executors[i].place = place_at(x, opts->loops_n + i, TRP_METRIC_EXECUTOR_RUNS);
        x->executors[i].place.fanout = &x->executors[i].fanout;
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
    for (uint32_t i = 0; x->turns && x->executors && i < x->opts.executors_n; i++) {
        trp_fanout_deinit(&x->executors[i].fanout);
        trp_batch_deinit(&x->executors[i].batch);
    }
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

/* What Triton's number means is the model's to say; a class that was named stands. */
static void settle_class(const struct trp_version *v, struct trp_call *call)
{
    const struct trp_version *face = trp_version_face(v);
    const struct trp_queue_rules *rules = face ? face->config.queue : NULL;
    if (!rules)
        return;
    const uint64_t level = trp_queue_rules_level(rules, call->priority);
    if (level != 0 && !call->is_class_named)
        call->priority_class = trp_sched_class_of(level, rules->usual);
}

static void wait_for_model(struct trp_version *v, struct trp_call *call)
{
    if (trp_failed(trp_waiting_enter(v->room, call, trp_loop_now_ns(call->loop))))
        refuse(call);
}

/* What could not be started, because it is hibernated, as only versions with a room are; the call
 * must not hold what was let go in its sleep. */
static void wait_to_wake(struct trp_version *v, struct trp_call *call)
{
    if (trp_lifecycle_get(&v->life) == TRP_MODEL_DRAINING && v->successor)
        trp_waiting_send_on(call, v->successor);
    else
        wait_for_model(v, call);
}

static void collect(void *runner, struct trp_call *call)
{
    trp_turn_collect(turn_of(runner, call->loop), call);
}

/* It is inside its door before its sequence is looked at: what sleeps has none that is open. */
static void start_in_sequence(struct trp_version *v, struct trp_call *call)
{
    if (!trp_door_try_enter(&v->door, &v->stats->in_flight)) {
        wait_to_wake(v, call);
        return;
    }
    switch (trp_sequencer_enter(v->sequencer, call)) {
    case TRP_SEQUENCER_TAKEN:
        return;
    case TRP_SEQUENCER_REFUSED:
        trp_run_settle(call);
        trp_call_finish_soon(call);
        return;
    case TRP_SEQUENCER_ELSEWHERE:
        trp_door_leave(&v->stats->in_flight);
        trp_target_start(call->target, call);
        return;
    }
}

/* The version may have become READY since the call was decoded: only its state, looked at here,
 * decides. */
void trp_exec_start_call(struct trp_target *target, struct trp_call *call)
{
    struct trp_version *const v = trp_version_of(target);
    TRP_DEBUG_ASSERT(call->target == target); /* pinned */
    settle_class(v, call);
    if (v->room && !trp_lifecycle_is_serving(&v->life)) {
        wait_for_model(v, call);
        return;
    }
    if (call->is_unbound && trp_failed(trp_call_bind(call, &v->signature, &call->error))) {
        refuse(call);
        return;
    }
    call->is_unbound = false;
    struct trp_exec *const x = v->runner;
    if (trp_failed(trp_quota_begin(&x->queue.intake.tenants, call, trp_loop_now_ns(call->loop)))) {
        refuse(call);
        return;
    }
    if (v->sequencer)
        start_in_sequence(v, call);
    else if (!trp_turn_start(turn_of(v->runner, call->loop), call))
        wait_to_wake(v, call);
}

void trp_exec_cancel_call(struct trp_target *target, struct trp_call *call)
{
    struct trp_version *const v = trp_version_of(target);
    /* Of one that has left the room, what it waits in now is under another lock. */
    if (call->is_waiting && trp_waiting_remove(v->room, call)) {
        refuse(call);
    } else if (call->is_held) { /* else it is on its way home, which looks whether it is wanted */
        if (!trp_sequencer_remove(v->sequencer, call))
            return;
        trp_run_settle(call);
        trp_call_finish_soon(call);
    } else {
        trp_turn_cancel(turn_of(v->runner, call->loop), call);
    }
}

const struct trp_target_ops *trp_exec_version_ops(void)
{
    static const struct trp_target_ops ops =
        TRP_VERSION_OPS(trp_exec_start_call, trp_exec_cancel_call);
    return &ops;
}

/* Sequences under way at once; without `oldest` as many as there are rows in all run slots
 * together. */
static uint32_t slots_of(const struct trp_model_config *c, uint32_t instances)
{
    const uint64_t rows = c->batch_max > 1 ? (uint64_t)c->batch_max : 1;
    const uint64_t slots =
        c->sequences->is_oldest ? c->sequences->candidates_max : instances * rows;
    return slots < UINT32_MAX ? (uint32_t)slots : UINT32_MAX;
}

trp_status trp_exec_keep_sequences(struct trp_exec *x, struct trp_version *v,
                                   const struct trp_model_config *config,
                                   struct trp_sequencer **out_sequencer, struct trp_error *err)
{
    const int64_t set = trp_gauge_get(&v->instances); /* by an operator, before it was loaded */
    const uint32_t instances = set > 0 ? (uint32_t)set : config->instances;
    const struct trp_sequencer_opts opts = { .control = x->opts.control,
                                             .metrics = x->opts.metrics,
                                             .slots_n = slots_of(config, instances),
                                             .idle_ns = config->sequences->idle_ns,
                                             .open_max = x->opts.sequences_max,
                                             .calls_max = x->opts.model_queue_max,
                                             .seed = (uint64_t)trp_clock_now_ns(x->opts.clock) ^
                                                     (uint64_t)(uintptr_t)v,
                                             .collect = collect };
    return trp_sequencer_create(x->alloc, v, &opts, out_sequencer, err);
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

/* How many rows the average run has, where they are counted. */
static uint32_t usual_rows(const struct trp_stats *s)
{
    const uint64_t rows = trp_counter_get(&s->inference_count),
                   runs = trp_counter_get(&s->execution_count);
    return rows > runs && runs > 0 && rows / runs < UINT32_MAX ? (uint32_t)(rows / runs) : 1;
}

void trp_exec_cost(const struct trp_version *v, struct trp_exec_cost *out)
{
    struct trp_exec *const x = v->runner;
    const uint64_t limit = trp_batch_limit(v);
    out->slots = trp_runqueue_cost(&x->queue, v, &out->curve);
    const int64_t run_ns = trp_gauge_get(&trp_version_counts(v)->run_ns);
    if (run_ns > 0 && trp_cost_curve_estimate(&out->curve, 1) == 0)
        trp_cost_curve_learn(&out->curve, usual_rows(trp_version_counts(v)), run_ns);
    out->rows_max = limit == 0 ? 1 : limit < UINT32_MAX ? (uint32_t)limit : UINT32_MAX;
    out->rows_best = trp_cost_curve_known_best(&out->curve, out->rows_max);
}

uint32_t trp_exec_instances(const struct trp_version *v)
{
    return trp_runqueue_slots(v);
}

void trp_exec_resize(struct trp_exec *x, struct trp_version *v, uint32_t instances)
{
    trp_runqueue_resize(&x->queue, v, instances);
    if (v->sequencer)
        trp_sequencer_resize(v->sequencer, slots_of(&v->config, trp_version_instances(v)));
}

void trp_exec_load(struct trp_exec *x, const struct trp_version *v, struct trp_exec_load *out)
{
    struct trp_intake_load load;
    const int64_t run_ns = trp_version_run_ns(v);
    trp_runqueue_look(&x->queue, v, trp_clock_now_ns(x->opts.clock), &load);
    const bool is_inline = run_ns > 0 && run_ns <= x->opts.inline_run_ns && load.queued == 0;
    *out = (struct trp_exec_load){ .queued = load.queued,
                                   .running = load.running,
                                   .wait_ns = is_inline ? 0 : load.wait_ns };
}

uint32_t trp_exec_queued(const struct trp_exec *x)
{
    const int64_t queued = trp_gauge_get(&x->queue.queued);
    return queued > 0 ? (uint32_t)queued : 0;
}

uint32_t trp_exec_idle(const struct trp_exec *x)
{
    const int64_t idle = trp_gauge_get(&x->queue.idle);
    return idle > 0 ? (uint32_t)idle : 0;
}
