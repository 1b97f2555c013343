/* compose/op_text.c - see op_text.h. */
#include "compose/op_text.h"

#include <math.h>
#include <stdio.h>

#include "compose/known_name.h"
#include "compose/written.h"
#include "tensor/dtype.h"

/* What is read from where. */
struct reading {
    const struct trp_node *node; /* the value */
    struct trp_tensor_op *op;
};

typedef trp_status (*read_fn)(const struct reading *r, struct trp_error *err);

static trp_status expected(const struct trp_node *n, const char *what, struct trp_error *err)
{
    const bool is_text = n->kind == TRP_NODE_STR || n->kind == TRP_NODE_WORD;
    return trp_node_fail(n, err, TRP_INVALID_ARGUMENT, "%.*s is %s%.*s%s, expected %s",
                         TRP_STR(n->key), is_text ? "\"" : trp_node_kind_name(n->kind),
                         is_text ? (int)n->v.s.len : 0, is_text ? n->v.s.ptr : "",
                         is_text ? "\"" : "", what);
}

/* ---- values ---- */

static bool as_number(const struct trp_node *n, double *out)
{
    return trp_written_is_number(n, out) && isfinite(*out);
}

static bool as_whole(const struct trp_node *n, int64_t *out)
{
    if (n->kind == TRP_NODE_INT)
        *out = n->v.i;
    return n->kind == TRP_NODE_INT || (n->kind == TRP_NODE_WORD && trp_str_parse_i64(n->v.s, out));
}

static struct trp_str as_word(const struct trp_node *n)
{
    const bool is_text = n->kind == TRP_NODE_STR || n->kind == TRP_NODE_WORD;
    return is_text ? n->v.s : (struct trp_str){ "", 0 };
}

static trp_status read_choice(const struct trp_node *n, const char *const *names, uint32_t names_n,
                              uint32_t *out, struct trp_error *err)
{
    char what[128];
    const uint32_t at = trp_known_name_find(names, names_n, as_word(n));
    if (at < names_n) {
        *out = at;
        return trp_ok();
    }
    size_t used = 0;
    for (uint32_t i = 0; i < names_n && used < sizeof what; i++)
        used += (size_t)snprintf(what + used, sizeof what - used, "%s%s",
                                 i == 0            ? ""
                                 : i + 1 < names_n ? ", "
                                                   : " or ",
                                 names[i]);
    return expected(n, what, err);
}

/* One number, or a list of them. */
static trp_status read_numbers(const struct trp_node *n, double *out, uint32_t *out_n,
                               struct trp_error *err)
{
    const char *const what = "a number, or a list of 1 to 16, one for each channel";
    uint32_t count = 0;
    if (n->kind != TRP_NODE_LIST) {
        *out_n = 1;
        return as_number(n, out) ? trp_ok() : expected(n, what, err);
    }
    for (const struct trp_node *c = n->first; c; c = c->next)
        if (count == TRP_TENSOR_OP_CHANNELS_MAX || !as_number(c, &out[count++]))
            return expected(n, what, err);
    *out_n = count;
    return count > 0 ? trp_ok() : expected(n, what, err);
}

/* ---- keys ---- */

static trp_status read_axis(const struct reading *r, struct trp_error *err)
{
    int64_t v;
    if (!as_whole(r->node, &v) || v < -TROUPE_RANK_MAX || v >= TROUPE_RANK_MAX)
        return expected(r->node, "an axis: 0 or more, or -1 for the last", err);
    r->op->axis = (int32_t)v;
    return trp_ok();
}

static trp_status read_flag(const struct trp_node *n, bool *out, struct trp_error *err)
{
    return trp_written_is_bool(n, out) ? trp_ok() : expected(n, "true or false", err);
}

static trp_status read_keep_axis(const struct reading *r, struct trp_error *err)
{
    return read_flag(r->node, &r->op->keep_axis, err);
}

static trp_status read_upright(const struct reading *r, struct trp_error *err)
{
    return read_flag(r->node, &r->op->upright, err);
}

static trp_status read_k(const struct reading *r, struct trp_error *err)
{
    return as_whole(r->node, &r->op->k) && r->op->k >= 1
               ? trp_ok()
               : expected(r->node, "a whole number, 1 or more", err);
}

static trp_status read_to(const struct reading *r, struct trp_error *err)
{
    const struct trp_str word = as_word(r->node);
    int32_t dtype = (int32_t)trp_dtype_parse(word);
    if (dtype == TROUPE_NO_DTYPE)
        dtype = (int32_t)trp_dtype_parse_config(word);
    if (dtype == TROUPE_NO_DTYPE || dtype == TROUPE_BYTES)
        return expected(r->node, "a type of numbers such as FP32", err);
    r->op->to = dtype;
    return trp_ok();
}

static const char *const layouts[] = { [TRP_LAYOUT_NHWC] = "nhwc", [TRP_LAYOUT_NCHW] = "nchw" };
static const char *const methods[] = {
    [TRP_RESIZE_BILINEAR] = "bilinear", [TRP_RESIZE_NEAREST] = "nearest", [TRP_RESIZE_AREA] = "area"
};

static trp_status read_layout(const struct reading *r, struct trp_error *err)
{
    uint32_t at = 0;
    TRP_CHECK(read_choice(r->node, layouts, ARRAY_LEN(layouts), &at, err));
    r->op->layout = (enum trp_layout)at;
    return trp_ok();
}

static trp_status read_to_layout(const struct reading *r, struct trp_error *err)
{
    uint32_t at = 0;
    TRP_CHECK(read_choice(r->node, layouts, ARRAY_LEN(layouts), &at, err));
    r->op->to_layout = (enum trp_layout)at;
    return trp_ok();
}

