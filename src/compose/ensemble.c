/* compose/ensemble.c - see ensemble.h: members and votes.
 *
 * Each member is a step that takes the request's inputs and gives the one output that counts; a
 * step behind them joins these. With a quorum members may fail, and the last step says how many
 * must not.  A stacked model is a step over the joined outputs. */
#include "compose/ensemble.h"

#include "compose/learner.h"
#include "compose/numbers.h"
#include "compose/written.h"
#include "route/route_plan.h"

#define WEIGHT_MAX 1e9
#define PLACES_MAX 1000000
#define TRIM 0.1 /* or as much as leaves one out at each end */
#define LEARN_RATE 0.1
#define LEARN_FLOOR 0.01 /* of at most TRP_VOTE_MEMBERS_MAX members */

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for what is made of models");
}

/* Reads "model", "model@3" or "model@label" as a new step, which stands last. */
static trp_status add_model(struct trp_recipe *r, struct trp_str text, const struct trp_node *at,
                            struct trp_error *err)
{
    struct trp_recipe_step *step;
    struct trp_str model;
    int64_t version;
    if (!trp_route_goal_parse(text, &model, &version) || model.len == 0)
        return trp_node_fail(at, err, TRP_INVALID_ARGUMENT,
                             "'%.*s' is no model: expected a name, name@3 or name@label",
                             TRP_STR(text));
    for (uint32_t i = 0; i < r->steps_n; i++)
        if (trp_str_is_equal(r->steps[i].name, text))
            return trp_node_fail(at, err, TRP_INVALID_ARGUMENT, "'%.*s' is there twice",
                                 TRP_STR(text));
    TRP_CHECK(trp_recipe_add_step(r, TRP_RECIPE_MODEL, text, at, &step, err));
    step->asks = text;
    step->model = model;
    step->version = version;
    return trp_ok();
}

/* ---- reading ---- */

static bool make_lists(struct trp_ensemble *e, uint32_t n)
{
    struct trp_arena *a = e->recipe->arena;
    e->outputs = trp_arena_zeroed(a, n + (size_t)1, sizeof *e->outputs);
    e->lent = trp_arena_zeroed(a, n + (size_t)1, sizeof(struct trp_node *));
    e->weights = trp_arena_zeroed(a, n + (size_t)1, sizeof *e->weights);
    e->thresholds = trp_arena_zeroed(a, n + (size_t)1, sizeof *e->thresholds);
    return e->outputs && e->lent && e->weights && e->thresholds;
}

static trp_status read_member(struct trp_ensemble *e, const struct trp_node *n,
                              struct trp_error *err)
{
    static const char *const known[] = { "weight", "output", "inputs" };
    const uint32_t i = e->members_n;
    struct trp_str name = n->key;
    e->weights[i] = 1;
    if (name.len == 0)
        TRP_CHECK(trp_written_scalar(n, &name, err));
    else if (n->kind == TRP_NODE_MAP) {
        TRP_CHECK(trp_written_keys(n, known, ARRAY_LEN(known), err));
        TRP_CHECK(trp_written_number(n, "weight", 0, WEIGHT_MAX, &e->weights[i], err));
        TRP_CHECK(trp_written_text(n, "output", &e->outputs[i], err));
        e->lent[i] = trp_node_get(n, "inputs");
    } else if (!trp_written_is_number(n, &e->weights[i]) || !(e->weights[i] >= 0) ||
               e->weights[i] > WEIGHT_MAX) {
        return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                             "the weight of member '%.*s' is a number from 0", TRP_STR(name));
    }
    TRP_CHECK(add_model(e->recipe, name, n, err));
    e->members_n++;
    return trp_ok();
}

static trp_status read_members(struct trp_ensemble *e, const struct trp_node *at,
                               struct trp_error *err)
{
    const struct trp_node *members = trp_node_get(at, "members");
    if (!members || (members->kind != TRP_NODE_MAP && members->kind != TRP_NODE_LIST) ||
        members->children_n == 0)
        return trp_node_fail(members ? members : at, err, TRP_INVALID_ARGUMENT,
                             "an ensemble has 'members': names, each with its weight");
    if (members->children_n > TRP_VOTE_MEMBERS_MAX - 2)
        return trp_node_fail(members, err, TRP_TOO_LARGE, "more than %u members",
                             TRP_VOTE_MEMBERS_MAX - 2);
    if (!make_lists(e, members->children_n))
        return no_memory(err);
    for (const struct trp_node *n = members->first; n; n = n->next)
        TRP_CHECK(read_member(e, n, err));
    return trp_ok();
}

