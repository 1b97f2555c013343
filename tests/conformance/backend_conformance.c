/* tests/conformance/backend_conformance.c - what every backend must do, whatever it is.
 *
 * The program's argument names the backend; a second one, `isolated`, runs each model in a process
 * of its own, which is this program again.  Each backend brings its own model files for the same
 * roles; where backends may answer differently (`null` answers zeros), the row of the backend says
 * so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "backend/worker_frame.h"
#include "backend/worker_main.h"
#include "base/thread.h"
#include "harness.h"
#include "tensor/dtype.h"

/* --- the roles -------------------------------------------------------------------------------- */

/* x FP32 [-1,3] -> y FP32 [-1,3] */
static void onnx_plain(const char *path)
{
    struct onnx g = { 0 };
    onnx_simple(&g, "Identity", "x", "y");
    onnx_input(&g, "x", ONNX_FLOAT, 2, DIMS(-1, 3));
    onnx_output(&g, "y", ONNX_FLOAT, 2, DIMS(-1, 3));
    onnx_save(&g, path);
}

/* x FP32 [2,3] -> y FP32 [2,3] */
static void onnx_fixed(const char *path)
{
    struct onnx g = { 0 };
    onnx_simple(&g, "Identity", "x", "y");
    onnx_input(&g, "x", ONNX_FLOAT, 2, DIMS(2, 3));
    onnx_output(&g, "y", ONNX_FLOAT, 2, DIMS(2, 3));
    onnx_save(&g, path);
}

static const struct type {
    int32_t dtype;
    int onnx;
} types[] = {
    { TROUPE_BOOL, ONNX_BOOL },     { TROUPE_UINT8, ONNX_UINT8 },   { TROUPE_UINT16, ONNX_UINT16 },
    { TROUPE_UINT32, ONNX_UINT32 }, { TROUPE_UINT64, ONNX_UINT64 }, { TROUPE_INT8, ONNX_INT8 },
    { TROUPE_INT16, ONNX_INT16 },   { TROUPE_INT32, ONNX_INT32 },   { TROUPE_INT64, ONNX_INT64 },
    { TROUPE_FP16, ONNX_FLOAT16 },  { TROUPE_FP32, ONNX_FLOAT },    { TROUPE_FP64, ONNX_DOUBLE },
    { TROUPE_BYTES, ONNX_STRING },  { TROUPE_BF16, ONNX_BFLOAT16 },
};
#define TYPES (uint32_t)(sizeof types / sizeof types[0])

/* x<i> of each type [-1] -> y<i> the same */
static void onnx_types(const char *path)
{
    struct onnx g = { 0 };
    for (uint32_t i = 0; i < TYPES; i++) {
        char x[16], y[16];
        snprintf(x, sizeof x, "x%u", i);
        snprintf(y, sizeof y, "y%u", i);
        onnx_simple(&g, "Identity", x, y);
        onnx_input(&g, x, types[i].onnx, 1, DIMS(-1));
        onnx_output(&g, y, types[i].onnx, 1, DIMS(-1));
    }
    onnx_save(&g, path);
}

/* x INT64 [] -> y INT64 [] */
static void onnx_scalar(const char *path)
{
    struct onnx g = { 0 };
    onnx_simple(&g, "Identity", "x", "y");
    onnx_input(&g, "x", ONNX_INT64, 0, NULL);
    onnx_output(&g, "y", ONNX_INT64, 0, NULL);
    onnx_save(&g, path);
}

