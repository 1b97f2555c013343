/* onnx/onnx_tensor.c - see onnx_tensor.h. */
#include "onnx/onnx_tensor.h"

#define DATA_IS_EXTERNAL 1

/* What a TensorProto says, before it is believed. */
struct head {
    uint64_t elements, text_bytes;
    bool too_large, negative, has_raw, is_external;
    int32_t elem;
    struct trp_str name, raw;
    struct trp_str path;
    uint64_t offset, length;
    bool has_length, bad_number;
};

static void take_dim(struct head *h, uint64_t dim)
{
    if ((int64_t)dim < 0)
        h->negative = true;
    else if (__builtin_mul_overflow(h->elements, dim, &h->elements) || h->elements > INT64_MAX)
        h->too_large = true;
}

static void take_packed_dims(struct trp_onnx_walk *w, struct trp_str packed, struct head *h)
{
    struct trp_pb_reader r = trp_pb_reader_of(packed);
    uint64_t dim;
    while (trp_pb_take_varint(&r, &dim))
        take_dim(h, dim);
    if (r.at != r.end)
        trp_onnx_stop(w, TRP_DATA_LOSS, "corrupt shape of a tensor at byte %zu",
                      trp_onnx_offset(w, r.at));
}

static void take_external(struct trp_onnx_walk *w, struct trp_str entry, struct head *h)
{
    struct trp_pb_reader r = trp_pb_reader_of(entry);
    struct trp_pb_field f;
    struct trp_str key = { 0 }, value = { 0 };
    while (trp_onnx_next(w, &r, "external data", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_ENTRY_KEY)
            key = f.bytes;
        else if (trp_onnx_field_of(&f) == ONNX_ENTRY_VALUE)
            value = f.bytes;
    }
    if (trp_str_is(key, "location")) {
        h->path = value;
    } else if (trp_str_is(key, "offset")) {
        h->bad_number |= !trp_str_parse_u64(value, &h->offset);
    } else if (trp_str_is(key, "length")) {
        h->has_length = trp_str_parse_u64(value, &h->length);
        h->bad_number |= !h->has_length;
    }
}

static void read_head(struct trp_onnx_walk *w, struct trp_str message, struct head *h)
{
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    while (trp_onnx_next(w, &r, "a tensor", &f)) {
        switch (trp_onnx_field_of(&f)) {
        case ONNX_TENSOR_DIMS:
            take_dim(h, f.scalar);
            break;
        case ONNX_TENSOR_DIMS_PACKED:
            take_packed_dims(w, f.bytes, h);
            break;
        case ONNX_TENSOR_TYPE:
            h->elem = f.scalar < TRP_ONNX_ELEMS ? (int32_t)f.scalar : TRP_ONNX_NO_ELEM;
            break;
        case ONNX_TENSOR_NAME:
            h->name = f.bytes;
            break;
        case ONNX_TENSOR_RAW:
            h->raw = f.bytes;
            h->has_raw = true;
            break;
        case ONNX_TENSOR_STRING:
            h->text_bytes += f.bytes.len; /* cannot overflow: all of it lies in the file */
            break;
        case ONNX_TENSOR_EXTERNAL:
            take_external(w, f.bytes, h);
            break;
        case ONNX_TENSOR_LOCATION:
            h->is_external = f.scalar == DATA_IS_EXTERNAL;
            break;
        default: /* typed data is passed over whole */
            break;
        }
    }
}

/* As in memory: small integers are packed, the last byte may be half full.  False on overflow. */
static bool bytes_of(const struct head *h, uint64_t *out)
{
    const uint32_t bits = trp_onnx_elem_bits(h->elem);
    uint64_t total;
    if (h->elem == TRP_ONNX_STRING) {
        *out = h->text_bytes;
        return true;
    }
    if (bits >= 8) {
        return !__builtin_mul_overflow(h->elements, (uint64_t)(bits / 8), out);
    }
    if (__builtin_mul_overflow(h->elements, (uint64_t)bits, &total) || total > UINT64_MAX - 7)
        return false;
    *out = (total + 7) / 8;
    return true;
}

