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
