#include "wire/accept.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct trp_str trim(struct trp_str s)
{
    while (s.len && is_space(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* Cuts the text before the first `at` off the front of *rest. */
static struct trp_str cut(struct trp_str *rest, char at)
{
    const char *found = rest->len ? memchr(rest->ptr, at, rest->len) : NULL;
    const size_t n = found ? (size_t)(found - rest->ptr) : rest->len;
    const struct trp_str head = trp_str_make(rest->ptr, n);
    const size_t skip = found ? n + 1 : n;
    *rest = trp_str_make(rest->ptr + skip, rest->len - skip);
    return trim(head);
}

/* "q=0.5" in thousandths; 1000 when it is absent, 0 when it is malformed. */
static int quality(struct trp_str params)
{
    while (params.len) {
        struct trp_str value = cut(&params, ';');
        const struct trp_str name = cut(&value, '=');
        if (!trp_str_is_equal_nocase(name, TRP_STR_LIT("q")))
            continue;
        value = trim(value);
        if (value.len == 0 || value.len > 5 || value.ptr[0] < '0' || value.ptr[0] > '1')
            return 0;
        int q = (value.ptr[0] - '0') * 1000, scale = 100;
        for (size_t i = 2; i < value.len; i++, scale /= 10) {
            if (value.ptr[1] != '.' || value.ptr[i] < '0' || value.ptr[i] > '9')
                return 0;
            q += (value.ptr[i] - '0') * scale;
        }
        return q > 1000 ? 0 : q;
    }
    return 1000;
}

enum trp_coding trp_accept_coding(struct trp_str accept_encoding)
{
    enum { UNSAID = -1 };
    int q[TRP_CODING_UNKNOWN] = { UNSAID, UNSAID, UNSAID }, other = UNSAID;
    struct trp_str rest = accept_encoding;
    while (rest.len) {
        struct trp_str params = cut(&rest, ',');
        const struct trp_str name = cut(&params, ';');
        if (name.len == 0)
            continue;
        const enum trp_coding coding = trp_coding_parse(name);
        if (coding != TRP_CODING_UNKNOWN)
            q[coding] = quality(params);
        else if (trp_str_is(name, "*"))
            other = quality(params);
    }
    const int zip = q[TRP_CODING_GZIP] != UNSAID ? q[TRP_CODING_GZIP] : other;
    const int deflate = q[TRP_CODING_DEFLATE] != UNSAID ? q[TRP_CODING_DEFLATE] : other;
    const int best = zip >= deflate ? zip : deflate;
    if (best <= 0 || q[TRP_CODING_IDENTITY] > best)
        return TRP_CODING_IDENTITY;
    return zip >= deflate ? TRP_CODING_GZIP : TRP_CODING_DEFLATE;
}

bool trp_accept_has(struct trp_str list, struct trp_str word)
{
    while (list.len) {
        if (trp_str_is_equal_nocase(cut(&list, ','), word))
            return true;
    }
    return false;
}
