/* base/buf.c - see buf.h. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#define FIRST_BYTES 256

void trp_buf_init(struct trp_buf *b, const struct trp_alloc *alloc, size_t max)
{
    *b = (struct trp_buf){ .alloc = alloc, .max = max };
}

void trp_buf_deinit(struct trp_buf *b)
{
    trp_alloc_free(b->alloc, b->ptr);
    b->ptr = NULL;
    b->len = b->capacity = 0;
}

char *trp_buf_grow(struct trp_buf *b, size_t bytes)
{
    if (b->failed)
        return NULL;
    if (bytes > b->max || b->len > b->max - bytes) {
        b->failed = TRP_TOO_LARGE;
        return NULL;
    }
    size_t capacity = b->capacity ? b->capacity : FIRST_BYTES;
    while (capacity < b->len + bytes)
        capacity = capacity > b->max / 2 ? b->max : capacity * 2;
    if (capacity > b->max)
        capacity = b->max;
    char *grown = trp_alloc_resize(b->alloc, b->ptr, b->len, capacity);
    if (!grown) {
        b->failed = TRP_OUT_OF_MEMORY;
        return NULL;
    }
    b->ptr = grown;
    b->capacity = capacity;
    return b->ptr + b->len;
}

void trp_buf_add_u64(struct trp_buf *b, uint64_t v)
{
    char room[TRP_STR_DIGITS];
    trp_buf_add_str(b, trp_str_of_u64(v, room));
}

void trp_buf_add_i64(struct trp_buf *b, int64_t v)
{
    if (v < 0)
        trp_buf_add_char(b, '-');
    trp_buf_add_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void trp_buf_addf(struct trp_buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, format, args);
    char *room = n < 0 ? NULL : trp_buf_room(b, (size_t)n + 1);
    if (room) {
        vsnprintf(room, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

void trp_buf_reset(struct trp_buf *b)
{
    b->len = 0;
    b->failed = TRP_OK;
}

const char *trp_buf_text(struct trp_buf *b)
{
    char *room = trp_buf_room(b, 1);
    if (!room)
        return NULL;
    *room = '\0';
    return b->ptr;
}

trp_status trp_buf_check(const struct trp_buf *b, const char *what, struct trp_error *err)
{
    if (!b->failed)
        return trp_ok();
    if (b->failed == TRP_TOO_LARGE)
        return trp_fail(err, TRP_TOO_LARGE, "%s: larger than %zu bytes", what, b->max);
    return trp_fail(err, TRP_OUT_OF_MEMORY, "%s: no memory for more than %zu bytes", what, b->len);
}
