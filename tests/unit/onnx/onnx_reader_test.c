/* What is read from models, good and bad.  The files of tests/models are read too. */
#include "onnx_build.h"

#include <unistd.h>

#include "base/file.h"
#include "scratch.h"

#define MODELS "tests/models/"

/* ---- the smallest things -------------------------------------------------------------------- */

static void write_identity(struct build *b)
{
    build_start(b, 8);
    const size_t graph = begin(b, GRAPH);
    node(b, "Identity x>y");
    text(b, 2, "the graph");
    value(b, INPUT, "x", TRP_ONNX_FLOAT, DIMS(-1, 4));
    value(b, OUTPUT, "y", TRP_ONNX_FLOAT, NULL);
    end(b, graph);
}

static void reads_names_types_and_shapes(void **state)
{
    (void)state;
    struct build b;
    write_identity(&b);
    build_read_ok(&b);
    assert_int_equal(b.model.inputs_n, 1);
    assert_int_equal(b.model.outputs_n, 1);
    const struct trp_io *const x = &b.model.inputs[0].io, *const y = &b.model.outputs[0].io;
    assert_true(trp_str_is(x->name, "x"));
    assert_int_equal(x->dtype, TROUPE_FP32);
    assert_false(x->any_rank);
    assert_int_equal(x->rank, 2);
    assert_int_equal(x->dims[0], -1);
    assert_int_equal(x->dims[1], 4);
    assert_false(x->optional);
    assert_true(trp_str_is(y->name, "y"));
    assert_true(y->any_rank);
    assert_int_equal(b.model.nodes, 1);
    assert_int_equal(b.model.ops_n, 1);
    assert_true(trp_str_is(b.model.ops[0].name, "Identity"));
    assert_true(trp_str_is(b.model.graph_name, "the graph"));
    build_drop(&b);
}

static void signature_only_reads_the_face_and_nothing_else(void **state)
{
    (void)state;
    struct build b;
    write_identity(&b);
    const struct trp_onnx_opts opts = { .signature_only = true };
    assert_int_equal(build_read_with(&b, &opts).code, TRP_OK);
    assert_int_equal(b.model.inputs_n, 1);
    assert_int_equal(b.model.nodes, 0);
    assert_int_equal(b.model.ops_n, 0);
    build_drop(&b);
}

/* Every prefix of a model is an error, with an offset or a reason, and never a model. */
static void a_model_cut_anywhere_is_refused(void **state)
{
    (void)state;
    struct build b;
    write_identity(&b);
    for (size_t len = 0; len < b.bytes.len; len++) {
        char *const cut = malloc(len ? len : 1);
        memcpy(cut, b.bytes.ptr, len);
        struct trp_error err = { 0 };
        const trp_status st = trp_onnx_read(trp_str_make(cut, len), NULL, &b.arena, &b.model, &err);
        free(cut);
        assert_true(st.code == TRP_DATA_LOSS || st.code == TRP_INVALID_ARGUMENT);
        assert_true(strlen(err.text) > 0);
    }
    build_drop(&b);
}

/* Any single byte changed: a model or an error, nothing else (a sanitizer looks on). */
static void a_model_with_any_byte_changed_is_survived(void **state)
{
    (void)state;
    struct build b;
    write_identity(&b);
    for (size_t at = 0; at < b.bytes.len; at++) {
        const char was = b.bytes.ptr[at];
        for (int v = 0; v < 256; v++) {
            b.bytes.ptr[at] = (char)v;
            const trp_status st = build_read(&b);
            assert_true(st.code == TRP_OK || strlen(b.err.text) > 0);
        }
        b.bytes.ptr[at] = was;
        trp_arena_reset(&b.arena);
    }
    build_drop(&b);
}

/* ---- inputs --------------------------------------------------------------------------------- */

