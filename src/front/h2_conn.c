/* front/h2_conn.c - streams, and the rhythm of a turn.
 *
 * One read may hold two hundred small calls, and a turn sixteen such reads.  All of them alive at
 * once would be more memory than the near caches hold, so a read is looked at in slices: the calls
 * of one are started, the ready list is run so that they finish, their answers are framed, and
 * their memory is free again when the next slice is looked at.  The socket still sees one read
 * and one write a turn. */
#include "front/h2_conn.h"

#include "front/conn.h"
#include "front/grpc_call.h"
#include "front/grpc_stream.h"
#include "front/pack.h"
#include "front/rest.h"

#define STREAM_WINDOW (8u << 20) /* the default 64 KB costs 40 % CPU at 600 KB bodies */
#define CONNECTION_WINDOW (64u << 20)
#define CONSUME_BYTES (256u << 10)
#define RESETS_BURST 1000u
#define RESETS_PER_S 200u
#define SEND_BYTES (256u << 10) /* framed ahead of the socket */
#define OWED_BYTES \
    ((uint64_t)CONNECTION_WINDOW) /* we hold as much for a client as it may send ahead */
#define READS 4                   /* recv() calls in one turn, of bodies */
#define SLICE_BYTES 2048u         /* of a read that are looked at together */
#define GOODBYE_NS TRP_MS(100)    /* streams that were under way when we said "no more" */

static void write_answer(struct trp_exchange *x);

static const struct trp_exchange_ops rest_ops = { .answer = trp_rest_answer,
                                                  .control_done = trp_rest_control_done,
                                                  .write = write_answer,
                                                  .unpacked = trp_rest_unpacked,
                                                  .packed = trp_rest_packed };

/* -- REST answers -- */

static void write_answer(struct trp_exchange *x)
{
    struct trp_conn *c = x->conn;
    trp_h2_conn_owe(x, x->answer.bytes);
    struct trp_rest_fields fields;
    struct trp_header headers[TRP_REST_FIELDS_MAX + 1];
    trp_rest_fields(x, &fields);
    char *digits = x->answer.status_digits;
    const int status = x->answer.status;
    digits[0] = (char)('0' + status / 100);
    digits[1] = (char)('0' + status / 10 % 10);
    digits[2] = (char)('0' + status % 10);
    headers[0] = (struct trp_header){ TRP_STR_LIT(":status"), trp_str_make(digits, 3) };
    for (uint32_t i = 0; i < fields.n; i++)
        headers[i + 1] = (struct trp_header){ trp_str_of(fields.at[i].lower), fields.at[i].value };
    const bool has_body = x->answer.bytes > 0 && !trp_str_is(x->head.method, "HEAD");
    x->h2_body = (struct trp_h2_body){ .parts = x->answer.parts,
                                       .parts_n = x->answer.parts_n,
                                       .left = x->answer.bytes,
                                       .is_last = true,
                                       .stream = x };
    if (trp_failed(trp_h2_respond(c->h2, x->stream_id, headers, fields.n + 1,
                                  has_body ? &x->h2_body : NULL, NULL)))
        trp_conn_finish(c);
    trp_conn_mark_dirty(c);
}

void trp_h2_conn_framed(struct trp_exchange *x)
{
    struct trp_conn *c = x->conn;
    trp_front_count(c->front, TRP_METRIC_BYTES_COPIED, x->h2_body.copied_bytes);
    x->out_next = NULL;
    if (c->framed_last)
        c->framed_last->out_next = x;
    else
        c->framed_first = x;
    c->framed_last = x;
    trp_conn_mark_dirty(c);
}

/* -- events -- */

static void *on_begin(void *user, int32_t id)
{
    struct trp_conn *c = user;
    struct trp_exchange *x = trp_exchange_take(c, &rest_ops, NULL);
    if (!x)
        return NULL;
    trp_head_reset(&x->head);
    x->protocol = TRP_PROTOCOL_HTTP2;
    x->stream_id = id;
    x->is_receiving = true;
    c->streams_n++;
    trp_conn_wake_by(c, x->last_ns + c->front->opts.limits.header_ns);
    return x;
}

static struct trp_str known_method(struct trp_exchange *x, struct trp_str method)
{
    (void)trp_str_copy(method, x->method, sizeof x->method);
    return trp_str_of(x->method);
}

