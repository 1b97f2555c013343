/* route/route_file_parts.h - what the files about a file of routes share.
 * Answers "what does it consist of?".  Private to this room. */
#ifndef TRP_ROUTE_FILE_PARTS_H
#define TRP_ROUTE_FILE_PARTS_H

#include "base/table.h"
#include "route/route_file.h"

struct trp_route_place { /* where a route stands among those of a file */
    struct trp_router *route;
    uint32_t index;
};

struct trp_route_file {
    const struct trp_alloc *alloc;
    struct trp_refs refs; /* its reader's, and one for each route */
    struct trp_arena arena;
    struct trp_route_source source;
    struct trp_route_common common;
    struct trp_zone *zone;
    struct trp_key_list **lists;
    struct trp_str *list_names;
    struct trp_router **routes; /* its own, then those that it has adopted */
    uint32_t routes_n, own_n, capacity;
    struct trp_table *names; /* to their places; of two with one name the first one's */
};

#endif
