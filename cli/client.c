/* cli/client.c - see client.h. */
#include "cli/client.h"

#include <errno.h>
#include <llhttp.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"

#define REPLY_BYTES_MAX ((size_t)4 << 30)
#define TIMEOUT_MS 60000

const char *cli_server(const struct cli *cli)
{
    const char *from_environment = getenv("TROUPE_SERVER");
    return cli_text(cli, "server", from_environment ? from_environment : "127.0.0.1:8000");
}

static trp_status unreachable(const char *address, int errno_value, struct trp_error *err)
{
    return trp_fail(err, TRP_UNAVAILABLE, "no server answers at %s: %s", address,
                    strerror(errno_value));
}

static trp_status dial_unix(const char *path, int *out_fd, struct trp_error *err)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof to.sun_path)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "socket path '%s' is too long", path);
    memcpy(to.sun_path, path, strlen(path));
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return trp_fail_errno(err, errno, "socket");
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        const int failed = errno;
        close(fd);
        return unreachable(path, failed, err);
    }
    *out_fd = fd;
    return trp_ok();
}

/* "host:port", "[v6]:port", with "http://" in front or not. */
static trp_status split_address(const char *address, char *host, size_t host_size,
                                const char **out_port, struct trp_error *err)
{
    const char *colon = strrchr(address, ':');
    const size_t len = colon ? (size_t)(colon - address) : 0;
    if (!colon || len == 0 || len >= host_size || !colon[1])
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "server '%s' is not ADDR:PORT (as in 127.0.0.1:8000) or unix:PATH",
                        address);
    const bool bracketed = address[0] == '[' && colon[-1] == ']';
    memcpy(host, address + bracketed, len - (bracketed ? 2u : 0u));
    host[len - (bracketed ? 2u : 0u)] = '\0';
    *out_port = colon + 1;
    return trp_ok();
}

static trp_status dial_tcp(const char *address, int *out_fd, struct trp_error *err)
{
    char host[256];
    const char *port = NULL;
    struct addrinfo *list = NULL;
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    TRP_CHECK(split_address(address, host, sizeof host, &port, err));
    const int failed = getaddrinfo(host, port, &hints, &list);
    if (failed)
        return trp_fail(err, TRP_UNAVAILABLE, "server '%s': %s", address, gai_strerror(failed));
    int fd = -1, reason = ECONNREFUSED;
    for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            reason = errno;
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    if (fd < 0)
        return unreachable(address, reason, err);
    *out_fd = fd;
    return trp_ok();
}

