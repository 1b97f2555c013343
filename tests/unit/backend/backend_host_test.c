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

struct fixture {
    struct trp_backends *backends;
    struct trp_arena arena;
    struct trp_error err;
    char path[64];
    struct trp_backend_model *model;
    struct trp_signature signature;
};

static void set_up(struct fixture *f)
{
    *f = (struct fixture){ 0 };
    const struct trp_backends_opts opts = { .clock = trp_clock_system() };
    assert_int_equal(trp_backends_create(trp_heap(), &opts, &f->backends, &f->err).code, TRP_OK);
    trp_arena_init(&f->arena, trp_heap(), 4096, 0);
}

static void open_model(struct fixture *f, const char *backend, const char *text)
{
    struct trp_backend *b;
    trp_str_copy(TRP_STR_LIT("/tmp/troupe-host-XXXXXX"), f->path, sizeof f->path);
    const int fd = mkstemp(f->path);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    assert_int_equal(trp_backends_get(f->backends, trp_str_of(backend), &b, &f->err).code, TRP_OK);
    assert_string_equal(trp_backend_name(b), backend);
    const struct troupe_model_desc desc = { .path = f->path, .name = "m/1" };
    const trp_status st = trp_backend_open(b, &desc, &f->arena, &f->model, &f->signature, &f->err);
    if (trp_failed(st))
        print_message("%s\n", f->err.text);
    assert_int_equal(st.code, TRP_OK);
    unlink(f->path);
}

static void tear_down(struct fixture *f)
{
    trp_backend_close(f->model);
    trp_backends_destroy(f->backends);
    trp_arena_deinit(&f->arena);
}

static struct troupe_tensor fp32(float *values, int64_t rows, int64_t columns)
{
    return (struct troupe_tensor){ .dtype = TROUPE_FP32,
                                   .rank = 2,
                                   .shape = { rows, columns },
                                   .data = values,
                                   .bytes = (uint64_t)(rows * columns) * sizeof *values };
}

static void an_unknown_backend_says_where_it_was_looked_for(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_backend *b;
    set_up(&f);
    assert_int_equal(trp_backends_get(f.backends, TRP_STR_LIT("tvm"), &b, &f.err).code,
                     TRP_NOT_FOUND);
    assert_non_null(strstr(f.err.text, "no folder of plugins is set"));
    assert_null(b);
    assert_int_equal(trp_backends_get(f.backends, TRP_STR_LIT("tvm"), &b, &f.err).code,
                     TRP_NOT_FOUND); /* kept */
    trp_backends_forget_failures(f.backends);
    assert_int_equal(trp_backends_get(f.backends, TRP_STR_LIT("tvm"), &b, &f.err).code,
                     TRP_NOT_FOUND); /* looked again */
    tear_down(&f);

    const struct trp_backends_opts opts = { .clock = trp_clock_system(), .path = "/nowhere" };
    assert_int_equal(trp_backends_create(trp_heap(), &opts, &f.backends, &f.err).code, TRP_OK);
    assert_int_equal(trp_backends_get(f.backends, TRP_STR_LIT("tvm"), &b, &f.err).code,
                     TRP_NOT_FOUND);
    assert_non_null(strstr(f.err.text, "/nowhere/troupe_backend_tvm.so"));
    trp_backends_destroy(f.backends);
}

static void a_name_cannot_leave_the_folder(void **state)
{
    (void)state;
    static const char *const names[] = { "", "../x", "a/b", "A", "a b", "a.so" };
    struct fixture f;
    set_up(&f);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct trp_backend *b;
        print_message("'%s'\n", names[i]);
        assert_int_equal(trp_backends_get(f.backends, trp_str_of(names[i]), &b, &f.err).code,
                         TRP_NOT_FOUND);
    }
    tear_down(&f);
}

static void echo_answers_a_view_of_its_input(void **state)
{
    (void)state;
    struct fixture f;
    float values[6] = { 1, 2, 3, 4, 5, 6 };
    set_up(&f);
    open_model(&f, "echo", "");
    assert_int_equal(f.signature.outputs_n, 1);
    assert_true(trp_str_is(f.signature.outputs[0].name, "OUTPUT0"));
    assert_true(trp_str_is(f.signature.platform, "troupe_echo"));
    const struct troupe_tensor in = fp32(values, 2, 3);
    struct troupe_tensor out = { 0 };
    struct troupe_run run = { .inputs_n = 1, .outputs_n = 1, .output_index = (uint32_t[]){ 0 } };
    assert_int_equal(trp_backend_run(f.model, &run, &in, &out, &f.err).code, TRP_OK);
    assert_ptr_equal(out.data, values);
    assert_null(out.release);
    assert_int_equal(out.shape[1], 3);
    tear_down(&f);
}

