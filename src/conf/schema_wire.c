/* conf/schema_wire.c - a normal tree as protobuf bytes, and back; see schema.h.
 *
 * Decoding is for bytes that a stranger sends: depth and number of values are limited, and every
 * length was checked by base/pbwire.  One message is decoded into a slot for each field of its
 * table, so that order and repetition on the wire do not matter; the slots are then linked in
 * the table's order. */
#include <string.h>

#include "base/pbwire.h"
#include "conf/schema.h"

/* ---- encode ---- */

static uint64_t integer_bits(const struct trp_field *f, const struct trp_node *n)
{
    const struct trp_enum_value *v;
    switch (n->kind) {
    case TRP_NODE_BOOL:
        return n->v.b;
    case TRP_NODE_INT:
        return (uint64_t)n->v.i;
    case TRP_NODE_UINT:
        return n->v.u;
    case TRP_NODE_WORD:
        v = f->enumeration ? trp_enum_named(f->enumeration, n->v.s) : NULL;
        return v ? (uint64_t)(int64_t)v->number : 0;
    default:
        return 0;
    }
}

static void encode_value(struct trp_buf *b, const struct trp_field *f, uint32_t number,
                         const struct trp_node *n)
{
    const bool is_text = n->kind == TRP_NODE_STR || n->kind == TRP_NODE_WORD;
    switch (f->type) {
    case TRP_FIELD_MESSAGE: {
        const size_t mark = trp_pb_begin(b, number);
        trp_schema_encode(b, f->message, n);
        trp_pb_end(b, mark);
        return;
    }
    case TRP_FIELD_STRING:
    case TRP_FIELD_BYTES:
        trp_pb_write_str(b, number, is_text ? n->v.s : (struct trp_str){ 0 });
        return;
    case TRP_FIELD_FLOAT:
        trp_pb_write_float(b, number, (float)trp_node_as_f64(n, 0));
        return;
    case TRP_FIELD_DOUBLE:
        trp_pb_write_double(b, number, trp_node_as_f64(n, 0));
        return;
    default:
        trp_pb_write_u64(b, number, integer_bits(f, n));
    }
}

static bool is_packed(const struct trp_field *f)
{
    return f->type != TRP_FIELD_MESSAGE && f->type != TRP_FIELD_STRING &&
           f->type != TRP_FIELD_BYTES;
}

static void encode_packed(struct trp_buf *b, const struct trp_field *f, const struct trp_node *list)
{
    const size_t mark = trp_pb_begin(b, f->number);
    for (const struct trp_node *c = list->first; c; c = c->next) {
        if (f->type == TRP_FIELD_DOUBLE) {
            uint64_t bits;
            const double d = trp_node_as_f64(c, 0);
            memcpy(&bits, &d, sizeof bits);
            trp_pb_write_fixed64(b, bits);
        } else if (f->type == TRP_FIELD_FLOAT) {
            uint32_t bits;
            const float v = (float)trp_node_as_f64(c, 0);
            memcpy(&bits, &v, sizeof bits);
            trp_pb_write_fixed32(b, bits);
        } else {
            trp_pb_write_varint(b, integer_bits(f, c));
        }
    }
    trp_pb_end(b, mark);
}

static void encode_map(struct trp_buf *b, const struct trp_field *f, const struct trp_node *map)
{
    for (const struct trp_node *c = map->first; c; c = c->next) {
        const size_t mark = trp_pb_begin(b, f->number);
        uint64_t number = 0;
        if (f->label == TRP_FIELD_MAP_STRING)
            trp_pb_write_str(b, 1, c->key);
        else if (trp_str_parse_u64(c->key, &number))
            trp_pb_write_u64(b, 1, number);
        encode_value(b, f, 2, c);
        trp_pb_end(b, mark);
    }
}

static void encode_field(struct trp_buf *b, const struct trp_field *f, const struct trp_node *n)
{
    if (f->label == TRP_FIELD_ONE) {
        if (f->oneof ||
            !trp_field_is_zero(f, n)) /* a oneof's member says something by being there */
            encode_value(b, f, f->number, n);
    } else if (f->label != TRP_FIELD_MANY) {
        encode_map(b, f, n);
    } else if (is_packed(f) && n->first) {
        encode_packed(b, f, n);
    } else {
        for (const struct trp_node *c = n->first; c; c = c->next)
            encode_value(b, f, f->number, c);
    }
}

void trp_schema_encode(struct trp_buf *b, const struct trp_message *m, const struct trp_node *tree)
{
    for (uint32_t i = 0; i < m->fields_n; i++) {
        const struct trp_field *f = &m->fields[i];
        const struct trp_node *n = trp_node_get(tree, f->name);
        if (n && n->kind != TRP_NODE_NULL && f->use != TRP_USE_OURS)
            encode_field(b, f, n);
    }
}

