/* route/agreement.h - whether another model would have said the same.
 * Answers "how often, and how far apart?".  Compares the outputs of a shadow with those that the
 * client got, row by row:
 *
 *   floating-point, [rows, classes]   the largest of a row stands at the same place (NaN is smaller than any number)
 *   floating-point, of another rank   all elements of a row differ by no more than a tolerance
 *   whole numbers, BOOL, BYTES        all elements of a row are equal
 *
 * Outputs are matched by name; one that is missing, or has another type or shape, agrees in none of
 * its rows.  Those that the shadow has in addition count for nothing.  The comparing is done on
 * a loop, so there is a limit to it. */
#ifndef TRP_AGREEMENT_H
#define TRP_AGREEMENT_H

#include "base/atomic.h"
#include "call/call.h"

struct trp_agreement_opts {
    double abs_max, rel_max; /* elements agree within either; 0: 0.00001 and 0.001 */
    uint64_t elements_max;   /* looked at, of all outputs together; 0: 16,384 */
};

enum trp_agreement_kind {
    TRP_AGREEMENT_SAME,    /* in all rows */
    TRP_AGREEMENT_DIFFERS, /* in values */
    TRP_AGREEMENT_UNLIKE   /* in an output's name, type or shape */
};

struct trp_agreement_result {
    enum trp_agreement_kind kind;
    uint64_t rows, rows_agreeing; /* of all outputs */
    double worst_abs, worst_rel;  /* of floating-point elements that are numbers in both */
    bool is_cut;                  /* by elements_max */
    struct trp_str output;        /* the first that does not agree; borrowed from `ours` */
};

/* Compares the outputs of two answers.
 *   Shape : as troupe/tensor.h has it: row-major, BYTES as lengths and bytes; what is not so agrees
 *           with nothing.
 *   Owns  : borrowed; opts NULL: all defaults.
 *   Thread: any.
 *   Cost  : O(elements_max), no allocation; bytes that are equal are only compared as bytes.
 *   Errors: none. */
void trp_agreement_compare(const struct trp_call_tensor *ours, uint32_t ours_n,
                           const struct trp_call_tensor *theirs, uint32_t theirs_n,
                           const struct trp_agreement_opts *opts, struct trp_agreement_result *out);

/* What was compared so far; shared by loops. */
struct trp_agreement {
    struct trp_counter calls, same, unlike; /* that were compared */
    struct trp_counter failed;              /* the shadow had no answer */
    struct trp_counter rows, rows_agreeing, cut;
    struct trp_counter worst_abs_bits, worst_rel_bits; /* of a double, which order as it does */
};

/* Takes over what another one has compared.
 *   Owns  : copied; nobody uses `a` yet.
 *   Thread: owner.
 *   Errors: none. */
void trp_agreement_carry(struct trp_agreement *a, const struct trp_agreement *from);

/* Counts a comparison, or that there was nothing to compare; and the share of rows that agree, and
 * the worst differences, ever.
 *   Units : 0..1, 1 before anything was compared.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
void trp_agreement_add(struct trp_agreement *a, const struct trp_agreement_result *result);
void trp_agreement_add_failure(struct trp_agreement *a);
double trp_agreement_share(const struct trp_agreement *a);
double trp_agreement_worst_abs(const struct trp_agreement *a);
double trp_agreement_worst_rel(const struct trp_agreement *a);

#endif
