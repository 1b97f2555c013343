/* conf/node_text.c - trees from JSON, and trees as JSON and YAML for people; see node.h. */
#include "conf/node.h"

/* ---- from JSON ---- */

struct json_reader {
    struct trp_arena *arena;
    const char *file;
    struct trp_error *err;
};

static trp_status no_memory(const struct json_reader *r)
{
    return trp_fail(r->err, TRP_OUT_OF_MEMORY, "%s: no memory", r->file ? r->file : "JSON");
}

static trp_status fill(const struct json_reader *r, struct trp_node *n, struct trp_json json,
                       uint32_t depth);

static trp_status fill_children(const struct json_reader *r, struct trp_node *n,
                                struct trp_json json, uint32_t depth)
{
    if (depth == TRP_NODE_DEPTH_MAX)
        return trp_node_fail(n, r->err, TRP_TOO_LARGE, "nested deeper than %u levels",
                             TRP_NODE_DEPTH_MAX);
    struct trp_json_iter it;
    struct trp_json value;
    struct trp_str key = { 0 };
    if (!trp_json_begin(json, &it))
        return trp_ok();
    while (trp_json_next(&it, &key, &value)) {
        const struct trp_str name =
            it.is_object ? trp_arena_dup(r->arena, key) : (struct trp_str){ 0 };
        struct trp_node *child = trp_node_add(r->arena, n, name, TRP_NODE_NULL);
        if (!child || (it.is_object && !name.ptr))
            return no_memory(r);
        child->file = r->file;
        TRP_CHECK(fill(r, child, value, depth + 1));
    }
    if (n->kind != TRP_NODE_MAP)
        return trp_ok();
    const struct trp_node *first, *second;
    TRP_CHECK(trp_node_find_twin(r->arena, n, &first, &second, r->err));
    return second ? trp_node_fail(second, r->err, TRP_INVALID_ARGUMENT,
                                  "key \"%.*s\" is there twice", TRP_STR(second->key))
                  : trp_ok();
}

static trp_status fill(const struct json_reader *r, struct trp_node *n, struct trp_json json,
                       uint32_t depth)
{
    struct trp_str text;
    switch (trp_json_type(json)) {
    case TRP_JSON_NULL:
        n->kind = TRP_NODE_NULL;
        return trp_ok();
    case TRP_JSON_BOOL:
        n->kind = TRP_NODE_BOOL;
        (void)trp_json_as_bool(json, &n->v.b);
        return trp_ok();
    case TRP_JSON_INT:
        n->kind = TRP_NODE_INT;
        (void)trp_json_as_i64(json, &n->v.i);
        return trp_ok();
    case TRP_JSON_UINT:
        n->kind = TRP_NODE_UINT;
        (void)trp_json_as_u64(json, &n->v.u);
        return trp_ok();
    case TRP_JSON_FLOAT:
        n->kind = TRP_NODE_FLOAT;
        (void)trp_json_as_f64(json, &n->v.d);
        return trp_ok();
    case TRP_JSON_STRING:
        n->kind = TRP_NODE_STR;
        (void)trp_json_as_str(json, &text);
        n->v.s = trp_arena_dup(r->arena, text);
        return n->v.s.ptr ? trp_ok() : no_memory(r);
    case TRP_JSON_ARRAY:
        n->kind = TRP_NODE_LIST;
        return fill_children(r, n, json, depth);
    case TRP_JSON_OBJECT:
        n->kind = TRP_NODE_MAP;
        return fill_children(r, n, json, depth);
    }
    return trp_ok();
}

trp_status trp_node_from_json(struct trp_arena *a, struct trp_json json, const char *file,
                              struct trp_node **out_root, struct trp_error *err)
{
    const struct json_reader r = { a, file, err };
    *out_root = NULL;
    struct trp_node *root = trp_node_new(a, TRP_NODE_NULL);
    if (!root)
        return no_memory(&r);
    root->file = file;
    TRP_CHECK(fill(&r, root, json, 0));
    *out_root = root;
    return trp_ok();
}

/* ---- as JSON ---- */

/* What looks the same in JSON and YAML; false for texts and what holds children. */
static bool write_plain(struct trp_buf *b, const struct trp_node *n)
{
    switch (n->kind) {
    case TRP_NODE_NULL:
        trp_buf_add_text(b, "null");
        return true;
    case TRP_NODE_BOOL:
        trp_buf_add_text(b, n->v.b ? "true" : "false");
        return true;
    case TRP_NODE_INT:
        trp_buf_add_i64(b, n->v.i);
        return true;
    case TRP_NODE_UINT:
        trp_buf_add_u64(b, n->v.u);
        return true;
    case TRP_NODE_FLOAT:
        trp_json_write_f64(b, n->v.d);
        return true;
    default:
        return false;
    }
}

void trp_node_write_json(struct trp_buf *b, const struct trp_node *n)
{
    if (write_plain(b, n))
        return;
    if (n->kind == TRP_NODE_STR || n->kind == TRP_NODE_WORD) {
        trp_json_write_str(b, n->v.s);
        return;
    }
    const bool is_map = n->kind == TRP_NODE_MAP;
    trp_buf_add_char(b, is_map ? '{' : '[');
    for (const struct trp_node *c = n->first; c; c = c->next) {
        if (c != n->first)
            trp_buf_add_char(b, ',');
        if (is_map) {
            trp_json_write_str(b, c->key);
            trp_buf_add_char(b, ':');
        }
        trp_node_write_json(b, c);
    }
    trp_buf_add_char(b, is_map ? '}' : ']');
}

/* ---- as YAML ---- */

