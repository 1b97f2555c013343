/* wire/oip_grpc_decode.c - inference.ModelInferRequest, read by hand.
 *
 * The message is walked once; its fields are noted in a small table, and taken from there in the
 * order that suits: counts first, so that the arena is asked once for each list, inputs last,
 * because they need to know of all raw contents.  A message of many fields is walked again with a
 * table of the right size.  Names and texts stay views into the message, as do raw tensors that are
 * aligned to their element; the caller can see to that with trp_oip_raw_offset().  Fields may come
 * in any order, raw contents before the inputs they belong to too; unknown ones are passed over.
 *
 * raw_input_contents[k] belongs to the k-th input that is not in shared memory.  Typed contents are
 * converted to the raw layout; a number that does not fit its datatype is refused, not cut. */
#include "base/pbwire.h"
#include "model/version_label.h"
#include "wire/oip_decode.h"

#define SHOWN_MAX 200 /* bytes of a client's text in a message */

enum request_field {
    REQUEST_MODEL_NAME = 1,
    REQUEST_MODEL_VERSION = 2,
    REQUEST_ID = 3,
    REQUEST_PARAMETERS = 4,
    REQUEST_INPUTS = 5,
    REQUEST_OUTPUTS = 6,
    REQUEST_RAW = 7
};
#define FEW 24 /* fields of a message that needs one walk */

struct noted { /* a field of the message; all that are known are BYTES */
    uint32_t number;
    struct trp_str bytes;
};

struct request {
    struct trp_oip_decoding d;
    struct noted *fields;
    uint32_t fields_n, fields_room;
    uint32_t inputs_n, outputs_n, params_n, raw_n; /* of each kind among them */
    struct trp_str *raw;
    uint32_t raw_taken;
};

/* trp_pb_next(), with a short cut for what nearly every field of a request is: bytes whose tag and
 * length take one byte each. */
static inline enum trp_pb_next step(struct trp_pb_reader *r, struct trp_pb_field *f)
{
    const uint8_t *const at = r->at;
    if (r->end - at >= 2 && at[0] >= 8 && (at[0] & 0x87) == TRP_PB_BYTES && at[1] < 0x80 &&
        at[1] <= r->end - at - 2) {
        f->number = at[0] >> 3;
        f->type = TRP_PB_BYTES;
        f->scalar = 0;
        f->bytes = trp_str_make((const char *)at + 2, at[1]);
        r->at = at + 2 + at[1];
        return TRP_PB_FIELD;
    }
    return trp_pb_next(r, f);
}

static int shown(struct trp_str s)
{
    return (int)(s.len < SHOWN_MAX ? s.len : SHOWN_MAX);
}

static trp_status corrupt(struct request *r, const char *what)
{
    return trp_fail(r->d.err, TRP_INVALID_ARGUMENT, "%s: malformed protobuf", what);
}

static trp_status wrong_type(struct request *r, const char *message, uint32_t number)
{
    return trp_fail(r->d.err, TRP_INVALID_ARGUMENT, "%s: field %u has a wrong wire type", message,
                    number);
}

/* ---- parameters ------------------------------------------------------------------------------ */

/* InferParameter: a oneof; the last one that was sent counts. */
static trp_status read_choice(struct request *r, struct trp_str bytes, struct trp_param *p,
                              bool *out_is_set)
{
    struct trp_pb_reader reader = trp_pb_reader_of(bytes);
    struct trp_pb_field f;
    enum trp_pb_next next;
    while ((next = step(&reader, &f)) == TRP_PB_FIELD) {
        static const uint8_t types[] = {
            0, TRP_PB_VARINT, TRP_PB_VARINT, TRP_PB_BYTES, TRP_PB_FIXED64, TRP_PB_VARINT
        };
        if (f.number >= ARRAY_LEN(types))
            continue;
        if (f.type != types[f.number])
            return wrong_type(r, "InferParameter", f.number);
        *out_is_set = true;
        switch (f.number) {
        case 1:
            p->kind = TRP_PARAM_BOOL;
            p->v.b = f.scalar != 0;
            break;
        case 2:
            p->kind = TRP_PARAM_INT;
            p->v.i = (int64_t)f.scalar;
            break;
        case 3:
            p->kind = TRP_PARAM_STR;
            p->v.s = f.bytes;
            break;
        case 4:
            p->kind = TRP_PARAM_DOUBLE;
            p->v.d = trp_pb_double(f.scalar);
            break;
        default:
            p->kind = TRP_PARAM_UINT;
            p->v.u = f.scalar;
            break;
        }
    }
    return next == TRP_PB_END ? trp_ok() : corrupt(r, "InferParameter");
}