static trp_status fail_vote(const struct trp_node *n, struct trp_str text, struct trp_error *err)
{
    const char *near = trp_vote_near(text);
    near = near ? near : trp_rank_near(text);
    return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                         "'%.*s' is no vote: hard, soft, average, mean, median, trimmed_mean, "
                         "max, borda, reciprocal_rank%s%s%s",
                         TRP_STR(text), near ? "; did you mean '" : "", near ? near : "",
                         near ? "'?" : "");
}

/* A trimmed mean that leaves nobody out is a mean, and whoever wants that writes it. */
static trp_status read_trim(struct trp_ensemble *e, const struct trp_node *at,
                            struct trp_error *err)
{
    const struct trp_node *n = trp_node_get(at, "trim");
    const double one_of_all = (1 + 1e-9) / e->members_n; /* so that cutting it off leaves one */
    e->vote.trim = one_of_all > TRIM && e->members_n > 2 ? one_of_all : TRIM;
    TRP_CHECK(trp_written_number(at, "trim", 0, 0.499999, &e->vote.trim, err));
    if (e->vote.kind != TRP_VOTE_TRIMMED_MEAN || (n && e->vote.trim <= 0) ||
        e->vote.trim * e->members_n >= 1)
        return trp_ok();
    if (e->members_n < 3)
        return trp_node_fail(trp_node_get(at, "vote"), err, TRP_INVALID_ARGUMENT,
                             "'trimmed_mean' leaves one out at each end, and takes three members "
                             "at least");
    return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                         "'trim' of %g would leave out nobody of %u members: 0.%02u leaves out one "
                         "at each end",
                         e->vote.trim, e->members_n, (99 + e->members_n) / e->members_n);
}

static trp_status read_vote(struct trp_ensemble *e, const struct trp_node *at,
                            struct trp_error *err)
{
    struct trp_str vote = TRP_STR_LIT("soft");
    TRP_CHECK(trp_written_text(at, "vote", &vote, err));
    TRP_CHECK(trp_written_bool(at, "logits", &e->vote.logits, err));
    TRP_CHECK(trp_written_number(at, "k", 0, WEIGHT_MAX, &e->rank.k, err));
    TRP_CHECK(trp_written_whole(at, "places", 1, PLACES_MAX, &e->places, err));
    e->vote_name = vote;
    if (trp_vote_parse(vote, &e->vote.kind))
        e->join = TRP_RECIPE_VOTE;
    else if (trp_rank_parse(vote, &e->rank.kind))
        e->join = TRP_RECIPE_RANK;
    else
        return fail_vote(trp_node_get(at, "vote"), vote, err);
    return read_trim(e, at, err);
}

/* A key of another vote would be passed over in silence. */
static trp_status check_keys(const struct trp_ensemble *e, const struct trp_node *at,
                             struct trp_error *err)
{
    const bool is_vote = e->join == TRP_RECIPE_VOTE, is_rank = e->join == TRP_RECIPE_RANK;
    const struct {
        const char *key, *of;
        bool counts;
    } keys[] = {
        { "logits", "soft and hard",
          is_vote && (e->vote.kind == TRP_VOTE_SOFT || e->vote.kind == TRP_VOTE_HARD) },
        { "trim", "trimmed_mean", is_vote && e->vote.kind == TRP_VOTE_TRIMMED_MEAN },
        { "k", "reciprocal_rank", is_rank && e->rank.kind == TRP_RANK_RECIPROCAL },
        { "places", "borda and reciprocal_rank", is_rank },
    };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const struct trp_node *n = trp_node_get(at, keys[i].key);
        if (n && !keys[i].counts)
            return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                                 "'%s' would count for nothing%s%.*s%s; it is for %s", keys[i].key,
                                 e->stack.len ? " beside a stacked model" : " with `vote: ",
                                 e->stack.len ? 0 : (int)e->vote_name.len, e->vote_name.ptr,
                                 e->stack.len ? "" : "`", keys[i].of);
    }
    return trp_ok();
}

