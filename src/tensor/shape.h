/* tensor/shape.h - sizes of tensors, without overflow.
 * Answers "how many elements, how many bytes, and does it fit what was declared?". */
#ifndef TRP_SHAPE_H
#define TRP_SHAPE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/status.h"
#include "troupe/tensor.h"

/* Multiplies the dimensions; false when one is negative or the product passes INT64_MAX.  Rank 0
 * gives 1.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
bool trp_shape_elements(const int64_t *shape, uint32_t rank, uint64_t *out);

/* Elements times width; false on overflow or for BYTES.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
bool trp_shape_bytes(const int64_t *shape, uint32_t rank, int32_t dtype, uint64_t *out);

/* Writes "[-1,16]" (no spaces).
 *   Owns  : copied into out, cut at out_size.
 *   Thread: any.
 *   Errors: none. */
const char *trp_shape_format(const int64_t *shape, uint32_t rank, char *out, size_t out_size);

/* Checks that `ptr` holds exactly `elements` strings of the raw BYTES layout.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT with the element and the offset. */
trp_status trp_bytes_check(const void *ptr, uint64_t bytes, uint64_t elements,
                           struct trp_error *err);

#endif
