/* tests/unit/backend/isolation_test.c - models in processes of their own: this program is the
 * worker, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "backend/backend_host.h"
#include "backend/worker.h"
#include "backend/worker_frame.h"
#include "backend/worker_main.h"
#include "base/arena.h"
#include "base/thread.h"
#include "memory/account.h"
#include "mortal.h"
#include "scratch.h"
#include "unit/tensor/purse.h"

#define PATIENCE_NS TRP_S(60)

struct fixture {
    struct trp_backends *backends;
    struct trp_metrics *metrics;
    struct trp_commons *commons;
    struct purse purse; /* of what lies there */
    struct trp_arena arena;
    struct trp_error err;
    char path[SCRATCH_PATH_MAX];
    struct trp_backend *backend; /* the isolated one */
    struct trp_backend_model *model;
    struct trp_signature signature;
    struct troupe_tensor out[4];
    struct trp_flag cancel;
};

static int set_up(void **state)
{
    static struct fixture f; /* cmocka runs one test at a time */
    f = (struct fixture){ .model = NULL };
    *state = &f;
    trp_arena_init(&f.arena, trp_heap(), 4096, 0);
    if (trp_failed(trp_metrics_create(trp_heap(), 1, &f.metrics, &f.err)))
        return f.err.status.code;
    purse_init(&f.purse, UINT64_MAX);
    trp_status st = trp_commons_create(trp_heap(), UINT64_C(1) << 36, &f.commons, &f.err);
    const struct trp_backends_opts opts = { .clock = trp_clock_system(),
                                            .worker_program = "/proc/self/exe",
                                            .metrics = f.metrics,
                                            .commons = f.commons };
    if (!trp_failed(st))
        st = trp_backends_create(trp_heap(), &opts, &f.backends, &f.err);
    if (trp_failed(st)) { /* nobody tears down what was not set up */
        trp_commons_destroy(f.commons);
        trp_metrics_destroy(f.metrics);
    }
    return st.code;
}

static void drop_outputs(struct fixture *f)
{
    for (size_t i = 0; i < ARRAY_LEN(f->out); i++) {
        if (f->out[i].release)
            f->out[i].release(f->out[i].release_user, f->out[i].data);
        f->out[i] = (struct troupe_tensor){ .data = NULL };
    }
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    drop_outputs(f);
    trp_backend_close(f->model);
    trp_backends_destroy(f->backends);
    trp_commons_destroy(f->commons);
    trp_metrics_destroy(f->metrics);
    trp_arena_deinit(&f->arena);
    return 0;
}

static trp_status try_open(struct fixture *f, const char *backend, const char *text)
{
    struct trp_backend *b;
    const int fd = scratch_file(f->path, "isolated");
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    assert_int_equal(trp_backends_get(f->backends, trp_str_of(backend), &b, &f->err).code, TRP_OK);
    assert_int_equal(trp_backends_isolate(f->backends, b, &f->backend, &f->err).code, TRP_OK);
    assert_string_equal(trp_backend_name(f->backend), backend);
    const struct troupe_model_desc desc = { .path = f->path,
                                            .name = "m/1",
                                            .cancel = trp_flag_word(&f->cancel) };
    return trp_backend_open(f->backend, &desc, &f->arena, &f->model, &f->signature, &f->err);
}

static void open_model(struct fixture *f, const char *backend, const char *text)
{
    const trp_status st = try_open(f, backend, text);
    if (trp_failed(st))
        print_message("%s\n", f->err.text);
    assert_int_equal(st.code, TRP_OK);
    assert_true(trp_backend_capabilities(f->model) & TROUPE_RUNS_ELSEWHERE);
}

/* The file is needed as long as a process may be started. */
static void forget_file(struct fixture *f)
{
    unlink(f->path);
}

static struct troupe_tensor fp32(float *values, int64_t rows, int64_t columns)
{
    return (struct troupe_tensor){ .dtype = TROUPE_FP32,
                                   .rank = 2,
                                   .shape = { rows, columns },
                                   .data = values,
                                   .bytes = (uint64_t)(rows * columns) * sizeof *values };
}

static int32_t run_as(struct fixture *f, struct troupe_run *run, const struct troupe_tensor *inputs,
                      struct troupe_tensor *outputs, struct trp_error *err)
{
    static const uint32_t first = 0;
    run->inputs_n = f->signature.inputs_n;
    run->outputs_n = 1;
    run->output_index = &first;
    return trp_backend_run(f->model, run, inputs, outputs, err).code;
}

static int32_t run_model(struct fixture *f, const struct troupe_tensor *inputs)
{
    struct troupe_run run = { .id = 1 };
    drop_outputs(f);
    return run_as(f, &run, inputs, f->out, &f->err);
}

/* Until the process that follows one that ended has the model open; a run before that may be
 * told so. */
