/* tests/conformance/onnxruntime_test.c - what real ONNX files do, and only this plugin has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/thread.h"
#include "onnxruntime_fixture.h"

static void save(struct onnx *graph, const char *name)
{
    onnx_save(graph, harness_path(&h, name));
}

static void expect_refusal(const char *name, int32_t code, const char *words)
{
    struct subject *s;
    assert_int_equal(subject_try_open(&h, name, (struct troupe_model_desc){ 0 }, &s).code, code);
    assert_non_null(strstr(h.err.text, words));
}

/* --- ZipMap ----------------------------------------------------------------------------------- */

/* scores FP32 [-1,3] -> ZipMap -> probabilities */
static void write_zipmap(const char *name, const int64_t *numbers, const char *const *texts)
{
    struct onnx g = { 0 }, node = onnx_node("ZipMap", "ai.onnx.ml", "scores", "probabilities");
    struct onnx map = { 0 }, sequence = { 0 }, type = { 0 }, value = { 0 }, tensor = { 0 },
                element = { 0 }, holder = { 0 };
    if (numbers)
        onnx_attr_ints(&node, "classlabels_int64s", numbers, 3);
    if (texts)
        onnx_attr_strings(&node, "classlabels_strings", texts, 3);
    onnx_part(&g, 1, &node);
    onnx_input(&g, "scores", ONNX_FLOAT, 2, DIMS(-1, 3));
    /* ValueInfo { name, type { sequence { element { map { key, value { tensor }}}}}} */
    onnx_int(&tensor, 1, ONNX_FLOAT);
    onnx_part(&holder, 1, &tensor);
    onnx_int(&map, 1, numbers ? ONNX_INT64 : ONNX_STRING);
    onnx_part(&map, 2, &holder);
    onnx_part(&element, 5, &map);
    onnx_part(&sequence, 1, &element);
    onnx_part(&type, 4, &sequence);
    onnx_text(&value, 1, "probabilities");
    onnx_part(&value, 2, &type);
    onnx_part(&g, 12, &value);
    save(&g, name);
}

static const float scores[6] = { 0.1f, 0.2f, 0.7f, 0.5f, 0.25f, 0.25f };

