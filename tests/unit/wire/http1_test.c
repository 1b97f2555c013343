#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/http1.h"

#define HEAD_BYTES 1024
#define HOST "Host: a\r\n"

/* What reading one message to its end gave. */
struct outcome {
    int32_t code;
    char text[512];
    bool has_head, has_end;
    size_t used; /* of the input, up to the end of the header or chunked body */
    char body[256];
    size_t body_n;
    struct trp_http1_request request;
};

/* Feeds `in` in pieces that end at `cut` (0: one piece) and then every `step` bytes. */
static struct outcome read_message(struct trp_head *head, struct trp_str in, size_t cut,
                                   size_t step)
{
    struct outcome out = { 0 };
    struct trp_http1 *p = NULL;
    struct trp_error err = { 0 };
    assert_int_equal(trp_http1_create(trp_heap(), &p, &err).code, TRP_OK);
    trp_http1_begin(p, head);
    size_t at = 0, limit = cut ? cut : in.len;
    while (out.code == TRP_OK) {
        if (at == limit) {
            if (limit == in.len)
                break;
            limit = step && limit + step < in.len ? limit + step : in.len;
        }
        struct trp_http1_step got;
        char *copy = malloc(limit - at); /* exact, so that a sanitizer sees an over-read */
        memcpy(copy, in.ptr + at, limit - at);
        out.code = trp_http1_feed(p, trp_str_make(copy, limit - at), &got, &err).code;
        if (out.code == TRP_OK && got.event == TRP_HTTP1_BODY) {
            memcpy(out.body + out.body_n, got.body.ptr, got.body.len);
            out.body_n += got.body.len;
        }
        free(copy);
        if (out.code != TRP_OK)
            break;
        at += got.used;
        if (got.event == TRP_HTTP1_HEAD) {
            out.has_head = true;
            out.request = *trp_http1_request(p);
            if (!out.request.is_chunked)
                break;
        }
        if (got.event == TRP_HTTP1_END) {
            out.has_end = true;
            break;
        }
    }
    out.used = at;
    snprintf(out.text, sizeof out.text, "%s", err.text);
    trp_http1_destroy(p);
    return out;
}

static struct outcome read_text(struct trp_head *head, const char *text)
{
    return read_message(head, trp_str_of(text), 0, 0);
}

static void with_head(void (*body)(struct trp_head *head))
{
    struct trp_head head;
    trp_head_init(&head, trp_heap(), HEAD_BYTES, 10);
    body(&head);
    trp_head_deinit(&head);
}

/* -- what is refused -- */

