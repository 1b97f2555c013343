/* base/json_text.c - strings out, and texts that simdjson refused.
 *
 * simdjson says that a text is bad, but not where; and it refuses what Python, the most common
 * client, writes without being asked: NaN and Infinity.  This walker follows the grammar of RFC
 * 8259 with one state and one bit per level of nesting, so a hostile text costs one pass and no
 * recursion. */
#include "base/json_text.h"

#include <math.h>

#include "base/json.h"

/* ---- printing -------------------------------------------------------------------------------- */

static void write_escaped(struct trp_buf *b, char c)
{
    static const char letters[32] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'
    };
    const char letter = c == '"' || c == '\\' ? c : letters[(unsigned char)c];
    if (letter) {
        const char pair[2] = { '\\', letter };
        trp_buf_add(b, pair, 2);
    } else {
        trp_buf_addf(b, "\\u%04x", (unsigned)c);
    }
}

void trp_json_write_str(struct trp_buf *b, struct trp_str s)
{
    const size_t n_first = trp_str_plain_run(s, 0, '"', '\\');
    char *const room = n_first == s.len ? trp_buf_room(b, s.len + 2) : NULL;
    if (room) { /* most are */
        room[0] = room[s.len + 1] = '"';
        if (s.len > 0)
            memcpy(room + 1, s.ptr, s.len);
        trp_buf_added(b, s.len + 2);
        return;
    }
    trp_buf_add_char(b, '"');
    for (size_t i = 0; i < s.len;) {
        const size_t n_plain = trp_str_plain_run(s, i, '"', '\\');
        trp_buf_add(b, s.ptr + i, n_plain);
        i += n_plain;
        if (i == s.len)
            break;
        if ((unsigned char)s.ptr[i] < 0x80) {
            write_escaped(b, s.ptr[i++]);
            continue;
        }
        const size_t n = trp_str_utf8_length(s.ptr + i, s.len - i);
        trp_buf_add(b, n ? s.ptr + i : "\xef\xbf\xbd", n ? n : 3);
        i += n ? n : 1;
    }
    trp_buf_add_char(b, '"');
}

/* ---- the walker ------------------------------------------------------------------------------ */

enum expect { VALUE, FIRST_VALUE, KEY, FIRST_KEY, COLON, COMMA, NOTHING };

struct walker {
    const char *begin, *at, *end;
    const char *copied; /* what lies before is in `out` already */
    struct trp_buf *out;
    struct trp_error *err;
    enum expect expect;
    bool changed;
    uint32_t depth, depth_max;
    uint8_t is_object[TRP_JSON_DEPTH_MAX / 8]; /* one bit per level */
};

static size_t offset(const struct walker *w)
{
    return (size_t)(w->at - w->begin);
}

static bool in_object(const struct walker *w)
{
    const uint32_t level = w->depth - 1;
    return w->is_object[level / 8] >> (level % 8) & 1;
}

/* The start of a token as words for a message: printable, and not long. */
static const char *show(struct trp_str token, char out[40])
{
    size_t n = 0;
    for (; n < token.len && n < 32; n++)
        out[n] = token.ptr[n] >= 0x20 && token.ptr[n] < 0x7f ? token.ptr[n] : '?';
    for (const char *dots = token.len > n ? "..." : ""; *dots; dots++)
        out[n++] = *dots;
    out[n] = '\0';
    return out;
}

static const char *expected(const struct walker *w)
{
    switch (w->expect) {
    case VALUE:
        return "a value";
    case FIRST_VALUE:
        return "a value or ']'";
    case KEY:
        return "a key in quotes";
    case FIRST_KEY:
        return "a key in quotes or '}'";
    case COLON:
        return "':'";
    case COMMA:
        return in_object(w) ? "',' or '}'" : "',' or ']'";
    case NOTHING:
        break;
    }
    return "nothing more";
}

static trp_status unexpected(struct walker *w)
{
    char text[40];
    if (w->at == w->end)
        return trp_fail(w->err, TRP_INVALID_ARGUMENT, "byte %zu: the text ends, expected %s",
                        offset(w), expected(w));
    return trp_fail(w->err, TRP_INVALID_ARGUMENT, "byte %zu: '%s', expected %s", offset(w),
                    show(trp_str_make(w->at, 1), text), expected(w));
}

