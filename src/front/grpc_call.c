/* front/grpc_call.c - from HTTP/2 events to messages and statuses.
 *
 * A unary call is run when the client has ended its side; a stream's messages are run as they come.
 * Statuses before any message are trailers alone ("trailers-only"), because clients' retries depend
 * on that; wire/h2.c adds the RST_STREAM that tells a client to stop sending.  A reply is
 * compressed only when its request was: every client offers gzip, few want it. */
#include "front/grpc_call.h"

#include <stdio.h>

#include "front/conn.h"
#include "front/grpc_stream.h"
#include "front/guard.h"
#include "front/h2_conn.h"
#include "front/infer.h"
#include "front/pack.h"
#include "wire/accept.h"
#include "wire/oip_control.h"
#include "wire/percent.h"

#define MESSAGE_HEAD_MAX 4096u /* bytes that are looked through for where tensors begin */

enum { SERVING = 1, NOT_SERVING = 2 };

/* -- statuses -- */

/* gRPC proposal A6: the server says when to try again. */
void trp_grpc_call_trailers(struct trp_exchange *x)
{
    struct trp_grpc_state *g = &x->grpc;
    static const char *const ok = "0";
    uint32_t n = 0;
    struct trp_str status = trp_str_of(ok), words = { 0 };
    if (trp_failed(x->error.status)) {
        /* the words go behind the reply's text, which is of no use any more or framed already */
        trp_buf_reset(&x->packed);
        trp_buf_add_u64(&x->packed, (uint64_t)trp_code_grpc(x->error.status.code));
        const size_t digits = x->packed.len;
        trp_grpc_encode_message(trp_str_of(x->error.text), &x->packed);
        status = trp_str_make(x->packed.ptr, digits);
        words = trp_str_make(x->packed.ptr + digits, x->packed.len - digits);
    }
    if (x->packed.failed) {
        status = TRP_STR_LIT("8");
        words = TRP_STR_LIT("out of memory");
    }
    g->trailers[n++] = (struct trp_header){ TRP_STR_LIT("grpc-status"), status };
    if (words.len)
        g->trailers[n++] = (struct trp_header){ TRP_STR_LIT("grpc-message"), words };
    if (x->answer.names_codings)
        g->trailers[n++] = (struct trp_header){ TRP_STR_LIT("grpc-accept-encoding"),
                                                TRP_STR_LIT("identity,deflate,gzip") };
    if (trp_failed(x->error.status) && x->error.retry_after_ms > 0)
        g->trailers[n++] =
            (struct trp_header){ TRP_STR_LIT("grpc-retry-pushback-ms"),
                                 trp_str_of_u64(x->error.retry_after_ms, g->pushback) };
    if (x->call && x->call->answered_why.len)
        g->trailers[n++] =
            (struct trp_header){ TRP_STR_LIT("troupe-choice"),
                                 trp_percent_field(x->call->answered_why, &x->call->arena) };
    x->h2_body.trailers = g->trailers;
    x->h2_body.trailers_n = n;
}

static void respond(struct trp_exchange *x, bool is_alone)
{
    struct trp_conn *c = x->conn;
    struct trp_header fields[8] = { { TRP_STR_LIT(":status"), TRP_STR_LIT("200") },
                                    { TRP_STR_LIT("content-type"),
                                      TRP_STR_LIT("application/grpc") } };
    uint32_t n = 2;
    for (uint32_t i = 0; is_alone && i < x->h2_body.trailers_n; i++)
        fields[n++] = x->h2_body.trailers[i];
    if (!is_alone && x->grpc.may_pack)
        fields[n++] = (struct trp_header){ TRP_STR_LIT("grpc-encoding"),
                                           trp_str_of(trp_coding_name(x->grpc.coding)) };
    x->grpc.has_head = true;
    x->h2_body.stream = x;
    if (trp_failed(
            trp_h2_respond(c->h2, x->stream_id, fields, n, is_alone ? NULL : &x->h2_body, NULL)))
        trp_conn_finish(c);
    trp_conn_mark_dirty(c);
}

