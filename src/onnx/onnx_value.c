/* onnx/onnx_value.c - see onnx_value.h. */
#include "onnx/onnx_value.h"

static int32_t elem_of(uint64_t number)
{
    return number < TRP_ONNX_ELEMS ? (int32_t)number : TRP_ONNX_NO_ELEM;
}

/* A size below zero is some exporters' way to say "any". */
static void read_dim(struct trp_onnx_walk *w, struct trp_str message, int64_t *size,
                     struct trp_str *name)
{
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    *size = -1;
    while (trp_onnx_next(w, &r, "a dimension", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_DIM_VALUE) {
            *size = (int64_t)f.scalar < 0 ? -1 : (int64_t)f.scalar;
            *name = (struct trp_str){ 0 };
        } else if (trp_onnx_field_of(&f) == ONNX_DIM_NAME) {
            *size = -1; /* one or the other: the last one stands */
            *name = trp_onnx_keep_name(w, f.bytes, "the name of a dimension");
        }
    }
}

static void read_shape(struct trp_onnx_walk *w, struct trp_str message, struct trp_io *io)
{
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    struct trp_str names[TROUPE_RANK_MAX] = { { 0 } };
    io->rank = 0;
    io->any_rank = false;
    while (trp_onnx_next(w, &r, "a shape", &f)) {
        if (trp_onnx_field_of(&f) != ONNX_SHAPE_DIM)
            continue;
        if (io->rank == TROUPE_RANK_MAX) {
            trp_onnx_stop(w, TRP_TOO_LARGE, "shape at byte %zu has more than %d dimensions",
                          trp_onnx_offset(w, message.ptr), TROUPE_RANK_MAX);
            return;
        }
        read_dim(w, f.bytes, &io->dims[io->rank], &names[io->rank]);
        io->rank++;
    }
    if (!trp_signature_dup_dim_names(w->arena, names, io->rank, &io->dim_names))
        trp_onnx_stop(w, TRP_OUT_OF_MEMORY, "the names of a shape");
}

static void read_type(struct trp_onnx_walk *w, struct trp_str message, struct trp_onnx_type *type,
                      struct trp_io *io);

/* A sequence's, optional's or map's inner type. */
static void read_inner(struct trp_onnx_walk *w, struct trp_str message, struct trp_onnx_type *type)
{
    struct trp_onnx_type *const of = trp_arena_zeroed(w->arena, 1, sizeof *of);
    if (!of) {
        trp_onnx_stop(w, TRP_OUT_OF_MEMORY, "a type");
        return;
    }
    type->of = of;
    if (!trp_onnx_enter(w, message.ptr, "a type"))
        return;
    struct trp_io ignored = { 0 };
    read_type(w, message, of, &ignored);
    w->depth--;
}

static void read_tensor_type(struct trp_onnx_walk *w, struct trp_str message,
                             struct trp_onnx_type *type, struct trp_io *io)
{
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    while (trp_onnx_next(w, &r, "a tensor type", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_TYPE_TENSOR_ELEM)
            type->elem = elem_of(f.scalar);
        else if (trp_onnx_field_of(&f) == ONNX_TYPE_TENSOR_SHAPE)
            read_shape(w, f.bytes, io);
    }
}

static void read_map_type(struct trp_onnx_walk *w, struct trp_str message,
                          struct trp_onnx_type *type)
{
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    while (trp_onnx_next(w, &r, "a map type", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_TYPE_MAP_KEY)
            type->elem = elem_of(f.scalar);
        else if (trp_onnx_field_of(&f) == ONNX_TYPE_MAP_VALUE)
            read_inner(w, f.bytes, type);
    }
}

static void read_list_type(struct trp_onnx_walk *w, struct trp_str message,
                           struct trp_onnx_type *type)
{
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    while (trp_onnx_next(w, &r, "a sequence or optional type", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_TYPE_OF)
            read_inner(w, f.bytes, type);
    }
}

