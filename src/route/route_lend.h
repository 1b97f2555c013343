/* route/route_lend.h - a call's inputs and wishes for one of its children, and that one's answer
 * for the call.
 * Answers "how is another target asked the same?".  For attempts with a time of their own,
 * hedges and shadows. */
#ifndef TRP_ROUTE_LEND_H
#define TRP_ROUTE_LEND_H

#include "route/route_fit.h"
#include "route/route_parts.h"

/* Lends them to a child that is not started yet, changed as its goal says.
 *   Owns  : borrowed; the call stays until the child has ended.  *undo is part of the child, and
 *           goes with it.
 *   Thread: loop.
 *   Errors: as trp_route_fit_apply(). */
trp_status trp_route_lend(const struct trp_router *r, const struct trp_route_goal *goal,
                          const struct trp_call *call, struct trp_call *child,
                          struct trp_route_unfit *undo, struct trp_error *err);

/* The same in two steps: they are lent before anybody else is asked; changing them may wait.
 *   Owns  : as trp_route_lend().
 *   Thread: loop.
 *   Errors: as trp_route_fit_apply(). */
trp_status trp_route_lend_as_sent(const struct trp_call *call, struct trp_call *child,
                                  struct trp_error *err);
trp_status trp_route_lend_fit(const struct trp_router *r, const struct trp_route_goal *goal,
                              struct trp_call *child, struct trp_route_unfit *undo,
                              struct trp_error *err);

/* Gives a child's outputs to the call, which answers with them, and what is said of them besides
 * (`notes`).
 *   Owns  : lent from now on: the child is kept by the call (trp_call_child_keep).
 *   Thread: loop.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_route_take_answer(struct trp_call *call, const struct trp_call *child,
                                 struct trp_error *err);

#endif
