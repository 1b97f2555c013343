/* wire/oip_json_decode.c - an inference request in JSON, with or without binary tensors behind it.
 *
 * The body is [JSON | block, block, ...]; `Inference-Header-Content-Length` says where the JSON
 * ends.  The blocks lie in the order of the inputs that announce a `binary_data_size`, without
 * gaps, and become views.  The parser's document dies with the next request, so names and texts are
 * copied to the call's arena; numbers of `data` are written straight to where the tensor will stay.
 * Keys nobody knows are passed over, `null` counts as absent, and of a key that stands twice the
 * last counts. */
#include "wire/oip_decode.h"

#include "tensor/shape.h"

#define SHOWN_MAX 200 /* bytes of a client's text in a message */

struct request {
    struct trp_oip_decoding d;
    const char *binary; /* the next block */
    uint64_t binary_left;
    bool has_header;
    bool is_explained; /* not to be answered */
    uint64_t json_bytes;
};

static int shown(struct trp_str s)
{
    return (int)(s.len < SHOWN_MAX ? s.len : SHOWN_MAX);
}

/* ---- small steps ----------------------------------------------------------------------------- */

static bool is_null(struct trp_json v)
{
    return trp_json_type(v) == TRP_JSON_NULL;
}

/* "Unable to parse 'shape': input 'x': expected an array, got a string" */
static trp_status wrong(struct request *r, const char *key, struct trp_str whose,
                        const char *expected, struct trp_json got)
{
    return trp_fail(r->d.err, TRP_INVALID_ARGUMENT,
                    "Unable to parse '%s': %.*s%sexpected %s, got %s", key, shown(whose), whose.ptr,
                    whose.len > 0 ? ": " : "", expected, trp_json_type_name(trp_json_type(got)));
}

static trp_status keep_text(struct request *r, struct trp_str s, struct trp_str *out)
{
    *out = trp_arena_dup(&r->d.call->arena, s);
    if (!out->ptr)
        return trp_fail(r->d.err, TRP_OUT_OF_MEMORY, "request: out of memory");
    return trp_ok();
}

static trp_status take_text(struct request *r, struct trp_json v, const char *key,
                            const char *whose, struct trp_str *out)
{
    struct trp_str s;
    if (!trp_json_as_str(v, &s))
        return wrong(r, key, trp_str_of(whose), "a string", v);
    return keep_text(r, s, out);
}

/* A parameter whose name and text still lie in the document. */
static trp_status read_param(struct request *r, struct trp_str name, struct trp_json v,
                             struct trp_param *out)
{
    *out = (struct trp_param){ .name = name };
    switch (trp_json_type(v)) {
    case TRP_JSON_BOOL:
        out->kind = TRP_PARAM_BOOL;
        trp_json_as_bool(v, &out->v.b);
        return trp_ok();
    case TRP_JSON_INT:
        out->kind = TRP_PARAM_INT;
        trp_json_as_i64(v, &out->v.i);
        return trp_ok();
    case TRP_JSON_UINT:
        out->kind = TRP_PARAM_UINT;
        trp_json_as_u64(v, &out->v.u);
        return trp_ok();
    case TRP_JSON_FLOAT:
        out->kind = TRP_PARAM_DOUBLE;
        trp_json_as_f64(v, &out->v.d);
        return trp_ok();
    case TRP_JSON_STRING:
        out->kind = TRP_PARAM_STR;
        trp_json_as_str(v, &out->v.s);
        return keep_text(r, out->v.s, &out->v.s);
    default:
        return trp_fail(r->d.err, TRP_INVALID_ARGUMENT,
                        "parameter '%.*s': expected a string, a number or a boolean, got %s",
                        shown(name), name.ptr, trp_json_type_name(trp_json_type(v)));
    }
}

static trp_status read_params(struct request *r, struct trp_json v)
{
    struct trp_json_iter it;
    struct trp_str name;
    struct trp_json value;
    if (trp_json_type(v) != TRP_JSON_OBJECT)
        return wrong(r, "parameters", trp_str_of(""), "an object", v);
    TRP_CHECK(trp_oip_make_params(&r->d, trp_json_count(v)));
    if (!trp_json_begin(v, &it))
        return trp_ok();
    while (trp_json_next(&it, &name, &value)) {
        struct trp_param p;
        if (is_null(value))
            continue;
        TRP_CHECK(read_param(r, name, value, &p));
        TRP_CHECK(keep_text(r, name, &p.name));
        TRP_CHECK(trp_oip_take_param(&r->d, &p));
    }
    return trp_ok();
}