static int32_t run_patiently(struct fixture *f, const struct troupe_tensor *inputs)
{
    const int64_t until_ns = trp_clock_now_ns(trp_clock_system()) + PATIENCE_NS;
    int32_t code;
    do {
        code = run_model(f, inputs);
    } while (code == TRP_UNAVAILABLE && trp_clock_now_ns(trp_clock_system()) < until_ns);
    return code;
}

static pid_t pid_of(struct fixture *f)
{
    pid_t pid = 0;
    return trp_backends_pids(f->backends, &pid, 1) == 1 ? pid : 0;
}

static pid_t wait_for_other(struct fixture *f, pid_t before)
{
    const int64_t until_ns = trp_clock_now_ns(trp_clock_system()) + PATIENCE_NS;
    pid_t pid;
    do {
        const struct timespec look = { .tv_nsec = TRP_MS(1) };
        (void)nanosleep(&look, NULL);
        pid = pid_of(f);
    } while ((pid == 0 || pid == before) && trp_clock_now_ns(trp_clock_system()) < until_ns);
    return pid;
}

/* ---- what comes through ---- */

static void a_worker_answers_as_the_backend_does(void **state)
{
    struct fixture *f = *state;
    float values[6] = { 1, 2, 3, 4, 5, 6 };
    const struct troupe_tensor in = fp32(values, 2, 3);
    open_model(f, "echo", "input IMAGE FP32 [-1,3]\n");
    assert_int_equal(f->signature.inputs_n, 1);
    assert_true(trp_str_is(f->signature.inputs[0].name, "IMAGE"));
    assert_int_equal(f->signature.inputs[0].dims[1], 3);
    assert_int_equal(run_model(f, &in), TRP_OK);
    assert_int_equal(f->out[0].rank, 2);
    assert_int_equal(f->out[0].shape[0], 2);
    assert_int_equal(f->out[0].bytes, sizeof values);
    assert_memory_equal(f->out[0].data, values, sizeof values);
    assert_int_not_equal(pid_of(f), 0);
    assert_int_not_equal(pid_of(f), getpid());
    assert_int_equal(trp_metrics_get(f->metrics, TRP_METRIC_WORKERS), 1);
    forget_file(f);
}

/* Whether it lies in one of the two pieces of memory that the worker can write to. */
static bool is_shared(const void *at)
{
    bool found = false;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        unsigned long long first, end;
        if (sscanf(line, "%llx-%llx", &first, &end) == 2 && strstr(line, "memfd:troupe-"))
            found |= (uintptr_t)at >= first && (uintptr_t)at < end;
    }
    fclose(maps);
    return found;
}

/* Their lengths are checked once; who could write there after that would have the server read
 * where nothing is. */
static void strings_are_out_of_the_workers_reach(void **state)
{
    struct fixture *f = *state;
    static char text[] = "\3\0\0\0abc\0\0\0\0";
    float values[3] = { 1, 2, 3 };
    const struct troupe_tensor in = {
        .dtype = TROUPE_BYTES, .rank = 1, .shape = { 2 }, .data = text, .bytes = sizeof text - 1
    };
    const struct troupe_tensor numbers = fp32(values, 1, 3);
    open_model(f, "echo", "input TEXT BYTES [-1]\n");
    assert_int_equal(run_model(f, &in), TRP_OK);
    assert_int_equal(f->out[0].bytes, sizeof text - 1);
    assert_memory_equal(f->out[0].data, text, sizeof text - 1);
    assert_false(is_shared(f->out[0].data));
    drop_outputs(f);
    struct troupe_run narrow = { .id = 2, .output_bytes_max = sizeof text - 2 };
    assert_int_equal(run_as(f, &narrow, &in, f->out, &f->err), TRP_TOO_LARGE);
    forget_file(f);
    drop_outputs(f);
    trp_backend_close(f->model);
    f->model = NULL;
    open_model(f, "echo", "input IMAGE FP32 [-1,3]\n");
    assert_int_equal(run_model(f, &numbers), TRP_OK);
    assert_true(is_shared(f->out[0].data)); /* numbers mean something whatever they are */
    forget_file(f);
}

static void labels_and_optional_inputs_are_told(void **state)
{
    struct fixture *f = *state;
    float values[3] = { 1, 2, 3 };
    const struct troupe_tensor in[2] = { fp32(values, 1, 3), { .dtype = TROUPE_INT64 } };
    open_model(f, "null",
               "input IMAGE FP32 [-1,3]\ninput HINT INT64 [1] optional\n"
               "output SCORE FP32 [-1,3] labels=cat,dog,cow\n");
    assert_true(f->signature.inputs[1].optional);
    assert_int_equal(f->signature.outputs[0].labels_n, 3);
    assert_true(trp_str_is(f->signature.outputs[0].labels[1], "dog"));
    assert_int_equal(run_model(f, in), TRP_OK);
    forget_file(f);
}

