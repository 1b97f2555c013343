/* model/version.h - one version of one model, from NEW to GONE.
 * Answers "what do we know of this version?".  Immutable but for its state, statistics and slots;
 * counted, because registry snapshots and calls in flight keep it.  It is a `trp_target`: metadata,
 * state, configuration and statistics are answered here, start and cancel by exec, whose table
 * life hands in. */
#ifndef TRP_VERSION_H
#define TRP_VERSION_H

#include "base/arena.h"
#include "base/atomic.h"
#include "call/target.h"
#include "memory/headroom.h"
#include "model/lifecycle.h"
#include "model/model_config.h"
#include "model/stats.h"

struct trp_backend_model;
struct trp_version;
struct trp_waiting;
struct trp_sequencer;

/* How much of a version is in memory: a second axis beside its state, because a READY one
 * answers from any of them. */
enum trp_residency {
    TRP_RESIDENCY_NONE,      /* not open */
    TRP_RESIDENCY_MAPPED,    /* open, and runs at once */
    TRP_RESIDENCY_HIBERNATED /* open, its pages dropped; wakes for a run */
};

/* Whether calls of a version may run together: life's, which exec asks when it would like to
 * know. */
struct trp_company {
    struct trp_gauge rows_max; /* of a run of several calls; 0: each runs alone */
    struct trp_gauge share_ns; /* of such a run, for each call in it: moving average; exec's */
    struct trp_pointer words;  /* trp_version_batching() */
    struct trp_oneshot asked;
    void (*ask)(struct trp_version *v); /* once: some wait together; any thread; may be NULL */
};

struct trp_version {
    struct trp_target target; /* first: a version is a target */
    struct trp_refs refs;     /* beside it what every pick looks at: one line of the cache */
    struct trp_door
        door; /* shut: hibernated, or about to be; calls wait in `room` (stats->in_flight are
               * inside) */
    struct trp_lifecycle life;
    void (*on_unused)(struct trp_version *v,
                      void *user); /* the last reference went; on the thread that dropped it */
    void *on_unused_user;

    struct trp_arena arena; /* names, signature, configuration */
    const char *id;         /* "resnet50/3", for messages; in `arena` */
    struct trp_str path;    /* the model file */
    /* Why FAILED; NEW: "unloaded" or why it cannot be read; READY: a warning, or empty.  Never
     * NULL.  Read it by trp_version_reason(), write it by trp_version_say(). */
    const char *reason;
    struct trp_model_config config;
    struct trp_signature
        signature; /* what clients see; valid once READY; NEW: empty until probed */
    struct trp_signature file_signature; /* what the backend takes (full shapes); its outputs may be
                                          * more, and in another order: their names tell */
    struct trp_backend_model *model;     /* open while READY or DRAINING */
    struct trp_account weights, activations;
    struct trp_headroom headroom; /* of its runs; exec's */
    struct trp_company *company;  /* life's, constant once READY; NULL: its calls run alone */
    uint64_t
        reported_bytes; /* weights that the backend reports and took elsewhere; charged while it is
                         * open */
    struct trp_gauge residency; /* enum trp_residency; changed by life, read by any */
    struct trp_gauge instances; /* run slots that an operator set; 0: see trp_version_instances() */
    struct trp_pointer opening; /* trp_version_opening() */
    struct trp_gauge cold_run_ns; /* of the one that it stands for: see trp_version_run_ns() */
    struct trp_stats
        *stats; /* constant; its own, or, while it only stands in the index, shared: see
                * has_own_stats */
    struct trp_stats_row
        *told; /* of its own, what metrics tell elsewhere: see admin/other_models.h */
    bool has_own_stats;
    struct trp_flag stop; /* raised: give the load up */
    struct trp_flag
        is_damaged; /* life: to be opened anew from the same files: what it has mapped is not whole,
                     * or another way of opening it pays */

    /* Loading by demand.  `is_cold`, `has_signature` and `failure` are written as `signature`
     * is. */
    bool is_cold; /* calls may come before it is READY: they wait in `room` for its model to be
                  * loaded */
    bool has_signature;        /* signature and configuration hold: READY, or NEW and surveyed */
    int32_t failure;           /* FAILED: the code that calls get; 0: NOT_READY */
    struct trp_flag may_retry; /* FAILED and cold: the next call may have it loaded again */
    struct trp_waiting *room; /* exec's, its model's; constant after creation; NULL: nobody waits */
    struct trp_version
        *before; /* cold, and of the same files; constant once published; may be NULL */
    struct trp_gauge load_ns; /* of its last load, or of the one before it went; 0: not known */

    void *runner; /* exec's, constant after creation */
    struct trp_sequencer
        *sequencer; /* exec's; constant once READY; NULL: its calls belong to no sequence */
    struct trp_version
        *successor;  /* exec's, under its lock: where calls go that find no room; NULL: nowhere */
    void *exec_slot; /* exec's; in `arena`, made under its lock by the first call */
    void *life_slot; /* life's */
    uint64_t
        digest; /* of the files it was made from (size, time, inode); changes mean a new version
                 * object */
};

struct trp_version_opts {
    struct trp_str model;
    int64_t number;
    const struct trp_target_ops *ops; /* TRP_VERSION_OPS(); NULL: nobody runs it */
    void *runner;
    struct trp_account *weights_parent, *activations_parent;
    struct trp_stats
        *shared_stats; /* it will never be opened, and counts here; NULL: it has its own */
    void (*on_unused)(struct trp_version *v, void *user);
    void *on_unused_user;
};

