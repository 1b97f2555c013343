/* exec/turn.c - see turn.h.
 *
 * The collecting is done by a task in the loop's ready list: it runs after all watches, mail and
 * timers of the turn were delivered, so it sees the turn whole, and the calls it finishes are told
 * in the same ready list, before the turn's hooks write what was collected.  A call that is started
 * by one of these (the next of a pipelined connection) puts the task into the list again; the
 * budget is the turn's all the same.
 *
 *   started --plan--> executors: one push, one wake
 *                 \-> mine: run while the measured time lasts --\-> finish (ready list)
 *                 |         those that may share a run, together, where that is cheaper
 *                 \-> later: first in line in the next turn */
#include "exec/turn.h"

#include "backend/backend_host.h"
#include "exec/admission.h"
#include "exec/pickup.h"
#include "exec/seating.h"

static struct trp_version *version_of(const struct trp_call *call)
{
    return trp_version_of(call->target);
}

static void answer_from(const struct trp_turn *t, struct trp_call *call)
{
    trp_run_settle(call);
    if (call->loop == t->loop)
        trp_call_finish_soon(call);
    else
        trp_call_finish_from(call);
}

static void give_answer(struct trp_call *call)
{
    trp_run_settle(call);
    trp_call_finish_soon(call);
}

/* Hands calls to the executors; what the queue refuses is answered, and so is who makes room in
 * it, of whatever loop. */
static void hand_over(struct trp_turn *t, struct trp_call_list *calls)
{
    struct trp_call_list refused = { 0 };
    struct trp_call *call;
    int64_t first_ns = 0;
    if (!calls->first)
        return;
    for (call = calls->first; call; call = call->queue_next)
        if (call->deadline_ns != 0 && (first_ns == 0 || call->deadline_ns < first_ns))
            first_ns = call->deadline_ns;
    trp_runqueue_push(t->queue, calls, &refused);
    while ((call = trp_call_list_pop(&refused)) != NULL)
        answer_from(t, call);
    if (first_ns == 0 || (t->expiry.slot != 0 && t->expiry.due_ns <= first_ns))
        return;
    /* Without memory for the timer a late call is found when an executor next looks. */
    (void)trp_timer_arm(t->loop, &t->expiry, first_ns, NULL);
}

static void answer_late_calls(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_turn *t = TRP_CONTAINER_OF(timer, struct trp_turn, expiry);
    struct trp_call_list expired = { 0 };
    struct trp_call *call;
    const int64_t next_ns = trp_runqueue_expire(t->queue, now_ns, &expired);
    while ((call = trp_call_list_pop(&expired)) != NULL) {
        (void)trp_call_try_expire(call);
        answer_from(t, call);
    }
    if (next_ns != 0)
        (void)trp_timer_arm(t->loop, &t->expiry, next_ns, NULL); /* as above */
}

/* Where each call goes, by what runs are expected to cost; the plan's budget is a copy, the
 * measured one decides. */
struct plan {
    struct trp_call_list mine, theirs, later;
    const struct trp_call *last; /* of `mine` */
    struct trp_turn_budget budget;
    struct trp_executors_seen executors;
};

static struct plan make_plan(const struct trp_turn *t)
{
    const int64_t idle = trp_gauge_get(&t->queue->idle);
    return (
        struct plan){ .budget = t->budget,
                      .executors = { .idle = idle > 0 ? (uint32_t)idle : 0,
                                     .has_long_run = trp_gauge_get(&t->queue->long_runs) > 0 } };
}

/* What it adds to what runs here already: less than a run of its own where it can share one. */
static int64_t added_cost(const struct plan *plan, struct trp_call *call)
{
    const int64_t alone_ns = trp_run_cost_ns(call);
    struct trp_version *v = version_of(call);
    if (!plan->last || plan->last->target != call->target)
        return alone_ns;
    if (trp_batch_limit(v) == 0)
        trp_batch_want(v);
    else if (trp_batch_may_meet(plan->last, call) && trp_batch_share_ns(v) > 0)
        return alone_ns < trp_batch_share_ns(v) ? alone_ns : trp_batch_share_ns(v);
    return alone_ns;
}

