/* tests/unit/backend/script_test.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/script.h"
#include "base/clock.h"
#include "base/file.h"
#include "scratch.h"

/* A clock that jumps a millisecond each time it is read, so that nothing here really waits; it
 * tells somebody that it was read. */
struct jumpy {
    int64_t now_ns;
    int reads;
    sem_t *tell; /* NULL: nobody */
};
static int64_t jump(void *user)
{
    struct jumpy *c = user;
    c->reads++;
    if (c->tell)
        (void)sem_post(c->tell);
    return c->now_ns += TRP_MS(1);
}

static struct troupe_host host_of(struct jumpy *clock)
{
    return (struct troupe_host){
        TROUPE_BACKEND_ABI, sizeof(struct troupe_host), clock, NULL, jump, NULL
    };
}

static trp_status accept(struct trp_script *script, struct trp_error *err)
{
    (void)script;
    (void)err;
    return trp_ok();
}

static int32_t open_text(const char *text, const struct troupe_host *host, bool is_open,
                         struct trp_script **out, struct troupe_error *error)
{
    char path[SCRATCH_PATH_MAX];
    const int fd = scratch_file(path, "script");
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    const struct troupe_model_desc desc = { .struct_size = sizeof desc, .path = path };
    const int32_t code = trp_script_open(host, &desc, is_open, accept, out, error);
    unlink(path);
    return code;
}

static void an_empty_file_is_a_model_with_one_input(void **state)
{
    (void)state;
    struct jumpy clock = { 0 };
    const struct troupe_host host = host_of(&clock);
    struct troupe_error error = { 0 };
    struct trp_script *s;
    assert_int_equal(open_text("", &host, true, &s, &error), TROUPE_OK);
    assert_int_equal(s->inputs_n, 1);
    assert_string_equal(s->inputs[0].name, "INPUT0");
    assert_int_equal(s->inputs[0].dtype, TROUPE_FP32);
    assert_int_equal(s->inputs[0].rank, 2);
    assert_int_equal(s->inputs[0].dims[1], -1);
    assert_int_equal(s->grow, 1);
    trp_script_close(s);
}

static void every_word_is_read(void **state)
{
    (void)state;
    struct jumpy clock = { 0 };
    const struct troupe_host host = host_of(&clock);
    struct troupe_error error = { 0 };
    struct trp_script *s;
    const char *text = "# a comment\r\n"
                       "input a INT64 [] optional\n"
                       "input b BYTES *\n"
                       "  output y FP16 [-1,3]   labels=cat,dog,,cow\n"
                       "\n"
                       "sleep 50ms\n"
                       "until /tmp/run\n"
                       "busy 7us\n"
                       "fail UNAVAILABLE the fan stopped\n"
                       "fail_every 3\n"
                       "load_sleep 2s\n"
                       "load_until /tmp/a load\n"
                       "load_fail never\n"
                       "grow 1000\n"
                       "device where\n"
                       "threads shared";
    assert_int_equal(open_text(text, &host, false, &s, &error), TROUPE_OK);
    assert_int_equal(s->inputs_n, 2);
    assert_int_equal(s->inputs[0].rank, 0);
    assert_int_equal(s->inputs[0].optional, 1);
    assert_int_equal(s->inputs[1].any_rank, 1);
    assert_int_equal(s->inputs[1].dtype, TROUPE_BYTES);
    assert_int_equal(s->outputs[0].dims[0], -1);
    assert_int_equal(s->outputs[0].dims[1], 3);
    assert_int_equal(s->outputs[0].labels_n, 4);
    assert_string_equal(s->outputs[0].labels[1], "dog");
    assert_string_equal(s->outputs[0].labels[2], "");
    assert_int_equal(s->sleep_ns, TRP_MS(50));
    assert_int_equal(s->busy_ns, TRP_US(7));
    assert_int_equal(s->load_sleep_ns, TRP_S(2));
    assert_string_equal(s->until_file, "/tmp/run");
    assert_string_equal(s->load_until_file, "/tmp/a load");
    assert_int_equal(s->fail_code, TROUPE_UNAVAILABLE);
    assert_string_equal(s->fail_text, "the fan stopped");
    assert_int_equal(s->fail_every, 3);
    assert_string_equal(s->load_fail, "never");
    assert_int_equal(s->grow, 1000);
    assert_string_equal(s->device_output, "where");
    assert_int_equal(s->threads, TROUPE_THREADS_SHARED);
    trp_script_close(s);
}