static void value_ended(struct walker *w)
{
    w->expect = w->depth ? COMMA : NOTHING;
}

static trp_status open_container(struct walker *w, bool is_object)
{
    if (w->depth == w->depth_max)
        return trp_fail_limit(w->err, TRP_INVALID_ARGUMENT, TRP_LIMIT_DEPTH,
                              "byte %zu: nested deeper than %u", offset(w), w->depth_max);
    const uint8_t bit = (uint8_t)(1u << (w->depth % 8));
    uint8_t *bits = &w->is_object[w->depth / 8];
    *bits = (uint8_t)(is_object ? *bits | bit : *bits & ~bit);
    w->depth++;
    w->at++;
    w->expect = is_object ? FIRST_KEY : FIRST_VALUE;
    return trp_ok();
}

static trp_status close_container(struct walker *w)
{
    w->at++;
    w->depth--;
    value_ended(w);
    return trp_ok();
}

/* ---- strings --------------------------------------------------------------------------------- */

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Length of the escape at `p`, whose first byte is the backslash; 0 when it is none. */
static size_t escape_length(const char *p, size_t left)
{
    if (left < 2 || !p[1] || !strchr("\"\\/bfnrtu", p[1]))
        return 0;
    if (p[1] != 'u')
        return 2;
    for (size_t i = 2; i < 6; i++)
        if (i >= left || !is_hex(p[i]))
            return 0;
    return 6;
}

static trp_status walk_string(struct walker *w)
{
    const size_t begun = offset(w);
    for (w->at++; w->at < w->end && *w->at != '"';) {
        const size_t left = (size_t)(w->end - w->at);
        size_t n = 1;
        if (*w->at == '\\')
            n = escape_length(w->at, left);
        else if ((unsigned char)*w->at >= 0x80)
            n = trp_str_utf8_length(w->at, left);
        else if ((unsigned char)*w->at < 0x20)
            n = 0;
        if (!n)
            return trp_fail(w->err, TRP_INVALID_ARGUMENT, "byte %zu: %s in a string", offset(w),
                            *w->at == '\\' ? "a bad escape"
                            : *w->at < 0   ? "bytes that are not UTF-8"
                                           : "a control character");
        w->at += n;
    }
    if (w->at == w->end)
        return trp_fail(w->err, TRP_INVALID_ARGUMENT, "byte %zu: a string that is not closed",
                        begun);
    w->at++;
    return trp_ok();
}

/* ---- words and numbers ----------------------------------------------------------------------- */

static size_t digits_at(struct trp_str s, size_t i)
{
    size_t n = 0;
    while (i + n < s.len && s.ptr[i + n] >= '0' && s.ptr[i + n] <= '9')
        n++;
    return n;
}

/* Checks the grammar of a number; *out_digits is the length of its integer part. */
static bool is_number(struct trp_str s, size_t *out_digits, bool *out_integer)
{
    size_t i = s.len && s.ptr[0] == '-';
    const size_t digits = digits_at(s, i);
    if (!digits || (digits > 1 && s.ptr[i] == '0'))
        return false;
    i += digits;
    *out_digits = digits;
    *out_integer = i == s.len;
    if (i < s.len && s.ptr[i] == '.') {
        const size_t n = digits_at(s, i + 1);
        if (!n)
            return false;
        i += 1 + n;
    }
    if (i < s.len && (s.ptr[i] == 'e' || s.ptr[i] == 'E')) {
        i += i + 1 < s.len && (s.ptr[i + 1] == '+' || s.ptr[i + 1] == '-') ? 2 : 1;
        const size_t n = digits_at(s, i);
        if (!n)
            return false;
        i += n;
    }
    return i == s.len;
}

static bool is_beyond_64_bits(struct trp_str integer, size_t digits)
{
    const bool negative = integer.ptr[0] == '-';
    const char *last = negative ? "9223372036854775808" : "18446744073709551615";
    const size_t longest = strlen(last);
    return digits > longest ||
           (digits == longest && memcmp(integer.ptr + negative, last, longest) > 0);
}

