/* fuzz/oip_control.c - paths and management requests: [1 byte: how | path, newline, body]. `how`
 * chooses the method over HTTP, or gRPC, reflection and health.  What is accepted can be written
 * out again. */
#include "wire/oip_control.h"
#include "wire/oip_messages.h"

struct parts {
    struct trp_str path, body;
};

static struct parts cut(struct trp_str s)
{
    const char *const newline = s.len > 0 ? memchr(s.ptr, '\n', s.len) : NULL;
    if (!newline)
        return (struct parts){ s, trp_str_make("", 0) };
    const size_t n = (size_t)(newline - s.ptr);
    return (struct parts){ trp_str_make(s.ptr, n), trp_str_make(newline + 1, s.len - n - 1) };
}

static void try_http(struct trp_arena *arena, const char *method, struct parts parts)
{
    struct trp_route route;
    struct trp_error err = { 0 };
    struct trp_json_parser *json = NULL;
    struct trp_control control = { .arena = arena };
    struct trp_buf out;
    trp_status st = trp_oip_route_http(trp_str_of(method), parts.path, arena, &route, &err);
    TRP_ASSERT(st.code == err.status.code);
    TRP_ASSERT(st.code != TRP_METHOD_NOT_ALLOWED || route.allow);
    if (trp_failed(st) || route.kind != TRP_ROUTE_CONTROL)
        return;
    TRP_ASSERT(trp_str_is_utf8(route.model) && trp_str_is_utf8(route.region));
    TRP_ASSERT(!trp_failed(trp_json_parser_create(1 << 20, 100, &json, NULL)));
    trp_buf_init(&out, trp_heap(), 16 << 20);
    st = trp_control_decode_http(&route, json, parts.body, &control, &err);
    TRP_ASSERT(st.code == err.status.code);
    if (!trp_failed(st) && control.request) {
        struct trp_node *again = NULL;
        const struct trp_message *const message = trp_oip_request_message(control.op);
        trp_schema_encode(&out, message, control.request);
        TRP_ASSERT(!trp_failed(trp_schema_decode(arena, message, trp_buf_str(&out), &again, &err)));
    }
    trp_buf_deinit(&out);
    trp_json_parser_destroy(json);
}

static void try_grpc(struct trp_arena *arena, struct parts parts)
{
    struct trp_route route;
    struct trp_error err = { 0 };
    struct trp_control control = { .arena = arena };
    struct trp_str service;
    struct trp_buf out;
    trp_status st = trp_oip_route_grpc(parts.path, &route, &err);
    TRP_ASSERT(st.code == err.status.code);
    if (trp_failed(st))
        return;
    trp_buf_init(&out, trp_heap(), 16 << 20);
    if (route.kind == TRP_ROUTE_CONTROL) {
        st = trp_control_decode_grpc(&route, parts.body, &control, &err);
        if (!trp_failed(st)) { /* any tree can be written: use the request's as a reply */
            control.reply = control.request;
            trp_control_encode_grpc(&control, &out);
        }
    } else if (route.kind == TRP_ROUTE_REFLECTION) {
        st = trp_reflection_answer(arena, parts.body, &out, &err);
    } else if (route.kind == TRP_ROUTE_HEALTH_CHECK) {
        st = trp_health_decode(parts.body, &service, &err);
    }
    TRP_ASSERT(st.code == err.status.code);
    trp_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = { "GET", "POST", "HEAD", "PUT" };
    struct trp_arena arena;
    if (size == 0)
        return 0;
    trp_arena_init(&arena, trp_heap(), 4096, 64 << 20);
    const struct parts parts = cut(trp_str_make((const char *)data + 1, size - 1));
    if (data[0] % 5 < 4)
        try_http(&arena, methods[data[0] % 5], parts);
    else
        try_grpc(&arena, parts);
    trp_arena_deinit(&arena);
    return 0;
}