/* The parameters of an input or an output. */
static trp_status read_place(struct request *r, struct trp_json v, const char *whose,
                             struct trp_oip_place *place)
{
    struct trp_json_iter it;
    struct trp_str name;
    struct trp_json value;
    if (trp_json_type(v) != TRP_JSON_OBJECT)
        return wrong(r, "parameters", trp_str_of(whose), "an object", v);
    if (trp_json_count(v) > r->d.codec->params_max)
        return trp_fail_limit(r->d.err, TRP_TOO_LARGE, TRP_LIMIT_PARAMS, "more than %u parameters",
                              r->d.codec->params_max);
    if (!trp_json_begin(v, &it))
        return trp_ok();
    while (trp_json_next(&it, &name, &value)) {
        struct trp_param p;
        if (is_null(value))
            continue;
        TRP_CHECK(read_param(r, name, value, &p));
        TRP_CHECK(trp_oip_take_place(&r->d, &p, place));
    }
    return trp_ok();
}

/* ---- inputs ---------------------------------------------------------------------------------- */

/* What was found in an input's object. */
struct fields {
    struct trp_json name, shape, datatype, parameters, data;
    bool has_name, has_shape, has_datatype, has_parameters, has_data;
};

static void find_fields(struct trp_json v, struct fields *f)
{
    struct trp_json_iter it;
    struct trp_str key;
    struct trp_json value;
    *f = (struct fields){ 0 };
    if (!trp_json_begin(v, &it))
        return;
    while (trp_json_next(&it, &key, &value)) {
        const bool here = !is_null(value);
        if (trp_str_is(key, "name"))
            f->name = value, f->has_name = here;
        else if (trp_str_is(key, "shape"))
            f->shape = value, f->has_shape = here;
        else if (trp_str_is(key, "datatype"))
            f->datatype = value, f->has_datatype = here;
        else if (trp_str_is(key, "parameters"))
            f->parameters = value, f->has_parameters = here;
        else if (trp_str_is(key, "data"))
            f->data = value, f->has_data = here;
    }
}

static trp_status read_shape(struct request *r, struct trp_json v, struct trp_call_tensor *input)
{
    struct trp_json_iter it;
    struct trp_json value;
    struct troupe_tensor *const t = &input->tensor;
    if (trp_json_type(v) != TRP_JSON_ARRAY)
        return wrong(r, "shape", input->name, "an array", v);
    if (trp_json_count(v) > TROUPE_RANK_MAX)
        return trp_fail(r->d.err, TRP_INVALID_ARGUMENT,
                        "Unable to parse 'shape': input '%.*s' has %zu dimensions, at most %d are "
                        "served",
                        shown(input->name), input->name.ptr, trp_json_count(v), TROUPE_RANK_MAX);
    if (!trp_json_begin(v, &it))
        return trp_ok();
    while (trp_json_next(&it, NULL, &value)) {
        int64_t size = 0;
        if (!trp_json_as_i64(value, &size))
            return wrong(r, "shape", input->name, "integers below 2^63", value);
        if (size < 0)
            return trp_fail(r->d.err, TRP_INVALID_ARGUMENT,
                            "Unable to parse 'shape': input '%.*s': dimension %u is %lld, expected "
                            "0 or more",
                            shown(input->name), input->name.ptr, t->rank, (long long)size);
        t->shape[t->rank++] = size;
    }
    return trp_ok();
}

/* Exactly one of three sources; the words are those that clients of Triton know. */
static trp_status check_sources(struct request *r, const struct trp_call_tensor *input,
                                bool has_data, const struct trp_oip_place *place)
{
    const int n = has_data + place->has_size + place->has_region;
    if (n == 1)
        return trp_ok();
    return trp_fail(
        r->d.err, TRP_INVALID_ARGUMENT,
        "Input must set only one of the following fields: 'data', 'binary_data_size' in "
        "'parameters', 'shared_memory_region' in 'parameters'. But %s%s%s%s (input '%.*s')",
        n == 0 ? "no field is set" : "set", has_data ? " 'data'" : "",
        place->has_size ? " 'binary_data_size'" : "",
        place->has_region ? " 'shared_memory_region'" : "", shown(input->name), input->name.ptr);
}

