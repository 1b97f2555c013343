/* route/route_lend.c - see route_lend.h. */
#include "route/route_lend.h"

#include "call/call_child.h"

static int32_t batch_max_of(const struct trp_finder *f, uint32_t loop_index,
                            const struct trp_route_goal *goal)
{
    const struct trp_sought sought = { goal->model, goal->version, NULL };
    struct trp_target *target = NULL;
    void (*release)(struct trp_target *) = NULL;
    if (trp_failed(trp_finder_find(f, loop_index, &sought, &target, &release, NULL)))
        return 0; /* it is told when it is asked */
    const struct trp_signature *s = trp_target_signature(target);
    const int32_t batch_max = s ? s->batch_max : 0;
    release(target);
    return batch_max;
}

trp_status trp_route_lend_as_sent(const struct trp_call *call, struct trp_call *child,
                                  struct trp_error *err)
{
    child->stands_in = true;
    for (uint32_t i = 0; i < call->inputs_n; i++)
        TRP_CHECK(trp_call_child_input(child, call->inputs[i].name, &call->inputs[i], err));
    for (uint32_t i = 0; call->wanted_named && i < call->wanted_n; i++)
        TRP_CHECK(trp_call_child_want(child, call->wanted[i].name, err));
    return trp_ok();
}

trp_status trp_route_lend_fit(const struct trp_router *r, const struct trp_route_goal *goal,
                              struct trp_call *child, struct trp_route_unfit *undo,
                              struct trp_error *err)
{
    if (!goal->fit)
        return trp_ok();
    const int32_t batch_max = batch_max_of(&r->env->finder, trp_call_loop_index(child), goal);
    return trp_route_fit_apply(goal->fit, child, batch_max, undo, err);
}

trp_status trp_route_lend(const struct trp_router *r, const struct trp_route_goal *goal,
                          const struct trp_call *call, struct trp_call *child,
                          struct trp_route_unfit *undo, struct trp_error *err)
{
    TRP_CHECK(trp_route_lend_as_sent(call, child, err));
    return trp_route_lend_fit(r, goal, child, undo, err);
}

trp_status trp_route_take_answer(struct trp_call *call, const struct trp_call *child,
                                 struct trp_error *err)
{
    const uint32_t n = child->outputs_n;
    /* With no wish left (a route gives all that were named itself) the child was asked for all. */
    const bool is_named = call->wanted_named && call->wanted_n > 0;
    if (is_named && n > call->wanted_n)
        return trp_fail(err, TRP_BACKEND_FAILED, "%u outputs came, %u were asked for", n,
                        call->wanted_n);
    struct trp_call_tensor *outputs =
        trp_arena_zeroed(&call->arena, n + (size_t)1, sizeof *outputs);
    struct trp_wanted *wanted =
        is_named ? call->wanted : trp_arena_zeroed(&call->arena, n + (size_t)1, sizeof *wanted);
    if (!outputs || !wanted)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the answer of a route");
    for (uint32_t i = 0; i < n; i++) {
        outputs[i] = child->outputs[i];
        outputs[i].tensor.release = NULL;
        wanted[i].index = child->wanted[i].index; /* of `answered_as` */
        if (is_named)
            continue;
        wanted[i].name = child->wanted[i].name;
        wanted[i].binary = call->binary_default;
    }
    call->answered_as = trp_call_answer_signature(child);
    call->outputs = outputs;
    call->outputs_n = n;
    call->notes = child->notes;
    call->notes_n = child->notes_n;
    call->wanted = wanted;
    call->wanted_n = is_named ? call->wanted_n : n;
    return trp_ok();
}
