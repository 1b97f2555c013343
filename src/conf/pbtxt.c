/* conf/pbtxt.c - protobuf's text format to a tree; see node.h.
 *
 *   message := { field [","|";"] }            field  := name [":"] value     (":" may be left out before "{", "<", "[")
 *   value   := scalar | "{" message "}" | "<" message ">" | "[" [value {"," value}] "]"
 *   scalar  := texts | ["-"] number | ["-"] identifier                       texts  := text { text }
 *
 * The reader needs no schema: a field that is written twice stands twice, and the schema knows
 * whether that is a list. Extensions and Any (`[type.url/name] {...}`) have no meaning in a model's
 * configuration and are refused.
 * Source: protobuf.dev, Text Format Language Specification. */
#include <math.h>

#include "conf/node.h"

struct pbtxt {
    struct trp_arena *arena;
    const char *file;
    struct trp_error *err;
    const char *at, *end;
    uint32_t line, nodes_left;
};

/* ---- characters and tokens ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

/* Passes white space and comments; returns the next character, or 0 at the end. */
static char peek(struct pbtxt *p)
{
    for (; p->at < p->end; p->at++) {
        const char c = *p->at;
        if (c == '#') {
            while (p->at < p->end && *p->at != '\n')
                p->at++;
            if (p->at == p->end)
                return '\0';
        }
        if (*p->at == '\n')
            p->line++;
        else if (*p->at != ' ' && *p->at != '\t' && *p->at != '\r' && *p->at != '\v' &&
                 *p->at != '\f')
            return *p->at;
    }
    return '\0';
}

static bool try_char(struct pbtxt *p, char c)
{
    if (peek(p) != c || p->at == p->end)
        return false;
    p->at++;
    return true;
}

static struct trp_str take_while_name(struct pbtxt *p)
{
    const char *start = p->at;
    while (p->at < p->end && is_name_char(*p->at))
        p->at++;
    return trp_str_make(start, (size_t)(p->at - start));
}

static trp_status refuse(const struct pbtxt *p, const char *what)
{
    return trp_fail(p->err, TRP_INVALID_ARGUMENT, "%s:%u: %s", p->file, p->line, what);
}

static trp_status no_memory(const struct pbtxt *p)
{
    return trp_fail(p->err, TRP_OUT_OF_MEMORY, "%s: no memory", p->file);
}

/* Fails with what stands where something else was expected. */
static trp_status expected(struct pbtxt *p, const char *what)
{
    const char c = peek(p);
    if (p->at == p->end)
        return trp_fail(p->err, TRP_INVALID_ARGUMENT, "%s:%u: expected %s, found the end", p->file,
                        p->line, what);
    if (c < ' ' || c > '~')
        return trp_fail(p->err, TRP_INVALID_ARGUMENT, "%s:%u: expected %s, found byte 0x%02x",
                        p->file, p->line, what, (unsigned)(unsigned char)c);
    struct pbtxt ahead = *p;
    struct trp_str word = take_while_name(&ahead);
    if (word.len == 0)
        word = trp_str_make(p->at, 1);
    if (word.len > 40)
        word.len = 40;
    return trp_fail(p->err, TRP_INVALID_ARGUMENT, "%s:%u: expected %s, found \"%.*s\"", p->file,
                    p->line, what, TRP_STR(word));
}

/* ---- texts ---- */

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Reads up to `digits_max` digits of base 8 or 16; false when there is none. */
static bool take_digits(struct pbtxt *p, int base, int digits_max, uint32_t *out)
{
    uint32_t v = 0;
    int n = 0;
    for (; n < digits_max && p->at < p->end; n++, p->at++) {
        const int digit = hex_value(*p->at);
        if (digit < 0 || digit >= base)
            break;
        v = v * (uint32_t)base + (uint32_t)digit;
    }
    *out = v;
    return n > 0;
}

/* \uXXXX and \UXXXXXXXX; needs all its digits. */
static bool take_unicode(struct pbtxt *p, int digits, char *out, size_t *len)
{
    const char *start = p->at;
    uint32_t code;
    if (!take_digits(p, 16, digits, &code) || p->at - start != digits)
        return false;
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return false;
    *len += trp_str_put_utf8(out + *len, code);
    return true;
}

