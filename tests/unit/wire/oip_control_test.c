/* Management requests and replies, over HTTP and gRPC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/pbwire.h"
#include "wire/oip_control.h"
#include "wire/oip_messages.h"

struct fixture {
    struct trp_arena arena;
    struct trp_json_parser *json;
    struct trp_control control;
    struct trp_error err;
    struct trp_buf out;
};

static void open_fixture(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    trp_arena_init(&f->arena, trp_heap(), 4096, 1 << 20);
    trp_buf_init(&f->out, trp_heap(), 1 << 20);
    f->control.arena = &f->arena;
    assert_int_equal(trp_json_parser_create(1 << 20, 100, &f->json, &f->err).code, TRP_OK);
}

static const char *text_of(struct fixture *f)
{
    const char *const text = trp_buf_text(&f->out);
    assert_non_null(text);
    return text;
}

static void close_fixture(struct fixture *f)
{
    trp_buf_deinit(&f->out);
    trp_arena_deinit(&f->arena);
    trp_json_parser_destroy(f->json);
}

/* ---- HTTP requests --------------------------------------------------------------------------- */

struct row {
    const char *method, *path, *body;
    int code, op;
    const char *want; /* the request tree as JSON, or part of the words */
};

static const struct row rows[] = {
    { "GET", "/v2/health/live", "", TRP_OK, TRP_CONTROL_SERVER_LIVE, "" },
    { "GET", "/v2/models/m", "", TRP_OK, TRP_CONTROL_MODEL_METADATA, "{\"name\":\"m\"}" },
    { "GET", "/v2/models/m/versions/2/config", "", TRP_OK, TRP_CONTROL_MODEL_CONFIG,
      "{\"name\":\"m\",\"version\":\"2\"}" },
    { "GET", "/v2/models/stats", "ignored", TRP_OK, TRP_CONTROL_MODEL_STATISTICS, "" },
    { "POST", "/v2/repository/index", "", TRP_OK, TRP_CONTROL_REPOSITORY_INDEX, "" },
    { "POST", "/v2/repository/index", " \r\n", TRP_OK, TRP_CONTROL_REPOSITORY_INDEX, "" },
    { "POST", "/v2/repository/index", "{\"ready\":true}", TRP_OK, TRP_CONTROL_REPOSITORY_INDEX,
      "{\"ready\":true}" },
    { "POST", "/v2/repository/index", "{\"ready\":1}", TRP_INVALID_ARGUMENT, 0,
      "Unable to parse 'ready': expected a boolean" },
    { "POST", "/v2/repository/index", "[]", TRP_INVALID_ARGUMENT, 0, "expected an object" },
    { "POST", "/v2/repository/index", "{", TRP_INVALID_ARGUMENT, 0, "Unable to parse the request" },
    { "POST", "/v2/repository/models/m/load", "", TRP_OK, TRP_CONTROL_MODEL_LOAD,
      "{\"model_name\":\"m\"}" },
    { "POST", "/v2/repository/models/m/load",
      "{\"parameters\":{\"config\":\"{}\",\"file:1/model.onnx\":\"AAEC\"}}", TRP_OK,
      TRP_CONTROL_MODEL_LOAD,
      "{\"model_name\":\"m\",\"parameters\":{\"config\":{\"string_param\":\"{}\"},"
      "\"file:1/model.onnx\":{\"bytes_param\":\"\\u0000\\u0001\\u0002\"}}}" },
    { "POST", "/v2/repository/models/m/load", "{\"parameters\":{\"file:x\":\"A\"}}",
      TRP_INVALID_ARGUMENT, 0, "Unable to parse 'file:x': not base64" },
    { "POST", "/v2/repository/models/m/load", "{\"parameters\":{\"config\":{}}}",
      TRP_INVALID_ARGUMENT, 0, "Unable to parse 'config': expected a string, a boolean or" },
    { "POST", "/v2/repository/models/m/load", "{\"parameters\":[]}", TRP_INVALID_ARGUMENT, 0,
      "Unable to parse 'parameters'" },
    { "POST", "/v2/repository/models/m/unload",
      "{\"parameters\":{\"unload_dependents\":false,\"n\":-3}}", TRP_OK, TRP_CONTROL_MODEL_UNLOAD,
      "{\"model_name\":\"m\",\"parameters\":{\"unload_dependents\":{\"bool_param\":false},"
      "\"n\":{\"int64_param\":-3}}}" },
    { "GET", "/v2/systemsharedmemory/status", "", TRP_OK, TRP_CONTROL_SHM_STATUS, "" },
    { "GET", "/v2/systemsharedmemory/region/r/status", "", TRP_OK, TRP_CONTROL_SHM_STATUS,
      "{\"name\":\"r\"}" },
    { "POST", "/v2/systemsharedmemory/region/r/register", "{\"key\":\"/k\",\"byte_size\":64}",
      TRP_OK, TRP_CONTROL_SHM_REGISTER, "{\"name\":\"r\",\"key\":\"/k\",\"byte_size\":64}" },
    { "POST", "/v2/systemsharedmemory/region/r/register",
      "{\"key\":\"/k\",\"offset\":8,\"byte_size\":64}", TRP_OK, TRP_CONTROL_SHM_REGISTER,
      "{\"name\":\"r\",\"key\":\"/k\",\"offset\":8,\"byte_size\":64}" },
    { "POST", "/v2/systemsharedmemory/region/r/register", "{\"byte_size\":64}",
      TRP_INVALID_ARGUMENT, 0, "lacks 'key', a string" },
    { "POST", "/v2/systemsharedmemory/region/r/register", "{\"key\":\"/k\"}", TRP_INVALID_ARGUMENT,
      0, "lacks 'byte_size', a number" },
    { "POST", "/v2/systemsharedmemory/region/r/register", "{\"key\":\"/k\",\"byte_size\":-1}",
      TRP_INVALID_ARGUMENT, 0, "expected a non-negative integer" },
    { "POST", "/v2/systemsharedmemory/region/r/register", "{\"key\":1,\"byte_size\":1}",
      TRP_INVALID_ARGUMENT, 0, "Unable to parse 'key': expected a string" },
    { "POST", "/v2/systemsharedmemory/region/r/register", "", TRP_INVALID_ARGUMENT, 0,
      "Unable to parse the request" },
    { "POST", "/v2/systemsharedmemory/unregister", "", TRP_OK, TRP_CONTROL_SHM_UNREGISTER, "" },
    { "POST", "/v2/cudasharedmemory/region/r/register",
      "{\"raw_handle\":{\"b64\":\"AA==\"},\"device_id\":0,\"byte_size\":64}", TRP_OK,
      TRP_CONTROL_CUDA_SHM_REGISTER,
      "{\"name\":\"r\",\"raw_handle\":\"\\u0000\",\"device_id\":0,\"byte_size\":64}" },
    { "POST", "/v2/cudasharedmemory/region/r/register", "{\"raw_handle\":7}", TRP_INVALID_ARGUMENT,
      0, "lacks 'raw_handle'" },
    { "POST", "/v2/cudasharedmemory/unregister", "", TRP_OK, TRP_CONTROL_CUDA_SHM_UNREGISTER, "" },
    { "GET", "/v2/trace/setting", "", TRP_OK, TRP_CONTROL_TRACE_GET, "" },
    { "POST", "/v2/models/m/trace/setting",
      "{\"trace_level\":[\"TIMESTAMPS\",\"TENSORS\"],\"trace_rate\":\"5\",\"trace_count\":null,"
      "\"log_frequency\":7}",
      TRP_OK, TRP_CONTROL_TRACE_SET,
      "{\"settings\":{\"trace_level\":{\"value\":[\"TIMESTAMPS\",\"TENSORS\"]},\"trace_rate\":"
      "{\"value\":[\"5\"]},\"trace_count\":{\"value\":[]},\"log_frequency\":{\"value\":[\"7\"]}},"
      "\"model_name\":\"m\"}" },
    { "POST", "/v2/trace/setting", "{\"trace_rate\":{}}", TRP_INVALID_ARGUMENT, 0,
      "Unable to parse 'trace_rate': expected a string, a list of strings or null" },
    { "POST", "/v2/trace/setting", "{\"trace_level\":[true]}", TRP_INVALID_ARGUMENT, 0,
      "Unable to parse 'trace_level'" },
    { "GET", "/v2/logging", "", TRP_OK, TRP_CONTROL_LOG_GET, "" },
    { "POST", "/v2/logging",
      "{\"log_info\":false,\"log_verbose_level\":2,\"log_format\":\"ISO8601\",\"x\":null}", TRP_OK,
      TRP_CONTROL_LOG_SET,
      "{\"settings\":{\"log_info\":{\"bool_param\":false},\"log_verbose_level\":{\"uint32_param\":"
      "2},"
      "\"log_format\":{\"string_param\":\"ISO8601\"}}}" },
    { "POST", "/v2/logging", "{\"log_verbose_level\":4294967296}", TRP_INVALID_ARGUMENT, 0,
      "an integer below 2^32" },
    { "GET", "/metrics", "", TRP_OK, TRP_CONTROL_METRICS, "" },
};

