/* call/call.h - one question on its way down, and its answer on the way up.  Answers "what is being
 * asked?".
 *
 * A call lives in its loop's pool and belongs to that loop; while it runs, an executor borrows it.
 * Everything variable lies in its arena; tensors name their lender.  A call that takes one step
 * allocates nothing.
 *
 *   IDLE --take--> OPEN --start--> (rooms push `done`) --> finish --> done, done, ... --> give back
 *
 *  1. `outcome` leaves OPEN exactly once: DONE, CANCELLED or EXPIRED.  Who moved it decides the
 *     answer.
 *  2. trp_call_finish() pops one `done` at a time; each runs on the call's loop, exactly once,
 *     never inside a start().
 *  3. Whoever starts a call gets it back through `done`, whatever happened: cancelling makes that
 *     sooner, it does not take the memory away from a run that uses it. */
#ifndef TRP_CALL_H
#define TRP_CALL_H

#include "base/arena.h"
#include "base/atomic.h"
#include "base/loop.h"
#include "base/status.h"
#include "base/str.h"
#include "call/cancel.h"
#include "call/queue_node.h"
#include "tensor/pool.h"
#include "tensor/signature.h"
#include "troupe/tensor.h"

struct trp_trace_mail;
struct trp_target;
struct trp_call;
struct trp_call_pool;
struct trp_call_memory;
struct trp_fanout;
struct trp_split;
struct trp_tenant;
struct trp_rate_limit;
enum trp_protocol {
    TRP_PROTOCOL_HTTP1,
    TRP_PROTOCOL_HTTP2,
    TRP_PROTOCOL_GRPC,
    TRP_PROTOCOL_INTERNAL
};

/* How a request has come, as rules and their explanations call it: "http" of either version,
 * "grpc", "internal".
 *   Owns  : static.
 *   Thread: any.
 *   Errors: parse: false: none of these; *out is untouched. */
const char *trp_call_protocol_name(enum trp_protocol protocol);
bool trp_call_protocol_parse(struct trp_str text, enum trp_protocol *out);

enum trp_outcome { TRP_OUTCOME_OPEN, TRP_OUTCOME_DONE, TRP_OUTCOME_CANCELLED, TRP_OUTCOME_EXPIRED };

enum trp_priority_class { TRP_PRIORITY_NORMAL, TRP_PRIORITY_INTERACTIVE, TRP_PRIORITY_BATCH };

/* When something happened; ns, monotonic; 0: not reached. */
enum trp_phase {
    TRP_PHASE_ARRIVED,      /* first byte of the request */
    TRP_PHASE_RECEIVED,     /* last byte */
    TRP_PHASE_DECODED,      /* tensors are ready */
    TRP_PHASE_QUEUED,       /* handed to a scheduler */
    TRP_PHASE_RUN_START,    /* an executor or the loop took it */
    TRP_PHASE_INPUT_END,    /* inputs were prepared, the backend begins */
    TRP_PHASE_OUTPUT_START, /* the backend has ended */
    TRP_PHASE_RUN_END,      /* outputs are in the call */
    TRP_PHASE_ENCODED,      /* the reply is bytes */
    TRP_PHASE_SENT,         /* the last byte was handed to the kernel */
    TRP_PHASES
};

/* A request parameter or header, typed. */
enum trp_param_kind {
    TRP_PARAM_BOOL,
    TRP_PARAM_INT,
    TRP_PARAM_UINT,
    TRP_PARAM_DOUBLE,
    TRP_PARAM_STR
};
struct trp_param {
    struct trp_str name;
    enum trp_param_kind kind;
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double d;
        struct trp_str s;
    } v;
};
struct trp_header {
    struct trp_str name, value; /* the name in lower case */
};

/* A tensor of a call and how it wants to travel. */
struct trp_call_tensor {
    struct trp_str name;
    struct troupe_tensor tensor; /* its release function names the lender */
    const struct trp_alloc *account;
    struct trp_str region; /* shared memory that holds it; empty: none */
    uint64_t region_offset, region_bytes;
    /* An output whose classes have other names than the target's signature says (compositions:
     * those of the model that made it); NULL: they have not.  Borrowed from a version that the
     * call, or one that it keeps, has pinned. */
    const struct trp_str *labels;
    uint32_t labels_n;
};

