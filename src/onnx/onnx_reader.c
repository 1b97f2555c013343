/* onnx/onnx_reader.c - see onnx_reader.h.
 *
 * Problem: a server with thousands of models must know what each takes and gives without opening
 * any in the runtime, and an operator wants to know what is inside a file and what in it is
 * dangerous.  The files come from anywhere.
 *
 * Design: one walk over the wire format.  A `trp_onnx_walk` (onnx_walk.h) holds the place, the
 *   limits and the first failure; onnx_reader.c  the model's own fields, this file
 *   onnx_face.c    inputs and outputs
 *   onnx_graph.c   nodes, subgraphs, functions; counts; what is in scope (onnx_names.c) and of which type (onnx_infer.c)
 *   onnx_tensor.c  sizes of tensors, external data
 *   onnx_hazard.c  what can go wrong
 *
 * Invariants:
 *   1. Nothing is read outside the given bytes (trp_pb_next() bounds every step); nothing is
 *      believed before it is checked.
 *   2. Weight bytes are not touched, so a mapped file costs page reads for its structure only.
 *   3. Every repeated thing has a maximum; recursion is bounded by depth_max.
 *   4. The result owns all its texts: the file can be closed.
 *   5. The file may change while it is read: the answer is then an error, or a model that the
 *      runtime refuses.
 *   6. Where a field that may come once comes twice, the last one stands, as protobuf has it; a
 *      second graph is refused.
 *
 * Not done: checking that operators exist or that types agree.  The runtime does that when it
 * loads. */
#include "onnx/onnx_reader.h"

#include <stdlib.h>

#include "base/map_guard.h"
#include "onnx/onnx_graph.h"

#define READ_WHOLE_BYTES (256u << 10) /* below, reading is cheaper than mapping */

static const char *const place_names[TRP_ONNX_PLACES] = {
    [TRP_ONNX_IN_INITIALIZERS] = "initializers", [TRP_ONNX_IN_SPARSE] = "sparse",
    [TRP_ONNX_IN_CONSTANTS] = "constants",       [TRP_ONNX_IN_ATTRIBUTES] = "attributes",
    [TRP_ONNX_IN_SUBGRAPHS] = "subgraphs",       [TRP_ONNX_IN_FUNCTIONS] = "functions",
};

const char *trp_onnx_place_name(int32_t place)
{
    return place >= 0 && place < TRP_ONNX_PLACES ? place_names[place] : "unknown";
}

/* What the model's own fields hold, before they are opened. */
struct parts {
    struct trp_str graph;
    bool has_graph, has_ir_version;
    struct trp_onnx_list opsets, metadata;
};

static void read_opset(struct trp_onnx_walk *w, struct trp_str message, struct trp_onnx_list *list)
{
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    struct trp_str domain = { 0 };
    int64_t version = 0;
    while (trp_onnx_next(w, &r, "an operator set", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_OPSET_DOMAIN)
            domain = f.bytes;
        else if (trp_onnx_field_of(&f) == ONNX_OPSET_VERSION)
            version = (int64_t)f.scalar;
    }
    struct trp_onnx_opset *const opset =
        trp_onnx_list_add(w, list, sizeof *opset, w->opts.entries_max, "operator sets");
    if (opset) {
        opset->version = version;
        opset->domain =
            domain.len == 0 ? TRP_STR_LIT("ai.onnx") : trp_onnx_keep_name(w, domain, "a domain");
    }
}

static void read_entry(struct trp_onnx_walk *w, struct trp_str message, struct trp_onnx_list *list)
{
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    struct trp_str key = { 0 }, value = { 0 };
    while (trp_onnx_next(w, &r, "a metadata property", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_ENTRY_KEY)
            key = f.bytes;
        else if (trp_onnx_field_of(&f) == ONNX_ENTRY_VALUE)
            value = f.bytes;
    }
    struct trp_onnx_entry *const entry =
        trp_onnx_list_add(w, list, sizeof *entry, w->opts.entries_max, "metadata properties");
    if (entry) {
        entry->key = trp_onnx_keep_name(w, key, "a metadata key");
        entry->value = trp_onnx_keep_text(w, value);
    }
}

static void peek_function(struct trp_onnx_walk *w, struct trp_str message)
{
    struct trp_pb_reader r = trp_pb_reader_of(message);
    struct trp_pb_field f;
    struct trp_str domain = { 0 };
    while (trp_onnx_next(w, &r, "a function", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_FUNCTION_DOMAIN)
            domain = f.bytes;
    }
    w->has_default_functions |= trp_onnx_domain_is_default(domain);
}

