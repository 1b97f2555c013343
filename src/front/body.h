/* front/body.h - a request's body, in a buffer of the pool.
 * Answers "where do these bytes go?".  Room is leased once when the length is known, so that a
 * socket can read into it; else it grows by doubling.  One byte of the body can be asked to lie
 * on a 64-byte boundary. */
#ifndef TRP_BODY_H
#define TRP_BODY_H

#include "base/status.h"
#include "base/str.h"
#include "tensor/pool.h"

#define TRP_BODY_ALIGN 64u

struct trp_body { /* zero is empty */
    struct trp_lease *lease;
    char *ptr;
    size_t len, room; /* `room` bytes fit at ptr */
    uint64_t copied_bytes;
};

/* Leases room for `bytes`, so placed that the byte at offset `aligned_at` lies on a boundary.
 *   Owns  : the body holds one reference of its lease, until trp_body_release() or
 *           trp_body_take_lease().
 *   Thread: loop.
 *   Errors: OUT_OF_MEMORY (the pool's or the account's limit). */
trp_status trp_body_reserve(struct trp_body *b, struct trp_pool *pool, size_t bytes,
                            uint64_t aligned_at, struct trp_error *err);

/* Moves what has come, so that the byte at offset `aligned_at` lies on a boundary: for who learns
 * only now which one it is.  Takes up to TRP_BODY_ALIGN - 1 bytes of the room.
 *   Owns  : nothing; what pointed into the body points elsewhere.
 *   Thread: loop.
 *   Errors: none. */
void trp_body_align(struct trp_body *b, uint64_t aligned_at);

/* Appends a copy (counted), growing when needed.
 *   Units : bytes_max: the limit of the whole body.
 *   Owns  : copied.
 *   Thread: loop.
 *   Errors: TOO_LARGE, OUT_OF_MEMORY. */
trp_status trp_body_append(struct trp_body *b, struct trp_pool *pool, struct trp_str bytes,
                           uint64_t bytes_max, struct trp_error *err);

void trp_body_release(struct trp_body *b);
struct trp_lease *trp_body_take_lease(struct trp_body *b); /* moves it out; may be NULL */

#endif
