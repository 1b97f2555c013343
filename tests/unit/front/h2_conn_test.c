#include "unit/front/front_line.h"

#include "front/conn.h"
#include "unit/base/coding.h"

/* -- unary -- */

static void a_unary_call_is_answered_with_message_and_status(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    struct trp_buf m = message("echo", "7", two, 2);
    for (int i = 0; i < 3; i++) {
        const int32_t id = client_request(&l.client, INFER, m.ptr, m.len, false);
        carry(&l);
        const struct client_stream *s = client_at(&l.client, id);
        assert_string_equal(s->fields, ":status: 200\ncontent-type: application/grpc\n--\n"
                                       "grpc-status: 0\n");
        assert_true(ends_with(s, two, sizeof two));
        assert_int_equal(s->closed, 1);
        assert_int_equal(s->reset, 0);
    }
    assert_int_equal(fixture_metric(&f, TRP_METRIC_REQUESTS_GRPC), 3);
    assert_int_equal(f.finished_n, 3);
    trp_buf_deinit(&m);
    line_end(&l);
}

static void a_large_tensor_is_aligned_and_copied_once(void **state)
{
    (void)state;
    enum { N = 150528 };
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    float *values = malloc(N * sizeof *values);
    for (int i = 0; i < N; i++)
        values[i] = (float)i / 3;
    struct trp_buf m = message("echo", "", values, N);
    const int32_t id = client_request(&l.client, INFER, m.ptr, m.len, false);
    carry(&l);
    assert_true(ends_with(client_at(&l.client, id), values, N * sizeof *values));
    assert_int_equal(client_at(&l.client, id)->closed, 1);
    assert_int_equal(f.aligned_n, 1);
    assert_in_range(fixture_metric(&f, TRP_METRIC_BYTES_COPIED), m.len - TRP_GRPC_PREFIX,
                    m.len + 8192); /* and the reply's few small pieces */
    free(values);
    trp_buf_deinit(&m);
    line_end(&l);
}

