/* conf/schema.c - looking things up in message tables; see schema.h.
 * The work on trees stands in schema_normalise.c, schema_json.c, schema_wire.c and
 * schema_descriptor.c. */
#include "conf/schema.h"

#include <math.h>

const struct trp_field *trp_message_field(const struct trp_message *m, struct trp_str name)
{
    for (uint32_t i = 0; i < m->fields_n; i++) {
        if (trp_str_is(name, m->fields[i].name))
            return &m->fields[i];
    }
    return NULL;
}

const struct trp_field *trp_message_field_numbered(const struct trp_message *m, uint32_t number)
{
    for (uint32_t i = 0; i < m->fields_n; i++) {
        if (m->fields[i].number == number)
            return &m->fields[i];
    }
    return NULL;
}

/* How many letters may be wrong before a suggestion is a guess. */
static uint32_t typos_allowed(struct trp_str name)
{
    return name.len <= 3 ? 1 : name.len <= 6 ? 2 : 3;
}

const char *trp_message_nearest(const struct trp_message *m, struct trp_str name)
{
    const char *best = NULL;
    uint32_t limit = typos_allowed(name);
    for (uint32_t i = 0; i < m->fields_n; i++) {
        const char *known = m->fields[i].name;
        const uint32_t distance = trp_str_distance(name, trp_str_of(known), limit);
        if (distance > limit)
            continue;
        best = known;
        if (distance == 0)
            break;
        limit = distance - 1; /* only a better one replaces it */
    }
    return best;
}

const struct trp_enum_value *trp_enum_named(const struct trp_enum *e, struct trp_str name)
{
    for (uint32_t i = 0; i < e->values_n; i++) {
        if (trp_str_is(name, e->values[i].name))
            return &e->values[i];
    }
    return NULL;
}

const struct trp_enum_value *trp_enum_numbered(const struct trp_enum *e, int64_t number)
{
    for (uint32_t i = 0; i < e->values_n; i++) {
        if (e->values[i].number == number)
            return &e->values[i];
    }
    return NULL;
}

/* "FP32" for "TYPE_FP32", in any case of letters. */
static bool is_short_form(struct trp_str name, struct trp_str known)
{
    if (name.len == 0 || known.len < name.len + 2 || known.ptr[known.len - name.len - 1] != '_')
        return false;
    return trp_str_is_equal_nocase(name, trp_str_make(known.ptr + known.len - name.len, name.len));
}

const char *trp_enum_nearest(const struct trp_enum *e, struct trp_str name)
{
    const char *best = NULL;
    uint32_t limit = typos_allowed(name);
    for (uint32_t i = 0; i < e->values_n; i++) {
        const struct trp_str known = trp_str_of(e->values[i].name);
        if (is_short_form(name, known))
            return known.ptr;
        const uint32_t distance = trp_str_distance(name, known, limit);
        if (distance > limit || (best && distance == limit))
            continue;
        best = known.ptr;
        limit = distance;
    }
    return best;
}

bool trp_field_is_zero(const struct trp_field *f, const struct trp_node *n)
{
    const struct trp_enum_value *v;
    switch (n->kind) {
    case TRP_NODE_NULL:
        return true;
    case TRP_NODE_BOOL:
        return !n->v.b;
    case TRP_NODE_INT:
        return n->v.i == 0;
    case TRP_NODE_UINT:
        return n->v.u == 0;
    case TRP_NODE_FLOAT:
        return n->v.d == 0 && !signbit(n->v.d);
    case TRP_NODE_STR:
        return n->v.s.len == 0;
    case TRP_NODE_WORD:
        v = f->enumeration ? trp_enum_named(f->enumeration, n->v.s) : NULL;
        return v && v->number == 0;
    case TRP_NODE_LIST:
        return n->children_n == 0;
    case TRP_NODE_MAP:
        return f->label != TRP_FIELD_ONE && f->label != TRP_FIELD_MANY && n->children_n == 0;
    }
    return false;
}