/* Reads what follows a backslash; its text is never longer than its spelling. */
static trp_status take_escape(struct pbtxt *p, char *out, size_t *len)
{
    static const char names[] = "abfnrtv?'\"\\", means[] = "\a\b\f\n\r\t\v?'\"\\";
    const char c = p->at < p->end ? *p->at : '\0';
    const char *simple = c ? strchr(names, c) : NULL;
    uint32_t code;
    if (simple) {
        p->at++;
        out[(*len)++] = means[simple - names];
        return trp_ok();
    }
    if (c >= '0' && c <= '7') {
        (void)take_digits(p, 8, 3, &code);
        if (code > 255)
            return refuse(p, "an octal escape is at most \\377");
        out[(*len)++] = (char)code;
        return trp_ok();
    }
    if (c == 'x' || c == 'X') {
        p->at++;
        if (!take_digits(p, 16, 2, &code))
            return refuse(p, "\\x needs one or two hexadecimal digits");
        out[(*len)++] = (char)code;
        return trp_ok();
    }
    if (c == 'u' || c == 'U') {
        p->at++;
        if (!take_unicode(p, c == 'u' ? 4 : 8, out, len))
            return refuse(p, "\\u needs four, \\U eight digits of a Unicode character");
        return trp_ok();
    }
    return refuse(p, "unknown escape in a text");
}

/* Reads one quoted piece and appends it at out[*len]. */
static trp_status take_piece(struct pbtxt *p, char *out, size_t *len)
{
    const char quote = *p->at++;
    while (p->at < p->end && *p->at != quote) {
        const char c = *p->at++;
        if (c == '\n')
            return refuse(p, "a text ends before its line does; write \\n for a line break");
        if (c != '\\')
            out[(*len)++] = c;
        else
            TRP_CHECK(take_escape(p, out, len));
    }
    if (p->at == p->end)
        return refuse(p, "a text does not end");
    p->at++;
    return trp_ok();
}

/* The end of the quoted pieces that begin here: room enough for what they say. */
static size_t spelled_bytes(const struct pbtxt *p)
{
    struct pbtxt ahead = *p;
    char c = peek(&ahead);
    while (ahead.at < ahead.end && (c == '"' || c == '\'')) {
        for (ahead.at++; ahead.at < ahead.end && *ahead.at != c && *ahead.at != '\n'; ahead.at++) {
            if (*ahead.at == '\\' && ahead.at + 1 < ahead.end)
                ahead.at++;
        }
        if (ahead.at < ahead.end)
            ahead.at++;
        c = peek(&ahead);
    }
    return (size_t)(ahead.at - p->at);
}

static trp_status take_text(struct pbtxt *p, struct trp_node *n)
{
    char *out = trp_arena_get(p->arena, spelled_bytes(p) + 1);
    size_t len = 0;
    if (!out)
        return no_memory(p);
    for (char c = peek(p); p->at < p->end && (c == '"' || c == '\''); c = peek(p))
        TRP_CHECK(take_piece(p, out, &len));
    out[len] = '\0';
    n->kind = TRP_NODE_STR;
    n->v.s = trp_str_make(out, len);
    return trp_ok();
}

/* ---- numbers and words ---- */

static trp_status set_integer(struct pbtxt *p, struct trp_node *n, uint64_t magnitude,
                              bool negative)
{
    if (negative) {
        if (magnitude > (uint64_t)INT64_MAX + 1)
            return refuse(p, "the number does not fit 64 bits");
        n->kind = TRP_NODE_INT;
        n->v.i = (int64_t)(0 - magnitude);
    } else if (magnitude <= INT64_MAX) {
        n->kind = TRP_NODE_INT;
        n->v.i = (int64_t)magnitude;
    } else {
        n->kind = TRP_NODE_UINT;
        n->v.u = magnitude;
    }
    return trp_ok();
}

/* Hexadecimal after 0x, octal after 0, decimal otherwise; false when it is none of them or too
 * large. */
