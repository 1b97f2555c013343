/* exec/quota.h - how much one model or tenant may ask for.
 * Answers "may this call begin now, and if not, when?".  Asked once for each call, when its model
 * serves and before it is queued or run; most servers have no such limits, and then nobody takes
 * a lock for it. */
#ifndef TRP_QUOTA_H
#define TRP_QUOTA_H

#include "exec/tenants.h"

/* Counts a call in the limits of its model and its tenant, or refuses it.
 *   Units : now_ns monotonic.
 *   Owns  : what it holds of both is the call's until trp_quota_end().
 *   Thread: loop, the call's; it holds no lock.
 *   Blocks: never for long.
 *   Errors: in call->error: QUEUE_FULL, with the time to come back. */
trp_status trp_quota_begin(struct trp_tenants *t, struct trp_call *call, int64_t now_ns);

/* Ends that, and gives the tenant's place back; once for each call that exec has ended, also for
 * one that was never counted.
 *   Owns  : the call holds neither afterwards.
 *   Thread: any that holds the call and no lock.
 *   Errors: none. */
void trp_quota_end(struct trp_call *call);

#endif
