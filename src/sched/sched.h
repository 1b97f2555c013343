/* sched/sched.h - which waiting call runs next.
 * Answers "when does it run?".  Pure: no threads, no clock, no I/O; time is an argument, so that a test or a simulator replays
 * any schedule exactly.  Whoever owns a scheduler (exec/runqueue.c) brings the lock and the time.
 *
 *  1. Calls leave in order of priority class, then deadline, then arrival; across models as within one.
 *  2. A model (version) runs at most `slots` calls at once; while it does, its calls wait without standing in the way of
 *     other models'.
 *  3. A call whose deadline has passed is never handed out to be run: trp_sched_expire() takes it first.
 *  4. A model whose next call found no room for its run stands aside with all its calls, in their order, until it is unblocked.
 *  5. The number of waiting calls is bounded, in all and for each model.  Nothing is allocated: calls and models bring their
 *     own links. */
#ifndef TRP_SCHED_H
#define TRP_SCHED_H

#include "call/call_list.h"
#include "sched/pairing.h"

struct trp_sched {
    struct trp_pairing
        runnable;              /* models with a waiting call and a free slot, by their first call */
    struct trp_pairing expiry; /* waiting calls that have a deadline, by it */
    struct trp_sched_model *waiting; /* models with a waiting call, whether or not a slot is free */
    uint32_t queued, queue_max, model_queue_max;
    uint32_t blocked; /* models that stand aside */
    int64_t arrivals;
};

/* A model's place in a scheduler; lives as long as calls of it wait or run.  Zero it, set `slots`, and it is ready. */
struct trp_sched_model {
    struct trp_pairing calls;
    struct trp_queue_node node; /* in `runnable` */
    bool is_runnable;
    bool is_blocked;                     /* no room for its next run; see trp_sched_put_back() */
    struct trp_sched_model *next, *prev; /* in `waiting` */
    uint32_t queued, running;
    uint32_t slots; /* runs at once; 0: no limit */
};

/* Sets up an empty scheduler.
 *   Units : limits in calls; all models together, and one model.
 *   Owns  : the caller's storage; nothing to deinit, but empty it by trp_sched_drain() first.
 *   Thread: owner.
 *   Errors: none. */
void trp_sched_init(struct trp_sched *s, uint32_t queue_max, uint32_t model_queue_max);

enum trp_sched_push {
    TRP_SCHED_QUEUED,
    TRP_SCHED_FULL,       /* queue_max calls wait already */
    TRP_SCHED_MODEL_FULL, /* model_queue_max of this model do */
};

/* Queues a call for a model.
 *   Owns  : QUEUED moves `call` to the scheduler until it is taken, expired, removed or drained; `model` is borrowed as long.
 *   Thread: owner.
 *   Blocks: never.
 *   Cost  : O(log n) amortised, no allocation.
 *   Errors: none; see enum trp_sched_push. */
enum trp_sched_push trp_sched_push(struct trp_sched *s, struct trp_sched_model *model,
                                   struct trp_call *call);

/* Takes the next call to run and a slot of its model (which trp_sched_end() gives back); NULL when none may run now.
 *   Owns  : moves the call to the caller; *out_model is borrowed.
 *   Thread: owner.
 *   Cost  : O(log n) amortised.
 *   Errors: none. */
struct trp_call *trp_sched_take(struct trp_sched *s, struct trp_sched_model **out_model);

/* Takes out waiting calls of a model that can run together with `call`, in their order, until the run is full.  They need no slot:
 * theirs is the run's.
 *   Units : rows and calls, of those that come along; looks: waiting calls that are looked at, so that many unlike ones cost little.
 *   Owns  : moves them to *out.
 *   Thread: owner.
 *   Cost  : O(looks log n) amortised.
 *   Errors: none. */
struct trp_sched_company {
    const struct trp_call *call;
    bool (*may_meet)(const struct trp_call *call, const struct trp_call *other);
    uint64_t rows_max;
    uint32_t calls_max, looks_max;
};
void trp_sched_join(struct trp_sched *s, struct trp_sched_model *model,
                    const struct trp_sched_company *company, struct trp_call_list *out);

/* Brings a call that came along back to where it stood; it is counted, and neither limit refuses it.
 *   Owns  : moves the call to the scheduler.
 *   Thread: owner.
 *   Cost  : O(log n) amortised.
 *   Errors: none. */
void trp_sched_return(struct trp_sched *s, struct trp_sched_model *model, struct trp_call *call);

/* Brings a taken call back to where it stood, with the slot of its model: there is no room for its run now.  Its model's calls wait
 * until trp_sched_unblock(), which lets all models that wait so be taken from again.
 *   Owns  : moves the call to the scheduler; it is counted, and neither limit refuses it.
 *   Thread: owner.
 *   Cost  : O(log n) amortised; unblock: O(models with a waiting call).
 *   Errors: none. */
void trp_sched_put_back(struct trp_sched *s, struct trp_sched_model *model, struct trp_call *call);
void trp_sched_unblock(struct trp_sched *s);

/* Takes a slot for a run that does not come from the queue (on the loop), if one is free and no call of the model waits for
 * it; gives a slot back.
 *   Owns  : the slot is the caller's until trp_sched_end().
 *   Thread: owner.
 *   Errors: false: no slot is free, or others were first. */
bool trp_sched_try_begin(struct trp_sched_model *model);
void trp_sched_end(struct trp_sched *s, struct trp_sched_model *model);

/* Takes one call out whose deadline is at or before now_ns; NULL when there is none.  next_expiry: the first deadline of all
 * that wait, 0 when none has one.
 *   Units : ns, the clock of call->deadline_ns.
 *   Owns  : moves the call to the caller.
 *   Thread: owner.
 *   Cost  : O(log n) amortised; O(1) when nothing has expired.
 *   Errors: none. */
struct trp_call *trp_sched_expire(struct trp_sched *s, int64_t now_ns);
int64_t trp_sched_next_expiry_ns(const struct trp_sched *s);

/* Takes a certain call out; false when it does not wait here (any more).
 *   Owns  : true moves the call to the caller.
 *   Thread: owner.
 *   Errors: none. */
bool trp_sched_remove(struct trp_sched *s, struct trp_call *call);

/* Takes any call out, for the end; NULL when none waits.  Slots do not matter here.
 *   Owns  : moves the call to the caller.
 *   Thread: owner.
 *   Errors: none. */
struct trp_call *trp_sched_drain(struct trp_sched *s);

#endif
