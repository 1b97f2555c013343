/* tests/unit/backend/backend_host_test.c - the host with its built-in backends; plugins that
 * break their contract are in tests/conformance/faulty_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/backend_host.h"
#include "base/arena.h"
#include "memory/account.h"
#include "scratch.h"

struct fixture {
    struct trp_backends *backends;
    struct trp_arena arena;
    struct trp_error err;
    char path[SCRATCH_PATH_MAX];
    struct trp_backend_model *model;
    struct trp_signature signature;
    struct trp_account account;
    struct troupe_tensor out[4];
    struct troupe_run run;
};

static int set_up(void **state)
{
    static struct fixture f; /* cmocka runs one test at a time */
    static const uint32_t all[4] = { 0, 1, 2, 3 };
    f = (struct fixture){ .run = { .inputs_n = 1, .outputs_n = 1, .output_index = all } };
    *state = &f;
    static const struct troupe_option two = { "echo.devices", "2" };
    const struct trp_backends_opts opts = { .clock = trp_clock_system(),
                                            .options = &two,
                                            .options_n = 1 };
    trp_arena_init(&f.arena, trp_heap(), 4096, 0);
    trp_account_init(&f.account, TRP_ACCOUNT_ACTIVATIONS, NULL, 16384);
    f.run.account = &f.account.plugin;
    return trp_backends_create(trp_heap(), &opts, &f.backends, &f.err).code;
}

/* Gives everything back, however far the test came. */
static int tear_down(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(f->out); i++)
        if (f->out[i].release)
            f->out[i].release(f->out[i].release_user, f->out[i].data);
    trp_backend_close(f->model);
    trp_backends_destroy(f->backends);
    trp_arena_deinit(&f->arena);
    trp_account_deinit(&f->account);
    return 0;
}

static void open_on(struct fixture *f, const char *backend, const char *text,
                    const struct troupe_device_id *devices, uint32_t devices_n)
{
    struct trp_backend *b;
    const int fd = scratch_file(f->path, "host");
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    assert_int_equal(trp_backends_get(f->backends, trp_str_of(backend), &b, &f->err).code, TRP_OK);
    assert_string_equal(trp_backend_name(b), backend);
    const struct troupe_model_desc desc = {
        .path = f->path, .name = "m/1", .devices = devices, .devices_n = devices_n
    };
    const trp_status st = trp_backend_open(b, &desc, &f->arena, &f->model, &f->signature, &f->err);
    if (trp_failed(st))
        print_message("%s\n", f->err.text);
    assert_int_equal(st.code, TRP_OK);
    unlink(f->path);
}

static void open_model(struct fixture *f, const char *backend, const char *text)
{
    open_on(f, backend, text, NULL, 0);
}

static struct troupe_tensor fp32(float *values, int64_t rows, int64_t columns)
{
    return (struct troupe_tensor){ .dtype = TROUPE_FP32,
                                   .rank = 2,
                                   .shape = { rows, columns },
                                   .data = values,
                                   .bytes = (uint64_t)(rows * columns) * sizeof *values };
}

static int32_t run_model(struct fixture *f, const struct troupe_tensor *inputs)
{
    return trp_backend_run(f->model, &f->run, inputs, f->out, &f->err).code;
}

