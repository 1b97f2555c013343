/* store/sample.c - see sample.h. */
#include "store/sample.h"

#include <string.h>

#include "base/half.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define INPUT_BYTES_MAX (UINT64_C(64) << 20)
#define STRING "troupe0"

/* splitmix64: the same inputs on every machine. */
static uint64_t next(uint64_t *seed)
{
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void fill_integers(void *data, uint64_t n, uint32_t width, uint32_t top, uint64_t *seed)
{
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t value = next(seed) % (top + UINT64_C(1));
        memcpy((char *)data + i * width, &value, width); /* little-endian */
    }
}

/* Of -1 to 1, times the scale of the row that it is in. */
static void fill_fractions(void *data, uint64_t n, int32_t dtype, uint64_t per_row, uint64_t *seed)
{
    static const double scales[] = { 0.1, 10, 1 };
    for (uint64_t i = 0; i < n; i++) {
        const double scale = per_row ? scales[i / per_row % ARRAY_LEN(scales)] : 1;
        const double value = scale * ((double)(next(seed) >> 11) / (double)(UINT64_C(1) << 52) - 1);
        if (dtype == TROUPE_FP64)
            ((double *)data)[i] = value;
        else if (dtype == TROUPE_FP32)
            ((float *)data)[i] = (float)value;
        else
            ((uint16_t *)data)[i] =
                dtype == TROUPE_FP16 ? trp_fp16_of((float)value) : trp_bf16_of((float)value);
    }
}

static void fill_strings(void *data, uint64_t n, uint64_t per_row)
{
    char *at = data;
    const uint32_t length = sizeof STRING - 1;
    for (uint64_t i = 0; i < n; i++, at += sizeof length + length) {
        memcpy(at, &length, sizeof length);
        memcpy(at + sizeof length, STRING, length);
        at[sizeof length + length - 1] = (char)('0' + (per_row ? i / per_row % 10 : 0));
    }
}

static void fill(struct troupe_tensor *t, uint64_t n, const struct trp_sample_size *size,
                 uint64_t *seed)
{
    const bool has_rows = size->is_varied && t->rank > 0 && t->shape[0] > 0;
    const uint64_t per_row = has_rows ? n / (uint64_t)t->shape[0] : 0;
    switch (t->dtype) {
    case TROUPE_FP16:
    case TROUPE_BF16:
    case TROUPE_FP32:
    case TROUPE_FP64:
        fill_fractions(t->data, n, t->dtype, per_row, seed);
        break;
    case TROUPE_BYTES:
        fill_strings(t->data, n, per_row);
        break;
    default:
        fill_integers(t->data, n, trp_dtype_bytes(t->dtype),
                      t->dtype == TROUPE_BOOL ? 1 : size->top, seed);
    }
}

static bool shape(const struct trp_io *io, const struct trp_sample_size *size,
                  struct troupe_tensor *t, uint64_t *out_elements)
{
    t->dtype = io->dtype;
    t->rank = io->any_rank ? 1 : io->rank;
    for (uint32_t i = 0; i < t->rank; i++)
        t->shape[i] = io->any_rank || io->dims[i] < 0 ? size->free : io->dims[i];
    if (size->first > 0 && t->rank > 0 && (io->any_rank || io->dims[0] < 0))
        t->shape[0] = size->first;
    if (!trp_shape_elements(t->shape, t->rank, out_elements) || *out_elements > INPUT_BYTES_MAX)
        return false;
    const uint64_t width =
        t->dtype == TROUPE_BYTES ? sizeof(uint32_t) + sizeof STRING - 1 : trp_dtype_bytes(t->dtype);
    t->bytes = *out_elements * width;
    return t->bytes <= INPUT_BYTES_MAX;
}

bool trp_sample_make(const struct trp_io *io, const struct trp_sample_size *size, uint64_t *seed,
                     struct troupe_tensor *out)
{
    uint64_t n;
    *out = (struct troupe_tensor){ 0 };
    if (!shape(io, size, out, &n))
        return false;
    out->data = trp_alloc_get(trp_heap(), 1, out->bytes ? out->bytes : 1);
    if (!out->data)
        return false;
    fill(out, n, size, seed);
    return true;
}

void trp_sample_drop(struct troupe_tensor *t)
{
    trp_alloc_free(trp_heap(), t->data);
    *t = (struct troupe_tensor){ 0 };
}
