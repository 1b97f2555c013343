/* tensor/signature.h - what something takes and gives.
 * Answers "which tensors go in, which come out?".  Immutable after it was built. */
#ifndef TRP_SIGNATURE_H
#define TRP_SIGNATURE_H

#include "base/alloc.h"
#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "troupe/backend.h"
#include "troupe/tensor.h"

struct trp_io {
    struct trp_str name;
    int32_t dtype;
    uint32_t rank;
    int64_t dims[TROUPE_RANK_MAX]; /* -1: any; includes the batch dimension */
    const struct trp_str
        *dim_names; /* one for each of `rank`, empty: none; a hint, not a law; NULL: no
                                        dimension has a name */
    bool optional, any_rank, shape_unchecked;
    const struct trp_str *labels;
    uint32_t labels_n;
};

struct trp_signature {
    const struct trp_io *inputs, *outputs;
    uint32_t inputs_n, outputs_n;
    int32_t batch_max; /* > 0: dims[0] is the batch dimension, at most this (Triton's
                          max_batch_size); 0: none */
    uint16_t hidden_inputs_n,
        hidden_outputs_n;    /* stand behind the others, in the same arrays; not for clients */
    struct trp_str platform; /* "onnxruntime_onnx" */
};

/* Builds a signature piece by piece in an arena; the callbacks of trp_signature_sink() fill it.
 *   Owns  : everything lives in `arena`.
 *   Thread: owner.
 *   Errors: `failed` is set when memory is short or a limit (TRP_IO_MAX each way) is passed. */
#define TRP_IO_MAX 1024
struct trp_signature_builder {
    struct trp_arena *arena;
    struct trp_io *inputs, *outputs;
    uint32_t inputs_n, inputs_capacity, outputs_n, outputs_capacity;
    struct trp_str platform;
    int32_t failed; /* enum trp_code */
};
void trp_signature_builder_init(struct trp_signature_builder *b, struct trp_arena *arena);
void trp_signature_builder_add(struct trp_signature_builder *b, bool is_output,
                               const struct trp_io *io);
struct troupe_sink trp_signature_sink(struct trp_signature_builder *b);
trp_status trp_signature_build(struct trp_signature_builder *b, struct trp_signature *out,
                               struct trp_error *err);

/* Copies a signature and all that it points to, but the names of classes and what is hidden.
 *   Owns  : lives in `arena`.
 *   Thread: owner of the arena.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_signature_dup(const struct trp_signature *from, struct trp_arena *arena,
                             struct trp_signature *out, struct trp_error *err);

/* Copies names of dimensions; NULL, and no memory, when none has one.
 *   Owns  : lives in `arena`.
 *   Thread: owner of the arena.
 *   Errors: false: memory is short. */
bool trp_signature_dup_dim_names(struct trp_arena *arena, const struct trp_str *names,
                                 uint32_t rank, const struct trp_str **out);

/* Where `name` stands; looks at `hint` first, because whoever was told the order keeps to it.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Cost  : one comparison when the hint is right, else linear.
 *   Errors: UINT32_MAX when absent. */
static inline uint32_t trp_signature_place(const struct trp_io *ios, uint32_t n,
                                           struct trp_str name, uint32_t hint)
{
    if (hint < n && trp_str_is_equal(ios[hint].name, name))
        return hint;
    for (uint32_t i = 0; i < n; i++)
        if (trp_str_is_equal(ios[i].name, name))
            return i;
    return UINT32_MAX;
}

/* How many rows it takes in one request.
 *   Units : rows; INT64_MAX: any number; 0: it has none, because an input is of a fixed size.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
int64_t trp_signature_rows_max(const struct trp_signature *s);

/* Finds by name; NULL when absent.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Cost  : linear; a signature has few names.
 *   Errors: none. */
const struct trp_io *trp_signature_input(const struct trp_signature *s, struct trp_str name);
const struct trp_io *trp_signature_output(const struct trp_signature *s, struct trp_str name);

#endif
