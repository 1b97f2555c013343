/* compose/cook.h - one request is answered by a recipe.
 * Answers "which step is next, and what if one does not come back?".
 *
 *   start -> steps whose tensors are there: models as children of the call, built-in steps at once
 *            -> ... -> the answer is there: the call is finished; who is still at work is told to
 *            stop, and let go when he comes back
 *
 *  1. A tensor passes from step to step where it lies: nothing is copied but by steps that make a
 *     new one of several.
 *  2. Steps that no wanted output needs are not done.
 *  3. Whoever may fail is left out; the answer says who (notes `troupe_partial`, `troupe_missing`)
 *     and why (`troupe_missing_because`).
 *  4. The call is finished once: outside of any start(), or by the loop's ready list. */
#ifndef TRP_COOK_H
#define TRP_COOK_H

#include "base/clock.h"
#include "call/call_child.h"
#include "compose/feedback.h"
#include "compose/recipe.h"
#include "obs/metrics.h"

struct trp_crew;

/* What all recipes of a server are given; constant, and outlives them. */
struct trp_cook_env {
    struct trp_finder finder;
    const struct trp_alloc *requests;    /* the account of what steps make */
    struct trp_pool *const *pools;       /* one for each loop, of that account; NULL: none */
    struct trp_metrics *metrics;         /* shard i is loop i's; NULL: nothing is counted */
    const struct trp_clock *clock;       /* its wall clock is what conditions see */
    const struct trp_load_view *load;    /* what conditions see of it; NULL: nothing */
    struct trp_matcher *const *matchers; /* one for each loop; NULL: patterns are unknown */
    struct trp_crew *crew; /* does steps that would hold up a loop; NULL: there is none */
    uint64_t pixels_max, output_bytes; /* of a picture; of what a step makes; 0: no limit */
    struct trp_feedback *feedback;     /* what learners wait for; NULL: nobody learns */
};

/* Begins to answer a bound call; it comes back through its `done`.
 *   Owns  : the call is the cook's until then; recipe and env are borrowed until it is given back.
 *   Thread: loop.
 *   Blocks: never; short built-in steps run where they are started.
 *   Errors: in call->error: a step's, with its name in front; UNAVAILABLE: fewer than the quorum
 *           have answered;
 *           FAILED_PRECONDITION: no step has made what was asked for; CANCELLED,
 *           DEADLINE_EXCEEDED; OUT_OF_MEMORY. */
void trp_cook_start(const struct trp_recipe *r, const struct trp_cook_env *env,
                    struct trp_call *call);

/* Tells the steps of a call to stop whose token was raised.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_cook_cancel(struct trp_call *call);

#endif
