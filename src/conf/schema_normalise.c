/* conf/schema_normalise.c - what was written, checked and brought into one form; see schema.h.
 *
 * Three writers differ: pbtxt repeats a field for each element and writes maps as key/value
 * messages; YAML leaves types of plain scalars open; JSON quotes 64-bit numbers.  Here each is read
 * for what the field wants, and every refusal names the place, the field, what was expected and
 * what came.  The output is built field by field in the table's order, so it does not depend on
 * the order of writing. */
#include <math.h>
#include <stdio.h>

#include "conf/schema.h"

struct normaliser {
    struct trp_arena *arena;
    trp_on_field_fn on_field; /* NULL: nobody is told */
    void *user;
    struct trp_error *err;
};

static trp_status normalise_message(const struct normaliser *z, const struct trp_message *m,
                                    const struct trp_node *written, const char *within,
                                    struct trp_node *out);

static trp_status no_memory(const struct normaliser *z)
{
    return trp_fail(z->err, TRP_OUT_OF_MEMORY, "no memory for the configuration");
}

/* As much of a user's text as a message has room for. */
static struct trp_str cut(struct trp_str s)
{
    return trp_str_make(s.ptr, s.len < 60 ? s.len : 60);
}

/* What a value looks like in a message: its text, its number, or its kind in words. */
static const char *describe(const struct trp_node *n, char *out, size_t out_size)
{
    switch (n->kind) {
    case TRP_NODE_BOOL:
        return n->v.b ? "true" : "false";
    case TRP_NODE_INT:
        snprintf(out, out_size, "%lld", (long long)n->v.i);
        return out;
    case TRP_NODE_UINT:
        snprintf(out, out_size, "%llu", (unsigned long long)n->v.u);
        return out;
    case TRP_NODE_FLOAT:
        snprintf(out, out_size, "%g", n->v.d);
        return out;
    case TRP_NODE_STR:
    case TRP_NODE_WORD:
        if (n->v.s.len == 0)
            return "nothing";
        snprintf(out, out_size, "\"%.*s\"", TRP_STR(cut(n->v.s)));
        return out;
    default:
        return trp_node_kind_name(n->kind);
    }
}

static trp_status expected(const struct normaliser *z, const struct trp_field *f,
                           const struct trp_node *n, const char *what)
{
    char text[80];
    return trp_node_fail(n, z->err, TRP_INVALID_ARGUMENT, "\"%s\": expected %s, found %s", f->name,
                         what, describe(n, text, sizeof text));
}

static bool is_text(const struct trp_node *n)
{
    return n->kind == TRP_NODE_STR || n->kind == TRP_NODE_WORD;
}

/* YAML's "nothing was written behind the colon". */
static bool is_blank(const struct trp_node *n)
{
    return n->kind == TRP_NODE_WORD && n->v.s.len == 0;
}

/* ---- scalars ---- */

static trp_status to_bool(const struct normaliser *z, const struct trp_field *f,
                          const struct trp_node *n, struct trp_node *out)
{
    static const char *const yes[] = { "true", "True", "TRUE", "t" };
    static const char *const no[] = { "false", "False", "FALSE", "f" };
    out->kind = TRP_NODE_BOOL;
    if (n->kind == TRP_NODE_BOOL || (n->kind == TRP_NODE_INT && (n->v.i == 0 || n->v.i == 1))) {
        out->v.b = n->kind == TRP_NODE_BOOL ? n->v.b : n->v.i == 1;
        return trp_ok();
    }
    for (size_t i = 0; is_text(n) && i < ARRAY_LEN(yes); i++) {
        out->v.b = trp_str_is(n->v.s, yes[i]);
        if (out->v.b || trp_str_is(n->v.s, no[i]))
            return trp_ok();
    }
    return expected(z, f, n, "true or false");
}

/* "0x1F", which a person writes for masks and sizes. */
static bool parse_hex(struct trp_str s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.len < 3 || s.len > 18 || s.ptr[0] != '0' || (s.ptr[1] != 'x' && s.ptr[1] != 'X'))
        return false;
    for (size_t i = 2; i < s.len; i++) {
        const char c = s.ptr[i];
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t)(c - '0');
        else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
            v = v << 4 | (uint64_t)((c | 0x20) - 'a' + 10);
        else
            return false;
    }
    *out = v;
    return true;
}

