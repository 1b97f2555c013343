#include "unit/front/front_fixture.h"

#include "unit/base/coding.h"

#define HOST "Host: localhost\r\n"
#define JSON_BODY \
    "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[1,2.5]}]}"
#define JSON_REPLY \
    "\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[1,2],\"data\":[1,2.5]}]}"
#define DATE "Date: Tue, 15 Nov 1994 08:12:32 GMT\r\n"

static char reply[1 << 20];

/* Sends a text and reads what comes back. */
static const char *ask(struct fixture *f, int fd, const char *text)
{
    fixture_send(fd, text, strlen(text));
    fixture_turns(f, 4);
    fixture_receive(fd, reply, sizeof reply);
    return reply;
}

static const char *post(const char *path, const char *fields, const char *body)
{
    static char text[8192];
    snprintf(text, sizeof text, "POST %s HTTP/1.1\r\n" HOST "%sContent-Length: %zu\r\n\r\n%s", path,
             fields, strlen(body), body);
    return text;
}

static int status_of(const char *text)
{
    return strncmp(text, "HTTP/1.1 ", 9) == 0 ? atoi(text + 9) : 0;
}

static bool has(const char *text)
{
    return strstr(reply, text) != NULL;
}

static uint32_t count(const char *what)
{
    uint32_t n = 0;
    for (const char *at = reply; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

static bool is_closed(struct fixture *f, int fd)
{
    char more[256];
    fixture_turns(f, 3);
    return fixture_receive(fd, more, sizeof more) == -1;
}

/* -- answers -- */

static void json_goes_in_and_comes_out(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    ask(&f, fd, post("/v2/models/echo/infer", "", JSON_BODY));
    assert_int_equal(status_of(reply), 200);
    assert_true(has("Content-Type: application/json\r\n"));
    assert_true(has(DATE));
    assert_true(has(JSON_REPLY));
    assert_int_equal(f.finished_n, 1);
    assert_int_equal(fixture_metric(&f, TRP_METRIC_REQUESTS_HTTP1), 1);
    assert_int_equal(fixture_metric(&f, TRP_METRIC_BYTES_COPIED), 0); /* decoded where it lay */
    close(fd);
    fixture_turns(&f, 2);
    assert_int_equal(trp_front_connections(f.front), 0);
    fixture_close(&f);
}

static void a_request_may_come_in_any_pieces(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const char *text = post("/v2/models/echo/infer", "", JSON_BODY);
    const size_t len = strlen(text);
    const int fd = fixture_connect(&f, true);
    for (size_t cut = 1; cut < len; cut++) {
        fixture_send(fd, text, cut);
        fixture_turns(&f, 1);
        fixture_send(fd, text + cut, len - cut);
        fixture_turns(&f, 3);
        fixture_receive(fd, reply, sizeof reply);
        assert_int_equal(status_of(reply), 200);
        assert_true(has(JSON_REPLY));
    }
    for (size_t i = 0; i < len; i++) {
        fixture_send(fd, text + i, 1);
        fixture_turns(&f, 1);
    }
    fixture_turns(&f, 3);
    fixture_receive(fd, reply, sizeof reply);
    assert_true(has(JSON_REPLY));
    close(fd);
    fixture_close(&f);
}

static void pipelined_requests_are_answered_in_order_and_together(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    char text[8192];
    int n = 0;
    for (int i = 0; i < 5; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s",
                      post("/v2/models/echo/infer", "", JSON_BODY));
    n += snprintf(text + n, sizeof text - (size_t)n, "GET /nope HTTP/1.1\r\n" HOST "\r\nGET /v2");
    fixture_send(fd, text, (size_t)n);
    fixture_turns(&f, 1);
    fixture_receive(fd, reply, sizeof reply);
    assert_int_equal(count("HTTP/1.1 200 OK"), 5); /* all in the turn they came in */
    assert_int_equal(count("HTTP/1.1 404 Not Found"), 1);
    ask(&f, fd, " HTTP/1.1\r\n" HOST "\r\n");
    assert_true(has("\"name\":\"fake\""));
    close(fd);
    fixture_close(&f);
}

/* How long a turn sleeps when nothing happens but time passing, in ms. */
static int64_t slept_ms(struct fixture *f)
{
    const int64_t before = trp_clock_now_ns(trp_clock_system());
    assert_int_equal(trp_loop_turn(f->loop, TRP_MS(30), NULL).code, TRP_OK);
    return (trp_clock_now_ns(trp_clock_system()) - before) / TRP_MS(1);
}

/* A client that has closed its half while we do not read was told of in every turn: the loop
 * span until it was gone. */
static void a_half_that_is_closed_while_we_do_not_read_costs_nothing(void **state)
{
    (void)state;
    static char ask_much[1 << 20];
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    const int head = snprintf(ask_much, sizeof ask_much,
                              "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,200000],\"datatype\":"
                              "\"FP32\",\"parameters\":{\"binary_data_size\":800000}}],"
                              "\"parameters\":{\"binary_data_output\":true}}");
    char fields[256];
    const int n = snprintf(fields, sizeof fields,
                           "POST /v2/models/echo/infer HTTP/1.1\r\n" HOST
                           "Connection: close\r\nInference-Header-Content-Length: %d\r\n"
                           "Content-Length: %d\r\n\r\n",
                           head, head + 800000);
    fixture_send(fd, fields, (size_t)n);
    for (size_t at = 0, all = (size_t)head + 800000; at < all;) {
        const ssize_t sent = send(fd, ask_much + at, all - at, MSG_NOSIGNAL);
        at += sent > 0 ? (size_t)sent : 0;
        fixture_turns(&f, 1);
    }
    fixture_turns(&f, 3);
    assert_int_equal(f.finished_n, 0); /* the answer is larger than what a socket takes */
    shutdown(fd, SHUT_WR);
    fixture_turns(&f, 3);
    assert_true(slept_ms(&f) >= 20);
    uint64_t got = 0;
    for (ssize_t more = 0; (more = fixture_receive(fd, reply, sizeof reply)) >= 0;
         got += (uint64_t)more)
        fixture_turns(&f, 1);
    assert_true(got > 800000);
    close(fd);
    fixture_close(&f);
}

static void what_follows_a_request_in_flight_waits(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    ask(&f, fd, post("/v2/models/held/infer", "", JSON_BODY));
    ask(&f, fd, post("/v2/models/held/infer", "", JSON_BODY));
    ask(&f, fd, post("/v2/models/echo/infer", "", JSON_BODY));
    assert_string_equal(reply, "");
    assert_int_equal(f.started_n, 1);
    fixture_release(&f, 0);
    fixture_turns(&f, 3);
    assert_int_equal(f.started_n, 2);
    fixture_release(&f, 0);
    fixture_turns(&f, 3);
    fixture_receive(fd, reply, sizeof reply);
    assert_int_equal(count("HTTP/1.1 200 OK"), 3);
    close(fd);
    fixture_close(&f);
}

static void much_input_behind_a_request_in_flight_pauses_the_socket(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    const char *one = "GET /v2 HTTP/1.1\r\n" HOST "\r\n";
    ask(&f, fd, post("/v2/models/held/infer", "", JSON_BODY));
    uint32_t sent = 0;
    for (int i = 0; i < 20000; i++) {
        if (send(fd, one, strlen(one), MSG_NOSIGNAL) != (ssize_t)strlen(one))
            break;
        sent++;
        if (i % 64 == 0)
            fixture_turns(&f, 1);
    }
    assert_in_range(sent, 1000, 19999); /* the kernel's buffer filled: nobody read */
    fixture_release(&f, 0);
    uint32_t answers = 0;
    for (int i = 0; i < 2000 && answers < sent; i++) {
        fixture_turns(&f, 1);
        fixture_receive(fd, reply, sizeof reply);
        answers += count("\"name\":\"fake\"");
    }
    assert_int_equal(answers, sent);
    close(fd);
    fixture_close(&f);
}

static void binary_tensors_lie_aligned_and_only_the_first_bytes_are_copied(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    enum { FLOATS = 50000 };
    const size_t bytes = FLOATS * sizeof(float);
    float *values = malloc(bytes);
    for (int i = 0; i < FLOATS; i++)
        values[i] = (float)i;
    for (int pad = 0; pad < 3; pad++) {
        char json[512], text[1024];
        const int n =
            snprintf(json, sizeof json,
                     "{%*s\"inputs\":[{\"name\":\"x\",\"shape\":[1,%d],\"datatype\":\"FP32\","
                     "\"parameters\":{\"binary_data_size\":%zu}}],\"outputs\":[{\"name\":"
                     "\"y\",\"parameters\":{\"binary_data\":true}}]}",
                     pad, "", FLOATS, bytes);
        const int head =
            snprintf(text, sizeof text,
                     "POST /v2/models/echo/infer HTTP/1.1\r\n" HOST
                     "Inference-Header-Content-Length: %d\r\nContent-Length: %zu\r\n\r\n%s",
                     n, (size_t)n + bytes, json);
        const uint64_t before = fixture_metric(&f, TRP_METRIC_BYTES_COPIED);
        fixture_send(fd, text, (size_t)head);
        fixture_turns(&f, 1);
        size_t got = 0;
        for (size_t at = 0; at < bytes;) {
            const ssize_t sent = send(fd, (char *)values + at, bytes - at, MSG_NOSIGNAL);
            at += sent > 0 ? (size_t)sent : 0;
            fixture_turns(&f, 1);
        }
        for (int i = 0; i < 20; i++) {
            fixture_turns(&f, 1);
            const ssize_t more = fixture_receive(fd, reply + got, sizeof reply - got);
            got += more > 0 ? (size_t)more : 0;
        }
        assert_int_equal(status_of(reply), 200);
        assert_true(has("Content-Type: application/octet-stream\r\n"));
        assert_true(has("Inference-Header-Content-Length: "));
        assert_memory_equal(reply + got - bytes, values, bytes);
        assert_int_equal(f.aligned_n, pad + 1);
        assert_int_equal(fixture_metric(&f, TRP_METRIC_BYTES_COPIED) - before, n);
    }
    free(values);
    close(fd);
    fixture_close(&f);
}

static void chunked_bodies_are_collected(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    char text[2048];
    const char *body = JSON_BODY;
    int n = snprintf(text, sizeof text,
                     "POST /v2/models/echo/infer HTTP/1.1\r\n" HOST
                     "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t i = 0; i < strlen(body); i += 7)
        n += snprintf(text + n, sizeof text - (size_t)n, "%zx\r\n%.7s\r\n",
                      strlen(body + i) < 7 ? strlen(body + i) : 7, body + i);
    snprintf(text + n, sizeof text - (size_t)n, "0\r\n\r\n");
    ask(&f, fd, text);
    assert_int_equal(status_of(reply), 200);
    assert_true(has(JSON_REPLY));
    ask(&f, fd, text); /* and the connection goes on */
    assert_int_equal(status_of(reply), 200);
    close(fd);
    fixture_close(&f);
}

static void expect_continue_is_answered_before_the_body(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    char text[512];
    snprintf(text, sizeof text,
             "POST /v2/models/echo/infer HTTP/1.1\r\n" HOST
             "Expect: 100-continue\r\nContent-Length: %zu\r\n\r\n",
             strlen(JSON_BODY));
    assert_string_equal(ask(&f, fd, text), "HTTP/1.1 100 Continue\r\n\r\n");
    ask(&f, fd, JSON_BODY);
    assert_int_equal(status_of(reply), 200);
    ask(&f, fd, post("/v2/models/echo/infer", "Expect: 100-continue\r\n", JSON_BODY));
    assert_int_equal(status_of(reply), 200); /* the body was there already */
    ask(&f, fd, "POST /nope HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n");
    assert_int_equal(status_of(reply), 404);
    assert_true(has("Connection: close\r\n"));
    close(fd);
    const int other = fixture_connect(&f, true);
    ask(&f, other, "POST / HTTP/1.1\r\n" HOST "Expect: tea\r\nContent-Length: 9\r\n\r\n");
    assert_int_equal(status_of(reply), 417);
    close(other);
    fixture_close(&f);
}

static void bodies_are_packed_both_ways(void **state)
{
    (void)state;
    static const enum trp_coding codings[] = { TRP_CODING_GZIP, TRP_CODING_DEFLATE };
    struct fixture f;
    fixture_open(&f);
    f.limits.compress_min_bytes = 1;
    fixture_start(&f);
    const int fd = fixture_connect(&f, true);
    for (size_t i = 0; i < ARRAY_LEN(codings); i++) {
        struct trp_buf packed, plain;
        trp_buf_init(&packed, trp_heap(), 1 << 20);
        trp_buf_init(&plain, trp_heap(), 1 << 20);
        assert_int_equal(coding_pack(codings[i], TRP_STR_LIT(JSON_BODY), &packed).code, TRP_OK);
        char head[512];
        const char *name = trp_coding_name(codings[i]);
        snprintf(head, sizeof head,
                 "POST /v2/models/echo/infer HTTP/1.1\r\n" HOST "Content-Encoding: %s\r\n"
                 "Accept-Encoding: br, %s;q=0.5\r\nContent-Length: %zu\r\n\r\n",
                 name, name, packed.len);
        fixture_send(fd, head, strlen(head));
        fixture_send(fd, packed.ptr, packed.len);
        fixture_turns(&f, 3);
        const ssize_t n = fixture_receive(fd, reply, sizeof reply);
        assert_int_equal(status_of(reply), 200);
        snprintf(head, sizeof head, "Content-Encoding: %s\r\n", name);
        assert_true(has(head));
        assert_true(has("Vary: Accept-Encoding\r\n"));
        const char *body = strstr(reply, "\r\n\r\n") + 4;
        assert_int_equal(
            coding_unpack(codings[i], trp_str_make(body, (size_t)(reply + n - body)), &plain).code,
            TRP_OK);
        assert_non_null(strstr(trp_buf_text(&plain), JSON_REPLY));
        trp_buf_deinit(&packed);
        trp_buf_deinit(&plain);
    }
    /* clients that say for every request that they take gzip may not unpack what is no tensor */
    ask(&f, fd, "GET /v2 HTTP/1.1\r\n" HOST "Accept-Encoding: gzip\r\n\r\n");
    assert_int_equal(status_of(reply), 200);
    assert_false(has("Content-Encoding"));
    ask(&f, fd, post("/v2/models/echo/infer", "Accept-Encoding: gzip\r\n", "{"));
    assert_int_equal(status_of(reply), 400);
    assert_false(has("Content-Encoding"));
    ask(&f, fd, post("/v2/models/echo/infer", "Content-Encoding: br\r\n", JSON_BODY));
    assert_int_equal(status_of(reply), 415);
    assert_true(has("Accept-Encoding: gzip, deflate\r\n"));
    ask(&f, fd, post("/v2/models/echo/infer", "Content-Encoding: gzip\r\n", JSON_BODY));
    assert_int_equal(status_of(reply), 400);
    close(fd);
    fixture_close(&f);
}

/* -- methods, targets and what is refused -- */

static const struct row {
    const char *request;
    int status;
    const char *has;
} rows[] = {
    { "GET / HTTP/1.1\r\n" HOST "\r\n", 200, "\"name\":\"troupe\"" },
    { "GET /v2 HTTP/1.1\r\n" HOST "\r\n", 200, "\"name\":\"fake\"" },
    { "GET http://other/v2?x=1 HTTP/1.1\r\n" HOST "\r\n", 200, "\"name\":\"fake\"" },
    { "GET /v2/health/ready HTTP/1.1\r\n" HOST "\r\n", 200, "Content-Length: 0\r\n" },
    { "GET /v2/nothing HTTP/1.1\r\n" HOST "\r\n", 404,
      "{\"error\":\"Not Found: '/v2/nothing' is no path here" },
    { "DELETE /v2 HTTP/1.1\r\n" HOST "\r\n", 405, "Allow: GET, HEAD\r\n" },
    { "GET /v2/models/echo/infer HTTP/1.1\r\n" HOST "\r\n", 405, "Allow: POST\r\n" },
    { "OPTIONS /v2 HTTP/1.1\r\n" HOST "\r\n", 204, "Allow: GET, HEAD\r\n" },
    { "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 204, "Allow: " },
    { "OPTIONS /v2/nothing HTTP/1.1\r\n" HOST "\r\n", 404, "Not Found" },
    { "POST /v2/models/nope/infer HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", 404,
      "unknown model: 'nope'" }, /* whatever else is wrong */
    { "POST /v2/models/echo/infer HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n{", 400, "error" },
    { "POST /v2/models/echo/infer HTTP/1.1\r\n" HOST "\r\n", 400, "error" },
    { "POST /v2/nothing HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n12345", 404, "Not Found" },
    { "POST /v2/nothing HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
      404, "Not Found" },
    { "POST /v2/models/echo/infer HTTP/1.1\r\n" HOST
      "Inference-Header-Content-Length: x\r\nContent-Length: 2\r\n\r\n{}",
      400, "Inference-Header-Content-Length" },
    { "POST /v2/models/echo/infer HTTP/1.1\r\n" HOST
      "Inference-Header-Content-Length: 3\r\nContent-Length: 2\r\n\r\n{}",
      400, "error" },
    { "POST /v2/models/echo/infer HTTP/1.1\r\n" HOST
      "Troupe-Timeout-Ms: soon\r\nContent-Length: 2\r\n\r\n{}",
      400, "troupe-timeout-ms" },
};

static void every_answer_keeps_the_connection(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            ask(&f, fd, rows[i].request);
            if (status_of(reply) != rows[i].status || !has(rows[i].has))
                fail_msg("%s gave %s", rows[i].request, reply);
        }
    close(fd);
    fixture_close(&f);
}

static void head_has_the_length_and_no_body(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    ask(&f, fd, "HEAD /v2 HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(status_of(reply), 200);
    assert_true(has("Content-Length: 44\r\n"));
    assert_string_equal(strstr(reply, "\r\n\r\n"), "\r\n\r\n");
    close(fd);
    fixture_close(&f);
}

static const struct row fatal_rows[] = {
    { "GET / HTTP/1.1\nHost: a\n\n", 400, "error" },
    { "BREW / HTTP/1.1\r\n" HOST "\r\n", 400, "error" },
    { "TRACE / HTTP/1.1\r\n" HOST "\r\n", 405, "TRACE" },
    { "GET / HTTP/3.0\r\n" HOST "\r\n", 505, "error" },
    { "GET / HTTP/1.1\r\n\r\n", 400, "Host" },
    { "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
      "error" },
    { "POST /v2/models/echo/infer HTTP/1.1\r\n" HOST "Content-Length: 99999999\r\n\r\n", 413,
      "limits.body_bytes" },
    { "POST /v2/models/echo/infer HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
      400, "error" },
};

static void what_cannot_be_read_is_answered_and_closed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    for (size_t i = 0; i < ARRAY_LEN(fatal_rows); i++) {
        const int fd = fixture_connect(&f, true);
        ask(&f, fd, fatal_rows[i].request);
        if (status_of(reply) != fatal_rows[i].status || !has(fatal_rows[i].has) ||
            !has("Connection: close\r\n"))
            fail_msg("%s gave %s", fatal_rows[i].request, reply);
        shutdown(fd, SHUT_WR); /* the server lingers until we stop, or 2 s */
        assert_true(is_closed(&f, fd));
        close(fd);
        fixture_turns(&f, 2);
        assert_int_equal(trp_front_connections(f.front), 0);
    }
    fixture_close(&f);
}

static void errors_of_a_model_are_answers(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    ask(&f, fd, post("/v2/models/bad/infer", "", JSON_BODY));
    assert_int_equal(status_of(reply), 500);
    assert_true(has("{\"error\":\"it broke: 100%\"}"));
    ask(&f, fd, post("/v2/models/nope/infer", "", JSON_BODY));
    assert_int_equal(status_of(reply), 404);
    assert_true(has("Request for unknown model: 'nope' is not found"));
    assert_int_equal(f.finished_n, 1); /* only the one that had a target */
    close(fd);
    fixture_close(&f);
}

/* -- time, and clients that go away -- */

static void an_expired_request_is_answered_while_its_call_is_out(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    ask(&f, fd, post("/v2/models/held/infer", "troupe-timeout-ms: 100\r\n", JSON_BODY));
    f.now_ns += TRP_MS(101);
    fixture_turns(&f, 3);
    fixture_receive(fd, reply, sizeof reply);
    assert_int_equal(status_of(reply), 504);
    assert_int_equal(f.cancelled_n, 1);
    assert_int_equal(f.finished_n, 0);
    ask(&f, fd, post("/v2/models/echo/infer", "", JSON_BODY)); /* the connection is free again */
    assert_int_equal(status_of(reply), 200);
    fixture_release(&f, 0);
    fixture_turns(&f, 3);
    fixture_receive(fd, reply, sizeof reply);
    assert_string_equal(reply, "");
    assert_int_equal(f.finished_n, 2);
    assert_int_equal(fixture_metric(&f, TRP_METRIC_EXPIRED), 1);
    close(fd);
    fixture_close(&f);
}

static void a_client_that_goes_away_cancels(void **state)
{
    (void)state;
    for (int half = 0; half < 2; half++) {
        struct fixture f;
        fixture_begin(&f);
        const int fd = fixture_connect(&f, true);
        ask(&f, fd, post("/v2/models/held/infer", "", JSON_BODY));
        if (half)
            shutdown(fd, SHUT_WR);
        else
            close(fd);
        fixture_turns(&f, 2);
        assert_int_equal(f.cancelled_n, 1);
        assert_int_equal(trp_front_connections(f.front), 0);
        assert_int_equal(fixture_metric(&f, TRP_METRIC_CANCELLED), 1);
        fixture_release(&f, 0); /* the run ends later; nobody hears of it */
        fixture_turns(&f, 2);
        assert_int_equal(f.finished_n, 1);
        if (half)
            close(fd);
        fixture_close(&f);
    }
}

static void a_half_closed_client_is_answered_when_that_is_allowed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    f.limits.half_close_cancels = false;
    fixture_start(&f);
    const int fd = fixture_connect(&f, true);
    ask(&f, fd, post("/v2/models/held/infer", "", JSON_BODY));
    shutdown(fd, SHUT_WR);
    fixture_turns(&f, 2);
    assert_int_equal(f.cancelled_n, 0);
    fixture_release(&f, 0);
    fixture_turns(&f, 3);
    fixture_receive(fd, reply, sizeof reply);
    assert_int_equal(status_of(reply), 200);
    assert_true(has("Connection: close\r\n"));
    assert_true(is_closed(&f, fd));
    close(fd);
    fixture_close(&f);
}

static void a_truncated_body_is_told(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    ask(&f, fd, "POST /v2/models/echo/infer HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n{");
    assert_string_equal(reply, "");
    shutdown(fd, SHUT_WR);
    fixture_turns(&f, 2);
    fixture_receive(fd, reply, sizeof reply);
    assert_int_equal(status_of(reply), 400);
    assert_int_equal(f.started_n, 0);
    close(fd);
    fixture_close(&f);
}

static void slow_senders_are_timed_out(void **state)
{
    (void)state;
    static const struct {
        const char *sent;
        int64_t seconds;
        const char *has;
    } slow[] = {
        { "GET / HT", 6, "timeouts.header" },
        { "POST /v2/models/echo/infer HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n{", 11,
          "timeouts.body" },
        { "POST /v2/models/echo/infer HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1", 11,
          "timeouts.body" },
    };
    struct fixture f;
    fixture_begin(&f);
    for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
        const int fd = fixture_connect(&f, true);
        assert_string_equal(ask(&f, fd, slow[i].sent), "");
        f.now_ns += TRP_S(slow[i].seconds - 2);
        fixture_turns(&f, 2);
        assert_int_equal(fixture_receive(fd, reply, sizeof reply), 0);
        f.now_ns += TRP_S(2);
        fixture_turns(&f, 3);
        fixture_receive(fd, reply, sizeof reply);
        assert_int_equal(status_of(reply), 408);
        assert_true(has(slow[i].has));
        f.now_ns += TRP_S(3); /* the linger ends */
        fixture_turns(&f, 2);
        assert_int_equal(trp_front_connections(f.front), 0);
        close(fd);
    }
    assert_int_equal(fixture_metric(&f, TRP_METRIC_LIMIT_TIME), 3);
    fixture_close(&f);
}

static void idle_connections_are_closed_and_busy_ones_are_not(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int silent = fixture_connect(&f, true), idle = fixture_connect(&f, true),
              busy = fixture_connect(&f, true);
    ask(&f, idle, post("/v2/models/echo/infer", "", JSON_BODY));
    ask(&f, busy, post("/v2/models/held/infer", "", JSON_BODY));
    f.now_ns += TRP_S(6); /* who says nothing at all has the header's time */
    fixture_turns(&f, 2);
    assert_true(is_closed(&f, silent));
    assert_int_equal(trp_front_connections(f.front), 2);
    for (int i = 0; i < 30; i++) {
        f.now_ns += TRP_S(5);
        fixture_turns(&f, 1);
    }
    assert_true(is_closed(&f, idle));
    assert_int_equal(trp_front_connections(f.front), 1);
    fixture_release(&f, 0);
    fixture_turns(&f, 3);
    fixture_receive(busy, reply, sizeof reply);
    assert_int_equal(status_of(reply), 200);
    close(silent);
    close(idle);
    close(busy);
    fixture_close(&f);
}

static void a_client_that_does_not_read_is_cut_off(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    const char *one = "GET /v2 HTTP/1.1\r\n" HOST "\r\n";
    for (int i = 0; i < 100000; i++) {
        if (send(fd, one, strlen(one), MSG_NOSIGNAL) != (ssize_t)strlen(one))
            break;
        if (i % 64 == 0)
            fixture_turns(&f, 1);
    }
    assert_int_equal(trp_front_connections(f.front), 1);
    f.now_ns += TRP_S(11);
    fixture_turns(&f, 3);
    assert_int_equal(trp_front_connections(f.front), 0);
    close(fd);
    fixture_close(&f);
}

/* -- guards and limits -- */

static void changes_are_served_to_this_machine_only(void **state)
{
    (void)state;
    static const struct {
        bool is_local, remote;
        const char *fields;
        int status;
    } cases[] = {
        { true, false, HOST, 200 },
        { true, false, "Host: 127.0.0.1:8000\r\n", 200 },
        { true, false, "Host: [::1]:8000\r\n", 200 },
        { true, false, "Host: evil.example\r\n", 403 },
        { true, false, "Host: Gpu.example:80\r\n", 200 },
        { true, false, HOST "Origin: http://evil.example\r\n", 403 },
        { true, false, HOST "Origin: http://ui.example\r\n", 200 },
        { false, false, HOST, 403 },
        { false, true, HOST, 200 },
        { false, true, "Host: evil.example\r\n", 403 },
    };
    static const char *const cors[] = { "http://ui.example" }, *const hosts[] = { "gpu.example" };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        char text[512];
        fixture_open(&f);
        f.limits.admin_remote = cases[i].remote;
        f.limits.cors = cors;
        f.limits.cors_n = 1;
        f.limits.admin_hosts = hosts;
        f.limits.admin_hosts_n = 1;
        fixture_start(&f);
        const int fd = fixture_connect(&f, cases[i].is_local);
        snprintf(text, sizeof text, "POST /v2/repository/models/m/load HTTP/1.1\r\n%s\r\n",
                 cases[i].fields);
        ask(&f, fd, text);
        if (status_of(reply) != cases[i].status)
            fail_msg("%s gave %s", text, reply);
        assert_int_equal(f.controls_n, cases[i].status == 200);
        snprintf(text, sizeof text, "GET /v2 HTTP/1.1\r\n%s\r\n", cases[i].fields);
        ask(&f, fd, text);
        assert_int_equal(status_of(reply), 200); /* looking is free */
        close(fd);
        fixture_close(&f);
    }
}

