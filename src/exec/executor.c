/* exec/executor.c - see executor.h. */
#include "exec/executor.h"

#include <stdio.h>

#include "exec/admission.h"
#include "exec/seating.h"
#include "exec/split.h"
#include "exec/waiting.h"

#define ASIDE_TURN_NS 20000000 /* on the processor */

static void answer_late_calls(struct trp_call_list *expired)
{
    struct trp_call *call;
    while ((call = trp_call_list_pop(expired)) != NULL) {
        (void)trp_call_try_expire(call);
        trp_run_settle(call);
        trp_call_finish_from(call);
    }
}

/* A run that is longer than a turn, or whose length is not known, is shown to the loops while it
 * lasts (sched/placement.h). */
static bool show_if_long(struct trp_executor *e, const struct trp_call *call)
{
    const int64_t cost_ns = trp_run_cost_ns(call);
    const bool is_long = cost_ns == 0 || cost_ns > e->long_run_ns;
    trp_gauge_add(&e->queue->long_runs, is_long);
    return is_long;
}

static uint64_t bytes_for(const struct trp_executor *e, const struct trp_admitted *admitted)
{
    return admitted->bytes_max ? admitted->bytes_max : e->place.run_bytes_max;
}

static void tell_who_waited(struct trp_executor *e, const struct trp_admitted *admitted)
{
    if (admitted->pass.ends_wait)
        trp_runqueue_tell_room(e->queue); /* whoever was put aside for this one */
}

/* False: what it was given is too little. */
static bool run_admitted(struct trp_executor *e, struct trp_call *call,
                         const struct trp_admitted *admitted)
{
    int64_t now_ns = trp_clock_now_ns(e->place.clock);
    const bool is_long = show_if_long(e, call);
    const bool is_done = trp_run_try(&e->place, call, bytes_for(e, admitted), &now_ns);
    trp_gauge_add(&e->queue->long_runs, -(int64_t)is_long);
    return is_done;
}

/* Unless nobody waits for it any more, or its version was let go meanwhile; then it waits for
 * the next one. */
static void put_aside(struct trp_executor *e, struct trp_call *call,
                      const struct trp_runqueue_return *how)
{
    struct trp_version *v = trp_version_of(call->target);
    switch (trp_runqueue_put_back(e->queue, call, how)) {
    case TRP_PUT_BACK_QUEUED:
        return;
    case TRP_PUT_BACK_UNWANTED:
        trp_run_settle(call);
        trp_call_finish_from(call);
        return;
    case TRP_PUT_BACK_LET_GO:
        trp_door_leave(&v->stats->in_flight);
        trp_split_drop(call);
        trp_waiting_send_on(call, v->successor);
        return;
    }
}

static void wait_for_room(struct trp_executor *e, struct trp_call *call, uint64_t words_before,
                          const struct trp_admitted *asked)
{
    const struct trp_runqueue_return how = { .words_before = words_before,
                                             .is_first = asked->pass.is_first ||
                                                         trp_split_is_under_way(call) };
    put_aside(e, call, &how);
    trp_admission_ask_room(e->place.admission, asked);
}

/* As run(), for a call that is done in parts. */
static bool run_parts(struct trp_executor *e, struct trp_call *call)
{
    struct trp_admitted room;
    for (;;) {
        const uint64_t words =
            trp_counter_get(&e->queue->words); /* before asking: none is missed */
        const struct trp_runqueue_return how = { .words_before = words, .is_first = true };
        enum trp_split_end end;
        switch (trp_split_ask(&e->place, call, trp_clock_now_ns(e->place.clock), &room)) {
        case TRP_RESERVE_DONE:
            tell_who_waited(e, &room);
            trp_gauge_add(&e->queue->long_runs, 1);
            end = trp_split_run(&e->place, call, &room);
            trp_gauge_add(&e->queue->long_runs, -1);
            if (end == TRP_SPLIT_DONE)
                return true;
            if (end == TRP_SPLIT_GOES_ON)
                break;
            put_aside(e, call, &how);
            return false;
        case TRP_RESERVE_NEVER:
            trp_run_settle(call);
            return true;
        case TRP_RESERVE_NOT_NOW:
            wait_for_room(e, call, words, &room);
            return false;
        }
    }
}