static bool parse_integer(struct trp_str s, uint64_t *out)
{
    const bool hex = s.len > 2 && s.ptr[0] == '0' && (s.ptr[1] == 'x' || s.ptr[1] == 'X');
    if (!hex && (s.len < 2 || s.ptr[0] != '0'))
        return trp_str_parse_u64(s, out);
    const uint64_t base = hex ? 16 : 8;
    uint64_t v = 0;
    for (size_t i = hex ? 2 : 1; i < s.len; i++) {
        const int digit = hex_value(s.ptr[i]);
        if (digit < 0 || (uint64_t)digit >= base || v > (UINT64_MAX - (uint64_t)digit) / base)
            return false;
        v = v * base + (uint64_t)digit;
    }
    *out = v;
    return true;
}

/* Decimal digits, a point, an exponent; strtod() alone would take hexadecimal fractions and
 * "nan" too. */
static bool is_fraction(struct trp_str s)
{
    bool point = false, digits = false;
    size_t i = 0;
    if (s.len > 1 && s.ptr[0] == '0' && is_digit(s.ptr[1]))
        return false; /* meant as octal */
    for (; i < s.len && (is_digit(s.ptr[i]) || (s.ptr[i] == '.' && !point)); i++) {
        digits = digits || is_digit(s.ptr[i]);
        point = point || s.ptr[i] == '.';
    }
    if (i < s.len && (s.ptr[i] == 'e' || s.ptr[i] == 'E')) {
        i++;
        if (i < s.len && (s.ptr[i] == '+' || s.ptr[i] == '-'))
            i++;
        if (i == s.len)
            return false;
        while (i < s.len && is_digit(s.ptr[i]))
            i++;
    }
    return digits && i == s.len;
}

static struct trp_str take_number_text(struct pbtxt *p)
{
    const char *start = p->at;
    bool hex = false, after_e = false;
    for (; p->at < p->end; p->at++) {
        const char c = *p->at;
        if (!is_name_char(c) && c != '.' && !(after_e && (c == '+' || c == '-')))
            break;
        hex = hex || c == 'x' || c == 'X';
        after_e = !hex && (c == 'e' || c == 'E');
    }
    return trp_str_make(start, (size_t)(p->at - start));
}

static trp_status take_number(struct pbtxt *p, struct trp_node *n, bool negative)
{
    struct trp_str s = take_number_text(p);
    uint64_t magnitude;
    double d;
    if (parse_integer(s, &magnitude))
        return set_integer(p, n, magnitude, negative);
    if (s.len > 1 && (s.ptr[s.len - 1] == 'f' || s.ptr[s.len - 1] == 'F'))
        s.len--;
    if (!is_fraction(s) || !trp_str_parse_f64(s, &d)) {
        if (s.len > 40)
            s.len = 40;
        return trp_fail(p->err, TRP_INVALID_ARGUMENT, "%s:%u: \"%.*s\" is not a number", p->file,
                        p->line, TRP_STR(s));
    }
    n->kind = TRP_NODE_FLOAT;
    n->v.d = negative ? -d : d;
    return trp_ok();
}

static trp_status take_word(struct pbtxt *p, struct trp_node *n, bool negative)
{
    const struct trp_str word = take_while_name(p);
    if (!negative) {
        n->kind = TRP_NODE_WORD;
        n->v.s = trp_arena_dup(p->arena, word);
        return n->v.s.ptr ? trp_ok() : no_memory(p);
    }
    const bool infinite = trp_str_is_equal_nocase(word, TRP_STR_LIT("inf")) ||
                          trp_str_is_equal_nocase(word, TRP_STR_LIT("infinity"));
    if (!infinite && !trp_str_is_equal_nocase(word, TRP_STR_LIT("nan")))
        return refuse(p, "\"-\" stands before something that is not a number");
    n->kind = TRP_NODE_FLOAT;
    n->v.d = infinite ? -(double)INFINITY : (double)NAN;
    return trp_ok();
}

/* ---- values, fields, messages ---- */

static trp_status place(struct pbtxt *p, struct trp_node *parent, struct trp_str key, uint32_t line,
                        struct trp_node **out)
{
    *out = NULL;
    if (p->nodes_left == 0)
        return trp_fail(p->err, TRP_TOO_LARGE, "%s:%u: too many values", p->file, line);
    p->nodes_left--;
    *out = trp_node_add(p->arena, parent, key, TRP_NODE_NULL);
    if (!*out)
        return no_memory(p);
    (*out)->file = p->file;
    (*out)->line = line;
    return trp_ok();
}

