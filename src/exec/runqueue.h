/* exec/runqueue.h - the scheduler, shared.
 * Answers "who may touch the queue, and who is woken?".  A lock around sched/, executors that sleep
 * when nothing may run, and two numbers for a glance without the lock.  The lock is never held
 * across a backend call or a callback. */
#ifndef TRP_RUNQUEUE_H
#define TRP_RUNQUEUE_H

#include "base/thread.h"
#include "call/call_list.h"
#include "exec/batch.h"
#include "exec/intake.h"
#include "exec/pickup.h"
#include "model/version.h"
#include "sched/sched.h"

struct trp_runqueue {
    struct trp_lock lock;
    struct trp_signal wake;
    struct trp_sched sched; /* under `lock`, as are the next four */
    struct trp_pickup pickup;
    struct trp_intake intake; /* without trp_intake_init() everybody comes in alike */
    uint32_t sleeping, told;  /* executors that sleep; signals that none has answered yet */
    struct trp_flag stopping;
    struct trp_gauge idle, queued; /* for a glance: executors to be had, calls waiting, */
    struct trp_counter words;      /* of room: grows with each */
    struct trp_gauge long_runs;    /* executors that are in a long run */
    struct trp_call_list parts;    /* of runs that are under way, for who has time; under `lock` */
    uint64_t parts_named;          /* so far; under `lock` */
};

/* Sets up an empty queue.
 *   Units : limits in calls.
 *   Owns  : the caller's storage; deinit when it is empty and no thread waits.
 *   Thread: startup.
 *   Errors: none. */
void trp_runqueue_init(struct trp_runqueue *q, uint32_t queue_max, uint32_t model_queue_max);
void trp_runqueue_deinit(struct trp_runqueue *q);

/* Queues all calls of a list and wakes as many sleeping executors as there is work for, once.
 *   Owns  : moves the calls; those that were refused are in *refused, with words in call->error,
 *           and so are those that had waited and made room for others: of any loop.
 *   Thread: any.
 *   Blocks: never for long: the lock is held for a queue operation at most.
 *   Errors: in call->error of a refused one: as trp_intake_push(), UNAVAILABLE (stopping). */
void trp_runqueue_push(struct trp_runqueue *q, struct trp_call_list *calls,
                       struct trp_call_list *refused);

/* Takes the next call to run, its version's slot, and those that run with it (pickup.h).  With
 * `ended`, any call of the run before, it gives that one's slot back and does not sleep; without
 * (NULL) it sleeps until there is something.  Calls whose deadline has passed are put into
 * *expired, and may come alone.
 *   Owns  : moves the calls to the caller.
 *   Thread: executor.
 *   Blocks: ended == NULL: until there is work or an end.
 *   Errors: false: stopping, nothing was taken. */
bool trp_runqueue_take(struct trp_runqueue *q, const struct trp_clock *clock,
                       struct trp_call *ended, struct trp_call_list *out_calls,
                       struct trp_call_list *expired);

/* How a call comes back for which there is no room. */
struct trp_runqueue_return {
    uint64_t
        words_before; /* what q->words was before room was asked for: no word since is missed */
    bool is_first;    /* nobody waits longer: its model is not to go before it has run */
};

enum trp_put_back {
    TRP_PUT_BACK_QUEUED,
    TRP_PUT_BACK_UNWANTED, /* it was cancelled, or is too late: to be settled */
    TRP_PUT_BACK_LET_GO    /* its version was: to be sent to v->successor */
};

/* Brings a taken call back, with its slot, because there is no room for its run; it is taken again
 * after the next word of room. Who is cancelled meanwhile is either found here, or in the queue by
 * trp_runqueue_remove().
 *   Owns  : QUEUED moves the call to the queue; else only the slot is given back, and the call
 *           stays the caller's.
 *   Thread: executor.
 *   Errors: none; see enum trp_put_back. */
enum trp_put_back trp_runqueue_put_back(struct trp_runqueue *q, struct trp_call *call,
                                        const struct trp_runqueue_return *how);

/* Lets a version go: calls of it that wait for memory come out, later ones that find no room do not
 * come back in.
 *   Owns  : moves a reference of `successor` to the version, the calls to the caller.
 *   Thread: any that holds no lock.
 *   Errors: none; a second time nothing happens but that the reference is dropped. */
void trp_runqueue_let_go(struct trp_runqueue *q, struct trp_version *v,
                         struct trp_version *successor, struct trp_call_list *out);

/* What becomes of calls that were taken together.  seal: nobody of them has been cancelled or is
 * late, and from now on their run is told when nobody wants it any more; false: some had, they are
 * in *unwanted now, and it was not sealed.  part: the run has ended.
 *   Units : now_ns monotonic.
 *   Owns  : seal moves the unwanted ones to the caller.
 *   Thread: executor, the batch's.
 *   Errors: none. */
