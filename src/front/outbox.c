#include "front/outbox.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define TEXT_MAX ((size_t)1 << 30) /* a guard only: connections stop reading long before */
#define TEXT_KEEP 65536u           /* a larger text buffer is given back when it is empty */
#define TEXT_SHIFT 65536u          /* written text in front of the rest that is worth a memmove */
#define FIRST_PARTS 8u
#define IOVECS_MAX 64

void trp_outbox_init(struct trp_outbox *o, const struct trp_alloc *alloc)
{
    *o = (struct trp_outbox){ .alloc = alloc };
    trp_buf_init(&o->text, alloc, TEXT_MAX);
}

void trp_outbox_deinit(struct trp_outbox *o)
{
    trp_buf_deinit(&o->text);
    trp_alloc_free(o->alloc, o->parts);
    o->parts = NULL;
    o->first = o->end = o->capacity = 0;
}

static struct trp_outbox_part *push(struct trp_outbox *o)
{
    if (o->parts && o->end == o->capacity && o->first > o->capacity / 2) {
        memmove(o->parts, o->parts + o->first, (o->end - o->first) * sizeof *o->parts);
        o->end -= o->first;
        o->first = 0;
    }
    if (o->end == o->capacity) {
        const uint32_t capacity = o->capacity ? o->capacity * 2 : FIRST_PARTS;
        struct trp_outbox_part *parts = trp_alloc_resize(
            o->alloc, o->parts, o->capacity * sizeof *parts, capacity * sizeof *parts);
        if (!parts) {
            o->failed = true;
            return NULL;
        }
        o->parts = parts;
        o->capacity = capacity;
    }
    return &o->parts[o->end++];
}

void trp_outbox_add(struct trp_outbox *o, const void *ptr, size_t len)
{
    if (len == 0 || o->failed)
        return;
    const size_t at = o->text.len;
    trp_buf_add(&o->text, ptr, len);
    if (o->text.failed) {
        o->failed = true;
        return;
    }
    o->queued += len;
    struct trp_outbox_part *last = o->end > o->first ? &o->parts[o->end - 1] : NULL;
    if (last && !last->ptr) { /* text behind text is contiguous */
        last->len += len;
        return;
    }
    struct trp_outbox_part *part = push(o);
    if (part)
        *part = (struct trp_outbox_part){ .at = at, .len = len };
}

void trp_outbox_borrow(struct trp_outbox *o, const void *ptr, size_t len)
{
    if (len == 0 || o->failed)
        return;
    o->queued += len;
    struct trp_outbox_part *part = push(o);
    if (part)
        *part = (struct trp_outbox_part){ .ptr = ptr, .len = len };
}

static const char *start_of(const struct trp_outbox *o, const struct trp_outbox_part *part)
{
    return part->ptr ? part->ptr : o->text.ptr + part->at;
}

static void advance(struct trp_outbox *o, size_t n)
{
    o->sent += n;
    while (n) {
        const size_t left = o->parts[o->first].len - o->off;
        if (n < left) {
            o->off += n;
            return;
        }
        n -= left;
        o->off = 0;
        o->first++;
    }
}

/* Text that was written is dropped: all of it when nothing is left, else when it is worth a
 * move. */
static void tidy(struct trp_outbox *o)
{
    if (o->first == o->end) {
        o->first = o->end = 0;
        trp_buf_reset(&o->text);
        if (o->text.capacity > TEXT_KEEP) {
            trp_buf_deinit(&o->text);
            trp_buf_init(&o->text, o->alloc, TEXT_MAX);
        }
        return;
    }
    uint32_t i = o->first;
    while (i < o->end && o->parts[i].ptr)
        i++;
    const size_t gone = i < o->end ? o->parts[i].at + (i == o->first ? o->off : 0) : o->text.len;
    if (gone < TEXT_SHIFT)
        return;
    memmove(o->text.ptr, o->text.ptr + gone, o->text.len - gone);
    o->text.len -= gone;
    for (; i < o->end; i++) {
        struct trp_outbox_part *part = &o->parts[i];
        if (part->ptr)
            continue;
        if (part->at < gone) { /* the part that is being written */
            part->len -= gone - part->at;
            part->at = gone;
            o->off = 0;
        }
        part->at -= gone;
    }
}

/* One piece, which most replies are, needs no message header that the kernel would have to read. */
static ssize_t send_some(int fd, const struct iovec *iov, size_t n)
{
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    if (n == 1)
        return send(fd, iov[0].iov_base, iov[0].iov_len, flags);
    const struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n };
    return sendmsg(fd, &message, flags);
}

enum trp_outbox_result trp_outbox_flush(struct trp_outbox *o, int fd)
{
    enum trp_outbox_result result = TRP_OUTBOX_EMPTY;
    while (!o->failed && o->first < o->end) {
        struct iovec iov[IOVECS_MAX];
        size_t n = 0, bytes = 0;
        for (uint32_t i = o->first; i < o->end && n < IOVECS_MAX; i++, n++) {
            const size_t skip = i == o->first ? o->off : 0;
            iov[n].iov_base = (void *)(uintptr_t)(start_of(o, &o->parts[i]) + skip);
            iov[n].iov_len = o->parts[i].len - skip;
            bytes += iov[n].iov_len;
        }
        const ssize_t sent = send_some(fd, iov, n);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0) {
            result = errno == EAGAIN ? TRP_OUTBOX_BLOCKED : TRP_OUTBOX_BROKEN;
            break;
        }
        advance(o, (size_t)sent);
        if ((size_t)sent < bytes) { /* full: the socket says when it has room */
            result = TRP_OUTBOX_BLOCKED;
            break;
        }
    }
    if (o->failed)
        return TRP_OUTBOX_BROKEN;
    tidy(o);
    return result;
}
