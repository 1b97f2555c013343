/* bench/load/replay_http.c - a client over HTTP/1.1 that sends what a schedule says, when it says
 * it.
 *
 *   replay_http --port N --schedule FILE [--connections 128]
 *
 * The schedule is a text: lines `request FILE` (the bytes of one, numbered from 0), lines `class
 * NAME` (numbered from 0), then one line a request, in order of time: `ns request class`.  An open
 * loop: whatever the server does, a request is begun when it is due, on a connection that is free,
 * and its latency counts from that moment.  The second before the first one is spent in waiting.
 * Prints one JSON object: how late requests were begun (late_p99_us), and of each class
 * requests, errors (any reply but 200) and latencies of the others. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "bench_common.h"

#define HEAD_MAX 4096
#define KINDS_MAX 64
#define BEFORE_NS 1000000000

struct due {
    int64_t at_ns;
    uint32_t request, class;
};

struct connection {
    int fd;
    const struct due *due; /* what is out; NULL: it is free */
    size_t sent, head_len, left;
    char head[HEAD_MAX];
    bool in_body, ok;
    struct connection *next_free;
};

struct samples {
    char name[64];
    uint64_t errors, n, room;
    double *us;
};

struct replay {
    struct bench_bytes requests[KINDS_MAX];
    struct samples classes[KINDS_MAX], late;
    size_t requests_n, classes_n, dues_n, next, done;
    struct due *dues;
    struct connection *connections, *free,
        *last_free; /* in turn: a server closes those that stay idle */
    int64_t begun_ns;
    int epoll;
    char *discard;
};

static void add_sample(struct samples *s, double us)
{
    if (s->n == s->room) {
        s->room = s->room ? 2 * s->room : 4096;
        s->us = realloc(s->us, s->room * sizeof *s->us);
        if (!s->us)
            bench_die("samples: out of memory");
    }
    s->us[s->n++] = us;
}

static void read_line(struct replay *r, char *line)
{
    struct due due;
    long long at_ns;
    if (strncmp(line, "request ", 8) == 0 && r->requests_n < KINDS_MAX)
        r->requests[r->requests_n++] = bench_read_file(line + 8);
    else if (strncmp(line, "class ", 6) == 0 && r->classes_n < KINDS_MAX)
        snprintf(r->classes[r->classes_n++].name, sizeof r->classes[0].name, "%s", line + 6);
    else if (sscanf(line, "%lld %u %u", &at_ns, &due.request, &due.class) == 3 &&
             due.request < r->requests_n && due.class < r->classes_n) {
        due.at_ns = at_ns;
        r->dues[r->dues_n++] = due;
    } else
        bench_die("schedule: '%s'", line);
}

static void read_schedule(struct replay *r, const char *path)
{
    struct bench_bytes text = bench_read_file(path);
    size_t lines = 1;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    r->dues = bench_alloc(lines * sizeof *r->dues);
    for (char *at = text.ptr, *end; at < text.ptr + text.len; at = end + 1) {
        end = memchr(at, '\n', (size_t)(text.ptr + text.len - at));
        if (!end)
            bench_die("schedule: the last line does not end");
        *end = '\0';
        read_line(r, at);
    }
    free(text.ptr);
}

static void set_free(struct replay *r, struct connection *c)
{
    c->due = NULL;
    c->next_free = NULL;
    if (r->free)
        r->last_free->next_free = c;
    else
        r->free = c;
    r->last_free = c;
}

