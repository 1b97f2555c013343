/* What a front does when memory is short: it refuses, and promises nothing that it cannot keep. */
#include "unit/front/front_line.h"

#include "front/front_state.h"

#define HTTP(fields)                                                    \
    "POST /v2/models/held/infer HTTP/1.1\r\nHost: localhost\r\n" fields \
    "Content-Length: 72\r\n\r\n" JSON_BODY

static struct trp_timer others[256];
static uint32_t others_n;

static void never(struct trp_timer *timer, int64_t now_ns)
{
    (void)timer;
    (void)now_ns;
    fail();
}

/* The loop has room for no timer more. */
static void fill_timers(struct fixture *f)
{
    trp_counter_set(&f->loops.left, 0);
    others_n = 0;
    while (others_n < ARRAY_LEN(others)) {
        struct trp_timer *t = &others[others_n];
        *t = (struct trp_timer){ .due = never };
        if (trp_failed(trp_timer_arm(f->loop, t, INT64_MAX, NULL)))
            return;
        others_n++;
    }
    fail();
}

static void free_timers(struct fixture *f)
{
    while (others_n)
        trp_timer_disarm(f->loop, &others[--others_n]);
    trp_counter_set(&f->loops.left, UINT64_MAX);
}

static int ask(struct fixture *f, int fd, const char *text, char *reply, size_t room)
{
    fixture_send(fd, text, strlen(text));
    fixture_turns(f, 4);
    fixture_receive(fd, reply, room);
    return strncmp(reply, "HTTP/1.1 ", 9) == 0 ? atoi(reply + 9) : 0;
}

/* A deadline that nobody watches was taken without a word: the client that asked for an answer
 * within a second waited for as long as the model took. */
static void a_deadline_that_cannot_be_watched_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    char reply[4096];
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    fixture_turns(&f, 1);
    fill_timers(&f);
    assert_int_equal(ask(&f, fd, HTTP("troupe-timeout-ms: 1000\r\n"), reply, sizeof reply), 503);
    assert_non_null(strstr(reply, "deadline"));
    assert_int_equal(f.started_n, 0);
    assert_int_equal(fixture_metric(&f, TRP_METRIC_LIMIT_MEMORY), 1);
    assert_int_equal(ask(&f, fd, HTTP(""), reply, sizeof reply), 0); /* without one it is started */
    assert_int_equal(f.started_n, 1);
    fixture_release(&f, 0);
    fixture_turns(&f, 3);
    fixture_receive(fd, reply, sizeof reply);
    free_timers(&f);
    assert_int_equal(ask(&f, fd, HTTP("troupe-timeout-ms: 1000\r\n"), reply, sizeof reply), 0);
    f.now_ns += TRP_S(2);
    fixture_turns(&f, 2);
    fixture_receive(fd, reply, sizeof reply);
    assert_memory_equal(reply, "HTTP/1.1 504", 12);
    fixture_release(&f, 0);
    close(fd);
    fixture_close(&f);
}

static void the_deadlines_of_grpc_are_refused_alike(void **state)
{
    (void)state;
    static const char *const calls[] = { INFER "grpc-timeout: 1S\n", STREAM "grpc-timeout: 1S\n" };
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    carry(&l);
    struct trp_buf m = message("held", "", two, 2);
    fill_timers(&f);
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        const int32_t id = client_request(&l.client, calls[i], m.ptr, m.len, false);
        carry(&l);
        assert_true(says(client_at(&l.client, id), "grpc-status: 8\n"));
        assert_true(says(client_at(&l.client, id), "deadline"));
        assert_int_equal(f.started_n, 0);
    }
    free_timers(&f);
    trp_buf_deinit(&m);
    line_end(&l);
}

/* A watch that could not look again stayed open and told the news of its first look for ever. */
static void a_watch_that_cannot_look_again_ends(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    carry(&l);
    fill_timers(&f);
    const int32_t id =
        client_request(&l.client, GRPC("/grpc.health.v1.Health/Watch"), "\0\0\0\0\0", 5, false);
    carry(&l);
    assert_true(says(client_at(&l.client, id), "grpc-status: 8\n"));
    free_timers(&f);
    line_end(&l);
}

static uint64_t countdown;

static void *fail_one(const struct trp_alloc *a, size_t bytes, size_t align)
{
    return countdown && --countdown == 0 ? NULL : scarce_get(a, bytes, align);
}

/* An answer without memory for its body announced the body's length all the same: the client took
 * the next answer's header for it, and every later answer was out of step. */
static void an_answer_without_memory_keeps_the_client_in_step(void **state)
{
    (void)state;
    static const char get[] = "GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    int empty = 0, whole = 0;
    for (uint64_t nth = 1; nth < 30; nth++) {
        struct fixture f;
        char reply[4096];
        fixture_begin(&f);
        const int fd = fixture_connect(&f, true);
        fixture_turns(&f, 1);
        f.requests.alloc.alloc = fail_one;
        countdown = nth;
        fixture_send(fd, get, sizeof get - 1);
        fixture_turns(&f, 4);
        countdown = 0;
        (void)send(fd, get, sizeof get - 1,
                   MSG_NOSIGNAL); /* it may be closed by now: in step, too */
        fixture_turns(&f, 4);
        if (fixture_receive(fd, reply, sizeof reply) > 0) {
            for (const char *at = reply; *at;) {
                assert_memory_equal(at, "HTTP/1.1 ", 9);
                const char *length = strstr(at, "Content-Length: ");
                const char *end = strstr(at, "\r\n\r\n");
                assert_non_null(length);
                assert_non_null(end);
                assert_true(length < end);
                const size_t n = (size_t)atoi(length + 16);
                assert_true(strlen(end + 4) >= n);
                empty += n == 0;
                whole += n > 0;
                at = end + 4 + n;
            }
        }
        close(fd);
        fixture_close(&f);
    }
    assert_true(empty > 0); /* the case was met */
    assert_true(whole > 0);
}

/* A burst left its exchanges, calls and bodies with the front for ever. */
static void what_a_burst_left_behind_goes_when_nobody_comes_for_it(void **state)
{
    (void)state;
    struct fixture f;
    char reply[4096];
    int fds[4];
    fixture_open(&f);
    f.age_ns = TRP_S(5);
    fixture_start(&f);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = fixture_connect(&f, true);
        assert_int_equal(ask(&f, fds[i], HTTP(""), reply, sizeof reply), 0);
    }
    assert_int_equal(f.started_n, ARRAY_LEN(fds));
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fixture_release(&f, 0);
    fixture_turns(&f, 4);
    assert_int_equal(f.front->low.idle_n, ARRAY_LEN(fds));
    f.now_ns += TRP_S(6);
    fixture_turns(&f, 2);
    assert_int_equal(f.front->low.idle_n, ARRAY_LEN(fds)); /* they were needed in this time */
    f.now_ns += TRP_S(6);
    fixture_turns(&f, 2);
    assert_int_equal(f.front->low.idle_n, 0);
    assert_int_equal(trp_pool_idle_bytes(f.pool), 0);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_that_cannot_be_watched_is_refused),
        cmocka_unit_test(the_deadlines_of_grpc_are_refused_alike),
        cmocka_unit_test(a_watch_that_cannot_look_again_ends),
        cmocka_unit_test(an_answer_without_memory_keeps_the_client_in_step),
        cmocka_unit_test(what_a_burst_left_behind_goes_when_nobody_comes_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