static void check_zipmap(const char *name, const char *const *labels)
{
    struct subject *s = subject_open(&h, name);
    const struct trp_io *out = &s->signature.outputs[0];
    assert_int_equal(out->dtype, TROUPE_FP32);
    assert_int_equal(out->rank, 2);
    assert_int_equal(out->dims[0], -1);
    assert_int_equal(out->dims[1], 3);
    assert_int_equal(out->labels_n, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(trp_str_is(out->labels[i], labels[i]));
    subject_send(s, 0, TROUPE_FP32, scores, sizeof scores, 2, DIMS(2, 3));
    assert_int_equal(subject_run(s).code, TRP_OK);
    assert_int_equal(s->out[0].shape[0], 2);
    assert_memory_equal(s->out[0].data, scores,
                        sizeof scores); /* the columns stand as in the file */
    subject_release(s);
    subject_send(s, 0, TROUPE_FP32, scores, 0, 2, DIMS(0, 3));
    assert_int_equal(subject_run(s).code, TRP_OK);
    assert_int_equal(s->out[0].shape[0], 0);
    subject_release(s);
    subject_close(s);
}

static void a_zipmap_is_a_dense_tensor_with_labels(void **state)
{
    (void)state;
    static const int64_t numbers[3] = { -1, 5, 30 }, shuffled[3] = { 30, -1, 5 };
    static const char *const texts[3] = { "cow", "ant", "bee" };
    write_zipmap("numbers.onnx", numbers, NULL);
    check_zipmap("numbers.onnx", (const char *const[]){ "-1", "5", "30" });
    write_zipmap("shuffled.onnx", shuffled, NULL);
    check_zipmap("shuffled.onnx", (const char *const[]){ "30", "-1", "5" });
    write_zipmap("texts.onnx", NULL, texts);
    check_zipmap("texts.onnx", texts);
}

static void a_zipmap_with_a_key_twice_is_refused(void **state)
{
    (void)state;
    write_zipmap("twice.onnx", (const int64_t[3]){ 4, 5, 4 }, NULL);
    expect_refusal("twice.onnx", TRP_UNIMPLEMENTED, "'probabilities' is a ZipMap with a key twice");
}

/* --- what is refused -------------------------------------------------------------------------- */

static void write_sequence(const char *name)
{
    struct onnx g = { 0 }, element = { 0 }, tensor = { 0 }, sequence = { 0 }, type = { 0 },
                value = { 0 };
    onnx_simple(&g, "SequenceConstruct", "x x", "pieces");
    onnx_input(&g, "x", ONNX_FLOAT, 1, DIMS(-1));
    onnx_int(&tensor, 1, ONNX_FLOAT);
    onnx_part(&element, 1, &tensor);
    onnx_part(&sequence, 1, &element);
    onnx_part(&type, 4, &sequence);
    onnx_text(&value, 1, "pieces");
    onnx_part(&value, 2, &type);
    onnx_part(&g, 12, &value);
    save(&g, name);
}

static void write_optional(const char *name)
{
    struct onnx g = { 0 }, element = { 0 }, tensor = { 0 }, optional = { 0 }, type = { 0 },
                value = { 0 };
    onnx_simple(&g, "Optional", "x", "maybe");
    onnx_input(&g, "x", ONNX_FLOAT, 1, DIMS(-1));
    onnx_int(&tensor, 1, ONNX_FLOAT);
    onnx_part(&element, 1, &tensor);
    onnx_part(&optional, 1, &element);
    onnx_part(&type, 9, &optional);
    onnx_text(&value, 1, "maybe");
    onnx_part(&value, 2, &type);
    onnx_part(&g, 12, &value);
    save(&g, name);
}

static void what_is_not_served_is_refused_by_name_and_reason(void **state)
{
    (void)state;
    struct onnx g = { 0 };
    write_sequence("sequence.onnx");
    expect_refusal("sequence.onnx", TRP_UNIMPLEMENTED,
                   "output 'pieces' is a sequence of something");
    write_optional("optional.onnx");
    expect_refusal("optional.onnx", TRP_UNIMPLEMENTED, "output 'maybe' is of an optional type");
    onnx_simple(&g, "Identity", "x", "y");
    onnx_input(&g, "x", ONNX_FLOAT, 17, DIMS(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1));
    onnx_output(&g, "y", ONNX_FLOAT, 17, DIMS(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1));
    save(&g, "deep.onnx");
    expect_refusal("deep.onnx", TRP_UNIMPLEMENTED, "input 'x' has more than 16 dimensions");
}

static void an_unknown_operator_is_refused(void **state)
{
    (void)state;
    struct onnx g = { 0 };
    onnx_simple(&g, "Frobnicate", "x", "y");
    onnx_input(&g, "x", ONNX_FLOAT, 1, DIMS(-1));
    onnx_output(&g, "y", ONNX_FLOAT, 1, DIMS(-1));
    save(&g, "unknown.onnx");
    expect_refusal("unknown.onnx", TRP_INVALID_ARGUMENT, "Frobnicate");
}

/* --- shapes ----------------------------------------------------------------------------------- */

static void an_input_without_a_shape_takes_any_rank_but_a_scalar_is_a_scalar(void **state)
{
    (void)state;
    struct onnx g = { 0 };
    const float value = 3;
    onnx_simple(&g, "Identity", "any", "y");
    onnx_simple(&g, "Identity", "scalar", "z");
    onnx_input(&g, "any", ONNX_FLOAT, ONNX_ANY_RANK, NULL);
    onnx_input(&g, "scalar", ONNX_FLOAT, 0, NULL);
    onnx_output(&g, "y", ONNX_FLOAT, ONNX_ANY_RANK, NULL);
    onnx_output(&g, "z", ONNX_FLOAT, 0, NULL);
    save(&g, "any.onnx");
    struct subject *s = subject_open(&h, "any.onnx");
    assert_true(s->signature.inputs[0].any_rank);
    assert_false(s->signature.inputs[1].any_rank);
    assert_true(s->signature.outputs[0].any_rank);
    assert_false(s->signature.outputs[1].any_rank);
    subject_send(s, 0, TROUPE_FP32, &value, sizeof value, 3, DIMS(1, 1, 1));
    subject_send(s, 1, TROUPE_FP32, &value, sizeof value, 0, DIMS(0));
    assert_int_equal(subject_run(s).code, TRP_OK);
    assert_int_equal(s->out[0].rank, 3);
    assert_int_equal(s->out[1].rank, 0);
    subject_release(s);
    subject_close(s);
}

static void names_of_dimensions_are_told(void **state)
{
    (void)state;
    struct onnx g = { 0 };
    onnx_simple(&g, "Identity", "x", "y");
    onnx_input(&g, "x", ONNX_FLOAT, 2, DIMS(-1, 4));
    onnx_output(&g, "y", ONNX_FLOAT, 2, DIMS(-1, 4));
    save(&g, "named.onnx");
    struct subject *s = subject_open(&h, "named.onnx");
    assert_true(trp_str_is(s->signature.inputs[0].dim_names[0], "d0"));
    assert_int_equal(s->signature.inputs[0].dim_names[1].len, 0);
    subject_close(s);
}

/* An output whose declared shape is false: how often Tile repeats is only known when it runs. */
static void a_wrongly_declared_output_comes_as_it_is(void **state)
{
    (void)state;
    struct onnx g = { 0 };
    _Alignas(64) float given[8] = { 0 };
    const float x[2] = { 1, 2 };
    const int64_t twice = 2;
    onnx_simple(&g, "Tile", "x n", "y");
    onnx_input(&g, "x", ONNX_FLOAT, 1, DIMS(2));
    onnx_input(&g, "n", ONNX_INT64, 1, DIMS(1));
    onnx_output(&g, "y", ONNX_FLOAT, 1, DIMS(2)); /* whatever n is */
    save(&g, "false.onnx");
    struct subject *s = subject_open(&h, "false.onnx");
    for (int i = 0; i < 3; i++) { /* with memory that is given: the first time finds out */
        subject_send(s, 0, TROUPE_FP32, x, sizeof x, 1, DIMS(2));
        subject_send(s, 1, TROUPE_INT64, &twice, sizeof twice, 1, DIMS(1));
        s->out[0].data = given;
        s->out[0].bytes = sizeof given;
        assert_int_equal(subject_run(s).code, TRP_OK);
        assert_int_equal(s->out[0].shape[0], 4);
        assert_ptr_equal(s->out[0].data, given);
        assert_true(given[3] == 2);
        s->out[0] = (struct troupe_tensor){ 0 };
    }
    assert_int_equal(subject_run(s).code, TRP_OK); /* and without */
    assert_int_equal(s->out[0].bytes, 16);
    subject_release(s);
    subject_close(s);
}

static void an_input_that_is_unused_and_one_that_is_an_output_are_served(void **state)
{
    (void)state;
    struct onnx g = { 0 };
    const float x = 5, unused = 6;
    onnx_simple(&g, "Neg", "x", "y");
    onnx_input(&g, "x", ONNX_FLOAT, 1, DIMS(-1));
    onnx_input(&g, "unused", ONNX_FLOAT, 1, DIMS(-1));
    onnx_output(&g, "y", ONNX_FLOAT, 1, DIMS(-1));
    onnx_output(&g, "x", ONNX_FLOAT, 1, DIMS(-1));
    save(&g, "through.onnx");
    struct subject *s = subject_open(&h, "through.onnx");
    subject_send(s, 0, TROUPE_FP32, &x, sizeof x, 1, DIMS(1));
    subject_send(s, 1, TROUPE_FP32, &unused, sizeof unused, 1, DIMS(1));
    assert_int_equal(subject_run(s).code, TRP_OK);
    assert_true(*(float *)s->out[0].data == -5);
    assert_true(*(float *)s->out[1].data == 5);
    subject_release(s);
    subject_close(s);
}

static void a_missing_input_and_a_wrong_shape_are_the_callers_mistakes(void **state)
{
    (void)state;
    struct onnx g = { 0 };
    const float x[4] = { 1, 2, 3, 4 };
    onnx_simple(&g, "Add", "a b", "y");
    onnx_input(&g, "a", ONNX_FLOAT, 2, DIMS(-1, 2));
    onnx_input(&g, "b", ONNX_FLOAT, 2, DIMS(-1, 2));
    onnx_output(&g, "y", ONNX_FLOAT, 2, DIMS(-1, 2));
    save(&g, "add.onnx");
    struct subject *s = subject_open(&h, "add.onnx");
    subject_send(s, 0, TROUPE_FP32, x, sizeof x, 2, DIMS(2, 2));
    assert_int_equal(subject_run(s).code, TRP_INVALID_ARGUMENT);
    subject_send(s, 1, TROUPE_FP32, x, sizeof x, 2, DIMS(1, 4));
    assert_int_equal(subject_run(s).code, TRP_INVALID_ARGUMENT);
    subject_send(s, 1, TROUPE_INT32, x, sizeof x, 2, DIMS(2, 2));
    assert_int_equal(subject_run(s).code, TRP_INVALID_ARGUMENT);
    subject_send(s, 1, TROUPE_FP32, x, 8, 2, DIMS(2, 2)); /* fewer bytes than the shape */
    assert_int_equal(subject_run(s).code, TRP_INVALID_ARGUMENT);
    subject_close(s);
}

/* --- strings ---------------------------------------------------------------------------------- */

static void strings_that_end_past_their_data_are_refused(void **state)
{
    static const struct row {
        const char *bytes;
        uint64_t n;
        int64_t elements;
    } rows[] = {
        { "\x05\0\0\0abc", 7, 1 },
        { "\x03\0\0\0abc", 7, 2 },
        { "\x03\0\0\0abcx", 8, 1 },
        { "\xff\xff\xff\xff", 4, 1 },
        { "\x03\0\0\0abc", 7, INT64_C(1) << 60 },
        { "\x00\0\0", 3, 1 },
    };
    (void)state;
    struct onnx g = { 0 };
    onnx_simple(&g, "Identity", "x", "y");
    onnx_input(&g, "x", ONNX_STRING, 1, DIMS(-1));
    onnx_output(&g, "y", ONNX_STRING, 1, DIMS(-1));
    save(&g, "strings.onnx");
    struct subject *s = subject_open(&h, "strings.onnx");
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        subject_send(s, 0, TROUPE_BYTES, r->bytes, r->n, 1, DIMS(r->elements));
        assert_int_equal(subject_run(s).code, TRP_INVALID_ARGUMENT);
    }
    subject_send(s, 0, TROUPE_BYTES, "", 0, 2, DIMS(0, 5));
    subject_send(s, 0, TROUPE_BYTES, "", 0, 1, DIMS(0));
    assert_int_equal(subject_run(s).code, TRP_OK);
    assert_int_equal(s->out[0].bytes, 0);
    subject_release(s);
    subject_close(s);
}

