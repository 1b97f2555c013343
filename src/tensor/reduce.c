/* tensor/reduce.c - see reduce.h.
 *
 * Elements are turned into doubles, a block at a time, and each block is halved until eight lanes
 * are left, so that compilers make vector instructions of all loops without being allowed to change
 * the meaning of floating-point arithmetic.  Turning an integer into the nearest double keeps
 * the order, so the smallest double is that of the smallest integer. */
#include "tensor/reduce.h"

#include <math.h>

#include "base/half.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define BLOCK 256u
#define LANES 8u

/* ---- elements as doubles ---- */

/* A loop of a constant length is one that compilers make vectors of. */
#define LOADER(name, type, expression)                                 \
    static void name(const unsigned char *at, uint32_t n, double *out) \
    {                                                                  \
        type v[BLOCK];                                                 \
        memcpy(v, at, n * sizeof(type)); /* a body aligns nothing */   \
        if (n == BLOCK) {                                              \
            for (uint32_t i = 0; i < BLOCK; i++)                       \
                out[i] = (expression);                                 \
            return;                                                    \
        }                                                              \
        for (uint32_t i = 0; i < n; i++)                               \
            out[i] = (expression);                                     \
    }

LOADER(load_bool, uint8_t, v[i] != 0)
LOADER(load_u8, uint8_t, v[i])
LOADER(load_u16, uint16_t, v[i])
LOADER(load_u32, uint32_t, v[i])
LOADER(load_u64, uint64_t, (double)v[i])
LOADER(load_i8, int8_t, v[i])
LOADER(load_i16, int16_t, v[i])
LOADER(load_i32, int32_t, v[i])
LOADER(load_i64, int64_t, (double)v[i])
LOADER(load_fp16, uint16_t, (double)trp_fp16_to(v[i]))
LOADER(load_bf16, uint16_t, (double)trp_bf16_to(v[i]))
LOADER(load_fp32, float, (double)v[i])
LOADER(load_fp64, double, v[i])

typedef void (*loader_fn)(const unsigned char *at, uint32_t n, double *out);
static const loader_fn loaders[TROUPE_DTYPES] = {
    [TROUPE_BOOL] = load_bool,  [TROUPE_UINT8] = load_u8,   [TROUPE_UINT16] = load_u16,
    [TROUPE_UINT32] = load_u32, [TROUPE_UINT64] = load_u64, [TROUPE_INT8] = load_i8,
    [TROUPE_INT16] = load_i16,  [TROUPE_INT32] = load_i32,  [TROUPE_INT64] = load_i64,
    [TROUPE_FP16] = load_fp16,  [TROUPE_BF16] = load_bf16,  [TROUPE_FP32] = load_fp32,
    [TROUPE_FP64] = load_fp64,
};

/* How many numbers there are; false: none can be had. */
static bool count_numbers(const struct troupe_tensor *t, uint64_t *out)
{
    uint64_t bytes;
    if (t->rank > TROUPE_RANK_MAX || t->dtype <= TROUPE_NO_DTYPE || t->dtype >= TROUPE_DTYPES ||
        !loaders[t->dtype] || !trp_shape_bytes(t->shape, t->rank, t->dtype, &bytes))
        return false;
    if (bytes != t->bytes || (bytes > 0 && !t->data))
        return false;
    *out = bytes / trp_dtype_bytes(t->dtype);
    return true;
}

/* ---- folding ---- */

#define HALVE(n, op)                           \
    for (uint32_t i = 0; i < (n); i++) {       \
        const double a = v[i], b = v[i + (n)]; \
        v[i] = (op);                           \
    }

/* Of a block, and of the lanes before it, eight lanes. */
#define FOLDER(name, op)                        \
    static void name(double *v, double *lane)   \
    {                                           \
        HALVE(128, op)                          \
        HALVE(64, op)                           \
        HALVE(32, op)                           \
        HALVE(16, op)                           \
        HALVE(8, op)                            \
        for (uint32_t i = 0; i < LANES; i++) {  \
            const double a = lane[i], b = v[i]; \
            lane[i] = (op);                     \
        }                                       \
    }

/* A NaN on either side is the result. */
FOLDER(fold_min, (a < b) | (a != a) ? a : b)
FOLDER(fold_max, (a > b) | (a != a) ? a : b)
FOLDER(fold_sum, a + b)

static void fold_nonzero(double *v, double *lane)
{
    for (uint32_t i = 0; i < BLOCK; i++)
        v[i] = v[i] != 0 ? 1.0 : 0.0;
    fold_sum(v, lane);
}

typedef void (*folder_fn)(double *v, double *lane);

