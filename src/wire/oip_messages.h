/* wire/oip_messages.h - the message tables of inference.GRPCInferenceService.
 * Answers "which fields
 * has this request or reply?".  The same tables serve protobuf, JSON and reflection. */
#ifndef TRP_OIP_MESSAGES_H
#define TRP_OIP_MESSAGES_H

#include "call/control.h"
#include "conf/schema.h"

/* Request and reply message of a control operation; NULL for operations of our own (METRICS,
 * API_...).
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const struct trp_message *trp_oip_request_message(enum trp_control_op op);
const struct trp_message *trp_oip_reply_message(enum trp_control_op op);

/* The service as a file.  It holds the messages of this table and those of the model configuration,
 * which stand in conf/model_schema.h; they are joined in `arena`.
 *   Owns  : static, but for the two lists, which live in `arena`.
 *   Thread: any.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_oip_proto_file(struct trp_arena *arena, struct trp_proto_file *out,
                              struct trp_error *err);

#endif