/* ---- decode ---- */

struct decoder {
    struct trp_arena *arena;
    uint32_t nodes_left;
    struct trp_error *err;
};

static trp_status decode_message(struct decoder *d, const struct trp_message *m,
                                 struct trp_str bytes, uint32_t depth, struct trp_node *map);

static trp_status make(struct decoder *d, const struct trp_field *f, enum trp_node_kind kind,
                       struct trp_node **out)
{
    *out = NULL;
    if (d->nodes_left == 0)
        return trp_fail(d->err, TRP_TOO_LARGE, "%s: more than %u values in one message", f->name,
                        TRP_MESSAGE_NODES_MAX);
    d->nodes_left--;
    *out = trp_node_new(d->arena, kind);
    return *out ? trp_ok() : trp_fail(d->err, TRP_OUT_OF_MEMORY, "%s: no memory", f->name);
}

static void append(struct trp_node *parent, struct trp_node *child)
{
    child->next = NULL;
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->children_n++;
}

static void set_integer(struct trp_node *n, const struct trp_field *f, uint64_t bits)
{
    const struct trp_enum_value *v;
    n->kind = TRP_NODE_INT;
    switch (f->type) {
    case TRP_FIELD_BOOL:
        n->kind = TRP_NODE_BOOL;
        n->v.b = bits != 0;
        return;
    case TRP_FIELD_INT32:
        n->v.i = (int32_t)(uint32_t)bits;
        return;
    case TRP_FIELD_UINT32:
        n->v.i = (int64_t)(uint32_t)bits;
        return;
    case TRP_FIELD_ENUM:
        n->v.i = (int32_t)(uint32_t)bits;
        v = trp_enum_numbered(f->enumeration, n->v.i);
        if (v) {
            n->kind = TRP_NODE_WORD;
            n->v.s = trp_str_of(v->name);
        }
        return;
    case TRP_FIELD_UINT64:
        if (bits > INT64_MAX) {
            n->kind = TRP_NODE_UINT;
            n->v.u = bits;
            return;
        }
        n->v.i = (int64_t)bits;
        return;
    default:
        n->v.i = (int64_t)bits;
    }
}

static enum trp_pb_type wire_type(const struct trp_field *f)
{
    switch (f->type) {
    case TRP_FIELD_DOUBLE:
        return TRP_PB_FIXED64;
    case TRP_FIELD_FLOAT:
        return TRP_PB_FIXED32;
    case TRP_FIELD_STRING:
    case TRP_FIELD_BYTES:
    case TRP_FIELD_MESSAGE:
        return TRP_PB_BYTES;
    default:
        return TRP_PB_VARINT;
    }
}

/* Sets `n` to a value whose wire type is known to be right. */
static trp_status set_value(struct decoder *d, const struct trp_field *f,
                            const struct trp_pb_field *w, uint32_t depth, struct trp_node *n)
{
    switch (f->type) {
    case TRP_FIELD_MESSAGE:
        n->kind = TRP_NODE_MAP;
        return decode_message(d, f->message, w->bytes, depth + 1, n);
    case TRP_FIELD_STRING:
        if (!trp_str_is_utf8(w->bytes))
            return trp_fail(d->err, TRP_INVALID_ARGUMENT, "%s: not valid UTF-8", f->name);
        n->kind = TRP_NODE_STR;
        n->v.s = w->bytes;
        return trp_ok();
    case TRP_FIELD_BYTES:
        n->kind = TRP_NODE_STR;
        n->v.s = w->bytes;
        return trp_ok();
    case TRP_FIELD_DOUBLE:
        n->kind = TRP_NODE_FLOAT;
        n->v.d = trp_pb_double(w->scalar);
        return trp_ok();
    case TRP_FIELD_FLOAT:
        n->kind = TRP_NODE_FLOAT;
        n->v.d = (double)trp_pb_float(w->scalar);
        return trp_ok();
    default:
        set_integer(n, f, w->scalar);
        return trp_ok();
    }
}

