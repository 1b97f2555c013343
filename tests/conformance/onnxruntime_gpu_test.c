/* tests/conformance/onnxruntime_gpu_test.c - models on GPUs.
 *
 *     onnxruntime_gpu_test         on a machine that pretends to have two (fake_cuda.h): who is asked, with what, and what is
 *                                  said where one of the three things that are needed is missing
 *     onnxruntime_gpu_test real    on the GPUs that are there, with TROUPE_ONNXRUNTIME a build for them; skipped (77) without */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/device_list.h"
#include "base/thread.h"
#include "fake_cuda.h"
#include "onnxruntime_fixture.h"

#define SKIPPED 77
#define FAKE TRP_FAKE_CUDA "/libonnxruntime.so"
#define BROKEN TRP_FAKE_CUDA "_broken/libonnxruntime.so"
#define REAL TRP_SOURCE "/.deps/onnxruntime/libonnxruntime.so"

#define ACCELERATOR "gpu_execution_accelerator" /* a configuration's */
#define ROWS 5
#define SIDE 8 /* of a picture */
#define CLASSES 3

static const struct troupe_device_id gpu0 = { .kind = TROUPE_DEVICE_GPU };
static const struct troupe_device_id both[] = { { .kind = TROUPE_DEVICE_GPU, .ordinal = 1 },
                                                { .kind = TROUPE_DEVICE_CPU },
                                                { .kind = TROUPE_DEVICE_GPU, .ordinal = 0 } };

/* --- the machine ------------------------------------------------------------------------------ */

static void start_with(const char *library, const char *gpus, const char *broken)
{
    setenv("TROUPE_ONNXRUNTIME", library, 1);
    if (gpus)
        setenv("TRP_FAKE_GPUS", gpus, 1);
    if (broken)
        setenv("TRP_FAKE_BROKEN", broken, 1);
    harness_set_up(&h, "onnxruntime");
}

static int start_fake(void **state)
{
    (void)state;
    start_with(FAKE, "2", NULL);
    return 0;
}

static int stop(void **state)
{
    unsetenv("TRP_FAKE_GPUS");
    unsetenv("TRP_FAKE_BROKEN");
    return close_onnxruntime(state);
}

