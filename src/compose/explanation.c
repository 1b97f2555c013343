/* compose/explanation.c - see explanation.h. */
#include "compose/explanation.h"

#include "base/json_members.h"
#include "compose/cook_state.h"
#include "compose/learner.h"
#include "route/route.h"

#define ARENA_BYTES 4096u
#define ARENA_MAX ((size_t)1 << 20) /* of one explanation: a guard */

/* Whether a step is done, and so whether its tensors are made; a tensor of the request is there
 * or not. */
enum fate { NO, DEPENDS, YES };

struct view {
    const struct trp_target_question *question;
    struct trp_cook cook; /* as one that begins: nothing is made yet */
    enum fate fates[TRP_RECIPE_STEPS_MAX];
    struct trp_str whys[TRP_RECIPE_STEPS_MAX]; /* empty: nothing speaks against it */
    struct trp_arena arena;
    struct trp_buf *out;
};

static const char *const fate_names[] = { [NO] = "no", [DEPENDS] = "depends", [YES] = "yes" };

static void add_null(struct trp_buf *b, const char *key)
{
    trp_json_add_key(b, key);
    trp_buf_add_text(b, "null");
}

static void add_f64(struct trp_buf *b, const char *key, double v)
{
    trp_json_add_key(b, key);
    trp_json_write_f64(b, v);
}

static void add_text_or_null(struct trp_buf *b, const char *key, struct trp_str s)
{
    if (s.len > 0)
        trp_json_add_str(b, key, s);
    else
        add_null(b, key);
}

static void begin_item(struct trp_buf *b, uint32_t i)
{
    trp_buf_add_text(b, i ? ",{" : "{");
}

/* ---- what the request brings ---- */

static const struct trp_call_tensor *find_input(const struct trp_call *call, struct trp_str name)
{
    for (uint32_t i = 0; i < call->inputs_n; i++)
        if (trp_str_is_equal(call->inputs[i].name, name))
            return call->inputs[i].tensor.data ? &call->inputs[i] : NULL;
    return NULL;
}

static bool is_later(const struct trp_target_question *q, struct trp_str name)
{
    for (uint32_t i = 0; i < q->later_n; i++)
        if (trp_str_is_equal(q->later[i], name))
            return true;
    return false;
}

/* A tensor of the request that is not there, but would be: a step of another recipe makes it. */
static bool comes_later(const struct view *v, uint32_t tensor)
{
    return is_later(v->question, v->cook.recipe->tensors[tensor].name);
}

static enum fate fate_of(const struct view *v, uint32_t tensor)
{
    const uint32_t maker = v->cook.recipe->tensors[tensor].maker;
    if (maker != TRP_RECIPE_NONE)
        return v->fates[maker];
    return v->cook.tensors[tensor] || comes_later(v, tensor) ? YES : NO;
}

/* The steps that the outputs need which the client wants; all, when it names none. */
static uint64_t needed_steps(const struct trp_recipe *r, const struct trp_call *call)
{
    uint64_t needed = 0;
    for (uint32_t o = 0; o < r->outputs_n; o++) {
        bool is_wanted = call->wanted_n == 0;
        for (uint32_t w = 0; w < call->wanted_n; w++)
            is_wanted |= trp_str_is_equal(call->wanted[w].name, r->outputs[o].name);
        needed |= is_wanted ? r->outputs[o].needs : 0;
    }
    return needed;
}

static bool begin(struct view *v, const struct trp_recipe *r, const struct trp_cook_env *env)
{
    const struct trp_call *call = v->question->call;
    struct trp_cook *k = &v->cook;
    *k = (struct trp_cook){ .recipe = r, .env = env, .needed = needed_steps(r, call) };
    k->tensors =
        trp_arena_zeroed(&v->arena, r->tensors_n + (size_t)1, sizeof(struct trp_call_tensor *));
    k->call = trp_arena_zeroed(&v->arena, 1, sizeof *k->call);
    if (!k->tensors || !k->call)
        return false;
    *k->call = *call;
    for (uint32_t i = 0; i < r->tensors_n; i++)
        if (r->tensors[i].maker == TRP_RECIPE_NONE)
            k->tensors[i] = find_input(call, r->tensors[i].name);
    return true;
}

