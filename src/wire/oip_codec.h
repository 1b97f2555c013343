/* wire/oip_codec.h - inference requests and replies as bytes.
 * Answers "what do these bytes ask, and
 * how is the answer written?".  Open Inference Protocol v2 in JSON, in JSON with the binary tensor
 * extension, and in protobuf.  No I/O: bytes in, a call; a call, bytes out. */
#ifndef TRP_OIP_CODEC_H
#define TRP_OIP_CODEC_H

#include "base/buf.h"
#include "base/compress.h"
#include "base/json.h"
#include "call/call.h"
#include "tensor/pool.h"

/* What a loop keeps for decoding; one per loop. */
struct trp_oip_codec {
    struct trp_json_parser *json;
    struct trp_pool *pool;           /* decoded JSON tensors */
    const struct trp_alloc *account; /* named as the lender of views and decoded tensors */
    uint32_t tensors_max, params_max;
    uint64_t bytes_max;    /* decoded size of all inputs together */
    uint64_t copied_bytes; /* added up; the caller moves it to the metric and zeroes it */
};

/* Decodes an HTTP infer request into call->id, params, inputs, wanted, sequence, priority and
 * deadline fields.  Binary tensors become views into `body`, which must stay while the call lives:
 * the caller has put its lease into call->body, or keeps the bytes itself.  A view that is not
 * aligned to its element is copied (counted).  JSON tensors are written to pooled buffers.  Tensors
 * in shared memory get their region fields; no memory.
 *   Shape : as sent; nothing is checked against a model here (that is trp_call_bind()), but byte
 *           counts are checked against shape and dtype.
 *   Units : json_bytes: Inference-Header-Content-Length; -1: header absent, all is JSON; 0: a raw
 *           binary request, whose single input is named by the caller later (input with an empty
 *           name and no dtype; see trp_call_bind()).
 *   Owns  : pieces live in the call's arena, tensors name their lender.
 *   Thread: loop.
 *   Errors: INVALID_ARGUMENT: which field or input, what came, what was expected; TOO_LARGE;
 *           OUT_OF_MEMORY. */
trp_status trp_oip_decode_http(struct trp_oip_codec *codec, struct trp_call *call,
                               struct trp_str body, bool padded, int64_t json_bytes,
                               struct trp_error *err);

/* The same of a request that is to be explained, whose JSON may also say how it would come:
 * "protocol": "http", "grpc" or "internal", which becomes the call's; else that stays what it is.
 *   Owns  : as above.
 *   Thread: loop.
 *   Errors: as above. */
trp_status trp_oip_decode_explained(struct trp_oip_codec *codec, struct trp_call *call,
                                    struct trp_str body, bool padded, int64_t json_bytes,
                                    struct trp_error *err);

/* A reply as pieces in order, ready for writev: text of our own, and tensors where they lie. */
struct trp_part {
    const void *ptr;
    size_t len;
};
struct trp_reply {
    struct trp_buf text;    /* JSON, or protobuf up to and between the tensors */
    struct trp_part *parts; /* in the call's arena; valid when encoding has ended */
    uint32_t parts_n;
    uint64_t bytes; /* all parts together */
    /* HTTP: >= 0: send it as Inference-Header-Content-Length, with application/octet-stream */
    int64_t json_bytes;
};

/* Encodes a call that ended well.  Classification, labels and shared memory outputs included.
 *   Owns  : reply->text was initialised by the caller and is kept by him; tensors are borrowed from
 *           the call.
 *   Thread: loop.
 *   Errors: INVALID_ARGUMENT (classification of a dtype that has no order), TOO_LARGE,
 *           OUT_OF_MEMORY. */
trp_status trp_oip_encode_http(struct trp_oip_codec *codec, struct trp_call *call,
                               struct trp_reply *reply, struct trp_error *err);

/* The same for inference.ModelInferRequest and ModelInferResponse (message bytes, without gRPC's
 * prefix).  Views into `bytes`. Encode: `stream` puts the reply into ModelStreamInferResponse;
 * `final_parameter` adds triton_final_response = true.
 *   Owns  : as above.
 *   Thread: loop.
 *   Errors: as above. */
trp_status trp_oip_decode_grpc(struct trp_oip_codec *codec, struct trp_call *call,
                               struct trp_str bytes, struct trp_error *err);
trp_status trp_oip_encode_grpc(struct trp_oip_codec *codec, struct trp_call *call, bool stream,
                               bool final_parameter, struct trp_reply *reply,
                               struct trp_error *err);
/* Writes a ModelStreamInferResponse that carries an error and the request's id.
 *   Owns  : copied.
 *   Thread: loop.
 *   Errors: see out->failed. */
void trp_oip_encode_grpc_stream_error(struct trp_str id, const struct trp_error *error,
                                      struct trp_buf *out);

/* Looks for the first raw_input_contents payload in the beginning of a ModelInferRequest, so that
 * the caller can place the message with that payload aligned.  Returns its offset, or -1 when it is
 * not in `head`.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
int64_t trp_oip_raw_offset(struct trp_str head);

/* The body of every HTTP error: {"error":"<text>"}.
 *   Owns  : copied.
 *   Thread: any.
 *   Errors: see out->failed. */
void trp_oip_encode_error(const struct trp_error *error, struct trp_buf *out);

#endif
