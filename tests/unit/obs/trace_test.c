/* Traces: who is chosen, and files that are valid JSON whenever somebody looks. */
#include "obs/trace.h"

#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "base/thread.h"
#include "scratch.h"
#include "unit/base/scarce.h"

static const struct trp_str everyone = { "", 0 };

struct fixture {
    struct trp_trace *trace;
    struct trp_json_parser *parser;
    char folder[SCRATCH_PATH_MAX], file[80];
};

static int open_trace(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    scratch_folder(f->folder, "trace");
    (void)snprintf(f->file, sizeof f->file, "%s/t.json", f->folder);
    const struct trp_trace_opts opts = { .file = f->file };
    assert_int_equal(trp_trace_create(trp_heap(), &opts, &f->trace, NULL).code, TRP_OK);
    assert_int_equal(trp_json_parser_create(1 << 22, 8, &f->parser, NULL).code, TRP_OK);
    *state = f;
    return 0;
}

static trp_status remove_entry(void *user, const char *name, struct trp_error *err)
{
    char path[400];
    (void)err;
    (void)snprintf(path, sizeof path, "%s/%s", (const char *)user, name);
    assert_int_equal(unlink(path), 0);
    return trp_ok();
}

static int close_trace(void **state)
{
    struct fixture *f = *state;
    trp_trace_destroy(f->trace);
    trp_json_parser_destroy(f->parser);
    assert_int_equal(trp_dir_each(f->folder, 100, remove_entry, f->folder, NULL).code, TRP_OK);
    assert_int_equal(rmdir(f->folder), 0);
    free(f);
    return 0;
}

static void set(struct fixture *f, struct trp_str model, struct trp_trace_settings s)
{
    assert_int_equal(trp_trace_set(f->trace, model, &s, NULL).code, TRP_OK);
}

/* How many of `n` requests of `model` are traced. */
static uint32_t chosen(struct fixture *f, struct trp_str model, uint32_t n)
{
    uint32_t traced = 0;
    bool tensors;
    while (n--)
        traced += trp_trace_begin(f->trace, model, &tensors) != 0;
    return traced;
}

static void flush(struct fixture *f);

/* Parses a trace file whole; its text stays valid until the next call. */
static struct trp_json read_file(struct fixture *f, const char *suffix)
{
    flush(f);
    char path[100];
    char *text;
    size_t len;
    struct trp_json root;
    struct trp_error err = { 0 };
    (void)snprintf(path, sizeof path, "%s%s", f->file, suffix);
    if (trp_failed(trp_file_read(trp_heap(), path, 1 << 22, &text, &len, &err)))
        fail_msg("%s", err.text);
    if (trp_failed(trp_json_parse(f->parser, trp_str_make(text, len), false, &root, &err)))
        fail_msg("%s in %s", err.text, text);
    assert_int_equal(trp_json_type(root), TRP_JSON_ARRAY);
    trp_alloc_free(trp_heap(), text);
    return root;
}

struct waiting {
    struct trp_trace_flush flush;
    sem_t done;
};

static void flushed(struct trp_trace_flush *flush)
{
    assert_int_equal(sem_post(&TRP_CONTAINER_OF(flush, struct waiting, flush)->done), 0);
}

/* Returns when everything that was posted is in its file, or lost. */
static void flush(struct fixture *f)
{
    struct waiting w = { .flush.done = flushed };
    assert_int_equal(sem_init(&w.done, 0, 0), 0);
    trp_trace_flush(f->trace, &w.flush);
    while (sem_wait(&w.done) != 0)
        ;
    sem_destroy(&w.done);
}

static uint64_t lost(struct fixture *f)
{
    flush(f);
    return trp_trace_lost(f->trace, TRP_TRACE_LOST_WRITE) +
           trp_trace_lost(f->trace, TRP_TRACE_LOST_FULL);
}