static void failures_are_trailers_alone(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    struct trp_buf nope = message("nope", "", two, 2), bad = message("bad", "", two, 2);
    const struct {
        const char *fields, *body;
        size_t n;
        const char *status, *words;
    } rows[] = {
        { INFER, nope.ptr, nope.len, "grpc-status: 5", "is not found" },
        { INFER, bad.ptr, bad.len, "grpc-status: 13", "it broke: 100%25" },
        { INFER, "", 0, "grpc-status: 3", "without a message" },
        { INFER, "\0\0\0\0\x09junk", 9, "grpc-status: 3", "inside a message" },
        { INFER, "\0\0\0\0\4\xff\xff\xff\xff", 9, "grpc-status: 3", "grpc-message: " },
        { INFER, "\3\0\0\0\0", 5, "grpc-status: 3", "flag 3" },
        { INFER, "\1\0\0\0\1x", 6, "grpc-status: 3", "without grpc-encoding" },
        { INFER, "\0\0\0\0\0\0\0\0\0\0", 10, "grpc-status: 3", "more than one message" },
        { INFER, "\0\x7f\xff\xff\xff", 5, "grpc-status: 8", "limits.body_bytes" },
        { INFER "grpc-encoding: br\n", "\0\0\0\0\0", 5, "grpc-status: 12",
          "grpc-accept-encoding: identity,deflate,gzip" },
        { INFER "grpc-timeout: soon\n", "\0\0\0\0\0", 5, "grpc-status: 3", "grpc-timeout" },
        { GRPC("/inference.GRPCInferenceService/Nothing"), "\0\0\0\0\0", 5, "grpc-status: 12",
          "Nothing" },
        { GRPC("/other.Service/X"), "\0\0\0\0\0", 5, "grpc-status: 12", "other.Service" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const int32_t id =
            client_request(&l.client, rows[i].fields, rows[i].body, rows[i].n, false);
        carry(&l);
        const struct client_stream *s = client_at(&l.client, id);
        if (!says(s, rows[i].status) || !says(s, rows[i].words) || s->blocks != 1 || s->data_n)
            fail_msg("row %zu gave %s", i, s->fields);
        assert_true(says(s, ":status: 200\n"));
        assert_true(s->closed > 0);
    }
    trp_buf_deinit(&nope);
    trp_buf_deinit(&bad);
    line_end(&l);
}

static void an_early_failure_stops_the_sender_without_error(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    const int32_t id = client_request(&l.client, INFER,
                                      "\0\x7f\xff\xff\xff"
                                      "and so on",
                                      14, true);
    carry(&l);
    const struct client_stream *s = client_at(&l.client, id);
    assert_true(says(s, "grpc-status: 8"));
    assert_true(s->has_ended);
    assert_int_equal(s->reset, 1 + NGHTTP2_NO_ERROR);
    line_end(&l);
}

static void messages_are_compressed_both_ways(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    float zeros[1000] = { 0 };
    struct trp_buf m = message("echo", "", zeros, 1000), packed, plain;
    trp_buf_init(&packed, trp_heap(), 1 << 20);
    trp_buf_init(&plain, trp_heap(), 1 << 20);
    trp_buf_add(&packed, "\1\0\0\0\0", 5);
    assert_int_equal(coding_pack(TRP_CODING_GZIP, trp_str_make(m.ptr + 5, m.len - 5), &packed).code,
                     TRP_OK);
    trp_grpc_write_prefix(true, (uint32_t)packed.len - 5, packed.ptr);
    const int32_t id =
        client_request(&l.client, INFER "grpc-encoding: gzip\ngrpc-accept-encoding: gzip\n",
                       packed.ptr, packed.len, false);
    carry(&l);
    const struct client_stream *s = client_at(&l.client, id);
    assert_true(says(s, "grpc-encoding: gzip\n"));
    assert_true(says(s, "grpc-status: 0\n"));
    assert_int_equal(s->data[0], 1);
    assert_int_equal(
        coding_unpack(TRP_CODING_GZIP, trp_str_make(s->data + 5, s->data_n - 5), &plain).code,
        TRP_OK);
    assert_true(plain.len > sizeof zeros);
    trp_buf_deinit(&m);
    trp_buf_deinit(&packed);
    trp_buf_deinit(&plain);
    line_end(&l);
}

static void a_deadline_is_answered_while_the_call_is_out(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    struct trp_buf m = message("held", "", two, 2);
    const int32_t id = client_request(&l.client, INFER "grpc-timeout: 100m\n", m.ptr, m.len, false);
    carry(&l);
    assert_int_equal(f.held_n, 1);
    f.now_ns += TRP_MS(101);
    carry(&l);
    assert_true(says(client_at(&l.client, id), "grpc-status: 4\n"));
    assert_int_equal(f.cancelled_n, 1);
    f.now_ns += TRP_MS(50);
    fixture_release(&f, 0);
    carry(&l);
    assert_int_equal(f.finished_n, 1);
    assert_int_equal(f.finished_ns, TRP_MS(101)); /* what failed took time, too: until its answer */
    trp_buf_deinit(&m);
    line_end(&l);
}

static void a_reset_stream_cancels_its_call_alone(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    struct trp_buf m = message("held", "", two, 2);
    const int32_t a = client_request(&l.client, INFER, m.ptr, m.len, false);
    const int32_t b = client_request(&l.client, INFER, m.ptr, m.len, false);
    carry(&l);
    assert_int_equal(f.held_n, 2);
    nghttp2_submit_rst_stream(l.client.session, 0, a, NGHTTP2_CANCEL);
    carry(&l);
    assert_int_equal(f.cancelled_n, 1);
    fixture_release(&f, 1);
    fixture_release(&f, 0);
    carry(&l);
    assert_true(says(client_at(&l.client, b), "grpc-status: 0\n"));
    assert_int_equal(f.finished_n, 2);
    assert_int_equal(fixture_metric(&f, TRP_METRIC_CANCELLED), 1);
    trp_buf_deinit(&m);
    line_end(&l);
}

static void a_connection_that_breaks_cancels_everything(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    struct trp_buf m = message("held", "", two, 2);
    client_request(&l.client, INFER, m.ptr, m.len, false);
    client_request(&l.client, STREAM, m.ptr, m.len, true);
    carry(&l);
    assert_int_equal(f.held_n, 2);
    line_close(&l);
    fixture_turns(&f, 2);
    assert_int_equal(f.cancelled_n, 2);
    assert_int_equal(trp_front_connections(f.front), 0);
    fixture_release(&f, 0);
    fixture_release(&f, 0);
    fixture_turns(&f, 2);
    assert_int_equal(f.finished_n, 2);
    trp_buf_deinit(&m);
    fixture_close(&f);
}

/* What is copied for a message whose first bytes come alone, and for its answer. */
static uint64_t copied_of(struct fixture *f, const struct trp_buf *m, size_t cut)
{
    struct line l;
    line_open(&l, f);
    const uint64_t before = fixture_metric(f, TRP_METRIC_BYTES_COPIED);
    const int32_t id = client_request(&l.client, INFER, m->ptr, cut, cut < m->len);
    carry(&l);
    if (cut < m->len)
        client_more(&l.client, id, m->ptr + cut, m->len - cut, false);
    carry(&l);
    assert_true(ends_with(client_at(&l.client, id), two, sizeof two));
    line_close(&l);
    return fixture_metric(f, TRP_METRIC_BYTES_COPIED) - before;
}

/* A tensor was copied once more when the message's first bytes came alone: nobody could tell
 * then where it would lie. */
static void tensors_lie_aligned_wherever_a_message_is_cut(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_start(&f);
    for (size_t odd = 0; odd < sizeof(float); odd++) {
        struct trp_buf m = message("echo", &"abc"[3 - odd], two, 2);
        const uint64_t copied = copied_of(&f, &m, m.len);
        for (size_t cut = 1; cut < m.len; cut++)
            assert_int_equal(copied_of(&f, &m, cut), copied);
        trp_buf_deinit(&m);
    }
    fixture_close(&f);
}

/* -- streams -- */

static void stream_answers_keep_the_order_of_requests(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    struct trp_buf a = message("held", "a", two, 2), b = message("echo", "b", two, 2),
                   c = message("nope", "c", two, 2);
    struct trp_buf all = { 0 };
    trp_buf_init(&all, trp_heap(), 1 << 20);
    trp_buf_add_str(&all, trp_buf_str(&a));
    trp_buf_add_str(&all, trp_buf_str(&b));
    trp_buf_add_str(&all, trp_buf_str(&c));
    const int32_t id = client_request(&l.client, STREAM, all.ptr, all.len, true);
    carry(&l);
    const struct client_stream *s = client_at(&l.client, id);
    assert_int_equal(s->data_n, 0); /* the first is held */
    fixture_release(&f, 0);
    carry(&l);
    const char *at[4];
    assert_int_equal(split(s, at, 4), 3);
    assert_non_null(memmem(at[0], (size_t)(at[1] - at[0]),
                           "\x1a\x01"
                           "a",
                           3));
    assert_non_null(memmem(at[1], (size_t)(at[2] - at[1]),
                           "\x1a\x01"
                           "b",
                           3));
    assert_int_equal(at[2][0], 0x0a); /* error_message */
    assert_non_null(memmem(at[2], (size_t)(s->data + s->data_n - at[2]), "is not found", 12));
    assert_int_equal(s->closed, 0);
    client_more(&l.client, id, b.ptr, b.len, false);
    carry(&l);
    assert_int_equal(split(s, at, 4), 4);
    assert_true(says(s, "grpc-status: 0\n"));
    assert_int_equal(s->closed, 1);
    trp_buf_deinit(&a);
    trp_buf_deinit(&b);
    trp_buf_deinit(&c);
    trp_buf_deinit(&all);
    line_end(&l);
}

static void a_stream_reads_no_further_than_its_limit(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    struct trp_buf one = message("held", "", two, 2), all;
    trp_buf_init(&all, trp_heap(), 1 << 20);
    for (int i = 0; i < 20; i++)
        trp_buf_add_str(&all, trp_buf_str(&one));
    const int32_t id = client_request(&l.client, STREAM, all.ptr, all.len, false);
    carry(&l);
    assert_int_equal(f.started_n, 4);
    for (uint32_t done = 0; done < 20; done++) {
        fixture_release(&f, 0);
        carry(&l);
        assert_int_equal(f.started_n, done + 5 < 20 ? done + 5 : 20);
    }
    const char *at[1];
    assert_int_equal(split(client_at(&l.client, id), at, 0), 20);
    assert_true(says(client_at(&l.client, id), "grpc-status: 0\n"));
    trp_buf_deinit(&one);
    trp_buf_deinit(&all);
    line_end(&l);
}

/* What waits of a stream once held all that had ever waited since it was last empty: a client that
 * stayed ahead of the server was refused after 16 MB. */
static void a_client_may_stay_ahead_of_its_stream_for_ever(void **state)
{
    (void)state;
    enum { FLOATS = 65536, MESSAGES = 80 };
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    float *values = calloc(FLOATS, sizeof *values);
    assert_non_null(values);
    struct trp_buf one = message("held", "", values, FLOATS), all;
    trp_buf_init(&all, trp_heap(), 1 << 26);
    for (int i = 0; i < MESSAGES; i++) /* 20 MB */
        trp_buf_add_str(&all, trp_buf_str(&one));
    assert_int_equal(all.failed, TRP_OK);
    const int32_t id = client_request(&l.client, STREAM, all.ptr, all.len, false);
    carry(&l);
    for (int done = 0; done < MESSAGES && f.held_n > 0; done++) {
        fixture_release(&f, 0);
        carry(&l);
        client_at(&l.client, id)->data_n = 0; /* nobody looks at these answers */
    }
    assert_int_equal(f.started_n, MESSAGES);
    assert_true(says(client_at(&l.client, id), "grpc-status: 0\n"));
    trp_buf_deinit(&one);
    trp_buf_deinit(&all);
    free(values);
    line_end(&l);
}

/* Whoever opens all windows and reads nothing used to be framed for in every turn that his
 * requests came in. */
static void answers_are_framed_no_further_ahead_than_the_socket_takes(void **state)
{
    (void)state;
    enum { FLOATS = 16384, CALLS = 60, AHEAD = 512 << 10 };
    struct fixture f;
    struct line l;
    fixture_begin(&f);
    l.f = &f;
    l.fd = fixture_connect(&f, true);
    line_open_client(&l, 1 << 30);
    nghttp2_session_set_local_window_size(l.client.session, 0, 0, 1 << 30);
    carry(&l);
    float *values = calloc(FLOATS, sizeof *values);
    assert_non_null(values);
    struct trp_buf m = message("echo", "", values, FLOATS);
    for (int i = 0; i < CALLS; i++) {
        client_request(&l.client, INFER, m.ptr, m.len, false);
        push(&l);
        assert_true(trp_outbox_left(&f.front->conns->out) <= AHEAD);
    }
    carry(&l);
    for (int i = 0; i < CALLS; i++)
        assert_true(says(&l.client.streams[i], "grpc-status: 0\n"));
    trp_buf_deinit(&m);
    free(values);
    line_end(&l);
}

static void a_stream_may_ask_for_its_end_at_the_first_error(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    struct trp_buf held = message("held", "", two, 2), nope = message("nope", "", two, 2);
    const int32_t id =
        client_request(&l.client, STREAM "triton_grpc_error: true\n", held.ptr, held.len, true);
    carry(&l);
    client_more(&l.client, id, nope.ptr, nope.len, true);
    carry(&l);
    const struct client_stream *s = client_at(&l.client, id);
    assert_true(says(s, "grpc-status: 5\n"));
    assert_int_equal(s->data_n, 0);
    assert_true(s->has_ended);
    assert_int_equal(f.cancelled_n, 1); /* the one before it is given up */
    fixture_release(&f, 0);
    carry(&l);
    trp_buf_deinit(&held);
    trp_buf_deinit(&nope);
    line_end(&l);
}

static void an_empty_stream_ends_well_and_a_cut_one_does_not(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    const int32_t empty = client_request(&l.client, STREAM, "", 0, false);
    const int32_t cut = client_request(&l.client, STREAM, "\0\0\0", 3, false);
    carry(&l);
    assert_true(says(client_at(&l.client, empty), "grpc-status: 0\n"));
    assert_true(says(client_at(&l.client, cut), "grpc-status: 3\n"));
    line_end(&l);
}

/* -- health, reflection, control -- */

static void health_is_checked_by_service(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        size_t n;
        const char *status;
        char health; /* 0: none */
    } rows[] = {
        { "\0\0\0\0\0", 5, "grpc-status: 0\n", 1 },
        { "\0\0\0\0\6\x0a\4echo", 11, "grpc-status: 0\n", 1 },
        { "\0\0\0\0\6\x0a\4nope", 11, "grpc-status: 5\n", 0 },
    };
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const int32_t id = client_request(&l.client, GRPC("/grpc.health.v1.Health/Check"),
                                          rows[i].body, rows[i].n, false);
        carry(&l);
        const struct client_stream *s = client_at(&l.client, id);
        assert_true(says(s, rows[i].status));
        assert_int_equal(s->data_n, rows[i].health ? 7 : 0);
        if (rows[i].health)
            assert_int_equal(s->data[6], rows[i].health);
    }
    line_end(&l);
}

