/* compose/ensemble.h - several models over one input, and how their answers are joined; or one
 * after the other, until one is sure. Answers "what does `ensemble:` or `cascade:` mean, step by
 * step?".
 *
 *   ensemble: { members: { linear: 1, mlp: 2, cnn: 3 }, vote: soft, quorum: 2, deadline: 20ms }
 *   cascade: { steps: [linear, mlp, cnn], confidence: max, threshold: 0.9 }
 *
 * read: the steps, without their tensors, because which there are is the models' to say; settle:
 * these. */
#ifndef TRP_ENSEMBLE_H
#define TRP_ENSEMBLE_H

#include "compose/recipe.h"

struct trp_ensemble {
    struct trp_recipe *recipe;
    uint32_t members_n;           /* the first steps of the recipe */
    struct trp_str *outputs;      /* one for each: the one that counts; empty: `output` */
    const struct trp_node **lent; /* one for each: its inputs by the request's names; NULL: alike */
    struct trp_str output;        /* empty: the only one */
    double *weights;
    enum trp_recipe_act join; /* VOTE, RANK, or MODEL: a model over the others' outputs */
    struct trp_vote_opts vote;
    struct trp_rank_opts rank;
    int64_t places;
    uint32_t quorum; /* 0: all */
    int64_t deadline_ns;
    struct trp_str stack;
    bool learns;
    double rate, floor;
    struct trp_str vote_name;    /* for whoever learns */
    struct trp_learner *learner; /* whose weights count; put there between reading and settling */
    /* cascade */
    struct trp_recipe_doubt doubt;
    double *thresholds; /* one for each step but the last */
};

/* Reads what was written.
 *   Owns  : everything lives in the recipe's arena; texts are borrowed from the tree.
 *   Thread: control.
 *   Errors: INVALID_ARGUMENT with file:line; TOO_LARGE; OUT_OF_MEMORY. */
trp_status trp_ensemble_read(struct trp_recipe *r, const struct trp_node *at,
                             struct trp_ensemble *out, struct trp_error *err);
trp_status trp_cascade_read(struct trp_recipe *r, const struct trp_node *at,
                            struct trp_ensemble *out, struct trp_error *err);

/* Gives the steps their tensors, and the recipe its outputs.
 *   Owns  : as above.
 *   Thread: control.
 *   Errors: as above, and as trp_recipe_look(). */
trp_status trp_ensemble_settle(struct trp_ensemble *e, const struct trp_recipe_lookup *lookup,
                               struct trp_error *err);
trp_status trp_cascade_settle(struct trp_ensemble *e, const struct trp_recipe_lookup *lookup,
                              struct trp_error *err);

#endif
