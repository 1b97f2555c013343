/* wire/oip_route.c - one row per path, one row per method.
 *
 * A path is cut at its slashes before anything is decoded, so that "%2F" inside a model's name
 * stays inside the name.  Rows are compared part by part; a part that begins with '*' is captured:
 * *m a model, *v a version, *r a region, *_ a word that is ignored.  The rows that carry traffic
 * stand first. */
#include "wire/oip_route.h"

#include "model/version_label.h"
#include "wire/percent.h"

#define PARTS_MAX 8
#define NO (-1)

struct row {
    const char *parts[PARTS_MAX];
    enum trp_route_kind kind;
    int get, post; /* operation (CONTROL) or 0 when the method is allowed; NO: it is not */
};

#define GET(op) TRP_ROUTE_CONTROL, TRP_CONTROL_##op, NO
#define POST(op) TRP_ROUTE_CONTROL, NO, TRP_CONTROL_##op
#define EXPLAIN TRP_ROUTE_EXPLAIN, NO, 0
#define EITHER(get_op, post_op) TRP_ROUTE_CONTROL, TRP_CONTROL_##get_op, TRP_CONTROL_##post_op

/* clang-format off */
static const struct row rows[] = {
    { { "v2", "models", "*m", "infer" }, TRP_ROUTE_INFER, NO, 0 },
    { { "v2", "models", "*m", "versions", "*v", "infer" }, TRP_ROUTE_INFER, NO, 0 },
    { { "v2" }, GET(SERVER_METADATA) },
    { { "v2", "health", "live" }, GET(SERVER_LIVE) },
    { { "v2", "health", "ready" }, GET(SERVER_READY) },
    { { "metrics" }, GET(METRICS) },
    { { "api", "models" }, GET(API_MODELS) },
    { { "api", "models", "*m", "pin" }, POST(API_PIN) },
    { { "api", "models", "*m", "unpin" }, POST(API_UNPIN) },
    { { "api", "models", "*m", "evict" }, POST(API_EVICT) },
    { { "api", "models", "*m", "instances" }, EITHER(API_INSTANCES_GET, API_INSTANCES_SET) },
    { { "api", "models", "*m", "versions", "*v", "instances" },
      EITHER(API_INSTANCES_GET, API_INSTANCES_SET) },
    { { "api", "residency" }, GET(API_RESIDENCY) },
    { { "api", "routes" }, GET(API_ROUTES) },
    { { "api", "routes", "*m" }, GET(API_ROUTES) },
    { { "api", "routes", "*m", "explain" }, EXPLAIN },
    { { "api", "cost" }, GET(API_COST) },
    { { "api", "models", "*m", "cost" }, GET(API_COST) },
    { { "api", "time" }, EITHER(API_TIME_GET, API_TIME_SET) },
    { { "api", "feedback" }, POST(API_FEEDBACK) },
    { { "api", "openapi.json" }, GET(API_OPENAPI) },
    { { "api", "models", "*m", "labels" }, EITHER(API_LABELS_GET, API_LABELS_SET) },
    { { "v2", "models", "stats" }, GET(MODEL_STATISTICS) },
    { { "v2", "models", "*m" }, GET(MODEL_METADATA) },
    { { "v2", "models", "*m", "versions", "*v" }, GET(MODEL_METADATA) },
    { { "v2", "models", "*m", "ready" }, GET(MODEL_READY) },
    { { "v2", "models", "*m", "versions", "*v", "ready" }, GET(MODEL_READY) },
    { { "v2", "models", "*m", "config" }, GET(MODEL_CONFIG) },
    { { "v2", "models", "*m", "versions", "*v", "config" }, GET(MODEL_CONFIG) },
    { { "v2", "models", "*m", "stats" }, GET(MODEL_STATISTICS) },
    { { "v2", "models", "*m", "versions", "*v", "stats" }, GET(MODEL_STATISTICS) },
    { { "v2", "models", "*m", "trace", "setting" }, EITHER(TRACE_GET, TRACE_SET) },
    { { "v2", "trace", "setting" }, EITHER(TRACE_GET, TRACE_SET) },
    { { "v2", "logging" }, EITHER(LOG_GET, LOG_SET) },
    { { "v2", "repository", "index" }, POST(REPOSITORY_INDEX) },
    { { "v2", "repository", "*_", "index" }, POST(REPOSITORY_INDEX) },
    { { "v2", "repository", "models", "*m", "load" }, POST(MODEL_LOAD) },
    { { "v2", "repository", "models", "*m", "unload" }, POST(MODEL_UNLOAD) },
    { { "v2", "systemsharedmemory", "status" }, GET(SHM_STATUS) },
    { { "v2", "systemsharedmemory", "region", "*r", "status" }, GET(SHM_STATUS) },
    { { "v2", "systemsharedmemory", "region", "*r", "register" }, POST(SHM_REGISTER) },
    { { "v2", "systemsharedmemory", "region", "*r", "unregister" }, POST(SHM_UNREGISTER) },
    { { "v2", "systemsharedmemory", "unregister" }, POST(SHM_UNREGISTER) },
    { { "v2", "cudasharedmemory", "status" }, GET(CUDA_SHM_STATUS) },
    { { "v2", "cudasharedmemory", "region", "*r", "status" }, GET(CUDA_SHM_STATUS) },
    { { "v2", "cudasharedmemory", "region", "*r", "register" }, POST(CUDA_SHM_REGISTER) },
    { { "v2", "cudasharedmemory", "region", "*r", "unregister" }, POST(CUDA_SHM_UNREGISTER) },
    { { "v2", "cudasharedmemory", "unregister" }, POST(CUDA_SHM_UNREGISTER) },
};

