/* call/call_child.h - a call that another call asks, so that several can work on one answer.
 * Answers "how does a call ask others, and when is it free of them?".
 *
 *   parent --child--> child --input, want--> start ... done --+--> end   it is over: counted, and given back
 *                       \--cancel--> done, sooner             \--> keep  the parent answers with its outputs
 *
 *  1. A child lives in its parent's pool, on its loop, and has its priority, deadline, tenant,
 *     headers and parameters.
 *  2. Nothing is copied: inputs and outputs are lent, to the child by its parent, and by kept
 *     children to the parent.
 *  3. A parent may be answered while children are still at work (the one that was too slow, the one
 *     that only looks on).  It is given back when the last of them has ended: whoever gives it back
 *     waits while `lent_n` is not 0, and is told by `on_free`.
 *  4. Cancelling a parent raises the tokens of its children; to make them come back sooner
 *     whoever started them cancels each. */
#ifndef TRP_CALL_CHILD_H
#define TRP_CALL_CHILD_H

#include "call/call.h"
#include "call/finder.h"

/* What stands for others may stand for such again.  Of compositions behind each other, as they are
 * written; and of children below a client's call: a composition asks with one, and so may each of
 * the four routes that may lead to it. */
#define TRP_COMPOSED_DEPTH_MAX 8u
#define TRP_CHILD_DEPTH_MAX (TRP_COMPOSED_DEPTH_MAX * 5u + 4u)

/* What a child asks, and who is told. */
struct trp_child_ask {
    struct trp_str model; /* copied */
    int64_t version;      /* as in struct trp_sought */
    trp_done_fn done;
    void *user;
};

/* Takes a child from its parent's pool: no inputs yet, its token below the parent's.
 *   Owns  : the caller ends or keeps it; the parent stays until then.
 *   Thread: loop.
 *   Errors: NULL and the words: TOO_LARGE: deeper than TRP_CHILD_DEPTH_MAX; QUEUE_FULL:
 *           limits.calls are out, or no memory. */
struct trp_call *trp_call_child(struct trp_call *parent, uint32_t step, struct trp_error *err);

/* Adds an input under a name, or asks for an output (without one: for all).
 *   Owns  : names are copied; the tensor is borrowed until the child has ended: what it lies in
 *           must outlive the parent's children (its own inputs do, and outputs of kept children).
 *   Thread: loop.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_call_child_input(struct trp_call *child, struct trp_str name,
                                const struct trp_call_tensor *lent, struct trp_error *err);
trp_status trp_call_child_want(struct trp_call *child, struct trp_str name, struct trp_error *err);

/* When the time is up that its target's owner gives each request, this one being asked at
 * `from_ns`; 0: there is no such time.
 *   Units : ns, monotonic.
 *   Owns  : nothing; a target is pinned.
 *   Thread: loop.
 *   Errors: none. */
int64_t trp_call_patience_end_ns(const struct trp_call *call, int64_t from_ns);

/* Finds who answers, pins, binds and starts; its deadline becomes what its target's owner gives it,
 * where that is earlier.  `done` is called exactly once, never from inside.
 *   Owns  : the child is lent to its target until `done`, the finder until it is over; after a
 *           failure the caller ends it, and `done` is not called.
 *   Thread: loop.
 *   Errors: NOT_FOUND, NOT_READY, INVALID_ARGUMENT (it does not fit), CANCELLED (the parent
 *           was), OUT_OF_MEMORY. */
trp_status trp_call_child_start(struct trp_call *child, const struct trp_finder *finder,
                                const struct trp_child_ask *ask, struct trp_error *err);

/* Makes a child that was started come back sooner, because nobody wants its answer (cancel), or
 * because its time is up (expire).
 *   Owns  : nothing; its `done` follows, as always.
 *   Thread: loop.
 *   Errors: none; false: it is on its way already. */
bool trp_call_child_cancel(struct trp_call *child);
bool trp_call_child_expire(struct trp_call *child);

/* A child that came back, or was never started, is over.  It is counted (its target's statistics),
 * and then: end : given back, as soon as its own children have ended;
 * keep: lent to its parent with all outputs, and given back with it.  One that was never started
 *       may have outputs, too, which somebody else put there; it is not counted.
 *   Owns  : moves it away.
 *   Thread: loop.
 *   Errors: none. */
void trp_call_child_end(struct trp_call *child, const struct trp_finder *finder);
void trp_call_child_keep(struct trp_call *child, const struct trp_finder *finder);

/* Lets a child of an answered parent work on by itself: cancelling the parent no longer raises its
 * token.  It still has its `done`, and is ended there.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_call_child_detach(struct trp_call *child);

#endif
