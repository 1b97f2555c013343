/* route/route_check.c - whether all routes of a file can be followed, as far as that can be
 * known before a request comes.
 *
 * Longer than other files, because all of it goes by what targets take and give, which is found
 * once a check: first what is refused, then what is only doubted, which serves. */
#include <stdio.h>

#include "base/arena.h"
#include "repo/digest.h"
#include "route/route_canary.h"
#include "route/route_file_parts.h"
#include "route/route_fit.h"
#include "route/route_hedge.h"
#include "route/route_parts.h"
#include "route/route_rows.h"
#include "route/route_types.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

struct face { /* what all targets of a route take and give */
    bool was_looked_for;
    const struct trp_signature *signature; /* NULL: they differ, or nobody knows (yet) */
};

struct checking {
    const struct trp_route_file *file;
    const struct trp_route_check *check;
    struct trp_arena *arena; /* of what is found out, for the time of the check */
    struct face *faces;      /* one for each route */
    struct trp_error *err;
};

/* routes_n: no route is called so. */
static uint32_t index_of(const struct trp_route_file *f, struct trp_str name)
{
    const struct trp_route_place *place = trp_table_get(f->names, name);
    return place ? place->index : f->routes_n;
}

static const struct trp_route_plan *plan_named(const struct trp_route_file *f, struct trp_str name)
{
    const uint32_t i = index_of(f, name);
    return i < f->routes_n ? trp_route_plan_of(f->routes[i]) : NULL;
}

/* ---- names ---- */

/* The nearest name is one of the route's own targets or of another route: who knows the others
 * cannot list them. */
static void hint_at(const struct checking *c, const struct trp_route_plan *p, struct trp_str name,
                    char hint[TRP_ROUTE_HINT_MAX])
{
    struct trp_str names[64];
    uint32_t n = 0;
    const struct trp_node *targets =
        p->at->kind == TRP_NODE_MAP ? trp_node_get(p->at, "targets") : NULL;
    for (const struct trp_node *t = targets ? targets->first : NULL; t; t = t->next)
        if (n < ARRAY_LEN(names) / 2)
            names[n++] = t->key;
    for (uint32_t i = 0; i < c->file->routes_n && n < ARRAY_LEN(names); i++)
        if (trp_route_plan_of(c->file->routes[i]) != p) /* it would lead back to itself */
            names[n++] = trp_route_plan_of(c->file->routes[i])->name;
    trp_route_hint(hint, name, names, n);
    if (!hint[0] && c->check->nearest)
        c->check->nearest(c->check->user, name, hint);
}

/* `written`: with its version or label. */
static trp_status no_version(const struct checking *c, const struct trp_route_plan *p,
                             const struct trp_node *at, struct trp_str model,
                             struct trp_str written)
{
    char hint[TRP_ROUTE_HINT_MAX] = "", has[TRP_ROUTE_VERSIONS_MAX] = "";
    if (c->check->nearest)
        c->check->nearest(c->check->user, written, hint);
    if (c->check->versions && !strchr(hint, '@')) { /* the bare model is no help */
        hint[0] = '\0';
        c->check->versions(c->check->user, model, has);
    }
    return trp_route_source_fail(p->source, at, written, c->err,
                                 "'%.*s' has no such version or label%s%s%s", TRP_STR(model),
                                 has[0] ? "; it has " : "", has, hint);
}

/* Where the name of a target is written. */
static const struct trp_node *name_at(const struct trp_route_goal *g, struct trp_str *out_focus)
{
    const struct trp_node *const model = trp_node_get(g->target, "model");
    *out_focus = model ? model->v.s : g->text;
    return model ? model : g->at;
}

static trp_status check_name(const struct checking *c, const struct trp_route_plan *p,
                             const struct trp_route_goal *g)
{
    char hint[TRP_ROUTE_HINT_MAX];
    struct trp_str focus;
    const struct trp_node *const at = name_at(g, &focus);
    const struct trp_route_plan *other = plan_named(c->file, g->model);
    if (other && g->version != 0 && g->version != 1)
        return trp_route_source_fail(p->source, at, focus, c->err, "route '%.*s' has no versions",
                                     TRP_STR(g->model));
    if (other || p->may_miss || c->check->known(c->check->user, g->model, g->version))
        return trp_ok();
    if (g->version != 0 && c->check->known(c->check->user, g->model, 0))
        return no_version(c, p, at, g->model, focus);
    hint_at(c, p, g->model, hint);
    return trp_route_source_fail(p->source, at, focus, c->err,
                                 "there is no model, route or composition '%.*s'%s (`missing: "
                                 "allow` of the route lets it be named all the same)",
                                 TRP_STR(g->model), hint);
}

/* A condition that asks for the load of what is not there would be unknown for ever, and nobody
 * would be told why. */
