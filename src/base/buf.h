/* base/buf.h - bytes that grow up to a maximum.
 * Answers "where does text go while it is being written?".  Born with a maximum; the first failure
 * sticks, so a writer checks once at the end. */
#ifndef TRP_BUF_H
#define TRP_BUF_H

#include <stdbool.h>

#include "base/alloc.h"
#include "base/status.h"
#include "base/str.h"

struct trp_buf {
    const struct trp_alloc *alloc;
    char *ptr;
    size_t len, capacity, max;
    int32_t failed; /* TRP_OK, TRP_OUT_OF_MEMORY or TRP_TOO_LARGE */
};

/* Sets up an empty buffer in the caller's storage; takes no memory yet.
 *   Units : max in bytes.
 *   Owns  : the caller calls trp_buf_deinit(); `alloc` is borrowed.
 *   Thread: owner.
 *   Errors: none. */
void trp_buf_init(struct trp_buf *b, const struct trp_alloc *alloc, size_t max);
void trp_buf_deinit(struct trp_buf *b);

/* Makes sure that `bytes` more fit and returns where they go; trp_buf_added() says how many came.
 *   Owns  : borrowed until the next call.
 *   Thread: owner.
 *   Errors: NULL; see `failed`. */
char *trp_buf_grow(struct trp_buf *b, size_t bytes); /* when there is no room yet */
static inline char *trp_buf_room(struct trp_buf *b, size_t bytes)
{
    if (bytes <= b->capacity - b->len && b->ptr && !b->failed)
        return b->ptr + b->len;
    return trp_buf_grow(b, bytes);
}
static inline void trp_buf_added(struct trp_buf *b, size_t bytes)
{
    b->len += bytes;
}

/* Append; nothing happens after a failure.
 *   Owns  : the bytes are copied.
 *   Thread: owner.
 *   Errors: see `failed`. */
static inline void trp_buf_add(struct trp_buf *b, const void *ptr, size_t len)
{
    char *room = len > 0 ? trp_buf_room(b, len) : NULL;
    if (!room)
        return;
    memcpy(room, ptr, len);
    b->len += len;
}
static inline void trp_buf_add_str(struct trp_buf *b, struct trp_str s)
{
    trp_buf_add(b, s.ptr, s.len);
}
static inline void trp_buf_add_text(struct trp_buf *b, const char *terminated)
{
    trp_buf_add(b, terminated, strlen(terminated));
}
static inline void trp_buf_add_char(struct trp_buf *b, char c)
{
    trp_buf_add(b, &c, 1);
}
void trp_buf_add_u64(struct trp_buf *b, uint64_t v);
void trp_buf_add_i64(struct trp_buf *b, int64_t v);
void trp_buf_addf(struct trp_buf *b, const char *format, ...) TRP_PRINTF(2, 3);

/* Empties, keeps the memory.  `trp_buf_str` is what was written; `trp_buf_text` terminates it (NULL
 * when failed).
 *   Owns  : borrowed until the next change.
 *   Thread: owner.
 *   Errors: none. */
void trp_buf_reset(struct trp_buf *b);
const char *trp_buf_text(struct trp_buf *b);
static inline struct trp_str trp_buf_str(const struct trp_buf *b)
{
    return trp_str_make(b->ptr, b->len);
}

/* The first failure as a status with words ("reply: larger than N bytes").
 *   Owns  : as trp_fail().
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY, TOO_LARGE. */
trp_status trp_buf_check(const struct trp_buf *b, const char *what, struct trp_error *err);

#endif
