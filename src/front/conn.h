/* front/conn.h - one socket, from accept to close.
 * Answers "can this socket be read, can it be written, and has it been silent for too long?".
 *
 *   SNIFF --first bytes are HTTP/2's preface--> HTTP2
 *     +-----------------------------otherwise-> HTTP1
 *   any --trp_conn_finish()--> (outbox empties) --> LINGER (reads and throws away) --> closed
 *
 * What a turn has collected is written once, at its end.  One timer a connection; it is moved
 * forward only when it fires or when a nearer limit begins, so that a request costs no timer
 * operation. */
#ifndef TRP_CONN_H
#define TRP_CONN_H

#include <sys/types.h>

#include "front/front_state.h"
#include "front/h1_conn.h"
#include "front/outbox.h"

enum trp_conn_kind { TRP_CONN_SNIFF, TRP_CONN_HTTP1, TRP_CONN_HTTP2, TRP_CONN_LINGER };

struct trp_conn {
    struct trp_front *front;
    struct trp_conn *prev, *next, *next_dirty, *next_dead;
    struct trp_watch watch;
    struct trp_timer timer;
    struct trp_task resume; /* go on with input that was held back */
    int fd;
    enum trp_conn_kind kind;
    bool is_local, is_dirty, is_dead, is_eof, is_finishing, is_blocked, is_paused;
    bool has_hung_up; /* the client closed its half while we were paused */
    bool must_linger; /* input was left unread: a close now would cost the client our answer */
    struct trp_outbox out;
    struct trp_exchange *exchanges;                    /* all that belong to this client */
    struct trp_exchange *sending_first, *sending_last; /* answered, not written */
    int64_t since_ns;                                  /* when the present wait began */
    char sniffed[TRP_H2_PREFACE_BYTES];
    uint8_t sniffed_n;
    struct trp_h1 h1;
    struct trp_h2 *h2;
    uint32_t unconsumed;
    bool has_room;            /* a stalled stream may go on */
    bool has_held;            /* something waits until less is owed, see trp_h2_conn_holds() */
    uint64_t owed_bytes;      /* sum of the exchanges' */
    uint64_t last_owed_bytes; /* of the last answer: the next are expected to be like it */
    uint32_t streams_n;       /* HTTP/2 requests not closed */
    struct trp_exchange *framed_first, *framed_last; /* all framed, perhaps not yet in the outbox */
    int64_t goodbye_ns; /* when the last GOAWAY is due; 0: not draining */
};

/* Makes a connection of a socket.
 *   Owns  : moves fd, also when it fails.
 *   Thread: loop.
 *   Errors: none; the socket is closed when memory is short. */
void trp_conn_open(struct trp_front *f, int fd, bool is_local);

/* Reads into the caller's memory.
 *   Owns  : borrowed.
 *   Thread: loop.
 *   Errors: GONE: the connection was closed by this call. */
enum trp_conn_read {
    TRP_CONN_READ_SOME,
    TRP_CONN_READ_NONE,
    TRP_CONN_READ_EOF,
    TRP_CONN_READ_GONE
};
enum trp_conn_read trp_conn_recv(struct trp_conn *c, char *ptr, size_t room, size_t *out_n);

/* Says that there is something to write at the end of this turn.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_conn_mark_dirty(struct trp_conn *c);

/* Puts an answered exchange in line: written when everything that is queued now has been sent.
 *   Owns  : the exchange stays the connection's.
 *   Thread: loop.
 *   Errors: none. */
void trp_conn_await_written(struct trp_conn *c, struct trp_exchange *x);

/* Stops or resumes reading (the client's end is still noticed).
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none; a socket that cannot be watched is closed. */
void trp_conn_pause(struct trp_conn *c, bool is_paused);

/* Closes: when everything was written (finish), or now (close); exchanges are dropped by close.
 *   Owns  : the connection goes at the end of the turn.
 *   Thread: loop.
 *   Errors: none. */
void trp_conn_finish(struct trp_conn *c);
void trp_conn_close(struct trp_conn *c);

/* Makes sure that the timer fires no later than `due_ns`.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_conn_wake_by(struct trp_conn *c, int64_t due_ns);

/* The end of a turn: writes what dirty connections have, frees dead ones.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_conn_turn_end(struct trp_front *f);

/* Asks a connection to end as soon as it is idle.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_conn_drain(struct trp_conn *c);

#endif