static trp_status check_loads(const struct checking *c, const struct trp_route_plan *p,
                              const struct trp_expr *expr, const struct trp_node *at)
{
    struct trp_str name, model;
    uint32_t cursor = 0;
    int64_t version;
    char hint[TRP_ROUTE_HINT_MAX];
    while (expr && !p->may_miss && trp_expr_next_model(expr, &cursor, &name)) {
        if (!trp_route_goal_parse(name, &model, &version)) {
            model = name;
            version = 0;
        }
        if (plan_named(c->file, model) || c->check->known(c->check->user, model, version))
            continue;
        if (version != 0 && c->check->known(c->check->user, model, 0))
            return no_version(c, p, at, model, name);
        hint_at(c, p, model, hint);
        return trp_route_source_fail(p->source, at, name, c->err,
                                     "there is no model, route or composition '%.*s'%s (`missing: "
                                     "allow` of the route lets it be named all the same)",
                                     TRP_STR(name), hint);
    }
    return trp_ok();
}

/* ---- circles ---- */

static trp_status walk(const struct checking *c, const struct trp_route_plan *p,
                       const struct trp_route_plan *const *above, uint32_t depth)
{
    const struct trp_route_plan *path[TRP_ROUTE_DEPTH_MAX + 1];
    for (uint32_t i = 0; i < depth; i++)
        path[i] = above[i];
    path[depth] = p;
    for (uint32_t i = 0; i < p->goals_n; i++) {
        const struct trp_route_goal *g = &p->goals[i];
        const struct trp_route_plan *next = plan_named(c->file, g->model);
        for (uint32_t k = 0; next && k <= depth; k++)
            if (path[k] == next)
                return trp_route_source_fail(p->source, g->at, g->text, c->err,
                                             "route '%.*s' leads back to itself by '%.*s'",
                                             TRP_STR(next->name), TRP_STR(p->name));
        if (next && depth + 1 >= TRP_ROUTE_DEPTH_MAX)
            return trp_route_source_fail(p->source, g->at, g->text, c->err,
                                         "more than %u routes stand behind each other",
                                         TRP_ROUTE_DEPTH_MAX);
        if (next)
            TRP_CHECK(walk(c, next, path, depth + 1));
    }
    return trp_ok();
}

/* ---- what targets take ---- */

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

