/* backend/isolation.h - a backend whose models run in processes of their own.
 * Answers "what if a model ends its process?".  To whoever uses it, it is a plugin like the one
 * that it stands for. */
#ifndef TRP_ISOLATION_H
#define TRP_ISOLATION_H

#include "backend/worker.h"

struct trp_isolation {
    struct trp_worker_env env;
    const struct troupe_backend *inner; /* the plugin itself, and what its start() gave */
    void *inner_self;
    struct trp_lock lock;
    struct trp_worker *first; /* all that are open */
};

/* The functions, for what `inner` can do; their `self` is a trp_isolation.  What is done once per
 * model without running it, is done in this process: probe, prepare, fingerprint.
 *   Owns  : nothing; stop() gives nothing back.
 *   Thread: any.
 *   Errors: none. */
struct troupe_backend trp_isolation_api(const struct troupe_backend *inner);

/* Sets up and down, around all models.
 *   Owns  : the caller's storage; what env and inner point to is borrowed.
 *   Thread: owner.
 *   Errors: none. */
void trp_isolation_init(struct trp_isolation *i, const struct trp_worker_env *env,
                        const struct troupe_backend *inner, void *inner_self);
void trp_isolation_deinit(struct trp_isolation *i);

/* The processes that run models now: at most `max` of their numbers.
 *   Owns  : copied.
 *   Thread: any.
 *   Errors: none. */
uint32_t trp_isolation_pids(struct trp_isolation *i, pid_t *out, uint32_t max);

/* After a run that was answered UNAVAILABLE: when the same may succeed; `model` is what open()
 * gave.
 *   Units : ms; 0: nobody knows.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
uint32_t trp_isolation_retry_ms(void *model);

#endif