static void outputs_outlive_the_model(void **state)
{
    struct fixture *f = *state;
    float values[2] = { 7, 8 };
    const struct troupe_tensor in = fp32(values, 1, 2);
    open_model(f, "null", "input X FP32 [-1,2]\noutput Y FP32 [-1,2]\ngrow 1000\n");
    assert_int_equal(run_model(f, &in), TRP_OK);
    trp_backend_close(f->model);
    f->model = NULL;
    for (uint64_t i = 0; i < f->out[0].bytes / sizeof(float); i++)
        assert_true(((const float *)f->out[0].data)[i] == 0);
    assert_int_equal(pid_of(f), 0);
    assert_int_equal(trp_metrics_get(f->metrics, TRP_METRIC_WORKERS), 0);
    forget_file(f);
}

static void many_runs_take_no_more_than_one(void **state)
{
    struct fixture *f = *state;
    static float values[150000];
    const struct troupe_tensor in = fp32(values, 1, ARRAY_LEN(values));
    open_model(f, "null", "input X FP32 [-1,-1]\noutput Y FP32 [-1,150000]\n");
    for (int i = 0; i < 200; i++) {
        assert_int_equal(run_model(f, &in), TRP_OK);
        assert_int_equal(f->out[0].bytes, sizeof values);
    }
    trp_backend_trim(f->backends);
    assert_int_equal(run_model(f, &in), TRP_OK);
    forget_file(f);
}

/* ---- inputs that nobody copies ---- */

static uint64_t copied(const struct fixture *f)
{
    return (uint64_t)trp_metrics_get(f->metrics, TRP_METRIC_BYTES_COPIED);
}

static struct trp_plot *take_common(struct fixture *f, uint64_t bytes)
{
    struct trp_plot *p = trp_commons_take(f->commons, &f->purse.account, bytes);
    assert_non_null(p);
    return p;
}

static void an_input_in_the_commons_is_looked_at_where_it_lies(void **state)
{
    struct fixture *f = *state;
    float values[6] = { 1, 2, 3, 4, 5, 6 };
    const struct troupe_tensor elsewhere = fp32(values, 2, 3);
    assert_false(trp_commons_is_open(f->commons)); /* without a worker it costs nothing */
    open_model(f, "echo", "input IMAGE FP32 [-1,3]\n");
    assert_true(trp_commons_is_open(f->commons));
    struct trp_plot *p = take_common(f, 4 + sizeof values);
    memcpy(p->ptr + 4, values, sizeof values); /* wherever a body has it */
    const struct troupe_tensor in = fp32((float *)(void *)(p->ptr + 4), 2, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(run_model(f, &in), TRP_OK);
        assert_ptr_equal(f->out[0].data, in.data); /* a view, as in this process */
        assert_memory_equal(f->out[0].data, values, sizeof values);
    }
    assert_int_equal(copied(f), 0);
    assert_int_equal(run_model(f, &elsewhere), TRP_OK);
    assert_int_equal(copied(f), sizeof values);
    assert_memory_equal(f->out[0].data, values, sizeof values);
    drop_outputs(f);
    trp_commons_give(f->commons, &f->purse.account, p, 4 + sizeof values);
    forget_file(f);
}

static uint64_t hits(const struct fixture *f)
{
    return (uint64_t)trp_metrics_get(f->metrics, TRP_METRIC_LIMIT_WORKER);
}

/* A worker and the server hand each other 1 MiB each way. */
static void what_does_not_fit_between_the_two_is_refused_and_counted(void **state)
{
    struct fixture *f = *state;
    enum { COLUMNS = 100000 }; /* 400 KB */
    static float values[4 * COLUMNS];
    const struct troupe_tensor small = fp32(values, 1, 4), fits = fp32(values, 1, COLUMNS),
                               large = fp32(values, 4, COLUMNS);
    const struct trp_backends_opts opts = { .clock = trp_clock_system(),
                                            .worker_program = "/proc/self/exe",
                                            .metrics = f->metrics,
                                            .worker_bytes = 1 << 20 };
    trp_backends_destroy(f->backends);
    assert_int_equal(trp_backends_create(trp_heap(), &opts, &f->backends, &f->err).code, TRP_OK);
    open_model(f, "null", "input X FP32 [-1,-1]\noutput Y FP32 [-1,-1]\ngrow 4\n");
    assert_int_equal(run_model(f, &small), TRP_OK);
    drop_outputs(f);
    assert_int_equal(run_model(f, &large), TRP_TOO_LARGE); /* on its way there */
    assert_non_null(strstr(f->err.text, "limits.worker_bytes"));
    assert_int_equal(hits(f), 1);
    assert_int_equal(run_model(f, &fits), TRP_OUT_OF_MEMORY); /* and on its way back */
    assert_true(hits(f) > 1);
    const uint64_t before = hits(f);
    assert_int_equal(run_model(f, &small), TRP_OK); /* nothing is left behind, and told twice */
    assert_int_equal(hits(f), before);
    forget_file(f);
}

