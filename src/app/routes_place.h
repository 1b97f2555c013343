/* app/routes_place.h - where the file of routes lies.
 * Answers "which file is it, and which folder are the lists that it names relative to?". */
#ifndef TRP_ROUTES_PLACE_H
#define TRP_ROUTES_PLACE_H

#include "conf/settings.h"

struct trp_routes_place {
    char path[4096];   /* routes.path, or routes.yaml of the first repository */
    char folder[4096]; /* that it lies in */
};

/* Says where it lies, whether or not there is one.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT: the path is too long. */
trp_status trp_routes_place_find(const struct trp_settings *settings, const char *repository,
                                 struct trp_routes_place *out, struct trp_error *err);

#endif