static void on_header(void *user, void *stream, struct trp_str name, struct trp_str value)
{
    struct trp_exchange *x = stream;
    (void)user;
    if (name.ptr[0] != ':')
        trp_head_add(&x->head, name, value);
    else if (trp_str_is(name, ":path"))
        trp_head_add_target(&x->head, value.ptr, value.len);
    else if (trp_str_is(name, ":method"))
        x->head.method = known_method(x, value);
    else if (trp_str_is(name, ":authority"))
        trp_head_add(&x->head, TRP_STR_LIT("host"), value);
}

static trp_status check_head(struct trp_exchange *x)
{
    const struct trp_front_limits *l = &x->front->opts.limits;
    TRP_CHECK(trp_head_check(&x->head, &x->error));
    if (trp_str_is(x->head.method, "CONNECT") || trp_str_is(x->head.method, "TRACE"))
        return trp_fail(&x->error, TRP_METHOD_NOT_ALLOWED, "method %.*s is not served",
                        TRP_STR(x->head.method));
    TRP_CHECK(trp_head_seal(&x->head, &x->error));
    uint64_t length = 0;
    const struct trp_str text = trp_head_get(&x->head, TRP_HEADER_CONTENT_LENGTH);
    if (text.ptr && trp_str_parse_u64(text, &length) && length > l->body_bytes)
        return trp_fail_limit(&x->error, TRP_TOO_LARGE, TRP_LIMIT_BODY,
                              "a body of %llu bytes is larger than %llu (limits.body_bytes)",
                              (unsigned long long)length, (unsigned long long)l->body_bytes);
    return trp_ok();
}

static void refuse(struct trp_exchange *x)
{
    (void)trp_exchange_dispatch(x);
    x->ops->answer(x);
}

/* Room for the whole body at once, when its length is known. */
static trp_status reserve_body(struct trp_exchange *x)
{
    uint64_t length = 0;
    if (!trp_str_parse_u64(trp_head_get(&x->head, TRP_HEADER_CONTENT_LENGTH), &length) ||
        length == 0)
        return trp_ok();
    const uint64_t aligned_at = x->json_bytes > 0 ? (uint64_t)x->json_bytes : 0;
    return trp_body_reserve(&x->body, x->front->opts.pool, (size_t)length, aligned_at, &x->error);
}

static void on_head(void *user, void *stream)
{
    struct trp_exchange *x = stream;
    (void)user;
    const trp_status st = check_head(x);
    if (trp_grpc_is_content_type(trp_head_get(&x->head, TRP_HEADER_CONTENT_TYPE))) {
        x->protocol = TRP_PROTOCOL_GRPC;
        trp_grpc_call_head(x);
    } else if (trp_failed(st) || trp_failed(trp_rest_head(x)) || trp_failed(reserve_body(x))) {
        refuse(x);
    }
}

static void wait_for_more(struct trp_conn *c, struct trp_exchange *x)
{
    x->last_ns = trp_front_now_ns(c->front);
    trp_conn_wake_by(c, x->last_ns + c->front->opts.limits.body_ns);
}

/* Windows are large, so they are given back in large steps. */
void trp_h2_conn_consume(struct trp_exchange *x, size_t bytes)
{
    x->unconsumed += (uint32_t)bytes;
    if (x->unconsumed < CONSUME_BYTES)
        return;
    trp_h2_consume(x->conn->h2, x->stream_id, x->unconsumed);
    x->unconsumed = 0;
}

static void on_data(void *user, void *stream, struct trp_str bytes)
{
    struct trp_conn *c = user;
    struct trp_exchange *x = stream;
    c->unconsumed += (uint32_t)bytes.len; /* the connection's window is for all streams */
    if (c->unconsumed >= CONSUME_BYTES) {
        trp_h2_consume(c->h2, 0, c->unconsumed);
        c->unconsumed = 0;
    }
    wait_for_more(c, x);
    if (x->is_answered || x->protocol != TRP_PROTOCOL_GRPC)
        trp_h2_conn_consume(x, bytes.len);
    if (x->is_answered)
        return;
    if (x->protocol == TRP_PROTOCOL_GRPC)
        trp_grpc_call_data(x, bytes);
    else if (trp_failed(trp_body_append(&x->body, c->front->opts.pool, bytes,
                                        c->front->opts.limits.body_bytes, &x->error)))
        refuse(x);
    else
        trp_rest_body_grew(x);
}