static bool is_plain_char(char c, bool first)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_')
        return true;
    return !first && ((c >= '0' && c <= '9') || c == '.' || c == '-' || c == '/');
}

/* Whether any YAML reader takes these bytes, unquoted, as this very text. */
static bool is_plain(struct trp_str s)
{
    static const char *const reserved[] = { "true", "false", "yes", "no", "on",
                                            "off",  "null",  "y",   "n" };
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!is_plain_char(s.ptr[i], i == 0))
            return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
        if (trp_str_is_equal_nocase(s, trp_str_of(reserved[i])))
            return false;
    }
    return true;
}

/* What YAML does not take raw: control characters, a byte order mark, and its line breaks beyond
 * ASCII. */
static bool needs_escape(uint32_t code)
{
    return code < 0x20 || code == '"' || code == '\\' || (code >= 0x7f && code < 0xa0) ||
           code == 0x2028 || code == 0x2029 || code == 0xfeff || code == 0xfffe || code == 0xffff;
}

static uint32_t decode_utf8(const char *at, size_t len)
{
    static const uint8_t lead_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    uint32_t code = (uint8_t)at[0] & lead_bits[len];
    for (size_t i = 1; i < len; i++)
        code = code << 6 | ((uint8_t)at[i] & 0x3fu);
    return code;
}

static void write_yaml_text(struct trp_buf *b, struct trp_str s)
{
    if (is_plain(s)) {
        trp_buf_add_str(b, s);
        return;
    }
    trp_buf_add_char(b, '"');
    for (size_t i = 0, n; i < s.len; i += n) {
        n = trp_str_utf8_length(s.ptr + i, s.len - i);
        const uint32_t code = n > 0 ? decode_utf8(s.ptr + i, n) : 0xfffd; /* U+FFFD: malformed */
        n = n > 0 ? n : 1;
        if (code == '\n')
            trp_buf_add_text(b, "\\n");
        else if (code == '\t')
            trp_buf_add_text(b, "\\t");
        else if (code == '"' || code == '\\')
            trp_buf_addf(b, "\\%c", (char)code);
        else if (needs_escape(code) || code == 0xfffd)
            trp_buf_addf(b, "\\u%04x", code);
        else
            trp_buf_add(b, s.ptr + i, n);
    }
    trp_buf_add_char(b, '"');
}

static bool holds_children(const struct trp_node *n)
{
    return (n->kind == TRP_NODE_LIST || n->kind == TRP_NODE_MAP) && n->first;
}

static void write_yaml_scalar(struct trp_buf *b, const struct trp_node *n)
{
    if (n->kind == TRP_NODE_LIST)
        trp_buf_add_text(b, "[]");
    else if (n->kind == TRP_NODE_MAP)
        trp_buf_add_text(b, "{}");
    else if (!write_plain(b, n))
        write_yaml_text(b, n->v.s);
}

/* Short rows of scalars, such as dims, read better on one line. */
static bool is_row(const struct trp_node *n)
{
    if (n->kind != TRP_NODE_LIST || n->children_n > 16)
        return false;
    for (const struct trp_node *c = n->first; c; c = c->next) {
        if (c->kind == TRP_NODE_LIST || c->kind == TRP_NODE_MAP)
            return false;
    }
    return true;
}

static void write_row(struct trp_buf *b, const struct trp_node *n)
{
    trp_buf_add_char(b, '[');
    for (const struct trp_node *c = n->first; c; c = c->next) {
        if (c != n->first)
            trp_buf_add_text(b, ", ");
        write_yaml_scalar(b, c);
    }
    trp_buf_add_char(b, ']');
}

static void indent(struct trp_buf *b, uint32_t levels)
{
    for (uint32_t i = 0; i < levels; i++)
        trp_buf_add_text(b, "  ");
}

/* Writes the children of `n`, each on lines of its own; the first line's indent is there when
 * `hanging`. */
static void write_block(struct trp_buf *b, const struct trp_node *n, uint32_t level, bool hanging)
{
    for (const struct trp_node *c = n->first; c; c = c->next) {
        if (!hanging || c != n->first)
            indent(b, level);
        if (n->kind == TRP_NODE_MAP) {
            write_yaml_text(b, c->key);
            trp_buf_add_char(b, ':');
        } else {
            trp_buf_add_char(b, '-');
        }
        if (!holds_children(c) || is_row(c)) {
            trp_buf_add_char(b, ' ');
            if (is_row(c) && c->first)
                write_row(b, c);
            else
                write_yaml_scalar(b, c);
            trp_buf_add_char(b, '\n');
            continue;
        }
        const bool inline_first = n->kind == TRP_NODE_LIST;
        trp_buf_add_char(b, inline_first ? ' ' : '\n');
        write_block(b, c, level + 1, inline_first);
    }
}

void trp_node_write_yaml(struct trp_buf *b, const struct trp_node *n)
{
    if (holds_children(n)) {
        write_block(b, n, 0, false);
        return;
    }
    write_yaml_scalar(b, n);
    trp_buf_add_char(b, '\n');
}

bool trp_node_is_same(const struct trp_alloc *alloc, const struct trp_node *a,
                      const struct trp_node *b)
{
    enum { BYTES_MAX = 16 << 20 };
    struct trp_buf one, two;
    trp_buf_init(&one, alloc, BYTES_MAX);
    trp_buf_init(&two, alloc, BYTES_MAX);
    trp_node_write_json(&one, a);
    trp_node_write_json(&two, b);
    const bool is_same =
        !one.failed && !two.failed && trp_str_is_equal(trp_buf_str(&one), trp_buf_str(&two));
    trp_buf_deinit(&one);
    trp_buf_deinit(&two);
    return is_same;
}