/* A whole number of any spelling as sign and magnitude; false when it is none. */
static bool whole_number(const struct trp_node *n, bool *out_negative, uint64_t *out_magnitude)
{
    struct trp_str s = n->v.s;
    *out_negative = false;
    switch (n->kind) {
    case TRP_NODE_INT:
        *out_negative = n->v.i < 0;
        *out_magnitude = *out_negative ? 0 - (uint64_t)n->v.i : (uint64_t)n->v.i;
        return true;
    case TRP_NODE_UINT:
        *out_magnitude = n->v.u;
        return true;
    case TRP_NODE_FLOAT: /* JSON writers print 1.0 and 1e3 for whole numbers */
        *out_negative = n->v.d < 0;
        if (fabs(n->v.d) >= 9007199254740992.0 || n->v.d != trunc(n->v.d))
            return false;
        *out_magnitude = (uint64_t)fabs(n->v.d);
        return true;
    case TRP_NODE_STR:
    case TRP_NODE_WORD:
        *out_negative = s.len > 0 && s.ptr[0] == '-';
        if (*out_negative)
            s = trp_str_make(s.ptr + 1, s.len - 1);
        return trp_str_parse_u64(s, out_magnitude) || parse_hex(s, out_magnitude);
    default:
        return false;
    }
}

static trp_status to_integer(const struct normaliser *z, const struct trp_field *f,
                             const struct trp_node *n, struct trp_node *out)
{
    static const struct limits {
        uint64_t below_zero, above; /* largest magnitudes */
        const char *name;
    } all[] = {
        [TRP_FIELD_INT64] = { UINT64_C(1) << 63, INT64_MAX, "a whole number of 64 bits" },
        [TRP_FIELD_UINT64] = { 0, UINT64_MAX, "a whole number of 64 bits, not negative" },
        [TRP_FIELD_INT32] = { UINT64_C(1) << 31, INT32_MAX, "a whole number of 32 bits" },
        [TRP_FIELD_UINT32] = { 0, UINT32_MAX, "a whole number of 32 bits, not negative" },
    };
    const struct limits *limits = &all[f->type];
    bool negative;
    uint64_t magnitude;
    if (!whole_number(n, &negative, &magnitude) ||
        magnitude > (negative ? limits->below_zero : limits->above))
        return expected(z, f, n, limits->name);
    if (negative || magnitude <= INT64_MAX) {
        out->kind = TRP_NODE_INT;
        out->v.i = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    } else {
        out->kind = TRP_NODE_UINT;
        out->v.u = magnitude;
    }
    return trp_ok();
}

static bool parse_special(struct trp_str s, double *out)
{
    static const struct special {
        const char *text;
        double value;
    } specials[] = {
        { "NaN", NAN },
        { "nan", NAN },
        { ".nan", NAN },
        { ".NaN", NAN },
        { "inf", INFINITY },
        { ".inf", INFINITY },
        { "Infinity", INFINITY },
        { "infinity", INFINITY },
        { "-inf", -INFINITY },
        { "-.inf", -INFINITY },
        { "-Infinity", -INFINITY },
    };
    for (size_t i = 0; i < ARRAY_LEN(specials); i++) {
        if (trp_str_is(s, specials[i].text)) {
            *out = specials[i].value;
            return true;
        }
    }
    return false;
}

static bool parse_fraction(struct trp_str s, double *out)
{
    if (parse_special(s, out))
        return true;
    for (size_t i = 0; i < s.len; i++) { /* strtod() takes hexadecimal and more words besides */
        const char c = s.ptr[i];
        if (!(c >= '0' && c <= '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E')
            return false;
    }
    return trp_str_parse_f64(s, out) && isfinite(*out);
}

static trp_status to_fraction(const struct normaliser *z, const struct trp_field *f,
                              const struct trp_node *n, struct trp_node *out)
{
    double d = 0;
    const bool ok = is_text(n) ? parse_fraction(n->v.s, &d)
                               : n->kind == TRP_NODE_INT || n->kind == TRP_NODE_UINT ||
                                     n->kind == TRP_NODE_FLOAT;
    if (!ok)
        return expected(z, f, n, "a number");
    if (n->kind == TRP_NODE_INT)
        d = (double)n->v.i;
    else if (n->kind == TRP_NODE_UINT)
        d = (double)n->v.u;
    else if (n->kind == TRP_NODE_FLOAT)
        d = n->v.d;
    if (f->type == TRP_FIELD_FLOAT) {
        if (isfinite(d) && !isfinite((float)d))
            return expected(z, f, n, "a number that fits 32 bits");
        d = (double)(float)d;
    }
    out->kind = TRP_NODE_FLOAT;
    out->v.d = d;
    return trp_ok();
}

/* A protobuf string is UTF-8.  Names and options become terminated strings further on, which a zero
 * byte would end in silence. */
static trp_status check_string(const struct normaliser *z, const struct trp_field *f,
                               const struct trp_node *at, struct trp_str s)
{
    if (!trp_str_is_utf8(s))
        return trp_node_fail(at, z->err, TRP_INVALID_ARGUMENT, "\"%s\": not valid UTF-8", f->name);
    if (s.len > 0 && memchr(s.ptr, 0, s.len))
        return trp_node_fail(at, z->err, TRP_INVALID_ARGUMENT, "\"%s\": holds a zero byte",
                             f->name);
    return trp_ok();
}

static trp_status to_text(const struct normaliser *z, const struct trp_field *f,
                          const struct trp_node *n, struct trp_node *out)
{
    if (!is_text(n) || is_blank(n))
        return expected(z, f, n, "a text");
    out->kind = TRP_NODE_STR;
    out->v.s = n->v.s;
    return f->type == TRP_FIELD_STRING ? check_string(z, f, n, n->v.s) : trp_ok();
}

/* "; it is one of auto, on, off", where there are few enough to name. */
static void choices(const struct trp_enum *e, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < e->values_n; i++) {
        const int n = snprintf(text + used, size - used, "%s%s", i ? ", " : "; it is one of ",
                               e->values[i].name);
        if (n < 0 || (size_t)n >= size - used) {
            text[0] = '\0';
            return;
        }
        used += (size_t)n;
    }
}

