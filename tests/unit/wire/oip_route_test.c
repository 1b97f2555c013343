/* Which operation a path means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/oip_route.h"

struct row {
    const char *method, *path;
    int code;
    enum trp_route_kind kind;
    int op;
    const char *model;
    int64_t version;
    const char *region, *allow;
};

#define OK(kind, op) TRP_OK, TRP_ROUTE_##kind, TRP_CONTROL_##op
#define INFER TRP_OK, TRP_ROUTE_INFER, 0
#define BAD(code) TRP_##code, 0, 0, "", 0, ""

static const struct row rows[] = {
    { "POST", "/v2/models/m/infer", INFER, "m", 0, "", "POST" },
    { "POST", "/v2/models/m/versions/3/infer", INFER, "m", 3, "", "POST" },
    { "POST", "/v2/models/a%2Fb%20%C3%a9/infer", INFER, "a/b \xc3\xa9", 0, "", "POST" },
    { "POST", "/v2/models/stats/infer", INFER, "stats", 0, "", "POST" },
    { "GET", "/v2", OK(CONTROL, SERVER_METADATA), "", 0, "", "GET, HEAD" },
    { "HEAD", "/v2", OK(CONTROL, SERVER_METADATA), "", 0, "", "GET, HEAD" },
    { "GET", "/v2/health/live", OK(CONTROL, SERVER_LIVE), "", 0, "", "GET, HEAD" },
    { "GET", "/v2/health/ready", OK(CONTROL, SERVER_READY), "", 0, "", "GET, HEAD" },
    { "GET", "/metrics", OK(CONTROL, METRICS), "", 0, "", "GET, HEAD" },
    { "GET", "/api/models", OK(CONTROL, API_MODELS), "", 0, "", "GET, HEAD" },
    { "POST", "/api/models/m/pin", OK(CONTROL, API_PIN), "m", 0, "", "POST" },
    { "POST", "/api/models/a%2Fb/unpin", OK(CONTROL, API_UNPIN), "a/b", 0, "", "POST" },
    { "POST", "/api/models/m/evict", OK(CONTROL, API_EVICT), "m", 0, "", "POST" },
    { "POST", "/api/feedback", OK(CONTROL, API_FEEDBACK), "", 0, "", "POST" },
    { "GET", "/api/time", OK(CONTROL, API_TIME_GET), "", 0, "", "GET, HEAD, POST" },
    { "GET", "/api/models/m/instances", OK(CONTROL, API_INSTANCES_GET), "m", 0, "",
      "GET, HEAD, POST" },
    { "POST", "/api/models/m/instances", OK(CONTROL, API_INSTANCES_SET), "m", 0, "",
      "GET, HEAD, POST" },
    { "POST", "/api/models/m/versions/2/instances", OK(CONTROL, API_INSTANCES_SET), "m", 2, "",
      "GET, HEAD, POST" },
    { "GET", "/api/residency", OK(CONTROL, API_RESIDENCY), "", 0, "", "GET, HEAD" },
    { "GET", "/api/routes", OK(CONTROL, API_ROUTES), "", 0, "", "GET, HEAD" },
    { "GET", "/api/routes/r", OK(CONTROL, API_ROUTES), "r", 0, "", "GET, HEAD" },
    { "GET", "/api/cost", OK(CONTROL, API_COST), "", 0, "", "GET, HEAD" },
    { "GET", "/api/models/m/cost", OK(CONTROL, API_COST), "m", 0, "", "GET, HEAD" },
    { "GET", "/api/openapi.json", OK(CONTROL, API_OPENAPI), "", 0, "", "GET, HEAD" },
    { "GET", "/v2/models/stats", OK(CONTROL, MODEL_STATISTICS), "", 0, "", "GET, HEAD" },
    { "GET", "/v2/models/m", OK(CONTROL, MODEL_METADATA), "m", 0, "", "GET, HEAD" },
    { "GET", "/v2/models/m/versions/1", OK(CONTROL, MODEL_METADATA), "m", 1, "", "GET, HEAD" },
    { "GET", "/v2/models/m/ready", OK(CONTROL, MODEL_READY), "m", 0, "", "GET, HEAD" },
    { "GET", "/v2/models/m/versions/01/ready", OK(CONTROL, MODEL_READY), "m", 1, "", "GET, HEAD" },
    { "GET", "/v2/models/m/config", OK(CONTROL, MODEL_CONFIG), "m", 0, "", "GET, HEAD" },
    { "GET", "/v2/models/m/versions/2/config", OK(CONTROL, MODEL_CONFIG), "m", 2, "", "GET, HEAD" },
    { "GET", "/v2/models/m/stats", OK(CONTROL, MODEL_STATISTICS), "m", 0, "", "GET, HEAD" },
    { "GET", "/v2/models/m/versions/2/stats", OK(CONTROL, MODEL_STATISTICS), "m", 2, "",
      "GET, HEAD" },
    { "GET", "/v2/trace/setting", OK(CONTROL, TRACE_GET), "", 0, "", "GET, HEAD, POST" },
    { "POST", "/v2/trace/setting", OK(CONTROL, TRACE_SET), "", 0, "", "GET, HEAD, POST" },
    { "POST", "/v2/models/m/trace/setting", OK(CONTROL, TRACE_SET), "m", 0, "", "GET, HEAD, POST" },
    { "GET", "/v2/logging", OK(CONTROL, LOG_GET), "", 0, "", "GET, HEAD, POST" },
    { "POST", "/v2/logging", OK(CONTROL, LOG_SET), "", 0, "", "GET, HEAD, POST" },
    { "POST", "/v2/repository/index", OK(CONTROL, REPOSITORY_INDEX), "", 0, "", "POST" },
    { "POST", "/v2/repository/any/index", OK(CONTROL, REPOSITORY_INDEX), "", 0, "", "POST" },
    { "POST", "/v2/repository/models/m/load", OK(CONTROL, MODEL_LOAD), "m", 0, "", "POST" },
    { "POST", "/v2/repository/models/m/unload", OK(CONTROL, MODEL_UNLOAD), "m", 0, "", "POST" },
    { "GET", "/v2/systemsharedmemory/status", OK(CONTROL, SHM_STATUS), "", 0, "", "GET, HEAD" },
    { "GET", "/v2/systemsharedmemory/region/r/status", OK(CONTROL, SHM_STATUS), "", 0, "r",
      "GET, HEAD" },
    { "POST", "/v2/systemsharedmemory/region/r%31/register", OK(CONTROL, SHM_REGISTER), "", 0, "r1",
      "POST" },
    { "POST", "/v2/systemsharedmemory/region/r/unregister", OK(CONTROL, SHM_UNREGISTER), "", 0, "r",
      "POST" },
    { "POST", "/v2/systemsharedmemory/unregister", OK(CONTROL, SHM_UNREGISTER), "", 0, "", "POST" },
    { "GET", "/v2/cudasharedmemory/status", OK(CONTROL, CUDA_SHM_STATUS), "", 0, "", "GET, HEAD" },
    { "GET", "/v2/cudasharedmemory/region/r/status", OK(CONTROL, CUDA_SHM_STATUS), "", 0, "r",
      "GET, HEAD" },
    { "POST", "/v2/cudasharedmemory/region/r/register", OK(CONTROL, CUDA_SHM_REGISTER), "", 0, "r",
      "POST" },
    { "POST", "/v2/cudasharedmemory/region/r/unregister", OK(CONTROL, CUDA_SHM_UNREGISTER), "", 0,
      "r", "POST" },
    { "POST", "/v2/cudasharedmemory/unregister", OK(CONTROL, CUDA_SHM_UNREGISTER), "", 0, "",
      "POST" },

    { "GET", "/v2/models/m/infer", BAD(METHOD_NOT_ALLOWED), "POST" },
    { "get", "/v2", BAD(METHOD_NOT_ALLOWED), "GET, HEAD" },
    { "POST", "/v2", BAD(METHOD_NOT_ALLOWED), "GET, HEAD" },
    { "DELETE", "/v2/logging", BAD(METHOD_NOT_ALLOWED), "GET, HEAD, POST" },
    { "OPTIONS", "/v2/models/m/infer", BAD(METHOD_NOT_ALLOWED), "POST" },
    { "GET", "", BAD(NOT_FOUND), NULL },
    { "GET", "/", BAD(NOT_FOUND), NULL },
    { "GET", "*", BAD(NOT_FOUND), NULL },
    { "GET", "v2", BAD(NOT_FOUND), NULL },
    { "GET", "/v2/", BAD(NOT_FOUND), NULL },
    { "GET", "/V2", BAD(NOT_FOUND), NULL },
    { "GET", "/v2/models/", BAD(NOT_FOUND), NULL },
    { "POST", "/v2/models//infer", BAD(NOT_FOUND), NULL },
    { "POST", "/v2/models/a/b/infer", BAD(NOT_FOUND), NULL },
    { "POST", "/v2/models/m/infer/", BAD(NOT_FOUND), NULL },
    { "GET", "/v2/models/m/versions/1/trace/setting", BAD(NOT_FOUND), NULL },
    { "GET", "/a/b/c/d/e/f/g/h", BAD(NOT_FOUND), NULL },
    { "GET", "/a/b/c/d/e/f/g/h/i/j", BAD(NOT_FOUND), NULL },
    { "POST", "/v2/models/m%/infer", BAD(INVALID_ARGUMENT), "POST" },
    { "POST", "/v2/models/m%4/infer", BAD(INVALID_ARGUMENT), "POST" },
    { "POST", "/v2/models/m%4g/infer", BAD(INVALID_ARGUMENT), "POST" },
    { "POST", "/v2/models/m%00/infer", BAD(INVALID_ARGUMENT), "POST" },
    { "POST", "/v2/models/m%0A/infer", BAD(INVALID_ARGUMENT), "POST" },
    { "POST", "/v2/models/m%ff/infer", BAD(INVALID_ARGUMENT), "POST" },
    { "POST", "/v2/models/m/versions/0/infer", BAD(INVALID_ARGUMENT), "POST" },
    { "POST", "/v2/models/m/versions/-1/infer", BAD(INVALID_ARGUMENT), "POST" },
    { "POST", "/v2/models/m/versions/.x/infer", BAD(INVALID_ARGUMENT), "POST" },
    { "POST", "/v2/models/m/versions/9223372036854775808/infer", BAD(INVALID_ARGUMENT), "POST" },
    { "POST", "/v2/models/m/versions/99999999999999999999/infer", BAD(INVALID_ARGUMENT), "POST" },
    { "POST", "/v2/models/m/generate", BAD(UNIMPLEMENTED), NULL },
    { "POST", "/v2/models/m/versions/1/generate_stream", BAD(UNIMPLEMENTED), NULL },
    { "POST", "/v2/repository/r/models/m/load", BAD(UNIMPLEMENTED), NULL },
};

static void every_path_finds_its_operation_or_its_refusal(void **state)
{
    (void)state;
    struct trp_arena arena;
    trp_arena_init(&arena, trp_heap(), 4096, 0);
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("%s %s\n", r->method, r->path);
        struct trp_route route;
        struct trp_error err = { 0 };
        const trp_status st =
            trp_oip_route_http(trp_str_of(r->method), trp_str_of(r->path), &arena, &route, &err);
        assert_int_equal(st.code, r->code);
        if (r->allow)
            assert_string_equal(route.allow, r->allow);
        else
            assert_null(route.allow);
        if (trp_failed(st)) {
            assert_true(err.text[0] != '\0');
            if (r->code == TRP_METHOD_NOT_ALLOWED)
                assert_non_null(strstr(err.text, r->allow));
            continue;
        }
        assert_int_equal(route.kind, r->kind);
        assert_int_equal(route.op, r->op);
        assert_true(trp_str_is(route.model, r->model));
        assert_int_equal(route.version, r->version);
        assert_true(trp_str_is(route.region, r->region));
    }
    trp_arena_deinit(&arena);
}

static void every_grpc_method_finds_its_operation(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int code;
        enum trp_route_kind kind;
        int op;
        const char *text;
    } grpc_rows[] = {
#define S "/inference.GRPCInferenceService/"
        { S "ModelInfer", TRP_OK, TRP_ROUTE_INFER, 0, "" },
        { S "ModelStreamInfer", TRP_OK, TRP_ROUTE_STREAM_INFER, 0, "" },
        { S "ServerLive", OK(CONTROL, SERVER_LIVE), "" },
        { S "ModelConfig", OK(CONTROL, MODEL_CONFIG), "" },
        { S "RepositoryModelLoad", OK(CONTROL, MODEL_LOAD), "" },
        { S "CudaSharedMemoryUnregister", OK(CONTROL, CUDA_SHM_UNREGISTER), "" },
        { S "TraceSetting", OK(CONTROL, TRACE_GET), "" },
        { S "LogSettings", OK(CONTROL, LOG_GET), "" },
        { "/grpc.health.v1.Health/Check", TRP_OK, TRP_ROUTE_HEALTH_CHECK, 0, "" },
        { "/grpc.health.v1.Health/Watch", TRP_OK, TRP_ROUTE_HEALTH_WATCH, 0, "" },
        { "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", TRP_OK, TRP_ROUTE_REFLECTION,
          0, "" },
        { "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", TRP_OK,
          TRP_ROUTE_REFLECTION, 0, "" },
        { S "modelinfer", TRP_UNIMPLEMENTED, 0, 0, "unknown method modelinfer" },
        { "/inference.Other/ModelInfer", TRP_UNIMPLEMENTED, 0, 0,
          "unknown service inference.Other" },
        { S "ModelInfer/x", TRP_UNIMPLEMENTED, 0, 0, "malformed method name" },
        { "ModelInfer", TRP_UNIMPLEMENTED, 0, 0, "malformed method name" },
        { "", TRP_UNIMPLEMENTED, 0, 0, "malformed method name" },
    };
    for (size_t i = 0; i < ARRAY_LEN(grpc_rows); i++) {
        print_message("%s\n", grpc_rows[i].path);
        struct trp_route route;
        struct trp_error err = { 0 };
        const trp_status st = trp_oip_route_grpc(trp_str_of(grpc_rows[i].path), &route, &err);
        assert_int_equal(st.code, grpc_rows[i].code);
        assert_non_null(strstr(err.text, grpc_rows[i].text));
        if (trp_failed(st))
            continue;
        assert_int_equal(route.kind, grpc_rows[i].kind);
        assert_int_equal(route.op, grpc_rows[i].op);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_path_finds_its_operation_or_its_refusal),
        cmocka_unit_test(every_grpc_method_finds_its_operation),
    };
    return cmocka_run_group_tests_name("oip_route", tests, NULL, NULL);
}