/* Runs until it is cancelled: x FP32 [-1,3] -> y FP32 [-1,3] by an endless loop. */
static void onnx_endless(const char *path)
{
    const int64_t for_ever = INT64_MAX;
    const unsigned char yes = 1;
    struct onnx g = { 0 }, body = { 0 };
    onnx_simple(&body, "Identity", "go", "go_on");
    onnx_simple(&body, "Identity", "v", "w");
    onnx_input(&body, "i", ONNX_INT64, 0, NULL);
    onnx_input(&body, "go", ONNX_BOOL, 0, NULL);
    onnx_input(&body, "v", ONNX_FLOAT, 2, DIMS(-1, 3));
    onnx_output(&body, "go_on", ONNX_BOOL, 0, NULL);
    onnx_output(&body, "w", ONNX_FLOAT, 2, DIMS(-1, 3));
    struct onnx loop = onnx_node("Loop", "", "trips yes x", "y");
    onnx_attr_graph(&loop, "body", &body);
    onnx_part(&g, 1, &loop);
    onnx_initializer(&g, "trips", ONNX_INT64, 0, NULL, &for_ever, sizeof for_ever);
    onnx_initializer(&g, "yes", ONNX_BOOL, 0, NULL, &yes, sizeof yes);
    onnx_input(&g, "x", ONNX_FLOAT, 2, DIMS(-1, 3));
    onnx_output(&g, "y", ONNX_FLOAT, 2, DIMS(-1, 3));
    onnx_save(&g, path);
}

/* Fails whenever it runs: x FP32 [-1,3] reshaped to [7]. */
static void onnx_failing(const char *path)
{
    const int64_t seven = 7;
    struct onnx g = { 0 };
    onnx_simple(&g, "Reshape", "x seven", "y");
    onnx_initializer(&g, "seven", ONNX_INT64, 1, DIMS(1), &seven, sizeof seven);
    onnx_input(&g, "x", ONNX_FLOAT, 2, DIMS(-1, 3));
    onnx_output(&g, "y", ONNX_FLOAT, 1, DIMS(7));
    onnx_save(&g, path);
}

/* Gives 1000 times as many rows as it got: x FP32 [-1,3] -> y FP32 [-1,3]. */
static void onnx_growing(const char *path)
{
    const int64_t times[2] = { 1000, 1 };
    struct onnx g = { 0 };
    onnx_simple(&g, "Tile", "x times", "y");
    onnx_initializer(&g, "times", ONNX_INT64, 1, DIMS(2), times, sizeof times);
    onnx_input(&g, "x", ONNX_FLOAT, 2, DIMS(-1, 3));
    onnx_output(&g, "y", ONNX_FLOAT, 2, DIMS(-1, 3));
    onnx_save(&g, path);
}

/* x INT64 [-1], w INT64 [1] that may be left out; y = x + w, whose default is 10 */
static void onnx_optional(const char *path)
{
    const int64_t ten = 10;
    struct onnx g = { 0 };
    onnx_simple(&g, "Add", "x w", "y");
    onnx_initializer(&g, "w", ONNX_INT64, 1, DIMS(1), &ten, sizeof ten);
    onnx_input(&g, "x", ONNX_INT64, 1, DIMS(-1));
    onnx_input(&g, "w", ONNX_INT64, 1, DIMS(1));
    onnx_output(&g, "y", ONNX_INT64, 1, DIMS(-1));
    onnx_save(&g, path);
}

#define WIDE 30
static void onnx_wide(const char *path)
{
    struct onnx g = { 0 };
    for (int i = 0; i < WIDE; i++) {
        char x[16], y[16];
        snprintf(x, sizeof x, "x%d", i);
        snprintf(y, sizeof y, "y%d", i);
        onnx_simple(&g, "Identity", x, y);
        onnx_input(&g, x, ONNX_FLOAT, 1, DIMS(1));
        onnx_output(&g, y, ONNX_FLOAT, 1, DIMS(1));
    }
    onnx_save(&g, path);
}

enum role { PLAIN, FIXED, ALL_TYPES, SCALAR, ENDLESS, FAILING, GROWING, OPTIONAL, WIDER, ROLES };
static const char *const role_names[ROLES] = { "plain",   "fixed",    "types",
                                               "scalar",  "endless",  "failing",
                                               "growing", "optional", "wide" };

/* What a backend brings.  `text` is a script's head for the built-in ones. */
struct contender {
    const char *name, *ending, *platform;
    bool is_echo, is_null;
    void (*write[ROLES])(const char *path);
};

