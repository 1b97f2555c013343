/* store/sample.h - inputs for a model that nobody has given any.
 * Answers "what could it be asked, to see what it does?".  A free size, and the range of integers
 * that a model accepts (they may be indices), are not written anywhere, so whoever tries a model
 * tries several. */
#ifndef TRP_SAMPLE_H
#define TRP_SAMPLE_H

#include "tensor/signature.h"

struct trp_sample_size {
    int64_t free;   /* of all free dimensions, */
    int64_t first;  /* but the first, when this is > 0 */
    uint32_t top;   /* largest integer */
    bool is_varied; /* rows differ in scale by 100, and strings from row to row */
};

/* Makes one input; the same on every machine.
 *   Owns  : trp_sample_drop() frees what out->data is.
 *   Thread: any.
 *   Errors: false: it would be too large, or there is no memory. */
bool trp_sample_make(const struct trp_io *io, const struct trp_sample_size *size, uint64_t *seed,
                     struct troupe_tensor *out);
void trp_sample_drop(struct troupe_tensor *t); /* zero afterwards; a zero one is allowed */

#endif
