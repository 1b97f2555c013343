/* front/grpc_stream.c - messages of a stream, in order.
 *
 *   first -> ... -> last      children: being read, running, or answered and waiting for those before them
 *   writing                   the child whose answer is being framed; it left the list
 *
 *  1. Answers leave in the order of the requests.
 *  2. At most stream_requests_n children exist; then nothing more is read, and the stream's window
 *     closes.
 *  3. A stream that ends with a status drops its children; the one that is being framed is framed
 *     to its end.
 *  4. While the server ends, a stream ends as soon as nothing is under way in it: watches and other
 *     streams that stay open for days would hold the end up until timeouts.drain, and then
 *     break. */
#include "front/grpc_stream.h"

#include "front/conn.h"
#include "front/grpc_call.h"
#include "front/h2_conn.h"
#include "front/infer.h"
#include "wire/oip_control.h"

#define LOOK_NS TRP_S(1)              /* how often a watch looks */
#define PENDING_MAX ((size_t)1 << 25) /* above twice any window we announce */

enum { SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3 };

static void answer_child(struct trp_exchange *child);
static void answer_stream(struct trp_exchange *stream);
static void looked(struct trp_exchange *stream);

static void child_unpacked(struct trp_exchange *child);
static void child_packed(struct trp_exchange *child);
static void watch_unpacked(struct trp_exchange *stream);

static const struct trp_exchange_ops child_ops = { .answer = answer_child,
                                                   .unpacked = child_unpacked,
                                                   .packed = child_packed };
static const struct trp_exchange_ops stream_ops = { .answer = answer_stream,
                                                    .control_done = looked,
                                                    .unpacked = watch_unpacked };

void trp_grpc_stream_begin(struct trp_exchange *stream)
{
    stream->ops = &stream_ops;
    trp_buf_init(&stream->grpc.pending, stream->front->opts.requests, PENDING_MAX);
}

/* -- children -- */

struct trp_exchange *trp_grpc_stream_child(struct trp_exchange *stream)
{
    struct trp_grpc_state *g = &stream->grpc;
    struct trp_exchange *child = trp_exchange_take(stream->conn, &child_ops, stream);
    if (!child)
        return NULL;
    child->protocol = TRP_PROTOCOL_GRPC;
    child->stream_id = stream->stream_id;
    child->route = stream->route;
    child->grpc.coding = g->coding;
    child->grpc.may_pack = g->may_pack;
    if (g->last)
        g->last->sibling = child;
    else
        g->first = child;
    g->last = child;
    g->children_n++;
    trp_h2_conn_expect(child);
    return child;
}

bool trp_grpc_stream_is_full(const struct trp_exchange *stream)
{
    return stream->grpc.children_n >= stream->front->opts.limits.stream_requests_n;
}

/* What waited may go on; not from here: we may be inside the session's callback. */
static void go_on_later(struct trp_exchange *stream)
{
    if (!stream->grpc.is_stalled)
        return;
    stream->conn->has_room = true;
    trp_loop_ready(stream->front->loop, &stream->conn->resume);
}

void trp_grpc_stream_run(struct trp_exchange *child)
{
    child->parent->grpc.is_unpacking = true;
    trp_grpc_call_unpack(child);
}

static void child_unpacked(struct trp_exchange *child)
{
    child->parent->grpc.is_unpacking = false;
    go_on_later(child->parent);
    if (trp_failed(child->error.status)) {
        (void)trp_exchange_dispatch(child);
        answer_child(child);
    } else if (child->route.kind == TRP_ROUTE_STREAM_INFER) {
        trp_infer_start(child);
    } else {
        (void)trp_exchange_dispatch(child);
        (void)trp_reflection_answer(&child->arena, child->bytes, &child->reply.text, &child->error);
        answer_child(child);
    }
}

static void drop_children(struct trp_grpc_state *g)
{
    struct trp_exchange *child = g->first;
    g->first = g->last = NULL;
    while (child) {
        struct trp_exchange *next = child->sibling;
        g->children_n--;
        trp_exchange_drop(child);
        child = next;
    }
}