static const struct fake_cuda *look(void)
{
    fake_cuda_look_fn fn;
    void *handle = dlopen(FAKE, RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(handle);
    *(void **)&fn = dlsym(handle, "fake_cuda_look");
    assert_non_null(fn);
    dlclose(handle);
    return fn();
}

static void expect_none(const char *why)
{
    struct trp_arena arena;
    struct trp_device_list there;
    struct subject *s;
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    assert_int_equal(trp_backend_devices(h.backend, &arena, &there, &h.err).code, TRP_OK);
    assert_int_equal(there.n, 0);
    trp_arena_deinit(&arena);
    const char *told = trp_backend_why_no_device(h.backend);
    if (!strstr(told, why))
        fail_msg("'%s' is not in '%s'", why, told);
    harness_write(&h, "any.onnx", "it is not looked at");
    const struct troupe_model_desc desc = { .devices = &gpu0, .devices_n = 1 };
    assert_int_equal(subject_try_open(&h, "any.onnx", desc, &s).code, TRP_FAILED_PRECONDITION);
    assert_non_null(strstr(h.err.text, "there is no GPU 0: "));
    assert_non_null(strstr(h.err.text, why));
}

/* --- a model ---------------------------------------------------------------------------------- */

static float kernel[4 * 9], weights[4 * SIDE * SIDE * CLASSES], picture[ROWS * SIDE * SIDE];

static void fill(float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = (float)((i * 37) % 101) / 101 - 0.5f;
}

/* picture [-1,1,8,8] -> Conv, Relu, Reshape, MatMul -> scores [-1,3] */
static void write_net(const char *name)
{
    static const int64_t flat[2] = { -1, 4 * SIDE * SIDE };
    struct onnx g = { 0 }, conv = onnx_node("Conv", "", "picture kernel", "a");
    fill(kernel, ARRAY_LEN(kernel));
    fill(weights, ARRAY_LEN(weights));
    fill(picture, ARRAY_LEN(picture));
    onnx_attr_ints(&conv, "pads", (const int64_t[]){ 1, 1, 1, 1 }, 4);
    onnx_part(&g, 1, &conv);
    onnx_simple(&g, "Relu", "a", "b");
    onnx_simple(&g, "Reshape", "b flat", "c");
    onnx_simple(&g, "MatMul", "c weights", "scores");
    onnx_initializer(&g, "kernel", ONNX_FLOAT, 4, DIMS(4, 1, 3, 3), kernel, sizeof kernel);
    onnx_initializer(&g, "flat", ONNX_INT64, 1, DIMS(2), flat, sizeof flat);
    onnx_initializer(&g, "weights", ONNX_FLOAT, 2, DIMS(4 * SIDE * SIDE, CLASSES), weights,
                     sizeof weights);
    onnx_input(&g, "picture", ONNX_FLOAT, 4, DIMS(-1, 1, SIDE, SIDE));
    onnx_output(&g, "scores", ONNX_FLOAT, 2, DIMS(-1, CLASSES));
    onnx_save(&g, harness_path(&h, name));
}

static struct subject *open_net(struct troupe_model_desc desc)
{
    struct subject *s;
    write_net("net.onnx");
    if (trp_failed(subject_try_open(&h, "net.onnx", desc, &s)))
        fail_msg("%s", h.err.text);
    return s;
}

static void send_pictures(struct subject *s, int64_t rows)
{
    subject_send(s, 0, TROUPE_FP32, picture, (uint64_t)rows * SIDE * SIDE * 4, 4,
                 DIMS(rows, 1, SIDE, SIDE));
}

/* What the CPU says. */
static void run_on_cpu(float out[ROWS * CLASSES])
{
    struct subject *s = open_net((struct troupe_model_desc){ 0 });
    send_pictures(s, ROWS);
    assert_int_equal(subject_run(s).code, TRP_OK);
    assert_int_equal(s->out[0].bytes, ROWS * CLASSES * sizeof(float));
    memcpy(out, s->out[0].data, ROWS * CLASSES * sizeof(float));
    subject_close(s);
}

static void expect_scores(const struct troupe_tensor *t, const float expected[ROWS * CLASSES])
{
    const float *got = t->data;
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->shape[0], ROWS);
    assert_int_equal(t->shape[1], CLASSES);
    for (size_t i = 0; i < ROWS * CLASSES; i++)
        if (!(fabsf(got[i] - expected[i]) <= 1e-4f))
            fail_msg("score %zu is %g, not %g", i, (double)got[i], (double)expected[i]);
}

/* --- what is missing -------------------------------------------------------------------------- */

static void a_library_without_its_provider_has_no_gpu(void **state)
{
    (void)state;
    start_with(REAL, NULL, NULL);
    expect_none("libonnxruntime_providers_cuda.so is not beside ONNX Runtime ");
}

static void a_driver_without_a_gpu_is_told_from_one_that_fails(void **state)
{
    (void)state;
    start_with(FAKE, "0", NULL);
    expect_none("the NVIDIA driver shows no GPU");
    harness_tear_down(&h);
    start_with(FAKE, "-1", NULL);
    expect_none("the NVIDIA driver answers with error 999");
}

static void a_provider_that_cannot_be_opened_is_told_in_the_linkers_words(void **state)
{
    (void)state;
    start_with(BROKEN, "2", "1");
    expect_none("libonnxruntime_providers_cuda.so cannot be used: libtrp_not_there.so: cannot open "
                "shared object file");
    harness_tear_down(&h);
    start_with(FAKE, "2", "1"); /* the linker has nothing to say */
    expect_none("cannot be used: OrtSessionOptionsAppendExecutionProvider_Cuda: Failed to load");
}

/* --- two that are not there ------------------------------------------------------------------- */

