/* compose/pipeline.c - see pipeline.h: our own form.  (Triton's is in pipeline_triton.c.) */
#include "compose/pipeline.h"

#include "compose/op_text.h"
#include "compose/written.h"
#include "route/route_plan.h"
#include "tensor/dtype.h"

/* ---- tensors of a step ---- */

static trp_status add_tensor(struct trp_recipe *r, struct trp_recipe_step *step,
                             struct trp_str tensor, struct trp_str name, bool is_input,
                             const struct trp_node *at, struct trp_error *err)
{
    return is_input ? trp_recipe_use(r, step, tensor, name, at, err)
                    : trp_recipe_give(r, step, tensor, name, at, err);
}

/* A name, a list of names, or the model's names each with the pipeline's. */
static trp_status add_tensors(struct trp_recipe *r, struct trp_recipe_step *step,
                              const struct trp_node *n, bool is_input, struct trp_error *err)
{
    struct trp_str tensor;
    if (n->kind != TRP_NODE_MAP && n->kind != TRP_NODE_LIST) {
        TRP_CHECK(trp_written_scalar(n, &tensor, err));
        return add_tensor(r, step, tensor, tensor, is_input, n, err);
    }
    if (n->kind == TRP_NODE_MAP && step->act != TRP_RECIPE_MODEL)
        return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                             "a built-in step has no names of its own: expected a list");
    for (const struct trp_node *c = n->first; c; c = c->next) {
        TRP_CHECK(trp_written_scalar(c, &tensor, err));
        TRP_CHECK(add_tensor(r, step, tensor, c->key.len ? c->key : tensor, is_input, c, err));
    }
    return trp_ok();
}

/* `input` or `inputs`, `output` or `outputs`; NULL: neither. */
static trp_status find_tensors(const struct trp_node *at, const char *one, const char *many,
                               const struct trp_node **out, struct trp_error *err)
{
    const struct trp_node *single = trp_node_get(at, one);
    *out = trp_node_get(at, many);
    if (single && *out)
        return trp_node_fail(single, err, TRP_INVALID_ARGUMENT, "either `%s` or `%s`", one, many);
    *out = single ? single : *out;
    return trp_ok();
}

/* ---- steps ---- */

static trp_status read_when(const struct trp_recipe *r, struct trp_recipe_step *step,
                            const struct trp_alloc *alloc, const struct trp_node *at,
                            struct trp_error *err)
{
    const struct trp_node *n = trp_node_get(at, "when");
    const struct trp_expr_env env = { .purpose = TRP_EXPR_CONDITION,
                                      .lists = r->lists,
                                      .lists_n = r->lists_n };
    struct trp_str text;
    if (!n)
        return trp_ok();
    TRP_CHECK(trp_written_scalar(n, &text, err));
    const struct trp_expr_place place = { n->file, n->line, n->column, n };
    step->when_at = n;
    return trp_expr_compile(alloc, text, &place, &env, &step->when, err);
}

static trp_status read_each(struct trp_recipe_step *step, const struct trp_node *at,
                            struct trp_error *err)
{
    struct trp_str each = { 0 };
    TRP_CHECK(trp_written_text(at, "each", &each, err));
    step->each_row = trp_str_is(each, "row");
    if (each.len == 0 || step->each_row)
        return trp_ok();
    return trp_node_fail(trp_node_get(at, "each"), err, TRP_INVALID_ARGUMENT,
                         "'%.*s': a step can be asked for each row, and nothing else",
                         TRP_STR(each));
}

