/* route/route_json.c - what a route is, has counted, and would decide, as JSON. */
#include <stdio.h>

#include "base/json.h"
#include "route/route_canary.h"
#include "route/route_hedge.h"
#include "route/route_parts.h"

static void add_text(struct trp_buf *b, const char *key, struct trp_str text)
{
    trp_buf_addf(b, "\"%s\":", key);
    trp_json_write_str(b, text);
}

/* ---- what there is ---- */

static void write_breaker(struct trp_buf *b, const struct trp_route_goal *g, int64_t now_ns)
{
    const struct trp_breaker_view v = trp_breaker_get(&g->breaker, now_ns);
    trp_buf_addf(b, ",\"breaker\":{\"state\":\"%s\",\"calls\":%u,\"failures\":%u,\"opened\":",
                 trp_breaker_phase_name(v.phase), v.calls, v.failures);
    trp_buf_add_u64(b, v.opened);
    trp_buf_add_text(b, ",\"refused\":");
    trp_buf_add_u64(b, v.refused);
    trp_buf_add_char(b, '}');
}

static void write_goal(struct trp_buf *b, const struct trp_route_goal *g, int64_t now_ns)
{
    trp_buf_add_char(b, '{');
    add_text(b, "target", g->text);
    trp_buf_add_char(b, ',');
    add_text(b, "model", g->model);
    trp_buf_add_text(b, ",\"asked\":");
    trp_buf_add_u64(b, trp_counter_get(&g->asked));
    trp_buf_add_text(b, ",\"failed\":");
    trp_buf_add_u64(b, trp_counter_get(&g->failed));
    trp_buf_add_text(b, ",\"client_errors\":");
    trp_buf_add_u64(b, trp_counter_get(&g->client_errors));
    write_breaker(b, g, now_ns);
    trp_buf_add_char(b, '}');
}

static void write_counts(struct trp_buf *b, const struct trp_route_rule *rule)
{
    trp_buf_add_text(b, ",\"matched\":");
    trp_buf_add_u64(b, trp_counter_get(&rule->matched));
    trp_buf_add_text(b, ",\"unknown\":");
    trp_buf_add_u64(b, trp_counter_get(&rule->unknown));
    trp_buf_add_text(b, ",\"fell_back\":");
    trp_buf_add_u64(b, trp_counter_get(&rule->fell_back));
    trp_buf_add_text(b, ",\"timed_out\":");
    trp_buf_add_u64(b, trp_counter_get(&rule->timed_out));
}

static void write_shadow(struct trp_buf *b, const struct trp_route_plan *p,
                         const struct trp_route_rule *rule)
{
    const struct trp_agreement *a = &rule->agreement;
    trp_buf_add_text(b, ",\"shadow\":{");
    add_text(b, "target", p->goals[rule->shadow - 1].text);
    trp_buf_addf(b, ",\"share\":%.10g,\"compared\":", rule->shadow_permille / 1000.0);
    trp_buf_add_u64(b, trp_counter_get(&a->calls));
    trp_buf_add_text(b, ",\"same\":");
    trp_buf_add_u64(b, trp_counter_get(&a->same));
    trp_buf_add_text(b, ",\"failed\":");
    trp_buf_add_u64(b, trp_counter_get(&a->failed));
    trp_buf_add_text(b, ",\"dropped\":");
    trp_buf_add_u64(b, trp_counter_get(&rule->shadows_dropped));
    if (trp_counter_get(&a->rows) > 0)
        trp_buf_addf(b, ",\"agreement\":%.10g", trp_agreement_share(a));
    else
        trp_buf_add_text(b, ",\"agreement\":null"); /* nobody has disagreed, nor agreed */
    trp_buf_addf(b, ",\"worst_abs\":%.10g,\"worst_rel\":%.10g}", trp_agreement_worst_abs(a),
                 trp_agreement_worst_rel(a));
}

