/* Every limit has a counter, and what a limit refuses is counted once, under its own name. */
#include "unit/front/front_line.h"

#define TENSOR "{\"name\":\"x\",\"shape\":[1,1],\"datatype\":\"FP32\",\"data\":[1]}"

static char text[1 << 16], reply[1 << 16];

static uint64_t counts[TRP_METRICS];

static void note(const struct fixture *f)
{
    for (int i = 0; i < TRP_METRICS; i++)
        counts[i] = fixture_metric(f, (enum trp_metric)i);
}

/* Of all limits, `id` alone was counted since note(), and once. */
static void assert_counted(const struct fixture *f, enum trp_metric id)
{
    for (int i = TRP_METRIC_LIMIT_BODY; i <= TRP_METRIC_LIMIT_RESETS; i++) {
        const uint64_t grown = fixture_metric(f, (enum trp_metric)i) - counts[i];
        if (grown != (i == (int)id ? 1 : 0))
            fail_msg("limit %d of %d grew by %llu", i - TRP_METRIC_LIMIT_BODY,
                     (int)id - TRP_METRIC_LIMIT_BODY, (unsigned long long)grown);
    }
}

static const char *post(const char *model, const char *fields, const char *body)
{
    snprintf(text, sizeof text,
             "POST /v2/models/%s/infer HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n"
             "%s",
             model, fields, strlen(body), body);
    return text;
}

static int ask(struct fixture *f, int fd, const char *request)
{
    fixture_send(fd, request, strlen(request));
    fixture_turns(f, 4);
    fixture_receive(fd, reply, sizeof reply);
    return strncmp(reply, "HTTP/1.1 ", 9) == 0 ? atoi(reply + 9) : 0;
}

/* -- the tables -- */

static bool has_key(const char *list, const char *key)
{
    const size_t n = strlen(key);
    for (const char *at = list; (at = strstr(at, key)) != NULL; at += n)
        if ((at == list || at[-1] == ',') && (at[n] == ',' || at[n] == '\0'))
            return true;
    return false;
}

static void every_setting_that_limits_has_a_counter(void **state)
{
    (void)state;
    static const char *const limits[] = {
#define X(id, settings) settings,
#include "base/limits.def"
#undef X
    };
    static const char *const settings[] = {
#define X(id, key, ...) key,
#include "conf/settings.def"
#undef X
    };
    static const char *const refuse_nothing[] = { "timeouts.idle", "timeouts.drain",
                                                  "limits.commons_bytes" };
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        const char *key = settings[i];
        bool is_counted = strncmp(key, "limits.", 7) != 0 && strncmp(key, "timeouts.", 9) != 0 &&
                          !strstr(key, "queue_max");
        for (size_t n = 0; n < ARRAY_LEN(limits); n++)
            is_counted = is_counted || has_key(limits[n], key);
        for (size_t n = 0; n < ARRAY_LEN(refuse_nothing); n++)
            is_counted = is_counted || strcmp(refuse_nothing[n], key) == 0;
        if (!is_counted)
            fail_msg("what %s refuses is not counted: give it a row in base/limits.def", key);
    }
}

static void every_limit_moves_a_counter_of_its_own(void **state)
{
    (void)state;
    struct trp_metrics *m;
    struct trp_error err = { 0 };
    assert_int_equal(trp_metrics_create(trp_heap(), 1, &m, &err).code, TRP_OK);
    for (int limit = TRP_LIMIT_NONE; limit < TRP_LIMITS; limit++) {
        (void)trp_fail_limit(&err, TRP_TOO_LARGE, (enum trp_limit)limit, "limit %d", limit);
        trp_metric_hit(trp_metrics_shard(m, 0), &err);
        trp_metrics_hit(m, &err);
    }
    (void)trp_fail(&err, TRP_TOO_LARGE, "no limit");
    trp_metrics_hit(m, &err);
    for (int id = TRP_METRIC_LIMIT_BODY; id <= TRP_METRIC_LIMIT_RESETS; id++)
        assert_int_equal(trp_metrics_get(m, (enum trp_metric)id), 2);
    assert_int_equal(TRP_METRIC_LIMIT_RESETS - TRP_METRIC_LIMIT_BODY + 1, TRP_LIMITS - 1);
    for (int id = 0; id < TRP_METRIC_LIMIT_BODY; id++)
        assert_int_equal(trp_metrics_get(m, (enum trp_metric)id), 0);
    trp_metrics_destroy(m);
}

/* -- requests -- */

