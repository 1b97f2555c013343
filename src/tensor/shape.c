/* tensor/shape.c - sizes arrive from strangers, so every product is checked before it is used. */
#include "tensor/shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tensor/dtype.h"

bool trp_shape_elements(const int64_t *shape, uint32_t rank, uint64_t *out)
{
    bool empty = false, too_many = false;
    int64_t elements = 1;
    for (uint32_t i = 0; i < rank; i++) {
        if (shape[i] < 0)
            return false;
        empty |= shape[i] == 0;
        too_many |= __builtin_mul_overflow(elements, shape[i], &elements);
    }
    if (empty) /* [2^40, 2^40, 0] is, whatever the order of its dimensions */
        elements = 0;
    else if (too_many)
        return false;
    *out = (uint64_t)elements;
    return true;
}

bool trp_shape_bytes(const int64_t *shape, uint32_t rank, int32_t dtype, uint64_t *out)
{
    const uint64_t width = trp_dtype_bytes(dtype);
    uint64_t elements, bytes;
    if (width == 0 || !trp_shape_elements(shape, rank, &elements))
        return false;
    if (__builtin_mul_overflow(elements, width, &bytes) || bytes > INT64_MAX)
        return false;
    *out = bytes;
    return true;
}

const char *trp_shape_format(const int64_t *shape, uint32_t rank, char *out, size_t out_size)
{
    size_t len = 0;
    for (uint32_t i = 0; i <= rank && len < out_size; i++) {
        const int n =
            i < rank ? snprintf(out + len, out_size - len, "%s%" PRId64, i ? "," : "[", shape[i])
                     : snprintf(out + len, out_size - len, "%s", rank ? "]" : "[]");
        len += n > 0 ? (size_t)n : 0;
    }
    return out;
}

trp_status trp_bytes_check(const void *ptr, uint64_t bytes, uint64_t elements,
                           struct trp_error *err)
{
    const unsigned char *at = ptr;
    uint64_t offset = 0;
    for (uint64_t i = 0; i < elements; i++) {
        if (bytes - offset < 4)
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "element %" PRIu64 " of %" PRIu64 " at byte %" PRIu64
                            ": no room for a length, %" PRIu64 " bytes left",
                            i, elements, offset, bytes - offset);
        const uint64_t len = (uint64_t)at[offset] | (uint64_t)at[offset + 1] << 8 |
                             (uint64_t)at[offset + 2] << 16 | (uint64_t)at[offset + 3] << 24;
        if (len > bytes - offset - 4)
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "element %" PRIu64 " of %" PRIu64 " at byte %" PRIu64 ": %" PRIu64
                            " bytes long, %" PRIu64 " left",
                            i, elements, offset, len, bytes - offset - 4);
        offset += 4 + len;
    }
    if (offset != bytes)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "%" PRIu64 " bytes behind the last of %" PRIu64
                        " elements, at byte %" PRIu64,
                        bytes - offset, elements, offset);
    return trp_ok();
}
