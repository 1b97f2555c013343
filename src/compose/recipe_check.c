/* compose/recipe_check.c - see recipe.h: does it fit together?
 *
 * Steps are taken in an order in which each comes after those whose tensors it uses, so that what a
 * step takes is known when it is looked at.  An input of the request is whatever the steps that
 * use it agree upon: of two sizes the fixed one counts. */
#include <stdio.h>

#include "compose/numbers.h"
#include "compose/recipe.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define SHAPE_MAX 256

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for what is made of models");
}

/* ---- order ---- */

static bool is_made(const struct trp_recipe *r, uint64_t done, uint32_t tensor)
{
    const uint32_t maker = tensor == TRP_RECIPE_NONE ? tensor : r->tensors[tensor].maker;
    return maker == TRP_RECIPE_NONE || (done >> maker & 1) != 0;
}

/* The tensor that it waits for; NONE: it could be done now. */
static uint32_t waits_for(const struct trp_recipe *r, uint64_t done, uint32_t step)
{
    const struct trp_recipe_step *s = &r->steps[step];
    for (uint32_t i = 0; i < s->uses_n; i++)
        if (!is_made(r, done, s->uses[i].tensor))
            return s->uses[i].tensor;
    for (uint32_t i = 0; s->earlier && i < s->gives_n; i++)
        if (!is_made(r, done, s->earlier[i]))
            return s->earlier[i];
    return is_made(r, done, s->doubt.tensor) ? TRP_RECIPE_NONE : s->doubt.tensor;
}

static trp_status fail_cycle(const struct trp_recipe *r, uint64_t done, struct trp_error *err)
{
    uint32_t i = 0;
    while ((done >> i & 1) != 0)
        i++;
    const struct trp_recipe_tensor *t = &r->tensors[waits_for(r, done, i)];
    return trp_node_fail(
        r->steps[i].at, err, TRP_INVALID_ARGUMENT,
        "step '%.*s' waits for \"%.*s\" of step '%.*s', which waits for it in turn",
        TRP_STR(r->steps[i].name), TRP_STR(t->name), TRP_STR(r->steps[t->maker].name));
}

/* First come, first served: steps keep the order in which they are written where nothing speaks
 * against it. */
static trp_status put_in_order(struct trp_recipe *r, struct trp_error *err)
{
    struct trp_recipe_step *sorted = trp_arena_zeroed(r->arena, r->steps_n, sizeof *sorted);
    uint32_t place[TRP_RECIPE_STEPS_MAX];
    uint64_t done = 0;
    if (!sorted)
        return no_memory(err);
    for (uint32_t n = 0; n < r->steps_n; n++) {
        uint32_t i = 0;
        while (i < r->steps_n && ((done >> i & 1) != 0 || waits_for(r, done, i) != TRP_RECIPE_NONE))
            i++;
        if (i == r->steps_n)
            return fail_cycle(r, done, err);
        done |= UINT64_C(1) << i;
        sorted[n] = r->steps[i];
        place[i] = n;
    }
    for (uint32_t t = 0; t < r->tensors_n; t++)
        if (r->tensors[t].maker != TRP_RECIPE_NONE)
            r->tensors[t].maker = place[r->tensors[t].maker];
    r->steps = sorted;
    return trp_ok();
}

/* ---- types ---- */

/* Sizes that are open, and the product of the others, which a hint may cut to 64 bits. */
static uint64_t product_of(const struct trp_io *io, uint32_t *out_open)
{
    uint64_t product = 1;
    *out_open = 0;
    for (uint32_t d = 0; d < io->rank; d++) {
        *out_open += io->dims[d] < 0;
        product *= io->dims[d] < 0 ? 1 : (uint64_t)io->dims[d];
    }
    return product;
}

/* Whether what a model takes may be written as another shape, by the rules of `reshape`. */
static bool could_be_reshaped(const struct trp_io *from, const struct trp_io *to)
{
    uint32_t open_from, open_to;
    return from->dtype == to->dtype && !from->any_rank && !to->any_rank &&
           product_of(from, &open_from) == product_of(to, &open_to) && open_from == open_to;
}

