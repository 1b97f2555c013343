/* app/preparation.h - the models of a repository, prepared ahead of time.
 * Answers "is all of this in the store, and why is that one not?". */
#ifndef TRP_PREPARATION_H
#define TRP_PREPARATION_H

#include "base/arena.h"
#include "conf/settings.h"
#include "obs/log.h"

enum trp_prepared_state {
    TRP_PREPARED_NOT_YET, /* given up before its turn came */
    TRP_PREPARED_NOW,
    TRP_PREPARED_BEFORE,  /* and whole */
    TRP_PREPARED_REFUSED, /* cannot be prepared, and loads plainly */
    TRP_PREPARED_FAILED,  /* and would not load either; or the store does not take it */
    TRP_PREPARED_STATES
};

/* "not yet", "prepared", "already there", "refused", "failed".
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const char *trp_prepared_state_name(enum trp_prepared_state state);

struct trp_prepared {
    struct trp_str id; /* "resnet50/3" */
    enum trp_prepared_state state;
    struct trp_error why; /* of REFUSED and FAILED */
};

struct trp_preparation_opts {
    const struct trp_settings *settings;
    const char *const *repositories; /* folders; the first that has a name has the model */
    uint32_t repositories_n;         /* one or more */
    const char *store;               /* a folder */
    uint32_t jobs;                   /* at once, 1 or more */
    struct trp_log *log;             /* may be NULL */
    /* Told of each version that is done, on the thread that runs it all; may be NULL. */
    void (*on_progress)(void *user, uint32_t done, uint32_t of, const struct trp_prepared *last);
    void *user;
};

struct trp_preparation {
    struct trp_arena arena;
    struct trp_prepared *items; /* versions, in the repository's order */
    uint32_t n, counts[TRP_PREPARED_STATES];
    uint32_t others_n; /* models of backends that have nothing to prepare */
    uint64_t weights_bytes,
        stored_bytes;   /* of the blobs of all of them: counted for each, counted once */
    uint32_t removed_n; /* artefacts that went, because of store.max_bytes */
};

/* Prepares what is not in the store yet; then, with store.max_bytes, removes what is too much.
 *   Owns  : `opts` is borrowed; the caller deinits `p`, also after a failure.
 *   Thread: owner; starts `jobs` threads and ends them.
 *   Blocks: disk, device; as long as it takes.
 *   Errors: of the store, the repository and the backend as such: what came before it was given up
 *           is in `p`.  A model that cannot be prepared is none. */
trp_status trp_preparation_run(struct trp_preparation *p, const struct trp_preparation_opts *opts,
                               struct trp_error *err);
void trp_preparation_deinit(struct trp_preparation *p);

#endif
