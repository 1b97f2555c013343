/* exec/seating.h - in which of its version's slots a run goes on.
 * Answers "on which cores, and on which device, is this run to be done?".  Where all slots of a
 * version are alike nothing is kept, and its runs go where its configuration says.  Where they are
 * not (model/slot_groups.h), each run belongs to a group from the moment in which it has a slot
 * until that is given back, both under the run queue's lock; call->slot_group says which, from 1
 * on. */
#ifndef TRP_SEATING_H
#define TRP_SEATING_H

#include "call/call_list.h"
#include "model/version.h"

#define TRP_SEATING_NOWHERE 0u

/* Gives a run that was taken, whose first call (or part) has a slot, a place in a group; all its
 * calls say so.  `usual`: the group of the run that the thread made before, if it was of the same
 * version; TRP_SEATING_NOWHERE.
 *   Owns  : nothing.
 *   Thread: owner of the scheduler.
 *   Cost  : none where slots are alike; O(groups) otherwise.
 *   Errors: none. */
void trp_seating_take(const struct trp_call_list *run, uint32_t usual);

/* Gives the place of a run back, that any one of its calls names; returns the group that it was.
 *   Owns  : nothing.
 *   Thread: owner of the scheduler.
 *   Errors: none: who has no place gives none back. */
uint32_t trp_seating_leave(struct trp_call *call);

/* Where the run of a call (or part) has to be done; NULL: anywhere.
 *   Owns  : the version's.
 *   Thread: executor that has taken it.
 *   Errors: none. */
const struct trp_cores *trp_seating_cores(const struct trp_call *call);

/* Which of the devices that its model was opened on the run of a call (or part) is for.
 *   Owns  : nothing.
 *   Thread: any, the one that holds the call.
 *   Errors: none; 0 where there is none. */
uint32_t trp_seating_device(const struct trp_call *call);

/* Whether runs of a version have to be done on certain cores, or on a device, so that no loop may
 * make them.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
static inline bool trp_seating_matters(const struct trp_version *v)
{
    return v->config.cores || v->config.groups;
}

#endif
