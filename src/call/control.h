/* call/control.h - a question to the server itself.
 * Answers "what may be asked besides inference?".  Front decodes it (HTTP or gRPC) into a request
 * tree under the message table of wire/oip_messages.h, admin answers with a reply tree, front
 * encodes that.  The same operation therefore has one implementation for every protocol. */
#ifndef TRP_CONTROL_H
#define TRP_CONTROL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/loop.h"
#include "base/status.h"
#include "base/str.h"
#include "call/call.h"
#include "conf/node.h"

/* X(id, changes_state): the request and reply messages are those of
 * inference.GRPCInferenceService's RPC. */
/* clang-format off */
#define TRP_CONTROL_OPS(X)    \
    X(SERVER_LIVE, 0)         \
    X(SERVER_READY, 0)        \
    X(SERVER_METADATA, 0)     \
    X(MODEL_READY, 0)         \
    X(MODEL_METADATA, 0)      \
    X(MODEL_CONFIG, 0)        \
    X(MODEL_STATISTICS, 0)    \
    X(REPOSITORY_INDEX, 0)    \
    X(MODEL_LOAD, 1)          \
    X(MODEL_UNLOAD, 1)        \
    X(SHM_STATUS, 0)          \
    X(SHM_REGISTER, 1)        \
    X(SHM_UNREGISTER, 1)      \
    X(CUDA_SHM_STATUS, 0)     \
    X(CUDA_SHM_REGISTER, 1)   \
    X(CUDA_SHM_UNREGISTER, 1) \
    X(TRACE_GET, 0)           \
    X(TRACE_SET, 1)           \
    X(LOG_GET, 0)             \
    X(LOG_SET, 1)             \
    X(METRICS, 0)             \
    X(API_MODELS, 0)          \
    X(API_OPENAPI, 0)         \
    X(API_LABELS_GET, 0)      \
    X(API_LABELS_SET, 1)      \
    X(API_PIN, 1)             \
    X(API_UNPIN, 1)           \
    X(API_EVICT, 1)           \
    X(API_RESIDENCY, 0)       \
    X(API_COST, 0)            \
    X(API_INSTANCES_GET, 0)   \
    X(API_INSTANCES_SET, 1)   \
    X(API_ROUTES, 0)          \
    X(API_TIME_GET, 0)        \
    X(API_TIME_SET, 1)        \
    X(API_FEEDBACK, 1)
/* clang-format on */

enum trp_control_op {
#define X(id, changes_state) TRP_CONTROL_##id,
    TRP_CONTROL_OPS(X)
#undef X
        TRP_CONTROLS
};

struct trp_control {
    enum trp_control_op op;
    enum trp_protocol protocol;
    struct trp_str model;           /* empty: none named */
    int64_t version;                /* 0: none named; below: a label's key */
    const struct trp_node *request; /* normal tree, or NULL when empty */
    uint32_t loop_index;
    struct trp_loop *loop;
    /* Of the request; the reply is built here, on the loop or while the loop waits for it. */
    struct trp_arena *arena;
    int64_t deadline_ns; /* 0: none */

    struct trp_error error;       /* status OK: the reply holds */
    const struct trp_node *reply; /* normal tree, or NULL when empty */
    struct trp_str raw;           /* API_*: the text; of the arena, or static */
    struct trp_buf *page; /* METRICS: the text, until `done` has returned; may be taken out of it */
    const char *raw_type; /* the content type of either */

    /* On the loop, exactly once, never from inside the handler. */
    void (*done)(struct trp_control *control, void *user);
    void *done_user;
    struct trp_task task;
    struct trp_mail mail;
    void *handler_slot; /* the handler's while it works */
};

static inline bool trp_control_changes_state(enum trp_control_op op)
{
    static const bool changes[TRP_CONTROLS] = {
#define X(id, changes_state) [TRP_CONTROL_##id] = (changes_state),
        TRP_CONTROL_OPS(X)
#undef X
    };
    return changes[op];
}

/* A target that somebody looks for. */
struct trp_sought {
    struct trp_str model;
    int64_t version; /* 0: the default one */
    /* Decoded and not yet bound: the name may stand for several, of which its inputs choose; then
     * answered_by and answered_why are set.  NULL: nobody asks yet. */
    struct trp_call *call;
};

/* What front calls; app fills it.  Everything on the loop's thread. */
struct trp_handlers {
    void *user;
    /* Finds a target and pins it: *out_release gives it back.
     *   Errors: NOT_FOUND, NOT_READY with the words that clients expect. */
    trp_status (*find)(void *user, uint32_t loop_index, const struct trp_sought *sought,
                       struct trp_target **out_target, void (**out_release)(struct trp_target *),
                       struct trp_error *err);
    /* Answers a control request, soon or later. */
    void (*control)(void *user, struct trp_control *control);
    /* Turns a shared-memory region and range into memory and holds it; `release` lets it go (any
     * thread).
     *   Errors: NOT_FOUND, INVALID_ARGUMENT (range). */
    trp_status (*region)(void *user, struct trp_str name, uint64_t offset, uint64_t bytes,
                         void **out_ptr, void **out_hold, struct trp_error *err);
    void (*region_release)(void *hold, void *ptr);
    /* Statistics of a finished call (success or failure), called once per inference request that
     * had a target. */
    void (*finished)(void *user, uint32_t loop_index, struct trp_call *call);
    /* Writes as JSON what the route or composition of the call's name would do with it; nothing is
     * asked or counted.  NULL: there are none.
     *   Errors: NOT_FOUND: it is neither. */
    trp_status (*explain)(void *user, uint32_t loop_index, const struct trp_call *call,
                          struct trp_buf *out, struct trp_error *err);
};

#endif
