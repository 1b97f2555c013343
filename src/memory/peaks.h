/* memory/peaks.h - what runs of one model have held at most.
 * Answers "how much will this run hold?".  A run's activations are known only after it, so they are
 * learned: a point for each power of two of rows.  Between and beyond the points the estimate errs
 * to the safe side, provided that a run holds something fixed and something for each row, neither
 * below zero: then what a smaller run held, in proportion to the rows, is too much, and so is what
 * a larger one held; the less of both is taken.
 *
 * `rows` is whatever the caller finds memory to grow with: rows of a batch, or elements of the
 * inputs where other dimensions vary too.  Pure. */
#ifndef TRP_PEAKS_H
#define TRP_PEAKS_H

#include <stdint.h>

#define TRP_PEAKS_POINTS 40 /* rows of up to 2^40 - 1; larger ones share the last point */

struct trp_peak {
    uint64_t rows; /* 0: nothing learned */
    uint64_t bytes;
};

struct trp_peaks { /* zero: nothing learned */
    struct trp_peak points[TRP_PEAKS_POINTS];
};

/* Learns what a run of so many rows held at most.  More is believed at once; less than a run of the
 * same rows held before moves it an eighth of the way, so that one odd run does not count for ever.
 *   Units : rows >= 1; bytes.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : O(1).
 *   Errors: none. */
void trp_peaks_learn(struct trp_peaks *p, uint64_t rows, uint64_t bytes);

/* What a run of so many rows will hold at most; 0: nothing is known.  More rows never hold less.
 *   Units : rows >= 1; bytes.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : O(points).
 *   Errors: none. */
uint64_t trp_peaks_estimate(const struct trp_peaks *p, uint64_t rows);

/* As trp_peaks_estimate(), but in the hope that memory grows with rows: where only larger runs are
 * known it is in proportion to them, and may be too little.  For runs that are ended when it is.
 *   Units : as trp_peaks_estimate().
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : O(points).
 *   Errors: none. */
uint64_t trp_peaks_hope(const struct trp_peaks *p, uint64_t rows);

/* The most rows, up to `rows`, that a run may have to hold at most `bytes`: into how large pieces
 * to split it.  0: not even one fits; all of them when nothing is known.
 *   Units : as trp_peaks_estimate().
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : O(points * log rows).
 *   Errors: none. */
uint64_t trp_peaks_rows_within(const struct trp_peaks *p, uint64_t rows, uint64_t bytes);

#endif
