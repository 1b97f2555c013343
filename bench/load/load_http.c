/* bench/load/load_http.c - a client over HTTP/1.1 whose own cost is known.
 *
 *   load_http --port N --request FILE [--connections N] [--rate R] [--warm S] [--seconds S]
 *             [--server-pid P] [--save FILE] [--requests N] [--in-time-ms D] [--arrivals
 *             even|poisson]
 *
 * Sends the bytes of the file on keep-alive connections and waits for the whole reply: each
 * connection has one request out. Without a rate the next one follows at once (closed loop).  With
 * a rate requests become due at that pace, whatever the server does, evenly or as a Poisson
 * process, and latency counts from the moment a request was due, also when it had to wait for a
 * free connection.  A reply must begin with "HTTP/1.1 200" and have a content-length.  `--save`
 * writes the first reply; `--requests` ends after so many. With `--in-time-ms` a reply of 503 or
 * 429 is no error but a refusal, one of 504 too late, and replies are counted that came in time.
 * Large requests and replies cost the client no copies, as another machine's would not: the
 * kernel sends the file's own pages, and drops what a body brings.  Prints one line; see
 * bench_common.h. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "bench_common.h"

#define HEAD_MAX 4096
#define IDLE_NS 100000000
#define LARGE_BYTES 65536 /* from here on pages are sent, not copies */

struct connection {
    int fd;
    bool busy;
    int64_t begun_ns; /* when the request that is out was due */
    size_t sent;
    char head[HEAD_MAX];
    size_t head_len;
    size_t left; /* bytes of the body to come, once `in_body` */
    bool in_body, ok, is_refusal, is_late;
};

struct load {
    struct bench_bytes request;
    int request_file;
    struct connection *connections;
    uint64_t connections_n, port, requests_max, requests;
    double rate;
    bool is_poisson;
    uint64_t seed;
    int64_t next_due_ns;
    int epoll;
    struct bench_window window, refused;
    uint64_t in_time_ms; /* 0: whatever is no 200 is an error */
    const char *save;
};

static ssize_t send_some(const struct load *l, const struct connection *c)
{
    const size_t left = l->request.len - c->sent;
    off_t offset = (off_t)c->sent;
    return l->request.len < LARGE_BYTES ? send(c->fd, l->request.ptr + c->sent, left, 0)
                                        : sendfile(c->fd, l->request_file, &offset, left);
}

static void write_more(struct load *l, struct connection *c)
{
    while (c->sent < l->request.len) {
        const ssize_t n = send_some(l, c);
        if (n < 0 && errno == EAGAIN)
            return; /* EPOLLOUT goes on */
        if (n < 0)
            bench_die("send: %s", strerror(errno));
        c->sent += (size_t)n;
    }
}

static void begin(struct load *l, struct connection *c, int64_t due_ns)
{
    c->busy = true;
    c->begun_ns = due_ns;
    c->sent = c->head_len = 0;
    c->in_body = false;
    l->requests++;
    write_more(l, c);
}

static void connect_all(struct load *l)
{
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (uint64_t i = 0; i < l->connections_n; i++) {
        struct connection *c = &l->connections[i];
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
        c->fd = bench_connect(l->port);
        if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
            bench_die("epoll_ctl: %s", strerror(errno));
    }
}

static void save_reply(struct load *l, const struct connection *c, size_t head_bytes)
{
    FILE *f = fopen(l->save, "wb");
    if (!f || fwrite(c->head, 1, head_bytes, f) != head_bytes)
        bench_die("%s: %s", l->save, strerror(errno));
    fclose(f);
    l->save = "";
}

/* Looks for the end of the head; true when it is there, and the body's length is known. */
static bool parse_head(struct load *l, struct connection *c)
{
    const char *end = memmem(c->head, c->head_len, "\r\n\r\n", 4);
    if (!end) {
        if (c->head_len == HEAD_MAX)
            bench_die("a reply with a head of more than %d bytes", HEAD_MAX);
        return false;
    }
    const char *length = NULL;
    for (const char *line = c->head; line < end && !length;) {
        const char *next = memmem(line, (size_t)(end - line) + 2, "\r\n", 2);
        if (strncasecmp(line, "content-length:", 15) == 0)
            length = line + 15;
        line = next + 2;
    }
    if (!length)
        bench_die("a reply without content-length");
    const size_t head_bytes = (size_t)(end - c->head) + 4, body = strtoull(length, NULL, 10);
    c->ok = c->head_len >= 12 && memcmp(c->head, "HTTP/1.1 200", 12) == 0;
    c->is_refusal =
        !c->ok && l->in_time_ms != 0 &&
        (memcmp(c->head, "HTTP/1.1 503", 12) == 0 || memcmp(c->head, "HTTP/1.1 429", 12) == 0);
    c->is_late = l->in_time_ms != 0 && memcmp(c->head, "HTTP/1.1 504", 12) == 0;
    if (l->save[0] && c->head_len >= head_bytes + body)
        save_reply(l, c, head_bytes + body);
    if (c->head_len > head_bytes + body)
        bench_die("more than one reply to one request");
    c->left = body - (c->head_len - head_bytes);
    c->in_body = true;
    return true;
}