static void take_graph(struct trp_onnx_walk *w, struct trp_str message, struct parts *parts)
{
    if (parts->has_graph)
        trp_onnx_stop(w, TRP_INVALID_ARGUMENT, "a second graph at byte %zu",
                      trp_onnx_offset(w, message.ptr));
    parts->graph = message;
    parts->has_graph = true;
}

static void read_model_field(struct trp_onnx_walk *w, const struct trp_pb_field *f,
                             struct parts *parts)
{
    struct trp_onnx_model *const m = &w->model;
    switch (trp_onnx_field_of(f)) {
    case ONNX_MODEL_IR_VERSION:
        m->ir_version = (int64_t)f->scalar;
        parts->has_ir_version = true;
        break;
    case ONNX_MODEL_PRODUCER:
        m->producer = trp_onnx_keep_text(w, f->bytes);
        break;
    case ONNX_MODEL_PRODUCER_VERSION:
        m->producer_version = trp_onnx_keep_text(w, f->bytes);
        break;
    case ONNX_MODEL_DOMAIN:
        m->domain = trp_onnx_keep_text(w, f->bytes);
        break;
    case ONNX_MODEL_VERSION:
        m->model_version = (int64_t)f->scalar;
        break;
    case ONNX_MODEL_DOC:
        m->doc = trp_onnx_keep_text(w, f->bytes);
        break;
    case ONNX_MODEL_GRAPH:
        take_graph(w, f->bytes, parts);
        break;
    case ONNX_MODEL_OPSET:
        read_opset(w, f->bytes, &parts->opsets);
        break;
    case ONNX_MODEL_METADATA:
        read_entry(w, f->bytes, &parts->metadata);
        break;
    case ONNX_MODEL_FUNCTION:
        peek_function(w, f->bytes);
        break;
    default:
        break;
    }
}

/* Files that people really put in a model's place, named in the error. */
static const char *other_kind(struct trp_str file)
{
    static const struct {
        const char *start, *what;
    } kinds[] = {
        { "version https://git-lfs", "this is a Git LFS pointer; run `git lfs pull`" },
        { "PK\3\4", "this is a zip archive (a PyTorch checkpoint?)" },
        { "\x1f\x8b", "this is gzip-compressed" },
        { "<", "this is HTML or XML" },
        { "\x89HDF", "this is HDF5 (a Keras model?)" },
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (trp_str_starts_with(file, trp_str_of(kinds[i].start)))
            return kinds[i].what;
    }
    return NULL;
}

static void check_parts(struct trp_onnx_walk *w, const struct parts *parts)
{
    const char *const kind = other_kind(w->file);
    if (w->file.len == 0) {
        trp_onnx_stop(w, TRP_DATA_LOSS, "the file is empty");
    } else if (kind && (trp_failed(w->status) || !parts->has_graph)) {
        w->status = trp_ok(); /* the better words replace "corrupt at byte 0" */
        trp_onnx_stop(w, TRP_INVALID_ARGUMENT, "not an ONNX model: %s", kind);
    } else if (trp_failed(w->status) && !parts->has_ir_version && !parts->has_graph) {
        trp_error_within(w->err, "not an ONNX model");
    } else if (!parts->has_ir_version) {
        trp_onnx_stop(w, TRP_INVALID_ARGUMENT, "not an ONNX model: it has no IR version");
    } else if (!parts->has_graph) {
        trp_onnx_stop(w, TRP_INVALID_ARGUMENT, "not an ONNX model: it has no graph");
    }
}

static int by_count(const void *a, const void *b)
{
    const struct trp_onnx_op *const x = a, *const y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return trp_str_compare(x->name, y->name);
}

static void keep_ops(struct trp_onnx_walk *w)
{
    const uint32_t n = trp_table_count(w->ops);
    struct trp_onnx_op *const ops = n ? trp_arena_get(w->arena, n * sizeof *ops) : NULL;
    if (n && !ops)
        trp_onnx_stop(w, TRP_OUT_OF_MEMORY, "%u operators", n);
    if (!ops)
        return;
    uint32_t cursor = 0, i = 0;
    struct trp_str name;
    void *op;
    while (trp_table_next(w->ops, &cursor, &name, &op))
        ops[i++] = *(const struct trp_onnx_op *)op;
    qsort(ops, n, sizeof *ops, by_count);
    w->model.ops = ops;
    w->model.ops_n = n;
}