static const struct contender contenders[] = {
    { .name = "null", .ending = "null", .platform = "troupe_null", .is_null = true },
    { .name = "echo", .ending = "echo", .platform = "troupe_echo", .is_echo = true },
    { .name = "onnxruntime",
      .ending = "onnx",
      .platform = "onnxruntime_onnx",
      .write = { onnx_plain, onnx_fixed, onnx_types, onnx_scalar, onnx_endless, onnx_failing,
                 onnx_growing, onnx_optional, onnx_wide } },
};

static void script_io(char *text, size_t size, const char *in_type, const char *dims, uint32_t i)
{
    const size_t n = strlen(text);
    snprintf(text + n, size - n, "input x%u %s %s\noutput y%u %s %s\n", i, in_type, dims, i,
             in_type, dims);
}

static void write_script(struct harness *h, const char *file, enum role role)
{
    static const char *const heads[ROLES] = {
        [PLAIN] = "input x FP32 [-1,3]\noutput y FP32 [-1,3]\n",
        [FIXED] = "input x FP32 [2,3]\noutput y FP32 [2,3]\n",
        [SCALAR] = "input x INT64 []\noutput y INT64 []\n",
        [ENDLESS] = "input x FP32 [-1,3]\noutput y FP32 [-1,3]\nsleep 1000s\n",
        [FAILING] = "input x FP32 [-1,3]\nfail BACKEND_FAILED it always does\n",
        [GROWING] = "input x FP32 [-1,3]\noutput y FP32 [-1,3]\ngrow 1000\n",
        [OPTIONAL] = "input x INT64 [-1]\ninput w INT64 [1] optional\noutput y INT64 [-1]\n",
    };
    char text[4096] = "";
    for (uint32_t i = 0; role == ALL_TYPES && i < TYPES; i++)
        script_io(text, sizeof text, trp_dtype_name(types[i].dtype), "[-1]", i);
    for (uint32_t i = 0; role == WIDER && i < WIDE; i++)
        script_io(text, sizeof text, "FP32", "[1]", i);
    harness_write(h, file, heads[role] ? heads[role] : text);
}

/* --- the stage -------------------------------------------------------------------------------- */

struct stage {
    struct harness h;
    const struct contender *who;
    bool is_isolated;
};

/* The file of a role, made when first asked for; good until the next call. */
static const char *file_of(struct stage *g, enum role role)
{
    static char name[64];
    snprintf(name, sizeof name, "%s.%s", role_names[role], g->who->ending);
    if (g->who->write[role])
        g->who->write[role](harness_path(&g->h, name));
    else
        write_script(&g->h, name, role);
    return name;
}

/* Tries to open a file, and returns the code. */
static int32_t try_open(struct stage *g, const char *name, const volatile int32_t *cancel)
{
    struct subject *s;
    return subject_try_open(&g->h, name, (struct troupe_model_desc){ .cancel = cancel }, &s).code;
}

static struct subject *open_role(struct stage *g, enum role role)
{
    return subject_open(&g->h, file_of(g, role));
}

static float six[6] = { 1, -2, 3.5f, 0, 1e30f, -0.25f };

static void send_six(struct subject *s)
{
    subject_send(s, 0, TROUPE_FP32, six, sizeof six, 2, DIMS(2, 3));
}

/* Every backend but `null` answers what was sent. */
static void expect(const struct stage *g, const struct troupe_tensor *t, const void *sent,
                   uint64_t bytes)
{
    assert_int_equal(t->bytes, bytes);
    assert_non_null(t->data);
    for (uint64_t i = 0; g->who->is_null && i < bytes; i++)
        assert_int_equal(((const char *)t->data)[i], 0);
    if (!g->who->is_null)
        assert_memory_equal(t->data, sent, bytes);
}

/* --- what they must do ------------------------------------------------------------------------ */