static struct trp_trace_mail *open_letter(struct fixture *f, uint64_t id)
{
    static const struct trp_trace_stamp stamps[] = { { "REQUEST_START", 100 },
                                                     { "REQUEST_END", 250 } };
    return trp_trace_open(f->trace, &(struct trp_trace_record){ .id = id,
                                                                .model = TRP_STR_LIT("dig\"its"),
                                                                .request_id = TRP_STR_LIT("r7"),
                                                                .version = 3,
                                                                .stamps = stamps,
                                                                .stamps_n = 2 });
}

static void write_trace(struct fixture *f, uint64_t id)
{
    trp_trace_post(f->trace, open_letter(f, id));
}

static void write_tensor(struct fixture *f, uint64_t id, const struct troupe_tensor *tensor)
{
    struct trp_trace_mail *m = open_letter(f, id);
    trp_trace_add(m, "TENSOR_QUEUE_INPUT", TRP_STR_LIT("x"), tensor);
    trp_trace_post(f->trace, m);
}

/* ---- settings -------------------------------------------------------------------------------- */

static void a_new_tracer_is_off_with_tritons_defaults(void **state)
{
    struct fixture *f = *state;
    struct trp_trace_settings s;
    bool tensors = true;
    trp_trace_get(f->trace, everyone, &s);
    assert_true(!s.timestamps && !s.tensors && s.rate == 1000 && s.count == -1);
    assert_int_equal(s.log_frequency, 0);
    assert_string_equal(s.file, f->file);
    assert_int_equal(trp_trace_begin(f->trace, TRP_STR_LIT("m"), &tensors), 0);
    assert_false(tensors);
    assert_int_equal(trp_trace_begin(NULL, TRP_STR_LIT("m"), &tensors), 0);
}

static void one_of_so_many_is_traced_until_the_count_is_used_up(void **state)
{
    struct fixture *f = *state;
    struct trp_trace_settings s;
    set(f, everyone, (struct trp_trace_settings){ .timestamps = true, .rate = 3, .count = -1 });
    assert_int_equal(chosen(f, TRP_STR_LIT("m"), 2), 0);
    assert_int_equal(chosen(f, TRP_STR_LIT("other"), 1), 1); /* they share the rate */
    assert_int_equal(chosen(f, TRP_STR_LIT("m"), 300), 100);
    set(f, everyone, (struct trp_trace_settings){ .timestamps = true, .rate = 1, .count = 5 });
    assert_int_equal(chosen(f, TRP_STR_LIT("m"), 3), 3);
    trp_trace_get(f->trace, TRP_STR_LIT("m"), &s);
    assert_int_equal(s.count, 2);
    assert_int_equal(chosen(f, TRP_STR_LIT("m"), 10), 2);
    set(f, everyone, (struct trp_trace_settings){ .rate = 1, .count = -1 });
    assert_int_equal(chosen(f, TRP_STR_LIT("m"), 10), 0);
}

static void a_models_own_settings_win_until_they_are_cleared(void **state)
{
    struct fixture *f = *state;
    const struct trp_str own = TRP_STR_LIT("own"), other = TRP_STR_LIT("other");
    struct trp_trace_settings s;
    bool tensors;
    set(f, own, (struct trp_trace_settings){ .tensors = true, .rate = 1, .count = -1 });
    assert_int_equal(chosen(f, other, 5), 0);
    assert_int_not_equal(trp_trace_begin(f->trace, own, &tensors), 0);
    assert_true(tensors);
    set(f, everyone, (struct trp_trace_settings){ .timestamps = true, .rate = 1, .count = -1 });
    set(f, own, (struct trp_trace_settings){ .rate = 7, .count = 9 }); /* off */
    assert_int_equal(chosen(f, other, 5), 5);
    assert_int_equal(chosen(f, own, 5), 0);
    trp_trace_get(f->trace, own, &s);
    assert_int_equal(s.rate, 7);
    trp_trace_clear(f->trace, own);
    trp_trace_clear(f->trace, own);
    assert_int_equal(chosen(f, own, 5), 5);
}