static void an_unknown_backend_says_where_it_was_looked_for(void **state)
{
    struct fixture *f = *state;
    struct trp_backend *b;
    assert_int_equal(trp_backends_get(f->backends, TRP_STR_LIT("tvm"), &b, &f->err).code,
                     TRP_NOT_FOUND);
    assert_non_null(strstr(f->err.text, "no folder of plugins is set"));
    assert_null(b);
    assert_int_equal(trp_backends_get(f->backends, TRP_STR_LIT("tvm"), &b, &f->err).code,
                     TRP_NOT_FOUND); /* kept */
    trp_backends_forget_failures(f->backends);
    assert_int_equal(trp_backends_get(f->backends, TRP_STR_LIT("tvm"), &b, &f->err).code,
                     TRP_NOT_FOUND); /* looked again */

    trp_backends_destroy(f->backends);
    f->backends = NULL;
    const struct trp_backends_opts opts = { .clock = trp_clock_system(), .path = "/nowhere" };
    assert_int_equal(trp_backends_create(trp_heap(), &opts, &f->backends, &f->err).code, TRP_OK);
    assert_int_equal(trp_backends_get(f->backends, TRP_STR_LIT("tvm"), &b, &f->err).code,
                     TRP_NOT_FOUND);
    assert_non_null(strstr(f->err.text, "/nowhere/troupe_backend_tvm.so"));
}

static void a_name_cannot_leave_the_folder(void **state)
{
    static const char *const names[] = { "", "../x", "a/b", "A", "a b", "a.so" };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct trp_backend *b;
        print_message("'%s'\n", names[i]);
        assert_int_equal(trp_backends_get(f->backends, trp_str_of(names[i]), &b, &f->err).code,
                         TRP_NOT_FOUND);
    }
}

static void echo_answers_a_view_of_its_input(void **state)
{
    struct fixture *f = *state;
    float values[6] = { 1, 2, 3, 4, 5, 6 };
    open_model(f, "echo", "");
    assert_int_equal(f->signature.outputs_n, 1);
    assert_true(trp_str_is(f->signature.outputs[0].name, "OUTPUT0"));
    assert_true(trp_str_is(f->signature.platform, "troupe_echo"));
    const struct troupe_tensor in = fp32(values, 2, 3);
    assert_int_equal(run_model(f, &in), TRP_OK);
    assert_ptr_equal(f->out[0].data, values);
    assert_null(f->out[0].release);
    assert_int_equal(f->out[0].shape[1], 3);
}

static void echo_copies_into_memory_that_is_given(void **state)
{
    struct fixture *f = *state;
    float values[6] = { 1, 2, 3, 4, 5, 6 }, given[6] = { 0 };
    open_model(f, "echo", "");
    const struct troupe_tensor in = fp32(values, 2, 3);
    f->out[0] = (struct troupe_tensor){ .data = given, .bytes = sizeof given };
    assert_int_equal(run_model(f, &in), TRP_OK);
    assert_ptr_equal(f->out[0].data, given);
    assert_memory_equal(given, values, sizeof values);
}

static void an_output_that_grows_meets_the_account_and_the_limit(void **state)
{
    struct fixture *f = *state;
    float values[2] = { 7, 8 };
    open_model(f, "echo", "input x FP32 [-1,2]\ngrow 3");
    const struct troupe_tensor in = fp32(values, 1, 2);
    assert_int_equal(run_model(f, &in), TRP_OK);
    assert_int_equal(f->out[0].shape[0], 3);
    assert_int_equal(f->out[0].bytes, 24);
    assert_true(((float *)f->out[0].data)[5] == 8);
    assert_true(trp_counter_get(&f->account.bytes) > 0);
    f->out[0].release(f->out[0].release_user, f->out[0].data);
    assert_int_equal(trp_counter_get(&f->account.bytes), 0);

    f->out[0] = (struct troupe_tensor){ 0 };
    f->run.output_bytes_max = 23;
    assert_int_equal(run_model(f, &in), TRP_TOO_LARGE);
    assert_null(f->out[0].data);
    f->run.output_bytes_max = 0;
    trp_backend_close(f->model);
    f->model = NULL;
    open_model(f, "echo", "input x FP32 [-1,2]\ngrow 4000000000");
    assert_int_equal(run_model(f, &in), TRP_OUT_OF_MEMORY);
}

