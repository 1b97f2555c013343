/* route/route_source.c - see route_source.h. */
#include "route/route_source.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/node_written.h"

#define SHOWN_MAX 100u /* bytes of a line that are shown */

static struct trp_str line_of(struct trp_str text, uint32_t line)
{
    if (!text.ptr)
        return text;
    const char *at = text.ptr, *const end = text.ptr + text.len;
    for (uint32_t i = 1; i < line && at < end; i++) {
        const char *const newline = memchr(at, '\n', (size_t)(end - at));
        at = newline ? newline + 1 : end;
    }
    const char *const newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    return trp_str_make(at, (size_t)((newline ? newline : end) - at));
}

/* As a word of its own if there is one, else anywhere. */
static uint32_t column_of(struct trp_str line, struct trp_str word)
{
    uint32_t inside = 0;
    for (size_t at = 0; word.len && at + word.len <= line.len; at++) {
        if (memcmp(line.ptr + at, word.ptr, word.len) != 0)
            continue;
        const char before = at > 0 ? line.ptr[at - 1] : ' ';
        const char after = at + word.len < line.len ? line.ptr[at + word.len] : ' ';
        if (strchr(" ,:[]{}'\"-", before) && strchr(" ,:[]{}'\"\r", after))
            return (uint32_t)at + 1;
        inside = inside ? inside : (uint32_t)at + 1;
    }
    return inside;
}

struct trp_str trp_route_source_line(const struct trp_route_source *s, uint32_t line,
                                     struct trp_str focus, uint32_t *out_column)
{
    const struct trp_str shown = line_of(s->text, line);
    *out_column = column_of(shown, focus);
    return shown;
}

static uint32_t first_word(struct trp_str line)
{
    uint32_t at = 0;
    while (at < line.len && (line.ptr[at] == ' ' || line.ptr[at] == '-'))
        at++;
    return at + 1;
}

/* A long line is shown from a little before the column. */
static void show(char *out, size_t out_size, struct trp_str line, uint32_t column)
{
    const uint32_t from = column > SHOWN_MAX - 20 ? column - 20 : 1;
    const struct trp_str left = trp_str_make(line.ptr + from - 1, line.len - (from - 1));
    const size_t shown = left.len > SHOWN_MAX ? SHOWN_MAX : left.len;
    (void)snprintf(out, out_size, "\n  %.*s\n  %*s^", (int)shown, left.ptr, (int)(column - from),
                   "");
}

/* A word within a text of several lines. */
static bool find_within(const struct trp_node *at, struct trp_str focus, uint32_t *out_line,
                        uint32_t *out_column)
{
    const bool has_text = at->kind == TRP_NODE_WORD || at->kind == TRP_NODE_STR;
    const uint32_t place = has_text && at->written ? column_of(at->v.s, focus) : 0;
    return place > 0 && trp_node_written_at(at, place - 1, out_line, out_column);
}

trp_status trp_route_source_fail(const struct trp_route_source *s, const struct trp_node *at,
                                 struct trp_str focus, struct trp_error *err, const char *format,
                                 ...)
{
    char words[320], shown[SHOWN_MAX * 2 + 16] = "";
    va_list args;
    va_start(args, format);
    (void)vsnprintf(words, sizeof words, format, args);
    va_end(args);
    const bool has_text = at->kind == TRP_NODE_WORD || at->kind == TRP_NODE_STR;
    if (focus.len == 0)
        focus = has_text ? at->v.s : at->key;
    uint32_t column, number = at->line;
    struct trp_str line = trp_route_source_line(s, number, focus, &column);
    if (column == 0 && find_within(at, focus, &number, &column))
        line = line_of(s->text, number);
    if (number == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: %s", s->file, words);
    if (line.len == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s:%u: %s", s->file, number, words);
    column = column ? column : first_word(line);
    show(shown, sizeof shown, line, column);
    return trp_fail(err, TRP_INVALID_ARGUMENT, "%s:%u:%u: %s%s", s->file, number, column, words,
                    shown);
}

/* The first word in quotes that stands in the line. */
static uint32_t column_of_quoted(struct trp_str line, const char *words)
{
    for (const char *at = words; *at; at++) {
        const bool begins = at == words || at[-1] == ' ' || at[-1] == '(';
        const char *end = strchr("'\"`", *at) && begins ? strchr(at + 1, *at) : NULL;
        if (!end)
            continue;
        const uint32_t column = column_of(line, trp_str_make(at + 1, (size_t)(end - at - 1)));
        if (column)
            return column;
        at = end;
    }
    return 0;
}

void trp_route_source_point(const struct trp_route_source *s, struct trp_error *err)
{
    char text[sizeof err->text], shown[SHOWN_MAX * 2 + 16];
    const size_t len = strlen(s->file);
    if (strncmp(err->text, s->file, len) != 0 || err->text[len] != ':')
        return;
    char *end;
    const unsigned long number = strtoul(err->text + len + 1, &end, 10);
    if (number == 0 || number > UINT32_MAX || end[0] != ':' || end[1] != ' ' || strchr(end, '\n'))
        return;
    const char *words = end + 2;
    const struct trp_str line = line_of(s->text, (uint32_t)number);
    if (line.len == 0)
        return;
    uint32_t column = column_of_quoted(line, words);
    column = column ? column : first_word(line);
    show(shown, sizeof shown, line, column);
    const int n =
        snprintf(text, sizeof text, "%s:%lu:%u: %s%s", s->file, number, column, words, shown);
    if (n > 0 && (size_t)n < sizeof text) /* half a picture says less than none */
        memcpy(err->text, text, (size_t)n + 1);
}

void trp_route_hint(char out[TRP_ROUTE_HINT_MAX], struct trp_str word, const struct trp_str *known,
                    uint32_t known_n)
{
    uint32_t limit = word.len < 4 ? 1 : word.len < 8 ? 2 : 3;
    out[0] = '\0';
    for (uint32_t i = 0; i < known_n; i++) {
        const uint32_t distance = trp_str_distance(word, known[i], limit);
        if (distance > limit)
            continue;
        (void)snprintf(out, TRP_ROUTE_HINT_MAX, "; did you mean '%.*s'?", TRP_STR(known[i]));
        if (distance == 0)
            return;
        limit = distance - 1; /* only a better one replaces it */
    }
}
