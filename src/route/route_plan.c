/* route/route_plan.c - see route_plan.h.
 *
 *   recommend:                         a route: a list of rules, or
 *     targets: { deep: { model: two_tower@2, inputs: { user: user_id }, ... } }
 *     rules:
 *       - when: params.purchases == 0  no `when`: always
 *         use: content_based           or split: { a: 95, b: 5 }
 *         sticky: params.user
 *         timeout: 30ms
 *         fallback: [ b, c ]
 *
 * A rule that can never be reached, because one without `when` stands before it, is an error: it
 * is one in the writer's mind. */
#include "route/route_plan.h"

#include <inttypes.h>
#include <stdio.h>

#include "conf/settings.h"
#include "model/version_label.h"
#include "route/policy_options.h"
#include "route/route_canary.h"
#include "route/route_fit.h"
#include "route/route_hedge.h"

#define RETRIES_MAX 10u

struct reading {
    const struct trp_route_reader *reader;
    struct trp_route_plan *plan;
    struct trp_breaker_opts breaker;
    bool has_breakers;
    const struct trp_node *targets; /* of the route; NULL: none */
    const char *file;
};

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "routes: no memory");
}

static bool is_text(const struct trp_node *n)
{
    return n->kind == TRP_NODE_WORD || n->kind == TRP_NODE_STR;
}

#define FAIL(r, at, focus, err, ...) \
    trp_route_source_fail((r)->reader->source, (at), (focus), (err), __VA_ARGS__)

static const struct trp_str none = { NULL, 0 };

static const struct trp_str rule_keys[] = {
    { "when", 4 },    { "use", 3 },      { "split", 5 },  { "sticky", 6 },
    { "timeout", 7 }, { "fallback", 8 }, { "shadow", 6 }, { "name", 4 },
    { "retries", 7 }, { "canary", 6 },   { "hedge", 5 },  { "fallback_on", 11 }
};

bool trp_route_goal_parse(struct trp_str text, struct trp_str *out_model, int64_t *out_version)
{
    size_t at = text.len;
    while (at > 0 && text.ptr[at - 1] != '@')
        at--;
    *out_model = text;
    *out_version = 0;
    if (at == 0)
        return text.len > 0;
    *out_model = trp_str_make(text.ptr, at - 1);
    return at > 1 &&
           trp_version_label_parse(trp_str_make(text.ptr + at, text.len - at), out_version);
}

const struct trp_route_goal *trp_route_plan_lead(const struct trp_route_plan *plan)
{
    const struct trp_route_rule *last = plan->rules_n > 0 ? &plan->rules[plan->rules_n - 1] : NULL;
    return last && last->choices_n > 0 ? &plan->goals[last->choices[0].goal] : NULL;
}

/* ---- keys ---- */

/* What other programs call it, which no distance between words finds. */
static const struct {
    const char *word, *meant;
} synonyms[] = { { "model", "use" },     { "target", "use" },       { "to", "use" },
                 { "if", "when" },       { "condition", "when" },   { "match", "when" },
                 { "weights", "split" }, { "deadline", "timeout" }, { "retry", "retries" },
                 { "mirror", "shadow" }, { "key", "sticky" } };

static void hint_at_key(char hint[TRP_ROUTE_HINT_MAX], struct trp_str key,
                        const struct trp_str *known, uint32_t known_n)
{
    for (size_t i = 0; i < ARRAY_LEN(synonyms); i++)
        for (uint32_t k = 0; trp_str_is(key, synonyms[i].word) && k < known_n; k++)
            if (trp_str_is(known[k], synonyms[i].meant)) {
                (void)snprintf(hint, TRP_ROUTE_HINT_MAX, "; did you mean '%s'?", synonyms[i].meant);
                return;
            }
    trp_route_hint(hint, key, known, known_n);
}

static trp_status unknown_key(const struct reading *r, const struct trp_node *at,
                              const struct trp_str *known, uint32_t known_n, const char *of,
                              struct trp_error *err)
{
    char hint[TRP_ROUTE_HINT_MAX];
    hint_at_key(hint, at->key, known, known_n);
    return FAIL(r, at, at->key, err, "unknown key '%.*s' of %s%s", TRP_STR(at->key), of, hint);
}