static void settings_that_make_no_sense_are_refused(void **state)
{
    struct fixture *f = *state;
    struct trp_error err = { 0 };
    struct trp_trace_settings s = { .timestamps = true, .count = -1 };
    assert_int_equal(trp_trace_set(f->trace, everyone, &s, &err).code, TRP_INVALID_ARGUMENT);
    assert_string_equal(err.text, "trace rate: 0, at least 1 is expected");
    s.rate = 1;
    for (int i = 0; i <= 1000; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "m%d", i);
        assert_int_equal(trp_trace_set(f->trace, trp_str_of(name), &s, &err).code,
                         i < 1000 ? TRP_OK : TRP_TOO_LARGE);
    }
    assert_non_null(strstr(err.text, "trace settings of model 'm1000'"));
}

static void ids_are_never_given_twice(void **state)
{
    struct fixture *f = *state;
    bool tensors;
    uint64_t last = 0;
    set(f, everyone, (struct trp_trace_settings){ .timestamps = true, .rate = 1, .count = -1 });
    for (int i = 0; i < 10; i++) {
        const uint64_t id = trp_trace_begin(f->trace, TRP_STR_LIT("m"), &tensors);
        assert_true(id > last);
        last = id;
    }
}

/* ---- files ----------------------------------------------------------------------------------- */

static void a_file_is_valid_json_after_every_write(void **state)
{
    struct fixture *f = *state;
    set(f, everyone, (struct trp_trace_settings){ .timestamps = true, .rate = 1, .count = -1 });
    for (uint64_t i = 1; i <= 5; i++) {
        write_trace(f, i);
        assert_int_equal(trp_json_count(read_file(f, "")), 2 * i);
    }
    assert_int_equal(lost(f), 0);
    char *text;
    size_t len;
    assert_int_equal(trp_file_read(trp_heap(), f->file, 1000000, &text, &len, NULL).code, TRP_OK);
    const char want[] =
        "[\n{\"id\":1,\"model_name\":\"dig\\\"its\",\"model_version\":3,\"request_id\":\"r7\"},\n"
        "{\"id\":1,\"timestamps\":[{\"name\":\"REQUEST_START\",\"ns\":100},"
        "{\"name\":\"REQUEST_END\",\"ns\":250}]},\n{\"id\":2,";
    assert_memory_equal(text, want, sizeof want - 1);
    assert_string_equal(text + len - 3, "\n]\n");
    trp_alloc_free(trp_heap(), text);
}

static void what_a_request_wished_for_stands_in_its_identity(void **state)
{
    struct fixture *f = *state;
    set(f, everyone, (struct trp_trace_settings){ .rate = 1, .count = -1 });
    trp_trace_post(f->trace, trp_trace_open(f->trace, &(struct trp_trace_record){
                                                          .id = 1,
                                                          .model = TRP_STR_LIT("m"),
                                                          .tenant = TRP_STR_LIT("al\"ice"),
                                                          .priority = "interactive",
                                                          .rows = 4,
                                                          .timeout_ns = 20000000 }));
    assert_int_equal(lost(f), 0);
    char *text;
    size_t len;
    assert_int_equal(trp_file_read(trp_heap(), f->file, 1000000, &text, &len, NULL).code, TRP_OK);
    const char want[] = "[\n{\"id\":1,\"model_name\":\"m\",\"model_version\":0,\"request_id\":\"\","
                        "\"rows\":4,\"priority\":\"interactive\",\"tenant\":\"al\\\"ice\","
                        "\"timeout_us\":20000}\n]\n";
    assert_string_equal(text, want);
    trp_alloc_free(trp_heap(), text);
}

static void without_timestamps_only_the_identity_is_written(void **state)
{
    struct fixture *f = *state;
    set(f, everyone, (struct trp_trace_settings){ .tensors = true, .rate = 1, .count = -1 });
    write_trace(f, 1);
    assert_int_equal(trp_json_count(read_file(f, "")), 1);
}