static trp_status read_stack(struct trp_ensemble *e, const struct trp_node *at,
                             struct trp_error *err)
{
    const struct trp_node *n = trp_node_get(at, "stack");
    struct trp_str text;
    if (!n)
        return trp_ok();
    TRP_CHECK(trp_written_scalar(n, &text, err));
    if (trp_node_get(at, "vote") || trp_node_get(at, "quorum"))
        return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                             "a stacked model needs what every member says: there is neither a "
                             "vote nor a quorum beside it");
    e->join = TRP_RECIPE_MODEL;
    e->stack = text;
    return trp_ok();
}

static bool counts_weights(const struct trp_ensemble *e)
{
    return e->join == TRP_RECIPE_RANK ||
           (e->join == TRP_RECIPE_VOTE &&
            (e->vote.kind == TRP_VOTE_SOFT || e->vote.kind == TRP_VOTE_HARD ||
             e->vote.kind == TRP_VOTE_AVERAGE));
}

static bool is_unlike(double a, double b)
{
    return a < b || a > b;
}

/* Equal weights say nothing, so whoever writes 1 behind each member may try another vote. */
static trp_status check_weights(const struct trp_ensemble *e, struct trp_error *err)
{
    const struct trp_recipe_step *said = NULL; /* the first that weighs something of its own */
    bool is_equal = true;
    for (uint32_t i = 0; i < e->members_n; i++) {
        is_equal = is_equal && !is_unlike(e->weights[i], e->weights[0]);
        if (!said && is_unlike(e->weights[i], 1))
            said = &e->recipe->steps[i];
    }
    if (is_equal || !said || counts_weights(e))
        return trp_ok();
    if (e->join == TRP_RECIPE_MODEL)
        return trp_node_fail(said->at, err, TRP_INVALID_ARGUMENT,
                             "the weight of '%.*s' would count for nothing: a stacked model weighs "
                             "what members say itself",
                             TRP_STR(said->name));
    return trp_node_fail(said->at, err, TRP_INVALID_ARGUMENT,
                         "the weight of '%.*s' would count for nothing with `vote: %s`; weights "
                         "are for soft, hard, average, borda and reciprocal_rank",
                         TRP_STR(said->name), trp_vote_name(e->vote.kind));
}

/* learn: true, or { rate: 0.1, floor: 0.01 } */
static trp_status read_learning(struct trp_ensemble *e, const struct trp_node *at,
                                struct trp_error *err)
{
    static const char *const known[] = { "rate", "floor" };
    const struct trp_node *n = trp_node_get(at, "learn");
    if (!n)
        return trp_ok();
    e->learns = true;
    e->rate = LEARN_RATE;
    e->floor = LEARN_FLOOR;
    if (n->kind == TRP_NODE_MAP) {
        TRP_CHECK(trp_written_keys(n, known, ARRAY_LEN(known), err));
        TRP_CHECK(trp_written_number(n, "rate", 1e-6, TRP_LEARN_RATE_MAX, &e->rate, err));
        TRP_CHECK(trp_written_number(n, "floor", 0, 1.0 / e->members_n, &e->floor, err));
    } else {
        TRP_CHECK(trp_written_bool(at, "learn", &e->learns, err));
    }
    const bool is_by_class = e->vote.kind == TRP_VOTE_SOFT || e->vote.kind == TRP_VOTE_HARD;
    const bool has_classes =
        e->join == TRP_RECIPE_RANK || (e->join == TRP_RECIPE_VOTE && is_by_class);
    if (!e->learns || has_classes)
        return trp_ok();
    return trp_node_fail(
        n, err, TRP_INVALID_ARGUMENT,
        "weights are learned for votes that an outcome can be compared with: soft, "
        "hard, borda, reciprocal_rank");
}

static trp_status read_quorum(struct trp_ensemble *e, const struct trp_node *at,
                              struct trp_error *err)
{
    int64_t quorum = e->members_n;
    TRP_CHECK(trp_written_whole(at, "quorum", 1, e->members_n, &quorum, err));
    TRP_CHECK(trp_written_duration(at, "deadline", &e->deadline_ns, err));
    e->quorum = (uint32_t)quorum;
    if (e->deadline_ns > 0 && e->quorum == e->members_n)
        return trp_node_fail(trp_node_get(at, "deadline"), err, TRP_INVALID_ARGUMENT,
                             "a 'deadline' needs a quorum below the number of members: without one "
                             "all are waited for");
    return trp_ok();
}