/* An output that the client asked for. */
struct trp_wanted {
    struct trp_str name;
    uint32_t index;          /* in the signature; set when the call is bound to a target */
    bool binary, binary_set; /* HTTP: the binary tensor extension */
    uint32_t classification; /* 0: none; n: the n best classes */
    struct trp_str region;   /* shared memory: name, else empty */
    uint64_t region_offset, region_bytes;
    void *memory; /* where the output should go, with `memory_bytes` room; NULL: anywhere */
    uint64_t memory_bytes;
    void *hold; /* keeps the region mapped; let go by `hold_release` when the call is given back */
    void (*hold_release)(void *hold, void *ptr);
};

typedef void (*trp_done_fn)(struct trp_call *call, void *user);

#define TRP_CALL_DONE_MAX 8 /* told of one call: who started it, routes, compositions, exec */

struct trp_call {
    /* who asks */
    uint64_t number;   /* unique in this process */
    struct trp_str id; /* the client's own, returned as it came; empty: none */
    enum trp_protocol protocol;
    struct trp_str model; /* the name that was asked for */
    int64_t version;      /* 0: the default one; below: a label's key (model/version_label.h) */
    struct trp_str tenant;
    uint64_t sequence_number; /* 0 and an empty text: no sequence */
    struct trp_str sequence_text;
    bool sequence_start, sequence_end;
    struct { /* W3C trace context; zero: none */
        uint8_t trace_id[16], parent_id[8], flags;
    } trace_context;
    uint64_t trace; /* id in the trace file; 0: not traced */
    bool trace_tensors;
    struct trp_str step_name;           /* of a child whose root is traced: which step it does */
    struct trp_trace_mail *trace_steps; /* of a traced root: the records of what it asked */

    /* how urgent */
    int64_t deadline_ns; /* monotonic; 0: none */
    int64_t spare_ns; /* of a child: how long who asks it is still at work once it has answered */
    enum trp_priority_class priority_class;
    uint64_t priority;   /* Triton's number; 0: default */
    bool is_class_named; /* which goes before the number */
    bool is_aside;       /* nobody waits for it: it never runs on a loop */
    int64_t stamps_ns[TRP_PHASES];

    /* what is asked */
    const struct trp_header *headers;
    const struct trp_param *params;
    uint32_t headers_n, params_n;
    struct trp_call_tensor *inputs; /* as sent; once bound: one per input of the signature */
    uint32_t inputs_n;
    struct trp_wanted *wanted; /* empty: all outputs */
    uint32_t wanted_n;
    bool wanted_named, binary_default; /* the client named its outputs; HTTP: binary unless said */
    bool is_unbound; /* its target did not know its signature yet: whoever starts it binds it */
    bool is_waiting; /* exec's: for its model to be loaded or woken; its loop's, as is the next */
    bool is_held;    /* exec's: for its turn in its sequence */
    bool is_attempt; /* it is counted as one that has failed: its route asks another with it */
    struct trp_lease *body;         /* what the input views lie in */
    struct trp_call_memory *memory; /* what was made for it on its way (call/call_memory.h) */

    /* who answers */
    struct trp_target *target; /* pinned; let go when another is, or it is given back */
    void (*target_release)(struct trp_target *target);
    struct trp_call *parent;
    uint32_t step, attempt, depth; /* the last: how many stand above it */
    bool stands_in; /* it asks the same as its parent, in its place: rules see that one's request */
    struct trp_cancel cancel;
    uint32_t lent_n; /* children (call/call_child.h) that look at what it came with; its loop's */
    void (*on_free)(struct trp_call *call, void *user); /* they have ended: it may be given back */
    void *on_free_user;
    struct trp_call *kept; /* children that came back, whose outputs it answers with */

