/* front/outbox.h - bytes on their way to a socket.
 * Answers "what is still to be written?".  Text is copied in and gathered; borrowed ranges are
 * named and stay where they are until `sent` has passed them.  One sendmsg() writes many of
 * either. */
#ifndef TRP_OUTBOX_H
#define TRP_OUTBOX_H

#include "base/buf.h"

struct trp_outbox_part {
    const char *ptr; /* NULL: in `text` */
    size_t at, len;
};

struct trp_outbox {
    const struct trp_alloc *alloc;
    struct trp_buf text;
    struct trp_outbox_part *parts;
    uint32_t first, end, capacity; /* parts[first..end) are not written yet */
    size_t off;                    /* bytes of parts[first] that are */
    uint64_t queued, sent;         /* bytes since the beginning */
    bool failed;                   /* memory was short: what follows would be out of step */
};

enum trp_outbox_result { TRP_OUTBOX_EMPTY, TRP_OUTBOX_BLOCKED, TRP_OUTBOX_BROKEN };

/* Sets up an empty outbox; takes no memory yet.
 *   Owns  : the caller calls trp_outbox_deinit(); `alloc` is borrowed.
 *   Thread: owner.
 *   Errors: none. */
void trp_outbox_init(struct trp_outbox *o, const struct trp_alloc *alloc);
void trp_outbox_deinit(struct trp_outbox *o);

/* Appends; `add` copies, `borrow` names.
 *   Owns  : borrowed ranges stay valid until `sent` is at least what `queued` is now.
 *   Thread: owner.
 *   Errors: see o->failed; the connection must end then. */
void trp_outbox_add(struct trp_outbox *o, const void *ptr, size_t len);
void trp_outbox_borrow(struct trp_outbox *o, const void *ptr, size_t len);
static inline uint64_t trp_outbox_left(const struct trp_outbox *o)
{
    return o->queued - o->sent;
}

/* Writes as much as the socket takes.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Blocks: never.
 *   Errors: BROKEN: the peer is gone, or the outbox has failed. */
enum trp_outbox_result trp_outbox_flush(struct trp_outbox *o, int fd);

#endif
