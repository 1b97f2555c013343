/* sched/resting.h - lines that wait a moment for company.
 * Answers "until when does a half full batch wait?".  A resting line shows nothing to run; its
 * calls keep their order, expire and are removed as ever.  A rest ends by time, by whoever finds
 * that enough have come, or with the line's last call. */
#ifndef TRP_RESTING_H
#define TRP_RESTING_H

#include "sched/sched.h"

/* Lets a line rest in which a call waits, until a moment or so many rows; looks whether a call that
 * has joined it ends that: enough rows are there, or this one cannot wait so long; ends its rest,
 * if it does rest; ends all rests that are over; tells when the first one ends (0: none).
 *   Units : ns, the caller's clock; rows.
 *   Owns  : the line is borrowed while it rests.
 *   Thread: owner.
 *   Cost  : O(log n) amortised; end_all: for each that ends.
 *   Errors: none. */
void trp_resting_begin(struct trp_sched *s, struct trp_sched_line *line, int64_t until_ns,
                       uint32_t rows);
void trp_resting_joined(struct trp_sched *s, struct trp_sched_line *line,
                        const struct trp_call *call);
void trp_resting_end(struct trp_sched *s, struct trp_sched_line *line);
void trp_resting_end_all(struct trp_sched *s, int64_t now_ns);
int64_t trp_resting_next_ns(const struct trp_sched *s);

#endif
