/* compose/cook_step.c - see cook_state.h: a step that asks models, and whose the tensors are that
 * it gives.
 *
 * A child's outputs stay where its model has put them, because the child is kept as long as the
 * call; so the next step, or the answer, is a view of them. */
#include "call/call_trace.h"
#include "call/target.h"
#include "compose/cook_state.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define ROWS_AT_ONCE 64u /* of them in one turn of the loop: some 100 us */

/* ---- what steps make ---- */

void trp_cook_name_classes(struct trp_call *child)
{
    const struct trp_signature *s = trp_call_answer_signature(child);
    for (uint32_t i = 0; s && i < child->outputs_n && i < child->wanted_n; i++) {
        struct trp_call_tensor *out = &child->outputs[i];
        const uint32_t index = child->wanted[i].index;
        if (out->labels || index >= s->outputs_n)
            continue;
        out->labels = s->outputs[index].labels;
        out->labels_n = s->outputs[index].labels_n;
    }
}

/* Whether the classes of what it makes are those of what it takes. */
static bool keeps_classes(const struct trp_recipe_step *s)
{
    switch (s->act) {
    case TRP_RECIPE_VOTE:
        return true;
    case TRP_RECIPE_RANK:
        return !s->ranks_lists;
    case TRP_RECIPE_OP:
        return s->op.kind == TRP_TENSOR_OP_SOFTMAX || s->op.kind == TRP_TENSOR_OP_CAST ||
               s->op.kind == TRP_TENSOR_OP_THRESHOLD;
    case TRP_RECIPE_MODEL:
        break;
    }
    return false;
}

/* The names of the first that has some; of rows put into those of an earlier step, its.  Joined
 * rows have those that the first of them came with. */
static void inherit_classes(const struct trp_cook *k, const struct trp_recipe_step *s,
                            struct trp_call *maker)
{
    for (uint32_t i = 0; s->earlier && i < s->gives_n; i++) {
        const struct trp_call_tensor *earlier = k->tensors[s->earlier[i]];
        if (!earlier->labels)
            continue;
        maker->outputs[i].labels = earlier->labels;
        maker->outputs[i].labels_n = earlier->labels_n;
    }
    for (uint32_t i = 0; keeps_classes(s) && i < s->uses_n && !maker->outputs[0].labels; i++) {
        const struct trp_call_tensor *t = k->tensors[s->uses[i].tensor];
        maker->outputs[0].labels = t ? t->labels : NULL;
        maker->outputs[0].labels_n = t ? t->labels_n : 0;
    }
}

void trp_cook_made(struct trp_cook *k, uint32_t step, struct trp_call *maker)
{
    const struct trp_recipe_step *s = &k->recipe->steps[step];
    if (maker->target)
        trp_cook_name_classes(maker);
    else
        inherit_classes(k, s, maker);
    for (uint32_t i = 0; i < s->gives_n; i++)
        k->tensors[s->gives[i].tensor] = &maker->outputs[i];
    trp_call_child_keep(maker, &k->env->finder);
}

/* ---- models ---- */

/* One row of a tensor, where it lies. */
static trp_status cut_row(struct trp_call_tensor *t, uint64_t row, struct trp_error *err)
{
    const uint64_t rows = t->tensor.rank > 0 ? (uint64_t)t->tensor.shape[0] : 0;
    if (row >= rows || t->tensor.dtype == TROUPE_BYTES)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "the step is asked row by row, but its tensors have different numbers of "
                        "rows, or are no numbers");
    const uint64_t bytes = t->tensor.bytes / rows;
    t->tensor.data = (char *)t->tensor.data + row * bytes;
    t->tensor.bytes = bytes;
    t->tensor.shape[0] = 1;
    return trp_ok();
}

/* Rows that were picked, one row, or the tensors where they lie. */
static trp_status add_inputs(struct trp_cook *k, const struct trp_call *picked,
                             struct trp_call *child, struct trp_error *err)
{
    const struct trp_recipe_step *s = &k->recipe->steps[child->step];
    for (uint32_t i = 0; i < s->uses_n; i++) {
        const struct trp_call_tensor *from = k->tensors[s->uses[i].tensor];
        if (!from)
            continue; /* optional, and not sent */
        struct trp_call_tensor lent = *from;
        if (picked)
            lent.tensor = picked->outputs[i].tensor;
        else if (s->each_row)
            TRP_CHECK(cut_row(&lent, child->attempt, err));
        TRP_CHECK(trp_call_child_input(child, s->uses[i].name, &lent, err));
    }
    return trp_ok();
}

