/* route/route_stand_in.h - whether the targets of a route can stand in for each other.
 * Answers "who takes the same requests, and gives the same answers?". */
#ifndef TRP_ROUTE_STAND_IN_H
#define TRP_ROUTE_STAND_IN_H

#include "route/route_check_parts.h"

/* Of one rule, whose targets get the same requests: names and types of what they need and give.
 *   Owns  : all is borrowed.
 *   Thread: control.
 *   Errors: INVALID_ARGUMENT with file:line:column, the line and a caret; OUT_OF_MEMORY. */
trp_status trp_route_stand_in_check(const struct trp_route_checking *c,
                                    const struct trp_route_plan *p,
                                    const struct trp_route_rule *rule);

/* Of a whole route, what is told and keeps nobody from serving: shapes and numbers of rows that
 * differ, and rules that give other outputs than the one that clients are shown.
 *   Owns  : all is borrowed.
 *   Thread: control.
 *   Errors: as above. */
trp_status trp_route_stand_in_doubt(const struct trp_route_checking *c,
                                    const struct trp_route_plan *p);

#endif
