/* base/status.c - see status.h. */
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct code_row {
    const char *name, *text;
    int16_t grpc, http;
    bool retryable;
};

static const struct code_row rows[TRP_CODES] = {
#define X(number, name, grpc, http, retryable, text) \
    [number] = { #name, text, grpc, http, (retryable) != 0 },
#include "troupe/status.def"
#undef X
};

static const struct code_row *row_of(int32_t code)
{
    return &rows[code >= 0 && code < TRP_CODES ? code : TRP_UNKNOWN];
}

const char *trp_code_name(int32_t code)
{
    return row_of(code)->name;
}

const char *trp_code_text(int32_t code)
{
    return row_of(code)->text;
}

int trp_code_http(int32_t code)
{
    return row_of(code)->http;
}

int trp_code_grpc(int32_t code)
{
    return row_of(code)->grpc;
}

bool trp_code_is_retryable(int32_t code)
{
    return row_of(code)->retryable;
}

static trp_status record(struct trp_error *err, enum trp_code code, enum trp_limit limit,
                         const char *format, va_list args)
{
    const trp_status st = { (int32_t)code };
    if (err) {
        vsnprintf(err->text, sizeof err->text, format, args);
        err->status = st;
        err->limit = (int32_t)limit;
        err->retry_after_ms = 0;
    }
    return st;
}

#undef trp_fail /* the analyzer's, see status.h */
trp_status trp_fail(struct trp_error *err, enum trp_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const trp_status st = record(err, code, TRP_LIMIT_NONE, format, args);
    va_end(args);
    return st;
}

#undef trp_fail_limit
trp_status trp_fail_limit(struct trp_error *err, enum trp_code code, enum trp_limit limit,
                          const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const trp_status st = record(err, code, limit, format, args);
    va_end(args);
    return st;
}

static enum trp_code code_of_errno(int errno_value)
{
    switch (errno_value) {
    case ENOENT:
    case ENOTDIR:
        return TRP_NOT_FOUND;
    case EACCES:
    case EPERM:
        return TRP_PERMISSION_DENIED;
    case ENOMEM:
        return TRP_OUT_OF_MEMORY;
    case EEXIST:
        return TRP_ALREADY_EXISTS;
    default:
        return TRP_IO;
    }
}

trp_status trp_fail_errno(struct trp_error *err, int errno_value, const char *format, ...)
{
    const trp_status st = { (int32_t)code_of_errno(errno_value) };
    if (err) {
        va_list args;
        va_start(args, format);
        const int n = vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        if (n >= 0 && (size_t)n < sizeof err->text) {
            char reason[128];
            snprintf(err->text + n, sizeof err->text - (size_t)n, ": %s",
                     strerror_r(errno_value, reason, sizeof reason));
        }
        err->status = st;
        err->limit = TRP_LIMIT_NONE;
        err->retry_after_ms = 0;
    }
    return st;
}

void trp_error_within(struct trp_error *err, const char *format, ...)
{
    if (!err)
        return;
    char context[sizeof err->text];
    va_list args;
    va_start(args, format);
    const int formatted = vsnprintf(context, sizeof context, format, args);
    va_end(args);
    if (formatted < 0)
        return;
    static const char between[] = ": ";
    const size_t room = sizeof err->text - 1;
    const size_t front = strlen(context) + sizeof between - 1;
    if (front >= room) {
        memcpy(err->text, context, sizeof err->text);
        return;
    }
    const size_t inner = strlen(err->text);
    const size_t kept = inner < room - front ? inner : room - front;
    memmove(err->text + front, err->text, kept);
    memcpy(err->text, context, front - (sizeof between - 1));
    memcpy(err->text + front - (sizeof between - 1), between, sizeof between - 1);
    err->text[front + kept] = '\0';
}

void trp_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "troupe: bug: %s does not hold at %s:%d\n", condition, file, line);
    abort();
}