static void a_watch_tells_changes_until_the_client_leaves(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    const int32_t id =
        client_request(&l.client, GRPC("/grpc.health.v1.Health/Watch"), "\0\0\0\0\0", 5, false);
    carry(&l);
    const struct client_stream *s = client_at(&l.client, id);
    assert_int_equal(s->data_n, 7);
    assert_int_equal(s->data[6], 1);
    for (int i = 0; i < 5; i++) {
        f.now_ns += TRP_S(2);
        carry(&l);
    }
    assert_int_equal(s->data_n, 7);
    assert_true(f.controls_n >= 4);
    f.is_ready = false;
    f.now_ns += TRP_S(2);
    carry(&l);
    assert_int_equal(s->data_n, 14);
    assert_int_equal(s->data[13], 2);
    nghttp2_submit_rst_stream(l.client.session, 0, id, NGHTTP2_CANCEL);
    carry(&l);
    const uint32_t looks = f.controls_n;
    f.now_ns += TRP_S(5);
    carry(&l);
    assert_int_equal(f.controls_n, looks);
    line_end(&l);
}

static void reflection_lists_services(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    static const char list[] = "\0\0\0\0\3\x3a\1*";
    const int32_t id = client_request(
        &l.client, GRPC("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"), list,
        sizeof list - 1, true);
    carry(&l);
    const struct client_stream *s = client_at(&l.client, id);
    assert_non_null(memmem(s->data, s->data_n, "inference.GRPCInferenceService", 30));
    client_more(&l.client, id, "", 0, false);
    carry(&l);
    assert_true(says(s, "grpc-status: 0\n"));
    line_end(&l);
}