/* ---- what becomes of a step ---- */

static void settle(struct view *v, uint32_t i, enum fate fate, struct trp_str why)
{
    if (!why.ptr && !v->out->failed)
        v->out->failed = TRP_OUT_OF_MEMORY;
    v->fates[i] = fate;
    v->whys[i] = why;
}

/* What its tensors say; true: it is settled. */
static bool settle_by_tensors(struct view *v, uint32_t i)
{
    const struct trp_recipe *r = v->cook.recipe;
    const struct trp_recipe_step *step = &r->steps[i];
    for (uint32_t u = 0; u < step->uses_n; u++) {
        const struct trp_recipe_tensor *t = &r->tensors[step->uses[u].tensor];
        const enum fate fate = fate_of(v, step->uses[u].tensor);
        if (fate == YES || (t->maker == TRP_RECIPE_NONE && step->act == TRP_RECIPE_MODEL))
            continue; /* a model may do without what the client may leave out */
        settle(v, i, fate,
               trp_arena_format(&v->arena,
                                fate == NO ? "nothing makes '%.*s'" : "'%.*s' may not be made",
                                TRP_STR(t->name)));
        if (fate == NO)
            return true;
    }
    return false;
}

/* The tensors that a step uses and nobody has made yet, under their names, or those that its
 * model has for them. */
static struct trp_str *list_later(struct view *v, const struct trp_recipe_step *step,
                                  bool is_inside, uint32_t *out_n)
{
    const struct trp_recipe *r = v->cook.recipe;
    const bool has_other_rows = is_inside && (step->each_row || step->doubt.by_row);
    struct trp_str *names = trp_arena_zeroed(&v->arena, step->uses_n + (size_t)1, sizeof *names);
    *out_n = 0;
    for (uint32_t u = 0; names && u < step->uses_n; u++) {
        const uint32_t tensor = step->uses[u].tensor;
        const bool is_made = r->tensors[tensor].maker != TRP_RECIPE_NONE;
        if (is_made || comes_later(v, tensor) || (has_other_rows && v->cook.tensors[tensor]))
            names[(*out_n)++] = is_inside ? step->uses[u].name : r->tensors[tensor].name;
    }
    return names;
}

/* What its condition sees; false: there is no memory for it. */
static bool see(struct view *v, const struct trp_recipe_step *step, struct trp_call *seen,
                struct trp_facts *facts)
{
    *seen = *v->cook.call;
    seen->inputs = trp_arena_zeroed(&v->arena, step->uses_n + (size_t)1, sizeof *seen->inputs);
    trp_cook_see(&v->cook, step, seen, facts);
    facts->later = list_later(v, step, false, &facts->later_n);
    const bool has_all = seen->inputs && facts->later;
    if (!has_all && !v->out->failed)
        v->out->failed = TRP_OUT_OF_MEMORY;
    return has_all;
}

static void settle_by_condition(struct view *v, uint32_t i)
{
    const struct trp_recipe_step *step = &v->cook.recipe->steps[i];
    struct trp_fact why = trp_fact_unknown(TRP_UNKNOWN_MISSING);
    struct trp_call seen;
    struct trp_facts facts;
    if (!see(v, step, &seen, &facts))
        return;
    switch (trp_expr_holds(step->when, &facts, &why)) {
    case TRP_TRUTH_TRUE:
        break;
    case TRP_TRUTH_FALSE:
        settle(v, i, NO, TRP_STR_LIT("its condition does not hold"));
        break;
    case TRP_TRUTH_UNKNOWN:
        if (why.v.why == TRP_UNKNOWN_LATER)
            settle(v, i, DEPENDS, TRP_STR_LIT("its condition depends on what other steps make"));
        else
            settle(v, i, NO, TRP_STR_LIT("nobody can tell whether its condition holds"));
        break;
    }
}