static void null_answers_zeros_of_the_declared_shape(void **state)
{
    struct fixture *f = *state;
    float values[6] = { 1, 2, 3, 4, 5, 6 };
    open_model(f, "null",
               "input x FP32 [-1,3]\noutput a INT64 [-1,4]\noutput b BYTES []\n"
               "output c FP32 [-1,-1,-1]\noutput d FP64 [-1,1000]");
    const struct troupe_tensor in = fp32(values, 2, 3);
    f->run.outputs_n = 4;
    assert_int_equal(run_model(f, &in), TRP_OK);
    assert_int_equal(f->out[0].shape[0], 2);
    assert_int_equal(f->out[0].bytes, 2 * 4 * 8);
    assert_int_equal(f->out[1].rank, 0);
    assert_int_equal(f->out[1].bytes, 4);
    assert_int_equal(f->out[2].shape[1], 3);
    assert_int_equal(f->out[2].shape[2], 1);
    assert_int_equal(f->out[3].bytes, 16000);
    for (size_t i = 0; i < f->out[3].bytes; i++)
        assert_int_equal(((const char *)f->out[3].data)[i], 0);
    assert_non_null(f->out[3].release);
}

static void only_the_outputs_that_are_asked_for_are_given(void **state)
{
    struct fixture *f = *state;
    float a[1] = { 1 }, b[1] = { 2 };
    open_model(f, "echo", "input a FP32 [-1,1]\ninput b FP32 [-1,1]");
    const struct troupe_tensor in[2] = { fp32(a, 1, 1), fp32(b, 1, 1) };
    f->run.inputs_n = 2;
    f->run.output_index = (const uint32_t[]){ 1 };
    assert_int_equal(run_model(f, in), TRP_OK);
    assert_ptr_equal(f->out[0].data, b);
}

static void a_failed_run_says_why_and_holds_nothing(void **state)
{
    struct fixture *f = *state;
    float values[1] = { 1 };
    open_model(f, "echo", "fail UNAVAILABLE the fan stopped");
    const struct troupe_tensor in = fp32(values, 1, 1);
    assert_int_equal(run_model(f, &in), TRP_UNAVAILABLE);
    assert_string_equal(f->err.text, "the fan stopped");
    assert_null(f->out[0].data);
}

static void a_model_that_cannot_be_opened_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    struct trp_backend *b;
    assert_int_equal(trp_backends_get(f->backends, TRP_STR_LIT("echo"), &b, &f->err).code, TRP_OK);
    const struct troupe_model_desc desc = { .path = "/nowhere/m.echo" };
    assert_int_equal(trp_backend_open(b, &desc, &f->arena, &f->model, &f->signature, &f->err).code,
                     TRP_NOT_FOUND);
    assert_null(f->model);
    assert_non_null(strstr(f->err.text, "/nowhere/m.echo"));
}

static void probing_tells_the_signature_without_opening(void **state)
{
    struct fixture *f = *state;
    struct trp_backend *b;
    uint32_t capabilities = 0;
    assert_int_equal(trp_backends_get(f->backends, TRP_STR_LIT("null"), &b, &f->err).code, TRP_OK);
    const struct troupe_model_desc desc = { .path = "/dev/null" };
    assert_int_equal(
        trp_backend_probe(b, &desc, &f->arena, &f->signature, &capabilities, &f->err).code, TRP_OK);
    assert_int_equal(f->signature.inputs_n, 1);
    assert_true(capabilities & TROUPE_CAN_CONCURRENT);
    trp_backend_trim(f->backends);
}

static void outputs_must_fit_the_inputs_they_echo(void **state)
{
    struct fixture *f = *state;
    struct trp_backend *b;
    char path[SCRATCH_PATH_MAX];
    static const char *const texts[] = { "output y INT64 [1]",
                                         "output y FP32 [1]\noutput z FP32 [1]" };
    assert_int_equal(trp_backends_get(f->backends, TRP_STR_LIT("echo"), &b, &f->err).code, TRP_OK);
    const int fd = scratch_file(path, "host");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, texts[i], strlen(texts[i]), 0), (ssize_t)strlen(texts[i]));
        const struct troupe_model_desc desc = { .path = path };
        assert_int_equal(
            trp_backend_open(b, &desc, &f->arena, &f->model, &f->signature, &f->err).code,
            TRP_INVALID_ARGUMENT);
    }
    close(fd);
    unlink(path);
}

