#include "front/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "front/h2_conn.h"

#define FLUSH_BYTES (1u << 22) /* of one connection in one turn */
#define LINGER_NS \
    TRP_S(2) /* how long unread input is read away, so that our last answer is not lost */

static void ready(struct trp_watch *watch, uint32_t events);
static void due(struct trp_timer *timer, int64_t now_ns);
static void resume(struct trp_task *task);

/* -- life -- */

static void refuse(struct trp_front *f, int fd)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
                                 "Content-Type: application/json\r\nContent-Length: 32\r\n\r\n"
                                 "{\"error\":\"too many connections\"}";
    trp_front_count(f, TRP_METRIC_CONNECTIONS_REFUSED, 1);
    (void)send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)shutdown(fd, SHUT_WR);
    close(fd);
}

void trp_conn_open(struct trp_front *f, int fd, bool is_local)
{
    struct trp_counter *all = f->opts.connections;
    const bool is_full = trp_counter_add(all, 1) > f->opts.limits.connections_n;
    if (is_full || f->is_draining) {
        trp_counter_sub(all, 1);
        if (is_full)
            trp_front_count(f, TRP_METRIC_LIMIT_CONNECTIONS, 1);
        refuse(f, fd);
        return;
    }
    struct trp_conn *c = trp_alloc_zeroed(f->alloc, 1, sizeof *c);
    if (!c) {
        trp_counter_sub(all, 1);
        refuse(f, fd);
        return;
    }
    c->front = f;
    c->fd = fd;
    c->is_local = is_local;
    c->since_ns = trp_front_now_ns(f);
    c->watch.ready = ready;
    c->timer.due = due;
    c->resume.run = resume;
    trp_outbox_init(&c->out, f->opts.requests);
    c->next = f->conns;
    if (c->next)
        c->next->prev = c;
    f->conns = c;
    trp_counter_own_add(&f->conns_n, 1);
    trp_front_count(f, TRP_METRIC_CONNECTIONS_OPENED, 1);
    trp_front_count(f, TRP_METRIC_CONNECTIONS, 1);
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* a Unix socket has none */
    if (trp_failed(trp_loop_watch(f->loop, &c->watch, fd, EPOLLIN, NULL))) {
        trp_conn_close(c);
        return;
    }
    trp_conn_wake_by(c, c->since_ns + f->opts.limits.header_ns);
}

void trp_conn_close(struct trp_conn *c)
{
    struct trp_front *f = c->front;
    if (c->is_dead)
        return;
    c->is_dead = true;
    trp_loop_unwatch(f->loop, &c->watch);
    trp_timer_disarm(f->loop, &c->timer);
    close(c->fd);
    c->fd = -1;
    while (c->exchanges)
        trp_exchange_drop(c->exchanges);
    c->sending_first = c->sending_last = c->framed_first = c->framed_last = NULL;
    c->h1.current = NULL;
    if (c->prev)
        c->prev->next = c->next;
    else
        f->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    trp_counter_own_add(&f->conns_n, (uint64_t)0 - 1);
    trp_counter_sub(f->opts.connections, 1);
    trp_metric_sub(f->metrics, TRP_METRIC_CONNECTIONS, 1);
    c->next_dead = f->dead; /* its caller may still look at it: freed at the end of the turn */
    f->dead = c;
    trp_loop_again(f->loop);
}

static void free_dead(struct trp_front *f)
{
    struct trp_conn *kept = NULL;
    while (f->dead) {
        struct trp_conn *c = f->dead;
        f->dead = c->next_dead;
        if (c->resume.queued || c->is_dirty) { /* still in a list: next turn */
            c->next_dead = kept;
            kept = c;
            continue;
        }
        trp_h1_deinit(c);
        trp_h2_destroy(c->h2);
        trp_outbox_deinit(&c->out);
        trp_alloc_free(f->alloc, c);
        trp_front_check_drained(f);
    }
    f->dead = kept;
    if (kept)
        trp_loop_again(f->loop);
}

/* -- waiting -- */

/* What the socket is watched for follows from the connection's state. */
static void rewatch(struct trp_conn *c)
{
    uint32_t events = c->is_blocked ? EPOLLOUT : 0;
    if (!c->is_eof)
        events |= !c->is_paused ? EPOLLIN : c->has_hung_up ? 0 : EPOLLRDHUP;
    if (trp_failed(trp_loop_rewatch(c->front->loop, &c->watch, events, NULL)))
        trp_conn_close(c);
}

void trp_conn_pause(struct trp_conn *c, bool is_paused)
{
    if (c->is_paused == is_paused || c->is_dead)
        return;
    c->is_paused = is_paused;
    rewatch(c);
}

void trp_conn_wake_by(struct trp_conn *c, int64_t due_ns)
{
    if (c->is_dead || (c->timer.slot && c->timer.due_ns <= due_ns))
        return;
    if (trp_failed(trp_timer_arm(c->front->loop, &c->timer, due_ns, NULL)))
        trp_conn_close(c); /* a connection that nobody watches would stay for ever */
}

