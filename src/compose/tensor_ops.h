/* compose/tensor_ops.h - steps of a pipeline that need no model.
 * Answers "what comes out of this step, and which numbers?".  A step is looked at three times: at
 * load, when it says what its outputs are (infer); with the tensors of a request, when it says how
 * much memory they take (plan); and when it runs.
 *
 * | step        | inputs                       | outputs                                                          |
 * |-------------|------------------------------|------------------------------------------------------------------|
 * | softmax     | floats                       | the same shape and type; sums to 1 along `axis`                  |
 * | argmax      | numbers                      | INT64 without `axis` (1 there when `keep_axis`)                  |
 * | top_k       | numbers                      | the `k` largest along `axis`, largest first; INT64 their indices |
 * | normalise   | numbers, picture             | (x * scale - mean[c]) / std[c], type `to`, layout `to_layout`    |
 * | resize      | numbers, picture             | [.., height, width, ..] of the same type                         |
 * | decode      | BYTES [n] or [n, 1]          | UINT8 [n, height, width, channels] of JPEG and PNG files         |
 * | concatenate | two or more of one type      | joined along `axis`                                              |
 * | gather      | data, INT32 or INT64 indices | the elements at these indices of `axis` (ONNX Gather)            |
 * | threshold   | numbers                      | x >= `value`, as BOOL, or 0 and 1 of type `to`                   |
 * | cast        | numbers                      | the same numbers as type `to`                                    |
 *
 * `axis` may count from the end (-1 is the last).  64-bit whole numbers are compared as doubles.
 * Ties go to the lower index; NaN is below every number, and never at or above a threshold.  A
 * slice with NaN or +infinity, or with nothing above -infinity, has a softmax of NaN.
 * A picture is [h, w, c] or [n, h, w, c] (nhwc), or [c, h, w] or [n, c, h, w] (nchw).
 * resize takes pixels as areas (half_pixel of ONNX Resize, align_corners=False of PyTorch; the edge
 * pixel goes on beyond the edge). nearest takes floor((i + 0.5) * in / out), as Pillow and
 * PyTorch's nearest-exact do, which round on the way; bilinear looks at the four pixels around
 * and does not filter what it makes smaller (ONNX linear, antialias=0; OpenCV's INTER_LINEAR); area
 * is Pillow's bilinear: it widens the triangle by the factor by which the picture becomes smaller.
 * Whole numbers are rounded, halves to even. cast: floats to whole numbers are cut towards 0, and
 * what the type does not hold becomes its end; NaN becomes 0; whole numbers are kept exactly
 * where the type holds them and become its end elsewhere; to BOOL: whether it is not 0. */
#ifndef TRP_TENSOR_OPS_H
#define TRP_TENSOR_OPS_H

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/status.h"
#include "base/str.h"
#include "tensor/signature.h"

#define TRP_TENSOR_OP_INPUTS_MAX 64u
#define TRP_TENSOR_OP_OUTPUTS_MAX 2u
#define TRP_TENSOR_OP_CHANNELS_MAX 16u

enum trp_tensor_op_kind {
    TRP_TENSOR_OP_SOFTMAX,
    TRP_TENSOR_OP_ARGMAX,
    TRP_TENSOR_OP_TOP_K,
    TRP_TENSOR_OP_NORMALISE,
    TRP_TENSOR_OP_RESIZE,
    TRP_TENSOR_OP_DECODE,
    TRP_TENSOR_OP_CONCATENATE,
    TRP_TENSOR_OP_GATHER,
    TRP_TENSOR_OP_THRESHOLD,
    TRP_TENSOR_OP_CAST,
    TRP_TENSOR_OPS
};
enum trp_layout { TRP_LAYOUT_NHWC, TRP_LAYOUT_NCHW };
enum trp_resize { TRP_RESIZE_BILINEAR, TRP_RESIZE_NEAREST, TRP_RESIZE_AREA };

/* Zero is what the steps do when nothing is said, but for `axis`, which trp_tensor_op_init()
 * sets. */
