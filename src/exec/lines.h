/* exec/lines.h - a version's place in the scheduler.
 * Answers "in which line does a call of it wait?".  Calls that may share a run stand in one line;
 * there are a few for each version, given to the shapes that wait now, and one for everybody
 * else, whose calls run alone. */
#ifndef TRP_LINES_H
#define TRP_LINES_H

#include "base/arena.h"
#include "call/call.h"
#include "sched/batching.h"

#define TRP_LINES_MAX \
    8 /* unlike shapes of a version that are joined, each with its like, at one time */

struct trp_lines_shared {
    struct trp_sched_line lines[TRP_LINES_MAX];
    uint64_t keys[TRP_LINES_MAX];
};

/* Zero it and set `model.slots` and `model.own.model`. */
struct trp_lines {
    struct trp_sched_model model;    /* first */
    struct trp_cost_curve curve;     /* of the version's runs on executors, by their rows */
    uint32_t *busy;                  /* runs in each group of slots (exec/seating.h), or NULL */
    struct trp_lines_shared *shared; /* made when a call comes that could meet others */
};

/* The line for a call, by call->batch_key.  Without memory, or while all are taken by other shapes,
 * it is the one of those that run alone.
 *   Owns  : what is made lies in `arena`.
 *   Thread: owner.
 *   Cost  : O(TRP_LINES_MAX).
 *   Errors: none. */
struct trp_sched_line *trp_lines_find(struct trp_lines *l, struct trp_arena *arena,
                                      const struct trp_call *call);

/* Whether calls of a line share runs.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
static inline bool trp_lines_is_shared(const struct trp_sched_line *line)
{
    return line != &line->model->own;
}

#endif
