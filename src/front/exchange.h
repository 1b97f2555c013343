/* front/exchange.h - one request and its answer, whichever protocol carries them.
 * Answers "who asked, what became of it, and who still holds its memory?".
 *
 *   taken -> (head, body) -> dispatched -> answered -> written -> recycled
 *                               |  a call or a control is out: its memory stays until it comes back
 *                               +-> expired: answered at once; the call comes back later and is
 *                               thrown away
 *
 *  1. An exchange is recycled when nothing that it started is out AND nothing of its answer is
 *     unwritten.
 *  2. `conn` is NULL once the client is gone; what is out then is cancelled, and still waited for.
 *  3. `is_answered` is set once; whoever comes later keeps silent. */
#ifndef TRP_EXCHANGE_H
#define TRP_EXCHANGE_H

#include "call/control.h"
#include "front/body.h"
#include "wire/grpc.h"
#include "wire/h2.h"
#include "wire/head.h"
#include "wire/oip_codec.h"
#include "wire/oip_route.h"

struct trp_front;
struct trp_conn;
struct trp_exchange;
struct trp_packing;

/* How an exchange's protocol and kind behave. */
struct trp_exchange_ops {
    /* The outcome is known: x->error, or else x->reply (inference) or x->reply.text. */
    void (*answer)(struct trp_exchange *x);
    /* x->control has come back. */
    void (*control_done)(struct trp_exchange *x);
    /* REST only: x->answer is complete; put it on the wire. */
    void (*write)(struct trp_exchange *x);
    /* The packed body is unpacked (or x->error); the reply is packed (or cannot be).  See
     * front/pack.h. */
    void (*unpacked)(struct trp_exchange *x);
    void (*packed)(struct trp_exchange *x);
};

/* A REST answer before it becomes header fields. */
struct trp_answer {
    int status;
    const char *type; /* NULL: no body */
    const struct trp_part *parts;
    uint32_t parts_n;
    uint64_t bytes;
    int64_t json_bytes; /* >= 0: Inference-Header-Content-Length */
    enum trp_coding coding;
    const char *allow; /* 405 and OPTIONS */
    bool is_preflight, is_varied, names_codings;
    char status_digits[3], length_digits[TRP_STR_DIGITS], json_digits[TRP_STR_DIGITS],
        retry_digits[TRP_STR_DIGITS]; /* behind its header fields */
};

/* What only gRPC needs. */
struct trp_grpc_state {
    struct trp_grpc_reader reader;
    enum trp_coding coding; /* of compressed messages */
    bool may_pack;          /* replies too */
    bool is_stream, is_compressed, has_message, has_head, has_ended, is_stalled, is_finishing;
    bool is_unpacking; /* a stream: a message of it, which those behind it may not overtake */
    bool is_framed;    /* a message: its answer can leave */
    bool is_placed;    /* a message: its tensors lie on a boundary, as far as we can see to that */
    bool errors_end_stream;            /* "triton_grpc_error: true" */
    struct trp_exchange *into;         /* whom the message that is being read belongs to */
    struct trp_exchange *first, *last; /* a stream's children, in order of their requests */
    struct trp_exchange *writing;      /* the child whose answer is being framed */
    uint64_t borrowed_before;          /* by the stream's body, when that began */
    uint32_t children_n;
    struct trp_buf pending; /* bytes that wait while the stream is stalled */
    size_t pending_at;
    char prefix[TRP_GRPC_PREFIX];
    struct trp_header trailers[5];
    char pushback[TRP_STR_DIGITS]; /* behind one of them */
    struct trp_timer look;         /* Health/Watch: when to look again */
    int health;                    /* and what was told last */
};

struct trp_exchange {
    /* kept from use to use */
    struct trp_front *front;
    struct trp_head head;
    struct trp_arena arena;
    struct trp_reply reply;  /* its text is ours */
    struct trp_buf unpacked; /* the body after decompression */
    struct trp_buf packed;   /* the answer after compression */
    struct trp_part *parts;  /* prefix and reply, for framing */
    uint32_t parts_capacity;
    struct trp_error error; /* status OK: no failure so far */
    struct trp_control control;

