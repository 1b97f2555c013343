/* front/h1_conn.c - HTTP/1.x, one request at a time.
 *
 *   HEAD --header--> BODY | CHUNKED --complete--> WAIT --answered--> HEAD ...
 *     |                                                       +----> OVER (close)
 *     +--refused----> SKIP | SKIP_CHUNKED --complete--> (the answer that was due) --> HEAD
 *
 * Bytes come from the loop's scratch buffer; what cannot be used yet (pipelined requests behind one
 * in flight) is kept in `pending`.  A body of known length is received into its buffer directly:
 * only what came with the header is copied.
 *
 *  1. While a request is in flight the parser rests; nothing is parsed from inside an answer.
 *  2. An answer that is given before its request was read whole ends the connection, after
 *     lingering. */
#include "front/h1_conn.h"

#include "front/conn.h"
#include "front/rest.h"

#define BODY_READS 8           /* recv() calls of one body in one turn */
#define WRITE_AHEAD (1u << 20) /* unsent bytes above which no further request is read */
#define TEXT_COPY_MAX 8192u    /* texts up to this go out together with their header */

static void write_answer(struct trp_exchange *x);

static const struct trp_exchange_ops rest_ops = { .answer = trp_rest_answer,
                                                  .control_done = trp_rest_control_done,
                                                  .write = write_answer,
                                                  .unpacked = trp_rest_unpacked,
                                                  .packed = trp_rest_packed };

/* -- answers -- */

/* Header lines are gathered here and added to the outbox in one piece. */
struct lines {
    struct trp_outbox *out;
    size_t n;
    char at[1024];
};

static void put(struct lines *l, const char *ptr, size_t len)
{
    if (len > sizeof l->at - l->n) {
        trp_outbox_add(l->out, l->at, l->n);
        l->n = 0;
    }
    if (len > sizeof l->at) {
        trp_outbox_add(l->out, ptr, len);
        return;
    }
    memcpy(l->at + l->n, ptr, len);
    l->n += len;
}

static void put_text(struct lines *l, const char *text)
{
    put(l, text, strlen(text));
}

static void put_header(struct trp_conn *c, struct trp_exchange *x)
{
    struct lines l = { .out = &c->out };
    struct trp_rest_fields fields;
    trp_rest_fields(x, &fields);
    const int status = x->answer.status;
    const char digits[3] = { (char)('0' + status / 100), (char)('0' + status / 10 % 10),
                             (char)('0' + status % 10) };
    put_text(&l, "HTTP/1.1 ");
    put(&l, digits, sizeof digits);
    put_text(&l, " ");
    put_text(&l, trp_rest_reason(status));
    put_text(&l, "\r\n");
    for (uint32_t i = 0; i < fields.n; i++) {
        put_text(&l, fields.at[i].name);
        put(&l, ": ", 2);
        put(&l, fields.at[i].value.ptr, fields.at[i].value.len);
        put(&l, "\r\n", 2);
    }
    if (!c->h1.keep_alive)
        put_text(&l, "Connection: close\r\n");
    else if (c->h1.minor == 0)
        put_text(&l, "Connection: keep-alive\r\n");
    put(&l, "\r\n", 2);
    trp_outbox_add(&c->out, l.at, l.n);
}

static bool is_own_text(const struct trp_exchange *x, const struct trp_part *part)
{
    const uintptr_t at = (uintptr_t)part->ptr, text = (uintptr_t)x->reply.text.ptr;
    return at >= text && at < text + x->reply.text.len;
}

static void put_body(struct trp_conn *c, struct trp_exchange *x)
{
    if (trp_str_is(x->head.method, "HEAD"))
        return;
    for (uint32_t i = 0; i < x->answer.parts_n; i++) {
        const struct trp_part *part = &x->answer.parts[i];
        if (part->len <= TEXT_COPY_MAX && is_own_text(x, part))
            trp_outbox_add(&c->out, part->ptr, part->len);
        else
            trp_outbox_borrow(&c->out, part->ptr, part->len);
    }
}

static void write_answer(struct trp_exchange *x)
{
    struct trp_conn *c = x->conn;
    struct trp_h1 *h = &c->h1;
    if (c->front->is_draining || (c->is_eof && h->pending_len == 0))
        h->keep_alive = false;
    put_header(c, x);
    put_body(c, x);
    trp_conn_await_written(c, x);
    h->current = NULL;
    if (!h->keep_alive) {
        h->state = TRP_H1_OVER;
        trp_conn_finish(c);
        return;
    }
    h->state = TRP_H1_HEAD;
    if (h->pending_len && !h->is_pumping)
        trp_loop_ready(c->front->loop, &c->resume);
}