/* -- what is owed -- */

void trp_h2_conn_owe(struct trp_exchange *x, uint64_t bytes)
{
    struct trp_conn *c = x->conn;
    c->owed_bytes += bytes - x->owed_bytes;
    c->last_owed_bytes = x->owed_bytes = bytes;
}

void trp_h2_conn_expect(struct trp_exchange *x)
{
    x->owed_bytes = x->conn->last_owed_bytes;
    x->conn->owed_bytes += x->owed_bytes;
}

static bool owes_too_much(const struct trp_conn *c)
{
    return c->owed_bytes > OWED_BYTES;
}

bool trp_h2_conn_holds(struct trp_conn *c)
{
    if (!owes_too_much(c))
        return false;
    c->has_held = true;
    return true;
}

/* A request that is complete begins. */
static void start(struct trp_exchange *x)
{
    if (!x->grpc.is_stream) /* each of its messages is expected by itself */
        trp_h2_conn_expect(x);
    if (x->protocol == TRP_PROTOCOL_GRPC) {
        trp_grpc_call_end(x);
        return;
    }
    trp_front_count(x->front, TRP_METRIC_BYTES_COPIED, x->body.copied_bytes);
    x->bytes = trp_str_make(x->body.ptr, x->body.len);
    x->is_padded = x->body.lease != NULL;
    trp_rest_run(x);
}

/* Those that came first begin first. */
static void start_held(struct trp_conn *c)
{
    struct trp_exchange *x = c->exchanges;
    c->has_held = false;
    while (x && x->next)
        x = x->next;
    for (struct trp_exchange *newer = NULL; x && !c->is_dead; x = newer) {
        newer = x->prev;
        if (!x->is_held || x->is_answered)
            continue;
        if (trp_h2_conn_holds(c))
            return;
        x->is_held = false;
        start(x);
    }
}

void trp_h2_conn_flushed(struct trp_conn *c)
{
    if (!c->is_finishing)
        trp_conn_pause(c, c->is_blocked && trp_h2_conn_is_behind(c));
    if (c->has_held && !owes_too_much(c) && !c->is_dead)
        trp_loop_ready(c->front->loop, &c->resume);
}

static void on_end(void *user, void *stream)
{
    struct trp_conn *c = user;
    struct trp_exchange *x = stream;
    x->is_receiving = false;
    if (x->is_answered)
        return;
    if (x->grpc.is_stream || !trp_h2_conn_holds(c)) {
        start(x);
        return;
    }
    x->is_held = true;
    if (trp_failed(trp_exchange_dispatch(x))) /* its time runs */
        x->ops->answer(x);
}

/* After an answer its parts may still wait in the outbox, even if the client has reset the
 * stream meanwhile. */
static void on_closed(void *user, void *stream, uint32_t error)
{
    struct trp_conn *c = user;
    struct trp_exchange *x = stream;
    (void)error;
    if (--c->streams_n == 0)
        c->since_ns = trp_front_now_ns(c->front);
    if (x->grpc.is_stream)
        trp_grpc_stream_closed(x);
    trp_pack_stop(x);
    x->is_lent = x->h2_body.borrowed_bytes > 0;
    if (x->is_answered)
        trp_h2_conn_framed(x);
    else
        trp_exchange_drop(x);
}

static bool on_refill(void *user, void *stream, struct trp_h2_body *body)
{
    struct trp_exchange *x = stream;
    (void)user;
    (void)body;
    return x->grpc.is_stream && trp_grpc_stream_refill(x);
}

static void on_output(void *user, const void *ptr, size_t len, bool is_borrowed)
{
    struct trp_conn *c = user;
    if (is_borrowed)
        trp_outbox_borrow(&c->out, ptr, len);
    else
        trp_outbox_add(&c->out, ptr, len);
}

static const struct trp_h2_events events = { .begin = on_begin,
                                             .header = on_header,
                                             .head = on_head,
                                             .data = on_data,
                                             .end = on_end,
                                             .closed = on_closed,
                                             .refill = on_refill,
                                             .output = on_output };

/* -- input and output -- */

