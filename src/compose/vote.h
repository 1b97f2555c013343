/* compose/vote.h - one answer out of several models' answers.
 * Answers "what do they say together?".  Pure arithmetic: the members' outputs come in, the joint
 * one goes to memory of the caller.
 *
 * | kind         | of each              | it gives                                                    | weights |
 * |--------------|----------------------|-------------------------------------------------------------|---------|
 * | hard         | row, over classes    | the part of all weight that voted for each class            | yes     |
 * | soft         | row, over classes    | the weighted mean of the members' probabilities             | yes     |
 * | average      | element              | the weighted mean                                           | yes     |
 * | mean         | element              | the mean                                                    | no      |
 * | median       | element              | the middle one; of an even number the mean of the middle two | no      |
 * | trimmed_mean | element              | the mean without the int(trim * n) lowest and highest of n  | no      |
 * | max          | element              | the largest                                                 | no      |
 *
 * Rows and classes: the last axis is the classes, all that stands before it are rows.  Hard votes
 * of members that give whole numbers are votes of labels: every element is a label, and the one
 * with the most weight wins. Ties in a hard vote: the highest summed weight; then the highest mean
 * score among the voters of the row; then the lowest class (of labels: the lowest label).  A member
 * votes for its highest class, of equal ones the lowest.  Where another class comes to the same
 * number, the winner gets the next larger one of the output's type: whoever takes the largest finds
 * it. Missing members are left out, and the weights of the others count as if they were all; when
 * those sum to 0 they count alike. NaN: of an element (average to max) the member is left out of
 * this element; of a row (hard, soft) out of this row; where all are left out the answer is NaN.
 * With `logits`, a row with +infinity, or with nothing above -infinity, is left out as well. */
#ifndef TRP_VOTE_H
#define TRP_VOTE_H

#include "base/status.h"
#include "base/str.h"
#include "tensor/signature.h"

#define TRP_VOTE_MEMBERS_MAX 64u

enum trp_vote_kind {
    TRP_VOTE_HARD,
    TRP_VOTE_SOFT,
    TRP_VOTE_AVERAGE,
    TRP_VOTE_MEAN,
    TRP_VOTE_MEDIAN,
    TRP_VOTE_TRIMMED_MEAN,
    TRP_VOTE_MAX,
    TRP_VOTES
};

struct trp_vote_opts {
    enum trp_vote_kind kind;
    bool logits; /* soft and hard: the members give logits; each row is made probabilities first */
    double trim; /* trimmed_mean: what part is cut off at each end, 0 <= trim < 0.5 */
};

struct trp_vote_member {
    const struct troupe_tensor *tensor; /* NULL: it did not answer */
    double weight;                      /* finite, >= 0 */
};

/* "soft" to TRP_VOTE_SOFT and back; the name that a wrong one may have meant.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: false: no such kind; near: NULL: none is near. */
bool trp_vote_parse(struct trp_str name, enum trp_vote_kind *out);
const char *trp_vote_near(struct trp_str name);
const char *trp_vote_name(enum trp_vote_kind kind);

/* Says what members of these signatures give together: number types, ranks and fixed sizes must
 * agree (-1 agrees with all, and the fixed size is what comes out).  The type is that of all
 * members, FP64 when one of them gives it, else FP32; whole numbers become FP32 (FP64 where 64 bits
 * are), but labels and the largest stay what they are.
 *   Shape : the members'.
 *   Owns  : *out borrows names from the first member.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT with what was expected: no numbers, whole ones for soft, unlike
 *           shapes, no last axis for hard and soft, trim out of range. */
trp_status trp_vote_signature(const struct trp_vote_opts *opts, const struct trp_io *members,
                              uint32_t members_n, struct trp_io *out, struct trp_error *err);

/* How much scratch memory trp_vote_run() needs for an output of this shape.
 *   Units : bytes.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: UINT64_MAX: more than there can be. */
uint64_t trp_vote_scratch(const struct trp_vote_opts *opts, uint32_t members_n,
                          const struct troupe_tensor *out);

/* Joins what the members gave.
 *   Shape : all tensors and *out are of one shape; out->dtype is any number type, out->bytes the
 *           size of its memory.
 *   Owns  : out->data is the caller's; `scratch`, aligned to 16, may hold anything.  *out_left_out
 *           counts members left out of rows or elements for NaN; it may be NULL.
 *   Thread: any.
 *   Cost  : O(members * elements), for median and trimmed mean times members; no allocation.
 *   Errors: INVALID_ARGUMENT: nobody answered, a shape or type is not what it should be, too
 *           many members, a weight. */
trp_status trp_vote_run(const struct trp_vote_opts *opts, const struct trp_vote_member *members,
                        uint32_t members_n, struct troupe_tensor *out, void *scratch,
                        uint64_t *out_left_out, struct trp_error *err);

#endif