static void tells_what_a_model_takes_and_gives(void **state)
{
    struct stage *g = *state;
    struct subject *s = open_role(g, PLAIN);
    assert_int_equal(s->signature.inputs_n, 1);
    assert_int_equal(s->signature.outputs_n, 1);
    assert_true(trp_str_is(s->signature.inputs[0].name, "x"));
    assert_true(trp_str_is(s->signature.outputs[0].name, "y"));
    assert_int_equal(s->signature.inputs[0].dtype, TROUPE_FP32);
    assert_int_equal(s->signature.inputs[0].rank, 2);
    assert_int_equal(s->signature.inputs[0].dims[0], -1);
    assert_int_equal(s->signature.inputs[0].dims[1], 3);
    assert_false(s->signature.inputs[0].any_rank);
    assert_true(trp_str_is(s->signature.platform, g->who->platform));
    subject_close(s);
}

static void probing_tells_the_same_as_opening(void **state)
{
    struct stage *g = *state;
    struct trp_arena arena;
    struct trp_signature signature;
    uint32_t capabilities = 0;
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    const struct troupe_model_desc desc = { .path = harness_path(&g->h, file_of(g, OPTIONAL)) };
    assert_int_equal(
        trp_backend_probe(g->h.backend, &desc, &arena, &signature, &capabilities, &g->h.err).code,
        TRP_OK);
    assert_int_equal(signature.inputs_n, 2);
    assert_false(signature.inputs[0].optional);
    assert_true(signature.inputs[1].optional);
    assert_true(trp_str_is(signature.inputs[1].name, "w"));
    assert_true(capabilities & TROUPE_CAN_CONCURRENT);
    trp_arena_deinit(&arena);
}

static void answers(void **state)
{
    struct stage *g = *state;
    struct subject *s = open_role(g, PLAIN);
    for (int i = 0; i < 3; i++) {
        send_six(s);
        assert_int_equal(subject_run(s).code, TRP_OK);
        assert_int_equal(s->out[0].dtype, TROUPE_FP32);
        assert_int_equal(s->out[0].rank, 2);
        assert_int_equal(s->out[0].shape[0], 2);
        assert_int_equal(s->out[0].shape[1], 3);
        expect(g, &s->out[0], six, sizeof six);
        subject_release(s);
    }
    subject_close(s);
}

static void answers_a_batch_of_no_rows(void **state)
{
    struct stage *g = *state;
    struct subject *s = open_role(g, PLAIN);
    subject_send(s, 0, TROUPE_FP32, six, 0, 2, DIMS(0, 3));
    assert_int_equal(subject_run(s).code, TRP_OK);
    assert_int_equal(s->out[0].shape[0], 0);
    assert_int_equal(s->out[0].bytes, 0);
    assert_non_null(s->out[0].data); /* empty, not absent */
    subject_release(s);
    subject_close(s);
}

static void answers_a_scalar(void **state)
{
    struct stage *g = *state;
    const int64_t value = INT64_MIN + 7;
    struct subject *s = open_role(g, SCALAR);
    assert_int_equal(s->signature.inputs[0].rank, 0);
    assert_false(s->signature.inputs[0].any_rank);
    subject_send(s, 0, TROUPE_INT64, &value, sizeof value, 0, DIMS(0));
    assert_int_equal(subject_run(s).code, TRP_OK);
    assert_int_equal(s->out[0].rank, 0);
    expect(g, &s->out[0], &value, sizeof value);
    subject_release(s);
    subject_close(s);
}

