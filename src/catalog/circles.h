/* catalog/circles.h - whether names lead back to themselves.
 * Answers "does a route ask a composition that asks the route, and how long does that go on?".
 *
 * Routes among themselves and compositions among themselves are checked where they are read; only here are both known. */
#ifndef TRP_CIRCLES_H
#define TRP_CIRCLES_H

#include "base/arena.h"
#include "catalog/known_names.h"

/* Walks from each name to those that it may ask, whatever the rule.
 *   Shape : `items` are all of `names`, in any order.
 *   Owns  : borrowed for the call; works in `arena`.  After a failure *guilty is the folder of those on the way that is left out for it,
 *           or empty: none of them is declared by a folder.
 *   Thread: control.
 *   Cost  : O(names and what they name).
 *   Errors: INVALID_ARGUMENT with file:line and the way round: one leads back to itself, or more than TRP_CHILD_DEPTH_MAX compositions
 *           stand behind each other; OUT_OF_MEMORY. */
trp_status trp_circles_check(struct trp_arena *arena, const struct trp_known_names *names,
                             const struct trp_directory_item *items, uint32_t n,
                             struct trp_str *guilty, struct trp_error *err);

#endif