static trp_status dial(const char *address, int64_t timeout_ms, int *out_fd, struct trp_error *err)
{
    static const char unix_prefix[] = "unix:", http_prefix[] = "http://";
    if (strncmp(address, http_prefix, sizeof http_prefix - 1) == 0)
        address += sizeof http_prefix - 1;
    if (strncmp(address, unix_prefix, sizeof unix_prefix - 1) == 0)
        TRP_CHECK(dial_unix(address + sizeof unix_prefix - 1, out_fd, err));
    else
        TRP_CHECK(dial_tcp(address, out_fd, err));
    const struct timeval wait = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };
    setsockopt(*out_fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(*out_fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    return trp_ok();
}

static trp_status send_all(int fd, struct trp_str s, struct trp_error *err)
{
    while (s.len) {
        const ssize_t n = send(fd, s.ptr, s.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return trp_fail(err, TRP_UNAVAILABLE, "the server stopped reading: %s",
                            strerror(errno));
        s.ptr += n;
        s.len -= (size_t)n;
    }
    return trp_ok();
}

/* -- the reply -- */

struct reading {
    llhttp_t parser; /* first */
    struct trp_buf body;
    char field[64], value[64]; /* of the header being read; longer ones do not concern us */
    size_t field_len, value_len;
    int64_t json_bytes;
    bool complete;
};

static void append(char *out, size_t size, size_t *len, const char *at, size_t n)
{
    const size_t fits = n < size - 1 - *len ? n : size - 1 - *len;
    memcpy(out + *len, at, fits);
    *len += fits;
}

static int on_field(llhttp_t *p, const char *at, size_t n)
{
    struct reading *r = (struct reading *)p;
    append(r->field, sizeof r->field, &r->field_len, at, n);
    return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct reading *r = (struct reading *)p;
    append(r->value, sizeof r->value, &r->value_len, at, n);
    return 0;
}

static int on_value_complete(llhttp_t *p)
{
    struct reading *r = (struct reading *)p;
    const struct trp_str name = trp_str_make(r->field, r->field_len);
    uint64_t v;
    if (trp_str_is_equal_nocase(name, TRP_STR_LIT("inference-header-content-length")) &&
        trp_str_parse_u64(trp_str_make(r->value, r->value_len), &v) && v <= INT64_MAX)
        r->json_bytes = (int64_t)v;
    r->field_len = r->value_len = 0;
    return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct reading *r = (struct reading *)p;
    trp_buf_add(&r->body, at, n);
    return r->body.failed ? -1 : 0;
}

static int on_complete(llhttp_t *p)
{
    ((struct reading *)p)->complete = true;
    return HPE_PAUSED;
}

static trp_status read_reply(int fd, struct reading *r, struct trp_error *err)
{
    llhttp_settings_t settings;
    char chunk[65536];
    llhttp_settings_init(&settings);
    settings.on_header_field = on_field;
    settings.on_header_value = on_value;
    settings.on_header_value_complete = on_value_complete;
    settings.on_body = on_body;
    settings.on_message_complete = on_complete;
    llhttp_init(&r->parser, HTTP_RESPONSE, &settings);
    while (!r->complete) {
        const ssize_t n = recv(fd, chunk, sizeof chunk, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return trp_fail(err, TRP_DEADLINE_EXCEEDED, "the server did not answer in time");
        if (n < 0)
            return trp_fail(err, TRP_UNAVAILABLE, "the server went away: %s", strerror(errno));
        const llhttp_errno_t e =
            n == 0 ? llhttp_finish(&r->parser) : llhttp_execute(&r->parser, chunk, (size_t)n);
        if (r->complete)
            break;
        if (e != HPE_OK || n == 0)
            return r->body.failed ? trp_buf_check(&r->body, "reply", err)
                                  : trp_fail(err, TRP_UNAVAILABLE,
                                             "the server's reply is cut short or is not HTTP");
    }
    return trp_ok();
}

/* The words in {"error": "..."}, or the body as it is. */
static trp_status refusal(const struct cli_reply *reply, struct trp_error *err)
{
    struct trp_json_parser *parser = NULL;
    struct trp_json root, error;
    struct trp_str words = reply->body;
    const enum trp_code code = reply->status == 404   ? TRP_NOT_FOUND
                               : reply->status < 500  ? TRP_INVALID_ARGUMENT
                               : reply->status == 503 ? TRP_NOT_READY
                                                      : TRP_INTERNAL;
    if (!trp_failed(trp_json_parser_create(1 << 20, 32, &parser, NULL)) &&
        !trp_failed(trp_json_parse(parser, reply->body, false, &root, NULL)) &&
        trp_json_find(root, "error", &error))
        trp_json_as_str(error, &words);
    const trp_status st = words.len ? trp_fail(err, code, "%.*s", TRP_STR(words))
                                    : trp_fail(err, code, "the server answered %d", reply->status);
    trp_json_parser_destroy(parser);
    return st;
}

static trp_status exchange(struct cli *cli, int fd, const struct cli_request *q,
                           struct cli_reply *out, struct trp_error *err)
{
    struct trp_buf head;
    struct reading r = { .json_bytes = -1 };
    trp_buf_init(&head, trp_heap(), 65536);
    trp_buf_addf(&head, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", q->method,
                 q->path);
    if (q->json_bytes >= 0)
        trp_buf_addf(&head, "Inference-Header-Content-Length: %lld\r\n", (long long)q->json_bytes);
    if (strcmp(q->method, "GET") != 0)
        trp_buf_addf(&head, "Content-Length: %zu\r\nContent-Type: %s\r\n", q->body.len,
                     q->json_bytes >= 0 ? "application/octet-stream" : "application/json");
    trp_buf_add_str(&head, q->fields);
    trp_buf_add_text(&head, "\r\n");
    trp_status st = trp_buf_check(&head, "request", err);
    if (!trp_failed(st))
        st = send_all(fd, trp_buf_str(&head), err);
    trp_buf_deinit(&head);
    if (!trp_failed(st))
        st = send_all(fd, q->body, err);
    trp_buf_init(&r.body, trp_heap(), REPLY_BYTES_MAX);
    if (!trp_failed(st))
        st = read_reply(fd, &r, err);
    if (!trp_failed(st)) {
        *out = (struct cli_reply){ .status = r.parser.status_code, .json_bytes = r.json_bytes };
        out->body = trp_arena_dup(&cli->arena, trp_buf_str(&r.body));
        if (!out->body.ptr)
            st = trp_fail(err, TRP_OUT_OF_MEMORY, "reply of %zu bytes", r.body.len);
    }
    trp_buf_deinit(&r.body);
    return st;
}

trp_status cli_ask(struct cli *cli, const struct cli_request *request, struct cli_reply *out,
                   struct trp_error *err)
{
    int fd = -1;
    TRP_CHECK(
        dial(cli_server(cli), request->timeout_ms ? request->timeout_ms : TIMEOUT_MS, &fd, err));
    const trp_status st = exchange(cli, fd, request, out, err);
    close(fd);
    TRP_CHECK(st);
    return out->status >= 400 ? refusal(out, err) : trp_ok();
}

int cli_fail_asking(const struct cli *cli, const struct trp_error *err)
{
    const char *hint = NULL;
    if (err->status.code == TRP_UNAVAILABLE)
        hint = "is it running? start one with: troupe serve FOLDER (or name it with --server)";
    else if (err->status.code == TRP_NOT_FOUND)
        hint = "what there is: troupe ls";
    return cli_fail(cli, err, hint);
}

trp_status cli_fail_foreign(const struct cli *cli, struct trp_error *err)
{
    return trp_fail(err, TRP_INTERNAL, "what answers at %s is no troupe server", cli_server(cli));
}

const char *cli_path(struct cli *cli, const char *format, const char *name)
{
    static const char hex[] = "0123456789ABCDEF";
    char *encoded = trp_arena_get(&cli->arena, strlen(name) * 3 + 1);
    size_t n = 0;
    for (; encoded && *name; name++) {
        const unsigned char c = (unsigned char)*name;
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || strchr("-._~", c);
        if (plain) {
            encoded[n++] = (char)c;
        } else {
            encoded[n++] = '%';
            encoded[n++] = hex[c >> 4];
            encoded[n++] = hex[c & 15];
        }
    }
    if (!encoded)
        return "";
    encoded[n] = '\0';
    /* the format is a literal of ours with one %s */
    const char *mark = strstr(format, "%s");
    TRP_ASSERT(mark != NULL);
    const struct trp_str path =
        trp_arena_format(&cli->arena, "%.*s%s%s", (int)(mark - format), format, encoded, mark + 2);
    return path.ptr ? path.ptr : "";
}