/* Takes the next element of a packed field; *out_more is false at its end. */
static trp_status take_packed(struct decoder *d, const struct trp_field *f, struct trp_pb_reader *r,
                              struct trp_pb_field *out, bool *out_more)
{
    uint32_t fixed = 0;
    *out_more = r->at != r->end;
    if (!*out_more)
        return trp_ok();
    out->type = wire_type(f);
    bool ok;
    if (out->type == TRP_PB_FIXED64) {
        ok = trp_pb_take_fixed64(r, &out->scalar);
    } else if (out->type == TRP_PB_FIXED32) {
        ok = trp_pb_take_fixed32(r, &fixed);
        out->scalar = fixed;
    } else {
        ok = trp_pb_take_varint(r, &out->scalar);
    }
    return ok ? trp_ok()
              : trp_fail(d->err, TRP_INVALID_ARGUMENT, "%s: a packed number is cut short", f->name);
}

static trp_status add_item(struct decoder *d, const struct trp_field *f,
                           const struct trp_pb_field *w, uint32_t depth, struct trp_node *list)
{
    struct trp_node *item;
    TRP_CHECK(make(d, f, TRP_NODE_NULL, &item));
    append(list, item);
    return set_value(d, f, w, depth, item);
}

static trp_status add_items(struct decoder *d, const struct trp_field *f,
                            const struct trp_pb_field *w, uint32_t depth, struct trp_node *list)
{
    if (w->type == wire_type(f))
        return add_item(d, f, w, depth, list);
    struct trp_pb_reader r = trp_pb_reader_of(w->bytes);
    struct trp_pb_field element = { 0 };
    for (bool more = true;;) {
        TRP_CHECK(take_packed(d, f, &r, &element, &more));
        if (!more)
            return trp_ok();
        TRP_CHECK(add_item(d, f, &element, depth, list));
    }
}

/* The value of a map entry that carries none. */
static void set_absent(const struct trp_field *f, struct trp_node *n)
{
    if (f->type == TRP_FIELD_MESSAGE)
        n->kind = TRP_NODE_MAP;
    else if (f->type == TRP_FIELD_STRING || f->type == TRP_FIELD_BYTES)
        n->kind = TRP_NODE_STR;
    else if (f->type == TRP_FIELD_FLOAT || f->type == TRP_FIELD_DOUBLE)
        n->kind = TRP_NODE_FLOAT;
    else
        set_integer(n, f, 0);
}

static trp_status set_map_key(struct decoder *d, const struct trp_field *f,
                              const struct trp_pb_field *w, struct trp_node *n)
{
    const uint64_t number = f->label == TRP_FIELD_MAP_UINT32 ? (uint32_t)w->scalar : w->scalar;
    if (f->label != TRP_FIELD_MAP_STRING)
        n->key = trp_arena_format(d->arena, "%llu", (unsigned long long)number);
    else if (trp_str_is_utf8(w->bytes))
        n->key = w->bytes;
    else
        return trp_fail(d->err, TRP_INVALID_ARGUMENT, "%s: a key is not valid UTF-8", f->name);
    return n->key.ptr || w->type == TRP_PB_BYTES
               ? trp_ok()
               : trp_fail(d->err, TRP_OUT_OF_MEMORY, "%s: no memory", f->name);
}

static trp_status add_pair(struct decoder *d, const struct trp_field *f, struct trp_str bytes,
                           uint32_t depth, struct trp_node *map)
{
    const bool named = f->label == TRP_FIELD_MAP_STRING;
    const enum trp_pb_type key_type = named ? TRP_PB_BYTES : TRP_PB_VARINT;
    struct trp_pb_field w = { .type = key_type };
    struct trp_pb_reader r = trp_pb_reader_of(bytes);
    struct trp_node *n;
    enum trp_pb_next next;
    TRP_CHECK(make(d, f, TRP_NODE_NULL, &n));
    append(map, n);
    set_absent(f, n);
    TRP_CHECK(set_map_key(d, f, &w, n));
    while ((next = trp_pb_next(&r, &w)) == TRP_PB_FIELD) {
        if (w.number == 1 && w.type == key_type)
            TRP_CHECK(set_map_key(d, f, &w, n));
        else if (w.number == 2 && w.type == wire_type(f))
            TRP_CHECK(set_value(d, f, &w, depth, n));
    }
    return next == TRP_PB_END
               ? trp_ok()
               : trp_fail(d->err, TRP_INVALID_ARGUMENT, "%s: a map entry is malformed", f->name);
}

/* Whether these bytes can be this field; if not, they are passed over like an unknown field. */
static bool is_acceptable(const struct trp_field *f, const struct trp_pb_field *w)
{
    if (f->label == TRP_FIELD_MANY)
        return w->type == wire_type(f) || (w->type == TRP_PB_BYTES && is_packed(f));
    return w->type == (f->label == TRP_FIELD_ONE ? wire_type(f) : TRP_PB_BYTES);
}