static void some_inputs_are_copied_and_others_not(void **state)
{
    struct fixture *f = *state;
    float values[3] = { 1, 2, 3 };
    open_model(f, "echo", "input A FP32 [-1]\ninput B FP32 [-1]\ninput C FP32 [-1]\n");
    struct trp_plot *p = take_common(f, sizeof values);
    memcpy(p->ptr, values, sizeof values);
    struct troupe_tensor in[3];
    for (int i = 0; i < 3; i++)
        in[i] = (struct troupe_tensor){ .dtype = TROUPE_FP32,
                                        .rank = 1,
                                        .shape = { 3 },
                                        .data = i == 1 ? (void *)p->ptr : values,
                                        .bytes = sizeof values };
    static const uint32_t all[] = { 0, 1, 2 };
    struct troupe_run run = { .id = 1, .inputs_n = 3, .outputs_n = 3, .output_index = all };
    assert_int_equal(trp_backend_run(f->model, &run, in, f->out, &f->err).code, TRP_OK);
    for (int i = 0; i < 3; i++)
        assert_memory_equal(f->out[i].data, values, sizeof values);
    assert_ptr_equal(f->out[1].data, p->ptr);
    assert_int_equal(copied(f), 2 * sizeof values);
    drop_outputs(f);
    trp_commons_give(f->commons, &f->purse.account, p, sizeof values);
    forget_file(f);
}

/* The worker cannot write there, so lengths that were checked stay as they are. */
static void strings_in_the_commons_are_not_copied_either(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "\3\0\0\0abc\0\0\0\0";
    open_model(f, "echo", "input TEXT BYTES [-1]\n");
    struct trp_plot *p = take_common(f, sizeof text);
    memcpy(p->ptr, text, sizeof text);
    const struct troupe_tensor in = {
        .dtype = TROUPE_BYTES, .rank = 1, .shape = { 2 }, .data = p->ptr, .bytes = sizeof text - 1
    };
    assert_int_equal(run_model(f, &in), TRP_OK);
    assert_ptr_equal(f->out[0].data, p->ptr);
    assert_int_equal(copied(f), 0);
    drop_outputs(f);
    trp_commons_give(f->commons, &f->purse.account, p, sizeof text);
    forget_file(f);
}

static void the_next_process_sees_the_commons_too(void **state)
{
    struct fixture *f = *state;
    open_model(f, "echo", "input X FP32 [-1,2]\nfatal\nfail_every 2\n");
    struct trp_plot *p = take_common(f, 2 * sizeof(float));
    const struct troupe_tensor in = fp32((float *)(void *)p->ptr, 1, 2);
    memset(p->ptr, 0, 2 * sizeof(float));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run_patiently(f, &in), TRP_OK);
        assert_ptr_equal(f->out[0].data, p->ptr);
        assert_int_equal(run_patiently(f, &in), TRP_INTERNAL);
    }
    assert_int_equal(copied(f), 0);
    drop_outputs(f);
    trp_commons_give(f->commons, &f->purse.account, p, 2 * sizeof(float));
    forget_file(f);
}

/* As in this process: what was given back to the plugin, and what somebody has, is in the
 * account until a trim. */
static void what_runs_hold_there_is_in_the_account(void **state)
{
    struct fixture *f = *state;
    static const uint32_t first = 0;
    static float values[150000];
    const struct troupe_tensor in = fp32(values, 1, ARRAY_LEN(values));
    struct trp_account account;
    trp_account_init(&account, TRP_ACCOUNT_ACTIVATIONS, NULL, 4 << 20);
    struct troupe_run run = {
        .inputs_n = 1, .outputs_n = 1, .output_index = &first, .account = &account.plugin
    };
    open_model(f, "null", "input X FP32 [-1,-1]\noutput Y FP32 [-1,150000]\n");
    assert_int_equal(trp_backend_run(f->model, &run, &in, f->out, &f->err).code, TRP_OK);
    assert_true(trp_counter_get(&account.bytes) >= sizeof values);
    int32_t code = TRP_OK; /* nobody gives any back */
    struct troupe_tensor more[16] = { { .data = NULL } };
    uint32_t n = 0;
    while (n < ARRAY_LEN(more) && code == TRP_OK)
        code = trp_backend_run(f->model, &run, &in, &more[n++], &f->err).code;
    assert_int_equal(code, TRP_OUT_OF_MEMORY);
    assert_true(trp_counter_get(&account.bytes) <= 4 << 20);
    for (uint32_t i = 0; i + 1 < n; i++)
        more[i].release(more[i].release_user, more[i].data);
    drop_outputs(f);
    const int64_t until_ns = trp_clock_now_ns(trp_clock_system()) + PATIENCE_NS;
    while (trp_counter_get(&account.bytes) > 0 && trp_clock_now_ns(trp_clock_system()) < until_ns) {
        const struct timespec look = { .tv_nsec = TRP_MS(1) };
        trp_backend_trim(f->backends);
        (void)nanosleep(&look, NULL);
    }
    assert_int_equal(trp_counter_get(&account.bytes), 0);
    trp_account_deinit(&account);
    forget_file(f);
}

