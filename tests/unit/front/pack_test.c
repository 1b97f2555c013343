/* Bodies and replies that take many turns: what a turn does of them, who gets an answer meanwhile,
 * and what becomes of them when their client, or their time, is gone. */
#include "unit/front/front_line.h"

#include "front/pack.h"
#include "unit/base/coding.h"

#define HOST "Host: localhost\r\n"
#define MIB ((size_t)1 << 20)
#define TURNS 200 /* more than anything here takes */

static char reply[16 << 20];

static const char *ask(struct fixture *f, int fd, const char *text)
{
    fixture_send(fd, text, strlen(text));
    fixture_turns(f, 4);
    fixture_receive(fd, reply, sizeof reply);
    return reply;
}

static bool is_answered(int fd, const char *status)
{
    char line[32];
    snprintf(line, sizeof line, "HTTP/1.1 %s", status);
    return fixture_receive(fd, reply, sizeof reply) > 0 && strncmp(reply, line, strlen(line)) == 0;
}

/* Sends as much as the socket takes, turn by turn. */
static void feed(struct fixture *f, int fd, const char *ptr, size_t len)
{
    for (int turns = 0; len && turns < 10 * TURNS; turns++) {
        const ssize_t n = send(fd, ptr, len, MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN);
        ptr += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
        fixture_turns(f, 1);
    }
    assert_int_equal(len, 0);
}

static void send_head(int fd, const char *coding, size_t bytes, const char *more)
{
    char head[512];
    snprintf(head, sizeof head,
             "POST /v2/models/echo/infer HTTP/1.1\r\n" HOST "Content-Encoding: %s\r\n%s"
             "Content-Length: %zu\r\n\r\n",
             coding, more, bytes);
    fixture_send(fd, head, strlen(head));
}

static struct trp_buf packed(enum trp_coding coding, const void *ptr, size_t len)
{
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 32 * MIB);
    assert_int_equal(coding_pack(coding, trp_str_make(ptr, len), &b).code, TRP_OK);
    return b;
}

static struct trp_buf packed_zeros(size_t len)
{
    char *zeros = calloc(1, len);
    struct trp_buf b = packed(TRP_CODING_GZIP, zeros, len);
    free(zeros);
    return b;
}

/* A binary request for x of shape [1, n]: `n` floats that do not shrink to nothing; *out_json is
 * the length of its text. */
static struct trp_buf request_of(size_t n, size_t *out_json)
{
    struct trp_buf b;
    trp_buf_init(&b, trp_heap(), 32 * MIB);
    trp_buf_addf(&b,
                 "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,%zu],\"datatype\":\"FP32\","
                 "\"parameters\":{\"binary_data_size\":%zu}}],"
                 "\"outputs\":[{\"name\":\"y\",\"parameters\":{\"binary_data\":true}}]}",
                 n, n * sizeof(float));
    *out_json = b.len;
    for (size_t i = 0; i < n; i++) {
        const float v = (float)(i * 2654435761u % 4096);
        trp_buf_add(&b, &v, sizeof v);
    }
    assert_int_equal(b.failed, TRP_OK);
    return b;
}

static void check_turns(const struct fixture *f)
{
    const uint64_t most = fixture_metric(f, TRP_METRIC_PACKED_TURN_MAX);
    print_message("at most %llu bytes a turn, %llu turns\n", (unsigned long long)most,
                  (unsigned long long)fixture_metric(f, TRP_METRIC_PACKING_POSTPONED));
    assert_true(most > 0 && most <= TRP_PACK_TURN_BYTES);
}

static int turns_until_answered(struct fixture *f, int fd, const char *status)
{
    for (int turns = 1; turns < 1000; turns++) {
        fixture_turns(f, 1);
        if (is_answered(fd, status))
            return turns;
    }
    fail_msg("no answer");
    return 0;
}

/* -- bodies -- */

