/* wire/oip_grpc_encode.c - inference.ModelInferResponse, written by hand.
 *
 * Tensors always travel in raw_output_contents, one entry for each output, an empty one for an
 * output in shared memory.  The entries are the last field, so the reply is: everything else, then
 * for each tensor its tag and length and the tensor where it lies.  In a stream the message is a
 * field of ModelStreamInferResponse, whose length is known at the end only: room for it is left in
 * front. */
#include "base/pbwire.h"
#include "tensor/dtype.h"
#include "wire/oip_encode.h"

enum reply_field {
    REPLY_MODEL_NAME = 1,
    REPLY_MODEL_VERSION = 2,
    REPLY_ID = 3,
    REPLY_PARAMETERS = 4,
    REPLY_OUTPUTS = 5,
    REPLY_RAW = 6
};
enum output_field { OUTPUT_NAME = 1, OUTPUT_DATATYPE = 2, OUTPUT_SHAPE = 3 };
enum stream_field { STREAM_ERROR = 1, STREAM_REPLY = 2 };

#define WRAPPER_MAX (1 + TRP_PB_VARINT_BYTES_MAX) /* tag and length of STREAM_REPLY */

static void add_text_field(struct trp_buf *b, uint32_t number, struct trp_str s)
{
    if (s.len > 0)
        trp_pb_write_str(b, number, s);
}

/* The oneof of InferParameter. */
static void add_value(struct trp_buf *b, const struct trp_param *p)
{
    switch (p->kind) {
    case TRP_PARAM_BOOL:
        trp_pb_write_bool(b, 1, p->v.b);
        return;
    case TRP_PARAM_INT:
        trp_pb_write_i64(b, 2, p->v.i);
        return;
    case TRP_PARAM_UINT:
        trp_pb_write_u64(b, 5, p->v.u);
        return;
    case TRP_PARAM_DOUBLE:
        trp_pb_write_double(b, 4, p->v.d);
        return;
    case TRP_PARAM_STR:
        trp_pb_write_str(b, 3, p->v.s);
        return;
    }
}

/* map<string, InferParameter>: "triton_final_response" -> { bool_param: true } */
static void add_parameter(struct trp_buf *b, const struct trp_param *p)
{
    const size_t entry = trp_pb_begin(b, REPLY_PARAMETERS);
    trp_pb_write_str(b, 1, p->name);
    const size_t value = trp_pb_begin(b, 2);
    add_value(b, p);
    trp_pb_end(b, value);
    trp_pb_end(b, entry);
}

static void add_final_parameter(struct trp_buf *b)
{
    const struct trp_param final = { .name = TRP_STR_LIT("triton_final_response"),
                                     .kind = TRP_PARAM_BOOL,
                                     .v.b = true };
    add_parameter(b, &final);
}

static void add_choice(struct trp_buf *b, struct trp_str why)
{
    const struct trp_param choice = { .name = TRP_STR_LIT("troupe_choice"),
                                      .kind = TRP_PARAM_STR,
                                      .v.s = why };
    add_parameter(b, &choice);
}

static void add_output(struct trp_buf *b, const struct trp_oip_output *o)
{
    const size_t output = trp_pb_begin(b, REPLY_OUTPUTS);
    add_text_field(b, OUTPUT_NAME, o->name);
    add_text_field(b, OUTPUT_DATATYPE, trp_str_of(trp_dtype_name(o->dtype)));
    if (o->rank > 0) {
        const size_t shape = trp_pb_begin(b, OUTPUT_SHAPE);
        for (uint32_t i = 0; i < o->rank; i++)
            trp_pb_write_varint(b, (uint64_t)o->shape[i]);
        trp_pb_end(b, shape);
    }
    trp_pb_end(b, output);
}

