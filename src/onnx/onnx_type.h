/* onnx/onnx_type.h - ONNX's own types of elements and values.
 * Answers "what kind of value is this, and can it be served?".  The element numbers are those of
 * TensorProto.DataType. */
#ifndef TRP_ONNX_TYPE_H
#define TRP_ONNX_TYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "troupe/tensor.h"

enum trp_onnx_elem {
    TRP_ONNX_NO_ELEM = 0,
    TRP_ONNX_FLOAT = 1,
    TRP_ONNX_UINT8 = 2,
    TRP_ONNX_INT8 = 3,
    TRP_ONNX_UINT16 = 4,
    TRP_ONNX_INT16 = 5,
    TRP_ONNX_INT32 = 6,
    TRP_ONNX_INT64 = 7,
    TRP_ONNX_STRING = 8,
    TRP_ONNX_BOOL = 9,
    TRP_ONNX_FLOAT16 = 10,
    TRP_ONNX_DOUBLE = 11,
    TRP_ONNX_UINT32 = 12,
    TRP_ONNX_UINT64 = 13,
    TRP_ONNX_COMPLEX64 = 14,
    TRP_ONNX_COMPLEX128 = 15,
    TRP_ONNX_BFLOAT16 = 16,
    TRP_ONNX_ELEMS = 27 /* the count; 17 and up are the small floats and integers */
};

/* Facts of an element type.  A number outside the table is "unknown", 0 bits, not served.
 *   Units : bits of one element; 0 for strings and unknown.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const char *trp_onnx_elem_name(int32_t elem); /* "float", as ONNX says it */
uint32_t trp_onnx_elem_bits(int32_t elem);
enum troupe_dtype trp_onnx_elem_dtype(int32_t elem);
bool trp_onnx_elem_is_integer(int32_t elem); /* signed or unsigned, 8 to 64 bits */
bool trp_onnx_elem_is_unsigned(int32_t elem);

enum trp_onnx_kind {
    TRP_ONNX_KIND_NONE, /* no type was declared */
    TRP_ONNX_KIND_TENSOR,
    TRP_ONNX_KIND_SPARSE,
    TRP_ONNX_KIND_SEQUENCE,
    TRP_ONNX_KIND_MAP,
    TRP_ONNX_KIND_OPTIONAL,
    TRP_ONNX_KIND_OPAQUE
};

/* The type of an input or output. */
struct trp_onnx_type {
    enum trp_onnx_kind kind;
    int32_t elem;                   /* of a tensor; the key of a map */
    const struct trp_onnx_type *of; /* element of a sequence or an optional; value of a map */
};

/* Appends the type as ONNX writes it: "sequence(map(int64, tensor(float)))".
 *   Owns  : copied into `b`.
 *   Thread: any.
 *   Errors: see b->failed. */
void trp_onnx_type_format(const struct trp_onnx_type *type, struct trp_buf *b);

/* Appends a name that came from a file, for people: line ends and tabs become
 * spaces, whatever else could move a terminal's cursor '?'.
 *   Owns  : copied into `b`.
 *   Thread: any.
 *   Errors: see b->failed. */
void trp_onnx_name_format(struct trp_str name, struct trp_buf *b);

/* True for a sequence of maps from int64 or string to a float: what scikit-learn's exporter makes
 * of probabilities.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
bool trp_onnx_type_is_zipmap(const struct trp_onnx_type *type);

#endif