static bool is_known(struct trp_str key, const struct trp_str *known, uint32_t known_n)
{
    for (uint32_t i = 0; i < known_n; i++)
        if (trp_str_is_equal(key, known[i]))
            return true;
    return false;
}

static trp_status check_keys(const struct reading *r, const struct trp_node *map,
                             const struct trp_str *known, uint32_t known_n, const char *of,
                             struct trp_error *err)
{
    for (const struct trp_node *n = map->first; n; n = n->next)
        if (!is_known(n->key, known, known_n))
            return unknown_key(r, n, known, known_n, of, err);
    return trp_ok();
}

/* A rule where the list of them should stand: "r: { use: a }". */
static trp_status check_route_keys(const struct reading *r, const struct trp_node *map,
                                   struct trp_error *err)
{
    static const struct trp_str keys[] = {
        { "rules", 5 }, { "targets", 7 }, { "missing", 7 }, { "breaker", 7 }, { "budget", 6 }
    };
    for (const struct trp_node *n = map->first; n; n = n->next)
        if (!is_known(n->key, keys, ARRAY_LEN(keys)) &&
            is_known(n->key, rule_keys, ARRAY_LEN(rule_keys)))
            return FAIL(r, n, n->key, err,
                        "'%.*s' belongs to a rule, and a route is a list of rules: [ { use: TARGET "
                        "} ], or '- use: TARGET' in a line of its own",
                        TRP_STR(n->key));
    return check_keys(r, map, keys, ARRAY_LEN(keys), "a route", err);
}

/* ---- targets ---- */

/* The goal of a name; it gets a place when it is named for the first time. */
static trp_status take_goal(struct reading *r, const struct trp_node *at, struct trp_str text,
                            uint32_t *out_goal, struct trp_error *err)
{
    struct trp_route_plan *p = r->plan;
    struct trp_str model = text;
    for (uint32_t i = 0; i < p->goals_n; i++) {
        if (!trp_str_is_equal(p->goals[i].text, text))
            continue;
        *out_goal = i;
        return trp_ok();
    }
    if (p->goals_n == TRP_ROUTE_GOALS_MAX)
        return FAIL(r, at, text, err, "more than %u targets in one route", TRP_ROUTE_GOALS_MAX);
    struct trp_route_goal *g = &p->goals[p->goals_n];
    *g = (struct trp_route_goal){ .text = text, .at = at };
    trp_breaker_init(&g->breaker, &r->breaker);
    g->guarded.breaker = r->has_breakers ? &g->breaker : NULL;
    g->guarded.identity = g->bare.identity = g;
    const struct trp_node *target = trp_node_get_str(r->targets, text);
    g->target = target;
    if (target) {
        struct trp_route_fit *fit;
        const struct trp_route_fit_reader reader = { r->reader->arena, r->reader->source };
        TRP_CHECK(trp_route_fit_read(&reader, target, &model, &fit, err));
        g->fit = fit;
        model = model.len ? model : text;
    }
    if (!trp_route_goal_parse(model, &g->model, &g->version))
        return FAIL(r, target ? target : at, model, err,
                    "'%.*s' is no target: expected a model, model@3 or model@label",
                    TRP_STR(model));
    if (trp_str_is_equal(g->model, p->name))
        return FAIL(r, at, text, err, "route '%.*s' leads to itself", TRP_STR(p->name));
    *out_goal = p->goals_n++;
    return trp_ok();
}

static trp_status take_text_goal(struct reading *r, const struct trp_node *at, uint32_t *out_goal,
                                 struct trp_error *err)
{
    if (!is_text(at) || at->v.s.len == 0)
        return FAIL(r, at, at->key, err, "expected the name of a model, route or composition");
    return take_goal(r, at, at->v.s, out_goal, err);
}

static trp_status take_use(struct reading *r, struct trp_route_rule *rule,
                           const struct trp_node *at, struct trp_error *err)
{
    struct trp_route_choice *one = trp_arena_zeroed(r->reader->arena, 1, sizeof *one);
    if (!one)
        return no_memory(err);
    one->weight = 1;
    rule->choices = one;
    rule->choices_n = 1;
    return take_text_goal(r, at, &one->goal, err);
}

