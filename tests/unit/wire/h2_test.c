#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unit/wire/h2_client.h"
#include "wire/h2.h"

/* A server that writes down what it is told; streams are numbered from 1. */
struct stream {
    int32_t id;
    char told[512];
    struct trp_h2_body body;
    struct trp_part parts[3];
    uint32_t refills;
    struct trp_str refill[4];
    bool is_last_refill;
};
struct server {
    struct trp_h2 *h2;
    struct stream streams[CLIENT_STREAMS];
    struct trp_buf out;
    uint32_t borrowed;
    bool refuses;
    size_t data_n;
};

static void tell(struct stream *s, const char *words, struct trp_str more)
{
    const size_t n = strlen(s->told);
    snprintf(s->told + n, sizeof s->told - n, "%s%.*s", words, (int)more.len,
             more.ptr ? more.ptr : "");
}

static void *on_begin(void *user, int32_t id)
{
    struct server *s = user;
    if (s->refuses)
        return NULL;
    s->streams[(id - 1) / 2].id = id;
    return &s->streams[(id - 1) / 2];
}
static void on_header(void *user, void *stream, struct trp_str name, struct trp_str value)
{
    (void)user;
    tell(stream, "", name);
    tell(stream, "=", value);
    tell(stream, " ", (struct trp_str){ 0 });
}
static void on_head(void *user, void *stream)
{
    (void)user;
    tell(stream, "| ", (struct trp_str){ 0 });
}
static void on_data(void *user, void *stream, struct trp_str bytes)
{
    struct server *s = user;
    s->data_n += bytes.len;
    if (bytes.len < 32)
        tell(stream, "", bytes);
}
static void on_end(void *user, void *stream)
{
    (void)user;
    tell(stream, " end", (struct trp_str){ 0 });
}
static void on_closed(void *user, void *stream, uint32_t error)
{
    (void)user;
    tell(stream, error ? " failed" : " closed", (struct trp_str){ 0 });
}
static bool on_refill(void *user, void *stream, struct trp_h2_body *body)
{
    struct stream *s = stream;
    (void)user;
    if (s->refills == ARRAY_LEN(s->refill) || !s->refill[s->refills].ptr) {
        body->is_last = s->is_last_refill;
        return false;
    }
    const struct trp_str more = s->refill[s->refills++];
    s->parts[0] = (struct trp_part){ more.ptr, more.len };
    body->parts = s->parts;
    body->parts_n = 1;
    body->at = 0;
    body->off = 0;
    body->left = more.len;
    return true;
}
static void on_output(void *user, const void *ptr, size_t len, bool is_borrowed)
{
    struct server *s = user;
    s->borrowed += is_borrowed;
    trp_buf_add(&s->out, ptr, len);
}
static const struct trp_h2_events events = { on_begin, on_header, on_head,   on_data,
                                             on_end,   on_closed, on_refill, on_output };

struct pair {
    struct server server;
    struct client client;
};

static void pair_open(struct pair *p, int32_t client_window)
{
    const struct trp_h2_opts opts = { .streams_max = 50,
                                      .header_bytes_max = 4096,
                                      .stream_window = 1 << 20,
                                      .connection_window = 1 << 22,
                                      .resets_burst = 10,
                                      .resets_per_s = 1 };
    memset(p, 0, sizeof *p);
    trp_buf_init(&p->server.out, trp_heap(), 1 << 24);
    assert_int_equal(
        trp_h2_create(trp_heap(), &opts, &events, &p->server, &p->server.h2, NULL).code, TRP_OK);
    client_open(&p->client, client_window);
}

static void pair_close(struct pair *p)
{
    trp_h2_destroy(p->server.h2);
    trp_buf_deinit(&p->server.out);
    client_close(&p->client);
}

/* Carries bytes both ways, in pieces of `step` (0: whole), until both are silent. */
static trp_status carry(struct pair *p, size_t step)
{
    for (int i = 0; i < 100; i++) {
        bool moved = false;
        const uint8_t *bytes;
        ssize_t n;
        while ((n = nghttp2_session_mem_send(p->client.session, &bytes)) > 0) {
            moved = true;
            for (size_t at = 0; at < (size_t)n;) {
                const size_t piece = step && (size_t)n - at > step ? step : (size_t)n - at;
                TRP_CHECK(trp_h2_receive(p->server.h2,
                                         trp_str_make((const char *)bytes + at, piece), NULL));
                at += piece;
            }
        }
        TRP_CHECK(trp_h2_send(p->server.h2, 1 << 20, NULL));
        if (p->server.out.len) {
            moved = true;
            nghttp2_session_mem_recv(p->client.session, (const uint8_t *)p->server.out.ptr,
                                     p->server.out.len);
            trp_buf_reset(&p->server.out);
        }
        if (!moved)
            break;
    }
    return trp_ok();
}