static void a_bomb_is_refused_while_others_are_answered(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int bomber = fixture_connect(&f, true), neighbour = fixture_connect(&f, true);
    struct trp_buf bomb = packed_zeros(16 * MIB);
    assert_true(bomb.len < 128 << 10);
    send_head(bomber, "gzip", bomb.len, "");
    feed(&f, bomber, bomb.ptr, bomb.len);
    for (int i = 0; i < 3; i++) {
        ask(&f, neighbour, "GET /v2/health/ready HTTP/1.1\r\n" HOST "\r\n");
        assert_non_null(strstr(reply, " 200 OK"));
        assert_int_equal(fixture_receive(bomber, reply, sizeof reply), 0);
    }
    assert_true(turns_until_answered(&f, bomber, "413") > 3);
    assert_non_null(strstr(reply, "the body is larger than 4194304 bytes when unpacked"));
    check_turns(&f);
    assert_true(fixture_metric(&f, TRP_METRIC_PACKING_POSTPONED) > 10);
    ask(&f, bomber, "GET /v2/health/ready HTTP/1.1\r\n" HOST "\r\n"); /* it may stay */
    assert_non_null(strstr(reply, " 200 OK"));
    trp_buf_deinit(&bomb);
    close(bomber);
    close(neighbour);
    fixture_close(&f);
}

static void input_that_becomes_nothing_is_limited_as_well(void **state)
{
    (void)state;
    enum { BLOCKS = 400000 };
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    struct trp_buf body;
    trp_buf_init(&body, trp_heap(), 32 * MIB);
    for (int i = 0; i < BLOCKS; i++)
        trp_buf_add(&body, "\0\0\0\xff\xff", 5); /* stored, empty */
    trp_buf_add(&body, "\x01\0\0\xff\xff", 5);   /* the last */
    send_head(fd, "deflate", body.len, "");
    feed(&f, fd, body.ptr, body.len);
    (void)turns_until_answered(&f, fd, "400");
    check_turns(&f);
    trp_buf_deinit(&body);
    close(fd);
    fixture_close(&f);
}

/* A megabyte of floats comes back as it was; what came before the last byte was unpacked
 * already. */
static void check_large_body(enum trp_coding coding, bool is_chunked)
{
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    size_t json;
    struct trp_buf plain = request_of(900000, &json);
    struct trp_buf body = packed(coding, plain.ptr, plain.len);
    char text[256];
    assert_true(body.len > 256 << 10);
    if (is_chunked) {
        snprintf(
            text, sizeof text,
            "POST /v2/models/echo/infer HTTP/1.1\r\n" HOST "Content-Encoding: %s\r\n"
            "Inference-Header-Content-Length: %zu\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n",
            trp_coding_name(coding), json, body.len);
        fixture_send(fd, text, strlen(text));
    } else {
        snprintf(text, sizeof text, "Inference-Header-Content-Length: %zu\r\n", json);
        send_head(fd, trp_coding_name(coding), body.len, text);
    }
    feed(&f, fd, body.ptr, body.len - 1);
    fixture_turns(&f, TURNS);
    assert_int_equal(fixture_receive(fd, reply, sizeof reply), 0);
    const uint64_t postponed = fixture_metric(&f, TRP_METRIC_PACKING_POSTPONED);
    assert_true(postponed > 5);
    fixture_send(fd, body.ptr + body.len - 1, 1);
    if (is_chunked)
        fixture_send(fd, "\r\n0\r\n\r\n", 7);
    size_t n = 0;
    for (int turns = 0; turns < TURNS; turns++) {
        fixture_turns(&f, 1);
        const ssize_t got = recv(fd, reply + n, sizeof reply - n, MSG_DONTWAIT);
        n += got > 0 ? (size_t)got : 0;
    }
    assert_int_equal(fixture_metric(&f, TRP_METRIC_PACKING_POSTPONED), postponed);
    assert_int_equal(strncmp(reply, "HTTP/1.1 200", 12), 0);
    const size_t bytes = plain.len - json;
    assert_true(n > bytes);
    assert_memory_equal(reply + n - bytes, plain.ptr + json, bytes);
    check_turns(&f);
    trp_buf_deinit(&plain);
    trp_buf_deinit(&body);
    close(fd);
    fixture_close(&f);
}

