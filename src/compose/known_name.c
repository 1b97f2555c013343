/* compose/known_name.c - see known_name.h. */
#include "compose/known_name.h"

uint32_t trp_known_name_find(const char *const *names, uint32_t n, struct trp_str name)
{
    for (uint32_t i = 0; i < n; i++)
        if (trp_str_is(name, names[i]))
            return i;
    return UINT32_MAX;
}

const char *trp_known_name_near(const char *const *names, uint32_t n, struct trp_str name)
{
    const char *best = NULL;
    uint32_t limit = name.len <= 3 ? 1 : name.len <= 6 ? 2 : 3; /* more would be a guess */
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t distance = trp_str_distance(name, trp_str_of(names[i]), limit);
        if (distance > limit || (best && distance == limit))
            continue;
        best = names[i];
        limit = distance;
    }
    return best;
}
