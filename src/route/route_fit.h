/* route/route_fit.h - changes a request on its way to a target, and its answer on the way back.
 * Answers "how can models that call things otherwise stand behind one name?".  Inputs and outputs
 * get other names and another element type, and inputs that the client does not send are given, as
 * are outputs that the target does not have; see docs/routing.md.
 *
 *     targets: { deep: { model: two_tower@2, inputs: { user: user_id }, outputs: { items: top },
 *                        cast: { user_id: INT64, top: INT32 }, constants: { k: 10 } } }
 *
 * Left stands what clients say, right what the target says; `cast` and `constants` name the
 * target's.  A name that is one of its inputs and of its outputs is cast as an input only. */
#ifndef TRP_ROUTE_FIT_H
#define TRP_ROUTE_FIT_H

#include "route/route_plan.h"

struct trp_route_fit_reader {
    struct trp_arena *arena;
    const struct trp_route_source *source;
};

/* Reads what is said of one target; *out_model is empty when no model is named.
 *   Owns  : lives in the arena; texts are borrowed from the tree.
 *   Thread: control.
 *   Errors: INVALID_ARGUMENT with the place; OUT_OF_MEMORY.  *out_fit is NULL when nothing is
 *           changed. */
trp_status trp_route_fit_read(const struct trp_route_fit_reader *reader, const struct trp_node *at,
                              struct trp_str *out_model, struct trp_route_fit **out_fit,
                              struct trp_error *err);

/* What a call was before it was fitted, to be put back. */
struct trp_route_unfit {
    struct trp_call_tensor *inputs;
    struct trp_wanted *wanted;
    struct trp_call_memory *memory;
    uint32_t inputs_n, wanted_n;
};

/* Gives a call that is not bound inputs and wishes as the target takes them.  Its own inputs are
 * kept in *undo, and lent.
 *   Shape : constants of n values become [n], or [rows, n] for a target that takes so many rows
 *           (`batch_max`; 0: it has no such dimension).
 *   Owns  : what was given is the call's (call/call_memory.h), nothing is the plan's: let go by
 *           undo, or with the call.  What has to be cast is not yet (route_cast.h).
 *   Thread: loop.
 *   Errors: INVALID_ARGUMENT: more rows than it takes; OUT_OF_MEMORY; unchanged then. */
trp_status trp_route_fit_apply(const struct trp_route_fit *fit, struct trp_call *call,
                               int32_t batch_max, struct trp_route_unfit *undo,
                               struct trp_error *err);

/* Gives the outputs of an answered call, which were cast, their names in the route, and adds those
 * that the target does not have; `was`: what apply kept.
 *   Owns  : names are copied: they are encoded when the route may be gone.
 *   Thread: loop.
 *   Errors: BACKEND_FAILED: one did not come; OUT_OF_MEMORY; some are changed then, and the call is
 *           not to be answered with them. */
trp_status trp_route_fit_answer(const struct trp_route_fit *fit, struct trp_call *call,
                                const struct trp_route_unfit *was, struct trp_error *err);

/* Puts the inputs back and, of a call that was not answered, the wishes.
 *   Owns  : what apply made is let go, unless somebody may look at it: of an answered call (outputs
 *           may be views of it), or one with children at work (call->lent_n), it stays as long as
 *           the call.
 *   Thread: loop.
 *   Errors: none. */
void trp_route_fit_undo(struct trp_call *call, const struct trp_route_unfit *undo,
                        bool is_answered);

/* Whether a target's input or output is cast; `fit` may be NULL.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
bool trp_route_fit_is_cast(const struct trp_route_fit *fit, struct trp_str name);

/* How clients of the route call an output of a target; `fit` may be NULL.
 *   Owns  : borrowed from either.
 *   Thread: any.
 *   Errors: none. */
struct trp_str trp_route_fit_output_name(const struct trp_route_fit *fit, struct trp_str theirs);

/* The element type that clients get for an output of a target; `fit` may be NULL.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
int32_t trp_route_fit_dtype_given(const struct trp_route_fit *fit, const struct trp_signature *s,
                                  const struct trp_io *output);

/* Changes the description of a target to that of the route in front of it.
 *   Owns  : lives in the arena.
 *   Thread: loop.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_route_fit_describe(const struct trp_route_fit *fit, struct trp_arena *arena,
                                  struct trp_signature *s, struct trp_error *err);

#endif
