/* compose/numbers.h - elements of any number type as doubles, and back.
 * Answers "what number is this?".  What joins or changes tensors is written once, for doubles,
 * and reads and writes by these. */
#ifndef TRP_NUMBERS_H
#define TRP_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "troupe/tensor.h"

/* Whether elements of this type are numbers (BOOL counts: 0 and 1; BYTES does not), and whether
 * they have fractions.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
bool trp_numbers_is_number(int32_t dtype);
bool trp_numbers_is_float(int32_t dtype);

/* Reads `n` elements from element `at` on.  64-bit integers beyond 2^53 are rounded.
 *   Owns  : borrowed; `data` needs no alignment.
 *   Thread: any.
 *   Cost  : O(n), no allocation.
 *   Errors: none; the dtype is a number's. */
void trp_numbers_read(int32_t dtype, const void *data, uint64_t at, size_t n, double *out);

/* Adds `n` elements from element `at` on to sums, each times a weight.
 *   Owns  : borrowed; `data` needs no alignment.
 *   Thread: any.
 *   Cost  : O(n), no allocation.
 *   Errors: none; the dtype is a number's. */
void trp_numbers_add(int32_t dtype, const void *data, uint64_t at, size_t n, double weight,
                     double *sum);

/* Writes `n` doubles from element `at` on.  Integers: rounded half to even, kept within what the
 * type holds, 0 for NaN; BOOL: whether it is not 0 (NaN is not 0).
 *   Owns  : borrowed; `data` needs no alignment.
 *   Thread: any.
 *   Cost  : O(n), no allocation.
 *   Errors: none; the dtype is a number's. */
void trp_numbers_write(int32_t dtype, const double *v, size_t n, void *data, uint64_t at);

#endif
