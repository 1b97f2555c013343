/* route/canary.h - gives a new version more and more of the requests, or takes them back.
 * Answers "how large a share may the new one have now, and why?".  Steps of growing shares, each
 * for a least time and a least number of its answers; back to nothing when it fails more often, or
 * is slower, than the old one within the same step.  Pure: whoever holds the clock brings the time
 * and the counts of both.
 *
 *      WATCHING step 1 ──► step 2 ──► ... ──► the last step held ──► DONE
 *             └──────────────┴──────────────┴── clearly worse ─────► ROLLED_BACK   (both stay until it is started again)
 *
 *  1. "Worse" is more than chance and more than a margin: the difference must be larger than the
 *     margin, and its like must come of chance alone in less than `chance` (one in 100,000) of the
 *     cases, by an exact test.  It is looked at when there are a fifth more answers than the last
 *     time, so that looking often makes no alarm likely.
 *  2. What looks worse but may be chance holds the step: neither forward nor back until more is
 *     known.
 *  3. Both are compared within a step only: an hour in which everything fails weighs on both alike.
 *     A step that leaves the old one too few answers (100 %) is compared with what the old one did
 *     in the step before.
 *  4. Every decision says why, in words with the numbers it was made of. */
#ifndef TRP_CANARY_H
#define TRP_CANARY_H

#include <stdbool.h>

#include "route/latency.h"

#define TRP_CANARY_STEPS_MAX 16u

struct trp_canary_step {
    double share; /* of the requests, 0..1 */
    int64_t least_ns;
    uint64_t least_calls; /* answers of the canary */
};

struct trp_canary_opts {
    const struct trp_canary_step
        *steps; /* NULL: 1, 5, 25, 50, 100 %, each 5 minutes, 100 answers */
    uint32_t steps_n;
    uint64_t calls_min;   /* of each before they are compared; 0: 20 */
    double error_margin;  /* how much larger its share of errors may be; 0: 0.01 */
    double latency_ratio; /* how much slower it may be, at the quantile; 0: 1.25; below 0: any */
    int64_t latency_least_ns; /* and by how much, where both take next to nothing; 0: 1 ms */
    double quantile;          /* 0: 0.95 */
    double chance;            /* 0: 0.00001 */
};

/* What one of the two has answered; counted by loops. */
struct trp_canary_tally {
    struct trp_counter calls, failures;
    struct trp_latency latency;
};
struct trp_canary_counts {
    uint64_t calls, failures;
    struct trp_latency_counts latency; /* of those that did not fail */
};

enum trp_canary_phase { TRP_CANARY_WATCHING, TRP_CANARY_DONE, TRP_CANARY_ROLLED_BACK };

enum trp_canary_move {
    TRP_CANARY_HOLD,
    TRP_CANARY_ADVANCE,
    TRP_CANARY_FINISH,   /* the last step was held: it is the new one */
    TRP_CANARY_ROLL_BACK /* it gets nothing more */
};

struct trp_canary {
    struct trp_canary_opts opts;
    enum trp_canary_phase phase;
    uint32_t step;
    int64_t since_ns;                            /* of this step */
    uint64_t looked;                             /* answers at the last comparison */
    struct trp_canary_counts old_then, new_then; /* when the step began */
    struct trp_canary_counts old_before;         /* what the old one did in the step before */
    bool has_before;
    char reason[200];     /* of the last decision */
    bool is_of_failures;  /* that reason: the new one fails more often */
    struct trp_word part; /* the share in 2^-32, for loops */
};

struct trp_canary_decision {
    enum trp_canary_move move;
    double share;       /* from now on */
    const char *reason; /* borrowed from the canary until the next call */
};

/* Counts an answer of one of the two; reads what was counted.
 *   Units : ns.
 *   Owns  : nothing; copied.
 *   Thread: any.
 *   Errors: none. */
void trp_canary_count(struct trp_canary_tally *t, bool failed, int64_t took_ns);
void trp_canary_read(const struct trp_canary_tally *t, struct trp_canary_counts *out);

/* Begins with the first step; also again, after it was done or rolled back.
 *   Units : ns, monotonic; counts from any moment on, which only grow.
 *   Owns  : opts->steps is borrowed as long as `c` is used; opts NULL: all defaults.
 *   Thread: control.
 *   Errors: none. */
void trp_canary_start(struct trp_canary *c, const struct trp_canary_opts *opts, int64_t now_ns,
                      const struct trp_canary_counts *old_one,
                      const struct trp_canary_counts *new_one);

/* Looks at both and decides; once a second is often enough.
 *   Units : as above.
 *   Owns  : borrowed.
 *   Thread: control.
 *   Cost  : O(failures), no allocation.
 *   Errors: none; see the decision. */
struct trp_canary_decision trp_canary_tick(struct trp_canary *c, int64_t now_ns,
                                           const struct trp_canary_counts *old_one,
                                           const struct trp_canary_counts *new_one);

/* Whether a place of route/sticky.h belongs to the canary: who had it keeps it while its share
 * grows.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : one load.
 *   Errors: none. */
bool trp_canary_takes(const struct trp_canary *c, uint32_t place);

/* "watching", "done", "rolled_back".
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const char *trp_canary_phase_name(enum trp_canary_phase phase);

#endif