    /* zeroed at every taking */
    struct trp_conn *conn;
    struct trp_exchange *prev, *next; /* all of the connection */
    struct trp_exchange *out_next;    /* answered, not written */
    struct trp_exchange *parent;      /* the stream a message belongs to */
    struct trp_exchange *sibling;     /* the stream's next message */
    const struct trp_exchange_ops *ops;
    uint32_t held_n;   /* messages that still look at this stream's header */
    uint64_t out_mark; /* written when the outbox has sent so much */
    enum trp_protocol protocol;
    int32_t stream_id; /* HTTP/2 */
    bool is_call_out, is_control_out, is_answered, is_written, is_dispatched, is_receiving,
        is_padded, is_listed, is_lent;
    bool has_run_error;  /* `error` is a run's: the memory that it lacked was not the request's */
    char method[16];     /* HTTP/2 */
    uint32_t unconsumed; /* received bytes whose window was not given back yet */
    bool is_held;        /* HTTP/2: complete, and not started: see trp_h2_conn_holds() */
    uint64_t owed_bytes; /* HTTP/2: what its answer takes, or is expected to take, until written */
    int64_t arrived_ns, last_ns, deadline_ns, answered_ns;
    struct trp_route route;
    enum trp_coding coding; /* of the request body */
    int64_t json_bytes;     /* Inference-Header-Content-Length; -1: absent */
    struct trp_body body;
    struct trp_packing *packing; /* what is under way of unpacking the body, or packing the reply */
    bool is_packed;              /* the reply is x->packed */
    struct trp_str bytes;        /* the body, ready to decode */
    struct trp_call *call;
    struct trp_timer timer; /* deadline, or a watch's next look */
    struct trp_answer answer;
    uint32_t parts_n;
    struct trp_h2_body h2_body;
    struct trp_grpc_state grpc;
};

/* Takes one for a connection, or for the next message of a stream (`parent` not NULL).
 *   Owns  : it belongs to the connection until it was written or dropped.
 *   Thread: loop.
 *   Errors: NULL when memory is short. */
struct trp_exchange *trp_exchange_take(struct trp_conn *conn, const struct trp_exchange_ops *ops,
                                       struct trp_exchange *parent);

/* Counts the request as received (once; streams are not counted, their messages are), and arms its
 * deadline.
 *   Units : deadline_ns as in struct trp_exchange.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: in x->error, which keeps what it says already: OUT_OF_MEMORY, the deadline cannot be
 *           kept. */
trp_status trp_exchange_dispatch(struct trp_exchange *x);

/* Hands a control request over; ops->control_done follows unless the exchange was answered
 * meanwhile.
 *   Owns  : x->control is filled but for the ways back.
 *   Thread: loop.
 *   Errors: none. */
void trp_exchange_control(struct trp_exchange *x);

/* Ends it: answered (once; false: too late), written, or dropped because its client went away.
 *   Owns  : written and dropped move it back to the front, as soon as nothing of it is out.
 *   Thread: loop.
 *   Errors: none. */
bool trp_exchange_mark_answered(struct trp_exchange *x);
void trp_exchange_written(struct trp_exchange *x);
void trp_exchange_drop(struct trp_exchange *x);
void trp_exchange_settle(struct trp_exchange *x); /* something of it came back */

/* Makes room for `n` parts in x->parts.
 *   Owns  : the exchange's.
 *   Thread: loop.
 *   Errors: false when memory is short. */
bool trp_exchange_room(struct trp_exchange *x, uint32_t n);

/* Frees the front's idle ones: all, or (age) those that nobody needed since the last time.
 *   Owns  : as it says.
 *   Thread: loop.
 *   Errors: none. */
void trp_exchange_free_idle(struct trp_front *f);
void trp_exchange_age(struct trp_front *f);

#endif
