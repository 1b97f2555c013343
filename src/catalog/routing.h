/* catalog/routing.h - routes and compositions, from their files to the loops.
 * Answers "which names are there that are no models, and why not the newest?".
 *
 *   a listing of the repository ──► has anything changed? ──► have lists opened ──► read ──► have models looked at ──► check
 *                                                                                      │                               │
 *                                     the old ones go on  ◄────────────────────────────┴── wrong: log, metric, index ◄─┤
 *                                                                                                                      ▼
 *                                                                                    a new picture, published to all loops
 *
 *  1. routes.yaml is taken up whole or not at all: one mistake in it, and everything stays as it
 *     is.  While nothing of it serves, folders do without it, and the names that it would declare,
 *     as far as they can be read, are there and not ready.
 *  2. A folder that is wrong is left out: what served under its name goes on, or it is not ready;
 *     the others are taken up.
 *  3. What was refused because of a model that is not there, or does not fit, is tried again
 *     after each listing.
 *  4. routes.yaml is read when it is whole, as far as one can see (settling.h); until then what
 *     serves goes on, folders wait, too, and so does whoever has asked.
 *  5. A folder's file is read when it has stayed as it is (settled_folders.h), unless somebody has
 *     asked; until then what was taken up of it counts, and the others do not wait for it. */
#ifndef TRP_ROUTING_H
#define TRP_ROUTING_H

#include "catalog/canary_watch.h"
#include "catalog/directories.h"
#include "compose/cookbook.h"
#include "life/life.h"
#include "obs/metrics.h"
#include "route/route_file.h"

struct trp_routing;

/* Reads what declares routes and compositions again; the request is its caller's until `done`,
 * on the control thread. */
struct trp_routing_order {
    struct trp_str name;    /* borrowed until `done` */
    bool loads;             /* then the models that it needs are loaded (unloaded.h) */
    bool is_there;          /* it is a route's or a composition's now */
    struct trp_error error; /* what is wrong with it; with the file, if there is no such name; why
                             * one of the models could not be loaded; and why all that were loaded
                             * do not fit together */
    void (*done)(struct trp_routing_order *request);
    void *user;
    /* of whoever works on it */
    void *slot;
    struct trp_routing *routing;
    struct trp_arena arena;
    struct trp_order load;
    const struct trp_str *models;
    uint32_t models_n, loaded_n;
};

struct trp_routing_opts {
    const char *path;   /* of routes.yaml */
    const char *folder; /* that it lies in, which files of lists are relative to */
    uint64_t bytes_max; /* of the file */
    const struct trp_route_env *env;
    const struct trp_cookbook_opts *cookbook; /* what compositions are given */
    struct trp_key_lists *lists;              /* NULL: none; its thread is stopped before destroy */
    struct trp_loop *control;      /* NULL, when there are no lists and nothing settles */
    const struct trp_clock *clock; /* NULL: nothing settles */
    int64_t settle_ns; /* what has changed is read when it stayed the same for this long */
    struct trp_directories *directories;
    struct trp_canary_watch *canaries; /* NULL: nobody looks at them */
    struct trp_log *log;
    struct trp_metrics *metrics;
};

/* Makes it; nothing is read before the first listing.
 *   Owns  : the caller destroys, after life; opts copied, all in them borrowed.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_routing_create(const struct trp_alloc *alloc, const struct trp_routing_opts *opts,
                              struct trp_routing **out_routing, struct trp_error *err);
void trp_routing_destroy(struct trp_routing *r); /* accepts NULL */

/* close: life ends, and models that leave from now on concern nobody; whoever has asked is still
 * answered.  stop: nothing is read any more, and what is under way when life goes is not taken up.
 *   Owns  : nothing; accepts NULL.
 *   Thread: control.
 *   Errors: none. */
void trp_routing_close(struct trp_routing *r);
void trp_routing_stop(struct trp_routing *r);

/* What is asked of life: as trp_life_submit() and trp_life_reconsider(). */
struct trp_routing_life {
    void *user;
    void (*submit)(void *user, struct trp_order *order);
    void (*reconsider)(void *user);
};

/* Life is made later than this is.
 *   Owns  : copied; its user is borrowed.
 *   Thread: startup.
 *   Errors: none. */
void trp_routing_set_life(struct trp_routing *r, const struct trp_routing_life *life);

/* trp_life_opts.listed: `user` is the routing; and each snapshot that is published.
 * `is_watched`: nobody has asked, and what changes may not be whole yet.
 *   Owns  : borrowed for the call; the snapshot until the next one.
 *   Thread: control.
 *   Errors: logged. */
void trp_routing_listed(void *user, const struct trp_repo_listing *listing, bool is_watched);
void trp_routing_published(struct trp_routing *r, const struct trp_snapshot *snapshot);

/* trp_life_opts.is_made: `user` is the routing; a name that serves, or that what is read now
 * declares, be it right or wrong.
 *   Owns  : nothing.
 *   Thread: control.
 *   Cost  : O(log names).
 *   Errors: none. */
bool trp_routing_is_made(void *user, struct trp_str name);

/* trp_life_opts.fits: `user` is the routing; asks what serves, not a reading that is at work, which
 * is checked when it is taken up.
 *   Owns  : borrowed for the call.
 *   Thread: control.
 *   Errors: as trp_upkeep_judge(). */
trp_status trp_routing_fits(void *user, const struct trp_proposal *next,
                            const struct trp_proposal *now, struct trp_error *err);

/* Lists the repository and reads everything again; `done` is told when that has ended, with why it
 * was refused, and when the models are loaded that were to be, one after the other, as if each had
 * been named.
 *   Owns  : the request is the caller's until `done`.
 *   Thread: control.
 *   Errors: in the request. */
void trp_routing_reload(struct trp_routing *r, struct trp_routing_order *request);

#endif