static void a_large_body_is_unpacked_while_it_comes(void **state)
{
    (void)state;
    check_large_body(TRP_CODING_GZIP, false);
    check_large_body(TRP_CODING_DEFLATE, false);
    check_large_body(TRP_CODING_GZIP, true);
}

static void what_is_corrupt_is_told_when_the_body_has_come(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    struct trp_buf body = packed_zeros(MIB);
    body.ptr[12] = (char)(body.ptr[12] ^ 0x55);
    memset(body.ptr + 20, 0xff, 100);
    send_head(fd, "gzip", body.len, "");
    feed(&f, fd, body.ptr, body.len / 2);
    fixture_turns(&f, 20);
    assert_int_equal(fixture_receive(fd, reply, sizeof reply), 0);
    feed(&f, fd, body.ptr + body.len / 2, body.len - body.len / 2);
    (void)turns_until_answered(&f, fd, "400");
    assert_non_null(strstr(reply, "gzip: corrupt near byte"));
    ask(&f, fd, "GET /v2/health/ready HTTP/1.1\r\n" HOST "\r\n");
    assert_non_null(strstr(reply, " 200 OK"));
    trp_buf_deinit(&body);
    close(fd);
    fixture_close(&f);
}

static void a_small_body_does_not_wait_for_large_ones(void **state)
{
    (void)state;
    enum { LARGE = 4 };
    struct fixture f;
    int large[LARGE];
    fixture_begin(&f);
    struct trp_buf bomb = packed_zeros(16 * MIB);
    struct trp_buf small = packed(TRP_CODING_GZIP, JSON_BODY, sizeof JSON_BODY - 1);
    for (int i = 0; i < LARGE; i++) {
        large[i] = fixture_connect(&f, true);
        send_head(large[i], "gzip", bomb.len, "");
        feed(&f, large[i], bomb.ptr, bomb.len);
    }
    const int fd = fixture_connect(&f, true);
    send_head(fd, "gzip", small.len, "");
    feed(&f, fd, small.ptr, small.len);
    assert_true(turns_until_answered(&f, fd, "200") <= 4);
    for (int i = 0; i < LARGE; i++) {
        assert_int_equal(fixture_receive(large[i], reply, sizeof reply), 0);
        close(large[i]); /* in the middle */
    }
    fixture_turns(&f, 3);
    const uint64_t postponed = fixture_metric(&f, TRP_METRIC_PACKING_POSTPONED);
    fixture_turns(&f, 10);
    assert_int_equal(fixture_metric(&f, TRP_METRIC_PACKING_POSTPONED), postponed);
    check_turns(&f);
    trp_buf_deinit(&bomb);
    trp_buf_deinit(&small);
    close(fd);
    fixture_close(&f);
}

/* Each block that unpacking takes is refused in turn; the client is told, and the connection
 * stays. */
static void without_memory_a_body_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    struct trp_buf body = packed_zeros(MIB);
    int refused_n = 0;
    send_head(fd, "gzip", 1, "");
    ask(&f, fd, "x"); /* answers have their memory from now on */
    assert_non_null(strstr(reply, " 400 "));
    for (uint64_t blocks = 0;; blocks++) {
        send_head(fd, "gzip", body.len, "");
        fixture_turns(&f, 2); /* it is reserved */
        trp_counter_set(&f.requests.left, blocks);
        feed(&f, fd, body.ptr, body.len);
        fixture_turns(&f, TURNS);
        trp_counter_set(&f.requests.left, UINT64_MAX);
        assert_true(fixture_receive(fd, reply, sizeof reply) > 0);
        if (strstr(reply, " 400 ")) /* zeros are no JSON */
            break;
        refused_n += strstr(reply, " 503 ") && strstr(reply, "no memory");
        assert_true(blocks < 100);
    }
    assert_true(refused_n >= 4);
    trp_buf_deinit(&body);
    close(fd);
    fixture_close(&f);
}

/* -- replies -- */