static void gpus_are_told_with_their_names(void **state)
{
    (void)state;
    struct trp_arena arena;
    struct trp_device_list there;
    struct trp_told_device told[4];
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    assert_int_equal(trp_backend_devices(h.backend, &arena, &there, &h.err).code, TRP_OK);
    assert_int_equal(there.n, 2);
    for (uint32_t i = 0; i < there.n; i++) {
        assert_int_equal(there.all[i].id.kind, TROUPE_DEVICE_GPU);
        assert_int_equal(there.all[i].id.ordinal, i);
        assert_string_equal(there.all[i].name, i ? "Fake GPU B" : "Fake GPU A");
        assert_int_equal(there.all[i].memory_bytes, (uint64_t)(8 + i) << 30);
    }
    assert_int_equal(trp_backends_told_devices(h.backends, told, ARRAY_LEN(told)), 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_string_equal(told[i].backend, "onnxruntime");
        assert_int_equal(told[i].id.ordinal, i);
        assert_int_equal(told[i].memory_bytes, there.all[i].memory_bytes);
    }
    assert_string_equal(trp_backend_why_no_device(h.backend), "");
    trp_arena_deinit(&arena);
}

static void a_run_is_made_by_the_session_of_its_device(void **state)
{
    (void)state;
    float expected[ROWS * CLASSES];
    const struct fake_cuda before = *look();
    run_on_cpu(expected);
    struct subject *s = open_net((struct troupe_model_desc){ .devices = both, .devices_n = 3 });
    assert_int_equal(look()->sessions[0], 1);
    assert_int_equal(look()->sessions[1], 1);
    static const uint32_t places[] = { 0, 1, 2, 0, 0 };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        s->run.device = places[i];
        send_pictures(s, ROWS);
        assert_int_equal(subject_run(s).code, TRP_OK);
        expect_scores(&s->out[0], expected);
        subject_release(s);
    }
    assert_int_equal(look()->runs[1] - before.runs[1], 3);
    assert_int_equal(look()->runs[0] - before.runs[0], 1);
    subject_close(s);
    assert_int_equal(look()->sessions[0] + look()->sessions[1], 0);
}

static void say_nothing(void *user, int32_t level, const char *category, const char *text)
{
    (void)user, (void)level, (void)category, (void)text;
}
static int64_t no_time(void *user)
{
    (void)user;
    return 0;
}
static void take_no_io(void *user, const struct troupe_io *io)
{
    (void)user, (void)io;
}
static void take_no_name(void *user, const char *name)
{
    (void)user, (void)name;
}

