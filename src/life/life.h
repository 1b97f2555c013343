/* life/life.h - the road of a model from a folder to READY, and back.
 * Answers "what makes a version ready, or gone?".  The control thread decides; loader threads do
 * the slow steps, several at once, and post back.  Hot replacement: the new version is ready before
 * the old one leaves; requests in flight finish on the version they started on; a load that
 * fails leaves the old one serving and says why. */
#ifndef TRP_LIFE_H
#define TRP_LIFE_H

#include "backend/backend_host.h"
#include "base/alloc.h"
#include "base/loop.h"
#include "exec/exec.h"
#include "life/proposal.h"
#include "memory/eviction.h"
#include "memory/ledger.h"
#include "model/registry.h"
#include "obs/log.h"
#include "repo/repo.h"
#include "store/store.h"

struct trp_life;

enum trp_watch_mode { TRP_WATCH_OFF, TRP_WATCH_POLL, TRP_WATCH_NOTIFY };

struct trp_life_opts {
    struct trp_repo_opts repo;
    const char *const *load_at_start; /* names, with models.load: explicit */
    uint32_t load_at_start_n;
    uint32_t loaders_n;
    int loaders_nice;     /* nice(2) of their threads, so that runs are not kept waiting by loads */
    uint32_t waiting_max; /* calls that wait for one model to be loaded; 0: 4000 */
    int64_t load_ns_max;
    uint64_t warmup_input_bytes_max; /* of one input of a warm-up run */
    enum trp_watch_mode watch;
    int64_t poll_ns, settle_ns;
    int64_t trim_ns;        /* between two looks for memory that runs left behind; 0: never */
    uint64_t run_bytes_max; /* of a warm-up run; 0: no limit */
    const struct trp_clock *clock;
    struct trp_loop *control; /* the control thread's loop */
    struct trp_backends *backends;
    struct trp_store *store;    /* of prepared models; NULL: none */
    uint64_t store_bytes_max;   /* 0: no limit */
    int64_t store_pack_ns;      /* between two looks at which mapped models are hot; 0: never */
    double bytes_per_core;      /* what a core is worth here; see heat.h */
    int64_t store_verify_ns;    /* between two readings of all of it; 0: never */
    uint64_t store_verify_rate; /* bytes a second; 0: as fast as it goes */
    struct trp_ledger *ledger;  /* where there must be room for a load; NULL: nowhere */
    enum trp_eviction_policy policy;
    int64_t stay_ns;               /* who was just loaded is not evicted for so long */
    uint64_t hibernated_bytes_max; /* that hibernated models may still hold; 0: none hibernates */
    uint64_t loading_bytes_max;    /* of loads at once; 0: no limit but the ledger's */
    struct trp_exec *exec;
    struct trp_log *log;
    struct trp_metrics *metrics;
    struct trp_account *weights, *activations;
    struct trp_account *shared; /* weights that are mapped, each once */
    uint32_t readers_n;         /* loops that hold snapshots */
    /* Called on the control thread with each new snapshot; whoever holds an older one answers
     * with trp_life_seen(). */
    void (*publish)(void *user, const struct trp_snapshot *snapshot);
    void *publish_user;
    /* Called on the control thread when a listing was taken up, with all that was found: folders
     * that declare something made of models (`definition`) are nobody's but this one's.
     * `is_watched`: a watcher asked, or an order that is patient.
     * Borrowed for the time of the call.  NULL: nobody asks. */
    void (*listed)(void *user, const struct trp_repo_listing *listing, bool is_watched);
    void *listed_user;
    /* Called on the control thread when a name of `load_at_start` was looked for in vain, after the
     * first listing was handed on: is it somebody else's, who has what it needs loaded?
     * NULL: it is nobody's. */
    bool (*is_made)(void *user, struct trp_str name);
    void *is_made_user;
    /* Called on the control thread before other versions stand behind a name, or a label of it
     * moves; see proposal.h.  `now` is what they are compared with; NULL: the snapshot that was
     * published last.  NULL: anything may.
     * Errors: FAILED_PRECONDITION: what is made of the model works now, and would not any more;
     *         OUT_OF_MEMORY. */
    trp_status (*fits)(void *user, const struct trp_proposal *next, const struct trp_proposal *now,
                       struct trp_error *err);
    void *fits_user;
};

