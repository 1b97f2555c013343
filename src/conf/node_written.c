/* conf/node_written.c - see node_written.h.
 *
 * The value and the file are walked side by side.  Where YAML has joined lines, blanks and line
 * ends of the file stand for those of the value; in a literal block (`|`) only the indentation is
 * passed over. */
#include "conf/node_written.h"

#include <string.h>

struct walk {
    struct trp_str raw, value;
    size_t at, i;    /* where the walk stands in them */
    char style;      /* the first character: ' " | >, or of a plain text anything else */
    uint32_t indent; /* of a literal block */
};

static char peek(const struct walk *w, size_t ahead)
{
    return w->at + ahead < w->raw.len ? w->raw.ptr[w->at + ahead] : '\0';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_indent(struct walk *w)
{
    for (uint32_t n = 0; n < w->indent && peek(w, 0) == ' '; n++)
        w->at++;
}

/* Of the first line that is not empty, but for blanks that the value begins with, too. */
static uint32_t indent_of(struct trp_str raw, size_t at, struct trp_str value)
{
    uint32_t blanks = 0, own = 0;
    size_t i = 0;
    for (; at < raw.len && is_blank(raw.ptr[at]); at++)
        blanks = raw.ptr[at] == '\n' ? 0 : blanks + (raw.ptr[at] == ' ');
    for (; i < value.len && is_blank(value.ptr[i]); i++)
        own = value.ptr[i] == '\n' ? 0 : own + (value.ptr[i] == ' ');
    return blanks > own ? blanks - own : 0;
}

static void begin(struct walk *w)
{
    w->style = peek(w, 0);
    if (w->style == '\'' || w->style == '"')
        w->at = 1;
    if (w->style != '|' && w->style != '>')
        return;
    const char *newline = memchr(w->raw.ptr, '\n', w->raw.len);
    w->at = newline ? (size_t)(newline - w->raw.ptr) + 1 : w->raw.len;
    w->indent = w->style == '|' ? indent_of(w->raw, w->at, w->value) : 0;
    skip_indent(w);
}

/* Blanks that go beyond the line, and what they are in the value; false: there are none here. */
static bool pass_break(struct walk *w)
{
    size_t end = w->at;
    bool has_end = false;
    while (end < w->raw.len && is_blank(w->raw.ptr[end]))
        has_end |= w->raw.ptr[end++] == '\n';
    if (w->style == '|' || !(has_end || (w->style == '>' && w->i == 0 && end > w->at)))
        return false;
    w->at = end;
    while (w->i < w->value.len && is_blank(w->value.ptr[w->i]))
        w->i++;
    return true;
}

/* One character of the value, which has several bytes perhaps. */
static void pass_character(struct walk *w)
{
    for (w->i++; w->i < w->value.len && ((unsigned char)w->value.ptr[w->i] & 0xc0u) == 0x80u;)
        w->i++;
}

static bool joins_lines(const struct walk *w)
{
    return w->style == '"' && peek(w, 0) == '\\' && (peek(w, 1) == '\n' || peek(w, 1) == '\r');
}

/* `\n`, `\x41` or the end of a line that goes on, within "...". */
static void pass_escape(struct walk *w)
{
    const char kind = peek(w, 1);
    const bool goes_on = joins_lines(w);
    w->at += kind == 'x' ? 4 : kind == 'u' ? 6 : kind == 'U' ? 10 : 2;
    if (!goes_on) {
        pass_character(w);
        return;
    }
    while (is_blank(peek(w, 0)))
        w->at++;
}

static bool pass_one(struct walk *w)
{
    if (pass_break(w))
        return true;
    if (w->style == '"' && peek(w, 0) == '\\') {
        pass_escape(w);
        return true;
    }
    if (w->style == '|' && peek(w, 0) == '\r' && peek(w, 1) == '\n')
        w->at++;
    if (w->at >= w->raw.len || w->raw.ptr[w->at] != w->value.ptr[w->i])
        return false;
    w->at += w->style == '\'' && peek(w, 0) == '\'' ? 2 : 1;
    if (w->value.ptr[w->i++] == '\n')
        skip_indent(w);
    return true;
}

/* Line ends that stand before it are passed, too. */
static bool walk_to(struct walk *w, size_t at)
{
    while (w->i < at)
        if (!pass_one(w))
            return false;
    if (joins_lines(w))
        pass_escape(w);
    return w->i == at || is_blank(w->value.ptr[at]);
}

bool trp_node_written_at(const struct trp_node *n, size_t at, uint32_t *out_line,
                         uint32_t *out_column)
{
    const struct trp_node_written *written = n ? n->written : NULL;
    if (!written || at > n->v.s.len)
        return false;
    struct walk w = { .raw = written->text, .value = n->v.s };
    begin(&w);
    if (!walk_to(&w, at))
        return false;
    uint32_t line = written->line, column = written->column;
    for (size_t i = 0; i < w.at; i++) {
        const char c = w.raw.ptr[i];
        line += c == '\n';
        column = c == '\n' ? 1 : column + (((unsigned char)c & 0xc0u) != 0x80u);
    }
    *out_line = line;
    *out_column = column;
    return true;
}