static void a_failure_comes_with_its_words(void **state)
{
    struct fixture *f = *state;
    float values[2] = { 7, 8 };
    const struct troupe_tensor in = fp32(values, 1, 2);
    open_model(f, "echo", "input X FP32 [-1,2]\nfail OUT_OF_RANGE the fan stopped\n");
    assert_int_equal(run_model(f, &in), TRP_OUT_OF_RANGE);
    assert_string_equal(f->err.text, "the fan stopped");
    forget_file(f);
}

static void a_model_that_does_not_open_says_why(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(try_open(f, "echo", "load_fail no luck today\n").code, TRP_INVALID_ARGUMENT);
    assert_string_equal(f->err.text, "no luck today");
    assert_int_equal(pid_of(f), 0);
    forget_file(f);
}

static void a_load_that_is_given_up_ends_its_process(void **state)
{
    struct fixture *f = *state;
    trp_flag_raise(&f->cancel);
    assert_int_equal(try_open(f, "echo", "load_sleep 100s\n").code, TRP_CANCELLED);
    assert_int_equal(pid_of(f), 0);
    forget_file(f);
}

/* ---- cancelling ---- */

struct canceller {
    struct fixture *f;
    struct trp_flag raised;
};

static void cancel_it(void *user)
{
    struct canceller *c = user;
    const struct timespec while_it_runs = { .tv_nsec = TRP_MS(20) };
    (void)nanosleep(&while_it_runs, NULL); /* before it runs is as good */
    trp_flag_raise(&c->raised);
    trp_backend_cancel(c->f->model, 77);
}

static void a_run_is_cancelled_there(void **state)
{
    struct fixture *f = *state;
    struct canceller c = { .f = f };
    struct trp_thread thread;
    float values[2] = { 7, 8 };
    const struct troupe_tensor in = fp32(values, 1, 2);
    struct troupe_run run = { .id = 77, .cancel = trp_flag_word(&c.raised) };
    open_model(f, "echo", "input X FP32 [-1,2]\nsleep 300s\n");
    assert_int_equal(trp_thread_start(&thread, "cancel", cancel_it, &c, &f->err).code, TRP_OK);
    const int32_t code = run_as(f, &run, &in, f->out, &f->err);
    trp_thread_join(&thread);
    assert_int_equal(code, TRP_CANCELLED);
    forget_file(f);
}

struct storm {
    struct fixture *f;
    struct trp_flag is_over;
};

static void cancel_all_the_time(void *user)
{
    struct storm *s = user;
    while (!trp_flag_is_up(&s->is_over))
        trp_backend_cancel(s->f->model, 77);
}

/* The lane is the same one: an order that is late must not reach who comes after. */
static void to_cancel_a_run_harms_no_other(void **state)
{
    struct fixture *f = *state;
    float values[3] = { 1, 2, 3 };
    struct storm s = { .f = f };
    struct trp_thread thread;
    const struct troupe_tensor in = fp32(values, 1, 3);
    open_model(f, "echo", "input IMAGE FP32 [-1,3]\nsleep 10us\n");
    assert_int_equal(trp_thread_start(&thread, "cancel", cancel_all_the_time, &s, &f->err).code,
                     TRP_OK);
    for (int i = 0; i < 1000; i++) {
        struct troupe_run one = { .id = 77 }, other = { .id = 78 };
        const int32_t code = run_as(f, &one, &in, f->out, &f->err);
        assert_true(code == TRP_OK || code == TRP_CANCELLED);
        drop_outputs(f);
        assert_int_equal(run_as(f, &other, &in, f->out, &f->err), TRP_OK);
        drop_outputs(f);
    }
    trp_flag_raise(&s.is_over);
    trp_thread_join(&thread);
    forget_file(f);
}

/* ---- the process ends ---- */

