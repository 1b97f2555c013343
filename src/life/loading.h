/* life/loading.h - one version's way from its files to an open, warm model.
 * Answers "what is done, in which order, before a version may answer?".  Private to this room. */
#ifndef TRP_LOADING_H
#define TRP_LOADING_H

#include "life/life.h"
#include "life/loader.h"
#include "life/mapping.h"
#include "life/rehearsal.h"
#include "life/sizing.h"

/* Digests of versions whose files were read and are what their manifests say: a place each, the
 * newest wins, so whatever is not found here is read once more. */
struct trp_matched {
    struct trp_counter digests[4096];
};

/* What every loading needs and none changes. */
struct trp_loading_env {
    struct trp_backends *backends;
    struct trp_store *store;    /* NULL: none */
    struct trp_blob_uses *uses; /* of all models that are open */
    struct trp_log *log;
    struct trp_metrics *metrics;
    struct trp_matched *matched;           /* shared by all */
    const struct trp_admission *admission; /* of first runs */
    struct trp_exec *exec;                 /* where sequences are kept */
    const struct trp_clock *clock;
    uint64_t label_bytes_max, input_bytes_max, output_bytes_max, run_bytes_max;
};

/* Filled by a loader thread, taken by control when the job is done; until then nobody else looks
 * at it. */
struct trp_loaded {
    struct trp_error error;          /* status OK: the rest holds */
    struct trp_backend_model *model; /* NULL after a survey */
    struct trp_model_config config;
    struct trp_signature signature;
    struct trp_signature file_signature; /* of the open model; zero after a survey */
    char warning[512];                   /* what an operator should know, or empty */
    struct trp_str device_warning;       /* what asks for a device in vain, a line each; or empty */
    uint64_t bytes;                      /* private memory of the open model */
    struct trp_backend *backend;         /* that opened it */
    struct trp_mapping mapping;          /* how */
    struct trp_sequencer *sequencer;     /* of what has sequences; one reference */
};

struct trp_loading {
    struct trp_job job;                  /* first */
    const struct trp_loading_env *env;   /* borrowed */
    struct trp_version *version;         /* its arena is used, nothing else of it is touched */
    const struct trp_repo_model *source; /* borrowed; constant */
    bool survey;                         /* only look: the signature, */
    bool whole;      /* and the configuration in force, because somebody asked for it */
    bool takes_over; /* from a version that serves: its first answer is to be no slower */
    struct trp_rehearsal *rehearsal; /* of what takes over */
    bool is_packed;                  /* mapped weights may be copied: see heat.h */
    uint64_t bytes_max;              /* that it may hold; 0: no limit */
    /* Told on the loader thread: when either half begins, when the model is open and nobody has run
     * it yet, and when its first runs begin; may be NULL. */
    void (*on_begin)(struct trp_loading *l);
    void (*on_open)(struct trp_loading *l);
    void (*on_warm)(struct trp_loading *l);
    const struct trp_measured *measured; /* what its files took before; may be NULL */
    struct trp_loaded loaded;
    /* between its two halves */
    struct trp_loading_steps *steps; /* NULL: it is not between them */
    struct trp_size size; /* what it will take; its texts live until the second half has ended */
};

/* The first half of a load: compares the files with their manifest, reads the file's head (hazards,
 * external data that must lie beside it), completes and checks the configuration, and says how much
 * it will take.  A survey is that alone, and has no second half.
 *   Owns  : what the halves share, until trp_loading_finish() or trp_loading_drop().
 *   Thread: loader.
 *   Blocks: disk.
 *   Errors: in loaded.error; there is no second half then. */
void trp_loading_look(struct trp_loading *l);

/* The second half: starts the backend, opens, checks the configuration against what was opened,
 * reads the labels, warms up.
 *   Owns  : `loaded` moves to the caller; its texts live in the version's arena.
 *   Thread: loader.
 *   Blocks: disk, device.
 *   Errors: in loaded.error; nothing is open then. */
void trp_loading_finish(struct trp_loading *l);
void trp_loading_drop(
    struct trp_loading
        *l); /* instead, when it was given up; nothing happens outside of its halves */

/* Both halves, one after the other.
 *   Owns  : as trp_loading_finish().
 *   Thread: loader.
 *   Blocks: disk, device.
 *   Errors: in loaded.error; nothing is open then. */
void trp_loading_work(struct trp_loading *l);

#endif