/* Per cent or any other numbers: what counts is their ratio.  Up to three decimals. */
static bool read_weight(const struct trp_node *at, uint32_t *out)
{
    double weight;
    if (!is_text(at) || !trp_str_parse_f64(at->v.s, &weight) || !(weight >= 0) || weight > 1e6)
        return false;
    *out = (uint32_t)(weight * 1000 + 0.5);
    return true;
}

static trp_status take_split(struct reading *r, struct trp_route_rule *rule,
                             const struct trp_node *at, struct trp_error *err)
{
    if (at->kind != TRP_NODE_MAP || at->children_n == 0 || at->children_n > TRP_ROUTE_CHOICES_MAX)
        return FAIL(r, at, at->key, err,
                    "split: expected 1 to %u targets with their weights, such as { a: 95, b: 5 }",
                    TRP_ROUTE_CHOICES_MAX);
    uint32_t weights[TRP_ROUTE_CHOICES_MAX];
    uint64_t sum = 0;
    struct trp_route_choice *all = trp_arena_zeroed(r->reader->arena, at->children_n, sizeof *all);
    if (!all)
        return no_memory(err);
    for (const struct trp_node *n = at->first; n; n = n->next) {
        struct trp_route_choice *c = &all[rule->choices_n++];
        if (!read_weight(n, &c->weight))
            return FAIL(r, n, n->key, err,
                        "the weight of '%.*s' is no number from 0 to 1000000, such as 95 (without "
                        "a %%: weights are shares of their sum)",
                        TRP_STR(n->key));
        weights[rule->choices_n - 1] = c->weight;
        sum += c->weight;
        TRP_CHECK(take_goal(r, n, n->key, &c->goal, err));
    }
    rule->choices = all;
    if (sum == 0)
        return FAIL(r, at, at->key, err, "split: all weights are 0");
    return trp_sticky_make(r->reader->arena, weights, rule->choices_n, &rule->split, err);
}

static trp_status take_fallback(struct reading *r, struct trp_route_rule *rule,
                                const struct trp_node *at, struct trp_error *err)
{
    const bool is_list = at->kind == TRP_NODE_LIST;
    const uint32_t n = is_list ? at->children_n : 1;
    if (n == 0 || n > TRP_ROUTE_CHOICES_MAX || at->kind == TRP_NODE_MAP)
        return FAIL(r, at, at->key, err, "fallback: expected a target, or a list of 1 to %u",
                    TRP_ROUTE_CHOICES_MAX);
    uint32_t *goals = trp_arena_zeroed(r->reader->arena, n, sizeof *goals);
    if (!goals)
        return no_memory(err);
    rule->fallback = goals;
    for (const struct trp_node *c = is_list ? at->first : at; rule->fallback_n < n; c = c->next)
        TRP_CHECK(take_text_goal(r, c, &goals[rule->fallback_n++], err));
    return trp_ok();
}

/* Nobody is asked twice: what stands behind itself would never be.  One of several choices may
 * well stand behind the others. */
static trp_status check_fallback(const struct reading *r, const struct trp_route_rule *rule,
                                 const struct trp_node *at, struct trp_error *err)
{
    const struct trp_node *n = at->kind == TRP_NODE_LIST ? at->first : at;
    for (uint32_t i = 0; i < rule->fallback_n; i++, n = n->next) {
        if (rule->choices_n == 1 && !rule->canary && rule->fallback[i] == rule->choices[0].goal)
            return FAIL(r, n, n->v.s, err,
                        "'%.*s' is a fallback of itself; `retries: 1` asks the "
                        "same target again",
                        TRP_STR(n->v.s));
        for (uint32_t k = 0; k < i; k++)
            if (rule->fallback[k] == rule->fallback[i])
                return FAIL(r, n, n->v.s, err, "fallback: '%.*s' stands there twice",
                            TRP_STR(n->v.s));
    }
    return trp_ok();
}

/* ---- the rest of a rule ---- */

