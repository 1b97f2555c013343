/* route/route_section.h - the sections of routes.yaml, one table for whoever reads it.
 * Answers "which keys has the file, and what do they declare?". */
#ifndef TRP_ROUTE_SECTION_H
#define TRP_ROUTE_SECTION_H

#include "route/route_source.h"

struct trp_route_section {
    struct trp_str key;
    const char *kind; /* static: of each of its names, as "route"; NULL: it declares none */
    bool is_composed; /* they are made of models: not the routes' to read */
};

/* The section of this key.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: NULL: there is none. */
const struct trp_route_section *trp_route_section_find(struct trp_str key);

/* Whichever of the keys is nearest to a word, as trp_route_hint().
 *   Owns  : `out` is the caller's.
 *   Thread: any.
 *   Errors: none; empty when nothing is near. */
void trp_route_section_hint(char out[TRP_ROUTE_HINT_MAX], struct trp_str word);

#endif