static void add_to_file(struct trp_onnx_walk *w, struct trp_table *files,
                        const struct trp_onnx_external *e)
{
    struct trp_onnx_file *file = trp_table_get(files, e->path);
    if (!file) {
        file = trp_arena_zeroed(&w->scratch, 1, sizeof *file);
        if (!file) {
            trp_onnx_stop(w, TRP_OUT_OF_MEMORY, "an external file");
            return;
        }
        file->path = e->path;
        w->status = trp_table_put(files, e->path, file, NULL, w->err);
    }
    file->tensors++;
    file->bytes += e->length; /* may wrap for lying lengths; `end` cannot */
    if (file->end < e->offset + e->length)
        file->end = e->offset + e->length;
}

static int by_path(const void *a, const void *b)
{
    const struct trp_onnx_file *const x = a, *const y = b;
    return trp_str_compare(x->path, y->path);
}

static void keep_file_table(struct trp_onnx_walk *w, const struct trp_table *found)
{
    const uint32_t n = trp_table_count(found);
    struct trp_onnx_file *const files = trp_arena_get(w->arena, n * sizeof *files);
    if (!files) {
        trp_onnx_stop(w, TRP_OUT_OF_MEMORY, "%u external files", n);
        return;
    }
    uint32_t cursor = 0, i = 0;
    struct trp_str path;
    void *file;
    while (trp_table_next(found, &cursor, &path, &file))
        files[i++] = *(const struct trp_onnx_file *)file;
    qsort(files, n, sizeof *files, by_path);
    w->model.files = files;
    w->model.files_n = n;
}

static void keep_files(struct trp_onnx_walk *w)
{
    struct trp_table *files = NULL;
    const struct trp_onnx_external *const externals = w->externals.items;
    if (w->externals.n == 0 || trp_failed(w->status))
        return;
    w->status = trp_table_create(w->arena->alloc, w->opts.tensors_max, &files, w->err);
    for (uint32_t i = 0; i < w->externals.n && !trp_failed(w->status); i++)
        add_to_file(w, files, &externals[i]);
    if (!trp_failed(w->status))
        keep_file_table(w, files);
    trp_table_destroy(files);
}

static void walk_inside(struct trp_onnx_walk *w, struct trp_str graph)
{
    const struct trp_onnx_frame frame = { .kind = TRP_ONNX_MAIN_FRAME };
    struct trp_pb_reader r = trp_pb_reader_of(w->file);
    struct trp_pb_field f;
    trp_onnx_graph_walk(w, graph, &frame);
    while (trp_onnx_next(w, &r, "the model", &f)) {
        if (trp_onnx_field_of(&f) == ONNX_MODEL_FUNCTION)
            trp_onnx_function_walk(w, f.bytes);
    }
    if (trp_failed(w->status))
        return;
    trp_onnx_hazard_check_paths(w);
    keep_ops(w);
    keep_files(w);
    w->model.externals = trp_onnx_list_keep(w, &w->externals, sizeof *w->model.externals);
    w->model.externals_n = w->externals.n;
    w->model.hazards = trp_onnx_list_keep(w, &w->hazards, sizeof *w->model.hazards);
    w->model.hazards_n = w->hazards.n;
}

static void read_model(struct trp_onnx_walk *w)
{
    struct parts parts = { 0 };
    struct trp_pb_reader r = trp_pb_reader_of(w->file);
    struct trp_pb_field f;
    while (trp_onnx_next(w, &r, "the model", &f))
        read_model_field(w, &f, &parts);
    check_parts(w, &parts);
    if (trp_failed(w->status))
        return;
    w->model.file_bytes = w->file.len;
    w->model.opsets = trp_onnx_list_keep(w, &parts.opsets, sizeof *w->model.opsets);
    w->model.opsets_n = parts.opsets.n;
    w->model.metadata = trp_onnx_list_keep(w, &parts.metadata, sizeof *w->model.metadata);
    w->model.metadata_n = parts.metadata.n;
    trp_onnx_graph_face(w, parts.graph);
    if (!w->opts.signature_only && !trp_failed(w->status))
        walk_inside(w, parts.graph);
}

