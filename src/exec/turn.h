/* exec/turn.h - what one loop does with the calls of one turn.
 * Answers "here, on an executor, or in a moment?".  Calls that were started are collected; when
 * everything that happened in the turn has been looked at, longer ones are handed over at once
 * (one lock, one wake), tiny ones are run here. */
#ifndef TRP_TURN_H
#define TRP_TURN_H

#include "base/loop.h"
#include "call/call_list.h"
#include "exec/batch.h"
#include "exec/run.h"
#include "exec/runqueue.h"
#include "sched/placement.h"

struct trp_turn {
    struct trp_loop *loop;
    struct trp_runqueue *queue;
    struct trp_run_place place;
    int64_t run_max_ns, turn_max_ns;
    struct trp_turn_budget budget; /* of this turn */
    struct trp_call_list started;  /* collected, or kept for the next turn */
    struct trp_task task;    /* in the ready list while `started` has something for this turn */
    struct trp_hook hook;    /* a new turn, a new budget */
    struct trp_batch batch;  /* what runs here, when that is several calls together */
    uint32_t joins;          /* how often several could have run together */
    struct trp_timer expiry; /* when the next waiting call is too late */
};

/* Sets up a loop's part.
 *   Units : ns; 0: no inline runs.
 *   Owns  : the caller's storage, which outlives the loop; everything given is borrowed.
 *   Thread: startup.
 *   Errors: none. */
void trp_turn_init(struct trp_turn *t, struct trp_loop *loop, struct trp_runqueue *queue,
                   const struct trp_run_place *place, int64_t run_max_ns, int64_t turn_max_ns);

/* Takes a call on; it comes back through its `done`, later in this turn at the earliest.  False:
 * its version is hibernated, or about to be, and nothing has happened.
 *   Owns  : moves the call; back to the caller with false.
 *   Thread: loop.
 *   Blocks: never.
 *   Errors: in call->error. */
bool trp_turn_start(struct trp_turn *t, struct trp_call *call);

/* The same for a call that is inside its version's door already.
 *   Owns  : moves the call.
 *   Thread: loop.
 *   Blocks: never.
 *   Errors: in call->error. */
void trp_turn_collect(struct trp_turn *t, struct trp_call *call);

/* Ends a call whose token was raised sooner: out of the queue at once, or by a word to its backend.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_turn_cancel(struct trp_turn *t, struct trp_call *call);

/* Sends back what was collected and never looked at, when the loop has ended, and frees what it
 * has.
 *   Owns  : moves the calls to their loop's mail.
 *   Thread: startup.
 *   Errors: in call->error: UNAVAILABLE. */
void trp_turn_abandon(struct trp_turn *t);

#endif