static void count_refused(struct trp_conn *c)
{
    const struct trp_h2_refused refused = trp_h2_take_refused(c->h2);
    if (refused.malformed == 0 && refused.streams == 0 && refused.floods == 0)
        return;
    trp_front_count(c->front, TRP_METRIC_ERRORS_CLIENT, refused.malformed);
    trp_front_count(c->front, TRP_METRIC_LIMIT_STREAMS, refused.streams);
    trp_front_count(c->front, TRP_METRIC_LIMIT_RESETS, refused.floods);
}

static void receive(struct trp_conn *c, struct trp_str bytes)
{
    const trp_status st = trp_h2_receive(c->h2, bytes, NULL);
    trp_conn_mark_dirty(c);
    if (!trp_failed(st))
        return;
    count_refused(c);
    trp_conn_finish(c); /* what is queued, a GOAWAY among it, is still sent */
}

void trp_h2_conn_start(struct trp_conn *c, struct trp_str bytes)
{
    const struct trp_front_limits *l = &c->front->opts.limits;
    const struct trp_h2_opts opts = { .streams_max = l->streams_n,
                                      .header_bytes_max = l->header_bytes,
                                      .stream_window = STREAM_WINDOW,
                                      .connection_window = CONNECTION_WINDOW,
                                      .memory = &c->front->h2_memory,
                                      .resets_burst = RESETS_BURST,
                                      .resets_per_s = RESETS_PER_S };
    if (trp_failed(trp_h2_create(c->front->alloc, &opts, &events, c, &c->h2, NULL))) {
        trp_conn_close(c);
        return;
    }
    c->since_ns = trp_front_now_ns(c->front);
    receive(c, bytes);
}

/* The calls of a slice finish and their answers are framed before the next slice is looked at.  The
 * bytes stay where they are: tasks read from no socket. */
static void take_read(struct trp_conn *c, size_t n)
{
    const bool is_bulk = n == TRP_SCRATCH_BYTES && c->streams_n <= 2; /* few exchanges anyway */
    const size_t slice = is_bulk ? n : SLICE_BYTES;
    for (size_t at = 0; at < n && !c->is_dead && !c->is_finishing; at += slice) {
        const size_t left = n - at;
        receive(c, trp_str_make(c->front->scratch->ptr + at, left < slice ? left : slice));
        if (n <= slice / 2)
            return; /* few calls: they may as well be finished together with those of others */
        trp_loop_run_ready(c->front->loop);
        if (!c->is_dead)
            (void)trp_h2_conn_send(c);
    }
}

void trp_h2_conn_readable(struct trp_conn *c)
{
    if (c->is_finishing) {
        trp_conn_pause(c, true);
        return;
    }
    for (int i = 0; i < READS && !c->is_dead && !c->is_finishing; i++) {
        size_t n = 0;
        const enum trp_conn_read result =
            trp_conn_recv(c, c->front->scratch->ptr, TRP_SCRATCH_BYTES, &n);
        if (result == TRP_CONN_READ_EOF &&
            (c->streams_n == 0 || c->front->opts.limits.half_close_cancels))
            trp_conn_close(c);
        if (result != TRP_CONN_READ_SOME)
            return;
        take_read(c, n);
        if (n < TRP_SCRATCH_BYTES)
            return;
    }
}

static void resume_streams(struct trp_conn *c)
{
    c->has_room = false;
    for (struct trp_exchange *x = c->exchanges, *next = NULL; x && !c->is_dead; x = next) {
        next = x->next;
        if (x->grpc.is_stalled && !x->is_answered)
            trp_grpc_stream_resume(x);
    }
    trp_conn_mark_dirty(c);
}

void trp_h2_conn_resume(struct trp_conn *c)
{
    const bool may_start = c->has_held && !owes_too_much(c);
    if (may_start)
        start_held(c);
    if (!c->is_dead && (c->has_room || may_start))
        resume_streams(c);
}

bool trp_h2_conn_is_behind(const struct trp_conn *c)
{
    return trp_outbox_left(&c->out) >= SEND_BYTES;
}

bool trp_h2_conn_send(struct trp_conn *c)
{
    if (trp_h2_conn_is_behind(c))
        return true; /* a client that does not read is not framed for: its streams stay open, and
                      * they are limited */
    const bool is_lost = trp_failed(trp_h2_send(c->h2, SEND_BYTES, NULL));
    count_refused(c);         /* told to the client in what was framed just now */
    while (c->framed_first) { /* all of it is in the outbox now */
        struct trp_exchange *x = c->framed_first;
        c->framed_first = x->out_next;
        if (!c->framed_first)
            c->framed_last = NULL;
        if (x->is_lent)
            trp_conn_await_written(c, x);
        else
            trp_exchange_written(x); /* as good as: nothing of its memory is needed any more */
    }
    return !is_lost && trp_h2_is_alive(c->h2);
}