static const struct bad_row {
    const char *why, *text;
    int32_t code;
} bad_rows[] = {
    { "bare LF after the request line", "GET / HTTP/1.1\n" HOST "\r\n", TRP_INVALID_ARGUMENT },
    { "bare LF after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", TRP_INVALID_ARGUMENT },
    { "bare LF as the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", TRP_INVALID_ARGUMENT },
    { "only bare LFs", "GET / HTTP/1.1\nHost: a\n\n", TRP_INVALID_ARGUMENT },
    { "bare LF before the request", "\nGET / HTTP/1.1\r\n" HOST "\r\n", TRP_INVALID_ARGUMENT },
    { "bare CR after the request line", "GET / HTTP/1.1\rX: a\r\n" HOST "\r\n",
      TRP_INVALID_ARGUMENT },
    { "bare CR before a line end", "GET / HTTP/1.1\r\r\n" HOST "\r\n", TRP_INVALID_ARGUMENT },
    { "bare CR in a value", "GET / HTTP/1.1\r\n" HOST "A: \rb\r\n\r\n", TRP_INVALID_ARGUMENT },
    { "CVE-2023-30589",
      "POST / HTTP/1.1\r\n" HOST "A: \rxTransfer-Encoding: chunked\r\n\r\n1\r\nA\r\n0\r\n\r\n",
      TRP_INVALID_ARGUMENT },
    { "HTTP/0.9", "GET /x\r\n\r\n", TRP_VERSION_NOT_SUPPORTED },
    { "HTTP/0.9 with fields", "GET /x\r\nContent-Length: 5\r\n\r\n", TRP_VERSION_NOT_SUPPORTED },
    { "HTTP/2.0 in a request line", "GET / HTTP/2.0\r\n" HOST "\r\n", TRP_VERSION_NOT_SUPPORTED },
    { "HTTP/1.2", "GET / HTTP/1.2\r\n" HOST "\r\n", TRP_VERSION_NOT_SUPPORTED },
    { "a version of letters", "GET / HTTP/x.y\r\n" HOST "\r\n", TRP_VERSION_NOT_SUPPORTED },
    { "Content-Length beside Transfer-Encoding",
      "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
      TRP_INVALID_ARGUMENT },
    { "Transfer-Encoding beside Content-Length",
      "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
      TRP_INVALID_ARGUMENT },
    { "two Content-Lengths",
      "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
      TRP_INVALID_ARGUMENT },
    { "two Content-Lengths in one", "POST / HTTP/1.1\r\n" HOST "Content-Length: 3, 3\r\n\r\n",
      TRP_INVALID_ARGUMENT },
    { "a signed Content-Length", "POST / HTTP/1.1\r\n" HOST "Content-Length: +3\r\n\r\n",
      TRP_INVALID_ARGUMENT },
    { "a negative Content-Length", "POST / HTTP/1.1\r\n" HOST "Content-Length: -3\r\n\r\n",
      TRP_INVALID_ARGUMENT },
    { "a hexadecimal Content-Length", "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x3\r\n\r\n",
      TRP_INVALID_ARGUMENT },
    { "a Content-Length past 2^64",
      "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551616\r\n\r\n",
      TRP_INVALID_ARGUMENT },
    { "gzip as transfer coding",
      "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", TRP_UNIMPLEMENTED },
    { "chunked is not last", "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, gzip\r\n\r\n",
      TRP_INVALID_ARGUMENT },
    { "an unknown transfer coding",
      "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n", TRP_UNIMPLEMENTED },
    { "chunked twice",
      "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
      TRP_UNIMPLEMENTED },
    { "chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
      TRP_INVALID_ARGUMENT },
    { "obs-fold", "GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n", TRP_INVALID_ARGUMENT },
    { "obs-fold with a tab", "GET / HTTP/1.1\r\n" HOST "A: b\r\n\tc\r\n\r\n",
      TRP_INVALID_ARGUMENT },
    { "white space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
      TRP_INVALID_ARGUMENT },
    { "a space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", TRP_INVALID_ARGUMENT },
    { "a field without a name", "GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n", TRP_INVALID_ARGUMENT },
    { "a field without a colon", "GET / HTTP/1.1\r\n" HOST "abc\r\n\r\n", TRP_INVALID_ARGUMENT },
    { "a control character in a value", "GET / HTTP/1.1\r\n" HOST "A: \x01\r\n\r\n",
      TRP_INVALID_ARGUMENT },
    { "DEL in a value", "GET / HTTP/1.1\r\n" HOST "A: \x7f\r\n\r\n", TRP_INVALID_ARGUMENT },
    { "a space in the target", "GET /a b HTTP/1.1\r\n" HOST "\r\n", TRP_INVALID_ARGUMENT },
    { "no target", "GET HTTP/1.1\r\n" HOST "\r\n", TRP_INVALID_ARGUMENT },
    { "a target that is no path", "GET abc HTTP/1.1\r\n" HOST "\r\n", TRP_INVALID_ARGUMENT },
    { "'*' with GET", "GET * HTTP/1.1\r\n" HOST "\r\n", TRP_INVALID_ARGUMENT },
    { "no Host", "GET / HTTP/1.1\r\n\r\n", TRP_INVALID_ARGUMENT },
    { "two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", TRP_INVALID_ARGUMENT },
    { "TRACE", "TRACE / HTTP/1.1\r\n" HOST "\r\n", TRP_METHOD_NOT_ALLOWED },
    { "CONNECT", "CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n", TRP_METHOD_NOT_ALLOWED },
    { "an unknown method", "BREW / HTTP/1.1\r\n" HOST "\r\n", TRP_INVALID_ARGUMENT },
    { "a method in lower case", "get / HTTP/1.1\r\n" HOST "\r\n", TRP_INVALID_ARGUMENT },
    { "an unknown expectation", "POST / HTTP/1.1\r\n" HOST "Expect: tea\r\n\r\n",
      TRP_EXPECTATION_FAILED },
    { "bytes of TLS", "\x16\x03\x01\x02", TRP_INVALID_ARGUMENT },
    { "a chunk size of letters",
      "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
      TRP_INVALID_ARGUMENT },
    { "a chunk size past 2^64",
      "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
      TRP_INVALID_ARGUMENT },
    { "bare LF behind a chunk size",
      "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\nA\r\n0\r\n\r\n",
      TRP_INVALID_ARGUMENT },
    { "bare LF behind a chunk",
      "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nA\n0\r\n\r\n",
      TRP_INVALID_ARGUMENT },
    { "a chunk that is longer than it says",
      "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nAB\r\n0\r\n\r\n",
      TRP_INVALID_ARGUMENT },
    { "bare LF behind the last chunk",
      "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\n\n", TRP_INVALID_ARGUMENT },
    { "bare LF in a trailer",
      "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\r\n",
      TRP_INVALID_ARGUMENT },
};

