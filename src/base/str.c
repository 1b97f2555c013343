/* base/str.c - see str.h. */
#include "base/str.h"

#include <stdlib.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool trp_str_is_equal_nocase(struct trp_str a, struct trp_str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    }
    return true;
}

int trp_str_compare(struct trp_str a, struct trp_str b)
{
    const size_t n = a.len < b.len ? a.len : b.len;
    const int order = n ? memcmp(a.ptr, b.ptr, n) : 0;
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool trp_str_parse_u64(struct trp_str s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        const uint64_t digit = (uint64_t)(s.ptr[i] - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

struct trp_str trp_str_of_u64(uint64_t v, char room[TRP_STR_DIGITS])
{
    size_t at = TRP_STR_DIGITS;
    do {
        room[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    return trp_str_make(room + at, TRP_STR_DIGITS - at);
}

bool trp_str_parse_i64(struct trp_str s, int64_t *out)
{
    uint64_t magnitude;
    const bool negative = s.len > 0 && s.ptr[0] == '-';
    if (negative) {
        s.ptr++;
        s.len--;
    }
    if (!trp_str_parse_u64(s, &magnitude))
        return false;
    if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    *out = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

bool trp_str_parse_f64(struct trp_str s, double *out)
{
    char text[64];
    char *end;
    if (s.len == 0 || s.len >= sizeof text || memchr(" \t\n\v\f\r", s.ptr[0], 6))
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    /* strtod() obeys LC_NUMERIC, which this process never sets: it stays "C". */
    const double v = strtod(text, &end);
    if (end != text + s.len)
        return false;
    *out = v;
    return true;
}

bool trp_str_copy(struct trp_str s, char *out, size_t out_size)
{
    const size_t n = s.len < out_size ? s.len : out_size - 1;
    if (n)
        memcpy(out, s.ptr, n);
    out[n] = '\0';
    return n == s.len;
}

#define DISTANCE_MAX 64

uint32_t trp_str_distance(struct trp_str a, struct trp_str b, uint32_t limit)
{
    uint32_t row[DISTANCE_MAX + 1];
    const size_t an = a.len < DISTANCE_MAX ? a.len : DISTANCE_MAX;
    const size_t bn = b.len < DISTANCE_MAX ? b.len : DISTANCE_MAX;
    for (size_t j = 0; j <= bn; j++)
        row[j] = (uint32_t)j;
    for (size_t i = 1; i <= an; i++) {
        uint32_t diagonal = row[0];
        row[0] = (uint32_t)i;
        for (size_t j = 1; j <= bn; j++) {
            const uint32_t above = row[j];
            uint32_t best = diagonal + (lower(a.ptr[i - 1]) != lower(b.ptr[j - 1]));
            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[bn] <= limit ? row[bn] : limit + 1;
}

/* Eight bytes at a time: where one of them is not plain the sign bit of that byte is set, and
 * perhaps those of bytes behind it. */
#define EACH UINT64_C(0x0101010101010101)
static bool are_plain(const char *eight, char a, char b)
{
    uint64_t w;
    memcpy(&w, eight, sizeof w);
    const uint64_t like_a = w ^ EACH * (unsigned char)a, like_b = w ^ EACH * (unsigned char)b;
    const uint64_t odd = w | (w - EACH * 0x20) | (like_a - EACH) | (like_b - EACH);
    return (odd & EACH * 0x80) == 0;
}

static bool is_plain(char c, char a, char b)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != a && c != b;
}

size_t trp_str_plain_run(struct trp_str s, size_t from, char a, char b)
{
    const size_t word = sizeof(uint64_t);
    size_t i = from;
    while (s.len - i >= word && are_plain(s.ptr + i, a, b))
        i += word;
    /* What is left of less than a word is looked at together with the bytes before it. */
    if (s.len - i < word && i - from >= word && are_plain(s.ptr + s.len - word, a, b))
        return s.len - from;
    while (i < s.len && is_plain(s.ptr[i], a, b))
        i++;
    return i - from;
}

size_t trp_str_utf8_length(const char *ptr, size_t left)
{
    const unsigned char *p = (const unsigned char *)ptr;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    const size_t n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (left < n)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    const bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    const bool surrogate = p[0] == 0xed && p[1] >= 0xa0;
    const bool beyond = p[0] == 0xf4 && p[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : n;
}

size_t trp_str_put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

bool trp_str_is_utf8(struct trp_str s)
{
    for (size_t i = 0; i < s.len;) {
        const size_t n = trp_str_utf8_length(s.ptr + i, s.len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}