static void write_defaults(struct build *b, int64_t ir_version)
{
    static const int64_t two[] = { 2 };
    build_start(b, ir_version);
    const size_t graph = begin(b, GRAPH);
    ints(b, INITIALIZER, "default", TRP_ONNX_INT64, two, 1);
    ints(b, INITIALIZER, "constant", TRP_ONNX_INT64, two, 1);
    value(b, INPUT, "default", TRP_ONNX_INT64, DIMS(1));
    value(b, INPUT, "x", TRP_ONNX_INT64, DIMS(-1));
    end(b, graph);
}

static void an_input_with_an_initializer_is_optional_and_comes_last(void **state)
{
    (void)state;
    struct build b;
    write_defaults(&b, 4);
    build_read_ok(&b);
    assert_int_equal(b.model.inputs_n, 2);
    assert_true(trp_str_is(b.model.inputs[0].io.name, "x"));
    assert_false(b.model.inputs[0].io.optional);
    assert_true(trp_str_is(b.model.inputs[1].io.name, "default"));
    assert_true(b.model.inputs[1].io.optional);
    build_drop(&b);
}

static void before_ir_version_4_it_is_no_input_at_all(void **state)
{
    (void)state;
    struct build b;
    write_defaults(&b, 3);
    build_read_ok(&b);
    assert_int_equal(b.model.inputs_n, 1);
    assert_true(trp_str_is(b.model.inputs[0].io.name, "x"));
    build_drop(&b);
}

