#include "front/rest.h"

#include "front/conn.h"
#include "front/guard.h"
#include "front/infer.h"
#include "front/pack.h"
#include "wire/accept.h"
#include "wire/oip_control.h"
#include "wire/percent.h"

#define JSON "application/json"

static const char welcome[] =
    "{\"name\":\"troupe\",\"version\":\"" TRP_VERSION
    "\",\"protocols\":[\"Open Inference Protocol v2 "
    "over HTTP/1.1, HTTP/2 and gRPC\"],\"see\":[\"/v2\",\"/v2/health/ready\",\"/metrics\"]}\n";

/* -- the header -- */

static trp_status read_codings(struct trp_exchange *x)
{
    const struct trp_head *head = &x->head;
    if (trp_head_has(head, TRP_HEADER_CONTENT_ENCODING)) {
        x->coding = trp_coding_parse(trp_head_get(head, TRP_HEADER_CONTENT_ENCODING));
        if (x->coding == TRP_CODING_UNKNOWN)
            return trp_fail(&x->error, TRP_UNSUPPORTED_MEDIA,
                            "Content-Encoding '%.*s' is not supported; gzip and deflate are",
                            TRP_STR(trp_head_get(head, TRP_HEADER_CONTENT_ENCODING)));
    }
    const struct trp_str length = trp_head_get(head, TRP_HEADER_INFERENCE_LENGTH);
    if (!length.ptr)
        return trp_ok();
    if (trp_head_is_repeated(&x->head, TRP_HEADER_INFERENCE_LENGTH) ||
        !trp_str_parse_i64(length, &x->json_bytes) || x->json_bytes < 0) {
        x->json_bytes = -1;
        return trp_fail(&x->error, TRP_INVALID_ARGUMENT,
                        "Inference-Header-Content-Length '%.*s' is no single number >= 0",
                        TRP_STR(length));
    }
    return trp_ok();
}

static trp_status check_guard(struct trp_exchange *x, enum trp_control_op op)
{
    if (!trp_control_changes_state(op))
        return trp_ok();
    return trp_guard_check(&x->front->opts.limits, x->conn->is_local, x->head.authority,
                           trp_head_get(&x->head, TRP_HEADER_ORIGIN), &x->error);
}

static bool is_options(const struct trp_exchange *x)
{
    return trp_str_is(x->head.method, "OPTIONS");
}

static bool is_welcome(const struct trp_exchange *x)
{
    return trp_str_is(x->head.path, "/") &&
           (trp_str_is(x->head.method, "GET") || trp_str_is(x->head.method, "HEAD"));
}

trp_status trp_rest_head(struct trp_exchange *x)
{
    TRP_CHECK(read_codings(x));
    TRP_CHECK(trp_infer_read_urgency(x));
    if (is_options(x) || is_welcome(x))
        return trp_ok();
    const trp_status st =
        trp_oip_route_http(x->head.method, x->head.path, &x->arena, &x->route, &x->error);
    x->answer.allow = x->route.allow;
    TRP_CHECK(st);
    if (x->route.kind == TRP_ROUTE_CONTROL)
        return check_guard(x, x->route.op);
    return trp_ok();
}

bool trp_rest_is_transient(const struct trp_exchange *x, uint64_t body_bytes)
{
    return x->route.kind == TRP_ROUTE_INFER && x->coding == TRP_CODING_IDENTITY &&
           !trp_failed(x->error.status) && !is_options(x) &&
           (x->json_bytes < 0 || (uint64_t)x->json_bytes == body_bytes);
}

/* -- answers -- */

/* Tensors and metrics only: tritonclient's asyncio client says with every request that it takes
 * gzip, and then reads everything but the outputs of an inference as they come. */
static bool is_worth_packing(const struct trp_exchange *x)
{
    const bool is_metrics =
        x->route.kind == TRP_ROUTE_CONTROL && x->route.op == TRP_CONTROL_METRICS;
    return x->answer.status == 200 && (x->route.kind == TRP_ROUTE_INFER || is_metrics) &&
           x->answer.bytes > 0 && x->answer.bytes >= x->front->opts.limits.compress_min_bytes &&
           x->answer.bytes <= TRP_PACK_MAX;
}

/* How the answer is packed when the client takes that and it pays. */
static enum trp_coding coding_of(struct trp_exchange *x)
{
    const struct trp_str accepted = trp_head_get(&x->head, TRP_HEADER_ACCEPT_ENCODING);
    if (!accepted.ptr || !is_worth_packing(x))
        return TRP_CODING_IDENTITY;
    x->answer.is_varied = true;
    return trp_accept_coding(accepted);
}

/* When packing fails the answer goes out as it is. */
void trp_rest_packed(struct trp_exchange *x)
{
    struct trp_answer *a = &x->answer;
    if (x->is_packed && trp_exchange_room(x, 1)) {
        x->parts[0] = (struct trp_part){ x->packed.ptr, x->packed.len };
        a->parts = x->parts;
        a->parts_n = 1;
        a->bytes = x->packed.len;
        a->coding = trp_accept_coding(trp_head_get(&x->head, TRP_HEADER_ACCEPT_ENCODING));
    }
    x->ops->write(x);
}

