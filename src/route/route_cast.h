/* route/route_cast.h - inputs and outputs of a call get the element types that a route's target is
 * to see, and its clients.
 * Answers "who converts them, and when?".
 *
 *   fitted, or answered --outputs, inputs--> few bytes: cast here, at once
 *                            \--many--> a helper has them (exec/crew.h) --> the call comes back
 *                                 \--nobody waits any more: it comes back as it was
 *
 * While a helper has them the call is open: its client may go, and its time may be up.  Private to
 * this room. */
#ifndef TRP_ROUTE_CAST_H
#define TRP_ROUTE_CAST_H

#include "route/route_fit.h"
#include "route/route_parts.h"

/* How a cast is to be done, and who is told when a helper has done it. */
struct trp_route_casting {
    const struct trp_route_fit *fit; /* NULL: there is nothing to be cast */
    struct trp_crew *crew;           /* NULL: all is cast at once */
    trp_done_fn then;
    void *user;
};

static inline struct trp_route_casting trp_route_casting_of(const struct trp_router *r,
                                                            const struct trp_route_goal *goal,
                                                            trp_done_fn then, void *user)
{
    return (struct trp_route_casting){ goal->fit, r->env->crew, then, user };
}

/* Casts the inputs of a call that was fitted (the first `n`: those that were given have their
 * types), and is not started yet; the outputs of one that was answered, whose inputs are the
 * target's still.  *out_is_away: a helper does it.  The call comes back through `then`, in a later
 * turn, with a failure in call->error, or without: then there is nothing left to be cast.
 *   Owns  : what is made is the call's (call/call_memory.h), of its inputs' account, or that of
 *           requests.  While a helper works the call stays where it is, and is the caller's else.
 *   Thread: loop.
 *   Cost  : O(elements) up to TRP_CREW_ASIDE_BYTES.
 *   Errors: a value that cannot be cast: INVALID_ARGUMENT of an input, BACKEND_FAILED of an output;
 *           OUT_OF_MEMORY (limit MEMORY); QUEUE_FULL: too many wait for helpers;
 *           DEADLINE_EXCEEDED, CANCELLED: nobody waits for it. */
trp_status trp_route_cast_inputs(const struct trp_route_casting *how, struct trp_call *call,
                                 uint32_t n, bool *out_is_away, struct trp_error *err);
trp_status trp_route_cast_outputs(const struct trp_route_casting *how, struct trp_call *call,
                                  bool *out_is_away, struct trp_error *err);

/* Writes a number as an element of a type.
 *   Owns  : nothing; `at` has room for one element, aligned or not.
 *   Thread: any.
 *   Errors: false: the type cannot hold it. */
bool trp_route_cast_int(int32_t dtype, int64_t v, void *at);
bool trp_route_cast_double(int32_t dtype, double v, void *at);

#endif
