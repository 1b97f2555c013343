/* conf/yaml.c - YAML to a tree, by libyaml's events; see node.h.
 *
 * YAML holds more than a configuration needs, and some of it is a trap: aliases (a few lines that
 * expand to gigabytes), tags (types chosen by the text), several documents, and plain scalars whose
 * type depends on the reader's version (`no`, `010`, `1e3`).  The first three are refused in words;
 * plain scalars stay WORDs, and the schema decides.  The tree is built with a stack of open
 * parents, so depth costs no recursion. */
#include <yaml.h>

#include "conf/node_written.h"

struct yaml_reader {
    struct trp_arena *arena;
    struct trp_str text;
    const char *file;
    struct trp_error *err;
    uint32_t nodes_left;
    struct trp_node *root;
    struct trp_node *open[TRP_NODE_DEPTH_MAX];
    uint32_t depth;     /* of `open` */
    struct trp_str key; /* read, its value not yet */
    uint32_t key_line;  /* 0: no key is waiting */
    uint32_t rule_line; /* of `when`, if it was the last key and only its value came since */
    uint32_t item_line; /* of the last key, if its map is an item of a list; else 0 */
    uint32_t documents_n;
    size_t line_n, line_at; /* a line that was looked for, from 0, and where it begins */
};

static uint32_t line_of(const yaml_event_t *e)
{
    return (uint32_t)e->start_mark.line + 1;
}

/* Of what stands behind its key: within quotes if there are some; a block begins in a line of
 * its own. */
static uint32_t column_of(const yaml_event_t *e, uint32_t line)
{
    const yaml_scalar_style_t style = e->data.scalar.style;
    const bool is_quoted =
        style == YAML_SINGLE_QUOTED_SCALAR_STYLE || style == YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    if (line_of(e) != line || e->data.scalar.tag ||
        (style != YAML_PLAIN_SCALAR_STYLE && !is_quoted))
        return 0;
    return (uint32_t)e->start_mark.column + 1 + is_quoted;
}

/* The reader's marks count characters, so the byte is looked for by line and column. */
static size_t byte_at(struct yaml_reader *r, const yaml_mark_t *mark)
{
    const char *const text = r->text.ptr;
    if (mark->line < r->line_n)
        r->line_n = r->line_at = 0;
    while (r->line_n < mark->line && r->line_at < r->text.len) {
        const char *newline = memchr(text + r->line_at, '\n', r->text.len - r->line_at);
        r->line_at = newline ? (size_t)(newline - text) + 1 : r->text.len;
        r->line_n++;
    }
    size_t at = r->line_at, column = 0;
    for (; at < r->text.len && (column < mark->column || (text[at] & 0xc0) == 0x80); at++)
        column += (text[at] & 0xc0) != 0x80;
    return at;
}

/* Keeps how a text is written where that is not what it says. */
static bool keep_written(struct yaml_reader *r, const yaml_event_t *e, struct trp_node *n)
{
    const size_t from = byte_at(r, &e->start_mark), to = byte_at(r, &e->end_mark);
    const size_t quotes = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? 0 : 2;
    const bool is_one_line = e->start_mark.line == e->end_mark.line;
    if (to <= from || e->data.scalar.tag ||
        (is_one_line && to - from == e->data.scalar.length + quotes))
        return true;
    struct trp_node_written *w = trp_arena_zeroed(r->arena, 1, sizeof *w);
    if (w)
        w->text = trp_arena_dup(r->arena, trp_str_make(r->text.ptr + from, to - from));
    if (!w || !w->text.ptr)
        return false;
    w->line = line_of(e);
    w->column = (uint32_t)e->start_mark.column + 1;
    n->written = w;
    return true;
}

static trp_status refuse(const struct yaml_reader *r, uint32_t line, const char *what)
{
    return trp_fail(r->err, TRP_INVALID_ARGUMENT, "%s:%u: %s", r->file, line, what);
}

#define TEXT_SHOWN 160u /* bytes of a line that a message repeats */

/* A rule that YAML takes for something of its own: its reader knows no rules, and would leave
 * people with its own words. */
#define QUOTE_THE_RULE \
    "; a rule that begins with !, ' or \" stands in quotes: when: \"!has(params.user)\""

#define ALIGN_THE_RULE "; the keys of a rule begin in one column"
#define ALIGN_THE_ITEM "; the keys of one item of a list, as of a rule, begin in one column"

static trp_status refuse_tag(const struct yaml_reader *r, uint32_t line)
{
    return trp_fail(r->err, TRP_INVALID_ARGUMENT, "%s:%u: tags (!) are not supported%s", r->file,
                    line, r->rule_line ? QUOTE_THE_RULE : "");
}