static void send_answer(struct trp_exchange *x)
{
    const struct trp_answer *a = &x->answer;
    if (!trp_exchange_mark_answered(x))
        return;
    const enum trp_coding coding = coding_of(x);
    if (coding == TRP_CODING_IDENTITY)
        x->ops->write(x);
    else
        trp_pack_reply(x, coding, a->parts, a->parts_n, a->bytes);
}

/* The whole answer is x->reply.text. */
static void answer_text(struct trp_exchange *x, int status, const char *type)
{
    struct trp_answer *a = &x->answer;
    a->status = status;
    a->type = type;
    a->json_bytes = -1;
    a->bytes = type ? x->reply.text.len : 0;
    a->parts_n = 0;
    if (a->bytes == 0)
        return;
    if (!trp_exchange_room(x, 1)) { /* a length without a body would put the client out of step */
        a->status = trp_code_http(TRP_OUT_OF_MEMORY);
        a->type = NULL;
        a->bytes = 0;
        return;
    }
    x->parts[0] = (struct trp_part){ x->reply.text.ptr, x->reply.text.len };
    a->parts = x->parts;
    a->parts_n = 1;
}

static void answer_error(struct trp_exchange *x)
{
    if (!x->call || !x->call->target)
        trp_front_count(x->front, TRP_METRIC_ERRORS_CLIENT, 1);
    x->answer.names_codings = x->error.status.code == TRP_UNSUPPORTED_MEDIA;
    trp_buf_reset(&x->reply.text);
    trp_oip_encode_error(&x->error, &x->reply.text);
    answer_text(x, trp_code_http(x->error.status.code), JSON);
}

void trp_rest_answer(struct trp_exchange *x)
{
    if (x->is_answered || !x->conn)
        return;
    if (trp_failed(x->error.status)) {
        answer_error(x);
    } else {
        x->answer.status = 200;
        x->answer.json_bytes = x->reply.json_bytes;
        x->answer.type = x->reply.json_bytes >= 0 ? "application/octet-stream" : JSON;
        x->answer.parts = x->reply.parts;
        x->answer.parts_n = x->reply.parts_n;
        x->answer.bytes = x->reply.bytes;
    }
    send_answer(x);
}

void trp_rest_control_done(struct trp_exchange *x)
{
    int status = 200;
    const char *type = NULL;
    trp_buf_reset(&x->reply.text);
    if (trp_failed(x->control.error.status))
        trp_front_count_error(x->front, &x->control.error);
    trp_control_encode_http(&x->control, &x->reply.text, &status, &type);
    if (trp_failed(trp_buf_check(&x->reply.text, "reply", &x->error))) {
        trp_rest_answer(x);
        return;
    }
    answer_text(x, status, type);
    send_answer(x);
}

static void answer_options(struct trp_exchange *x)
{
    if (!trp_str_is(x->head.path, "*") && !trp_str_is(x->head.path, "/")) {
        const trp_status st =
            trp_oip_route_http(x->head.method, x->head.path, &x->arena, &x->route, &x->error);
        if (st.code != TRP_METHOD_NOT_ALLOWED && trp_failed(st)) {
            trp_rest_answer(x);
            return;
        }
        x->error.status = trp_ok();
        x->answer.allow = x->route.allow;
    }
    x->answer.is_preflight = trp_head_has(&x->head, TRP_HEADER_CORS_METHOD);
    if (!x->answer.allow)
        x->answer.allow = "GET, HEAD, POST";
    answer_text(x, 204, NULL);
    send_answer(x);
}

/* -- running -- */

static void run_control(struct trp_exchange *x)
{
    struct trp_control *c = &x->control;
    x->route.query = x->head.query;
    *c = (struct trp_control){
        .op = x->route.op, .model = x->route.model, .version = x->route.version, .arena = &x->arena
    };
    if (trp_failed(
            trp_control_decode_http(&x->route, x->front->codec.json, x->bytes, c, &x->error)) ||
        trp_failed(check_guard(x, c->op)))
        trp_rest_answer(x);
    else
        trp_exchange_control(x);
}

static void explain(struct trp_exchange *x)
{
    if (trp_failed(trp_infer_explain(x))) {
        trp_rest_answer(x);
        return;
    }
    answer_text(x, 200, JSON);
    send_answer(x);
}

static uint64_t first_tensor_at(const struct trp_exchange *x)
{
    return x->json_bytes > 0 ? (uint64_t)x->json_bytes : 0;
}

void trp_rest_body_grew(struct trp_exchange *x)
{
    if (x->coding != TRP_CODING_IDENTITY && x->body.len)
        trp_pack_body_grew(x, x->coding, first_tensor_at(x));
}