/* Of what the next one is asked; unless said, of everything that another one may do better. */
static trp_status take_fallback_on(struct reading *r, struct trp_route_rule *rule,
                                   const struct trp_node *at, struct trp_error *err)
{
    const bool is_list = at->kind == TRP_NODE_LIST;
    if (rule->fallback_n == 0)
        return FAIL(r, at, at->key, err, "fallback_on belongs to a rule with a fallback");
    for (const struct trp_node *n = is_list ? at->first : at; n; n = is_list ? n->next : NULL) {
        enum trp_fault fault;
        if (!is_text(n) || !trp_fault_parse(n->v.s, &fault))
            return FAIL(r, n, is_text(n) ? n->v.s : none, err,
                        "fallback_on: expected some of error, timeout, not_ready, overload");
        rule->attempts.falls_back |= TRP_FAULT_BIT(fault);
    }
    return trp_ok();
}

static trp_status take_timeout(struct reading *r, struct trp_route_rule *rule,
                               const struct trp_node *at, struct trp_error *err)
{
    char why[TRP_POLICY_WHY_MAX] = "";
    if (is_text(at) && trp_setting_parse_stay(at->v.s, &rule->attempts.timeout_ns) &&
        rule->attempts.timeout_ns > 0)
        return trp_ok();
    if (is_text(at))
        trp_policy_why_no_time(at->v.s, why);
    return FAIL(r, at, none, err, "timeout: expected a duration such as 30ms%s", why);
}

static trp_status take_retries(struct reading *r, struct trp_route_rule *rule,
                               const struct trp_node *at, struct trp_error *err)
{
    uint64_t n;
    if (!is_text(at) || !trp_str_parse_u64(at->v.s, &n) || n > RETRIES_MAX)
        return FAIL(r, at, at->key, err, "retries: expected a number from 0 to %u", RETRIES_MAX);
    rule->attempts.retries_max = (uint32_t)n;
    return trp_ok();
}

/* "model", or { use: model, share: 10% }. */
static trp_status take_shadow(struct reading *r, struct trp_route_rule *rule,
                              const struct trp_node *at, struct trp_error *err)
{
    static const struct trp_str keys[] = { { "use", 3 }, { "share", 5 } };
    const bool is_map = at->kind == TRP_NODE_MAP;
    const struct trp_node *use = is_map ? trp_node_get(at, "use") : at;
    const struct trp_node *share = is_map ? trp_node_get(at, "share") : NULL;
    double percent = 100;
    uint32_t goal;
    if (is_map)
        TRP_CHECK(check_keys(r, at, keys, ARRAY_LEN(keys), "shadow", err));
    if (!use)
        return FAIL(r, at, at->key, err,
                    "shadow: expected a target, or { use: TARGET, share: 10%% }");
    TRP_CHECK(take_text_goal(r, use, &goal, err));
    if (share) {
        const struct trp_str text = is_text(share) ? share->v.s : none;
        if (!trp_policy_parse_percent(text, &percent) || !(percent > 0) || percent > 100)
            return FAIL(r, share, none, err,
                        "share: expected more than 0%% and at most 100%%, such as 10%%");
    }
    rule->shadow = goal + 1;
    rule->shadow_permille = (uint32_t)(percent * 10 + 0.5);
    return trp_ok();
}

/* "model", or { use: model, steps: [1%, 10%, 100%], ... }. */
static trp_status take_canary(struct reading *r, struct trp_route_rule *rule,
                              const struct trp_node *at, struct trp_error *err)
{
    const struct trp_node *use = at->kind == TRP_NODE_MAP ? trp_node_get(at, "use") : at;
    uint32_t goal;
    if (!use || use->kind == TRP_NODE_LIST)
        return FAIL(r, at, at->key, err,
                    "canary: expected a target, or { use: TARGET, steps: [1%%, 10%%, 100%%] }");
    if (!trp_node_get(rule->at, "use"))
        return FAIL(r, at, at->key, err, "a canary belongs to a rule with one target ('use')");
    TRP_CHECK(take_text_goal(r, use, &goal, err));
    if (goal == rule->choices[0].goal)
        return FAIL(r, use, use->v.s, err, "'%.*s' is a canary of itself", TRP_STR(use->v.s));
    return trp_route_canary_read(r->reader, at, goal, rule, err);
}

