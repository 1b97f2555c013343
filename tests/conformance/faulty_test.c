/* tests/conformance/faulty_test.c - the host distrusts plugins; see faulty_plugin.c for the
 * faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/backend_host.h"
#include "base/arena.h"
#include "base/thread.h"
#include "scratch.h"

struct stage {
    struct trp_backends *backends;
    struct trp_arena arena;
    struct trp_backend_model *model; /* closed at the end, whatever happened */
    struct trp_error err;
};

static int set_up(void **state)
{
    static struct stage g;
    static const struct troupe_option options[] = { { "start.reason", "it is Monday" },
                                                    { "starter.reason", "not for it" } };
    const struct trp_backends_opts opts = {
        .clock = trp_clock_system(), .path = TRP_FAULTY, .options = options, .options_n = 2
    };
    g = (struct stage){ 0 };
    trp_arena_init(&g.arena, trp_heap(), 4096, 0);
    *state = &g;
    return trp_backends_create(trp_heap(), &opts, &g.backends, &g.err).code;
}

static int tear_down(void **state)
{
    struct stage *g = *state;
    trp_backend_close(g->model);
    trp_backends_destroy(g->backends);
    trp_arena_deinit(&g->arena);
    return 0;
}

static void a_plugin_that_does_not_fit_is_refused_with_its_name(void **state)
{
    static const struct row {
        const char *name;
        int32_t code;
        const char *words;
    } rows[] = {
        { "abi", TRP_UNIMPLEMENTED, "'abi' does not speak plugin ABI 2" },
        { "short", TRP_UNIMPLEMENTED, "'short': its table of 16 bytes is too short" },
        { "missing", TRP_UNIMPLEMENTED, "'missing' lacks a required function" },
        { "start", TRP_UNAVAILABLE, "backend 'start': it is Monday" },
    };
    struct stage *g = *state;
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_backend *b;
        const trp_status st = trp_backends_get(g->backends, trp_str_of(r->name), &b, &g->err);
        print_message("%s: %s\n", r->name, g->err.text);
        assert_int_equal(st.code, r->code);
        assert_non_null(strstr(g->err.text, r->words));
        assert_null(b);
    }
}

static void a_device_that_is_told_twice_is_the_plugins_fault(void **state)
{
    struct stage *g = *state;
    struct trp_device_list there;
    struct trp_backend *b;
    assert_int_equal(trp_backends_get(g->backends, TRP_STR_LIT("twice"), &b, &g->err).code, TRP_OK);
    assert_int_equal(trp_backend_devices(b, &g->arena, &there, &g->err).code, TRP_INTERNAL);
    assert_non_null(
        strstr(g->err.text, "backend 'twice' broke its contract: it names a device twice"));
}

static void a_file_that_is_no_plugin_is_refused(void **state)
{
    (void)state;
    char folder[SCRATCH_PATH_MAX], path[128];
    struct trp_backends *backends;
    struct trp_backend *b;
    struct trp_error err = { 0 };
    scratch_folder(folder, "faulty");
    snprintf(path, sizeof path, "%s/troupe_backend_text.so", folder);
    FILE *f = fopen(path, "w");
    fputs("not a library", f);
    fclose(f);
    const struct trp_backends_opts opts = { .clock = trp_clock_system(), .path = folder };
    assert_int_equal(trp_backends_create(trp_heap(), &opts, &backends, &err).code, TRP_OK);
    assert_int_equal(trp_backends_get(backends, TRP_STR_LIT("text"), &b, &err).code, TRP_IO);
    assert_non_null(strstr(err.text, "troupe_backend_text.so"));
    trp_backends_destroy(backends);
    unlink(path);
    rmdir(folder);
}

static void open_faulty(struct stage *g, const char *name)
{
    struct trp_backend *b;
    struct trp_signature signature;
    const struct troupe_model_desc desc = { .path = "/dev/null" };
    trp_backend_close(g->model);
    g->model = NULL;
    assert_int_equal(trp_backends_get(g->backends, trp_str_of(name), &b, &g->err).code, TRP_OK);
    assert_int_equal(trp_backend_open(b, &desc, &g->arena, &g->model, &signature, &g->err).code,
                     TRP_OK);
    assert_true(trp_str_is(signature.platform, name)); /* it named none */
}