static void check_head(struct trp_onnx_walk *w, struct trp_str message, const struct head *h,
                       uint64_t *out_bytes)
{
    const size_t at = trp_onnx_offset(w, message.ptr);
    const int name_len = (int)(h->name.len < 64 ? h->name.len : 64);
    if (h->negative)
        trp_onnx_stop(w, TRP_INVALID_ARGUMENT, "tensor '%.*s' at byte %zu has a negative size",
                      name_len, h->name.ptr, at);
    else if (h->too_large || !bytes_of(h, out_bytes))
        trp_onnx_stop(w, TRP_INVALID_ARGUMENT,
                      "the shape of tensor '%.*s' at byte %zu passes 2^63 elements or bytes",
                      name_len, h->name.ptr, at);
    else if (h->has_raw && !h->is_external && trp_onnx_elem_bits(h->elem) > 0 &&
             h->raw.len != *out_bytes)
        trp_onnx_stop(w, TRP_INVALID_ARGUMENT,
                      "tensor '%.*s' at byte %zu holds %zu bytes, its shape asks for %llu",
                      name_len, h->name.ptr, at, h->raw.len, (unsigned long long)*out_bytes);
}

static void add_external(struct trp_onnx_walk *w, struct trp_str message, const struct head *h,
                         uint64_t bytes)
{
    const uint64_t length = h->has_length ? h->length : bytes;
    if (h->path.len == 0 || h->bad_number || length > INT64_MAX || h->offset > INT64_MAX - length) {
        trp_onnx_stop(
            w, TRP_INVALID_ARGUMENT,
            "tensor at byte %zu: external data without a valid location, offset or length",
            trp_onnx_offset(w, message.ptr));
        return;
    }
    if (w->opts.signature_only)
        return;
    struct trp_onnx_external *const e =
        trp_onnx_list_add(w, &w->externals, sizeof *e, w->opts.tensors_max, "external tensors");
    if (e)
        *e = (struct trp_onnx_external){
            .tensor = trp_onnx_keep_name(w, h->name, "the name of a tensor"),
            .path = trp_onnx_keep_name(w, h->path, "the path of external data"),
            .offset = h->offset,
            .length = length,
        };
}

void trp_onnx_tensor_read(struct trp_onnx_walk *w, struct trp_str message,
                          struct trp_onnx_tensor *out)
{
    struct head h = { .elements = 1 };
    uint64_t bytes = 0;
    read_head(w, message, &h);
    if (!trp_failed(w->status))
        check_head(w, message, &h, &bytes);
    if (h.is_external && !trp_failed(w->status))
        add_external(w, message, &h, bytes);
    *out = (struct trp_onnx_tensor){
        .message = message,
        .name = h.name,
        .elem = h.elem,
        .elements = h.elements,
        .bytes = bytes,
        .is_external = h.is_external,
    };
}

static bool add_sum(struct trp_onnx_sum *sum, uint64_t elements, uint64_t bytes)
{
    sum->tensors++;
    return !__builtin_add_overflow(sum->elements, elements, &sum->elements) &&
           !__builtin_add_overflow(sum->bytes, bytes, &sum->bytes);
}

static void count(struct trp_onnx_walk *w, enum trp_onnx_place place, int32_t elem,
                  uint64_t elements, uint64_t bytes)
{
    if (trp_failed(w->status))
        return;
    if (++w->tensors > w->opts.tensors_max)
        trp_onnx_stop(w, TRP_TOO_LARGE, "more than %u tensors", w->opts.tensors_max);
    else if (!add_sum(&w->model.places[place], elements, bytes) ||
             !add_sum(&w->model.elems[elem], elements, bytes) ||
             !add_sum(&w->model.total, elements, bytes))
        trp_onnx_stop(w, TRP_INVALID_ARGUMENT, "the parameters together pass 2^64 bytes");
}

void trp_onnx_tensor_count(struct trp_onnx_walk *w, const struct trp_onnx_tensor *tensor,
                           enum trp_onnx_place place)
{
    count(w, place, tensor->elem, tensor->elements, tensor->bytes);
}

void trp_onnx_sparse_count(struct trp_onnx_walk *w, struct trp_str message,
                           enum trp_onnx_place place, struct trp_onnx_tensor *out_values)
{
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    struct trp_onnx_tensor indices = { 0 };
    *out_values = (struct trp_onnx_tensor){ 0 };
    while (trp_onnx_next(w, &r, "a sparse tensor", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_SPARSE_VALUES)
            trp_onnx_tensor_read(w, f.bytes, out_values);
        else if (trp_onnx_field_of(&f) == ONNX_SPARSE_INDICES)
            trp_onnx_tensor_read(w, f.bytes, &indices);
    }
    uint64_t bytes;
    if (__builtin_add_overflow(out_values->bytes, indices.bytes, &bytes))
        bytes = UINT64_MAX; /* refused by the sum of all, or by the next one */
    count(w, place, out_values->elem, out_values->elements, bytes);
}

