/* compose/numbers.c - see numbers.h.
 *
 * Elements are moved by memcpy, because a tensor inside a message may lie anywhere; compilers make
 * plain loads and stores of it, and vectors of those.  Each type has loops of its own, so that
 * none has a switch inside. */
#include "compose/numbers.h"

#include <math.h>
#include <string.h>

#include "base/half.h"
#include "base/status.h"

#define READER(name, type, convert)                                                    \
    static void read_##name(const char *restrict from, size_t n, double *restrict out) \
    {                                                                                  \
        for (size_t i = 0; i < n; i++) {                                               \
            type e;                                                                    \
            memcpy(&e, from + i * sizeof e, sizeof e);                                 \
            out[i] = (double)(convert);                                                \
        }                                                                              \
    }

/* One pass instead of two, for what only sums. */
#define ADDER(name, type, convert)                                                              \
    static void add_##name(const char *restrict from, size_t n, double w, double *restrict sum) \
    {                                                                                           \
        for (size_t i = 0; i < n; i++) {                                                        \
            type e;                                                                             \
            memcpy(&e, from + i * sizeof e, sizeof e);                                          \
            sum[i] += w * (double)(convert);                                                    \
        }                                                                                       \
    }

#define WRITER(name, type, convert)                                                 \
    static void write_##name(const double *restrict v, size_t n, char *restrict to) \
    {                                                                               \
        for (size_t i = 0; i < n; i++) {                                            \
            const type e = (type)(convert);                                         \
            memcpy(to + i * sizeof e, &e, sizeof e);                                \
        }                                                                           \
    }

/* `low` is the least and `last` the largest of the type, `past` the first double above it. */
#define WHOLE_WRITER(name, type, low, past, last)                         \
    static type whole_##name(double v)                                    \
    {                                                                     \
        const double r = rint(v); /* half to even */                      \
        if (isnan(r))                                                     \
            return 0;                                                     \
        return r >= (past) ? (last) : r <= (low) ? (type)(low) : (type)r; \
    }                                                                     \
    WRITER(name, type, whole_##name(v[i]))

/* The float beside `v` that is odd where v is between two: a second rounding, to 16 bits, then
 * goes the right way. */
static float odd_of(double v)
{
    const float f = (float)v;
    uint32_t bits;
    if ((double)f == v || !isfinite(f))
        return f;
    memcpy(&bits, &f, sizeof bits);
    if (!(bits & 1u))
        bits += fabs(v) > fabs((double)f) ? 1u : UINT32_MAX; /* one up or down, away from or to 0 */
    float odd;
    memcpy(&odd, &bits, sizeof odd);
    return odd;
}

READER(BOOL, uint8_t, e != 0)
ADDER(BOOL, uint8_t, e != 0)
READER(UINT8, uint8_t, e)
ADDER(UINT8, uint8_t, e)
READER(UINT16, uint16_t, e)
ADDER(UINT16, uint16_t, e)
READER(UINT32, uint32_t, e)
ADDER(UINT32, uint32_t, e)
READER(UINT64, uint64_t, e)
ADDER(UINT64, uint64_t, e)
READER(INT8, int8_t, e)
ADDER(INT8, int8_t, e)
READER(INT16, int16_t, e)
ADDER(INT16, int16_t, e)
READER(INT32, int32_t, e)
ADDER(INT32, int32_t, e)
READER(INT64, int64_t, e)
ADDER(INT64, int64_t, e)
READER(FP16, uint16_t, trp_fp16_to(e))
ADDER(FP16, uint16_t, trp_fp16_to(e))
READER(BF16, uint16_t, trp_bf16_to(e))
ADDER(BF16, uint16_t, trp_bf16_to(e))
READER(FP32, float, e)
ADDER(FP32, float, e)
READER(FP64, double, e)
ADDER(FP64, double, e)

WRITER(BOOL, uint8_t, v[i] != 0)
WHOLE_WRITER(UINT8, uint8_t, 0.0, 0x1p8, UINT8_MAX)
WHOLE_WRITER(UINT16, uint16_t, 0.0, 0x1p16, UINT16_MAX)
WHOLE_WRITER(UINT32, uint32_t, 0.0, 0x1p32, UINT32_MAX)
WHOLE_WRITER(UINT64, uint64_t, 0.0, 0x1p64, UINT64_MAX)
WHOLE_WRITER(INT8, int8_t, -0x1p7, 0x1p7, INT8_MAX)
WHOLE_WRITER(INT16, int16_t, -0x1p15, 0x1p15, INT16_MAX)
WHOLE_WRITER(INT32, int32_t, -0x1p31, 0x1p31, INT32_MAX)
WHOLE_WRITER(INT64, int64_t, -0x1p63, 0x1p63, INT64_MAX)
WRITER(FP16, uint16_t, trp_fp16_of(odd_of(v[i])))
WRITER(BF16, uint16_t, trp_bf16_of(odd_of(v[i])))
WRITER(FP32, float, v[i])
WRITER(FP64, double, v[i])

static const struct element {
    size_t bytes;
    bool is_float;
    void (*read)(const char *from, size_t n, double *out);
    void (*add)(const char *from, size_t n, double w, double *sum);
    void (*write)(const double *v, size_t n, char *to);
} elements[TROUPE_DTYPES] = {
#define ELEMENT(name, bytes, is_float) \
    [TROUPE_##name] = { bytes, is_float, read_##name, add_##name, write_##name }
    ELEMENT(BOOL, 1, false),   ELEMENT(UINT8, 1, false),  ELEMENT(UINT16, 2, false),
    ELEMENT(UINT32, 4, false), ELEMENT(UINT64, 8, false), ELEMENT(INT8, 1, false),
    ELEMENT(INT16, 2, false),  ELEMENT(INT32, 4, false),  ELEMENT(INT64, 8, false),
    ELEMENT(FP16, 2, true),    ELEMENT(BF16, 2, true),    ELEMENT(FP32, 4, true),
    ELEMENT(FP64, 8, true), /* BYTES has none */
#undef ELEMENT
};

bool trp_numbers_is_number(int32_t dtype)
{
    return dtype > TROUPE_NO_DTYPE && dtype < TROUPE_DTYPES && elements[dtype].read;
}

bool trp_numbers_is_float(int32_t dtype)
{
    return trp_numbers_is_number(dtype) && elements[dtype].is_float;
}

void trp_numbers_read(int32_t dtype, const void *data, uint64_t at, size_t n, double *out)
{
    TRP_DEBUG_ASSERT(trp_numbers_is_number(dtype));
    if (n > 0)
        elements[dtype].read((const char *)data + at * elements[dtype].bytes, n, out);
}

void trp_numbers_add(int32_t dtype, const void *data, uint64_t at, size_t n, double weight,
                     double *sum)
{
    TRP_DEBUG_ASSERT(trp_numbers_is_number(dtype));
    if (n > 0)
        elements[dtype].add((const char *)data + at * elements[dtype].bytes, n, weight, sum);
}

void trp_numbers_write(int32_t dtype, const double *v, size_t n, void *data, uint64_t at)
{
    TRP_DEBUG_ASSERT(trp_numbers_is_number(dtype));
    if (n > 0)
        elements[dtype].write(v, n, (char *)data + at * elements[dtype].bytes);
}