/* "p95", "20ms", or { use: model, after: p95, ... }. */
static trp_status take_hedge(struct reading *r, struct trp_route_rule *rule,
                             const struct trp_node *at, struct trp_error *err)
{
    const struct trp_node *use = at->kind == TRP_NODE_MAP ? trp_node_get(at, "use") : NULL;
    uint32_t goal = 0;
    if (use) {
        TRP_CHECK(take_text_goal(r, use, &goal, err));
        goal++;
    }
    return trp_route_hedge_read(r->reader, at, goal, rule, err);
}

static trp_status take_breaker(struct reading *r, const struct trp_node *at, struct trp_error *err)
{
    const struct trp_node *wrong = NULL;
    struct trp_error why = { 0 };
    if (!at ||
        !trp_failed(trp_policy_read_breaker(at, &r->breaker, &r->has_breakers, &wrong, &why)))
        return trp_ok();
    return FAIL(r, wrong ? wrong : at, wrong ? wrong->key : none, err, "%s", why.text);
}

static trp_status take_budget(struct reading *r, const struct trp_node *at, struct trp_error *err)
{
    const struct trp_node *wrong = NULL;
    struct trp_error why = { 0 };
    struct trp_retry_budget_opts opts;
    if (!at)
        return trp_ok();
    if (trp_failed(trp_policy_read_budget(at, &opts, &wrong, &why)))
        return FAIL(r, wrong, wrong->key, err, "%s", why.text);
    trp_retry_budget_init(&r->plan->budget, &opts);
    return trp_ok();
}

static trp_status take_name(struct reading *r, struct trp_route_rule *rule, uint32_t number,
                            struct trp_error *err)
{
    const struct trp_node *name = trp_node_get(rule->at, "name");
    if (name && (!is_text(name) || name->v.s.len == 0 || name->v.s.len > 64))
        return FAIL(r, name, none, err, "name: expected a text of 1 to 64 bytes");
    for (size_t i = 0; name && i < name->v.s.len; i++)
        if ((unsigned char)name->v.s.ptr[i] < 0x20 || name->v.s.ptr[i] == 0x7f)
            return FAIL(r, name, name->key, err,
                        "name: expected a text without control characters");
    rule->name = name ? name->v.s : trp_arena_format(r->reader->arena, "%u", number);
    rule->why = trp_arena_format(r->reader->arena, "route %.*s, rule %.*s", TRP_STR(r->plan->name),
                                 TRP_STR(rule->name));
    for (uint32_t i = 0; i + 1 < number; i++) /* metrics and answers tell rules by their names */
        if (trp_str_is_equal(r->plan->rules[i].name, rule->name))
            return FAIL(r, name ? name : rule->at, none, err,
                        "a rule before this one has the name '%.*s'", TRP_STR(rule->name));
    return rule->name.ptr && rule->why.ptr ? trp_ok() : no_memory(err);
}

static trp_status take_expr(struct reading *r, const struct trp_node *at,
                            enum trp_expr_purpose purpose, struct trp_expr **out,
                            struct trp_error *err)
{
    if (!is_text(at) || at->v.s.len == 0)
        return FAIL(r, at, at->key, err, "%.*s: expected an expression, such as params.n == 0",
                    TRP_STR(at->key));
    const struct trp_route_reader *reader = r->reader;
    struct trp_expr_place place = { .file = reader->source->file, .line = at->line, .node = at };
    (void)trp_route_source_line(reader->source, at->line, at->v.s, &place.column);
    const struct trp_expr_env env = { .purpose = purpose,
                                      .lists = reader->lists,
                                      .lists_n = reader->lists_n };
    return trp_expr_compile(reader->alloc, at->v.s, &place, &env, out, err);
}

static trp_status take_conditions(struct reading *r, struct trp_route_rule *rule,
                                  struct trp_error *err)
{
    rule->when_at = trp_node_get(rule->at, "when");
    rule->sticky_at = trp_node_get(rule->at, "sticky");
    if (rule->when_at)
        TRP_CHECK(take_expr(r, rule->when_at, TRP_EXPR_CONDITION, &rule->when, err));
    if (rule->sticky_at)
        TRP_CHECK(take_expr(r, rule->sticky_at, TRP_EXPR_VALUE, &rule->sticky, err));
    if (rule->sticky_at && rule->choices_n < 2 && !rule->canary)
        return FAIL(r, rule->sticky_at, TRP_STR_LIT("sticky"), err,
                    "sticky belongs to a split of two targets or more, or to a canary");
    return trp_ok();
}