void trp_onnx_numbers_count(struct trp_onnx_walk *w, int32_t elem, uint64_t elements,
                            enum trp_onnx_place place)
{
    count(w, place, elem, elements, elements * (trp_onnx_elem_bits(elem) / 8));
}

static void look_at(struct trp_onnx_ints *ints, int64_t v, int32_t elem)
{
    ints->has_zero |= v == 0;
    ints->has_minus_one |= v == -1;
    ints->has_min |= v == (elem == TRP_ONNX_INT32 ? INT32_MIN : INT64_MIN);
}

static uint64_t look_at_raw(struct trp_onnx_ints *ints, struct trp_str raw, int32_t from,
                            int32_t elem)
{
    struct trp_pb_reader r = trp_pb_reader_of(raw);
    uint64_t n = 0, wide;
    uint32_t narrow;
    if (from == TRP_ONNX_INT64) {
        for (; trp_pb_take_fixed64(&r, &wide); n++)
            look_at(ints, (int64_t)wide, elem);
    } else {
        for (; trp_pb_take_fixed32(&r, &narrow); n++)
            look_at(ints, (int32_t)narrow, elem);
    }
    return n;
}

/* protobuf cuts a varint to the width of its field, whatever it was written as. */
static int64_t number_of(uint64_t varint, int32_t from)
{
    return from == TRP_ONNX_INT64 ? (int64_t)varint : (int32_t)varint;
}

static uint64_t look_at_packed(struct trp_onnx_ints *ints, struct trp_str packed, int32_t from,
                               int32_t elem)
{
    struct trp_pb_reader r = trp_pb_reader_of(packed);
    uint64_t n = 0, v;
    for (; trp_pb_take_varint(&r, &v); n++)
        look_at(ints, number_of(v, from), elem);
    return n;
}

/* The numbers may come as raw bytes, packed, one field each, or (legally) mixed.  They count as
 * known only when there are as many as the shape says, which also excludes external ones. */
static struct trp_onnx_ints tensor_ints(struct trp_str message, int32_t elem)
{
    struct head h = { .elements = 1 };
    struct trp_onnx_walk w = { .file = message }; /* a walk of its own: the answer is "not known" */
    struct trp_onnx_ints ints = { 0 };
    read_head(&w, message, &h);
    const bool is_wide = h.elem == TRP_ONNX_INT64;
    if (trp_failed(w.status) || h.negative || h.too_large || h.is_external ||
        (!is_wide && h.elem != TRP_ONNX_INT32))
        return ints;
    uint64_t n = look_at_raw(&ints, h.raw, h.elem, elem);
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    while (trp_onnx_next(&w, &r, "a constant", &f)) {
        const uint32_t field = trp_onnx_field_of(&f);
        if (field == (is_wide ? ONNX_TENSOR_INT64_PACKED : ONNX_TENSOR_INT32_PACKED)) {
            n += look_at_packed(&ints, f.bytes, h.elem, elem);
        } else if (field == (is_wide ? ONNX_TENSOR_INT64 : ONNX_TENSOR_INT32)) {
            look_at(&ints, number_of(f.scalar, h.elem), elem);
            n++;
        }
    }
    ints.known = n == h.elements;
    return ints;
}

static struct trp_onnx_ints attribute_ints(struct trp_str message, int32_t elem)
{
    struct trp_onnx_walk w = { .file = message };
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    struct trp_onnx_ints ints = { 0 };
    while (trp_onnx_next(&w, &r, "a constant", &f)) {
        const uint32_t field = trp_onnx_field_of(&f);
        if (field == ONNX_ATTRIBUTE_INT || field == ONNX_ATTRIBUTE_INTS) {
            look_at(&ints, (int64_t)f.scalar, elem);
            ints.known = true; /* one that refers to a function's attribute holds no number */
        } else if (field == ONNX_ATTRIBUTE_INTS_PACKED) {
            ints.known |= look_at_packed(&ints, f.bytes, TRP_ONNX_INT64, elem) > 0;
        }
    }
    return ints;
}

struct trp_onnx_ints trp_onnx_constant_ints(const struct trp_onnx_constant *c, int32_t elem)
{
    switch (c->kind) {
    case TRP_ONNX_TENSOR_CONSTANT:
        return tensor_ints(c->bytes, elem);
    case TRP_ONNX_ATTRIBUTE_CONSTANT:
        return attribute_ints(c->bytes, elem);
    default:
        return (struct trp_onnx_ints){ 0 };
    }
}
