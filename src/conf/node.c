/* conf/node.c - see node.h. */
#include "conf/node_written.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FEW_CHILDREN 16u /* up to here comparing all pairs is quicker than sorting */

struct trp_node *trp_node_new(struct trp_arena *a, enum trp_node_kind kind)
{
    struct trp_node *n = trp_arena_zeroed(a, 1, sizeof *n);
    if (n)
        n->kind = kind;
    return n;
}

static void append(struct trp_node *parent, struct trp_node *child)
{
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->children_n++;
}

struct trp_node *trp_node_add(struct trp_arena *a, struct trp_node *parent, struct trp_str key,
                              enum trp_node_kind kind)
{
    if (!parent)
        return NULL;
    struct trp_node *n = trp_node_new(a, kind);
    if (!n)
        return NULL;
    n->key = key;
    append(parent, n);
    return n;
}

static struct trp_node *add_named(struct trp_arena *a, struct trp_node *parent, const char *key,
                                  enum trp_node_kind kind)
{
    return trp_node_add(a, parent, trp_str_of(key), kind);
}

struct trp_node *trp_node_add_str(struct trp_arena *a, struct trp_node *parent, const char *key,
                                  struct trp_str s)
{
    struct trp_node *n = add_named(a, parent, key, TRP_NODE_STR);
    if (n)
        n->v.s = s;
    return n;
}

struct trp_node *trp_node_add_i64(struct trp_arena *a, struct trp_node *parent, const char *key,
                                  int64_t v)
{
    struct trp_node *n = add_named(a, parent, key, TRP_NODE_INT);
    if (n)
        n->v.i = v;
    return n;
}

struct trp_node *trp_node_add_u64(struct trp_arena *a, struct trp_node *parent, const char *key,
                                  uint64_t v)
{
    if (v <= INT64_MAX)
        return trp_node_add_i64(a, parent, key, (int64_t)v);
    struct trp_node *n = add_named(a, parent, key, TRP_NODE_UINT);
    if (n)
        n->v.u = v;
    return n;
}

struct trp_node *trp_node_add_bool(struct trp_arena *a, struct trp_node *parent, const char *key,
                                   bool v)
{
    struct trp_node *n = add_named(a, parent, key, TRP_NODE_BOOL);
    if (n)
        n->v.b = v;
    return n;
}

struct trp_node *trp_node_add_map(struct trp_arena *a, struct trp_node *parent, const char *key)
{
    return add_named(a, parent, key, TRP_NODE_MAP);
}

struct trp_node *trp_node_add_list(struct trp_arena *a, struct trp_node *parent, const char *key)
{
    return add_named(a, parent, key, TRP_NODE_LIST);
}

const struct trp_node *trp_node_get_str(const struct trp_node *map, struct trp_str key)
{
    if (!map || map->kind != TRP_NODE_MAP)
        return NULL;
    for (const struct trp_node *n = map->first; n; n = n->next) {
        if (trp_str_is_equal(n->key, key))
            return n;
    }
    return NULL;
}

const struct trp_node *trp_node_get(const struct trp_node *map, const char *key)
{
    return trp_node_get_str(map, trp_str_of(key));
}

struct trp_str trp_node_str(const struct trp_node *map, const char *key, struct trp_str otherwise)
{
    const struct trp_node *n = trp_node_get(map, key);
    return n && (n->kind == TRP_NODE_STR || n->kind == TRP_NODE_WORD) ? n->v.s : otherwise;
}

int64_t trp_node_i64(const struct trp_node *map, const char *key, int64_t otherwise)
{
    const struct trp_node *n = trp_node_get(map, key);
    return n && n->kind == TRP_NODE_INT ? n->v.i : otherwise;
}

uint64_t trp_node_u64(const struct trp_node *map, const char *key, uint64_t otherwise)
{
    const struct trp_node *n = trp_node_get(map, key);
    if (n && n->kind == TRP_NODE_UINT)
        return n->v.u;
    return n && n->kind == TRP_NODE_INT && n->v.i >= 0 ? (uint64_t)n->v.i : otherwise;
}

bool trp_node_bool(const struct trp_node *map, const char *key, bool otherwise)
{
    const struct trp_node *n = trp_node_get(map, key);
    return n && n->kind == TRP_NODE_BOOL ? n->v.b : otherwise;
}

double trp_node_as_f64(const struct trp_node *n, double otherwise)
{
    switch (n->kind) {
    case TRP_NODE_FLOAT:
        return n->v.d;
    case TRP_NODE_INT:
        return (double)n->v.i;
    case TRP_NODE_UINT:
        return (double)n->v.u;
    default:
        return otherwise;
    }
}

double trp_node_f64(const struct trp_node *map, const char *key, double otherwise)
{
    const struct trp_node *n = trp_node_get(map, key);
    return n ? trp_node_as_f64(n, otherwise) : otherwise;
}

/* Orders by key, and equal keys by where they stand. */
struct placed {
    const struct trp_node *node;
    uint32_t place;
};

static int compare_placed(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    const int order = trp_str_compare(x->node->key, y->node->key);
    if (order != 0)
        return order;
    return x->place < y->place ? -1 : x->place > y->place;
}

static struct placed *sort_children(struct trp_arena *a, const struct trp_node *map)
{
    struct placed *sorted = trp_arena_get(a, (size_t)map->children_n * sizeof *sorted);
    uint32_t n = 0;
    if (!sorted)
        return NULL;
    for (const struct trp_node *c = map->first; c; c = c->next, n++)
        sorted[n] = (struct placed){ c, n };
    qsort(sorted, n, sizeof *sorted, compare_placed);
    return sorted;
}

