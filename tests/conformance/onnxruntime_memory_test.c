/* tests/conformance/onnxruntime_memory_test.c - every byte of weights, activations and outputs is
 * in an account, goes back when nobody needs it, and is refused with numbers when it may not be
 * had. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <time.h>

#include "base/thread.h"
#include "onnxruntime_fixture.h"

#define SIDE 512
#define WEIGHT_BYTES (SIDE * SIDE * sizeof(float))
#define ROWS 256
#define ROWS_BYTES (ROWS * SIDE * sizeof(float))

static uint64_t held(void)
{
    return trp_counter_get(&h.account.bytes);
}

/* y [-1, 512] = relu(x [-1, 512] . w [512, 512]) . w */
static void write_wide(const char *name)
{
    struct onnx g = { 0 };
    float *w = calloc(SIDE * SIDE, sizeof *w);
    assert_non_null(w);
    for (int i = 0; i < SIDE; i++)
        w[i * SIDE + i] = 2;
    onnx_simple(&g, "MatMul", "x w", "a");
    onnx_simple(&g, "Relu", "a", "b");
    onnx_simple(&g, "MatMul", "b w", "y");
    onnx_input(&g, "x", ONNX_FLOAT, 2, DIMS(-1, SIDE));
    onnx_output(&g, "y", ONNX_FLOAT, 2, DIMS(-1, SIDE));
    onnx_initializer(&g, "w", ONNX_FLOAT, 2, DIMS(SIDE, SIDE), w, WEIGHT_BYTES);
    onnx_save(&g, harness_path(&h, name));
    free(w);
}

static float rows[ROWS * SIDE];

static trp_status run_rows(struct subject *s, int64_t n)
{
    for (int i = 0; i < ROWS * SIDE; i++)
        rows[i] = (float)(i % 7);
    subject_send(s, 0, TROUPE_FP32, rows, (uint64_t)n * SIDE * sizeof(float), 2, DIMS(n, SIDE));
    return subject_run(s);
}

static struct subject *open_with(const char *name, const struct troupe_option *option)
{
    struct subject *s;
    const struct troupe_model_desc desc = { .options = option, .options_n = option ? 1 : 0 };
    assert_int_equal(subject_try_open(&h, name, desc, &s).code, TRP_OK);
    return s;
}

static void trim_twice(void)
{
    trp_backend_trim(h.backends);
    trp_backend_trim(h.backends);
}

static void weights_are_in_the_account_until_the_model_is_closed(void **state)
{
    (void)state;
    write_wide("wide.onnx");
    struct subject *s = subject_open(&h, "wide.onnx");
    assert_in_range(held(), WEIGHT_BYTES, 4 * WEIGHT_BYTES);
    subject_close(s);
    assert_int_equal(held(), 0);
}

static void activations_and_outputs_are_in_the_account(void **state)
{
    (void)state;
    write_wide("wide.onnx");
    struct subject *s = subject_open(&h, "wide.onnx");
    const uint64_t idle = held();
    assert_int_equal(run_rows(s, ROWS).code, TRP_OK);
    assert_true(((float *)s->out[0].data)[1] == 4);
    assert_true(held() >= idle + 2 * ROWS_BYTES); /* the output, and what the run left behind */
    subject_release(s);
    assert_in_range(held(), idle + ROWS_BYTES, idle + 4 * ROWS_BYTES);
    trim_twice();
    assert_int_equal(held(), idle);
    subject_close(s);
}

static void what_a_run_left_behind_serves_the_next(void **state)
{
    (void)state;
    write_wide("wide.onnx");
    struct subject *s = subject_open(&h, "wide.onnx");
    uint64_t after = 0;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(run_rows(s, ROWS - i % 3).code, TRP_OK);
        subject_release(s);
        trp_backend_trim(h.backends); /* in use between two of these, so nothing goes */
        if (i == 5)
            after = held();
        assert_true(i < 5 || held() <= after);
    }
    subject_close(s);
}