static trp_status no_memory(const struct yaml_reader *r)
{
    return trp_fail(r->err, TRP_OUT_OF_MEMORY, "%s: no memory", r->file);
}

static bool wants_key(const struct yaml_reader *r)
{
    return r->depth > 0 && r->open[r->depth - 1]->kind == TRP_NODE_MAP && r->key_line == 0;
}

static bool is_in_item(const struct yaml_reader *r)
{
    return r->depth > 1 && r->open[r->depth - 2]->kind == TRP_NODE_LIST;
}

/* Makes the next node where the reader stands. */
static trp_status place(struct yaml_reader *r, enum trp_node_kind kind, uint32_t line,
                        struct trp_node **out)
{
    *out = NULL;
    if (r->nodes_left == 0)
        return trp_fail(r->err, TRP_TOO_LARGE, "%s:%u: too many values", r->file, line);
    r->nodes_left--;
    struct trp_node *n = r->depth == 0
                             ? trp_node_new(r->arena, kind)
                             : trp_node_add(r->arena, r->open[r->depth - 1], r->key, kind);
    if (!n)
        return no_memory(r);
    if (r->depth == 0)
        r->root = n;
    n->file = r->file;
    n->line = r->key_line ? r->key_line : line;
    r->key = (struct trp_str){ 0 };
    r->key_line = 0;
    *out = n;
    return trp_ok();
}

static trp_status open_node(struct yaml_reader *r, enum trp_node_kind kind, uint32_t line)
{
    if (wants_key(r))
        return refuse(r, line, "a key must be a text");
    if (r->depth == TRP_NODE_DEPTH_MAX)
        return trp_fail(r->err, TRP_TOO_LARGE, "%s:%u: nested deeper than %u levels", r->file, line,
                        TRP_NODE_DEPTH_MAX);
    struct trp_node *n;
    TRP_CHECK(place(r, kind, line, &n));
    r->open[r->depth++] = n;
    return trp_ok();
}

static trp_status close_node(struct yaml_reader *r)
{
    TRP_ASSERT(r->depth > 0); /* libyaml's events nest */
    const struct trp_node *first, *second, *n = r->open[--r->depth];
    TRP_ASSERT(n);
    if (n->kind != TRP_NODE_MAP)
        return trp_ok();
    TRP_CHECK(trp_node_find_twin(r->arena, n, &first, &second, r->err));
    return second ? trp_node_fail(second, r->err, TRP_INVALID_ARGUMENT,
                                  "key \"%.*s\" is there twice (first in line %u)",
                                  TRP_STR(second->key), first->line)
                  : trp_ok();
}

static bool is_null(struct trp_str s)
{
    return trp_str_is(s, "~") || trp_str_is(s, "null") || trp_str_is(s, "Null") ||
           trp_str_is(s, "NULL");
}

static bool is_str_tag(const yaml_char_t *tag)
{
    return strcmp((const char *)tag, YAML_STR_TAG) == 0 || strcmp((const char *)tag, "!") == 0;
}

static trp_status take_scalar(struct yaml_reader *r, const yaml_event_t *e)
{
    const struct trp_str text = trp_arena_dup(
        r->arena, trp_str_make((const char *)e->data.scalar.value, e->data.scalar.length));
    const bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !e->data.scalar.tag;
    struct trp_node *n;
    if (!text.ptr)
        return no_memory(r);
    if (e->data.scalar.tag && !is_str_tag(e->data.scalar.tag))
        return refuse_tag(r, line_of(e));
    if (wants_key(r)) {
        r->rule_line = trp_str_is(text, "when") ? line_of(e) : 0;
        r->item_line = is_in_item(r) ? line_of(e) : 0;
        r->key = text;
        r->key_line = line_of(e);
        return trp_ok();
    }
    if (plain && is_null(text))
        return place(r, TRP_NODE_NULL, line_of(e), &n);
    TRP_CHECK(place(r, plain ? TRP_NODE_WORD : TRP_NODE_STR, line_of(e), &n));
    n->v.s = text;
    n->column = column_of(e, n->line);
    return keep_written(r, e, n) ? trp_ok() : no_memory(r);
}

static const yaml_char_t *anchor_of(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return e->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT:
        return e->data.mapping_start.anchor;
    case YAML_ALIAS_EVENT:
        return e->data.alias.anchor;
    default:
        return NULL;
    }
}

