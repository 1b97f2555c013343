/* onnx/onnx_face.c - the part of a graph that clients see: its inputs and outputs.
 *
 * Three things are not as the file lists them.  An initialiser may stand behind an input: it is
 * then optional, or, in old files, no input at all.  Optional ones come last, as the runtime
 * numbers them.  And a sequence of maps that a ZipMap node makes is really a matrix whose
 * columns have names. */
#include <stdio.h>

#include "onnx/onnx_graph.h"
#include "onnx/onnx_value.h"
#include "tensor/shape.h"

static uint32_t count_fields(struct trp_onnx_walk *w, struct trp_str graph, uint32_t field,
                             const char *what)
{
    struct trp_pb_reader r = trp_pb_reader_of(graph);
    struct trp_pb_field f;
    uint32_t n = 0;
    while (trp_onnx_next(w, &r, "the graph", &f)) {
        if (trp_onnx_field_of(&f) == field && ++n > TRP_IO_MAX)
            trp_onnx_stop(w, TRP_TOO_LARGE, "more than %d %s", TRP_IO_MAX, what);
    }
    return n;
}

/* Reads all values of one field; a name may come once.  The scope that is open learns each name
 * and where it stands. */
static struct trp_onnx_io *read_ios(struct trp_onnx_walk *w, struct trp_str graph, uint32_t field,
                                    const char *what, uint32_t *out_n)
{
    const uint32_t n = count_fields(w, graph, field, what);
    struct trp_onnx_io *const ios = n ? trp_arena_zeroed(w->arena, n, sizeof *ios) : NULL;
    if (n && !ios)
        trp_onnx_stop(w, TRP_OUT_OF_MEMORY, "%u %s", n, what);
    *out_n = 0;
    if (!ios)
        return NULL;
    struct trp_pb_reader r = trp_pb_reader_of(graph);
    struct trp_pb_field f;
    uint32_t i = 0;
    while (trp_onnx_next(w, &r, "the graph", &f)) {
        if (trp_onnx_field_of(&f) != field)
            continue;
        struct trp_onnx_io *const io = &ios[i];
        const struct trp_onnx_fact place = { .index = i++ };
        trp_onnx_value_read(w, f.bytes, io);
        if (io->io.name.len == 0)
            trp_onnx_stop(w, TRP_INVALID_ARGUMENT, "one of the %s, at byte %zu, has no name", what,
                          trp_onnx_offset(w, f.bytes.ptr));
        else if (trp_onnx_names_is_local(&w->names, io->io.name, NULL))
            trp_onnx_stop(w, TRP_INVALID_ARGUMENT, "'%.*s' is named twice among the %s",
                          TRP_STR(io->io.name), what);
        else if (!trp_failed(w->status))
            w->status = trp_onnx_names_put(&w->names, io->io.name, &place, w->err);
    }
    *out_n = i;
    return ios;
}

/* The fixed sizes of an input must have a product: nobody could send it otherwise. */
static void check_inputs(struct trp_onnx_walk *w, const struct trp_onnx_io *ios, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        int64_t fixed[TROUPE_RANK_MAX];
        uint64_t elements;
        for (uint32_t d = 0; d < ios[i].io.rank; d++)
            fixed[d] = ios[i].io.dims[d] < 0 ? 1 : ios[i].io.dims[d];
        if (!trp_shape_elements(fixed, ios[i].io.rank, &elements))
            trp_onnx_stop(w, TRP_INVALID_ARGUMENT, "the shape of input '%.*s' passes 2^63 elements",
                          TRP_STR(ios[i].io.name));
    }
}

static struct trp_str tensor_name(struct trp_onnx_walk *w, struct trp_str message)
{
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    struct trp_str name = { 0 };
    while (trp_onnx_next(w, &r, "a tensor", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_TENSOR_NAME)
            name = f.bytes;
    }
    return name;
}