static void refuses_faces_that_cannot_be(void **state)
{
    (void)state;
    static const struct row {
        const char *first, *second;
        int64_t dim;
        int32_t code;
        const char *words;
    } rows[] = {
        { "x", "x", 1, TRP_INVALID_ARGUMENT, "'x' is named twice among the inputs" },
        { "x", "", 1, TRP_INVALID_ARGUMENT, "has no name" },
        { "x", "y", INT64_MAX, TRP_INVALID_ARGUMENT, "passes 2^63 elements" },
        { "x", "y", 3, TRP_OK, "" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct build b;
        build_start(&b, 8);
        const size_t graph = begin(&b, GRAPH);
        value(&b, INPUT, r->first, TRP_ONNX_FLOAT, DIMS(r->dim, 2));
        value(&b, INPUT, r->second, TRP_ONNX_FLOAT, DIMS(1));
        end(&b, graph);
        assert_int_equal(build_read(&b).code, r->code);
        assert_non_null(strstr(b.err.text, r->words));
        build_drop(&b);
    }
}

static void a_rank_past_the_limit_is_refused(void **state)
{
    (void)state;
    struct build b;
    build_start(&b, 8);
    const size_t graph = begin(&b, GRAPH);
    int64_t dims[TROUPE_RANK_MAX + 2];
    for (size_t i = 0; i < ARRAY_LEN(dims); i++)
        dims[i] = i <= TROUPE_RANK_MAX ? 1 : NO_MORE;
    value(&b, INPUT, "x", TRP_ONNX_FLOAT, dims);
    end(&b, graph);
    assert_int_equal(build_read(&b).code, TRP_TOO_LARGE);
    assert_non_null(strstr(b.err.text, "more than 16 dimensions"));
    build_drop(&b);
}

/* ---- limits --------------------------------------------------------------------------------- */

static void nest(struct build *b, uint32_t depth)
{
    const size_t n = node_begin(b, "If c>y");
    const size_t a = begin(b, 5);
    text(b, 1, "then_branch");
    const size_t inner = begin(b, 6);
    if (depth > 1)
        nest(b, depth - 1);
    end(b, inner);
    end(b, a);
    end(b, n);
}

static void every_limit_has_its_words(void **state)
{
    (void)state;
    static const struct row {
        struct trp_onnx_opts opts;
        const char *words;
    } rows[] = {
        { { .depth_max = 2 }, "nested more than 2 deep" },
        { { .nodes_max = 2 }, "more than 2 nodes" },
        { { .tensors_max = 1 }, "more than 1 tensors" },
        { { .names_max = 1 }, "" }, /* rounded up to the table's first size */
        { { .ops_max = 1 }, "more than 1 different operators" },
        { { .entries_max = 1 }, "more than 1 operator sets" },
        { { .name_max = 3 }, "at most 3 are read" },
        { { 0 }, "" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        static const int64_t two[] = { 2 };
        struct build b;
        build_start(&b, 8);
        const size_t graph = begin(&b, GRAPH);
        nest(&b, 3);
        node(&b, "Abs x>y");
        ints(&b, INITIALIZER, "a", TRP_ONNX_INT64, two, 1);
        ints(&b, INITIALIZER, "b", TRP_ONNX_INT64, two, 1);
        value(&b, INPUT, "long name", TRP_ONNX_FLOAT, NULL);
        end(&b, graph);
        for (int i = 0; i < 2; i++) {
            const size_t opset = begin(&b, 8);
            number(&b, 2, 17);
            end(&b, opset);
        }
        const trp_status st = build_read_with(&b, &r->opts);
        print_message("%s\n", b.err.text);
        assert_int_equal(st.code, *r->words ? TRP_TOO_LARGE : TRP_OK);
        assert_non_null(strstr(b.err.text, r->words));
        build_drop(&b);
    }
}

static void more_inputs_than_anybody_has_are_refused(void **state)
{
    (void)state;
    struct build b;
    build_start(&b, 8);
    const size_t graph = begin(&b, GRAPH);
    for (int i = 0; i <= TRP_IO_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "x%d", i);
        value(&b, INPUT, name, TRP_ONNX_FLOAT, NULL);
    }
    end(&b, graph);
    assert_int_equal(build_read(&b).code, TRP_TOO_LARGE);
    assert_string_equal(b.err.text, "more than 1024 inputs");
    build_drop(&b);
}

static void a_second_graph_is_refused_and_long_texts_are_cut_at_a_character(void **state)
{
    (void)state;
    struct build b;
    write_identity(&b);
    end(&b, begin(&b, GRAPH));
    assert_int_equal(build_read(&b).code, TRP_INVALID_ARGUMENT);
    assert_non_null(strstr(b.err.text, "a second graph at byte"));
    build_drop(&b);

    write_identity(&b);
    text(&b, 6,
         "0123456789abcdef0123456789abcd\xc3\xa9!");     /* the 32nd byte is inside a character */
    const struct trp_onnx_opts opts = { .name_max = 2 }; /* texts: 32 */
    (void)build_read_with(&b, &opts);
    const struct trp_onnx_opts wide = { .name_max = 4096 };
    assert_int_equal(build_read_with(&b, &wide).code, TRP_OK);
    assert_int_equal(b.model.doc.len, 33);
    build_drop(&b);

    build_start(&b, 8);
    text(&b, 6, "0123456789abcdef0123456789abcde\xc3\xa9!");
    end(&b, begin(&b, GRAPH));
    assert_int_equal(build_read_with(&b, &opts).code, TRP_OK);
    assert_int_equal(b.model.doc.len, 31);
    build_drop(&b);
}

/* ---- types ---------------------------------------------------------------------------------- */

static void types_inside_types_are_bounded(void **state)
{
    (void)state;
    struct build b;
    for (int depth = 30; depth <= 40; depth += 10) {
        build_start(&b, 8);
        const size_t graph = begin(&b, GRAPH);
        const size_t io = begin(&b, OUTPUT);
        text(&b, 1, "y");
        size_t marks[128];
        int n = 0;
        marks[n++] = begin(&b, 2);
        for (int i = 0; i < depth; i++) {
            marks[n++] = begin(&b, 4); /* sequence_type */
            marks[n++] = begin(&b, 1); /* elem_type */
        }
        while (n > 0)
            end(&b, marks[--n]);
        end(&b, io);
        end(&b, graph);
        assert_int_equal(build_read(&b).code, depth <= 32 ? TRP_OK : TRP_TOO_LARGE);
        build_drop(&b);
    }
}

/* ---- files ---------------------------------------------------------------------------------- */

static trp_status read_file(const char *path, struct trp_arena *arena, struct trp_onnx_model *m,
                            struct trp_error *err)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", MODELS, path);
    *err = (struct trp_error){ 0 };
    return trp_onnx_read_file(full, NULL, arena, m, err);
}

