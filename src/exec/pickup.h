/* exec/pickup.h - what an executor gets when it asks for work.
 * Answers "which run is next, with whom, and until when may it sleep?".  Fills in for
 * sched/batching.h what only exec knows: a version's rules, how many executors sleep, and that the
 * key which brought calls together is only a guess.
 *
 *  1. A line that rests for company (sched/resting.h) is somebody else's turn; nobody waits for it
 *     in a thread that could work.
 *  2. One of the sleepers keeps the time of the first rest to end; who goes to work while a rest
 *     lasts calls up another for it.
 *  3. So he does for calls that he leaves behind and that may run: those that came into a line
 *     that rested have woken nobody. */
#ifndef TRP_PICKUP_H
#define TRP_PICKUP_H

#include "exec/lines.h"
#include "model/version.h"

struct trp_pickup {    /* under the run queue's lock */
    int64_t kept_ns;   /* until when a sleeper keeps the time; 0: nobody does */
    uint32_t sleepers; /* executors that sleep, besides the one that asks */
};

/* Takes the calls of the next run, if there is one; the first has the slot of its version.  Rests
 * that are over end first.
 *   Units : ns, monotonic.
 *   Owns  : moves the calls to the caller.
 *   Thread: owner of the scheduler.
 *   Cost  : O(log n) amortised for each call, no allocation.
 *   Errors: none. */
void trp_pickup_run(struct trp_sched *s, const struct trp_pickup *p, int64_t now_ns,
                    struct trp_call_list *out);

/* Until when one more sleeper has to keep the time; 0: none has to, no line rests or another one
 * does.
 *   Units : ns, monotonic.
 *   Owns  : nothing.
 *   Thread: owner of the scheduler.
 *   Cost  : O(log lines that rest).
 *   Errors: none. */
int64_t trp_pickup_until_ns(const struct trp_sched *s, const struct trp_pickup *p);

/* Whether there is a run for one more executor.
 *   Owns  : nothing.
 *   Thread: owner of the scheduler.
 *   Cost  : O(1) amortised.
 *   Errors: none. */
bool trp_pickup_has_more(struct trp_sched *s);

/* How long calls of a version may wait for company.
 *   Units : ns.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
static inline int64_t trp_pickup_delay_ns(const struct trp_version *v)
{
    return v->config.joining ? v->config.joining->delay_ns : 0;
}

/* Whether a call that was just queued is work for somebody now: its line does not rest.
 *   Owns  : nothing.
 *   Thread: owner of the scheduler.
 *   Errors: none. */
static inline bool trp_pickup_is_work(const struct trp_call *call)
{
    return !call->seat.line->is_resting;
}

#endif
