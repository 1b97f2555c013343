/* wire/grpc.h - gRPC's framing, on top of HTTP/2.
 * Answers "where does this message begin and end, and how is a status said?".  Pure.
 *   Source: grpc/doc/PROTOCOL-HTTP2.md. */
#ifndef TRP_GRPC_H
#define TRP_GRPC_H

#include "base/buf.h"
#include "base/compress.h"
#include "base/status.h"
#include "base/str.h"

#define TRP_GRPC_PREFIX 5 /* bytes before each message: flag, length */

enum trp_grpc_event {
    TRP_GRPC_MORE,  /* everything was used */
    TRP_GRPC_BEGIN, /* a prefix was read: `length` and `is_compressed` hold */
    TRP_GRPC_DATA,  /* a piece of the message */
    TRP_GRPC_END    /* the message is complete */
};

/* Cuts a stream of DATA payloads into messages.  Zero is the beginning. */
struct trp_grpc_reader {
    uint8_t prefix[TRP_GRPC_PREFIX];
    uint8_t prefix_n;
    bool is_compressed;
    uint32_t length; /* of the current message */
    uint32_t left;   /* bytes of it that did not come yet */
    bool in_message;
};

/* Reads on until something happened; *in moves on behind what was used.
 *   Owns  : `out_data` points into the input.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT (a flag that is neither 0 nor 1). */
trp_status trp_grpc_read(struct trp_grpc_reader *r, struct trp_str *in,
                         enum trp_grpc_event *out_event, struct trp_str *out_data,
                         struct trp_error *err);

/* True between messages: the stream may end here. */
static inline bool trp_grpc_is_between(const struct trp_grpc_reader *r)
{
    return !r->in_message && r->prefix_n == 0;
}

/* Writes a message's prefix.
 *   Owns  : the caller's.
 *   Thread: any.
 *   Errors: none. */
void trp_grpc_write_prefix(bool is_compressed, uint32_t length, char out[TRP_GRPC_PREFIX]);

/* True for "application/grpc", alone or followed by '+' or ';'.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
bool trp_grpc_is_content_type(struct trp_str content_type);

/* Reads "grpc-timeout": at most 8 digits and a unit.
 *   Units : *out_ns, at most INT64_MAX.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT. */
trp_status trp_grpc_parse_timeout(struct trp_str text, int64_t *out_ns, struct trp_error *err);

/* Appends words as "grpc-message" wants them: bytes outside 0x20..0x7e, and '%', become %XX.
 *   Owns  : copied.
 *   Thread: any.
 *   Errors: see out->failed. */
void trp_grpc_encode_message(struct trp_str words, struct trp_buf *out);

#endif