static trp_status take_event(struct yaml_reader *r, const yaml_event_t *e)
{
    if (anchor_of(e))
        return trp_fail(r->err, TRP_INVALID_ARGUMENT,
                        "%s:%u: anchors (&%s) and aliases (*%s) are not supported; write the value "
                        "out",
                        r->file, line_of(e), (const char *)anchor_of(e),
                        (const char *)anchor_of(e));
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        return r->documents_n++ == 0 ? trp_ok() : refuse(r, line_of(e), "a second document");
    case YAML_SCALAR_EVENT:
        return take_scalar(r, e);
    case YAML_SEQUENCE_START_EVENT:
        if (e->data.sequence_start.tag)
            return refuse_tag(r, line_of(e));
        return open_node(r, TRP_NODE_LIST, line_of(e));
    case YAML_MAPPING_START_EVENT:
        if (e->data.mapping_start.tag)
            return refuse_tag(r, line_of(e));
        return open_node(r, TRP_NODE_MAP, line_of(e));
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_node(r);
    default:
        return trp_ok();
    }
}

/* The reader's mark counts characters, so the byte is looked for by line and column. */
static bool is_tab_at(const struct yaml_reader *r, const yaml_parser_t *p)
{
    size_t at = 0;
    for (size_t line = 0; at < r->text.len && line < p->problem_mark.line; at++)
        line += r->text.ptr[at] == '\n';
    for (size_t end = at + p->problem_mark.column; at < end && at < r->text.len; at++)
        if (r->text.ptr[at] != ' ' && r->text.ptr[at] != '\t')
            return false;
    return at < r->text.len && r->text.ptr[at] == '\t';
}

/* Where line `n`, counted from 0, begins; the end, if the text has fewer.  *out_n: how many lines
 * stand in front of it. */
static const char *begin_of_line(const struct yaml_reader *r, size_t n, size_t *out_n)
{
    const char *at = r->text.ptr, *const end = at + r->text.len;
    size_t line = 0;
    for (; line < n && at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline ? newline + 1 : end;
    }
    *out_n = line;
    return at;
}

static struct trp_str nth_line(const struct yaml_reader *r, size_t n)
{
    const char *const at = begin_of_line(r, n, &n), *const end = r->text.ptr + r->text.len;
    const char *stop = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    return trp_str_make(at, (size_t)((stop ? stop : end) - at));
}

/* What helps a rule that YAML's reader stopped in or behind.  In a later line it is a key that
 * stands too deep or not deep enough, unless a quote that the rule opened was never closed. */
static const char *hint_of_rule(const struct yaml_reader *r, const yaml_parser_t *p)
{
    const bool is_later = p->problem_mark.line + 1 > r->rule_line;
    const bool is_open = p->context && strstr(p->context, "quoted scalar");
    if (r->rule_line)
        return is_later && !is_open ? ALIGN_THE_RULE : QUOTE_THE_RULE;
    const bool is_key = strstr(p->problem, "mapping values") ||
                        strstr(p->problem, "expected '-'") || strstr(p->problem, "expected key");
    return r->item_line && p->problem_mark.line + 1 > r->item_line && is_key ? ALIGN_THE_ITEM : "";
}

