/* model/model_config.h - one model's configuration, checked against its file.
 * Answers "how does the owner want this model served?".  conf/model_schema.h says what may be
 * written; this takes out what the server acts upon, and fills in what was left out. */
#ifndef TRP_MODEL_CONFIG_H
#define TRP_MODEL_CONFIG_H

#include "conf/model_schema.h"
#include "model/card.h"
#include "model/queue_rules.h"
#include "model/sequence_config.h"
#include "model/slot_groups.h"
#include "model/version_label.h"
#include "tensor/signature.h"

/* How long a model is kept once it is loaded, and against whom. */
struct trp_keeping {
    int64_t keep_alive_ns; /* without a request; < 0: as long as there is room */
    uint64_t max_bytes;    /* of each version; 0: no limit */
    uint32_t priority;     /* against others, when room is short: 1 to 100; more stays longer */
    bool pin;              /* never let go by itself */
};
#define TRP_KEEP_ALIVE_NONE INT64_C(-1)
#define TRP_KEEPING_PRIORITY 10u
#define TRP_KEEPING_HAS_STAY 1u
#define TRP_KEEPING_HAS_PIN 2u
#define TRP_KEEPING_HAS_PRIORITY 4u
#define TRP_KEEPING_HAS_BYTES 8u

enum trp_load_policy {
    TRP_LOAD_DEFAULT,
    TRP_LOAD_STARTUP,
    TRP_LOAD_EXPLICIT,
    TRP_LOAD_ON_DEMAND,
    TRP_LOAD_BACKGROUND
};

/* Whether calls of a version may run together; TRP_BATCHING_DEFAULT only while nothing is
 * settled. */
enum trp_batching {
    TRP_BATCHING_DEFAULT,
    TRP_BATCHING_AUTO, /* when its rows are known to be independent */
    TRP_BATCHING_ON,   /* its owner says that they are */
    TRP_BATCHING_OFF
};

/* Whether a version runs in a process of its own. */
enum trp_isolation_wish {
    TRP_ISOLATION_DEFAULT,
    TRP_ISOLATION_AUTO, /* when its file says that a request could end the process */
    TRP_ISOLATION_NONE,
    TRP_ISOLATION_PROCESS
};

#define TRP_BATCH_ROWS 64u     /* of a batch, where no max_batch_size says */
#define TRP_INSTANCES_MAX 1024 /* that an operator may ask for */

/* What matters more: that one run is fast, or that many go on side by side. */
enum trp_hint { TRP_HINT_DEFAULT, TRP_HINT_LATENCY, TRP_HINT_THROUGHPUT };

/* How batches are formed (dynamic_batching, or the strategy of sequence_batching), where anything
 * is said; zero: nobody waits, and every number of rows is as good. */
#define TRP_JOINING_SIZES 16
#define TRP_JOINING_DELAY_MAX_US UINT64_C(60000000)
struct trp_joining_wishes {
    int64_t delay_ns;                                   /* for company, at most */
    uint32_t preferred[TRP_JOINING_SIZES], preferred_n; /* rows, ascending */
    uint32_t rows_enough; /* for these nobody waits; 0: the next preferred, or all that may be */
};

/* What the server acts upon, taken out of the tree. */
struct trp_model_config {
    const struct trp_node *tree; /* normal form, completed; what /config shows */
    struct trp_str name, backend, platform, default_file;
    int32_t batch_max; /* max_batch_size */
    enum trp_batching batching;
    enum trp_isolation_wish isolation; /* never DEFAULT */
    enum trp_hint hint;
    const struct trp_joining_wishes *joining; /* NULL: none */
    enum trp_load_policy load;
    uint32_t keeping_written;   /* which were of the next: TRP_KEEPING_HAS_... */
    struct trp_keeping keeping; /* keep_alive, pin, priority, max_bytes */
    struct {                    /* version_policy */
        enum { TRP_VERSIONS_LATEST, TRP_VERSIONS_ALL, TRP_VERSIONS_SPECIFIC } kind;
        uint32_t latest_n;
        const int64_t *specific;
        uint32_t specific_n;
    } versions;
    struct trp_card card;                   /* what it is for; the file's words are not in it yet */
    const struct trp_version_label *labels; /* of versions; names are whole and distinct */
    uint32_t labels_n;
    uint32_t instances;                   /* run slots; 0: no limit */
    const struct trp_cores *cores;        /* its runs go there; NULL: wherever an executor is */
    const struct trp_slot_groups *groups; /* unlike slots, `cores` is NULL then; NULL: all alike */
    const struct troupe_device_id *devices; /* where its slots are (model/slot_devices.h) */
    const struct trp_queue_rules *queue;    /* NULL: none were written */
    const struct troupe_option
        *options; /* for the backend: `parameters`, `graph.level`, `gpu_execution_accelerator...` */
    uint32_t options_n;
    uint32_t devices_n; /* of `devices`; 0: all on the CPU, or not settled yet */
    struct trp_sequence_config
        *sequences; /* sequence_batching; NULL: none, or not held against the file yet */
};

/* Completes a tree (NULL: nothing was written) from what the file says, checks what was written
 * against it, and takes out what is acted upon.  `file_signature` has full shapes (batch included);
 * *out_signature is what clients see: dims of the tree (a size that only the file fixes holds too),
 * batch dimension in front when max_batch_size > 0, labels, optional.  With a reshape the two
 * differ in rank.  Inputs stand in the file's order, outputs in the configuration's, which may
 * leave some out; what sequence_batching names is hidden behind them.
 *   Shape : with batch_max > 0 all that clients see must have a free (or absent-rank) first
 *           dimension in the file.
 *   Owns  : everything lives in `a`.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT: which input or output, what the file says, what the configuration
 *           says; and as peek(). */
trp_status trp_model_config_complete(struct trp_arena *a, struct trp_str name,
                                     const struct trp_node *written,
                                     const struct trp_signature *file_signature,
                                     struct trp_model_config *out_config,
                                     struct trp_signature *out_signature, struct trp_error *err);

/* Takes out all that can be known before the file is looked at: everything but inputs and outputs.
 * `name`, `backend` and `platform` are empty where nothing was written.
 *   Owns  : everything lives in `a`, but out_config->tree is `written`.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT with file:line; UNIMPLEMENTED for what is reserved: ensembles. */
trp_status trp_model_config_peek(struct trp_arena *a, const struct trp_node *written,
                                 struct trp_model_config *out_config, struct trp_error *err);

/* The first input or output that is not known to have a free first axis, so that its rows cannot be
 * joined; NULL: there is none.
 *   Owns  : borrowed from the signature.
 *   Thread: any.
 *   Errors: none. */
const struct trp_io *trp_model_config_fixed(const struct trp_signature *s);

/* The accelerators for runs on a GPU that a configuration names, one at least; NULL: none.
 *   Owns  : borrowed from the tree.
 *   Thread: any.
 *   Errors: none. */
const struct trp_node *trp_model_config_accelerators(const struct trp_node *tree);

/* Fills in what was not written: when it is loaded, how it is kept (NULL: the built-in defaults
 * stay).
 *   Owns  : copied.
 *   Thread: owner.
 *   Errors: none. */
void trp_model_config_default(struct trp_model_config *c, enum trp_load_policy load,
                              const struct trp_keeping *keeping);

#endif
