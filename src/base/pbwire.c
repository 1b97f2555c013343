/* base/pbwire.c - see pbwire.h.
 *
 * A field is a varint tag (number << 3 | type) and a value.  The reader takes both in one step, so
 * that a caller's loop is `while (next == FIELD) switch (number)`, and there is no separate "skip"
 * to forget.  Invariants:
 *   1. r->at <= r->end, always; lengths are compared with what is left, never added to a pointer
 *      first.
 *   2. After CORRUPT the reader stands where the bad field began, so it answers CORRUPT again.
 *   3. Groups cost no recursion: open numbers stand on a small stack. */
#include "base/pbwire.h"

#include <string.h>

static size_t left(const struct trp_pb_reader *r)
{
    return (size_t)(r->end - r->at);
}

bool trp_pb_take_varint(struct trp_pb_reader *r, uint64_t *out)
{
    const size_t n = left(r);
    if (n > 0 && r->at[0] < 0x80) { /* nearly all tags and lengths */
        *out = *r->at++;
        return true;
    }
    uint64_t v = 0;
    for (uint32_t i = 0; i < n && i < TRP_PB_VARINT_BYTES_MAX; i++) {
        const uint64_t byte = r->at[i];
        if (i == TRP_PB_VARINT_BYTES_MAX - 1 && byte > 1)
            return false; /* bits past the 64th */
        v |= (byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            r->at += i + 1;
            *out = v;
            return true;
        }
    }
    return false;
}

bool trp_pb_take_fixed32(struct trp_pb_reader *r, uint32_t *out)
{
    if (left(r) < sizeof *out)
        return false;
    memcpy(out, r->at, sizeof *out); /* the project runs on little-endian machines only */
    r->at += sizeof *out;
    return true;
}

bool trp_pb_take_fixed64(struct trp_pb_reader *r, uint64_t *out)
{
    if (left(r) < sizeof *out)
        return false;
    memcpy(out, r->at, sizeof *out);
    r->at += sizeof *out;
    return true;
}

static bool take_bytes(struct trp_pb_reader *r, struct trp_str *out)
{
    uint64_t len;
    if (!trp_pb_take_varint(r, &len) || len > left(r))
        return false;
    *out = trp_str_make((const char *)r->at, (size_t)len);
    r->at += len;
    return true;
}

static bool take_tag(struct trp_pb_reader *r, struct trp_pb_field *out)
{
    uint64_t tag;
    if (!trp_pb_take_varint(r, &tag) || tag >> 3 == 0 || tag >> 3 > TRP_PB_NUMBER_MAX)
        return false;
    out->number = (uint32_t)(tag >> 3);
    out->type = (enum trp_pb_type)(tag & 7);
    return true;
}

/* Everything but groups. */
static bool take_value(struct trp_pb_reader *r, struct trp_pb_field *out)
{
    uint32_t fixed;
    switch (out->type) {
    case TRP_PB_VARINT:
        return trp_pb_take_varint(r, &out->scalar);
    case TRP_PB_FIXED64:
        return trp_pb_take_fixed64(r, &out->scalar);
    case TRP_PB_FIXED32:
        if (!trp_pb_take_fixed32(r, &fixed))
            return false;
        out->scalar = fixed;
        return true;
    case TRP_PB_BYTES:
        return take_bytes(r, &out->bytes);
    default:
        return false;
    }
}

/* Passes over a group whose start tag has been read, up to and with its end tag. */
static bool take_group(struct trp_pb_reader *r, struct trp_pb_field *out)
{
    uint32_t open[TRP_PB_GROUP_DEPTH_MAX] = { out->number };
    uint32_t depth = 1;
    const uint8_t *const start = r->at, *stop = start;
    while (depth > 0) {
        struct trp_pb_field inner = { 0 };
        stop = r->at;
        if (!take_tag(r, &inner))
            return false;
        if (inner.type == TRP_PB_GROUP) {
            if (depth == TRP_PB_GROUP_DEPTH_MAX)
                return false;
            open[depth++] = inner.number;
        } else if (inner.type == TRP_PB_GROUP_END) {
            if (inner.number != open[--depth])
                return false;
        } else if (!take_value(r, &inner)) {
            return false;
        }
    }
    out->bytes = trp_str_make((const char *)start, (size_t)(stop - start));
    return true;
}