static trp_status ask_part(struct trp_cook *k, uint32_t step, const struct trp_call *picked,
                           struct trp_error *err)
{
    const struct trp_recipe_step *s = &k->recipe->steps[step];
    struct trp_cook_step *state = &k->steps[step];
    struct trp_call *child = trp_call_child(k->call, step, err);
    if (!child)
        return (trp_status){ err->status.code };
    const struct trp_child_ask ask = { s->model, s->version, trp_cook_child_back, k };
    child->attempt = state->begun_n;
    child->spare_ns = trp_cook_spare_ns(k, step);
    if (trp_call_is_traced(child)) /* a copy: it may outlive the recipe */
        child->step_name = trp_arena_dup(&child->arena, s->name);
    trp_status st = add_inputs(k, picked, child, err);
    for (uint32_t i = 0; !trp_failed(st) && i < s->gives_n; i++)
        st = trp_call_child_want(child, s->gives[i].name, err);
    if (!trp_failed(st))
        st = trp_call_child_start(child, &k->env->finder, &ask, err);
    if (trp_failed(st)) {
        trp_call_child_end(child, &k->env->finder);
        return st;
    }
    state->parts[state->begun_n++] = (struct trp_cook_part){ .child = child };
    state->out_n++;
    return st;
}

static trp_status count_parts(struct trp_cook *k, uint32_t step, struct trp_error *err)
{
    const struct trp_recipe_step *s = &k->recipe->steps[step];
    struct trp_cook_step *state = &k->steps[step];
    state->parts = &state->one;
    state->parts_n = 1;
    state->begun_n = 0;
    if (!s->each_row)
        return trp_ok();
    const struct trp_call_tensor *first = s->uses_n > 0 ? k->tensors[s->uses[0].tensor] : NULL;
    const int64_t rows = first && first->tensor.rank > 0 ? first->tensor.shape[0] : 0;
    if (rows < 1 || rows > TRP_RECIPE_ROWS_MAX)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "the step is asked row by row: 1 to %u rows, not %lld", TRP_RECIPE_ROWS_MAX,
                        (long long)rows);
    state->parts = trp_arena_zeroed(&k->call->arena, (size_t)rows, sizeof *state->parts);
    state->parts_n = state->parts ? (uint32_t)rows : 0;
    return state->parts ? trp_ok() : trp_fail(err, TRP_OUT_OF_MEMORY, "%lld rows", (long long)rows);
}

trp_status trp_cook_ask_more(struct trp_cook *k, uint32_t step, struct trp_error *err)
{
    struct trp_cook_step *s = &k->steps[step];
    for (uint32_t i = 0; i < ROWS_AT_ONCE && s->begun_n < s->parts_n; i++)
        TRP_CHECK(ask_part(k, step, NULL, err));
    if (s->begun_n == s->parts_n || k->row_timer.slot != 0)
        return trp_ok();
    return trp_timer_arm(k->call->loop, &k->row_timer, trp_loop_now_ns(k->call->loop), err);
}

static trp_status ask_picked(struct trp_cook *k, uint32_t step, const struct trp_call *picked,
                             struct trp_error *err)
{
    TRP_CHECK(count_parts(k, step, err));
    return ask_part(k, step, picked, err);
}

trp_status trp_cook_ask(struct trp_cook *k, uint32_t step, struct trp_error *err)
{
    if (k->steps[step].rows)
        return trp_cook_pick_rows(k, step, ask_picked, err);
    TRP_CHECK(count_parts(k, step, err));
    return trp_cook_ask_more(k, step, err);
}

/* Children gave what was asked for, in that order. */
static trp_status check_outputs(const struct trp_cook *k, uint32_t step, struct trp_error *err)
{
    const struct trp_cook_step *state = &k->steps[step];
    for (uint32_t i = 0; i < state->parts_n; i++)
        if (state->parts[i].child->outputs_n != k->recipe->steps[step].gives_n)
            return trp_fail(err, TRP_BACKEND_FAILED, "%u outputs came back, not %u",
                            state->parts[i].child->outputs_n, k->recipe->steps[step].gives_n);
    return trp_ok();
}

trp_status trp_cook_take(struct trp_cook *k, uint32_t step, struct trp_error *err)
{
    struct trp_cook_step *state = &k->steps[step];
    TRP_CHECK(check_outputs(k, step, err));
    if (state->parts != &state->one || state->rows)
        return trp_cook_unite_rows(k, step, err);
    struct trp_call *child = state->one.child;
    state->one.child = NULL;
    trp_cook_made(k, step, child);
    trp_cook_step_done(k, step, TRP_METRIC_COMPOSED_MODELS);
    return trp_ok();
}