/* As no other can be started, it stays away. */
static void while_there_is_no_process_it_is_said_when_to_come_back(void **state)
{
    struct fixture *f = *state;
    float values[2] = { 7, 8 };
    const struct troupe_tensor in = fp32(values, 1, 2);
    const int64_t now_ns = trp_clock_now_ns(trp_clock_system());
    int32_t code;
    open_model(f, "echo", "input X FP32 [-1,2]\nfatal\nfail_every 1\n");
    forget_file(f);
    do {
        struct troupe_run run = { .id = 1, .deadline_ns = now_ns + 1 }; /* which does not wait */
        code = run_as(f, &run, &in, f->out, &f->err);
        assert_true(code == TRP_INTERNAL || code == TRP_UNAVAILABLE);
        if (code == TRP_INTERNAL)
            assert_int_equal(f->err.retry_after_ms, 0);
    } while (code != TRP_UNAVAILABLE &&
             trp_clock_now_ns(trp_clock_system()) < now_ns + PATIENCE_NS);
    assert_int_equal(code, TRP_UNAVAILABLE);
    assert_in_range(f->err.retry_after_ms, 1, 60000);
}

static void a_run_that_ends_its_process_fails_and_the_next_does_not(void **state)
{
    struct fixture *f = *state;
    float values[2] = { 7, 8 };
    const struct troupe_tensor in = fp32(values, 1, 2);
    open_model(f, "echo", "input X FP32 [-1,2]\nfatal\nfail_every 2\n");
    const pid_t first = pid_of(f);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run_patiently(f, &in), TRP_OK);
        assert_int_equal(run_patiently(f, &in), TRP_INTERNAL);
        assert_non_null(strstr(f->err.text, "SIGFPE"));
        assert_non_null(strstr(f->err.text, "m/1"));
    }
    assert_int_equal(run_patiently(f, &in), TRP_OK);
    assert_memory_equal(f->out[0].data, values, sizeof values);
    assert_int_not_equal(pid_of(f), first);
    assert_int_equal(trp_metrics_get(f->metrics, TRP_METRIC_WORKER_RESTARTS), 2);
    assert_int_equal(trp_metrics_get(f->metrics, TRP_METRIC_WORKERS), 1);
    forget_file(f);
}

static void a_process_that_somebody_kills_comes_back(void **state)
{
    struct fixture *f = *state;
    float values[2] = { 7, 8 };
    const struct troupe_tensor in = fp32(values, 1, 2);
    open_model(f, "echo", "input X FP32 [-1,2]\n");
    assert_int_equal(run_model(f, &in), TRP_OK); /* its output is kept over the end */
    const pid_t first = pid_of(f);
    const struct troupe_tensor kept = f->out[0];
    f->out[0] = (struct troupe_tensor){ .data = NULL };
    assert_int_equal(kill(first, SIGKILL), 0);
    const pid_t second = wait_for_other(f, first);
    assert_int_not_equal(second, 0);
    assert_int_not_equal(second, first);
    assert_int_equal(run_patiently(f, &in), TRP_OK);
    assert_memory_equal(kept.data, values, sizeof values);
    kept.release(kept.release_user, kept.data);
    forget_file(f);
}

static void a_signal_for_the_server_does_not_end_it(void **state)
{
    struct fixture *f = *state;
    float values[2] = { 7, 8 };
    const struct troupe_tensor in = fp32(values, 1, 2);
    open_model(f, "echo", "input X FP32 [-1,2]\n");
    const pid_t pid = pid_of(f);
    assert_int_equal(kill(pid, SIGINT), 0);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(run_model(f, &in), TRP_OK);
    assert_int_equal(pid_of(f), pid);
    forget_file(f);
}

/* How many threads of a process have turns of so many ns. */
static int count_turns(pid_t pid, uint64_t turn_ns)
{
    char path[64];
    int n = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *const tasks = opendir(path);
    assert_non_null(tasks);
    for (const struct dirent *d; (d = readdir(tasks)) != NULL;) {
        uint64_t attr[7] = { 0 }; /* struct sched_attr; its fourth word is sched_runtime */
        const long task = strtol(d->d_name, NULL, 10);
        n += task > 0 && syscall(SYS_sched_getattr, task, attr, sizeof attr, 0) == 0 &&
             attr[3] == turn_ns;
    }
    closedir(tasks);
    return n;
}

/* So that nobody wakes behind a run that nobody waits for, in that process either. */
static void a_run_there_has_the_turns_of_who_asks_for_it(void **state)
{
    struct fixture *f = *state;
    float values[2] = { 7, 8 };
    const struct troupe_tensor in = fp32(values, 1, 2);
    const uint64_t usual_ns = trp_thread_turn_ns(), long_ns = TRP_MS(17);
    open_model(f, "echo", "input X FP32 [-1,2]\n");
    trp_thread_take_turns(long_ns);
    if (trp_thread_turn_ns() == long_ns) { /* Linux 6.12 or later */
        assert_int_equal(count_turns(pid_of(f), long_ns), 0);
        assert_int_equal(run_model(f, &in), TRP_OK);
        assert_int_equal(count_turns(pid_of(f), long_ns), 1);
    }
    trp_thread_take_turns(0);
    assert_int_equal(trp_thread_turn_ns(), usual_ns);
    assert_int_equal(run_model(f, &in), TRP_OK);
    assert_int_equal(count_turns(pid_of(f), long_ns), 0);
    forget_file(f);
}