static void write_canary(struct trp_buf *b, const struct trp_route_plan *p,
                         const struct trp_route_rule *rule)
{
    struct trp_route_canary_view view;
    trp_route_canary_get(rule->canary, &view);
    trp_buf_add_text(b, ",\"canary\":{");
    add_text(b, "target", p->goals[rule->canary->goal].text);
    trp_buf_addf(b, ",\"state\":\"%s\",\"share\":%.10g,\"step\":%u,\"steps\":%u,\"calls\":",
                 trp_canary_phase_name(view.phase), view.share, view.step, view.steps_n);
    trp_buf_add_u64(b, trp_counter_get(&rule->canary->new_one.calls));
    trp_buf_add_text(b, ",\"failures\":");
    trp_buf_add_u64(b, trp_counter_get(&rule->canary->new_one.failures));
    trp_buf_add_text(b, ",\"beside\":{\"calls\":");
    trp_buf_add_u64(b, trp_counter_get(&rule->canary->old_one.calls));
    trp_buf_add_text(b, ",\"failures\":");
    trp_buf_add_u64(b, trp_counter_get(&rule->canary->old_one.failures));
    trp_buf_add_text(b, "},");
    add_text(b, "reason", trp_str_of(view.reason));
    trp_buf_add_char(b, '}');
}

static void write_targets(struct trp_buf *b, const struct trp_route_plan *p,
                          const struct trp_route_rule *rule)
{
    trp_buf_add_text(b, ",\"targets\":[");
    for (uint32_t i = 0; i < rule->choices_n; i++) {
        trp_buf_add_text(b, i ? ",{" : "{");
        add_text(b, "target", p->goals[rule->choices[i].goal].text);
        trp_buf_addf(b, ",\"weight\":%.10g}",
                     rule->choices_n > 1 ? rule->choices[i].weight / 1000.0 : 1.0);
    }
    trp_buf_add_text(b, "],\"fallback\":[");
    for (uint32_t i = 0; i < rule->fallback_n; i++) {
        if (i)
            trp_buf_add_char(b, ',');
        trp_json_write_str(b, p->goals[rule->fallback[i]].text);
    }
    trp_buf_add_char(b, ']');
}

static void write_rule(struct trp_buf *b, const struct trp_route_plan *p,
                       const struct trp_route_rule *rule)
{
    trp_buf_add_char(b, '{');
    add_text(b, "name", rule->name);
    if (rule->when) {
        trp_buf_add_char(b, ',');
        add_text(b, "when", trp_expr_text(rule->when));
    }
    write_targets(b, p, rule);
    write_counts(b, rule);
    if (rule->shadow)
        write_shadow(b, p, rule);
    if (rule->canary)
        write_canary(b, p, rule);
    if (rule->hedge) {
        trp_buf_add_text(b, ",\"hedge\":");
        trp_route_hedge_write_json(p, rule, b);
    }
    trp_buf_add_char(b, '}');
}

static void add_text_or_null(struct trp_buf *b, const char *key, const char *text)
{
    trp_buf_addf(b, ",\"%s\":", key);
    if (text && *text)
        trp_json_write_str(b, trp_str_of(text));
    else
        trp_buf_add_text(b, "null");
}

/* All null: it is under way, or began by rules that have gone. */
static void write_end(struct trp_buf *b, const struct trp_route_sample *s)
{
    char who[sizeof s->answered_by + 24];
    (void)snprintf(who, sizeof who, "%s/%lld", s->answered_by, (long long)s->version);
    add_text_or_null(b, "answered", s->answered_by[0] ? who : NULL);
    add_text_or_null(b, "because", s->because);
    add_text_or_null(b, "error", s->code == TRP_OK ? NULL : trp_code_name(s->code));
}