/* False: there is no room for the run now, and the call waits in the queue again. */
static bool run_whole(struct trp_executor *e, struct trp_call *call)
{
    const struct trp_run_place *p = &e->place;
    const struct trp_admission_wish wish = { .size = trp_run_input_bytes(call),
                                             .least_bytes = call->run_peak_bytes };
    const uint64_t words = trp_counter_get(&e->queue->words); /* as above */
    struct trp_runqueue_return how = { .words_before = words, .is_first = true };
    struct trp_admitted admitted = { .size = 0 };
    switch (trp_admission_begin(p->admission, call, &wish, p->metrics, trp_clock_now_ns(p->clock),
                                &admitted)) {
    case TRP_RESERVE_DONE:
        tell_who_waited(e, &admitted);
        if (run_admitted(e, call, &admitted)) {
            trp_admission_end_call(p->admission, call, &admitted);
            return true;
        }
        if (trp_admission_fell_short(p->admission, call, &admitted, 0))
            how.words_before--; /* a word that never was: it asks again at once */
        put_aside(e, call, &how);
        return false;
    case TRP_RESERVE_NEVER:
        if (admitted.is_hopeless && trp_split_begin(call))
            return run_parts(e, call);
        trp_run_settle(call);
        return true;
    case TRP_RESERVE_NOT_NOW:
        break;
    }
    wait_for_room(e, call, words, &admitted);
    return false;
}

static bool run(struct trp_executor *e, struct trp_call *call)
{
    if (trp_oneshot_get(&call->outcome) != TRP_OUTCOME_OPEN) { /* nobody makes room for it */
        trp_run_settle(call);
        return true;
    }
    return call->split ? run_parts(e, call) : run_whole(e, call);
}

/* ---- several calls together ---- */

/* What it took but for the time without a processor.  How long that was is looked up only when one
 * was taken from this thread; then it is at most all since the last look, and the run took its
 * own time on a processor at least. */
static int64_t own_time(struct trp_executor *e, int64_t wall_ns)
{
    const struct trp_thread_use now = trp_thread_look();
    if (!e->place.waited_ns || now.preempted == e->before.preempted)
        return wall_ns;
    const int64_t waited_ns = e->place.waited_ns(), cpu_ns = now.cpu_ns - e->before.cpu_ns;
    int64_t least_ns = wall_ns - (waited_ns - e->waited_ns);
    e->waited_ns = waited_ns;
    if (least_ns < cpu_ns)
        least_ns = cpu_ns;
    return least_ns < wall_ns ? least_ns : wall_ns;
}

static void learn(struct trp_executor *e, const struct trp_call *ran, uint64_t rows)
{
    const int64_t *at = ran->stamps_ns;
    struct trp_version *v = trp_version_of(ran->target);
    if (e->fanout.parts_n > 1) /* its parts have told */
        return;
    if (trp_failed(ran->error.status) || at[TRP_PHASE_RUN_END] == 0)
        return;
    const int64_t took_ns = at[TRP_PHASE_RUN_END] - at[TRP_PHASE_RUN_START];
    const int64_t own_ns = own_time(e, took_ns);
    trp_runqueue_learn(e->queue, v, rows, own_ns);
    if (!ran->is_aside) /* which lets everybody go first */
        trp_station_hear(&e->station, at[TRP_PHASE_RUN_END], took_ns + e->woke_late_ns,
                         took_ns - own_ns + e->woke_late_ns);
}