/* Pages that are mapped and cleared anew for each answer cost an eighth of a run of 2 ms. */
static void an_output_that_came_back_is_the_next_ones_memory(void **state)
{
    (void)state;
    write_wide("wide.onnx");
    struct subject *s = subject_open(&h, "wide.onnx");
    const uint64_t idle = held();
    assert_int_equal(run_rows(s, ROWS).code, TRP_OK);
    const struct troupe_tensor first = s->out[0]; /* which its owner still looks at */
    s->out[0] = (struct troupe_tensor){ 0 };
    assert_int_equal(run_rows(s, ROWS).code, TRP_OK);
    assert_ptr_not_equal(s->out[0].data, first.data);
    const uint64_t both = held();
    first.release(first.release_user, first.data);
    assert_int_equal(held(), both); /* it waits, and is paid for */
    subject_release(s);
    assert_int_equal(run_rows(s, ROWS - 1).code, TRP_OK);
    assert_true(((float *)s->out[0].data)[1] == 4);
    assert_int_equal(held(), both);
    subject_release(s);
    trim_twice();
    assert_int_equal(held(), idle);
    subject_close(s);
}

static void an_output_may_come_back_when_its_model_is_closed(void **state)
{
    (void)state;
    write_wide("wide.onnx");
    struct subject *s = subject_open(&h, "wide.onnx");
    assert_int_equal(run_rows(s, ROWS).code, TRP_OK);
    const struct troupe_tensor late = s->out[0];
    s->out[0] = (struct troupe_tensor){ 0 };
    subject_close(s);
    assert_in_range(held(), ROWS_BYTES, 2 * ROWS_BYTES);
    late.release(late.release_user, late.data);
    assert_int_equal(held(), 0);
}

static void outputs_that_would_fill_more_than_a_home_go_at_once(void **state)
{
    (void)state;
    enum { OUT = 24 }; /* of half a MiB */
    struct troupe_tensor out[OUT];
    write_wide("wide.onnx");
    struct subject *s = subject_open(&h, "wide.onnx");
    for (int i = 0; i < OUT; i++) {
        assert_int_equal(run_rows(s, ROWS).code, TRP_OK);
        out[i] = s->out[0];
        s->out[0] = (struct troupe_tensor){ 0 };
    }
    const uint64_t all = held();
    for (int i = 0; i < OUT; i++)
        out[i].release(out[i].release_user, out[i].data);
    assert_true(held() <= all - 8 * ROWS_BYTES);
    assert_true(held() > all - OUT * ROWS_BYTES);
    subject_close(s);
    assert_int_equal(held(), 0);
}

/* y [-1, 4] = x [-1, 512] . w0 . w1 ...: what a run holds changes its size all the time. */
static void write_uneven(const char *name)
{
    static const int64_t widths[] = { SIDE, 2048, 96, 1500, 40, 700, 4 };
    static const char *const links[] = { "x w0", "a w1", "b w2", "c w3", "d w4", "e w5" };
    static const char *const outs[] = { "a", "b", "c", "d", "e", "y" };
    static const char *const names[] = { "w0", "w1", "w2", "w3", "w4", "w5" };
    struct onnx g = { 0 };
    float *w = calloc(SIDE * 2048, sizeof *w);
    assert_non_null(w);
    onnx_input(&g, "x", ONNX_FLOAT, 2, DIMS(-1, SIDE));
    onnx_output(&g, "y", ONNX_FLOAT, 2, DIMS(-1, 4));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        onnx_simple(&g, "MatMul", links[i], outs[i]);
        onnx_initializer(&g, names[i], ONNX_FLOAT, 2, DIMS(widths[i], widths[i + 1]), w,
                         (size_t)(widths[i] * widths[i + 1]) * sizeof *w);
    }
    onnx_save(&g, harness_path(&h, name));
    free(w);
}

struct counting {
    struct troupe_account face;
    uint32_t allocs;
};

static void *counted_alloc(void *user, uint64_t bytes, uint64_t align)
{
    struct counting *c = user;
    c->allocs++;
    return h.account.plugin.alloc(h.account.plugin.user, bytes, align);
}

static void counted_free(void *user, void *block, uint64_t bytes)
{
    (void)user;
    h.account.plugin.free(h.account.plugin.user, block, bytes);
}

static void what_runs_no_longer_want_makes_room_for_what_they_do(void **state)
{
    (void)state;
    static struct counting c = { .face = { .struct_size = sizeof c.face,
                                           .user = &c,
                                           .alloc = counted_alloc,
                                           .free = counted_free } };
    write_uneven("uneven.onnx");
    struct subject *s = subject_open(&h, "uneven.onnx");
    s->run.account = &c.face;
    for (int i = 0; i < 12; i++) {
        const int64_t n = i < 6 ? ROWS : ROWS / 2 + 1;
        c.allocs = 0;
        assert_int_equal(run_rows(s, n).code, TRP_OK);
        subject_release(s);
        if (i % 6 > 3)
            assert_int_equal(c.allocs, 1); /* the output: it left */
    }
    subject_close(s);
}