    /* the answer */
    struct trp_oneshot outcome;      /* enum trp_outcome */
    struct trp_call_tensor *outputs; /* one per `wanted`, same order */
    uint32_t outputs_n;
    struct trp_str answered_by, answered_why; /* which model, and why; empty: as asked */
    int64_t answered_version;
    /* What the index of a wanted output means when a child of a route has answered it; NULL: its
     * target's.  Borrowed from a version that one of its children has pinned. */
    const struct trp_signature *answered_as;
    bool is_too_late; /* it was refused, because no answer was possible by its deadline */
    const struct trp_param *notes; /* what the reply says besides, each under its name */
    uint32_t notes_n;

    /* the way back */
    struct {
        trp_done_fn fn;
        void *user;
    } done[TRP_CALL_DONE_MAX];
    uint32_t done_n;
    struct trp_loop *loop;
    struct trp_task finish_task;         /* inline runs finish through the loop's ready list */
    struct trp_mail finish_mail;         /* executors post */
    void (*home)(struct trp_call *call); /* see trp_call_send_home() */
    struct trp_call *queue_next;         /* whoever holds the call may chain it */
    struct trp_queue_node queue_node;    /* whoever holds the call may link it both ways */
    void *exec_slot;                     /* exec's, while it holds the call */
    void *batch; /* exec's, under its lock: what it runs in with others, or NULL */
    uint64_t batch_key, batch_rows; /* exec's: which calls it may run with (0: none); its rows */
    uint64_t run_peak_bytes;        /* exec's: what its run held at most; 0: not known */
    struct trp_split
        *split; /* exec's: how far its run has come that is done in parts; NULL: it is not */
    struct trp_fanout
        *fanout;         /* exec's, under its lock: who runs it side by side, or whose part it is */
    uint32_t slot_group; /* exec's: which of its version's slots its run has; 0: any of them */
    int64_t place;       /* sched's: where the next that it asks will stand; 0: at the end */
    uint64_t run_id;     /* exec's: what a backend knows its run by; 0: its address */
    int64_t short_since_ns; /* exec's: since when there is no room for its run; 0: nobody said so */
    void *sequence;         /* exec's: the one that it belongs to (exec/sequencer.h); NULL: none */
    struct trp_tenant *payer; /* exec's: whose share its run takes; NULL: nobody's in particular */
    struct trp_rate_limit *model_rate; /* exec's: its model's limit, which counts it, or NULL */
    bool is_metered;                   /* exec's: it is counted in the limits of both */
    struct trp_call_pool *pool;
    void *queue; /* the queue it waits in; NULL: it waits nowhere */

    /* from here on not zeroed when a call is taken: it would be half of the work */
    struct trp_queue_seat seat; /* sched's, while the call waits */
    struct trp_error error;     /* status OK: `outputs` hold */
    struct trp_arena arena;
};

/* Makes a loop's pool of calls.
 *   Units : arena_bytes: first block of each call's arena; arena_max: its limit; calls_max: leased
 *           at once.
 *   Owns  : the caller destroys, after every call came back.
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_call_pool_create(const struct trp_alloc *alloc, struct trp_loop *loop,
                                size_t arena_bytes, size_t arena_max, uint32_t calls_max,
                                struct trp_call_pool **out_pool, struct trp_error *err);
void trp_call_pool_destroy(struct trp_call_pool *p);

/* Takes a call, all zero but number, loop, arena and pool; gives it back and all that it holds,
 * kept children included.
 *   Owns  : moves to the caller; back to the pool.  Not while `lent_n` is not 0; see `on_free`.
 *   Thread: loop.
 *   Errors: NULL when calls_max are out, or memory is short. */
struct trp_call *trp_call_take(struct trp_call_pool *p);
void trp_call_give_back(struct trp_call *call);
uint32_t trp_call_pool_out(const struct trp_call_pool *p);