/* Exchanges are used again: the list of parts of an inference must not outlive it. */
static void nothing_of_an_earlier_answer_is_in_the_next(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    struct trp_buf m = message("echo", "", two, 2);
    for (int i = 0; i < 4; i++)
        client_request(&l.client, STREAM, m.ptr, m.len, false);
    carry(&l);
    static const char list[] = "\0\0\0\0\3\x3a\1*";
    const int32_t services = client_request(
        &l.client, GRPC("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"), list,
        sizeof list - 1, false);
    const int32_t watch =
        client_request(&l.client, GRPC("/grpc.health.v1.Health/Watch"), "\0\0\0\0\0", 5, false);
    carry(&l);
    const struct client_stream *s = client_at(&l.client, services);
    assert_non_null(memmem(s->data, s->data_n, "inference.GRPCInferenceService", 30));
    s = client_at(&l.client, watch);
    assert_int_equal(s->data_n, 7); /* prefix, and the status */
    trp_buf_deinit(&m);
    line_end(&l);
}

static void changes_over_grpc_are_guarded_too(void **state)
{
    (void)state;
    static const char load[] = "\0\0\0\0\3\x12\1m";
    for (int local = 0; local < 2; local++) {
        struct fixture f;
        struct line l;
        fixture_begin(&f);
        l.f = &f;
        l.fd = fixture_connect(&f, local != 0);
        line_open_client(&l, 1 << 20);
        const int32_t id =
            client_request(&l.client, GRPC("/inference.GRPCInferenceService/RepositoryModelLoad"),
                           load, sizeof load - 1, false);
        carry(&l);
        assert_true(
            says(client_at(&l.client, id), local ? "grpc-status: 0\n" : "grpc-status: 7\n"));
        if (!local)
            assert_true(says(client_at(&l.client, id), "admin.remote"));
        line_end(&l);
    }
}

