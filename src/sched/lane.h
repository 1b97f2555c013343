/* sched/lane.h - which tenant's turn it is in a class.
 * Answers "who had least?".  Start-time fair queueing: a lane's time is the work done for its
 * tenant, divided by its weight; the lane with the least goes first.  One that was empty begins at
 * the class's own time, so that nobody saves up: that is the latest start among those served, and
 * goes on by each run divided by the weights of all that wait, so that no number of newcomers keeps
 * back who was there before.
 *   Source: Goyal, Vin, Cheng: Start-time fair queueing, SIGCOMM 1996; Parekh, Gallager,
 *           IEEE/ACM ToN 1(3), 1993. */
#ifndef TRP_LANE_H
#define TRP_LANE_H

#include "sched/flow.h"

/* Lets a lane that had nothing waiting, or a flow that is new in a lane, begin: what it may have
 * saved is bounded.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : O(log tenants) amortised.
 *   Errors: none. */
void trp_lane_begin(struct trp_sched_class *class, struct trp_sched_lane *lane);

/* Charges a lane for a run of a call of it.  A negative amount gives back.
 *   Units : ns.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : O(log tenants) amortised.
 *   Errors: none. */
void trp_lane_charge(struct trp_sched_class *class, struct trp_sched_lane *lane, int64_t cost_ns);

/* Counts one call more or less that waits.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : O(log tenants) amortised.
 *   Errors: none. */
void trp_lane_count(struct trp_sched_class *class, struct trp_sched_lane *lane, int32_t calls);

/* Shows a flow of it, which may run now, as its line's in this class; or hides it, before its first
 * call changes or it goes. The lane is in its class's queue by trp_lane_settle() only.
 *   Owns  : the flow is borrowed while shown.
 *   Thread: owner.
 *   Cost  : O(log n) amortised.
 *   Errors: none. */
void trp_lane_show(struct trp_queue_flow *flow);
void trp_lane_hide(struct trp_queue_flow *flow);
void trp_lane_settle(struct trp_sched_class *class, struct trp_sched_lane *lane);

/* The first flow of the lane whose turn it is; NULL when none may run.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Errors: none. */
struct trp_queue_flow *trp_lane_first(const struct trp_sched_class *class);

/* The flow of a line's class whose tenant had least; NULL when none waits.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Cost  : a tenant's time may have gone on since its flow was queued here: at most 8 such are put
 *           right in one call, which keeps the cost bounded, and the order right but for that many
 *           tenants that are served elsewhere at the same time.
 *   Errors: none. */
struct trp_queue_flow *trp_lane_best(struct trp_sched_line *line, uint32_t way);
void trp_lane_wait(struct trp_queue_flow *flow); /* puts a new flow into its line's queue */

#endif
