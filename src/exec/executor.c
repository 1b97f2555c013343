/* exec/executor.c - see executor.h. */
#include "exec/executor.h"

#include <stdio.h>

static void answer_late_calls(struct trp_call_list *expired)
{
    struct trp_call *call;
    while ((call = trp_call_list_pop(expired)) != NULL) {
        (void)trp_call_try_expire(call);
        trp_run_settle(call);
        trp_call_finish_from(call);
    }
}

static void run(struct trp_executor *e, struct trp_call *call)
{
    const int64_t cost_ns = trp_run_cost_ns(call);
    const bool is_long = cost_ns == 0 || cost_ns > e->long_run_ns;
    trp_gauge_add(&e->queue->long_runs, is_long);
    trp_run_call(&e->place, call, trp_clock_now_ns(e->place.clock));
    trp_gauge_add(&e->queue->long_runs, -(int64_t)is_long);
}

/* The next call is taken in the same stroke that gives the last one's slot back, and before that one is answered: an answered
 * call lets its version go, and the slot with it. */
static void run_until_stopped(void *user)
{
    struct trp_executor *e = user;
    struct trp_call_list expired = { 0 };
    struct trp_call *call, *next = NULL;
    trp_thread_yield_to_others(e->nice);
    for (;;) {
        call = next;
        if (!call && !trp_runqueue_take(e->queue, e->place.clock, NULL, &call, &expired))
            return;
        answer_late_calls(&expired);
        if (!call)
            continue;
        run(e, call);
        trp_runqueue_take(e->queue, e->place.clock, trp_version_of(call->target), &next, &expired);
        trp_call_finish_from(call);
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