static void every_good_model_is_read_and_can_be_served(void **state)
{
    (void)state;
    static const struct row {
        const char *path;
        uint32_t inputs, outputs;
        uint64_t parameters, hazards;
        int32_t place; /* where all parameters are; -1: several or none */
    } rows[] = {
        { "good/any_rank.onnx", 1, 1, 0, 0, -1 },
        { "good/div_int64.onnx", 2, 1, 0, 1, -1 },
        { "good/div_safe.onnx", 1, 1, 1, 0, TRP_ONNX_IN_INITIALIZERS },
        { "good/external_data/model.onnx", 1, 1, 16, 0, TRP_ONNX_IN_INITIALIZERS },
        { "good/identity_bytes.onnx", 1, 1, 0, 0, -1 },
        { "good/initializer_ir3.onnx", 1, 1, 1, 0, TRP_ONNX_IN_INITIALIZERS },
        { "good/inputs_64.onnx", 64, 1, 0, 0, -1 },
        { "good/metadata.onnx", 1, 1, 0, 0, -1 },
        { "good/odd_names.onnx", 2, 1, 0, 0, -1 },
        { "good/optional_inputs.onnx", 3, 1, 4, 0, TRP_ONNX_IN_INITIALIZERS },
        { "good/rank_9.onnx", 1, 1, 0, 0, -1 },
        { "good/scalar.onnx", 1, 1, 1, 0, TRP_ONNX_IN_INITIALIZERS },
        { "good/slow.onnx", 2, 1, 4, 0, -1 },
        { "good/weights_in_constant.onnx", 1, 1, 20, 0, TRP_ONNX_IN_CONSTANTS },
        { "good/weights_in_function.onnx", 1, 1, 4, 0, TRP_ONNX_IN_FUNCTIONS },
        { "good/weights_in_if.onnx", 2, 1, 8, 0, TRP_ONNX_IN_SUBGRAPHS },
        { "good/weights_in_tree.onnx", 1, 1, 92, 0, TRP_ONNX_IN_ATTRIBUTES },
        { "good/weights_sparse.onnx", 1, 1, 2, 0, TRP_ONNX_IN_SPARSE },
        { "good/zipmap_off.onnx", 1, 2, 18, 0, TRP_ONNX_IN_ATTRIBUTES },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_arena arena;
        struct trp_onnx_model m;
        struct trp_signature s;
        struct trp_error err;
        trp_arena_init(&arena, trp_heap(), 4096, 0);
        if (trp_failed(read_file(r->path, &arena, &m, &err)))
            fail_msg("%s", err.text);
        print_message("%s\n", r->path);
        assert_int_equal(trp_onnx_signature(&m, &arena, &s, &err).code, TRP_OK);
        assert_int_equal(s.inputs_n, r->inputs);
        assert_int_equal(s.outputs_n, r->outputs);
        assert_int_equal(m.total.elements, r->parameters);
        assert_int_equal(m.hazards_total, r->hazards);
        if (r->place >= 0)
            assert_int_equal(m.places[r->place].elements, r->parameters);
        trp_arena_deinit(&arena);
    }
}

