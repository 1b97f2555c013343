/* base/compress.c - zlib, a step at a time.
 *
 * A thread that answers many clients may not unpack 30 MB of one of them in one go, so there is no
 * such call.  The first step of an unpacker looks at the first two bytes before it sets zlib up:
 * what calls itself deflate comes with a zlib header or without. */
#include "base/compress.h"

#include <zlib.h>

#define STEP_MAX ((size_t)1 << 30) /* zlib counts in 32 bits */
#define WINDOW 15
#define GZIP_WRAPPER 16 /* added to the window bits; negated bits mean no wrapper */
#define MEMORY_LEVEL 8  /* zlib's default */
#define HEADER_BYTES 2u /* of zlib's */

static const char *const names[] = { "identity", "gzip", "deflate", "unknown" };

struct trp_coder {
    const struct trp_alloc *alloc;
    enum trp_coding coding;
    enum trp_coder_way way;
    bool is_set_up, is_over;
    size_t used;
    z_stream z;
};

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

/* ---- construction ---------------------------------------------------------------------------- */

static voidpf take_memory(voidpf alloc, uInt items, uInt size)
{
    return trp_alloc_get(alloc, items, size);
}

static void give_memory(voidpf alloc, voidpf block)
{
    trp_alloc_free(alloc, block);
}

static trp_status no_memory(const struct trp_coder *k, struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "%s: no memory", trp_coding_name(k->coding));
}

static trp_status set_up_packer(struct trp_coder *k, struct trp_error *err)
{
    const int window = k->coding == TRP_CODING_GZIP ? WINDOW + GZIP_WRAPPER : WINDOW;
    if (deflateInit2(&k->z, Z_BEST_SPEED, Z_DEFLATED, window, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        return no_memory(k, err);
    k->is_set_up = true;
    return trp_ok();
}

trp_status trp_coder_create(const struct trp_alloc *alloc, enum trp_coding c,
                            enum trp_coder_way way, struct trp_coder **out_coder,
                            struct trp_error *err)
{
    *out_coder = NULL;
    if (c != TRP_CODING_GZIP && c != TRP_CODING_DEFLATE)
        return trp_fail(err, TRP_UNSUPPORTED_MEDIA, "unknown content coding");
    struct trp_coder *k = trp_alloc_zeroed(alloc, 1, sizeof *k);
    if (!k)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%s: no memory", trp_coding_name(c));
    union {
        const void *in;
        void *out;
    } payer = { .in = alloc }; /* zlib's opaque pointer is not const, our use of it is */
    k->alloc = alloc;
    k->coding = c;
    k->way = way;
    k->z = (z_stream){ .zalloc = take_memory, .zfree = give_memory, .opaque = payer.out };
    const trp_status st = way == TRP_CODER_PACK ? set_up_packer(k, err) : trp_ok();
    if (trp_failed(st)) {
        trp_coder_destroy(k);
        return st;
    }
    *out_coder = k;
    return st;
}

void trp_coder_destroy(struct trp_coder *k)
{
    if (!k)
        return;
    if (k->is_set_up && k->way == TRP_CODER_PACK)
        (void)deflateEnd(&k->z);
    else if (k->is_set_up)
        (void)inflateEnd(&k->z);
    trp_alloc_free(k->alloc, k);
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* RFC 1950: the method is 8, and the first two bytes are a multiple of 31. */
static bool has_zlib_header(struct trp_str in)
{
    if (in.len < HEADER_BYTES)
        return false;
    const unsigned first = (unsigned char)in.ptr[0], second = (unsigned char)in.ptr[1];
    return (first & 0x0f) == 8 && (first * 256 + second) % 31 == 0;
}

static trp_status set_up_unpacker(struct trp_coder *k, struct trp_str in, struct trp_error *err)
{
    const int window = k->coding == TRP_CODING_GZIP ? WINDOW + GZIP_WRAPPER
                       : has_zlib_header(in)        ? WINDOW
                                                    : -WINDOW;
    if (inflateInit2(&k->z, window) != Z_OK)
        return no_memory(k, err);
    k->is_set_up = true;
    return trp_ok();
}

static trp_status verdict(const struct trp_coder *k, int rc, struct trp_error *err)
{
    if (rc == Z_OK || rc == Z_BUF_ERROR || rc == Z_STREAM_END)
        return trp_ok();
    if (rc == Z_MEM_ERROR)
        return no_memory(k, err);
    return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: corrupt near byte %zu: %s",
                    trp_coding_name(k->coding), k->used, k->z.msg ? k->z.msg : zError(rc));
}

trp_status trp_coder_step(struct trp_coder *k, struct trp_str in, bool is_last, char *out,
                          size_t room, struct trp_coder_step *step, struct trp_error *err)
{
    *step = (struct trp_coder_step){ .is_over = k->is_over };
    if (k->is_over || (!k->is_set_up && in.len < HEADER_BYTES && !is_last))
        return trp_ok();
    if (!k->is_set_up)
        TRP_CHECK(set_up_unpacker(k, in, err));
    const size_t given = in.len < STEP_MAX ? in.len : STEP_MAX;
    const size_t taken = room < STEP_MAX ? room : STEP_MAX;
    k->z.next_in = (z_const Bytef *)in.ptr;
    k->z.avail_in = (uInt)given;
    k->z.next_out = (Bytef *)out;
    k->z.avail_out = (uInt)taken;
    const int rc = k->way == TRP_CODER_UNPACK
                       ? inflate(&k->z, Z_NO_FLUSH)
                       : deflate(&k->z, is_last && given == in.len ? Z_FINISH : Z_NO_FLUSH);
    step->used = given - k->z.avail_in;
    step->made = taken - k->z.avail_out;
    step->is_over = k->is_over = rc == Z_STREAM_END;
    k->used += step->used;
    return verdict(k, rc, err);
}

trp_status trp_coder_check(const struct trp_coder *k, size_t in_bytes, struct trp_error *err)
{
    const char *name = trp_coding_name(k->coding);
    if (!k->is_over)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: cut off after %zu bytes", name, in_bytes);
    if (k->used < in_bytes)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: %zu bytes behind the end", name,
                        in_bytes - k->used);
    return trp_ok();
}

size_t trp_coder_bound(struct trp_coder *k, size_t bytes)
{
    return deflateBound(&k->z, bytes);
}
