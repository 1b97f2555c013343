/* route/expr_lex.c - the words of a rule, and how a mistake in it is shown.  See expr_tree.h. */
#include <stdarg.h>
#include <stdio.h>

#include "conf/node_written.h"
#include "route/expr_tree.h"

/* ---- what is wrong, and where ---- */

#define SHOWN_MAX 100u /* bytes of the line */

struct spot {
    uint32_t line, column; /* as told */
    struct trp_str shown;  /* of the text */
    uint32_t indent;       /* of the caret */
};

static bool continues(char c)
{
    return ((unsigned char)c & 0xc0u) == 0x80u;
}

/* Characters, not bytes: a caret stands below what one sees. */
static uint32_t width(const char *from, const char *to)
{
    uint32_t n = 0;
    for (; from < to; from++)
        n += !continues(*from);
    return n;
}

static void find_spot(const struct trp_expr_work *w, uint32_t at, struct spot *out)
{
    const char *const text = w->text.ptr, *const here = text + at;
    const char *begin = here, *end = here;
    while (begin > text && begin[-1] != '\n')
        begin--;
    while (end < text + w->text.len && *end != '\n')
        end++;
    out->line = w->place->line;
    for (const char *c = text; c < begin; c++)
        out->line += *c == '\n';
    const bool placed = begin == text && w->place->column > 0;
    out->column = width(begin, here) + (placed ? w->place->column : 1);
    (void)trp_node_written_at(w->place->node, at, &out->line, &out->column);
    while (begin < here && (size_t)(here - begin) > SHOWN_MAX / 2)
        for (begin++; begin < here && continues(*begin); begin++) {
        }
    while ((size_t)(end - begin) > SHOWN_MAX && end > here)
        for (end--; end > here && continues(*end); end--) {
        }
    out->shown = trp_str_make(begin, (size_t)(end - begin));
    out->indent = width(begin, here);
}

bool trp_expr_refuse(struct trp_expr_work *w, uint32_t at, const char *format, ...)
{
    char words[256];
    struct spot s;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(words, sizeof words, format, args);
    va_end(args);
    find_spot(w, at, &s);
    (void)trp_fail(w->err, TRP_INVALID_ARGUMENT, "%s:%u:%u: %s\n  %.*s\n  %*s^", w->place->file,
                   s.line, s.column, words, TRP_STR(s.shown), (int)s.indent, "");
    return false;
}

bool trp_expr_no_memory(struct trp_expr_work *w)
{
    (void)trp_fail(w->err, TRP_OUT_OF_MEMORY, "%s:%u: no memory for the rule", w->place->file,
                   w->place->line);
    return false;
}

bool trp_expr_too_large(struct trp_expr_work *w, uint32_t at, const char *what)
{
    struct spot s;
    find_spot(w, at, &s);
    (void)trp_fail(w->err, TRP_TOO_LARGE, "%s:%u:%u: %s", w->place->file, s.line, s.column, what);
    return false;
}

/* ---- characters ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static char peek(const struct trp_expr_work *w, uint32_t ahead)
{
    return w->at + ahead < w->text.len ? w->text.ptr[w->at + ahead] : '\0';
}

static void skip_blanks(struct trp_expr_work *w)
{
    while (w->at < w->text.len) {
        const char c = peek(w, 0);
        if (c == '/' && peek(w, 1) == '/')
            while (w->at < w->text.len && peek(w, 0) != '\n')
                w->at++;
        else if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
            w->at++;
        else
            return;
    }
}

/* ---- numbers ---- */

static const struct unit {
    const char *name;
    uint64_t factor;
    bool is_time;
} units[] = {
    { "ns", 1, true },
    { "us", 1000, true },
    { "ms", 1000000, true },
    { "s", 1000000000, true },
    { "m", UINT64_C(60000000000), true },
    { "h", UINT64_C(3600000000000), true },
    { "KiB", UINT64_C(1) << 10, false },
    { "MiB", UINT64_C(1) << 20, false },
    { "GiB", UINT64_C(1) << 30, false },
    { "TiB", UINT64_C(1) << 40, false },
};

bool trp_expr_scale(struct trp_str number, struct trp_str unit, struct trp_fact *out)
{
    double d;
    for (const struct unit *u = units; u < units + ARRAY_LEN(units); u++) {
        if (!trp_str_is(unit, u->name))
            continue;
        if (!trp_str_parse_f64(number, &d) || d < 0 || d * (double)u->factor >= 9.2e18)
            return false;
        *out = trp_fact_int((int64_t)(d * (double)u->factor + 0.5));
        if (u->is_time)
            out->kind = TRP_FACT_DURATION;
        return true;
    }
    return false;
}

