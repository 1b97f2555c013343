/* compose/pipeline.h - steps over named tensors, as somebody wrote them.
 * Answers "what does `pipeline:` mean, and what does Triton's `ensemble_scheduling`?".
 *
 *   pipeline:
 *     steps:
 *       - { op: decode, input: file, output: pixels }
 *       - { op: resize, input: pixels, output: small, size: [28, 28] }
 *       - { model: digits, inputs: { x: small }, outputs: { y: scores } }
 *       - { model: expert, inputs: { x: small }, outputs: { y: better }, when: inputs.small.max >
 *         200 }
 *     outputs: { scores: [better, scores] }
 *
 * A tensor that no step makes is an input of the whole. */
#ifndef TRP_PIPELINE_H
#define TRP_PIPELINE_H

#include "compose/recipe.h"

/* Reads a pipeline, and afterwards gives steps that name no tensors those of their models.  `alloc`
 * is for compiled conditions.
 *   Owns  : everything lives in the recipe's arena, conditions until trp_recipe_drop(); texts are
 *           borrowed from the tree.
 *   Thread: control.
 *   Errors: INVALID_ARGUMENT with file:line; TOO_LARGE; OUT_OF_MEMORY; settle: as
 *           trp_recipe_look(). */
trp_status trp_pipeline_read(struct trp_recipe *r, const struct trp_alloc *alloc,
                             const struct trp_node *at, struct trp_error *err);
trp_status trp_pipeline_settle(struct trp_recipe *r, const struct trp_node *at,
                               const struct trp_recipe_lookup *lookup, struct trp_error *err);

/* Reads Triton's form: `written` is the whole configuration, which declares inputs and outputs.
 * declare: once the recipe is checked, compares it with these, and the whole takes and gives them,
 * in this order.
 *   Shape : with max_batch_size > 0 a batch dimension stands in front of every declared shape.
 *   Owns  : as above; the normal tree, which /config shows, is r->declared.
 *   Thread: control.
 *   Errors: as above. */
trp_status trp_pipeline_read_triton(struct trp_recipe *r, const struct trp_node *written,
                                    struct trp_error *err);
trp_status trp_pipeline_declare(struct trp_recipe *r, struct trp_error *err);

#endif
