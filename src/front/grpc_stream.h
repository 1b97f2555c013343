/* front/grpc_stream.h - gRPC calls that are more than one question and one answer:
 * ModelStreamInfer, ServerReflectionInfo, and Health/Watch.
 * Answers "whose turn is it in this stream?".  Each message is an exchange of its own, a child of
 * the stream's; answers leave in the order of the questions, however they finish. */
#ifndef TRP_GRPC_STREAM_H
#define TRP_GRPC_STREAM_H

#include "front/exchange.h"

/* The header is there: from now on the exchange behaves as a stream.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_grpc_stream_begin(struct trp_exchange *stream);

/* A message begins: gives it an exchange; NULL when memory is short.
 *   Owns  : the child belongs to the stream and the connection.
 *   Thread: loop.
 *   Errors: NULL. */
struct trp_exchange *trp_grpc_stream_child(struct trp_exchange *stream);

/* A message is complete; the client sends no more; the stream's window may move again; the server
 * ends; the stream was closed.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_grpc_stream_run(struct trp_exchange *child);
void trp_grpc_stream_half_closed(struct trp_exchange *stream);
void trp_grpc_stream_resume(struct trp_exchange *stream);
void trp_grpc_stream_drain(struct trp_exchange *stream);
void trp_grpc_stream_closed(struct trp_exchange *stream);

/* True while the stream has as many messages in flight as it may.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
bool trp_grpc_stream_is_full(const struct trp_exchange *stream);

/* Keeps what came while the stream was stalled, for trp_grpc_stream_resume().
 *   Owns  : `bytes` are borrowed.
 *   Thread: loop.
 *   Errors: TOO_LARGE, OUT_OF_MEMORY; the stream must end then. */
trp_status trp_grpc_stream_hold(struct trp_exchange *stream, struct trp_str bytes);

/* Fills the stream's body with the next answer that is ready; see trp_h2_events.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
bool trp_grpc_stream_refill(struct trp_exchange *stream);

/* Begins a Health/Watch, whose request is in x->bytes.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_grpc_stream_watch(struct trp_exchange *stream);

#endif