/* Makes it; nothing happens before trp_life_start().
 *   Owns  : the caller destroys after the control loop has ended; opts copied, everything in them
 *           borrowed.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY, IO. */
trp_status trp_life_create(const struct trp_alloc *alloc, const struct trp_life_opts *opts,
                           struct trp_life **out_life, struct trp_error *err);
void trp_life_destroy(struct trp_life *l);

/* Lists the repository and begins to load what is wanted.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: the listing's; the server goes on with an empty repository. */
void trp_life_start(struct trp_life *l);

/* Reader `index` took the snapshot of `epoch`.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_life_seen(struct trp_life *l, uint32_t index, uint64_t epoch);

/* A wish of an operator; answered by `done` on the control thread.  A load ends when the model is
 * READY or FAILED; an unload when its versions have left the registry (in-flight calls may still
 * hold them), a rescan when what was found is in the index; loads that it began go on; a pin when
 * the model is loaded and stays; an unpin when it may go by itself again; an eviction when its
 * versions have left, as with an unload, but the next request has it loaded again; a scale when its
 * number holds; a survey when the index has all that can be known of the model without loading it.
 * In each case every reader has seen the snapshot that holds the result before `done` is called.
 *   Owns  : the order is the caller's until `done`.
 *   Thread: control.
 *   Errors: in order->error, with Triton's words. */
struct trp_order {
    enum {
        TRP_ORDER_LOAD,
        TRP_ORDER_UNLOAD,
        TRP_ORDER_RESCAN,
        TRP_ORDER_SURVEY,
        TRP_ORDER_LABEL,
        TRP_ORDER_PIN,
        TRP_ORDER_UNPIN,
        TRP_ORDER_EVICT,
        TRP_ORDER_SCALE
    } kind;
    struct trp_str model;
    struct trp_str config;          /* load: a JSON ModelConfig that overrides; empty: none */
    struct trp_order_file {         /* load: files that replace the folder */
        struct trp_str path, bytes; /* "1/model.onnx" */
    } * files;
    uint32_t files_n;
    bool is_patient;       /* rescan: what has changed is taken up only if it has settled */
    bool is_forced;        /* load, label: though it breaks what is made of the model */
    bool has_keep_alive;   /* load: how long it stays without a request; otherwise it is pinned */
    int64_t keep_alive_ns; /* < 0: as long as there is room */
    const struct trp_version_label *labels; /* label: where to move each; version 0: away */
    uint32_t labels_n;
    int64_t version;    /* scale: which one; 0: all of the model */
    uint32_t instances; /* scale: run slots; 0: as the configuration says */
    struct trp_error error;
    void (*done)(struct trp_order *order, void *user);
    void *user;
    /* life's own */
    struct trp_order *next;
    uint64_t
        epoch; /* of the snapshot that every reader must have seen before the order is answered */
};
void trp_life_submit(struct trp_life *l, struct trp_order *order);

/* What is made of models is other than it was: versions that were held back for it are looked at
 * once more.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: logged. */
void trp_life_reconsider(struct trp_life *l);

/* Whether the first look at the repository is over, so that every reader's snapshot has what it
 * found; whether the first loads have ended; and whether all that should be ready is.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
bool trp_life_is_listed(const struct trp_life *l);
bool trp_life_is_started(const struct trp_life *l);
bool trp_life_is_settled(const struct trp_life *l);

/* Gives everything up: drains, closes, releases; calls `done` on the control thread when all are
 * GONE.  Until then readers must go on answering with trp_life_seen(), or be reported gone with
 * epoch UINT64_MAX.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_life_stop(struct trp_life *l, void (*done)(void *user), void *user);

#endif