static trp_status fail_fit(const struct trp_recipe_tensor *t, const struct trp_recipe_step *step,
                           struct trp_str input, const struct trp_io *want, struct trp_error *err)
{
    char is[SHAPE_MAX], wanted[SHAPE_MAX];
    return trp_node_fail(step->at, err, TRP_INVALID_ARGUMENT,
                         "step '%.*s': \"%.*s\" is %s %s, but its input \"%.*s\" takes %s %s%s",
                         TRP_STR(step->name), TRP_STR(t->name), trp_dtype_name(t->io.dtype),
                         trp_shape_format(t->io.dims, t->io.rank, is, sizeof is), TRP_STR(input),
                         trp_dtype_name(want->dtype),
                         trp_shape_format(want->dims, want->rank, wanted, sizeof wanted),
                         step->act == TRP_RECIPE_MODEL && could_be_reshaped(&t->io, want)
                             ? "; the `reshape` of a model's configuration can make them alike"
                             : "");
}

static bool shapes_agree(const struct trp_io *a, const struct trp_io *b)
{
    if (a->any_rank || b->any_rank)
        return true;
    if (a->rank != b->rank)
        return false;
    for (uint32_t i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i] && a->dims[i] >= 0 && b->dims[i] >= 0)
            return false;
    return true;
}

/* An input of the request is held to what each of its users wants. */
static void narrow(struct trp_io *io, const struct trp_io *want)
{
    io->optional = io->optional && want->optional;
    if (io->any_rank && !want->any_rank) {
        io->any_rank = false;
        io->rank = want->rank;
        memcpy(io->dims, want->dims, sizeof io->dims);
    }
    for (uint32_t i = 0; !want->any_rank && i < io->rank; i++)
        if (io->dims[i] < 0)
            io->dims[i] = want->dims[i];
}

static trp_status fit_use(struct trp_recipe *r, const struct trp_recipe_step *step,
                          const struct trp_recipe_use *use, const struct trp_io *want,
                          struct trp_error *err)
{
    struct trp_recipe_tensor *t = &r->tensors[use->tensor];
    if (!t->is_known) {
        t->io = *want;
        t->io.name = t->name;
        t->io.labels = NULL;
        t->io.labels_n = 0;
        t->is_known = true;
        return trp_ok();
    }
    if (t->io.dtype != want->dtype || !shapes_agree(&t->io, want))
        return fail_fit(t, step, use->name, want, err);
    if (t->maker == TRP_RECIPE_NONE)
        narrow(&t->io, want);
    return trp_ok();
}

static void set_made(struct trp_recipe *r, uint32_t tensor, const struct trp_io *io)
{
    struct trp_recipe_tensor *t = &r->tensors[tensor];
    t->io = *io;
    t->io.name = t->name;
    t->io.optional = false;
    t->is_known = true;
}

static trp_status unknown_io(const struct trp_recipe_step *step, const char *what,
                             struct trp_str name, const struct trp_io *ios, uint32_t n,
                             struct trp_error *err)
{
    char names[SHAPE_MAX];
    size_t len = 0;
    names[0] = '\0';
    for (uint32_t i = 0; i < n && len < sizeof names; i++)
        len += (size_t)snprintf(names + len, sizeof names - len, "%s\"%.*s\"", i ? ", " : "",
                                TRP_STR(ios[i].name));
    return trp_node_fail(step->at, err, TRP_INVALID_ARGUMENT,
                         "step '%.*s': '%.*s' has no %s \"%.*s\"; its %ss are %s",
                         TRP_STR(step->name), TRP_STR(step->model), what, TRP_STR(name), what,
                         names);
}

/* Of what is asked row by row the whole has any number of rows. */
static struct trp_io seen_from_outside(const struct trp_recipe_step *step, const struct trp_io *io)
{
    struct trp_io out = *io;
    if (step->each_row && !out.any_rank && out.rank > 0)
        out.dims[0] = -1;
    return out;
}