static trp_status to_enum(const struct normaliser *z, const struct trp_field *f,
                          const struct trp_node *n, struct trp_node *out)
{
    const struct trp_enum_value *v = NULL;
    if (is_text(n))
        v = trp_enum_named(f->enumeration, n->v.s);
    else if (n->kind == TRP_NODE_INT)
        v = trp_enum_numbered(f->enumeration, n->v.i);
    if (v) {
        out->kind = TRP_NODE_WORD;
        out->v.s = trp_str_of(v->name);
        return trp_ok();
    }
    const char *nearest = is_text(n) ? trp_enum_nearest(f->enumeration, n->v.s) : NULL;
    char text[80], all[80] = "";
    if (is_text(n) && !nearest)
        choices(f->enumeration, all, sizeof all);
    return trp_node_fail(n, z->err, TRP_INVALID_ARGUMENT, "\"%s\": unknown value %s%s%s%s%s",
                         f->name, describe(n, text, sizeof text),
                         nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                         nearest ? "\"?" : "", all);
}

/* ---- values, lists, maps ---- */

static trp_status to_value(const struct normaliser *z, const struct trp_field *f,
                           const struct trp_node *n, struct trp_node *out)
{
    out->file = n->file;
    out->line = n->line;
    switch (f->type) {
    case TRP_FIELD_MESSAGE:
        out->kind = TRP_NODE_MAP;
        if (is_blank(n))
            return trp_ok();
        if (n->kind != TRP_NODE_MAP)
            return expected(z, f, n, "a map of keys");
        return normalise_message(z, f->message, n, f->name, out);
    case TRP_FIELD_BOOL:
        return to_bool(z, f, n, out);
    case TRP_FIELD_DOUBLE:
    case TRP_FIELD_FLOAT:
        return to_fraction(z, f, n, out);
    case TRP_FIELD_STRING:
    case TRP_FIELD_BYTES:
        return to_text(z, f, n, out);
    case TRP_FIELD_ENUM:
        return to_enum(z, f, n, out);
    case TRP_FIELD_INT64:
    case TRP_FIELD_UINT64:
    case TRP_FIELD_INT32:
    case TRP_FIELD_UINT32:
        return to_integer(z, f, n, out);
    }
    return expected(z, f, n, "a known type");
}

static trp_status add_item(const struct normaliser *z, const struct trp_field *f,
                           const struct trp_node *n, struct trp_node *list)
{
    struct trp_node *item = trp_node_add(z->arena, list, (struct trp_str){ 0 }, TRP_NODE_NULL);
    return item ? to_value(z, f, n, item) : no_memory(z);
}

/* Adds what one writing of a repeated field holds: a list, or a single value. */
static trp_status add_items(const struct normaliser *z, const struct trp_field *f,
                            const struct trp_node *n, struct trp_node *list)
{
    if (n->kind == TRP_NODE_NULL || is_blank(n))
        return trp_ok();
    if (n->kind != TRP_NODE_LIST)
        return add_item(z, f, n, list);
    for (const struct trp_node *c = n->first; c; c = c->next)
        TRP_CHECK(add_item(z, f, c, list));
    return trp_ok();
}

