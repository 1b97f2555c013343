/* route/route_face.h - what the targets of routes take and give, as far as anybody knows.
 * Answers "what is behind this name, and is it another thing than before?".  Of a route of the
 * file, what all of its own targets have in common: found once a check. */
#ifndef TRP_ROUTE_FACE_H
#define TRP_ROUTE_FACE_H

#include "route/route_check_parts.h"

/* What a target takes and gives, as it says it itself.
 *   Owns  : borrowed for the time of the check.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY.  *out is NULL: nobody knows (yet). */
trp_status trp_route_face_signature(const struct trp_route_checking *c,
                                    const struct trp_route_goal *g,
                                    const struct trp_signature **out);

/* Whether anybody has the name of a target, whatever its version.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
bool trp_route_face_is_there(const struct trp_route_checking *c, const struct trp_route_goal *g);

/* What is known of what all targets of a route take and give, and who of them is there, in one
 * number that is not 0.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_route_face_digest(const struct trp_route_checking *c, const struct trp_route_plan *p,
                                 uint64_t *out_digest);

#endif