static void an_owner_may_keep_the_memory_of_runs_or_never(void **state)
{
    static const struct troupe_option keep = { "enable_mem_arena", "1" };
    static const struct troupe_option shrink = { "memory.enable_memory_arena_shrinkage", "cpu:0" };
    (void)state;
    write_wide("wide.onnx");
    struct subject *s = open_with("wide.onnx", &keep);
    const uint64_t idle = held();
    assert_int_equal(run_rows(s, ROWS).code, TRP_OK);
    subject_release(s);
    trim_twice();
    assert_true(held() >= idle + ROWS_BYTES);
    subject_close(s);
    assert_int_equal(held(), 0);
    s = open_with("wide.onnx", &shrink);
    const uint64_t before = held();
    assert_int_equal(run_rows(s, ROWS).code, TRP_OK);
    subject_release(s);
    assert_int_equal(held(), before);
    subject_close(s);
}

static void a_load_that_the_account_refuses_fails_with_the_numbers(void **state)
{
    (void)state;
    struct subject *s;
    write_wide("wide.onnx");
    h.account.limit = WEIGHT_BYTES / 2;
    assert_int_equal(subject_try_open(&h, "wide.onnx", (struct troupe_model_desc){ 0 }, &s).code,
                     TRP_OUT_OF_MEMORY);
    assert_non_null(strstr(h.err.text, "1048576 more were refused"));
    assert_int_equal(held(), 0);
}

static void a_run_that_the_account_refuses_fails_and_the_next_one_runs(void **state)
{
    (void)state;
    write_wide("wide.onnx");
    struct subject *s = subject_open(&h, "wide.onnx");
    const uint64_t idle = held();
    h.account.limit = idle + ROWS_BYTES;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(run_rows(s, ROWS).code, TRP_OUT_OF_MEMORY);
        assert_non_null(strstr(h.err.text, "more were refused"));
        assert_int_equal(run_rows(s, 8).code, TRP_OK);
        assert_true(((float *)s->out[0].data)[1] == 4);
        subject_release(s);
    }
    trim_twice();
    assert_int_equal(held(), idle);
    subject_close(s);
}

static void a_run_may_hold_what_its_limit_says_and_no_more(void **state)
{
    (void)state;
    write_wide("wide.onnx");
    struct subject *s = subject_open(&h, "wide.onnx");
    s->run.memory_bytes_max = ROWS_BYTES;
    assert_int_equal(run_rows(s, ROWS).code, TRP_TOO_LARGE);
    assert_non_null(strstr(h.err.text, "a run may hold 524288"));
    assert_int_equal(run_rows(s, ROWS / 8).code, TRP_OK);
    subject_release(s);
    s->run.memory_bytes_max = 8 * ROWS_BYTES;
    assert_int_equal(run_rows(s, ROWS).code, TRP_OK);
    subject_close(s);
}

/* A few bytes that ask for terabytes, which the heap would promise. */
static void an_output_that_explodes_is_refused_before_it_is_filled(void **state)
{
    (void)state;
    struct onnx g = { 0 };
    const float x = 1;
    const int64_t shape[3] = { 1000, 1000, 100000 };
    onnx_simple(&g, "Expand", "x to", "y");
    onnx_input(&g, "x", ONNX_FLOAT, 1, DIMS(1));
    onnx_input(&g, "to", ONNX_INT64, 1, DIMS(-1));
    onnx_output(&g, "y", ONNX_FLOAT, ONNX_ANY_RANK, NULL);
    onnx_save(&g, harness_path(&h, "explodes.onnx"));
    struct subject *s = subject_open(&h, "explodes.onnx");
    s->run.memory_bytes_max = UINT64_C(1) << 30;
    subject_send(s, 0, TROUPE_FP32, &x, sizeof x, 1, DIMS(1));
    subject_send(s, 1, TROUPE_INT64, shape, sizeof shape, 1, DIMS(3));
    assert_int_equal(subject_run(s).code, TRP_TOO_LARGE);
    assert_non_null(strstr(h.err.text, "asked for 400000000000 more"));
    subject_close(s);
}

