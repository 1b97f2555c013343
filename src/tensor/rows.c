/* tensor/rows.c - see rows.h. */
#include "tensor/rows.h"

#include <string.h>

#include "tensor/shape.h"

bool trp_rows_alike(const struct troupe_tensor *a, const struct troupe_tensor *b)
{
    if (!a->data || !b->data)
        return a->data == b->data;
    if (a->dtype != b->dtype || a->rank != b->rank || a->rank == 0)
        return false;
    return memcmp(a->shape + 1, b->shape + 1, (a->rank - 1) * sizeof *a->shape) == 0;
}

void trp_rows_append(struct troupe_tensor *into, const struct troupe_tensor *part)
{
    if (part->bytes > 0)
        memcpy((char *)into->data + into->bytes, part->data, part->bytes);
    into->bytes += part->bytes;
    into->shape[0] += part->shape[0];
}

/* Bytes of the next `n` strings; false when they pass `left`. */
static bool measure_strings(const char *at, uint64_t left, uint64_t n, uint64_t *out)
{
    uint64_t used = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t length;
        if (left - used < sizeof length)
            return false;
        memcpy(&length, at + used, sizeof length);
        used += sizeof length;
        if (left - used < length)
            return false;
        used += length;
    }
    *out = used;
    return true;
}

bool trp_rows_cut(const struct troupe_tensor *t, uint64_t rows, struct trp_rows_cursor *at,
                  struct troupe_tensor *out_view)
{
    const uint64_t all = trp_rows_count(t), left = t->bytes - at->offset;
    uint64_t elements, bytes;
    if (at->row > all || rows > all - at->row)
        return false;
    struct troupe_tensor view = *t;
    view.shape[0] = (int64_t)rows;
    view.data = t->data ? (char *)t->data + at->offset : NULL;
    view.release = NULL;
    view.release_user = NULL;
    if (t->dtype == TROUPE_BYTES) {
        if ((!view.data && left > 0) || !trp_shape_elements(view.shape, view.rank, &elements) ||
            !measure_strings(view.data, left, elements, &bytes))
            return false;
    } else if (!trp_shape_bytes(view.shape, view.rank, t->dtype, &bytes)) {
        return false;
    }
    if (bytes > left)
        return false;
    view.bytes = bytes;
    at->row += rows;
    at->offset += bytes;
    *out_view = view;
    return true;
}