static void every_bad_file_is_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct row {
        const char *path;
        int32_t code;
        const char *words;
    } rows[] = {
        { "bad/absurd_input.onnx", TRP_INVALID_ARGUMENT, "input 'x' passes 2^63" },
        { "bad/absurd_weights.onnx", TRP_INVALID_ARGUMENT, "tensor 'w' at byte" },
        { "bad/corrupt.onnx", TRP_DATA_LOSS, "corrupt at byte 38 of 168" },
        { "bad/empty.onnx", TRP_DATA_LOSS, "the file is empty" },
        { "bad/git_lfs_pointer.onnx", TRP_INVALID_ARGUMENT, "git lfs pull" },
        { "bad/negative_weights.onnx", TRP_INVALID_ARGUMENT, "negative size" },
        { "bad/no_graph.onnx", TRP_INVALID_ARGUMENT, "no graph" },
        { "bad/short_weights.onnx", TRP_INVALID_ARGUMENT, "holds 12 bytes" },
        { "bad/text.onnx", TRP_DATA_LOSS, "not an ONNX model" },
        { "bad/truncated.onnx", TRP_DATA_LOSS, "cut off" },
        { "bad/there_is_no_such_file.onnx", TRP_NOT_FOUND, "there_is_no_such_file" },
        { "bad", TRP_INVALID_ARGUMENT, "not a file" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_arena arena;
        struct trp_onnx_model m;
        struct trp_error err;
        trp_arena_init(&arena, trp_heap(), 4096, 0);
        assert_int_equal(read_file(r->path, &arena, &m, &err).code, r->code);
        print_message("%s\n", err.text);
        assert_non_null(strstr(err.text, r->words));
        trp_arena_deinit(&arena);
    }
}