static int ask_for_packed(struct fixture *f, const struct trp_buf *plain, size_t json)
{
    const int fd = fixture_connect(f, true);
    char head[300];
    snprintf(head, sizeof head,
             "POST /v2/models/echo/infer HTTP/1.1\r\n" HOST "Accept-Encoding: gzip\r\n"
             "Inference-Header-Content-Length: %zu\r\nContent-Length: %zu\r\n\r\n",
             json, plain->len);
    fixture_send(fd, head, strlen(head));
    feed(f, fd, plain->ptr, plain->len);
    return fd;
}

static void a_large_reply_is_packed_while_others_are_answered(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    size_t json, n = 0;
    struct trp_buf plain = request_of(900000, &json), got;
    const int fd = ask_for_packed(&f, &plain, json), neighbour = fixture_connect(&f, true);
    ask(&f, neighbour, "GET /v2/health/ready HTTP/1.1\r\n" HOST "\r\n");
    assert_non_null(strstr(reply, " 200 OK"));
    assert_int_equal(fixture_receive(fd, reply, sizeof reply), 0);
    for (int turns = 0; turns < 2 * TURNS; turns++) {
        fixture_turns(&f, 1);
        const ssize_t some = recv(fd, reply + n, sizeof reply - n, MSG_DONTWAIT);
        n += some > 0 ? (size_t)some : 0;
    }
    assert_non_null(strstr(reply, "Content-Encoding: gzip\r\n"));
    trp_buf_init(&got, trp_heap(), 32 * MIB);
    const char *body = strstr(reply, "\r\n\r\n") + 4;
    assert_int_equal(
        coding_unpack(TRP_CODING_GZIP, trp_str_make(body, (size_t)(reply + n - body)), &got).code,
        TRP_OK);
    const size_t bytes = plain.len - json;
    assert_true(got.len > bytes);
    assert_memory_equal(got.ptr + got.len - bytes, plain.ptr + json, bytes);
    check_turns(&f);
    assert_true(fixture_metric(&f, TRP_METRIC_PACKING_POSTPONED) > 5);
    trp_buf_deinit(&plain);
    trp_buf_deinit(&got);
    close(fd);
    close(neighbour);
    fixture_close(&f);
}

static void a_reply_whose_client_is_gone_is_packed_no_further(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    size_t json;
    struct trp_buf plain = request_of(900000, &json);
    close(ask_for_packed(&f, &plain, json));
    fixture_turns(&f, 3);
    const uint64_t postponed = fixture_metric(&f, TRP_METRIC_PACKING_POSTPONED);
    fixture_turns(&f, 10);
    assert_int_equal(fixture_metric(&f, TRP_METRIC_PACKING_POSTPONED), postponed);
    trp_buf_deinit(&plain);
    fixture_close(&f);
}

/* -- gRPC -- */

static struct trp_buf packed_message(const struct trp_buf *plain)
{
    struct trp_buf b = packed(TRP_CODING_GZIP, plain->ptr + TRP_GRPC_PREFIX,
                              plain->len - TRP_GRPC_PREFIX),
                   out;
    char prefix[TRP_GRPC_PREFIX];
    trp_buf_init(&out, trp_heap(), 32 * MIB);
    trp_grpc_write_prefix(true, (uint32_t)b.len, prefix);
    trp_buf_add(&out, prefix, sizeof prefix);
    trp_buf_add_str(&out, trp_buf_str(&b));
    trp_buf_deinit(&b);
    return out;
}

#define GZIP "grpc-encoding: gzip\ngrpc-accept-encoding: gzip\n"

/* As carry(), while the server may be silent for many turns. */
static void carry_long(struct line *l)
{
    for (int i = 0; i < 4; i++) {
        carry(l);
        fixture_turns(l->f, TURNS);
    }
    carry(l);
}