/* Paths that Triton knows and that we do not serve: a word about it is kinder than "not found". */
static const struct {
    const char *parts[PARTS_MAX];
    const char *why;
} refused[] = {
    { { "v2", "models", "*m", "generate" }, "the generate extension" },
    { { "v2", "models", "*m", "versions", "*v", "generate" }, "the generate extension" },
    { { "v2", "models", "*m", "generate_stream" }, "the generate extension" },
    { { "v2", "models", "*m", "versions", "*v", "generate_stream" }, "the generate extension" },
    { { "v2", "repository", "*_", "models", "*m", "load" }, "'repository_name' specification" },
    { { "v2", "repository", "*_", "models", "*m", "unload" }, "'repository_name' specification" },
};
/* clang-format on */

struct parts {
    struct trp_str at[PARTS_MAX];
    uint32_t n;
};

/* Cuts "/a/b" into "a" and "b"; false when it does not begin with a slash or has too many parts. */
static bool cut(struct trp_str path, struct parts *out)
{
    const char *at = path.ptr, *const end = path.len > 0 ? path.ptr + path.len : path.ptr;
    out->n = 0;
    while (at < end && *at == '/') {
        if (out->n == PARTS_MAX)
            return false;
        const char *const begin = ++at;
        const char *const slash = memchr(begin, '/', (size_t)(end - begin));
        at = slash ? slash : end;
        out->at[out->n++] = trp_str_make(begin, (size_t)(at - begin));
    }
    return out->n > 0;
}

static bool does_match(const char *const *pattern, const struct parts *parts)
{
    for (uint32_t i = 0; i < PARTS_MAX; i++) {
        if (i == parts->n || !pattern[i])
            return i == parts->n && !pattern[i];
        if (pattern[i][0] == '*' ? parts->at[i].len == 0 : !trp_str_is(parts->at[i], pattern[i]))
            return false;
    }
    return parts->n == PARTS_MAX;
}

/* A name that is decoded and can be shown: no control characters, UTF-8. */
static trp_status take_name(struct trp_str raw, struct trp_arena *arena, struct trp_str *out,
                            struct trp_error *err)
{
    const struct trp_str copy = trp_arena_dup(arena, raw);
    if (!copy.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "path: out of memory");
    char *const text = (char *)copy.ptr; /* ours: the arena's copy */
    size_t len = copy.len;
    if (!trp_percent_decode(text, &len))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "path: bad percent-encoding in '%.*s'",
                        (int)(raw.len < 200 ? raw.len : 200), raw.ptr);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return trp_fail(err, TRP_INVALID_ARGUMENT, "path: a name holds a control character");
    *out = trp_str_make(text, len);
    if (!trp_str_is_utf8(*out))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "path: a name is not UTF-8");
    return trp_ok();
}

static trp_status take_version(struct trp_str raw, int64_t *out, struct trp_error *err)
{
    if (trp_version_label_parse(raw, out))
        return trp_ok();
    return trp_fail(err, TRP_INVALID_ARGUMENT,
                    "path: version '%.*s' is no number from 1 to 9223372036854775807, and no label",
                    (int)(raw.len < 40 ? raw.len : 40), raw.ptr);
}

static trp_status capture(const char *const *pattern, const struct parts *parts,
                          struct trp_arena *arena, struct trp_route *out, struct trp_error *err)
{
    for (uint32_t i = 0; i < parts->n; i++) {
        if (pattern[i][0] != '*')
            continue;
        if (pattern[i][1] == 'm')
            TRP_CHECK(take_name(parts->at[i], arena, &out->model, err));
        else if (pattern[i][1] == 'r')
            TRP_CHECK(take_name(parts->at[i], arena, &out->region, err));
        else if (pattern[i][1] == 'v')
            TRP_CHECK(take_version(parts->at[i], &out->version, err));
    }
    return trp_ok();
}

static const char *allowed(const struct row *row)
{
    if (row->get == NO)
        return "POST";
    return row->post == NO ? "GET, HEAD" : "GET, HEAD, POST";
}

static int shown(struct trp_str s)
{
    return (int)(s.len < 160 ? s.len : 160);
}

static trp_status no_such_path(struct trp_str path, struct trp_error *err)
{
    return trp_fail(err, TRP_NOT_FOUND, "Not Found: '%.*s' is no path here; GET / names some",
                    shown(path), path.ptr);
}