/* An entry of map<string, InferParameter>. */
static trp_status read_param(struct request *r, struct trp_str entry, struct trp_param *out)
{
    struct trp_pb_reader reader = trp_pb_reader_of(entry);
    struct trp_pb_field f;
    enum trp_pb_next next;
    bool is_set = false;
    *out = (struct trp_param){ 0 };
    while ((next = step(&reader, &f)) == TRP_PB_FIELD) {
        if (f.number > 2)
            continue;
        if (f.type != TRP_PB_BYTES)
            return wrong_type(r, "parameters", f.number);
        if (f.number == 1)
            out->name = f.bytes;
        else
            TRP_CHECK(read_choice(r, f.bytes, out, &is_set));
    }
    if (next == TRP_PB_CORRUPT)
        return corrupt(r, "parameters");
    if (!is_set)
        return trp_fail(r->d.err, TRP_INVALID_ARGUMENT,
                        "invalid value type for '%.*s' parameter: it has none", shown(out->name),
                        out->name.ptr);
    return trp_ok();
}

/* ---- inputs ---------------------------------------------------------------------------------- */

/* One element of `shape` or a packed run of them. */
static trp_status read_shape(struct request *r, const struct trp_pb_field *f,
                             struct trp_call_tensor *input)
{
    struct troupe_tensor *const t = &input->tensor;
    struct trp_pb_reader reader = trp_pb_reader_of(f->bytes);
    uint64_t size = f->scalar;
    if (f->type != TRP_PB_VARINT && f->type != TRP_PB_BYTES)
        return wrong_type(r, "shape", f->number);
    while (f->type == TRP_PB_VARINT || trp_pb_take_varint(&reader, &size)) {
        if (t->rank == TROUPE_RANK_MAX)
            return trp_fail(r->d.err, TRP_INVALID_ARGUMENT, "input '%.*s': more than %d dimensions",
                            shown(input->name), input->name.ptr, TROUPE_RANK_MAX);
        t->shape[t->rank++] = (int64_t)size; /* a negative one is refused when it is measured */
        if (f->type == TRP_PB_VARINT)
            return trp_ok();
    }
    return reader.at == reader.end ? trp_ok() : corrupt(r, "shape");
}

/* What an InferInputTensor says beside its tensor. */
struct input_rest {
    struct trp_str datatype;
    struct trp_oip_place place;
    bool has_contents; /* not empty */
};

static trp_status read_input_field(struct request *r, const struct trp_pb_field *f,
                                   struct trp_call_tensor *input, struct input_rest *rest)
{
    struct trp_param p;
    if (f->number == TRP_OIP_INPUT_SHAPE)
        return read_shape(r, f, input);
    if (f->number > TRP_OIP_INPUT_CONTENTS)
        return trp_ok();
    if (f->type != TRP_PB_BYTES)
        return wrong_type(r, "InferInputTensor", f->number);
    switch (f->number) {
    case TRP_OIP_INPUT_NAME:
        input->name = f->bytes;
        return trp_ok();
    case TRP_OIP_INPUT_DATATYPE:
        rest->datatype = f->bytes;
        return trp_ok();
    case TRP_OIP_INPUT_PARAMETERS:
        TRP_CHECK(read_param(r, f->bytes, &p));
        return trp_oip_take_place(&r->d, &p, &rest->place);
    default:
        rest->has_contents = rest->has_contents || f->bytes.len > 0;
        return trp_ok();
    }
}

static trp_status take_raw(struct request *r, struct trp_call_tensor *input)
{
    if (r->raw_taken == r->raw_n)
        return trp_fail(
            r->d.err, TRP_INVALID_ARGUMENT,
            "input '%.*s': expected more than %u raw_input_contents, one for each input "
            "that is not in shared memory",
            shown(input->name), input->name.ptr, r->raw_n);
    const struct trp_str raw = r->raw[r->raw_taken++];
    TRP_CHECK(trp_oip_expect_bytes(&r->d, input, raw.len, "raw_input_contents"));
    return trp_oip_give_view(&r->d, input, raw.ptr, raw.len);
}