static trp_status take_action(struct reading *r, struct trp_route_rule *rule, struct trp_error *err)
{
    const struct trp_node *use = trp_node_get(rule->at, "use");
    const struct trp_node *split = trp_node_get(rule->at, "split");
    const struct trp_node *fallback = trp_node_get(rule->at, "fallback");
    const struct trp_node *fallback_on = trp_node_get(rule->at, "fallback_on");
    const struct trp_node *timeout = trp_node_get(rule->at, "timeout");
    const struct trp_node *shadow = trp_node_get(rule->at, "shadow");
    const struct trp_node *retries = trp_node_get(rule->at, "retries");
    const struct trp_node *canary = trp_node_get(rule->at, "canary");
    const struct trp_node *hedge = trp_node_get(rule->at, "hedge");
    if (use && split)
        return FAIL(r, split, split->key, err,
                    "a rule has either 'use' or 'split', not both: name all targets in 'split'");
    if (!use && !split)
        return FAIL(r, rule->at, none, err, "a rule needs one of 'use' and 'split'");
    TRP_CHECK(use ? take_use(r, rule, use, err) : take_split(r, rule, split, err));
    if (fallback)
        TRP_CHECK(take_fallback(r, rule, fallback, err));
    if (fallback_on)
        TRP_CHECK(take_fallback_on(r, rule, fallback_on, err));
    if (shadow)
        TRP_CHECK(take_shadow(r, rule, shadow, err));
    if (canary)
        TRP_CHECK(take_canary(r, rule, canary, err));
    if (hedge)
        TRP_CHECK(take_hedge(r, rule, hedge, err));
    if (fallback)
        TRP_CHECK(check_fallback(r, rule, fallback, err)); /* a canary is known by now */
    if (retries)
        TRP_CHECK(take_retries(r, rule, retries, err));
    return timeout ? take_timeout(r, rule, timeout, err) : trp_ok();
}

/* Whoever has nobody behind it is asked whatever its breaker would say. */
static trp_status plan_attempts(struct reading *r, struct trp_route_rule *rule,
                                struct trp_error *err)
{
    struct trp_route_plan *p = r->plan;
    const struct trp_attempts_target **all = trp_arena_zeroed(
        r->reader->arena, rule->fallback_n + (size_t)1, sizeof(struct trp_attempts_target *));
    if (!all)
        return no_memory(err);
    for (uint32_t i = 0; i < rule->fallback_n; i++) {
        struct trp_route_goal *g = &p->goals[rule->fallback[i]];
        all[i] = i + 1 < rule->fallback_n ? &g->guarded : &g->bare;
    }
    rule->attempts.fallbacks = all;
    rule->attempts.fallbacks_n = rule->fallback_n;
    rule->attempts.budget = &p->budget;
    rule->is_plain = rule->fallback_n == 0 && rule->attempts.retries_max == 0 &&
                     rule->attempts.timeout_ns == 0 && !rule->hedge;
    return trp_ok();
}

static trp_status take_rule(struct reading *r, const struct trp_node *at, struct trp_error *err)
{
    struct trp_route_plan *p = r->plan;
    struct trp_route_rule *rule = &p->rules[p->rules_n];
    *rule = (struct trp_route_rule){ .at = at };
    if (at->kind != TRP_NODE_MAP)
        return FAIL(r, at, none, err, "a rule of route '%.*s' is %s; expected { use: TARGET, ... }",
                    TRP_STR(p->name), trp_node_kind_name(at->kind));
    TRP_CHECK(check_keys(r, at, rule_keys, ARRAY_LEN(rule_keys), "a rule", err));
    if (p->rules_n > 0 && !p->rules[p->rules_n - 1].when_at)
        return FAIL(r, at, none, err, "no request comes here: rule %.*s has no 'when'",
                    TRP_STR(p->rules[p->rules_n - 1].name));
    TRP_CHECK(take_name(r, rule, p->rules_n + 1, err));
    p->rules_n++; /* from here on dropping the plan drops it */
    TRP_CHECK(take_action(r, rule, err));
    TRP_CHECK(plan_attempts(r, rule, err));
    return take_conditions(r, rule, err);
}

