/* cli/routes_check.h - the file of routes, read as the server would.
 * Answers "is what is written there right?", as far as that shows without the models. */
#ifndef TRP_ROUTES_CHECK_H
#define TRP_ROUTES_CHECK_H

#include "conf/settings.h"

/* Reads routes.path, or routes.yaml of the repository; a file that is not there is right.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Blocks: disk.
 *   Errors: INVALID_ARGUMENT with file:line:column, the line and a caret; as trp_file_read(). */
trp_status cli_check_routes(const struct trp_settings *settings, const char *repository,
                            struct trp_error *err);

#endif
