/* Whole bodies through a coder, in pieces of a given size, for tests that want to talk
 * compressed. */
#ifndef CODING_H
#define CODING_H

#include "base/buf.h"
#include "base/compress.h"

struct coding_pieces {
    size_t in, out;
};

/* To the end of `out`. */
static inline trp_status coding_run(enum trp_coding c, enum trp_coder_way way, struct trp_str in,
                                    struct coding_pieces pieces, struct trp_buf *out,
                                    struct trp_error *err)
{
    struct trp_coder *k;
    TRP_CHECK(trp_coder_create(out->alloc, c, way, &k, err));
    struct trp_coder_step step = { 0 };
    size_t at = 0, given = pieces.in;
    trp_status st = trp_ok();
    while (!trp_failed(st) && !step.is_over) {
        char *room = trp_buf_room(out, pieces.out);
        if (!room) {
            st = trp_buf_check(out, "out", err);
            break;
        }
        const size_t n = in.len - at < given ? in.len - at : given;
        const bool is_last = at + n == in.len;
        st = trp_coder_step(k, trp_str_make(in.ptr + at, n), is_last, room, pieces.out, &step, err);
        at += step.used;
        trp_buf_added(out, step.made);
        if (step.used == 0 && step.made == 0 && is_last)
            break;
        given = step.used == 0 && step.made == 0 ? given + pieces.in : pieces.in;
    }
    if (!trp_failed(st))
        st = trp_coder_check(k, in.len, err);
    trp_coder_destroy(k);
    return st;
}

static inline trp_status coding_pack(enum trp_coding c, struct trp_str in, struct trp_buf *out)
{
    return coding_run(c, TRP_CODER_PACK, in, (struct coding_pieces){ SIZE_MAX / 2, 4096 }, out,
                      NULL);
}

static inline trp_status coding_unpack(enum trp_coding c, struct trp_str in, struct trp_buf *out)
{
    return coding_run(c, TRP_CODER_UNPACK, in, (struct coding_pieces){ SIZE_MAX / 2, 4096 }, out,
                      NULL);
}

#endif
