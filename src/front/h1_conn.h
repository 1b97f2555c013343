/* front/h1_conn.h - an HTTP/1.x connection.
 * Answers "where in which request is this client?".  One request at a time: input behind it
 * waits until it was answered. */
#ifndef TRP_H1_CONN_H
#define TRP_H1_CONN_H

#include "wire/http1.h"

struct trp_conn;
struct trp_exchange;
struct trp_lease;

enum trp_h1_state {
    TRP_H1_HEAD,         /* between requests, or inside a header */
    TRP_H1_BODY,         /* `left` bytes go into the body */
    TRP_H1_CHUNKED,      /* chunks go into the body */
    TRP_H1_SKIP,         /* `left` bytes of a refused request are thrown away */
    TRP_H1_SKIP_CHUNKED, /* chunks likewise */
    TRP_H1_WAIT,         /* the request is being answered */
    TRP_H1_OVER          /* nothing more is read */
};

struct trp_h1 {
    struct trp_http1 *parser;
    struct trp_exchange *current;
    enum trp_h1_state state;
    uint64_t left;
    bool is_pumping, keep_alive;
    int minor;
    struct trp_lease *pending; /* input that came too early */
    size_t pending_at, pending_len;
};

/* Takes over a connection, with what was read of it so far.
 *   Owns  : `bytes` are borrowed (in the front's scratch buffer).
 *   Thread: loop.
 *   Errors: none; the connection ends when something is wrong. */
void trp_h1_start(struct trp_conn *c, struct trp_str bytes);
void trp_h1_deinit(struct trp_conn *c);

/* The socket can be read; input that was held back can go on; a time limit may have passed; the
 * server drains.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_h1_readable(struct trp_conn *c);
void trp_h1_resume(struct trp_conn *c);
int64_t trp_h1_due_ns(const struct trp_conn *c); /* when the present wait is too long; 0: never */
void trp_h1_overdue(struct trp_conn *c);
void trp_h1_drain(struct trp_conn *c);

#endif