/* The request cannot be read to its end, or must not be: say why, and close. */
static void give_up(struct trp_conn *c)
{
    struct trp_exchange *x = c->h1.current;
    c->h1.keep_alive = false;
    c->must_linger = true;
    (void)trp_exchange_dispatch(x);
    x->ops->answer(x);
}

static void run(struct trp_conn *c)
{
    c->h1.state = TRP_H1_WAIT;
    trp_rest_run(c->h1.current);
}

/* -- headers -- */

static void ask_for_body(struct trp_conn *c)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    trp_outbox_add(&c->out, go_on, sizeof go_on - 1);
    trp_conn_mark_dirty(c);
}

static void place_body(struct trp_conn *c, uint64_t length, struct trp_str *in)
{
    struct trp_exchange *x = c->h1.current;
    if (in->len >= length && trp_rest_is_transient(x, length)) {
        x->bytes = trp_str_make(in->ptr, (size_t)length);
        x->is_padded = true; /* `in` lies in a lease */
        in->ptr += length;
        in->len -= length;
        run(c);
        return;
    }
    const uint64_t aligned_at = x->json_bytes > 0 ? (uint64_t)x->json_bytes : 0;
    if (trp_failed(trp_body_reserve(&x->body, c->front->opts.pool, (size_t)length, aligned_at,
                                    &x->error))) {
        give_up(c);
        return;
    }
    c->h1.left = length;
    c->h1.state = TRP_H1_BODY;
}

static trp_status check_length(struct trp_conn *c, const struct trp_http1_request *request)
{
    const uint64_t limit = c->front->opts.limits.body_bytes;
    if (request->content_length <= limit)
        return trp_ok();
    return trp_fail_limit(&c->h1.current->error, TRP_TOO_LARGE, TRP_LIMIT_BODY,
                          "a body of %llu bytes is larger than %llu (limits.body_bytes)",
                          (unsigned long long)request->content_length, (unsigned long long)limit);
}

static void on_head(struct trp_conn *c, struct trp_str *in)
{
    struct trp_h1 *h = &c->h1;
    struct trp_exchange *x = h->current;
    const struct trp_http1_request *request = trp_http1_request(h->parser);
    const uint64_t length = request->content_length;
    const bool has_body = request->is_chunked || length > 0;
    h->keep_alive = request->keep_alive;
    h->minor = request->minor;
    const bool is_refused = trp_failed(trp_rest_head(x));
    if (trp_failed(check_length(c, request)) || (is_refused && has_body && request->is_expected)) {
        give_up(c); /* who waits for "100 Continue" need not send the body at all */
        return;
    }
    if (request->is_expected && has_body && (request->is_chunked || in->len < length))
        ask_for_body(c);
    h->left = length;
    if (request->is_chunked)
        h->state = is_refused ? TRP_H1_SKIP_CHUNKED : TRP_H1_CHUNKED;
    else if (!has_body)
        run(c);
    else if (is_refused)
        h->state = TRP_H1_SKIP;
    else
        place_body(c, length, in);
}

static bool begin(struct trp_conn *c)
{
    struct trp_h1 *h = &c->h1;
    h->current = trp_exchange_take(c, &rest_ops, NULL);
    if (!h->current) {
        trp_conn_close(c); /* not even memory to say so */
        return false;
    }
    h->current->protocol = TRP_PROTOCOL_HTTP1;
    h->keep_alive = false;
    h->minor = 1;
    trp_http1_begin(h->parser, &h->current->head);
    c->since_ns = trp_front_now_ns(c->front);
    return true;
}

static bool step_head(struct trp_conn *c, struct trp_str *in)
{
    struct trp_h1 *h = &c->h1;
    if (in->len == 0 || trp_outbox_left(&c->out) > WRITE_AHEAD || c->is_finishing)
        return false;
    if (!h->current && !begin(c))
        return false;
    struct trp_http1_step step;
    if (trp_failed(trp_http1_feed(h->parser, *in, &step, &h->current->error))) {
        give_up(c);
        return false;
    }
    in->ptr += step.used;
    in->len -= step.used;
    if (step.event == TRP_HTTP1_HEAD)
        on_head(c, in);
    return step.event == TRP_HTTP1_HEAD;
}

/* -- bodies -- */

static void body_is_complete(struct trp_conn *c)
{
    struct trp_exchange *x = c->h1.current;
    x->bytes = trp_str_make(x->body.ptr, x->body.len);
    x->is_padded = true;
    trp_front_count(c->front, TRP_METRIC_BYTES_COPIED, x->body.copied_bytes);
    run(c);
}

/* What came with the header, or was held back, is copied. */
static bool step_body(struct trp_conn *c, struct trp_str *in)
{
    struct trp_h1 *h = &c->h1;
    struct trp_body *body = &h->current->body;
    const size_t n = in->len < h->left ? in->len : (size_t)h->left;
    if (n) {
        memcpy(body->ptr + body->len, in->ptr, n);
        body->len += n;
        body->copied_bytes += n;
        in->ptr += n;
        in->len -= n;
        h->left -= n;
    }
    if (h->left)
        return false;
    body_is_complete(c);
    return true;
}

