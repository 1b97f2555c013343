/* tensor/reshape.h - between the shape that clients see and the shape that the file says.
 * Answers "does this tensor fit here, and in which shape?".  Nearly always the two are one, so
 * that part costs no call. */
#ifndef TRP_RESHAPE_H
#define TRP_RESHAPE_H

#include "tensor/signature.h"

/* Whether a tensor has a shape that is declared: its rank, and every fixed size.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
static inline bool trp_reshape_fits(const struct trp_io *io, const struct troupe_tensor *t)
{
    if (io->any_rank || io->shape_unchecked)
        return true;
    if (io->rank != t->rank)
        return false;
    for (uint32_t d = 0; d < io->rank; d++)
        if (io->dims[d] >= 0 && io->dims[d] != t->shape[d])
            return false;
    return true;
}

/* Gives a tensor that fits `from` the shape that `to` declares (Triton's `reshape`): fixed sizes as
 * declared, the k-th free one from the k-th free one of `from`, a single free one that has no such
 * partner from the number of elements.  What cannot be resolved stays as it is: the backend says
 * what it thinks of it.  `resolve` does the work when there is any.
 *   Shape : the number of elements stays.
 *   Owns  : t->data stays where it is; a tensor that was not sent (NULL) is left alone.
 *   Thread: any.
 *   Errors: none. */
void trp_reshape_resolve(const struct trp_io *from, const struct trp_io *to,
                         struct troupe_tensor *t);
static inline void trp_reshape_tensor(const struct trp_io *from, const struct trp_io *to,
                                      struct troupe_tensor *t)
{
    if (t->data && !trp_reshape_fits(to, t))
        trp_reshape_resolve(from, to, t);
}

#endif
