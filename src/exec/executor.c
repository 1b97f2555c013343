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
        trp_run_call(&e->place, call, trp_clock_now_ns(e->place.clock));
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
