/* bench/load/load_grpc.c - a gRPC client on nghttp2 whose own cost is known.
 *
 *   load_grpc --port N --request FILE [--path P] [--connections N] [--streams N] [--warm S]
 *             [--seconds S] [--server-pid P] [--save FILE] [--requests N]
 *
 * Keeps so many unary calls open on each connection; the file is one message with its gRPC prefix.
 * A call is good when it ended with grpc-status 0.  `--save` writes the first reply message with
 * its prefix.  Prints one line; see bench_common.h. */
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "bench_common.h"

#define WINDOW_BYTES (8 << 20)
#define SAVED_MAX (4u << 20)

struct load;

struct call {
    struct connection *connection;
    int64_t begun_ns;
    size_t sent;
    bool ok;
};

struct connection {
    struct load *load;
    int fd;
    nghttp2_session *session;
    struct call *calls;
    char *sending;
    size_t sending_len, sending_at;
    bool wants_out;
};

struct load {
    struct bench_bytes request;
    const char *path, *save;
    char *saved;
    size_t saved_len;
    uint64_t port, connections_n, streams_n, requests, requests_max;
    int epoll;
    int64_t now_ns;
    struct bench_window window;
    nghttp2_session_callbacks *callbacks;
    char received[256 << 10];
};
#define SENDING_BYTES (1u << 20)

static nghttp2_nv header(const char *name, const char *value)
{
    return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                         strlen(value),
                         NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE };
}

static ssize_t read_request(nghttp2_session *session, int32_t stream_id, uint8_t *buf,
                            size_t length, uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct call *call = source->ptr;
    const struct bench_bytes *request = &call->connection->load->request;
    const size_t left = request->len - call->sent, n = left < length ? left : length;
    (void)session;
    (void)stream_id;
    (void)user;
    memcpy(buf, request->ptr + call->sent, n);
    call->sent += n;
    if (n == left)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static void begin(struct call *call)
{
    struct connection *c = call->connection;
    struct load *l = c->load;
    const nghttp2_nv head[] = {
        header(":method", "POST"),
        header(":scheme", "http"),
        header(":path", l->path),
        header(":authority", "localhost"),
        header("te", "trailers"),
        header("content-type", "application/grpc"),
        header("user-agent", "troupe-bench"),
    };
    const nghttp2_data_provider data = { .source.ptr = call, .read_callback = read_request };
    call->begun_ns = l->now_ns;
    call->sent = 0;
    call->ok = false;
    l->requests++;
    const int32_t id =
        nghttp2_submit_request(c->session, NULL, head, sizeof head / sizeof head[0], &data, call);
    if (id < 0)
        bench_die("nghttp2: %s", nghttp2_strerror(id));
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    const struct connection *c = user;
    (void)flags;
    if (name_len == 11 && memcmp(name, "grpc-status", 11) == 0) {
        struct call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (call)
            call->ok = value_len == 1 && value[0] == '0';
    }
    if (name_len == 12 && memcmp(name, "grpc-message", 12) == 0 && c->load->window.errors == 0)
        fprintf(stderr, "bench: first error: %.*s\n", (int)value_len, value);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *user)
{
    struct load *l = ((const struct connection *)user)->load;
    (void)session;
    (void)flags;
    if (!l->saved || stream_id != 1)
        return 0;
    if (l->saved_len + len > SAVED_MAX)
        bench_die("a reply of more than %u bytes", SAVED_MAX);
    memcpy(l->saved + l->saved_len, data, len);
    l->saved_len += len;
    return 0;
}

static void save_reply(struct load *l)
{
    FILE *f = fopen(l->save, "wb");
    if (!f || fwrite(l->saved, 1, l->saved_len, f) != l->saved_len)
        bench_die("%s: %s", l->save, strerror(errno));
    fclose(f);
    free(l->saved);
    l->saved = NULL;
}

static int on_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code, void *user)
{
    struct call *call = nghttp2_session_get_stream_user_data(session, stream_id);
    struct load *l = ((const struct connection *)user)->load;
    if (!call)
        return 0;
    if (l->saved && stream_id == 1)
        save_reply(l);
    bench_window_add(&l->window, call->begun_ns, l->now_ns, call->ok && error_code == 0);
    begin(call);
    return 0;
}

static void watch(struct connection *c, int op)
{
    struct epoll_event event = { .events = EPOLLIN | (c->wants_out ? EPOLLOUT : 0u),
                                 .data.ptr = c };
    if (epoll_ctl(c->load->epoll, op, c->fd, &event) != 0)
        bench_die("epoll_ctl: %s", strerror(errno));
}