static void add_head(struct trp_buf *b, const struct trp_call *call, bool final_parameter)
{
    char version[TRP_STR_DIGITS];
    add_text_field(b, REPLY_MODEL_NAME, trp_oip_answered_model(call));
    add_text_field(b, REPLY_MODEL_VERSION,
                   trp_str_of_u64((uint64_t)trp_oip_answered_version(call), version));
    add_text_field(b, REPLY_ID, call->id);
    if (final_parameter)
        add_final_parameter(b);
    if (call->answered_why.len > 0)
        add_choice(b, call->answered_why);
    for (uint32_t i = 0; i < call->notes_n; i++)
        add_parameter(b, &call->notes[i]);
}

/* Writes tag and length of the wrapped message so that they end where it begins, and puts them into
 * the first part. */
static void wrap(struct trp_reply *reply, uint64_t message_bytes)
{
    const uint32_t head = 1 + trp_pb_varint_bytes(message_bytes);
    char *at = (char *)(uintptr_t)reply->parts[0].ptr - head; /* into reply->text, which is ours */
    reply->parts[0].ptr = at;
    reply->parts[0].len += head;
    reply->bytes += head;
    *at++ = (char)(STREAM_REPLY << 3 | TRP_PB_BYTES);
    for (uint64_t v = message_bytes; at != (const char *)reply->parts[0].ptr + head; v >>= 7)
        *at++ = (char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
}

static trp_status add_outputs(struct trp_oip_codec *codec, struct trp_call *call,
                              struct trp_oip_parts *parts, struct trp_oip_output *outputs,
                              struct trp_error *err)
{
    struct trp_buf *const b = &parts->reply->text;
    for (uint32_t i = 0; i < call->outputs_n; i++) {
        TRP_CHECK(trp_oip_prepare_output(codec, call, i, &outputs[i], err));
        add_output(b, &outputs[i]);
    }
    for (uint32_t i = 0; i < call->outputs_n; i++) {
        const uint64_t bytes = outputs[i].in_region ? 0 : outputs[i].bytes;
        trp_pb_write_head(b, REPLY_RAW, bytes);
        if (bytes == 0)
            continue;
        trp_oip_parts_add_text(parts);
        trp_oip_parts_add_tensor(parts, outputs[i].data, bytes);
    }
    return trp_ok();
}

trp_status trp_oip_encode_grpc(struct trp_oip_codec *codec, struct trp_call *call, bool stream,
                               bool final_parameter, struct trp_reply *reply, struct trp_error *err)
{
    struct trp_oip_parts parts;
    const uint32_t n = call->outputs_n;
    struct trp_oip_output *const outputs =
        trp_arena_get(&call->arena, (n > 0 ? n : 1) * sizeof *outputs);
    if (!outputs)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "reply: out of memory");
    if (stream && trp_buf_room(&reply->text, WRAPPER_MAX))
        trp_buf_added(&reply->text, WRAPPER_MAX);
    TRP_CHECK(trp_oip_parts_begin(&parts, call, 2 * n + 1, reply, err));
    add_head(&reply->text, call, final_parameter);
    TRP_CHECK(add_outputs(codec, call, &parts, outputs, err));
    TRP_CHECK(trp_oip_parts_finish(&parts, err));
    if (stream)
        wrap(reply, reply->bytes);
    return trp_ok();
}

/* A protobuf string must be UTF-8, but words may quote a client's bytes, cut anywhere. */
static void add_words(struct trp_buf *b, uint32_t number, const char *words)
{
    char clean[sizeof((struct trp_error *)NULL)->text];
    const struct trp_str text = trp_str_of(words);
    if (trp_str_is_utf8(text)) {
        add_text_field(b, number, text);
        return;
    }
    for (size_t i = 0; i < text.len; i++)
        clean[i] = (unsigned char)text.ptr[i] < 0x80 ? text.ptr[i] : '?';
    trp_pb_write_str(b, number, trp_str_make(clean, text.len));
}

void trp_oip_encode_grpc_stream_error(struct trp_str id, const struct trp_error *error,
                                      struct trp_buf *out)
{
    add_words(out, STREAM_ERROR, error->text);
    const size_t reply = trp_pb_begin(out, STREAM_REPLY);
    add_text_field(out, REPLY_ID, id);
    trp_pb_end(out, reply);
}