/* A loop must not wait for another process. */
static bool is_elsewhere(struct trp_call *call)
{
    const struct trp_version *v = version_of(call);
    return v->model && (trp_backend_capabilities(v->model) & TROUPE_RUNS_ELSEWHERE) != 0;
}

/* Only in the queue it can wait for company, as its owner wants it to; and only there it finds that
 * of others who wait or run, which is better than a run of its own here, unless that is short. */
static bool wants_company(const struct trp_turn *t, struct trp_call *call, int64_t cost_ns)
{
    const struct trp_version *v = version_of(call);
    return call->batch_key != 0 &&
           (trp_pickup_delay_ns(v) > 0 ||
            (cost_ns > t->run_max_ns && trp_gauge_get(&v->stats->in_flight) > 1));
}

static void place(struct trp_turn *t, struct plan *plan, struct trp_call *call)
{
    if (call->is_aside || trp_seating_matters(version_of(call)) ||
        is_elsewhere(call)) { /* an executor goes there; a loop stays where it is */
        trp_call_list_push(&plan->theirs, call);
        return;
    }
    const int64_t cost_ns = added_cost(plan, call);
    if (wants_company(t, call, cost_ns)) {
        trp_call_list_push(&plan->theirs, call);
        return;
    }
    switch (trp_place_call(&plan->budget, cost_ns, &plan->executors)) {
    case TRP_PLACE_INLINE:
        plan->budget.left_ns -= cost_ns;
        plan->budget.used = true;
        plan->last = call;
        trp_call_list_push(&plan->mine, call);
        return;
    case TRP_PLACE_EXECUTOR:
        if (cost_ns > 0 && cost_ns <= t->run_max_ns)
            trp_metric_add(t->place.metrics, TRP_METRIC_INLINE_CAPPED, 1);
        if (plan->executors.idle > 0)
            plan->executors.idle--;
        trp_call_list_push(&plan->theirs, call);
        return;
    case TRP_PLACE_LATER:
        trp_call_list_push(&plan->later, call);
        return;
    }
}

/* Runs a call here; false when its version has no slot free, and it has to queue for one, or when
 * it may have to wait for memory: an executor asks for that. */
static bool try_run(struct trp_turn *t, struct trp_call *call, int64_t *now_ns)
{
    struct trp_version *v = version_of(call);
    const bool needs_slot = trp_runqueue_needs_slot(v);
    if (!trp_admission_is_free(t->place.admission, call))
        return false;
    if (needs_slot && !trp_runqueue_try_begin(t->queue, v))
        return false;
    const int64_t begun_ns = *now_ns;
    *now_ns = trp_run_call(&t->place, call, begun_ns);
    if (needs_slot)
        trp_runqueue_end(t->queue, v);
    t->budget.used = true;
    t->budget.left_ns -= *now_ns - begun_ns;
    trp_call_finish_soon(call);
    return true;
}

#define JOINS_TRIED 64u /* so often what does not pay is tried all the same */

/* A run together has to save a tenth. */
static bool pays(struct trp_turn *t, const struct trp_call *call)
{
    const struct trp_version *v = version_of(call);
    const int64_t share_ns = trp_batch_share_ns(v), alone_ns = trp_run_cost_ns(call);
    return share_ns == 0 || v->config.batching == TRP_BATCHING_ON ||
           share_ns < alone_ns - alone_ns / 10 || t->joins++ % JOINS_TRIED == 0;
}

/* Moves those that may run with the first member from the list to the batch, as many rows as it
 * may have. */