static void write_more(struct replay *r, struct connection *c)
{
    const struct bench_bytes *request = &r->requests[c->due->request];
    while (c->sent < request->len) {
        const ssize_t n = send(c->fd, request->ptr + c->sent, request->len - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return; /* EPOLLOUT goes on */
        if (n < 0)
            bench_die("send: %s", strerror(errno));
        c->sent += (size_t)n;
    }
}

/* Starts what is due, and tells how long to wait for the next. */
static int64_t begin_due(struct replay *r, int64_t now_ns)
{
    while (r->next < r->dues_n && r->begun_ns + r->dues[r->next].at_ns <= now_ns) {
        struct connection *c = r->free;
        if (!c)
            bench_die("no connection is free: more --connections, or a slower schedule");
        r->free = c->next_free;
        c->due = &r->dues[r->next++];
        c->sent = c->head_len = 0;
        c->in_body = false;
        add_sample(&r->late, (double)(now_ns - r->begun_ns - c->due->at_ns) / 1e3);
        write_more(r, c);
        now_ns = bench_now_ns();
    }
    return r->next < r->dues_n ? r->begun_ns + r->dues[r->next].at_ns - now_ns : 100000000;
}

static bool parse_head(struct connection *c)
{
    const char *end = memmem(c->head, c->head_len, "\r\n\r\n", 4), *length = NULL;
    if (!end && c->head_len == HEAD_MAX)
        bench_die("a reply with a head of more than %d bytes", HEAD_MAX);
    if (!end)
        return false;
    for (const char *line = c->head; line < end && !length;) {
        const char *next = memmem(line, (size_t)(end - line) + 2, "\r\n", 2);
        if (strncasecmp(line, "content-length:", 15) == 0)
            length = line + 15;
        line = next + 2;
    }
    if (!length)
        bench_die("a reply without content-length");
    const size_t head_bytes = (size_t)(end - c->head) + 4, body = strtoull(length, NULL, 10);
    if (c->head_len > head_bytes + body)
        bench_die("more than one reply to one request");
    c->ok = memcmp(c->head, "HTTP/1.1 200", 12) == 0;
    c->left = body - (c->head_len - head_bytes);
    c->in_body = true;
    return true;
}

/* Reads what there is; true when the reply is complete. */
static bool read_more(struct replay *r, struct connection *c)
{
    for (;;) {
        char *at = c->in_body ? r->discard : c->head + c->head_len;
        const ssize_t n = recv(c->fd, at, c->in_body ? 1u << 20 : HEAD_MAX - c->head_len, 0);
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n <= 0)
            bench_die("the server closed a connection");
        if (c->in_body)
            c->left -= (size_t)n;
        else {
            c->head_len += (size_t)n;
            if (!parse_head(c))
                continue;
        }
        if (c->left == 0)
            return true;
    }
}

static void handle(struct replay *r, struct connection *c, uint32_t events)
{
    if (!c->due)
        return;
    if (events & EPOLLOUT)
        write_more(r, c);
    if (!read_more(r, c))
        return;
    struct samples *s = &r->classes[c->due->class];
    if (c->ok)
        add_sample(s, (double)(bench_now_ns() - r->begun_ns - c->due->at_ns) / 1e3);
    else
        s->errors++;
    set_free(r, c);
    r->done++;
}

static void connect_all(struct replay *r, uint64_t port, uint64_t n)
{
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    r->connections = bench_alloc(n * sizeof *r->connections);
    for (uint64_t i = 0; i < n; i++) {
        struct connection *c = &r->connections[i];
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
        c->fd = bench_connect(port);
        if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
            bench_die("epoll_ctl: %s", strerror(errno));
        set_free(r, c);
    }
}

static void run(struct replay *r)
{
    r->begun_ns = bench_now_ns() + BEFORE_NS;
    while (r->done < r->dues_n) {
        struct epoll_event events[64];
        const int64_t left_ns = begin_due(r, bench_now_ns());
        const int64_t wait_ns = left_ns > 0 ? left_ns : 0;
        const struct timespec wait = { wait_ns / 1000000000, wait_ns % 1000000000 };
        const int n = epoll_pwait2(r->epoll, events, 64, &wait, NULL);
        for (int i = 0; i < n; i++)
            handle(r, events[i].data.ptr, events[i].events);
    }
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(struct samples *s, double share)
{
    return s->n == 0 ? 0 : s->us[(size_t)(share * (double)(s->n - 1) + 0.5)];
}

static void print(struct replay *r)
{
    qsort(r->late.us, r->late.n, sizeof *r->late.us, by_value);
    printf("{\"requests\":%zu,\"late_p50_us\":%.1f,\"late_p99_us\":%.1f,\"classes\":{", r->dues_n,
           percentile(&r->late, 0.5), percentile(&r->late, 0.99));
    for (size_t i = 0; i < r->classes_n; i++) {
        struct samples *s = &r->classes[i];
        if (s->n > 0)
            qsort(s->us, s->n, sizeof *s->us, by_value);
        printf("%s\"%s\":{\"requests\":%llu,\"errors\":%llu,\"p50_us\":%.1f,\"p90_us\":%.1f,"
               "\"p99_us\":%.1f,\"max_us\":%.1f}",
               i > 0 ? "," : "", s->name, (unsigned long long)(s->n + s->errors),
               (unsigned long long)s->errors, percentile(s, 0.5), percentile(s, 0.9),
               percentile(s, 0.99), percentile(s, 1.0));
    }
    printf("}}\n");
}

int main(int argc, char **argv)
{
    struct replay r = { .discard = bench_alloc(1 << 20) };
    (void)prctl(PR_SET_TIMERSLACK, 1); /* 50 us by default: requests would be late by as much */
    read_schedule(&r, bench_text(argc, argv, "schedule", NULL));
    connect_all(&r, bench_number(argc, argv, "port", NULL),
                bench_number(argc, argv, "connections", "128"));
    run(&r);
    print(&r);
    return 0;
}
