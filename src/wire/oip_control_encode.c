/* wire/oip_control_encode.c - answers to management requests, as Triton's JSON shapes and as
 * protobuf.  Most replies are their message as JSON; the index and the lists of regions are bare
 * arrays, settings are flattened, a readiness is a status code. */
#include "wire/oip_codec.h"
#include "wire/oip_control.h"
#include "wire/oip_messages.h"

#define JSON "application/json"

/* ---- settings -------------------------------------------------------------------------------- */

/* Trace settings: texts, and one that is always a list. */
static void write_trace_value(struct trp_buf *b, const struct trp_node *entry)
{
    const struct trp_node *const values = trp_node_get(entry, "value");
    const bool is_list = trp_str_is(entry->key, "trace_level");
    if (is_list && values)
        trp_node_write_json(b, values);
    else if (is_list)
        trp_buf_add_text(b, "[]");
    else if (values && values->first)
        trp_node_write_json(b, values->first);
    else
        trp_buf_add_text(b, "\"\"");
}

/* Log settings: whichever member of the oneof is there. */
static void write_log_value(struct trp_buf *b, const struct trp_node *entry)
{
    if (entry->first)
        trp_node_write_json(b, entry->first);
    else
        trp_buf_add_text(b, "null");
}

static void write_settings(struct trp_buf *b, const struct trp_node *reply,
                           void (*write_value)(struct trp_buf *b, const struct trp_node *entry))
{
    const struct trp_node *const settings = trp_node_get(reply, "settings");
    trp_buf_add_char(b, '{');
    for (const struct trp_node *c = settings ? settings->first : NULL; c; c = c->next) {
        trp_json_write_str(b, c->key);
        trp_buf_add_char(b, ':');
        write_value(b, c);
        if (c->next)
            trp_buf_add_char(b, ',');
    }
    trp_buf_add_char(b, '}');
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* The children of a list or the values of a map, as an array of messages. */
static void write_array(struct trp_buf *b, const struct trp_node *reply, enum trp_control_op op,
                        const char *key, bool defaults)
{
    const struct trp_field *const field =
        trp_message_field(trp_oip_reply_message(op), trp_str_of(key));
    const struct trp_node *const items = trp_node_get(reply, key);
    trp_buf_add_char(b, '[');
    for (const struct trp_node *c = items ? items->first : NULL; c; c = c->next) {
        trp_schema_write_json(b, field->message, c, defaults);
        if (c->next)
            trp_buf_add_char(b, ',');
    }
    trp_buf_add_char(b, ']');
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void write_error(struct trp_buf *b, const struct trp_error *error, int *out_status)
{
    *out_status = trp_code_http(error->status.code);
    trp_oip_encode_error(error, b);
}

/* 200 or 400 without a body, as probes expect. */
static void answer_health(const struct trp_control *control, const char *key, struct trp_buf *body,
                          int *out_status, const char **out_type)
{
    if (trp_node_bool(control->reply, key, false))
        return;
    *out_status = 400;
    if (control->op != TRP_CONTROL_MODEL_READY)
        return;
    trp_buf_add_text(body, "{\"error\":\"Model version not ready\"}");
    *out_type = JSON;
}

/* A page may have megabytes, so it changes hands instead of being copied. */
static void take_page(struct trp_buf *body, struct trp_buf *page)
{
    if (body->alloc != page->alloc || body->len || page->len > body->max) {
        trp_buf_add_str(body, trp_buf_str(page));
        return;
    }
    trp_alloc_free(body->alloc, body->ptr);
    body->ptr = page->ptr;
    body->len = page->len;
    body->capacity = page->capacity;
    page->ptr = NULL;
    page->len = page->capacity = 0;
}

static void answer_own(const struct trp_control *control, struct trp_buf *body,
                       const char **out_type)
{
    *out_type = control->raw_type ? control->raw_type : JSON;
    if (control->page)
        take_page(body, control->page);
    else if (control->raw.ptr)
        trp_buf_add_str(body, control->raw);
    else if (control->reply)
        trp_node_write_json(body, control->reply);
}

static void answer_tree(const struct trp_control *control, struct trp_buf *body)
{
    const struct trp_node *const reply = control->reply;
    switch (control->op) {
    case TRP_CONTROL_MODEL_CONFIG: {
        const struct trp_message *const message = trp_oip_reply_message(control->op);
        trp_schema_write_json(body, message->fields[0].message, trp_node_get(reply, "config"),
                              true);
        return;
    }
    case TRP_CONTROL_REPOSITORY_INDEX:
        write_array(body, reply, control->op, "models", false);
        return;
    case TRP_CONTROL_SHM_STATUS:
    case TRP_CONTROL_CUDA_SHM_STATUS:
        write_array(body, reply, control->op, "regions", true);
        return;
    case TRP_CONTROL_TRACE_GET:
    case TRP_CONTROL_TRACE_SET:
        write_settings(body, reply, write_trace_value);
        return;
    case TRP_CONTROL_LOG_GET:
    case TRP_CONTROL_LOG_SET:
        write_settings(body, reply, write_log_value);
        return;
    default:
        trp_schema_write_json(body, trp_oip_reply_message(control->op), reply, true);
    }
}

static bool is_without_body(enum trp_control_op op)
{
    const struct trp_message *const message = trp_oip_reply_message(op);
    return message && message->fields_n == 0;
}

void trp_control_encode_http(const struct trp_control *control, struct trp_buf *body,
                             int *out_status, const char **out_type)
{
    *out_status = 200;
    *out_type = NULL;
    if (trp_failed(control->error.status)) {
        *out_type = JSON;
        write_error(body, &control->error, out_status);
        return;
    }
    if (control->op == TRP_CONTROL_SERVER_LIVE) {
        answer_health(control, "live", body, out_status, out_type);
    } else if (control->op == TRP_CONTROL_SERVER_READY || control->op == TRP_CONTROL_MODEL_READY) {
        answer_health(control, "ready", body, out_status, out_type);
    } else if (!trp_oip_reply_message(control->op)) {
        answer_own(control, body, out_type);
    } else if (!is_without_body(control->op)) {
        *out_type = JSON;
        answer_tree(control, body);
    }
}

void trp_control_encode_grpc(const struct trp_control *control, struct trp_buf *out)
{
    const struct trp_message *const message = trp_oip_reply_message(control->op);
    if (message && control->reply)
        trp_schema_encode(out, message, control->reply);
}