static struct trp_str sparse_name(struct trp_onnx_walk *w, struct trp_str message)
{
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    struct trp_str name = { 0 };
    while (trp_onnx_next(w, &r, "a sparse tensor", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_SPARSE_VALUES)
            name = tensor_name(w, f.bytes);
    }
    return name;
}

/* Marks the inputs that an initialiser stands behind. */
static void mark_optional(struct trp_onnx_walk *w, struct trp_str graph, struct trp_onnx_io *ios)
{
    struct trp_onnx_fact place;
    struct trp_pb_reader r = trp_pb_reader_of(graph);
    struct trp_pb_field f;
    while (trp_onnx_next(w, &r, "the graph", &f)) {
        const uint32_t field = trp_onnx_field_of(&f);
        struct trp_str name = { 0 };
        if (field == ONNX_GRAPH_INITIALIZER)
            name = tensor_name(w, f.bytes);
        else if (field == ONNX_GRAPH_SPARSE)
            name = sparse_name(w, f.bytes);
        if (trp_onnx_names_is_local(&w->names, name, &place))
            ios[place.index].io.optional = true;
    }
}

/* Required inputs first, then the optional ones, unless the file is too old to have any. */
static void place_inputs(struct trp_onnx_walk *w, const struct trp_onnx_io *ios, uint32_t n)
{
    struct trp_onnx_io *const sorted = n ? trp_arena_zeroed(w->arena, n, sizeof *sorted) : NULL;
    uint32_t kept = 0;
    if (n && !sorted) {
        trp_onnx_stop(w, TRP_OUT_OF_MEMORY, "%u inputs", n);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!ios[i].io.optional)
            sorted[kept++] = ios[i];
    }
    for (uint32_t i = 0; i < n && w->model.ir_version >= TRP_ONNX_IR_OVERRIDABLE; i++) {
        if (ios[i].io.optional)
            sorted[kept++] = ios[i];
    }
    w->model.inputs = sorted;
    w->model.inputs_n = kept;
}

static void read_inputs(struct trp_onnx_walk *w, struct trp_str graph)
{
    const uint32_t outer = trp_onnx_names_open(&w->names);
    uint32_t n = 0;
    struct trp_onnx_io *const ios = read_ios(w, graph, ONNX_GRAPH_INPUT, "inputs", &n);
    mark_optional(w, graph, ios);
    trp_onnx_names_close(&w->names, outer);
    if (trp_failed(w->status))
        return;
    check_inputs(w, ios, n);
    place_inputs(w, ios, n);
}

/* ---- ZipMap --------------------------------------------------------------------------------- */

/* ZipMap has one output. */
static struct trp_str first_output(struct trp_onnx_walk *w, struct trp_str node)
{
    struct trp_pb_reader r = trp_pb_reader_of(node);
    struct trp_pb_field f;
    while (trp_onnx_next(w, &r, "a node", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_NODE_OUTPUT)
            return f.bytes;
    }
    return (struct trp_str){ 0 };
}

static void add_label(struct trp_onnx_walk *w, struct trp_onnx_list *labels, struct trp_str label)
{
    struct trp_str *const item =
        trp_onnx_list_add(w, labels, sizeof *item, w->opts.names_max, "class labels");
    if (item)
        *item = trp_onnx_keep_name(w, label, "a class label");
}

static void add_number_label(struct trp_onnx_walk *w, struct trp_onnx_list *labels, uint64_t v)
{
    char text[24];
    const int len = snprintf(text, sizeof text, "%lld", (long long)v);
    add_label(w, labels, trp_str_make(text, (size_t)len));
}