static bool lex_hex(struct trp_expr_work *w, uint32_t from)
{
    uint64_t v = 0;
    uint32_t digits = 0;
    w->at += 2;
    for (;; w->at++, digits++) {
        const char c = peek(w, 0);
        const int d = is_digit(c)              ? c - '0'
                      : (c >= 'a' && c <= 'f') ? c - 'a' + 10
                      : (c >= 'A' && c <= 'F') ? c - 'A' + 10
                                               : -1;
        if (d < 0)
            break;
        if (v > INT64_MAX >> 4)
            return trp_expr_refuse(w, from, "a number beyond 64 bits");
        v = v << 4 | (uint64_t)d;
    }
    w->at += peek(w, 0) == 'u' || peek(w, 0) == 'U';
    if (digits == 0 || is_letter(peek(w, 0)))
        return trp_expr_refuse(w, from, "not a number");
    w->token.value = trp_fact_int((int64_t)v);
    return true;
}

/* Digits, a fraction, an exponent; true when it is no integer. */
static bool skip_number(struct trp_expr_work *w)
{
    bool is_double = false;
    while (is_digit(peek(w, 0)))
        w->at++;
    if (peek(w, 0) == '.' && is_digit(peek(w, 1))) {
        is_double = true;
        for (w->at++; is_digit(peek(w, 0)); w->at++) {
        }
    }
    const uint32_t sign = peek(w, 1) == '-' || peek(w, 1) == '+';
    if ((peek(w, 0) == 'e' || peek(w, 0) == 'E') && is_digit(peek(w, 1 + sign))) {
        is_double = true;
        for (w->at += 1 + sign; is_digit(peek(w, 0)); w->at++) {
        }
    }
    return is_double;
}

static bool lex_unit(struct trp_expr_work *w, uint32_t from)
{
    const struct trp_str number = trp_str_make(w->text.ptr + from, w->at - from);
    const uint32_t unit_at = w->at;
    while (is_letter(peek(w, 0)) || is_digit(peek(w, 0)))
        w->at++;
    const struct trp_str unit = trp_str_make(w->text.ptr + unit_at, w->at - unit_at);
    if (trp_expr_scale(number, unit, &w->token.value))
        return true;
    return trp_expr_refuse(
        w, unit_at,
        "'%.*s' is no unit, or too much of it; there are ns, us, ms, s, m, h and "
        "KiB, MiB, GiB, TiB",
        (int)(unit.len < 20 ? unit.len : 20), unit.ptr);
}

static bool lex_number(struct trp_expr_work *w)
{
    const uint32_t from = w->at;
    int64_t i;
    double d;
    w->token.kind = TRP_TOKEN_CONST;
    if (peek(w, 0) == '0' && (peek(w, 1) == 'x' || peek(w, 1) == 'X'))
        return lex_hex(w, from);
    const bool is_double = skip_number(w);
    const struct trp_str digits = trp_str_make(w->text.ptr + from, w->at - from);
    if (!is_double && (peek(w, 0) == 'u' || peek(w, 0) == 'U') && !is_letter(peek(w, 1)))
        w->at++; /* an unsigned one of CEL's: numbers are numbers here */
    else if (is_letter(peek(w, 0)))
        return lex_unit(w, from);
    if (is_double) {
        if (!trp_str_parse_f64(digits, &d))
            return trp_expr_refuse(w, from, "not a number");
        w->token.value = trp_fact_double(d);
        return true;
    }
    if (!trp_str_parse_i64(digits, &i))
        return trp_expr_refuse(w, from, "a number beyond 64 bits");
    w->token.value = trp_fact_int(i);
    return true;
}

/* ---- texts ---- */

/* So many digits of a base at w->at; UINT32_MAX: they are not there. */
static uint32_t code_point(struct trp_expr_work *w, uint32_t digits, uint32_t base)
{
    uint32_t v = 0;
    for (uint32_t i = 0; i < digits; i++, w->at++) {
        const char c = peek(w, 0);
        const uint32_t d = is_digit(c)              ? (uint32_t)(c - '0')
                           : (c >= 'a' && c <= 'f') ? (uint32_t)(c - 'a' + 10)
                           : (c >= 'A' && c <= 'F') ? (uint32_t)(c - 'A' + 10)
                                                    : 99u;
        if (d >= base)
            return UINT32_MAX;
        v = v * base + d;
    }
    return v > 0x10ffff || (v >= 0xd800 && v < 0xe000) ? UINT32_MAX : v;
}

