/* compose/testimony.h - what each member of an ensemble said about one request.
 * Answers "how wrong was each of them, now that we know what was right?".  Kept small, because an
 * outcome comes late or never: for each row and member the scores of all classes, the label, or the
 * list of items.
 *
 * | form   | of each                     | a label is             | loss of a member                                            |
 * |--------|-----------------------------|------------------------|-------------------------------------------------------------|
 * | soft   | row, over classes           | the class              | 1 - its probability of it                                   |
 * | hard   | row, over classes           | the class              | 0 when its highest class (of equal ones the lowest) is it   |
 * | labels | element                     | what was right         | 0 when it is the same                                       |
 * | scores | row, over items             | the item's index       | 1 - 1 / place of it; equal scores share their mean place    |
 * | lists  | row                         | the item's id          | 1 - 1 / place of it, 1 where it is not in the list          |
 *
 * Losses lie between 0 and 1 and are means over the rows whose outcome is known.  NaN, or a
 * place that nobody has, is a loss of 1. */
#ifndef TRP_TESTIMONY_H
#define TRP_TESTIMONY_H

#include "base/alloc.h"
#include "base/status.h"
#include "compose/vote.h"
#include "conf/node.h"

#define TRP_TESTIMONY_BYTES_MAX 65536u /* of one */

enum trp_testimony_form {
    TRP_TESTIMONY_SOFT,
    TRP_TESTIMONY_HARD,
    TRP_TESTIMONY_LABELS,
    TRP_TESTIMONY_SCORES,
    TRP_TESTIMONY_LISTS
};

union trp_testimony_word {
    double score;
    int64_t id; /* of a text: its hash */
};

struct trp_testimony {
    enum trp_testimony_form form;
    bool logits;  /* soft: each row is made probabilities first */
    bool is_text; /* lists of BYTES */
    uint32_t members_n;
    uint64_t rows, width; /* of each member: rows * width words */
    uint64_t spoke;       /* a bit for each member */
    union trp_testimony_word words[];
};

/* How the members' tensors would be kept: the form that a vote (`is_ranking`: of ranks) makes of
 * them, rows and width.
 *   Shape : members' tensors as trp_vote_run(), trp_rank_scores() and trp_rank_lists() have taken
 *           them.
 *   Units : bytes, the struct included.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: 0: there is nothing that could be compared with a label, or it would be more than
 *           TRP_TESTIMONY_BYTES_MAX. */
uint64_t trp_testimony_plan(const struct trp_vote_opts *vote, bool is_ranking,
                            const struct trp_vote_member *members, uint32_t members_n,
                            struct trp_testimony *out_head);

/* Writes it: *t is a planned head with room for its words behind it.
 *   Owns  : copied.
 *   Thread: any.
 *   Cost  : O(words), no allocation.
 *   Errors: none; a list that ends inside a string has no further places. */
void trp_testimony_write(struct trp_testimony *t, const struct trp_vote_member *members);

/* Checks what somebody says was right: one label, or a list with one for each row, in which null is
 * "not known".
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT: not as many as there are rows, none at all, no such class, a
 *           number where ids are texts, ... */
trp_status trp_testimony_check(const struct trp_testimony *t, const struct trp_node *label,
                               struct trp_error *err);

/* How wrong each member was, by labels that were checked.
 *   Shape : out_losses [members_n]; below 0 for one that did not speak.
 *   Owns  : the caller's.
 *   Thread: any.
 *   Cost  : O(words).
 *   Errors: none. */
void trp_testimony_losses(const struct trp_testimony *t, const struct trp_node *label,
                          double *out_losses);

#endif