static void browsers_are_let_in_by_cors_alone(void **state)
{
    (void)state;
    static const char *const cors[] = { "http://ui.example" };
    struct fixture f;
    fixture_open(&f);
    f.limits.cors = cors;
    f.limits.cors_n = 1;
    fixture_start(&f);
    const int fd = fixture_connect(&f, true);
    ask(&f, fd,
        "OPTIONS /v2/models/echo/infer HTTP/1.1\r\n" HOST "Origin: http://ui.example\r\n"
        "Access-Control-Request-Method: POST\r\n\r\n");
    assert_int_equal(status_of(reply), 204);
    assert_true(has("Access-Control-Allow-Origin: http://ui.example\r\n"));
    assert_true(has("Access-Control-Allow-Methods: POST\r\n"));
    assert_true(has("inference-header-content-length"));
    ask(&f, fd, "GET /v2 HTTP/1.1\r\n" HOST "Origin: http://ui.example\r\n\r\n");
    assert_true(has("Access-Control-Allow-Origin: http://ui.example\r\n"));
    assert_true(has("Vary: Origin\r\n"));
    ask(&f, fd, "GET /v2 HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\n\r\n");
    assert_false(has("Access-Control-Allow-Origin"));
    close(fd);
    fixture_close(&f);
}

static void too_many_connections_are_told_so(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    f.limits.connections_n = 2;
    fixture_start(&f);
    const int a = fixture_connect(&f, true), b = fixture_connect(&f, true),
              c = fixture_connect(&f, true);
    fixture_receive(c, reply, sizeof reply);
    assert_int_equal(status_of(reply), 503);
    assert_int_equal(fixture_metric(&f, TRP_METRIC_CONNECTIONS_REFUSED), 1);
    close(a);
    fixture_turns(&f, 2);
    const int d = fixture_connect(&f, true);
    ask(&f, d, "GET /v2 HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(status_of(reply), 200);
    close(b);
    close(c);
    close(d);
    fixture_close(&f);
}

static void calls_have_a_limit(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    f.limits.calls_n = 1;
    fixture_start(&f);
    const int a = fixture_connect(&f, true), b = fixture_connect(&f, true);
    ask(&f, a, post("/v2/models/held/infer", "", JSON_BODY));
    ask(&f, b, post("/v2/models/echo/infer", "", JSON_BODY));
    assert_int_equal(status_of(reply), 429);
    fixture_release(&f, 0);
    fixture_turns(&f, 3);
    ask(&f, b, post("/v2/models/echo/infer", "", JSON_BODY));
    assert_int_equal(status_of(reply), 200);
    close(a);
    close(b);
    fixture_close(&f);
}

static void shared_memory_is_held_while_the_call_lives(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    f.region[0] = 7;
    f.region[1] = 8;
    const int fd = fixture_connect(&f, true);
    const char *body =
        "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"parameters\":{"
        "\"shared_memory_region\":\"shm\",\"shared_memory_byte_size\":8}}],\"outputs\":[{"
        "\"name\":\"y\",\"parameters\":{\"shared_memory_region\":\"shm\","
        "\"shared_memory_offset\":16,\"shared_memory_byte_size\":8}}]}";
    ask(&f, fd, post("/v2/models/held/infer", "", body));
    assert_int_equal(f.regions_held, 2);
    fixture_release(&f, 0);
    fixture_turns(&f, 3);
    fixture_receive(fd, reply, sizeof reply);
    assert_int_equal(status_of(reply), 200);
    assert_int_equal(f.regions_held, 0);
    assert_true(f.region[4] == 7 && f.region[5] == 8);
    close(fd);
    fixture_close(&f);
}

/* Backends read elements at their alignment, and strings that nobody changes any more.  (The model
 * takes FP32 only; the others are refused, but later.) */
static void what_shared_memory_cannot_give_in_place_is_copied(void **state)
{
    (void)state;
    static const struct input {
        const char *dtype;
        int elements, bytes, offset, copied;
    } inputs[] = {
        { "FP32", 2, 8, 4, 0 },  { "FP32", 2, 8, 5, 8 },  { "FP64", 1, 8, 5, 8 },
        { "INT16", 3, 6, 2, 0 }, { "UINT8", 3, 3, 3, 0 }, { "BYTES", 1, 4, 8, 4 },
    };
    for (const struct input *r = inputs; r < inputs + ARRAY_LEN(inputs); r++) {
        struct fixture f;
        char body[512];
        fixture_begin(&f);
        memcpy((char *)f.region + r->offset, (const float[]){ 7, 8 }, 8);
        const int fd = fixture_connect(&f, true);
        print_message("%s at %d\n", r->dtype, r->offset);
        snprintf(body, sizeof body,
                 "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,%d],\"datatype\":\"%s\","
                 "\"parameters\":{\"shared_memory_region\":\"shm\",\"shared_memory_offset\":%d,"
                 "\"shared_memory_byte_size\":%d}}]}",
                 r->elements, r->dtype, r->offset, r->bytes);
        ask(&f, fd, post("/v2/models/echo/infer", "", body));
        assert_int_equal(status_of(reply), strcmp(r->dtype, "FP32") == 0 ? 200 : 400);
        assert_int_equal(has("\"data\":[7,8]"), strcmp(r->dtype, "FP32") == 0);
        assert_int_equal(fixture_metric(&f, TRP_METRIC_BYTES_COPIED), r->copied);
        assert_int_equal(f.regions_held, 0);
        close(fd);
        fixture_close(&f);
    }
}

static void set_true(void *user)
{
    *(bool *)user = true;
}

static void draining_answers_what_is_in_flight_and_closes(void **state)
{
    (void)state;
    struct fixture f;
    bool is_drained = false;
    fixture_begin(&f);
    const int idle = fixture_connect(&f, true), busy = fixture_connect(&f, true);
    ask(&f, idle, "GET /v2 HTTP/1.1\r\n" HOST "\r\n");
    ask(&f, busy, post("/v2/models/held/infer", "", JSON_BODY));
    trp_front_drain(f.front, set_true, &is_drained);
    assert_true(is_closed(&f, idle));
    assert_false(is_drained);
    fixture_release(&f, 0);
    fixture_turns(&f, 3);
    fixture_receive(busy, reply, sizeof reply);
    assert_int_equal(status_of(reply), 200);
    assert_true(has("Connection: close\r\n"));
    fixture_turns(&f, 3);
    assert_true(is_drained);
    close(idle);
    close(busy);
    fixture_close(&f);
}

static void a_front_with_calls_out_waits_for_them_when_destroyed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    ask(&f, fd, post("/v2/models/held/infer", "", JSON_BODY));
    fixture_release(&f, 0); /* its end is in the ready list, no turn has run it yet */
    close(fd);
    fixture_close(&f);
    assert_int_equal(f.finished_n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_goes_in_and_comes_out),
        cmocka_unit_test(a_request_may_come_in_any_pieces),
        cmocka_unit_test(pipelined_requests_are_answered_in_order_and_together),
        cmocka_unit_test(a_half_that_is_closed_while_we_do_not_read_costs_nothing),
        cmocka_unit_test(what_follows_a_request_in_flight_waits),
        cmocka_unit_test(much_input_behind_a_request_in_flight_pauses_the_socket),
        cmocka_unit_test(binary_tensors_lie_aligned_and_only_the_first_bytes_are_copied),
        cmocka_unit_test(chunked_bodies_are_collected),
        cmocka_unit_test(expect_continue_is_answered_before_the_body),
        cmocka_unit_test(bodies_are_packed_both_ways),
        cmocka_unit_test(every_answer_keeps_the_connection),
        cmocka_unit_test(head_has_the_length_and_no_body),
        cmocka_unit_test(what_cannot_be_read_is_answered_and_closed),
        cmocka_unit_test(errors_of_a_model_are_answers),
        cmocka_unit_test(an_expired_request_is_answered_while_its_call_is_out),
        cmocka_unit_test(a_client_that_goes_away_cancels),
        cmocka_unit_test(a_half_closed_client_is_answered_when_that_is_allowed),
        cmocka_unit_test(a_truncated_body_is_told),
        cmocka_unit_test(slow_senders_are_timed_out),
        cmocka_unit_test(idle_connections_are_closed_and_busy_ones_are_not),
        cmocka_unit_test(a_client_that_does_not_read_is_cut_off),
        cmocka_unit_test(changes_are_served_to_this_machine_only),
        cmocka_unit_test(browsers_are_let_in_by_cors_alone),
        cmocka_unit_test(too_many_connections_are_told_so),
        cmocka_unit_test(calls_have_a_limit),
        cmocka_unit_test(shared_memory_is_held_while_the_call_lives),
        cmocka_unit_test(what_shared_memory_cannot_give_in_place_is_copied),
        cmocka_unit_test(draining_answers_what_is_in_flight_and_closes),
        cmocka_unit_test(a_front_with_calls_out_waits_for_them_when_destroyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
