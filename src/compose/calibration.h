/* compose/calibration.h - from when on the cheap model's word is good enough.
 * Answers "which threshold gives so much agreement?", from what two models said of the same
 * rows. */
#ifndef TRP_CALIBRATION_H
#define TRP_CALIBRATION_H

#include <stdbool.h>
#include <stdint.h>

struct trp_calibration_row {
    double confidence; /* of the cheap model */
    bool agrees;       /* with the large one */
};

struct trp_calibration {
    double threshold; /* 0..1: rows that are not below it are the cheap model's; above 1: none is */
    double agreement; /* of the cascade with the large model: 0..1 */
    double share;     /* of rows that the cheap model answers: 0..1 */
    double reachable; /* 0..1: the highest agreement while the cheap model answers something */
};

/* How many rows a sample should have: when none of so many disagrees, `target` holds with 95 of 100
 * (the rule of three).
 *   Units : target 0..1; UINT64_MAX for 1: no number of rows shows that nobody ever disagrees.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none.
 *   Source: Hanley and Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA
 *           1983. */
uint64_t trp_calibration_rows(double target);

/* Finds the lowest threshold at which a cascade agrees with its large model on at least `target` of
 * these rows.
 *   Units : target 0..1.
 *   Owns  : `rows` are the caller's, and sorted afterwards.
 *   Thread: any.
 *   Cost  : O(n log n), no allocation.
 *   Errors: none; without rows nothing is the cheap model's. */
void trp_calibration_find(struct trp_calibration_row *rows, uint64_t n, double target,
                          struct trp_calibration *out);

#endif