static void carries_every_type(void **state)
{
    struct stage *g = *state;
    static const char strings[] = "\x03\0\0\0abc\0\0\0\0\x02\0\0\0\0x"; /* "abc", "", "\0x" */
    static const uint64_t numbers[3] = { 1, 0, 1 };
    struct subject *s = open_role(g, ALL_TYPES);
    for (uint32_t i = 0; i < TYPES; i++) {
        const uint32_t width = trp_dtype_bytes(types[i].dtype);
        assert_int_equal(s->signature.inputs[i].dtype, types[i].dtype);
        if (width)
            subject_send(s, i, types[i].dtype, numbers, 3 * width, 1, DIMS(3));
        else
            subject_send(s, i, types[i].dtype, strings, 17, 1, DIMS(3));
    }
    assert_int_equal(subject_run(s).code, TRP_OK);
    for (uint32_t i = 0; i < TYPES; i++) {
        const uint32_t width = trp_dtype_bytes(types[i].dtype);
        print_message("%s\n", trp_dtype_name(types[i].dtype));
        assert_int_equal(s->out[i].dtype, types[i].dtype);
        assert_int_equal(s->out[i].shape[0], 3);
        if (width)
            expect(g, &s->out[i], numbers, 3 * width);
        else if (!g->who->is_null)
            expect(g, &s->out[i], strings, 17);
        else
            assert_int_equal(s->out[i].bytes, 12); /* three empty ones */
    }
    subject_release(s);
    subject_close(s);
}

static void takes_more_tensors_than_fit_the_stack(void **state)
{
    struct stage *g = *state;
    float values[WIDE];
    struct subject *s = open_role(g, WIDER);
    for (uint32_t i = 0; i < WIDE; i++) {
        values[i] = (float)i + 1;
        subject_send(s, i, TROUPE_FP32, &values[i], sizeof values[i], 1, DIMS(1));
    }
    assert_int_equal(subject_run(s).code, TRP_OK);
    for (uint32_t i = 0; i < WIDE; i++)
        expect(g, &s->out[i], &values[i], sizeof values[i]);
    subject_release(s);
    subject_close(s);
}

static void gives_the_outputs_that_are_asked_for_in_that_order(void **state)
{
    struct stage *g = *state;
    float values[WIDE];
    struct subject *s = open_role(g, WIDER);
    for (uint32_t i = 0; i < WIDE; i++) {
        values[i] = (float)i + 1;
        subject_send(s, i, TROUPE_FP32, &values[i], sizeof values[i], 1, DIMS(1));
    }
    s->run.outputs_n = 2;
    s->wanted[0] = 7;
    s->wanted[1] = 3;
    assert_int_equal(subject_run(s).code, TRP_OK);
    expect(g, &s->out[0], &values[7], sizeof values[7]);
    expect(g, &s->out[1], &values[3], sizeof values[3]);
    subject_release(s);
    subject_close(s);
}

static void fills_memory_that_is_given_where_it_fits(void **state)
{
    static const enum role roles[] = { PLAIN, FIXED };
    struct stage *g = *state;
    for (size_t r = 0; r < ARRAY_LEN(roles); r++) {
        _Alignas(64) float given[16];
        struct subject *s = open_role(g, roles[r]);
        for (size_t room = 0; room <= sizeof given; room += 4) {
            memset(given, 0x7f, sizeof given);
            send_six(s);
            s->out[0].data = given;
            s->out[0].bytes = room;
            assert_int_equal(subject_run(s).code, TRP_OK);
            assert_true((s->out[0].data == given) == (room >= sizeof six));
            expect(g, &s->out[0], six, sizeof six);
            for (size_t i = room < 24 ? 0 : 24; i < sizeof given; i++) /* nothing beyond */
                assert_int_equal(((unsigned char *)given)[i], 0x7f);
            subject_release(s);
        }
        subject_close(s);
    }
}

static void fills_memory_that_is_badly_aligned(void **state)
{
    struct stage *g = *state;
    _Alignas(64) char given[64];
    struct subject *s = open_role(g, FIXED);
    send_six(s);
    s->out[0].data = given + 4;
    s->out[0].bytes = sizeof six;
    assert_int_equal(subject_run(s).code, TRP_OK);
    assert_ptr_equal(s->out[0].data, given + 4);
    expect(g, &s->out[0], six, sizeof six);
    subject_close(s);
}