void trp_rest_run(struct trp_exchange *x)
{
    if (x->route.kind != TRP_ROUTE_INFER || trp_failed(x->error.status) || is_options(x) ||
        is_welcome(x))
        (void)trp_exchange_dispatch(x); /* an inference is when its deadline is known */
    if (!trp_failed(x->error.status) && x->coding != TRP_CODING_IDENTITY && x->bytes.len)
        trp_pack_body_end(x, x->coding, first_tensor_at(x));
    else
        trp_rest_unpacked(x);
}

void trp_rest_unpacked(struct trp_exchange *x)
{
    if (trp_failed(x->error.status)) {
        (void)trp_exchange_dispatch(x);
        trp_rest_answer(x);
    } else if (is_options(x)) {
        answer_options(x);
    } else if (is_welcome(x)) {
        trp_buf_reset(&x->reply.text);
        trp_buf_add_text(&x->reply.text, welcome);
        answer_text(x, 200, JSON);
        send_answer(x);
    } else if (x->route.kind == TRP_ROUTE_EXPLAIN) {
        explain(x);
    } else if (x->route.kind == TRP_ROUTE_INFER) {
        trp_infer_start(x);
    } else {
        run_control(x);
    }
}

/* -- the answer's fields -- */

static void add(struct trp_rest_fields *f, const char *name, const char *lower,
                struct trp_str value)
{
    TRP_DEBUG_ASSERT(f->n < TRP_REST_FIELDS_MAX);
    f->at[f->n++] = (struct trp_rest_field){ name, lower, value };
}

/* In whole seconds, RFC 9110 section 10.2.3. */
static void add_retry(struct trp_exchange *x, struct trp_rest_fields *f)
{
    const uint32_t ms = x->error.retry_after_ms;
    if (!trp_failed(x->error.status) || ms == 0)
        return;
    add(f, "Retry-After", "retry-after",
        trp_str_of_u64((ms - 1) / 1000 + 1, x->answer.retry_digits));
}

static void add_cors(struct trp_exchange *x, struct trp_rest_fields *f)
{
    const struct trp_str origin = trp_head_get(&x->head, TRP_HEADER_ORIGIN);
    struct trp_str value;
    if (!origin.ptr || !trp_guard_allows_origin(&x->front->opts.limits, origin, &value))
        return;
    add(f, "Access-Control-Allow-Origin", "access-control-allow-origin", value);
    if (x->answer.is_preflight) {
        add(f, "Access-Control-Allow-Methods", "access-control-allow-methods",
            trp_str_of(x->answer.allow));
        add(f, "Access-Control-Allow-Headers", "access-control-allow-headers",
            TRP_STR_LIT("content-type, content-encoding, inference-header-content-length, "
                        "traceparent, troupe-tenant, troupe-priority, troupe-timeout-ms"));
        add(f, "Access-Control-Max-Age", "access-control-max-age", TRP_STR_LIT("600"));
    } else {
        add(f, "Access-Control-Expose-Headers", "access-control-expose-headers",
            TRP_STR_LIT("inference-header-content-length, retry-after, troupe-choice"));
    }
}

static void add_vary(struct trp_exchange *x, struct trp_rest_fields *f)
{
    const bool by_origin = x->front->opts.limits.cors_n > 0;
    if (by_origin && x->answer.is_varied)
        add(f, "Vary", "vary", TRP_STR_LIT("Accept-Encoding, Origin"));
    else if (by_origin || x->answer.is_varied)
        add(f, "Vary", "vary", by_origin ? TRP_STR_LIT("Origin") : TRP_STR_LIT("Accept-Encoding"));
}

void trp_rest_fields(struct trp_exchange *x, struct trp_rest_fields *out)
{
    const struct trp_answer *a = &x->answer;
    out->n = 0;
    if (a->type)
        add(out, "Content-Type", "content-type", trp_str_of(a->type));
    if (a->status != 204)
        add(out, "Content-Length", "content-length",
            trp_str_of_u64(a->bytes, x->answer.length_digits));
    if (a->json_bytes >= 0)
        add(out, "Inference-Header-Content-Length", "inference-header-content-length",
            trp_str_of_u64((uint64_t)a->json_bytes, x->answer.json_digits));
    add(out, "Date", "date", trp_front_date(x->front));
    if (a->coding != TRP_CODING_IDENTITY)
        add(out, "Content-Encoding", "content-encoding", trp_str_of(trp_coding_name(a->coding)));
    if (a->allow && (a->status == 405 || a->status == 204))
        add(out, "Allow", "allow", trp_str_of(a->allow));
    if (a->names_codings)
        add(out, "Accept-Encoding", "accept-encoding", TRP_STR_LIT("gzip, deflate"));
    if (x->call && x->call->answered_why.len)
        add(out, "Troupe-Choice", "troupe-choice",
            trp_percent_field(x->call->answered_why, &x->call->arena));
    add_retry(x, out);
    if (x->front->opts.limits.cors_n)
        add_cors(x, out);
    add_vary(x, out);
}

const char *trp_rest_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        { 200, "OK" },
        { 204, "No Content" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 411, "Length Required" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 417, "Expectation Failed" },
        { 421, "Misdirected Request" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 499, "Client Closed Request" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
        { 507, "Insufficient Storage" },
    };
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}
