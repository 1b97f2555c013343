/* admin/admin.h - control endpoints.
 * Answers "what may an operator see and change?".  Implements every trp_control_op once, for all
 * protocols. */
#ifndef TRP_ADMIN_H
#define TRP_ADMIN_H

#include "base/loop.h"
#include "base/shifted_clock.h"
#include "call/control.h"
#include "call/directory.h"
#include "catalog/routing.h"
#include "compose/feedback.h"
#include "conf/settings.h"
#include "life/life.h"
#include "memory/headroom.h"
#include "memory/usage.h"
#include "model/registry.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "obs/trace.h"
#include "tensor/commons.h"

struct trp_admin;

struct trp_admin_opts {
    const struct trp_settings *settings;
    const char *version; /* of the server */
    struct trp_log *log;
    struct trp_trace *trace;
    struct trp_metrics *metrics;
    struct trp_life *life;
    struct trp_loop *control;
    struct trp_loop *const *loops; /* those with connections */
    uint32_t loops_n;
    const struct trp_clock *clock;
    struct trp_shifted_clock *rule_clock; /* NULL: there is none to be shifted */
    struct trp_account *const *accounts;  /* for metrics */
    uint32_t accounts_n;
    struct trp_backends *backends;     /* for metrics; NULL: there are none */
    const struct trp_commons *commons; /* the same */
    struct trp_ledger *ledger;         /* these three for metrics; NULL: there is no budget */
    struct trp_headrooms *headrooms;
    const struct trp_usage *usage;
    uint32_t metrics_models_max; /* versions with series of their own; the others are summed */
    /* the snapshot that loop `index` holds now; called on that loop */
    const struct trp_snapshot *(*snapshot)(void *user, uint32_t loop_index);
    void *snapshot_user;
    /* The names that are no models, as loop `index` has them now, called on that loop; and reading
     * them again, on the control thread.  NULL: there are none. */
    const struct trp_directory *(*directory)(void *user, uint32_t loop_index);
    void (*reload)(void *user, struct trp_routing_order *request);
    void *directory_user;
    struct trp_feedback *feedback; /* what ensembles learn from; NULL: nothing */
};

/* Makes it.
 *   Owns  : the caller destroys; everything in opts is borrowed.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_admin_create(const struct trp_alloc *alloc, const struct trp_admin_opts *opts,
                            struct trp_admin **out_admin, struct trp_error *err);
void trp_admin_destroy(struct trp_admin *a);

/* The server is about to end: readiness is over, everything else goes on.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
void trp_admin_set_draining(struct trp_admin *a);

/* Fill struct trp_handlers: `user` is the admin.
 *   Owns  : see call/control.h.
 *   Thread: loop.
 *   Errors: see call/control.h. */
trp_status trp_admin_find(void *user, uint32_t loop_index, const struct trp_sought *sought,
                          struct trp_target **out_target, void (**out_release)(struct trp_target *),
                          struct trp_error *err);
void trp_admin_control(void *user, struct trp_control *control);
trp_status trp_admin_region(void *user, struct trp_str name, uint64_t offset, uint64_t bytes,
                            void **out_ptr, void **out_hold, struct trp_error *err);
void trp_admin_region_release(void *hold, void *ptr);
trp_status trp_admin_explain(void *user, uint32_t loop_index, const struct trp_call *call,
                             struct trp_buf *out, struct trp_error *err);
void trp_admin_finished(void *user, uint32_t loop_index, struct trp_call *call);

#endif
