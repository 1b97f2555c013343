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

#define DELETE 0x7f

struct trp_str trp_percent_field(struct trp_str text, struct trp_arena *arena)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t odd = 0, n = 0;
    for (size_t i = 0; i < text.len; i++, odd++) {
        i += trp_str_plain_run(text, i, '%', DELETE);
        if (i == text.len)
            break;
    }
    if (odd == 0)
        return text;
    char *to = trp_arena_get(arena, text.len + 2 * odd);
    for (size_t i = 0; to && i < text.len; i++) {
        const size_t n_plain = trp_str_plain_run(text, i, '%', DELETE);
        memcpy(to + n, text.ptr + i, n_plain);
        n += n_plain;
        i += n_plain;
        if (i == text.len)
            break;
        const unsigned char c = (unsigned char)text.ptr[i];
        to[n++] = '%';
        to[n++] = digits[c >> 4];
        to[n++] = digits[c & 15];
    }
    return trp_str_make(to, n);
}