static void files_rotate_and_tensors_stay_with_their_trace(void **state)
{
    struct fixture *f = *state;
    const int32_t data[] = { -1, 2 };
    const struct troupe_tensor tensor = { .dtype = TROUPE_INT32,
                                          .rank = 2,
                                          .shape = { 1, 2 },
                                          .data = (void *)(uintptr_t)data,
                                          .bytes = sizeof data };
    set(f, everyone,
        (struct trp_trace_settings){ .tensors = true, .rate = 1, .count = -1, .log_frequency = 2 });
    for (uint64_t i = 1; i <= 5; i++)
        write_tensor(f, i, &tensor);
    assert_int_equal(trp_json_count(read_file(f, ".0")), 4);
    assert_int_equal(trp_json_count(read_file(f, ".1")), 4);
    assert_int_equal(trp_json_count(read_file(f, ".2")), 2);
    assert_int_not_equal(access(f->file, F_OK), 0);
}

static struct trp_trace_mail *open_step(struct fixture *f, uint64_t id, uint64_t parent_id)
{
    const struct trp_trace_record r = {
        .id = id, .parent_id = parent_id, .step = TRP_STR_LIT("se\"e"), .model = TRP_STR_LIT("m")
    };
    return trp_trace_open(f->trace, &r);
}

static void steps_stand_behind_their_trace_and_count_as_one(void **state)
{
    struct fixture *f = *state;
    const int32_t data[] = { -1, 2 };
    const struct troupe_tensor tensor = { .dtype = TROUPE_INT32,
                                          .rank = 1,
                                          .shape = { 2 },
                                          .data = (void *)(uintptr_t)data,
                                          .bytes = 8 };
    set(f, everyone, (struct trp_trace_settings){ .rate = 1, .count = -1, .log_frequency = 1 });
    for (int i = 0; i < 2; i++) {
        struct trp_trace_mail *steps = NULL, *root = open_letter(f, 1), *step = open_step(f, 2, 1);
        trp_trace_add(step, "TENSOR_QUEUE_INPUT", TRP_STR_LIT("x"), &tensor);
        trp_trace_collect(f->trace, &steps, step);
        trp_trace_collect(f->trace, &steps, NULL); /* it was lost */
        trp_trace_collect(f->trace, &steps, open_step(f, 3, 2));
        trp_trace_join(root, &steps);
        assert_null(steps);
        trp_trace_post(f->trace, root);
    }
    assert_int_equal(lost(f), 0);
    for (int i = 0; i < 2; i++) {
        static const uint64_t ids[] = { 1, 1, 3, 2, 2 };
        static const char *const with[] = { "model_name", "steps_missing", "parent_id", "step",
                                            "tensor" };
        struct trp_json_iter it;
        struct trp_json object, v;
        uint64_t id;
        const struct trp_json root = read_file(f, i ? ".1" : ".0");
        assert_int_equal(trp_json_count(root), 5);
        assert_true(trp_json_begin(root, &it));
        for (int k = 0; k < 5; k++) {
            assert_true(trp_json_next(&it, NULL, &object));
            assert_true(trp_json_find(object, "id", &v) && trp_json_as_u64(v, &id));
            assert_int_equal(id, ids[k]);
            assert_true(trp_json_find(object, with[k], &v));
        }
    }
}

static void a_trace_that_is_lost_loses_its_steps(void **state)
{
    struct fixture *f = *state;
    set(f, everyone, (struct trp_trace_settings){ .rate = 1, .count = -1 });
    struct trp_trace_mail *steps = NULL;
    trp_trace_collect(f->trace, &steps, open_step(f, 2, 1));
    trp_trace_collect(f->trace, &steps, open_step(f, 3, 1));
    trp_trace_join(NULL, &steps);
    assert_null(steps);
    trp_trace_post(f->trace, NULL);
    assert_true(trp_trace_number(f->trace) < trp_trace_number(f->trace));
    write_trace(f, 4);
    assert_int_equal(trp_json_count(read_file(f, "")), 1);
}