/* The newest first. */
static void write_samples(struct trp_buf *b, const struct trp_router *r)
{
    struct trp_route_sample samples[TRP_ROUTE_SAMPLES_MAX];
    struct trp_router *mutable = (struct trp_router *)(uintptr_t)r; /* for its lock */
    const uint32_t n = trp_route_samples_copy(&mutable->samples, samples);
    for (uint32_t i = 0; i < n; i++) {
        const struct trp_route_sample *s = &samples[i];
        trp_buf_addf(b, "%s{\"unix_ms\":%lld,", i ? "," : "", (long long)(s->wall_ns / 1000000));
        add_text(b, "id", trp_str_of(s->id));
        trp_buf_add_char(b, ',');
        add_text(b, "tenant", trp_str_of(s->tenant));
        if (s->goal != UINT32_MAX) {
            trp_buf_add_char(b, ',');
            add_text(b, "rule", r->plan->rules[s->rule].name);
            trp_buf_add_char(b, ',');
            add_text(b, "target", r->plan->goals[s->goal].text);
            trp_buf_addf(b, ",\"by_key\":%s", s->is_sticky ? "true" : "false");
        }
        write_end(b, s);
        trp_buf_add_char(b, '}');
    }
}

/* null: its rules fit what its targets take, or nobody knows yet. */
static void write_doubt(struct trp_buf *b, const struct trp_router *r)
{
    const struct trp_str doubt = trp_route_doubt(r);
    trp_buf_add_text(b, ",\"doubt\":");
    if (doubt.len > 0)
        trp_json_write_str(b, doubt);
    else
        trp_buf_add_text(b, "null");
}

/* What was told in the log only. */
static void write_doubts_cut(struct trp_buf *b, const struct trp_router *r)
{
    trp_buf_add_text(b, ",\"doubts_cut\":");
    trp_buf_add_u64(b, trp_counter_get(&r->doubts_cut));
}

void trp_route_write_json(const struct trp_router *r, int64_t now_ns, struct trp_buf *b)
{
    const struct trp_route_plan *p = r->plan;
    write_doubt(b, r);
    write_doubts_cut(b, r);
    trp_buf_add_text(b, ",\"unmatched\":");
    trp_buf_add_u64(b, trp_counter_get(&r->unmatched));
    trp_buf_add_text(b, ",\"rules\":[");
    for (uint32_t i = 0; i < p->rules_n; i++) {
        if (i)
            trp_buf_add_char(b, ',');
        write_rule(b, p, &p->rules[i]);
    }
    trp_buf_add_text(b, "],\"targets\":[");
    for (uint32_t i = 0; i < p->goals_n; i++) {
        if (i)
            trp_buf_add_char(b, ',');
        write_goal(b, &p->goals[i], now_ns);
    }
    trp_buf_add_text(b, "],\"recent\":[");
    write_samples(b, r);
    trp_buf_add_char(b, ']');
}

/* ---- what would be decided ---- */

static void explain_rule(struct trp_buf *b, const struct trp_route_rule *rule,
                         struct trp_facts *facts, bool is_chosen, bool is_asked)
{
    trp_buf_add_char(b, '{');
    add_text(b, "name", rule->name);
    trp_buf_addf(b, ",\"chosen\":%s,\"asked\":%s,\"when\":", is_chosen ? "true" : "false",
                 is_asked ? "true" : "false");
    if (rule->when)
        trp_expr_explain(rule->when, facts, b);
    else
        trp_buf_add_text(b, "null");
    trp_buf_add_char(b, '}');
}

/* Whether each of the two gets some: a canary that was taken back, or has all, leaves nothing to
 * chance. */
static bool is_shared(const struct trp_route_canary_view *canary)
{
    return canary->share > 0 && canary->share < 1;
}

static void write_share(struct trp_buf *b, const struct trp_route_goal *goal, double share)
{
    trp_buf_add_char(b, '{');
    add_text(b, "target", goal->text);
    trp_buf_addf(b, ",\"share\":%.10g}", share);
}

/* What part of the requests each of them gets, among which a key or chance has chosen; `canary`
 * NULL: there is none. */