static void echo_copies_into_memory_that_is_given(void **state)
{
    (void)state;
    struct fixture f;
    float values[6] = { 1, 2, 3, 4, 5, 6 }, given[6] = { 0 };
    set_up(&f);
    open_model(&f, "echo", "");
    const struct troupe_tensor in = fp32(values, 2, 3);
    struct troupe_tensor out = { .data = given, .bytes = sizeof given };
    struct troupe_run run = { .inputs_n = 1, .outputs_n = 1, .output_index = (uint32_t[]){ 0 } };
    assert_int_equal(trp_backend_run(f.model, &run, &in, &out, &f.err).code, TRP_OK);
    assert_ptr_equal(out.data, given);
    assert_memory_equal(given, values, sizeof values);
    tear_down(&f);
}

static void an_output_that_grows_meets_the_account_and_the_limit(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_account account;
    float values[2] = { 7, 8 };
    set_up(&f);
    trp_account_init(&account, TRP_ACCOUNT_ACTIVATIONS, NULL, 4096);
    open_model(&f, "echo", "input x FP32 [-1,2]\ngrow 3");
    const struct troupe_tensor in = fp32(values, 1, 2);
    struct troupe_tensor out = { 0 };
    struct troupe_run run = {
        .inputs_n = 1, .outputs_n = 1, .output_index = (uint32_t[]){ 0 }, .account = &account.plugin
    };
    assert_int_equal(trp_backend_run(f.model, &run, &in, &out, &f.err).code, TRP_OK);
    assert_int_equal(out.shape[0], 3);
    assert_int_equal(out.bytes, 24);
    assert_true(((float *)out.data)[5] == 8);
    assert_true(trp_counter_get(&account.bytes) > 0);
    out.release(out.release_user, out.data);
    assert_int_equal(trp_counter_get(&account.bytes), 0);

    out = (struct troupe_tensor){ 0 };
    run.output_bytes_max = 23;
    assert_int_equal(trp_backend_run(f.model, &run, &in, &out, &f.err).code, TRP_TOO_LARGE);
    assert_null(out.data);
    run.output_bytes_max = 0;
    trp_backend_close(f.model);
    open_model(&f, "echo", "input x FP32 [-1,2]\ngrow 4000000000");
    assert_int_equal(trp_backend_run(f.model, &run, &in, &out, &f.err).code, TRP_OUT_OF_MEMORY);
    trp_account_deinit(&account);
    tear_down(&f);
}

static void null_answers_zeros_of_the_declared_shape(void **state)
{
    (void)state;
    struct fixture f;
    float values[6] = { 1, 2, 3, 4, 5, 6 };
    set_up(&f);
    open_model(&f, "null",
               "input x FP32 [-1,3]\noutput a INT64 [-1,4]\noutput b BYTES []\n"
               "output c FP32 [-1,-1,-1]\noutput d FP64 [-1,1000]");
    const struct troupe_tensor in = fp32(values, 2, 3);
    struct troupe_tensor out[4] = { 0 };
    struct troupe_run run = { .inputs_n = 1,
                              .outputs_n = 4,
                              .output_index = (uint32_t[]){ 0, 1, 2, 3 } };
    assert_int_equal(trp_backend_run(f.model, &run, &in, out, &f.err).code, TRP_OK);
    assert_int_equal(out[0].shape[0], 2);
    assert_int_equal(out[0].bytes, 2 * 4 * 8);
    assert_int_equal(out[1].rank, 0);
    assert_int_equal(out[1].bytes, 4);
    assert_int_equal(out[2].shape[1], 3);
    assert_int_equal(out[2].shape[2], 1);
    assert_int_equal(out[3].bytes, 16000);
    for (size_t i = 0; i < out[3].bytes; i++)
        assert_int_equal(((const char *)out[3].data)[i], 0);
    assert_non_null(out[3].release);
    out[3].release(out[3].release_user, out[3].data);
    tear_down(&f);
}

