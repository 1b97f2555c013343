/* bench/floors/floor_grpc.c - nghttp2 with canned gRPC replies: the least that a legal gRPC server
 * over this library can do.
 *
 *   floor_grpc --port N --reply FILE [--model FILE.onnx]
 *
 * Every stream whose request has ended gets `content-type`, the bytes of the file (a message with
 * its gRPC prefix) and `grpc-status: 0`.  Nothing of the request is looked at.  All frames of one
 * read leave in one send.  With a model it also makes one OrtRun a request. */
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench_common.h"
#include "floor_session.h"

#define WINDOW_BYTES (8 << 20) /* as a server that takes tensors announces */

struct server {
    int epoll, listener;
    struct bench_bytes reply;
    struct floor_session *session;
    nghttp2_session_callbacks *callbacks;
    char received[256 << 10], sending[1 << 20];
};

struct connection {
    int fd;
    struct server *server;
    nghttp2_session *session;
};

#define HEADER(key, text)                                                                  \
    {                                                                                      \
        (uint8_t *)(uintptr_t)(key), (uint8_t *)(uintptr_t)(text), sizeof(key) - 1,        \
            sizeof(text) - 1, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE \
    }

static ssize_t read_reply(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length,
                          uint32_t *flags, nghttp2_data_source *source, void *user)
{
    static const nghttp2_nv trailer[] = { HEADER("grpc-status", "0") };
    const struct connection *c = user;
    const size_t sent = (size_t)source->fd, left = c->server->reply.len - sent;
    const size_t n = left < length ? left : length;
    memcpy(buf, c->server->reply.ptr + sent, n);
    source->fd += (int)n; /* how much of the reply this stream has sent */
    if (n == left) {
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(session, stream_id, trailer, 1) != 0)
            return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return (ssize_t)n;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    static const nghttp2_nv head[] = { HEADER(":status", "200"),
                                       HEADER("content-type", "application/grpc") };
    const struct connection *c = user;
    const nghttp2_data_provider data = { .source.fd = 0, .read_callback = read_reply };
    const bool is_request = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (!is_request || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    if (c->server->session)
        floor_session_run(c->server->session);
    return nghttp2_submit_response(session, frame->hd.stream_id, head, 2, &data);
}

static void watch(int epoll, int fd, void *what)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = what };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        bench_die("epoll_ctl: %s", strerror(errno));
}

static void take_connections(struct server *s)
{
    static const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1000 },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES },
    };
    int fd;
    while ((fd = bench_accept(s->listener)) >= 0) {
        struct connection *c = bench_alloc(sizeof *c);
        c->fd = fd;
        c->server = s;
        if (nghttp2_session_server_new(&c->session, s->callbacks, c) != 0 ||
            nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 2) != 0 ||
            nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
                                                  8 * WINDOW_BYTES) != 0)
            bench_die("nghttp2: no session");
        watch(s->epoll, fd, c);
    }
}

static void send_all(int fd, const char *ptr, size_t len)
{
    while (len > 0) {
        const ssize_t n = send(fd, ptr, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; /* gone; recv() will say so */
        if (n > 0) {
            ptr += n;
            len -= (size_t)n;
        }
    }
}

static void flush(struct server *s, struct connection *c)
{
    size_t have = 0;
    for (;;) {
        const uint8_t *frame;
        const ssize_t n = nghttp2_session_mem_send(c->session, &frame);
        if (n < 0)
            bench_die("nghttp2: %s", nghttp2_strerror((int)n));
        if (n == 0 || have + (size_t)n > sizeof s->sending) {
            send_all(c->fd, s->sending, have);
            have = 0;
        }
        if (n == 0)
            return;
        memcpy(s->sending + have, frame, (size_t)n);
        have += (size_t)n;
    }
}

static void serve(struct server *s, struct connection *c)
{
    const ssize_t n = recv(c->fd, s->received, sizeof s->received, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 ||
        nghttp2_session_mem_recv(c->session, (const uint8_t *)s->received, (size_t)n) < 0) {
        nghttp2_session_del(c->session);
        close(c->fd);
        return;
    }
    flush(s, c);
}

int main(int argc, char **argv)
{
    struct server *s = bench_alloc(sizeof *s);
    const char *model = bench_text(argc, argv, "model", "");
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->reply = bench_read_file(bench_text(argc, argv, "reply", NULL));
    s->session = model[0] ? floor_session_open(model, 1) : NULL;
    if (nghttp2_session_callbacks_new(&s->callbacks) != 0)
        bench_die("nghttp2: no callbacks");
    nghttp2_session_callbacks_set_on_frame_recv_callback(s->callbacks, on_frame);
    s->listener = bench_listen(bench_number(argc, argv, "port", NULL));
    watch(s->epoll, s->listener, NULL);
    for (;;) {
        struct epoll_event events[256];
        const int n = epoll_wait(s->epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                serve(s, events[i].data.ptr);
            else
                take_connections(s);
        }
    }
}