enum trp_pb_next trp_pb_next(struct trp_pb_reader *r, struct trp_pb_field *out)
{
    if (r->at == r->end)
        return TRP_PB_END;
    const uint8_t *const start = r->at;
    *out = (struct trp_pb_field){ 0 };
    if (take_tag(r, out) && (out->type == TRP_PB_GROUP ? take_group(r, out) : take_value(r, out)))
        return TRP_PB_FIELD;
    r->at = start;
    return TRP_PB_CORRUPT;
}

float trp_pb_float(uint64_t fixed32)
{
    const uint32_t bits = (uint32_t)fixed32;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

double trp_pb_double(uint64_t fixed64)
{
    double v;
    memcpy(&v, &fixed64, sizeof v);
    return v;
}

uint32_t trp_pb_varint_bytes(uint64_t v)
{
    const uint32_t bits = 64u - (uint32_t)__builtin_clzll(v | 1);
    return (bits + 6) / 7;
}

uint64_t trp_pb_field_bytes(uint32_t number, uint64_t len)
{
    return trp_pb_varint_bytes((uint64_t)number << 3) + trp_pb_varint_bytes(len) + len;
}

static size_t put_varint(uint8_t *out, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        out[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    out[n++] = (uint8_t)v;
    return n;
}

void trp_pb_write_varint(struct trp_buf *b, uint64_t v)
{
    uint8_t bytes[TRP_PB_VARINT_BYTES_MAX];
    trp_buf_add(b, bytes, put_varint(bytes, v));
}

void trp_pb_write_fixed32(struct trp_buf *b, uint32_t v)
{
    trp_buf_add(b, &v, sizeof v);
}

void trp_pb_write_fixed64(struct trp_buf *b, uint64_t v)
{
    trp_buf_add(b, &v, sizeof v);
}

static void write_tag(struct trp_buf *b, uint32_t number, enum trp_pb_type type)
{
    TRP_DEBUG_ASSERT(number > 0 && number <= TRP_PB_NUMBER_MAX);
    trp_pb_write_varint(b, (uint64_t)number << 3 | (uint64_t)type);
}

void trp_pb_write_u64(struct trp_buf *b, uint32_t number, uint64_t v)
{
    write_tag(b, number, TRP_PB_VARINT);
    trp_pb_write_varint(b, v);
}

void trp_pb_write_i64(struct trp_buf *b, uint32_t number, int64_t v)
{
    trp_pb_write_u64(b, number, (uint64_t)v);
}

void trp_pb_write_bool(struct trp_buf *b, uint32_t number, bool v)
{
    trp_pb_write_u64(b, number, v);
}

void trp_pb_write_float(struct trp_buf *b, uint32_t number, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    write_tag(b, number, TRP_PB_FIXED32);
    trp_pb_write_fixed32(b, bits);
}

void trp_pb_write_double(struct trp_buf *b, uint32_t number, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    write_tag(b, number, TRP_PB_FIXED64);
    trp_pb_write_fixed64(b, bits);
}

/* Tag and length go out together: most fields of a message are texts. */
void trp_pb_write_head(struct trp_buf *b, uint32_t number, uint64_t len)
{
    uint8_t bytes[2 * TRP_PB_VARINT_BYTES_MAX];
    TRP_DEBUG_ASSERT(number > 0 && number <= TRP_PB_NUMBER_MAX);
    const size_t n = put_varint(bytes, (uint64_t)number << 3 | TRP_PB_BYTES);
    trp_buf_add(b, bytes, n + put_varint(bytes + n, len));
}

void trp_pb_write_str(struct trp_buf *b, uint32_t number, struct trp_str s)
{
    trp_pb_write_head(b, number, s.len);
    trp_buf_add_str(b, s);
}

size_t trp_pb_begin(struct trp_buf *b, uint32_t number)
{
    write_tag(b, number, TRP_PB_BYTES);
    trp_buf_add_char(b, 0); /* place for the commonest length, a single byte */
    return b->len;
}

void trp_pb_end(struct trp_buf *b, size_t mark)
{
    if (b->failed)
        return;
    const size_t len = b->len - mark, more = trp_pb_varint_bytes(len) - 1;
    if (more > 0) {
        if (!trp_buf_room(b, more))
            return;
        memmove(b->ptr + mark + more, b->ptr + mark, len);
        trp_buf_added(b, more);
    }
    put_varint((uint8_t *)b->ptr + mark - 1, len);
}