static void devices_are_told_and_only_by_who_has_some(void **state)
{
    struct fixture *f = *state;
    struct trp_device_list there;
    struct trp_backend *b;
    assert_int_equal(trp_backends_get(f->backends, TRP_STR_LIT("echo"), &b, &f->err).code, TRP_OK);
    assert_int_equal(trp_backend_devices(b, &f->arena, &there, &f->err).code, TRP_OK);
    assert_int_equal(there.n, 2);
    assert_int_equal(there.all[1].id.kind, TROUPE_DEVICE_GPU);
    assert_int_equal(there.all[1].id.ordinal, 1);
    assert_string_equal(there.all[1].name, "pretended 1");
    assert_int_equal(trp_backends_get(f->backends, TRP_STR_LIT("null"), &b, &f->err).code, TRP_OK);
    assert_int_equal(trp_backend_devices(b, &f->arena, &there, &f->err).code, TRP_OK);
    assert_int_equal(there.n, 0);
}

static void what_was_told_of_devices_is_known_without_asking_again(void **state)
{
    struct fixture *f = *state;
    struct trp_told_device told[3];
    struct trp_device_list there;
    struct trp_backend *b;
    assert_int_equal(trp_backends_get(f->backends, TRP_STR_LIT("null"), &b, &f->err).code, TRP_OK);
    assert_int_equal(trp_backend_devices(b, &f->arena, &there, &f->err).code, TRP_OK);
    assert_int_equal(trp_backends_get(f->backends, TRP_STR_LIT("echo"), &b, &f->err).code, TRP_OK);
    assert_int_equal(trp_backends_told_devices(f->backends, told, ARRAY_LEN(told)), 0);
    for (int times = 0; times < 2; times++) {
        assert_int_equal(trp_backend_devices(b, &f->arena, &there, &f->err).code, TRP_OK);
        assert_int_equal(trp_backends_told_devices(f->backends, told, ARRAY_LEN(told)), 2);
        for (uint32_t i = 0; i < 2; i++) {
            assert_string_equal(told[i].backend, "echo");
            assert_int_equal(told[i].id.kind, TROUPE_DEVICE_GPU);
            assert_int_equal(told[i].id.ordinal, i);
            assert_int_equal(told[i].memory_bytes, 0);
        }
    }
    assert_int_equal(trp_backends_told_devices(f->backends, told, 1), 1);
}

static void names_of_devices_that_find_no_memory_are_not_the_backends_fault(void **state)
{
    struct fixture *f = *state;
    struct trp_backend *b;
    uint32_t failed_after_list = 0;
    trp_status st = { TRP_OUT_OF_MEMORY };
    assert_int_equal(trp_backends_get(f->backends, TRP_STR_LIT("echo"), &b, &f->err).code, TRP_OK);
    for (size_t max = 16; max < 8192 && trp_failed(st); max += 16) {
        struct trp_arena small;
        struct trp_device_list there = { .n = 0 };
        struct trp_error err = { 0 };
        trp_arena_init(&small, trp_heap(), 16, max);
        st = trp_backend_devices(b, &small, &there, &err);
        failed_after_list += trp_failed(st) && there.n > 0;
        trp_arena_deinit(&small);
        assert_true(st.code == TRP_OK || st.code == TRP_OUT_OF_MEMORY);
        assert_null(strstr(err.text, "contract"));
    }
    assert_int_equal(st.code, TRP_OK);
    assert_true(failed_after_list > 0);
}