static void many_strings_of_many_lengths_come_back_whole(void **state)
{
    (void)state;
    enum { N = 500 };
    struct onnx g = { 0 };
    struct subject *s;
    static unsigned char raw[N * (4 + N)];
    size_t n = 0;
    for (size_t i = 0; i < N; i++) {
        const size_t len = (i * 7919) % N;
        raw[n] = (unsigned char)len;
        raw[n + 1] = (unsigned char)(len >> 8);
        raw[n + 2] = raw[n + 3] = 0;
        memset(raw + n + 4, (int)(i & 0xff), len);
        n += 4 + len;
    }
    onnx_simple(&g, "Identity", "x", "y");
    onnx_input(&g, "x", ONNX_STRING, 2, DIMS(-1, -1));
    onnx_output(&g, "y", ONNX_STRING, 2, DIMS(-1, -1));
    save(&g, "many.onnx");
    s = subject_open(&h, "many.onnx");
    subject_send(s, 0, TROUPE_BYTES, raw, n, 2, DIMS(N / 10, 10));
    assert_int_equal(subject_run(s).code, TRP_OK);
    assert_int_equal(s->out[0].bytes, n);
    assert_memory_equal(s->out[0].data, raw, n);
    subject_release(s);
    subject_close(s);
}

static void a_locale_that_is_missing_is_named_with_the_way_out(void **state)
{
    (void)state;
    struct onnx g = { 0 }, node = onnx_node("StringNormalizer", "", "x", "y");
    onnx_attr_text(&node, "case_change_action", "LOWER");
    onnx_attr_text(&node, "locale", "xx_XX.UTF-8");
    onnx_part(&g, 1, &node);
    onnx_input(&g, "x", ONNX_STRING, 1, DIMS(-1));
    onnx_output(&g, "y", ONNX_STRING, 1, DIMS(-1));
    save(&g, "locale.onnx");
    expect_refusal("locale.onnx", TRP_FAILED_PRECONDITION, "xx_XX.UTF-8");
    assert_non_null(strstr(h.err.text, "locales-all"));
}

