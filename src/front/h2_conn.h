/* front/h2_conn.h - an HTTP/2 connection: streams of REST and gRPC.
 * Answers "which request do these frames belong to?". */
#ifndef TRP_H2_CONN_H
#define TRP_H2_CONN_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct trp_conn;
struct trp_exchange;

/* Takes over a connection, with what was read of it so far (the preface at least).
 *   Owns  : `bytes` are borrowed.
 *   Thread: loop.
 *   Errors: none; the connection ends when something is wrong. */
void trp_h2_conn_start(struct trp_conn *c, struct trp_str bytes);

/* The socket can be read; streams that were held back can go on; frames can be put out (false: the
 * session is over); a time limit may have passed; the server drains.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_h2_conn_readable(struct trp_conn *c);
void trp_h2_conn_resume(struct trp_conn *c);
bool trp_h2_conn_send(struct trp_conn *c);
int64_t trp_h2_conn_due_ns(const struct trp_conn *c);
void trp_h2_conn_overdue(struct trp_conn *c);
void trp_h2_conn_drain(struct trp_conn *c);

/* Whether so much waits for the socket that nothing more is framed (trp_h2_conn_send() does nothing
 * then).
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
bool trp_h2_conn_is_behind(const struct trp_conn *c);

/* What answers take is bounded: a request that was started is expected to be answered like the last
 * one, an answer is owed until it was written, and while a connection owes too much none of its
 * requests is started (`holds`: the caller lets it wait, and is resumed).  `flushed`: something was
 * written, or the socket took no more; a socket that takes nothing is not read from either.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_h2_conn_expect(struct trp_exchange *x);
void trp_h2_conn_owe(struct trp_exchange *x, uint64_t bytes);
bool trp_h2_conn_holds(struct trp_conn *c);
void trp_h2_conn_flushed(struct trp_conn *c);

/* Gives window back for bytes of a stream that were dealt with.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_h2_conn_consume(struct trp_exchange *x, size_t bytes);

/* Says that all of an answer was framed: it counts as written when the outbox has sent what it
 * holds after this turn's framing.
 *   Owns  : the exchange stays the connection's.
 *   Thread: loop.
 *   Errors: none. */
void trp_h2_conn_framed(struct trp_exchange *x);

#endif