static void lets_an_optional_input_be_absent(void **state)
{
    struct stage *g = *state;
    const int64_t x[2] = { 5, -5 }, w = 100;
    struct subject *s = open_role(g, OPTIONAL);
    subject_send(s, 0, TROUPE_INT64, x, sizeof x, 1, DIMS(2));
    s->in[1] = (struct troupe_tensor){ 0 };
    assert_int_equal(subject_run(s).code, TRP_OK);
    const int64_t *y = s->out[0].data;
    assert_int_equal(y[0], g->who->is_null ? 0 : g->who->is_echo ? 5 : 15);
    subject_release(s);
    subject_send(s, 1, TROUPE_INT64, &w, sizeof w, 1, DIMS(1));
    assert_int_equal(subject_run(s).code, TRP_OK);
    y = s->out[0].data;
    assert_int_equal(y[1], g->who->is_null ? 0 : g->who->is_echo ? -5 : 95);
    subject_release(s);
    subject_close(s);
}

static void a_failing_run_says_why_and_leaves_the_model_usable(void **state)
{
    struct stage *g = *state;
    struct subject *s = open_role(g, FAILING);
    for (int i = 0; i < 3; i++) {
        send_six(s);
        const trp_status st = subject_run(s);
        assert_true(st.code == TRP_BACKEND_FAILED || st.code == TRP_INVALID_ARGUMENT);
        assert_true(strlen(g->h.err.text) > 10);
        assert_null(strstr(g->h.err.text, "/onnxruntime"));
        assert_null(s->out[0].data);
        assert_null(s->out[0].release);
    }
    subject_close(s);
}

static void an_output_above_the_limit_is_refused(void **state)
{
    struct stage *g = *state;
    struct subject *s = open_role(g, GROWING);
    send_six(s);
    s->run.output_bytes_max = 24000;
    assert_int_equal(subject_run(s).code, TRP_OK);
    assert_int_equal(s->out[0].shape[0], 2000);
    subject_release(s);
    s->run.output_bytes_max = 23999;
    assert_int_equal(subject_run(s).code, TRP_TOO_LARGE);
    assert_null(s->out[0].data);
    subject_close(s);
}

static void a_broken_or_missing_file_is_refused_with_words(void **state)
{
    static const struct row {
        const char *text;
        const char *file;
    } rows[] = { { "\x08\x08\x12\x06zzz", "cut" },
                 { "<!DOCTYPE html>", "page" },
                 { "\xff\xff\xff", "noise" } };
    struct stage *g = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.%s", rows[i].file, g->who->ending);
        harness_write(&g->h, name, rows[i].text);
        assert_int_equal(try_open(g, name, NULL), TRP_INVALID_ARGUMENT);
        assert_true(strlen(g->h.err.text) > 10);
    }
    assert_int_equal(try_open(g, "absent", NULL), TRP_NOT_FOUND);
    assert_non_null(strstr(g->h.err.text, "absent"));
}

static void a_raised_flag_stops_a_run_before_it_begins(void **state)
{
    struct stage *g = *state;
    const int32_t raised = 1;
    struct subject *s = open_role(g, ENDLESS);
    send_six(s);
    s->run.cancel = &raised;
    assert_int_equal(subject_run(s).code, TRP_CANCELLED);
    assert_null(s->out[0].data);
    subject_close(s);
}

static void a_raised_flag_stops_a_load(void **state)
{
    struct stage *g = *state;
    const int32_t raised = 1;
    assert_int_equal(try_open(g, file_of(g, PLAIN), &raised), TRP_CANCELLED);
}

/* Cancels as exec does: raises the flag, then asks for the run. */
struct canceller {
    struct subject *s;
    struct trp_flag flag;
    int64_t wait_ns;
};
static void cancel_soon(void *user)
{
    struct canceller *c = user;
    usleep((useconds_t)(c->wait_ns / 1000));
    trp_flag_raise(&c->flag);
    trp_backend_cancel(c->s->model, c->s->run.id);
}

