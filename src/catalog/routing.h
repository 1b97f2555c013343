/* catalog/routing.h - routes and compositions, from their files to the loops.
 * Answers "which names are there that are no models, and why not the newest?".
 *
 *   a listing of the repository ──► has anything changed? ──► read ──► have the models looked at that are named ──► check
 *                                                               │                                                      │
 *                                     the old ones go on  ◄─────┴── wrong: log, metric, index ◄────────────────────────┤
 *                                                                                                                      ▼
 *                                                                                    a new picture, published to all loops
 *
 *  1. routes.yaml is taken up whole or not at all: one mistake in it, and everything stays as it is.  While nothing of it serves,
 *     folders do without it.
 *  2. A folder that is wrong is left out: what served under its name goes on, or it is not ready; the others are taken up.
 *  3. What was refused because of a model that is not there, or does not fit, is tried again after each listing. */
#ifndef TRP_ROUTING_H
#define TRP_ROUTING_H

#include "catalog/canary_watch.h"
#include "catalog/directories.h"
#include "life/life.h"
#include "obs/metrics.h"
#include "route/route_file.h"

struct trp_routing;

/* Reads what declares routes and compositions again; the request is its caller's until `done`, on the control thread. */
struct trp_routing_order {
    struct trp_str name;    /* borrowed until `done` */
    bool is_there;          /* it is a route's or a composition's now */
    struct trp_error error; /* what is wrong with it; with the file, if there is no such name */
    void (*done)(struct trp_routing_order *request);
    void *slot; /* of whoever works on it */
};

/* Who makes what is composed of several targets; all on the control thread.  `made` is one reading of it. */
struct trp_routing_maker {
    void *user;
    trp_status (*begin)(void *user, void **out_made, struct trp_error *err);
    /* A section of routes.yaml, whose tree lives until end(). */
    trp_status (*section)(void *made, const struct trp_node *at, struct trp_route_file *file,
                          struct trp_error *err);
    /* A model folder; its tree is to be copied. */
    trp_status (*folder)(void *made, struct trp_str name, const struct trp_node *tree,
                         struct trp_route_file *file, struct trp_error *err);
    /* One that serves, and goes on because its folder is wrong now; everything below is about it, too, but check never fails for it. */
    trp_status (*adopt)(void *made, struct trp_target *target, struct trp_error *err);
    /* The names that it asks, to be looked at before the check; false: there is no further one. */
    bool (*next_name)(void *made, uint32_t *cursor, struct trp_str *out_name);
    bool (*next_name_of)(void *made, struct trp_str name, uint32_t *cursor,
                         struct trp_str *out_name); /* that the one of this name asks */
    bool (*next_load)(void *made, struct trp_str name, uint32_t *cursor,
                      struct trp_str *out_name); /* whose load its conditions ask for */
    /* What the one of this name takes, once it has been checked; NULL: nobody knows, or there is none. */
    const struct trp_signature *(*signature)(void *made, struct trp_str name);
    trp_status (*check)(void *made, const struct trp_route_check *check, struct trp_error *err);
    /* Models have changed: what could not be checked, because they were not known, may be now.
     * Fails once with what is wrong. */
    trp_status (*look_again)(void *made, const struct trp_route_check *check,
                             struct trp_error *err);
    /* The first that works now, and would not any more; *out_item says which.  Fails with what is wrong with it then. */
    trp_status (*judge)(void *made, const struct trp_route_trial *trial,
                        struct trp_directory_item *out_item, struct trp_error *err);
    /* What stands in the directory; false: there is no further one. */
    bool (*next_item)(void *made, uint32_t *cursor, struct trp_directory_item *out_item);
    /* What `before` has counted, if it was written like `now`, which nobody sees yet. */
    void (*carry)(struct trp_target *now, struct trp_target *before);
    void (*end)(void *made); /* the targets live on as long as somebody retains them */
};

struct trp_routing_opts {
    const char *path;   /* of routes.yaml */
    const char *folder; /* that it lies in, which files of lists are relative to */
    uint64_t bytes_max; /* of the file */
    const struct trp_route_env *env;
    const struct trp_routing_maker *maker; /* NULL: nothing is composed */
    struct trp_key_lists *lists;           /* NULL: none */
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
 *   Owns  : borrowed for the call; the snapshot until the next one.
 *   Thread: control.
 *   Errors: logged. */
void trp_routing_listed(void *user, const struct trp_repo_listing *listing);
void trp_routing_published(struct trp_routing *r, const struct trp_snapshot *snapshot);

/* trp_life_opts.fits: `user` is the routing; asks what serves, not a reading that is at work, which is checked when it is taken up.
 *   Owns  : borrowed for the call.
 *   Thread: control.
 *   Errors: as trp_upkeep_judge(). */
trp_status trp_routing_fits(void *user, const struct trp_proposal *next,
                            const struct trp_proposal *now, struct trp_error *err);

/* Lists the repository and reads everything again; `done` is told when that has ended, with why it was refused.
 *   Owns  : the request is the caller's until `done`.
 *   Thread: control.
 *   Errors: in the request. */
void trp_routing_reload(struct trp_routing *r, struct trp_routing_order *request);

#endif
