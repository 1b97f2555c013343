/* Clients that ask and do not read: what their answers take is bounded, and all of them are
 * answered when they read again. */
#include "unit/front/front_line.h"

#include "front/conn.h"

#define ANSWER ((size_t)8 << 20)
#define CALLS 16
#define STARTED_MAX 10 /* answers of 8 MB that are begun while 64 MB may be owed */
#define HTTP                                                     \
    "POST /v2/models/held/infer HTTP/1.1\r\nHost: localhost\r\n" \
    "Content-Length: 72\r\n\r\n" JSON_BODY

static float large[ANSWER / sizeof(float)];

/* Answers every call that was started with more than it brought. */
static void answer_all(struct fixture *f)
{
    while (f->held_n) {
        struct trp_call *call = f->held[--f->held_n];
        fake_answer(call);
        struct troupe_tensor *t = &call->outputs[0].tensor;
        t->data = large;
        t->bytes = sizeof large;
        t->shape[1] = (int64_t)ARRAY_LEN(large);
        trp_call_finish_soon(call);
    }
    fixture_turns(f, 2);
}

/* The client takes what comes and keeps nothing of it; it says nothing, so no window is opened
 * again. */
static void hear(struct line *l)
{
    static char in[1 << 16];
    for (int i = 0, silent = 0; i < 10000 && silent < 3; i++) {
        ssize_t n;
        fixture_turns(l->f, 1);
        for (silent++; (n = recv(l->fd, in, sizeof in, MSG_DONTWAIT)) > 0; silent = 0) {
            assert_int_equal(nghttp2_session_mem_recv(l->client.session, (uint8_t *)in, (size_t)n),
                             n);
            for (size_t s = 0; s < CLIENT_STREAMS; s++)
                l->client.streams[s].data_n = 0;
        }
    }
}

/* The client opens all windows and reads. */
static void go_on(struct line *l, uint32_t calls)
{
    const nghttp2_settings_entry wide = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1u << 30 };
    nghttp2_submit_settings(l->client.session, 0, &wide, 1);
    nghttp2_session_set_local_window_size(l->client.session, 0, 0, 1 << 30);
    for (int i = 0; i < 200 && l->f->finished_n < calls; i++) {
        push(l);
        hear(l);
        answer_all(l->f);
    }
    push(l);
    hear(l);
    assert_int_equal(l->f->finished_n, calls);
}

static void open_both(struct fixture *f, struct line *l, int32_t window)
{
    fixture_open(f);
    f->limits.stream_requests_n = 256;
    fixture_start(f);
    l->f = f;
    l->fd = fixture_connect(f, true);
    line_open_client(l, window);
    if (window)
        nghttp2_session_set_local_window_size(l->client.session, 0, 0, window);
    carry(l);
}

/* Its requests were read, run and answered for as long as limits.request_memory allowed. */
static void a_socket_that_takes_nothing_is_not_read_from(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    open_both(&f, &l, 1 << 30);
    struct trp_buf m = message("held", "", two, 2);
    client_request(&l.client, INFER, m.ptr, m.len, false);
    push(&l);
    answer_all(&f);
    assert_true(f.front->conns->is_blocked);
    assert_true(f.front->conns->is_paused);
    for (int i = 1; i < CALLS; i++)
        client_request(&l.client, INFER, m.ptr, m.len, false);
    push(&l);
    fixture_turns(&f, 10);
    assert_int_equal(f.started_n, 1);
    go_on(&l, CALLS);
    for (int i = 0; i < CALLS; i++)
        assert_true(says(&l.client.streams[i], "grpc-status: 0\n"));
    trp_buf_deinit(&m);
    line_end(&l);
}

/* The socket is read to the end, but the client opens no window: nothing may be sent, so little
 * may be begun. */