/* As the cook considers it; whoever joins others waits for as many as must have spoken, and
 * these may fail, which nobody knows yet. */
static void consider(struct view *v, uint32_t i)
{
    const struct trp_recipe *r = v->cook.recipe;
    const struct trp_recipe_step *step = &r->steps[i];
    const uint32_t before = step->doubt.tensor == TRP_RECIPE_NONE
                                ? step->doubt.tensor
                                : r->tensors[step->doubt.tensor].maker;
    settle(v, i, YES, TRP_STR_LIT(""));
    if ((v->cook.needed >> i & 1) == 0) {
        settle(v, i, NO, TRP_STR_LIT("no output that is wanted needs it"));
        return;
    }
    if (step->act == TRP_RECIPE_VOTE || step->act == TRP_RECIPE_RANK)
        return;
    if (before != TRP_RECIPE_NONE)
        settle(v, i, DEPENDS,
               trp_arena_format(&v->arena, "only where '%.*s' is not sure enough",
                                TRP_STR(r->steps[before].name)));
    if (!settle_by_tensors(v, i) && step->when)
        settle_by_condition(v, i);
}

/* ---- members of the object ---- */

static const struct trp_recipe_step *find_join(const struct trp_recipe *r)
{
    for (uint32_t i = 0; i < r->steps_n; i++)
        if (r->steps[i].act == TRP_RECIPE_VOTE || r->steps[i].act == TRP_RECIPE_RANK)
            return &r->steps[i];
    return NULL;
}

static bool has_weights(const struct trp_recipe_step *join)
{
    return join->act == TRP_RECIPE_RANK || join->vote.kind == TRP_VOTE_SOFT ||
           join->vote.kind == TRP_VOTE_HARD || join->vote.kind == TRP_VOTE_AVERAGE;
}

static struct trp_str way_of(const struct trp_recipe_step *step)
{
    switch (step->act) {
    case TRP_RECIPE_OP:
        return trp_str_of(trp_tensor_op_name(step->op.kind));
    case TRP_RECIPE_VOTE:
        return trp_str_of(trp_vote_name(step->vote.kind));
    case TRP_RECIPE_RANK:
        return trp_str_of(trp_rank_name(step->rank.kind));
    case TRP_RECIPE_MODEL:
        break;
    }
    return step->asks;
}

/* Inputs that must be there, and are not: such a request is refused. */
static void write_missing(const struct view *v)
{
    const struct trp_signature *s = &v->cook.recipe->signature;
    struct trp_buf *b = v->out;
    uint32_t n = 0;
    trp_json_add_key(b, "missing");
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; i < s->inputs_n; i++) {
        const struct trp_str name = s->inputs[i].name;
        if (s->inputs[i].optional || find_input(v->cook.call, name) || is_later(v->question, name))
            continue;
        trp_buf_add_text(b, n++ ? "," : "");
        trp_json_write_str(b, name);
    }
    trp_buf_add_char(b, ']');
}

static void write_join(struct trp_buf *b, const struct trp_recipe_step *join)
{
    add_text_or_null(b, "vote", join ? way_of(join) : trp_str_make(NULL, 0));
    if (join)
        trp_json_add_u64(b, "quorum", join->quorum);
    else
        add_null(b, "quorum");
    if (join && join->deadline_ns > 0)
        add_f64(b, "deadline_ms", (double)join->deadline_ns / 1e6);
    else
        add_null(b, "deadline_ms");
    if (join && join->learner) {
        trp_json_add_key(b, "learned");
        trp_learner_write_json(join->learner, b);
    } else {
        add_null(b, "learned");
    }
}