/* Half of them wait on, where they stood: who can, takes them. */
static void halve(struct trp_executor *e, struct trp_call_list *unwanted)
{
    struct trp_call_list kept = { 0 };
    struct trp_batch *b = &e->batch;
    for (uint32_t left = b->members.count / 2; left > 0; left--)
        trp_call_list_push(&kept, trp_call_list_pop(&b->members));
    trp_runqueue_give_back(e->queue, &b->members, NULL, unwanted);
    b->members = kept;
}

static enum trp_batch_end run_sealed(struct trp_executor *e)
{
    const struct trp_run_place *p = &e->place;
    struct trp_batch *b = &e->batch;
    struct trp_admitted admitted;
    int64_t now_ns = trp_clock_now_ns(p->clock);
    if (!trp_admission_try(p->admission, &b->joint, now_ns, &admitted))
        return TRP_BATCH_TOO_LITTLE;
    tell_who_waited(e, &admitted);
    const bool is_long = show_if_long(e, &b->joint);
    const enum trp_batch_end end = trp_batch_run(p, b, bytes_for(e, &admitted), &now_ns);
    trp_gauge_add(&e->queue->long_runs, -(int64_t)is_long);
    if (end == TRP_BATCH_TOO_LITTLE)
        (void)trp_admission_fell_short(p->admission, &b->joint, &admitted, 0); /* it is halved */
    else
        trp_admission_end_call(p->admission, &b->joint, &admitted);
    return end;
}

static void settle_all(struct trp_call_list *unwanted, struct trp_call_list *done)
{
    struct trp_call *call;
    while ((call = trp_call_list_pop(unwanted)) != NULL) {
        trp_run_settle(call);
        trp_call_list_push(done, call);
    }
}

/* Those who still want an answer wait for a run of their own, and the slot has gone back with
 * them. */
static bool send_back_alone(struct trp_executor *e, struct trp_call_list *done)
{
    struct trp_call_list unwanted = { 0 };
    struct trp_version *const v = trp_version_of(e->batch.joint.target);
    for (struct trp_call *call = e->batch.members.first; call; call = call->queue_next)
        call->batch_key = 0;
    trp_runqueue_give_back(e->queue, &e->batch.members, v, &unwanted);
    settle_all(&unwanted, done);
    return false;
}

/* As run(), for the members of the batch; those that are settled are in *done. */
static bool run_together(struct trp_executor *e, struct trp_call_list *done)
{
    struct trp_batch *b = &e->batch;
    struct trp_call_list unwanted = { 0 };
    struct trp_call *call;
    enum trp_batch_end end = TRP_BATCH_TOO_LITTLE;
    while (b->members.count > 1 && end == TRP_BATCH_TOO_LITTLE) {
        if (trp_failed(trp_batch_lay_out(b, &b->joint.error)))
            return send_back_alone(e, done);
        if (trp_runqueue_seal(e->queue, b, trp_clock_now_ns(e->place.clock), &unwanted)) {
            end = run_sealed(e);
            trp_runqueue_part(e->queue, b);
            if (end == TRP_BATCH_DONE)
                learn(e, &b->joint, b->rows);
            if (end == TRP_BATCH_TOO_LITTLE)
                halve(e, &unwanted);
        }
        settle_all(&unwanted, done);
    }
    if (end == TRP_BATCH_ALONE)
        return send_back_alone(e, done);
    const bool is_one = end != TRP_BATCH_DONE && b->members.count == 1;
    if (is_one && !run(e, b->members.first)) {
        b->members = (struct trp_call_list){ 0 };
        return false;
    }
    while ((call = trp_call_list_pop(&b->members)) != NULL)
        trp_call_list_push(done, call);
    return true;
}

/* A run that nobody waits for lets everybody else go first on its processor. */
static void take_turns(struct trp_executor *e, bool is_aside)
{
    if (is_aside != e->is_aside)
        trp_thread_take_turns(is_aside ? ASIDE_TURN_NS : 0);
    e->is_aside = is_aside;
}

