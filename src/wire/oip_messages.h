/* wire/oip_messages.h - the message tables of inference.GRPCInferenceService.
 * Answers "which fields has this request or reply?".  The same tables serve protobuf, JSON and reflection. */
#ifndef TRP_OIP_MESSAGES_H
#define TRP_OIP_MESSAGES_H

#include "call/control.h"
#include "conf/schema.h"

/* Request and reply message of a control operation; NULL for operations of our own (METRICS, API_...).
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const struct trp_message *trp_oip_request_message(enum trp_control_op op);
const struct trp_message *trp_oip_reply_message(enum trp_control_op op);

#endif