/* What a member's word counts: as it is written, and now. */
static void write_weight(const struct view *v, uint32_t step)
{
    const struct trp_recipe *r = v->cook.recipe;
    const struct trp_recipe_step *join = find_join(r);
    struct trp_buf *b = v->out;
    for (uint32_t u = 0; join && has_weights(join) && u < join->uses_n; u++) {
        if (r->tensors[join->uses[u].tensor].maker != step)
            continue;
        add_f64(b, "weight", join->weights[u]);
        add_f64(b, "weight_now",
                join->learner ? trp_learner_weight(join->learner, u) : join->weights[u]);
        return;
    }
    add_null(b, "weight");
    add_null(b, "weight_now");
}

static void write_doubt(const struct view *v, const struct trp_recipe_step *step)
{
    const struct trp_recipe *r = v->cook.recipe;
    struct trp_buf *b = v->out;
    if (step->doubt.tensor == TRP_RECIPE_NONE) {
        add_null(b, "unless_sure");
        return;
    }
    trp_json_add_key(b, "unless_sure");
    trp_buf_add_char(b, '{');
    trp_json_add_str(b, "step", r->steps[r->tensors[step->doubt.tensor].maker].name);
    trp_json_add_str(b, "confidence", trp_str_of(trp_confidence_name(step->doubt.kind)));
    add_f64(b, "threshold", step->doubt.threshold);
    trp_json_add_str(b, "per", trp_str_of(step->doubt.by_row ? "row" : "request"));
    trp_buf_add_char(b, '}');
}

static void write_condition(struct view *v, const struct trp_recipe_step *step)
{
    struct trp_call seen;
    struct trp_facts facts;
    if (!step->when) {
        add_null(v->out, "when");
        return;
    }
    if (!see(v, step, &seen, &facts))
        return;
    trp_json_add_key(v->out, "when");
    trp_expr_explain(step->when, &facts, v->out);
}

/* ---- what stands behind a step ---- */

/* The request that the model of a step would get, as far as it is known. */
static bool make_inner(struct view *v, const struct trp_recipe_step *step, struct trp_call *inner)
{
    *inner = *v->cook.call;
    inner->protocol = TRP_PROTOCOL_INTERNAL;
    inner->model = step->model;
    inner->version = step->version;
    inner->stands_in = false;
    inner->inputs = trp_arena_zeroed(&v->arena, step->uses_n + (size_t)1, sizeof *inner->inputs);
    inner->wanted = trp_arena_zeroed(&v->arena, step->gives_n + (size_t)1, sizeof *inner->wanted);
    inner->inputs_n = inner->wanted_n = 0;
    if (!inner->inputs || !inner->wanted)
        return false;
    for (uint32_t u = 0; u < step->uses_n && !step->each_row && !step->doubt.by_row; u++) {
        const struct trp_call_tensor *t = v->cook.tensors[step->uses[u].tensor];
        if (!t)
            continue;
        inner->inputs[inner->inputs_n] = *t;
        inner->inputs[inner->inputs_n++].name = step->uses[u].name;
    }
    for (uint32_t g = 0; g < step->gives_n; g++)
        inner->wanted[inner->wanted_n++].name = step->gives[g].name;
    return true;
}

static void write_inner(struct view *v, const struct trp_recipe_step *step)
{
    const struct trp_sought sought = { step->model, step->version, NULL };
    struct trp_target_question q = *v->question;
    struct trp_error err = { 0 };
    struct trp_call inner;
    q.call = &inner;
    q.later = list_later(v, step, true, &q.later_n);
    if (!make_inner(v, step, &inner) || !q.later) {
        v->out->failed = v->out->failed ? v->out->failed : TRP_OUT_OF_MEMORY;
        return;
    }
    trp_json_add_key(v->out, "then");
    (void)trp_finder_explain(&v->cook.env->finder, &sought, &q, v->out, &err);
    add_text_or_null(v->out, "trouble", trp_str_of(err.text));
}

