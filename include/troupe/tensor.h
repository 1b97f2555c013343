/* troupe/tensor.h - a tensor as backends and the server see it.
 * Answers "what is in this memory?".  Plain data, no functions; depends on the C library only. */
#ifndef TROUPE_TENSOR_H
#define TROUPE_TENSOR_H

#include <stddef.h>
#include <stdint.h>

/* Element types.  The numbers are those of the DataType enum in Triton's model configuration.
 * Raw layout: row-major, little-endian, no padding.  BOOL is one byte, 0 or 1.  FP16 and BF16 are
 * two bytes.  BYTES is, for each element in row-major order, a little-endian uint32 length and then
 * that many bytes (the same on the wire, in shared memory and here). */
enum troupe_dtype {
    TROUPE_NO_DTYPE = 0,
    TROUPE_BOOL = 1,
    TROUPE_UINT8 = 2,
    TROUPE_UINT16 = 3,
    TROUPE_UINT32 = 4,
    TROUPE_UINT64 = 5,
    TROUPE_INT8 = 6,
    TROUPE_INT16 = 7,
    TROUPE_INT32 = 8,
    TROUPE_INT64 = 9,
    TROUPE_FP16 = 10,
    TROUPE_FP32 = 11,
    TROUPE_FP64 = 12,
    TROUPE_BYTES = 13,
    TROUPE_BF16 = 14,
    TROUPE_DTYPES = 15 /* the count, NO_DTYPE included */
};

/* The largest rank that is served.  ONNX Runtime itself has no lower limit in practice. */
#define TROUPE_RANK_MAX 16

/* One tensor that holds data.
 *   Shape : `rank` sizes in `shape`, all >= 0; rank 0 is a scalar of one element.
 *   Units : `bytes` is the length of the raw layout above; for fixed-size types, elements * width.
 *   Owns  : whoever set `release` is called back exactly once, on any thread, when the memory is no
 *           longer needed; NULL means the memory is borrowed and outlives the call it was given
 *           to. */
struct troupe_tensor {
    int32_t dtype; /* enum troupe_dtype */
    uint32_t rank;
    int64_t shape[TROUPE_RANK_MAX];
    void
        *data; /* NULL: absent (an optional input that was not sent, or an output to be provided) */
    uint64_t bytes;
    void (*release)(void *release_user, void *data);
    void *release_user;
};

#endif
