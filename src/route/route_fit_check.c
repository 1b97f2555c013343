/* route/route_fit_check.c - see route_fit_check.h. */
#include "route/route_fit_check.h"

#include "route/route_fit.h"
#include "tensor/dtype.h"

/* One side of a signature. */
struct side {
    const char *what;
    const struct trp_io *ios;
    uint32_t n;
};

/* Where `targets` say something of a name, in one of their sections. */
static const struct trp_node *line_of(const struct trp_route_goal *g, const char *section,
                                      struct trp_str name)
{
    const struct trp_node *map = trp_node_get(g->target, section);
    for (const struct trp_node *n = map ? map->first : NULL; n; n = n->next) {
        const bool is_text = n->kind == TRP_NODE_WORD || n->kind == TRP_NODE_STR;
        if (trp_str_is_equal(n->key, name) || (is_text && trp_str_is_equal(n->v.s, name)))
            return n;
    }
    return g->target ? g->target : g->at;
}

static void nearest_of(const struct side *in, struct trp_str name, char hint[TRP_ROUTE_HINT_MAX])
{
    struct trp_str known[64];
    uint32_t i = 0;
    for (; i < in->n && i < ARRAY_LEN(known); i++)
        known[i] = in->ios[i].name;
    trp_route_hint(hint, name, known, i);
}

static trp_status lacks(const struct trp_route_checking *c, const struct trp_route_plan *p,
                        const struct trp_route_goal *g, const char *section, struct trp_str name,
                        const struct side *in)
{
    char hint[TRP_ROUTE_HINT_MAX];
    nearest_of(in, name, hint);
    return trp_route_source_fail(p->source, line_of(g, section, name), name, c->err,
                                 "'%.*s' has no %s '%.*s', which the route names%s",
                                 TRP_STR(g->model), in->what, TRP_STR(name), hint);
}

/* An input becomes what the target takes; an output whatever is no text. */
static trp_status check_cast(const struct trp_route_checking *c, const struct trp_route_plan *p,
                             const struct trp_route_goal *g, const struct trp_signature *s,
                             const struct trp_route_cast *cast)
{
    const struct trp_io *in = trp_signature_input(s, cast->name);
    const struct trp_io *out = trp_signature_output(s, cast->name);
    const struct side inputs = { "input or output", s->inputs, s->inputs_n };
    const struct side outputs = { "input or output", s->outputs, s->outputs_n };
    char hint[TRP_ROUTE_HINT_MAX];
    nearest_of(&outputs, cast->name, hint);
    if (!in && !out)
        return lacks(c, p, g, "cast", cast->name, hint[0] ? &outputs : &inputs);
    if (in && in->dtype != cast->dtype)
        return trp_route_source_fail(p->source, line_of(g, "cast", in->name), in->name, c->err,
                                     "'%.*s' takes %s for input '%.*s', not %s", TRP_STR(g->model),
                                     trp_dtype_name(in->dtype), TRP_STR(in->name),
                                     trp_dtype_name(cast->dtype));
    if (!in && out->dtype == TROUPE_BYTES)
        return trp_route_source_fail(p->source, line_of(g, "cast", out->name), out->name, c->err,
                                     "'%.*s' gives texts (BYTES) for output '%.*s', which cannot "
                                     "become %s",
                                     TRP_STR(g->model), TRP_STR(out->name),
                                     trp_dtype_name(cast->dtype));
    return trp_ok();
}

static trp_status check_there(const struct trp_route_checking *c, const struct trp_route_plan *p,
                              const struct trp_route_goal *g, const struct trp_signature *s)
{
    const struct trp_route_fit *fit = g->fit;
    const struct side inputs = { "input", s->inputs, s->inputs_n };
    const struct side outputs = { "output", s->outputs, s->outputs_n };
    for (uint32_t i = 0; fit && i < fit->inputs_n; i++)
        if (!trp_signature_input(s, fit->inputs[i].theirs))
            return lacks(c, p, g, "inputs", fit->inputs[i].theirs, &inputs);
    for (uint32_t i = 0; fit && i < fit->outputs_n; i++)
        if (!trp_signature_output(s, fit->outputs[i].theirs))
            return lacks(c, p, g, "outputs", fit->outputs[i].theirs, &outputs);
    for (uint32_t i = 0; fit && i < fit->casts_n; i++)
        TRP_CHECK(check_cast(c, p, g, s, &fit->casts[i]));
    for (uint32_t i = 0; fit && i < fit->constants_n; i++) {
        const struct trp_io *io = trp_signature_input(s, fit->constants[i].name);
        if (!io)
            return lacks(c, p, g, "constants", fit->constants[i].name, &inputs);
        if (io->dtype != fit->constants[i].tensor.dtype)
            return trp_route_source_fail(
                p->source, line_of(g, "constants", io->name), io->name, c->err,
                "'%.*s' takes %s for input '%.*s', the constant is of %s", TRP_STR(g->model),
                trp_dtype_name(io->dtype), TRP_STR(io->name),
                trp_dtype_name(fit->constants[i].tensor.dtype));
    }
    return trp_ok();
}

/* What a target is said to give besides must be none of its own, under its name in the route. */
static trp_status check_back(const struct trp_route_checking *c, const struct trp_route_plan *p,
                             const struct trp_route_goal *g, const struct trp_signature *s)
{
    for (uint32_t i = 0; g->fit && i < g->fit->given_n; i++)
        for (uint32_t k = 0; k < s->outputs_n; k++)
            if (trp_str_is_equal(trp_route_fit_output_name(g->fit, s->outputs[k].name),
                                 g->fit->given[i].name))
                return trp_route_source_fail(
                    p->source, line_of(g, "constant_outputs", g->fit->given[i].name),
                    g->fit->given[i].name, c->err, "'%.*s' gives the output '%.*s' itself",
                    TRP_STR(g->model), TRP_STR(g->fit->given[i].name));
    return trp_ok();
}

trp_status trp_route_fit_check(const struct trp_route_checking *c, const struct trp_route_plan *p,
                               const struct trp_route_goal *g, const struct trp_signature *s)
{
    TRP_CHECK(check_there(c, p, g, s));
    return check_back(c, p, g, s);
}
