/* sched/rate_limit.h - how much of everything one model or tenant may ask for.
 * Answers "may it begin now, and if not, when?".  Three limits, each optional: requests a second,
 * rows a second (both with a burst on top of an even flow) and calls at once.  Pure: the owner
 * brings the time.
 * The even flow is kept as one moment, at which all that was let through would have been used up.
 *   Source: the generic cell rate algorithm, ITU-T I.371 annex A; it lets through what a token
 *           bucket does. */
#ifndef TRP_RATE_LIMIT_H
#define TRP_RATE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct trp_rate_flow {
    double per_second;    /* 0: no limit */
    double burst;         /* at once, after a pause; below 1: as 1 */
    int64_t used_till_ns; /* when what was let through is used up */
};

struct trp_rate_limit { /* zero: no limit */
    struct trp_rate_flow requests, rows;
    uint32_t calls_max, calls; /* at once; 0: no limit */
};

enum trp_rate_verdict {
    TRP_RATE_FREE,
    TRP_RATE_REQUESTS, /* more requests a second than may be */
    TRP_RATE_ROWS,
    TRP_RATE_CALLS /* as many calls at once as may be */
};

struct trp_rate_answer {
    enum trp_rate_verdict verdict;
    uint32_t limit;         /* which one of those given says no */
    int64_t retry_after_ns; /* when it would say yes, if nobody else asks; CALLS: not known, 0 */
};

/* Asks all limits that apply to a request (its model's, its tenant's) and counts it in all of them,
 * or, when one says no, in none. A request of more rows than a burst passes once the burst is
 * whole, and those after it wait for longer.
 *   Units : rows, ns; now_ns on the clock of the asks before.
 *   Owns  : the limits are borrowed; NULL ones are none.
 *   Thread: owner.
 *   Cost  : O(limits_n), no allocation.
 *   Errors: none; see the verdict. */
struct trp_rate_answer trp_rate_limit_ask(struct trp_rate_limit *const *limits, uint32_t limits_n,
                                          uint32_t rows, int64_t now_ns);

/* Ends a call that was let through, in the same limits.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none; ending what was not begun is a bug. */
void trp_rate_limit_end(struct trp_rate_limit *const *limits, uint32_t limits_n);

#endif