static trp_status take_block(struct request *r, struct trp_call_tensor *input, uint64_t bytes)
{
    const struct trp_str model = r->d.call->model;
    if (!r->has_header)
        return trp_fail(
            r->d.err, TRP_INVALID_ARGUMENT,
            "must specify valid 'Inference-Header-Content-Length' in request header and "
            "'binary_data_size' when passing inputs in binary data format");
    TRP_CHECK(trp_oip_expect_bytes(&r->d, input, bytes, "binary_data_size"));
    if (bytes > r->binary_left)
        return trp_fail(r->d.err, TRP_INVALID_ARGUMENT,
                        "unexpected size for input '%.*s', expecting %llu additional bytes for "
                        "model '%.*s'",
                        shown(input->name), input->name.ptr,
                        (unsigned long long)(bytes - r->binary_left), shown(model), model.ptr);
    TRP_CHECK(trp_oip_give_view(&r->d, input, r->binary, bytes));
    r->binary += bytes;
    r->binary_left -= bytes;
    return trp_ok();
}

/* ---- `data` ---------------------------------------------------------------------------------- */

/* Puts the input in front of what went wrong inside its data. */
static trp_status within_data(struct request *r, const struct trp_call_tensor *input, trp_status st)
{
    char shape[200];
    if (trp_failed(st))
        trp_error_within(
            r->d.err, "Unable to parse 'data': input '%.*s' of shape %s", shown(input->name),
            input->name.ptr,
            trp_shape_format(input->tensor.shape, input->tensor.rank, shape, sizeof shape));
    return st;
}

/* Strings are measured first and written then. */
struct strings {
    uint64_t elements, seen, bytes;
    char *at; /* NULL: measuring */
};

static trp_status each_string(void *user, struct trp_str s, struct trp_error *err)
{
    struct strings *const strings = user;
    const uint32_t len = (uint32_t)s.len;
    if (s.len > UINT32_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "a string of %zu bytes", s.len);
    strings->seen++;
    strings->bytes += sizeof len + s.len;
    if (!strings->at)
        return trp_ok();
    memcpy(strings->at, &len, sizeof len); /* little-endian, as the raw layout wants it */
    if (len > 0)
        memcpy(strings->at + sizeof len, s.ptr, len);
    strings->at += sizeof len + s.len;
    return trp_ok();
}

static trp_status fill_strings(struct request *r, struct trp_json data,
                               struct trp_call_tensor *input, uint64_t elements)
{
    struct strings strings = { .elements = elements };
    TRP_CHECK(trp_json_each_string(data, each_string, &strings, r->d.err));
    if (strings.seen != elements)
        return trp_fail(r->d.err, TRP_INVALID_ARGUMENT, "expected %llu strings, got %llu",
                        (unsigned long long)elements, (unsigned long long)strings.seen);
    const uint64_t bytes = strings.bytes;
    TRP_CHECK(trp_oip_expect_bytes(&r->d, input, bytes, "data"));
    TRP_CHECK(trp_oip_give_memory(&r->d, input, bytes));
    strings.at = input->tensor.data;
    return trp_json_each_string(data, each_string, &strings, r->d.err);
}

static trp_status fill(struct request *r, struct trp_json data, struct trp_call_tensor *input)
{
    uint64_t elements = 0, bytes = 0;
    TRP_CHECK(trp_oip_measure(&r->d, input, &elements, &bytes));
    if (elements >
        r->json_bytes) /* each needs a byte at least: no memory for what cannot be there */
        return within_data(r, input,
                           trp_fail(r->d.err, TRP_INVALID_ARGUMENT,
                                    "the request is too short to hold %llu elements",
                                    (unsigned long long)elements));
    if (input->tensor.dtype == TROUPE_BYTES)
        return within_data(r, input, fill_strings(r, data, input, elements));
    TRP_CHECK(trp_oip_expect_bytes(&r->d, input, bytes, "data"));
    TRP_CHECK(trp_oip_give_memory(&r->d, input, bytes));
    return within_data(
        r, input,
        trp_json_fill(data, input->tensor.dtype, input->tensor.data, (size_t)elements, r->d.err));
}