static trp_status read_model(struct trp_recipe *r, const struct trp_node *at,
                             struct trp_recipe_step **out, struct trp_error *err)
{
    static const char *const known[] = { "model",  "name",    "input", "inputs",
                                         "output", "outputs", "when",  "each" };
    struct trp_str model = { 0 };
    TRP_CHECK(trp_written_keys(at, known, ARRAY_LEN(known), err));
    TRP_CHECK(trp_written_text(at, "model", &model, err));
    struct trp_str name = model;
    TRP_CHECK(trp_written_text(at, "name", &name, err));
    struct trp_recipe_step *step;
    TRP_CHECK(trp_recipe_add_step(r, TRP_RECIPE_MODEL, name, at, &step, err));
    if (!trp_route_goal_parse(model, &step->model, &step->version) || step->model.len == 0)
        return trp_node_fail(trp_node_get(at, "model"), err, TRP_INVALID_ARGUMENT,
                             "'%.*s' is no model: expected a name, name@3 or name@label",
                             TRP_STR(model));
    step->asks = model;
    *out = step;
    return read_each(step, at, err);
}

static trp_status fail_op(const struct trp_node *n, struct trp_str text, struct trp_error *err)
{
    const char *near = trp_tensor_op_near(text);
    return trp_node_fail(n, err, TRP_INVALID_ARGUMENT, "there is no built-in step '%.*s'%s%s%s",
                         TRP_STR(text), near ? "; did you mean '" : "", near ? near : "",
                         near ? "'?" : "");
}

static trp_status read_op(struct trp_recipe *r, const struct trp_node *at,
                          struct trp_recipe_step **out, struct trp_error *err)
{
    static const char *const ours[] = {
        "op", "name", "input", "inputs", "output", "outputs", "when"
    };
    const struct trp_node *n = trp_node_get(at, "op");
    enum trp_tensor_op_kind kind;
    struct trp_str text;
    TRP_CHECK(trp_written_scalar(n, &text, err));
    if (!trp_tensor_op_parse(text, &kind))
        return fail_op(n, text, err);
    struct trp_str name = text;
    TRP_CHECK(trp_written_text(at, "name", &name, err));
    TRP_CHECK(trp_recipe_add_step(r, TRP_RECIPE_OP, name, at, out, err));
    return trp_op_text_read(at, kind, ours, ARRAY_LEN(ours), &(*out)->op, err);
}

static trp_status read_step(struct trp_recipe *r, const struct trp_alloc *alloc,
                            const struct trp_node *at, struct trp_error *err)
{
    struct trp_recipe_step *step = NULL;
    const struct trp_node *inputs, *outputs;
    if (at->kind != TRP_NODE_MAP || !trp_node_get(at, "model") == !trp_node_get(at, "op"))
        return trp_node_fail(at, err, TRP_INVALID_ARGUMENT,
                             "a step has either a `model` or an `op`, and names its tensors");
    TRP_CHECK(trp_node_get(at, "op") ? read_op(r, at, &step, err) : read_model(r, at, &step, err));
    TRP_ASSERT(step != NULL);
    TRP_CHECK(read_when(r, step, alloc, at, err));
    TRP_CHECK(find_tensors(at, "input", "inputs", &inputs, err));
    TRP_CHECK(find_tensors(at, "output", "outputs", &outputs, err));
    if (step->act == TRP_RECIPE_OP && (!inputs || !outputs))
        return trp_node_fail(at, err, TRP_INVALID_ARGUMENT,
                             "a built-in step says its `input` and its `output`");
    if (inputs)
        TRP_CHECK(add_tensors(r, step, inputs, true, err));
    return outputs ? add_tensors(r, step, outputs, false, err) : trp_ok();
}

/* ---- the whole ---- */

static trp_status read_output(struct trp_recipe *r, const struct trp_node *n, struct trp_error *err)
{
    struct trp_str tensors[TRP_RECIPE_STEPS_MAX];
    uint32_t tensors_n = 0;
    if (n->kind != TRP_NODE_LIST) {
        TRP_CHECK(trp_written_scalar(n, &tensors[0], err));
        return trp_recipe_answer(r, n->key.len ? n->key : tensors[0], tensors, 1, n, err);
    }
    for (const struct trp_node *c = n->first; c; c = c->next) {
        if (tensors_n == TRP_RECIPE_STEPS_MAX)
            return trp_node_fail(n, err, TRP_TOO_LARGE, "more than %u tensors for one output",
                                 TRP_RECIPE_STEPS_MAX);
        TRP_CHECK(trp_written_scalar(c, &tensors[tensors_n++], err));
    }
    if (tensors_n == 0 || n->key.len == 0)
        return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                             "an output is a tensor, or the first of a list that was made");
    return trp_recipe_answer(r, n->key, tensors, tensors_n, n, err);
}