/* When the present wait is too long; 0: it may last. */
static int64_t due_ns(const struct trp_conn *c)
{
    const struct trp_front_limits *l = &c->front->opts.limits;
    if (c->kind == TRP_CONN_LINGER)
        return c->since_ns + LINGER_NS;
    if (c->is_blocked)
        return c->since_ns + l->body_ns;
    if (c->kind == TRP_CONN_HTTP1)
        return trp_h1_due_ns(c);
    if (c->kind == TRP_CONN_HTTP2)
        return trp_h2_conn_due_ns(c);
    return c->since_ns + l->header_ns;
}

static void due(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_conn *c = TRP_CONTAINER_OF(timer, struct trp_conn, timer);
    const int64_t at = due_ns(c);
    if (at == 0 || now_ns < at) { /* something moved meanwhile: look again when it may matter */
        trp_conn_wake_by(c, at ? at : now_ns + c->front->opts.limits.idle_ns);
        return;
    }
    if (c->kind == TRP_CONN_HTTP1 && !c->is_blocked) {
        trp_h1_overdue(c);
    } else if (c->kind == TRP_CONN_HTTP2 && !c->is_blocked) {
        trp_h2_conn_overdue(c);
    } else {
        if (c->kind != TRP_CONN_LINGER)
            trp_front_count(c->front, TRP_METRIC_LIMIT_TIME, 1);
        trp_conn_close(c);
    }
    if (!c->is_dead)
        trp_conn_wake_by(c, now_ns + c->front->opts.limits.idle_ns);
}

static void resume(struct trp_task *task)
{
    struct trp_conn *c = TRP_CONTAINER_OF(task, struct trp_conn, resume);
    if (!c->is_dead && c->kind == TRP_CONN_HTTP1)
        trp_h1_resume(c);
    else if (!c->is_dead && c->kind == TRP_CONN_HTTP2)
        trp_h2_conn_resume(c);
}

/* -- reading -- */

enum trp_conn_read trp_conn_recv(struct trp_conn *c, char *ptr, size_t room, size_t *out_n)
{
    *out_n = 0;
    ssize_t n = 0;
    do
        n = recv(c->fd, ptr, room, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        trp_front_count(c->front, TRP_METRIC_BYTES_IN, (uint64_t)n);
        *out_n = (size_t)n;
        return TRP_CONN_READ_SOME;
    }
    if (n == 0) {
        c->is_eof = true;
        rewatch(c);
        return c->is_dead ? TRP_CONN_READ_GONE : TRP_CONN_READ_EOF;
    }
    if (errno == EAGAIN)
        return TRP_CONN_READ_NONE;
    trp_conn_close(c);
    return TRP_CONN_READ_GONE;
}

/* The first bytes tell the protocol; it takes one differing byte to see that it is HTTP/1. */
static void sniff(struct trp_conn *c)
{
    char *bytes = c->front->scratch->ptr;
    size_t n = 0;
    memcpy(bytes, c->sniffed, c->sniffed_n);
    switch (trp_conn_recv(c, bytes + c->sniffed_n, TRP_SCRATCH_BYTES - c->sniffed_n, &n)) {
    case TRP_CONN_READ_SOME:
        break;
    case TRP_CONN_READ_EOF:
        trp_conn_close(c);
        return;
    case TRP_CONN_READ_NONE:
    case TRP_CONN_READ_GONE:
        return;
    }
    n += c->sniffed_n;
    const size_t known = n < TRP_H2_PREFACE_BYTES ? n : TRP_H2_PREFACE_BYTES;
    if (memcmp(bytes, TRP_H2_PREFACE, known) != 0) {
        c->kind = TRP_CONN_HTTP1;
        trp_h1_start(c, trp_str_make(bytes, n));
    } else if (known == TRP_H2_PREFACE_BYTES) {
        c->kind = TRP_CONN_HTTP2;
        trp_h2_conn_start(c, trp_str_make(bytes, n));
    } else {
        memcpy(c->sniffed, bytes, n);
        c->sniffed_n = (uint8_t)n;
    }
}

static void linger(struct trp_conn *c)
{
    size_t n = 0;
    if (trp_conn_recv(c, c->front->scratch->ptr, TRP_SCRATCH_BYTES, &n) == TRP_CONN_READ_EOF)
        trp_conn_close(c);
}

/* The client will say no more, while we do not read.  This is told once: it stays true, and
 * would be told in every turn. */
static void hang_up(struct trp_conn *c)
{
    c->has_hung_up = true;
    if (c->kind == TRP_CONN_HTTP1 && c->h1.state == TRP_H1_WAIT &&
        c->front->opts.limits.half_close_cancels)
        trp_conn_close(c);
    else
        rewatch(c);
}

static void flush(struct trp_conn *c);