static trp_status run_once(struct trp_backend_model *model, struct troupe_tensor *out,
                           struct trp_error *err)
{
    static const uint32_t wanted[1] = { 0 };
    int64_t value = 1;
    const struct troupe_tensor in = {
        .dtype = TROUPE_INT64, .rank = 1, .shape = { 1 }, .data = &value, .bytes = 8
    };
    struct troupe_run run = { .inputs_n = 1, .outputs_n = 1, .output_index = wanted };
    *out = (struct troupe_tensor){ 0 };
    return trp_backend_run(model, &run, &in, out, err);
}

static void an_output_that_is_no_tensor_is_an_internal_error_and_given_back(void **state)
{
    static const struct row {
        const char *name, *words;
    } rows[] = {
        { "size", "its size is not that of its shape" },
        { "type", "its type is unknown" },
        { "rank", "its rank is too high" },
        { "count", "fewer strings than its shape" },
        { "hollow", "it has no memory" },
    };
    struct stage *g = *state;
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct troupe_tensor out;
        struct troupe_memory memory;
        open_faulty(g, r->name);
        assert_int_equal(run_once(g->model, &out, &g->err).code, TRP_INTERNAL);
        print_message("%s\n", g->err.text);
        assert_non_null(strstr(g->err.text, r->words));
        assert_null(out.data);
        assert_true(trp_backend_memory(g->model, &memory));
        assert_int_equal(memory.shared_bytes, 1); /* released once */
    }
}

static void strange_answers_become_codes_of_ours(void **state)
{
    struct stage *g = *state;
    struct troupe_tensor out;
    open_faulty(g, "code");
    assert_int_equal(run_once(g->model, &out, &g->err).code, TRP_INTERNAL);
    assert_non_null(strstr(g->err.text, "unknown code 4711"));
    open_faulty(g, "silent");
    assert_int_equal(run_once(g->model, &out, &g->err).code, TRP_UNAVAILABLE);
    assert_string_equal(g->err.text, trp_code_text(TRP_UNAVAILABLE));
}

static void run_some(void *user)
{
    for (int i = 0; i < 20; i++) {
        struct troupe_tensor out;
        struct trp_error err;
        const trp_status st = run_once(user, &out, &err);
        TRP_ASSERT(st.code != TRP_INTERNAL); /* its answer in company */
        if (!trp_failed(st))
            out.release(out.release_user, out.data);
    }
}

static void a_plugin_that_is_not_reentrant_runs_one_at_a_time(void **state)
{
    struct stage *g = *state;
    struct trp_thread threads[3];
    int started = 0;
    open_faulty(g, "serial");
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        started += !trp_failed(trp_thread_start(&threads[i], "runner", run_some, g->model, NULL));
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        trp_thread_join(&threads[i]);
    assert_int_equal(started, ARRAY_LEN(threads));
}

static void get_one(void *user)
{
    struct stage *g = user;
    struct trp_backend *b;
    const trp_status st = trp_backends_get(g->backends, TRP_STR_LIT("serial"), &b, NULL);
    TRP_ASSERT(trp_failed(st) == (b == NULL));
}

static void a_plugin_is_started_once_however_many_ask(void **state)
{
    struct stage *g = *state;
    struct trp_thread threads[4];
    int started = 0;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        started += !trp_failed(trp_thread_start(&threads[i], "getter", get_one, g, NULL));
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        trp_thread_join(&threads[i]);
    assert_int_equal(started, ARRAY_LEN(threads));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_plugin_that_does_not_fit_is_refused_with_its_name),
        TEST(a_file_that_is_no_plugin_is_refused),
        TEST(an_output_that_is_no_tensor_is_an_internal_error_and_given_back),
        TEST(strange_answers_become_codes_of_ours),
        TEST(a_plugin_that_is_not_reentrant_runs_one_at_a_time),
        TEST(a_plugin_is_started_once_however_many_ask),
        TEST(a_device_that_is_told_twice_is_the_plugins_fault),
    };
    return cmocka_run_group_tests_name("faulty", tests, NULL, NULL);
}