static trp_status read_outputs(struct trp_recipe *r, const struct trp_node *at,
                               struct trp_error *err)
{
    const struct trp_node *n = trp_node_get(at, "outputs");
    if (!n || (n->kind != TRP_NODE_MAP && n->kind != TRP_NODE_LIST) || n->children_n == 0)
        return trp_node_fail(n ? n : at, err, TRP_INVALID_ARGUMENT,
                             "a pipeline has `outputs`: names, each with its tensor");
    for (const struct trp_node *c = n->first; c; c = c->next)
        TRP_CHECK(read_output(r, c, err));
    return trp_ok();
}

static trp_status read_dims(const struct trp_node *dims, struct trp_io *io, struct trp_error *err)
{
    for (const struct trp_node *n = dims->first; n; n = n->next) {
        double size;
        if (io->rank == TROUPE_RANK_MAX || !trp_written_is_number(n, &size) || size < -1 ||
            size > (double)INT32_MAX || size != (double)(int64_t)size)
            return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                                 "dims are at most %d sizes; -1 is any", TROUPE_RANK_MAX);
        io->dims[io->rank++] = (int64_t)size;
    }
    return trp_ok();
}

static trp_status fail_dtype(const struct trp_node *n, struct trp_str text, struct trp_error *err)
{
    const char *meant = trp_dtype_name((int32_t)trp_dtype_guess(text));
    const bool is_known = meant[0] != '\0';
    return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                         "'%.*s' is no dtype: BOOL, UINT8 to UINT64, INT8 to INT64, FP16, BF16, "
                         "FP32, FP64, BYTES%s%s%s",
                         TRP_STR(text), is_known ? "; did you mean '" : "", meant,
                         is_known ? "'?" : "");
}

/* { dtype: UINT8, dims: [-1, -1, 3] }: for inputs that only built-in steps use. */
static trp_status read_type(struct trp_recipe_tensor *t, const struct trp_node *n,
                            struct trp_error *err)
{
    static const char *const known[] = { "dtype", "dims" };
    const struct trp_node *dims = trp_node_get(n, "dims");
    struct trp_str dtype = { 0 };
    TRP_CHECK(trp_written_keys(n, known, ARRAY_LEN(known), err));
    TRP_CHECK(trp_written_text(n, "dtype", &dtype, err));
    t->io = (struct trp_io){ .name = t->name, .dtype = trp_dtype_parse(dtype) };
    if (t->io.dtype == TROUPE_NO_DTYPE && dtype.len > 0)
        return fail_dtype(trp_node_get(n, "dtype"), dtype, err);
    if (t->io.dtype == TROUPE_NO_DTYPE || !dims || dims->kind != TRP_NODE_LIST)
        return trp_node_fail(n, err, TRP_INVALID_ARGUMENT,
                             "input \"%.*s\" has a dtype, such as FP32, and a list of dims",
                             TRP_STR(t->name));
    t->is_known = true;
    return read_dims(dims, &t->io, err);
}