static void write_shares(struct trp_buf *b, const struct trp_route_plan *p,
                         const struct trp_route_rule *rule,
                         const struct trp_route_canary_view *canary)
{
    double sum = 0;
    trp_buf_add_text(b, ",\"shares\":[");
    for (uint32_t i = 0; i < rule->choices_n; i++)
        sum += rule->choices[i].weight;
    if (canary && is_shared(canary)) {
        write_share(b, &p->goals[rule->choices[0].goal], 1 - canary->share);
        trp_buf_add_char(b, ',');
        write_share(b, &p->goals[rule->canary->goal], canary->share);
    }
    for (uint32_t i = 0; i < rule->choices_n && rule->choices_n > 1; i++) {
        if (i)
            trp_buf_add_char(b, ',');
        write_share(b, &p->goals[rule->choices[i].goal], rule->choices[i].weight / sum);
    }
    trp_buf_add_char(b, ']');
}

/* Why nobody could be asked for it, or null: words about what did not matter in the end are
 * nobody's. */
static trp_status add_trouble(struct trp_buf *b, const struct trp_router *r,
                              const struct trp_route_goal *goal, uint32_t loop_index)
{
    struct trp_error err = { 0 };
    const trp_status st = trp_route_look_for(r, goal, loop_index, &err);
    add_text_or_null(b, "trouble", trp_failed(st) ? err.text : NULL);
    return st;
}

/* Whether the next one is asked when this one ends so. */
static bool falls_back(const struct trp_route_rule *rule, trp_status st)
{
    const uint32_t faults = rule->attempts.falls_back;
    return ((faults ? faults : TRP_FAULTS_CURABLE) & TRP_FAULT_BIT(trp_fault_of(st.code))) != 0;
}

/* Who is asked one after the other; who of them is passed by, because it is left alone, and who is
 * not there.  Whoever has nobody behind it is asked in any case.  Then who of them answers, as
 * things are now. */
static void explain_order(struct trp_buf *b, const struct trp_router *r,
                          const struct trp_route_choice_made *made, uint32_t loop_index)
{
    const struct trp_route_plan *p = r->plan;
    const struct trp_route_rule *rule = &p->rules[made->rule];
    const int64_t now_ns = trp_clock_now_ns(r->env->clock);
    const struct trp_route_goal *answers = NULL;
    bool is_over = false;
    trp_buf_add_text(b, ",\"order\":[");
    for (uint32_t i = 0; i <= rule->fallback_n; i++) {
        const struct trp_route_goal *g = &p->goals[i ? rule->fallback[i - 1] : made->goal];
        const struct trp_breaker *breaker = g->guarded.breaker;
        const bool is_passed_by =
            i < rule->fallback_n && breaker && trp_breaker_is_refusing(breaker, now_ns);
        trp_buf_add_text(b, i ? ",{" : "{");
        add_text(b, "target", g->text);
        trp_buf_addf(b, ",\"breaker\":\"%s\",\"passed_by\":%s",
                     breaker ? trp_breaker_phase_name(trp_breaker_get(breaker, now_ns).phase)
                             : "off",
                     is_passed_by ? "true" : "false");
        const trp_status st = add_trouble(b, r, g, loop_index);
        trp_buf_add_char(b, '}');
        if (!is_over && !is_passed_by && !trp_failed(st))
            answers = g;
        is_over = is_over || (!is_passed_by && (!trp_failed(st) || !falls_back(rule, st)));
    }
    trp_buf_add_text(b, "],\"answers\":");
    if (answers)
        trp_json_write_str(b, answers->text);
    else
        trp_buf_add_text(b, "null");
}