/* The stream ends with stream->error's status. */
static void answer_stream(struct trp_exchange *stream)
{
    struct trp_grpc_state *g = &stream->grpc;
    if (stream->is_answered || !stream->conn)
        return;
    trp_timer_disarm(stream->front->loop, &g->look);
    drop_children(g);
    g->is_finishing = true;
    if (!g->writing) {
        trp_grpc_call_finish(stream);
        return;
    }
    (void)trp_exchange_mark_answered(stream); /* refill ends the body behind the message */
    trp_grpc_call_trailers(stream);
}

/* Says with which words the stream ends, when the server ends and all that was asked is
 * answered. */
static bool is_over(struct trp_exchange *stream)
{
    if (!stream->front->is_draining || stream->conn->goodbye_ns || stream->is_answered ||
        stream->grpc.children_n > 0 || stream->grpc.is_stalled)
        return false;
    (void)trp_fail(&stream->error, TRP_UNAVAILABLE, "the server is ending");
    return true;
}

void trp_grpc_stream_drain(struct trp_exchange *stream)
{
    if (stream->route.kind != TRP_ROUTE_HEALTH_WATCH && is_over(stream))
        answer_stream(stream); /* a watch tells the news first */
}

/* An error of one message: words in the stream, or its end when the client asked for that. */
static bool encode_error(struct trp_exchange *child)
{
    struct trp_exchange *stream = child->parent;
    if (stream->grpc.errors_end_stream || child->route.kind != TRP_ROUTE_STREAM_INFER)
        return false;
    const struct trp_str id = child->call ? child->call->id : (struct trp_str){ 0 };
    const struct trp_error error = child->error;
    trp_buf_reset(&child->reply.text);
    child->reply.parts_n = 0;
    trp_oip_encode_grpc_stream_error(id, &error, &child->reply.text);
    child->error.status = trp_ok();
    return true;
}

static void end_with(struct trp_exchange *stream, const struct trp_error *error)
{
    stream->error = *error;
    answer_stream(stream);
}

static void answer_child(struct trp_exchange *child)
{
    if (!trp_exchange_mark_answered(child))
        return;
    if (trp_failed(child->error.status) && !encode_error(child))
        end_with(child->parent, &child->error);
    else
        trp_grpc_call_pack(child);
}

static void child_packed(struct trp_exchange *child)
{
    struct trp_exchange *stream = child->parent;
    if (!trp_grpc_call_frame(child)) {
        end_with(stream, &child->error);
        return;
    }
    child->grpc.is_framed = true;
    if (stream->grpc.first != child)
        return; /* others come before it */
    trp_grpc_call_respond(stream);
    trp_h2_resume(stream->conn->h2, stream->stream_id);
    trp_conn_mark_dirty(stream->conn);
}

/* -- output -- */

static void let_writing_go(struct trp_exchange *stream)
{
    struct trp_grpc_state *g = &stream->grpc;
    struct trp_exchange *child = g->writing;
    if (!child)
        return;
    g->writing = NULL;
    g->children_n--;
    child->is_lent = stream->h2_body.borrowed_bytes != g->borrowed_before;
    trp_h2_conn_framed(child);
    go_on_later(stream);
}

bool trp_grpc_stream_refill(struct trp_exchange *stream)
{
    struct trp_grpc_state *g = &stream->grpc;
    struct trp_h2_body *body = &stream->h2_body;
    let_writing_go(stream);
    if (g->is_finishing) {
        body->is_last = true;
        return false;
    }
    struct trp_exchange *child = g->first;
    if (child && child->grpc.is_framed) {
        g->first = child->sibling;
        if (!g->first)
            g->last = NULL;
        g->writing = child;
        g->borrowed_before = body->borrowed_bytes;
        body->parts = child->parts;
        body->parts_n = child->parts_n;
        body->at = 0;
        body->off = 0;
        body->left = child->answer.bytes;
        return true;
    }
    if (child || stream->route.kind == TRP_ROUTE_HEALTH_WATCH)
        return false;
    if ((g->has_ended && !g->is_stalled) || is_over(stream)) {
        (void)trp_exchange_mark_answered(stream);
        trp_grpc_call_trailers(stream);
        body->is_last = true;
    }
    return false;
}