/* Who was called up may find another on its core. */
static void look_how_late(struct trp_executor *e)
{
    if (!e->place.waited_ns || !trp_station_is_own(&e->station))
        return;
    const int64_t waited_ns = e->place.waited_ns();
    e->woke_late_ns = waited_ns - e->waited_ns;
    e->waited_ns = waited_ns;
}

/* As run(), of all that was taken. */
static bool run_taken(struct trp_executor *e, struct trp_call_list *calls,
                      struct trp_call_list *done)
{
    struct trp_call *const call = calls->first;
    struct trp_version *const v = trp_version_of(call->target);
    e->before = trp_thread_look();
    trp_station_go(&e->station, trp_seating_cores(call), e->place.metrics);
    take_turns(e, call->is_aside);
    if (call->queue_next) {
        e->batch.members = *calls;
        return run_together(e, done);
    }
    if (trp_batch_limit(v) == 0 && trp_gauge_get(&v->stats->queued) > 0)
        trp_batch_want(v);
    if (!run(e, call))
        return false;
    if (!call->split) /* what was between its parts is no run's */
        learn(e, call, trp_batch_rows_of(call));
    trp_call_list_push(done, call);
    return true;
}

/* Those of one loop go there together. */
static void answer(struct trp_call_list *done)
{
    while (done->first) {
        struct trp_loop *const loop = done->first->loop;
        struct trp_call_list others = { 0 };
        struct trp_mail *newest = NULL, *const oldest = &done->first->finish_mail;
        struct trp_call *call;
        while ((call = trp_call_list_pop(done)) != NULL) {
            if (call->loop != loop) {
                trp_call_list_push(&others, call);
                continue;
            }
            call->finish_mail.next = newest;
            newest = &call->finish_mail;
        }
        trp_loop_post_row(loop, newest, oldest);
        *done = others;
    }
}

/* The next call is taken in the same stroke that gives the last one's slot back, and before that
 * one is answered: an answered call lets its version go, and the slot with it. */
static void run_until_stopped(void *user)
{
    struct trp_executor *e = user;
    struct trp_call_list expired = { 0 }, done = { 0 };
    struct trp_call_list calls, next = { 0 };
    trp_thread_yield_to_others(e->nice);
    trp_station_begin(&e->station, e->index, e->of);
    e->waited_ns = e->place.waited_ns ? e->place.waited_ns() : 0;
    for (;;) {
        calls = next;
        take_turns(e, calls.first && calls.first->is_aside);
        if (!calls.first) /* it may sleep now, and wakes where there is most room */
            trp_station_go(&e->station, NULL, e->place.metrics);
        e->woke_late_ns = 0;
        if (!calls.first) {
            if (!trp_runqueue_take(e->queue, e->place.clock, NULL, &calls, &expired))
                return;
            look_how_late(e);
        }
        answer_late_calls(&expired);
        if (!calls.first)
            continue;
        next = (struct trp_call_list){ 0 };
        if (trp_fanout_is_part(calls.first)) {
            trp_station_go(&e->station, trp_seating_cores(calls.first), e->place.metrics);
            trp_fanout_help(&e->place, calls.first);
            continue;
        }
        trp_intake_tell_run(&e->queue->intake, e->index, calls.first,
                            trp_clock_now_ns(e->place.clock));
        const bool is_done = run_taken(e, &calls, &done);
        trp_intake_tell_end(&e->queue->intake, e->index, trp_clock_now_ns(e->place.clock));
        if (is_done) {
            TRP_ASSERT(done.first); /* each call that was taken is done, or in the queue again */
            trp_runqueue_take(e->queue, e->place.clock, done.first, &next, &expired);
        }
        answer(&done);
        answer_late_calls(&expired);
    }
}

trp_status trp_executor_start(struct trp_executor *e, uint32_t index, struct trp_error *err)
{
    char name[16];
    (void)snprintf(name, sizeof name, "exec-%u", index % 10000);
    return trp_thread_start(&e->thread, name, run_until_stopped, e, err);
}

void trp_executor_join(struct trp_executor *e)
{
    trp_thread_join(&e->thread);
}