#define GET ":method: GET\n:scheme: http\n:path: /x\n:authority: a\n"
#define POST ":method: POST\n:scheme: http\n:path: /x\n:authority: a\n"
static const struct trp_header ok_fields[] = { { { ":status", 7 }, { "200", 3 } },
                                               { { "x-a", 3 }, { "b", 1 } } };

static void a_request_is_told_piece_by_piece(void **state)
{
    (void)state;
    for (size_t step = 0; step < 12; step++) {
        struct pair p;
        pair_open(&p, 0);
        client_request(&p.client, POST "a: b\n", "hello", 5, false);
        assert_int_equal(carry(&p, step).code, TRP_OK);
        assert_int_equal(p.server.data_n, 5);
        assert_string_equal(p.server.streams[0].told,
                            ":method=POST :scheme=http :path=/x :authority=a a=b | hello end");
        pair_close(&p);
    }
}

static void an_answer_has_fields_body_and_trailers(void **state)
{
    (void)state;
    static const struct trp_header trailers[] = { { { "grpc-status", 11 }, { "0", 1 } } };
    struct pair p;
    pair_open(&p, 0);
    client_request(&p.client, GET, NULL, 0, false);
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    struct stream *s = &p.server.streams[0];
    s->parts[0] = (struct trp_part){ "hello ", 6 };
    s->parts[2] = (struct trp_part){ "world", 5 };
    s->body = (struct trp_h2_body){ .parts = s->parts,
                                    .parts_n = 3,
                                    .left = 11,
                                    .is_last = true,
                                    .trailers = trailers,
                                    .trailers_n = 1,
                                    .stream = s };
    assert_int_equal(trp_h2_respond(p.server.h2, 1, ok_fields, 2, &s->body, NULL).code, TRP_OK);
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    const struct client_stream *got = client_at(&p.client, 1);
    assert_string_equal(got->fields, ":status: 200\nx-a: b\n--\ngrpc-status: 0\n");
    assert_string_equal(got->data, "hello world");
    assert_int_equal(got->closed, 1);
    assert_int_equal(got->reset, 0);
    assert_int_equal(s->body.copied_bytes, 11);
    assert_non_null(strstr(s->told, "closed"));
    pair_close(&p);
}

static void a_large_body_is_borrowed_and_whole(void **state)
{
    (void)state;
    const size_t n = 300000;
    char *large = malloc(n);
    for (size_t i = 0; i < n; i++)
        large[i] = (char)(i * 7 >> 3);
    struct pair p;
    pair_open(&p, 65535);
    client_request(&p.client, GET, NULL, 0, false);
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    struct stream *s = &p.server.streams[0];
    s->parts[0] = (struct trp_part){ "12345", 5 };
    s->parts[1] = (struct trp_part){ large, n };
    s->body = (struct trp_h2_body){
        .parts = s->parts, .parts_n = 2, .left = n + 5, .is_last = true, .stream = s
    };
    assert_int_equal(trp_h2_respond(p.server.h2, 1, ok_fields, 2, &s->body, NULL).code, TRP_OK);
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    const struct client_stream *got = client_at(&p.client, 1);
    assert_int_equal(got->data_n, n + 5);
    assert_memory_equal(got->data, "12345", 5);
    assert_memory_equal(got->data + 5, large, n);
    assert_true(got->has_ended);
    assert_true(p.server.borrowed > 0);
    assert_true(s->body.copied_bytes < 8192);
    free(large);
    pair_close(&p);
}

static void a_stream_waits_and_is_refilled(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p, 0);
    client_request(&p.client, GET, NULL, 0, false);
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    struct stream *s = &p.server.streams[0];
    s->body = (struct trp_h2_body){ .stream = s };
    assert_int_equal(trp_h2_respond(p.server.h2, 1, ok_fields, 2, &s->body, NULL).code, TRP_OK);
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    assert_int_equal(client_at(&p.client, 1)->data_n, 0);
    s->refill[0] = TRP_STR_LIT("one ");
    s->refill[1] = TRP_STR_LIT("two ");
    trp_h2_resume(p.server.h2, 1);
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    assert_string_equal(client_at(&p.client, 1)->data, "one two ");
    assert_int_equal(client_at(&p.client, 1)->closed, 0);
    s->refill[2] = TRP_STR_LIT("three");
    s->is_last_refill = true;
    trp_h2_resume(p.server.h2, 1);
    trp_h2_resume(p.server.h2, 99); /* a stream that never was */
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    assert_string_equal(client_at(&p.client, 1)->data, "one two three");
    assert_int_equal(client_at(&p.client, 1)->closed, 1);
    pair_close(&p);
}

