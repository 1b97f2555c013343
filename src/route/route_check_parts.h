/* route/route_check_parts.h - what the files that check routes share.
 * Answers "what is known while a file of routes is checked?".  Private to this room. */
#ifndef TRP_ROUTE_CHECK_PARTS_H
#define TRP_ROUTE_CHECK_PARTS_H

#include "base/arena.h"
#include "route/route_file_parts.h"

struct trp_route_face { /* what all targets of a route take and give */
    bool was_looked_for;
    const struct trp_signature *signature; /* NULL: they differ, or nobody knows (yet) */
};

struct trp_route_checking {
    const struct trp_route_file *file;
    const struct trp_route_check *check;
    struct trp_arena *arena;      /* of what is found out, for the time of the check */
    struct trp_route_face *faces; /* one for each route */
    struct trp_error *err;
};

/* The route of the file that is called so.
 *   Owns  : borrowed.
 *   Thread: control.
 *   Errors: NULL: none is. */
static inline const struct trp_route_plan *
trp_route_checking_plan(const struct trp_route_checking *c, struct trp_str name)
{
    const struct trp_router *route = trp_route_file_find(c->file, name);
    return route ? trp_route_plan_of(route) : NULL;
}

#endif
