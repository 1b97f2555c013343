/* base/pbwire.h - protobuf's wire format, field by field.
 * Answers "which field is next, and where does its value lie?".  A reader is two pointers and
 * copies nothing; every step is bounded by them, so hostile bytes end in TRP_PB_CORRUPT and
 * never in a read outside.  Writers append to a trp_buf. */
#ifndef TRP_PBWIRE_H
#define TRP_PBWIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

#define TRP_PB_NUMBER_MAX 536870911u /* 2^29 - 1 */
#define TRP_PB_GROUP_DEPTH_MAX 32u   /* groups inside groups that are skipped; deeper is corrupt */
#define TRP_PB_VARINT_BYTES_MAX 10u

enum trp_pb_type {
    TRP_PB_VARINT = 0,
    TRP_PB_FIXED64 = 1,
    TRP_PB_BYTES = 2, /* string, bytes, message, packed numbers */
    TRP_PB_GROUP = 3, /* read whole, up to its end tag; nothing of ours uses it */
    TRP_PB_GROUP_END = 4,
    TRP_PB_FIXED32 = 5
};

struct trp_pb_reader {
    const uint8_t *at, *end;
};

/* One field.  `scalar` holds a varint, fixed64 or fixed32; `bytes` the inside of BYTES or GROUP. */
struct trp_pb_field {
    uint32_t number;
    enum trp_pb_type type;
    uint64_t scalar;
    struct trp_str bytes;
};

enum trp_pb_next { TRP_PB_FIELD, TRP_PB_END, TRP_PB_CORRUPT };

/* Starts to read a message.
 *   Owns  : `bytes` is borrowed as long as the reader and its fields are used.
 *   Thread: any.
 *   Errors: none. */
static inline struct trp_pb_reader trp_pb_reader_of(struct trp_str bytes)
{
    const uint8_t *at = (const uint8_t *)bytes.ptr;
    return (struct trp_pb_reader){ at, bytes.len > 0 ? at + bytes.len : at };
}

/* Reads the next field whole, value included; ignoring one is skipping it.
 *   Owns  : out->bytes is borrowed from the message.
 *   Thread: owner.
 *   Cost  : O(1) but for groups; no allocation.
 *   Errors: CORRUPT for a truncated value, a varint past 64 bits, field number 0 or past 2^29 - 1,
 *           wire types 6 and 7, a group that does not end or ends as another one; it stays CORRUPT,
 *           *out is undefined then.
 *   Source: protobuf.dev, Encoding. */
enum trp_pb_next trp_pb_next(struct trp_pb_reader *r, struct trp_pb_field *out);

/* Read one element of a packed field, whose bytes the reader was made of; false at the end and when
 * it is cut short (then r->at != r->end).
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Errors: false; the reader has not moved. */
bool trp_pb_take_varint(struct trp_pb_reader *r, uint64_t *out);
bool trp_pb_take_fixed32(struct trp_pb_reader *r, uint32_t *out);
bool trp_pb_take_fixed64(struct trp_pb_reader *r, uint64_t *out);

/* Reinterpret the bits of a fixed field.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
float trp_pb_float(uint64_t fixed32);
double trp_pb_double(uint64_t fixed64);

/* Append one field each; the value is written even when it is the default (the caller leaves those
 * out).
 *   Units : i64 writes negative numbers as ten bytes, as int32, int64, enum want it.
 *   Owns  : copied.
 *   Thread: owner.
 *   Errors: see b->failed. */
void trp_pb_write_u64(struct trp_buf *b, uint32_t number, uint64_t v);
void trp_pb_write_i64(struct trp_buf *b, uint32_t number, int64_t v);
void trp_pb_write_bool(struct trp_buf *b, uint32_t number, bool v);
void trp_pb_write_float(struct trp_buf *b, uint32_t number, float v);
void trp_pb_write_double(struct trp_buf *b, uint32_t number, double v);
void trp_pb_write_str(struct trp_buf *b, uint32_t number, struct trp_str s);

/* Append pieces: tag and length of a BYTES field whose `len` bytes follow by other means; a bare
 * varint or fixed value, for packed fields.
 *   Owns  : copied.
 *   Thread: owner.
 *   Errors: see b->failed. */
void trp_pb_write_head(struct trp_buf *b, uint32_t number, uint64_t len);
void trp_pb_write_varint(struct trp_buf *b, uint64_t v);
void trp_pb_write_fixed32(struct trp_buf *b, uint32_t v);
void trp_pb_write_fixed64(struct trp_buf *b, uint64_t v);

/* Open a nested message (or packed list) and close it with what begin() returned.  They nest; at
 * the end the content is moved by a byte or so to make place for its length.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : end() moves the content once when it is longer than 127 bytes.
 *   Errors: see b->failed. */
size_t trp_pb_begin(struct trp_buf *b, uint32_t number);
void trp_pb_end(struct trp_buf *b, size_t mark);

/* Encoded size of a varint, and of tag, length and content of a BYTES field.
 *   Units : bytes.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
uint32_t trp_pb_varint_bytes(uint64_t v);
uint64_t trp_pb_field_bytes(uint32_t number, uint64_t len);

#endif