/* The server never asks for it, and in this build asserts that: so the plugin is asked directly. */
static void a_run_for_a_device_that_the_model_has_not_is_refused(void **state)
{
    (void)state;
    static const struct troupe_host host = { TROUPE_BACKEND_ABI, sizeof host, NULL,
                                             say_nothing,        no_time,     NULL };
    const struct troupe_sink sink = { sizeof sink, NULL, take_no_io, take_no_io, take_no_name };
    const struct troupe_backend *(*query)(uint32_t);
    struct troupe_error words = { 0 };
    struct troupe_tensor in, out = { 0 };
    uint32_t capabilities;
    void *self, *model;
    struct subject *s = open_net((struct troupe_model_desc){ .devices = both, .devices_n = 3 });
    send_pictures(s, ROWS);
    in = s->in[0];
    void *library = dlopen(TRP_PLUGINS "/troupe_backend_onnxruntime.so", RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(library);
    *(void **)&query = dlsym(library, "troupe_backend_query");
    const struct troupe_backend *api = query(TROUPE_BACKEND_ABI);
    assert_int_equal(api->start(&host, NULL, 0, &self, &words), TROUPE_OK);
    for (uint32_t devices_n = 0; devices_n <= 3; devices_n += 3) {
        const struct troupe_model_desc desc = { .struct_size = sizeof desc,
                                                .name = "net",
                                                .path = harness_path(&h, "net.onnx"),
                                                .devices = both,
                                                .devices_n = devices_n };
        assert_int_equal(api->open(self, &desc, &sink, &model, &capabilities, &words), TROUPE_OK);
        struct troupe_run run = s->run;
        run.struct_size = sizeof run;
        run.error = &words;
        run.device = devices_n ? devices_n : 1;
        assert_int_equal(api->run(model, &run, &in, &out), TROUPE_INVALID_ARGUMENT);
        assert_string_equal(words.text,
                            devices_n ? "the model has no device 3" : "the model has no device 1");
        assert_null(out.data);
        run.struct_size = offsetof(struct troupe_run, device); /* of a host that knows of none */
        assert_int_equal(api->run(model, &run, &in, &out), TROUPE_OK);
        out.release(out.release_user, out.data);
        out = (struct troupe_tensor){ 0 };
        api->close(model);
    }
    api->stop(self);
    dlclose(library);
    subject_close(s);
}

static void weights_on_gpus_are_not_counted_as_the_machines(void **state)
{
    (void)state;
    struct troupe_memory memory = { .struct_size = sizeof memory };
    struct subject *s = open_net((struct troupe_model_desc){ .devices = &gpu0, .devices_n = 1 });
    assert_true(trp_backend_memory(s->model, &memory));
    assert_int_equal(memory.weights_bytes, 0);
    subject_close(s);
    s = open_net((struct troupe_model_desc){ .devices = both, .devices_n = 3 });
    assert_true(trp_backend_memory(s->model, &memory));
    assert_in_range(memory.weights_bytes, sizeof weights, 2 * sizeof weights);
    subject_close(s);
}

static void a_gpu_that_is_not_there_is_named(void **state)
{
    (void)state;
    static const struct troupe_device_id seventh[] = {
        { .kind = TROUPE_DEVICE_GPU }, { .kind = TROUPE_DEVICE_GPU, .ordinal = 7 }
    };
    struct subject *s;
    write_net("net.onnx");
    const struct troupe_model_desc desc = { .devices = seventh, .devices_n = 2 };
    assert_int_equal(subject_try_open(&h, "net.onnx", desc, &s).code, TRP_FAILED_PRECONDITION);
    assert_non_null(strstr(h.err.text, "there is no GPU 7"));
    assert_int_equal(look()->sessions[0], 0); /* what was open is closed */
}

static void what_an_owner_writes_reaches_cuda(void **state)
{
    (void)state;
    static const struct row {
        struct troupe_option options[2];
        const char *expected; /* of the session's options; or of the words of a refusal */
        bool is_refused;
    } rows[] = {
        { { { "a", "b" }, { "c", "d" } },
          "device_id=0 arena_extend_strategy=kSameAsRequested cudnn_conv_algo_search=HEURISTIC",
          false },
        { { { "cudnn_conv_algo_search", "0" }, { "arena_extend_strategy", "0" } },
          "device_id=0 arena_extend_strategy=kNextPowerOfTwo cudnn_conv_algo_search=EXHAUSTIVE",
          false },
        { { { "gpu_mem_limit", "1000000" }, { "use_tf32", "not the older form" } },
          "cudnn_conv_algo_search=HEURISTIC gpu_mem_limit=1000000",
          false },
        { { { ACCELERATOR ".cuda.use_tf32", "0" },
            { ACCELERATOR ".cuda.cudnn_conv_algo_search", "DEFAULT" } },
          "cudnn_conv_algo_search=DEFAULT use_tf32=0",
          false },
        { { { ACCELERATOR, "tensorrt" }, { ACCELERATOR ".tensorrt.precision_mode", "FP16" } },
          "cudnn_conv_algo_search=HEURISTIC",
          false },
        { { { "cuda.anything", "a model's own" }, { "a", "b" } },
          "cudnn_conv_algo_search=HEURISTIC",
          false },
        { { { ACCELERATOR ".cuda.gpu_mem_limit", "much" }, { "a", "b" } },
          "Failed to parse",
          true },
        { { { ACCELERATOR ".cuda.user_compute_stream", "1234" }, { "a", "b" } },
          "'user_compute_stream' is no parameter of the accelerator \"cuda\" that can be set",
          true },
        { { { ACCELERATOR ".cuda.device_id", "1" }, { "a", "b" } },
          "'device_id' is no parameter",
          true },
    };
    write_net("net.onnx");
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct subject *s;
        const struct troupe_model_desc desc = {
            .devices = &gpu0, .devices_n = 1, .options = r->options, .options_n = 2
        };
        const trp_status st = subject_try_open(&h, "net.onnx", desc, &s);
        assert_int_equal(st.code, r->is_refused ? TRP_INVALID_ARGUMENT : TRP_OK);
        const char *seen = r->is_refused ? h.err.text : look()->options;
        if (!strstr(seen, r->expected))
            fail_msg("'%s' is not in '%s'", r->expected, seen);
        if (!r->is_refused)
            subject_close(s);
    }
}

