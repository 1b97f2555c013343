/* front/pack.h - bodies unpacked and replies packed, for both protocols, a piece at a time.
 * Answers "how do these bytes travel when they are compressed, and who waits for that?".
 *
 *   body grew ... body is complete --line--> unpacked, in pieces ----> ops->unpacked
 *   reply                          --line--> packed, in pieces ------> ops->packed
 *
 *  1. No turn of a loop takes in and gives out more than TRP_PACK_TURN_BYTES, or takes much longer
 *     than TRP_PACK_TURN_NS, whatever the bodies say; the next turn goes on, after the answers of
 *     this one were written.
 *  2. Whoever is in line gets a piece in turn; small bodies that are complete need not get in line
 *     while there is time.
 *  3. Nothing that was unpacked is copied in one go: what outgrows its buffer moves in pieces,
 *     too. */
#ifndef TRP_PACK_H
#define TRP_PACK_H

#include "front/exchange.h"

#define TRP_PACK_MAX \
    (8u << 20) /* larger replies go out as they are: a slow link is not worth that much of a loop */
#define TRP_PACK_TURN_BYTES ((uint64_t)256 << 10)
#define TRP_PACK_TURN_NS TRP_MS(1)

/* The body (x->body) is packed and has grown: what is there can be unpacked already, at the end of
 * the turn.
 *   Units : aligned_at: the offset in the unpacked body that shall lie on a 16-byte boundary.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none; they are told at the end. */
void trp_pack_body_grew(struct trp_exchange *x, enum trp_coding coding, uint64_t aligned_at);

/* It is complete: ops->unpacked follows, perhaps at once, with x->bytes on the unpacked body; or
 * why not in x->error.
 *   Owns  : the packed body is released; x->bytes lie in x->unpacked.
 *   Thread: loop.
 *   Errors: INVALID_ARGUMENT, TOO_LARGE, OUT_OF_MEMORY; in x->error. */
void trp_pack_body_end(struct trp_exchange *x, enum trp_coding coding, uint64_t aligned_at);

/* Packs the parts of a reply into x->packed: ops->packed follows, perhaps at once.  x->is_packed
 * says whether it went well; if not, the reply can go out as it is.
 *   Owns  : `parts` and what they point at are borrowed until then; a single one is copied.
 *   Thread: loop.
 *   Errors: none. */
void trp_pack_reply(struct trp_exchange *x, enum trp_coding coding, const struct trp_part *parts,
                    uint32_t parts_n, uint64_t bytes);

/* Nobody wants it any more: ops are not called.
 *   Owns  : frees what is under way.
 *   Thread: loop.
 *   Errors: none. */
void trp_pack_stop(struct trp_exchange *x);

/* The end of a turn, after its answers were written: the line moves on.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_pack_turn_end(struct trp_front *f);

#endif