trp_status trp_ensemble_read(struct trp_recipe *r, const struct trp_node *at,
                             struct trp_ensemble *out, struct trp_error *err)
{
    static const char *const known[] = { "members", "vote",   "logits",   "trim",  "k",    "places",
                                         "quorum",  "output", "deadline", "stack", "learn" };
    *out = (struct trp_ensemble){ .recipe = r };
    TRP_CHECK(trp_written_brackets(at, "members",
                                   "members are a list in brackets, such as [ a, b ], or names "
                                   "with weights, such as { a: 1, b: 2 }",
                                   err));
    TRP_CHECK(trp_written_keys(at, known, ARRAY_LEN(known), err));
    TRP_CHECK(read_members(out, at, err));
    TRP_CHECK(read_vote(out, at, err));
    TRP_CHECK(read_stack(out, at, err));
    TRP_CHECK(check_keys(out, at, err));
    TRP_CHECK(check_weights(out, err));
    TRP_CHECK(read_learning(out, at, err));
    TRP_CHECK(read_quorum(out, at, err));
    return trp_written_text(at, "output", &out->output, err);
}

/* ---- settling ---- */

/* What the request calls an input of a member. */
static struct trp_str lent_name(const struct trp_node *lent, struct trp_str input)
{
    const struct trp_node *n = lent ? trp_node_get_str(lent, input) : NULL;
    return n && (n->kind == TRP_NODE_WORD || n->kind == TRP_NODE_STR) && n->v.s.len ? n->v.s
                                                                                    : input;
}

/* A model's step whose inputs are the request's, under the names of `lent` (NULL: the same). */
static trp_status take_inputs(struct trp_recipe *r, struct trp_recipe_step *step,
                              const struct trp_node *lent, struct trp_error *err)
{
    const struct trp_signature *s = step->signature;
    if (lent && lent->kind != TRP_NODE_MAP)
        return trp_node_fail(lent, err, TRP_INVALID_ARGUMENT,
                             "inputs are names of the model's inputs, each with the tensor's");
    for (const struct trp_node *n = lent ? lent->first : NULL; n; n = n->next)
        if (!trp_signature_input(s, n->key))
            return trp_node_fail(n, err, TRP_INVALID_ARGUMENT, "'%.*s' has no input \"%.*s\"",
                                 TRP_STR(step->model), TRP_STR(n->key));
    for (uint32_t i = 0; i < s->inputs_n; i++)
        TRP_CHECK(trp_recipe_use(r, step, lent_name(lent, s->inputs[i].name), s->inputs[i].name,
                                 step->at, err));
    return trp_ok();
}

static trp_status pick_output(const struct trp_ensemble *e, uint32_t i, struct trp_str *out,
                              struct trp_error *err)
{
    const struct trp_recipe_step *step = &e->recipe->steps[i];
    *out = e->outputs[i].len ? e->outputs[i] : e->output;
    if (out->len > 0)
        return trp_ok();
    if (step->signature->outputs_n != 1)
        return trp_node_fail(step->at, err, TRP_INVALID_ARGUMENT,
                             "'%.*s' has %u outputs: `output` says which one counts",
                             TRP_STR(step->name), step->signature->outputs_n);
    *out = step->signature->outputs[0].name;
    return trp_ok();
}

/* The name of a tensor that a step makes: nobody else has one with a slash and that step's name. */
static trp_status give(struct trp_recipe *r, struct trp_recipe_step *step, struct trp_str output,
                       struct trp_str *out_tensor, struct trp_error *err)
{
    *out_tensor = trp_arena_format(r->arena, "%.*s/%.*s", TRP_STR(step->name), TRP_STR(output));
    return out_tensor->ptr ? trp_recipe_give(r, step, *out_tensor, output, step->at, err)
                           : no_memory(err);
}

static trp_status settle_members(struct trp_ensemble *e, const struct trp_recipe_lookup *lookup,
                                 struct trp_str *tensors, struct trp_error *err)
{
    for (uint32_t i = 0; i < e->members_n; i++) {
        struct trp_recipe_step *step = &e->recipe->steps[i];
        struct trp_str output;
        step->may_fail = e->quorum < e->members_n;
        TRP_CHECK(trp_recipe_look(e->recipe, step, lookup, err));
        TRP_CHECK(pick_output(e, i, &output, err));
        TRP_CHECK(take_inputs(e->recipe, step, e->lent[i], err));
        TRP_CHECK(give(e->recipe, step, output, &tensors[i], err));
    }
    return trp_ok();
}