static trp_status read_input(struct request *r, struct trp_json v, struct trp_call_tensor *input)
{
    struct fields f;
    struct trp_oip_place place = { 0 };
    struct trp_str dtype;
    if (trp_json_type(v) != TRP_JSON_OBJECT)
        return wrong(r, "inputs", trp_str_of(""), "an array of objects", v);
    find_fields(v, &f);
    if (!f.has_name || !f.has_shape || !f.has_datatype)
        return trp_fail(r->d.err, TRP_INVALID_ARGUMENT,
                        "Unable to parse 'inputs': an input lacks its '%s'",
                        !f.has_name    ? "name"
                        : !f.has_shape ? "shape"
                                       : "datatype");
    TRP_CHECK(take_text(r, f.name, "name", "inputs", &input->name));
    if (!trp_json_as_str(f.datatype, &dtype))
        return wrong(r, "datatype", input->name, "a string", f.datatype);
    TRP_CHECK(trp_oip_read_dtype(&r->d, dtype, input));
    TRP_CHECK(read_shape(r, f.shape, input));
    if (f.has_parameters)
        TRP_TRY(read_place(r, f.parameters, "inputs", &place), r->d.err, "input '%.*s'",
                shown(input->name), input->name.ptr);
    TRP_CHECK(check_sources(r, input, f.has_data, &place));
    TRP_CHECK(trp_oip_place_input(&r->d, &place, input));
    if (place.has_size)
        return take_block(r, input, place.size);
    return f.has_data ? fill(r, f.data, input) : trp_ok();
}

static trp_status read_inputs(struct request *r, struct trp_json v)
{
    struct trp_json_iter it;
    struct trp_json value;
    if (trp_json_type(v) != TRP_JSON_ARRAY)
        return wrong(r, "inputs", trp_str_of(""), "an array", v);
    TRP_CHECK(trp_oip_make_inputs(&r->d, trp_json_count(v)));
    if (!trp_json_begin(v, &it))
        return trp_ok();
    for (uint32_t i = 0; trp_json_next(&it, NULL, &value); i++)
        TRP_CHECK(read_input(r, value, &r->d.call->inputs[i]));
    return trp_ok();
}

/* ---- outputs --------------------------------------------------------------------------------- */

static trp_status read_output(struct request *r, struct trp_json v, struct trp_wanted *wanted)
{
    struct trp_json name, parameters;
    struct trp_oip_place place = { 0 };
    if (trp_json_type(v) != TRP_JSON_OBJECT)
        return wrong(r, "outputs", trp_str_of(""), "an array of objects", v);
    if (!trp_json_find(v, "name", &name))
        return trp_fail(r->d.err, TRP_INVALID_ARGUMENT,
                        "Unable to parse 'outputs': an output lacks its 'name'");
    TRP_CHECK(take_text(r, name, "name", "outputs", &wanted->name));
    if (trp_json_find(v, "parameters", &parameters) && !is_null(parameters))
        TRP_TRY(read_place(r, parameters, "outputs", &place), r->d.err, "output '%.*s'",
                shown(wanted->name), wanted->name.ptr);
    return trp_oip_place_wanted(&r->d, &place, wanted);
}

static trp_status read_outputs(struct request *r, struct trp_json v)
{
    struct trp_json_iter it;
    struct trp_json value;
    if (trp_json_type(v) != TRP_JSON_ARRAY)
        return wrong(r, "outputs", trp_str_of(""), "an array", v);
    TRP_CHECK(trp_oip_make_wanted(&r->d, trp_json_count(v)));
    if (!trp_json_begin(v, &it))
        return trp_ok();
    for (uint32_t i = 0; trp_json_next(&it, NULL, &value); i++)
        TRP_CHECK(read_output(r, value, &r->d.call->wanted[i]));
    return trp_ok();
}

/* ---- the whole ------------------------------------------------------------------------------- */

struct top {
    struct trp_json id, parameters, inputs, outputs, protocol;
    bool has_id, has_parameters, has_inputs, has_outputs, has_protocol;
};

static void find_top(struct trp_json root, struct top *top)
{
    struct trp_json_iter it;
    struct trp_str key;
    struct trp_json value;
    *top = (struct top){ 0 };
    if (!trp_json_begin(root, &it))
        return;
    while (trp_json_next(&it, &key, &value)) {
        const bool here = !is_null(value);
        if (trp_str_is(key, "id"))
            top->id = value, top->has_id = here;
        else if (trp_str_is(key, "parameters"))
            top->parameters = value, top->has_parameters = here;
        else if (trp_str_is(key, "inputs"))
            top->inputs = value, top->has_inputs = here;
        else if (trp_str_is(key, "outputs"))
            top->outputs = value, top->has_outputs = here;
        else if (trp_str_is(key, "protocol"))
            top->protocol = value, top->has_protocol = here;
    }
}

