/* sched/shedding.h - who makes room when a queue is full.
 * Answers "whom can we do without?".  The least urgent class loses, in it the tenant with most
 * waiting for its weight, and of its calls the newest, which has waited least.  So whoever
 * floods the queue makes room for everybody else. */
#ifndef TRP_SHEDDING_H
#define TRP_SHEDDING_H

#include "sched/sched.h"

/* Takes out the call that makes room for one that was refused; NULL: the refused one itself is what
 * can be done without. `why` is what trp_sched_push_as() said: FULL looks at all calls, MODEL_FULL
 * at those of the model.
 *   Owns  : moves the call to the caller.
 *   Thread: owner.
 *   Cost  : O(log n) amortised; MODEL_FULL: and O(tenants that wait for this model in that class).
 *   Errors: none. */
struct trp_call *trp_shedding_take(struct trp_sched *s, const struct trp_sched_ask *ask,
                                   const struct trp_call *refused, enum trp_sched_push why);

#endif
