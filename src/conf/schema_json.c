/* conf/schema_json.c - a normal tree as JSON, the way Triton prints protobuf; see schema.h. */
#include "conf/schema.h"

static void write_message(struct trp_buf *b, const struct trp_message *m,
                          const struct trp_node *tree, bool defaults);

static void write_base64(struct trp_buf *b, struct trp_str s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    trp_buf_add_char(b, '"');
    for (size_t i = 0; i < s.len; i += 3) {
        uint32_t bits = 0;
        const size_t n = s.len - i < 3 ? s.len - i : 3;
        char out[4] = { '=', '=', '=', '=' };
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (k < n ? (uint8_t)s.ptr[i + k] : 0u);
        for (size_t k = 0; k <= n; k++)
            out[k] = digits[bits >> (18 - 6 * k) & 63];
        trp_buf_add(b, out, sizeof out);
    }
    trp_buf_add_char(b, '"');
}

static void write_value(struct trp_buf *b, const struct trp_field *f, const struct trp_node *n,
                        bool defaults)
{
    if (f->type == TRP_FIELD_MESSAGE)
        write_message(b, f->message, n, defaults);
    else if (f->type == TRP_FIELD_BYTES && n->kind == TRP_NODE_STR)
        write_base64(b, n->v.s);
    else if (f->type == TRP_FIELD_FLOAT && n->kind == TRP_NODE_FLOAT)
        trp_json_write_f32(b, (float)n->v.d);
    else
        trp_node_write_json(b, n);
}

static void write_field(struct trp_buf *b, const struct trp_field *f, const struct trp_node *n,
                        bool defaults)
{
    if (f->label == TRP_FIELD_ONE) {
        write_value(b, f, n, defaults);
        return;
    }
    const bool is_list = f->label == TRP_FIELD_MANY;
    trp_buf_add_char(b, is_list ? '[' : '{');
    for (const struct trp_node *c = n->first; c; c = c->next) {
        if (c != n->first)
            trp_buf_add_char(b, ',');
        if (!is_list) {
            trp_json_write_str(b, c->key);
            trp_buf_add_char(b, ':');
        }
        write_value(b, f, c, defaults);
    }
    trp_buf_add_char(b, is_list ? ']' : '}');
}

/* Whether an absent field has a value to show: what is there or not (messages, members of a
 * oneof) has none. */
static bool shows_default(const struct trp_field *f)
{
    return f->label != TRP_FIELD_ONE || (f->type != TRP_FIELD_MESSAGE && !f->oneof);
}

static void write_default(struct trp_buf *b, const struct trp_field *f)
{
    const struct trp_enum_value *zero;
    const bool is_text =
        f->type == TRP_FIELD_STRING || f->type == TRP_FIELD_BYTES || f->type == TRP_FIELD_ENUM;
    if (f->label != TRP_FIELD_ONE) {
        trp_buf_add_text(b, f->label == TRP_FIELD_MANY ? "[]" : "{}");
    } else if (f->otherwise && is_text) {
        trp_json_write_str(b, trp_str_of(f->otherwise));
    } else if (f->otherwise) {
        trp_buf_add_text(b, f->otherwise);
    } else if (f->type == TRP_FIELD_ENUM) {
        zero = trp_enum_numbered(f->enumeration, 0);
        trp_json_write_str(b, trp_str_of(zero ? zero->name : ""));
    } else if (is_text) {
        trp_buf_add_text(b, "\"\"");
    } else {
        trp_buf_add_text(b, f->type == TRP_FIELD_BOOL ? "false" : "0");
    }
}

static void write_message(struct trp_buf *b, const struct trp_message *m,
                          const struct trp_node *tree, bool defaults)
{
    bool first = true;
    trp_buf_add_char(b, '{');
    for (uint32_t i = 0; i < m->fields_n; i++) {
        const struct trp_field *f = &m->fields[i];
        const struct trp_node *n = trp_node_get(tree, f->name);
        if (f->use == TRP_USE_OURS || (!n && !(defaults && shows_default(f))))
            continue;
        if (!first)
            trp_buf_add_char(b, ',');
        first = false;
        trp_json_write_str(b, trp_str_of(f->name));
        trp_buf_add_char(b, ':');
        if (n)
            write_field(b, f, n, defaults);
        else
            write_default(b, f);
    }
    trp_buf_add_char(b, '}');
}

void trp_schema_write_json(struct trp_buf *b, const struct trp_message *m,
                           const struct trp_node *tree, bool defaults)
{
    write_message(b, m, tree, defaults);
}