static trp_status read_protocol(struct request *r, struct trp_json v)
{
    struct trp_str text;
    if (!trp_json_as_str(v, &text))
        return wrong(r, "protocol", trp_str_of(""), "a string", v);
    if (!trp_call_protocol_parse(text, &r->d.call->protocol))
        return trp_fail(r->d.err, TRP_INVALID_ARGUMENT,
                        "Unable to parse 'protocol': '%.*s' is not http, grpc or internal",
                        shown(text), text.ptr);
    return trp_ok();
}

static trp_status read_root(struct request *r, struct trp_json root)
{
    struct top top;
    if (trp_json_type(root) != TRP_JSON_OBJECT)
        return trp_fail(r->d.err, TRP_INVALID_ARGUMENT,
                        "Unable to parse the request: expected an object, got %s",
                        trp_json_type_name(trp_json_type(root)));
    find_top(root, &top);
    if (!top.has_inputs)
        return trp_fail(r->d.err, TRP_INVALID_ARGUMENT,
                        "Unable to parse 'inputs': the request has no 'inputs'");
    if (top.has_id)
        TRP_CHECK(take_text(r, top.id, "id", "", &r->d.call->id));
    if (top.has_protocol && r->is_explained)
        TRP_CHECK(read_protocol(r, top.protocol));
    if (top.has_parameters)
        TRP_CHECK(read_params(r, top.parameters));
    TRP_CHECK(read_inputs(r, top.inputs));
    if (r->binary_left > 0)
        return trp_fail(r->d.err, TRP_INVALID_ARGUMENT,
                        "unexpected additional input data for model '%.*s': %llu bytes more than "
                        "the sizes of the inputs add up to",
                        shown(r->d.call->model), r->d.call->model.ptr,
                        (unsigned long long)r->binary_left);
    return top.has_outputs ? read_outputs(r, top.outputs) : trp_ok();
}

/* The body is the only input's data; its name, type and shape are the model's (see
 * trp_call_bind()). */
static trp_status read_raw(struct request *r, struct trp_str body)
{
    TRP_CHECK(trp_oip_make_inputs(&r->d, 1));
    struct trp_call_tensor *const input = &r->d.call->inputs[0];
    input->tensor.dtype = TROUPE_UINT64; /* the widest: aligned for whatever it turns out to be */
    input->tensor.rank = 1;
    if (body.len > r->d.codec->bytes_max)
        return trp_fail_limit(r->d.err, TRP_TOO_LARGE, TRP_LIMIT_BODY,
                              "the input holds more than %llu bytes",
                              (unsigned long long)r->d.codec->bytes_max);
    TRP_CHECK(trp_oip_give_view(&r->d, input, body.ptr, body.len));
    input->tensor.dtype = TROUPE_NO_DTYPE;
    input->tensor.rank = 0;
    r->d.call->binary_default = true;
    return trp_ok();
}

static trp_status read_body(struct request *r, struct trp_str body, bool padded, int64_t json_bytes)
{
    struct trp_error *err = r->d.err;
    struct trp_json root;
    if (json_bytes < -1 || (json_bytes >= 0 && (uint64_t)json_bytes > body.len))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "Inference-Header-Content-Length is %lld, but the body has %zu bytes",
                        (long long)json_bytes, body.len);
    if (json_bytes == 0)
        return read_raw(r, body);
    r->has_header = json_bytes > 0;
    r->json_bytes = r->has_header ? (uint64_t)json_bytes : body.len;
    r->binary_left = body.len - r->json_bytes;
    r->binary = r->binary_left > 0 ? body.ptr + r->json_bytes : NULL;
    const struct trp_str json = trp_str_make(body.ptr, (size_t)r->json_bytes);
    const bool has_padding = padded || r->binary_left >= TRP_JSON_PADDING;
    TRP_TRY(trp_json_parse(r->d.codec->json, json, has_padding, &root, err), err,
            "Unable to parse the request");
    return read_root(r, root);
}

trp_status trp_oip_decode_http(struct trp_oip_codec *codec, struct trp_call *call,
                               struct trp_str body, bool padded, int64_t json_bytes,
                               struct trp_error *err)
{
    struct request r = { .d = { .codec = codec, .call = call, .err = err } };
    return read_body(&r, body, padded, json_bytes);
}

trp_status trp_oip_decode_explained(struct trp_oip_codec *codec, struct trp_call *call,
                                    struct trp_str body, bool padded, int64_t json_bytes,
                                    struct trp_error *err)
{
    struct request r = { .d = { .codec = codec, .call = call, .err = err }, .is_explained = true };
    return read_body(&r, body, padded, json_bytes);
}