/* --- options ---------------------------------------------------------------------------------- */

/* x FP32 [-1] -> -x */
static void write_neg(const char *name)
{
    struct onnx g = { 0 };
    onnx_simple(&g, "Neg", "x", "y");
    onnx_input(&g, "x", ONNX_FLOAT, 1, DIMS(-1));
    onnx_output(&g, "y", ONNX_FLOAT, 1, DIMS(-1));
    save(&g, name);
}

static void send_two(struct subject *s)
{
    static const float two[2] = { 1, 2 };
    subject_send(s, 0, TROUPE_FP32, two, sizeof two, 1, DIMS(2));
}

static void options_are_taken_and_wrong_ones_named(void **state)
{
    static const struct row {
        struct troupe_option options[2];
        const char *words; /* NULL: taken */
    } rows[] = {
        { { { "intra_op_thread_count", "2" }, { "k", "v" } }, NULL },
        { { { "intra_op_thread_count", "0" }, { "k", "v" } }, NULL },
        { { { "intra_op_thread_count", "" }, { "k", "v" } },
          "intra_op_thread_count: '' is no number" },
        { { { "inter_op_thread_count", "2" }, { "k", "v" } }, NULL },
        { { { "execution_mode", "1" }, { "k", "v" } }, NULL },
        { { { "execution_mode", "2" }, { "k", "v" } },
          "execution_mode: '2' is no number from 0 to 1" },
        { { { "enable_mem_arena", "1" }, { "k", "v" } }, NULL },
        { { { "enable_mem_arena", "yes" }, { "k", "v" } }, "enable_mem_arena: 'yes' is no number" },
        { { { "enable_mem_pattern", "0" }, { "k", "v" } }, NULL },
        { { { "graph.level", "-1" }, { "k", "v" } }, NULL },
        { { { "graph.level", "1" }, { "k", "v" } }, NULL },
        { { { "graph.level", "2" }, { "k", "v" } }, NULL },
        { { { "graph.level", "3" }, { "k", "v" } }, "graph.level: '3' is no number from -1 to 2" },
        { { { "memory.enable_memory_arena_shrinkage", "cpu:0" }, { "k", "v" } }, NULL },
        { { { "memory.enable_memory_arena_shrinkage", "cpu:0" }, { "enable_mem_arena", "1" } },
          NULL },
    };
    (void)state;
    write_neg("options.onnx");
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct subject *s;
        print_message("%s=%s\n", r->options[0].key, r->options[0].value);
        const trp_status st = subject_try_open(
            &h, "options.onnx", (struct troupe_model_desc){ .options = r->options, .options_n = 2 },
            &s);
        assert_int_equal(st.code, r->words ? TRP_INVALID_ARGUMENT : TRP_OK);
        if (r->words) {
            assert_non_null(strstr(h.err.text, r->words));
            continue;
        }
        send_two(s);
        assert_int_equal(subject_run(s).code, TRP_OK);
        assert_true(((float *)s->out[0].data)[1] == -2);
        subject_close(s);
    }
}

