/* compose/recipe.c - see recipe.h: putting a recipe together. */
#include "compose/recipe.h"

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for what is made of models");
}

trp_status trp_recipe_init(struct trp_recipe *r, struct trp_arena *arena, const char *kind,
                           struct trp_str name, const struct trp_node *at, struct trp_error *err)
{
    *r = (struct trp_recipe){ .kind = kind, .name = name, .at = at, .arena = arena };
    r->steps = trp_arena_zeroed(arena, TRP_RECIPE_STEPS_MAX, sizeof *r->steps);
    r->tensors = trp_arena_zeroed(arena, TRP_RECIPE_TENSORS_MAX, sizeof *r->tensors);
    r->outputs = trp_arena_zeroed(arena, TRP_RECIPE_OUTPUTS_MAX, sizeof *r->outputs);
    return r->steps && r->tensors && r->outputs ? trp_ok() : no_memory(err);
}

trp_status trp_recipe_add_step(struct trp_recipe *r, enum trp_recipe_act act, struct trp_str name,
                               const struct trp_node *at, struct trp_recipe_step **out_step,
                               struct trp_error *err)
{
    *out_step = NULL;
    if (r->steps_n == TRP_RECIPE_STEPS_MAX)
        return trp_node_fail(at, err, TRP_TOO_LARGE, "more than %u steps", TRP_RECIPE_STEPS_MAX);
    struct trp_recipe_step *step = &r->steps[r->steps_n++];
    *step = (struct trp_recipe_step){ .act = act, .name = name, .at = at };
    step->doubt.tensor = TRP_RECIPE_NONE;
    *out_step = step;
    return trp_ok();
}

trp_status trp_recipe_tensor(struct trp_recipe *r, struct trp_str name, const struct trp_node *at,
                             uint32_t *out_tensor, struct trp_error *err)
{
    for (uint32_t i = 0; i < r->tensors_n; i++) {
        if (!trp_str_is_equal(r->tensors[i].name, name))
            continue;
        *out_tensor = i;
        return trp_ok();
    }
    if (r->tensors_n == TRP_RECIPE_TENSORS_MAX)
        return trp_node_fail(at, err, TRP_TOO_LARGE, "more than %u tensors",
                             TRP_RECIPE_TENSORS_MAX);
    if (name.len == 0)
        return trp_node_fail(at, err, TRP_INVALID_ARGUMENT, "a tensor without a name");
    *out_tensor = r->tensors_n++;
    r->tensors[*out_tensor] =
        (struct trp_recipe_tensor){ .name = name, .maker = TRP_RECIPE_NONE, .at = at };
    return trp_ok();
}

/* Lists grow in the arena, each time to twice their size: full when their number is a power of
 * two. */
static trp_status add_use(struct trp_recipe *r, struct trp_recipe_use **list, uint32_t *n,
                          struct trp_recipe_use use, struct trp_error *err)
{
    if (*n == 0 || (*n >= 4 && (*n & (*n - 1)) == 0)) {
        const uint32_t room = *n == 0 ? 4 : *n * 2;
        struct trp_recipe_use *grown = trp_arena_zeroed(r->arena, room, sizeof *grown);
        if (!grown)
            return no_memory(err);
        if (*n > 0)
            memcpy(grown, *list, *n * sizeof *grown);
        *list = grown;
    }
    (*list)[(*n)++] = use;
    return trp_ok();
}

trp_status trp_recipe_use(struct trp_recipe *r, struct trp_recipe_step *step, struct trp_str tensor,
                          struct trp_str name, const struct trp_node *at, struct trp_error *err)
{
    struct trp_recipe_use use = { .name = name };
    for (uint32_t i = 0; step->act == TRP_RECIPE_MODEL && i < step->uses_n; i++)
        if (trp_str_is_equal(step->uses[i].name, name))
            return trp_node_fail(at, err, TRP_INVALID_ARGUMENT, "input \"%.*s\" is there twice",
                                 TRP_STR(name));
    TRP_CHECK(trp_recipe_tensor(r, tensor, at, &use.tensor, err));
    return add_use(r, &step->uses, &step->uses_n, use, err);
}

trp_status trp_recipe_give(struct trp_recipe *r, struct trp_recipe_step *step,
                           struct trp_str tensor, struct trp_str name, const struct trp_node *at,
                           struct trp_error *err)
{
    struct trp_recipe_use use = { .name = name };
    const uint32_t index = (uint32_t)(step - r->steps);
    TRP_CHECK(trp_recipe_tensor(r, tensor, at, &use.tensor, err));
    struct trp_recipe_tensor *t = &r->tensors[use.tensor];
    if (t->maker != TRP_RECIPE_NONE)
        return trp_node_fail(at, err, TRP_INVALID_ARGUMENT,
                             "tensor \"%.*s\" is made by step '%.*s' already", TRP_STR(tensor),
                             TRP_STR(r->steps[t->maker].name));
    t->maker = index;
    t->output = step->gives_n;
    return add_use(r, &step->gives, &step->gives_n, use, err);
}

trp_status trp_recipe_answer(struct trp_recipe *r, struct trp_str name,
                             const struct trp_str *tensors, uint32_t tensors_n,
                             const struct trp_node *at, struct trp_error *err)
{
    if (r->outputs_n == TRP_RECIPE_OUTPUTS_MAX)
        return trp_node_fail(at, err, TRP_TOO_LARGE, "more than %u outputs",
                             TRP_RECIPE_OUTPUTS_MAX);
    for (uint32_t i = 0; i < r->outputs_n; i++)
        if (trp_str_is_equal(r->outputs[i].name, name))
            return trp_node_fail(at, err, TRP_INVALID_ARGUMENT, "output \"%.*s\" is there twice",
                                 TRP_STR(name));
    struct trp_recipe_output *o = &r->outputs[r->outputs_n];
    *o = (struct trp_recipe_output){ .name = name, .candidates_n = tensors_n, .at = at };
    o->candidates = trp_arena_zeroed(r->arena, tensors_n, sizeof *o->candidates);
    if (!o->candidates)
        return no_memory(err);
    for (uint32_t i = 0; i < tensors_n; i++)
        TRP_CHECK(trp_recipe_tensor(r, tensors[i], at, &o->candidates[i], err));
    r->outputs_n++;
    return trp_ok();
}

/* The place goes in front, the code stays: whoever asked may try again later (NOT_READY). */
trp_status trp_recipe_look(struct trp_recipe *r, struct trp_recipe_step *step,
                           const struct trp_recipe_lookup *lookup, struct trp_error *err)
{
    if (step->signature)
        return trp_ok();
    struct trp_signature *s = trp_arena_zeroed(r->arena, 1, sizeof *s);
    if (!s)
        return no_memory(err);
    const trp_status st =
        lookup->signature(lookup->user, step->model, step->version, r->arena, s, err);
    if (trp_failed(st) && step->at && step->at->file)
        trp_error_within(err, "%s:%u: step '%.*s'", step->at->file, step->at->line,
                         TRP_STR(step->name));
    if (!trp_failed(st))
        step->signature = s;
    return st;
}

void trp_recipe_drop(struct trp_recipe *r)
{
    for (uint32_t i = 0; r->steps && i < r->steps_n; i++) {
        trp_expr_destroy(r->steps[i].when);
        r->steps[i].when = NULL;
    }
}
