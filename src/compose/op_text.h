/* compose/op_text.h - a built-in step as somebody wrote it.
 * Answers "which step, and with which numbers?".  The keys are those of struct trp_tensor_op:
 *   { op: top_k, k: 5 }   { op: resize, size: [224, 224], method: area }   { op: cast, to: FP32 }
 *   { op: normalise, scale: 0.00392157, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225],
 *   to_layout: nchw } */
#ifndef TRP_OP_TEXT_H
#define TRP_OP_TEXT_H

#include "compose/tensor_ops.h"
#include "conf/node.h"

/* Reads a step of a kind from a map; keys that the caller reads itself (`op`, `inputs`, `outputs`,
 * ..) stand in `others`.
 *   Owns  : borrowed; *out points to nothing.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT with file:line: a key that this step does not have (with the nearest
 *           one that it has), a value that is not of its type or out of range, a key that it
 *           needs. */
trp_status trp_op_text_read(const struct trp_node *map, enum trp_tensor_op_kind kind,
                            const char *const *others, uint32_t others_n, struct trp_tensor_op *out,
                            struct trp_error *err);

#endif
