/* compose/learner.h - the weights of an ensemble's members, learned from outcomes.
 * Answers "whom should one listen to, after what has come out so far?".
 *
 * Multiplicative weights: each member has a share, all shares sum to 1.  After an outcome a
 * member's share is multiplied by exp(-rate * loss), 0 <= loss <= 1; shares are then made to sum to
 * what they did, and none falls below the floor, so that a member that becomes better is heard
 * again.  Who did not speak keeps its share ("sleeping experts").
 *
 * A weight is a share times the sum of the weights that were written, so learning changes
 * proportions only.  Loops read weights while others learn: each is one word, and a vote may see
 * some from before and some from after; they count relatively.  Counted: compositions and
 * remembered answers keep it.
 *   Source: Freund & Schapire, A decision-theoretic generalization of on-line learning, JCSS 55(1),
 *           1997 (Hedge); Freund, Schapire, Singer, Warmuth, Using and combining predictors that
 *           specialize, STOC 1997. */
#ifndef TRP_LEARNER_H
#define TRP_LEARNER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/thread.h"
#include "base/word.h"
#include "compose/vote.h"

#define TRP_LEARN_RATE_MAX 10.0

struct trp_learner;

/* What it begins with, and by what it is known to be the same when the ensemble is read again. */
struct trp_learner_order {
    struct trp_str name, vote; /* of the ensemble */
    const struct trp_str *members;
    const double *weights; /* as written; when all are 0, they count alike */
    uint32_t members_n;    /* 1 to TRP_VOTE_MEMBERS_MAX */
    double rate;           /* > 0, at most TRP_LEARN_RATE_MAX */
    double floor;          /* of a share; 0 <= floor * members_n <= 1 */
};

/* Makes it: shares are those of the weights as written, raised to the floor.
 *   Owns  : one reference for the caller; texts are copied; alloc is borrowed until the last
 *           reference goes.
 *   Thread: control.
 *   Errors: NULL: no memory. */
struct trp_learner *trp_learner_create(const struct trp_alloc *alloc,
                                       const struct trp_learner_order *order);

/* Counts references.
 *   Owns  : see above; the last one frees it.
 *   Thread: any.
 *   Errors: none. */
void trp_learner_ref(struct trp_learner *l);
void trp_learner_unref(struct trp_learner *l); /* accepts NULL */
uint32_t trp_learner_refs(const struct trp_learner *l);

/* Whether an ensemble that is written so goes on where this one is.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
bool trp_learner_is_of(const struct trp_learner *l, const struct trp_learner_order *order);

/* What it is called, how many members it has and what they are called; what member i weighs now.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Cost  : a load.
 *   Errors: none. */
struct trp_str trp_learner_name(const struct trp_learner *l);
uint32_t trp_learner_members(const struct trp_learner *l);
struct trp_str trp_learner_member(const struct trp_learner *l, uint32_t member);
double trp_learner_weight(const struct trp_learner *l, uint32_t member);

/* Learns from one outcome.
 *   Shape : losses [members_n], 0 to 1; below 0: it did not speak.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Blocks: while another learns.
 *   Cost  : O(members^2) at worst, no allocation.
 *   Errors: none. */
void trp_learner_learn(struct trp_learner *l, const double *losses);

/* From how many it has learned.
 *   Owns  : nothing.
 *   Thread: any.
 *   Blocks: while another learns.
 *   Errors: none. */
uint64_t trp_learner_outcomes(struct trp_learner *l);

/* Writes {"outcomes":3,"rate":0.1,"floor":0.01,"weights":{"cnn":2.9,...},"losses":{"cnn":0.1,...}}:
 * weights now, and the mean loss of each member that ever spoke.
 *   Owns  : copied.
 *   Thread: any.
 *   Errors: see b->failed. */
void trp_learner_write_json(struct trp_learner *l, struct trp_buf *b);

/* The arithmetic alone: shares after these losses; and shares raised to the floor, their sum as it
 * was.
 *   Shape : [n]; n * floor at most the sum of the shares.
 *   Owns  : the caller's.
 *   Thread: any.
 *   Errors: none. */
void trp_learner_update(double *shares, const double *losses, uint32_t n, double rate);
void trp_learner_raise(double *shares, uint32_t n, double floor);

#endif