static bool find_twin_of_few(const struct trp_node *map, const struct trp_node **out_first,
                             const struct trp_node **out_second)
{
    for (const struct trp_node *second = map->first; second; second = second->next) {
        for (const struct trp_node *first = map->first; first != second; first = first->next) {
            if (trp_str_is_equal(first->key, second->key)) {
                *out_first = first;
                *out_second = second;
                return true;
            }
        }
    }
    return false;
}

trp_status trp_node_find_twin(struct trp_arena *a, const struct trp_node *map,
                              const struct trp_node **out_first, const struct trp_node **out_second,
                              struct trp_error *err)
{
    *out_first = *out_second = NULL;
    if (map->children_n <= FEW_CHILDREN) {
        find_twin_of_few(map, out_first, out_second);
        return trp_ok();
    }
    const struct placed *sorted = sort_children(a, map);
    if (!sorted)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%u keys", map->children_n);
    for (uint32_t i = 1; i < map->children_n; i++) {
        if (trp_str_is_equal(sorted[i - 1].node->key, sorted[i].node->key)) {
            *out_first = sorted[i - 1].node;
            *out_second = sorted[i].node;
            break;
        }
    }
    return trp_ok();
}

trp_status trp_node_drop_twins(struct trp_arena *a, struct trp_node *map, struct trp_error *err)
{
    const uint32_t n = map->children_n;
    if (n < 2)
        return trp_ok();
    const struct placed *sorted = sort_children(a, map);
    bool *dropped = trp_arena_zeroed(a, n, sizeof *dropped);
    if (!sorted || !dropped)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%u keys", n);
    for (uint32_t i = 1; i < n; i++) {
        if (trp_str_is_equal(sorted[i - 1].node->key, sorted[i].node->key))
            dropped[sorted[i - 1].place] = true;
    }
    struct trp_node *child = map->first;
    map->first = map->last = NULL;
    map->children_n = 0;
    for (uint32_t i = 0; child; i++) {
        struct trp_node *next = child->next;
        child->next = NULL;
        if (!dropped[i])
            append(map, child);
        child = next;
    }
    return trp_ok();
}

const char *trp_node_kind_name(enum trp_node_kind kind)
{
    static const char *const names[] = {
        [TRP_NODE_NULL] = "null",         [TRP_NODE_BOOL] = "true or false",
        [TRP_NODE_INT] = "a number",      [TRP_NODE_UINT] = "a number",
        [TRP_NODE_FLOAT] = "a fraction",  [TRP_NODE_STR] = "a text",
        [TRP_NODE_WORD] = "a word",       [TRP_NODE_LIST] = "a list",
        [TRP_NODE_MAP] = "a map of keys",
    };
    return names[kind];
}

/* False when a text could not be copied. */
static bool copy_value(struct trp_arena *a, struct trp_node *to, const struct trp_node *from)
{
    to->v = from->v;
    to->file = from->file;
    to->line = from->line;
    to->column = from->column;
    if (from->kind != TRP_NODE_STR && from->kind != TRP_NODE_WORD)
        return true;
    to->v.s = trp_arena_dup(a, from->v.s);
    if (!from->written || !to->v.s.ptr)
        return to->v.s.ptr != NULL;
    struct trp_node_written *w = trp_arena_zeroed(a, 1, sizeof *w);
    if (!w)
        return false;
    *w = *from->written;
    w->text = trp_arena_dup(a, w->text);
    to->written = w;
    return w->text.ptr != NULL;
}

/* What the copies of one file's nodes share: its name, in the arena, too. */
struct copied_file {
    const char *from, *to;
};

static bool copy_file(struct trp_arena *a, struct trp_node *to, struct copied_file *file)
{
    if (!to->file)
        return true;
    if (to->file != file->from)
        *file = (struct copied_file){ to->file, trp_arena_dup(a, trp_str_of(to->file)).ptr };
    to->file = file->to;
    return file->to != NULL;
}

static struct trp_node *copy_node(struct trp_arena *a, const struct trp_node *n,
                                  struct copied_file *file)
{
    struct trp_node *copy = trp_node_new(a, n->kind);
    if (!copy || !copy_value(a, copy, n) || !copy_file(a, copy, file))
        return NULL;
    if (n->key.len > 0) {
        copy->key = trp_arena_dup(a, n->key);
        if (!copy->key.ptr)
            return NULL;
    }
    for (const struct trp_node *c = n->first; c; c = c->next) {
        struct trp_node *child = copy_node(a, c, file);
        if (!child)
            return NULL;
        append(copy, child);
    }
    return copy;
}

struct trp_node *trp_node_dup(struct trp_arena *a, const struct trp_node *n)
{
    struct copied_file file = { NULL, NULL };
    return copy_node(a, n, &file);
}

struct trp_node *trp_node_add_copy(struct trp_arena *a, struct trp_node *parent,
                                   const struct trp_node *n)
{
    struct trp_node *copy = parent ? trp_node_dup(a, n) : NULL;
    if (copy)
        append(parent, copy);
    return copy;
}

trp_status trp_node_fail(const struct trp_node *at, struct trp_error *err, enum trp_code code,
                         const char *format, ...)
{
    char text[sizeof err->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!at || !at->file)
        return trp_fail(err, code, "%s", text);
    if (at->line == 0)
        return trp_fail(err, code, "%s: %s", at->file, text);
    return trp_fail(err, code, "%s:%u: %s", at->file, at->line, text);
}