/* Frees the idle calls that nobody needed since the last time.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_call_pool_age(struct trp_call_pool *p);

/* Numbers the calls to come from `first` on (otherwise from 1), so that each pool of a process can
 * have a range of its own.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_call_pool_number_from(struct trp_call_pool *p, uint64_t first);

/* Which of the loops a pool's calls belong to (0 until it is said), for targets that look for
 * others (call/finder.h).
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_call_pool_set_index(struct trp_call_pool *p, uint32_t loop_index);
uint32_t trp_call_loop_index(const struct trp_call *call);

/* Pushes the next one to be told.
 *   Owns  : `user` is borrowed until it ran.
 *   Thread: loop.
 *   Errors: more than TRP_CALL_DONE_MAX is a bug and asserts. */
void trp_call_push(struct trp_call *call, trp_done_fn fn, void *user);

/* Says that the work is over: pops the last `done` and runs it.  finish: on the loop, outside any
 * start(); finish_soon: on the loop, by the ready list; finish_from: from another thread, by mail;
 * send_home: by mail to `fn` instead.
 *   Owns  : moves the call to whoever is told.
 *   Thread: loop; loop; any; any.
 *   Errors: none; see call->error. */
void trp_call_finish(struct trp_call *call);
void trp_call_finish_soon(struct trp_call *call);
void trp_call_finish_from(struct trp_call *call);
void trp_call_send_home(struct trp_call *call, void (*fn)(struct trp_call *call));

/* Moves the outcome; true for the one that comes first.  A cancelled or expired call has its token
 * raised; an expiry from another thread than the loop's raises its own token only, for which it
 * must have no children (exec's calls have none). Whoever holds the call writes the words of the
 * answer to call->error, when it gives the call back.
 *   Owns  : nothing.
 *   Thread: any (done, expire), loop (cancel).
 *   Errors: none. */
bool trp_call_try_done(struct trp_call *call);
bool trp_call_try_cancel(struct trp_call *call);
bool trp_call_try_expire(struct trp_call *call);

/* Pins a target, letting an older one go.
 *   Owns  : moves one reference of `target` to the call.
 *   Thread: loop.
 *   Errors: none. */
void trp_call_pin(struct trp_call *call, struct trp_target *target,
                  void (*release)(struct trp_target *target));

/* Binds a decoded call to a signature: inputs are put in its order (absent optional ones with data
 * NULL), `wanted` gets its indices (all outputs when none was named), and everything that can be
 * known before a backend sees it is checked: names, duplicates, dtypes, ranks, fixed dimensions,
 * byte counts, batch limit, BYTES layout.
 *   Shape : with signature->batch_max > 0, dims[0] is the batch: 1..batch_max, the same for all
 *           inputs.
 *   Owns  : pieces lie in the call's arena.
 *   Thread: loop.
 *   Errors: INVALID_ARGUMENT: which input, what came, what was expected; OUT_OF_MEMORY. */
trp_status trp_call_bind(struct trp_call *call, const struct trp_signature *signature,
                         struct trp_error *err);

/* Makes a bound call independent of the signature that it was bound to, so that it can be bound to
 * another.
 *   Owns  : pieces lie in the call's arena.
 *   Thread: loop.
 *   Errors: OUT_OF_MEMORY; it can still be answered. */
trp_status trp_call_unbind(struct trp_call *call, struct trp_error *err);

/* Whether it belongs to a sequence: who answers it may keep a state, which one request moves on
 * once.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
static inline bool trp_call_is_in_sequence(const struct trp_call *call)
{
    return call->sequence_number != 0 || call->sequence_text.len != 0;
}

/* Says what the index of a wanted output means, once the call was answered: the signature of its
 * target, or, of a route, of whom a child has asked for it.  NULL: nobody was asked.
 *   Owns  : borrowed, as long as the call is not given back.
 *   Thread: loop.
 *   Errors: none. */
const struct trp_signature *trp_call_answer_signature(const struct trp_call *call);

/* Finds a parameter or header (lower case) by name; NULL when absent.
 *   Owns  : borrowed.
 *   Thread: loop.
 *   Errors: none. */
const struct trp_param *trp_call_param(const struct trp_call *call, struct trp_str name);
struct trp_str trp_call_header(const struct trp_call *call, struct trp_str name);

#endif