static void use_box(struct fixture *f, uint64_t mail_bytes_max)
{
    const struct trp_trace_opts opts = { .file = f->file, .mail_bytes_max = mail_bytes_max };
    trp_trace_destroy(f->trace);
    assert_int_equal(trp_trace_create(trp_heap(), &opts, &f->trace, NULL).code, TRP_OK);
    set(f, everyone, (struct trp_trace_settings){ .rate = 1, .count = -1 });
}

/* Of one trace, whose file it is: how many steps it says are missing. */
static uint64_t missing_in(struct trp_json root)
{
    struct trp_json_iter it;
    struct trp_json object, v;
    uint64_t n = 0;
    assert_true(trp_json_begin(root, &it));
    while (trp_json_next(&it, NULL, &object))
        if (trp_json_find(object, "steps_missing", &v))
            assert_true(trp_json_as_u64(v, &n));
    return n;
}

static void steps_without_end_leave_room_for_others_and_are_told(void **state)
{
    struct fixture *f = *state;
    enum { STEPS = 2000 };
    struct trp_trace_mail *steps = NULL;
    use_box(f, 256 << 10);
    for (uint64_t i = 0; i < STEPS; i++)
        trp_trace_collect(f->trace, &steps, open_step(f, 2 + i, 1));
    const uint64_t lost_n = trp_trace_lost(f->trace, TRP_TRACE_LOST_FULL);
    assert_true(lost_n > 0 && lost_n < STEPS);
    struct trp_trace_mail *root = open_letter(f, 1);
    assert_non_null(root); /* there is room still */
    trp_trace_join(root, &steps);
    trp_trace_post(f->trace, root);
    const struct trp_json file = read_file(f, "");
    assert_int_equal(missing_in(file), lost_n);
    assert_int_equal(trp_json_count(file), 2 + STEPS - lost_n); /* and the one that says so */
    assert_int_equal(lost(f), lost_n);
}

static void steps_of_all_traces_share_the_box(void **state)
{
    struct fixture *f = *state;
    enum { STEPS = 2000, LISTS = 3 };
    struct trp_trace_mail *steps[LISTS] = { NULL };
    use_box(f, 256 << 10);
    for (uint64_t i = 0; i < STEPS; i++)
        for (int k = 0; k < LISTS; k++)
            trp_trace_collect(f->trace, &steps[k], open_step(f, 2 + i, 1));
    const uint64_t lost_n = trp_trace_lost(f->trace, TRP_TRACE_LOST_FULL);
    for (int k = 0; k < LISTS; k++)
        trp_trace_join(NULL, &steps[k]);
    assert_true(lost_n > 0 &&
                (LISTS * STEPS - lost_n) * 100 < 256 << 10); /* each has 100 bytes at least */
    for (uint64_t i = 0; i < STEPS; i++) /* what was taken has been given back */
        trp_trace_collect(f->trace, &steps[0], open_step(f, 2 + i, 1));
    assert_true(trp_trace_lost(f->trace, TRP_TRACE_LOST_FULL) - lost_n < STEPS);
    trp_trace_join(NULL, &steps[0]);
    assert_int_equal(lost(f), trp_trace_lost(f->trace, TRP_TRACE_LOST_FULL));
    write_trace(f, 1);
    assert_int_equal(trp_json_count(read_file(f, "")), 1);
}