static void every_http_request_becomes_the_tree_of_its_message(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_route route;
        print_message("%s %s %s\n", r->method, r->path, r->body);
        f.err = (struct trp_error){ 0 };
        trp_buf_reset(&f.out);
        assert_int_equal(
            trp_oip_route_http(trp_str_of(r->method), trp_str_of(r->path), &f.arena, &route, &f.err)
                .code,
            TRP_OK);
        const trp_status st =
            trp_control_decode_http(&route, f.json, trp_str_of(r->body), &f.control, &f.err);
        assert_int_equal(st.code, r->code);
        if (trp_failed(st)) {
            if (!strstr(f.err.text, r->want))
                print_error("got: %s\n", f.err.text);
            assert_non_null(strstr(f.err.text, r->want));
            continue;
        }
        assert_int_equal(f.control.op, r->op);
        if (f.control.request)
            trp_node_write_json(&f.out, f.control.request);
        assert_string_equal(text_of(&f), r->want);
    }
    close_fixture(&f);
}

/* ---- base64 ---------------------------------------------------------------------------------- */

static void base64_is_read_in_all_its_spellings(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want; /* NULL: refused */
    } spellings[] = {
        { "", "" },        { "YQ==", "a" },      { "YWI=", "ab" },
        { "YWJj", "abc" }, { "YWI", "ab" },      { "YW\\nJj\\r\\n", "abc" },
        { "Pz8_", "???" }, { "Pz8/", "???" },    { "Pj4-", ">>>" },
        { "Pj4+", ">>>" }, { "Y", NULL },        { "YQ=", NULL },
        { "YQ===", NULL }, { "YWJj=", NULL },    { "YWJj====", NULL },
        { "Y Q==", NULL }, { "YQ==YQ==", NULL }, { "=", NULL },
    };
    struct fixture f;
    open_fixture(&f);
    for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
        const struct trp_route route = { .kind = TRP_ROUTE_CONTROL, .op = TRP_CONTROL_MODEL_LOAD };
        const struct trp_str body =
            trp_arena_format(&f.arena, "{\"parameters\":{\"file:a\":\"%s\"}}", spellings[i].text);
        print_message("'%s'\n", spellings[i].text);
        const trp_status st = trp_control_decode_http(&route, f.json, body, &f.control, &f.err);
        assert_int_equal(st.code, spellings[i].want ? TRP_OK : TRP_INVALID_ARGUMENT);
        if (!spellings[i].want)
            continue;
        const struct trp_node *const file =
            trp_node_get(trp_node_get(f.control.request, "parameters"), "file:a");
        assert_true(
            trp_str_is(trp_node_str(file, "bytes_param", trp_str_of("-")), spellings[i].want));
    }
    close_fixture(&f);
}

