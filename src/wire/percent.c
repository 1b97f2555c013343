/* wire/percent.c - see percent.h. */
#include "wire/percent.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

bool trp_percent_decode(char *text, size_t *len)
{
    size_t out = 0;
    for (size_t i = 0; i < *len; i++, out++) {
        text[out] = text[i];
        if (text[i] != '%')
            continue;
        if (*len - i < 3 || hex_digit(text[i + 1]) < 0 || hex_digit(text[i + 2]) < 0)
            return false;
        text[out] = (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
        i += 2;
    }
    *len = out;
    return true;
}

static bool is_plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '%';
}

struct trp_str trp_percent_field(struct trp_str text, struct trp_arena *arena)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t odd = 0, n = 0;
    for (size_t i = 0; i < text.len; i++)
        odd += !is_plain(text.ptr[i]);
    if (odd == 0)
        return text;
    char *to = trp_arena_get(arena, text.len + 2 * odd);
    for (size_t i = 0; to && i < text.len; i++) {
        const unsigned char c = (unsigned char)text.ptr[i];
        if (is_plain(text.ptr[i])) {
            to[n++] = text.ptr[i];
            continue;
        }
        to[n++] = '%';
        to[n++] = digits[c >> 4];
        to[n++] = digits[c & 15];
    }
    return trp_str_make(to, n);
}