static void a_control_that_waits_may_lose_its_client(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    fixture_open(&f);
    f.controls_wait = true;
    fixture_start(&f);
    line_open(&l, &f);
    client_request(&l.client, GRPC("/inference.GRPCInferenceService/ServerMetadata"), "\0\0\0\0\0",
                   5, false);
    carry(&l);
    line_close(&l);
    fixture_turns(&f, 2);
    fake_control_answer(&f, f.control);
    fixture_turns(&f, 2);
    fixture_close(&f);
}

/* -- REST over HTTP/2, time and drains -- */

#define REST(method, path) \
    ":method: " method "\n:scheme: http\n:path: " path "\n:authority: localhost\n"

static void rest_is_the_same_over_http2(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    const int32_t infer = client_request(&l.client, REST("POST", "/v2/models/echo/infer"),
                                         JSON_BODY, strlen(JSON_BODY), false);
    const int32_t sized =
        client_request(&l.client, REST("POST", "/v2/models/echo/infer") "content-length: 72\n",
                       JSON_BODY, strlen(JSON_BODY), false);
    const int32_t head = client_request(&l.client, REST("HEAD", "/v2"), NULL, 0, false);
    const int32_t none = client_request(&l.client, REST("GET", "/none"), NULL, 0, false);
    const int32_t trace = client_request(&l.client, REST("TRACE", "/v2"), NULL, 0, false);
    const int32_t large = client_request(
        &l.client, REST("POST", "/v2/models/echo/infer") "content-length: 99999999\n", "x", 1,
        true);
    carry(&l);
    assert_int_equal(strlen(JSON_BODY), 72);
    assert_true(
        says(client_at(&l.client, infer), ":status: 200\ncontent-type: application/json\n"));
    assert_non_null(strstr(client_at(&l.client, infer)->data, "\"data\":[1,2.5]"));
    assert_true(says(client_at(&l.client, sized), ":status: 200\n"));
    assert_true(says(client_at(&l.client, head), "content-length: 44\n"));
    assert_int_equal(client_at(&l.client, head)->data_n, 0);
    assert_true(says(client_at(&l.client, none), ":status: 404\n"));
    assert_true(says(client_at(&l.client, trace), ":status: 405\n"));
    assert_true(says(client_at(&l.client, large), ":status: 413\n"));
    assert_int_equal(client_at(&l.client, large)->reset, 1);
    assert_int_equal(fixture_metric(&f, TRP_METRIC_REQUESTS_HTTP2), 6);
    line_end(&l);
}

