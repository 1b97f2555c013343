/* catalog/upkeep.h - whether routes and compositions go on working with other versions of a model.
 * Answers "which of them works now, and would not any more, and why?".
 *
 * Each is checked as when it was read, against the proposed versions, by the same functions.  What
 * fails then is checked against what serves: what does not work now (somebody forced it, or the
 * model is not there) cannot be broken. */
#ifndef TRP_UPKEEP_H
#define TRP_UPKEEP_H

#include "catalog/known_names.h"

/* Judges names->proposal, against `now` (NULL: against the snapshot).
 *   Owns  : borrowed for the call.
 *   Thread: control.
 *   Cost  : a check of each route and composition that asks the model, and nothing for the others.
 *   Errors: FAILED_PRECONDITION: which one, file:line, what was found and what it needs;
 *           OUT_OF_MEMORY. */
trp_status trp_upkeep_judge(const struct trp_known_names *names, const struct trp_proposal *now,
                            struct trp_error *err);

#endif