static trp_status add_pair(const struct normaliser *z, const struct trp_field *f,
                           struct trp_str key, const struct trp_node *value, struct trp_node *map)
{
    uint64_t number;
    const bool numbered = f->label != TRP_FIELD_MAP_STRING;
    const uint64_t most = f->label == TRP_FIELD_MAP_UINT32 ? UINT32_MAX : UINT64_MAX;
    if (numbered && (!trp_str_parse_u64(key, &number) || number > most))
        return trp_node_fail(value, z->err, TRP_INVALID_ARGUMENT,
                             "\"%s\": the key \"%.*s\" is not a whole number", f->name,
                             TRP_STR(cut(key)));
    TRP_CHECK(check_string(z, f, value, key));
    struct trp_node *out = trp_node_add(z->arena, map, key, TRP_NODE_NULL);
    return out ? to_value(z, f, value, out) : no_memory(z);
}

/* pbtxt's spelling of one entry: a map of `key`, and `value` or not. */
static bool is_pair(const struct trp_node *n)
{
    bool has_key = false;
    if (n->kind != TRP_NODE_MAP || n->children_n > 2)
        return false;
    for (const struct trp_node *c = n->first; c; c = c->next) {
        if (trp_str_is(c->key, "key") && c->kind != TRP_NODE_MAP && c->kind != TRP_NODE_LIST)
            has_key = true;
        else if (!trp_str_is(c->key, "value"))
            return false;
    }
    return has_key;
}

static trp_status add_written_pair(const struct normaliser *z, const struct trp_field *f,
                                   const struct trp_node *n, struct trp_node *map)
{
    const struct trp_node *key = trp_node_get(n, "key"), *value = trp_node_get(n, "value");
    const struct trp_node nothing = {
        .kind = f->type == TRP_FIELD_MESSAGE                                ? TRP_NODE_MAP
                : f->type == TRP_FIELD_STRING || f->type == TRP_FIELD_BYTES ? TRP_NODE_STR
                                                                            : TRP_NODE_INT,
        .file = n->file,
        .line = n->line,
    };
    struct trp_str text = key->v.s;
    if (key->kind == TRP_NODE_INT || key->kind == TRP_NODE_UINT)
        text = key->kind == TRP_NODE_INT
                   ? trp_arena_format(z->arena, "%lld", (long long)key->v.i)
                   : trp_arena_format(z->arena, "%llu", (unsigned long long)key->v.u);
    else if (!is_text(key))
        return expected(z, f, key, "a text as key");
    if (!text.ptr)
        return no_memory(z);
    return add_pair(z, f, text, value ? value : &nothing, map);
}

/* Adds what one writing of a map holds: keys with values, one key/value pair, or a list of
 * pairs. */
static trp_status add_pairs(const struct normaliser *z, const struct trp_field *f,
                            const struct trp_node *n, struct trp_node *map)
{
    if (n->kind == TRP_NODE_NULL || is_blank(n))
        return trp_ok();
    if (is_pair(n))
        return add_written_pair(z, f, n, map);
    if (n->kind == TRP_NODE_MAP) {
        for (const struct trp_node *c = n->first; c; c = c->next)
            TRP_CHECK(add_pair(z, f, c->key, c, map));
        return trp_ok();
    }
    if (n->kind != TRP_NODE_LIST)
        return expected(z, f, n, "a map of keys");
    for (const struct trp_node *c = n->first; c; c = c->next) {
        if (!is_pair(c))
            return expected(z, f, c, "a map of \"key\" and \"value\"");
        TRP_CHECK(add_written_pair(z, f, c, map));
    }
    return trp_ok();
}

static trp_status refuse_twins(const struct normaliser *z, const struct trp_field *f,
                               const struct trp_node *map)
{
    const struct trp_node *first, *second;
    TRP_CHECK(trp_node_find_twin(z->arena, map, &first, &second, z->err));
    return second ? trp_node_fail(second, z->err, TRP_INVALID_ARGUMENT,
                                  "\"%s\": the key \"%.*s\" is there twice", f->name,
                                  TRP_STR(cut(second->key)))
                  : trp_ok();
}

/* ---- messages ---- */

static const struct trp_node *find_next(const struct trp_node *n, const char *name)
{
    while (n && !trp_str_is(n->key, name))
        n = n->next;
    return n;
}

