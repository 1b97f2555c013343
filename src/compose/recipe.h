/* compose/recipe.h - what has to be done for one answer, step by step.
 * Answers "which models and built-in steps, over which tensors, in which order?".
 *
 * An ensemble, a cascade, a pipeline and Triton's ensemble_scheduling are all read into this one
 * form: steps that use tensors and give tensors.  A tensor is an input of the request, or an output
 * of one step.
 *
 *  1. Constant once it is checked.  Steps stand in an order in which each comes after those whose
 *     tensors it uses.
 *  2. Every tensor has one maker.  An output of the whole names candidates: the first that was made
 *     is the answer.
 *  3. What steps give and take was compared with the signatures of their models when the recipe
 *     was checked. */
#ifndef TRP_RECIPE_H
#define TRP_RECIPE_H

#include "base/arena.h"
#include "compose/confidence.h"
#include "compose/rank_fusion.h"
#include "compose/tensor_ops.h"
#include "compose/vote.h"
#include "conf/node.h"
#include "route/expr.h"
#include "tensor/signature.h"

struct trp_route_common;

#define TRP_RECIPE_STEPS_MAX 64u /* one bit each in a uint64_t */
#define TRP_RECIPE_TENSORS_MAX 256u
#define TRP_RECIPE_OUTPUTS_MAX 64u
#define TRP_RECIPE_ROWS_MAX 4096u /* of a step that is asked once for each */
#define TRP_RECIPE_NONE UINT32_MAX

enum trp_recipe_act {
    TRP_RECIPE_MODEL, /* whatever answers to a name: a model, a route, another composition */
    TRP_RECIPE_OP,    /* a built-in step */
    TRP_RECIPE_VOTE,
    TRP_RECIPE_RANK
};

/* A tensor, and how the step calls it. */
struct trp_recipe_use {
    uint32_t tensor;
    struct trp_str name;
};

/* The step is wanted only where another one is not sure of its answer; tensor NONE: always. */
struct trp_recipe_doubt {
    uint32_t tensor;
    enum trp_confidence_kind kind;
    bool logits;
    bool by_row; /* only the rows in doubt; `earlier` of what the step gives has the others */
    double threshold;
};

struct trp_recipe_step {
    enum trp_recipe_act act;
    struct trp_str name;       /* for messages */
    const struct trp_node *at; /* where it is written; only while it is being read */
    struct trp_str asks;       /* MODEL: as it was written: "ranker@stable" */
    struct trp_str model;
    int64_t version;                       /* 0: the default one; below: a label's key */
    const struct trp_signature *signature; /* MODEL: its, once somebody looked */
    struct trp_tensor_op op;
    struct trp_vote_opts vote;
    struct trp_rank_opts rank;
    bool ranks_lists;            /* RANK: lists of ids, not scores */
    int64_t places;              /* of fused lists; 0: as many as the longest has */
    const double *weights;       /* VOTE and RANK: one for each of `uses` */
    struct trp_learner *learner; /* VOTE and RANK: whose weights count instead; NULL: nobody's */
    struct trp_recipe_use *uses, *gives;
    const uint32_t *earlier; /* by_row: for each of `gives` the tensor that has the other rows */
    uint32_t uses_n, gives_n;
    struct trp_recipe_doubt doubt;
    struct trp_expr *when; /* NULL: always */
    const struct trp_node *when_at;
    bool may_fail;   /* the others go on without it */
    bool each_row;   /* asked once for each row */
    uint32_t quorum; /* VOTE and RANK: how many must have spoken */
    /* VOTE and RANK: how long the others are waited for; 0: not at all once `quorum` have
     * spoken. */
    int64_t deadline_ns;
};

struct trp_recipe_tensor {
    struct trp_str name;
    struct trp_io io;       /* once checked */
    uint32_t maker, output; /* step, and which of `gives`; maker NONE: the request */
    const struct trp_node *at;
    bool is_known; /* `io` holds */
};

struct trp_recipe_output {
    struct trp_str name;
    uint32_t *candidates; /* tensors; the first that was made */
    uint32_t candidates_n;
    uint64_t needs; /* steps that it takes; a bit each */
    const struct trp_node *at;
};