struct trp_tensor_op {
    enum trp_tensor_op_kind kind;
    int32_t axis;   /* -1; concatenate and gather: 0 */
    bool keep_axis; /* argmax */
    bool upright;   /* decode: apply EXIF's orientation */
    int64_t k;      /* top_k: >= 1 */
    int32_t
        to; /* cast, threshold (BOOL), normalise (FP32): enum troupe_dtype; NO_DTYPE is the one in
             * brackets */
    enum trp_layout layout, to_layout; /* resize: `layout`; normalise: both */
    enum trp_resize method;
    uint32_t height,
        width; /* resize; decode: 0, 0: as the file has it, and then all of a request must be
                * alike */
    uint32_t channels; /* decode: 1, 3 or 4; 0 is 3 */
    double value;      /* threshold */
    double scale;      /* normalise; 0 is 1 */
    uint32_t mean_n,
        std_n; /* how many of each are given: 0, 1 (for all channels) or the channels */
    double mean[TRP_TENSOR_OP_CHANNELS_MAX], std[TRP_TENSOR_OP_CHANNELS_MAX];
};

/* What a run may use. */
struct trp_tensor_op_limits {
    const struct trp_alloc
        *alloc; /* decode: libpng's state, one picture; gather of strings: where they begin */
    uint64_t pixels_max;   /* of each picture that is decoded or made; 0: none */
    uint64_t output_bytes; /* of all outputs together; 0: none */
    const struct trp_flag
        *stop; /* decode: looked at before each file; NULL: it goes on to the end */
};

/* Memory that a run may write to as it likes, aligned to 16: the plan says how many bytes, the
 * caller where. */
struct trp_tensor_op_scratch {
    void *ptr;
    uint64_t bytes;
};

/* "top_k" to TRP_TENSOR_OP_TOP_K and back, the name that a wrong one may have meant, and a step of
 * this kind with its defaults.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: false: no such kind; near: NULL: none is near. */
bool trp_tensor_op_parse(struct trp_str name, enum trp_tensor_op_kind *out);
const char *trp_tensor_op_near(struct trp_str name);
const char *trp_tensor_op_name(enum trp_tensor_op_kind kind);
void trp_tensor_op_init(struct trp_tensor_op *op, enum trp_tensor_op_kind kind);

/* How many inputs it takes at least and at most, and how many outputs it gives.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
void trp_tensor_op_counts(const struct trp_tensor_op *op, uint32_t *out_inputs_min,
                          uint32_t *out_inputs_max, uint32_t *out_outputs);

/* Says what comes out of inputs of these types and shapes; -1 is a size that is not known yet, and
 * any_rank a rank.
 *   Shape : out has room for TRP_TENSOR_OP_OUTPUTS_MAX.
 *   Owns  : outputs have no names (top_k: "values", "indices"); names of inputs are used in
 *           messages only.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT with input, what it is and what was expected. */
trp_status trp_tensor_op_infer(const struct trp_tensor_op *op, const struct trp_io *in,
                               uint32_t in_n, struct trp_io *out, struct trp_error *err);

/* Says which outputs these inputs make: dtype, rank, shape and bytes are filled in; data stays
 * NULL.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Cost  : O(rank); decode reads the headers of the files; BYTES are measured: O(strings).
 *   Errors: as infer; TOO_LARGE (limits IMAGE, OUTPUT); INVALID_ARGUMENT: a file that is no
 *           picture, an index out of range. */
trp_status trp_tensor_op_plan(const struct trp_tensor_op *op,
                              const struct trp_tensor_op_limits *limits,
                              const struct troupe_tensor *in, uint32_t in_n,
                              struct troupe_tensor *out, struct trp_tensor_op_scratch *out_scratch,
                              struct trp_error *err);

/* Runs it on what was planned; out[i].data has room for out[i].bytes (NULL: this output is not
 * wanted).
 *   Owns  : data and scratch are the caller's; `out` overlaps no input.
 *   Thread: any.
 *   Cost  : O(elements); top_k O(elements * log k); no allocation but what limits->alloc says.
 *   Errors: INVALID_ARGUMENT: a damaged file, or inputs that changed since the plan (a client may
 *           write to its shared memory at any time); OUT_OF_MEMORY; CANCELLED. */
trp_status trp_tensor_op_run(const struct trp_tensor_op *op,
                             const struct trp_tensor_op_limits *limits,
                             const struct troupe_tensor *in, uint32_t in_n,
                             struct troupe_tensor *out, const struct trp_tensor_op_scratch *scratch,
                             struct trp_error *err);

#endif
