/* exec/batch.h - several calls of one version, made one run.
 * Answers "which calls may run together, and how do their rows become one run's and the answers
 * theirs again?".
 *
 *   members ──lay out──► joint (sizes) ──gather──► joint (rows behind one another) ──run──► outputs ──scatter──► members: views
 *
 *  1. To the rest of exec a batch is a call: `joint` is admitted, run and counted as one, and
 *     nobody waits for it.
 *  2. Only calls of one version meet that have been bound, that belong to no sequence or to one
 *     whose state is kept here, that want the same outputs, and whose inputs have the same types
 *     and the same sizes but for the first axis: unlike shapes never meet.
 *  3. A member's answer is a view of the joint outputs; these go when the last of the members has
 *     let go.
 *  4. What the backend gives must have a row for each row that it was given.  A version whose
 *     outputs have not is not batched again, and the calls are run alone.
 *  5. A batch that fails says nothing about its members: each is run alone. */
#ifndef TRP_BATCH_H
#define TRP_BATCH_H

#include "call/call_list.h"
#include "exec/gather_room.h"
#include "exec/run.h"
#include "model/version.h"

struct trp_batch {
    struct trp_call joint;
    struct trp_call_list members;
    uint64_t rows;
    struct trp_joint_memory *memory; /* what members will share */
    uint64_t input_bytes;
    struct trp_gather_room room;
    uint32_t interested; /* under the run queue's lock: members that nobody has cancelled */
};

/* Sets up an empty one, for one run after another.
 *   Owns  : the caller's storage; deinit when it has no members; `alloc` is borrowed.
 *   Thread: owner.
 *   Errors: none. */
void trp_batch_init(struct trp_batch *b, const struct trp_alloc *alloc);
void trp_batch_deinit(struct trp_batch *b);

/* The most rows that a run of several calls may have; 0: calls of this version do not run together.
 *   Owns  : nothing.
 *   Thread: any that holds a call of it.
 *   Errors: none. */
uint64_t trp_batch_limit(const struct trp_version *v);

/* Calls of a version wait together, and could have met: whoever can find out whether they may is
 * told, once.
 *   Owns  : nothing.
 *   Thread: any that holds a call of it.
 *   Errors: none. */
void trp_batch_want(struct trp_version *v);

/* Notes in a bound call which others it may meet, and whether it may meet a certain one.
 *   Owns  : nothing.
 *   Thread: the one that holds the call (mark); any (may meet).
 *   Cost  : O(inputs); may meet: one comparison where they may not, usually.
 *   Errors: none. */
void trp_batch_mark(struct trp_call *call);
bool trp_batch_may_meet(const struct trp_call *a, const struct trp_call *b);

/* How many rows a call has by the first axis of its inputs; 1 where its model's first axes are no
 * rows, or its inputs do not agree.
 *   Units : rows, >= 1.
 *   Owns  : nothing.
 *   Thread: any that holds the call.
 *   Cost  : O(inputs and outputs of the model).
 *   Errors: none. */
uint64_t trp_batch_rows_of(const struct trp_call *call);

/* Whether a tensor is a member's view of a joint output: it keeps the whole of that.
 *   Owns  : borrowed.
 *   Thread: any that holds the call.
 *   Errors: none. */
bool trp_batch_is_view(const struct troupe_tensor *t);

/* Whether somebody waits for a call's answer; one whose deadline has passed expires.
 *   Units : now_ns monotonic.
 *   Owns  : nothing.
 *   Thread: any that holds the call.
 *   Errors: none. */
bool trp_batch_is_wanted(struct trp_call *call, int64_t now_ns);

/* What one more call costs a run that has others already; 0: not known.
 *   Units : ns.
 *   Owns  : nothing.
 *   Thread: any that holds a call of it.
 *   Errors: none. */
int64_t trp_batch_share_ns(const struct trp_version *v);

/* Rows of a version turned out not to be its inputs': they are not joined or divided again.
 *   Owns  : nothing.
 *   Thread: any that holds a call of it that has met others, or was divided.
 *   Errors: none. */
void trp_batch_rule_out(const struct trp_run_place *p, struct trp_version *v);

/* Makes `joint` from the members: all but the bytes, so that room can be asked for.
 *   Owns  : the members stay the batch's; joint borrows from the first.
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_batch_lay_out(struct trp_batch *b, struct trp_error *err);

enum trp_batch_end {
    TRP_BATCH_DONE,       /* all members are settled, well or not */
    TRP_BATCH_TOO_LITTLE, /* as trp_run_try(): it would hold more than `bytes_max` */
    TRP_BATCH_ALONE       /* it cannot be, or failed: each member is to be run alone */
};

/* Gathers, runs, and scatters what trp_batch_lay_out() has made.
 *   Units : as trp_run_try().
 *   Owns  : the members stay in the batch, whoever holds it finishes them.
 *   Thread: any, the one that holds the calls.
 *   Blocks: as long as the model runs.
 *   Errors: in each call->error after DONE. */
enum trp_batch_end trp_batch_run(const struct trp_run_place *p, struct trp_batch *b,
                                 uint64_t bytes_max, int64_t *now_ns);

#endif