trp_status trp_oip_route_http(struct trp_str method, struct trp_str path, struct trp_arena *arena,
                              struct trp_route *out, struct trp_error *err)
{
    *out = (struct trp_route){ 0 };
    struct parts parts;
    if (!cut(path, &parts))
        return no_such_path(path, err);
    for (const struct row *row = rows; row < rows + ARRAY_LEN(rows); row++) {
        if (!does_match(row->parts, &parts))
            continue;
        out->allow = allowed(row);
        const bool get = trp_str_is(method, "GET") || trp_str_is(method, "HEAD");
        const int op = get ? row->get : trp_str_is(method, "POST") ? row->post : NO;
        if (op == NO)
            return trp_fail(err, TRP_METHOD_NOT_ALLOWED,
                            "Method Not Allowed: %.*s is not for this path; it takes %s",
                            shown(method), method.ptr, out->allow);
        out->kind = row->kind;
        out->op = (enum trp_control_op)op;
        return capture(row->parts, &parts, arena, out, err);
    }
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (does_match(refused[i].parts, &parts))
            return trp_fail(err, TRP_UNIMPLEMENTED, "%s is not supported", refused[i].why);
    return no_such_path(path, err);
}

struct method {
    const char *name;
    enum trp_route_kind kind;
    enum trp_control_op op;
};
#define CONTROL(name, id)                         \
    {                                             \
        name, TRP_ROUTE_CONTROL, TRP_CONTROL_##id \
    }

static const struct method inference_methods[] = {
    { "ModelInfer", TRP_ROUTE_INFER, 0 },
    { "ModelStreamInfer", TRP_ROUTE_STREAM_INFER, 0 },
    CONTROL("ServerLive", SERVER_LIVE),
    CONTROL("ServerReady", SERVER_READY),
    CONTROL("ModelReady", MODEL_READY),
    CONTROL("ServerMetadata", SERVER_METADATA),
    CONTROL("ModelMetadata", MODEL_METADATA),
    CONTROL("ModelConfig", MODEL_CONFIG),
    CONTROL("ModelStatistics", MODEL_STATISTICS),
    CONTROL("RepositoryIndex", REPOSITORY_INDEX),
    CONTROL("RepositoryModelLoad", MODEL_LOAD),
    CONTROL("RepositoryModelUnload", MODEL_UNLOAD),
    CONTROL("SystemSharedMemoryStatus", SHM_STATUS),
    CONTROL("SystemSharedMemoryRegister", SHM_REGISTER),
    CONTROL("SystemSharedMemoryUnregister", SHM_UNREGISTER),
    CONTROL("CudaSharedMemoryStatus", CUDA_SHM_STATUS),
    CONTROL("CudaSharedMemoryRegister", CUDA_SHM_REGISTER),
    CONTROL("CudaSharedMemoryUnregister", CUDA_SHM_UNREGISTER),
    CONTROL("TraceSetting", TRACE_GET), /* SET when it carries settings: see oip_control.h */
    CONTROL("LogSettings", LOG_GET),    /* as above */
};
static const struct method health_methods[] = {
    { "Check", TRP_ROUTE_HEALTH_CHECK, 0 },
    { "Watch", TRP_ROUTE_HEALTH_WATCH, 0 },
};
static const struct method reflection_methods[] = {
    { "ServerReflectionInfo", TRP_ROUTE_REFLECTION, 0 },
};
static const struct service {
    const char *name;
    const struct method *methods;
    size_t methods_n;
} services[] = {
    { "inference.GRPCInferenceService", inference_methods, ARRAY_LEN(inference_methods) },
    { "grpc.health.v1.Health", health_methods, ARRAY_LEN(health_methods) },
    { "grpc.reflection.v1.ServerReflection", reflection_methods, ARRAY_LEN(reflection_methods) },
    { "grpc.reflection.v1alpha.ServerReflection", reflection_methods,
      ARRAY_LEN(reflection_methods) },
};

trp_status trp_oip_route_grpc(struct trp_str path, struct trp_route *out, struct trp_error *err)
{
    *out = (struct trp_route){ 0 };
    struct parts parts;
    if (!cut(path, &parts) || parts.n != 2)
        return trp_fail(err, TRP_UNIMPLEMENTED, "malformed method name: '%.*s'", shown(path),
                        path.ptr);
    for (size_t s = 0; s < ARRAY_LEN(services); s++) {
        const struct service *const service = &services[s];
        if (!trp_str_is(parts.at[0], service->name))
            continue;
        for (size_t m = 0; m < service->methods_n; m++)
            if (trp_str_is(parts.at[1], service->methods[m].name)) {
                out->kind = service->methods[m].kind;
                out->op = service->methods[m].op;
                return trp_ok();
            }
        return trp_fail(err, TRP_UNIMPLEMENTED, "unknown method %.*s for service %s",
                        shown(parts.at[1]), parts.at[1].ptr, service->name);
    }
    return trp_fail(err, TRP_UNIMPLEMENTED, "unknown service %.*s", shown(parts.at[0]),
                    parts.at[0].ptr);
}
