#include "front/guard.h"

#include <arpa/inet.h>

/* "name:port" or "[v6]:port" without its port. */
static struct trp_str host_of(struct trp_str authority)
{
    if (authority.len && authority.ptr[0] == '[') {
        const char *end = memchr(authority.ptr, ']', authority.len);
        return end ? trp_str_make(authority.ptr + 1, (size_t)(end - authority.ptr) - 1) : authority;
    }
    const char *colon = authority.len ? memchr(authority.ptr, ':', authority.len) : NULL;
    return colon ? trp_str_make(authority.ptr, (size_t)(colon - authority.ptr)) : authority;
}

static bool is_address(struct trp_str host)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char out[16];
    return trp_str_copy(host, text, sizeof text) &&
           (inet_pton(AF_INET, text, out) == 1 || inet_pton(AF_INET6, text, out) == 1);
}

static bool is_known_host(const struct trp_front_limits *limits, struct trp_str authority)
{
    const struct trp_str host = host_of(authority);
    if (host.len == 0 || trp_str_is_equal_nocase(host, TRP_STR_LIT("localhost")) ||
        is_address(host))
        return true;
    for (uint32_t i = 0; i < limits->admin_hosts_n; i++)
        if (trp_str_is_equal_nocase(host, trp_str_of(limits->admin_hosts[i])))
            return true;
    return false;
}

bool trp_guard_allows_origin(const struct trp_front_limits *limits, struct trp_str origin,
                             struct trp_str *out_value)
{
    for (uint32_t i = 0; i < limits->cors_n; i++) {
        const struct trp_str allowed = trp_str_of(limits->cors[i]);
        if (trp_str_is(allowed, "*")) {
            *out_value = TRP_STR_LIT("*");
            return true;
        }
        if (trp_str_is_equal_nocase(allowed, origin)) {
            *out_value = origin;
            return true;
        }
    }
    return false;
}

trp_status trp_guard_check(const struct trp_front_limits *limits, bool is_local,
                           struct trp_str authority, struct trp_str origin, struct trp_error *err)
{
    if (!is_local && !limits->admin_remote)
        return trp_fail(err, TRP_PERMISSION_DENIED,
                        "calls that change the server are served to this machine only; "
                        "set admin.remote: true to allow others");
    if (!is_known_host(limits, authority))
        return trp_fail(err, TRP_PERMISSION_DENIED,
                        "calls that change the server are not served under the host name '%.*s'; "
                        "add it to admin.hosts to allow it",
                        (int)(authority.len < 120 ? authority.len : 120), authority.ptr);
    struct trp_str value;
    if (origin.ptr && !trp_guard_allows_origin(limits, origin, &value))
        return trp_fail(err, TRP_PERMISSION_DENIED,
                        "calls that change the server are not served to pages of '%.*s'; "
                        "add that origin to http.cors to allow it",
                        (int)(origin.len < 120 ? origin.len : 120), origin.ptr);
    return trp_ok();
}