static void a_file_that_memory_does_not_hold_names_its_limit(void **state)
{
    (void)state;
    struct fixture f;
    static char body[8192], file[8001];
    open_fixture(&f);
    trp_arena_deinit(&f.arena);
    trp_arena_init(&f.arena, trp_heap(), 1024, 4096);
    memset(file, 'A', sizeof file - 1);
    snprintf(body, sizeof body, "{\"parameters\":{\"file:a\":\"%s\"}}", file);
    const struct trp_route route = { .kind = TRP_ROUTE_CONTROL, .op = TRP_CONTROL_MODEL_LOAD };
    const trp_status st =
        trp_control_decode_http(&route, f.json, trp_str_of(body), &f.control, &f.err);
    assert_int_equal(st.code, TRP_OUT_OF_MEMORY);
    assert_string_equal(f.err.text, "no memory for the request (limits.request_memory)");
    close_fixture(&f);
}

/* ---- HTTP replies ---------------------------------------------------------------------------- */

/* Builds a reply tree from JSON. */
static const struct trp_node *tree(struct fixture *f, const char *json)
{
    struct trp_json root;
    struct trp_node *node = NULL;
    assert_int_equal(trp_json_parse(f->json, trp_str_of(json), false, &root, &f->err).code, TRP_OK);
    assert_int_equal(trp_node_from_json(&f->arena, root, "reply", &node, &f->err).code, TRP_OK);
    return node;
}

