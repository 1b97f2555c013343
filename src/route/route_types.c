/* route/route_types.c - see route_types.h. */
#include "route/route_types.h"

#include "route/route_fit.h"

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "routes: no memory");
}

/* As clients of the route see it. */
static trp_status describe(const struct trp_route_goal *goal, const struct trp_signature *theirs,
                           struct trp_arena *arena, struct trp_signature *out,
                           struct trp_error *err)
{
    const struct trp_route_fit *fit = goal->fit;
    *out = *theirs;
    if (!fit)
        return trp_ok();
    struct trp_io *inputs = trp_arena_zeroed(arena, theirs->inputs_n + (size_t)1, sizeof *inputs);
    if (!inputs)
        return no_memory(err);
    for (uint32_t i = 0; i < theirs->inputs_n; i++) {
        inputs[i] = theirs->inputs[i];
        if (trp_route_fit_is_cast(fit, inputs[i].name))
            inputs[i].dtype = TROUPE_NO_DTYPE;
    }
    out->inputs = inputs;
    return trp_route_fit_describe(fit, arena, out, err);
}

static trp_status compile(const struct trp_route_file *f, const struct trp_route_plan *plan,
                          const struct trp_node *at, const struct trp_expr_env *env,
                          struct trp_error *err)
{
    struct trp_expr *expr = NULL;
    struct trp_expr_place place = { .file = plan->source->file, .line = at->line, .node = at };
    (void)trp_route_source_line(plan->source, at->line, at->v.s, &place.column);
    const trp_status st = trp_expr_compile(f->alloc, at->v.s, &place, env, &expr, err);
    trp_expr_destroy(expr);
    return st;
}

static trp_status compile_all(const struct trp_route_file *f, const struct trp_route_plan *plan,
                              struct trp_expr_env *env, struct trp_error *err)
{
    for (uint32_t i = 0; i < plan->rules_n; i++) {
        const struct trp_route_rule *rule = &plan->rules[i];
        env->purpose = TRP_EXPR_CONDITION;
        if (rule->when_at)
            TRP_CHECK(compile(f, plan, rule->when_at, env, err));
        env->purpose = TRP_EXPR_VALUE;
        if (rule->sticky_at)
            TRP_CHECK(compile(f, plan, rule->sticky_at, env, err));
    }
    return trp_ok();
}

static trp_status check_in(const struct trp_route_file *f, const struct trp_route_plan *plan,
                           const struct trp_signature *const *theirs, struct trp_arena *arena,
                           struct trp_error *err)
{
    const uint32_t n = plan->goals_n;
    struct trp_signature *ours = trp_arena_zeroed(arena, n + (size_t)1, sizeof *ours);
    const struct trp_signature **list =
        trp_arena_zeroed(arena, n + (size_t)1, sizeof(const struct trp_signature *));
    if (!ours || !list)
        return no_memory(err);
    for (uint32_t i = 0; i < n; i++) {
        TRP_CHECK(describe(&plan->goals[i], theirs[i], arena, &ours[i], err));
        list[i] = &ours[i];
    }
    struct trp_expr_env env = {
        .signatures = list, .signatures_n = n, .lists = plan->lists, .lists_n = plan->lists_n
    };
    return compile_all(f, plan, &env, err);
}

trp_status trp_route_types_check(const struct trp_route_file *f, const struct trp_route_plan *plan,
                                 const struct trp_signature *const *signatures,
                                 struct trp_error *err)
{
    struct trp_arena arena;
    trp_arena_init(&arena, f->alloc, 4096, 0);
    const trp_status st = check_in(f, plan, signatures, &arena, err);
    trp_arena_deinit(&arena);
    return st;
}
