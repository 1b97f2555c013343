/* route/route_types.h - whether the rules of a route fit what its targets take.
 * Answers "is that input there at all, and of that type?", before a request comes. */
#ifndef TRP_ROUTE_TYPES_H
#define TRP_ROUTE_TYPES_H

#include "route/route_file_parts.h"

/* Compiles the rules of a route once more, against what its targets take (one signature for each
 * goal of the plan): an input that a rule names is one of theirs, and of the type that they agree
 * on.  What a route casts may come in any type.
 *   Owns  : nothing stays; signatures are borrowed.
 *   Thread: control.
 *   Errors: INVALID_ARGUMENT with file:line:column, the line and a caret; OUT_OF_MEMORY. */
trp_status trp_route_types_check(const struct trp_route_file *f, const struct trp_route_plan *plan,
                                 const struct trp_signature *const *signatures,
                                 struct trp_error *err);

#endif