/* The table of a tensor of strings is memory like any other. */
static void strings_are_counted(void **state)
{
    (void)state;
    struct onnx g = { 0 };
    enum { N = 4096 };
    static uint8_t empty[4 * N];
    onnx_simple(&g, "Identity", "x", "y");
    onnx_input(&g, "x", ONNX_STRING, 1, DIMS(-1));
    onnx_output(&g, "y", ONNX_STRING, 1, DIMS(-1));
    onnx_save(&g, harness_path(&h, "strings.onnx"));
    struct subject *s = subject_open(&h, "strings.onnx");
    s->run.memory_bytes_max = 32 * N;
    subject_send(s, 0, TROUPE_BYTES, empty, sizeof empty, 1, DIMS(N));
    assert_int_equal(subject_run(s).code, TRP_TOO_LARGE);
    s->run.memory_bytes_max = 0;
    assert_int_equal(subject_run(s).code, TRP_OK);
    subject_close(s);
    assert_int_equal(held(), 0);
}

/* An account that lets nobody go on until two threads have come. */
struct rendezvous {
    struct troupe_account face;
    struct trp_counter came;
};

static void *alloc_together(void *user, uint64_t bytes, uint64_t align)
{
    struct rendezvous *m = user;
    trp_counter_add(&m->came, 1);
    for (int i = 0; trp_counter_get(&m->came) < 2 && i < 30000; i++)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    return h.account.plugin.alloc(h.account.plugin.user, bytes, align);
}

static void run_once(void *user)
{
    struct subject *s = user;
    struct trp_error err;
    (void)trp_backend_run(s->model, &s->run, s->in, s->out, &err);
    subject_release(s);
}

/* Memory of two runs is kept, each where the other does not look. */
static void what_others_keep_is_given_up_for_a_run_that_is_refused(void **state)
{
    (void)state;
    static struct rendezvous rendezvous;
    struct trp_thread thread;
    uint64_t peak = 0;
    rendezvous = (struct rendezvous){ .face = { sizeof rendezvous.face, &rendezvous, alloc_together,
                                                counted_free } };
    write_wide("wide.onnx");
    struct subject *s = subject_open(&h, "wide.onnx");
    const uint64_t idle = held();
    s->run.out_peak_bytes = &peak;
    assert_int_equal(run_rows(s, ROWS).code, TRP_OK);
    subject_release(s);
    trim_twice();
    assert_int_equal(held(), idle);
    s->run.out_peak_bytes = NULL;
    s->run.account = &rendezvous.face;
    struct subject copy = *s;
    subject_send(s, 0, TROUPE_FP32, rows, ROWS / 2 * SIDE * sizeof(float), 2, DIMS(ROWS / 2, SIDE));
    subject_send(&copy, 0, TROUPE_FP32, rows, ROWS / 2 * SIDE * sizeof(float), 2,
                 DIMS(ROWS / 2, SIDE));
    assert_false(trp_failed(trp_thread_start(&thread, "other", run_once, &copy, NULL)));
    run_once(s);
    trp_thread_join(&thread);
    const uint64_t kept = held() - idle;
    assert_true(kept >= ROWS_BYTES);
    h.account.limit = idle + peak + 1024; /* less than both: what the other thread left has to go */
    assert_int_equal(run_rows(s, ROWS).code, TRP_OK);
    subject_release(s);
    subject_close(s);
}

/* --- many at once ----------------------------------------------------------------------------- */

struct worker {
    struct trp_thread thread;
    struct subject copy; /* the same model, tensors of its own */
    trp_status first;    /* failure; told by whoever joins: a test fails on its own thread only */
};

static void work(void *arg)
{
    struct worker *w = arg;
    struct subject *s = &w->copy;
    struct trp_error err;
    w->first = trp_ok();
    for (int i = 0; i < 200 && !trp_failed(w->first); i++) {
        w->first = trp_backend_run(s->model, &s->run, s->in, s->out, &err);
        subject_release(s);
    }
}

