/* compose/recipe_change.c - see recipe_change.h. */
#include "compose/recipe_change.h"

#include "tensor/dtype.h"
#include "tensor/shape.h"

#define SHAPE_MAX 128

static bool has_use(const struct trp_recipe_use *uses, uint32_t n, struct trp_str name)
{
    for (uint32_t i = 0; i < n; i++)
        if (trp_str_is_equal(uses[i].name, name))
            return true;
    return false;
}

static bool is_alike(const struct trp_io *a, const struct trp_io *b)
{
    if (a->dtype != b->dtype)
        return false;
    if (a->any_rank || b->any_rank)
        return true;
    bool ok = a->rank == b->rank;
    for (uint32_t i = 0; ok && i < a->rank; i++)
        ok = a->dims[i] == b->dims[i] || a->dims[i] < 0 || b->dims[i] < 0;
    return ok;
}

static trp_status check_io(const struct trp_recipe_step *step, const char *what,
                           const struct trp_io *was, const struct trp_io *would,
                           struct trp_error *err)
{
    char a[SHAPE_MAX], b[SHAPE_MAX];
    if (!would)
        return trp_fail(err, TRP_FAILED_PRECONDITION,
                        "step '%.*s' uses the %s \"%.*s\" of '%.*s', which would have none",
                        TRP_STR(step->name), what, TRP_STR(was->name), TRP_STR(step->model));
    if (is_alike(was, would))
        return trp_ok();
    return trp_fail(err, TRP_FAILED_PRECONDITION,
                    "step '%.*s': the %s \"%.*s\" of '%.*s' is %s %s, and would be %s %s",
                    TRP_STR(step->name), what, TRP_STR(was->name), TRP_STR(step->model),
                    trp_dtype_name(was->dtype), trp_shape_format(was->dims, was->rank, a, sizeof a),
                    trp_dtype_name(would->dtype),
                    trp_shape_format(would->dims, would->rank, b, sizeof b));
}

static trp_status check_step(const struct trp_recipe_step *step, const struct trp_signature *s,
                             struct trp_error *err)
{
    const struct trp_signature *own = step->signature;
    for (uint32_t i = 0; i < step->uses_n; i++) {
        const struct trp_str name = step->uses[i].name;
        TRP_CHECK(check_io(step, "input", trp_signature_input(own, name),
                           trp_signature_input(s, name), err));
    }
    for (uint32_t i = 0; i < step->gives_n; i++) {
        const struct trp_str name = step->gives[i].name;
        TRP_CHECK(check_io(step, "output", trp_signature_output(own, name),
                           trp_signature_output(s, name), err));
    }
    for (uint32_t i = 0; i < s->inputs_n; i++)
        if (!s->inputs[i].optional && !has_use(step->uses, step->uses_n, s->inputs[i].name))
            return trp_fail(
                err, TRP_FAILED_PRECONDITION,
                "step '%.*s': '%.*s' would need the input \"%.*s\", and is not given it",
                TRP_STR(step->name), TRP_STR(step->model), TRP_STR(s->inputs[i].name));
    return trp_ok();
}

/* The step of the other recipe; they may stand in another order. */
static const struct trp_signature *find(const struct trp_recipe *r,
                                        const struct trp_recipe_step *step)
{
    for (uint32_t i = 0; i < r->steps_n; i++) {
        const struct trp_recipe_step *s = &r->steps[i];
        if (s->act == TRP_RECIPE_MODEL && s->version == step->version &&
            trp_str_is_equal(s->model, step->model))
            return s->signature;
    }
    return NULL;
}

trp_status trp_recipe_goes_on(const struct trp_recipe *was, const struct trp_recipe *would,
                              struct trp_error *err)
{
    for (uint32_t i = 0; i < was->steps_n; i++) {
        const struct trp_recipe_step *step = &was->steps[i];
        const struct trp_signature *s = step->act == TRP_RECIPE_MODEL ? find(would, step) : NULL;
        if (s)
            TRP_CHECK(check_step(step, s, err));
    }
    return trp_ok();
}