static void what_cannot_be_read_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct row {
        const char *text, *words;
    } rows[] = {
        { "\n\nfrobnicate 3", ":3: unknown word 'frobnicate'" },
        { "input x FP33 [1]", ":1: 'FP33' is no type" },
        { "input x FP32 [1", ":1: '[1' is no list of sizes" },
        { "input x FP32 [-2]", "is no list of sizes" },
        { "input x FP32 [1,,2]", "is no list of sizes" },
        { "input x FP32 [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "is no list of sizes" },
        { "input x FP32", "'' is no list of sizes" },
        { "input x FP32 [1] labels=a", "'labels=a' is not understood here" },
        { "output x FP32 [1] optional", "'optional' is not understood here" },
        { "sleep 5", "'5' is no duration" },
        { "until", "belongs a file's name" },
        { "load_until ", "belongs a file's name" },
        { "sleep 99999999999999999999s", "is no duration" },
        { "busy 18446744073s", "is no duration" },
        { "fail OK fine", "'OK' is no code" },
        { "fail SOMEHOW", "'SOMEHOW' is no code" },
        { "fail_every 0", "'0' is no number from 1" },
        { "grow many", "'many' is no number from 1" },
        { "threads two", "threads are one or shared" },
        { "device", "behind device belongs the name of an output" },
        { "device a b", "behind device belongs the name of an output" },
        { "threads shared", "opened the other way" },
    };
    struct jumpy clock = { 0 };
    const struct troupe_host host = host_of(&clock);
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct troupe_error error = { 0 };
        struct trp_script *s;
        assert_int_equal(open_text(r->text, &host, true, &s, &error), TROUPE_INVALID_ARGUMENT);
        print_message("%s\n", error.text);
        assert_non_null(strstr(error.text, r->words));
        assert_null(s);
    }
}

static void more_than_the_limit_of_inputs_is_too_large(void **state)
{
    (void)state;
    char text[8192] = "";
    size_t len = 0;
    for (int i = 0; i <= TRP_SCRIPT_IO_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "input i%d FP32 [1]\n", i);
    struct jumpy clock = { 0 };
    const struct troupe_host host = host_of(&clock);
    struct troupe_error error = { 0 };
    struct trp_script *s;
    assert_int_equal(open_text(text, &host, true, &s, &error), TROUPE_TOO_LARGE);
}

static void a_file_that_is_not_there_is_not_found(void **state)
{
    (void)state;
    struct jumpy clock = { 0 };
    const struct troupe_host host = host_of(&clock);
    struct troupe_error error = { 0 };
    struct trp_script *s;
    const struct troupe_model_desc desc = { .struct_size = sizeof desc, .path = "/nowhere/m.echo" };
    assert_int_equal(trp_script_open(&host, &desc, true, accept, &s, &error), TROUPE_NOT_FOUND);
    assert_non_null(strstr(error.text, "/nowhere/m.echo"));
}

static void loading_waits_fails_and_can_be_given_up(void **state)
{
    (void)state;
    struct jumpy clock = { 0 };
    const struct troupe_host host = host_of(&clock);
    struct troupe_error error = { 0 };
    struct trp_script *s;
    assert_int_equal(open_text("load_sleep 5ms\nload_fail no luck", &host, true, &s, &error),
                     TROUPE_INVALID_ARGUMENT);
    assert_string_equal(error.text, "no luck");
    assert_true(clock.reads >= 5);

    assert_int_equal(open_text("load_until /nowhere", &host, false, &s, &error), TROUPE_OK);
    trp_script_close(s); /* who only looks into it does not wait */
    const int32_t raised = 1;
    const struct troupe_model_desc desc = { .struct_size = sizeof desc,
                                            .path = "/dev/null",
                                            .cancel = &raised };
    assert_int_equal(trp_script_open(&host, &desc, true, accept, &s, &error), TROUPE_CANCELLED);
}

