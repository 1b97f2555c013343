/* catalog/known_names.h - what stands behind a name, for whoever checks routes and compositions.
 * Answers "is there such a model, route or composition, and what does it take?": as things are, or
 * as they would be with other versions of one model. */
#ifndef TRP_KNOWN_NAMES_H
#define TRP_KNOWN_NAMES_H

#include "call/directory.h"
#include "catalog/declared.h"
#include "compose/cookbook.h"
#include "life/proposal.h"
#include "model/registry.h"

struct trp_known_names {
    const struct trp_snapshot *snapshot; /* NULL: there are no models yet */
    const struct trp_route_file *file;   /* NULL: no routes */
    const struct trp_cookbook *book;     /* NULL: no compositions */
    const struct trp_declared *declared; /* what of it is left out; NULL: nothing */
    const struct trp_directory *serving; /* what goes on in its place; NULL: nothing */
    bool serves; /* it is no reading: names without a target in `serving` are those left out */
    const struct trp_proposal
        *proposal;    /* in place of what the snapshot has of its model; NULL: none */
    uint32_t hints_n; /* that were looked for: after many, names are told without one */
};

/* The functions that a check asks, over these names.
 *   Owns  : borrowed by what is returned, as long as it is used.
 *   Thread: control.
 *   Errors: none. */
struct trp_route_check trp_known_names_check(struct trp_known_names *names);

/* Whether it is the name of a route or composition; the plan of a route.
 *   Owns  : borrowed from the file.
 *   Thread: control.
 *   Cost  : the same for any number of names.
 *   Errors: NULL: no route is called so. */
bool trp_known_names_is_made(const struct trp_known_names *names, struct trp_str name);
const struct trp_route_plan *trp_known_names_route(const struct trp_known_names *names,
                                                   struct trp_str name);

#endif
