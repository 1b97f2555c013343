/* front/grpc_call.h - one gRPC call on an HTTP/2 stream.
 * Answers "which messages came, and with which status does it end?". */
#ifndef TRP_GRPC_CALL_H
#define TRP_GRPC_CALL_H

#include "front/exchange.h"

/* The events of a stream whose content type is gRPC's.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none; they are statuses of the call. */
void trp_grpc_call_head(struct trp_exchange *x);
void trp_grpc_call_data(struct trp_exchange *x, struct trp_str bytes);
void trp_grpc_call_end(struct trp_exchange *x);

/* Reads messages out of `bytes` until they are used up or the stream stalls; returns what is left.
 *   Owns  : borrowed.
 *   Thread: loop.
 *   Errors: none; a malformed frame ends the call. */
struct trp_str trp_grpc_call_read(struct trp_exchange *x, struct trp_str bytes);

/* A message (x->body) is complete: ops->unpacked follows, perhaps at once, with x->bytes on it, or
 * why not in x->error.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: by x->error. */
void trp_grpc_call_unpack(struct trp_exchange *x);

/* Packs x->reply if that is wanted and worth it: ops->packed follows, perhaps at once.  Then puts
 * it (or the text alone, when the reply has no parts) behind a message prefix into x->parts.
 *   Owns  : the parts are the exchange's.
 *   Thread: loop.
 *   Errors: frame: false: x->error says why. */
void trp_grpc_call_pack(struct trp_exchange *x);
bool trp_grpc_call_frame(struct trp_exchange *x);

/* Ends a call with x->error's status: trailers behind what was sent, or alone.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_grpc_call_finish(struct trp_exchange *x);
void trp_grpc_call_trailers(struct trp_exchange *x);

/* Reads a HealthCheckRequest from x->bytes and fills x->control: the server's readiness, or a
 * model's.
 *   Owns  : the name is borrowed from x->bytes.
 *   Thread: loop.
 *   Errors: INVALID_ARGUMENT; in x->error. */
trp_status trp_grpc_call_health(struct trp_exchange *x);

/* Sends the response's header fields, once; x->h2_body follows.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none; the connection ends when memory is short. */
void trp_grpc_call_respond(struct trp_exchange *x);

#endif