static void types_that_are_not_served_are_named(void **state)
{
    (void)state;
    static const struct row {
        const char *path, *words;
    } rows[] = {
        { "bad/sequence_output.onnx", "output 'y' is of type sequence(tensor(float))" },
        { "bad/sequence_input.onnx", "input 'x' is of type sequence(tensor(float))" },
        { "bad/map_input.onnx", "input 'x' is of type map(string, tensor(float))" },
        { "bad/optional_output.onnx", "output 'y' is of type optional(tensor(float))" },
        { "bad/float8_input.onnx", "input 'x' is of type tensor(float8e4m3fn)" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_arena arena;
        struct trp_onnx_model m;
        struct trp_signature s;
        struct trp_error err;
        trp_arena_init(&arena, trp_heap(), 4096, 0);
        assert_int_equal(read_file(r->path, &arena, &m, &err).code, TRP_OK);
        assert_int_equal(trp_onnx_signature(&m, &arena, &s, &err).code, TRP_UNIMPLEMENTED);
        assert_non_null(strstr(err.text, r->words));
        trp_arena_deinit(&arena);
    }
}

static void a_zipmap_is_described_as_the_matrix_it_is(void **state)
{
    (void)state;
    static const struct row {
        const char *path, *labels[3];
    } rows[] = {
        { "good/zipmap_string.onnx", { "setosa", "versicolor", "virginica" } },
        { "good/zipmap_int64.onnx", { "10", "20", "30" } },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_arena arena;
        struct trp_onnx_model m;
        struct trp_error err;
        trp_arena_init(&arena, trp_heap(), 4096, 0);
        assert_int_equal(read_file(r->path, &arena, &m, &err).code, TRP_OK);
        const struct trp_onnx_io *const p = &m.outputs[1];
        assert_true(trp_onnx_type_is_zipmap(&p->type));
        assert_true(p->zipmap);
        assert_int_equal(p->io.dtype, TROUPE_FP32);
        assert_int_equal(p->io.rank, 2);
        assert_int_equal(p->io.dims[0], -1);
        assert_int_equal(p->io.dims[1], 3);
        assert_int_equal(p->io.labels_n, 3);
        for (int i = 0; i < 3; i++)
            assert_true(trp_str_is(p->io.labels[i], r->labels[i]));
        trp_arena_deinit(&arena);
    }
}

static void external_data_is_listed_and_paths_that_leave_are_hazards(void **state)
{
    (void)state;
    static const struct row {
        const char *path, *location;
        uint64_t offset, hazards;
    } rows[] = {
        { "good/external_data/model.onnx", "weights.bin", 64, 0 },
        { "good/external_subfolder/model.onnx", "data/weights.bin", 64, 0 },
        { "bad/external_parent/model.onnx", "../external_short/weights.bin", 64, 1 },
        { "bad/external_absolute/model.onnx", "/etc/passwd", 0, 1 },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_arena arena;
        struct trp_onnx_model m;
        struct trp_error err;
        trp_arena_init(&arena, trp_heap(), 4096, 0);
        assert_int_equal(read_file(r->path, &arena, &m, &err).code, TRP_OK);
        assert_int_equal(m.externals_n, 1);
        assert_true(trp_str_is(m.externals[0].tensor, "w"));
        assert_true(trp_str_is(m.externals[0].path, r->location));
        assert_int_equal(m.externals[0].offset, r->offset);
        assert_int_equal(m.externals[0].length, 64);
        assert_int_equal(m.files_n, 1);
        assert_true(trp_str_is(m.files[0].path, r->location));
        assert_int_equal(m.files[0].end, r->offset + 64);
        assert_int_equal(m.hazards_total, r->hazards);
        if (r->hazards)
            assert_int_equal(m.hazards[0].kind, TRP_ONNX_OUTSIDE_PATH);
        trp_arena_deinit(&arena);
    }
}

/* A heap that has `left` blocks to give. */
struct poor {
    struct trp_alloc alloc;
    long left, held;
};

static void *poor_get(const struct trp_alloc *a, size_t bytes, size_t align)
{
    struct poor *const p = a->user;
    if (p->left-- <= 0)
        return NULL;
    p->held++;
    return trp_heap()->alloc(trp_heap(), bytes, align);
}

static void poor_free(const struct trp_alloc *a, void *block)
{
    struct poor *const p = a->user;
    p->held -= block != NULL;
    trp_heap()->free(trp_heap(), block);
}

static void every_allocation_that_fails_is_an_error_and_leaves_nothing_behind(void **state)
{
    (void)state;
    static const char *const paths[] = { "good/zipmap_string.onnx", "good/weights_in_if.onnx",
                                         "good/external_data/model.onnx", "good/div_int64.onnx",
                                         "good/weights_in_function.onnx" };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        trp_status st = { TRP_OUT_OF_MEMORY };
        long n = 0;
        for (; trp_failed(st); n++) {
            struct poor p = { .left = n };
            struct trp_arena arena;
            struct trp_onnx_model m;
            struct trp_error err;
            p.alloc =
                (struct trp_alloc){ .alloc = poor_get, .free = poor_free, .user = &p, .name = "p" };
            trp_arena_init(&arena, &p.alloc, 64, 0); /* small blocks: many allocations */
            st = read_file(paths[i], &arena, &m, &err);
            assert_true(st.code == TRP_OK || st.code == TRP_OUT_OF_MEMORY);
            trp_arena_deinit(&arena);
            assert_int_equal(p.held, 0);
        }
        assert_true(n > 5);
    }
}

/* Memory that cuts a file when it is first asked for some: the file is mapped by then, and not
 * yet looked at. */
struct scissors {
    struct trp_alloc alloc;
    const char *path;
};

static void *cut_and_get(const struct trp_alloc *a, size_t bytes, size_t align)
{
    const struct scissors *s = a->user;
    assert_int_equal(truncate(s->path, 0), 0);
    return trp_alloc_aligned(trp_heap(), bytes, align < 16 ? 16 : align);
}

static void drop(const struct trp_alloc *a, void *block)
{
    (void)a;
    trp_alloc_free(trp_heap(), block);
}

/* `cp new.onnx model.onnx` begins with cutting the old one, and once ended the server that was
 * reading it. */