/* --- those that are there --------------------------------------------------------------------- */

static const struct troupe_option exact[] = { { ACCELERATOR ".cuda.use_tf32", "0" } };

static struct troupe_model_desc on_gpu(void)
{
    return (struct troupe_model_desc){
        .devices = &gpu0, .devices_n = 1, .options = exact, .options_n = 1
    };
}

static void a_gpu_answers_what_the_cpu_does(void **state)
{
    (void)state;
    float expected[ROWS * CLASSES], given[ROWS * CLASSES];
    run_on_cpu(expected);
    struct subject *s = open_net(on_gpu());
    send_pictures(s, ROWS);
    assert_int_equal(subject_run(s).code, TRP_OK);
    expect_scores(&s->out[0], expected);
    subject_release(s);
    s->out[0] = (struct troupe_tensor){ .data = given, .bytes = sizeof given };
    assert_int_equal(subject_run(s).code, TRP_OK);
    assert_ptr_equal(s->out[0].data, given);
    expect_scores(&s->out[0], expected);
    subject_release(s);
    send_pictures(s, 0);
    assert_int_equal(subject_run(s).code, TRP_OK);
    assert_int_equal(s->out[0].shape[0], 0);
    subject_close(s);
}

#define THREADS 8
#define RUNS_EACH 200

struct crowd {
    struct subject *s;
    const float *expected;
    struct trp_counter wrong;
};

static void run_many(void *user)
{
    struct crowd *c = user;
    for (uint64_t i = 0; i < RUNS_EACH; i++) {
        struct troupe_run run = c->s->run;
        struct troupe_tensor out = { 0 };
        struct trp_error err;
        run.id = 1 + (uint64_t)(uintptr_t)&run + i;
        if (trp_failed(trp_backend_run(c->s->model, &run, c->s->in, &out, &err))) {
            trp_counter_add(&c->wrong, 1);
            continue;
        }
        for (size_t k = 0; k < ROWS * CLASSES; k++)
            if (!(fabsf(((float *)out.data)[k] - c->expected[k]) <= 1e-4f))
                trp_counter_add(&c->wrong, 1);
        out.release(out.release_user, out.data);
    }
}

static void many_threads_share_a_gpu(void **state)
{
    (void)state;
    float expected[ROWS * CLASSES];
    struct trp_thread threads[THREADS];
    run_on_cpu(expected);
    struct crowd c = { .s = open_net(on_gpu()), .expected = expected };
    send_pictures(c.s, ROWS);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(trp_thread_start(&threads[i], "crowd", run_many, &c, &h.err).code, TRP_OK);
    for (size_t i = 0; i < THREADS; i++)
        trp_thread_join(&threads[i]);
    assert_int_equal(trp_counter_get(&c.wrong), 0);
    subject_close(c.s);
}