static trp_status refuse_unknown(const struct normaliser *z, const struct trp_message *m,
                                 const struct trp_node *written, const char *within)
{
    for (const struct trp_node *c = written->first; c; c = c->next) {
        if (trp_message_field(m, c->key))
            continue;
        const char *nearest = trp_message_nearest(m, c->key);
        return trp_node_fail(c, z->err, TRP_INVALID_ARGUMENT, "unknown key \"%.*s\"%s%s%s%s%s%s",
                             TRP_STR(cut(c->key)), within ? " in \"" : "", within ? within : "",
                             within ? "\"" : "", nearest ? "; did you mean \"" : "",
                             nearest ? nearest : "", nearest ? "\"?" : "");
    }
    return trp_ok();
}

static trp_status refuse_second_of_oneof(const struct normaliser *z, const struct trp_message *m,
                                         const struct trp_field *f, const struct trp_node *n,
                                         const struct trp_node *out)
{
    for (const struct trp_node *c = out->first; f->oneof && c; c = c->next) {
        const struct trp_field *other = trp_message_field(m, c->key);
        if (other != f && other->oneof && strcmp(other->oneof, f->oneof) == 0)
            return trp_node_fail(n, z->err, TRP_INVALID_ARGUMENT,
                                 "\"%s\" and \"%s\" exclude each other; write one of them",
                                 other->name, f->name);
    }
    return trp_ok();
}

/* Reads every writing of one field, beginning at `n`, into `out`. */
static trp_status read_field(const struct normaliser *z, const struct trp_field *f,
                             const struct trp_node *n, struct trp_node *out)
{
    out->file = n->file;
    out->line = n->line;
    if (f->label == TRP_FIELD_ONE) {
        const struct trp_node *second = find_next(n->next, f->name);
        if (second)
            return trp_node_fail(second, z->err, TRP_INVALID_ARGUMENT,
                                 "\"%s\" is there twice (first in line %u)", f->name, n->line);
        return to_value(z, f, n, out);
    }
    const bool is_list = f->label == TRP_FIELD_MANY;
    out->kind = is_list ? TRP_NODE_LIST : TRP_NODE_MAP;
    for (; n; n = find_next(n->next, f->name))
        TRP_CHECK(is_list ? add_items(z, f, n, out) : add_pairs(z, f, n, out));
    return is_list ? trp_ok() : refuse_twins(z, f, out);
}

static trp_status normalise_field(const struct normaliser *z, const struct trp_message *m,
                                  const struct trp_field *f, const struct trp_node *n,
                                  struct trp_node *parent)
{
    struct normaliser inner = *z;
    struct trp_node *out = trp_node_add(z->arena, parent, trp_str_of(f->name), TRP_NODE_NULL);
    if (!out)
        return no_memory(z);
    TRP_CHECK(refuse_second_of_oneof(z, m, f, n, parent));
    if (f->use == TRP_USE_LATER || f->use == TRP_USE_NO)
        inner.on_field = NULL; /* the field itself says it all */
    TRP_CHECK(read_field(&inner, f, n, out));
    if (trp_field_is_zero(f, out))
        return trp_ok();
    if (f->use == TRP_USE_NO)
        return trp_node_fail(n, z->err, TRP_INVALID_ARGUMENT, "\"%s\" is not supported: %s",
                             f->name, f->doc ? f->doc : "it has no meaning for this server");
    if (z->on_field)
        z->on_field(z->user, f, n);
    return trp_ok();
}

static trp_status normalise_message(const struct normaliser *z, const struct trp_message *m,
                                    const struct trp_node *written, const char *within,
                                    struct trp_node *out)
{
    TRP_CHECK(refuse_unknown(z, m, written, within));
    for (uint32_t i = 0; i < m->fields_n; i++) {
        const struct trp_field *f = &m->fields[i];
        const struct trp_node *n = find_next(written->first, f->name);
        if (n && n->kind != TRP_NODE_NULL)
            TRP_CHECK(normalise_field(z, m, f, n, out));
    }
    return trp_ok();
}

trp_status trp_schema_normalise(struct trp_arena *a, const struct trp_message *m,
                                const struct trp_node *written, trp_on_field_fn on_field,
                                void *user, struct trp_node **out_tree, struct trp_error *err)
{
    const struct normaliser z = { a, on_field, user, err };
    *out_tree = NULL;
    struct trp_node *tree = trp_node_new(a, TRP_NODE_MAP);
    if (!tree)
        return no_memory(&z);
    if (written) {
        tree->file = written->file;
        tree->line = written->line;
        if (written->kind != TRP_NODE_MAP)
            return trp_node_fail(written, err, TRP_INVALID_ARGUMENT,
                                 "expected a map of keys, found %s",
                                 trp_node_kind_name(written->kind));
        TRP_CHECK(normalise_message(&z, m, written, NULL, tree));
    }
    *out_tree = tree;
    return trp_ok();
}
