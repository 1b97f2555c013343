/* wire/oip_grpc_contents.c - inference.InferTensorContents: elements as typed protobuf lists.
 *
 * Every element is walked twice by the same code: once to count, so that memory is asked for only
 * when as many elements came as the shape wants, and once to store.  Lists may be packed or not, in
 * one run or several.  What does not fit the datatype is refused, not cut; FP16 and BF16 have no
 * list and come raw. */
#include "base/pbwire.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"
#include "wire/oip_decode.h"

#define SHOWN_MAX 200 /* bytes of a client's text in a message */

enum list { /* field numbers of InferTensorContents */
            LIST_NONE = 0,
            LIST_BOOL = 1,
            LIST_INT = 2,
            LIST_INT64 = 3,
            LIST_UINT = 4,
            LIST_UINT64 = 5,
            LIST_FP32 = 6,
            LIST_FP64 = 7,
            LIST_BYTES = 8,
            LISTS
};

static const struct {
    const char *name;
    enum trp_pb_type element; /* of one element that is not packed */
} lists[LISTS] = {
    [LIST_NONE] = { "raw_input_contents", TRP_PB_BYTES },
    [LIST_BOOL] = { "bool_contents", TRP_PB_VARINT },
    [LIST_INT] = { "int_contents", TRP_PB_VARINT },
    [LIST_INT64] = { "int64_contents", TRP_PB_VARINT },
    [LIST_UINT] = { "uint_contents", TRP_PB_VARINT },
    [LIST_UINT64] = { "uint64_contents", TRP_PB_VARINT },
    [LIST_FP32] = { "fp32_contents", TRP_PB_FIXED32 },
    [LIST_FP64] = { "fp64_contents", TRP_PB_FIXED64 },
    [LIST_BYTES] = { "bytes_contents", TRP_PB_BYTES },
};

static const struct {
    enum list list;
    int64_t min, max; /* of a number; 0, 0: whatever the list can hold */
} types[TROUPE_DTYPES] = {
    [TROUPE_BOOL] = { LIST_BOOL, 0, 0 },
    [TROUPE_UINT8] = { LIST_UINT, 0, UINT8_MAX },
    [TROUPE_UINT16] = { LIST_UINT, 0, UINT16_MAX },
    [TROUPE_UINT32] = { LIST_UINT, 0, UINT32_MAX },
    [TROUPE_UINT64] = { LIST_UINT64, 0, 0 },
    [TROUPE_INT8] = { LIST_INT, INT8_MIN, INT8_MAX },
    [TROUPE_INT16] = { LIST_INT, INT16_MIN, INT16_MAX },
    [TROUPE_INT32] = { LIST_INT, INT32_MIN, INT32_MAX },
    [TROUPE_INT64] = { LIST_INT64, 0, 0 },
    [TROUPE_FP32] = { LIST_FP32, 0, 0 },
    [TROUPE_FP64] = { LIST_FP64, 0, 0 },
    [TROUPE_BYTES] = { LIST_BYTES, 0, 0 },
};

struct walk {
    struct trp_oip_decoding *d;
    const struct trp_call_tensor *input;
    enum list list;
    uint64_t elements, bytes; /* so far */
    char *out;                /* NULL: counting */
    struct trp_str packed;    /* the last packed run */
    uint32_t packed_n, loose_n;
};

static trp_status malformed(const struct walk *w)
{
    return trp_fail(w->d->err, TRP_INVALID_ARGUMENT, "%s: malformed protobuf", lists[w->list].name);
}

/* ---- one element ----------------------------------------------------------------------------- */

/* The low bytes of a checked number are its raw form, this being a little-endian machine. */
static trp_status take_scalar(struct walk *w, uint64_t scalar)
{
    const int32_t dtype = w->input->tensor.dtype;
    const uint32_t width = trp_dtype_bytes(dtype);
    const int64_t v = (int64_t)scalar, min = types[dtype].min, max = types[dtype].max;
    if (max != 0 && (v < min || v > max))
        return trp_fail(w->d->err, TRP_INVALID_ARGUMENT, "element %llu of %s: %lld does not fit %s",
                        (unsigned long long)w->elements, lists[w->list].name, (long long)v,
                        trp_dtype_name(dtype));
    if (w->list == LIST_BOOL)
        scalar = scalar != 0;
    if (w->out)
        memcpy(w->out + w->bytes, &scalar, width);
    w->elements++;
    w->bytes += width;
    return trp_ok();
}