/* What the whole calls its answer: as the first member does, unless that is said. */
static trp_status settle_join(struct trp_ensemble *e, const struct trp_str *tensors,
                              struct trp_error *err)
{
    struct trp_recipe *r = e->recipe;
    struct trp_recipe_step *step;
    TRP_CHECK(trp_recipe_add_step(r, e->join, TRP_STR_LIT("vote"), r->at, &step, err));
    const struct trp_recipe_step *first = &r->steps[0];
    const struct trp_str name = first->gives[0].name;
    const struct trp_io *io = trp_signature_output(first->signature, name);
    step->vote = e->vote;
    step->rank = e->rank;
    step->places = e->places;
    step->weights = e->weights;
    step->learner = e->learner;
    step->quorum = e->quorum;
    step->deadline_ns = e->deadline_ns;
    for (uint32_t i = 0; i < e->members_n; i++)
        TRP_CHECK(trp_recipe_use(r, step, tensors[i], r->steps[i].name, r->at, err));
    const struct trp_str joined = TRP_STR_LIT("vote/answer"), scores = TRP_STR_LIT("vote/scores");
    const bool is_list = e->join == TRP_RECIPE_RANK && io && !trp_numbers_is_float(io->dtype);
    if (e->places > 0 && !is_list)
        return trp_node_fail(r->at, err, TRP_INVALID_ARGUMENT,
                             "'places' are of lists of ids, and members give scores of all items");
    TRP_CHECK(trp_recipe_give(r, step, joined, name, r->at, err));
    if (is_list)
        TRP_CHECK(trp_recipe_give(r, step, scores, TRP_STR_LIT("scores"), r->at, err));
    TRP_CHECK(trp_recipe_answer(r, name, &joined, 1, r->at, err));
    return is_list ? trp_recipe_answer(r, TRP_STR_LIT("scores"), &scores, 1, r->at, err) : trp_ok();
}

/* One input takes all of them side by side; several take one each, under the members' names. */
static trp_status feed_stack(struct trp_ensemble *e, uint32_t stack, const struct trp_str *tensors,
                             struct trp_error *err)
{
    struct trp_recipe *r = e->recipe;
    const struct trp_signature *s = r->steps[stack].signature;
    const struct trp_str beside = TRP_STR_LIT("stack/inputs");
    if (s->inputs_n != 1) {
        for (uint32_t i = 0; i < e->members_n; i++)
            TRP_CHECK(
                trp_recipe_use(r, &r->steps[stack], tensors[i], r->steps[i].name, r->at, err));
        return trp_ok();
    }
    TRP_CHECK(trp_recipe_use(r, &r->steps[stack], beside, s->inputs[0].name, r->at, err));
    struct trp_recipe_step *step;
    TRP_CHECK(trp_recipe_add_step(r, TRP_RECIPE_OP, TRP_STR_LIT("concatenate"), r->at, &step, err));
    trp_tensor_op_init(&step->op, TRP_TENSOR_OP_CONCATENATE);
    step->op.axis = -1;
    for (uint32_t i = 0; i < e->members_n; i++)
        TRP_CHECK(trp_recipe_use(r, step, tensors[i], r->steps[i].name, r->at, err));
    return trp_recipe_give(r, step, beside, beside, r->at, err);
}

static trp_status settle_stack(struct trp_ensemble *e, const struct trp_recipe_lookup *lookup,
                               const struct trp_str *tensors, struct trp_error *err)
{
    struct trp_recipe *r = e->recipe;
    const uint32_t stack = r->steps_n;
    struct trp_recipe_step *step = &r->steps[stack];
    TRP_CHECK(add_model(r, e->stack, r->at, err));
    TRP_CHECK(trp_recipe_look(r, step, lookup, err));
    TRP_CHECK(feed_stack(e, stack, tensors, err));
    for (uint32_t i = 0; i < step->signature->outputs_n; i++) {
        struct trp_str tensor;
        const struct trp_str name = step->signature->outputs[i].name;
        TRP_CHECK(give(r, step, name, &tensor, err));
        TRP_CHECK(trp_recipe_answer(r, name, &tensor, 1, r->at, err));
    }
    return trp_ok();
}