/* Region, raw or typed: exactly one of them. */
static trp_status take_data(struct request *r, struct trp_str message,
                            struct trp_call_tensor *input, const struct input_rest *rest)
{
    const struct trp_str model = r->d.call->model;
    uint64_t elements = 0, bytes = 0;
    TRP_CHECK(trp_oip_place_input(&r->d, &rest->place, input));
    if (rest->has_contents && rest->place.has_region)
        return trp_fail(r->d.err, TRP_INVALID_ARGUMENT,
                        "input '%.*s' must not set 'contents' together with 'shared_memory_region'",
                        shown(input->name), input->name.ptr);
    if (rest->place.has_region)
        return trp_ok();
    if (rest->has_contents && r->raw_n > 0)
        return trp_fail(r->d.err, TRP_INVALID_ARGUMENT,
                        "contents field must not be specified when using raw_input_contents for "
                        "'%.*s' for model '%.*s'",
                        shown(input->name), input->name.ptr, shown(model), model.ptr);
    if (r->raw_n > 0)
        return take_raw(r, input);
    TRP_CHECK(trp_oip_measure(&r->d, input, &elements, &bytes));
    if (!rest->has_contents && elements > 0)
        return trp_fail(r->d.err, TRP_INVALID_ARGUMENT,
                        "input '%.*s' for model '%.*s' has no data: neither raw_input_contents nor "
                        "contents nor a 'shared_memory_region'",
                        shown(input->name), input->name.ptr, shown(model), model.ptr);
    return trp_oip_read_contents(&r->d, input, message);
}

static trp_status read_input(struct request *r, struct trp_str message,
                             struct trp_call_tensor *input)
{
    struct input_rest rest = { 0 };
    struct trp_pb_reader reader = trp_pb_reader_of(message);
    struct trp_pb_field f;
    enum trp_pb_next next;
    while ((next = step(&reader, &f)) == TRP_PB_FIELD)
        TRP_TRY(read_input_field(r, &f, input, &rest), r->d.err, "input '%.*s'", shown(input->name),
                input->name.ptr);
    if (next == TRP_PB_CORRUPT)
        return corrupt(r, "InferInputTensor");
    TRP_CHECK(trp_oip_read_dtype(&r->d, rest.datatype, input));
    return take_data(r, message, input, &rest);
}