static void runs_wait_and_every_nth_fails(void **state)
{
    (void)state;
    struct jumpy clock = { 0 };
    const struct troupe_host host = host_of(&clock);
    struct troupe_error error = { 0 };
    struct trp_script *s;
    assert_int_equal(open_text("sleep 3ms\nbusy 3ms\nfail_every 2", &host, true, &s, &error),
                     TROUPE_OK);
    const struct troupe_run run = { .struct_size = sizeof run, .error = &error };
    assert_int_equal(trp_script_begin(s, &run, NULL), TROUPE_OK);
    assert_true(clock.reads >= 6);
    assert_int_equal(trp_script_begin(s, &run, NULL), TROUPE_BACKEND_FAILED);
    assert_string_equal(error.text, "failed on purpose");
    assert_int_equal(trp_script_begin(s, &run, NULL), TROUPE_OK);
    trp_script_close(s);
}

static void what_hibernates_fails_runs_until_it_is_woken(void **state)
{
    (void)state;
    struct jumpy clock = { 0 };
    const struct troupe_host host = host_of(&clock);
    struct troupe_error error = { 0 };
    const struct troupe_run run = { .struct_size = sizeof run, .error = &error };
    struct trp_script *s;
    assert_int_equal(open_text("hibernates\nwake_sleep 5ms", &host, true, &s, &error), TROUPE_OK);
    assert_int_equal(trp_script_hibernate(s), TROUPE_OK);
    assert_int_equal(trp_script_begin(s, &run, NULL), TROUPE_BACKEND_FAILED);
    const int64_t before_ns = clock.now_ns;
    assert_int_equal(trp_script_wake(s), TROUPE_OK);
    assert_true(clock.now_ns - before_ns >= TRP_MS(5));
    assert_int_equal(trp_script_begin(s, &run, NULL), TROUPE_OK);
    assert_int_equal(trp_script_wake(s), TROUPE_OK); /* it is awake */
    trp_script_close(s);
    assert_int_equal(open_text("hibernates\nwake_fail no", &host, true, &s, &error), TROUPE_OK);
    assert_int_equal(trp_script_hibernate(s), TROUPE_OK);
    assert_int_equal(trp_script_wake(s), TROUPE_BACKEND_FAILED);
    trp_script_close(s);
    assert_int_equal(open_text("hibernates\nhibernate_fail no", &host, true, &s, &error),
                     TROUPE_OK);
    assert_int_equal(trp_script_hibernate(s), TROUPE_BACKEND_FAILED);
    assert_int_equal(trp_script_begin(s, &run, NULL), TROUPE_OK);
    trp_script_close(s);
    assert_int_equal(open_text("", &host, true, &s, &error), TROUPE_OK);
    assert_int_equal(trp_script_hibernate(s), TROUPE_UNIMPLEMENTED);
    trp_script_close(s);
    assert_int_equal(open_text("hibernates 3", &host, true, &s, &error), TROUPE_INVALID_ARGUMENT);
}

static void a_run_stops_when_its_flag_is_up(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "sleep 1000s", "busy 1000s", "until /nowhere" };
    const int32_t raised = 1;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct jumpy clock = { 0 };
        const struct troupe_host host = host_of(&clock);
        struct troupe_error error = { 0 };
        struct trp_script *s;
        assert_int_equal(open_text(texts[i], &host, true, &s, &error), TROUPE_OK);
        const struct troupe_run run = { .struct_size = sizeof run,
                                        .error = &error,
                                        .cancel = &raised };
        assert_int_equal(trp_script_begin(s, &run, NULL), TROUPE_CANCELLED);
        trp_script_close(s);
    }
}

/* Makes a file beside the test once the script has begun to wait; tells that it did so before it
 * does. */
