/* compose/calibration.c - see calibration.h.
 *
 * From the surest row down, the cheap model's mistakes only become more: so the lowest threshold is
 * found on the way, wherever the confidence changes.  Rows that the large model answers agree
 * with it. */
#include "compose/calibration.h"

#include <math.h>
#include <stdlib.h>

static int surer_first(const void *a, const void *b)
{
    const struct trp_calibration_row *x = a, *y = b;
    return x->confidence > y->confidence ? -1 : x->confidence < y->confidence;
}

void trp_calibration_find(struct trp_calibration_row *rows, uint64_t n, double target,
                          struct trp_calibration *out)
{
    uint64_t wrong = 0;
    bool is_first = true;
    *out = (struct trp_calibration){ .threshold = 2, .agreement = 1 };
    if (n == 0)
        return;
    qsort(rows, n, sizeof *rows, surer_first);
    for (uint64_t i = 0; i < n; i++) {
        wrong += !rows[i].agrees;
        const double agreement = 1 - (double)wrong / (double)n;
        if (i + 1 < n && !(rows[i + 1].confidence < rows[i].confidence))
            continue; /* one threshold cannot tell them apart */
        out->reachable = is_first ? agreement : out->reachable;
        is_first = false;
        if (agreement < target)
            return;
        out->threshold = rows[i].confidence;
        out->agreement = agreement;
        out->share = (double)(i + 1) / (double)n;
    }
}

uint64_t trp_calibration_rows(double target)
{
    return target < 1 ? (uint64_t)ceil(3 / (1 - target) - 1e-6) : UINT64_MAX;
}
