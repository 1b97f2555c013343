/* bench/floors/floor_echo.c - the least that a server over TCP can do: wait, receive, send.
 *
 *   floor_echo --port N --request-bytes N --reply FILE [--model FILE.onnx]
 *
 * Counts bytes instead of reading them: after every `request-bytes` it sends the reply as it stands
 * in the file.  Each connection has one buffer of that size, made once, and bytes are received
 * straight into it; so this is the floor of tiny requests (a bare echo) and of large ones (a
 * receiver into a pooled buffer) alike.  With a model it also makes one OrtRun a request.  One
 * thread, level-triggered epoll: as few system calls as any server can make. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench_common.h"
#include "floor_session.h"

struct connection {
    int fd;
    size_t have;
    char *buffer;
};

struct server {
    int epoll, listener;
    size_t request_bytes;
    struct bench_bytes reply;
    struct floor_session *session;
};

static void watch(int epoll, int fd, void *what)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = what };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        bench_die("epoll_ctl: %s", strerror(errno));
}

static void take_connections(struct server *s)
{
    int fd;
    while ((fd = bench_accept(s->listener)) >= 0) {
        struct connection *c = bench_alloc(sizeof *c);
        c->fd = fd;
        c->buffer = bench_alloc(s->request_bytes);
        watch(s->epoll, fd, c);
    }
}

static void answer(struct server *s, struct connection *c)
{
    size_t sent = 0;
    if (s->session)
        floor_session_run(s->session);
    while (sent < s->reply.len) {
        const ssize_t n = send(c->fd, s->reply.ptr + sent, s->reply.len - sent, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        else if (errno != EAGAIN)
            return; /* gone; recv() will say so */
    }
}

static void serve(struct server *s, struct connection *c)
{
    const ssize_t n = recv(c->fd, c->buffer + c->have, s->request_bytes - c->have, 0);
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN)
            return;
        close(c->fd); /* leaves the epoll set by itself; the little memory is not worth the code */
        return;
    }
    c->have += (size_t)n;
    if (c->have < s->request_bytes)
        return;
    c->have = 0;
    answer(s, c);
}

int main(int argc, char **argv)
{
    struct server s = { .epoll = epoll_create1(EPOLL_CLOEXEC) };
    const char *model = bench_text(argc, argv, "model", "");
    s.request_bytes = bench_number(argc, argv, "request-bytes", NULL);
    s.reply = bench_read_file(bench_text(argc, argv, "reply", NULL));
    s.session = model[0] ? floor_session_open(model, 1) : NULL;
    s.listener = bench_listen(bench_number(argc, argv, "port", NULL));
    watch(s.epoll, s.listener, NULL);
    for (;;) {
        struct epoll_event events[256];
        const int n = epoll_wait(s.epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                serve(&s, events[i].data.ptr);
            else
                take_connections(&s);
        }
    }
}
