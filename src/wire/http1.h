/* wire/http1.h - HTTP/1.x requests from bytes.
 * Answers "where does this request begin and end?".  Sans-I/O over llhttp, stricter than it where a
 * proxy in front of us might read the same bytes differently: see http1.c. */
#ifndef TRP_HTTP1_H
#define TRP_HTTP1_H

#include "wire/head.h"

struct trp_http1;

enum trp_http1_event {
    TRP_HTTP1_MORE, /* everything was used; more bytes are needed */
    TRP_HTTP1_HEAD, /* the header is complete and sealed; see struct trp_http1_request */
    TRP_HTTP1_BODY, /* a piece of a chunked body, inside the bytes that were given */
    TRP_HTTP1_END   /* a chunked body has ended */
};

struct trp_http1_step {
    enum trp_http1_event event;
    size_t used; /* bytes of the input that belong to this and earlier steps */
    struct trp_str body;
};

/* What the header says about the message itself; set with HEAD. */
struct trp_http1_request {
    int minor;        /* HTTP/1.minor */
    bool keep_alive;  /* the client would send another request */
    bool is_chunked;  /* BODY and END follow */
    bool is_expected; /* Expect: 100-continue */
    uint64_t content_length;
};

/* Makes a parser for one connection.
 *   Owns  : the caller destroys (NULL is accepted).
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_http1_create(const struct trp_alloc *alloc, struct trp_http1 **out_parser,
                            struct trp_error *err);
void trp_http1_destroy(struct trp_http1 *p);

/* Gives the next message its storage, which is reset.  Needed before the first feed of every
 * message.
 *   Owns  : `head` is borrowed until the message has ended.
 *   Thread: owner.
 *   Errors: none. */
void trp_http1_begin(struct trp_http1 *p, struct trp_head *head);

/* Reads on until something happened.  A body that is not chunked is not the parser's business:
 * after HEAD the next `content_length` bytes are the body, then the next message begins.
 *   Owns  : `in` is borrowed for the call; step->body points into it.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT (malformed), URI_TOO_LONG, HEADERS_TOO_LARGE, VERSION_NOT_SUPPORTED,
 *           UNIMPLEMENTED (a transfer coding), METHOD_NOT_ALLOWED (TRACE, CONNECT),
 *           EXPECTATION_FAILED, OUT_OF_MEMORY.  The connection cannot go on then.
 *   Source: RFC 9112; RFC 9110 section 10.1.1 (Expect). */
trp_status trp_http1_feed(struct trp_http1 *p, struct trp_str in, struct trp_http1_step *step,
                          struct trp_error *err);
const struct trp_http1_request *trp_http1_request(const struct trp_http1 *p);

#endif
