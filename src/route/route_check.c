/* route/route_check.c - whether all routes of a file can be followed, as far as that can be
 * known before a request comes: first what is refused, then what is only doubted, which serves. */
#include "base/arena.h"
#include "route/route_face.h"
#include "route/route_file_parts.h"
#include "route/route_fit_check.h"
#include "route/route_parts.h"
#include "route/route_stand_in.h"
#include "route/route_types.h"

/* ---- names ---- */

/* The nearest name is one of the route's own targets or of another route: who knows the others
 * cannot list them. */
static void hint_at(const struct trp_route_checking *c, const struct trp_route_plan *p,
                    struct trp_str name, char hint[TRP_ROUTE_HINT_MAX])
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
static trp_status no_version(const struct trp_route_checking *c, const struct trp_route_plan *p,
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

static trp_status check_name(const struct trp_route_checking *c, const struct trp_route_plan *p,
                             const struct trp_route_goal *g)
{
    char hint[TRP_ROUTE_HINT_MAX];
    struct trp_str focus;
    const struct trp_node *const at = name_at(g, &focus);
    const struct trp_route_plan *other = trp_route_checking_plan(c, g->model);
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
static trp_status check_loads(const struct trp_route_checking *c, const struct trp_route_plan *p,
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
        if (trp_route_checking_plan(c, model) || c->check->known(c->check->user, model, version))
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

static trp_status walk(const struct trp_route_checking *c, const struct trp_route_plan *p,
                       const struct trp_route_plan *const *above, uint32_t depth)
{
    const struct trp_route_plan *path[TRP_ROUTE_DEPTH_MAX + 1];
    for (uint32_t i = 0; i < depth; i++)
        path[i] = above[i];
    path[depth] = p;
    for (uint32_t i = 0; i < p->goals_n; i++) {
        const struct trp_route_goal *g = &p->goals[i];
        const struct trp_route_plan *next = trp_route_checking_plan(c, g->model);
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

/* ---- all of it ---- */

/* What rules say of inputs, against what the targets take; nothing can be said while one of them
 * is not known. */
static trp_status check_types(const struct trp_route_checking *c, const struct trp_route_plan *p)
{
    const struct trp_signature *signatures[TRP_ROUTE_GOALS_MAX];
    for (uint32_t i = 0; i < p->goals_n; i++) {
        TRP_CHECK(trp_route_face_signature(c, &p->goals[i], &signatures[i]));
        if (!signatures[i])
            return trp_ok();
    }
    return trp_route_types_check(c->file, p, signatures, c->err);
}

/* Who was there when the rules were read may have left. */
static trp_status check_presence(const struct trp_route_checking *c, const struct trp_route_plan *p)
{
    for (uint32_t i = 0; !p->may_miss && i < p->goals_n; i++) {
        const struct trp_route_goal *g = &p->goals[i];
        struct trp_str focus;
        const struct trp_node *const at = name_at(g, &focus);
        if (!trp_route_face_is_there(c, g))
            return trp_route_source_fail(p->source, at, focus, c->err,
                                         "'%.*s' is not there any more", TRP_STR(g->model));
    }
    return trp_ok();
}

/* Whether all fits, as far as it is known what targets take. */
static trp_status check_fits(const struct trp_route_checking *c, const struct trp_route_plan *p)
{
    for (uint32_t i = 0; i < p->goals_n; i++) {
        const struct trp_signature *s;
        TRP_CHECK(trp_route_face_signature(c, &p->goals[i], &s));
        if (s)
            TRP_CHECK(trp_route_fit_check(c, p, &p->goals[i], s));
    }
    for (uint32_t i = 0; i < p->rules_n; i++)
        TRP_CHECK(trp_route_stand_in_check(c, p, &p->rules[i]));
    return check_types(c, p);
}

static trp_status check_plan(const struct trp_route_checking *c, const struct trp_route_plan *p)
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

/* Keeps for later what was known; nothing, when there is something to doubt, which is told by
 * the next look. */
static trp_status keep_known(const struct trp_route_checking *c, struct trp_router *route)
{
    const struct trp_route_plan *p = trp_route_plan_of(route);
    struct trp_error doubt = { 0 };
    struct trp_route_checking mild = *c;
    mild.err = &doubt;
    if (trp_failed(trp_route_stand_in_doubt(&mild, p))) {
        route->known = 0;
        return trp_ok();
    }
    return trp_route_face_digest(c, p, &route->known);
}

/* One of those that are checked; `keeps` for later what was known. */
static trp_status check_route(const struct trp_route_checking *c, struct trp_router *route,
                              bool keeps)
{
    const struct trp_route_plan *p = trp_route_plan_of(route);
    const trp_status st = check_plan(c, p);
    if (!trp_failed(st))
        return keeps ? keep_known(c, route) : st;
    const struct trp_route_check *check = c->check;
    return check->spare && check->spare(check->spare_user, p->name, c->err) ? trp_ok() : st;
}

/* Without memory there are no faces. */
static struct trp_route_checking begin(const struct trp_route_file *f,
                                       const struct trp_route_check *check, struct trp_arena *arena,
                                       struct trp_error *err)
{
    trp_arena_init(arena, f->alloc, 4096, 0);
    struct trp_route_face *faces = trp_arena_zeroed(arena, f->routes_n, sizeof *faces);
    return (struct trp_route_checking){
        .file = f, .check = check, .arena = arena, .faces = faces, .err = err
    };
}

static trp_status check_range(const struct trp_route_file *f, uint32_t first, uint32_t end,
                              bool keeps, const struct trp_route_check *check,
                              struct trp_error *err)
{
    struct trp_arena arena;
    struct trp_error own = { 0 };
    const struct trp_route_checking c = begin(f, check, &arena, &own);
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
static bool look_again(const struct trp_route_checking *c, struct trp_router *r,
                       const char **out_doubt)
{
    uint64_t known;
    *c->err = (struct trp_error){ 0 };
    if (trp_failed(trp_route_face_digest(c, r->plan, &known)) || known == r->known)
        return false;
    trp_status st = check_presence(c, r->plan);
    if (!trp_failed(st))
        st = check_fits(c, r->plan);
    if (!trp_failed(st))
        st = trp_route_stand_in_doubt(c, r->plan);
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
    const struct trp_route_checking c = begin(f, check, &arena, &err);
    const char *doubt;
    for (uint32_t i = 0; c.faces && i < f->routes_n; i++)
        if (look_again(&c, f->routes[i], &doubt))
            news(user, f->routes[i], doubt);
    trp_arena_deinit(&arena);
}