static const struct {
    int op;
    const char *reply; /* NULL: none */
    int status;
    const char *body;
} replies[] = {
    { TRP_CONTROL_SERVER_LIVE, "{\"live\":true}", 200, "" },
    { TRP_CONTROL_SERVER_READY, "{\"ready\":true}", 200, "" },
    { TRP_CONTROL_SERVER_READY, "{\"ready\":false}", 400, "" },
    { TRP_CONTROL_SERVER_READY, NULL, 400, "" },
    { TRP_CONTROL_MODEL_READY, "{\"ready\":true}", 200, "" },
    { TRP_CONTROL_MODEL_READY, "{\"ready\":false}", 400,
      "{\"error\":\"Model version not ready\"}" },
    { TRP_CONTROL_SERVER_METADATA, "{\"name\":\"troupe\",\"version\":\"1\",\"extensions\":[\"a\"]}",
      200, "{\"name\":\"troupe\",\"version\":\"1\",\"extensions\":[\"a\"]}" },
    { TRP_CONTROL_MODEL_METADATA,
      "{\"name\":\"m\",\"versions\":[\"1\"],\"platform\":\"p\",\"inputs\":[{\"name\":\"A\","
      "\"datatype\":\"FP32\",\"shape\":[-1,2]}],\"outputs\":[]}",
      200,
      "{\"name\":\"m\",\"versions\":[\"1\"],\"platform\":\"p\",\"inputs\":[{\"name\":\"A\","
      "\"datatype\":\"FP32\",\"shape\":[-1,2]}],\"outputs\":[]}" },
    { TRP_CONTROL_REPOSITORY_INDEX, NULL, 200, "[]" },
    { TRP_CONTROL_REPOSITORY_INDEX,
      "{\"models\":[{\"name\":\"a\"},{\"name\":\"b\",\"version\":\"1\",\"state\":\"READY\"}]}", 200,
      "[{\"name\":\"a\"},{\"name\":\"b\",\"version\":\"1\",\"state\":\"READY\"}]" },
    { TRP_CONTROL_MODEL_LOAD, NULL, 200, "" },
    { TRP_CONTROL_MODEL_UNLOAD, "{}", 200, "" },
    { TRP_CONTROL_SHM_REGISTER, NULL, 200, "" },
    { TRP_CONTROL_SHM_STATUS, NULL, 200, "[]" },
    { TRP_CONTROL_SHM_STATUS,
      "{\"regions\":{\"r\":{\"name\":\"r\",\"key\":\"/"
      "k\",\"byte_size\":8},\"s\":{\"name\":\"s\"}}}",
      200,
      "[{\"name\":\"r\",\"key\":\"/k\",\"offset\":0,\"byte_size\":8},"
      "{\"name\":\"s\",\"key\":\"\",\"offset\":0,\"byte_size\":0}]" },
    { TRP_CONTROL_CUDA_SHM_STATUS, NULL, 200, "[]" },
    { TRP_CONTROL_CUDA_SHM_UNREGISTER, NULL, 200, "" },
    { TRP_CONTROL_TRACE_GET,
      "{\"settings\":{\"trace_level\":{\"value\":[\"TIMESTAMPS\"]},\"trace_rate\":{\"value\":"
      "[\"5\"]},\"trace_file\":{\"value\":[]}}}",
      200, "{\"trace_level\":[\"TIMESTAMPS\"],\"trace_rate\":\"5\",\"trace_file\":\"\"}" },
    { TRP_CONTROL_TRACE_SET, "{\"settings\":{\"trace_level\":{}}}", 200, "{\"trace_level\":[]}" },
    { TRP_CONTROL_LOG_GET,
      "{\"settings\":{\"log_file\":{\"string_param\":\"\"},\"log_info\":{\"bool_param\":true},"
      "\"log_verbose_level\":{\"uint32_param\":0}}}",
      200, "{\"log_file\":\"\",\"log_info\":true,\"log_verbose_level\":0}" },
    { TRP_CONTROL_LOG_SET, "{\"settings\":{\"x\":{}}}", 200, "{\"x\":null}" },
    { TRP_CONTROL_LOG_GET, NULL, 200, "{}" },
    { TRP_CONTROL_MODEL_STATISTICS, "{\"model_stats\":[]}", 200, "{\"model_stats\":[]}" },
    { TRP_CONTROL_API_MODELS, "{\"models\":[]}", 200, "{\"models\":[]}" },
};