static trp_status read_method(const struct reading *r, struct trp_error *err)
{
    uint32_t at = 0;
    TRP_CHECK(read_choice(r->node, methods, ARRAY_LEN(methods), &at, err));
    r->op->method = (enum trp_resize)at;
    return trp_ok();
}

static trp_status read_size(const struct reading *r, struct trp_error *err)
{
    const struct trp_node *height = r->node->kind == TRP_NODE_LIST ? r->node->first : NULL;
    const struct trp_node *width = height ? height->next : NULL;
    int64_t h = 0, w = 0;
    if (!width || width->next || !as_whole(height, &h) || !as_whole(width, &w) || h < 1 || w < 1 ||
        h > 65535 || w > 65535)
        return expected(r->node, "[height, width], each 1 to 65535", err);
    r->op->height = (uint32_t)h;
    r->op->width = (uint32_t)w;
    return trp_ok();
}

static trp_status read_channels(const struct reading *r, struct trp_error *err)
{
    int64_t v;
    if (!as_whole(r->node, &v) || (v != 1 && v != 3 && v != 4))
        return expected(r->node, "1 (grey), 3 (RGB) or 4 (RGBA)", err);
    r->op->channels = (uint32_t)v;
    return trp_ok();
}

static trp_status read_value(const struct reading *r, struct trp_error *err)
{
    return as_number(r->node, &r->op->value) ? trp_ok() : expected(r->node, "a number", err);
}

static trp_status read_scale(const struct reading *r, struct trp_error *err)
{
    return as_number(r->node, &r->op->scale) && r->op->scale != 0
               ? trp_ok()
               : expected(r->node, "a number that is not 0", err);
}

static trp_status read_mean(const struct reading *r, struct trp_error *err)
{
    return read_numbers(r->node, r->op->mean, &r->op->mean_n, err);
}

static trp_status read_std(const struct reading *r, struct trp_error *err)
{
    TRP_CHECK(read_numbers(r->node, r->op->std, &r->op->std_n, err));
    for (uint32_t i = 0; i < r->op->std_n; i++)
        if (r->op->std[i] == 0)
            return expected(r->node, "numbers that are not 0", err);
    return trp_ok();
}

#define OF(kind) (1u << TRP_TENSOR_OP_##kind)

static const struct key {
    const char *name;
    uint32_t kinds, needed_by;
    read_fn read;
} keys[] = {
    { "axis", OF(SOFTMAX) | OF(ARGMAX) | OF(TOP_K) | OF(CONCATENATE) | OF(GATHER), 0, read_axis },
    { "keep_axis", OF(ARGMAX), 0, read_keep_axis },
    { "k", OF(TOP_K), OF(TOP_K), read_k },
    { "to", OF(CAST) | OF(THRESHOLD) | OF(NORMALISE), OF(CAST), read_to },
    { "layout", OF(RESIZE) | OF(NORMALISE), 0, read_layout },
    { "to_layout", OF(NORMALISE), 0, read_to_layout },
    { "method", OF(RESIZE) | OF(DECODE), 0, read_method },
    { "size", OF(RESIZE) | OF(DECODE), OF(RESIZE), read_size },
    { "channels", OF(DECODE), 0, read_channels },
    { "upright", OF(DECODE), 0, read_upright },
    { "value", OF(THRESHOLD), OF(THRESHOLD), read_value },
    { "scale", OF(NORMALISE), 0, read_scale },
    { "mean", OF(NORMALISE), 0, read_mean },
    { "std", OF(NORMALISE), 0, read_std },
};

static const struct key *find_key(struct trp_str name, enum trp_tensor_op_kind kind)
{
    for (const struct key *k = keys; k < keys + ARRAY_LEN(keys); k++)
        if ((k->kinds & (1u << kind)) && trp_str_is(name, k->name))
            return k;
    return NULL;
}

static trp_status refuse_key(const struct trp_node *n, enum trp_tensor_op_kind kind,
                             struct trp_error *err)
{
    const char *names[ARRAY_LEN(keys)];
    uint32_t names_n = 0;
    for (const struct key *k = keys; k < keys + ARRAY_LEN(keys); k++)
        if (k->kinds & (1u << kind))
            names[names_n++] = k->name;
    const char *near = trp_known_name_near(names, names_n, n->key);
    return trp_node_fail(n, err, TRP_INVALID_ARGUMENT, "%s has no key \"%.*s\"%s%s%s",
                         trp_tensor_op_name(kind), TRP_STR(n->key), near ? "; did you mean \"" : "",
                         near ? near : "", near ? "\"?" : "");
}

trp_status trp_op_text_read(const struct trp_node *map, enum trp_tensor_op_kind kind,
                            const char *const *others, uint32_t others_n, struct trp_tensor_op *out,
                            struct trp_error *err)
{
    trp_tensor_op_init(out, kind);
    for (const struct trp_node *n = map->first; n; n = n->next) {
        const struct key *key = find_key(n->key, kind);
        const struct reading r = { n, out };
        if (key)
            TRP_CHECK(key->read(&r, err));
        else if (trp_known_name_find(others, others_n, n->key) == UINT32_MAX)
            return refuse_key(n, kind, err);
    }
    /* a picture stays as it lies unless something else is said */
    if (kind == TRP_TENSOR_OP_NORMALISE && !trp_node_get(map, "to_layout"))
        out->to_layout = out->layout;
    for (const struct key *k = keys; k < keys + ARRAY_LEN(keys); k++)
        if ((k->needed_by & (1u << kind)) && !trp_node_get(map, k->name))
            return trp_node_fail(map, err, TRP_INVALID_ARGUMENT, "%s needs \"%s\"",
                                 trp_tensor_op_name(kind), k->name);
    return trp_ok();
}