static void devices_that_are_not_there_are_refused(void **state)
{
    (void)state;
    static const struct troupe_device_id places[] = { { TROUPE_DEVICE_CPU, 0 },
                                                      { TROUPE_DEVICE_GPU, 63 } };
    const struct troupe_model_desc desc = { .devices = places, .devices_n = ARRAY_LEN(places) };
    struct subject *s;
    write_neg("device.onnx");
    assert_int_equal(subject_try_open(&h, "device.onnx", desc, &s).code, TRP_FAILED_PRECONDITION);
    assert_non_null(strstr(h.err.text, "there is no GPU 63"));
}

static void a_library_that_is_not_there_or_none_is_named(void **state)
{
    static const struct row {
        const char *library;
        int32_t code;
        const char *words;
    } rows[] = {
        { "/nowhere/libonnxruntime.so", TRP_NOT_FOUND, "/nowhere/libonnxruntime.so" },
        { "/etc/passwd", TRP_IO, "cannot be opened" },
        { "libc.so.6", TRP_UNIMPLEMENTED, "libc.so.6 is not ONNX Runtime" },
    };
    (void)state;
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        const struct troupe_option option = { "onnxruntime.library", r->library };
        const struct trp_backends_opts opts = {
            .clock = trp_clock_system(), .path = TRP_PLUGINS, .options = &option, .options_n = 1
        };
        struct trp_backends *backends;
        struct trp_backend *b;
        assert_int_equal(trp_backends_create(trp_heap(), &opts, &backends, &h.err).code, TRP_OK);
        const trp_status st = trp_backends_get(backends, TRP_STR_LIT("onnxruntime"), &b, &h.err);
        print_message("%s\n", h.err.text);
        assert_int_equal(st.code, r->code);
        assert_non_null(strstr(h.err.text, r->words));
        trp_backends_destroy(backends);
    }
}

