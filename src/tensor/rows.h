/* tensor/rows.h - a tensor as a row of rows: what its first axis counts.
 * Answers "which part of this memory belongs to these rows?".  Rows of several tensors are laid
 * behind one another in one, and one is cut into views of some of its rows.  The raw layout makes
 * both a matter of bytes: rows lie one behind another, strings with their lengths as well. */
#ifndef TRP_ROWS_H
#define TRP_ROWS_H

#include <stdbool.h>

#include "troupe/tensor.h"

/* How many rows a tensor that is there has; 0: it has no first axis, or an empty one.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
static inline uint64_t trp_rows_count(const struct troupe_tensor *t)
{
    return t->rank > 0 && t->shape[0] > 0 ? (uint64_t)t->shape[0] : 0;
}

/* Whether two tensors differ in their first axis at most: type, rank and the other sizes agree, or
 * neither is there.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
bool trp_rows_alike(const struct troupe_tensor *a, const struct troupe_tensor *b);

/* Lays the rows of `part` behind those that `into` has.
 *   Shape : trp_rows_alike(); into->shape[0] grows by those of `part`.
 *   Owns  : into->data has room for into->bytes + part->bytes.
 *   Thread: owner of `into`.
 *   Errors: none. */
void trp_rows_append(struct troupe_tensor *into, const struct troupe_tensor *part);

/* Where the next cut of a tensor begins; zero is its start. */
struct trp_rows_cursor {
    uint64_t row, offset; /* in bytes */
};

/* Cuts the next `rows` rows out as a view.
 *   Shape : the view's is the tensor's but for its first axis.
 *   Owns  : *out_view borrows the tensor's memory and has no release function.
 *   Thread: any.
 *   Cost  : O(1); O(strings of the rows) for BYTES.
 *   Errors: false: it has not so many rows left, or its strings do not fill its bytes. */
bool trp_rows_cut(const struct troupe_tensor *t, uint64_t rows, struct trp_rows_cursor *at,
                  struct troupe_tensor *out_view);

#endif
