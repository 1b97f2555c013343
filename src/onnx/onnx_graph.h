/* onnx/onnx_graph.h - walking graphs: inputs and outputs, nodes, what nodes hold.
 * Answers "what happens inside?".  Private to this room. */
#ifndef TRP_ONNX_GRAPH_H
#define TRP_ONNX_GRAPH_H

#include "onnx/onnx_infer.h"
#include "onnx/onnx_walk.h"

/* Reads name, documentation, inputs and outputs of the main graph into w->model (onnx_face.c).
 *   Owns  : what is kept lives in w->arena.
 *   Thread: owner.
 *   Errors: w->status. */
void trp_onnx_graph_face(struct trp_onnx_walk *w, struct trp_str graph);

#define TRP_ONNX_ML_DOMAIN "ai.onnx.ml"
#define TRP_ONNX_IR_OVERRIDABLE \
    4 /* from here on an initialiser that is also an input is a default */

/* True for both spellings of the default domain.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
bool trp_onnx_domain_is_default(struct trp_str domain);

/* Walks all nodes of a graph, or of a local function, and of the graphs inside them: counts
 * operators and parameters, finds hazards.
 *   Owns  : what is kept lives in w->arena.
 *   Thread: owner.
 *   Errors: w->status. */
void trp_onnx_graph_walk(struct trp_onnx_walk *w, struct trp_str graph,
                         const struct trp_onnx_frame *frame);
void trp_onnx_function_walk(struct trp_onnx_walk *w, struct trp_str function);

/* Reads a node's texts and counts its inputs; `node->domain` is empty for the default one.
 *   Owns  : borrowed from the file.
 *   Thread: owner.
 *   Errors: w->status. */
void trp_onnx_node_read(struct trp_onnx_walk *w, struct trp_str message,
                        struct trp_onnx_node *node);

/* Looks for what is dangerous in a node whose inputs are known (onnx_hazard.c).
 *   Owns  : what is kept lives in w->arena.
 *   Thread: owner.
 *   Errors: w->status. */
void trp_onnx_hazard_check(struct trp_onnx_walk *w, const struct trp_onnx_frame *frame,
                           const struct trp_onnx_node *node);
void trp_onnx_hazard_check_paths(struct trp_onnx_walk *w);

#endif
