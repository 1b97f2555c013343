/* sched/flow.h - what waits of one tenant, in one class, for one line.
 * Answers "which of a line's calls are this tenant's?".  There may be as many flows as waiting
 * calls and nobody allocates one: a call that opens a flow lends it the memory in its own seat, and
 * when that call leaves, another one that stays takes the flow over.  So a pointer to a flow
 * holds until a call leaves it, no longer. */
#ifndef TRP_FLOW_H
#define TRP_FLOW_H

#include "sched/sched.h"

/* Finds a tenant's flow; NULL when nothing of it waits there.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Cost  : O(log tenants), at most 64 steps.
 *   Errors: none. */
struct trp_queue_flow *trp_flow_find(const struct trp_sched_line *line, uint32_t way,
                                     const struct trp_sched_tenant *tenant);

/* Opens a flow in a call's seat, for which there is none yet; it is in its line's tree and its
 * lane's list from now on.
 *   Owns  : the call lends the memory until it has left the flow.
 *   Thread: owner.
 *   Errors: none. */
struct trp_queue_flow *trp_flow_open(struct trp_sched_line *line, uint32_t way,
                                     struct trp_sched_tenant *tenant, struct trp_call *call);

/* Puts a call in, whose turn is set; takes one out; and then sees to it that the flow does not lie
 * in the one that is gone: the flow, perhaps in another place, or NULL: that was the last call, and
 * the flow is closed (it must be neither in its line's queue nor shown nor in `expiry`, then).
 *   Owns  : the call is borrowed while it is in.
 *   Thread: owner.
 *   Cost  : as trp_sorted_push() and _remove().
 *   Errors: none. */
void trp_flow_push(struct trp_queue_flow *flow, struct trp_call *call);
void trp_flow_remove(struct trp_queue_flow *flow, struct trp_call *call);
struct trp_queue_flow *trp_flow_tidy(struct trp_queue_flow *flow, const struct trp_call *gone,
                                     struct trp_pairing *expiry);

/* The call of it that comes first; and the one that can best be done without: the newest, or one of
 * a later deadline still.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Errors: none. */
struct trp_call *trp_flow_first(const struct trp_queue_flow *flow);
struct trp_call *trp_flow_last(const struct trp_queue_flow *flow);

/* The flow of a line's class with most calls for its tenant's weight; NULL when there is none.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Cost  : O(flows of that class and line).
 *   Errors: none. */
struct trp_queue_flow *trp_flow_longest(const struct trp_sched_line *line, uint32_t way);

static inline struct trp_sched_lane *trp_flow_lane(const struct trp_queue_flow *flow)
{
    return &flow->tenant->lanes[flow->way];
}

/* How many calls for a tenant of usual weight that would be. */
static inline int64_t trp_flow_load(uint32_t calls, const struct trp_sched_tenant *tenant)
{
    return (int64_t)calls * 1000 / tenant->weight;
}

#endif
