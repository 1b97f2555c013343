/* tensor/reduce.h - one number of many.
 * Answers "what is the largest, the smallest, the mean of this tensor, and what is its third
 * element?".  A tensor is taken as it came from a stranger: nothing about its size or layout needs
 * to have been checked before.
 *
 *  1. What has no such number has none: a tensor that is not there, strings, no element at all (but
 *     count_nonzero, which is 0 then), and data that are not as long as the shape says.
 *  2. A NaN among the elements makes min, max and mean NaN, and counts as not zero (as numpy has
 *     it).
 *  3. Integers of 64 bits beyond 2^53 are rounded to the nearest double; trp_reduce_element_int()
 *     does not round.
 *  4. BOOL is 0 or 1, whatever else the byte holds. */
#ifndef TRP_REDUCE_H
#define TRP_REDUCE_H

#include <stdbool.h>

#include "base/str.h"
#include "troupe/tensor.h"

/* Reduces a tensor to one number.
 *   Shape : any; any dtype but BYTES.  The data need no alignment.
 *   Units : the mean is a sum of doubles by halves, divided: exact but for the division while the
 *           sum of integers stays below 2^53.
 *   Owns  : borrowed; *out is untouched on false.
 *   Thread: any.
 *   Cost  : O(elements), no allocation.
 *   Errors: false: there is no such number (1). */
bool trp_reduce_min(const struct troupe_tensor *t, double *out);
bool trp_reduce_max(const struct troupe_tensor *t, double *out);
bool trp_reduce_mean(const struct troupe_tensor *t, double *out);
bool trp_reduce_count_nonzero(const struct troupe_tensor *t, uint64_t *out);

/* Takes one element in row-major order, as a double, or, of integers and BOOL, exactly.
 *   Owns  : borrowed; *out is untouched on false.
 *   Thread: any.
 *   Cost  : O(1).
 *   Errors: false: there is no such number, or it is no integer, or one above INT64_MAX. */
bool trp_reduce_element(const struct troupe_tensor *t, uint64_t index, double *out);
bool trp_reduce_element_int(const struct troupe_tensor *t, uint64_t index, int64_t *out);

/* Takes one string of a BYTES tensor in row-major order.
 *   Owns  : *out borrows the tensor's memory, and is untouched on false.
 *   Thread: any.
 *   Cost  : O(index).
 *   Errors: false: it is no BYTES tensor, or has no such element, or its lengths lead out of it. */
bool trp_reduce_string(const struct troupe_tensor *t, uint64_t index, struct trp_str *out);

#endif
