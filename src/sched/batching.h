/* sched/batching.h - which waiting calls share a run.
 * Answers "with whom does it run, and does it wait for more?".  Given whose turn it is
 * (trp_sched_next()), joins further calls of the same line, which have the same shape but for their
 * rows.
 *
 *  1. Without a delay nobody waits for company: a batch is what has gathered while all executors
 *     were busy.  While others are idle too, what waits is divided among as many as have a slot of
 *     the model; with a delay it is not, because company is what the owner wants.
 *  2. As many rows as pay by the cost curve (cost_curve.h), or as the rules say; a preferred number
 *     where one is reached, and nobody waits for more than that.
 *  3. No longer than the earliest deadline in the batch allows, or the model's longest run; and
 *     while more urgent work of others waits, no longer than a run of the first call alone.
 *  4. Company is chosen as turns are: by class, then the tenant that had least, then deadline.
 *     Each tenant is charged its rows. */
#ifndef TRP_BATCHING_H
#define TRP_BATCHING_H

#include "call/call_list.h"
#include "sched/cost_curve.h"
#include "sched/sched.h"

#define TRP_BATCHING_PREFERRED 16

struct trp_batching_rules { /* a model's */
    uint32_t rows_max;      /* in one run; 0 or 1: no joining */
    int64_t delay_ns;       /* how long the first of a batch may wait for company, once */
    int64_t run_max_ns;     /* longest run to form on purpose; 0: no limit */
    uint32_t preferred[TRP_BATCHING_PREFERRED], preferred_n; /* rows, ascending */
    uint32_t rows_enough; /* for these nobody waits; 0: the next preferred, or as many as pay */
    bool is_forced;       /* up to rows_max whatever the curve says */
};

/* What is known when a batch is formed. */
struct trp_batching_view {
    int64_t now_ns;
    uint32_t rows_first, rows_waiting; /* of the call whose turn it is; of its line with it */
    uint32_t idle;                     /* executors that could begin another run of the model now */
    int64_t since_ns;                  /* when the first call was queued; 0: enough was waited */
    int64_t deadline_ns;               /* the first call's; 0: none */
    int64_t
        others_ns; /* what others leave for a run; 0: only as much as for the first call alone */
};

struct trp_batching_plan {
    uint32_t rows;    /* to join at most, rows_first at least */
    int64_t until_ns; /* wait for company until then; 0: run now */
};

/* Decides how many rows to join, and whether to wait for them.
 *   Units : rows; ns, others_ns INT64_MAX: nobody else is in a hurry.
 *   Owns  : nothing; the curve counts its tries.
 *   Thread: owner.
 *   Cost  : O(log rows_max), no allocation.
 *   Errors: none. */
struct trp_batching_plan trp_batching_choose(const struct trp_batching_rules *rules,
                                             struct trp_cost_curve *curve,
                                             const struct trp_batching_view *view);

/* Takes the run whose turn it is: its first call, with a slot of its model, and the company it has.
 * False: the line rests for company (resting.h), and somebody else's turn is next.
 *   Units : ns, the clock of deadlines and stamps.
 *   Owns  : moves the calls into *out_calls; the slot is the caller's until trp_sched_end().
 *   Thread: owner.
 *   Cost  : O(log n) amortised for each call, no allocation.
 *   Errors: none. */
struct trp_batching_now {
    int64_t now_ns;
    uint32_t idle; /* executors that sleep, besides the one that asks */
};
bool trp_batching_take(struct trp_sched *s, const struct trp_sched_turn *turn,
                       const struct trp_batching_rules *rules, struct trp_cost_curve *curve,
                       const struct trp_batching_now *now, struct trp_call_list *out_calls);

#endif