/* `classlabels_strings` or `classlabels_int64s`: the node has one of them and no other lists. */
static void read_labels(struct trp_onnx_walk *w, struct trp_str attribute,
                        struct trp_onnx_list *labels)
{
    struct trp_pb_reader r = trp_pb_reader_of(attribute);
    struct trp_pb_field f;
    while (trp_onnx_next(w, &r, "an attribute", &f)) {
        const uint32_t field = trp_onnx_field_of(&f);
        if (field == ONNX_ATTRIBUTE_STRINGS) {
            add_label(w, labels, f.bytes);
        } else if (field == ONNX_ATTRIBUTE_INTS) {
            add_number_label(w, labels, f.scalar);
        } else if (field == ONNX_ATTRIBUTE_INTS_PACKED) {
            struct trp_pb_reader packed = trp_pb_reader_of(f.bytes);
            uint64_t v;
            while (trp_pb_take_varint(&packed, &v))
                add_number_label(w, labels, v);
        }
    }
}

static void describe_dense(struct trp_onnx_walk *w, struct trp_str node, struct trp_onnx_io *out)
{
    struct trp_pb_reader r = trp_pb_reader_of(node);
    struct trp_pb_field f;
    struct trp_onnx_list labels = { 0 };
    while (trp_onnx_next(w, &r, "a node", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_NODE_ATTRIBUTE)
            read_labels(w, f.bytes, &labels);
    }
    const struct trp_str *const kept = trp_onnx_list_keep(w, &labels, sizeof *kept);
    if (!kept)
        return;
    out->zipmap = true;
    out->io.dtype = TROUPE_FP32;
    out->io.any_rank = false;
    out->io.rank = 2;
    out->io.dims[0] = -1;
    out->io.dims[1] = labels.n;
    out->io.labels = kept;
    out->io.labels_n = labels.n;
}

/* Finds the nodes that make the outputs which are sequences of maps; the outputs' names are in
 * scope. */
static void resolve_zipmaps(struct trp_onnx_walk *w, struct trp_str graph, struct trp_onnx_io *ios)
{
    struct trp_pb_reader r = trp_pb_reader_of(graph);
    struct trp_pb_field f;
    struct trp_onnx_node node;
    struct trp_onnx_fact place;
    while (trp_onnx_next(w, &r, "the graph", &f)) {
        if (trp_onnx_field_of(&f) != ONNX_GRAPH_NODE ||
            !trp_onnx_names_is_local(&w->names, first_output(w, f.bytes), &place))
            continue;
        struct trp_onnx_io *const io = &ios[place.index];
        if (io->zipmap || !trp_onnx_type_is_zipmap(&io->type))
            continue;
        trp_onnx_node_read(w, f.bytes, &node);
        if (trp_str_is(node.op, "ZipMap") && trp_str_is(node.domain, TRP_ONNX_ML_DOMAIN))
            describe_dense(w, f.bytes, io);
    }
}

static void read_outputs(struct trp_onnx_walk *w, struct trp_str graph)
{
    const uint32_t outer = trp_onnx_names_open(&w->names);
    uint32_t n = 0;
    bool has_maps = false;
    struct trp_onnx_io *const ios = read_ios(w, graph, ONNX_GRAPH_OUTPUT, "outputs", &n);
    for (uint32_t i = 0; i < n && !trp_failed(w->status); i++)
        has_maps |= trp_onnx_type_is_zipmap(&ios[i].type);
    if (has_maps)
        resolve_zipmaps(w, graph, ios);
    trp_onnx_names_close(&w->names, outer);
    w->model.outputs = ios;
    w->model.outputs_n = n;
}

void trp_onnx_graph_face(struct trp_onnx_walk *w, struct trp_str graph)
{
    struct trp_pb_reader r = trp_pb_reader_of(graph);
    struct trp_pb_field f;
    while (trp_onnx_next(w, &r, "the graph", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_GRAPH_NAME)
            w->model.graph_name = trp_onnx_keep_name(w, f.bytes, "the name of the graph");
        else if (trp_onnx_field_of(&f) == ONNX_GRAPH_DOC)
            w->model.graph_doc = trp_onnx_keep_text(w, f.bytes);
    }
    read_inputs(w, graph);
    if (!trp_failed(w->status))
        read_outputs(w, graph);
}
