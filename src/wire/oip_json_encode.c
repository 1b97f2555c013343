/* wire/oip_json_encode.c - an inference reply in JSON, with or without binary tensors behind it.
 * Keys stand in the order that Triton's clients were written against; `data` is always a flat
 * array. */
#include "tensor/dtype.h"
#include "tensor/shape.h"
#include "wire/oip_encode.h"

#define ADD(b, literal) trp_buf_add((b), "" literal, sizeof(literal) - 1)

static void add_value(struct trp_buf *b, const struct trp_param *p)
{
    switch (p->kind) {
    case TRP_PARAM_BOOL:
        trp_buf_add_text(b, p->v.b ? "true" : "false");
        return;
    case TRP_PARAM_INT:
        trp_buf_add_i64(b, p->v.i);
        return;
    case TRP_PARAM_UINT:
        trp_buf_add_u64(b, p->v.u);
        return;
    case TRP_PARAM_DOUBLE:
        trp_json_write_f64(b, p->v.d);
        return;
    case TRP_PARAM_STR:
        trp_json_write_str(b, p->v.s);
        return;
    }
}

/* Why who answered, and what else is to be said of the answer. */
static void add_parameters(struct trp_buf *b, const struct trp_call *call)
{
    const struct trp_param why = { .name = TRP_STR_LIT("troupe_choice"),
                                   .kind = TRP_PARAM_STR,
                                   .v.s = call->answered_why };
    const uint32_t first = call->answered_why.len > 0 ? 0 : 1;
    if (first == 1 && call->notes_n == 0)
        return;
    ADD(b, "\"parameters\":{");
    for (uint32_t i = first; i <= call->notes_n; i++) {
        const struct trp_param *p = i == 0 ? &why : &call->notes[i - 1];
        if (i > first)
            trp_buf_add_char(b, ',');
        trp_json_write_str(b, p->name);
        trp_buf_add_char(b, ':');
        add_value(b, p);
    }
    ADD(b, "},");
}

static void add_head(struct trp_buf *b, const struct trp_call *call)
{
    trp_buf_add_char(b, '{');
    if (call->id.len > 0) {
        ADD(b, "\"id\":");
        trp_json_write_str(b, call->id);
        trp_buf_add_char(b, ',');
    }
    ADD(b, "\"model_name\":");
    trp_json_write_str(b, trp_oip_answered_model(call));
    ADD(b, ",\"model_version\":\"");
    trp_buf_add_i64(b, trp_oip_answered_version(call));
    ADD(b, "\",");
    add_parameters(b, call);
    ADD(b, "\"outputs\":[");
}

/* An output that lies otherwise than its datatype and shape say is the backend's fault. */
static trp_status check_output(const struct trp_oip_output *o, uint64_t *out_elements,
                               struct trp_error *err)
{
    uint64_t bytes = 0;
    if (!trp_shape_elements(o->shape, o->rank, out_elements) ||
        (o->dtype != TROUPE_BYTES &&
         (!trp_shape_bytes(o->shape, o->rank, o->dtype, &bytes) || bytes != o->bytes)))
        return trp_fail(err, TRP_BACKEND_FAILED,
                        "output '%.*s': its shape and its %llu bytes do not agree",
                        TRP_STR(o->name), (unsigned long long)o->bytes);
    if (o->dtype != TROUPE_BYTES)
        return trp_ok();
    const trp_status st = trp_bytes_check(o->data, o->bytes, *out_elements, err);
    if (!trp_failed(st))
        return st;
    trp_error_within(err, "output '%.*s'", TRP_STR(o->name));
    if (err)
        err->status.code = TRP_BACKEND_FAILED; /* whatever it was called: not the client's fault */
    return (trp_status){ TRP_BACKEND_FAILED };
}

