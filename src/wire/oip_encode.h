/* wire/oip_encode.h - what the JSON and the protobuf encoder have in common.
 * Answers "what goes into the reply for this output?".  For the oip_ files of this room only. */
#ifndef TRP_OIP_ENCODE_H
#define TRP_OIP_ENCODE_H

#include "wire/oip_codec.h"

/* An output as it travels: the tensor of the call, or what classification made of it. */
struct trp_oip_output {
    struct trp_str name;
    int32_t dtype;
    uint32_t rank;
    int64_t shape[TROUPE_RANK_MAX];
    const void *data;
    uint64_t bytes;
    bool in_region; /* it lies in the client's shared memory: nothing of it travels */
};

/* Prepares output `index` of a call: classifies it, or sees to it that it lies in its shared memory
 * region.
 *   Owns  : borrowed from the call and its arena.
 *   Thread: loop.
 *   Errors: INVALID_ARGUMENT (no order, region too small), BACKEND_FAILED (rank, no data),
 *           OUT_OF_MEMORY. */
trp_status trp_oip_prepare_output(struct trp_oip_codec *codec, struct trp_call *call,
                                  uint32_t index, struct trp_oip_output *out,
                                  struct trp_error *err);

/* Who answered.
 *   Owns  : borrowed.
 *   Thread: loop.
 *   Errors: none. */
struct trp_str trp_oip_answered_model(const struct trp_call *call);
int64_t trp_oip_answered_version(const struct trp_call *call);

/* Starts the list of parts; adds what was written to reply->text since the last part, or a tensor;
 * finish() turns places in the text into addresses and sums up.
 *   Owns  : the list lives in the call's arena.
 *   Thread: loop.
 *   Errors: begin: OUT_OF_MEMORY; finish: what happened to reply->text. */
struct trp_oip_parts {
    struct trp_reply *reply;
    size_t begin, end; /* of the text that is in the list */
    uint32_t capacity;
};
trp_status trp_oip_parts_begin(struct trp_oip_parts *p, struct trp_call *call, uint32_t capacity,
                               struct trp_reply *reply, struct trp_error *err);
void trp_oip_parts_add_text(struct trp_oip_parts *p);
void trp_oip_parts_add_tensor(struct trp_oip_parts *p, const void *data, uint64_t bytes);
trp_status trp_oip_parts_finish(struct trp_oip_parts *p, struct trp_error *err);

#endif
