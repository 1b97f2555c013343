/* base/compress.h - gzip and deflate, in steps.
 * Answers "what do these bytes say?".  One face over zlib for HTTP and gRPC; how much is done at
 * once, and how much may come of it, is the caller's business. */
#ifndef TRP_COMPRESS_H
#define TRP_COMPRESS_H

#include <stdbool.h>

#include "base/alloc.h"
#include "base/status.h"
#include "base/str.h"

enum trp_coding { TRP_CODING_IDENTITY, TRP_CODING_GZIP, TRP_CODING_DEFLATE, TRP_CODING_UNKNOWN };

/* "identity", "gzip" (also "x-gzip"), "deflate" in any case; anything else is UNKNOWN.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
enum trp_coding trp_coding_parse(struct trp_str name);
const char *trp_coding_name(enum trp_coding c);

/* One body on its way through zlib, in steps as small as the caller likes. */
struct trp_coder;
enum trp_coder_way { TRP_CODER_UNPACK, TRP_CODER_PACK /* level 1: speed */ };

/* Makes one; destroy accepts NULL.  Deflate is unpacked with a zlib header or raw, as senders
 * differ.
 *   Owns  : the caller destroys; `alloc` is borrowed.
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY, UNSUPPORTED_MEDIA (neither gzip nor deflate). */
trp_status trp_coder_create(const struct trp_alloc *alloc, enum trp_coding c,
                            enum trp_coder_way way, struct trp_coder **out_coder,
                            struct trp_error *err);
void trp_coder_destroy(struct trp_coder *k);

/* Uses of `in`, and fills of `out`, as much as either allows.  Nothing used and nothing made: more
 * input is needed, or there is none (`is_last`: nothing comes behind `in`) and the body is cut off,
 * see trp_coder_check().
 *   Units : bytes; room >= 1.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT (corrupt), OUT_OF_MEMORY. */
struct trp_coder_step {
    size_t used, made;
    bool is_over; /* the stream has ended; all was given out */
};
trp_status trp_coder_step(struct trp_coder *k, struct trp_str in, bool is_last, char *out,
                          size_t room, struct trp_coder_step *step, struct trp_error *err);

/* Was that all, and no more?
 *   Units : in_bytes: of the whole body.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT (cut off, bytes behind the end). */
trp_status trp_coder_check(const struct trp_coder *k, size_t in_bytes, struct trp_error *err);

/* The most that packing `bytes` can make.
 *   Units : bytes.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
size_t trp_coder_bound(struct trp_coder *k, size_t bytes);

#endif