/* Written inputs come first, in this order. */
static trp_status read_inputs(struct trp_recipe *r, const struct trp_node *at,
                              struct trp_error *err)
{
    const struct trp_node *n = trp_node_get(at, "inputs");
    if (n && n->kind != TRP_NODE_LIST && n->kind != TRP_NODE_MAP)
        return trp_node_fail(n, err, TRP_INVALID_ARGUMENT, "`inputs` is a list of names");
    for (const struct trp_node *c = n ? n->first : NULL; c; c = c->next) {
        struct trp_str name = c->key;
        uint32_t tensor;
        if (name.len == 0)
            TRP_CHECK(trp_written_scalar(c, &name, err));
        TRP_CHECK(trp_recipe_tensor(r, name, c, &tensor, err));
        if (c->key.len > 0)
            TRP_CHECK(read_type(&r->tensors[tensor], c, err));
    }
    return trp_ok();
}

trp_status trp_pipeline_read(struct trp_recipe *r, const struct trp_alloc *alloc,
                             const struct trp_node *at, struct trp_error *err)
{
    static const char *const known[] = { "inputs", "steps", "outputs" };
    TRP_CHECK(trp_written_brackets(
        at, "steps", "steps are a list, such as [ { model: a }, { model: b } ]", err));
    TRP_CHECK(trp_written_brackets(at, "outputs",
                                   "outputs are a list in brackets, such as [ y, z ], or names "
                                   "with their tensors, such as { y: h }",
                                   err));
    TRP_CHECK(trp_written_keys(at, known, ARRAY_LEN(known), err));
    const struct trp_node *steps = trp_node_get(at, "steps");
    if (!steps || steps->kind != TRP_NODE_LIST || steps->children_n == 0)
        return trp_node_fail(steps ? steps : at, err, TRP_INVALID_ARGUMENT,
                             "a pipeline has a list of `steps`, such as [ { model: a } ]");
    TRP_CHECK(read_inputs(r, at, err));
    for (const struct trp_node *n = steps->first; n; n = n->next)
        TRP_CHECK(read_step(r, alloc, n, err));
    return read_outputs(r, at, err);
}

/* Who names no tensors calls them as its model does. */
static trp_status settle_step(struct trp_recipe *r, struct trp_recipe_step *step,
                              const struct trp_recipe_lookup *lookup, struct trp_error *err)
{
    const bool must_use = step->uses_n == 0, must_give = step->gives_n == 0;
    TRP_CHECK(trp_recipe_look(r, step, lookup, err));
    const struct trp_signature *s = step->signature;
    for (uint32_t i = 0; must_use && i < s->inputs_n; i++)
        TRP_CHECK(trp_recipe_use(r, step, s->inputs[i].name, s->inputs[i].name, step->at, err));
    for (uint32_t i = 0; must_give && i < s->outputs_n; i++)
        TRP_CHECK(trp_recipe_give(r, step, s->outputs[i].name, s->outputs[i].name, step->at, err));
    return trp_ok();
}

/* An input that nobody uses is a mistake: it has no type. */
static trp_status check_inputs(const struct trp_recipe *r, const struct trp_node *at,
                               struct trp_error *err)
{
    const struct trp_node *n = trp_node_get(at, "inputs");
    for (const struct trp_node *c = n ? n->first : NULL; c; c = c->next) {
        const struct trp_str name = c->key.len > 0 ? c->key : c->v.s;
        bool is_used = false;
        for (uint32_t i = 0; i < r->steps_n; i++)
            for (uint32_t u = 0; u < r->steps[i].uses_n; u++)
                is_used |= trp_str_is_equal(r->tensors[r->steps[i].uses[u].tensor].name, name);
        if (!is_used)
            return trp_node_fail(c, err, TRP_INVALID_ARGUMENT, "no step uses input \"%.*s\"",
                                 TRP_STR(name));
    }
    return trp_ok();
}

trp_status trp_pipeline_settle(struct trp_recipe *r, const struct trp_node *at,
                               const struct trp_recipe_lookup *lookup, struct trp_error *err)
{
    for (uint32_t i = 0; i < r->steps_n; i++) {
        struct trp_recipe_step *step = &r->steps[i];
        if (step->act == TRP_RECIPE_MODEL)
            TRP_CHECK(settle_step(r, step, lookup, err));
    }
    return check_inputs(r, at, err);
}