static trp_status fit_model_inputs(struct trp_recipe *r, const struct trp_recipe_step *step,
                                   struct trp_error *err)
{
    const struct trp_signature *s = step->signature;
    for (uint32_t i = 0; i < step->uses_n; i++) {
        const struct trp_io *in = trp_signature_input(s, step->uses[i].name);
        if (!in)
            return unknown_io(step, "input", step->uses[i].name, s->inputs, s->inputs_n, err);
        const struct trp_io want = seen_from_outside(step, in);
        TRP_CHECK(fit_use(r, step, &step->uses[i], &want, err));
    }
    for (uint32_t i = 0; i < s->inputs_n; i++) {
        bool is_used = s->inputs[i].optional;
        for (uint32_t u = 0; !is_used && u < step->uses_n; u++)
            is_used = trp_str_is_equal(step->uses[u].name, s->inputs[i].name);
        if (!is_used)
            return trp_node_fail(step->at, err, TRP_INVALID_ARGUMENT,
                                 "step '%.*s': nothing is given for input \"%.*s\" of '%.*s'",
                                 TRP_STR(step->name), TRP_STR(s->inputs[i].name),
                                 TRP_STR(step->model));
    }
    return trp_ok();
}

static trp_status check_model(struct trp_recipe *r, struct trp_recipe_step *step,
                              const struct trp_recipe_lookup *lookup, struct trp_error *err)
{
    TRP_CHECK(trp_recipe_look(r, step, lookup, err));
    const struct trp_signature *s = step->signature;
    TRP_CHECK(fit_model_inputs(r, step, err));
    for (uint32_t i = 0; i < step->gives_n; i++) {
        const struct trp_io *out = trp_signature_output(s, step->gives[i].name);
        if (!out)
            return unknown_io(step, "output", step->gives[i].name, s->outputs, s->outputs_n, err);
        const struct trp_io made = seen_from_outside(step, out);
        set_made(r, step->gives[i].tensor, &made);
    }
    return trp_ok();
}

static trp_status within_step(const struct trp_recipe_step *step, trp_status st,
                              struct trp_error *err)
{
    if (trp_failed(st) && step->at && step->at->file)
        trp_error_within(err, "%s:%u: step '%.*s'", step->at->file, step->at->line,
                         TRP_STR(step->name));
    return st;
}

/* What the others use must be known: an input of the request that no model uses has no type. */
static trp_status take_ios(const struct trp_recipe *r, const struct trp_recipe_step *step,
                           struct trp_io *ios, struct trp_error *err)
{
    for (uint32_t i = 0; i < step->uses_n; i++) {
        const struct trp_recipe_tensor *t = &r->tensors[step->uses[i].tensor];
        if (!t->is_known)
            return trp_node_fail(step->at, err, TRP_INVALID_ARGUMENT,
                                 "step '%.*s': nothing says what \"%.*s\" is: no step makes it; if "
                                 "it is of the request, say so: inputs: { %.*s: { dtype: FP32, "
                                 "dims: [-1, 64] } }",
                                 TRP_STR(step->name), TRP_STR(t->name), TRP_STR(t->name));
        ios[i] = t->io;
    }
    return trp_ok();
}

/* A file's bytes are the one thing whose type a built-in step knows. */
static void assume_files(struct trp_recipe *r, const struct trp_recipe_step *step)
{
    struct trp_recipe_tensor *t = &r->tensors[step->uses[0].tensor];
    if (step->op.kind != TRP_TENSOR_OP_DECODE || t->is_known)
        return;
    t->io = (struct trp_io){ .name = t->name, .dtype = TROUPE_BYTES, .rank = 1, .dims = { -1 } };
    t->is_known = true;
}

static trp_status check_op(struct trp_recipe *r, const struct trp_recipe_step *step,
                           struct trp_error *err)
{
    struct trp_io in[TRP_TENSOR_OP_INPUTS_MAX], out[TRP_TENSOR_OP_OUTPUTS_MAX];
    uint32_t min, max, outputs_n;
    trp_tensor_op_counts(&step->op, &min, &max, &outputs_n);
    if (step->uses_n < min || step->uses_n > max || step->uses_n > TRP_TENSOR_OP_INPUTS_MAX)
        return trp_node_fail(step->at, err, TRP_INVALID_ARGUMENT,
                             "step '%.*s' takes %u%s input%s, not %u", TRP_STR(step->name), min,
                             min < max ? " or more" : "", max == 1 ? "" : "s", step->uses_n);
    if (step->gives_n == 0 || step->gives_n > outputs_n)
        return trp_node_fail(step->at, err, TRP_INVALID_ARGUMENT,
                             "step '%.*s' gives %u outputs, not %u", TRP_STR(step->name), outputs_n,
                             step->gives_n);
    assume_files(r, step);
    TRP_CHECK(take_ios(r, step, in, err));
    TRP_CHECK(within_step(step, trp_tensor_op_infer(&step->op, in, step->uses_n, out, err), err));
    for (uint32_t i = 0; i < step->gives_n; i++)
        set_made(r, step->gives[i].tensor, &out[i]);
    return trp_ok();
}