/* What a version answers as a target, for the one table of whoever runs all of them: start and
 * cancel are his own, with nothing between.
 *   Owns  : borrowed from the version.
 *   Thread: any.
 *   Errors: as struct trp_target_ops says. */
const struct trp_signature *trp_version_get_signature(const struct trp_target *t);
const struct trp_signature *trp_version_get_face(const struct trp_target *t);
const struct trp_node *trp_version_get_config(const struct trp_target *t);
int64_t trp_version_get_patience_ns(const struct trp_target *t, const struct trp_call *call);
void trp_version_get_state(const struct trp_target *t, struct trp_target_state *out);
struct trp_stats *trp_version_get_stats(struct trp_target *t);
void trp_version_get_cost(const struct trp_target *t, struct trp_target_cost *out);
#define TRP_VERSION_OPS(start_call, cancel_call)                                                 \
    {                                                                                            \
        .signature = trp_version_get_signature, .config = trp_version_get_config,                \
        .patience_ns = trp_version_get_patience_ns, .start = (start_call),                       \
        .cancel = (cancel_call), .state = trp_version_get_state, .stats = trp_version_get_stats, \
        .cost = trp_version_get_cost, .face = trp_version_get_face                               \
    }

/* Makes a NEW version with one reference.  Without `on_unused` the last reference destroys it.
 *   Owns  : counted; `alloc`, `ops`, accounts' parents and `runner` are borrowed.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_version_create(const struct trp_alloc *alloc, const struct trp_version_opts *opts,
                              struct trp_version **out_version, struct trp_error *err);
void trp_version_destroy(struct trp_version *v); /* by whoever was told on_unused; accepts NULL */

/* Owners: snapshots, calls, life.
 *   Owns  : counted.
 *   Thread: any.
 *   Errors: none. */
void trp_version_ref(struct trp_version *v);
void trp_version_unref(struct trp_version *v);
void trp_version_release_target(struct trp_target *t); /* a pin's release function */

/* Sets the reason.  Without memory for the text, the reason is that.
 *   Owns  : copied.
 *   Thread: control, before the state moves to where it is read.
 *   Errors: none. */
void trp_version_say(struct trp_version *v, struct trp_str text);

/* What it has counted; zeros for one that shares what it counts with others.
 *   Owns  : borrowed from the version, or static.
 *   Thread: any.
 *   Errors: none. */
const struct trp_stats *trp_version_counts(const struct trp_version *v);

/* Why it is in the state it is in (see `reason`); empty while it is loading.
 *   Owns  : borrowed from the version.
 *   Thread: any.
 *   Errors: none. */
struct trp_str trp_version_reason(const struct trp_version *v);

/* Whether a call may be sent to it: it serves, or is cold and the call waits until its model is
 * loaded.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
bool trp_version_takes_calls(const struct trp_version *v);

/* Whether clients may take it for ready: READY, or cold and nothing is known that would keep it
 * from being loaded.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
bool trp_version_counts_as_ready(const struct trp_version *v);

/* Who says what is known of a version: itself, or while it loads and after it failed, the cold one
 * that it came from.  Its signature and configuration hold.
 *   Owns  : borrowed from the version.
 *   Thread: any.
 *   Errors: NULL: nobody has looked into its files yet. */
const struct trp_version *trp_version_face(const struct trp_version *v);

/* A cold version takes what is known of the one whose files it stands for: signature,
 * configuration, how long it loads and runs.
 *   Owns  : copied.
 *   Thread: control; before it is published.
 *   Errors: false: no memory, or nothing is known; has_signature stays false then. */
bool trp_version_take_face(struct trp_version *v, const struct trp_version *from);
void trp_version_take_times(struct trp_version *v, const struct trp_version *from);

/* How long one run takes, or took when it was loaded last; 0: not known.
 *   Units : ns.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
int64_t trp_version_run_ns(const struct trp_version *v);

/* How it was opened, and why not otherwise: "mapped", "as it is: too small for preparing to pay";
 * empty while it is not open.  Life puts another text there when it knows more, such as why it
 * cannot be prepared.
 *   Owns  : borrowed from the version.
 *   Thread: any.
 *   Errors: none. */
struct trp_str trp_version_opening(const struct trp_version *v);

/* Whether its calls run together, and why: "on: ...", "off: ..."; empty: nobody has wanted to know
 * yet.
 *   Owns  : borrowed from the version.
 *   Thread: any.
 *   Errors: none. */
struct trp_str trp_version_batching(const struct trp_version *v);

static inline struct trp_version *trp_version_of(struct trp_target *t)
{
    return TRP_CONTAINER_OF(t, struct trp_version, target);
}

/* How many of its runs may go on at once: as an operator said, or else as its configuration says;
 * 0: no limit.  Of a backend that makes one run at a time there is one, whatever this says:
 * trp_exec_instances().
 *   Owns  : nothing.
 *   Thread: any that may read its configuration.
 *   Errors: none. */
static inline uint32_t trp_version_instances(const struct trp_version *v)
{
    const int64_t set = trp_gauge_get(&v->instances);
    return set > 0 ? (uint32_t)set : v->config.instances;
}

#endif
