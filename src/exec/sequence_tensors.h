/* exec/sequence_tensors.h - what a sequence adds to its requests, and keeps of their answers.
 * Answers "what does the model see beside what the client sent, and what does the next request
 * begin with?".  Control inputs say where in its sequence a request stands; a state that the model
 * gives back is an input of the next request.
 *
 *   sequence ──move──► call's inputs ──run──► call's outputs ──move──► sequence
 *                          └── the run failed: back ──────────────────────┘
 *
 *  1. A request that was not answered has not happened: the state is what it was before, and the
 *     next one is told START if no other was answered before.
 *  2. An old state stays with the call that had it until that is given back: an answer may be a
 *     view of it.
 *  3. A state is copied only where it would keep more than itself in memory, or is somebody else's:
 *     a view of a batch or of an input, an output that the client wanted too. */
#ifndef TRP_SEQUENCE_TENSORS_H
#define TRP_SEQUENCE_TENSORS_H

#include "call/call.h"
#include "model/version.h"

/* Of one sequence, whose running call alone touches them. */
struct trp_sequence_tensors {
    bool is_fresh;     /* no call of it has been answered since it began */
    bool is_given;     /* the running call has the states */
    uint32_t wanted_n; /* of the running call: what its client wants */
    uint32_t *places;  /* of the running call: where each state is among its outputs */
    struct troupe_tensor *states;
    struct troupe_tensor *next; /* room for those to come */
};

/* Whether a call's id can be told to the model.
 *   Owns  : nothing.
 *   Thread: any, the one that holds the call.
 *   Errors: INVALID_ARGUMENT: a text where it takes a number, or a number that is too large. */
trp_status trp_sequence_tensors_check(const struct trp_version *v, const struct trp_call *call,
                                      struct trp_error *err);

/* Bytes of memory behind a sequence's tensors, and laying them out there; letting go of the states.
 *   Owns  : init: `memory` is borrowed, of so many bytes, aligned as pointers are; deinit: the
 *           states go.
 *   Thread: owner.
 *   Errors: none. */
size_t trp_sequence_tensors_size(const struct trp_version *v);
void trp_sequence_tensors_init(struct trp_sequence_tensors *t, const struct trp_version *v,
                               void *memory);
void trp_sequence_tensors_deinit(struct trp_sequence_tensors *t, const struct trp_version *v);

/* Adds the hidden inputs and outputs to a bound call; with call->sequence_start the states are the
 * initial ones.
 *   Owns  : moves the states to the call; pieces lie in its arena.
 *   Thread: any, the one that holds the call.
 *   Errors: OUT_OF_MEMORY; the call and the states are as before. */
trp_status trp_sequence_tensors_give(struct trp_sequence_tensors *t, const struct trp_version *v,
                                     struct trp_call *call, struct trp_error *err);

/* Takes the states back: the new ones when the call was answered, otherwise those that it was
 * given.  The call has what its client sent and wants.
 *   Owns  : moves states to the sequence.
 *   Thread: any, the one that holds the call.
 *   Errors: in call->error: OUT_OF_MEMORY. */
void trp_sequence_tensors_take(struct trp_sequence_tensors *t, const struct trp_version *v,
                               struct trp_call *call);

#endif
