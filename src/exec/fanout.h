/* exec/fanout.h - one run, made several side by side.
 * Answers "how do the rows of one run reach threads that have nothing to do, and become one answer
 * again?".
 *
 *   whole ──divide──► parts ──post──► runqueue ──► executors that slept ──────────┐
 *                       └─ the first one, and what nobody took: by the executor ──┴─► join ──► the whole's outputs
 *
 *  1. Only rows that are known not to depend on each other (exec/batch.h), and only where the
 *     measured costs say that it saves time (sched/splitting.h).  Whether they are is asked when a
 *     run comes that would gain by it.
 *  2. Parts are no calls of the scheduler's: their run has its turn already.  They wait before all
 *     calls, for executors that sleep at that moment; those take nothing away from anybody who
 *     waits.  Each has a slot of its version.
 *  3. Whoever divided a run does himself what nobody has taken, so it ends whatever others do.
 *  4. Room is asked for once, for all parts together.  A part that finds too little of it runs
 *     again after the others.
 *  5. A part that fails fails the run, in its own words, and stops the others; so does a cancelled
 *     whole.
 *  6. To who sees it from outside it is one run of all rows.  What is learned of costs are the
 *     parts.
 *  7. Parts write into one buffer where sizes are known beforehand and the backend can write
 *     there; else they are copied there. */
#ifndef TRP_FANOUT_H
#define TRP_FANOUT_H

#include "exec/run.h"
#include "exec/runqueue.h"

struct trp_fanout_part;

/* An executor's, for one run after another.  Set `queue`, `alloc` and `part_min_ns`, and init. */
struct trp_fanout {
    struct trp_runqueue *queue;
    const struct trp_alloc *alloc;
    int64_t part_min_ns; /* what runs for less is not handed over; 0: no run is divided */
    struct trp_signal ended;
    struct trp_call *whole;
    struct trp_fanout_part *parts;
    uint32_t parts_n; /* of the last run; 1: it was not divided */
    uint64_t bytes_max;
    uint64_t first_id; /* the parts' names for the backend follow each other */
    struct trp_call_list
        kept;      /* for which there was no slot; this and the next two under the queue's lock */
    uint32_t away; /* parts that were posted, and have not ended */
    struct trp_fanout_part *failed; /* the first that did */
    uint32_t refusals;              /* runs in a row that were better left whole */
};

/* Sets up its signal; frees it.
 *   Owns  : the caller's storage.
 *   Thread: startup.
 *   Errors: none. */
void trp_fanout_init(struct trp_fanout *f);
void trp_fanout_deinit(struct trp_fanout *f);

enum trp_fanout_end {
    TRP_FANOUT_WHOLE,     /* nothing has happened, and it is to be run whole */
    TRP_FANOUT_DONE,      /* it has run, well or not */
    TRP_FANOUT_TOO_LITTLE /* as trp_run_try(): it would hold more than `bytes_max` */
};

/* Runs a call side by side with others, if that pays now.
 *   Shape : `rows`: of each of its inputs; 0: not known, or they cannot be told apart.
 *   Units : bytes, of all parts together.
 *   Owns  : outputs are the call's after success; outputs_n stays 0 otherwise.
 *   Thread: executor, the one that holds the call and `f`.
 *   Blocks: as long as the parts run.
 *   Errors: after DONE in call->error: a part's; TOO_LARGE, OUT_OF_MEMORY (the outputs
 *           together). */
enum trp_fanout_end trp_fanout_run(struct trp_fanout *f, const struct trp_run_place *p,
                                   struct trp_call *call, uint64_t rows, uint64_t bytes_max);

/* Whether what was taken from the queue is a part; runs it.
 *   Owns  : help: the part is gone afterwards.
 *   Thread: executor that has taken it.
 *   Blocks: help: as long as the part runs.
 *   Errors: none. */
bool trp_fanout_is_part(const struct trp_call *call);
void trp_fanout_help(const struct trp_run_place *p, struct trp_call *part);

/* Says to the parts of a run that it is not wanted any more; returns how many there are, and their
 * names for the backend: so many from *out_first on.
 *   Owns  : nothing.
 *   Thread: any that holds the queue's lock.
 *   Errors: none. */
uint32_t trp_fanout_stop(struct trp_fanout *f, uint64_t *out_first);

#endif