/* Which of the two refuses a list of transfer codings, llhttp or we, depends on its version. */
static bool is_as_expected(const struct bad_row *row, int32_t code)
{
    return code == row->code || (row->code == TRP_UNIMPLEMENTED && code == TRP_INVALID_ARGUMENT);
}

static void check_bad_rows(struct trp_head *head)
{
    for (size_t i = 0; i < ARRAY_LEN(bad_rows); i++) {
        const struct outcome got = read_text(head, bad_rows[i].text);
        if (!is_as_expected(&bad_rows[i], got.code) || got.text[0] == '\0')
            fail_msg("%s: got %s \"%s\", expected %s", bad_rows[i].why, trp_code_name(got.code),
                     got.text, trp_code_name(bad_rows[i].code));
    }
}

static void malformed_requests_are_refused(void **state)
{
    (void)state;
    with_head(check_bad_rows);
}

static void check_bad_rows_in_pieces(struct trp_head *head)
{
    for (size_t i = 0; i < ARRAY_LEN(bad_rows); i++) {
        const struct trp_str in = trp_str_of(bad_rows[i].text);
        for (size_t cut = 1; cut <= in.len; cut++) {
            const struct outcome got = read_message(head, in, cut, 1);
            if (!is_as_expected(&bad_rows[i], got.code))
                fail_msg("%s, cut at %zu: got %s \"%s\"", bad_rows[i].why, cut,
                         trp_code_name(got.code), got.text);
        }
    }
}

static void malformed_requests_are_refused_however_they_are_cut(void **state)
{
    (void)state;
    with_head(check_bad_rows_in_pieces);
}

/* -- what is read -- */

static const char full[] = "POST /v2/models/m%2Fx/infer?a=b HTTP/1.1\r\nHOST: example:8000\r\n"
                           "Content-Type:  application/json \t\r\nX-Empty:\r\nX-A: 1\r\n"
                           "Content-Length: 11\r\n\r\nhello";

static void check_full(const struct trp_head *head, const struct outcome *got)
{
    assert_int_equal(got->code, TRP_OK);
    assert_true(got->has_head);
    assert_int_equal(got->used, sizeof full - 1 - 5);
    assert_int_equal(got->request.content_length, 11);
    assert_int_equal(got->request.minor, 1);
    assert_true(got->request.keep_alive);
    assert_false(got->request.is_chunked);
    assert_true(trp_str_is(head->method, "POST"));
    assert_true(trp_str_is(head->target, "/v2/models/m%2Fx/infer?a=b"));
    assert_true(trp_str_is(head->path, "/v2/models/m%2Fx/infer"));
    assert_true(trp_str_is(head->authority, "example:8000"));
    assert_int_equal(head->headers_n, 5);
    assert_true(trp_str_is(head->headers[0].name, "host"));
    assert_true(trp_str_is(head->headers[2].name, "x-empty"));
    assert_int_equal(head->headers[2].value.len, 0);
    assert_true(trp_str_is(head->headers[3].name, "x-a"));
    assert_true(trp_str_is(trp_head_get(head, TRP_HEADER_CONTENT_TYPE), "application/json"));
    assert_false(trp_head_has(head, TRP_HEADER_ORIGIN));
}

