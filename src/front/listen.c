/* front/listen.c - listening sockets from their spelling. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "front/front.h"

#define BACKLOG 1024

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un path;
};

static trp_status bad_spelling(const char *address, struct trp_error *err)
{
    return trp_fail(err, TRP_INVALID_ARGUMENT,
                    "'%s' is no address: write ADDR:PORT (as 127.0.0.1:9000), [ADDR6]:PORT or "
                    "unix:PATH",
                    address);
}

static trp_status parse_path(const char *address, union address *out, socklen_t *out_len,
                             struct trp_error *err)
{
    const struct trp_str path = trp_str_of(address + 5);
    if (path.len == 0 || !trp_str_copy(path, out->path.sun_path, sizeof out->path.sun_path))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "'%s': the path of a Unix socket has 1 to %zu bytes", address,
                        sizeof out->path.sun_path - 1);
    out->path.sun_family = AF_UNIX;
    *out_len = (socklen_t)sizeof out->path;
    return trp_ok();
}

static trp_status parse_inet(const char *address, union address *out, socklen_t *out_len,
                             struct trp_error *err)
{
    char host[INET6_ADDRSTRLEN];
    uint64_t port = 0;
    const char *colon = strrchr(address, ':');
    const bool is_v6 = address[0] == '[';
    if (!colon || !trp_str_parse_u64(trp_str_of(colon + 1), &port) || port > 65535 ||
        (is_v6 && colon[-1] != ']'))
        return bad_spelling(address, err);
    const size_t n = (size_t)(colon - address);
    const struct trp_str name = is_v6 ? trp_str_make(address + 1, n - 2) : trp_str_make(address, n);
    if (!trp_str_copy(name, host, sizeof host))
        return bad_spelling(address, err);
    if (strcmp(host, "localhost") == 0)
        (void)trp_str_copy(TRP_STR_LIT("127.0.0.1"), host, sizeof host);
    if (strcmp(host, "*") == 0 || host[0] == '\0')
        (void)trp_str_copy(TRP_STR_LIT("0.0.0.0"), host, sizeof host);
    if (is_v6) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons((uint16_t)port);
        *out_len = sizeof out->v6;
        return inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1 ? trp_ok()
                                                                  : bad_spelling(address, err);
    }
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons((uint16_t)port);
    *out_len = sizeof out->v4;
    return inet_pton(AF_INET, host, &out->v4.sin_addr) == 1 ? trp_ok() : bad_spelling(address, err);
}

/* A socket file without a listener is left over from a server that died; one that answers is
 * somebody else's. */
static trp_status clear_path(const char *address, const union address *at, socklen_t len,
                             struct trp_error *err)
{
    struct stat st;
    if (lstat(at->path.sun_path, &st) != 0)
        return trp_ok();
    if (!S_ISSOCK(st.st_mode))
        return trp_fail(err, TRP_ALREADY_EXISTS, "'%s' exists and is no socket", address);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool is_alive = fd >= 0 && (connect(fd, &at->any, len) == 0 || errno == EAGAIN);
    if (fd >= 0)
        close(fd);
    if (is_alive)
        return trp_fail(err, TRP_ALREADY_EXISTS, "'%s': another server listens there", address);
    (void)unlink(at->path.sun_path);
    return trp_ok();
}

trp_status trp_listen(const char *address, int *out_fd, struct trp_error *err)
{
    union address at = { 0 };
    socklen_t len = 0;
    const bool is_unix = strncmp(address, "unix:", 5) == 0;
    *out_fd = -1;
    TRP_CHECK(is_unix ? parse_path(address, &at, &len, err) : parse_inet(address, &at, &len, err));
    if (is_unix)
        TRP_CHECK(clear_path(address, &at, len, err));
    const int fd = socket(at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return trp_fail_errno(err, errno, "%s: socket", address);
    const int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at.any.sa_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, &at.any, len) == 0 && listen(fd, BACKLOG) == 0) {
        *out_fd = fd;
        return trp_ok();
    }
    const int why = errno;
    close(fd);
    if (why == EADDRINUSE)
        return trp_fail(err, TRP_ALREADY_EXISTS,
                        "%s is in use: stop the other server or choose another address", address);
    return trp_fail_errno(err, why, "cannot listen on %s", address);
}