/* Folds all elements to eight lanes; what is missing in the last block is filled with `neutral`. */
static void fold_all(const struct troupe_tensor *t, uint64_t n, folder_fn folder, double neutral,
                     double *lane)
{
    const loader_fn load = loaders[t->dtype];
    const uint32_t width = trp_dtype_bytes(t->dtype);
    const unsigned char *at = t->data;
    double v[BLOCK];
    for (uint32_t k = 0; k < LANES; k++)
        lane[k] = neutral;
    for (uint64_t done = 0; done < n; done += BLOCK) {
        const uint32_t here = n - done < BLOCK ? (uint32_t)(n - done) : BLOCK;
        load(at + done * width, here, v);
        for (uint32_t i = here; i < BLOCK; i++)
            v[i] = neutral;
        folder(v, lane);
    }
}

bool trp_reduce_min(const struct troupe_tensor *t, double *out)
{
    double lane[LANES];
    uint64_t n;
    if (!count_numbers(t, &n) || n == 0)
        return false;
    fold_all(t, n, fold_min, INFINITY, lane);
    double least = lane[0];
    for (uint32_t k = 1; k < LANES; k++)
        least = (least < lane[k]) | (least != least) ? least : lane[k];
    *out = least;
    return true;
}

bool trp_reduce_max(const struct troupe_tensor *t, double *out)
{
    double lane[LANES];
    uint64_t n;
    if (!count_numbers(t, &n) || n == 0)
        return false;
    fold_all(t, n, fold_max, -INFINITY, lane);
    double most = lane[0];
    for (uint32_t k = 1; k < LANES; k++)
        most = (most > lane[k]) | (most != most) ? most : lane[k];
    *out = most;
    return true;
}

static double sum_of(const double *lane)
{
    double sum = 0;
    for (uint32_t k = 0; k < LANES; k++)
        sum += lane[k];
    return sum;
}

bool trp_reduce_mean(const struct troupe_tensor *t, double *out)
{
    double lane[LANES];
    uint64_t n;
    if (!count_numbers(t, &n) || n == 0)
        return false;
    fold_all(t, n, fold_sum, 0, lane);
    *out = sum_of(lane) / (double)n;
    return true;
}

bool trp_reduce_count_nonzero(const struct troupe_tensor *t, uint64_t *out)
{
    double lane[LANES];
    uint64_t n;
    if (!count_numbers(t, &n))
        return false;
    fold_all(t, n, fold_nonzero, 0, lane);
    *out = (uint64_t)sum_of(lane);
    return true;
}

/* ---- one element ---- */

bool trp_reduce_element(const struct troupe_tensor *t, uint64_t index, double *out)
{
    uint64_t n;
    if (!count_numbers(t, &n) || index >= n)
        return false;
    const unsigned char *data = t->data;
    loaders[t->dtype](data + index * trp_dtype_bytes(t->dtype), 1, out);
    return true;
}

bool trp_reduce_element_int(const struct troupe_tensor *t, uint64_t index, int64_t *out)
{
    uint64_t n;
    if (!count_numbers(t, &n) || index >= n)
        return false;
    const unsigned char *at = (const unsigned char *)t->data + index * trp_dtype_bytes(t->dtype);
    switch (t->dtype) {
    case TROUPE_INT64:
        memcpy(out, at, sizeof *out);
        return true;
    case TROUPE_UINT64: {
        uint64_t u;
        memcpy(&u, at, sizeof u);
        if (u > INT64_MAX)
            return false;
        *out = (int64_t)u;
        return true;
    }
    case TROUPE_FP16:
    case TROUPE_BF16:
    case TROUPE_FP32:
    case TROUPE_FP64:
        return false;
    default: { /* up to 32 bits: a double is exact */
        double v;
        loaders[t->dtype](at, 1, &v);
        *out = (int64_t)v;
        return true;
    }
    }
}

bool trp_reduce_string(const struct troupe_tensor *t, uint64_t index, struct trp_str *out)
{
    uint64_t n, at = 0;
    if (t->dtype != TROUPE_BYTES || !t->data || t->rank > TROUPE_RANK_MAX ||
        !trp_shape_elements(t->shape, t->rank, &n) || index >= n)
        return false;
    const unsigned char *data = t->data;
    for (uint64_t i = 0;; i++) {
        if (t->bytes - at < 4)
            return false;
        const uint64_t len = (uint64_t)data[at] | (uint64_t)data[at + 1] << 8 |
                             (uint64_t)data[at + 2] << 16 | (uint64_t)data[at + 3] << 24;
        at += 4;
        if (len > t->bytes - at)
            return false;
        if (i == index) {
            *out = trp_str_make((const char *)data + at, (size_t)len);
            return true;
        }
        at += len;
    }
}