static void what_a_request_passes_is_counted_by_name(void **state)
{
    (void)state;
    static char deep[256], many_headers[1024], long_header[6000], many_tensors[2048],
        many_params[1024];
    size_t n = 0;
    memset(deep, '[', 40);
    for (int i = 0; i < 30; i++)
        n += (size_t)snprintf(many_headers + n, sizeof many_headers - n, "h%d: x\r\n", i);
    snprintf(long_header, sizeof long_header, "long: %05000d\r\n", 0);
    n = (size_t)snprintf(many_tensors, sizeof many_tensors, "{\"inputs\":[" TENSOR);
    for (int i = 0; i < 16; i++)
        n += (size_t)snprintf(many_tensors + n, sizeof many_tensors - n, "," TENSOR);
    snprintf(many_tensors + n, sizeof many_tensors - n, "]}");
    n = (size_t)snprintf(many_params, sizeof many_params,
                         "{\"inputs\":[" TENSOR "],\"parameters\":{\"p\":1");
    for (int i = 0; i < 16; i++)
        n += (size_t)snprintf(many_params + n, sizeof many_params - n, ",\"p%d\":1", i);
    snprintf(many_params + n, sizeof many_params - n, "}}");
    const struct {
        const char *fields, *body;
        int status;
        enum trp_metric counted;
    } rows[] = {
        { long_header, "{}", 431, TRP_METRIC_LIMIT_HEADER },
        { many_headers, "{}", 431, TRP_METRIC_LIMIT_HEADERS },
        { "", deep, 400, TRP_METRIC_LIMIT_DEPTH },
        { "", many_tensors, 413, TRP_METRIC_LIMIT_TENSORS },
        { "", many_params, 413, TRP_METRIC_LIMIT_PARAMS },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        fixture_begin(&f);
        const int fd = fixture_connect(&f, true);
        note(&f);
        assert_int_equal(ask(&f, fd, post("echo", rows[i].fields, rows[i].body)), rows[i].status);
        assert_counted(&f, rows[i].counted);
        close(fd);
        fixture_close(&f);
    }
}

static void bodies_and_connections_and_calls_are_counted(void **state)
{
    (void)state;
    struct fixture f;
    int fds[9];
    fixture_open(&f);
    f.limits.calls_n = 1;
    fixture_start(&f);
    for (int i = 0; i < 8; i++)
        fds[i] = fixture_connect(&f, true);
    note(&f);
    fds[8] = fixture_connect(&f, true);
    assert_counted(&f, TRP_METRIC_LIMIT_CONNECTIONS);
    note(&f);
    assert_int_equal(ask(&f, fds[0],
                         "POST /v2/models/echo/infer HTTP/1.1\r\nHost: localhost\r\n"
                         "Content-Length: 5000000\r\n\r\n"),
                     413);
    assert_counted(&f, TRP_METRIC_LIMIT_BODY);
    assert_int_equal(ask(&f, fds[1], post("held", "", "{\"inputs\":[" TENSOR "]}")), 0);
    note(&f);
    assert_int_equal(ask(&f, fds[2], post("echo", "", "{\"inputs\":[" TENSOR "]}")), 429);
    assert_counted(&f, TRP_METRIC_LIMIT_CALLS);
    fixture_release(&f, 0);
    for (int i = 0; i < 9; i++)
        close(fds[i]);
    fixture_close(&f);
}

static void a_header_that_takes_too_long_is_counted(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    note(&f);
    fixture_send(fd, "GET /v2", 7);
    fixture_turns(&f, 1);
    f.now_ns += TRP_S(5);
    fixture_turns(&f, 2);
    fixture_receive(fd, reply, sizeof reply);
    assert_memory_equal(reply, "HTTP/1.1 408", 12);
    assert_counted(&f, TRP_METRIC_LIMIT_TIME);
    close(fd);
    fixture_close(&f);
}

/* -- answers of others -- */

/* What a run says of itself is counted once, whether or not somebody still waits for it.  A run
 * that had no memory of its own was not counted at all, and one of the request's memory neither:
 * every failed call was taken for counted. */