/* -- time -- */

static bool is_slow(const struct trp_exchange *x)
{
    if (!x->is_receiving || x->is_answered || x->grpc.is_stalled)
        return false;
    return !x->grpc.is_stream || !trp_grpc_is_between(&x->grpc.reader);
}

/* An answer that waits for nothing but its client: the whole connection is given up when nothing of
 * it moves, as when the socket takes nothing. */
static bool is_unread(const struct trp_exchange *x)
{
    return x->grpc.is_stream ? x->grpc.writing != NULL
                             : !x->parent && x->is_answered && x->owed_bytes > 0;
}

static int64_t unread_from_ns(const struct trp_exchange *x)
{
    const struct trp_exchange *answer = x->grpc.is_stream ? x->grpc.writing : x;
    const int64_t moved_ns = x->conn->since_ns;
    return (answer->answered_ns > moved_ns ? answer->answered_ns : moved_ns) +
           x->front->opts.limits.body_ns;
}

/* Between the frames of a header block no other frame may come: whoever stops there stops the
 * connection. */
static bool is_in_header(const struct trp_exchange *x)
{
    return !x->head.path.ptr;
}

static int64_t slow_from_ns(const struct trp_exchange *x)
{
    const struct trp_front_limits *l = &x->front->opts.limits;
    return x->last_ns + (is_in_header(x) ? l->header_ns : l->body_ns);
}

int64_t trp_h2_conn_due_ns(const struct trp_conn *c)
{
    const struct trp_front_limits *l = &c->front->opts.limits;
    if (c->goodbye_ns)
        return c->goodbye_ns;
    if (c->streams_n == 0)
        return c->since_ns + l->idle_ns;
    int64_t due = 0;
    for (const struct trp_exchange *x = c->exchanges; x; x = x->next) {
        if (!x->parent && is_slow(x) && (due == 0 || slow_from_ns(x) < due))
            due = slow_from_ns(x);
        if (is_unread(x) && (due == 0 || unread_from_ns(x) < due))
            due = unread_from_ns(x);
    }
    return due;
}

/* No stream comes any more. */
static void end_idle_streams(struct trp_conn *c)
{
    for (struct trp_exchange *x = c->exchanges, *next = NULL; x && !c->is_dead; x = next) {
        next = x->next;
        if (!x->parent && x->grpc.is_stream)
            trp_grpc_stream_drain(x);
    }
}

void trp_h2_conn_overdue(struct trp_conn *c)
{
    const int64_t now_ns = trp_front_now_ns(c->front);
    if (c->goodbye_ns || c->streams_n == 0) {
        c->goodbye_ns = 0;
        trp_h2_goaway(c->h2, true);
        trp_conn_mark_dirty(c);
        end_idle_streams(c);
        return;
    }
    for (struct trp_exchange *x = c->exchanges, *next = NULL; x && !c->is_dead; x = next) {
        next = x->next;
        const bool is_left_unread = is_unread(x) && unread_from_ns(x) <= now_ns;
        if (!is_left_unread && (x->parent || !is_slow(x) || slow_from_ns(x) > now_ns))
            continue;
        if (is_left_unread || is_in_header(x)) {
            trp_front_count(c->front, TRP_METRIC_LIMIT_TIME, 1);
            trp_h2_goaway(c->h2, true);
            trp_conn_finish(c);
            return;
        }
        (void)trp_fail_limit(&x->error, TRP_REQUEST_TIMEOUT, TRP_LIMIT_TIME,
                             "the body paused for too long (timeouts.body)");
        refuse(x);
    }
}

void trp_h2_conn_drain(struct trp_conn *c)
{
    if (c->goodbye_ns)
        return;
    trp_h2_goaway(c->h2, false);
    c->goodbye_ns = trp_front_now_ns(c->front) + GOODBYE_NS;
    trp_conn_mark_dirty(c);
    trp_conn_wake_by(c, c->goodbye_ns);
}