static void add_strings(struct trp_buf *b, const struct trp_oip_output *o, uint64_t elements)
{
    const char *at = o->data;
    for (uint64_t i = 0; i < elements; i++) {
        uint32_t len = 0;
        memcpy(&len, at, sizeof len);
        if (i > 0)
            trp_buf_add_char(b, ',');
        trp_json_write_str(b, trp_str_make(at + sizeof len, len));
        at += sizeof len + (size_t)len;
    }
}

static void add_shape(struct trp_buf *b, const struct trp_oip_output *o)
{
    for (uint32_t i = 0; i < o->rank; i++) {
        if (i > 0)
            trp_buf_add_char(b, ',');
        trp_buf_add_i64(b, o->shape[i]);
    }
}

static trp_status add_output(struct trp_buf *b, const struct trp_oip_output *o, bool binary,
                             struct trp_error *err)
{
    uint64_t elements = 0;
    ADD(b, "{\"name\":");
    trp_json_write_str(b, o->name);
    ADD(b, ",\"datatype\":\"");
    trp_buf_add_text(b, trp_dtype_name(o->dtype));
    ADD(b, "\",\"shape\":[");
    add_shape(b, o);
    trp_buf_add_char(b, ']');
    if (binary) {
        ADD(b, ",\"parameters\":{\"binary_data_size\":");
        trp_buf_add_u64(b, o->bytes);
        trp_buf_add_char(b, '}');
    } else if (!o->in_region) {
        TRP_CHECK(check_output(o, &elements, err));
        ADD(b, ",\"data\":[");
        if (o->dtype == TROUPE_BYTES)
            add_strings(b, o, elements);
        else
            trp_json_write_values(b, o->dtype, o->data, (size_t)elements);
        trp_buf_add_char(b, ']');
    }
    trp_buf_add_char(b, '}');
    return trp_ok();
}

/* `binary_data` of the output decides; without it, `binary_data_output` of a request that named no
 * outputs. */
static bool is_binary(const struct trp_call *call, uint32_t index, const struct trp_oip_output *o)
{
    if (o->in_region)
        return false;
    const struct trp_wanted *const wanted = index < call->wanted_n ? &call->wanted[index] : NULL;
    if (wanted && wanted->binary_set)
        return wanted->binary;
    return !call->wanted_named && call->binary_default;
}

trp_status trp_oip_encode_http(struct trp_oip_codec *codec, struct trp_call *call,
                               struct trp_reply *reply, struct trp_error *err)
{
    struct trp_buf *const b = &reply->text;
    struct trp_oip_parts parts;
    const uint32_t n = call->outputs_n;
    struct trp_part *const blocks = trp_arena_get(&call->arena, (n + 1) * sizeof *blocks);
    uint32_t blocks_n = 0;
    if (!blocks)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "reply: out of memory");
    TRP_CHECK(trp_oip_parts_begin(&parts, call, n + 1, reply, err));
    add_head(b, call);
    for (uint32_t i = 0; i < n; i++) {
        struct trp_oip_output o;
        TRP_CHECK(trp_oip_prepare_output(codec, call, i, &o, err));
        const bool binary = is_binary(call, i, &o);
        if (i > 0)
            trp_buf_add_char(b, ',');
        TRP_CHECK(add_output(b, &o, binary, err));
        if (binary && o.bytes > 0)
            blocks[blocks_n++] = (struct trp_part){ o.data, (size_t)o.bytes };
    }
    ADD(b, "]}");
    trp_oip_parts_add_text(&parts);
    if (blocks_n > 0)
        reply->json_bytes = (int64_t)(parts.end - parts.begin);
    for (uint32_t i = 0; i < blocks_n; i++)
        trp_oip_parts_add_tensor(&parts, blocks[i].ptr, blocks[i].len);
    return trp_oip_parts_finish(&parts, err);
}

void trp_oip_encode_error(const struct trp_error *error, struct trp_buf *out)
{
    ADD(out, "{\"error\":");
    trp_json_write_str(out, trp_str_of(error->text));
    trp_buf_add_char(out, '}');
}