static void cancelling_stops_a_run_and_only_that(void **state)
{
    struct stage *g = *state;
    struct subject *endless = open_role(g, ENDLESS);
    for (int i = 0; i < 4; i++) { /* the last ones race with the start of the run */
        struct canceller c = { .s = endless, .wait_ns = i < 2 ? TRP_MS(20) : 0 };
        struct trp_thread thread;
        send_six(endless);
        endless->run.id = (uint64_t)i + 100;
        endless->run.cancel = trp_flag_word(&c.flag);
        assert_int_equal(trp_thread_start(&thread, "canceller", cancel_soon, &c, NULL).code,
                         TRP_OK);
        const int64_t before_ns = trp_clock_now_ns(trp_clock_system());
        const trp_status st = subject_run(endless);
        const int64_t took_ns = trp_clock_now_ns(trp_clock_system()) - before_ns;
        trp_thread_join(&thread);
        assert_int_equal(st.code, TRP_CANCELLED);
        assert_true(took_ns < TRP_S(10));
    }
    trp_backend_cancel(endless->model, 4711); /* nobody's run: nothing happens */
    subject_close(endless);

    struct subject *plain = open_role(g, PLAIN);
    trp_backend_cancel(plain->model, 1);
    send_six(plain);
    assert_int_equal(subject_run(plain).code, TRP_OK); /* an earlier cancel is no cancel */
    subject_close(plain);
}

/* Runs the same model from many threads, and checks that answers are not mixed up. */
struct runner {
    struct stage *g;
    struct trp_backend_model *model;
    float value;
    int wrong;
};
static void run_often(void *user)
{
    struct runner *r = user;
    const uint32_t wanted[1] = { 0 };
    float values[3] = { r->value, r->value, r->value };
    struct troupe_tensor in = {
        .dtype = TROUPE_FP32, .rank = 2, .shape = { 1, 3 }, .data = values, .bytes = sizeof values
    };
    for (uint64_t i = 0; i < 500; i++) {
        struct troupe_tensor out = { 0 };
        struct troupe_run run = { .inputs_n = 1,
                                  .outputs_n = 1,
                                  .id = (uint64_t)r->value * 1000 + i,
                                  .account = &r->g->h.account.plugin,
                                  .output_index = wanted };
        if (trp_failed(trp_backend_run(r->model, &run, &in, &out, NULL))) {
            r->wrong++;
            continue;
        }
        const float want = r->g->who->is_null ? 0 : r->value;
        r->wrong += out.bytes != sizeof values || ((float *)out.data)[2] != want;
        if (out.release)
            out.release(out.release_user, out.data);
    }
}

static void runs_on_many_threads_at_once(void **state)
{
    struct stage *g = *state;
    struct subject *s = open_role(g, PLAIN);
    struct runner runners[4];
    struct trp_thread threads[4];
    int not_started = 0;
    for (size_t i = 0; i < ARRAY_LEN(runners); i++) {
        runners[i] = (struct runner){ g, s->model, (float)i + 1, 0 };
        not_started +=
            trp_failed(trp_thread_start(&threads[i], "runner", run_often, &runners[i], NULL));
    }
    for (size_t i = 0; i < ARRAY_LEN(runners); i++)
        trp_thread_join(&threads[i]);
    assert_int_equal(not_started, 0);
    for (size_t i = 0; i < ARRAY_LEN(runners); i++)
        assert_int_equal(runners[i].wrong, 0);
    subject_close(s);
}

static void outputs_may_be_released_later_and_elsewhere(void **state)
{
    struct stage *g = *state;
    struct subject *a = open_role(g, PLAIN), *b = open_role(g, PLAIN); /* the same file twice */
    send_six(a);
    send_six(b);
    assert_int_equal(subject_run(a).code, TRP_OK);
    assert_int_equal(subject_run(b).code, TRP_OK);
    trp_backend_close(a->model); /* an output outlives its model */
    a->model = NULL;
    expect(g, &a->out[0], six, sizeof six);
    subject_close(b);
    subject_close(a);
}