static void a_client_that_opens_no_window_gets_little_begun(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    open_both(&f, &l, 0);
    struct trp_buf m = message("held", "", two, 2);
    client_request(&l.client, INFER, m.ptr, m.len, false);
    push(&l);
    answer_all(&f);
    for (int i = 1; i < CALLS; i++)
        client_request(&l.client, i == CALLS - 1 ? INFER "grpc-timeout: 3S\n" : INFER, m.ptr, m.len,
                       false);
    push(&l);
    for (int i = 0; i < 5; i++) {
        hear(&l);
        answer_all(&f);
    }
    assert_in_range(f.started_n, 2, STARTED_MAX);
    assert_true(f.front->conns->owed_bytes <= (uint64_t)STARTED_MAX * (ANSWER + 1024));
    f.now_ns += TRP_S(4); /* who waits to be begun may be too late */
    fixture_turns(&f, 2);
    hear(&l);
    assert_true(says(&l.client.streams[CALLS - 1], "grpc-status: 4\n"));
    go_on(&l, CALLS - 1);
    assert_int_equal(f.front->conns->owed_bytes, 0);
    trp_buf_deinit(&m);
    line_end(&l);
}

/* Nor may it hold what is owed for ever. */
static void an_answer_that_is_not_taken_in_time_ends_the_connection(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    open_both(&f, &l, 0);
    struct trp_buf m = message("held", "", two, 2);
    client_request(&l.client, INFER, m.ptr, m.len, false);
    push(&l);
    f.now_ns += TRP_S(50); /* a run may take its time */
    fixture_turns(&f, 2);
    assert_int_equal(trp_front_connections(f.front), 1);
    answer_all(&f);
    hear(&l);
    for (int i = 0; i < 9; i++) {
        f.now_ns += TRP_S(10);
        fixture_turns(&f, 2);
        hear(&l);
    }
    assert_int_equal(trp_front_connections(f.front), 0);
    assert_int_equal(fixture_metric(&f, TRP_METRIC_LIMIT_TIME), 1);
    trp_buf_deinit(&m);
    line_end(&l);
}

static void the_messages_of_a_stream_are_held_back_alike(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    open_both(&f, &l, 0);
    struct trp_buf one = message("held", "", two, 2), all;
    trp_buf_init(&all, trp_heap(), 1 << 20);
    for (int i = 0; i < CALLS - 1; i++)
        trp_buf_add_str(&all, trp_buf_str(&one));
    const int32_t id = client_request(&l.client, STREAM, one.ptr, one.len, true);
    push(&l);
    answer_all(&f);
    client_more(&l.client, id, all.ptr, all.len, false);
    push(&l);
    for (int i = 0; i < 5; i++) {
        hear(&l);
        answer_all(&f);
    }
    assert_in_range(f.started_n, 2, STARTED_MAX);
    assert_int_equal(fixture_metric(&f, TRP_METRIC_LIMIT_STREAM_REQUESTS), 0); /* another limit */
    go_on(&l, CALLS);
    assert_true(says(client_at(&l.client, id), "grpc-status: 0\n"));
    trp_buf_deinit(&one);
    trp_buf_deinit(&all);
    line_end(&l);
}

static void pipelined_requests_wait_for_the_answers_before_them(void **state)
{
    (void)state;
    static char in[1 << 16];
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    for (int i = 0; i < CALLS; i++)
        fixture_send(fd, HTTP, sizeof HTTP - 1);
    for (int i = 0; i < 10; i++) {
        fixture_turns(&f, 2);
        answer_all(&f);
    }
    assert_int_equal(f.started_n, 1);
    uint64_t heard = 0;
    for (int i = 0; i < 100000 && f.finished_n < CALLS; i++) {
        ssize_t n;
        fixture_turns(&f, 1);
        answer_all(&f);
        while ((n = recv(fd, in, sizeof in, MSG_DONTWAIT)) > 0)
            heard += (uint64_t)n;
    }
    assert_int_equal(f.finished_n, CALLS);
    assert_true(heard > CALLS / 2 * (uint64_t)ARRAY_LEN(large));
    close(fd);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_socket_that_takes_nothing_is_not_read_from),
        cmocka_unit_test(a_client_that_opens_no_window_gets_little_begun),
        cmocka_unit_test(an_answer_that_is_not_taken_in_time_ends_the_connection),
        cmocka_unit_test(the_messages_of_a_stream_are_held_back_alike),
        cmocka_unit_test(pipelined_requests_wait_for_the_answers_before_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
