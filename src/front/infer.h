/* front/infer.h - an inference request on its way down, and its answer on the way up.
 * Answers "what has to happen between the bytes of a request and the bytes of its reply?". */
#ifndef TRP_INFER_H
#define TRP_INFER_H

#include "front/exchange.h"

/* Reads the header troupe-timeout-ms and looks at troupe-priority, also of gRPC metadata; of a
 * stream they hold for each of its messages.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: INVALID_ARGUMENT, in x->error as well. */
trp_status trp_infer_read_urgency(struct trp_exchange *x);

/* Decodes x->bytes, finds the target, binds, and starts; ops->answer follows, perhaps at once
 * (something was wrong), else when the call comes back.
 *   Owns  : the exchange keeps the call until it is recycled.
 *   Thread: loop.
 *   Errors: by x->error. */
void trp_infer_start(struct trp_exchange *x);

/* Decodes x->bytes and writes to x->reply.text what the route it names would decide.
 *   Owns  : the exchange keeps the call until it is recycled.
 *   Thread: loop.
 *   Errors: those of decoding, NOT_FOUND; in x->error as well. */
trp_status trp_infer_explain(struct trp_exchange *x);

/* The client is gone, or time is up: true when the call was still open, and so nobody else will
 * answer.
 *   Owns  : the call stays out until its `done`.
 *   Thread: loop.
 *   Errors: none. */
bool trp_infer_cancel(struct trp_exchange *x);
bool trp_infer_expire(struct trp_exchange *x);

/* Everything is over: statistics, trace, and the call goes back to its pool.
 *   Owns  : moves x->call away.
 *   Thread: loop.
 *   Errors: none. */
void trp_infer_end(struct trp_exchange *x);

#endif