static void too_many_fields_are_told(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    fixture_open(&f);
    f.limits.headers_n = 5;
    fixture_start(&f);
    line_open(&l, &f);
    const int32_t id = client_request(
        &l.client, REST("GET", "/v2") "a: 1\nb: 2\nc: 3\nd: 4\ne: 5\n", NULL, 0, false);
    carry(&l);
    assert_true(says(client_at(&l.client, id), ":status: 431\n"));
    line_end(&l);
}

static void slow_bodies_and_idle_connections_end(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    const int32_t rest =
        client_request(&l.client, REST("POST", "/v2/models/echo/infer"), "{", 1, true);
    const int32_t unary = client_request(&l.client, INFER, "\0\0", 2, true);
    const int32_t stream = client_request(&l.client, STREAM, "", 0, true);
    carry(&l);
    for (int i = 0; i < 4; i++) {
        f.now_ns += TRP_S(4);
        carry(&l);
    }
    assert_true(says(client_at(&l.client, rest), ":status: 408\n"));
    assert_true(says(client_at(&l.client, unary), "timeouts.body"));
    assert_int_equal(client_at(&l.client, stream)->closed, 0); /* a stream may be silent */
    client_more(&l.client, stream, "", 0, false);
    carry(&l);
    assert_int_equal(client_at(&l.client, stream)->closed, 1);
    for (int i = 0; i < 20; i++) {
        f.now_ns += TRP_S(10);
        carry(&l);
    }
    assert_true(l.client.goaway);
    assert_int_equal(trp_front_connections(f.front), 0);
    line_end(&l);
}

static void note_drained(void *user)
{
    *(bool *)user = true;
}

static void draining_says_goodbye_twice_and_lets_calls_end(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    bool is_drained = false;
    line_begin(&l, &f);
    struct trp_buf m = message("held", "", two, 2);
    const int32_t id = client_request(&l.client, INFER, m.ptr, m.len, false);
    carry(&l);
    trp_front_drain(f.front, note_drained, &is_drained);
    carry(&l);
    assert_true(l.client.goaway);
    f.now_ns += TRP_MS(200);
    carry(&l);
    assert_false(is_drained);
    fixture_release(&f, 0);
    carry(&l);
    assert_true(says(client_at(&l.client, id), "grpc-status: 0\n"));
    fixture_turns(&f, 3);
    assert_true(is_drained);
    trp_buf_deinit(&m);
    line_end(&l);
}

/* Whoever watches, or keeps a stream open, would hold up the end of the server for as long as it
 * may take. */