static trp_status take_value(struct pbtxt *p, struct trp_node *n, uint32_t depth);
static trp_status take_fields(struct pbtxt *p, struct trp_node *map, char close, uint32_t depth);

static trp_status take_list(struct pbtxt *p, struct trp_node *n, uint32_t depth)
{
    n->kind = TRP_NODE_LIST;
    if (try_char(p, ']'))
        return trp_ok();
    do {
        struct trp_node *item;
        (void)peek(p); /* so that p->line is the item's */
        TRP_CHECK(place(p, n, (struct trp_str){ 0 }, p->line, &item));
        TRP_CHECK(take_value(p, item, depth + 1));
    } while (try_char(p, ','));
    return try_char(p, ']') ? trp_ok() : expected(p, "\",\" or \"]\"");
}

static trp_status take_value(struct pbtxt *p, struct trp_node *n, uint32_t depth)
{
    if (depth > TRP_NODE_DEPTH_MAX)
        return trp_fail(p->err, TRP_TOO_LARGE, "%s:%u: nested deeper than %u levels", p->file,
                        p->line, TRP_NODE_DEPTH_MAX);
    const char c = peek(p);
    if (c == '"' || c == '\'')
        return take_text(p, n);
    if (try_char(p, '{'))
        return take_fields(p, n, '}', depth);
    if (try_char(p, '<'))
        return take_fields(p, n, '>', depth);
    if (try_char(p, '['))
        return take_list(p, n, depth);
    const bool negative = try_char(p, '-');
    const char first = peek(p);
    if (is_digit(first) || first == '.')
        return take_number(p, n, negative);
    return is_name_char(first) ? take_word(p, n, negative) : expected(p, "a value");
}

static trp_status take_field(struct pbtxt *p, struct trp_node *map, uint32_t depth)
{
    const char c = peek(p);
    if (c == '[')
        return refuse(p, "extensions and Any messages ([...]) are not supported");
    if (!is_name_char(c) || is_digit(c))
        return expected(p, "the name of a field");
    const uint32_t line = p->line;
    const struct trp_str name = trp_arena_dup(p->arena, take_while_name(p));
    if (!name.ptr)
        return no_memory(p);
    const bool colon = try_char(p, ':');
    const char next = peek(p);
    if (!colon && next != '{' && next != '<' && next != '[')
        return expected(p, "\":\" or \"{\"");
    struct trp_node *n;
    TRP_CHECK(place(p, map, name, line, &n));
    TRP_CHECK(take_value(p, n, depth));
    if (!try_char(p, ','))
        (void)try_char(p, ';');
    return trp_ok();
}

/* Reads fields up to `close`, which is read too; 0 means the end of the text. */
static trp_status take_fields(struct pbtxt *p, struct trp_node *map, char close, uint32_t depth)
{
    map->kind = TRP_NODE_MAP;
    for (;;) {
        const char c = peek(p);
        if (p->at == p->end && close == '\0')
            return trp_ok();
        if (p->at == p->end)
            return trp_fail(p->err, TRP_INVALID_ARGUMENT,
                            "%s:%u: expected \"%c\" for the message that begins in line %u, "
                            "found the end",
                            p->file, p->line, close, map->line);
        if (close != '\0' && c == close) {
            p->at++;
            return trp_ok();
        }
        TRP_CHECK(take_field(p, map, depth + 1));
    }
}

trp_status trp_node_from_pbtxt(struct trp_arena *a, struct trp_str text, const char *file,
                               uint32_t nodes_max, struct trp_node **out_root,
                               struct trp_error *err)
{
    struct pbtxt p = { .arena = a,
                       .file = file,
                       .err = err,
                       .at = text.ptr,
                       .end = text.len ? text.ptr + text.len : text.ptr,
                       .line = 1,
                       .nodes_left = nodes_max };
    *out_root = NULL;
    struct trp_node *root = trp_node_new(a, TRP_NODE_MAP);
    if (!root)
        return no_memory(&p);
    root->file = file;
    root->line = 1;
    TRP_CHECK(take_fields(&p, root, '\0', 0));
    *out_root = root;
    return trp_ok();
}