static void runs_side_by_side_and_a_trim_among_them_lose_nothing(void **state)
{
    (void)state;
    static struct worker workers[4];
    write_wide("wide.onnx");
    struct subject *s = subject_open(&h, "wide.onnx");
    const uint64_t idle = held();
    assert_int_equal(run_rows(s, 4).code, TRP_OK);
    subject_release(s);
    for (size_t i = 0; i < ARRAY_LEN(workers); i++) {
        struct worker *w = &workers[i];
        w->copy = *s;
        w->copy.run.id = i + 2;
        w->copy.run.output_index = w->copy.wanted;
        assert_int_equal(trp_thread_start(&w->thread, "worker", work, w, NULL).code, TRP_OK);
    }
    for (int i = 0; i < 50; i++)
        trp_backend_trim(h.backends);
    for (size_t i = 0; i < ARRAY_LEN(workers); i++)
        trp_thread_join(&workers[i].thread);
    for (size_t i = 0; i < ARRAY_LEN(workers); i++)
        assert_int_equal(workers[i].first.code, TRP_OK);
    trim_twice();
    assert_int_equal(held(), idle);
    subject_close(s);
    assert_int_equal(held(), 0);
}

/* --- a trim and a close meet
 * ------------------------------------------------------------------- */

/* Runs are paid by this account, and what the trimming thread gives back to it is slow to
 * arrive. */
struct meeting {
    struct troupe_account face;
    struct trp_thread trimmer;
    struct trp_flag is_slow, in_hand, is_back, is_closed;
};

static void slow_free(void *user, void *block, uint64_t bytes)
{
    struct meeting *c = user;
    if (trp_flag_is_up(&c->is_slow) && !trp_flag_is_up(&c->in_hand)) {
        trp_flag_raise(&c->in_hand);
        for (int ms = 0; ms < 200 && !trp_flag_is_up(&c->is_closed); ms++)
            (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        trp_flag_raise(&c->is_back);
    }
    h.account.plugin.free(h.account.plugin.user, block, bytes);
}

static void *plain_alloc(void *user, uint64_t bytes, uint64_t align)
{
    (void)user;
    return h.account.plugin.alloc(h.account.plugin.user, bytes, align);
}

static void trim_once(void *user)
{
    (void)user;
    trp_backend_trim(h.backends);
}

/* Accounts end with their model: close() must not return while a trim has its memory in hand. */
static void what_a_trim_took_is_back_when_the_model_is_closed(void **state)
{
    (void)state;
    static struct meeting c = { .face = { .struct_size = sizeof c.face,
                                          .user = &c,
                                          .alloc = plain_alloc,
                                          .free = slow_free } };
    write_wide("wide.onnx");
    struct subject *s = subject_open(&h, "wide.onnx");
    s->run.account = &c.face;
    assert_int_equal(run_rows(s, ROWS).code, TRP_OK);
    subject_release(s);
    trp_backend_trim(h.backends); /* the next one takes it */
    trp_flag_raise(&c.is_slow);
    assert_int_equal(trp_thread_start(&c.trimmer, "trimmer", trim_once, &c, NULL).code, TRP_OK);
    for (int ms = 0; ms < 30000 && !trp_flag_is_up(&c.in_hand); ms++)
        (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    subject_close(s);
    const bool was_back = trp_flag_is_up(&c.is_back);
    const uint64_t left = held();
    trp_flag_raise(&c.is_closed);
    trp_thread_join(&c.trimmer);
    assert_true(trp_flag_is_up(&c.in_hand));
    assert_true(was_back);
    assert_int_equal(left, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, close_what_is_open)
    const struct CMUnitTest tests[] = {
        TEST(weights_are_in_the_account_until_the_model_is_closed),
        TEST(activations_and_outputs_are_in_the_account),
        TEST(what_a_run_left_behind_serves_the_next),
        TEST(an_output_that_came_back_is_the_next_ones_memory),
        TEST(an_output_may_come_back_when_its_model_is_closed),
        TEST(outputs_that_would_fill_more_than_a_home_go_at_once),
        TEST(what_runs_no_longer_want_makes_room_for_what_they_do),
        TEST(an_owner_may_keep_the_memory_of_runs_or_never),
        TEST(a_load_that_the_account_refuses_fails_with_the_numbers),
        TEST(a_run_that_the_account_refuses_fails_and_the_next_one_runs),
        TEST(a_run_may_hold_what_its_limit_says_and_no_more),
        TEST(an_output_that_explodes_is_refused_before_it_is_filled),
        TEST(strings_are_counted),
        TEST(what_others_keep_is_given_up_for_a_run_that_is_refused),
        TEST(runs_side_by_side_and_a_trim_among_them_lose_nothing),
        TEST(what_a_trim_took_is_back_when_the_model_is_closed),
    };
    return cmocka_run_group_tests_name("onnxruntime_memory", tests, open_onnxruntime,
                                       close_onnxruntime);
}