void trp_grpc_call_respond(struct trp_exchange *x)
{
    if (!x->grpc.has_head)
        respond(x, false);
}

/* With x->error's status; whoever calls has marked it as answered. */
static void end_call(struct trp_exchange *x)
{
    if (trp_failed(x->error.status) && (!x->call || !x->call->target))
        trp_front_count(x->front, TRP_METRIC_ERRORS_CLIENT, 1);
    trp_grpc_call_trailers(x);
    if (!x->grpc.has_head) {
        respond(x, true);
        return;
    }
    x->h2_body.is_last = true;
    trp_h2_resume(x->conn->h2, x->stream_id);
    trp_conn_mark_dirty(x->conn);
}

void trp_grpc_call_finish(struct trp_exchange *x)
{
    if (trp_exchange_mark_answered(x))
        end_call(x);
}

/* -- messages out -- */

struct reply {
    struct trp_part text; /* when there are no parts */
    const struct trp_part *parts;
    uint32_t n;
    uint64_t bytes;
};

static void look_at_reply(const struct trp_exchange *x, struct reply *r)
{
    const bool is_text = x->reply.parts_n == 0;
    r->text = (struct trp_part){ x->reply.text.ptr, x->reply.text.len };
    r->parts = is_text ? &r->text : x->reply.parts;
    r->n = is_text ? 1 : x->reply.parts_n;
    r->bytes = is_text ? r->text.len : x->reply.bytes;
}

void trp_grpc_call_pack(struct trp_exchange *x)
{
    const struct trp_grpc_state *g = &x->grpc;
    struct reply r;
    look_at_reply(x, &r);
    if (g->is_compressed && g->may_pack && r.bytes > 0 && r.bytes <= TRP_PACK_MAX &&
        r.bytes >= x->front->opts.limits.compress_min_bytes)
        trp_pack_reply(x, g->coding, r.parts, r.n, r.bytes);
    else
        x->ops->packed(x);
}

bool trp_grpc_call_frame(struct trp_exchange *x)
{
    struct reply r;
    look_at_reply(x, &r);
    if (x->is_packed) {
        r.text = (struct trp_part){ x->packed.ptr, x->packed.len };
        r.parts = &r.text;
        r.n = 1;
        r.bytes = x->packed.len;
    }
    if (r.bytes > UINT32_MAX) {
        (void)trp_fail(&x->error, TRP_TOO_LARGE, "a reply of %llu bytes is too large for gRPC",
                       (unsigned long long)r.bytes);
        return false;
    }
    if (trp_failed(trp_buf_check(&x->reply.text, "reply", &x->error)))
        return false;
    if (!trp_exchange_room(x, r.n + 1)) {
        (void)trp_fail(&x->error, TRP_OUT_OF_MEMORY, "no memory for the reply");
        return false;
    }
    trp_grpc_write_prefix(x->is_packed, (uint32_t)r.bytes, x->grpc.prefix);
    x->parts[0] = (struct trp_part){ x->grpc.prefix, TRP_GRPC_PREFIX };
    memcpy(x->parts + 1, r.parts, r.n * sizeof *r.parts);
    x->parts_n = r.n + 1;
    x->answer.bytes = r.bytes + TRP_GRPC_PREFIX;
    trp_h2_conn_owe(x, x->answer.bytes);
    return true;
}

static void answer_unary(struct trp_exchange *x)
{
    if (x->is_answered || !x->conn)
        return;
    if (trp_failed(x->error.status))
        trp_grpc_call_finish(x);
    else if (trp_exchange_mark_answered(x))
        trp_grpc_call_pack(x);
}

static void unary_packed(struct trp_exchange *x)
{
    if (!trp_grpc_call_frame(x)) {
        trp_front_count_error(x->front, &x->error);
        end_call(x);
        return;
    }
    x->h2_body = (struct trp_h2_body){
        .parts = x->parts, .parts_n = x->parts_n, .left = x->answer.bytes, .is_last = true
    };
    trp_grpc_call_trailers(x);
    respond(x, false);
}