static void what_a_run_passes_is_counted_by_name(void **state)
{
    (void)state;
    static const struct {
        enum trp_code code;
        enum trp_limit limit;
        enum trp_metric counted; /* TRP_METRICS: none */
    } rows[] = {
        { TRP_TOO_LARGE, TRP_LIMIT_OUTPUT, TRP_METRIC_LIMIT_OUTPUT },
        { TRP_OUT_OF_MEMORY, TRP_LIMIT_RUN_MEMORY, TRP_METRIC_LIMIT_RUN_MEMORY },
        { TRP_OUT_OF_MEMORY, TRP_LIMIT_MEMORY, TRP_METRIC_LIMIT_MEMORY },
        { TRP_QUEUE_FULL, TRP_LIMIT_QUEUE, TRP_METRIC_LIMIT_QUEUE },
        { TRP_OUT_OF_MEMORY, TRP_LIMIT_NONE, TRP_METRICS },
        { TRP_TOO_LARGE, TRP_LIMIT_NONE, TRP_METRICS },
    };
    for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
        const bool waits = i < ARRAY_LEN(rows);
        const size_t row = i % ARRAY_LEN(rows);
        struct fixture f;
        fixture_begin(&f);
        const int fd = fixture_connect(&f, true);
        assert_int_equal(ask(&f, fd, post("held", "", "{\"inputs\":[" TENSOR "]}")), 0);
        note(&f);
        if (!waits)
            close(fd);
        fixture_turns(&f, 2);
        struct trp_call *call = f.held[0];
        f.held_n = 0;
        (void)trp_fail_limit(&call->error, rows[row].code, rows[row].limit, "as the row says");
        trp_call_finish_soon(call);
        fixture_turns(&f, 3);
        assert_counted(&f, rows[row].counted);
        if (waits)
            close(fd);
        fixture_close(&f);
    }
}

static void a_request_without_memory_is_counted(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f);
    const int fd = fixture_connect(&f, true);
    assert_int_equal(ask(&f, fd, "GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n"), 200);
    note(&f);
    fixture_send(fd, post("echo", "", "{\"inputs\":[" TENSOR "]}"), strlen(text));
    trp_counter_set(&f.requests.left, 1); /* the call's, and nothing of its arena */
    fixture_turns(&f, 1);
    trp_counter_set(&f.requests.left, UINT64_MAX);
    fixture_turns(&f, 2);
    fixture_receive(fd, reply, sizeof reply);
    assert_memory_equal(reply, "HTTP/1.1 503", 12);
    assert_counted(&f, TRP_METRIC_LIMIT_MEMORY);
    close(fd);
    fixture_close(&f);
}

static void what_a_control_passes_is_counted_over_http_and_grpc(void **state)
{
    (void)state;
    static const char load[] = "POST /v2/repository/models/m/load HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Length: 0\r\n\r\n";
    struct fixture f;
    struct line l;
    fixture_begin(&f);
    f.controls_wait = true;
    const int fd = fixture_connect(&f, true);
    line_open(&l, &f);
    carry(&l);
    note(&f);
    fixture_send(fd, load, sizeof load - 1);
    fixture_turns(&f, 2);
    (void)trp_fail_limit(&f.control->error, TRP_TOO_LARGE, TRP_LIMIT_SHM_REGIONS, "full");
    f.control->done(f.control, f.control->done_user);
    fixture_turns(&f, 2);
    assert_counted(&f, TRP_METRIC_LIMIT_SHM_REGIONS);
    note(&f);
    const int32_t id = client_request(
        &l.client, GRPC("/inference.GRPCInferenceService/ServerMetadata"), "\0\0\0\0\0", 5, false);
    carry(&l);
    (void)trp_fail_limit(&f.control->error, TRP_TOO_LARGE, TRP_LIMIT_SHM_BYTES, "full");
    f.control->done(f.control, f.control->done_user);
    carry(&l);
    assert_true(says(client_at(&l.client, id), "grpc-status: 8\n"));
    assert_counted(&f, TRP_METRIC_LIMIT_SHM_BYTES);
    close(fd);
    line_end(&l);
}

static void a_stream_that_has_to_wait_is_counted(void **state)
{
    (void)state;
    struct fixture f;
    struct line l;
    line_begin(&l, &f);
    struct trp_buf one = message("held", "", two, 2), all;
    trp_buf_init(&all, trp_heap(), 1 << 20);
    for (int i = 0; i < 5; i++)
        trp_buf_add_str(&all, trp_buf_str(&one));
    note(&f);
    client_request(&l.client, STREAM, all.ptr, all.len, false);
    carry(&l);
    assert_counted(&f, TRP_METRIC_LIMIT_STREAM_REQUESTS);
    while (f.held_n) {
        fixture_release(&f, 0);
        carry(&l);
    }
    assert_int_equal(f.started_n, 5);
    trp_buf_deinit(&one);
    trp_buf_deinit(&all);
    line_end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_setting_that_limits_has_a_counter),
        cmocka_unit_test(every_limit_moves_a_counter_of_its_own),
        cmocka_unit_test(what_a_request_passes_is_counted_by_name),
        cmocka_unit_test(bodies_and_connections_and_calls_are_counted),
        cmocka_unit_test(a_header_that_takes_too_long_is_counted),
        cmocka_unit_test(what_a_run_passes_is_counted_by_name),
        cmocka_unit_test(a_request_without_memory_is_counted),
        cmocka_unit_test(what_a_control_passes_is_counted_over_http_and_grpc),
        cmocka_unit_test(a_stream_that_has_to_wait_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