/* Who is asked as well, for nobody. */
static void explain_shadow(struct trp_buf *b, const struct trp_router *r,
                           const struct trp_route_rule *rule, uint32_t loop_index)
{
    trp_buf_add_text(b, ",\"shadow\":");
    if (rule->shadow == 0) {
        trp_buf_add_text(b, "null");
        return;
    }
    const struct trp_route_goal *goal = &r->plan->goals[rule->shadow - 1];
    trp_buf_add_char(b, '{');
    add_text(b, "target", goal->text);
    trp_buf_addf(b, ",\"share\":%.10g", rule->shadow_permille / 1000.0);
    (void)add_trouble(b, r, goal, loop_index);
    trp_buf_add_char(b, '}');
}

/* How long each attempt may take, how often it is made again, and who is asked as well when it
 * is late. */
static void explain_limits(struct trp_buf *b, const struct trp_route_plan *p,
                           const struct trp_route_rule *rule)
{
    trp_buf_add_text(b, ",\"timeout_ms\":");
    if (rule->attempts.timeout_ns > 0)
        trp_buf_addf(b, "%.10g", (double)rule->attempts.timeout_ns / 1e6);
    else
        trp_buf_add_text(b, "null");
    trp_buf_addf(b, ",\"retries\":%u,\"hedge\":", rule->attempts.retries_max);
    if (rule->hedge)
        trp_route_hedge_write_json(p, rule, b);
    else
        trp_buf_add_text(b, "null");
}

/* The key that decides for its like; what is missing is unknown, and says why. */
static void explain_key(struct trp_buf *b, const struct trp_route_rule *rule,
                        struct trp_facts *facts)
{
    trp_buf_add_text(b, ",\"key\":");
    if (rule->sticky)
        trp_expr_explain(rule->sticky, facts, b);
    else
        trp_buf_add_text(b, "null");
}

/* What a route or composition behind this one would do.  One that is given something else than
 * this request is not followed. */
static void explain_inner(struct trp_buf *b, const struct trp_router *r,
                          const struct trp_route_goal *goal, const struct trp_target_question *q)
{
    const struct trp_sought sought = { goal->model, goal->version, NULL };
    struct trp_error err = { 0 };
    trp_buf_add_text(b, ",\"then\":");
    if (goal->fit)
        trp_buf_add_text(b, "null");
    else /* who cannot be found has nothing behind it; the order says who is asked instead */
        (void)trp_finder_explain(&r->env->finder, &sought, q, b, &err);
    if (err.status.code != TRP_TOO_LARGE)
        return;
    trp_buf_add_char(b, ',');
    add_text(b, "trouble", trp_str_of(err.text));
}

/* How the canary of the rule does; null: it has none. */
static void explain_canary(struct trp_buf *b, const struct trp_route_plan *p,
                           const struct trp_route_rule *rule,
                           const struct trp_route_canary_view *view)
{
    trp_buf_add_text(b, ",\"canary\":");
    if (!view) {
        trp_buf_add_text(b, "null");
        return;
    }
    trp_buf_add_char(b, '{');
    add_text(b, "target", p->goals[rule->canary->goal].text);
    trp_buf_addf(b, ",\"state\":\"%s\",\"share\":%.10g,", trp_canary_phase_name(view->phase),
                 view->share);
    add_text(b, "reason", trp_str_of(view->reason));
    trp_buf_add_char(b, '}');
}

