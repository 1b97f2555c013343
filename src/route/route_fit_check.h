/* route/route_fit_check.h - whether what `targets` say of a target can be done.
 * Answers "has it the inputs and outputs that are renamed, cast and given, and of these types?". */
#ifndef TRP_ROUTE_FIT_CHECK_H
#define TRP_ROUTE_FIT_CHECK_H

#include "route/route_check_parts.h"

/* On the way there and back, against what a target takes and gives.
 *   Owns  : all is borrowed.
 *   Thread: control.
 *   Errors: INVALID_ARGUMENT with file:line:column, the line and a caret. */
trp_status trp_route_fit_check(const struct trp_route_checking *c, const struct trp_route_plan *p,
                               const struct trp_route_goal *g, const struct trp_signature *s);

#endif
