/* call/fit.h - whether a call could be bound to a signature.
 * Answers "would this take what came?", of many signatures and without touching the call: for
 * whoever chooses among them. */
#ifndef TRP_FIT_H
#define TRP_FIT_H

#include "call/call.h"

/* True when the names of the inputs and of the outputs that were asked for, the element types, the
 * shapes and the batch agree. What cannot be seen before memory is mapped (byte counts, strings) is
 * trp_call_bind()'s to refuse.  A raw request, which is the tensor of the only input and says no
 * more of it, fits whoever has one input.
 *   Owns  : borrowed.
 *   Thread: loop.
 *   Cost  : linear in the inputs, when they come in the signature's order; no allocation.
 *   Errors: none. */
bool trp_call_fits(const struct trp_call *call, const struct trp_signature *signature);

#endif
