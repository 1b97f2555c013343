/* front/pack.h - bodies packed and unpacked, for both protocols.
 * Answers "how do these bytes travel when they are compressed?". */
#ifndef TRP_PACK_H
#define TRP_PACK_H

#include "front/exchange.h"

#define TRP_PACK_MAX (8u << 20) /* packing more would hold the loop up for too long */

/* Packs the parts of an answer into x->packed.
 *   Owns  : the bytes are the exchange's until it is recycled.
 *   Thread: loop.
 *   Errors: TOO_LARGE, OUT_OF_MEMORY; the answer can go out as it is. */
trp_status trp_pack_parts(struct trp_exchange *x, enum trp_coding coding,
                          const struct trp_part *parts, uint32_t parts_n, uint64_t bytes);

/* Unpacks x->bytes into x->unpacked, with the byte at offset `aligned_at` of the result on a 16-byte boundary, and points
 * x->bytes at it.
 *   Owns  : the packed body is released.
 *   Thread: loop.
 *   Errors: INVALID_ARGUMENT, TOO_LARGE, OUT_OF_MEMORY; in x->error. */
trp_status trp_pack_open(struct trp_exchange *x, enum trp_coding coding, uint64_t aligned_at);

#endif
