/* route/route_section.c - see route_section.h. */
#include "route/route_section.h"

static const struct trp_route_section sections[] = {
    { { "routes", 6 }, "route", false },    { { "lists", 5 }, NULL, false },
    { { "time_zone", 9 }, NULL, false },    { { "ensembles", 9 }, "ensemble", true },
    { { "cascades", 8 }, "cascade", true }, { { "pipelines", 9 }, "pipeline", true },
};

const struct trp_route_section *trp_route_section_find(struct trp_str key)
{
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        if (trp_str_is_equal(sections[i].key, key))
            return &sections[i];
    return NULL;
}

void trp_route_section_hint(char out[TRP_ROUTE_HINT_MAX], struct trp_str word)
{
    struct trp_str keys[ARRAY_LEN(sections)];
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        keys[i] = sections[i].key;
    trp_route_hint(out, word, keys, ARRAY_LEN(keys));
}
