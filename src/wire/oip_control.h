/* wire/oip_control.h - control requests and replies as bytes.
 * Answers "what does this management
 * request say?".  One request tree and one reply tree per operation (wire/oip_messages.h), in JSON
 * with Triton's paths and shapes, and in protobuf. */
#ifndef TRP_OIP_CONTROL_H
#define TRP_OIP_CONTROL_H

#include "base/buf.h"
#include "base/json.h"
#include "call/control.h"
#include "conf/schema.h"
#include "wire/oip_route.h"

/* Decodes an HTTP request (path already routed) into control->op, model, version, request.  The
 * request tree is the one of the gRPC message (load: {"parameters":{"config":...,
 * "file:1/model.onnx": base64}} becomes string_param and bytes_param).
 *   Owns  : lives in control->arena; texts are copied, those of `route` borrowed.
 *   Thread: loop.
 *   Errors: INVALID_ARGUMENT: which field, what came, what was expected; OUT_OF_MEMORY. */
trp_status trp_control_decode_http(const struct trp_route *route, struct trp_json_parser *json,
                                   struct trp_str body, struct trp_control *control,
                                   struct trp_error *err);

/* Encodes a reply (or its error) for HTTP: body, status, content type (NULL: no body).
 *   Owns  : copied.
 *   Thread: loop.
 *   Errors: see body->failed. */
void trp_control_encode_http(const struct trp_control *control, struct trp_buf *body,
                             int *out_status, const char **out_type);

/* The same for gRPC messages.  control->op may differ from route->op: TraceSetting and LogSettings
 * that carry settings are the _SET operations, so whoever guards what changes state looks at
 * control->op.
 *   Owns  : texts of the request tree are borrowed from `bytes`; the reply is copied.
 *   Thread: loop.
 *   Errors: as above. */
trp_status trp_control_decode_grpc(const struct trp_route *route, struct trp_str bytes,
                                   struct trp_control *control, struct trp_error *err);
void trp_control_encode_grpc(const struct trp_control *control, struct trp_buf *out);

/* Answers one message of grpc.reflection.v1(alpha).ServerReflection (the same bytes in both).
 *   Owns  : copied.
 *   Thread: loop.
 *   Errors: INVALID_ARGUMENT when the message is malformed; names that are not known are answered
 *           inside `out`. */
trp_status trp_reflection_answer(struct trp_arena *arena, struct trp_str request,
                                 struct trp_buf *out, struct trp_error *err);

/* grpc.health.v1: reads HealthCheckRequest.service; writes HealthCheckResponse (1 SERVING, 2
 * NOT_SERVING, 3 SERVICE_UNKNOWN).
 *   Owns  : borrowed; copied.
 *   Thread: loop.
 *   Errors: INVALID_ARGUMENT. */
trp_status trp_health_decode(struct trp_str request, struct trp_str *out_service,
                             struct trp_error *err);
void trp_health_encode(int status, struct trp_buf *out);

#endif
