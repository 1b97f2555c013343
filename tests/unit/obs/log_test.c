/* The log: what a line looks like, who can write one, and that it is always one. */
#include "obs/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/thread.h"
#include "unit/base/scarce.h"

struct fixture {
    struct trp_log *log;
    int fds[2];
    char text[1 << 16];
};

/* 2025-11-25 20:03:25.829575 UTC */
static int64_t fixed_wall(void *user)
{
    (void)user;
    return INT64_C(1764101005829575123);
}

static const struct trp_clock fixed = { fixed_wall, fixed_wall, NULL };

static int open_log(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_int_equal(pipe2(f->fds, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(trp_log_create(trp_heap(), &fixed, f->fds[1], &f->log, NULL).code, TRP_OK);
    *state = f;
    return 0;
}

static int close_log(void **state)
{
    struct fixture *f = *state;
    trp_log_destroy(f->log);
    close(f->fds[0]);
    close(f->fds[1]);
    free(f);
    return 0;
}

static const char *written(struct fixture *f)
{
    const ssize_t n = read(f->fds[0], f->text, sizeof f->text - 1);
    f->text[n > 0 ? n : 0] = '\0';
    return f->text;
}

static void a_line_has_its_format(void **state)
{
    struct fixture *f = *state;
    static const struct row {
        enum trp_log_format format;
        enum trp_log_level level;
        const char *want;
    } rows[] = {
        { TRP_LOG_FORMAT_DEFAULT, TRP_LOG_INFO,
          "I1125 20:03:25.829575 troupe life: model 'a/3' ready\n" },
        { TRP_LOG_FORMAT_DEFAULT, TRP_LOG_ERROR,
          "E1125 20:03:25.829575 troupe life: model 'a/3' ready\n" },
        { TRP_LOG_FORMAT_ISO8601, TRP_LOG_WARNING,
          "2025-11-25T20:03:25.829575Z W troupe life: model 'a/3' ready\n" },
        { TRP_LOG_FORMAT_JSON, TRP_LOG_DEBUG,
          "{\"time\":\"2025-11-25T20:03:25.829575Z\",\"level\":\"debug\",\"room\":\"life\","
          "\"text\":\"model 'a/3' ready\"}\n" },
    };
    trp_log_set_verbose(f->log, 1);
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        trp_log_set_format(f->log, r->format);
        assert_int_equal(trp_log_get_format(f->log), r->format);
        trp_log_write(f->log, r->level, "life", "model '%s' ready", "a/3");
        assert_string_equal(written(f), r->want);
    }
}

static void levels_are_switched_one_by_one(void **state)
{
    struct fixture *f = *state;
    for (int level = TRP_LOG_ERROR; level <= TRP_LOG_DEBUG; level++)
        assert_int_equal(trp_log_is_enabled(f->log, (enum trp_log_level)level),
                         level != TRP_LOG_DEBUG);
    TRP_DEBUG(f->log, "life", "hidden");
    trp_log_enable(f->log, TRP_LOG_INFO, false);
    TRP_INFO(f->log, "life", "hidden");
    assert_string_equal(written(f), "");
    TRP_WARN(f->log, "life", "seen");
    TRP_ERROR_LOG(f->log, "life", "seen");
    assert_int_equal(strlen(written(f)), 2 * strlen("W1125 20:03:25.829575 troupe life: seen\n"));
    trp_log_set_verbose(f->log, 3);
    assert_int_equal(trp_log_verbose(f->log), 3);
    assert_true(trp_log_is_enabled(f->log, TRP_LOG_DEBUG));
    trp_log_set_verbose(f->log, 0);
    assert_false(trp_log_is_enabled(f->log, TRP_LOG_DEBUG));
    trp_log_write(NULL, TRP_LOG_ERROR, "life", "nowhere");
}

static void nobody_forges_a_second_line(void **state)
{
    struct fixture *f = *state;
    TRP_INFO(f->log, "front", "name '%s'", "a\nE1125 forged\x1b[31m\r\x7f\xc3\xa9");
    assert_string_equal(written(f), "I1125 20:03:25.829575 troupe front: name "
                                    "'a\\nE1125 forged\\x1b[31m\\x0d\\x7f\xc3\xa9'\n");
    trp_log_set_format(f->log, TRP_LOG_FORMAT_JSON);
    TRP_INFO(f->log, "front", "a\n\"b\"\xff");
    assert_non_null(strstr(written(f), "\"text\":\"a\\n\\\"b\\\"\xef\xbf\xbd\"}\n"));
}

static void a_long_line_is_cut_and_still_whole(void **state)
{
    struct fixture *f = *state;
    char noise[6000];
    for (int json = 0; json < 2; json++)
        for (int escapes = 0; escapes < 2; escapes++) {
            memset(noise, escapes ? '\x01' : 'x', sizeof noise);
            noise[sizeof noise - 1] = '\0';
            trp_log_set_format(f->log, json ? TRP_LOG_FORMAT_JSON : TRP_LOG_FORMAT_DEFAULT);
            TRP_INFO(f->log, "front", "%s", noise);
            const char *line = written(f);
            assert_true(strlen(line) > 512 && strlen(line) <= 4096);
            assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
            if (json)
                assert_string_equal(line + strlen(line) - 3, "\"}\n");
        }
    assert_int_equal(trp_log_lost(f->log), 0);
}

static void lost_lines_are_counted(void **state)
{
    struct fixture *f = *state;
    const struct trp_log *log = f->log;
    while (trp_log_lost(log) == 0) /* until the pipe is full */
        TRP_INFO(f->log, "front", "again");
    TRP_INFO(f->log, "front", "again");
    assert_int_equal(trp_log_lost(log), 2);
    struct trp_log *closed;
    assert_int_equal(trp_log_create(trp_heap(), &fixed, -1, &closed, NULL).code, TRP_OK);
    TRP_INFO(closed, "front", "nowhere");
    assert_int_equal(trp_log_lost(closed), 1);
    trp_log_destroy(closed);
}

enum { WRITERS = 4, LINES = 200 };

static void write_lines(void *user)
{
    for (int i = 0; i < LINES; i++)
        TRP_INFO(user, "exec", "a line of some length that must not be torn apart");
}

static void lines_of_many_threads_stay_whole(void **state)
{
    struct fixture *f = *state;
    struct trp_thread threads[WRITERS];
    const char want[] =
        "I1125 20:03:25.829575 troupe exec: a line of some length that must not be torn apart\n";
    assert_int_equal(fcntl(f->fds[1], F_SETPIPE_SZ, 1 << 18) > 0, 1);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(trp_thread_start(&threads[i], "writer", write_lines, f->log, NULL).code,
                         TRP_OK);
    for (int i = 0; i < WRITERS; i++)
        trp_thread_join(&threads[i]);
    char line[sizeof want];
    for (int i = 0; i < WRITERS * LINES; i++) {
        assert_int_equal(read(f->fds[0], line, sizeof want - 1), sizeof want - 1);
        assert_memory_equal(line, want, sizeof want - 1);
    }
}

static void a_log_needs_memory_once(void **state)
{
    (void)state;
    struct scarce scarce;
    struct trp_log *log;
    assert_int_equal(trp_log_create(scarce_init(&scarce, 0), &fixed, 2, &log, NULL).code,
                     TRP_OUT_OF_MEMORY);
    assert_null(log);
    trp_log_destroy(NULL);
}

#define ON_LOG(f) cmocka_unit_test_setup_teardown(f, open_log, close_log)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_LOG(a_line_has_its_format),
        ON_LOG(levels_are_switched_one_by_one),
        ON_LOG(nobody_forges_a_second_line),
        ON_LOG(a_long_line_is_cut_and_still_whole),
        ON_LOG(lost_lines_are_counted),
        ON_LOG(lines_of_many_threads_stay_whole),
        cmocka_unit_test(a_log_needs_memory_once),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