static void clear_rest_of_oneof(const struct trp_message *m, const struct trp_field *f,
                                struct trp_node **slots)
{
    for (uint32_t i = 0; f->oneof && i < m->fields_n; i++) {
        const struct trp_field *other = &m->fields[i];
        if (other != f && other->oneof && strcmp(other->oneof, f->oneof) == 0)
            slots[i] = NULL;
    }
}

static trp_status decode_field(struct decoder *d, const struct trp_message *m,
                               const struct trp_field *f, const struct trp_pb_field *w,
                               uint32_t depth, struct trp_node **slots)
{
    struct trp_node **slot = &slots[f - m->fields];
    if (!*slot) {
        TRP_CHECK(make(d, f, f->label == TRP_FIELD_MANY ? TRP_NODE_LIST : TRP_NODE_MAP, slot));
        (*slot)->key = trp_str_of(f->name);
    }
    clear_rest_of_oneof(m, f, slots);
    if (f->label == TRP_FIELD_ONE)
        return set_value(d, f, w, depth, *slot);
    if (f->label == TRP_FIELD_MANY)
        return add_items(d, f, w, depth, *slot);
    return add_pair(d, f, w->bytes, depth, *slot);
}

/* Puts what was decoded back under `map`, in the table's order. */
static void link_slots(const struct trp_message *m, struct trp_node *const *slots,
                       struct trp_node *map)
{
    map->first = map->last = NULL;
    map->children_n = 0;
    for (uint32_t i = 0; i < m->fields_n; i++) {
        if (slots[i])
            append(map, slots[i]);
    }
}

/* Decodes into `map`, which holds what an earlier part of the same message said. */
static trp_status decode_message(struct decoder *d, const struct trp_message *m,
                                 struct trp_str bytes, uint32_t depth, struct trp_node *map)
{
    struct trp_node *slots[TRP_MESSAGE_FIELDS_MAX] = { 0 };
    struct trp_pb_reader r = trp_pb_reader_of(bytes);
    struct trp_pb_field w;
    enum trp_pb_next next;
    TRP_ASSERT(m->fields_n <= TRP_MESSAGE_FIELDS_MAX);
    if (depth > TRP_MESSAGE_DEPTH_MAX)
        return trp_fail(d->err, TRP_TOO_LARGE, "%s: nested deeper than %u messages", m->name,
                        TRP_MESSAGE_DEPTH_MAX);
    for (struct trp_node *c = map->first; c; c = c->next)
        slots[trp_message_field(m, c->key) - m->fields] = c;
    while ((next = trp_pb_next(&r, &w)) == TRP_PB_FIELD) {
        const struct trp_field *f = trp_message_field_numbered(m, w.number);
        if (f && f->use != TRP_USE_OURS && is_acceptable(f, &w))
            TRP_CHECK(decode_field(d, m, f, &w, depth, slots));
    }
    if (next == TRP_PB_CORRUPT)
        return trp_fail(d->err, TRP_INVALID_ARGUMENT, "%s: malformed at byte %zu of %zu", m->name,
                        (size_t)(r.at - (const uint8_t *)bytes.ptr), bytes.len);
    link_slots(m, slots, map);
    return trp_ok();
}

/* The last of a map's entries with one key wins.  Done once at the end: a message that comes in a
 * million pieces would otherwise sort its maps a million times. */
static trp_status drop_twins(struct decoder *d, const struct trp_message *m, struct trp_node *map)
{
    for (struct trp_node *n = map->first; n; n = n->next) {
        const struct trp_field *f = trp_message_field(m, n->key);
        if (f->label != TRP_FIELD_ONE && f->label != TRP_FIELD_MANY)
            TRP_CHECK(trp_node_drop_twins(d->arena, n, d->err));
        if (f->type != TRP_FIELD_MESSAGE)
            continue;
        if (f->label == TRP_FIELD_ONE)
            TRP_CHECK(drop_twins(d, f->message, n));
        for (struct trp_node *c = n->first; f->label != TRP_FIELD_ONE && c; c = c->next)
            TRP_CHECK(drop_twins(d, f->message, c));
    }
    return trp_ok();
}

trp_status trp_schema_decode(struct trp_arena *a, const struct trp_message *m, struct trp_str bytes,
                             struct trp_node **out_tree, struct trp_error *err)
{
    struct decoder d = { a, TRP_MESSAGE_NODES_MAX, err };
    *out_tree = NULL;
    struct trp_node *tree = trp_node_new(a, TRP_NODE_MAP);
    if (!tree)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%s: no memory", m->name);
    TRP_CHECK(decode_message(&d, m, bytes, 0, tree));
    TRP_CHECK(drop_twins(&d, m, tree));
    *out_tree = tree;
    return trp_ok();
}