/* Sends what is left in the buffer; false when the socket is full. */
static bool send_some(struct connection *c)
{
    while (c->sending_at < c->sending_len) {
        const ssize_t n =
            send(c->fd, c->sending + c->sending_at, c->sending_len - c->sending_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n < 0)
            bench_die("send: %s", strerror(errno));
        c->sending_at += (size_t)n;
    }
    c->sending_at = c->sending_len = 0;
    return true;
}

/* Gathers frames into one buffer and sends them together. */
static void flush(struct connection *c)
{
    bool is_sent = send_some(c);
    for (bool more = true; is_sent && more;) {
        for (;;) {
            const uint8_t *frame;
            /* One mem_send gives at most a frame of 16 KiB and a header. */
            if (c->sending_len + (32 << 10) > SENDING_BYTES)
                break;
            const ssize_t n = nghttp2_session_mem_send(c->session, &frame);
            if (n < 0)
                bench_die("nghttp2: %s", nghttp2_strerror((int)n));
            more = n > 0;
            if (!more)
                break;
            memcpy(c->sending + c->sending_len, frame, (size_t)n);
            c->sending_len += (size_t)n;
        }
        is_sent = send_some(c);
    }
    if (c->wants_out == is_sent) {
        c->wants_out = !is_sent;
        watch(c, EPOLL_CTL_MOD);
    }
}

static void connect_one(struct load *l, struct connection *c)
{
    static const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES },
    };
    c->load = l;
    c->fd = bench_connect(l->port);
    c->sending = bench_alloc(SENDING_BYTES);
    c->calls = bench_alloc(l->streams_n * sizeof *c->calls);
    if (nghttp2_session_client_new(&c->session, l->callbacks, c) != 0 ||
        nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 2) != 0 ||
        nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, 8 * WINDOW_BYTES) !=
            0)
        bench_die("nghttp2: no session");
    watch(c, EPOLL_CTL_ADD);
    for (uint64_t i = 0; i < l->streams_n; i++) {
        c->calls[i].connection = c;
        begin(&c->calls[i]);
    }
    flush(c);
}

static void handle(struct load *l, struct connection *c, uint32_t events)
{
    if (events & EPOLLIN) {
        const ssize_t n = recv(c->fd, l->received, sizeof l->received, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            bench_die("the server closed a connection");
        if (n > 0) {
            const ssize_t used =
                nghttp2_session_mem_recv(c->session, (const uint8_t *)l->received, (size_t)n);
            if (used < 0)
                bench_die("nghttp2: %s", nghttp2_strerror((int)used));
        }
    }
    flush(c);
}

static void run(struct load *l)
{
    struct connection *connections = bench_alloc(l->connections_n * sizeof *connections);
    l->now_ns = bench_now_ns();
    for (uint64_t i = 0; i < l->connections_n; i++)
        connect_one(l, &connections[i]);
    while (bench_window_turn(&l->window, l->now_ns)) {
        struct epoll_event events[256];
        const int n = epoll_wait(l->epoll, events, 256, 100);
        l->now_ns = bench_now_ns();
        for (int i = 0; i < n; i++)
            handle(l, events[i].data.ptr, events[i].events);
        if (l->requests_max != 0 && l->requests >= l->requests_max)
            break;
    }
    bench_window_print(&l->window, bench_now_ns());
}

static void set_callbacks(struct load *l)
{
    if (nghttp2_session_callbacks_new(&l->callbacks) != 0)
        bench_die("nghttp2: no callbacks");
    nghttp2_session_callbacks_set_on_header_callback(l->callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(l->callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(l->callbacks, on_close);
}

int main(int argc, char **argv)
{
    struct load *l = bench_alloc(sizeof *l);
    l->port = bench_number(argc, argv, "port", NULL);
    l->request = bench_read_file(bench_text(argc, argv, "request", NULL));
    l->path = bench_text(argc, argv, "path", "/inference.GRPCInferenceService/ModelInfer");
    l->save = bench_text(argc, argv, "save", "");
    l->saved = l->save[0] ? bench_alloc(SAVED_MAX) : NULL;
    l->connections_n = bench_number(argc, argv, "connections", "1");
    l->streams_n = bench_number(argc, argv, "streams", "1");
    l->requests_max = bench_number(argc, argv, "requests", "0");
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    set_callbacks(l);
    bench_window_init(&l->window, bench_number(argc, argv, "server-pid", "0"),
                      strtod(bench_text(argc, argv, "warm", "0.2"), NULL),
                      strtod(bench_text(argc, argv, "seconds", "1"), NULL));
    run(l);
    return l->window.errors > 0;
}