static trp_status check_vote(struct trp_recipe *r, const struct trp_recipe_step *step,
                             struct trp_error *err)
{
    struct trp_io in[TRP_VOTE_MEMBERS_MAX], out = { 0 };
    TRP_CHECK(take_ios(r, step, in, err));
    /* The first that does not go with those before it is to blame, not the vote. */
    for (uint32_t n = 1; n <= step->uses_n; n++) {
        const struct trp_recipe_step *last = &r->steps[r->tensors[step->uses[n - 1].tensor].maker];
        TRP_CHECK(within_step(last, trp_vote_signature(&step->vote, in, n, &out, err), err));
    }
    set_made(r, step->gives[0].tensor, &out);
    return trp_ok();
}

/* Lists of ids may differ in length; scores may not. */
static trp_status check_rank(struct trp_recipe *r, struct trp_recipe_step *step,
                             struct trp_error *err)
{
    struct trp_io in[TRP_VOTE_MEMBERS_MAX] = { 0 };
    TRP_CHECK(take_ios(r, step, in, err));
    struct trp_io ids = in[0];
    step->ranks_lists = step->gives_n == 2;
    for (uint32_t i = 0; i < step->uses_n; i++) {
        if (in[i].dtype != ids.dtype || in[i].rank != ids.rank)
            return fail_fit(&r->tensors[step->uses[i].tensor], step, step->uses[0].name, &in[0],
                            err);
        if (step->ranks_lists && (in[i].any_rank || in[i].rank != 2))
            return trp_node_fail(step->at, err, TRP_INVALID_ARGUMENT,
                                 "step '%.*s': lists of ids are [rows, places]",
                                 TRP_STR(step->name));
        if (in[i].dims[in[i].rank - 1] != ids.dims[ids.rank - 1])
            ids.dims[ids.rank - 1] = -1;
    }
    if (step->ranks_lists && step->places > 0)
        ids.dims[1] = step->places;
    struct trp_io scores = ids;
    scores.dtype = step->ranks_lists || ids.dtype != TROUPE_FP64 ? TROUPE_FP32 : TROUPE_FP64;
    if (step->ranks_lists)
        set_made(r, step->gives[0].tensor, &ids);
    set_made(r, step->gives[step->gives_n - 1].tensor, &scores);
    return trp_ok();
}

static trp_status check_doubt(const struct trp_recipe *r, const struct trp_recipe_step *step,
                              struct trp_error *err)
{
    if (step->doubt.tensor == TRP_RECIPE_NONE)
        return trp_ok();
    const struct trp_io *io = &r->tensors[step->doubt.tensor].io;
    if (!trp_numbers_is_float(io->dtype) || (!io->any_rank && io->rank == 0))
        return trp_node_fail(step->at, err, TRP_INVALID_ARGUMENT,
                             "step '%.*s': confidence is measured on floats of [rows, classes]; "
                             "\"%.*s\" is %s, which does not say how sure a model is: `output` "
                             "names another one",
                             TRP_STR(step->name), TRP_STR(io->name), trp_dtype_name(io->dtype));
    for (uint32_t i = 0; step->earlier && i < step->gives_n; i++) {
        const struct trp_io *now = &r->tensors[step->gives[i].tensor].io,
                            *before = &r->tensors[step->earlier[i]].io;
        if (now->dtype == TROUPE_BYTES || now->dtype != before->dtype || !shapes_agree(now, before))
            return fail_fit(&r->tensors[step->earlier[i]], step, step->gives[i].name, now, err);
    }
    return trp_ok();
}

