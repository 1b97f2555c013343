/* compose/explanation.h - what a recipe would do with a request, as far as that can be told before
 * it is done.
 * Answers "which steps would be done, and what decides about the others?".
 *
 * The rules are the cook's (cook.c): a step is done when a wanted output needs it, its tensors are
 * made, its condition holds, and whoever it stands behind was not sure.  Here what steps make is
 * not known, and what depends on it is said to depend. */
#ifndef TRP_EXPLANATION_H
#define TRP_EXPLANATION_H

#include "call/target.h"
#include "compose/cook.h"

/* Writes it as further members of a JSON object that somebody has begun and ends: "missing",
 * "vote", "quorum", "deadline_ms", "learned", "steps" and "outputs".  Routes and compositions that
 * steps ask are explained in turn.
 *   Owns  : all is borrowed; the recipe was checked.
 *   Thread: loop.
 *   Errors: see out->failed. */
void trp_explanation_write(const struct trp_recipe *r, const struct trp_cook_env *env,
                           const struct trp_target_question *q, struct trp_buf *out);

#endif