static void tensors_are_written_as_triton_does(void **state)
{
    struct fixture *f = *state;
    static const float floats[] = { 1.5f, -2, 0.1f };
    static const char strings[] = "\2\0\0\0hi\1\0\0\0\"\xff\xff\xff\xff";
    static const struct row {
        struct troupe_tensor tensor;
        const char *shape, *data, *dtype;
    } rows[] = {
        { { .dtype = TROUPE_FP32, .rank = 1, .shape = { 3 }, .bytes = 12 },
          "3",
          "1.5,-2,0.1",
          "FP32" },
        { { .dtype = TROUPE_BYTES, .rank = 2, .shape = { 1, 2 }, .bytes = 15 },
          "1,2",
          "hi,\"",
          "BYTES" },
        { { .dtype = TROUPE_FP32, .rank = 0, .bytes = 4 }, "", "1.5", "FP32" },
        { { .dtype = TROUPE_INT64, .rank = 1, .shape = { 0 }, .bytes = 0 }, "0", "", "INT64" },
        { { .dtype = 99, .rank = 1, .shape = { 3 }, .bytes = 12 }, "3", "", "" },
    };
    struct trp_trace_mail *m = open_letter(f, 7);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct troupe_tensor t = rows[i].tensor;
        t.data = (void *)(uintptr_t)(t.dtype == TROUPE_BYTES ? (const void *)strings : floats);
        trp_trace_add(m, "TENSOR_BACKEND_OUTPUT", TRP_STR_LIT("y"), &t);
    }
    trp_trace_post(f->trace, m);
    struct trp_json_iter it;
    struct trp_json record, tensor, v;
    struct trp_str s;
    const struct trp_json root = read_file(f, "");
    assert_int_equal(trp_json_count(root), 1 + ARRAY_LEN(rows));
    assert_true(trp_json_begin(root, &it) && trp_json_next(&it, NULL, &record));
    for (const struct row *r = rows; trp_json_next(&it, NULL, &record); r++) {
        assert_true(trp_json_find(record, "activity", &v) && trp_json_as_str(v, &s));
        assert_true(trp_str_is(s, "TENSOR_BACKEND_OUTPUT"));
        assert_true(trp_json_find(record, "tensor", &tensor));
        assert_true(trp_json_find(tensor, "name", &v) && trp_json_as_str(v, &s));
        assert_true(trp_str_is(s, "y"));
        assert_true(trp_json_find(tensor, "data", &v) && trp_json_as_str(v, &s));
        assert_true(trp_str_is(s, r->data));
        assert_true(trp_json_find(tensor, "shape", &v) && trp_json_as_str(v, &s));
        assert_true(trp_str_is(s, r->shape));
        assert_true(trp_json_find(tensor, "dtype", &v) && trp_json_as_str(v, &s));
        assert_true(trp_str_is(s, r->dtype));
    }
}

static void of_a_huge_tensor_the_beginning_is_written(void **state)
{
    struct fixture *f = *state;
    enum { N = 100000 };
    uint8_t *zeros = calloc(1, N);
    const struct troupe_tensor t = {
        .dtype = TROUPE_UINT8, .rank = 1, .shape = { N }, .data = zeros, .bytes = N
    };
    write_tensor(f, 1, &t);
    memset(zeros, 1, N); /* what was posted is the letter's own */
    struct trp_json record, tensor, v;
    struct trp_json_iter it;
    struct trp_str s;
    assert_true(trp_json_begin(read_file(f, ""), &it));
    assert_true(trp_json_next(&it, NULL, &record) && trp_json_next(&it, NULL, &record));
    assert_true(trp_json_find(record, "tensor", &tensor));
    assert_true(trp_json_find(tensor, "data", &v));
    assert_true(trp_json_as_str(v, &s) && s.len == 2 * TRP_TRACE_ELEMENTS_MAX - 1);
    assert_int_equal(s.ptr[0], '0');
    free(zeros);
}