static void an_early_answer_is_followed_by_a_reset_without_error(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p, 0);
    client_request(&p.client, POST, "part", 4, true);
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    assert_int_equal(trp_h2_respond(p.server.h2, 1, ok_fields, 2, NULL, NULL).code, TRP_OK);
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    const struct client_stream *got = client_at(&p.client, 1);
    assert_string_equal(got->fields, ":status: 200\nx-a: b\n");
    assert_true(got->has_ended);
    assert_int_equal(got->reset, 1 + NGHTTP2_NO_ERROR);
    pair_close(&p);
}

static void the_window_moves_only_when_bytes_are_consumed(void **state)
{
    (void)state;
    const size_t n = 3 << 20;
    char *large = calloc(1, n);
    struct pair p;
    pair_open(&p, 0);
    client_request(&p.client, POST, large, n, false);
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    assert_int_equal(p.server.data_n, 1 << 20); /* the stream's window */
    trp_h2_consume(p.server.h2, 0, 1 << 20);
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    assert_int_equal(p.server.data_n, 1 << 20);
    trp_h2_consume(p.server.h2, 1, 1 << 20);
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    assert_int_equal(p.server.data_n, 2 << 20);
    free(large);
    pair_close(&p);
}

static void a_refused_stream_is_reset_and_others_go_on(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p, 0);
    p.server.refuses = true;
    client_request(&p.client, GET, NULL, 0, false);
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    assert_true(client_at(&p.client, 1)->closed > 1);
    assert_int_equal(trp_h2_take_refused(p.server.h2).malformed, 0);
    p.server.refuses = false;
    client_request(&p.client, GET, NULL, 0, false);
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    assert_int_equal(trp_h2_respond(p.server.h2, 3, ok_fields, 1, NULL, NULL).code, TRP_OK);
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    assert_int_equal(client_at(&p.client, 3)->closed, 1);
    pair_close(&p);
}

static void too_many_resets_end_the_connection(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p, 0);
    trp_status st = trp_ok();
    for (int i = 0; i < 30 && !trp_failed(st) && trp_h2_is_alive(p.server.h2); i++) {
        const int32_t id = client_request(&p.client, POST, "x", 1, true);
        st = carry(&p, 0);
        nghttp2_submit_rst_stream(p.client.session, 0, id, NGHTTP2_CANCEL);
        if (!trp_failed(st))
            st = carry(&p, 0);
    }
    assert_true(trp_h2_take_refused(p.server.h2).floods > 0);
    assert_int_equal(trp_h2_take_refused(p.server.h2).floods, 0);
    assert_true(p.client.goaway);
    pair_close(&p);
}

static void goodbye_lets_streams_finish(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p, 0);
    client_request(&p.client, GET, NULL, 0, false);
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    trp_h2_goaway(p.server.h2, false);
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    assert_true(p.client.goaway);
    trp_h2_goaway(p.server.h2, true);
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    assert_true(trp_h2_is_alive(p.server.h2));
    assert_int_equal(trp_h2_respond(p.server.h2, 1, ok_fields, 1, NULL, NULL).code, TRP_OK);
    assert_int_equal(carry(&p, 0).code, TRP_OK);
    assert_int_equal(client_at(&p.client, 1)->closed, 1);
    assert_false(trp_h2_is_alive(p.server.h2));
    pair_close(&p);
}

static void bytes_that_are_no_http2_are_refused(void **state)
{
    (void)state;
    struct pair p;
    struct trp_error err = { 0 };
    pair_open(&p, 0);
    assert_int_equal(
        trp_h2_receive(p.server.h2, TRP_STR_LIT("GET / HTTP/1.1\r\n\r\n123456"), &err).code,
        TRP_INVALID_ARGUMENT);
    assert_true(strlen(err.text) > 0);
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_told_piece_by_piece),
        cmocka_unit_test(an_answer_has_fields_body_and_trailers),
        cmocka_unit_test(a_large_body_is_borrowed_and_whole),
        cmocka_unit_test(a_stream_waits_and_is_refilled),
        cmocka_unit_test(an_early_answer_is_followed_by_a_reset_without_error),
        cmocka_unit_test(the_window_moves_only_when_bytes_are_consumed),
        cmocka_unit_test(a_refused_stream_is_reset_and_others_go_on),
        cmocka_unit_test(too_many_resets_end_the_connection),
        cmocka_unit_test(goodbye_lets_streams_finish),
        cmocka_unit_test(bytes_that_are_no_http2_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