/* Both ways, over many turns; a stream's messages do not overtake each other. */
static void messages_that_take_long_keep_their_order(void **state)
{
    (void)state;
    enum { N = 500000 };
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    float *values = malloc(N * sizeof *values);
    for (size_t i = 0; i < N; i++)
        values[i] = (float)(i * 2654435761u % 4096);
    struct trp_buf large = message("held", "large", values, N), all, packed_large;
    struct trp_buf small = message("held", "small", two, 2);
    packed_large = packed_message(&large);
    trp_buf_init(&all, trp_heap(), 32 * MIB);
    trp_buf_add_str(&all, trp_buf_str(&packed_large));
    trp_buf_add_str(&all, trp_buf_str(&small));
    trp_buf_add_str(&all, trp_buf_str(&small));
    const int32_t id = client_request(&l.client, STREAM GZIP, all.ptr, all.len, false);
    carry_long(&l);
    assert_int_equal(f.held_n, 3);
    assert_int_equal(f.held[0]->inputs[0].tensor.bytes, N * sizeof *values);
    while (f.held_n)
        fixture_release(&f, f.held_n - 1);
    carry_long(&l);
    const struct client_stream *s = client_at(&l.client, id);
    assert_true(says(s, "grpc-status: 0\n"));
    const char *at[4];
    assert_int_equal(split(s, at, 4), 3);
    struct trp_buf plain;
    trp_buf_init(&plain, trp_heap(), 32 * MIB);
    assert_int_equal(s->data[0], 1);
    assert_int_equal(coding_unpack(TRP_CODING_GZIP,
                                   trp_str_make(at[0], (size_t)(at[1] - at[0] - TRP_GRPC_PREFIX)),
                                   &plain)
                         .code,
                     TRP_OK);
    assert_memory_equal(plain.ptr + plain.len - N * sizeof *values, values, N * sizeof *values);
    check_turns(&f);
    trp_buf_deinit(&plain);
    trp_buf_deinit(&all);
    trp_buf_deinit(&large);
    trp_buf_deinit(&packed_large);
    trp_buf_deinit(&small);
    free(values);
    line_end(&l);
}

static void a_deadline_passes_while_a_message_is_unpacked(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    struct trp_buf bomb = packed_zeros(16 * MIB), framed;
    char prefix[TRP_GRPC_PREFIX];
    trp_buf_init(&framed, trp_heap(), 32 * MIB);
    trp_grpc_write_prefix(true, (uint32_t)bomb.len, prefix);
    trp_buf_add(&framed, prefix, sizeof prefix);
    trp_buf_add_str(&framed, trp_buf_str(&bomb));
    const int32_t late =
        client_request(&l.client, INFER GZIP "grpc-timeout: 1S\n", framed.ptr, framed.len, false);
    push(&l);
    fixture_turns(&f, 3);
    const int32_t reset = client_request(&l.client, INFER GZIP, framed.ptr, framed.len, false);
    push(&l);
    nghttp2_submit_rst_stream(l.client.session, 0, reset, NGHTTP2_CANCEL);
    f.now_ns += TRP_S(2);
    carry(&l);
    assert_true(says(client_at(&l.client, late), "grpc-status: 4\n"));
    const int32_t bombed = client_request(&l.client, INFER GZIP, framed.ptr, framed.len, false);
    carry_long(&l);
    assert_true(says(client_at(&l.client, bombed), "grpc-status: 8\n"));
    check_turns(&f);
    trp_buf_deinit(&bomb);
    trp_buf_deinit(&framed);
    line_end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bomb_is_refused_while_others_are_answered),
        cmocka_unit_test(input_that_becomes_nothing_is_limited_as_well),
        cmocka_unit_test(a_large_body_is_unpacked_while_it_comes),
        cmocka_unit_test(what_is_corrupt_is_told_when_the_body_has_come),
        cmocka_unit_test(a_small_body_does_not_wait_for_large_ones),
        cmocka_unit_test(without_memory_a_body_is_refused),
        cmocka_unit_test(a_large_reply_is_packed_while_others_are_answered),
        cmocka_unit_test(a_reply_whose_client_is_gone_is_packed_no_further),
        cmocka_unit_test(messages_that_take_long_keep_their_order),
        cmocka_unit_test(a_deadline_passes_while_a_message_is_unpacked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