trp_status trp_onnx_read(struct trp_str file, const struct trp_onnx_opts *opts,
                         struct trp_arena *arena, struct trp_onnx_model *out, struct trp_error *err)
{
    struct trp_onnx_walk w;
    trp_onnx_walk_init(&w, file, opts, arena, err);
    if (!trp_failed(w.status))
        read_model(&w);
    if (!trp_failed(w.status))
        *out = w.model;
    const trp_status status = w.status;
    trp_onnx_walk_deinit(&w);
    return status;
}

/* A small file is read: a mapping of it costs more. */
static trp_status read_small(const char *path, const struct trp_onnx_opts *opts,
                             struct trp_arena *arena, struct trp_onnx_model *out,
                             struct trp_error *err)
{
    char *bytes = NULL;
    size_t len = 0;
    TRP_CHECK(trp_file_read(arena->alloc, path, 2 * READ_WHOLE_BYTES, &bytes, &len, err));
    const trp_status status = trp_onnx_read(trp_str_make(bytes, len), opts, arena, out, err);
    trp_alloc_free(arena->alloc, bytes);
    return status;
}

/* A large one may be copied over at this moment, and a mapping loses its pages then. */
static trp_status read_mapped(const char *path, const struct trp_onnx_opts *opts,
                              struct trp_arena *arena, struct trp_onnx_model *out,
                              struct trp_error *err)
{
    struct trp_map map;
    struct trp_map_guard guard;
    struct trp_onnx_model read;
    TRP_CHECK(trp_map_file(path, &map, err));
    trp_map_guard_enter(&guard, &map);
    trp_status status = trp_onnx_read(trp_str_make(map.ptr, map.len), opts, arena, &read, err);
    if (trp_map_guard_leave(&guard))
        status = trp_fail(err, TRP_DATA_LOSS, "the file became shorter while it was read");
    trp_unmap(&map);
    if (!trp_failed(status))
        *out = read;
    return status;
}

trp_status trp_onnx_read_file(const char *path, const struct trp_onnx_opts *opts,
                              struct trp_arena *arena, struct trp_onnx_model *out,
                              struct trp_error *err)
{
    struct trp_file_stat st;
    TRP_CHECK(trp_file_stat(path, &st, err));
    if (st.kind != 'f')
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: not a file", path);
    const bool is_small = st.bytes <= READ_WHOLE_BYTES;
    TRP_TRY((is_small ? read_small : read_mapped)(path, opts, arena, out, err), err, "%s", path);
    return trp_ok();
}

/* ---- the signature -------------------------------------------------------------------------- */

bool trp_onnx_io_is_served(const struct trp_onnx_io *io)
{
    return io->io.dtype != TROUPE_NO_DTYPE;
}

static trp_status refuse(const struct trp_onnx_io *io, const char *which, struct trp_arena *arena,
                         struct trp_error *err)
{
    struct trp_buf type;
    trp_buf_init(&type, arena->alloc, 1024);
    trp_onnx_type_format(&io->type, &type);
    const char *const text = trp_buf_text(&type);
    const trp_status status =
        trp_fail(err, TRP_UNIMPLEMENTED, "%s '%.*s' is of type %s, which is not served%s", which,
                 TRP_STR(io->io.name), text ? text : "?",
                 trp_onnx_type_is_zipmap(&io->type) ? "; export the model with zipmap=False" : "");
    trp_buf_deinit(&type);
    return status;
}

static trp_status copy_ios(const struct trp_onnx_io *ios, uint32_t n, const char *which,
                           struct trp_arena *arena, const struct trp_io **out,
                           struct trp_error *err)
{
    struct trp_io *const copies = n ? trp_arena_get(arena, n * sizeof *copies) : NULL;
    if (n && !copies)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%u values", n);
    for (uint32_t i = 0; i < n; i++) {
        if (!trp_onnx_io_is_served(&ios[i]))
            return refuse(&ios[i], which, arena, err);
        copies[i] = ios[i].io;
    }
    *out = copies;
    return trp_ok();
}

trp_status trp_onnx_signature(const struct trp_onnx_model *model, struct trp_arena *arena,
                              struct trp_signature *out, struct trp_error *err)
{
    struct trp_signature s = { .inputs_n = model->inputs_n,
                               .outputs_n = model->outputs_n,
                               .platform = TRP_STR_LIT("onnxruntime_onnx") };
    TRP_CHECK(copy_ios(model->inputs, s.inputs_n, "input", arena, &s.inputs, err));
    TRP_CHECK(copy_ios(model->outputs, s.outputs_n, "output", arena, &s.outputs, err));
    *out = s;
    return trp_ok();
}
