/* wire/h2.h - HTTP/2 from bytes to events and back.
 * Answers "which streams are there, and what do they say?".  A thin, sans-I/O wrap of nghttp2's
 * server session: bytes in (trp_h2_receive), events out; replies in, bytes out (trp_h2_send) to a
 * queue of the caller's.
 *
 *  1. Events come from inside trp_h2_receive(), refills and output from inside trp_h2_send().  From
 *     there a caller may respond, reset, resume and consume, but neither receive nor send.
 *  2. Large pieces of a body are never copied: they are named to the caller's queue, behind the
 *     frame header that announces them, and must stay until he has written them. */
#ifndef TRP_H2_H
#define TRP_H2_H

#include "base/alloc.h"
#include "base/status.h"
#include "call/call.h"
#include "wire/h2_memory.h"
#include "wire/oip_codec.h"

#define TRP_H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define TRP_H2_PREFACE_BYTES 24

/* Error codes of RFC 9113 section 7 that we use. */
enum trp_h2_error {
    TRP_H2_NO_ERROR = 0,
    TRP_H2_INTERNAL_ERROR = 2,
    TRP_H2_REFUSED_STREAM = 7,
    TRP_H2_CANCEL = 8
};

/* What a stream still has to send; the caller's memory, from respond until `closed`. */
struct trp_h2_body {
    const struct trp_part *parts; /* stay valid until refill or, when large, until written */
    uint32_t parts_n, at;         /* `at`, `off`: the next byte */
    size_t off;
    uint64_t left; /* bytes of `parts` that are not framed yet */
    bool is_last;  /* nothing follows them */
    const struct trp_header *trailers;
    uint32_t trailers_n;
    uint64_t copied_bytes, borrowed_bytes; /* added up: how they went into frames */
    void *stream;                          /* what `begin` returned */
};

struct trp_h2_events {
    /* A request begins; the result is handed to every later event of the stream.  NULL refuses
     * the stream. */
    void *(*begin)(void *user, int32_t id);
    void (*header)(void *user, void *stream, struct trp_str name, struct trp_str value);
    void (*head)(void *user, void *stream);                       /* all header fields are there */
    void (*data)(void *user, void *stream, struct trp_str bytes); /* not consumed yet */
    void (*end)(void *user, void *stream);                    /* the client has sent everything */
    void (*closed)(void *user, void *stream, uint32_t error); /* the last event of a stream */
    /* `body` is used up and not last: put more into it (true), or wait for trp_h2_resume()
     * (false). */
    bool (*refill)(void *user, void *stream, struct trp_h2_body *body);
    /* Bytes to be sent next; a borrowed range stays where it is until it was written. */
    void (*output)(void *user, const void *ptr, size_t len, bool is_borrowed);
};

struct trp_h2_opts {
    uint32_t streams_max, header_bytes_max;
    uint32_t stream_window, connection_window; /* bytes a client may send ahead */
    struct trp_h2_memory *memory;              /* NULL: one of its own */
    uint32_t resets_burst, resets_per_s;       /* RST_STREAM frames that are put up with */
};

struct trp_h2;

/* Makes a server session; its SETTINGS are the first output.
 *   Owns  : the caller destroys (NULL is accepted; streams get no `closed`); `events` and `user`
 *           are borrowed.
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_h2_create(const struct trp_alloc *alloc, const struct trp_h2_opts *opts,
                         const struct trp_h2_events *events, void *user, struct trp_h2 **out_h2,
                         struct trp_error *err);
void trp_h2_destroy(struct trp_h2 *h2);

/* Takes bytes from the client, beginning with the connection preface.
 *   Owns  : borrowed for the call.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT: not HTTP/2, flooding, or out of memory; the connection ends after
 *           what is queued was sent. */
trp_status trp_h2_receive(struct trp_h2 *h2, struct trp_str bytes, struct trp_error *err);

/* Frames what can be sent now, until about `bytes_max` were put out.
 *   Owns  : see `output`.
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY; the connection is lost. */
trp_status trp_h2_send(struct trp_h2 *h2, size_t bytes_max, struct trp_error *err);

/* Answers a stream: status and fields, then `body` (NULL: nothing, the fields end the stream).
 *   Owns  : names and values of `fields`, `body` and its trailers are borrowed until `closed`.
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY; a stream that is gone already is no error. */
trp_status trp_h2_respond(struct trp_h2 *h2, int32_t id, const struct trp_header *fields,
                          uint32_t fields_n, struct trp_h2_body *body, struct trp_error *err);

/* Says that a body that waited has more; ends a stream at once; gives window back for received
 * bytes (of the stream, or of the connection with id 0).
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none that matter: a stream that is gone needs none of it. */
void trp_h2_resume(struct trp_h2 *h2, int32_t id);
void trp_h2_reset(struct trp_h2 *h2, int32_t id, enum trp_h2_error error);
void trp_h2_consume(struct trp_h2 *h2, int32_t id, size_t bytes);

/* Says goodbye: first that no new streams should come, later (`is_final`) which one was the last.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
void trp_h2_goaway(struct trp_h2 *h2, bool is_final);

/* False when nothing more will be read or written: close.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
bool trp_h2_is_alive(const struct trp_h2 *h2);
bool trp_h2_has_output(const struct trp_h2 *h2);

/* What the session has refused by itself: it told the client so by RST_STREAM or GOAWAY, or
 * closes without a word. */
struct trp_h2_refused {
    uint32_t malformed; /* not HTTP/2, or not as it should be */
    uint32_t streams;   /* more than streams_max at once */
    uint32_t floods;    /* more resets, headers or acknowledgements than are put up with */
};

/* What was refused since the last time.
 *   Owns  : a copy.
 *   Thread: owner.
 *   Errors: none. */
struct trp_h2_refused trp_h2_take_refused(struct trp_h2 *h2);

#endif