static void a_failed_write_is_counted_and_leaves_the_file_valid(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, small;
    set(f, everyone, (struct trp_trace_settings){ .timestamps = true, .rate = 1, .count = -1 });
    write_trace(f, 1);
    flush(f);
    (void)signal(SIGXFSZ, SIG_IGN); /* an error of write() instead */
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 300; /* the second record crosses it */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    write_trace(f, 2);
    assert_int_equal(lost(f), 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(trp_json_count(read_file(f, "")), 2);
    write_trace(f, 3);
    assert_int_equal(trp_json_count(read_file(f, "")), 4);
    assert_int_equal(lost(f), 1);
}

static void without_a_usable_file_traces_are_dropped_and_counted(void **state)
{
    struct fixture *f = *state;
    char pipe_nobody_reads[100];
    (void)snprintf(pipe_nobody_reads, sizeof pipe_nobody_reads, "%s/pipe", f->folder);
    assert_int_equal(mkfifo(pipe_nobody_reads, 0600), 0);
    const char *const files[] = { "", "/nowhere/at/all/t.json", pipe_nobody_reads };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        const struct trp_trace_opts opts = { .file = files[i] };
        struct fixture other = { 0 };
        assert_int_equal(trp_trace_create(trp_heap(), &opts, &other.trace, NULL).code, TRP_OK);
        write_trace(&other, 1);
        assert_int_equal(lost(&other), 1);
        assert_int_equal(trp_trace_lost(other.trace, TRP_TRACE_LOST_WRITE), 1);
        trp_trace_destroy(other.trace);
    }
    trp_trace_destroy(NULL);
}

static void a_file_that_was_removed_is_begun_anew(void **state)
{
    struct fixture *f = *state;
    set(f, everyone, (struct trp_trace_settings){ .timestamps = true, .rate = 1, .count = -1 });
    write_trace(f, 1);
    assert_int_equal(trp_json_count(read_file(f, "")), 2);
    assert_int_equal(unlink(f->file), 0);
    write_trace(f, 2);
    assert_int_equal(trp_json_count(read_file(f, "")), 2);
    assert_int_equal(lost(f), 0);
}

static void what_was_posted_is_written_before_the_end(void **state)
{
    struct fixture *f = *state;
    enum { N = 2000 };
    for (uint64_t i = 1; i <= N; i++)
        write_trace(f, i);
    trp_trace_destroy(f->trace);
    const struct trp_trace_opts opts = { .file = "" };
    assert_int_equal(trp_trace_create(trp_heap(), &opts, &f->trace, NULL).code, TRP_OK);
    assert_int_equal(trp_json_count(read_file(f, "")), N);
}