static struct trp_str trimmed(struct trp_str s)
{
    while (s.len > 0 && strchr(" \r", s.ptr[0]))
        s = trp_str_make(s.ptr + 1, s.len - 1);
    while (s.len > 0 && strchr(" \r", s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static bool is_one_word(struct trp_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (strchr(" :,-[]{}|>\"'#", s.ptr[i]) && !(s.ptr[i] == '-' && i > 0))
            return false;
    return true;
}

/* A line of a single word in front of what the reader complains about: a name without its colon,
 * with which the next line made one text.  0: there is none.  Each line is looked at once, going
 * back: the comments between may be many. */
static size_t line_without_colon(const struct yaml_reader *r, const yaml_parser_t *p)
{
    size_t line; /* that `at` begins; the one in front has the same number, counted from 1 */
    const char *const text = r->text.ptr;
    const char *at = begin_of_line(r, p->problem_mark.line, &line);
    for (; at > text; line--) {
        const char *const stop = at[-1] == '\n' ? at - 1 : at;
        const char *const newline = memrchr(text, '\n', (size_t)(stop - text));
        at = newline ? newline + 1 : text;
        const struct trp_str s = trimmed(trp_str_make(at, (size_t)(stop - at)));
        if (s.len > 0 && s.ptr[0] != '#')
            return is_one_word(s) ? line : 0;
    }
    return 0;
}

/* The end of a text that has [ ] or { } in it, if it were quoted: where the list or map around
 * it goes on. */
static size_t end_of_text(struct trp_str line, size_t at)
{
    int depth = 0;
    for (; at < line.len; at++) {
        const char c = line.ptr[at];
        depth += c == '[' || c == '{';
        if (depth == 0 && (c == ',' || c == ']' || c == '}' || c == '#'))
            break;
        depth -= c == ']' || c == '}';
    }
    while (at > 0 && (line.ptr[at - 1] == ' ' || line.ptr[at - 1] == '\r'))
        at--;
    return at;
}

static bool ends_text(struct trp_str line, size_t at)
{
    const char c = line.ptr[at];
    return c == ',' || c == ']' || c == '}' ||
           (c == ':' && at + 1 < line.len && line.ptr[at + 1] == ' ');
}

/* A text without quotes in which a [ or { follows: "{ when: params.n in [1, 2], ... }".  Within { }
 * and [ ] YAML takes these for its own, and its reader's words help nobody. */
static struct trp_str unquoted_text(struct trp_str line)
{
    size_t start = 0; /* of the text that goes on */
    bool is_inside = false, is_text = false;
    char quote = '\0';
    for (size_t i = 0; i < line.len; i++) {
        const char c = line.ptr[i];
        const bool opens = c == '[' || c == '{';
        if (quote || (!is_text && (c == '\'' || c == '"'))) {
            quote = quote == c ? '\0' : quote ? quote : c;
        } else if (opens && is_text && is_inside) {
            return trp_str_make(line.ptr + start, end_of_text(line, i) - start);
        } else if (opens || ends_text(line, i)) {
            is_inside = is_inside || opens;
            is_text = false;
        } else if (!is_text && c != ' ' && c != '-') {
            is_text = true;
            start = i;
        }
    }
    return trp_str_make(NULL, 0);
}

static trp_status fail_syntax(const struct yaml_reader *r, const yaml_parser_t *p)
{
    if (p->error == YAML_MEMORY_ERROR)
        return no_memory(r);
    const bool marked = p->error == YAML_SCANNER_ERROR || p->error == YAML_PARSER_ERROR;
    const bool is_tab = is_tab_at(r, p);
    if (!marked)
        return trp_fail(r->err, TRP_INVALID_ARGUMENT, "%s: %s at byte %zu", r->file,
                        p->problem ? p->problem : "not YAML", p->problem_offset);
    const struct trp_str text = unquoted_text(nth_line(r, p->problem_mark.line));
    if (text.len > 0 && text.len < TEXT_SHOWN)
        return trp_fail(r->err, TRP_INVALID_ARGUMENT,
                        "%s:%zu: `%.*s` needs quotes around it: inside { } and [ ], [ and { begin "
                        "a list or a map",
                        r->file, p->problem_mark.line + 1, TRP_STR(text));
    const bool may_lack_colon =
        strstr(p->problem, "mapping values") || strstr(p->problem, "expected ':'");
    const size_t bare = may_lack_colon && !r->rule_line && !is_tab ? line_without_colon(r, p) : 0;
    if (bare)
        return trp_fail(r->err, TRP_INVALID_ARGUMENT,
                        "%s:%zu: no colon behind the name in this line", r->file, bare);
    return trp_fail(r->err, TRP_INVALID_ARGUMENT, "%s:%zu: %s%s%s%s%s", r->file,
                    p->problem_mark.line + 1, p->problem, p->context ? ", " : "",
                    p->context ? p->context : "", is_tab ? "; it is a tab: YAML wants spaces" : "",
                    is_tab ? "" : hint_of_rule(r, p));
}

static trp_status read_events(struct yaml_reader *r, yaml_parser_t *p)
{
    for (;;) {
        yaml_event_t e;
        if (!yaml_parser_parse(p, &e))
            return fail_syntax(r, p);
        const bool end = e.type == YAML_STREAM_END_EVENT;
        const trp_status st = take_event(r, &e);
        yaml_event_delete(&e);
        if (end || trp_failed(st))
            return st;
    }
}

trp_status trp_node_from_yaml(struct trp_arena *a, struct trp_str text, const char *file,
                              uint32_t nodes_max, struct trp_node **out_root, struct trp_error *err)
{
    struct yaml_reader r = {
        .arena = a, .text = text, .file = file, .err = err, .nodes_left = nodes_max
    };
    yaml_parser_t p;
    *out_root = NULL;
    if (!yaml_parser_initialize(&p))
        return no_memory(&r);
    yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p, (const unsigned char *)(text.len ? text.ptr : ""), text.len);
    const trp_status st = read_events(&r, &p);
    yaml_parser_delete(&p);
    if (trp_failed(st))
        return st;
    const bool nothing = !r.root || (r.root->kind == TRP_NODE_WORD && r.root->v.s.len == 0);
    if (nothing)
        r.root = trp_node_new(a, TRP_NODE_MAP);
    if (!r.root)
        return no_memory(&r);
    r.root->file = file;
    *out_root = r.root;
    return trp_ok();
}
