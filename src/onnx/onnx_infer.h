/* onnx/onnx_infer.h - what can be known of a node's outputs from its inputs.
 * Answers "which element type, and can it be negative?".  Far from complete and sound where it
 * speaks: a rule that is not here leaves the value unknown.  Private to this room. */
#ifndef TRP_ONNX_INFER_H
#define TRP_ONNX_INFER_H

#include "onnx/onnx_names.h"

#define TRP_ONNX_NODE_INPUTS 3 /* no rule looks further */

/* A node as inference and hazards see it; texts are borrowed from the file. */
struct trp_onnx_node {
    struct trp_str message, name, op;
    struct trp_str domain; /* empty for the default one */
    struct trp_str inputs[TRP_ONNX_NODE_INPUTS];
    uint32_t inputs_n; /* all of them */
    /* attributes */
    int32_t to, dtype;                 /* Cast; ConstantOfShape, EyeLike, random ones */
    bool fmod;                         /* Mod */
    int32_t constant_elem;             /* Constant, ConstantOfShape */
    struct trp_onnx_constant constant; /* the same */
};

/* Infers output number `index` of a node.
 *   Owns  : texts in the result are borrowed from the file.
 *   Thread: owner.
 *   Errors: none; what is not known is zero. */
struct trp_onnx_fact trp_onnx_infer(const struct trp_onnx_names *names,
                                    const struct trp_onnx_node *node, uint32_t index);

#endif