static void every_reply_has_tritons_shape_in_json(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        int status = 0;
        const char *type = "?";
        print_message("operation %d: %s\n", replies[i].op, replies[i].body);
        trp_buf_reset(&f.out);
        f.control.op = (enum trp_control_op)replies[i].op;
        f.control.reply = replies[i].reply ? tree(&f, replies[i].reply) : NULL;
        trp_control_encode_http(&f.control, &f.out, &status, &type);
        assert_int_equal(status, replies[i].status);
        assert_string_equal(text_of(&f), replies[i].body);
        if (replies[i].body[0])
            assert_string_equal(type, "application/json");
        else
            assert_null(type);
    }
    close_fixture(&f);
}

static void errors_metrics_and_configurations_have_their_own_shape(void **state)
{
    (void)state;
    struct fixture f;
    int status = 0;
    const char *type = NULL;
    open_fixture(&f);
    f.control.op = TRP_CONTROL_MODEL_METADATA;
    f.control.error.status = trp_fail(&f.control.error, TRP_NOT_FOUND, "no such model");
    trp_control_encode_http(&f.control, &f.out, &status, &type);
    assert_int_equal(status, 404);
    assert_string_equal(text_of(&f), "{\"error\":\"no such model\"}");
    assert_string_equal(type, "application/json");

    trp_buf_reset(&f.out);
    f.control.error = (struct trp_error){ 0 };
    f.control.op = TRP_CONTROL_METRICS;
    f.control.raw = trp_str_of("a 1\n");
    f.control.raw_type = "text/plain; charset=utf-8";
    trp_control_encode_http(&f.control, &f.out, &status, &type);
    assert_int_equal(status, 200);
    assert_string_equal(text_of(&f), "a 1\n");
    assert_string_equal(type, "text/plain; charset=utf-8");

    trp_buf_reset(&f.out);
    f.control.op = TRP_CONTROL_MODEL_CONFIG;
    f.control.reply = tree(&f, "{\"config\":{\"name\":\"m\",\"max_batch_size\":4}}");
    trp_control_encode_http(&f.control, &f.out, &status, &type);
    const char *const text = text_of(&f);
    assert_memory_equal(text, "{\"name\":\"m\",", 12);
    assert_non_null(strstr(text, "\"max_batch_size\":4"));
    assert_non_null(strstr(text, "\"input\":[]")); /* defaults are printed */
    close_fixture(&f);
}