static void health_done(struct trp_exchange *x)
{
    const bool is_ready = trp_node_bool(x->control.reply, "ready", false);
    trp_health_encode(is_ready ? SERVING : NOT_SERVING, &x->reply.text);
}

static void control_done(struct trp_exchange *x)
{
    trp_buf_reset(&x->reply.text);
    x->reply.parts_n = 0;
    if (trp_failed(x->control.error.status))
        x->error = x->control.error;
    else if (x->route.kind == TRP_ROUTE_HEALTH_CHECK)
        health_done(x);
    else
        trp_control_encode_grpc(&x->control, &x->reply.text);
    answer_unary(x);
}

static void run_unary(struct trp_exchange *x);

static const struct trp_exchange_ops unary_ops = { .answer = answer_unary,
                                                   .control_done = control_done,
                                                   .unpacked = run_unary,
                                                   .packed = unary_packed };

/* -- the header -- */

static trp_status read_head(struct trp_exchange *x)
{
    const struct trp_head *head = &x->head;
    TRP_CHECK(x->error.status);
    if (!trp_str_is(x->head.method, "POST"))
        return trp_fail(&x->error, TRP_METHOD_NOT_ALLOWED, "gRPC calls are POST requests");
    TRP_CHECK(trp_oip_route_grpc(x->head.path, &x->route, &x->error));
    x->grpc.is_stream = x->route.kind == TRP_ROUTE_STREAM_INFER ||
                        x->route.kind == TRP_ROUTE_REFLECTION ||
                        x->route.kind == TRP_ROUTE_HEALTH_WATCH;
    x->grpc.errors_end_stream = trp_str_is(trp_head_get(head, TRP_HEADER_STREAM_STATUS), "true");
    if (trp_head_has(head, TRP_HEADER_GRPC_ENCODING)) {
        x->grpc.coding = trp_coding_parse(trp_head_get(head, TRP_HEADER_GRPC_ENCODING));
        if (x->grpc.coding == TRP_CODING_UNKNOWN) {
            x->grpc.coding = TRP_CODING_IDENTITY;
            x->answer.names_codings = true;
            return trp_fail(&x->error, TRP_UNIMPLEMENTED,
                            "grpc-encoding '%.*s' is not supported; gzip and deflate are",
                            TRP_STR(trp_head_get(head, TRP_HEADER_GRPC_ENCODING)));
        }
        x->grpc.may_pack = x->grpc.coding != TRP_CODING_IDENTITY &&
                           trp_accept_has(trp_head_get(head, TRP_HEADER_GRPC_ACCEPT),
                                          trp_head_get(head, TRP_HEADER_GRPC_ENCODING));
    }
    int64_t timeout_ns = 0;
    TRP_CHECK(trp_infer_read_urgency(x));
    if (!trp_head_has(head, TRP_HEADER_GRPC_TIMEOUT))
        return trp_ok();
    TRP_CHECK(trp_grpc_parse_timeout(trp_head_get(head, TRP_HEADER_GRPC_TIMEOUT), &timeout_ns,
                                     &x->error));
    const int64_t due_ns = timeout_ns < INT64_MAX - x->arrived_ns ? x->arrived_ns + timeout_ns : 0;
    if (due_ns != 0 && (x->deadline_ns == 0 || due_ns < x->deadline_ns))
        x->deadline_ns = due_ns;
    return trp_ok();
}

void trp_grpc_call_head(struct trp_exchange *x)
{
    x->ops = &unary_ops;
    x->grpc.into = x;
    const trp_status st = read_head(x);
    if (x->grpc.is_stream)
        trp_grpc_stream_begin(x);
    const trp_status dispatched = trp_exchange_dispatch(x);
    if (trp_failed(st) || trp_failed(dispatched))
        trp_grpc_call_finish(x);
}

/* -- messages in -- */