struct trp_recipe {
    const char *kind; /* "ensemble", "cascade", "pipeline" */
    struct trp_str name;
    const struct trp_node *at;
    struct trp_arena *arena;
    struct trp_recipe_step *steps;
    struct trp_recipe_tensor *tensors;
    struct trp_recipe_output *outputs;
    uint32_t steps_n, tensors_n, outputs_n;
    /* Triton's whole tree, which says inputs and outputs itself; NULL: they are deduced. */
    const struct trp_node *declared;
    /* The same: the names of the classes of its outputs, a text each with one a line, under their
     * names; NULL: those of whoever makes them. */
    const struct trp_node *labels;
    const struct trp_route_common *common; /* zone and lists of conditions; NULL: UTC, none */
    const struct trp_str *lists;           /* their names */
    uint32_t lists_n;
    struct trp_signature signature; /* once checked */
    uint32_t *inputs;               /* tensors, in the order of the signature's inputs */
    struct trp_counter *asked;      /* of a cascade: rows that each step was asked about; or NULL */
    /* Of an ensemble: answers without each step; one behind the last step, answers without some;
     * or NULL. */
    struct trp_counter *missing;
    struct trp_gauge *took; /* by step: how long it took of late, in ns; 0: not known; or NULL */
};

/* Who knows what a model takes and gives, at load. */
struct trp_recipe_lookup {
    void *user;
    /* Owns: *out lives in `arena`.  Thread: control.
     * Errors: NOT_FOUND: there is no such name; NOT_READY: nobody knows yet; OUT_OF_MEMORY. */
    trp_status (*signature)(void *user, struct trp_str model, int64_t version,
                            struct trp_arena *arena, struct trp_signature *out,
                            struct trp_error *err);
};

/* Starts an empty recipe, adds to it.  add_step zeroes all but name and place, and its doubt has no
 * tensor; tensor finds a name or adds it as the request's; give is a tensor that a step makes.
 *   Owns  : everything lives in `arena`; texts are borrowed.
 *   Thread: control.
 *   Errors: with file:line: too many (TOO_LARGE), two makers of one tensor (INVALID_ARGUMENT);
 *           OUT_OF_MEMORY. */
trp_status trp_recipe_init(struct trp_recipe *r, struct trp_arena *arena, const char *kind,
                           struct trp_str name, const struct trp_node *at, struct trp_error *err);
trp_status trp_recipe_add_step(struct trp_recipe *r, enum trp_recipe_act act, struct trp_str name,
                               const struct trp_node *at, struct trp_recipe_step **out_step,
                               struct trp_error *err);
trp_status trp_recipe_tensor(struct trp_recipe *r, struct trp_str name, const struct trp_node *at,
                             uint32_t *out_tensor, struct trp_error *err);
trp_status trp_recipe_use(struct trp_recipe *r, struct trp_recipe_step *step, struct trp_str tensor,
                          struct trp_str name, const struct trp_node *at, struct trp_error *err);
trp_status trp_recipe_give(struct trp_recipe *r, struct trp_recipe_step *step,
                           struct trp_str tensor, struct trp_str name, const struct trp_node *at,
                           struct trp_error *err);
trp_status trp_recipe_answer(struct trp_recipe *r, struct trp_str name,
                             const struct trp_str *tensors, uint32_t tensors_n,
                             const struct trp_node *at, struct trp_error *err);

/* Looks up what the model of a step takes and gives, once, for step->signature.
 *   Owns  : lives in the recipe's arena.
 *   Thread: control.
 *   Errors: the lookup's, with file:line. */
trp_status trp_recipe_look(struct trp_recipe *r, struct trp_recipe_step *step,
                           const struct trp_recipe_lookup *lookup, struct trp_error *err);

/* Puts the steps in order, compares them with the signatures of their models, and says what the
 * whole takes and gives.
 *   Shape : of the whole: sizes that a step fixes are fixed; batch_max is the least of its models',
 *           0 when one has none.
 *   Owns  : everything lives in the recipe's arena.
 *   Thread: control.
 *   Errors: INVALID_ARGUMENT with file:line: steps that wait for each other, a tensor that nobody
 *           makes, types or shapes that do not agree; the lookup's. */
trp_status trp_recipe_check(struct trp_recipe *r, const struct trp_recipe_lookup *lookup,
                            struct trp_error *err);

/* Lets go of what is not in the arena: compiled conditions.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
void trp_recipe_drop(struct trp_recipe *r);

#endif
