/* model/version_label.c - see version_label.h */
#include "model/version_label.h"

#include <xxhash.h>

#define NAME_MAX_ 64u

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool trp_version_label_is_name(struct trp_str text)
{
    if (text.len == 0 || text.len > NAME_MAX_ || !is_letter(text.ptr[0]))
        return false;
    for (size_t i = 1; i < text.len; i++) {
        const char c = text.ptr[i];
        if (!is_letter(c) && !(c >= '0' && c <= '9') && c != '-' && c != '.')
            return false;
    }
    return true;
}

int64_t trp_version_label_key(struct trp_str name)
{
    const uint64_t hash = XXH3_64bits(name.ptr, name.len) & INT64_MAX;
    return -(int64_t)(hash ? hash : 1);
}

bool trp_version_label_parse(struct trp_str text, int64_t *out)
{
    uint64_t number = 0;
    if (trp_str_parse_u64(text, &number) && number > 0 && number <= INT64_MAX) {
        *out = (int64_t)number;
        return true;
    }
    if (!trp_version_label_is_name(text))
        return false;
    *out = trp_version_label_key(text);
    return true;
}

const struct trp_version_label *trp_version_label_find(const struct trp_version_label *labels,
                                                       uint32_t n, int64_t key)
{
    for (uint32_t i = 0; i < n; i++)
        if (trp_version_label_key(labels[i].name) == key)
            return &labels[i];
    return NULL;
}