static void opens_and_closes_again_and_again(void **state)
{
    struct stage *g = *state;
    for (int i = 0; i < 50; i++) {
        struct troupe_memory memory;
        struct subject *s = open_role(g, PLAIN);
        (void)trp_backend_memory(s->model, &memory);
        subject_close(s);
    }
    trp_backend_trim(g->h.backends);
}

/* Group fixtures get a state of their own, so the stage is found by name. */
static struct stage stage;

/* Each of them, and the CPU; one that has none is not asked for any. */
static void runs_on_each_device_that_it_tells(void **state)
{
    struct stage *g = *state;
    struct troupe_device_id on[TROUPE_DEVICES_MAX + 1] = { { 0 } };
    struct trp_device_list there;
    struct trp_arena arena;
    struct subject *s;
    uint32_t n = 0;
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    const trp_status told = trp_backend_devices(g->h.backend, &arena, &there, &g->h.err);
    for (uint32_t i = 0; !trp_failed(told) && i < there.n; i++)
        on[n++] = there.all[i].id;
    trp_arena_deinit(&arena);
    assert_int_equal(told.code, TRP_OK);
    if (g->who->is_echo)
        assert_int_equal(n, 2); /* harness.c */
    if (n == 0)
        return;
    on[n++].kind = TROUPE_DEVICE_CPU;
    const struct troupe_model_desc desc = { .devices = on, .devices_n = n };
    assert_int_equal(subject_try_open(&g->h, file_of(g, PLAIN), desc, &s).code, TRP_OK);
    for (s->run.device = 0; s->run.device < n; s->run.device++) {
        send_six(s);
        assert_int_equal(subject_run(s).code, TRP_OK);
        expect(g, &s->out[0], six, sizeof six);
        subject_release(s);
    }
}

static int set_up(void **state)
{
    (void)state;
    if (stage.is_isolated)
        harness_set_up_isolated(&stage.h, stage.who->name);
    else
        harness_set_up(&stage.h, stage.who->name);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    harness_tear_down(&stage.h);
    return 0;
}

static int close_what_is_open(void **state)
{
    struct stage *g = *state;
    harness_close_all(&g->h);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "worker") == 0)
        return trp_worker_main_run(TRP_WORKER_FD);
    stage.is_isolated = argc == 3 && strcmp(argv[2], "isolated") == 0;
    for (size_t i = 0; (argc == 2 || stage.is_isolated) && i < ARRAY_LEN(contenders); i++)
        if (strcmp(argv[1], contenders[i].name) == 0)
            stage.who = &contenders[i];
    if (!stage.who) {
        fprintf(stderr, "usage: backend_conformance null|echo|onnxruntime [isolated]\n");
        return 2;
    }
#define TEST(name)                                    \
    {                                                 \
#name, name, NULL, close_what_is_open, &stage \
    }
    const struct CMUnitTest tests[] = {
        TEST(tells_what_a_model_takes_and_gives),
        TEST(probing_tells_the_same_as_opening),
        TEST(answers),
        TEST(answers_a_batch_of_no_rows),
        TEST(answers_a_scalar),
        TEST(carries_every_type),
        TEST(takes_more_tensors_than_fit_the_stack),
        TEST(gives_the_outputs_that_are_asked_for_in_that_order),
        TEST(fills_memory_that_is_given_where_it_fits),
        TEST(fills_memory_that_is_badly_aligned),
        TEST(lets_an_optional_input_be_absent),
        TEST(a_failing_run_says_why_and_leaves_the_model_usable),
        TEST(an_output_above_the_limit_is_refused),
        TEST(a_broken_or_missing_file_is_refused_with_words),
        TEST(a_raised_flag_stops_a_run_before_it_begins),
        TEST(a_raised_flag_stops_a_load),
        TEST(cancelling_stops_a_run_and_only_that),
        TEST(runs_on_many_threads_at_once),
        TEST(outputs_may_be_released_later_and_elsewhere),
        TEST(opens_and_closes_again_and_again),
        TEST(runs_on_each_device_that_it_tells),
    };
    return cmocka_run_group_tests_name(stage.who->name, tests, set_up, tear_down);
}