static bool step_skip(struct trp_conn *c, struct trp_str *in)
{
    struct trp_h1 *h = &c->h1;
    const size_t n = in->len < h->left ? in->len : (size_t)h->left;
    in->ptr += n;
    in->len -= n;
    h->left -= n;
    if (h->left)
        return false;
    run(c);
    return true;
}

static bool step_chunked(struct trp_conn *c, struct trp_str *in)
{
    struct trp_h1 *h = &c->h1;
    struct trp_exchange *x = h->current;
    struct trp_http1_step step;
    if (in->len == 0)
        return false;
    struct trp_error error = { 0 };
    trp_status st = trp_http1_feed(h->parser, *in, &step, &error);
    if (!trp_failed(st)) {
        in->ptr += step.used;
        in->len -= step.used;
        if (step.event == TRP_HTTP1_BODY && h->state == TRP_H1_CHUNKED)
            st = trp_body_append(&x->body, c->front->opts.pool, step.body,
                                 c->front->opts.limits.body_bytes, &error);
    }
    if (trp_failed(st)) {
        if (h->state == TRP_H1_CHUNKED) /* else there is a reason already */
            x->error = error;
        give_up(c);
        return false;
    }
    if (step.event != TRP_HTTP1_END)
        return step.event == TRP_HTTP1_BODY;
    if (h->state == TRP_H1_CHUNKED)
        body_is_complete(c);
    else
        run(c);
    return true;
}

/* -- input -- */

static bool step_once(struct trp_conn *c, struct trp_str *in)
{
    switch (c->h1.state) {
    case TRP_H1_HEAD:
        return step_head(c, in);
    case TRP_H1_BODY:
        return step_body(c, in);
    case TRP_H1_CHUNKED:
    case TRP_H1_SKIP_CHUNKED:
        return step_chunked(c, in);
    case TRP_H1_SKIP:
        return step_skip(c, in);
    case TRP_H1_WAIT:
    case TRP_H1_OVER:
        break;
    }
    return false;
}

static bool is_reading(const struct trp_h1 *h)
{
    return h->state != TRP_H1_WAIT && h->state != TRP_H1_OVER &&
           (h->state != TRP_H1_HEAD || h->current);
}

/* Uses as much of `in` as the present state can, and returns the rest. */
static struct trp_str pump(struct trp_conn *c, struct trp_str in)
{
    struct trp_h1 *h = &c->h1;
    h->is_pumping = true;
    while (!c->is_dead && step_once(c, &in))
        ;
    h->is_pumping = false;
    if (c->is_dead || !is_reading(h))
        return in;
    if (h->state != TRP_H1_HEAD)
        c->since_ns =
            trp_front_now_ns(c->front); /* the pause begins anew; a header has one limit */
    if (h->state == TRP_H1_BODY || h->state == TRP_H1_CHUNKED)
        trp_rest_body_grew(h->current);
    trp_conn_wake_by(c, trp_h1_due_ns(c));
    return in;
}

static void drop_pending(struct trp_h1 *h)
{
    trp_lease_release(h->pending);
    h->pending = NULL;
    h->pending_at = h->pending_len = 0;
}

static void keep(struct trp_conn *c, struct trp_str rest)
{
    struct trp_h1 *h = &c->h1;
    if (rest.len == 0 || h->state == TRP_H1_OVER)
        return;
    if (!h->pending)
        h->pending = trp_pool_acquire(c->front->opts.pool, TRP_SCRATCH_BYTES);
    if (!h->pending) {
        trp_conn_close(c);
        return;
    }
    memcpy(h->pending->ptr, rest.ptr, rest.len); /* a scratch buffer full at most */
    h->pending_at = 0;
    h->pending_len = rest.len;
}

static void pump_pending(struct trp_conn *c)
{
    struct trp_h1 *h = &c->h1;
    const struct trp_str in = trp_str_make(h->pending->ptr + h->pending_at, h->pending_len);
    const struct trp_str rest = pump(c, in);
    if (c->is_dead)
        return; /* `pending` goes with the connection */
    h->pending_at += in.len - rest.len;
    h->pending_len = rest.len;
    if (rest.len == 0 || h->state == TRP_H1_OVER)
        drop_pending(h);
    trp_conn_pause(c, h->state == TRP_H1_OVER || h->pending_len == TRP_SCRATCH_BYTES);
}