static void gather_like(struct trp_batch *b, struct trp_call_list *from, int64_t now_ns)
{
    struct trp_call_list others = { 0 };
    struct trp_call *call, *first = b->members.first;
    uint64_t left = trp_batch_limit(version_of(first));
    left = left > first->batch_rows ? left - first->batch_rows : 0;
    while ((call = trp_call_list_pop(from)) != NULL) {
        const bool joins = call->batch_rows <= left && trp_batch_may_meet(first, call) &&
                           trp_batch_is_wanted(call, now_ns);
        left -= joins ? call->batch_rows : 0;
        trp_call_list_push(joins ? &b->members : &others, call);
    }
    *from = others;
}

/* As try_run(), for the members of the batch; where they cannot run together here, executors
 * have them. */
static bool try_run_together(struct trp_turn *t, int64_t *now_ns)
{
    struct trp_batch *b = &t->batch;
    struct trp_version *v = version_of(b->members.first);
    const bool needs_slot = trp_runqueue_needs_slot(v);
    if (trp_failed(trp_batch_lay_out(b, &b->joint.error)) ||
        !trp_admission_is_free(t->place.admission, &b->joint) ||
        (needs_slot && !trp_runqueue_try_begin(t->queue, v)))
        return false;
    const int64_t begun_ns = *now_ns;
    const enum trp_batch_end end = trp_batch_run(&t->place, b, t->place.run_bytes_max, now_ns);
    if (needs_slot)
        trp_runqueue_end(t->queue, v);
    t->budget.used = true;
    t->budget.left_ns -= *now_ns - begun_ns;
    for (struct trp_call *m = b->members.first; end != TRP_BATCH_DONE && m; m = m->queue_next)
        m->batch_key = 0; /* each alone */
    return end == TRP_BATCH_DONE;
}

/* Runs a call here, with those of the list that may share its run where that pays; what cannot
 * run here goes to `theirs`. */
static void run_here(struct trp_turn *t, struct trp_call *call, struct trp_call_list *mine,
                     struct trp_call_list *theirs, int64_t *now_ns)
{
    struct trp_call_list *members = &t->batch.members;
    trp_call_list_push(members, call);
    if (call->batch_key != 0 && mine->first && trp_batch_limit(version_of(call)) > 0 &&
        trp_batch_is_wanted(call, *now_ns) && pays(t, call))
        gather_like(&t->batch, mine, *now_ns);
    const bool is_one = members->count == 1;
    if (is_one)
        (void)trp_call_list_pop(members);
    if (is_one && !try_run(t, call, now_ns))
        trp_call_list_push(theirs, call);
    const bool is_done = !is_one && try_run_together(t, now_ns);
    while ((call = trp_call_list_pop(members)) != NULL) {
        if (is_done)
            trp_call_finish_soon(call);
        else
            trp_call_list_push(theirs, call);
    }
}

/* Runs what was planned for here while the measured time lasts; the rest is placed again. */
static void run_mine(struct trp_turn *t, struct plan *plan)
{
    struct trp_call *call;
    struct plan rest = make_plan(t);
    if (!plan->mine.first)
        return;
    int64_t now_ns = trp_clock_now_ns(t->place.clock);
    while ((call = trp_call_list_pop(&plan->mine)) != NULL) {
        if (t->budget.used && t->budget.left_ns <= 0) {
            rest.budget = t->budget;
            place(t, &rest, call);
        } else {
            run_here(t, call, &plan->mine, &rest.theirs, &now_ns);
        }
    }
    hand_over(t, &rest.theirs);
    while ((call = trp_call_list_pop(&rest.later)) != NULL)
        trp_call_list_push(&plan->later, call);
}

static bool is_unwanted(struct trp_turn *t, struct trp_call *call)
{
    if (call->deadline_ns != 0 && call->deadline_ns <= trp_loop_now_ns(t->loop))
        (void)trp_call_try_expire(call);
    if (trp_oneshot_get(&call->outcome) != TRP_OUTCOME_OPEN)
        return true;
    if (!trp_flag_is_up(&t->queue->stopping))
        return false;
    (void)trp_fail(&call->error, TRP_UNAVAILABLE, "Server not ready: it is stopping");
    return true;
}