/* Where a row of strings begins is known only after all before it were read. */
static trp_status check_rows(const struct trp_recipe *r, const struct trp_recipe_step *step,
                             struct trp_error *err)
{
    for (uint32_t i = 0; step->each_row && i < step->uses_n; i++)
        if (r->tensors[step->uses[i].tensor].io.dtype == TROUPE_BYTES)
            return trp_node_fail(step->at, err, TRP_INVALID_ARGUMENT,
                                 "step '%.*s' is asked row by row, which strings cannot be: "
                                 "\"%.*s\" is BYTES",
                                 TRP_STR(step->name),
                                 TRP_STR(r->tensors[step->uses[i].tensor].name));
    return trp_ok();
}

/* A condition was compiled when it was read.  Here it is compiled once more, for its types: now it
 * is known what the tensors are that it may look at, which are those that its step uses. */
static trp_status check_when(const struct trp_recipe *r, const struct trp_recipe_step *step,
                             struct trp_error *err)
{
    const struct trp_node *at = step->when_at;
    struct trp_io *seen = trp_arena_zeroed(r->arena, step->uses_n + (size_t)1, sizeof *seen);
    if (!seen)
        return no_memory(err);
    for (uint32_t i = 0; i < step->uses_n; i++)
        seen[i] = r->tensors[step->uses[i].tensor].io;
    const struct trp_signature tensors = { .inputs = seen, .inputs_n = step->uses_n };
    const struct trp_signature *const signatures[] = { &tensors };
    const struct trp_expr_env env = { .purpose = TRP_EXPR_CONDITION,
                                      .signatures = signatures,
                                      .signatures_n = 1,
                                      .input_words = "tensor that the step uses is called",
                                      .lists = r->lists,
                                      .lists_n = r->lists_n };
    const struct trp_expr_place place = { at->file, at->line, at->column, at };
    struct trp_expr *typed = NULL;
    const trp_status st = trp_expr_compile(r->arena->alloc, at->v.s, &place, &env, &typed, err);
    trp_expr_destroy(typed);
    return st;
}

static trp_status check_step(struct trp_recipe *r, struct trp_recipe_step *step,
                             const struct trp_recipe_lookup *lookup, struct trp_error *err)
{
    trp_status st;
    switch (step->act) {
    case TRP_RECIPE_MODEL:
        st = check_model(r, step, lookup, err);
        break;
    case TRP_RECIPE_OP:
        st = check_op(r, step, err);
        break;
    case TRP_RECIPE_VOTE:
        st = check_vote(r, step, err);
        break;
    case TRP_RECIPE_RANK:
        st = check_rank(r, step, err);
        break;
    }
    TRP_CHECK(st);
    TRP_CHECK(check_rows(r, step, err));
    if (step->when)
        TRP_CHECK(check_when(r, step, err));
    return check_doubt(r, step, err);
}

/* ---- the whole ---- */

static void add_needs(const struct trp_recipe *r, const uint64_t *needs, uint32_t tensor,
                      uint64_t *io_mask)
{
    if (tensor != TRP_RECIPE_NONE && r->tensors[tensor].maker != TRP_RECIPE_NONE)
        *io_mask |= needs[r->tensors[tensor].maker];
}

static void find_needs(struct trp_recipe *r)
{
    uint64_t needs[TRP_RECIPE_STEPS_MAX];
    for (uint32_t i = 0; i < r->steps_n; i++) {
        const struct trp_recipe_step *s = &r->steps[i];
        needs[i] = UINT64_C(1) << i;
        for (uint32_t u = 0; u < s->uses_n; u++)
            add_needs(r, needs, s->uses[u].tensor, &needs[i]);
        for (uint32_t g = 0; s->earlier && g < s->gives_n; g++)
            add_needs(r, needs, s->earlier[g], &needs[i]);
        add_needs(r, needs, s->doubt.tensor, &needs[i]);
    }
    for (uint32_t o = 0; o < r->outputs_n; o++)
        for (uint32_t c = 0; c < r->outputs[o].candidates_n; c++)
            add_needs(r, needs, r->outputs[o].candidates[c], &r->outputs[o].needs);
}