static trp_status lacks(const struct checking *c, const struct trp_route_plan *p,
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
static trp_status check_cast(const struct checking *c, const struct trp_route_plan *p,
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

static trp_status check_fit(const struct checking *c, const struct trp_route_plan *p,
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

struct party { /* a target of a rule, and what it takes */
    const struct trp_route_goal *goal;
    const struct trp_signature *signature;
    const struct trp_node *at; /* where the rule names it */
};

static struct trp_str client_output(const struct trp_route_goal *g, struct trp_str theirs)
{
    for (uint32_t i = 0; g->fit && i < g->fit->outputs_n; i++)
        if (trp_str_is_equal(g->fit->outputs[i].theirs, theirs))
            return g->fit->outputs[i].ours;
    return theirs;
}

/* What a target is said to give besides must be none of its own, under its name in the route. */
static trp_status check_given(const struct checking *c, const struct trp_route_plan *p,
                              const struct trp_route_goal *g, const struct trp_signature *s)
{
    for (uint32_t i = 0; g->fit && i < g->fit->given_n; i++)
        for (uint32_t k = 0; k < s->outputs_n; k++)
            if (trp_str_is_equal(client_output(g, s->outputs[k].name), g->fit->given[i].name))
                return trp_route_source_fail(
                    p->source, line_of(g, "constant_outputs", g->fit->given[i].name),
                    g->fit->given[i].name, c->err, "'%.*s' gives the output '%.*s' itself",
                    TRP_STR(g->model), TRP_STR(g->fit->given[i].name));
    return trp_ok();
}

/* The element type that clients get for an output; NO_DTYPE: it is not given. */
static int32_t dtype_given(const struct party *by, struct trp_str name)
{
    const struct trp_route_fit *fit = by->goal->fit;
    for (uint32_t i = 0; i < by->signature->outputs_n; i++)
        if (trp_str_is_equal(client_output(by->goal, by->signature->outputs[i].name), name))
            return trp_route_fit_dtype_given(fit, by->signature, &by->signature->outputs[i]);
    for (uint32_t i = 0; fit && i < fit->given_n; i++)
        if (trp_str_is_equal(fit->given[i].name, name))
            return fit->given[i].tensor.dtype;
    return TROUPE_NO_DTYPE;
}

/* How clients of the route call an input of a target; false: the route gives it. */
static bool client_name(const struct trp_route_goal *g, struct trp_str name, struct trp_str *out)
{
    const struct trp_route_fit *fit = g->fit;
    *out = name;
    for (uint32_t i = 0; fit && i < fit->constants_n; i++)
        if (trp_str_is_equal(fit->constants[i].name, name))
            return false;
    for (uint32_t i = 0; fit && i < fit->inputs_n; i++)
        if (trp_str_is_equal(fit->inputs[i].theirs, name))
            *out = fit->inputs[i].ours;
    return true;
}

static bool is_cast(const struct trp_route_goal *g, struct trp_str name)
{
    for (uint32_t i = 0; g->fit && i < g->fit->casts_n; i++)
        if (trp_str_is_equal(g->fit->casts[i].name, name))
            return true;
    return false;
}

/* The input of a target that clients of the route call so; NULL: it has none. */
static const struct trp_io *input_called(const struct trp_route_goal *g,
                                         const struct trp_signature *s, struct trp_str ours)
{
    for (uint32_t i = 0; i < s->inputs_n; i++) {
        struct trp_str name;
        if (client_name(g, s->inputs[i].name, &name) && trp_str_is_equal(name, ours))
            return &s->inputs[i];
    }
    return NULL;
}

/* Each input that one needs the other must take, and of the same type: one request goes to
 * either. */
static trp_status check_needs(const struct checking *c, const struct trp_route_plan *p,
                              const struct party *needing, const struct party *taking,
                              const struct party *blamed)
{
    const struct trp_route_goal *from = needing->goal, *to = taking->goal;
    const struct trp_signature *needs = needing->signature, *takes = taking->signature;
    for (uint32_t i = 0; i < needs->inputs_n; i++) {
        const struct trp_io *io = &needs->inputs[i];
        struct trp_str name;
        if (io->optional || !client_name(from, io->name, &name))
            continue;
        const struct trp_io *other = input_called(to, takes, name);
        if (!other)
            return trp_route_source_fail(p->source, blamed->at, blamed->goal->text, c->err,
                                         "'%.*s' needs the input '%.*s', and '%.*s' does not take "
                                         "it: one cannot stand in for the other",
                                         TRP_STR(from->text), TRP_STR(name), TRP_STR(to->text));
        if (other->dtype != io->dtype && !is_cast(from, io->name) && !is_cast(to, other->name))
            return trp_route_source_fail(p->source, blamed->at, blamed->goal->text, c->err,
                                         "'%.*s' takes %s for '%.*s', and '%.*s' takes %s: one "
                                         "cannot stand in for the other",
                                         TRP_STR(from->text), trp_dtype_name(io->dtype),
                                         TRP_STR(name), TRP_STR(to->text),
                                         trp_dtype_name(other->dtype));
    }
    return trp_ok();
}

#define GIVEN_MAX 64u /* bytes of the names of outputs in a message */

/* The names of outputs that both give: what the first one could do with.  Empty: none, or more
 * than a message has room for. */
static const char *list_common(const struct party *first, const struct party *other,
                               char out[GIVEN_MAX])
{
    const struct trp_signature *s = first->signature;
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < s->outputs_n; i++) {
        const struct trp_str name = client_output(first->goal, s->outputs[i].name);
        const bool is_common = dtype_given(first, name) == dtype_given(other, name);
        if (is_common && used + name.len + sizeof ", " > GIVEN_MAX)
            return "";
        if (is_common)
            used += (size_t)snprintf(out + used, GIVEN_MAX - used, "%s%.*s", used ? ", " : "",
                                     TRP_STR(name));
    }
    return out;
}

/* With what can be written to help it. */
static trp_status lacks_output(const struct checking *c, const struct trp_route_plan *p,
                               const struct party *first, const struct party *other,
                               struct trp_str name)
{
    const struct trp_route_goal *from = first->goal, *to = other->goal;
    char common[GIVEN_MAX], way[200] = "";
    if (!from->fit && list_common(first, other, common)[0] && from->text.len < 40)
        (void)snprintf(way, sizeof way,
                       ": pipelines: { NAME: { steps: [ { model: %.*s } ], outputs: [ %s ] } }",
                       TRP_STR(from->text), common);
    return trp_route_source_fail(p->source, other->at, to->text, c->err,
                                 "'%.*s' has the output '%.*s', and '%.*s' does not: one cannot "
                                 "stand in for the other; a pipeline of one step with fewer "
                                 "`outputs` can, or `constant_outputs`%s",
                                 TRP_STR(from->text), TRP_STR(name), TRP_STR(to->text), way);
}

/* Each output of the first choice is one of who stands in for it, and of the same type: clients
 * may ask for any of them by name. */
static trp_status check_gives(const struct checking *c, const struct trp_route_plan *p,
                              const struct party *first, const struct party *other)
{
    const struct trp_route_goal *from = first->goal, *to = other->goal;
    const uint32_t own_n = first->signature->outputs_n;
    const uint32_t all_n = own_n + (from->fit ? from->fit->given_n : 0);
    for (uint32_t i = 0; i < all_n; i++) {
        const struct trp_str name = i < own_n
                                        ? client_output(from, first->signature->outputs[i].name)
                                        : from->fit->given[i - own_n].name;
        const int32_t given = dtype_given(first, name), given_too = dtype_given(other, name);
        if (given_too == TROUPE_NO_DTYPE)
            return lacks_output(c, p, first, other, name);
        if (given != given_too)
            return trp_route_source_fail(p->source, other->at, to->text, c->err,
                                         "'%.*s' gives %s for '%.*s', and '%.*s' gives %s: one "
                                         "cannot stand in for the other; `cast` of an output can "
                                         "change that",
                                         TRP_STR(from->text), trp_dtype_name(given), TRP_STR(name),
                                         TRP_STR(to->text), trp_dtype_name(given_too));
    }
    return trp_ok();
}

static bool has_all(const struct trp_io *some, uint32_t some_n, const struct trp_io *all,
                    uint32_t all_n)
{
    for (uint32_t i = 0; i < some_n; i++) {
        bool is_there = false;
        for (uint32_t k = 0; k < all_n && !is_there; k++)
            is_there = trp_str_is_equal(some[i].name, all[k].name) && some[i].dtype == all[k].dtype;
        if (!is_there)
            return false;
    }
    return true;
}

static bool is_alike(const struct trp_signature *a, const struct trp_signature *b)
{
    return a->inputs_n == b->inputs_n && a->outputs_n == b->outputs_n &&
           has_all(a->inputs, a->inputs_n, b->inputs, b->inputs_n) &&
           has_all(a->outputs, a->outputs_n, b->outputs, b->outputs_n);
}

static trp_status find_signature(const struct checking *c, const struct trp_route_goal *g,
                                 const struct trp_signature **out);

/* As the one in front of it sees a target. */
static trp_status find_fitted(const struct checking *c, const struct trp_route_goal *g,
                              const struct trp_signature **out)
{
    TRP_CHECK(find_signature(c, g, out));
    for (uint32_t i = 0; *out && g->fit && i < g->fit->casts_n; i++)
        if (trp_signature_input(*out, g->fit->casts[i].name))
            *out = NULL; /* it takes numbers of other types, too */
    if (!*out || !g->fit)
        return trp_ok();
    struct trp_signature *s = trp_arena_zeroed(c->arena, 1, sizeof *s);
    if (!s)
        return trp_fail(c->err, TRP_OUT_OF_MEMORY, "the check of '%.*s'", TRP_STR(g->text));
    TRP_CHECK(trp_signature_dup(*out, c->arena, s, c->err));
    *out = s;
    return trp_route_fit_describe(g->fit, c->arena, s, c->err);
}

/* The same, of so many rows at most. */
static trp_status with_rows(const struct checking *c, const struct trp_signature *s, int32_t rows,
                            const struct trp_signature **out)
{
    struct trp_signature *copy = trp_arena_zeroed(c->arena, 1, sizeof *copy);
    if (!copy)
        return trp_fail(c->err, TRP_OUT_OF_MEMORY, "the check of routes");
    *copy = *s;
    copy->batch_max = rows;
    *out = copy;
    return trp_ok();
}

/* Where its targets differ, only its own rules know what it takes.  walk() was there: it ends. */
static trp_status look_behind(const struct checking *c, const struct trp_route_plan *p,
                              struct face *face)
{
    const struct trp_signature *first = NULL, *s;
    struct trp_route_rows rows;
    face->was_looked_for = true;
    trp_route_rows_init(&rows, p);
    for (uint32_t i = 0; i < p->goals_n; i++) {
        TRP_CHECK(find_fitted(c, &p->goals[i], &s));
        if (!s || (first && !is_alike(first, s)))
            return trp_ok();
        if (trp_route_rows_asks(&rows, i))
            trp_route_rows_add(&rows, s);
        first = first ? first : s;
    }
    const int32_t limit = first ? trp_route_rows_limit(&rows, first) : 0;
    if (limit)
        TRP_CHECK(with_rows(c, first, limit, &first));
    face->signature = first;
    return trp_ok();
}

/* What a target takes and gives; *out is NULL: nobody knows (yet). */
static trp_status find_signature(const struct checking *c, const struct trp_route_goal *g,
                                 const struct trp_signature **out)
{
    const uint32_t i = index_of(c->file, g->model);
    *out = NULL;
    if (i == c->file->routes_n) {
        *out = c->check->signature(c->check->user, g->model, g->version);
        return trp_ok();
    }
    if (!c->faces[i].was_looked_for)
        TRP_CHECK(look_behind(c, trp_route_plan_of(c->file->routes[i]), &c->faces[i]));
    *out = c->faces[i].signature;
    return trp_ok();
}

static const struct trp_node *nth(const struct trp_node *at, uint32_t i)
{
    const bool has_many = at && (at->kind == TRP_NODE_LIST || at->kind == TRP_NODE_MAP);
    const struct trp_node *n = has_many ? at->first : at;
    for (; has_many && n && i > 0; i--)
        n = n->next;
    return n;
}

/* "b", or { use: b, ... } */
static const struct trp_node *used(const struct trp_node *at)
{
    return at && at->kind == TRP_NODE_MAP ? trp_node_get(at, "use") : at;
}

/* The targets of a rule, one after the other: choices, fallbacks, the canary, the hedge, the
 * shadow; and where it names them. */
static uint32_t goal_of(const struct trp_route_rule *rule, uint32_t i,
                        const struct trp_node **out_at)
{
    const struct trp_node *use = trp_node_get(rule->at, "use");
    if (i < rule->choices_n) {
        *out_at = use ? use : nth(trp_node_get(rule->at, "split"), i);
        return rule->choices[i].goal;
    }
    i -= rule->choices_n;
    if (i < rule->fallback_n) {
        *out_at = nth(trp_node_get(rule->at, "fallback"), i);
        return rule->fallback[i];
    }
    i -= rule->fallback_n;
    if (rule->canary && i-- == 0) {
        *out_at = used(trp_node_get(rule->at, "canary"));
        return rule->canary->goal;
    }
    const bool is_hedge = i == 0 && rule->hedge && rule->hedge->goal;
    *out_at = used(trp_node_get(rule->at, is_hedge ? "hedge" : "shadow"));
    return is_hedge ? rule->hedge->goal - 1 : rule->shadow - 1;
}

static uint32_t count_goals(const struct trp_route_rule *rule)
{
    return rule->choices_n + rule->fallback_n + (rule->canary ? 1 : 0) +
           (rule->hedge && rule->hedge->goal ? 1 : 0) + (rule->shadow ? 1 : 0);
}

/* One of them; its signature is NULL where nobody knows (yet) what it takes. */
static trp_status find_party(const struct checking *c, const struct trp_route_plan *p,
                             const struct trp_route_rule *rule, uint32_t i, struct party *out)
{
    out->goal = &p->goals[goal_of(rule, i, &out->at)];
    out->at = out->at ? out->at : out->goal->at;
    return find_signature(c, out->goal, &out->signature);
}

/* The targets of one rule get the same requests. */
static trp_status check_rule(const struct checking *c, const struct trp_route_plan *p,
                             const struct trp_route_rule *rule)
{
    const uint32_t n = count_goals(rule);
    struct party one, two;
    TRP_CHECK(find_party(c, p, rule, 0, &one));
    for (uint32_t i = 1; one.signature && i < n; i++) {
        TRP_CHECK(find_party(c, p, rule, i, &two));
        if (!two.signature)
            continue;
        TRP_CHECK(check_needs(c, p, &one, &two, &two));
        TRP_CHECK(check_needs(c, p, &two, &one, &two));
        if (i + 1 < n || !rule->shadow) /* nobody gets a shadow's answer */
            TRP_CHECK(check_gives(c, p, &one, &two));
    }
    return trp_ok();
}

/* ---- shapes ---- */

/* Whether some tensor has both shapes. */
static bool can_be_both(const struct trp_io *a, const struct trp_io *b)
{
    const bool is_any = a->any_rank || b->any_rank || a->shape_unchecked || b->shape_unchecked;
    bool can = is_any || a->rank == b->rank;
    for (uint32_t i = 0; can && !is_any && i < a->rank; i++)
        can = a->dims[i] == b->dims[i] || a->dims[i] < 0 || b->dims[i] < 0;
    return can;
}

static trp_status tell_shapes(const struct checking *c, const struct trp_route_plan *p,
                              const struct party *one, const struct trp_io *a,
                              const struct party *two, const struct trp_io *b)
{
    const bool is_taken = trp_signature_input(one->signature, a->name) == a;
    char first[160], second[160];
    return trp_route_source_fail(
        p->source, two->at, two->goal->text, c->err, "'%.*s' %s %s for '%.*s', and '%.*s' %s: %s",
        TRP_STR(one->goal->text), is_taken ? "takes" : "gives",
        trp_shape_format(a->dims, a->rank, first, sizeof first), TRP_STR(a->name),
        TRP_STR(two->goal->text), trp_shape_format(b->dims, b->rank, second, sizeof second),
        is_taken ? "no request fits both" : "one does not give what the other does");
}

/* Of what both take, and of what both give, under the names that clients of the route have for
 * it. */
static trp_status compare_shapes(const struct checking *c, const struct trp_route_plan *p,
                                 const struct party *one, const struct party *two)
{
    const struct trp_signature *a = one->signature, *b = two->signature;
    for (uint32_t i = 0; i < a->inputs_n; i++) {
        struct trp_str name;
        const struct trp_io *io = client_name(one->goal, a->inputs[i].name, &name)
                                      ? input_called(two->goal, b, name)
                                      : NULL;
        if (io && !can_be_both(&a->inputs[i], io))
            return tell_shapes(c, p, one, &a->inputs[i], two, io);
    }
    for (uint32_t i = 0; i < a->outputs_n; i++) {
        const struct trp_str name = client_output(one->goal, a->outputs[i].name);
        for (uint32_t k = 0; k < b->outputs_n; k++)
            if (trp_str_is_equal(client_output(two->goal, b->outputs[k].name), name) &&
                !can_be_both(&a->outputs[i], &b->outputs[k]))
                return tell_shapes(c, p, one, &a->outputs[i], two, &b->outputs[k]);
    }
    return trp_ok();
}

/* Shapes that cannot be the same are no mistake, as types are: what a file says of them may be
 * looser or stricter than what is asked. They are doubted. */
static trp_status check_shapes(const struct checking *c, const struct trp_route_plan *p)
{
    struct party one, two;
    for (uint32_t r = 0; r < p->rules_n; r++) {
        const uint32_t n = count_goals(&p->rules[r]);
        TRP_CHECK(find_party(c, p, &p->rules[r], 0, &one));
        for (uint32_t i = 1; one.signature && i < n; i++) {
            TRP_CHECK(find_party(c, p, &p->rules[r], i, &two));
            if (two.signature)
                TRP_CHECK(compare_shapes(c, p, &one, &two));
        }
    }
    return trp_ok();
}

/* ---- rows ---- */

struct measured { /* a target of a rule, and how many rows it takes */
    struct party party;
    int64_t rows; /* 0: none was found */
};

static trp_status tell_rows(const struct checking *c, const struct trp_route_plan *p,
                            const struct measured *least, const struct measured *most)
{
    char other[32] = "any number";
    if (most->rows < INT64_MAX)
        (void)snprintf(other, sizeof other, "%lld", (long long)most->rows);
    return trp_route_source_fail(p->source, least->party.at, least->party.goal->text, c->err,
                                 "'%.*s' takes at most %lld rows, and '%.*s' %s: a request of more "
                                 "is refused where it meets '%.*s'",
                                 TRP_STR(least->party.goal->text), (long long)least->rows,
                                 TRP_STR(most->party.goal->text), other,
                                 TRP_STR(least->party.goal->text));
}

/* Too many rows are the client's own mistake, which falls back nowhere: whether a request is
 * answered must not hang on whom it meets.  Nobody gets a shadow's answer. */
static trp_status compare_rows(const struct checking *c, const struct trp_route_plan *p,
                               const struct trp_route_rule *rule)
{
    const uint32_t n = count_goals(rule) - (rule->shadow ? 1 : 0);
    struct measured least = { .rows = 0 }, most = { .rows = 0 };
    for (uint32_t i = 0; i < n; i++) {
        struct measured m = { .rows = 0 };
        TRP_CHECK(find_party(c, p, rule, i, &m.party));
        m.rows = m.party.signature ? trp_signature_rows_max(m.party.signature) : 0;
        if (m.rows > 0 && (least.rows == 0 || m.rows < least.rows))
            least = m;
        if (m.rows > most.rows)
            most = m;
    }
    return least.rows < most.rows ? tell_rows(c, p, &least, &most) : trp_ok();
}

/* ---- what rules give ---- */

/* Each output of one is the other's, too; of `of` it is told, whoever that is. */
static trp_status compare_outputs(const struct checking *c, const struct trp_route_plan *p,
                                  const struct party *one, const struct party *two,
                                  const struct party *of)
{
    const struct trp_route_fit *fit = one->goal->fit;
    const uint32_t own_n = one->signature->outputs_n, all_n = own_n + (fit ? fit->given_n : 0);
    for (uint32_t i = 0; i < all_n; i++) {
        const struct trp_str name = i < own_n
                                        ? client_output(one->goal, one->signature->outputs[i].name)
                                        : fit->given[i - own_n].name;
        const int32_t given = dtype_given(one, name), other = dtype_given(two, name);
        if (other == TROUPE_NO_DTYPE)
            return trp_route_source_fail(p->source, of->at, of->goal->text, c->err,
                                         "'%.*s' gives '%.*s', and '%.*s' of another rule does "
                                         "not: clients are told of what the last rule gives",
                                         TRP_STR(one->goal->text), TRP_STR(name),
                                         TRP_STR(two->goal->text));
        if (other != given)
            return trp_route_source_fail(p->source, of->at, of->goal->text, c->err,
                                         "'%.*s' gives %s for '%.*s', and '%.*s' of another rule "
                                         "%s: clients are told of what the last rule gives",
                                         TRP_STR(one->goal->text), trp_dtype_name(given),
                                         TRP_STR(name), TRP_STR(two->goal->text),
                                         trp_dtype_name(other));
    }
    return trp_ok();
}

/* The last rule's is what clients are shown: what another one gives more, or does not give, they
 * see only when it answers. */
static trp_status compare_rules(const struct checking *c, const struct trp_route_plan *p)
{
    struct party shown, other;
    TRP_CHECK(find_party(c, p, &p->rules[p->rules_n - 1], 0, &shown));
    for (uint32_t i = 0; shown.signature && i + 1 < p->rules_n; i++) {
        TRP_CHECK(find_party(c, p, &p->rules[i], 0, &other));
        if (!other.signature)
            continue;
        TRP_CHECK(compare_outputs(c, p, &shown, &other, &other));
        TRP_CHECK(compare_outputs(c, p, &other, &shown, &other));
    }
    return trp_ok();
}

/* All that is told and keeps nobody from serving. */
static trp_status check_doubts(const struct checking *c, const struct trp_route_plan *p)
{
    TRP_CHECK(check_shapes(c, p));
    for (uint32_t i = 0; i < p->rules_n; i++)
        TRP_CHECK(compare_rows(c, p, &p->rules[i]));
    return compare_rules(c, p);
}

/* ---- all of it ---- */

/* What rules say of inputs, against what the targets take; nothing can be said while one of them
 * is not known. */
static trp_status check_types(const struct checking *c, const struct trp_route_plan *p)
{
    const struct trp_signature *signatures[TRP_ROUTE_GOALS_MAX];
    for (uint32_t i = 0; i < p->goals_n; i++) {
        TRP_CHECK(find_signature(c, &p->goals[i], &signatures[i]));
        if (!signatures[i])
            return trp_ok();
    }
    return trp_route_types_check(c->file, p, signatures, c->err);
}

/* Whether anybody has the name of a target, whatever its version. */
static bool is_there(const struct checking *c, const struct trp_route_goal *g)
{
    return plan_named(c->file, g->model) || c->check->known(c->check->user, g->model, 0);
}

/* Who was there when the rules were read may have left. */
static trp_status check_presence(const struct checking *c, const struct trp_route_plan *p)
{
    for (uint32_t i = 0; !p->may_miss && i < p->goals_n; i++) {
        const struct trp_route_goal *g = &p->goals[i];
        struct trp_str focus;
        const struct trp_node *const at = name_at(g, &focus);
        if (!is_there(c, g))
            return trp_route_source_fail(p->source, at, focus, c->err,
                                         "'%.*s' is not there any more", TRP_STR(g->model));
    }
    return trp_ok();
}

/* Whether all fits, as far as it is known what targets take. */
static trp_status check_fits(const struct checking *c, const struct trp_route_plan *p)
{
    for (uint32_t i = 0; i < p->goals_n; i++) {
        const struct trp_signature *s;
        TRP_CHECK(find_signature(c, &p->goals[i], &s));
        if (s)
            TRP_CHECK(check_fit(c, p, &p->goals[i], s));
        if (s)
            TRP_CHECK(check_given(c, p, &p->goals[i], s));
    }
    for (uint32_t i = 0; i < p->rules_n; i++)
        TRP_CHECK(check_rule(c, p, &p->rules[i]));
    return check_types(c, p);
}

static trp_status check_plan(const struct checking *c, const struct trp_route_plan *p)
{
    for (uint32_t i = 0; i < p->goals_n; i++)
        TRP_CHECK(check_name(c, p, &p->goals[i]));
    TRP_CHECK(walk(c, p, NULL, 0)); /* before anybody follows it */
    for (uint32_t i = 0; i < p->rules_n; i++) {
        const struct trp_route_rule *rule = &p->rules[i];
        TRP_CHECK(check_loads(c, p, rule->when, rule->when_at));
        TRP_CHECK(check_loads(c, p, rule->sticky, rule->sticky_at));
    }
    return check_fits(c, p);
}

static uint64_t mix_ios(uint64_t digest, const struct trp_io *ios, uint32_t n)
{
    digest = trp_digest_add(digest, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct trp_io *io = &ios[i];
        const uint64_t bits = (uint64_t)io->optional | (uint64_t)io->any_rank << 1 |
                              (uint64_t)io->shape_unchecked << 2 | (uint64_t)io->rank << 8;
        digest = trp_digest_add_str(digest, io->name);
        digest = trp_digest_add(digest, (uint64_t)(uint32_t)io->dtype << 32 | bits);
        for (uint32_t k = 0; k < io->rank; k++)
            digest = trp_digest_add(digest, (uint64_t)io->dims[k]);
    }
    return digest;
}

/* What is known of what all targets take and give, in one number that is not 0: all that
 * check_presence(), check_fits() and check_doubts() go by.  Of a route, what all of its own have in
 * common. */
static trp_status digest_known(const struct checking *c, const struct trp_route_plan *p,
                               uint64_t *out_digest)
{
    const struct trp_signature *s;
    uint64_t digest = 1;
    for (uint32_t i = 0; i < p->goals_n; i++) {
        TRP_CHECK(find_signature(c, &p->goals[i], &s));
        digest = trp_digest_add(digest, s ? 1 : is_there(c, &p->goals[i]) ? 0 : 2);
        digest = s ? trp_digest_add(digest, (uint64_t)(uint32_t)s->batch_max) : digest;
        digest = s ? mix_ios(digest, s->inputs, s->inputs_n) : digest;
        digest = s ? mix_ios(digest, s->outputs, s->outputs_n) : digest;
    }
    *out_digest = digest ? digest : 1;
    return trp_ok();
}

/* Keeps for later what was known; nothing, when there is something to doubt, which is told by
 * the next look. */
static trp_status keep_known(const struct checking *c, struct trp_router *route)
{
    const struct trp_route_plan *p = trp_route_plan_of(route);
    struct trp_error doubt = { 0 };
    struct checking mild = *c;
    mild.err = &doubt;
    if (trp_failed(check_doubts(&mild, p))) {
        route->known = 0;
        return trp_ok();
    }
    return digest_known(c, p, &route->known);
}

/* One of those that are checked; `keeps` for later what was known. */
static trp_status check_route(const struct checking *c, struct trp_router *route, bool keeps)
{
    const struct trp_route_plan *p = trp_route_plan_of(route);
    const trp_status st = check_plan(c, p);
    if (!trp_failed(st))
        return keeps ? keep_known(c, route) : st;
    const struct trp_route_check *check = c->check;
    return check->spare && check->spare(check->spare_user, p->name, c->err) ? trp_ok() : st;
}

static trp_status check_range(const struct trp_route_file *f, uint32_t first, uint32_t end,
                              bool keeps, const struct trp_route_check *check,
                              struct trp_error *err)
{
    struct trp_arena arena;
    trp_arena_init(&arena, f->alloc, 4096, 0);
    struct trp_error own = { 0 };
    const struct checking c = { .file = f,
                                .check = check,
                                .arena = &arena,
                                .faces = trp_arena_zeroed(&arena, f->routes_n, sizeof *c.faces),
                                .err = &own };
    trp_status st = c.faces ? trp_ok() : trp_fail(&own, TRP_OUT_OF_MEMORY, "the check of routes");
    for (uint32_t i = first; !trp_failed(st) && i < end; i++)
        st = check_route(&c, f->routes[i], keeps);
    trp_arena_deinit(&arena);
    if (trp_failed(st) && err)
        *err = own;
    return st;
}

trp_status trp_route_file_check_one(const struct trp_route_file *f, uint32_t index,
                                    const struct trp_route_check *check, struct trp_error *err)
{
    return check_range(f, index, index + 1, false, check, err);
}

trp_status trp_route_file_check(const struct trp_route_file *f, const struct trp_route_check *check,
                                struct trp_error *err)
{
    return check_range(f, 0, f->own_n, true, check, err);
}

/* ---- what becomes known later ---- */

/* True: there is news of it; *out_doubt is NULL where it fits. */
static bool look_again(const struct checking *c, struct trp_router *r, const char **out_doubt)
{
    uint64_t known;
    *c->err = (struct trp_error){ 0 };
    if (trp_failed(digest_known(c, r->plan, &known)) || known == r->known)
        return false;
    trp_status st = check_presence(c, r->plan);
    if (!trp_failed(st))
        st = check_fits(c, r->plan);
    if (!trp_failed(st))
        st = check_doubts(c, r->plan);
    if (st.code == TRP_OUT_OF_MEMORY)
        return false;
    r->known = known;
    *out_doubt = trp_failed(st) ? c->err->text : NULL;
    return trp_route_set_doubt(r, *out_doubt);
}

void trp_route_file_look_again(const struct trp_route_file *f, const struct trp_route_check *check,
                               trp_route_news_fn news, void *user)
{
    struct trp_arena arena;
    struct trp_error err = { 0 };
    trp_arena_init(&arena, f->alloc, 4096, 0);
    const struct checking c = { .file = f,
                                .check = check,
                                .arena = &arena,
                                .faces = trp_arena_zeroed(&arena, f->routes_n, sizeof *c.faces),
                                .err = &err };
    const char *doubt;
    for (uint32_t i = 0; c.faces && i < f->routes_n; i++)
        if (look_again(&c, f->routes[i], &doubt))
            news(user, f->routes[i], doubt);
    trp_arena_deinit(&arena);
}