static void explain_choice(struct trp_buf *b, const struct trp_router *r,
                           const struct trp_route_choice_made *made, struct trp_facts *facts,
                           const struct trp_target_question *q)
{
    const struct trp_route_plan *p = r->plan;
    const struct trp_route_rule *rule = &p->rules[made->rule];
    const struct trp_route_goal *goal = &p->goals[made->goal];
    struct trp_route_canary_view view, *const canary = rule->canary ? &view : NULL;
    if (canary)
        trp_route_canary_get(rule->canary, canary);
    trp_buf_add_char(b, '{');
    add_text(b, "rule", rule->name);
    trp_buf_add_char(b, ',');
    add_text(b, "target", goal->text);
    trp_buf_add_char(b, ',');
    add_text(b, "model", goal->model);
    trp_buf_addf(b, ",\"by\":\"%s\",",
                 rule->choices_n == 1 && !(canary && is_shared(canary)) ? "rule"
                 : made->is_sticky                                      ? "key"
                                                                        : "chance");
    add_text(b, "reason", made->is_canary && rule->canary ? rule->canary->why : rule->why);
    write_targets(b, p, rule);
    write_shares(b, p, rule, canary);
    explain_canary(b, p, rule, canary);
    explain_order(b, r, made, q->loop_index);
    explain_shadow(b, r, rule, q->loop_index);
    explain_limits(b, p, rule);
    explain_key(b, rule, facts);
    explain_inner(b, r, goal, q);
    trp_buf_add_char(b, '}');
}

/* The rule that decides, or would, if it were known already what it looks at; UINT32_MAX: all
 * that matters is known. */
static uint32_t find_open(const struct trp_route_plan *p, const struct trp_route_choice_made *made,
                          struct trp_facts *facts)
{
    struct trp_fact why = trp_fact_unknown(TRP_UNKNOWN_MISSING);
    struct trp_fact key = why;
    const uint32_t asked_n = made->is_made ? made->rule + 1 : p->rules_n;
    for (uint32_t i = 0; facts->later_n > 0 && i < asked_n; i++)
        if (p->rules[i].when &&
            trp_expr_holds(p->rules[i].when, facts, &why) == TRP_TRUTH_UNKNOWN &&
            why.v.why == TRP_UNKNOWN_LATER)
            return i;
    if (facts->later_n > 0 && made->is_made && p->rules[made->rule].sticky)
        trp_expr_value(p->rules[made->rule].sticky, facts, &key);
    return key.kind == TRP_FACT_UNKNOWN && key.v.why == TRP_UNKNOWN_LATER ? made->rule : UINT32_MAX;
}

/* What is decided, or why nobody can tell. */
static void explain_outcome(struct trp_buf *b, const struct trp_router *r,
                            const struct trp_route_choice_made *made, struct trp_facts *facts,
                            uint32_t open, const struct trp_target_question *q)
{
    trp_buf_add_text(b, ",\"chosen\":");
    if (made->is_made && open == UINT32_MAX)
        explain_choice(b, r, made, facts, q);
    else
        trp_buf_add_text(b, "null");
    trp_buf_add_text(b, ",\"undecided\":");
    if (open != UINT32_MAX)
        trp_json_write_str(b, r->plan->rules[open].name);
    else
        trp_buf_add_text(b, "null");
}

void trp_route_explain(const struct trp_target *t, const struct trp_target_question *q,
                       struct trp_buf *b)
{
    const struct trp_router *r = TRP_CONTAINER_OF(t, const struct trp_router, target);
    const struct trp_route_plan *p = r->plan;
    struct trp_facts facts;
    struct trp_route_choice_made made;
    trp_route_facts(r, q->call, q->loop_index, &facts);
    facts.later = q->later;
    facts.later_n = q->later_n;
    trp_route_decide_by(r, &facts, &made);
    const uint32_t open = find_open(p, &made, &facts);
    trp_buf_add_char(b, '{');
    add_text(b, "route", p->name);
    write_doubt(b, r);
    explain_outcome(b, r, &made, &facts, open, q);
    trp_buf_add_text(b, ",\"rules\":[");
    const uint32_t asked_n = open != UINT32_MAX ? open + 1
                             : made.is_made     ? made.rule + 1
                                                : p->rules_n;
    for (uint32_t i = 0; i < p->rules_n; i++) {
        if (i)
            trp_buf_add_char(b, ',');
        explain_rule(b, &p->rules[i], &facts, made.is_made && open == UINT32_MAX && i == made.rule,
                     i < asked_n);
    }
    trp_buf_addf(b, "],\"rules_not_asked\":%u}", p->rules_n - asked_n);
}