bool trp_runqueue_seal(struct trp_runqueue *q, struct trp_batch *b, int64_t now_ns,
                       struct trp_call_list *unwanted);
void trp_runqueue_part(struct trp_runqueue *q, struct trp_batch *b);

/* Learns what a run of so many rows took.
 *   Units : ns.
 *   Owns  : nothing.
 *   Thread: executor that holds a call of it.
 *   Errors: none. */
void trp_runqueue_learn(struct trp_runqueue *q, struct trp_version *v, uint64_t rows,
                        int64_t run_ns);

/* What is known of a version's runs: copies the curve; returns its slots (0: no limit).
 *   Owns  : copied.
 *   Thread: any that holds a reference.
 *   Errors: none. */
uint32_t trp_runqueue_cost(struct trp_runqueue *q, const struct trp_version *v,
                           struct trp_cost_curve *out);

/* Tells how busy a version is; see trp_intake_look().
 *   Units : now_ns monotonic.
 *   Owns  : copied.
 *   Thread: any that holds a reference.
 *   Blocks: never for long.
 *   Errors: none. */
void trp_runqueue_look(struct trp_runqueue *q, const struct trp_version *v, int64_t now_ns,
                       struct trp_intake_load *out);

/* Brings calls back that had come along, to where they stood; with `ended`, the version of their
 * run, its slot too.  Who is cancelled meanwhile is either found here, and comes out as unwanted,
 * or in the queue by trp_runqueue_remove().
 *   Owns  : moves the calls to the queue; the unwanted ones to that list.
 *   Thread: executor.
 *   Errors: none. */
void trp_runqueue_give_back(struct trp_runqueue *q, struct trp_call_list *calls,
                            struct trp_version *ended, struct trp_call_list *unwanted);

/* Says that a call is not wanted any more which may be running with others, or in parts.
 *   Owns  : nothing.
 *   Thread: loop, the call's.
 *   Errors: none; the names of the runs to stop, so many from *out_first on: its own, or its
 *           batch's when nobody else wants that, or those of their parts; 0: somebody does. */
uint32_t trp_runqueue_leave(struct trp_runqueue *q, struct trp_call *call, uint64_t *out_first);

/* A word of room: calls that were put back are tried again.
 *   Owns  : nothing.
 *   Thread: any that holds no lock.
 *   Errors: none. */
void trp_runqueue_tell_room(struct trp_runqueue *q);

/* Takes a version's slot for a run on the loop; gives it back and wakes an executor for whoever
 * waits for it.
 *   Owns  : the slot is the caller's in between.
 *   Thread: any.
 *   Errors: false: no slot is free, others wait for it, or memory is short. */
bool trp_runqueue_try_begin(struct trp_runqueue *q, struct trp_version *v);
void trp_runqueue_end(struct trp_runqueue *q, struct trp_version *v);
bool trp_runqueue_needs_slot(const struct trp_version *v); /* whether its runs are limited at all */

/* How many runs of a version may go on at once, 0: any number; changes that (0: back to what its
 * configuration says) and wakes executors for whoever waits for a slot.  Runs that are over the new
 * number go on to their end.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
uint32_t trp_runqueue_slots(const struct trp_version *v);
void trp_runqueue_resize(struct trp_runqueue *q, struct trp_version *v, uint32_t instances);

/* Takes out: one call, if it waits; all whose deadline has passed, telling the first deadline that
 * is left (0: none).
 *   Units : ns, monotonic.
 *   Owns  : moves the calls to the caller.
 *   Thread: any.
 *   Errors: false: it does not wait. */
bool trp_runqueue_remove(struct trp_runqueue *q, struct trp_call *call);
int64_t trp_runqueue_expire(struct trp_runqueue *q, int64_t now_ns, struct trp_call_list *expired);

/* How many of `wanted` sleepers are to be signalled, now that there is work; they count as told
 * from here on.  signal: does it.
 *   Owns  : nothing.
 *   Thread: any that holds the lock (call_up); any that has left it again (signal).
 *   Errors: none. */
uint32_t trp_runqueue_call_up(struct trp_runqueue *q, uint32_t wanted);
void trp_runqueue_signal(struct trp_runqueue *q, uint32_t n);

/* Wakes everybody to leave; from now on nothing is queued or taken.  drain: what was left behind,
 * once they have left.
 *   Owns  : moves the calls to the caller.
 *   Thread: any.
 *   Errors: none. */
void trp_runqueue_stop(struct trp_runqueue *q);
void trp_runqueue_drain(struct trp_runqueue *q, struct trp_call_list *left);

#endif
