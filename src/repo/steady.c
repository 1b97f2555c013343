/* repo/steady.c - see steady.h. */
#include "repo/steady.h"

bool trp_steady_has_stayed(struct trp_steady *s, uint64_t digest, int64_t settle_ns, int64_t now_ns)
{
    if (settle_ns <= 0)
        return true;
    if (s->digest != digest) {
        *s = (struct trp_steady){ digest, now_ns };
        return false;
    }
    return now_ns - s->since_ns >= settle_ns;
}

void trp_steady_forget(struct trp_steady *s)
{
    s->digest = 0;
}
