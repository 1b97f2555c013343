/* base/compress.c - zlib, driven until the end or the bound.
 *
 * Both directions are one loop: give input, give room, step.  Room is asked for in pieces, so a
 * small body takes little memory and a bomb stops at the buffer's maximum.  At the maximum one
 * spare byte is offered: a stream that is just complete ends without using it, any other gives
 * itself away. */
#include "base/compress.h"

#include <zlib.h>

#define PIECE_MIN ((size_t)1 << 10)
#define PIECE_MAX ((size_t)64 << 10)
#define INPUT_MAX ((size_t)1 << 30) /* zlib counts in 32 bits */
#define WINDOW 15
#define GZIP_WRAPPER 16 /* added to the window bits; negated bits mean no wrapper */

static const char *const names[] = { "identity", "gzip", "deflate", "unknown" };

enum trp_coding trp_coding_parse(struct trp_str name)
{
    for (int c = TRP_CODING_IDENTITY; c < TRP_CODING_UNKNOWN; c++)
        if (trp_str_is_equal_nocase(name, trp_str_of(names[c])))
            return (enum trp_coding)c;
    if (trp_str_is_equal_nocase(name, TRP_STR_LIT("x-gzip")))
        return TRP_CODING_GZIP; /* RFC 9110, section 8.4.1.3 */
    return TRP_CODING_UNKNOWN;
}

const char *trp_coding_name(enum trp_coding c)
{
    return names[c < TRP_CODING_UNKNOWN ? c : TRP_CODING_UNKNOWN];
}

/* ---- the loop -------------------------------------------------------------------------------- */

static voidpf take_memory(voidpf alloc, uInt items, uInt size)
{
    return trp_alloc_get(alloc, items, size);
}

static void give_memory(voidpf alloc, voidpf block)
{
    trp_alloc_free(alloc, block);
}

/* zlib's state is paid for by whoever pays for the result. */
static z_stream stream_of(struct trp_buf *out)
{
    union {
        const void *in;
        void *out;
    } alloc = { .in = out->alloc }; /* zlib's opaque pointer is not const, our use of it is */
    return (z_stream){ .zalloc = take_memory, .zfree = give_memory, .opaque = alloc.out };
}

static size_t piece_for(struct trp_str in)
{
    if (in.len >= PIECE_MAX / 4)
        return PIECE_MAX;
    return in.len * 4 > PIECE_MIN ? in.len * 4 : PIECE_MIN;
}

/* Gives the stream the next part of the input; returns what is left for later. */
static struct trp_str feed(z_stream *z, struct trp_str in)
{
    if (z->avail_in > 0 || in.len == 0)
        return in;
    const size_t n = in.len < INPUT_MAX ? in.len : INPUT_MAX;
    z->next_in = (z_const Bytef *)in.ptr;
    z->avail_in = (uInt)n;
    return trp_str_make(in.ptr + n, in.len - n);
}

/* Steps until the stream ends (Z_STREAM_END), fails, or lacks input (Z_BUF_ERROR).  A full or
 * failed buffer shows in out->failed. */
static int drive(z_stream *z, int (*step)(z_streamp, int), struct trp_str in, struct trp_buf *out)
{
    const size_t piece = piece_for(in);
    for (;;) {
        in = feed(z, in);
        char spare;
        const size_t left = out->max - out->len, room = left < piece ? left : piece;
        char *to = room ? trp_buf_room(out, room) : &spare;
        if (!to)
            return Z_MEM_ERROR;
        z->next_out = (Bytef *)to;
        z->avail_out = room ? (uInt)room : 1;
        const int rc = step(z, in.len ? Z_NO_FLUSH : Z_FINISH);
        if (room)
            trp_buf_added(out, room - z->avail_out);
        else if (z->avail_out == 0)
            out->failed = TRP_TOO_LARGE;
        if (out->failed || (rc != Z_OK && rc != Z_BUF_ERROR))
            return rc;
        if (rc == Z_BUF_ERROR && z->avail_out > 0)
            return rc;
    }
}

/* ---- unpack ---------------------------------------------------------------------------------- */

/* RFC 1950: the method is 8, and the first two bytes are a multiple of 31. */
static bool has_zlib_header(struct trp_str in)
{
    if (in.len < 2)
        return false;
    const unsigned first = (unsigned char)in.ptr[0], second = (unsigned char)in.ptr[1];
    return (first & 0x0f) == 8 && (first * 256 + second) % 31 == 0;
}

static int unpack_window(enum trp_coding c, struct trp_str in)
{
    if (c == TRP_CODING_GZIP)
        return WINDOW + GZIP_WRAPPER;
    return has_zlib_header(in) ? WINDOW : -WINDOW;
}

static trp_status unpacked(const z_stream *z, int rc, enum trp_coding c, struct trp_str in,
                           const struct trp_buf *out, struct trp_error *err)
{
    const size_t used = z->next_in ? (size_t)((const char *)z->next_in - in.ptr) : 0;
    const char *name = trp_coding_name(c);
    if (out->failed)
        return trp_buf_check(out, name, err);
    if (rc == Z_MEM_ERROR)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%s", name);
    if (rc == Z_BUF_ERROR)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: cut off after %zu bytes", name, in.len);
    if (rc != Z_STREAM_END)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: corrupt near byte %zu: %s", name, used,
                        z->msg ? z->msg : zError(rc));
    if (used < in.len)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: %zu bytes behind the end", name,
                        in.len - used);
    return trp_ok();
}

trp_status trp_coding_unpack(enum trp_coding c, struct trp_str in, struct trp_buf *out,
                             struct trp_error *err)
{
    if (c == TRP_CODING_IDENTITY) {
        trp_buf_add_str(out, in);
        return trp_buf_check(out, trp_coding_name(c), err);
    }
    if (c != TRP_CODING_GZIP && c != TRP_CODING_DEFLATE)
        return trp_fail(err, TRP_UNSUPPORTED_MEDIA, "unknown content coding");
    z_stream z = stream_of(out);
    int rc = inflateInit2(&z, unpack_window(c, in));
    if (rc == Z_OK)
        rc = drive(&z, inflate, in, out);
    const trp_status st = unpacked(&z, rc, c, in, out, err);
    (void)inflateEnd(&z);
    return st;
}

/* ---- pack ------------------------------------------------------------------------------------ */

trp_status trp_coding_pack(enum trp_coding c, struct trp_str in, struct trp_buf *out,
                           struct trp_error *err)
{
    if (c == TRP_CODING_IDENTITY) {
        trp_buf_add_str(out, in);
        return trp_buf_check(out, trp_coding_name(c), err);
    }
    if (c != TRP_CODING_GZIP && c != TRP_CODING_DEFLATE)
        return trp_fail(err, TRP_UNSUPPORTED_MEDIA, "unknown content coding");
    const int memory_level = 8; /* zlib's default */
    const int window = c == TRP_CODING_GZIP ? WINDOW + GZIP_WRAPPER : WINDOW;
    z_stream z = stream_of(out);
    int rc = deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, window, memory_level, Z_DEFAULT_STRATEGY);
    if (rc == Z_OK) {
        rc = drive(&z, deflate, in, out);
        (void)deflateEnd(&z);
    }
    if (out->failed)
        return trp_buf_check(out, trp_coding_name(c), err);
    if (rc != Z_STREAM_END) /* deflate() itself cannot fail otherwise */
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%s", trp_coding_name(c));
    return trp_ok();
}