static void read_type(struct trp_onnx_walk *w, struct trp_str message, struct trp_onnx_type *type,
                      struct trp_io *io)
{
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    while (trp_onnx_next(w, &r, "a type", &f)) {
        switch (trp_onnx_field_of(&f)) {
        case ONNX_TYPE_TENSOR:
            *type = (struct trp_onnx_type){ .kind = TRP_ONNX_KIND_TENSOR };
            read_tensor_type(w, f.bytes, type, io);
            break;
        case ONNX_TYPE_SPARSE:
            *type = (struct trp_onnx_type){ .kind = TRP_ONNX_KIND_SPARSE };
            read_tensor_type(w, f.bytes, type, io);
            break;
        case ONNX_TYPE_SEQUENCE:
            *type = (struct trp_onnx_type){ .kind = TRP_ONNX_KIND_SEQUENCE };
            read_list_type(w, f.bytes, type);
            break;
        case ONNX_TYPE_OPTIONAL:
            *type = (struct trp_onnx_type){ .kind = TRP_ONNX_KIND_OPTIONAL };
            read_list_type(w, f.bytes, type);
            break;
        case ONNX_TYPE_MAP:
            *type = (struct trp_onnx_type){ .kind = TRP_ONNX_KIND_MAP };
            read_map_type(w, f.bytes, type);
            break;
        case ONNX_TYPE_OPAQUE:
            *type = (struct trp_onnx_type){ .kind = TRP_ONNX_KIND_OPAQUE };
            break;
        default:
            break;
        }
    }
}

static void read_denotation(struct trp_onnx_walk *w, struct trp_str type, struct trp_str *out)
{
    struct trp_pb_reader r = trp_pb_reader_of(type);
    struct trp_pb_field f;
    while (trp_onnx_next(w, &r, "a type", &f))
        if (trp_onnx_field_of(&f) == ONNX_TYPE_DENOTATION)
            *out = trp_onnx_keep_name(w, f.bytes, "a denotation");
}

void trp_onnx_value_read(struct trp_onnx_walk *w, struct trp_str message, struct trp_onnx_io *out)
{
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    *out = (struct trp_onnx_io){ .io.any_rank = true };
    while (trp_onnx_next(w, &r, "an input or output", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_VALUE_NAME)
            out->io.name = trp_onnx_keep_name(w, f.bytes, "the name of a value");
        if (trp_onnx_field_of(&f) != ONNX_VALUE_TYPE)
            continue;
        read_type(w, f.bytes, &out->type, &out->io);
        read_denotation(w, f.bytes, &out->denotation);
    }
    if (out->type.kind == TRP_ONNX_KIND_TENSOR)
        out->io.dtype = (int32_t)trp_onnx_elem_dtype(out->type.elem);
}

static int32_t peek_tensor(struct trp_onnx_walk *w, struct trp_str message)
{
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    int32_t elem = TRP_ONNX_NO_ELEM;
    while (trp_onnx_next(w, &r, "a tensor type", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_TYPE_TENSOR_ELEM)
            elem = elem_of(f.scalar);
    }
    return elem;
}

static int32_t peek_type(struct trp_onnx_walk *w, struct trp_str message)
{
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    int32_t elem = TRP_ONNX_NO_ELEM;
    while (trp_onnx_next(w, &r, "a type", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_TYPE_TENSOR)
            elem = peek_tensor(w, f.bytes);
    }
    return elem;
}

void trp_onnx_value_peek(struct trp_onnx_walk *w, struct trp_str message, struct trp_str *out_name,
                         int32_t *out_elem)
{
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    *out_name = (struct trp_str){ 0 };
    *out_elem = TRP_ONNX_NO_ELEM;
    while (trp_onnx_next(w, &r, "a value", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_VALUE_NAME)
            *out_name = f.bytes;
        else if (trp_onnx_field_of(&f) == ONNX_VALUE_TYPE)
            *out_elem = peek_type(w, f.bytes);
    }
}
