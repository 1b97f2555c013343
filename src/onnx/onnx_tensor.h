/* onnx/onnx_tensor.h - tensors that are written in the file.
 * Answers "how large is it, where do its bytes lie, and which integers does it hold?".  Private
 * to this room. */
#ifndef TRP_ONNX_TENSOR_H
#define TRP_ONNX_TENSOR_H

#include "onnx/onnx_walk.h"

struct trp_onnx_tensor {
    struct trp_str message; /* the whole TensorProto */
    struct trp_str name;
    int32_t elem;
    uint64_t elements, bytes; /* bytes as in memory */
    bool is_external;
};

/* Reads the head of a TensorProto and checks it; an external one is added to the walk's list.
 *   Owns  : texts in *out are borrowed from the file.
 *   Thread: owner.
 *   Cost  : weight bytes are not touched.
 *   Errors: w->status: DATA_LOSS; INVALID_ARGUMENT for a negative size, a product past 2^63, raw
 *           data of another length than the shape asks for, external data without a place. */
void trp_onnx_tensor_read(struct trp_onnx_walk *w, struct trp_str message,
                          struct trp_onnx_tensor *out);

/* Adds a tensor, the parts of a sparse one, or `elements` plain numbers to the sums of a place.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: w->status: TOO_LARGE (tensors_max), INVALID_ARGUMENT when a sum passes 2^64; as
 *           trp_onnx_tensor_read(). */
void trp_onnx_tensor_count(struct trp_onnx_walk *w, const struct trp_onnx_tensor *tensor,
                           enum trp_onnx_place place);
void trp_onnx_sparse_count(struct trp_onnx_walk *w, struct trp_str message,
                           enum trp_onnx_place place, struct trp_onnx_tensor *out_values);
void trp_onnx_numbers_count(struct trp_onnx_walk *w, int32_t elem, uint64_t elements,
                            enum trp_onnx_place place);

/* Which of the dangerous numbers a constant holds. */
struct trp_onnx_ints {
    bool known; /* false: not int32 or int64, or its bytes are elsewhere */
    bool has_zero, has_minus_one, has_min;
};

/* Looks at every number of a constant; `elem` says which smallest one counts as `has_min`.
 *   Owns  : `c` is borrowed.
 *   Thread: any.
 *   Cost  : linear in the constant.
 *   Errors: none; what cannot be read is not known. */
struct trp_onnx_ints trp_onnx_constant_ints(const struct trp_onnx_constant *c, int32_t elem);

#endif
