/* model/task_pick.h - which of several models for one task answers.
 * Answers "which is the best here and now, and why?".  Pure: the same numbers give the same choice.
 *
 *  1. The time that a model is expected to take is that of its load, when it is cold, and of its
 *     run and those that wait for it. What nobody has measured is taken for the median of what is
 *     known of the others; a load without any for TRP_TASK_LOAD_NS.
 *  2. Who would come after the deadline is left out, unless all would: then the fastest is chosen.
 *  3. Quality is compared under one name: the one that most candidates have (of equals the first in
 *     the alphabet).  What is lost against the best is a share of the best value.  Who has no
 *     quality of that name counts as TRP_TASK_UNKNOWN worse than the worst that has.
 *  4. Each doubling of the time against the fastest costs as much as TRP_TASK_DOUBLING of lost
 *     quality; times below 0.1 ms count as 0.1 ms.
 *  5. The lowest cost wins; of equals the fastest, then the first by name, then the highest
 *     version. */
#ifndef TRP_TASK_PICK_H
#define TRP_TASK_PICK_H

#include "model/card.h"

#define TRP_TASK_DOUBLING 0.01
#define TRP_TASK_UNKNOWN 0.01
#define TRP_TASK_LOAD_NS 1000000000
#define TRP_TASK_CANDIDATES_MAX 256u

struct trp_candidate {
    struct trp_str name;
    int64_t version;
    struct trp_quality quality;
    int64_t run_ns;  /* 0: not measured */
    int64_t load_ns; /* 0: not measured */
    bool is_cold;    /* must be loaded first */
    uint32_t queued;
    /* found out */
    int64_t expected_ns;
    double loss, cost;
    bool is_late;
};

/* Puts the candidates in order, the chosen one first, and says of each what it was judged by.
 *   Units : left_ns until the deadline; 0: there is none.
 *   Owns  : borrowed; n <= TRP_TASK_CANDIDATES_MAX.
 *   Thread: any.
 *   Cost  : O(n log n), and n for each name of a quality that is there; no allocation.
 *   Errors: none. */
void trp_task_rank(struct trp_candidate *candidates, uint32_t n, int64_t left_ns);

/* The task of a name "task:ranking"; empty when it is none.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
struct trp_str trp_task_of_name(struct trp_str name);

#endif