/* ---- gRPC ------------------------------------------------------------------------------------ */

static trp_status decode_grpc(struct fixture *f, const char *method)
{
    char path[128];
    struct trp_route route;
    snprintf(path, sizeof path, "/inference.GRPCInferenceService/%s", method);
    f->err = (struct trp_error){ 0 };
    assert_int_equal(trp_oip_route_grpc(trp_str_of(path), &route, &f->err).code, TRP_OK);
    return trp_control_decode_grpc(&route, trp_buf_str(&f->out), &f->control, &f->err);
}

static void grpc_requests_name_their_model_and_version(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    trp_pb_write_str(&f.out, 1, trp_str_of("m"));
    trp_pb_write_str(&f.out, 2, trp_str_of("3"));
    assert_int_equal(decode_grpc(&f, "ModelReady").code, TRP_OK);
    assert_int_equal(f.control.op, TRP_CONTROL_MODEL_READY);
    assert_true(trp_str_is(f.control.model, "m"));
    assert_int_equal(f.control.version, 3);
    trp_buf_reset(&f.out);
    trp_pb_write_str(&f.out, 2, trp_str_of("latest")); /* a label */
    assert_int_equal(decode_grpc(&f, "ModelReady").code, TRP_OK);
    assert_true(f.control.version < 0);
    trp_buf_reset(&f.out);
    trp_pb_write_str(&f.out, 2, trp_str_of("3rd"));
    assert_int_equal(decode_grpc(&f, "ModelReady").code, TRP_INVALID_ARGUMENT);
    trp_buf_reset(&f.out);
    assert_int_equal(decode_grpc(&f, "ServerLive").code, TRP_OK);
    assert_null(f.control.request);
    assert_int_equal(f.control.model.len, 0);
    trp_buf_add(&f.out, "\x0a\x7f", 2);
    assert_int_equal(decode_grpc(&f, "RepositoryModelLoad").code, TRP_INVALID_ARGUMENT);
    close_fixture(&f);
}

static void a_load_over_grpc_carries_its_files_raw(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    trp_pb_write_str(&f.out, 2, trp_str_of("m"));
    const size_t entry = trp_pb_begin(&f.out, 3);
    trp_pb_write_str(&f.out, 1, trp_str_of("file:1/model.onnx"));
    const size_t value = trp_pb_begin(&f.out, 2);
    trp_pb_write_str(&f.out, 4, trp_str_make("\0\1", 2));
    trp_pb_end(&f.out, value);
    trp_pb_end(&f.out, entry);
    assert_int_equal(decode_grpc(&f, "RepositoryModelLoad").code, TRP_OK);
    assert_true(trp_str_is(f.control.model, "m"));
    const struct trp_node *const file =
        trp_node_get(trp_node_get(f.control.request, "parameters"), "file:1/model.onnx");
    assert_int_equal(trp_node_str(file, "bytes_param", trp_str_of("")).len, 2);
    close_fixture(&f);
}