/* Under the recipe's names, not those that the model has for them. */
static void write_tensors(const struct view *v, const char *key, const struct trp_recipe_use *uses,
                          uint32_t n)
{
    trp_json_add_key(v->out, key);
    trp_buf_add_char(v->out, '[');
    for (uint32_t u = 0; u < n; u++) {
        trp_buf_add_text(v->out, u ? "," : "");
        trp_json_write_str(v->out, v->cook.recipe->tensors[uses[u].tensor].name);
    }
    trp_buf_add_char(v->out, ']');
}

static void write_step(struct view *v, uint32_t i)
{
    const struct trp_recipe_step *step = &v->cook.recipe->steps[i];
    struct trp_buf *b = v->out;
    const bool asks = step->act == TRP_RECIPE_MODEL;
    begin_item(b, i);
    trp_json_add_str(b, "name", step->name);
    trp_json_add_str(b, asks ? "asks" : "does", way_of(step));
    trp_json_add_str(b, "done", trp_str_of(fate_names[v->fates[i]]));
    add_text_or_null(b, "why", v->whys[i]);
    write_condition(v, step);
    write_doubt(v, step);
    write_tensors(v, "takes", step->uses, step->uses_n);
    write_tensors(v, "gives", step->gives, step->gives_n);
    write_weight(v, i);
    trp_json_add_bool(b, "may_fail", step->may_fail);
    trp_json_add_bool(b, "each_row", step->each_row);
    if (asks)
        write_inner(v, step);
    trp_buf_add_char(b, '}');
}

/* Who may make it, the first one that does counts. */
static void write_output(const struct view *v, const struct trp_recipe_output *o)
{
    const struct trp_recipe *r = v->cook.recipe;
    struct trp_buf *b = v->out;
    trp_json_add_str(b, "name", o->name);
    trp_json_add_key(b, "from");
    trp_buf_add_char(b, '[');
    for (uint32_t c = 0; c < o->candidates_n; c++) {
        const struct trp_recipe_tensor *t = &r->tensors[o->candidates[c]];
        begin_item(b, c);
        trp_json_add_str(b, "tensor", t->name);
        add_text_or_null(b, "step",
                         t->maker == TRP_RECIPE_NONE ? trp_str_make(NULL, 0)
                                                     : r->steps[t->maker].name);
        trp_json_add_str(b, "made", trp_str_of(fate_names[fate_of(v, o->candidates[c])]));
        trp_buf_add_char(b, '}');
    }
    trp_buf_add_char(b, ']');
}

static void write(struct view *v)
{
    const struct trp_recipe *r = v->cook.recipe;
    struct trp_buf *b = v->out;
    write_missing(v);
    write_join(b, find_join(r));
    trp_json_add_key(b, "steps");
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; i < r->steps_n && !b->failed; i++)
        write_step(v, i);
    trp_buf_add_char(b, ']');
    trp_json_add_key(b, "outputs");
    trp_buf_add_char(b, '[');
    for (uint32_t o = 0; o < r->outputs_n; o++) {
        begin_item(b, o);
        write_output(v, &r->outputs[o]);
        trp_buf_add_char(b, '}');
    }
    trp_buf_add_char(b, ']');
}

void trp_explanation_write(const struct trp_recipe *r, const struct trp_cook_env *env,
                           const struct trp_target_question *q, struct trp_buf *out)
{
    struct view v = { .question = q, .out = out };
    trp_arena_init(&v.arena, out->alloc, ARENA_BYTES, ARENA_MAX);
    if (!begin(&v, r, env))
        out->failed = out->failed ? out->failed : TRP_OUT_OF_MEMORY;
    for (uint32_t i = 0; i < r->steps_n && !out->failed; i++)
        consider(&v, i);
    if (!out->failed)
        write(&v);
    trp_arena_deinit(&v.arena);
}