static void only_the_outputs_that_are_asked_for_are_given(void **state)
{
    (void)state;
    struct fixture f;
    float a[1] = { 1 }, b[1] = { 2 };
    set_up(&f);
    open_model(&f, "echo", "input a FP32 [-1,1]\ninput b FP32 [-1,1]");
    const struct troupe_tensor in[2] = { fp32(a, 1, 1), fp32(b, 1, 1) };
    struct troupe_tensor out = { 0 };
    struct troupe_run run = { .inputs_n = 2, .outputs_n = 1, .output_index = (uint32_t[]){ 1 } };
    assert_int_equal(trp_backend_run(f.model, &run, in, &out, &f.err).code, TRP_OK);
    assert_ptr_equal(out.data, b);
    tear_down(&f);
}

static void a_failed_run_says_why_and_holds_nothing(void **state)
{
    (void)state;
    struct fixture f;
    float values[1] = { 1 };
    set_up(&f);
    open_model(&f, "echo", "fail UNAVAILABLE the fan stopped");
    const struct troupe_tensor in = fp32(values, 1, 1);
    struct troupe_tensor out = { 0 };
    struct troupe_run run = { .inputs_n = 1, .outputs_n = 1, .output_index = (uint32_t[]){ 0 } };
    assert_int_equal(trp_backend_run(f.model, &run, &in, &out, &f.err).code, TRP_UNAVAILABLE);
    assert_string_equal(f.err.text, "the fan stopped");
    assert_null(out.data);
    tear_down(&f);
}

static void a_model_that_cannot_be_opened_leaves_nothing_behind(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_backend *b;
    set_up(&f);
    assert_int_equal(trp_backends_get(f.backends, TRP_STR_LIT("echo"), &b, &f.err).code, TRP_OK);
    const struct troupe_model_desc desc = { .path = "/nowhere/m.echo" };
    assert_int_equal(trp_backend_open(b, &desc, &f.arena, &f.model, &f.signature, &f.err).code,
                     TRP_NOT_FOUND);
    assert_null(f.model);
    assert_non_null(strstr(f.err.text, "/nowhere/m.echo"));
    tear_down(&f);
}

static void probing_tells_the_signature_without_opening(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_backend *b;
    uint32_t capabilities = 0;
    set_up(&f);
    assert_int_equal(trp_backends_get(f.backends, TRP_STR_LIT("null"), &b, &f.err).code, TRP_OK);
    const struct troupe_model_desc desc = { .path = "/dev/null" };
    assert_int_equal(
        trp_backend_probe(b, &desc, &f.arena, &f.signature, &capabilities, &f.err).code, TRP_OK);
    assert_int_equal(f.signature.inputs_n, 1);
    assert_true(capabilities & TROUPE_CAN_CONCURRENT);
    trp_backend_trim(f.backends);
    tear_down(&f);
}

static void outputs_must_fit_the_inputs_they_echo(void **state)
{
    (void)state;
    struct fixture f;
    struct trp_backend *b;
    char path[] = "/tmp/troupe-host-XXXXXX";
    static const char *const texts[] = { "output y INT64 [1]",
                                         "output y FP32 [1]\noutput z FP32 [1]" };
    set_up(&f);
    assert_int_equal(trp_backends_get(f.backends, TRP_STR_LIT("echo"), &b, &f.err).code, TRP_OK);
    const int fd = mkstemp(path);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, texts[i], strlen(texts[i]), 0), (ssize_t)strlen(texts[i]));
        const struct troupe_model_desc desc = { .path = path };
        assert_int_equal(trp_backend_open(b, &desc, &f.arena, &f.model, &f.signature, &f.err).code,
                         TRP_INVALID_ARGUMENT);
    }
    close(fd);
    unlink(path);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_backend_says_where_it_was_looked_for),
        cmocka_unit_test(a_name_cannot_leave_the_folder),
        cmocka_unit_test(echo_answers_a_view_of_its_input),
        cmocka_unit_test(echo_copies_into_memory_that_is_given),
        cmocka_unit_test(an_output_that_grows_meets_the_account_and_the_limit),
        cmocka_unit_test(null_answers_zeros_of_the_declared_shape),
        cmocka_unit_test(only_the_outputs_that_are_asked_for_are_given),
        cmocka_unit_test(a_failed_run_says_why_and_holds_nothing),
        cmocka_unit_test(a_model_that_cannot_be_opened_leaves_nothing_behind),
        cmocka_unit_test(probing_tells_the_signature_without_opening),
        cmocka_unit_test(outputs_must_fit_the_inputs_they_echo),
    };
    return cmocka_run_group_tests_name("backend_host", tests, NULL, NULL);
}
