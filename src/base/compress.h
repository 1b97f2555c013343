/* base/compress.h - gzip and deflate of whole bodies, with a bound.
 * Answers "how long is this really?".  One face over zlib for HTTP and gRPC. */
#ifndef TRP_COMPRESS_H
#define TRP_COMPRESS_H

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

enum trp_coding { TRP_CODING_IDENTITY, TRP_CODING_GZIP, TRP_CODING_DEFLATE, TRP_CODING_UNKNOWN };

/* "identity", "gzip" (also "x-gzip"), "deflate" in any case; anything else is UNKNOWN.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
enum trp_coding trp_coding_parse(struct trp_str name);
const char *trp_coding_name(enum trp_coding c);

/* Unpacks `in` to the end of `out`; `out->max` bounds it, so a bomb stops there.  Deflate is read
 * with a zlib header or raw, as senders differ.
 *   Owns  : copied.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT (corrupt or cut off, bytes behind the end), TOO_LARGE, OUT_OF_MEMORY,
 *           UNSUPPORTED_MEDIA (an unknown coding). */
trp_status trp_coding_unpack(enum trp_coding c, struct trp_str in, struct trp_buf *out,
                             struct trp_error *err);

/* Packs `in` to the end of `out` (level 1: speed).
 *   Owns  : copied.
 *   Thread: any.
 *   Errors: TOO_LARGE, OUT_OF_MEMORY, UNSUPPORTED_MEDIA (an unknown coding). */
trp_status trp_coding_pack(enum trp_coding c, struct trp_str in, struct trp_buf *out,
                           struct trp_error *err);

#endif