/* Puts `before` and `after` around a token of the text in the copy. */
static void wrap(struct walker *w, struct trp_str token, const char *before, const char *after)
{
    trp_buf_add(w->out, w->copied, (size_t)(token.ptr - w->copied));
    trp_buf_add_text(w->out, before);
    trp_buf_add_str(w->out, token);
    trp_buf_add_text(w->out, after);
    w->copied = token.ptr + token.len;
    w->changed = true;
}

static trp_status walk_word(struct walker *w)
{
    struct trp_str token = trp_str_make(w->at, 0);
    while (w->at + token.len < w->end && !memchr(",:[]{}\" \t\r\n", w->at[token.len], 11))
        token.len++;
    char text[40];
    size_t digits = 0;
    bool integer = false;
    double v;
    if (trp_str_is(token, "NaN") || trp_str_is(token, "Infinity") || trp_str_is(token, "-Infinity"))
        wrap(w, token, "\"", "\"");
    else if (is_number(token, &digits, &integer)) {
        if (trp_str_parse_f64(token, &v) && isinf(v))
            return trp_fail(w->err, TRP_INVALID_ARGUMENT,
                            "byte %zu: %s does not fit a 64-bit float", offset(w),
                            show(token, text));
        if (integer && is_beyond_64_bits(token, digits))
            wrap(w, token, "", ".0");
    } else if (!trp_str_is(token, "true") && !trp_str_is(token, "false") &&
               !trp_str_is(token, "null"))
        return token.len ? trp_fail(w->err, TRP_INVALID_ARGUMENT, "byte %zu: '%s' is no JSON value",
                                    offset(w), show(token, text))
                         : unexpected(w);
    w->at += token.len;
    return trp_ok();
}

/* ---- one token ------------------------------------------------------------------------------- */

static trp_status walk_value(struct walker *w)
{
    if (*w->at == '{' || *w->at == '[')
        return open_container(w, *w->at == '{');
    TRP_CHECK(*w->at == '"' ? walk_string(w) : walk_word(w));
    value_ended(w);
    return trp_ok();
}

static trp_status walk_key(struct walker *w)
{
    if (*w->at != '"')
        return unexpected(w);
    TRP_CHECK(walk_string(w));
    w->expect = COLON;
    return trp_ok();
}

/* Steps over a ':' or ','. */
static trp_status walk_mark(struct walker *w, char mark, enum expect next)
{
    if (*w->at != mark)
        return unexpected(w);
    w->at++;
    w->expect = next;
    return trp_ok();
}

static trp_status walk_token(struct walker *w)
{
    switch (w->expect) {
    case FIRST_VALUE:
        return *w->at == ']' ? close_container(w) : walk_value(w);
    case VALUE:
        return walk_value(w);
    case FIRST_KEY:
        return *w->at == '}' ? close_container(w) : walk_key(w);
    case KEY:
        return walk_key(w);
    case COLON:
        return walk_mark(w, ':', VALUE);
    case COMMA:
        if (*w->at == (in_object(w) ? '}' : ']'))
            return close_container(w);
        return walk_mark(w, ',', in_object(w) ? KEY : VALUE);
    case NOTHING:
        break;
    }
    return unexpected(w);
}

trp_status trp_json_mend(struct trp_str text, uint32_t depth_max, struct trp_buf *out,
                         bool *out_changed, struct trp_error *err)
{
    if (text.len == 0)
        text.ptr = ""; /* there is no arithmetic on NULL */
    struct walker w = { .begin = text.ptr,
                        .at = text.ptr,
                        .end = text.ptr + text.len,
                        .copied = text.ptr,
                        .out = out,
                        .err = err,
                        .depth_max = depth_max };
    for (;;) {
        while (w.at < w.end && memchr(" \t\r\n", *w.at, 4))
            w.at++;
        if (w.at == w.end)
            break;
        TRP_CHECK(walk_token(&w));
    }
    if (w.expect != NOTHING)
        return unexpected(&w);
    if (w.changed)
        trp_buf_add(out, w.copied, (size_t)(w.end - w.copied));
    TRP_CHECK(trp_buf_check(out, "JSON text", err));
    *out_changed = w.changed;
    return trp_ok();
}
