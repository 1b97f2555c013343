/* app/backend_set.h - the backends, as the settings want them.
 * Answers "where do plugins lie, and what are they told?".  The server and whoever prepares models open the same ones. */
#ifndef TRP_BACKEND_SET_H
#define TRP_BACKEND_SET_H

#include "backend/backend_host.h"
#include "conf/settings.h"

/* Makes the table of backends; opens none yet.
 *   Owns  : the caller destroys (trp_backends_destroy()); settings, log and account are borrowed and outlive it.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_backend_set_create(const struct trp_alloc *alloc,
                                  const struct trp_settings *settings, struct trp_log *log,
                                  const struct troupe_account *account,
                                  struct trp_backends **out_backends, struct trp_error *err);

#endif