static trp_status name_output(const struct trp_recipe *r, const struct trp_recipe_output *o,
                              struct trp_io *out, struct trp_error *err)
{
    for (uint32_t i = 0; i < o->candidates_n; i++) {
        const struct trp_recipe_tensor *t = &r->tensors[o->candidates[i]];
        if (t->maker == TRP_RECIPE_NONE)
            return trp_node_fail(o->at, err, TRP_INVALID_ARGUMENT,
                                 "output \"%.*s\": no step makes \"%.*s\"", TRP_STR(o->name),
                                 TRP_STR(t->name));
        if (i == 0)
            *out = t->io;
        if (t->io.dtype != out->dtype || !shapes_agree(&t->io, out))
            return trp_node_fail(o->at, err, TRP_INVALID_ARGUMENT,
                                 "output \"%.*s\": \"%.*s\" and \"%.*s\" are of different types",
                                 TRP_STR(o->name), TRP_STR(t->name),
                                 TRP_STR(r->tensors[o->candidates[0]].name));
        for (uint32_t d = 0; d < out->rank; d++)
            out->dims[d] = out->dims[d] == t->io.dims[d] ? out->dims[d] : -1;
    }
    out->name = o->name;
    return trp_ok();
}

static bool has_rows(const struct trp_io *ios, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (ios[i].any_rank || ios[i].rank == 0 || ios[i].dims[0] >= 0)
            return false;
    return true;
}

static int32_t least_batch(const struct trp_recipe *r, const struct trp_io *inputs,
                           uint32_t inputs_n, const struct trp_io *outputs)
{
    int32_t least = 0;
    for (uint32_t i = 0; i < r->steps_n; i++) {
        const struct trp_recipe_step *s = &r->steps[i];
        if (s->act != TRP_RECIPE_MODEL)
            continue;
        const int32_t most = s->each_row ? (int32_t)TRP_RECIPE_ROWS_MAX : s->signature->batch_max;
        if (most <= 0)
            return 0;
        least = least == 0 || most < least ? most : least;
    }
    return has_rows(inputs, inputs_n) && has_rows(outputs, r->outputs_n) ? least : 0;
}

static trp_status make_signature(struct trp_recipe *r, struct trp_error *err)
{
    struct trp_io *inputs = trp_arena_zeroed(r->arena, r->tensors_n + 1, sizeof *inputs);
    struct trp_io *outputs = trp_arena_zeroed(r->arena, r->outputs_n + 1, sizeof *outputs);
    r->inputs = trp_arena_zeroed(r->arena, r->tensors_n + 1, sizeof *r->inputs);
    uint32_t inputs_n = 0;
    if (!inputs || !outputs || !r->inputs)
        return no_memory(err);
    for (uint32_t o = 0; o < r->outputs_n; o++)
        TRP_CHECK(name_output(r, &r->outputs[o], &outputs[o], err));
    for (uint32_t t = 0; t < r->tensors_n; t++) {
        if (r->tensors[t].maker != TRP_RECIPE_NONE || !r->tensors[t].is_known)
            continue;
        r->inputs[inputs_n] = t;
        inputs[inputs_n++] = r->tensors[t].io;
    }
    if (r->outputs_n == 0)
        return trp_node_fail(r->at, err, TRP_INVALID_ARGUMENT, "'%.*s' has no outputs",
                             TRP_STR(r->name));
    r->signature = (struct trp_signature){
        .inputs = inputs, .outputs = outputs, .inputs_n = inputs_n, .outputs_n = r->outputs_n
    };
    r->signature.batch_max = least_batch(r, inputs, inputs_n, outputs);
    return trp_ok();
}

trp_status trp_recipe_check(struct trp_recipe *r, const struct trp_recipe_lookup *lookup,
                            struct trp_error *err)
{
    if (r->steps_n == 0)
        return trp_node_fail(r->at, err, TRP_INVALID_ARGUMENT, "'%.*s' has no steps",
                             TRP_STR(r->name));
    TRP_CHECK(put_in_order(r, err));
    for (uint32_t i = 0; i < r->steps_n; i++)
        TRP_CHECK(check_step(r, &r->steps[i], lookup, err));
    TRP_CHECK(make_signature(r, err));
    find_needs(r);
    return trp_ok();
}