trp_status trp_ensemble_settle(struct trp_ensemble *e, const struct trp_recipe_lookup *lookup,
                               struct trp_error *err)
{
    struct trp_str *tensors =
        trp_arena_zeroed(e->recipe->arena, e->members_n + (size_t)1, sizeof *tensors);
    if (!tensors)
        return no_memory(err);
    TRP_CHECK(settle_members(e, lookup, tensors, err));
    return e->join == TRP_RECIPE_MODEL ? settle_stack(e, lookup, tensors, err)
                                       : settle_join(e, tensors, err);
}

/* ---- cascades ---- */

static trp_status read_cascade_step(struct trp_ensemble *e, const struct trp_node *n,
                                    struct trp_error *err)
{
    static const char *const known[] = { "model", "threshold", "inputs" };
    const uint32_t i = e->members_n;
    struct trp_str name = { 0 };
    e->thresholds[i] = e->doubt.threshold;
    if (n->kind == TRP_NODE_MAP) {
        TRP_CHECK(trp_written_keys(n, known, ARRAY_LEN(known), err));
        TRP_CHECK(trp_written_text(n, "model", &name, err));
        TRP_CHECK(trp_written_number(n, "threshold", 0, 1, &e->thresholds[i], err));
        e->lent[i] = trp_node_get(n, "inputs");
        if (name.len == 0)
            return trp_node_fail(n, err, TRP_INVALID_ARGUMENT, "a step of a cascade has a model");
    } else {
        TRP_CHECK(trp_written_scalar(n, &name, err));
    }
    TRP_CHECK(add_model(e->recipe, name, n, err));
    e->members_n++;
    return trp_ok();
}

static trp_status fail_confidence(const struct trp_node *n, struct trp_str text,
                                  struct trp_error *err)
{
    const char *near = trp_confidence_near(text);
    return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                         "'%.*s' is no confidence: max, margin or entropy%s%s%s", TRP_STR(text),
                         near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static trp_status read_doubt(struct trp_ensemble *e, const struct trp_node *at,
                             struct trp_error *err)
{
    struct trp_str kind = TRP_STR_LIT("max"), per = TRP_STR_LIT("request");
    e->doubt.threshold = -1;
    TRP_CHECK(trp_written_text(at, "confidence", &kind, err));
    TRP_CHECK(trp_written_text(at, "per", &per, err));
    TRP_CHECK(trp_written_bool(at, "logits", &e->doubt.logits, err));
    TRP_CHECK(trp_written_number(at, "threshold", 0, 1, &e->doubt.threshold, err));
    if (!trp_confidence_parse(kind, &e->doubt.kind))
        return fail_confidence(trp_node_get(at, "confidence"), kind, err);
    e->doubt.by_row = trp_str_is(per, "row");
    if (!e->doubt.by_row && !trp_str_is(per, "request"))
        return trp_node_fail(trp_node_get(at, "per"), err, TRP_INVALID_ARGUMENT,
                             "per is row or request, not '%.*s'", TRP_STR(per));
    return trp_ok();
}

trp_status trp_cascade_read(struct trp_recipe *r, const struct trp_node *at,
                            struct trp_ensemble *out, struct trp_error *err)
{
    static const char *const known[] = { "steps",  "confidence", "threshold",
                                         "logits", "output",     "per" };
    *out = (struct trp_ensemble){ .recipe = r };
    TRP_CHECK(trp_written_brackets(at, "steps",
                                   "steps are a list in brackets, the cheapest first, such as "
                                   "[ a, b ]",
                                   err));
    TRP_CHECK(trp_written_keys(at, known, ARRAY_LEN(known), err));
    TRP_CHECK(read_doubt(out, at, err));
    TRP_CHECK(trp_written_text(at, "output", &out->output, err));
    const struct trp_node *steps = trp_node_get(at, "steps");
    if (!steps || steps->kind != TRP_NODE_LIST || steps->children_n < 2)
        return trp_node_fail(
            steps ? steps : at, err, TRP_INVALID_ARGUMENT,
            "a cascade has 'steps': a list of two or more steps, the cheapest first, such "
            "as `steps: [ a, b ]`");
    if (steps->children_n > TRP_RECIPE_STEPS_MAX)
        return trp_node_fail(steps, err, TRP_TOO_LARGE, "more than %u steps", TRP_RECIPE_STEPS_MAX);
    if (!make_lists(out, steps->children_n))
        return no_memory(err);
    for (const struct trp_node *n = steps->first; n; n = n->next) {
        TRP_CHECK(read_cascade_step(out, n, err));
        if (n->next && out->thresholds[out->members_n - 1] < 0)
            return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                                 "nothing says when this step is sure: `threshold` does, from 0 "
                                 "to 1");
    }
    return trp_ok();
}