static void a_run_is_made_where_it_is_for_and_counted_there(void **state)
{
    struct fixture *f = *state;
    static const struct troupe_device_id on[] = { { TROUPE_DEVICE_GPU, 1 },
                                                  { TROUPE_DEVICE_CPU, 0 } };
    static const uint32_t where = 1; /* behind the echo */
    float values[6] = { 0 };
    const struct troupe_tensor in = fp32(values, 3, 2);
    const struct trp_device_use *uses;
    open_on(f, "echo", "device where\n", on, 2);
    f->run.output_index = &where;
    for (uint32_t i = 0; i < 3; i++) {
        f->run.device = i > 0;
        assert_int_equal(run_model(f, &in), TRP_OK);
        assert_int_equal(f->out[0].shape[0], 3);
        for (int row = 0; row < 3; row++)
            assert_int_equal(((const int32_t *)f->out[0].data)[row], i > 0 ? -1 : 1);
        f->out[0].release(f->out[0].release_user, f->out[0].data);
        f->out[0] = (struct troupe_tensor){ 0 };
    }
    assert_int_equal(trp_backend_device_uses(f->model, &uses), 2);
    assert_true(trp_device_is_same(uses[0].id, on[0]));
    assert_int_equal(trp_counter_get(&uses[0].runs), 1);
    assert_int_equal(trp_counter_get(&uses[1].runs), 2);
}

static void without_devices_a_model_is_on_the_cpu(void **state)
{
    struct fixture *f = *state;
    static const uint32_t where = 1;
    float values[2] = { 0 };
    const struct troupe_tensor in = fp32(values, 1, 2);
    const struct trp_device_use *uses;
    open_model(f, "echo", "device where\n");
    f->run.output_index = &where;
    assert_int_equal(run_model(f, &in), TRP_OK);
    assert_int_equal(*(const int32_t *)f->out[0].data, -1);
    assert_int_equal(trp_backend_device_uses(f->model, &uses), 0);
}

static void a_number_of_pretended_devices_that_cannot_be_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = { "65", "x", "-1" };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        const struct troupe_option option = { "echo.devices", wrong[i] };
        const struct trp_backends_opts opts = { .clock = trp_clock_system(),
                                                .options = &option,
                                                .options_n = 1 };
        struct trp_backends *backends;
        struct trp_backend *b;
        struct trp_error err = { 0 };
        assert_int_equal(trp_backends_create(trp_heap(), &opts, &backends, &err).code, TRP_OK);
        const trp_status st = trp_backends_get(backends, TRP_STR_LIT("echo"), &b, &err);
        trp_backends_destroy(backends);
        assert_int_equal(st.code, TRP_INVALID_ARGUMENT);
        assert_non_null(strstr(err.text, "a number from 0 to 64"));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_unknown_backend_says_where_it_was_looked_for),
        TEST(a_name_cannot_leave_the_folder),
        TEST(echo_answers_a_view_of_its_input),
        TEST(echo_copies_into_memory_that_is_given),
        TEST(an_output_that_grows_meets_the_account_and_the_limit),
        TEST(null_answers_zeros_of_the_declared_shape),
        TEST(only_the_outputs_that_are_asked_for_are_given),
        TEST(a_failed_run_says_why_and_holds_nothing),
        TEST(a_model_that_cannot_be_opened_leaves_nothing_behind),
        TEST(probing_tells_the_signature_without_opening),
        TEST(outputs_must_fit_the_inputs_they_echo),
        TEST(devices_are_told_and_only_by_who_has_some),
        TEST(what_was_told_of_devices_is_known_without_asking_again),
        TEST(names_of_devices_that_find_no_memory_are_not_the_backends_fault),
        TEST(a_run_is_made_where_it_is_for_and_counted_there),
        TEST(without_devices_a_model_is_on_the_cpu),
        cmocka_unit_test(a_number_of_pretended_devices_that_cannot_be_is_refused),
    };
    return cmocka_run_group_tests_name("backend_host", tests, NULL, NULL);
}
