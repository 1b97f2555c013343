/* tensor/reshape.c - see reshape.h. */
#include "tensor/reshape.h"

#include "tensor/shape.h"

void trp_reshape_resolve(const struct trp_io *from, const struct trp_io *to,
                         struct troupe_tensor *t)
{
    int64_t shape[TROUPE_RANK_MAX];
    uint32_t free_from = 0, alone = UINT32_MAX;
    uint64_t elements = 0, known = 0;
    for (uint32_t d = 0; d < to->rank; d++) {
        shape[d] = to->dims[d];
        if (shape[d] >= 0)
            continue;
        while (free_from < from->rank && from->dims[free_from] >= 0)
            free_from++;
        if (free_from < from->rank && free_from < t->rank)
            shape[d] = t->shape[free_from++];
        else if (alone == UINT32_MAX) {
            alone = d;
            shape[d] = 1;
        } else
            return;
    }
    if (!trp_shape_elements(t->shape, t->rank, &elements) ||
        !trp_shape_elements(shape, to->rank, &known))
        return;
    if (alone != UINT32_MAX && known > 0 && elements % known == 0) {
        shape[alone] = (int64_t)(elements / known);
        known = elements;
    }
    if (known != elements)
        return;
    t->rank = to->rank;
    for (uint32_t d = 0; d < to->rank; d++)
        t->shape[d] = shape[d];
}
