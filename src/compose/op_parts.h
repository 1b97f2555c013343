/* compose/op_parts.h - the built-in steps, each by itself.
 * Answers "who does which step?".  Private to this room; tensor_ops.c has checked types and
 * shapes before it calls these. */
#ifndef TRP_OP_PARTS_H
#define TRP_OP_PARTS_H

#include "compose/tensor_ops.h"

/* A tensor seen along one of its axes: `outer` times `n` times `inner`. */
struct trp_op_axis {
    uint64_t outer, n, inner;
};
uint32_t trp_op_axis_of(int32_t axis, uint32_t rank); /* UINT32_MAX: there is none */
struct trp_op_axis trp_op_axis_split(const int64_t *shape, uint32_t rank, uint32_t axis);

/* A picture, or several: row-major either way. */
struct trp_op_picture {
    uint64_t n, height, width, channels;
};
struct trp_op_picture trp_op_picture_of(const struct troupe_tensor *t, enum trp_layout layout);

/* along one axis (op_axis.c); softmax and argmax need n doubles, top_k n doubles and k indices */
void trp_op_softmax(const struct trp_tensor_op *op, const struct troupe_tensor *in,
                    struct troupe_tensor *out, double *scratch);
void trp_op_argmax(const struct trp_tensor_op *op, const struct troupe_tensor *in,
                   struct troupe_tensor *out, double *scratch);
void trp_op_top_k(const struct trp_tensor_op *op, const struct troupe_tensor *in,
                  struct troupe_tensor *out, double *scratch);

/* element by element (op_cast.c) */
void trp_op_cast(const struct troupe_tensor *in, struct troupe_tensor *out);
void trp_op_threshold(const struct trp_tensor_op *op, const struct troupe_tensor *in,
                      struct troupe_tensor *out);

/* pieces put together (op_join.c); `bytes` of BYTES are measured, and checked again while they are
 * copied, because a client may write to its shared memory at any time */
trp_status trp_op_concatenate_bytes(const struct troupe_tensor *in, uint32_t in_n, uint64_t *out,
                                    struct trp_error *err);
trp_status trp_op_concatenate(const struct trp_tensor_op *op, const struct troupe_tensor *in,
                              uint32_t in_n, struct troupe_tensor *out, struct trp_error *err);
uint64_t trp_op_gather_scratch(const struct troupe_tensor *in);
trp_status trp_op_gather_bytes(const struct trp_tensor_op *op, const struct trp_alloc *alloc,
                               const struct troupe_tensor *in, uint64_t *out,
                               struct trp_error *err);
trp_status trp_op_gather(const struct trp_tensor_op *op, const struct troupe_tensor *in,
                         struct troupe_tensor *out, void *scratch, struct trp_error *err);

/* pictures (op_picture.c) */
uint64_t trp_op_normalise_scratch(const struct trp_op_picture *p);
void trp_op_normalise(const struct trp_tensor_op *op, const struct troupe_tensor *in,
                      struct troupe_tensor *out, double *scratch);
uint64_t trp_op_resize_scratch(const struct trp_op_picture *p, uint32_t height, uint32_t width);
void trp_op_resize(const struct trp_tensor_op *op, const struct troupe_tensor *in,
                   struct troupe_tensor *out, void *scratch);

/* files (op_decode.c) */
trp_status trp_op_decode_plan(const struct trp_tensor_op *op,
                              const struct trp_tensor_op_limits *limits,
                              const struct troupe_tensor *in, struct troupe_tensor *out,
                              uint64_t *out_scratch_bytes, struct trp_error *err);
trp_status trp_op_decode(const struct trp_tensor_op *op, const struct trp_tensor_op_limits *limits,
                         const struct troupe_tensor *in, struct troupe_tensor *out,
                         const struct trp_tensor_op_scratch *scratch, struct trp_error *err);

#endif
