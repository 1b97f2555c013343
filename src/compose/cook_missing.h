/* compose/cook_missing.h - what an answer had to do without.
 * Answers "is it partial, and who was missing?".
 *
 * It is said of an answer by its notes `troupe_partial` and `troupe_missing`: members that a vote
 * was taken without, and those that a step's own answer lacks, behind the step's name: "cnn,
 * pair/b"; and by `troupe_missing_because` why: "cnn: it broke; pair (b: it broke)". */
#ifndef TRP_COOK_MISSING_H
#define TRP_COOK_MISSING_H

#include "compose/cook_state.h"

/* Notes whoever has not spoken of those that a vote or a ranking is taken of.  Notes whom the
 * answer of a step's child lacks: nothing when it lacks nobody.
 *   Owns  : texts are copied into the call's arena.
 *   Thread: loop.
 *   Errors: none; without memory the answer says less. */
void trp_cook_note_missing(struct trp_cook *k, const struct trp_recipe_step *join);
void trp_cook_note_partial(struct trp_cook *k, const struct trp_call *child);

#endif
