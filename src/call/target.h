/* call/target.h - whatever can answer a call.
 * Answers "who can answer?".  What stands behind a name is a target: a model version today, an
 * alias, route, ensemble or pipeline tomorrow, so that none of these includes another.  Metadata,
 * readiness, configuration, statistics and index are answered from the table, whatever stands
 * behind it. */
#ifndef TRP_TARGET_H
#define TRP_TARGET_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"
#include "tensor/signature.h"

struct trp_call;
struct trp_target;
struct trp_node;
struct trp_stats;

struct trp_target_state {
    bool ready;
    const char *state;     /* "READY", "LOADING", "UNLOADING", "UNAVAILABLE" */
    struct trp_str reason; /* borrowed from the target; empty: none */
};

struct trp_target_cost {
    int64_t run_ns;  /* learned time of one run; 0: not known yet */
    uint32_t queued; /* calls waiting now */
};

/* What somebody would like to know before it is done. */
struct trp_target_question {
    const struct trp_call *call; /* decoded, not bound */
    uint32_t loop_index;
    const struct trp_str *later; /* inputs that are not known before somebody else has run */
    uint32_t later_n;
    uint32_t *left; /* how many more names are looked behind: a guard */
};

struct trp_target_ops {
    /* What it takes and gives; NULL: not known before it is loaded, a call to it is left unbound
     * (call->is_unbound).
     * Owns: borrowed from the target.  Thread: any. */
    const struct trp_signature *(*signature)(const struct trp_target *t);
    /* Of what is made of other targets (NULL for a model): what clients are told that it takes and
     * gives, which `signature` cannot say when it is decided anew for each call; `out` NULL: only
     * whether it could answer now.
     * Owns: *out lives in `arena`.  Thread: loop.  Errors: why it cannot, in the words of
     *       whoever it lacks; OUT_OF_MEMORY. */
    trp_status (*describe)(const struct trp_target *t, uint32_t loop_index, struct trp_arena *arena,
                           struct trp_signature *out, struct trp_error *err);
    /* Its configuration as a node tree under conf/schema.h's ModelConfig.  Owns: borrowed. */
    const struct trp_node *(*config)(const struct trp_target *t);
    /* How long a request may take that names no time of its own, by what is asked; ns; 0: as long
     * as it likes.  NULL: the same.
     * Thread: any. */
    int64_t (*patience_ns)(const struct trp_target *t, const struct trp_call *call);
    /* Begins to answer.  The call comes back through its `done`, later, exactly once.  The caller
     * has pinned the target and bound the call, or told that it is not.  Thread: loop.  Blocks:
     * never. */
    void (*start)(struct trp_target *t, struct trp_call *call);
    /* Wakes what waits or runs for a call whose token was raised.  Thread: loop. */
    void (*cancel)(struct trp_target *t, struct trp_call *call);
    /* Thread: any. */
    void (*state)(const struct trp_target *t, struct trp_target_state *out);
    struct trp_stats *(*stats)(struct trp_target *t); /* model/stats.h */
    void (*cost)(const struct trp_target *t, struct trp_target_cost *out);
    /* What its files say that it takes and gives, where `signature` knows nothing because it is not
     * loaded: for clients to read, not to bind calls to.  NULL, or NULL back: nobody has looked.
     * Owns: borrowed from the target.  Thread: any. */
    const struct trp_signature *(*face)(const struct trp_target *t);
    /* Writes what it would do with such a call, as a JSON object; nothing is asked, nothing is
     * counted.  NULL: a model, which runs.
     * Owns: all is borrowed.  Thread: loop.  Errors: see out->failed. */
    void (*explain)(const struct trp_target *t, const struct trp_target_question *q,
                    struct trp_buf *out);
};

struct trp_target {
    const struct trp_target_ops *ops;
    struct trp_str name;
    int64_t version;
};

static inline const struct trp_signature *trp_target_signature(const struct trp_target *t)
{
    return t->ops->signature(t);
}
static inline void trp_target_start(struct trp_target *t, struct trp_call *call)
{
    t->ops->start(t, call);
}

#endif
