/* catalog/refused_names.c - see refused_names.h. */
#include "catalog/refused_names.h"

#include <stdlib.h>

#include "conf/node.h"
#include "route/route_section.h"

#define NODES_MAX (1u << 20)

/* One that declares names. */
static const struct trp_route_section *section_of(struct trp_str key)
{
    const struct trp_route_section *section = trp_route_section_find(key);
    return section && section->kind ? section : NULL;
}

struct reader {
    struct trp_arena *arena;
    struct trp_refused_names *out;
    size_t max;    /* names that there is room for */
    bool is_short; /* of memory */
};

/* Those for which there is no room are nobody's. */
static void add(struct reader *r, const struct trp_route_section *section, struct trp_str name,
                uint32_t line)
{
    struct trp_refused_names *out = r->out;
    if (name.len == 0 || r->is_short || out->n == r->max)
        return;
    const struct trp_str kept = trp_arena_dup(r->arena, name);
    r->is_short = !kept.ptr;
    if (kept.ptr)
        out->items[out->n++] = (struct trp_refused_name){ kept, section->kind, line };
}

/* ---- from the tree ---- */

static void read_tree(struct reader *r, const struct trp_node *root)
{
    for (const struct trp_node *at = root->kind == TRP_NODE_MAP ? root->first : NULL; at;
         at = at->next) {
        const struct trp_route_section *section = section_of(at->key);
        const bool has_names = section && at->kind == TRP_NODE_MAP;
        for (const struct trp_node *n = has_names ? at->first : NULL; n; n = n->next)
            add(r, section, n->key, n->line);
    }
}

/* ---- line by line ---- */

struct line {
    struct trp_str key; /* empty: the line has none */
    size_t indent;
    bool is_blank; /* or a comment */
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* "  name: whatever", with the name in quotes or not. */
static struct line parse_line(const char *text, size_t len)
{
    struct line l = { .is_blank = true };
    while (l.indent < len && text[l.indent] == ' ')
        l.indent++;
    size_t at = l.indent;
    if (at == len || text[at] == '#' || is_space(text[at]))
        return l;
    l.is_blank = false;
    const char quote = text[at] == '"' || text[at] == '\'' ? text[at++] : '\0';
    const size_t first = at;
    while (at < len && (quote ? text[at] != quote : text[at] != ':' && !is_space(text[at])))
        at++;
    size_t colon = at + (quote && at < len);
    while (colon < len && is_space(text[colon]))
        colon++;
    const bool is_key =
        colon < len && text[colon] == ':' && (colon + 1 == len || is_space(text[colon + 1]));
    if (is_key && !memchr("-{[?&*!|>%@", text[first], 11))
        l.key = trp_str_make(text + first, at - first);
    return l;
}

static void read_lines(struct reader *r, struct trp_str text)
{
    const struct trp_route_section *section = NULL;
    size_t indent = 0; /* of the names of this section; 0: not known yet */
    uint32_t number = 0;
    for (size_t i = 0; i < text.len;) {
        const char *from = text.ptr + i, *end = memchr(from, '\n', text.len - i);
        const size_t len = end ? (size_t)(end - from) : text.len - i;
        const struct line l = parse_line(from, len);
        i += len + 1;
        number++;
        if (l.is_blank)
            continue;
        if (l.indent == 0) {
            section = section_of(l.key);
            indent = 0;
            continue;
        }
        indent = indent ? indent : l.indent;
        section = l.indent < indent ? NULL : section; /* whatever that belongs to */
        if (section && l.indent == indent)
            add(r, section, l.key, number);
    }
}

/* ---- all of it ---- */

static int by_name(const void *a, const void *b)
{
    const struct trp_refused_name *x = a, *y = b;
    const int order = trp_str_compare(x->name, y->name);
    return order ? order : x->line < y->line ? -1 : x->line > y->line;
}

static void sort(struct trp_refused_names *names)
{
    uint32_t n = 0;
    qsort(names->items, names->n, sizeof *names->items, by_name);
    for (uint32_t i = 0; i < names->n; i++)
        if (n == 0 || !trp_str_is_equal(names->items[n - 1].name, names->items[i].name))
            names->items[n++] = names->items[i];
    names->n = n;
}

trp_status trp_refused_names_read(struct trp_arena *arena, struct trp_str text,
                                  struct trp_refused_names *out, struct trp_error *err)
{
    struct reader r = { .arena = arena, .out = out };
    struct trp_error wrong = { 0 };
    struct trp_node *root;
    out->n = 0;
    r.max = text.len / 2 + 1; /* each has a colon */
    if (r.max > TRP_REFUSED_NAMES_MAX)
        r.max = TRP_REFUSED_NAMES_MAX;
    out->items = trp_arena_zeroed(arena, r.max, sizeof *out->items);
    if (!out->items)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "names of routes");
    const trp_status st = trp_node_from_yaml(arena, text, "", NODES_MAX, &root, &wrong);
    if (st.code == TRP_OUT_OF_MEMORY)
        r.is_short = true;
    else if (trp_failed(st))
        read_lines(&r, text);
    else
        read_tree(&r, root);
    if (r.is_short)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "names of routes");
    sort(out);
    return trp_ok();
}

struct trp_refused_name *trp_refused_names_find(const struct trp_refused_names *names,
                                                struct trp_str name)
{
    uint32_t first = 0, end = names->n;
    while (first < end) {
        const uint32_t middle = first + (end - first) / 2;
        const int order = trp_str_compare(names->items[middle].name, name);
        if (order == 0)
            return &names->items[middle];
        if (order < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return NULL;
}