/* The writer is held where its log does not take the line that says what is wrong. */
static void who_traces_never_waits_for_the_writer(void **state)
{
    (void)state;
    enum { N = 100, ROOM = 8192 };
    int ends[2];
    char bytes[65536] = { 0 };
    struct fixture f = { 0 };
    struct trp_log *log;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    while (write(ends[1], bytes, sizeof bytes) > 0)
        ;
    assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
    assert_int_equal(trp_log_create(trp_heap(), trp_clock_system(), ends[1], &log, NULL).code,
                     TRP_OK);
    const struct trp_trace_opts opts = { .file = "/nowhere/at/all/t.json",
                                         .log = log,
                                         .mail_bytes_max = ROOM };
    assert_int_equal(trp_trace_create(trp_heap(), &opts, &f.trace, NULL).code, TRP_OK);
    for (uint64_t i = 1; i <= N; i++)
        write_trace(&f, i);
    assert_int_not_equal(trp_trace_lost(f.trace, TRP_TRACE_LOST_FULL), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    size_t lines = 0;
    do { /* until all that fitted has been refused by the disk, too */
        const ssize_t n = read(ends[0], bytes, sizeof bytes);
        for (ssize_t i = 0; i < n; i++)
            lines += bytes[i] == '\n';
    } while (trp_trace_lost(f.trace, TRP_TRACE_LOST_WRITE) +
                 trp_trace_lost(f.trace, TRP_TRACE_LOST_FULL) <
             N);
    trp_trace_destroy(f.trace);
    for (ssize_t n; (n = read(ends[0], bytes, sizeof bytes)) > 0;)
        for (ssize_t i = 0; i < n; i++)
            lines += bytes[i] == '\n';
    assert_int_equal(lines, 1); /* one file, told once */
    trp_log_destroy(log);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void a_tracer_that_cannot_be_made_says_why(void **state)
{
    (void)state;
    struct scarce scarce;
    struct trp_trace *t;
    struct trp_error err = { 0 };
    char name[600];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    struct trp_trace_opts opts = { .file = name };
    assert_int_equal(trp_trace_create(trp_heap(), &opts, &t, &err).code, TRP_TOO_LARGE);
    assert_null(t);
    opts.file = "x";
    enum { BLOCKS = 4 };
    for (uint64_t blocks = 0; blocks < BLOCKS; blocks++) {
        assert_int_equal(trp_trace_create(scarce_init(&scarce, blocks), &opts, &t, &err).code,
                         TRP_OUT_OF_MEMORY);
        assert_null(t);
        assert_int_equal(trp_counter_get(&scarce.out), 0);
    }
    assert_int_equal(trp_trace_create(scarce_init(&scarce, BLOCKS), &opts, &t, &err).code, TRP_OK);
    const struct trp_trace_settings s = { .rate = 1 };
    assert_int_equal(trp_trace_set(t, TRP_STR_LIT("m"), &s, &err).code, TRP_OUT_OF_MEMORY);
    struct fixture f = { .trace = t };
    write_trace(&f, 1); /* no memory for the letter */
    assert_int_equal(trp_trace_lost(t, TRP_TRACE_LOST_FULL), 1);
    trp_counter_set(&scarce.left, 1);
    assert_int_equal(trp_trace_set(t, TRP_STR_LIT("m"), &s, &err).code, TRP_OUT_OF_MEMORY);
    trp_trace_destroy(t);
    assert_int_equal(trp_counter_get(&scarce.out), 0);
}

enum { THREADS = 4, TRACES = 50 };

static void trace_many(void *user)
{
    struct fixture *f = user;
    bool tensors;
    for (int i = 0; i < TRACES; i++)
        write_trace(f, trp_trace_begin(f->trace, TRP_STR_LIT("m"), &tensors));
}

static void traces_of_many_threads_do_not_mix(void **state)
{
    struct fixture *f = *state;
    struct trp_thread threads[THREADS];
    set(f, everyone, (struct trp_trace_settings){ .timestamps = true, .rate = 1, .count = -1 });
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(trp_thread_start(&threads[i], "tracer", trace_many, f, NULL).code, TRP_OK);
    for (int i = 0; i < THREADS; i++)
        trp_thread_join(&threads[i]);
    assert_int_equal(trp_json_count(read_file(f, "")), 2 * THREADS * TRACES);
}

#define ON_TRACE(f) cmocka_unit_test_setup_teardown(f, open_trace, close_trace)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_TRACE(a_new_tracer_is_off_with_tritons_defaults),
        ON_TRACE(one_of_so_many_is_traced_until_the_count_is_used_up),
        ON_TRACE(a_models_own_settings_win_until_they_are_cleared),
        ON_TRACE(settings_that_make_no_sense_are_refused),
        ON_TRACE(ids_are_never_given_twice),
        ON_TRACE(a_file_is_valid_json_after_every_write),
        ON_TRACE(a_file_that_was_removed_is_begun_anew),
        ON_TRACE(what_was_posted_is_written_before_the_end),
        cmocka_unit_test(who_traces_never_waits_for_the_writer),
        ON_TRACE(what_a_request_wished_for_stands_in_its_identity),
        ON_TRACE(without_timestamps_only_the_identity_is_written),
        ON_TRACE(files_rotate_and_tensors_stay_with_their_trace),
        ON_TRACE(steps_stand_behind_their_trace_and_count_as_one),
        ON_TRACE(a_trace_that_is_lost_loses_its_steps),
        ON_TRACE(steps_without_end_leave_room_for_others_and_are_told),
        ON_TRACE(steps_of_all_traces_share_the_box),
        ON_TRACE(tensors_are_written_as_triton_does),
        ON_TRACE(of_a_huge_tensor_the_beginning_is_written),
        ON_TRACE(a_failed_write_is_counted_and_leaves_the_file_valid),
        ON_TRACE(without_a_usable_file_traces_are_dropped_and_counted),
        cmocka_unit_test(a_tracer_that_cannot_be_made_says_why),
        ON_TRACE(traces_of_many_threads_do_not_mix),
    };
    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