static void a_large_file_that_is_copied_over_while_it_is_read_is_an_error(void **state)
{
    (void)state;
    struct build b;
    char folder[SCRATCH_PATH_MAX], path[SCRATCH_PATH_MAX + 8];
    build_start(&b, 8);
    for (int i = 0; i < 20000; i++) /* larger than what is read whole */
        text(&b, 6, "some documentation of this model");
    scratch_folder(folder, "onnx");
    (void)snprintf(path, sizeof path, "%s/m.onnx", folder);
    const struct trp_str bytes = trp_buf_str(&b.bytes);
    assert_false(trp_failed(trp_file_replace(path, bytes.ptr, bytes.len, &b.err)));
    struct scissors s = { .alloc = { .alloc = cut_and_get, .free = drop, .name = "scissors" },
                          .path = path };
    s.alloc.user = &s;
    struct trp_arena arena;
    trp_arena_init(&arena, &s.alloc, 1024, 0);
    assert_int_equal(trp_onnx_read_file(path, NULL, &arena, &b.model, &b.err).code, TRP_DATA_LOSS);
    assert_non_null(strstr(b.err.text, "m.onnx: the file became shorter while it was read"));
    trp_arena_deinit(&arena);
    build_drop(&b);
    (void)unlink(path);
    (void)rmdir(folder);
}

static void the_head_of_a_model_is_kept(void **state)
{
    (void)state;
    struct trp_arena arena;
    struct trp_onnx_model m;
    struct trp_error err;
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    assert_int_equal(read_file("good/metadata.onnx", &arena, &m, &err).code, TRP_OK);
    assert_int_equal(m.ir_version, 8);
    assert_int_equal(m.model_version, 7);
    assert_true(trp_str_is(m.producer, "troupe-tests"));
    assert_true(trp_str_is(m.producer_version, "1.2"));
    assert_true(trp_str_is(m.domain, "org.example"));
    assert_true(trp_str_is(m.doc, "A model that says what it is.\nOver two lines."));
    assert_true(trp_str_is(m.graph_doc, "One Identity node."));
    assert_int_equal(m.opsets_n, 1);
    assert_true(trp_str_is(m.opsets[0].domain, "ai.onnx"));
    assert_int_equal(m.opsets[0].version, 17);
    assert_int_equal(m.metadata_n, 3);
    assert_true(trp_str_is(m.metadata[2].key, "note"));
    assert_true(trp_str_is(m.metadata[2].value, "gr\xc3\xbcn"));
    trp_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_names_types_and_shapes),
        cmocka_unit_test(signature_only_reads_the_face_and_nothing_else),
        cmocka_unit_test(a_model_cut_anywhere_is_refused),
        cmocka_unit_test(a_model_with_any_byte_changed_is_survived),
        cmocka_unit_test(an_input_with_an_initializer_is_optional_and_comes_last),
        cmocka_unit_test(before_ir_version_4_it_is_no_input_at_all),
        cmocka_unit_test(refuses_faces_that_cannot_be),
        cmocka_unit_test(a_rank_past_the_limit_is_refused),
        cmocka_unit_test(every_limit_has_its_words),
        cmocka_unit_test(more_inputs_than_anybody_has_are_refused),
        cmocka_unit_test(a_second_graph_is_refused_and_long_texts_are_cut_at_a_character),
        cmocka_unit_test(types_inside_types_are_bounded),
        cmocka_unit_test(every_good_model_is_read_and_can_be_served),
        cmocka_unit_test(every_bad_file_is_refused_with_a_reason),
        cmocka_unit_test(types_that_are_not_served_are_named),
        cmocka_unit_test(a_zipmap_is_described_as_the_matrix_it_is),
        cmocka_unit_test(external_data_is_listed_and_paths_that_leave_are_hazards),
        cmocka_unit_test(every_allocation_that_fails_is_an_error_and_leaves_nothing_behind),
        cmocka_unit_test(a_large_file_that_is_copied_over_while_it_is_read_is_an_error),
        cmocka_unit_test(the_head_of_a_model_is_kept),
    };
    return cmocka_run_group_tests_name("onnx_reader", tests, NULL, NULL);
}