static void nothing_is_reported_to_anybody(void **state)
{
    (void)state;
    assert_string_equal(getenv("ORT_DISABLE_TELEMETRY"), "1");
}

/* --- threads ---------------------------------------------------------------------------------- */

struct late {
    struct trp_flag flag;
};
static void raise_late(void *user)
{
    struct late *late = user;
    usleep(3000);
    trp_flag_raise(&late->flag);
}

/* Thousands of nodes keep the optimiser busy long enough to be told to stop. */
static void a_load_under_way_can_be_given_up(void **state)
{
    (void)state;
    enum { NODES = 4000 };
    struct onnx g = { 0 };
    struct late late = { 0 };
    struct trp_thread thread;
    struct subject *s;
    char from[16] = "x", to[16], pair[40];
    for (int i = 0; i < NODES; i++) {
        snprintf(to, sizeof to, i + 1 < NODES ? "v%d" : "y", i);
        snprintf(pair, sizeof pair, "%s %s", from, from);
        onnx_simple(&g, "Add", pair, to);
        snprintf(from, sizeof from, "%s", to);
    }
    onnx_input(&g, "x", ONNX_FLOAT, 1, DIMS(-1));
    onnx_output(&g, "y", ONNX_FLOAT, 1, DIMS(-1));
    save(&g, "long.onnx");
    const struct troupe_model_desc desc = { .cancel = trp_flag_word(&late.flag) };
    assert_int_equal(trp_thread_start(&thread, "late", raise_late, &late, NULL).code, TRP_OK);
    const trp_status st = subject_try_open(&h, "long.onnx", desc, &s);
    trp_thread_join(&thread);
    assert_true(st.code == TRP_CANCELLED || st.code == TRP_OK); /* a fast machine may be through */
}

static void shared_threads_run_too(void **state)
{
    (void)state;
    struct subject *s;
    write_neg("shared.onnx");
    assert_int_equal(
        subject_try_open(&h, "shared.onnx",
                         (struct troupe_model_desc){ .thread_mode = TROUPE_THREADS_SHARED }, &s)
            .code,
        TRP_OK);
    send_two(s);
    assert_int_equal(subject_run(s).code, TRP_OK);
    assert_true(((float *)s->out[0].data)[1] == -2);
    subject_close(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, close_what_is_open)
    const struct CMUnitTest tests[] = {
        TEST(a_zipmap_is_a_dense_tensor_with_labels),
        TEST(a_zipmap_with_a_key_twice_is_refused),
        TEST(what_is_not_served_is_refused_by_name_and_reason),
        TEST(an_unknown_operator_is_refused),
        TEST(an_input_without_a_shape_takes_any_rank_but_a_scalar_is_a_scalar),
        TEST(names_of_dimensions_are_told),
        TEST(a_wrongly_declared_output_comes_as_it_is),
        TEST(an_input_that_is_unused_and_one_that_is_an_output_are_served),
        TEST(a_missing_input_and_a_wrong_shape_are_the_callers_mistakes),
        TEST(strings_that_end_past_their_data_are_refused),
        TEST(many_strings_of_many_lengths_come_back_whole),
        TEST(a_locale_that_is_missing_is_named_with_the_way_out),
        TEST(options_are_taken_and_wrong_ones_named),
        TEST(devices_that_are_not_there_are_refused),
        TEST(a_library_that_is_not_there_or_none_is_named),
        TEST(nothing_is_reported_to_anybody),
        TEST(a_load_under_way_can_be_given_up),
        TEST(shared_threads_run_too),
    };
    return cmocka_run_group_tests_name("onnxruntime", tests, open_onnxruntime, close_onnxruntime);
}