static void work(struct trp_task *task)
{
    struct trp_turn *t = TRP_CONTAINER_OF(task, struct trp_turn, task);
    struct plan plan = make_plan(t);
    struct trp_call *call;
    while ((call = trp_call_list_pop(&t->started)) != NULL) {
        if (is_unwanted(t, call))
            give_answer(call);
        else
            place(t, &plan, call);
    }
    hand_over(t, &plan.theirs);
    run_mine(t, &plan);
    t->started = plan.later; /* the hook brings them up in the next turn */
}

static struct trp_turn_budget fresh_budget(int64_t run_max_ns, int64_t turn_max_ns)
{
    return (struct trp_turn_budget){ .run_max_ns = run_max_ns,
                                     .left_ns = turn_max_ns,
                                     .turn_ns = turn_max_ns };
}

static void begin_next_turn(struct trp_hook *hook)
{
    struct trp_turn *t = TRP_CONTAINER_OF(hook, struct trp_turn, hook);
    t->budget = fresh_budget(t->run_max_ns, t->turn_max_ns);
    if (t->started.first)
        trp_loop_ready(t->loop, &t->task);
}

void trp_turn_init(struct trp_turn *t, struct trp_loop *loop, struct trp_runqueue *queue,
                   const struct trp_run_place *where, int64_t run_max_ns, int64_t turn_max_ns)
{
    *t = (struct trp_turn){ .loop = loop,
                            .queue = queue,
                            .place = *where,
                            .run_max_ns = run_max_ns,
                            .turn_max_ns = turn_max_ns,
                            .budget = fresh_budget(run_max_ns, turn_max_ns),
                            .task.run = work,
                            .hook.turn_end = begin_next_turn,
                            .expiry.due = answer_late_calls };
    trp_batch_init(&t->batch, trp_heap());
    trp_loop_hook(loop, &t->hook);
}

bool trp_turn_start(struct trp_turn *t, struct trp_call *call)
{
    struct trp_version *v = version_of(call);
    if (!trp_door_try_enter(&v->door, &v->stats->in_flight))
        return false;
    trp_turn_collect(t, call);
    return true;
}

void trp_turn_collect(struct trp_turn *t, struct trp_call *call)
{
    call->batch_key = 0;
    if (trp_batch_limit(version_of(call)) > 0)
        trp_batch_mark(call);
    if (call->stamps_ns[TRP_PHASE_QUEUED] == 0) /* else it has waited for a load already */
        call->stamps_ns[TRP_PHASE_QUEUED] = trp_loop_now_ns(t->loop);
    trp_call_list_push(&t->started, call);
    trp_loop_ready(t->loop, &t->task);
}

void trp_turn_cancel(struct trp_turn *t, struct trp_call *call)
{
    if (trp_runqueue_remove(t->queue, call)) {
        give_answer(call);
        return;
    }
    /* Running, about to run, or in `started`: whoever has it looks at the token; the backend may be
     * deep in it.  A version that does not serve has it on its way to one that does. */
    uint64_t first;
    const uint32_t runs = trp_runqueue_leave(t->queue, call, &first);
    for (uint32_t i = 0; i < runs && trp_lifecycle_is_serving(&version_of(call)->life); i++)
        trp_backend_cancel(version_of(call)->model, first + i);
}

void trp_turn_abandon(struct trp_turn *t)
{
    struct trp_call *call;
    if (t->loop)
        trp_batch_deinit(&t->batch);
    while ((call = trp_call_list_pop(&t->started)) != NULL) {
        (void)trp_fail(&call->error, TRP_UNAVAILABLE, "Server not ready: it is stopping");
        trp_run_settle(call);
        trp_call_finish_from(call);
    }
}