static void draining_ends_streams_in_which_nothing_is_under_way(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    bool is_drained = false;
    line_begin(&l, &f);
    struct trp_buf held = message("held", "", two, 2), m = message("echo", "", two, 2);
    const int32_t watch =
        client_request(&l.client, GRPC("/grpc.health.v1.Health/Watch"), "\0\0\0\0\0", 5, false);
    const int32_t untouched = client_request(&l.client, STREAM, "", 0, true);
    const int32_t idle = client_request(&l.client, STREAM, m.ptr, m.len, true);
    const int32_t busy = client_request(&l.client, STREAM, held.ptr, held.len, true);
    carry(&l);
    f.is_ready = false;
    trp_front_drain(f.front, note_drained, &is_drained);
    carry(&l);
    assert_false(client_at(&l.client, idle)->has_ended); /* more may be on its way */
    f.now_ns += TRP_MS(200);
    carry(&l);
    assert_true(says(client_at(&l.client, untouched), "grpc-status: 14\n"));
    assert_true(says(client_at(&l.client, idle), "grpc-status: 14\n"));
    assert_false(client_at(&l.client, busy)->has_ended);
    f.now_ns += TRP_S(2);
    carry(&l);
    const struct client_stream *s = client_at(&l.client, watch);
    assert_int_equal(s->data_n, 14);
    assert_int_equal(s->data[13], 2); /* NOT_SERVING first */
    f.now_ns += TRP_S(2);
    carry(&l);
    assert_true(says(s, "grpc-status: 14\n"));
    assert_false(is_drained);
    fixture_release(&f, 0);
    carry(&l);
    s = client_at(&l.client, busy);
    assert_true(s->data_n > 5 && says(s, "grpc-status: 14\n")); /* answered, then over */
    fixture_turns(&f, 3);
    assert_true(is_drained);
    trp_buf_deinit(&held);
    trp_buf_deinit(&m);
    line_end(&l);
}

static void the_preface_may_come_byte_by_byte(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    const int32_t id = client_request(&l.client, REST("GET", "/v2"), NULL, 0, false);
    const uint8_t *bytes;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(l.client.session, &bytes)) > 0)
        for (ssize_t i = 0; i < n; i++) {
            fixture_send(l.fd, bytes + i, 1);
            fixture_turns(&f, 1);
        }
    carry(&l);
    assert_true(says(client_at(&l.client, id), ":status: 200\n"));
    line_end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unary_call_is_answered_with_message_and_status),
        cmocka_unit_test(a_large_tensor_is_aligned_and_copied_once),
        cmocka_unit_test(failures_are_trailers_alone),
        cmocka_unit_test(an_early_failure_stops_the_sender_without_error),
        cmocka_unit_test(messages_are_compressed_both_ways),
        cmocka_unit_test(a_deadline_is_answered_while_the_call_is_out),
        cmocka_unit_test(a_reset_stream_cancels_its_call_alone),
        cmocka_unit_test(tensors_lie_aligned_wherever_a_message_is_cut),
        cmocka_unit_test(a_connection_that_breaks_cancels_everything),
        cmocka_unit_test(stream_answers_keep_the_order_of_requests),
        cmocka_unit_test(a_stream_reads_no_further_than_its_limit),
        cmocka_unit_test(a_client_may_stay_ahead_of_its_stream_for_ever),
        cmocka_unit_test(answers_are_framed_no_further_ahead_than_the_socket_takes),
        cmocka_unit_test(a_stream_may_ask_for_its_end_at_the_first_error),
        cmocka_unit_test(an_empty_stream_ends_well_and_a_cut_one_does_not),
        cmocka_unit_test(health_is_checked_by_service),
        cmocka_unit_test(a_watch_tells_changes_until_the_client_leaves),
        cmocka_unit_test(reflection_lists_services),
        cmocka_unit_test(nothing_of_an_earlier_answer_is_in_the_next),
        cmocka_unit_test(changes_over_grpc_are_guarded_too),
        cmocka_unit_test(a_control_that_waits_may_lose_its_client),
        cmocka_unit_test(rest_is_the_same_over_http2),
        cmocka_unit_test(too_many_fields_are_told),
        cmocka_unit_test(slow_bodies_and_idle_connections_end),
        cmocka_unit_test(draining_says_goodbye_twice_and_lets_calls_end),
        cmocka_unit_test(draining_ends_streams_in_which_nothing_is_under_way),
        cmocka_unit_test(the_preface_may_come_byte_by_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