/* Its file is gone: no other process opens it, and closing does not wait for one. */
static void a_model_is_closed_while_its_process_cannot_come_back(void **state)
{
    struct fixture *f = *state;
    float values[2] = { 7, 8 };
    const struct troupe_tensor in = fp32(values, 1, 2);
    open_model(f, "echo", "input X FP32 [-1,2]\nfatal\n");
    forget_file(f);
    assert_int_equal(run_model(f, &in), TRP_INTERNAL);
    int32_t code = TRP_UNAVAILABLE;
    struct troupe_run hurried = { .id = 2,
                                  .deadline_ns =
                                      trp_clock_now_ns(trp_clock_system()) + TRP_MS(300) };
    code = run_as(f, &hurried, &in, f->out, &f->err);
    assert_int_equal(code, TRP_UNAVAILABLE);
}

/* ---- side by side ---- */

#define RUNNERS 6
#define RUNS 60

struct runner {
    struct fixture *f;
    uint32_t index, wrong, failed;
};

static void run_often(void *user)
{
    struct runner *r = user;
    static const uint32_t first = 0;
    for (uint32_t i = 0; i < RUNS; i++) {
        float values[64];
        struct troupe_tensor out = { .data = NULL };
        struct trp_error err;
        struct troupe_run run = {
            .id = r->index * RUNS + i + 10, .inputs_n = 1, .outputs_n = 1, .output_index = &first
        };
        for (uint32_t k = 0; k < ARRAY_LEN(values); k++)
            values[k] = (float)(r->index * 1000 + i + k);
        const struct troupe_tensor in = fp32(values, 1, ARRAY_LEN(values));
        if (trp_failed(trp_backend_run(r->f->model, &run, &in, &out, &err))) {
            r->failed++;
            continue;
        }
        if (out.bytes != sizeof values || memcmp(out.data, values, sizeof values) != 0)
            r->wrong++;
        if (out.release)
            out.release(out.release_user, out.data);
    }
}

static void runs_go_on_side_by_side(void **state)
{
    struct fixture *f = *state;
    struct runner runners[RUNNERS];
    struct trp_thread threads[RUNNERS];
    open_model(f, "echo", "input X FP32 [-1,-1]\n");
    for (uint32_t i = 0; i < RUNNERS; i++) {
        runners[i] = (struct runner){ .f = f, .index = i };
        (void)trp_thread_start(&threads[i], "runner", run_often, &runners[i], &f->err);
    }
    for (uint32_t i = 0; i < RUNNERS; i++)
        trp_thread_join(&threads[i]);
    for (uint32_t i = 0; i < RUNNERS; i++) {
        assert_int_equal(runners[i].wrong, 0);
        assert_int_equal(runners[i].failed, 0);
    }
    forget_file(f);
}

static void what_ends_one_harms_no_other_answer(void **state)
{
    struct fixture *f = *state;
    struct runner runners[RUNNERS];
    struct trp_thread threads[RUNNERS];
    open_model(f, "echo", "input X FP32 [-1,-1]\nfatal\nfail_every 50\n");
    for (uint32_t i = 0; i < RUNNERS; i++) {
        runners[i] = (struct runner){ .f = f, .index = i };
        (void)trp_thread_start(&threads[i], "runner", run_often, &runners[i], &f->err);
    }
    for (uint32_t i = 0; i < RUNNERS; i++)
        trp_thread_join(&threads[i]);
    for (uint32_t i = 0; i < RUNNERS; i++)
        assert_int_equal(runners[i].wrong, 0);
    assert_true(trp_metrics_get(f->metrics, TRP_METRIC_WORKER_RESTARTS) >= 1);
    forget_file(f);
}

/* As when there is no memory for its stack: the process goes on, and so does whoever has a lane
 * already. */
static void a_process_without_a_thread_for_a_run_refuses_it_and_goes_on(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    (void)state;
    skip(); /* they take memory for themselves */
#else
    struct fixture *f = *state;
    float values[2] = { 7, 8 };
    const struct troupe_tensor in = fp32(values, 1, 2);
    struct rlimit before, none;
    open_model(f, "echo", "input X FP32 [-1,2]\n");
    const pid_t pid = pid_of(f);
    assert_int_equal(prlimit(pid, RLIMIT_AS, NULL, &before), 0);
    none = (struct rlimit){ 1, before.rlim_max };
    assert_int_equal(prlimit(pid, RLIMIT_AS, &none, NULL), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(run_model(f, &in), TRP_UNAVAILABLE);
        assert_non_null(strstr(f->err.text, "no room for another run"));
    }
    assert_int_equal(prlimit(pid, RLIMIT_AS, &before, NULL), 0);
    assert_int_equal(run_model(f, &in), TRP_OK);
    assert_memory_equal(f->out[0].data, values, sizeof values);
    assert_int_equal(pid_of(f), pid);
    assert_int_equal(trp_metrics_get(f->metrics, TRP_METRIC_WORKER_RESTARTS), 0);
    forget_file(f);
#endif
}