static bool is_many(const struct trp_exchange *x)
{
    return x->route.kind == TRP_ROUTE_STREAM_INFER || x->route.kind == TRP_ROUTE_REFLECTION;
}

static trp_status begin_message(struct trp_exchange *x, struct trp_str follows)
{
    struct trp_grpc_state *g = &x->grpc;
    const uint32_t length = g->reader.length;
    const uint64_t limit = x->front->opts.limits.body_bytes;
    if (length > limit)
        return trp_fail_limit(&x->error, TRP_TOO_LARGE, TRP_LIMIT_BODY,
                              "a message of %u bytes is larger than %llu (limits.body_bytes)",
                              length, (unsigned long long)limit);
    if (g->reader.is_compressed && g->coding == TRP_CODING_IDENTITY)
        return trp_fail(&x->error, TRP_INVALID_ARGUMENT,
                        "a compressed message without grpc-encoding");
    if (!is_many(x) && g->has_message)
        return trp_fail(&x->error, TRP_INVALID_ARGUMENT, "more than one message in a unary call");
    g->has_message = true;
    g->into = is_many(x) ? trp_grpc_stream_child(x) : x;
    if (!g->into) {
        g->into = x;
        return trp_fail(&x->error, TRP_OUT_OF_MEMORY, "no memory for a message");
    }
    g->into->grpc.is_compressed = g->reader.is_compressed;
    if (length == 0)
        return trp_ok();
    const int64_t raw = g->reader.is_compressed ? -1 : trp_oip_raw_offset(follows);
    g->into->grpc.is_placed = raw > 0 || g->reader.is_compressed || follows.len >= length;
    return trp_body_reserve(&g->into->body, x->front->opts.pool,
                            (size_t)length + (g->into->grpc.is_placed ? 0 : TRP_BODY_ALIGN),
                            raw > 0 ? (uint64_t)raw : 0, &x->error);
}

/* So little came with the message's first bytes that nobody could tell where its tensors begin. */
static void place_message(struct trp_exchange *x)
{
    const int64_t raw = trp_oip_raw_offset(trp_str_make(x->body.ptr, x->body.len));
    if (raw > 0)
        trp_body_align(&x->body, (uint64_t)raw);
    x->grpc.is_placed = raw > 0 || x->body.len > MESSAGE_HEAD_MAX;
}

void trp_grpc_call_unpack(struct trp_exchange *x)
{
    x->bytes = trp_str_make(x->body.ptr, x->body.len);
    x->is_padded = x->body.lease != NULL;
    trp_front_count(x->front, TRP_METRIC_BYTES_COPIED, x->body.copied_bytes);
    if (x->grpc.is_compressed && x->bytes.len)
        trp_pack_body_end(x, x->grpc.coding, 0);
    else
        x->ops->unpacked(x);
}

static trp_status on_event(struct trp_exchange *x, enum trp_grpc_event event, struct trp_str data,
                           struct trp_str follows)
{
    struct trp_exchange *into = x->grpc.into;
    switch (event) {
    case TRP_GRPC_BEGIN:
        return begin_message(x, follows);
    case TRP_GRPC_DATA:
        memcpy(into->body.ptr + into->body.len, data.ptr, data.len);
        into->body.len += data.len;
        into->body.copied_bytes += data.len;
        if (!into->grpc.is_placed)
            place_message(into);
        if (into->grpc.is_compressed)
            trp_pack_body_grew(into, into->grpc.coding, 0);
        break;
    case TRP_GRPC_END:
        if (into != x) {
            x->grpc.into = x;
            trp_grpc_stream_run(into);
        }
        break;
    case TRP_GRPC_MORE:
        break;
    }
    return trp_ok();
}

/* Before the next message of a stream. */
static bool has_to_wait(struct trp_exchange *x)
{
    if (x->grpc.is_unpacking || trp_h2_conn_holds(x->conn))
        return true;
    const bool is_full = trp_grpc_stream_is_full(x);
    if (is_full)
        trp_front_count(x->front, TRP_METRIC_LIMIT_STREAM_REQUESTS, 1);
    return is_full;
}