static void on_eof(struct trp_conn *c)
{
    struct trp_h1 *h = &c->h1;
    if (h->state == TRP_H1_WAIT) {
        if (c->front->opts.limits.half_close_cancels)
            trp_conn_close(c);
        return;
    }
    if (is_reading(h)) {
        (void)trp_fail(&h->current->error, TRP_INVALID_ARGUMENT,
                       "the request ended before it was complete");
        give_up(c);
    } else if (h->pending_len == 0) {
        trp_conn_finish(c);
    }
}

/* Straight into the body: no copy. */
static void read_body(struct trp_conn *c)
{
    struct trp_h1 *h = &c->h1;
    struct trp_body *body = &h->current->body;
    for (int i = 0; i < BODY_READS && h->left; i++) {
        size_t n = 0;
        const enum trp_conn_read result =
            trp_conn_recv(c, body->ptr + body->len, (size_t)h->left, &n);
        if (result == TRP_CONN_READ_EOF)
            on_eof(c);
        if (result != TRP_CONN_READ_SOME)
            return;
        body->len += n;
        h->left -= n;
        c->since_ns = trp_front_now_ns(c->front);
        if (h->left)
            trp_rest_body_grew(h->current);
    }
    if (h->left == 0)
        body_is_complete(c);
}

/* Behind what is held back already. */
static void read_pending(struct trp_conn *c)
{
    struct trp_h1 *h = &c->h1;
    if (h->pending_at) {
        memmove(h->pending->ptr, h->pending->ptr + h->pending_at, h->pending_len);
        h->pending_at = 0;
    }
    const size_t room = TRP_SCRATCH_BYTES - h->pending_len;
    if (room == 0) {
        trp_conn_pause(c, true);
        return;
    }
    size_t n = 0;
    const enum trp_conn_read result = trp_conn_recv(c, h->pending->ptr + h->pending_len, room, &n);
    if (result == TRP_CONN_READ_SOME) {
        h->pending_len += n;
        pump_pending(c);
    } else if (result == TRP_CONN_READ_EOF) {
        on_eof(c);
    }
}

void trp_h1_readable(struct trp_conn *c)
{
    struct trp_h1 *h = &c->h1;
    if (h->state == TRP_H1_OVER) {
        trp_conn_pause(c, true);
        return;
    }
    if (h->pending_len) {
        read_pending(c);
        return;
    }
    if (h->state == TRP_H1_BODY) {
        read_body(c);
        return;
    }
    size_t n = 0;
    char *scratch = c->front->scratch->ptr;
    const enum trp_conn_read result = trp_conn_recv(c, scratch, TRP_SCRATCH_BYTES, &n);
    if (result == TRP_CONN_READ_SOME)
        keep(c, pump(c, trp_str_make(scratch, n)));
    else if (result == TRP_CONN_READ_EOF)
        on_eof(c);
}

void trp_h1_resume(struct trp_conn *c)
{
    if (c->h1.pending_len)
        pump_pending(c);
    if (!c->is_dead && c->is_eof && c->h1.state == TRP_H1_HEAD && c->h1.pending_len == 0)
        on_eof(c);
}

/* -- life -- */

void trp_h1_start(struct trp_conn *c, struct trp_str bytes)
{
    if (trp_failed(trp_http1_create(c->front->alloc, &c->h1.parser, NULL))) {
        trp_conn_close(c);
        return;
    }
    c->h1.state = TRP_H1_HEAD;
    keep(c, pump(c, bytes));
}

void trp_h1_deinit(struct trp_conn *c)
{
    trp_http1_destroy(c->h1.parser);
    c->h1.parser = NULL;
    drop_pending(&c->h1);
}

int64_t trp_h1_due_ns(const struct trp_conn *c)
{
    const struct trp_front_limits *l = &c->front->opts.limits;
    switch (c->h1.state) {
    case TRP_H1_HEAD:
        return c->since_ns + (c->h1.current ? l->header_ns : l->idle_ns);
    case TRP_H1_BODY:
    case TRP_H1_CHUNKED:
    case TRP_H1_SKIP:
    case TRP_H1_SKIP_CHUNKED:
    case TRP_H1_OVER:
        return c->since_ns + l->body_ns;
    case TRP_H1_WAIT:
        break;
    }
    return 0;
}

void trp_h1_overdue(struct trp_conn *c)
{
    struct trp_h1 *h = &c->h1;
    if (!is_reading(h)) {
        trp_conn_close(c); /* idle for long enough */
        return;
    }
    (void)trp_fail_limit(&h->current->error, TRP_REQUEST_TIMEOUT, TRP_LIMIT_TIME,
                         h->state == TRP_H1_HEAD
                             ? "the header was not complete in time (timeouts.header)"
                             : "the body paused for too long (timeouts.body)");
    give_up(c);
}

void trp_h1_drain(struct trp_conn *c)
{
    if (c->h1.state == TRP_H1_HEAD && !c->h1.current && c->h1.pending_len == 0)
        trp_conn_finish(c);
}