static void ready(struct trp_watch *watch, uint32_t events)
{
    struct trp_conn *c = TRP_CONTAINER_OF(watch, struct trp_conn, watch);
    if (events &
        (EPOLLERR | EPOLLHUP)) { /* both directions are over: nobody would read an answer */
        trp_conn_close(c);
        return;
    }
    if (events & EPOLLOUT)
        flush(c);
    if (c->is_dead || !(events & (EPOLLIN | EPOLLRDHUP)) || c->is_eof)
        return;
    if (c->is_paused && (events & EPOLLRDHUP))
        hang_up(c);
    else if (c->kind == TRP_CONN_HTTP1)
        trp_h1_readable(c);
    else if (c->kind == TRP_CONN_HTTP2)
        trp_h2_conn_readable(c);
    else if (c->kind == TRP_CONN_SNIFF)
        sniff(c);
    else
        linger(c);
}

/* -- writing -- */

void trp_conn_mark_dirty(struct trp_conn *c)
{
    if (c->is_dirty || c->is_dead)
        return;
    c->is_dirty = true;
    c->next_dirty = c->front->dirty;
    c->front->dirty = c;
}

void trp_conn_await_written(struct trp_conn *c, struct trp_exchange *x)
{
    x->out_mark = c->out.queued;
    x->out_next = NULL;
    if (c->sending_last)
        c->sending_last->out_next = x;
    else
        c->sending_first = x;
    c->sending_last = x;
    trp_conn_mark_dirty(c);
}

void trp_conn_finish(struct trp_conn *c)
{
    if (c->is_finishing || c->is_dead)
        return;
    c->is_finishing = true;
    trp_conn_mark_dirty(c);
}

static void say_goodbye(struct trp_conn *c)
{
    if (!c->must_linger || c->is_eof) {
        trp_conn_close(c);
        return;
    }
    (void)shutdown(c->fd, SHUT_WR);
    c->kind = TRP_CONN_LINGER;
    c->is_paused = false;
    c->since_ns = trp_front_now_ns(c->front);
    rewatch(c);
    trp_conn_wake_by(c, c->since_ns + LINGER_NS);
}

static void tell_written(struct trp_conn *c)
{
    while (c->sending_first && c->sending_first->out_mark <= c->out.sent) {
        struct trp_exchange *x = c->sending_first;
        c->sending_first = x->out_next;
        if (!c->sending_first)
            c->sending_last = NULL;
        trp_exchange_written(x);
    }
}

/* Frames and writes until the socket is full, or this connection has had its share of the turn.
 * HTTP/2 frames only so much ahead of the socket.  Returns whether more waits to be framed. */
static bool frame_and_write(struct trp_conn *c, enum trp_outbox_result *out_result, bool *out_over)
{
    const uint64_t before = c->out.sent;
    bool more = false;
    do {
        const uint64_t queued = c->out.queued;
        const bool was_behind = trp_h2_conn_is_behind(c);
        *out_over = c->kind == TRP_CONN_HTTP2 && !trp_h2_conn_send(c);
        *out_result = trp_outbox_flush(&c->out, c->fd);
        more = c->kind == TRP_CONN_HTTP2 && !*out_over && *out_result == TRP_OUTBOX_EMPTY &&
               (was_behind || (c->out.queued != queued && trp_h2_has_output(c->h2)));
    } while (more && c->out.sent - before < FLUSH_BYTES);
    trp_front_count(c->front, TRP_METRIC_BYTES_OUT, c->out.sent - before);
    return more;
}

static void set_blocked(struct trp_conn *c, bool is_blocked, bool has_moved)
{
    const bool is_news = is_blocked != c->is_blocked;
    if (has_moved || is_news)
        c->since_ns = trp_front_now_ns(c->front);
    if (!is_news)
        return;
    c->is_blocked = is_blocked;
    rewatch(c);
    if (is_blocked)
        trp_conn_wake_by(c, c->since_ns + c->front->opts.limits.body_ns);
}

static void flush(struct trp_conn *c)
{
    enum trp_outbox_result result = TRP_OUTBOX_EMPTY;
    bool is_over = false;
    const uint64_t before = c->out.sent;
    const bool more = frame_and_write(c, &result, &is_over);
    if (result == TRP_OUTBOX_BROKEN) {
        trp_conn_close(c);
        return;
    }
    tell_written(c);
    set_blocked(c, result == TRP_OUTBOX_BLOCKED || more, c->out.sent != before);
    if (c->kind == TRP_CONN_HTTP2)
        trp_h2_conn_flushed(c);
    if (c->is_dead || c->is_blocked)
        return;
    if (is_over || (c->is_finishing && c->kind != TRP_CONN_LINGER))
        say_goodbye(c);
    else if (c->kind == TRP_CONN_HTTP1 && c->h1.pending_len)
        trp_loop_ready(c->front->loop, &c->resume);
}

void trp_conn_turn_end(struct trp_front *f)
{
    struct trp_conn *dirty = f->dirty;
    f->dirty = NULL;
    while (dirty) {
        struct trp_conn *c = dirty;
        dirty = c->next_dirty;
        c->is_dirty = false;
        if (!c->is_dead)
            flush(c);
    }
    free_dead(f);
}

void trp_conn_drain(struct trp_conn *c)
{
    if (c->kind == TRP_CONN_HTTP1)
        trp_h1_drain(c);
    else if (c->kind == TRP_CONN_HTTP2)
        trp_h2_conn_drain(c);
    else if (c->kind == TRP_CONN_SNIFF)
        trp_conn_close(c);
}
