/* wire/oip_decode.h - what the JSON and the protobuf decoder have in common.
 * Answers "what does
 * this parameter mean, and where do these elements go?".  For the oip_ files of this room only. */
#ifndef TRP_OIP_DECODE_H
#define TRP_OIP_DECODE_H

#include "wire/oip_codec.h"

/* One decoding at work: what every step needs. */
struct trp_oip_decoding {
    struct trp_oip_codec *codec;
    struct trp_call *call;
    struct trp_error *err;
    uint64_t bytes;       /* of all inputs so far */
    uint32_t params_room; /* entries that call->params has */
};

/* Makes room for inputs, outputs and parameters.  The counts are what the message holds.
 *   Owns  : lives in the call's arena, zeroed; call->inputs_n and wanted_n are set, params_n is 0.
 *   Thread: loop.
 *   Errors: TOO_LARGE above codec->tensors_max or params_max, OUT_OF_MEMORY. */
trp_status trp_oip_make_inputs(struct trp_oip_decoding *d, size_t n);
trp_status trp_oip_make_wanted(struct trp_oip_decoding *d, size_t n);
trp_status trp_oip_make_params(struct trp_oip_decoding *d, size_t n);

/* Takes a parameter of the request: known ones set fields of the call (the earlier deadline wins),
 * `triton_` ones are refused but for triton_enable_empty_final_response, all others are kept in
 * call->params, the last of a name.
 *   Owns  : borrowed; texts must live as long as the call.
 *   Thread: loop.
 *   Errors: INVALID_ARGUMENT: the parameter, what came, what was expected. */
trp_status trp_oip_take_param(struct trp_oip_decoding *d, const struct trp_param *p);

/* What the parameters of an input or a requested output may say. */
struct trp_oip_place {
    bool has_region, has_bytes, has_offset;
    struct trp_str region;
    uint64_t offset, bytes;
    bool has_size; /* inputs over HTTP: binary_data_size */
    uint64_t size;
    bool has_binary, binary; /* outputs over HTTP: binary_data */
    bool has_classification; /* outputs */
    uint64_t classification;
};

/* Takes one; unknown ones are passed over.  `whose` names the tensor in messages ("input 'x'").
 *   Owns  : borrowed.
 *   Thread: loop.
 *   Errors: INVALID_ARGUMENT: wrong type. */
trp_status trp_oip_take_place(struct trp_oip_decoding *d, const struct trp_param *p,
                              struct trp_oip_place *place);

/* Checks that a place makes sense for an input's region, and puts an output's wishes into `wanted`.
 *   Owns  : borrowed.
 *   Thread: loop.
 *   Errors: INVALID_ARGUMENT: region without size, size without region, two wishes that exclude
 *           each other. */
trp_status trp_oip_place_wanted(struct trp_oip_decoding *d, const struct trp_oip_place *place,
                                struct trp_wanted *wanted);
trp_status trp_oip_place_input(struct trp_oip_decoding *d, const struct trp_oip_place *place,
                               struct trp_call_tensor *input);

/* Reads a datatype's name; measures an input: elements, and bytes (0 for BYTES).
 *   Owns  : borrowed.
 *   Thread: loop.
 *   Errors: INVALID_ARGUMENT: unknown datatype, negative size, a product past 2^63; TOO_LARGE: more
 *           than codec->bytes_max. */
trp_status trp_oip_read_dtype(struct trp_oip_decoding *d, struct trp_str name,
                              struct trp_call_tensor *input);
trp_status trp_oip_measure(struct trp_oip_decoding *d, const struct trp_call_tensor *input,
                           uint64_t *out_elements, uint64_t *out_bytes);

/* Checks that `bytes` is what shape and dtype ask for (BYTES: anything), and counts them.
 *   Owns  : borrowed.
 *   Thread: loop.
 *   Errors: INVALID_ARGUMENT: what came, what was expected; TOO_LARGE. */
trp_status trp_oip_expect_bytes(struct trp_oip_decoding *d, const struct trp_call_tensor *input,
                                uint64_t bytes, const char *what);

/* Gives an input memory to be written: the arena for a few bytes, else a pooled buffer.
 *   Owns  : the tensor names its lender.
 *   Thread: loop.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_oip_give_memory(struct trp_oip_decoding *d, struct trp_call_tensor *input,
                               uint64_t bytes);

/* Lets an input look at bytes of the request; copies them when they are not aligned to the element.
 *   Owns  : a view holds call->body, when there is one.
 *   Thread: loop.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_oip_give_view(struct trp_oip_decoding *d, struct trp_call_tensor *input,
                             const void *ptr, uint64_t bytes);

/* Takes the elements of all InferTensorContents in an InferInputTensor message (protobuf merges
 * them when there are several) as the data of an input whose datatype and shape are known.
 *   Owns  : a single packed run of floats becomes a view, all else is written to memory as above.
 *   Thread: loop.
 *   Errors: INVALID_ARGUMENT: malformed, another field than the datatype's, wrong number of
 *           elements, one that does not fit; TOO_LARGE, OUT_OF_MEMORY. */
trp_status trp_oip_read_contents(struct trp_oip_decoding *d, struct trp_call_tensor *input,
                                 struct trp_str input_message);

/* Numbers of the fields of InferInputTensor. */
enum trp_oip_input_field {
    TRP_OIP_INPUT_NAME = 1,
    TRP_OIP_INPUT_DATATYPE = 2,
    TRP_OIP_INPUT_SHAPE = 3,
    TRP_OIP_INPUT_PARAMETERS = 4,
    TRP_OIP_INPUT_CONTENTS = 5
};

#endif