static void settings_make_a_question_a_change(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        int get, set;
    } methods[] = {
        { "TraceSetting", TRP_CONTROL_TRACE_GET, TRP_CONTROL_TRACE_SET },
        { "LogSettings", TRP_CONTROL_LOG_GET, TRP_CONTROL_LOG_SET },
    };
    struct fixture f;
    open_fixture(&f);
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        trp_buf_reset(&f.out);
        assert_int_equal(decode_grpc(&f, methods[i].method).code, TRP_OK);
        assert_int_equal(f.control.op, methods[i].get);
        assert_false(trp_control_changes_state(f.control.op));
        const size_t entry = trp_pb_begin(&f.out, 1);
        trp_pb_write_str(&f.out, 1, trp_str_of("x"));
        trp_pb_end(&f.out, entry);
        assert_int_equal(decode_grpc(&f, methods[i].method).code, TRP_OK);
        assert_int_equal(f.control.op, methods[i].set);
        assert_true(trp_control_changes_state(f.control.op));
    }
    close_fixture(&f);
}

static void a_reply_goes_through_its_message_table(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    f.control.op = TRP_CONTROL_SERVER_METADATA;
    f.control.reply = tree(&f, "{\"name\":\"t\",\"version\":\"1\",\"extensions\":[\"a\",\"b\"]}");
    trp_control_encode_grpc(&f.control, &f.out);
    assert_int_equal(f.out.len, 12);
    assert_memory_equal(f.out.ptr,
                        "\x0a\x01t\x12\x01"
                        "1\x1a\x01"
                        "a\x1a\x01"
                        "b",
                        12);
    trp_buf_reset(&f.out);
    f.control.op = TRP_CONTROL_MODEL_LOAD;
    f.control.reply = NULL;
    trp_control_encode_grpc(&f.control, &f.out);
    assert_int_equal(f.out.len, 0);
    close_fixture(&f);
}

/* ---- reflection and health ------------------------------------------------------------------- */

/* Asks; returns the field of the reply's oneof, its inside in *out_inside. */
static uint32_t ask(struct fixture *f, uint32_t kind, const char *text, struct trp_str *out_inside)
{
    struct trp_pb_field field;
    struct trp_buf request;
    uint32_t number = 0;
    trp_buf_init(&request, trp_heap(), 4096);
    trp_pb_write_str(&request, 1, trp_str_of("host"));
    trp_pb_write_str(&request, kind, trp_str_of(text));
    trp_buf_reset(&f->out);
    assert_int_equal(trp_reflection_answer(&f->arena, trp_buf_str(&request), &f->out, &f->err).code,
                     TRP_OK);
    struct trp_pb_reader reader = trp_pb_reader_of(trp_buf_str(&f->out));
    while (trp_pb_next(&reader, &field) == TRP_PB_FIELD) {
        if (field.number == 1)
            assert_true(trp_str_is(field.bytes, "host"));
        else if (field.number == 2)
            assert_true(trp_str_is_equal(field.bytes, trp_buf_str(&request)));
        else {
            number = field.number;
            *out_inside = field.bytes;
        }
    }
    trp_buf_deinit(&request);
    return number;
}

static bool holds(struct trp_str s, const char *text)
{
    return s.len > 0 && memmem(s.ptr, s.len, text, strlen(text)) != NULL;
}