static void check_every_cut(struct trp_head *head)
{
    const struct trp_str in = trp_str_make(full, sizeof full - 1);
    for (size_t cut = 0; cut <= in.len; cut++)
        for (size_t step = 0; step < 3; step++) {
            const struct outcome got = read_message(head, in, cut, step);
            check_full(head, &got);
        }
}

static void a_header_reads_the_same_however_it_is_cut(void **state)
{
    (void)state;
    with_head(check_every_cut);
}

static void check_chunks(struct trp_head *head)
{
    const struct trp_str in = TRP_STR_LIT(
        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n"
        "5\r\nhello\r\n1;ext=\"a b\"\r\n \r\n5\r\n\nlf\r\n\r\n0\r\nTrailer: x\r\n\r\nGET");
    for (size_t cut = 0; cut <= in.len; cut++)
        for (size_t step = 0; step < 3; step++) {
            const struct outcome got = read_message(head, in, cut, step);
            assert_int_equal(got.code, TRP_OK);
            assert_true(got.request.is_chunked);
            assert_true(got.has_end);
            assert_int_equal(got.used, in.len - 3);
            assert_int_equal(got.body_n, 11);
            assert_memory_equal(got.body, "hello \nlf\r\n", 11);
            assert_int_equal(head->headers_n, 2); /* trailers are no headers */
        }
}

static void chunks_are_joined_and_trailers_dropped(void **state)
{
    (void)state;
    with_head(check_chunks);
}

