/* compose/op_cast.c - steps that look at one element at a time: cast and threshold; see
 * tensor_ops.h. */
#include <math.h>
#include <string.h>

#include "compose/numbers.h"
#include "compose/op_parts.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define BLOCK ((size_t)256)

static bool is_long(int32_t dtype)
{
    return dtype == TROUPE_INT64 || dtype == TROUPE_UINT64;
}

/* Between the two types of 64 bits: a double would round them.  What one of them cannot hold is the
 * half that the other has alone, and both see it in the highest bit. */
static void cast_long(const struct troupe_tensor *in, struct troupe_tensor *out, uint64_t n)
{
    const uint64_t end = in->dtype == TROUPE_UINT64 ? (uint64_t)INT64_MAX : 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, (const char *)in->data + i * sizeof bits, sizeof bits);
        if (bits >> 63)
            bits = end;
        memcpy((char *)out->data + i * sizeof bits, &bits, sizeof bits);
    }
}

void trp_op_cast(const struct troupe_tensor *in, struct troupe_tensor *out)
{
    const bool cuts = trp_numbers_is_float(in->dtype) && !trp_numbers_is_float(out->dtype) &&
                      out->dtype != TROUPE_BOOL;
    double v[BLOCK];
    uint64_t elements = 0;
    if (!trp_shape_elements(in->shape, in->rank, &elements) || elements == 0)
        return;
    if (in->dtype == out->dtype) {
        memcpy(out->data, in->data, out->bytes);
        return;
    }
    if (is_long(in->dtype) && is_long(out->dtype)) {
        cast_long(in, out, elements);
        return;
    }
    for (uint64_t at = 0; at < elements; at += BLOCK) {
        const size_t n = elements - at < BLOCK ? (size_t)(elements - at) : BLOCK;
        trp_numbers_read(in->dtype, in->data, at, n, v);
        for (size_t i = 0; cuts && i < n; i++)
            v[i] = trunc(v[i]);
        trp_numbers_write(out->dtype, v, n, out->data, at);
    }
}

void trp_op_threshold(const struct trp_tensor_op *op, const struct troupe_tensor *in,
                      struct troupe_tensor *out)
{
    double v[BLOCK];
    uint64_t elements = 0;
    if (!trp_shape_elements(in->shape, in->rank, &elements))
        return;
    for (uint64_t at = 0; at < elements; at += BLOCK) {
        const size_t n = elements - at < BLOCK ? (size_t)(elements - at) : BLOCK;
        trp_numbers_read(in->dtype, in->data, at, n, v);
        for (size_t i = 0; i < n; i++)
            v[i] = v[i] >= op->value ? 1 : 0;
        trp_numbers_write(out->dtype, v, n, out->data, at);
    }
}
