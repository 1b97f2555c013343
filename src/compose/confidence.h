/* compose/confidence.h - how sure a model is of its answer.
 * Answers "does this row need a better model?".  Every measure lies between 0 and 1, and more is
 *   more sure:
 *   max     the largest probability
 *   margin  the largest less the second largest
 *   entropy 1 - H / log(classes), H = -sum p log p; here alone the row is divided by its sum first
 * One class alone is the probability p of the first of two: the row is (p, 1 - p); of a logit x it
 * is (sigmoid(x), sigmoid(-x)). Negative probabilities count as 0 and those above 1 as 1.  A row
 * with NaN, or without any probability, is not sure of anything:
 * 0.  With logits +infinity is NaN. */
#ifndef TRP_CONFIDENCE_H
#define TRP_CONFIDENCE_H

#include "base/status.h"
#include "base/str.h"
#include "troupe/tensor.h"

enum trp_confidence_kind {
    TRP_CONFIDENCE_MAX,
    TRP_CONFIDENCE_MARGIN,
    TRP_CONFIDENCE_ENTROPY,
    TRP_CONFIDENCES
};

/* "max", "margin", "entropy" and back; the name that a wrong one may have meant.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: false: no such kind; near: NULL: none is near. */
bool trp_confidence_parse(struct trp_str name, enum trp_confidence_kind *out);
const char *trp_confidence_near(struct trp_str name);
const char *trp_confidence_name(enum trp_confidence_kind kind);

/* Measures each row.
 *   Shape : [rows, .., classes] of a number type; [classes] is one row.  Where axes stand between,
 *           the least sure place speaks for its row.
 *   Units : out holds `rows` doubles of 0..1.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Cost  : O(elements), no allocation.
 *   Errors: INVALID_ARGUMENT: no numbers, no classes, or not so many rows. */
trp_status trp_confidence_rows(enum trp_confidence_kind kind, bool logits,
                               const struct troupe_tensor *t, double *out, uint64_t rows,
                               struct trp_error *err);

#endif
