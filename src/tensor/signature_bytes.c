/* tensor/signature_bytes.c - see signature_bytes.h
 *
 *   number of the format · inputs · outputs · batch_max · platform · each input · each output
 *   text: length, bytes            tensor: name · dtype · flags · rank · dims · names of dims
 *
 * All numbers have 8 bytes: a few hundred of them are read in less time than the file is opened
 * in. */
#include "tensor/signature_bytes.h"

#define FORMAT INT64_C(1)
#define TEXT_MAX ((int64_t)1 << 20)

enum { OPTIONAL = 1, ANY_RANK = 2, SHAPE_UNCHECKED = 4 };

/* ---- writing ---- */

static void add_number(struct trp_buf *b, int64_t n)
{
    trp_buf_add(b, &n, sizeof n);
}

static void add_string(struct trp_buf *b, struct trp_str s)
{
    add_number(b, (int64_t)s.len);
    trp_buf_add_str(b, s);
}

static void add_io(struct trp_buf *b, const struct trp_io *io)
{
    add_string(b, io->name);
    add_number(b, io->dtype);
    add_number(b, (io->optional ? OPTIONAL : 0) | (io->any_rank ? ANY_RANK : 0) |
                      (io->shape_unchecked ? SHAPE_UNCHECKED : 0));
    add_number(b, io->rank);
    for (uint32_t d = 0; d < io->rank; d++) {
        add_number(b, io->dims[d]);
        add_string(b, io->dim_names ? io->dim_names[d] : (struct trp_str){ 0 });
    }
}

void trp_signature_bytes_encode(const struct trp_signature *s, struct trp_buf *b)
{
    add_number(b, FORMAT);
    add_number(b, s->inputs_n);
    add_number(b, s->outputs_n);
    add_number(b, s->batch_max);
    add_string(b, s->platform);
    for (uint32_t i = 0; i < s->inputs_n; i++)
        add_io(b, &s->inputs[i]);
    for (uint32_t i = 0; i < s->outputs_n; i++)
        add_io(b, &s->outputs[i]);
}

/* ---- reading: after the first mistake everything is zero, and the end is not reached ---- */

struct reader {
    const char *at;
    size_t left;
    struct trp_arena *arena;
    bool is_damaged, is_short; /* of memory */
};

static int64_t take_number(struct reader *r, int64_t lowest, int64_t highest)
{
    int64_t n = 0;
    if (r->left >= sizeof n) {
        memcpy(&n, r->at, sizeof n);
        r->at += sizeof n;
        r->left -= sizeof n;
        if (n >= lowest && n <= highest)
            return n;
    }
    r->is_damaged = true;
    r->left = 0;
    return lowest;
}

/* As it stands in what is read. */
static struct trp_str take_text(struct reader *r)
{
    const size_t len = (size_t)take_number(r, 0, TEXT_MAX);
    if (len > r->left) {
        r->is_damaged = true;
        r->left = 0;
    }
    if (r->is_damaged || len == 0)
        return (struct trp_str){ 0 };
    const struct trp_str text = trp_str_make(r->at, len);
    r->at += len;
    r->left -= len;
    return text;
}

static struct trp_str take_string(struct reader *r)
{
    const struct trp_str text = take_text(r);
    const struct trp_str copy = text.len ? trp_arena_dup(r->arena, text) : text;
    r->is_short |= text.len && !copy.ptr;
    return copy;
}

static void take_io(struct reader *r, struct trp_io *io)
{
    io->name = take_string(r);
    io->dtype = (int32_t)take_number(r, 0, INT32_MAX);
    const int64_t flags = take_number(r, 0, OPTIONAL | ANY_RANK | SHAPE_UNCHECKED);
    io->optional = (flags & OPTIONAL) != 0;
    io->any_rank = (flags & ANY_RANK) != 0;
    io->shape_unchecked = (flags & SHAPE_UNCHECKED) != 0;
    io->rank = (uint32_t)take_number(r, 0, TROUPE_RANK_MAX);
    struct trp_str names[TROUPE_RANK_MAX] = { { 0 } };
    for (uint32_t d = 0; d < io->rank && !r->is_damaged; d++) {
        io->dims[d] = take_number(r, -1, INT64_MAX);
        names[d] = take_text(r);
    }
    r->is_short |= !trp_signature_dup_dim_names(r->arena, names, io->rank, &io->dim_names);
}

static const struct trp_io *take_ios(struct reader *r, uint32_t n)
{
    struct trp_io *ios = trp_arena_zeroed(r->arena, (size_t)n + 1, sizeof *ios);
    r->is_short |= !ios;
    for (uint32_t i = 0; ios && i < n && !r->is_damaged; i++)
        take_io(r, &ios[i]);
    return ios;
}

trp_status trp_signature_bytes_decode(struct trp_str bytes, struct trp_arena *arena,
                                      struct trp_signature *out, struct trp_error *err)
{
    struct reader r = { .at = bytes.ptr, .left = bytes.len, .arena = arena };
    struct trp_signature s = { 0 };
    (void)take_number(&r, FORMAT, FORMAT);
    s.inputs_n = (uint32_t)take_number(&r, 0, TRP_IO_MAX);
    s.outputs_n = (uint32_t)take_number(&r, 0, TRP_IO_MAX);
    s.batch_max = (int32_t)take_number(&r, 0, INT32_MAX);
    s.platform = take_string(&r);
    s.inputs = take_ios(&r, s.inputs_n);
    s.outputs = take_ios(&r, s.outputs_n);
    if (r.is_damaged || r.left)
        return trp_fail(err, TRP_DATA_LOSS, "these bytes are no signature");
    if (r.is_short)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "signature");
    *out = s;
    return trp_ok();
}
