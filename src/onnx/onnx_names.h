/* onnx/onnx_names.h - the values that are in scope while a graph is walked.
 * Answers "what is known about the value of this name?".  An inner graph sees the names of the
 * graphs around it; leaving it forgets its own.  Private to this room. */
#ifndef TRP_ONNX_NAMES_H
#define TRP_ONNX_NAMES_H

#include "base/alloc.h"
#include "base/status.h"
#include "base/str.h"

/* Bytes of the file that hold the numbers of a constant. */
struct trp_onnx_constant {
    enum { TRP_ONNX_NO_CONSTANT, TRP_ONNX_TENSOR_CONSTANT, TRP_ONNX_ATTRIBUTE_CONSTANT } kind;
    struct trp_str bytes; /* a TensorProto, or an AttributeProto with `i` or `ints` */
};

/* What is known of a value.  All zero: nothing. */
struct trp_onnx_fact {
    int32_t elem;                      /* enum trp_onnx_elem */
    uint32_t index;                    /* of an input or output in its list (onnx_face.c) */
    bool is_input;                     /* of the innermost graph that declares it */
    bool nonnegative;                  /* proven: no element is below 0 */
    struct trp_onnx_constant constant; /* proven: every element is one of these numbers */
};

struct trp_onnx_name; /* one entry */

/* Open so that it can be embedded; touch it by the functions only. */
struct trp_onnx_names {
    const struct trp_alloc *alloc;
    struct trp_onnx_name *entries;
    uint32_t *buckets; /* entry + 1, newest first; a power of two of them */
    uint32_t entries_n, entries_capacity, buckets_n, entries_max;
    uint32_t scope; /* first entry of the innermost graph */
};

/* Sets up an empty table in the caller's storage; takes no memory yet.
 *   Owns  : the caller calls deinit; `alloc` is borrowed.
 *   Thread: owner.
 *   Errors: none. */
void trp_onnx_names_init(struct trp_onnx_names *t, const struct trp_alloc *alloc,
                         uint32_t entries_max);
void trp_onnx_names_deinit(struct trp_onnx_names *t);

/* Opens a scope and closes it with what open() returned.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : close() is linear in the names of the scope.
 *   Errors: none. */
uint32_t trp_onnx_names_open(struct trp_onnx_names *t);
void trp_onnx_names_close(struct trp_onnx_names *t, uint32_t outer);

/* Looks a name up, innermost scope first; all zero when unknown or empty.
 *   Owns  : copied; texts in it are borrowed from the file.
 *   Thread: owner.
 *   Errors: none. */
struct trp_onnx_fact trp_onnx_names_get(const struct trp_onnx_names *t, struct trp_str name);

/* True when the innermost scope itself declares the name.
 *   Owns  : *out is copied and may be NULL.
 *   Thread: owner.
 *   Errors: none. */
bool trp_onnx_names_is_local(const struct trp_onnx_names *t, struct trp_str name,
                             struct trp_onnx_fact *out);

/* Puts a fact into the innermost scope, in place of one that stood there.
 *   Owns  : `name` is borrowed until its scope is closed.
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY, TOO_LARGE; unchanged then. */
trp_status trp_onnx_names_put(struct trp_onnx_names *t, struct trp_str name,
                              const struct trp_onnx_fact *fact, struct trp_error *err);

#endif
