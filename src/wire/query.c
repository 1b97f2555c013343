/* wire/query.c - see query.h. */
#include "wire/query.h"

#include <stdio.h>

#include "wire/percent.h"

#define TYPOS_MAX 3u

static int shown(struct trp_str s)
{
    return (int)(s.len < 80 ? s.len : 80);
}

static trp_status decode(struct trp_arena *a, struct trp_str raw, struct trp_str *out,
                         struct trp_error *err)
{
    const struct trp_str copy = trp_arena_dup(a, raw);
    if (!copy.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the request");
    char *const text = (char *)(uintptr_t)copy.ptr; /* ours: the arena's copy */
    size_t len = copy.len;
    for (size_t i = 0; i < len; i++)
        if (text[i] == '+')
            text[i] = ' ';
    if (!trp_percent_decode(text, &len))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "query: bad percent-encoding in '%.*s'",
                        shown(raw), raw.ptr);
    *out = trp_str_make(text, len);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return trp_fail(err, TRP_INVALID_ARGUMENT, "query: a control character in '%.*s'",
                            shown(raw), raw.ptr);
    if (!trp_str_is_utf8(*out))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "query: '%.*s' is not UTF-8", shown(raw),
                        raw.ptr);
    return trp_ok();
}

/* "known are 'task', 'tag'", or the one that was meant. */
static trp_status refuse(struct trp_str name, const struct trp_query_key *keys, uint32_t keys_n,
                         struct trp_error *err)
{
    const char *nearest = NULL;
    uint32_t limit = TYPOS_MAX;
    char known[256] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < keys_n; i++) {
        const uint32_t distance = trp_str_distance(name, trp_str_of(keys[i].name), limit);
        if (distance < limit || (distance == limit && !nearest)) {
            nearest = keys[i].name;
            limit = distance;
        }
        const int n =
            snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", keys[i].name);
        used += n > 0 && (size_t)n < sizeof known - used ? (size_t)n : 0;
    }
    if (nearest && limit < name.len)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "query: unknown parameter '%.*s'; did you mean '%s'?", shown(name),
                        name.ptr, nearest);
    return trp_fail(err, TRP_INVALID_ARGUMENT, "query: unknown parameter '%.*s'; known are %s",
                    shown(name), name.ptr, known);
}

static const struct trp_query_key *find(const struct trp_query_key *keys, uint32_t keys_n,
                                        struct trp_str name)
{
    for (uint32_t i = 0; i < keys_n; i++)
        if (trp_str_is(name, keys[i].name))
            return &keys[i];
    return NULL;
}

static trp_status add(struct trp_arena *a, struct trp_node *root, const struct trp_query_key *key,
                      struct trp_str value, struct trp_error *err)
{
    struct trp_node *there = (struct trp_node *)(uintptr_t)trp_node_get(root, key->name);
    if (there && !key->is_many)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "query: '%s' comes twice", key->name);
    struct trp_node *parent = root;
    if (key->is_many)
        parent = there ? there : trp_node_add_list(a, root, key->name);
    if (!trp_node_add_str(a, parent, key->is_many ? "" : key->name, value))
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the request");
    return trp_ok();
}

trp_status trp_query_read(struct trp_arena *a, struct trp_str query,
                          const struct trp_query_key *keys, uint32_t keys_n, struct trp_node *root,
                          struct trp_error *err)
{
    uint32_t n = 0;
    while (query.len) {
        const char *end = memchr(query.ptr, '&', query.len);
        const size_t len = end ? (size_t)(end - query.ptr) : query.len;
        const struct trp_str pair = trp_str_make(query.ptr, len);
        query = trp_str_make(query.ptr + len + (end != NULL), query.len - len - (end != NULL));
        if (len == 0)
            continue;
        const char *equals = memchr(pair.ptr, '=', pair.len);
        const size_t at = equals ? (size_t)(equals - pair.ptr) : pair.len;
        struct trp_str name, value = { 0 };
        TRP_CHECK(decode(a, trp_str_make(pair.ptr, at), &name, err));
        if (equals)
            TRP_CHECK(decode(a, trp_str_make(equals + 1, pair.len - at - 1), &value, err));
        const struct trp_query_key *key = find(keys, keys_n, name);
        if (!key)
            return refuse(name, keys, keys_n, err);
        if (++n > TRP_QUERY_VALUES_MAX)
            return trp_fail(err, TRP_INVALID_ARGUMENT, "query: more than %u parameters",
                            TRP_QUERY_VALUES_MAX);
        if (value.len)
            TRP_CHECK(add(a, root, key, value, err));
    }
    return trp_ok();
}
