/* obs/log.c - one line per event, whole or not at all.
 *
 * A line is built on the stack and leaves by one write().  Up to 4,096 bytes that is atomic on a
 * pipe, and with O_APPEND on a file, so threads need no lock and a loop never waits for another's
 * line.  What a line says may come from a client, so control characters are escaped: nobody writes
 * a second line into ours. */
#include "obs/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/buf.h"
#include "base/json.h"

#define LEVELS 4
#define LINE_MAX_BYTES 4096 /* PIPE_BUF */
#define TEXT_MAX_BYTES 2048
#define TEXT_MAX_ESCAPED 512 /* fits a line even when every byte needs six */

struct trp_log {
    const struct trp_alloc *alloc;
    const struct trp_clock *clock;
    int fd;
    struct trp_flag enabled[LEVELS];
    struct trp_counter verbose, format, lost;
};

static const struct level {
    char letter;
    const char *name;
} levels[LEVELS] = {
    [TRP_LOG_ERROR] = { 'E', "error" },
    [TRP_LOG_WARNING] = { 'W', "warning" },
    [TRP_LOG_INFO] = { 'I', "info" },
    [TRP_LOG_DEBUG] = { 'D', "debug" },
};

trp_status trp_log_create(const struct trp_alloc *alloc, const struct trp_clock *clock, int fd,
                          struct trp_log **out_log, struct trp_error *err)
{
    struct trp_log *log = *out_log = trp_alloc_zeroed(alloc, 1, sizeof *log);
    if (!log)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "log");
    log->alloc = alloc;
    log->clock = clock;
    log->fd = fd;
    for (int level = TRP_LOG_ERROR; level <= TRP_LOG_INFO; level++)
        trp_flag_raise(&log->enabled[level]);
    return trp_ok();
}

void trp_log_destroy(struct trp_log *log)
{
    if (log)
        trp_alloc_free(log->alloc, log);
}

void trp_log_enable(struct trp_log *log, enum trp_log_level level, bool on)
{
    if (on)
        trp_flag_raise(&log->enabled[level]);
    else
        trp_flag_lower(&log->enabled[level]);
}

bool trp_log_is_enabled(const struct trp_log *log, enum trp_log_level level)
{
    return trp_flag_is_up(&log->enabled[level]);
}

void trp_log_set_verbose(struct trp_log *log, uint32_t level)
{
    trp_counter_set(&log->verbose, level);
    trp_log_enable(log, TRP_LOG_DEBUG, level >= 1);
}

uint32_t trp_log_verbose(const struct trp_log *log)
{
    return (uint32_t)trp_counter_get(&log->verbose);
}

void trp_log_set_format(struct trp_log *log, enum trp_log_format format)
{
    trp_counter_set(&log->format, (uint64_t)format);
}

enum trp_log_format trp_log_get_format(const struct trp_log *log)
{
    return (enum trp_log_format)trp_counter_get(&log->format);
}

uint64_t trp_log_lost(const struct trp_log *log)
{
    return trp_counter_get(&log->lost);
}

/* ---- one line -------------------------------------------------------------------------------- */

struct event {
    enum trp_log_level level;
    const char *room;
    struct trp_str text;
    struct tm utc;
    int micros;
};

/* Plain text with control characters as "\n" or "\x1b". */
static void add_escaped(struct trp_buf *b, struct trp_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        const unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x20 && c != 0x7f)
            trp_buf_add_char(b, s.ptr[i]);
        else if (c == '\n')
            trp_buf_add_text(b, "\\n");
        else
            trp_buf_addf(b, "\\x%02x", c);
    }
}

static void add_iso_time(struct trp_buf *b, const struct event *e)
{
    trp_buf_addf(b, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", e->utc.tm_year + 1900, e->utc.tm_mon + 1,
                 e->utc.tm_mday, e->utc.tm_hour, e->utc.tm_min, e->utc.tm_sec, e->micros);
}

static void add_json_line(struct trp_buf *b, const struct event *e)
{
    trp_buf_add_text(b, "{\"time\":\"");
    add_iso_time(b, e);
    trp_buf_addf(b, "\",\"level\":\"%s\",\"room\":", levels[e->level].name);
    trp_json_write_str(b, trp_str_of(e->room));
    trp_buf_add_text(b, ",\"text\":");
    trp_json_write_str(b, e->text);
    trp_buf_add_text(b, "}\n");
}

static void add_line(struct trp_buf *b, enum trp_log_format format, const struct event *e)
{
    if (format == TRP_LOG_FORMAT_JSON) {
        add_json_line(b, e);
        return;
    }
    if (format == TRP_LOG_FORMAT_ISO8601) {
        add_iso_time(b, e);
        trp_buf_addf(b, " %c", levels[e->level].letter);
    } else {
        trp_buf_addf(b, "%c%02d%02d %02d:%02d:%02d.%06d", levels[e->level].letter,
                     e->utc.tm_mon + 1, e->utc.tm_mday, e->utc.tm_hour, e->utc.tm_min,
                     e->utc.tm_sec, e->micros);
    }
    trp_buf_addf(b, " troupe %s: ", e->room);
    add_escaped(b, e->text);
    trp_buf_add_char(b, '\n');
}

static bool write_once(int fd, struct trp_str line)
{
    ssize_t n;
    do
        n = write(fd, line.ptr, line.len);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)line.len;
}

/* The buffer never grows, so it needs no allocator: logging works when memory is short. */
static struct trp_buf on_stack(char *storage, size_t size)
{
    return (struct trp_buf){ .ptr = storage, .capacity = size, .max = size };
}

void trp_log_write(struct trp_log *log, enum trp_log_level level, const char *room,
                   const char *format, ...)
{
    if (!log || !trp_log_is_enabled(log, level))
        return;
    const int saved_errno = errno;
    char text[TEXT_MAX_BYTES], storage[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    struct event e = { .level = level, .room = room, .text = trp_str_make(text, len) };
    const int64_t wall_ns = trp_clock_wall_ns(log->clock);
    const time_t seconds = (time_t)(wall_ns / TRP_S(1));
    (void)gmtime_r(&seconds, &e.utc);
    e.micros = (int)(wall_ns % TRP_S(1) / 1000);
    struct trp_buf line = on_stack(storage, sizeof storage);
    add_line(&line, trp_log_get_format(log), &e);
    if (line.failed) { /* mostly escapes: a shorter one fits for certain */
        e.text.len = e.text.len < TEXT_MAX_ESCAPED ? e.text.len : TEXT_MAX_ESCAPED;
        line = on_stack(storage, sizeof storage);
        add_line(&line, trp_log_get_format(log), &e);
    }
    if (!write_once(log->fd, trp_buf_str(&line)))
        trp_counter_add(&log->lost, 1);
    errno = saved_errno;
}
