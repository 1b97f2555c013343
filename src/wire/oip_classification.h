/* wire/oip_classification.h - the best classes of an output, as text.
 * Answers "which labels does this row of scores mean?".  For the oip_ files of this room only. */
#ifndef TRP_OIP_CLASSIFICATION_H
#define TRP_OIP_CLASSIFICATION_H

#include "base/arena.h"
#include "base/status.h"
#include "troupe/tensor.h"

#define TRP_CLASSES_MAX 1000000 /* elements of one classified output */

struct trp_classes {
    int32_t dtype;
    uint32_t rank;
    const int64_t *shape;
    const void *data;
    uint64_t bytes;
    const struct trp_str *labels; /* by index; may be fewer than classes */
    uint32_t labels_n;
    bool batched;   /* shape[0] counts items */
    uint64_t n;     /* in: wanted for each item; out: given, at most the elements of an item */
    uint64_t items; /* out */
};

/* Writes "<value>:<index>[:<label>]" for the n largest values of each item, largest first (equal
 * ones by index, NaN last), in the raw layout of BYTES.  Values look as C++'s to_string writes
 * them.
 *   Shape : out is [n] or, batched, [items, n].
 *   Owns  : *out lives in `arena`; `alloc` pays for scratch space.
 *   Thread: loop.
 *   Errors: INVALID_ARGUMENT: a datatype without order, too many elements; BACKEND_FAILED: bytes
 *           and shape disagree; OUT_OF_MEMORY. */
trp_status trp_classes_format(struct trp_classes *c, const struct trp_alloc *alloc,
                              struct trp_arena *arena, struct trp_str *out, struct trp_error *err);

#endif
