/* route/route_rows.h - how many rows a request to a route may have.
 * Answers "what may clients send, so that none of its targets refuses it?": what the one takes that
 * takes the fewest, of all that may answer.  Which rule holds, or who stands in, is known only when
 * a request is there. */
#ifndef TRP_ROUTE_ROWS_H
#define TRP_ROUTE_ROWS_H

#include "route/route_plan.h"

struct trp_route_rows {
    int64_t least; /* of those that were counted; 0: of one of them nobody can tell */
    bool answers[TRP_ROUTE_GOALS_MAX];
};

/* Counts nobody yet.
 *   Owns  : the plan is borrowed for the call.
 *   Thread: any.
 *   Errors: none. */
void trp_route_rows_init(struct trp_route_rows *rows, const struct trp_route_plan *plan);

/* Whether what a target takes matters: it may answer, as all may but those that are shadows only,
 * and of the others all are known.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
bool trp_route_rows_asks(const struct trp_route_rows *rows, uint32_t goal);

/* Counts a target that matters; NULL: nobody knows what it takes.
 *   Owns  : the signature is borrowed for the call.
 *   Thread: any.
 *   Errors: none. */
void trp_route_rows_add(struct trp_route_rows *rows, const struct trp_signature *s);

/* What clients are to be told instead of what they would be told of one target: fewer rows.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: 0: as it is; there is no number that can be said of it. */
int32_t trp_route_rows_limit(const struct trp_route_rows *rows, const struct trp_signature *s);

#endif