struct opener {
    const char *path;
    sem_t waits;
    struct trp_flag is_open;
};
static void *open_gate(void *user)
{
    struct opener *opener = user;
    while (sem_wait(&opener->waits) != 0) /* a signal is no post */
        continue;
    trp_flag_raise(&opener->is_open);
    const int fd = open(opener->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return NULL;
}

/* The script reads the clock for a pause before it looks for the file. */
static void wait_for_gate(const char *gate, bool is_load)
{
    struct jumpy clock = { 0 };
    const struct troupe_host host = host_of(&clock);
    struct troupe_error error = { 0 };
    struct opener opener = { .path = gate };
    struct trp_script *s;
    pthread_t thread;
    char text[SCRATCH_PATH_MAX + 64];
    snprintf(text, sizeof text, is_load ? "load_sleep 1ms\nload_until %s" : "sleep 1ms\nuntil %s",
             gate);
    assert_int_equal(sem_init(&opener.waits, 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, open_gate, &opener), 0);
    if (is_load)
        clock.tell = &opener.waits;
    const int32_t opened = open_text(text, &host, true, &s, &error);
    const bool was_open_then = trp_flag_is_up(&opener.is_open);
    clock.tell = &opener.waits;
    const struct troupe_run run = { .struct_size = sizeof run, .error = &error };
    const int32_t ran = opened == TROUPE_OK ? trp_script_begin(s, &run, NULL) : opened;
    const bool was_open_at_last = trp_flag_is_up(&opener.is_open);
    (void)sem_post(&opener.waits); /* where the script failed before it waited */
    pthread_join(thread, NULL);
    sem_destroy(&opener.waits);
    trp_script_close(s);
    unlink(gate);
    assert_int_equal(opened, TROUPE_OK);
    assert_int_equal(ran, TROUPE_OK);
    assert_true(was_open_at_last);
    assert_int_equal(was_open_then, is_load);
}

static void both_wait_until_there_is_a_file(void **state)
{
    (void)state;
    char folder[SCRATCH_PATH_MAX], gate[SCRATCH_PATH_MAX + 8];
    scratch_folder(folder, "gate");
    snprintf(gate, sizeof gate, "%s/gate", folder);
    wait_for_gate(gate, true);
    wait_for_gate(gate, false);
    rmdir(folder);
}

/* Counts what it lends; refuses above a limit. */
struct purse {
    uint64_t held, limit;
};
static void *lend(void *user, uint64_t bytes, uint64_t align)
{
    struct purse *p = user;
    if (p->held + bytes > p->limit)
        return NULL;
    p->held += bytes;
    return trp_alloc_aligned(trp_heap(), bytes, align);
}
static void take_back(void *user, void *block, uint64_t bytes)
{
    struct purse *p = user;
    p->held -= bytes;
    trp_alloc_free(trp_heap(), block);
}

static void an_output_lies_in_memory_given_or_in_the_account(void **state)
{
    (void)state;
    char given[16];
    struct purse purse = { 0, 1000 };
    const struct troupe_account account = {
        .struct_size = sizeof account, .user = &purse, .alloc = lend, .free = take_back
    };
    struct troupe_error error = { 0 };
    struct troupe_run run = {
        .struct_size = sizeof run, .error = &error, .account = &account, .output_bytes_max = 500
    };
    struct troupe_tensor out = { .data = given, .bytes = 16 };
    assert_int_equal(trp_script_place(&run, &out, sizeof given), TROUPE_OK);
    assert_ptr_equal(out.data, given);
    assert_null(out.release);

    out.bytes = 17; /* does not fit any more */
    assert_int_equal(trp_script_place(&run, &out, sizeof given), TROUPE_OK);
    assert_ptr_not_equal(out.data, given);
    assert_int_equal((uintptr_t)out.data % 64, 0);
    assert_true(purse.held >= 17);
    trp_script_drop(&out, 1);
    assert_int_equal(purse.held, 0);
    assert_null(out.data);

    out = (struct troupe_tensor){ .bytes = 501 };
    assert_int_equal(trp_script_place(&run, &out, 0), TROUPE_TOO_LARGE);
    run.output_bytes_max = 0;
    out = (struct troupe_tensor){ .bytes = 1001 };
    assert_int_equal(trp_script_place(&run, &out, 0), TROUPE_OUT_OF_MEMORY);
    out = (struct troupe_tensor){ .bytes = UINT64_MAX };
    assert_int_equal(trp_script_place(&run, &out, 0), TROUPE_OUT_OF_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_is_a_model_with_one_input),
        cmocka_unit_test(every_word_is_read),
        cmocka_unit_test(what_cannot_be_read_is_refused_with_its_line),
        cmocka_unit_test(more_than_the_limit_of_inputs_is_too_large),
        cmocka_unit_test(a_file_that_is_not_there_is_not_found),
        cmocka_unit_test(loading_waits_fails_and_can_be_given_up),
        cmocka_unit_test(runs_wait_and_every_nth_fails),
        cmocka_unit_test(what_hibernates_fails_runs_until_it_is_woken),
        cmocka_unit_test(both_wait_until_there_is_a_file),
        cmocka_unit_test(a_run_stops_when_its_flag_is_up),
        cmocka_unit_test(an_output_lies_in_memory_given_or_in_the_account),
    };
    return cmocka_run_group_tests_name("script", tests, NULL, NULL);
}
