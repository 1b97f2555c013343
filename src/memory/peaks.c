/* memory/peaks.c - see peaks.h. */
#include "memory/peaks.h"

#include "base/status.h"

static uint32_t point_of(uint64_t rows)
{
    const uint32_t power = 63 - (uint32_t)__builtin_clzll(rows ? rows : 1);
    return power < TRP_PEAKS_POINTS ? power : TRP_PEAKS_POINTS - 1;
}

void trp_peaks_learn(struct trp_peaks *p, uint64_t rows, uint64_t bytes)
{
    struct trp_peak *at = &p->points[point_of(rows)];
    const uint64_t less = bytes < at->bytes ? (at->bytes - bytes) / 8 : 0;
    if (bytes > at->bytes)
        at->bytes = bytes;
    else if (rows >= at->rows)
        at->bytes -= less; /* fewer rows that hold less are no news */
    if (rows > at->rows)
        at->rows = rows;
}

/* bytes * rows / known_rows, up to `rows` bytes too much; UINT64_MAX when that is more. */
static uint64_t in_proportion(uint64_t bytes, uint64_t rows, uint64_t known_rows)
{
    const uint64_t each = bytes / known_rows + (bytes % known_rows != 0);
    uint64_t scaled;
    return __builtin_mul_overflow(each, rows, &scaled) ? UINT64_MAX : scaled;
}

uint64_t trp_peaks_estimate(const struct trp_peaks *p, uint64_t rows)
{
    uint64_t most = 0, below = 0; /* `most`: a larger run holds at least what a smaller one did */
    for (const struct trp_peak *at = p->points; at < p->points + TRP_PEAKS_POINTS; at++) {
        if (at->rows == 0)
            continue;
        most = at->bytes > most ? at->bytes : most;
        if (at->rows == rows)
            return most;
        if (at->rows > rows)
            return below && below < most ? below : most;
        below = in_proportion(most, rows, at->rows);
    }
    return below;
}

uint64_t trp_peaks_hope(const struct trp_peaks *p, uint64_t rows)
{
    const struct trp_peak *at = p->points;
    while (at < p->points + TRP_PEAKS_POINTS && at->rows == 0)
        at++;
    if (at == p->points + TRP_PEAKS_POINTS || at->rows <= rows)
        return trp_peaks_estimate(p, rows);
    return in_proportion(at->bytes, rows, at->rows);
}

uint64_t trp_peaks_rows_within(const struct trp_peaks *p, uint64_t rows, uint64_t bytes)
{
    uint64_t fit = 0, beyond = rows;
    if (trp_peaks_estimate(p, rows) <= bytes)
        return rows;
    while (beyond - fit > 1) { /* `fit` rows fit, `beyond` do not */
        const uint64_t middle = fit + (beyond - fit) / 2;
        if (trp_peaks_estimate(p, middle) <= bytes)
            fit = middle;
        else
            beyond = middle;
    }
    return fit;
}