/* x [-1] -> y [-1], so much larger in between that a limit of the GPU's arena stops it. */
static void too_little_of_its_memory_fails_a_run_and_no_more(void **state)
{
    (void)state;
    static const struct troupe_option small[] = { { "gpu_mem_limit", "16000000" } };
    static float row[1024];
    static const int64_t shape[2] = { 16384, 1024 };
    struct onnx g = { 0 };
    struct subject *s;
    onnx_simple(&g, "Expand", "x n", "a");
    onnx_simple(&g, "Mul", "a a", "b");
    onnx_simple(&g, "ReduceSum", "b axes", "y");
    onnx_initializer(&g, "axes", ONNX_INT64, 1, DIMS(1), (const int64_t[]){ 0 }, 8);
    onnx_input(&g, "x", ONNX_FLOAT, 2, DIMS(1, 1024));
    onnx_input(&g, "n", ONNX_INT64, 1, DIMS(2));
    onnx_output(&g, "y", ONNX_FLOAT, 2, DIMS(1, 1024));
    onnx_save(&g, harness_path(&h, "large.onnx"));
    const struct troupe_model_desc desc = {
        .devices = &gpu0, .devices_n = 1, .options = small, .options_n = 1
    };
    assert_int_equal(subject_try_open(&h, "large.onnx", desc, &s).code, TRP_OK);
    subject_send(s, 0, TROUPE_FP32, row, sizeof row, 2, DIMS(1, 1024));
    subject_send(s, 1, TROUPE_INT64, shape, sizeof shape, 1, DIMS(2));
    assert_int_equal(subject_run(s).code, TRP_OUT_OF_MEMORY);
    subject_send(s, 1, TROUPE_INT64, (const int64_t[]){ 2, 1024 }, 16, 1, DIMS(2));
    assert_int_equal(subject_run(s).code, TRP_OK);
    assert_int_equal(s->out[0].shape[1], 1024);
    subject_close(s);
}

static void it_comes_and_goes_again_and_again(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        struct subject *s = open_net(on_gpu());
        send_pictures(s, ROWS);
        assert_int_equal(subject_run(s).code, TRP_OK);
        subject_close(s);
    }
}

static bool has_gpu(void)
{
    struct trp_arena arena;
    struct trp_device_list there;
    harness_set_up(&h, "onnxruntime");
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    const bool has =
        !trp_failed(trp_backend_devices(h.backend, &arena, &there, &h.err)) && there.n > 0;
    if (has)
        printf("gpu0 is %s, %llu MiB\n", there.all[0].name,
               (unsigned long long)(there.all[0].memory_bytes >> 20));
    else
        printf("skipped: %s\n", trp_backend_why_no_device(h.backend));
    trp_arena_deinit(&arena);
    harness_tear_down(&h);
    return has;
}

static int run_real(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_gpu_answers_what_the_cpu_does, open_onnxruntime, stop),
        cmocka_unit_test_setup_teardown(many_threads_share_a_gpu, open_onnxruntime, stop),
        cmocka_unit_test_setup_teardown(too_little_of_its_memory_fails_a_run_and_no_more,
                                        open_onnxruntime, stop),
        cmocka_unit_test_setup_teardown(it_comes_and_goes_again_and_again, open_onnxruntime, stop),
    };
    return has_gpu() ? cmocka_run_group_tests_name("onnxruntime on a GPU", tests, NULL, NULL)
                     : SKIPPED;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "real") == 0)
        return run_real();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_library_without_its_provider_has_no_gpu, stop),
        cmocka_unit_test_teardown(a_driver_without_a_gpu_is_told_from_one_that_fails, stop),
        cmocka_unit_test_teardown(a_provider_that_cannot_be_opened_is_told_in_the_linkers_words,
                                  stop),
        cmocka_unit_test_setup_teardown(gpus_are_told_with_their_names, start_fake, stop),
        cmocka_unit_test_setup_teardown(a_run_is_made_by_the_session_of_its_device, start_fake,
                                        stop),
        cmocka_unit_test_setup_teardown(a_run_for_a_device_that_the_model_has_not_is_refused,
                                        start_fake, stop),
        cmocka_unit_test_setup_teardown(weights_on_gpus_are_not_counted_as_the_machines, start_fake,
                                        stop),
        cmocka_unit_test_setup_teardown(a_gpu_that_is_not_there_is_named, start_fake, stop),
        cmocka_unit_test_setup_teardown(what_an_owner_writes_reaches_cuda, start_fake, stop),
    };
    return cmocka_run_group_tests_name("onnxruntime and GPUs", tests, NULL, NULL);
}
