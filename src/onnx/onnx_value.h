/* onnx/onnx_value.h - the declared name, type and shape of a value.
 * Answers "what does this input or output say of itself?".  Private to this room. */
#ifndef TRP_ONNX_VALUE_H
#define TRP_ONNX_VALUE_H

#include "onnx/onnx_walk.h"

/* Reads a ValueInfoProto whole.
 *   Owns  : everything in *out lives in w->arena.
 *   Thread: owner.
 *   Errors: w->status: DATA_LOSS, TOO_LARGE (rank, name, nesting), OUT_OF_MEMORY. */
void trp_onnx_value_read(struct trp_onnx_walk *w, struct trp_str message, struct trp_onnx_io *out);

/* Reads its name and, of a dense tensor, the element type (else NO_ELEM); keeps nothing.
 *   Owns  : *out_name is borrowed from the file.
 *   Thread: owner.
 *   Errors: w->status: DATA_LOSS. */
void trp_onnx_value_peek(struct trp_onnx_walk *w, struct trp_str message, struct trp_str *out_name,
                         int32_t *out_elem);

#endif
