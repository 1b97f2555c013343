/* repo/digest.c - see digest.h */
#include "repo/digest.h"

#include "base/clock.h"

uint64_t trp_digest_add(uint64_t digest, uint64_t value)
{
    struct trp_random mix = { digest ^ value };
    return trp_random_next(&mix) + value;
}

uint64_t trp_digest_add_str(uint64_t digest, struct trp_str s)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < s.len; i++)
        hash = (hash ^ (uint8_t)s.ptr[i]) * 0x100000001b3u;
    return trp_digest_add(digest, hash ^ s.len);
}

uint64_t trp_digest_add_file(uint64_t digest, const char *name, const struct trp_file_stat *stat)
{
    digest = trp_digest_add_str(digest, trp_str_of(name));
    digest = trp_digest_add(digest, stat->bytes);
    digest = trp_digest_add(digest, (uint64_t)stat->mtime_ns);
    return trp_digest_add(digest, stat->inode);
}
