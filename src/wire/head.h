/* wire/head.h - the header of one request, whichever protocol brought it.
 * Answers "which fields came, and what do the ones we act upon say?".  A parser adds pieces as they
 * come; trp_head_seal() then resolves them to views.  The storage is kept from request to
 * request. */
#ifndef TRP_HEAD_H
#define TRP_HEAD_H

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"
#include "call/call.h"

/* The fields this server acts upon: X(id, name). */
#define TRP_KNOWN_HEADERS(X)                        \
    X(HOST, "host")                                 \
    X(ORIGIN, "origin")                             \
    X(EXPECT, "expect")                             \
    X(TRACEPARENT, "traceparent")                   \
    X(CONTENT_TYPE, "content-type")                 \
    X(GRPC_TIMEOUT, "grpc-timeout")                 \
    X(GRPC_ENCODING, "grpc-encoding")               \
    X(TENANT, "troupe-tenant")                      \
    X(CONTENT_LENGTH, "content-length")             \
    X(PRIORITY, "troupe-priority")                  \
    X(ACCEPT_ENCODING, "accept-encoding")           \
    X(CONTENT_ENCODING, "content-encoding")         \
    X(TRANSFER_ENCODING, "transfer-encoding")       \
    X(STREAM_STATUS, "triton_grpc_error")           \
    X(TIMEOUT, "troupe-timeout-ms")                 \
    X(GRPC_ACCEPT, "grpc-accept-encoding")          \
    X(CORS_METHOD, "access-control-request-method") \
    X(INFERENCE_LENGTH, "inference-header-content-length")

enum trp_known_header {
#define X(id, name) TRP_HEADER_##id,
    TRP_KNOWN_HEADERS(X)
#undef X
        TRP_HEADERS_KNOWN
};

/* Where a name and a value lie in `text` while it may still move. */
struct trp_head_span {
    uint32_t name_at, name_len, value_at, value_len;
};

struct trp_head {
    /* valid after trp_head_seal() */
    struct trp_str method;    /* "POST" */
    struct trp_str target;    /* as it came */
    struct trp_str path;      /* of the target, without the query; starts with '/', or is "*" */
    struct trp_str query;     /* behind the first '?', as it came; empty: none */
    struct trp_str authority; /* of an absolute target or :authority, else of Host; may be empty */
    struct trp_header *headers;
    uint32_t headers_n;
    uint16_t known_at[TRP_HEADERS_KNOWN]; /* 1 + index in `headers`; 0: absent */
    uint32_t repeated;                    /* bit per known header that came more than once */

    /* the storage */
    const struct trp_alloc *alloc;
    struct trp_buf text;
    struct trp_head_span *spans;
    uint32_t capacity, headers_max;
    uint32_t target_at, target_len;
    bool too_many;
};

/* Sets up empty storage; takes no memory yet.  reset keeps the memory.
 *   Units : bytes_max: names, values and target together; headers_max: fields.
 *   Owns  : the caller calls trp_head_deinit(); `alloc` is borrowed.
 *   Thread: owner.
 *   Errors: none. */
void trp_head_init(struct trp_head *h, const struct trp_alloc *alloc, size_t bytes_max,
                   uint32_t headers_max);
void trp_head_deinit(struct trp_head *h);
void trp_head_reset(struct trp_head *h);

/* Add pieces: all of the target's together, and for each field its name and its value, each in as
 * many pieces as they came.  Names are turned to lower case.  `trp_head_add` adds a whole field
 * whose name is in lower case.
 *   Owns  : copied.
 *   Thread: owner.
 *   Errors: remembered; see trp_head_check(). */
void trp_head_add_target(struct trp_head *h, const char *ptr, size_t len);
void trp_head_begin_field(struct trp_head *h);
void trp_head_add_name(struct trp_head *h, const char *ptr, size_t len);
void trp_head_add_value(struct trp_head *h, const char *ptr, size_t len);
void trp_head_add(struct trp_head *h, struct trp_str name, struct trp_str value);

/* Says whether everything so far fitted.
 *   Owns  : as trp_fail().
 *   Thread: owner.
 *   Errors: URI_TOO_LONG (the target alone is too long), HEADERS_TOO_LARGE, OUT_OF_MEMORY. */
trp_status trp_head_check(const struct trp_head *h, struct trp_error *err);

/* Resolves the views, splits the target, and looks the known fields up.
 *   Owns  : views are borrowed from `h` until reset.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT (a target that is neither a path, an absolute URI nor `*`). */
trp_status trp_head_seal(struct trp_head *h, struct trp_error *err);

/* The value of a known field, the first when it came more than once; ptr NULL when it is absent.
 *   Owns  : borrowed until reset.
 *   Thread: owner.
 *   Errors: none. */
static inline struct trp_str trp_head_get(const struct trp_head *h, enum trp_known_header id)
{
    return h->known_at[id] ? h->headers[h->known_at[id] - 1].value : (struct trp_str){ 0 };
}
static inline bool trp_head_has(const struct trp_head *h, enum trp_known_header id)
{
    return h->known_at[id] != 0;
}
static inline bool trp_head_is_repeated(const struct trp_head *h, enum trp_known_header id)
{
    return (h->repeated >> id & 1u) != 0;
}

#endif