static trp_status take_rules(struct reading *r, const struct trp_node *rules, struct trp_error *err)
{
    struct trp_route_plan *p = r->plan;
    if (!rules || rules->kind != TRP_NODE_LIST || rules->children_n == 0)
        return FAIL(r, rules ? rules : r->targets, p->name, err,
                    "route '%.*s' has no rules: expected a list, such as [ { use: TARGET } ]",
                    TRP_STR(p->name));
    if (rules->children_n > TRP_ROUTE_RULES_MAX)
        return FAIL(r, rules, p->name, err, "route '%.*s' has more than %u rules", TRP_STR(p->name),
                    TRP_ROUTE_RULES_MAX);
    p->rules = trp_arena_zeroed(r->reader->arena, rules->children_n, sizeof *p->rules);
    p->goals = trp_arena_zeroed(r->reader->arena, TRP_ROUTE_GOALS_MAX, sizeof *p->goals);
    if (!p->rules || !p->goals)
        return no_memory(err);
    for (const struct trp_node *n = rules->first; n; n = n->next)
        TRP_CHECK(take_rule(r, n, err));
    return trp_ok();
}

static trp_status take_missing(struct reading *r, const struct trp_node *at, struct trp_error *err)
{
    if (!at || (is_text(at) && trp_str_is(at->v.s, "refuse")))
        return trp_ok();
    if (!is_text(at) || !trp_str_is(at->v.s, "allow"))
        return FAIL(r, at, none, err, "missing: expected allow or refuse");
    r->plan->may_miss = true;
    return trp_ok();
}

trp_status trp_route_plan_read(const struct trp_route_reader *reader, struct trp_str name,
                               const struct trp_node *at, struct trp_route_plan *out,
                               struct trp_error *err)
{
    struct reading r = {
        .reader = reader, .plan = out, .breaker = TRP_BREAKER_OPTS_DEFAULT, .has_breakers = true
    };
    *out = (struct trp_route_plan){ .name = name };
    out->seed = trp_sticky_seed(name);
    trp_retry_budget_init(&out->budget, &TRP_RETRY_BUDGET_OPTS_DEFAULT);
    if (name.len == 0 || name.len > 255 || memchr(name.ptr, '/', name.len))
        return FAIL(&r, at, name, err, "'%.*s' is no name for a route", TRP_STR(name));
    out->place = trp_arena_format(reader->arena, "%s:%u", reader->source->file, at->line);
    if (!out->place.ptr)
        return no_memory(err);
    if (at->kind == TRP_NODE_LIST)
        return take_rules(&r, at, err);
    if (at->kind != TRP_NODE_MAP)
        return FAIL(&r, at, name, err, "route '%.*s' is %s; expected a list of rules",
                    TRP_STR(name), trp_node_kind_name(at->kind));
    TRP_CHECK(check_route_keys(&r, at, err));
    r.targets = trp_node_get(at, "targets");
    if (r.targets && r.targets->kind != TRP_NODE_MAP)
        return FAIL(&r, r.targets, TRP_STR_LIT("targets"), err,
                    "targets: expected names, each with { model: MODEL, ... }");
    TRP_CHECK(take_breaker(&r, trp_node_get(at, "breaker"), err));
    TRP_CHECK(take_budget(&r, trp_node_get(at, "budget"), err));
    TRP_CHECK(take_missing(&r, trp_node_get(at, "missing"), err));
    const struct trp_node *rules = trp_node_get(at, "rules");
    return take_rules(&r, rules ? rules : at, err);
}

void trp_route_plan_drop(struct trp_route_plan *plan)
{
    for (uint32_t i = 0; i < plan->rules_n; i++) {
        trp_expr_destroy(plan->rules[i].when);
        trp_expr_destroy(plan->rules[i].sticky);
        trp_route_canary_drop(plan->rules[i].canary);
    }
    plan->rules_n = 0;
}
