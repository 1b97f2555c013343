/* tune/span.c - see span.h. */
#include "tune/span.h"

#include <stdio.h>

#define SPAN_MAX_NS 9.2e18

static const struct unit {
    const char *name; /* the longer ones first: all end in one another */
    double ns;
} units[] = { { "ns", 1 },  { "us", 1e3 }, { "ms", 1e6 },
              { "s", 1e9 }, { "m", 6e10 }, { "h", 3.6e12 } };

bool trp_span_parse(struct trp_str text, int64_t *out_ns)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        const struct trp_str unit = trp_str_of(units[i].name);
        double number;
        if (!trp_str_ends_with(text, unit))
            continue;
        if (!trp_str_parse_f64(trp_str_make(text.ptr, text.len - unit.len), &number))
            return false;
        number *= units[i].ns;
        if (!(number >= 0 && number < SPAN_MAX_NS))
            return false;
        *out_ns = (int64_t)(number + 0.5);
        return true;
    }
    return false;
}

void trp_span_format(int64_t ns, char *out, size_t out_size)
{
    const double x = (double)ns;
    if (ns < 0)
        (void)snprintf(out, out_size, "-");
    else if (x < 999.5)
        (void)snprintf(out, out_size, "%.0f ns", x);
    else if (x < 999.5e3)
        (void)snprintf(out, out_size, x < 99.95e3 ? "%.1f us" : "%.0f us", x / 1e3);
    else if (x < 999.5e6)
        (void)snprintf(out, out_size,
                       x < 9.995e6   ? "%.2f ms"
                       : x < 99.95e6 ? "%.1f ms"
                                     : "%.0f ms",
                       x / 1e6);
    else
        (void)snprintf(out, out_size,
                       x < 9.995e9   ? "%.2f s"
                       : x < 99.95e9 ? "%.1f s"
                                     : "%.0f s",
                       x / 1e9);
}
