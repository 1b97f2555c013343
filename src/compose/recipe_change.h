/* compose/recipe_change.h - a recipe, and what it would be if it were read now.
 * Answers "would the one that is at work still do, though a model takes or gives something
 * else?". */
#ifndef TRP_RECIPE_CHANGE_H
#define TRP_RECIPE_CHANGE_H

#include "compose/recipe.h"

/* Compares a recipe that is at work with the same one checked against what its models take now: a
 * recipe is constant, so each model must still take what it is given, need nothing else, and give
 * what others use.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: FAILED_PRECONDITION: which step, what it was, and what it would be. */
trp_status trp_recipe_goes_on(const struct trp_recipe *was, const struct trp_recipe *would,
                              struct trp_error *err);

#endif