/* What follows a backslash; the length that it has in UTF-8, 0: nothing that is known. */
static uint32_t unescape(struct trp_expr_work *w, char *out)
{
    static const char from[] = "abfnrtv\\'\"`?", to[] = "\a\b\f\n\r\t\v\\'\"`?";
    const char c = peek(w, 0);
    const char *known = c ? strchr(from, c) : NULL;
    uint32_t v;
    if (known) {
        w->at++;
        out[0] = to[known - from];
        return 1;
    }
    if (c >= '0' && c <= '3') {
        v = code_point(w, 3, 8);
    } else {
        const uint32_t digits = c == 'x' || c == 'X' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
        if (digits == 0)
            return 0;
        w->at++;
        v = code_point(w, digits, 16);
    }
    return v == UINT32_MAX ? 0 : (uint32_t)trp_str_put_utf8(out, v);
}

/* Bytes up to the quote that ends a text, or to the end of the line. */
static uint32_t length_of_text(const struct trp_expr_work *w, char quote, bool raw)
{
    uint32_t n = 1;
    while (w->at + n < w->text.len && peek(w, n) != quote && peek(w, n) != '\n')
        n += !raw && peek(w, n) == '\\' ? 2 : 1;
    return n;
}

/* An escape is never shorter than what it stands for, so the copy needs no more room than the
 * text. */
static bool lex_text(struct trp_expr_work *w, bool raw)
{
    const uint32_t from = w->at;
    const char quote = peek(w, 0);
    size_t n = 0;
    char *copy = trp_arena_get(w->keep, length_of_text(w, quote, raw) + 4);
    if (!copy)
        return trp_expr_no_memory(w);
    for (w->at++;;) {
        const char c = peek(w, 0);
        if (w->at >= w->text.len || c == '\n')
            return trp_expr_refuse(w, from, "this text does not end");
        w->at++;
        if (c == quote)
            break;
        if (c != '\\' || raw) {
            copy[n++] = c;
            continue;
        }
        const uint32_t backslash = w->at - 1, length = unescape(w, copy + n);
        if (length == 0)
            return trp_expr_refuse(w, backslash,
                                   "no such escape; r'...' takes backslashes as they are");
        n += length;
    }
    w->token.kind = TRP_TOKEN_CONST;
    w->token.value = trp_fact_text(trp_str_make(copy, n));
    return true;
}

/* ---- names and the rest ---- */

static bool lex_name(struct trp_expr_work *w)
{
    const uint32_t from = w->at;
    while (is_letter(peek(w, 0)) || is_digit(peek(w, 0)))
        w->at++;
    const struct trp_str name = trp_str_make(w->text.ptr + from, w->at - from);
    w->token.kind = TRP_TOKEN_NAME;
    w->token.name = name;
    if (trp_str_is(name, "null"))
        return trp_expr_refuse(w, from, "there is no null; has(x) tells whether x is there");
    if (trp_str_is(name, "true") || trp_str_is(name, "false")) {
        w->token.kind = TRP_TOKEN_CONST;
        w->token.value = trp_fact_bool(name.len == 4);
    }
    return true;
}

static bool lex_punct(struct trp_expr_work *w)
{
    static const char *const twos[] = { "==", "!=", "<=", ">=", "&&", "||" };
    const char a = peek(w, 0), b = peek(w, 1);
    w->token.kind = TRP_TOKEN_PUNCT;
    for (size_t i = 0; i < ARRAY_LEN(twos); i++)
        if (a == twos[i][0] && b == twos[i][1]) {
            w->token.punct = TRP_PUNCT2(a, b);
            w->at += 2;
            return true;
        }
    if (a == '=')
        return trp_expr_refuse(w, w->at, "one '=' compares nothing; write ==");
    if (a == '&' || a == '|')
        return trp_expr_refuse(w, w->at, "write %c%c", a, a);
    if (a == '?' && b == '?')
        return trp_expr_refuse(w, w->at, "write x.orValue(y) for y where there is no x");
    if (a == '\0' || !strchr("()[]{}.,?:+-*/%!<>", a))
        return trp_expr_refuse(w, w->at, "a character that means nothing here");
    w->token.punct = (uint32_t)a;
    w->at++;
    return true;
}

bool trp_expr_lex(struct trp_expr_work *w)
{
    skip_blanks(w);
    const char c = peek(w, 0), next = peek(w, 1);
    w->token = (struct trp_token){ .from = w->at };
    bool good = true;
    if (w->at >= w->text.len)
        w->token.kind = TRP_TOKEN_END;
    else if (is_digit(c) || (c == '.' && is_digit(next)))
        good = lex_number(w);
    else if (c == '\'' || c == '"')
        good = lex_text(w, false);
    else if ((c == 'r' || c == 'R') && (next == '\'' || next == '"')) {
        w->at++;
        good = lex_text(w, true);
    } else
        good = is_letter(c) ? lex_name(w) : lex_punct(w);
    w->token.to = w->at;
    return good;
}
