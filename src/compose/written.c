/* compose/written.c - see written.h. */
#include "compose/written.h"

#include "compose/known_name.h"
#include "conf/settings.h"

trp_status trp_written_keys(const struct trp_node *map, const char *const *known, uint32_t known_n,
                            struct trp_error *err)
{
    if (map->kind != TRP_NODE_MAP)
        return trp_node_fail(map, err, TRP_INVALID_ARGUMENT, "'%.*s' takes keys, not %s",
                             TRP_STR(map->key), trp_node_kind_name(map->kind));
    for (const struct trp_node *n = map->first; n; n = n->next) {
        if (trp_known_name_find(known, known_n, n->key) != UINT32_MAX)
            continue;
        const char *near = trp_known_name_near(known, known_n, n->key);
        return trp_node_fail(n, err, TRP_INVALID_ARGUMENT, "there is no key '%.*s' here%s%s%s",
                             TRP_STR(n->key), near ? "; did you mean '" : "", near ? near : "",
                             near ? "'?" : "");
    }
    return trp_ok();
}

trp_status trp_written_brackets(const struct trp_node *map, const char *key, const char *expected,
                                struct trp_error *err)
{
    const struct trp_node *n = map->kind == TRP_NODE_MAP ? trp_node_get(map, key) : NULL;
    if (!n || (n->kind != TRP_NODE_WORD && n->kind != TRP_NODE_STR) || n->v.s.len == 0)
        return trp_ok();
    return trp_node_fail(n, err, TRP_INVALID_ARGUMENT, "%s, not '%.*s'", expected, TRP_STR(n->v.s));
}

trp_status trp_written_scalar(const struct trp_node *n, struct trp_str *out, struct trp_error *err)
{
    if ((n->kind != TRP_NODE_WORD && n->kind != TRP_NODE_STR) || n->v.s.len == 0)
        return trp_node_fail(n, err, TRP_INVALID_ARGUMENT, "expected a name, not %s",
                             n->kind == TRP_NODE_WORD || n->kind == TRP_NODE_STR
                                 ? "nothing"
                                 : trp_node_kind_name(n->kind));
    *out = n->v.s;
    return trp_ok();
}

trp_status trp_written_text(const struct trp_node *map, const char *key, struct trp_str *io,
                            struct trp_error *err)
{
    const struct trp_node *n = trp_node_get(map, key);
    return n ? trp_written_scalar(n, io, err) : trp_ok();
}

bool trp_written_is_number(const struct trp_node *n, double *out)
{
    switch (n->kind) {
    case TRP_NODE_INT:
        *out = (double)n->v.i;
        return true;
    case TRP_NODE_UINT:
        *out = (double)n->v.u;
        return true;
    case TRP_NODE_FLOAT:
        *out = n->v.d;
        return true;
    case TRP_NODE_WORD:
        return trp_str_parse_f64(n->v.s, out);
    default:
        return false;
    }
}

bool trp_written_is_bool(const struct trp_node *n, bool *out)
{
    const bool is_word = n->kind == TRP_NODE_WORD;
    if (n->kind == TRP_NODE_BOOL)
        *out = n->v.b;
    else if (is_word && trp_str_is(n->v.s, "true"))
        *out = true;
    else if (is_word && trp_str_is(n->v.s, "false"))
        *out = false;
    else
        return false;
    return true;
}

trp_status trp_written_number(const struct trp_node *map, const char *key, double low, double high,
                              double *io, struct trp_error *err)
{
    const struct trp_node *n = trp_node_get(map, key);
    double v;
    if (!n)
        return trp_ok();
    if (!trp_written_is_number(n, &v) || !(v >= low && v <= high))
        return trp_node_fail(n, err, TRP_INVALID_ARGUMENT, "'%s' is a number from %g to %g", key,
                             low, high);
    *io = v;
    return trp_ok();
}

trp_status trp_written_whole(const struct trp_node *map, const char *key, int64_t low, int64_t high,
                             int64_t *io, struct trp_error *err)
{
    const struct trp_node *n = trp_node_get(map, key);
    double v;
    if (!n)
        return trp_ok();
    if (!trp_written_is_number(n, &v) || !(v >= (double)low && v <= (double)high) ||
        v < (double)(int64_t)v || v > (double)(int64_t)v)
        return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                             "'%s' is a whole number from %lld to %lld", key, (long long)low,
                             (long long)high);
    *io = (int64_t)v;
    return trp_ok();
}

trp_status trp_written_bool(const struct trp_node *map, const char *key, bool *io,
                            struct trp_error *err)
{
    const struct trp_node *n = trp_node_get(map, key);
    if (n && !trp_written_is_bool(n, io))
        return trp_node_fail(n, err, TRP_INVALID_ARGUMENT, "'%s' is true or false", key);
    return trp_ok();
}

trp_status trp_written_duration(const struct trp_node *map, const char *key, int64_t *io,
                                struct trp_error *err)
{
    struct trp_str text = { 0 };
    const struct trp_node *n = trp_node_get(map, key);
    if (!n)
        return trp_ok();
    TRP_CHECK(trp_written_scalar(n, &text, err));
    int64_t ns;
    if (!trp_setting_parse_stay(text, &ns) || ns <= 0)
        return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                             "%s is \"%.*s\"; it is a duration, such as 20ms", key, TRP_STR(text));
    *io = ns;
    return trp_ok();
}