static trp_status read_output(struct request *r, struct trp_str message, struct trp_wanted *wanted)
{
    struct trp_oip_place place = { 0 };
    struct trp_pb_reader reader = trp_pb_reader_of(message);
    struct trp_pb_field f;
    struct trp_param p;
    enum trp_pb_next next;
    while ((next = step(&reader, &f)) == TRP_PB_FIELD) {
        if (f.number > 2)
            continue;
        if (f.type != TRP_PB_BYTES)
            return wrong_type(r, "InferRequestedOutputTensor", f.number);
        if (f.number == 1) {
            wanted->name = f.bytes;
            continue;
        }
        TRP_TRY(read_param(r, f.bytes, &p), r->d.err, "output '%.*s'", shown(wanted->name),
                wanted->name.ptr);
        TRP_TRY(trp_oip_take_place(&r->d, &p, &place), r->d.err, "output '%.*s'",
                shown(wanted->name), wanted->name.ptr);
    }
    if (next == TRP_PB_CORRUPT)
        return corrupt(r, "InferRequestedOutputTensor");
    return trp_oip_place_wanted(&r->d, &place, wanted);
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Notes fields as far as there is room, and counts them all. */
static trp_status note_fields(struct request *r, struct trp_str bytes)
{
    struct trp_pb_reader reader = trp_pb_reader_of(bytes);
    struct trp_pb_field f;
    enum trp_pb_next next;
    r->fields_n = r->params_n = r->inputs_n = r->outputs_n = r->raw_n = 0;
    while ((next = step(&reader, &f)) == TRP_PB_FIELD) {
        if (f.number > REQUEST_RAW)
            continue;
        if (f.type != TRP_PB_BYTES)
            return wrong_type(r, "ModelInferRequest", f.number);
        if (r->fields_n < r->fields_room)
            r->fields[r->fields_n] = (struct noted){ f.number, f.bytes };
        r->fields_n++;
        r->params_n += f.number == REQUEST_PARAMETERS;
        r->inputs_n += f.number == REQUEST_INPUTS;
        r->outputs_n += f.number == REQUEST_OUTPUTS;
        r->raw_n += f.number == REQUEST_RAW;
    }
    return next == TRP_PB_END ? trp_ok() : corrupt(r, "ModelInferRequest");
}

static trp_status make_room(struct request *r)
{
    if (r->raw_n > r->inputs_n)
        return trp_fail(r->d.err, TRP_INVALID_ARGUMENT,
                        "expected at most %u raw_input_contents, one for each input that is not in "
                        "shared memory, got %u",
                        r->inputs_n, r->raw_n);
    TRP_CHECK(trp_oip_make_params(&r->d, r->params_n));
    TRP_CHECK(trp_oip_make_inputs(&r->d, r->inputs_n));
    TRP_CHECK(trp_oip_make_wanted(&r->d, r->outputs_n));
    if (r->raw_n > 0 && !(r->raw = trp_arena_get(&r->d.call->arena, r->raw_n * sizeof *r->raw)))
        return trp_fail(r->d.err, TRP_OUT_OF_MEMORY, "request: out of memory");
    return trp_ok();
}

/* An empty version is the default one; a label counts as a version. */
static trp_status take_version(struct request *r, struct trp_str text)
{
    r->d.call->version = 0;
    if (text.len == 0 || trp_version_label_parse(text, &r->d.call->version))
        return trp_ok();
    return trp_fail(r->d.err, TRP_INVALID_ARGUMENT,
                    "failed to get model version from specified version string '%.*s', version "
                    "should be an integral value > 0",
                    shown(text), text.ptr);
}

static trp_status take_id(struct request *r, struct trp_str id)
{
    r->d.call->id = id;
    if (!trp_str_is_utf8(id)) /* it goes into the reply, which must be valid too */
        return trp_fail(r->d.err, TRP_INVALID_ARGUMENT, "id: not UTF-8");
    return trp_ok();
}

/* Everything but inputs. */
static trp_status read_rest(struct request *r)
{
    struct trp_param p;
    uint32_t raw_n = 0, outputs_n = 0;
    for (const struct noted *f = r->fields; f < r->fields + r->fields_n; f++)
        switch (f->number) {
        case REQUEST_MODEL_NAME:
            r->d.call->model = f->bytes;
            break;
        case REQUEST_MODEL_VERSION:
            TRP_CHECK(take_version(r, f->bytes));
            break;
        case REQUEST_ID:
            TRP_CHECK(take_id(r, f->bytes));
            break;
        case REQUEST_PARAMETERS:
            TRP_CHECK(read_param(r, f->bytes, &p));
            TRP_CHECK(trp_oip_take_param(&r->d, &p));
            break;
        case REQUEST_OUTPUTS:
            TRP_CHECK(read_output(r, f->bytes, &r->d.call->wanted[outputs_n++]));
            break;
        case REQUEST_RAW:
            r->raw[raw_n++] = f->bytes;
            break;
        default:
            break;
        }
    return trp_ok();
}

static trp_status read_inputs(struct request *r)
{
    uint32_t n = 0;
    for (const struct noted *f = r->fields; f < r->fields + r->fields_n; f++)
        if (f->number == REQUEST_INPUTS)
            TRP_CHECK(read_input(r, f->bytes, &r->d.call->inputs[n++]));
    if (r->raw_taken != r->raw_n)
        return trp_fail(r->d.err, TRP_INVALID_ARGUMENT,
                        "expected %u raw_input_contents, one for each input that is not in shared "
                        "memory, got %u",
                        r->raw_taken, r->raw_n);
    return trp_ok();
}

trp_status trp_oip_decode_grpc(struct trp_oip_codec *codec, struct trp_call *call,
                               struct trp_str bytes, struct trp_error *err)
{
    struct noted few[FEW];
    struct request r = { .d = { .codec = codec, .call = call, .err = err },
                         .fields = few,
                         .fields_room = FEW };
    TRP_CHECK(note_fields(&r, bytes));
    TRP_CHECK(make_room(&r));
    if (r.fields_n > r.fields_room) {
        r.fields_room = r.fields_n;
        r.fields = trp_arena_get(&call->arena, r.fields_room * sizeof *r.fields);
        if (!r.fields)
            return trp_fail(err, TRP_OUT_OF_MEMORY, "request: out of memory");
        TRP_CHECK(note_fields(&r, bytes));
    }
    TRP_CHECK(read_rest(&r));
    return read_inputs(&r);
}

int64_t trp_oip_raw_offset(struct trp_str head)
{
    /* The payload itself may be cut off, so fields are stepped over by hand: trp_pb_next() wants
     * them whole. */
    struct trp_pb_reader reader = trp_pb_reader_of(head);
    const uint8_t *const begin = reader.at;
    uint64_t tag = 0, len = 0;
    while (trp_pb_take_varint(&reader, &tag)) {
        if ((tag & 7) == TRP_PB_VARINT) {
            if (!trp_pb_take_varint(&reader, &len))
                return -1;
            continue;
        }
        if ((tag & 7) == TRP_PB_FIXED32)
            len = 4;
        else if ((tag & 7) == TRP_PB_FIXED64)
            len = 8;
        else if ((tag & 7) != TRP_PB_BYTES || !trp_pb_take_varint(&reader, &len))
            return -1;
        if (tag >> 3 == REQUEST_RAW && (tag & 7) == TRP_PB_BYTES)
            return reader.at - begin;
        if (len > (uint64_t)(reader.end - reader.at))
            return -1;
        reader.at += len;
    }
    return -1;
}
