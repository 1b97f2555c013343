/* route/route_race.h - an attempt with a time of its own, and the second that is asked beside it
 * when it is late.
 * Answers "whose answer comes first, and what becomes of the other?".  Private to this room. */
#ifndef TRP_ROUTE_RACE_H
#define TRP_ROUTE_RACE_H

#include "route/route_visit.h"

/* When a second one is asked beside the attempt that v->step names; 0: it is not hedged.
 *   Units : ns, monotonic.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
int64_t trp_route_race_hedge_at(const struct trp_route_visit *v);

/* Asks v->goal by a child of the call, for as long as v->step gives it, and the hedge at
 * `hedge_ns`; the visit goes on when one of them has answered, both have failed, or the time is up.
 *   Owns  : the child is the visit's.
 *   Thread: loop.
 *   Errors: as trp_call_child_start(), and as trp_route_fit_apply(); nobody is asked then. */
trp_status trp_route_race_send(struct trp_route_visit *v, int64_t hedge_ns, struct trp_error *err);

#endif
