/* catalog/circles.h - whether names lead back to themselves.
 * Answers "does a route ask a composition that asks the route, and how long does that go on?".
 *
 * Routes among themselves and compositions among themselves are checked where they are read;
 * only here are both known. */
#ifndef TRP_CIRCLES_H
#define TRP_CIRCLES_H

#include "call/directory.h"
#include "catalog/declared.h"
#include "route/route_file.h"

/* Walks from each name to those that it may ask, whatever the rule.
 *   Shape : `items` are all names that are no models, in any order; `declared` is what declares
 *           them (NULL: no folder does).
 *   Owns  : borrowed for the call; works in `arena`.  `check` (its `spare` only) is told of the
 *           folder of those on the way that is to be left out for it; NULL, or none of them is
 *           declared by a folder: that is the answer.
 *   Thread: control.
 *   Cost  : O(names and what they name).
 *   Errors: INVALID_ARGUMENT with file:line and the way round: one leads back to itself, or more
 *           than TRP_COMPOSED_DEPTH_MAX compositions stand behind each other; OUT_OF_MEMORY. */
trp_status trp_circles_check(struct trp_arena *arena, const struct trp_directory_item *items,
                             uint32_t n, const struct trp_declared *declared,
                             const struct trp_route_check *check, struct trp_error *err);

#endif