static void check_forms(struct trp_head *head)
{
    static const struct {
        const char *text, *path, *authority;
    } rows[] = {
        { "GET http://b.example:1/p?q HTTP/1.1\r\n" HOST "\r\n", "/p", "b.example:1" },
        { "GET http://b HTTP/1.1\r\n" HOST "\r\n", "/", "b" },
        { "GET http://b?x=/ HTTP/1.1\r\n" HOST "\r\n", "/", "b" },
        { "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "*", "a" },
        { "GET /a?b?c HTTP/1.0\r\n\r\n", "/a", "" },
        { "\r\nGET /a HTTP/1.1\r\n" HOST "\r\n", "/a", "a" },
        { "GET / HTTP/1.1\r\n" HOST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
          "HTTP2-Settings: x\r\n\r\n",
          "/", "a" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct outcome got = read_text(head, rows[i].text);
        if (got.code != TRP_OK)
            fail_msg("%s: %s", rows[i].text, got.text);
        assert_true(got.has_head);
        assert_int_equal(got.used, strlen(rows[i].text));
        assert_true(trp_str_is(head->path, rows[i].path));
        assert_true(trp_str_is(head->authority, rows[i].authority));
    }
}

static void every_form_of_target_has_a_path(void **state)
{
    (void)state;
    with_head(check_forms);
}

static void check_keep_alive(struct trp_head *head)
{
    static const struct {
        const char *text;
        bool keep_alive, is_expected;
    } rows[] = {
        { "GET / HTTP/1.1\r\n" HOST "\r\n", true, false },
        { "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", false, false },
        { "GET / HTTP/1.0\r\n\r\n", false, false },
        { "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, false },
        { "POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", true,
          true },
        { "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", false, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct outcome got = read_text(head, rows[i].text);
        assert_int_equal(got.code, TRP_OK);
        assert_int_equal(got.request.keep_alive, rows[i].keep_alive);
        assert_int_equal(got.request.is_expected, rows[i].is_expected);
    }
}

static void connections_stay_open_as_the_header_says(void **state)
{
    (void)state;
    with_head(check_keep_alive);
}

/* -- limits -- */

static void check_limits(struct trp_head *head)
{
    char text[4096];
    int n = snprintf(text, sizeof text, "GET /%0*d HTTP/1.1\r\n" HOST "\r\n", HEAD_BYTES, 0);
    assert_int_equal(read_message(head, trp_str_make(text, (size_t)n), 0, 0).code,
                     TRP_URI_TOO_LONG);
    assert_int_equal(read_message(head, trp_str_make(text, (size_t)n), 1, 7).code,
                     TRP_URI_TOO_LONG);
    n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST "A: %0*d\r\n\r\n", HEAD_BYTES, 0);
    assert_int_equal(read_message(head, trp_str_make(text, (size_t)n), 0, 0).code,
                     TRP_HEADERS_TOO_LARGE);
    assert_int_equal(read_message(head, trp_str_make(text, (size_t)n), 1, 7).code,
                     TRP_HEADERS_TOO_LARGE);
    n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST);
    for (int i = 0; i < 10; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "A: %d\r\n", i);
    n += snprintf(text + n, sizeof text - (size_t)n, "\r\n");
    assert_int_equal(read_message(head, trp_str_make(text, (size_t)n), 0, 0).code,
                     TRP_HEADERS_TOO_LARGE);
    n = snprintf(text, sizeof text,
                 "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1;%0*d\r\n",
                 HEAD_BYTES * 2, 0);
    assert_int_equal(read_message(head, trp_str_make(text, (size_t)n), 0, 0).code,
                     TRP_HEADERS_TOO_LARGE);
}

static void long_targets_fields_and_chunk_extensions_are_refused(void **state)
{
    (void)state;
    with_head(check_limits);
}

static void requests_follow_each_other(void **state)
{
    (void)state;
    const struct trp_str in = TRP_STR_LIT("GET /1 HTTP/1.1\r\n" HOST "\r\nPOST /2 HTTP/1.1\r\n" HOST
                                          "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
                                          "GET /3 HTTP/1.1\r\n" HOST "\r\n");
    static const enum trp_http1_event expected[] = { TRP_HTTP1_HEAD, TRP_HTTP1_HEAD, TRP_HTTP1_BODY,
                                                     TRP_HTTP1_END, TRP_HTTP1_HEAD };
    struct trp_http1 *p = NULL;
    struct trp_head head;
    size_t at = 0;
    trp_head_init(&head, trp_heap(), HEAD_BYTES, 10);
    assert_int_equal(trp_http1_create(trp_heap(), &p, NULL).code, TRP_OK);
    trp_http1_begin(p, &head);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        struct trp_http1_step step;
        assert_int_equal(
            trp_http1_feed(p, trp_str_make(in.ptr + at, in.len - at), &step, NULL).code, TRP_OK);
        assert_int_equal(step.event, expected[i]);
        at += step.used;
        if (i == 0 || i == 3)
            trp_http1_begin(p, &head);
    }
    assert_int_equal(at, in.len);
    assert_true(trp_str_is(head.path, "/3"));
    trp_http1_destroy(p);
    trp_head_deinit(&head);
}

static void known_names_are_found_by_their_length(void **state)
{
    (void)state;
    static const char *const names[] = {
#define X(id, name) name,
        TRP_KNOWN_HEADERS(X)
#undef X
    };
    struct trp_head head;
    trp_head_init(&head, trp_heap(), HEAD_BYTES, 32);
    trp_head_add_target(&head, "/", 1);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        trp_head_add(&head, trp_str_of(names[i]), trp_str_of(names[i]));
    trp_head_add(&head, TRP_STR_LIT("host"), TRP_STR_LIT("again"));
    assert_int_equal(trp_head_check(&head, NULL).code, TRP_OK);
    assert_int_equal(trp_head_seal(&head, NULL).code, TRP_OK);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_true(trp_str_is(trp_head_get(&head, (enum trp_known_header)i), names[i]));
        assert_int_equal(trp_head_is_repeated(&head, (enum trp_known_header)i),
                         i == TRP_HEADER_HOST);
    }
    trp_head_deinit(&head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_requests_are_refused),
        cmocka_unit_test(malformed_requests_are_refused_however_they_are_cut),
        cmocka_unit_test(a_header_reads_the_same_however_it_is_cut),
        cmocka_unit_test(chunks_are_joined_and_trailers_dropped),
        cmocka_unit_test(every_form_of_target_has_a_path),
        cmocka_unit_test(connections_stay_open_as_the_header_says),
        cmocka_unit_test(long_targets_fields_and_chunk_extensions_are_refused),
        cmocka_unit_test(requests_follow_each_other),
        cmocka_unit_test(known_names_are_found_by_their_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
