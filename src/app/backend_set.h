/* app/backend_set.h - the backends, as the settings want them.
 * Answers "where do plugins lie, and what are they told?".  The server and whoever prepares
 * models open the same ones. */
#ifndef TRP_BACKEND_SET_H
#define TRP_BACKEND_SET_H

#include "backend/backend_host.h"
#include "conf/settings.h"

struct trp_backend_set_opts {
    const struct trp_settings *settings;
    struct trp_log *log;
    struct trp_metrics *metrics;          /* may be NULL */
    const struct troupe_account *account; /* may be NULL */
    const char *worker_program;           /* see backend_host.h; NULL: no model is isolated */
    struct trp_commons *commons;          /* of those that are; may be NULL */
};

/* Makes the table of backends; opens none yet.
 *   Owns  : the caller destroys (trp_backends_destroy()); what opts point to is borrowed and
 *           outlives it.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY, IO. */
trp_status trp_backend_set_create(const struct trp_alloc *alloc,
                                  const struct trp_backend_set_opts *set_opts,
                                  struct trp_backends **out_backends, struct trp_error *err);

#endif
