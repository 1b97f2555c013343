/* compose/cook_op.c - see cook_state.h: a built-in step.
 *
 * What looks at the bytes of many inputs is planned by the helper, too: the sizes of pictures
 * stand in their files. */
#include "compose/cook_state.h"

#define ALWAYS_ASIDE UINT64_MAX

struct op_job {
    struct trp_cook_job job; /* first */
    struct trp_tensor_op op;
    struct trp_tensor_op_limits limits;
    struct troupe_tensor *in, out[TRP_TENSOR_OP_OUTPUTS_MAX];
    uint32_t in_n, out_n;
    bool is_planned;
    struct trp_tensor_op_scratch scratch;
};

static struct op_job *op_of(struct trp_cook_job *j)
{
    return TRP_CONTAINER_OF(j, struct op_job, job);
}

static trp_status plan(struct op_job *o, struct trp_error *err)
{
    o->is_planned = true;
    return trp_tensor_op_plan(&o->op, &o->limits, o->in, o->in_n, o->out, &o->scratch, err);
}

static trp_status work(struct trp_cook_job *j, struct trp_error *err)
{
    struct op_job *o = op_of(j);
    if (!o->is_planned)
        TRP_CHECK(plan(o, err));
    for (uint32_t i = 0; i < o->out_n; i++) {
        TRP_CHECK(trp_cook_memory(j, &o->out[i], o->out[i].bytes, err));
        j->maker->outputs[i].tensor = o->out[i];
    }
    TRP_CHECK(trp_cook_scratch(j->env, o->scratch.bytes, &o->scratch.ptr, err));
    const trp_status st =
        trp_tensor_op_run(&o->op, &o->limits, o->in, o->in_n, o->out, &o->scratch, err);
    trp_alloc_free(j->env->requests, o->scratch.ptr);
    for (uint32_t i = 0; i < o->out_n; i++)
        j->maker->outputs[i].tensor.bytes = o->out[i].bytes;
    return st;
}

static trp_status land(struct trp_cook_job *j, struct trp_error *err)
{
    (void)err;
    trp_cook_made(j->cook, j->step, j->maker);
    trp_cook_step_done(j->cook, j->step, TRP_METRIC_COMPOSED_BUILTIN);
    return trp_ok();
}

static uint64_t sum(const struct troupe_tensor *t, uint32_t n)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < n; i++)
        bytes += t[i].bytes;
    return bytes;
}

/* What it works on; planned here where that is short, to know how much comes out. */
static trp_status measure(struct op_job *o, uint64_t *out_bytes, struct trp_error *err)
{
    *out_bytes = ALWAYS_ASIDE;
    if (o->job.env->crew && o->op.kind == TRP_TENSOR_OP_DECODE)
        return trp_ok();
    *out_bytes = sum(o->in, o->in_n);
    if (o->job.env->crew && *out_bytes > TRP_CREW_ASIDE_BYTES)
        return trp_ok();
    TRP_CHECK(plan(o, err));
    *out_bytes += sum(o->out, o->out_n);
    return trp_ok();
}

static const struct trp_cook_job_kind op_kind = { sizeof(struct op_job), work, land };

trp_status trp_cook_do_op(struct trp_cook *k, uint32_t step, struct trp_error *err)
{
    const struct trp_recipe_step *s = &k->recipe->steps[step];
    struct trp_cook_job *j;
    uint64_t bytes;
    TRP_CHECK(trp_cook_job_make(k, step, s->gives_n, &op_kind, &j, err));
    struct op_job *o = op_of(j);
    o->op = s->op;
    o->limits = (struct trp_tensor_op_limits){ .alloc = k->env->requests,
                                               .pixels_max = k->env->pixels_max,
                                               .output_bytes = k->env->output_bytes,
                                               .stop = &j->maker->cancel.raised };
    o->out_n = s->gives_n;
    o->in_n = s->uses_n;
    o->in = trp_arena_zeroed(&j->maker->arena, s->uses_n + (size_t)1, sizeof *o->in);
    if (!o->in)
        return trp_cook_job_starve(j, err);
    for (uint32_t i = 0; i < s->uses_n; i++)
        o->in[i] = k->tensors[s->uses[i].tensor]->tensor;
    const trp_status st = measure(o, &bytes, err);
    if (!trp_failed(st))
        return trp_cook_job_do(j, bytes, err);
    trp_cook_job_drop(j);
    return st;
}