static bool all_have(const struct trp_ensemble *e, struct trp_str output)
{
    for (uint32_t i = 0; i < e->members_n; i++)
        if (!trp_signature_output(e->recipe->steps[i].signature, output))
            return false;
    return true;
}

/* The outputs that all steps have; and which of them tells how sure a step is. */
static trp_status common_outputs(struct trp_ensemble *e, struct trp_str *names, uint32_t *out_n,
                                 uint32_t *out_sure, struct trp_error *err)
{
    const struct trp_signature *first = e->recipe->steps[0].signature;
    *out_n = 0;
    *out_sure = UINT32_MAX;
    for (uint32_t i = 0; i < first->outputs_n; i++) {
        if (!all_have(e, first->outputs[i].name))
            continue;
        if (trp_str_is_equal(first->outputs[i].name, e->output))
            *out_sure = *out_n;
        names[(*out_n)++] = first->outputs[i].name;
    }
    if (e->output.len == 0 && *out_n == 1)
        *out_sure = 0;
    if (*out_sure != UINT32_MAX)
        return trp_ok();
    return trp_node_fail(e->recipe->at, err, TRP_INVALID_ARGUMENT,
                         e->output.len ? "not every step has an output \"%.*s\""
                                       : "`output` says which output tells how sure a step is%.*s",
                         TRP_STR(e->output));
}

static trp_status settle_cascade_step(struct trp_ensemble *e, uint32_t i,
                                      const struct trp_str *names, uint32_t n, uint32_t sure,
                                      struct trp_error *err)
{
    struct trp_recipe *r = e->recipe;
    struct trp_recipe_step *step = &r->steps[i];
    struct trp_str tensor;
    TRP_CHECK(take_inputs(r, step, e->lent[i], err));
    for (uint32_t o = 0; o < n; o++)
        TRP_CHECK(give(r, step, names[o], &tensor, err));
    if (i == 0)
        return trp_ok();
    step->doubt = e->doubt;
    step->doubt.threshold = e->thresholds[i - 1];
    step->doubt.tensor = r->steps[i - 1].gives[sure].tensor;
    uint32_t *earlier = trp_arena_zeroed(r->arena, n, sizeof *earlier);
    if (!earlier)
        return no_memory(err);
    for (uint32_t o = 0; o < n; o++)
        earlier[o] = r->steps[i - 1].gives[o].tensor;
    step->earlier = e->doubt.by_row ? earlier : NULL;
    return trp_ok();
}

trp_status trp_cascade_settle(struct trp_ensemble *e, const struct trp_recipe_lookup *lookup,
                              struct trp_error *err)
{
    struct trp_recipe *r = e->recipe;
    uint32_t n, sure;
    for (uint32_t i = 0; i < e->members_n; i++)
        TRP_CHECK(trp_recipe_look(r, &r->steps[i], lookup, err));
    struct trp_str *names =
        trp_arena_zeroed(r->arena, r->steps[0].signature->outputs_n + (size_t)1, sizeof *names);
    struct trp_str *tensors = trp_arena_zeroed(r->arena, e->members_n + (size_t)1, sizeof *tensors);
    if (!names || !tensors)
        return no_memory(err);
    TRP_CHECK(common_outputs(e, names, &n, &sure, err));
    for (uint32_t i = 0; i < e->members_n; i++)
        TRP_CHECK(settle_cascade_step(e, i, names, n, sure, err));
    for (uint32_t o = 0; o < n; o++) {
        for (uint32_t i = 0; i < e->members_n; i++) /* the last that was asked answers */
            tensors[i] = r->tensors[r->steps[e->members_n - 1 - i].gives[o].tensor].name;
        TRP_CHECK(trp_recipe_answer(r, names[o], tensors, e->members_n, r->at, err));
    }
    return trp_ok();
}