static void reflection_knows_services_files_and_symbols(void **state)
{
    (void)state;
    static const struct {
        uint32_t kind;
        const char *text;
        uint32_t reply;
        const char *inside;
    } asks[] = {
        { 7, "", 6, "inference.GRPCInferenceService" },
        { 7, "*", 6, "grpc.health.v1.Health" },
        { 7, "", 6, "grpc.reflection.v1alpha.ServerReflection" },
        { 3, "grpc_service.proto", 4, "ModelInferRequest" },
        { 3, "grpc/health/v1/health.proto", 4, "HealthCheckRequest" },
        { 3, "grpc/reflection/v1alpha/reflection.proto", 4, "grpc.reflection.v1alpha" },
        { 3, "other.proto", 7, "File not found: other.proto" },
        { 4, "inference.GRPCInferenceService", 4, "grpc_service.proto" },
        { 4, "inference.GRPCInferenceService.ModelInfer", 4, "grpc_service.proto" },
        { 4, "inference.ModelInferRequest.InferInputTensor", 4, "grpc_service.proto" },
        { 4, "inference.ModelConfig", 4, "grpc_service.proto" },
        { 4, "inference.ModelConfig.max_batch_size", 4, "grpc_service.proto" },
        { 4, "inference.DataType", 4, "grpc_service.proto" },
        { 4, "grpc.health.v1.Health", 4, "health.proto" },
        { 4, "grpc.health.v1.HealthCheckResponse.ServingStatus", 4, "health.proto" },
        { 4, "grpc.reflection.v1.ServerReflection", 4, "v1/reflection.proto" },
        { 4, "inference.GRPCInferenceService.Nothing", 7, "Symbol not found" },
        { 4, "inference.GRPCInferenceServiceX", 7, "Symbol not found" },
        { 4, "inference", 7, "Symbol not found" },
        { 4, "\xff", 7, "Symbol not found" },
        { 5, "", 7, "no extensions" },
        { 6, "inference.ModelConfig", 7, "no extensions" },
        { 9, "", 7, "asks nothing" },
    };
    struct fixture f;
    open_fixture(&f);
    for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
        struct trp_str inside = { 0 };
        print_message("%u '%s'\n", asks[i].kind, asks[i].text);
        assert_int_equal(ask(&f, asks[i].kind, asks[i].text, &inside), asks[i].reply);
        assert_true(holds(inside, asks[i].inside));
    }
    assert_int_equal(trp_reflection_answer(&f.arena, trp_str_of("\x1a\x7f"), &f.out, &f.err).code,
                     TRP_INVALID_ARGUMENT);
    assert_int_equal(trp_reflection_answer(&f.arena, trp_str_of("\x18\x01"), &f.out, &f.err).code,
                     TRP_INVALID_ARGUMENT);
    close_fixture(&f);
}

static void health_checks_name_a_service(void **state)
{
    (void)state;
    struct trp_str service = { 0 };
    struct trp_error err = { 0 };
    struct trp_buf b;
    assert_int_equal(trp_health_decode(trp_str_of(""), &service, &err).code, TRP_OK);
    assert_int_equal(service.len, 0);
    assert_int_equal(trp_health_decode(trp_str_of("\x0a\x01m\x10\x01"), &service, &err).code,
                     TRP_OK);
    assert_true(trp_str_is(service, "m"));
    assert_int_equal(trp_health_decode(trp_str_of("\x0a\x05m"), &service, &err).code,
                     TRP_INVALID_ARGUMENT);
    assert_int_equal(trp_health_decode(trp_str_of("\x08\x05"), &service, &err).code,
                     TRP_INVALID_ARGUMENT);
    trp_buf_init(&b, trp_heap(), 16);
    trp_health_encode(2, &b);
    assert_int_equal(b.len, 2);
    assert_memory_equal(b.ptr, "\x08\x02", 2);
    trp_buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_http_request_becomes_the_tree_of_its_message),
        cmocka_unit_test(base64_is_read_in_all_its_spellings),
        cmocka_unit_test(a_file_that_memory_does_not_hold_names_its_limit),
        cmocka_unit_test(every_reply_has_tritons_shape_in_json),
        cmocka_unit_test(errors_metrics_and_configurations_have_their_own_shape),
        cmocka_unit_test(grpc_requests_name_their_model_and_version),
        cmocka_unit_test(a_load_over_grpc_carries_its_files_raw),
        cmocka_unit_test(settings_make_a_question_a_change),
        cmocka_unit_test(a_reply_goes_through_its_message_table),
        cmocka_unit_test(reflection_knows_services_files_and_symbols),
        cmocka_unit_test(health_checks_name_a_service),
    };
    return cmocka_run_group_tests_name("oip_control", tests, NULL, NULL);
}
