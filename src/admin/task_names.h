/* admin/task_names.h - names that stand for a task.
 * Answers "which model is task:classification, for this request?".  Each loop keeps, for the tasks
 * that it was asked for, which names have them; what these names stand for is looked up each
 * time. */
#ifndef TRP_TASK_NAMES_H
#define TRP_TASK_NAMES_H

#include "base/clock.h"
#include "call/call.h"
#include "model/registry.h"
#include "model/task_pick.h"

struct trp_task_names; /* of one loop */

/* Makes it, empty.
 *   Owns  : the caller destroys.
 *   Thread: startup; then its loop.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_task_names_create(const struct trp_alloc *alloc, const struct trp_clock *clock,
                                 struct trp_task_names **out_names, struct trp_error *err);
void trp_task_names_destroy(struct trp_task_names *n); /* accepts NULL */

/* Picks the version that answers for a task: the best of those whose signature takes the inputs of
 * `call`; NULL: of all.  With `out_why` (may be NULL; needs `call`) it says in a few words how it
 * was chosen, in the call's arena.
 *   Owns  : moves one reference to the caller.
 *   Thread: loop.
 *   Cost  : a look-up for each name that has the task; now and then a walk through all names, which
 *           take_names() bounds.
 *   Errors: NOT_FOUND (nothing has that task), NOT_READY (and nothing of it is ready),
 *           INVALID_ARGUMENT (nothing takes these inputs), OUT_OF_MEMORY. */
trp_status trp_task_names_pick(struct trp_task_names *n, const struct trp_snapshot *s,
                               struct trp_str task, struct trp_call *call,
                               struct trp_version **out_version, struct trp_str *out_why,
                               struct trp_error *err);

#endif