struct trp_str trp_grpc_call_read(struct trp_exchange *x, struct trp_str bytes)
{
    struct trp_grpc_state *g = &x->grpc;
    while (!x->is_answered) {
        enum trp_grpc_event event;
        struct trp_str data;
        if (bytes.len && is_many(x) && trp_grpc_is_between(&g->reader) && has_to_wait(x)) {
            g->is_stalled = true;
            return bytes;
        }
        if (trp_failed(trp_grpc_read(&g->reader, &bytes, &event, &data, &x->error)) ||
            trp_failed(on_event(x, event, data, bytes))) {
            x->ops->answer(x);
            break;
        }
        if (event == TRP_GRPC_MORE)
            break;
    }
    return trp_str_make(bytes.ptr, 0);
}

void trp_grpc_call_data(struct trp_exchange *x, struct trp_str bytes)
{
    struct trp_grpc_state *g = &x->grpc;
    struct trp_str rest = g->is_stalled ? bytes : trp_grpc_call_read(x, bytes);
    if (bytes.len > rest.len)
        trp_h2_conn_consume(x, bytes.len - rest.len);
    if (rest.len == 0)
        return;
    if (trp_failed(trp_grpc_stream_hold(x, rest)))
        x->ops->answer(x);
}

static void check_health(struct trp_exchange *x)
{
    if (trp_failed(trp_grpc_call_health(x)))
        answer_unary(x);
    else
        trp_exchange_control(x);
}

trp_status trp_grpc_call_health(struct trp_exchange *x)
{
    struct trp_str service = { 0 };
    TRP_CHECK(trp_health_decode(x->bytes, &service, &x->error));
    const bool is_server = service.len == 0 ||
                           trp_str_is(service, "inference.GRPCInferenceService") ||
                           trp_str_is(service, "grpc.health.v1.Health");
    x->control =
        (struct trp_control){ .op = is_server ? TRP_CONTROL_SERVER_READY : TRP_CONTROL_MODEL_READY,
                              .model = is_server ? (struct trp_str){ 0 } : service };
    return trp_ok();
}

static void run_control(struct trp_exchange *x)
{
    struct trp_control *c = &x->control;
    *c = (struct trp_control){ .op = x->route.op, .arena = &x->arena };
    trp_status st = trp_control_decode_grpc(&x->route, x->bytes, c, &x->error);
    if (!trp_failed(st) && trp_control_changes_state(c->op))
        st = trp_guard_check(&x->front->opts.limits, x->conn->is_local, x->head.authority,
                             trp_head_get(&x->head, TRP_HEADER_ORIGIN), &x->error);
    if (trp_failed(st))
        answer_unary(x);
    else
        trp_exchange_control(x);
}

static void run_unary(struct trp_exchange *x)
{
    if (trp_failed(x->error.status))
        answer_unary(x);
    else if (x->route.kind == TRP_ROUTE_INFER)
        trp_infer_start(x);
    else if (x->route.kind == TRP_ROUTE_HEALTH_CHECK)
        check_health(x);
    else
        run_control(x);
}

void trp_grpc_call_end(struct trp_exchange *x)
{
    struct trp_grpc_state *g = &x->grpc;
    g->has_ended = true;
    if (g->is_stalled)
        return; /* what waits is read first */
    if (!trp_grpc_is_between(&g->reader))
        (void)trp_fail(&x->error, TRP_INVALID_ARGUMENT, "the call ended inside a message");
    else if (!is_many(x) && !g->has_message)
        (void)trp_fail(&x->error, TRP_INVALID_ARGUMENT, "the call ended without a message");
    if (trp_failed(x->error.status))
        x->ops->answer(x);
    else if (is_many(x))
        trp_grpc_stream_half_closed(x);
    else if (x->route.kind == TRP_ROUTE_HEALTH_WATCH)
        trp_grpc_stream_watch(x);
    else
        trp_grpc_call_unpack(x); /* run_unary() follows */
}