static void only_a_failure_of_the_files_makes_the_next_one_do_without_them(void **state)
{
    static const struct row {
        enum trp_code opening;
        const char *words;
        bool is_blamed;
    } rows[] = {
        { TRP_OK, "ended", false },
        { TRP_OK, "ended by SIGKILL (Killed)", false },
        { TRP_OK, "ended by SIGSEGV (Segmentation fault)", false }, /* a request did that */
        { TRP_OK, "ended by SIGBUS (Bus error)", true },
        { TRP_OUT_OF_MEMORY, "ended", false },
        { TRP_OVER_BUDGET, "ended", false },
        { TRP_CANCELLED, "ended", false },
        { TRP_UNAVAILABLE, "ended", false }, /* it took too long */
        { TRP_UNAVAILABLE, "ended by SIGKILL (Killed)", false },
        { TRP_UNAVAILABLE, "ended by SIGTERM (Terminated)", false },
        { TRP_UNAVAILABLE, "ended by SIGSEGV (Segmentation fault)", true },
        { TRP_UNAVAILABLE, "ended by SIGBUS (Bus error)", true },
        { TRP_INVALID_ARGUMENT, "ended", true },
        { TRP_BACKEND_FAILED, "ended", true },
        { TRP_IO, "ended", true },
        { TRP_NOT_FOUND, "ended", true },
        { TRP_FAILED_PRECONDITION, "ended", true },
    };
    (void)state;
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("%d, %s\n", (int)r->opening, r->words);
        assert_int_equal(trp_worker_blames_files(r->opening, r->words), r->is_blamed);
    }
}

static void without_a_program_nothing_is_isolated(void **state)
{
    struct trp_backends *all = NULL;
    struct trp_backend *b, *isolated = NULL;
    struct trp_error err;
    const struct trp_backends_opts opts = { .clock = trp_clock_system() };
    (void)state;
    assert_int_equal(trp_backends_create(trp_heap(), &opts, &all, &err).code, TRP_OK);
    assert_false(trp_backends_can_isolate(all));
    assert_int_equal(trp_backends_get(all, TRP_STR_LIT("echo"), &b, &err).code, TRP_OK);
    const int32_t code = trp_backends_isolate(all, b, &isolated, &err).code;
    trp_backends_destroy(all);
    assert_int_equal(code, TRP_UNIMPLEMENTED);
}

#define ISOLATED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "worker") == 0)
        return trp_worker_main_run(TRP_WORKER_FD);
    let_children_die();
    const struct CMUnitTest tests[] = {
        ISOLATED(a_worker_answers_as_the_backend_does),
        ISOLATED(strings_are_out_of_the_workers_reach),
        ISOLATED(labels_and_optional_inputs_are_told),
        ISOLATED(outputs_outlive_the_model),
        ISOLATED(many_runs_take_no_more_than_one),
        ISOLATED(an_input_in_the_commons_is_looked_at_where_it_lies),
        ISOLATED(what_does_not_fit_between_the_two_is_refused_and_counted),
        ISOLATED(some_inputs_are_copied_and_others_not),
        ISOLATED(strings_in_the_commons_are_not_copied_either),
        ISOLATED(the_next_process_sees_the_commons_too),
        ISOLATED(what_runs_hold_there_is_in_the_account),
        ISOLATED(a_failure_comes_with_its_words),
        ISOLATED(a_model_that_does_not_open_says_why),
        ISOLATED(a_load_that_is_given_up_ends_its_process),
        ISOLATED(a_run_is_cancelled_there),
        ISOLATED(to_cancel_a_run_harms_no_other),
        ISOLATED(a_run_that_ends_its_process_fails_and_the_next_does_not),
        ISOLATED(while_there_is_no_process_it_is_said_when_to_come_back),
        ISOLATED(a_process_that_somebody_kills_comes_back),
        ISOLATED(a_signal_for_the_server_does_not_end_it),
        ISOLATED(a_run_there_has_the_turns_of_who_asks_for_it),
        ISOLATED(a_model_is_closed_while_its_process_cannot_come_back),
        ISOLATED(runs_go_on_side_by_side),
        ISOLATED(what_ends_one_harms_no_other_answer),
        ISOLATED(a_process_without_a_thread_for_a_run_refuses_it_and_goes_on),
        cmocka_unit_test(only_a_failure_of_the_files_makes_the_next_one_do_without_them),
        cmocka_unit_test(without_a_program_nothing_is_isolated),
    };
    return cmocka_run_group_tests_name("isolation", tests, NULL, NULL);
}