/* -- the client's side -- */

void trp_grpc_stream_half_closed(struct trp_exchange *stream)
{
    if (stream->grpc.children_n > 0)
        return; /* the last answer ends the stream */
    trp_grpc_call_finish(stream);
}

trp_status trp_grpc_stream_hold(struct trp_exchange *stream, struct trp_str bytes)
{
    struct trp_grpc_state *g = &stream->grpc;
    struct trp_buf *b = &g->pending;
    if (g->pending_at &&
        g->pending_at >= b->len - g->pending_at) { /* less is moved than was used */
        b->len -= g->pending_at;
        memmove(b->ptr, b->ptr + g->pending_at, b->len);
        g->pending_at = 0;
    }
    trp_buf_add_str(b, bytes); /* the client's window bounds it */
    return trp_buf_check(b, "messages that wait", &stream->error);
}

void trp_grpc_stream_resume(struct trp_exchange *stream)
{
    struct trp_grpc_state *g = &stream->grpc;
    if (!g->is_stalled || g->is_unpacking || trp_grpc_stream_is_full(stream))
        return;
    g->is_stalled = false;
    const struct trp_str waiting =
        trp_str_make(g->pending.ptr + g->pending_at, g->pending.len - g->pending_at);
    const struct trp_str rest = trp_grpc_call_read(stream, waiting);
    if (!stream->conn)
        return;
    trp_h2_conn_consume(stream, waiting.len - rest.len);
    g->pending_at += waiting.len - rest.len;
    if (rest.len)
        return;
    trp_buf_reset(&g->pending);
    g->pending_at = 0;
    if (g->has_ended && !stream->is_answered)
        trp_grpc_call_end(stream);
}

void trp_grpc_stream_closed(struct trp_exchange *stream)
{
    struct trp_grpc_state *g = &stream->grpc;
    trp_timer_disarm(stream->front->loop, &g->look);
    if (g->writing) { /* parts of it may lie in the outbox */
        struct trp_exchange *child = g->writing;
        g->writing = NULL;
        g->children_n--;
        child->is_lent = true;
        trp_h2_conn_framed(child);
    }
    drop_children(g);
}

/* -- Health/Watch -- */

static void look(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_exchange *stream = TRP_CONTAINER_OF(
        TRP_CONTAINER_OF(timer, struct trp_grpc_state, look), struct trp_exchange, grpc);
    (void)now_ns;
    if (trp_failed(trp_grpc_call_health(stream)))
        answer_stream(stream);
    else
        trp_exchange_control(stream);
}

static int status_of(const struct trp_control *control)
{
    if (control->error.status.code == TRP_NOT_FOUND)
        return SERVICE_UNKNOWN;
    if (trp_failed(control->error.status))
        return NOT_SERVING;
    return trp_node_bool(control->reply, "ready", false) ? SERVING : NOT_SERVING;
}

static void looked(struct trp_exchange *stream)
{
    struct trp_grpc_state *g = &stream->grpc;
    const int status = status_of(&stream->control);
    trp_arena_reset(&stream->arena); /* a watch may last for days */
    g->look.due = look;
    if (trp_failed(trp_timer_arm(stream->front->loop, &g->look,
                                 trp_front_now_ns(stream->front) + LOOK_NS, NULL))) {
        (void)trp_fail(&stream->error, TRP_OUT_OF_MEMORY, "no memory to look again");
        answer_stream(stream); /* a watch that sees nothing more would be a lie */
        return;
    }
    if (status == g->health) {
        if (is_over(stream))
            answer_stream(stream);
        return;
    }
    struct trp_exchange *child = trp_grpc_stream_child(stream);
    if (!child)
        return; /* told at the next look */
    g->health = status;
    trp_health_encode(status, &child->reply.text);
    answer_child(child);
}

void trp_grpc_stream_watch(struct trp_exchange *stream)
{
    trp_grpc_call_unpack(stream);
}

static void watch_unpacked(struct trp_exchange *stream)
{
    if (trp_failed(stream->error.status))
        answer_stream(stream);
    else
        look(&stream->grpc.look, 0);
}