static trp_status take_string(struct walk *w, struct trp_str s)
{
    const uint32_t len = (uint32_t)s.len;
    if (s.len > UINT32_MAX)
        return trp_fail(w->d->err, TRP_TOO_LARGE, "a string of %zu bytes", s.len);
    if (w->out) {
        memcpy(w->out + w->bytes, &len, sizeof len);
        if (len > 0)
            memcpy(w->out + w->bytes + sizeof len, s.ptr, len);
    }
    w->elements++;
    w->bytes += sizeof len + s.len;
    return trp_ok();
}

static trp_status take_packed(struct walk *w, struct trp_str packed)
{
    struct trp_pb_reader reader = trp_pb_reader_of(packed);
    const uint32_t width = trp_dtype_bytes(w->input->tensor.dtype);
    uint64_t v = 0;
    w->packed = packed;
    w->packed_n++;
    if (lists[w->list].element == TRP_PB_VARINT) {
        while (trp_pb_take_varint(&reader, &v))
            TRP_CHECK(take_scalar(w, v));
        return reader.at == reader.end ? trp_ok() : malformed(w);
    }
    if (packed.len % width != 0)
        return malformed(w);
    if (w->out) /* packed floats are raw already */
        memcpy(w->out + w->bytes, packed.ptr, packed.len);
    w->elements += packed.len / width;
    w->bytes += packed.len;
    return trp_ok();
}

/* ---- the lists ------------------------------------------------------------------------------- */

static trp_status walk_lists(struct walk *w, struct trp_str contents)
{
    struct trp_pb_reader reader = trp_pb_reader_of(contents);
    struct trp_pb_field f;
    enum trp_pb_next next;
    while ((next = trp_pb_next(&reader, &f)) == TRP_PB_FIELD) {
        const bool is_run = f.type == TRP_PB_BYTES && f.number != LIST_BYTES;
        if (f.number >= LISTS || (is_run && f.bytes.len == 0))
            continue; /* unknown, or an empty list: says nothing */
        if (f.number != (uint32_t)w->list)
            return trp_fail(w->d->err, TRP_INVALID_ARGUMENT, "%s given, but %s is sent in %s",
                            lists[f.number].name, trp_dtype_name(w->input->tensor.dtype),
                            lists[w->list].name);
        if (is_run) {
            TRP_CHECK(take_packed(w, f.bytes));
            continue;
        }
        if (f.type != lists[w->list].element)
            return malformed(w);
        w->loose_n++;
        TRP_CHECK(f.type == TRP_PB_BYTES ? take_string(w, f.bytes) : take_scalar(w, f.scalar));
    }
    return next == TRP_PB_END ? trp_ok() : malformed(w);
}

static trp_status walk_input(struct walk *w, struct trp_str message)
{
    struct trp_pb_reader reader = trp_pb_reader_of(message);
    struct trp_pb_field f;
    while (trp_pb_next(&reader, &f) == TRP_PB_FIELD)
        if (f.number == TRP_OIP_INPUT_CONTENTS && f.type == TRP_PB_BYTES)
            TRP_CHECK(walk_lists(w, f.bytes));
    return trp_ok(); /* the message was walked to its end before: it is not corrupt */
}

static trp_status read_lists(struct walk *w, struct trp_call_tensor *input, struct trp_str message)
{
    const struct troupe_tensor *const t = &input->tensor;
    uint64_t expected = 0, bytes = 0;
    char shape[200];
    TRP_CHECK(trp_oip_measure(w->d, input, &expected, &bytes));
    TRP_CHECK(walk_input(w, message));
    if (w->elements != expected)
        return trp_fail(
            w->d->err, TRP_INVALID_ARGUMENT, "%s holds %llu elements, shape %s needs %llu",
            lists[w->list].name, (unsigned long long)w->elements,
            trp_shape_format(t->shape, t->rank, shape, sizeof shape), (unsigned long long)expected);
    bytes = w->bytes;
    TRP_CHECK(trp_oip_expect_bytes(w->d, input, bytes, lists[w->list].name));
    if (w->packed_n == 1 && w->loose_n == 0 && lists[w->list].element != TRP_PB_VARINT)
        return trp_oip_give_view(w->d, input, w->packed.ptr, bytes);
    TRP_CHECK(trp_oip_give_memory(w->d, input, bytes));
    w->out = input->tensor.data;
    w->elements = w->bytes = 0;
    return walk_input(w, message);
}

trp_status trp_oip_read_contents(struct trp_oip_decoding *d, struct trp_call_tensor *input,
                                 struct trp_str input_message)
{
    struct walk w = { .d = d, .input = input, .list = types[input->tensor.dtype].list };
    const int shown = (int)(input->name.len < SHOWN_MAX ? input->name.len : SHOWN_MAX);
    TRP_TRY(read_lists(&w, input, input_message), d->err, "input '%.*s'", shown, input->name.ptr);
    return trp_ok();
}