/* Reads what there is; true when the reply is complete. */
static bool read_more(struct load *l, struct connection *c)
{
    for (;;) {
        const ssize_t n = c->in_body
                              ? recv(c->fd, NULL, c->left, MSG_TRUNC)
                              : recv(c->fd, c->head + c->head_len, HEAD_MAX - c->head_len, 0);
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n <= 0)
            bench_die("the server closed a connection");
        if (c->in_body)
            c->left -= (size_t)n;
        else {
            c->head_len += (size_t)n;
            if (!parse_head(l, c))
                continue;
        }
        if (c->left == 0)
            return true;
    }
}

static void finish(struct load *l, struct connection *c, int64_t now_ns)
{
    bench_window_add(c->is_refusal ? &l->refused : &l->window, c->begun_ns, now_ns,
                     c->ok || c->is_refusal || c->is_late);
    c->busy = false;
    if (!c->ok && !c->is_refusal && !c->is_late && l->window.errors == 1)
        fprintf(stderr, "bench: first error: %.*s\n", (int)(c->head_len < 600 ? c->head_len : 600),
                c->head);
}

static struct connection *idle_one(struct load *l)
{
    for (uint64_t i = 0; i < l->connections_n; i++)
        if (!l->connections[i].busy)
            return &l->connections[i];
    return NULL;
}

/* Until the next request is due.  Each run draws the same times, so that two are asked the same. */
static int64_t gap_ns(struct load *l)
{
    double part = 1;
    if (l->is_poisson) {
        l->seed = l->seed * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
        part = -log(((double)(l->seed >> 11) + 1) / 0x1p53);
    }
    return (int64_t)(1e9 / l->rate * part);
}

/* Starts what is due, and tells how long to wait for the next. */
static int64_t begin_due(struct load *l, int64_t now_ns)
{
    struct connection *c;
    while (l->next_due_ns <= now_ns && (c = idle_one(l)) != NULL) {
        begin(l, c, l->next_due_ns);
        l->next_due_ns += gap_ns(l);
    }
    const int64_t left_ns = l->next_due_ns - now_ns;
    return left_ns > 0 ? left_ns
                       : IDLE_NS; /* due, but no connection is free: a reply comes first */
}

static void handle(struct load *l, struct connection *c, uint32_t events, int64_t now_ns)
{
    if ((events & EPOLLOUT) && c->busy)
        write_more(l, c);
    if (!c->busy || !read_more(l, c))
        return;
    finish(l, c, now_ns);
    if (l->rate <= 0)
        begin(l, c, now_ns);
}

static void run(struct load *l)
{
    int64_t now_ns = bench_now_ns();
    l->next_due_ns = now_ns;
    for (uint64_t i = 0; l->rate <= 0 && i < l->connections_n; i++)
        begin(l, &l->connections[i], now_ns);
    while (bench_window_turn(&l->window, now_ns)) {
        l->refused.is_open = l->window.is_open;
        struct epoll_event events[256];
        const int64_t wait_ns = l->rate > 0 ? begin_due(l, now_ns) : IDLE_NS;
        const struct timespec wait = { wait_ns / 1000000000, wait_ns % 1000000000 };
        const int n = epoll_pwait2(l->epoll, events, 256, &wait, NULL);
        now_ns = bench_now_ns();
        for (int i = 0; i < n; i++)
            handle(l, events[i].data.ptr, events[i].events, now_ns);
        if (l->requests_max != 0 && l->requests >= l->requests_max)
            break;
    }
    bench_window_print(&l->window, bench_now_ns());
}

static bool is_poisson(const char *arrivals)
{
    if (strcmp(arrivals, "poisson") != 0 && strcmp(arrivals, "even") != 0)
        bench_die("--arrivals: expected even or poisson, got %s", arrivals);
    return arrivals[0] == 'p';
}

int main(int argc, char **argv)
{
    struct load l = { .port = bench_number(argc, argv, "port", NULL),
                      .request = bench_read_file(bench_text(argc, argv, "request", NULL)),
                      .connections_n = bench_number(argc, argv, "connections", "1"),
                      .requests_max = bench_number(argc, argv, "requests", "0"),
                      .rate = strtod(bench_text(argc, argv, "rate", "0"), NULL),
                      .is_poisson = is_poisson(bench_text(argc, argv, "arrivals", "even")),
                      .in_time_ms = bench_number(argc, argv, "in-time-ms", "0"),
                      .save = bench_text(argc, argv, "save", "") };
    l.request_file = open(bench_text(argc, argv, "request", NULL), O_RDONLY | O_CLOEXEC);
    signal(SIGPIPE, SIG_IGN);
    l.connections = bench_alloc(l.connections_n * sizeof *l.connections);
    connect_all(&l);
    bench_window_init(&l.window, bench_number(argc, argv, "server-pid", "0"),
                      strtod(bench_text(argc, argv, "warm", "0.2"), NULL),
                      strtod(bench_text(argc, argv, "seconds", "1"), NULL));
    if (l.in_time_ms != 0) {
        bench_window_init(&l.refused, 0, 0, 0);
        l.window.refused = &l.refused;
        l.window.in_time_ns = (int64_t)l.in_time_ms * 1000000;
    }
    run(&l);
    return l.window.errors > 0;
}
