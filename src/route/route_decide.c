/* route/route_decide.c - the decision: the same function for requests that are served and for those
 * that are explained.
 *
 * Rules are asked in their order, and the first that holds decides.  One that nobody can tell does
 * not hold.  Where a rule splits, a key decides (the same key always the same way, and a change of
 * weights moves only what must move), else the sequence that a request belongs to, else the
 * call's number. */
#include "route/route_canary.h"
#include "route/route_parts.h"

void trp_route_facts(const struct trp_router *r, const struct trp_call *call, uint32_t loop_index,
                     struct trp_facts *out)
{
    const struct trp_route_env *env = r->env;
    trp_facts_init(out, call, loop_index, env->clock);
    out->load = env->load;
    out->zone = r->common->zone;
    out->lists = r->common->lists;
    out->lists_n = r->common->lists_n;
    out->matcher = env->matchers && loop_index < env->loops_n ? env->matchers[loop_index] : NULL;
}

/* Where a key lies; false: nobody can tell what it is. */
static bool place_key(uint64_t seed, const struct trp_fact *key, uint32_t *out)
{
    switch (key->kind) {
    case TRP_FACT_TEXT:
        *out = trp_sticky_place_of_text(seed, key->v.s);
        return true;
    case TRP_FACT_INT:
    case TRP_FACT_DURATION:
        *out = trp_sticky_place_of_int(seed, key->v.i);
        return true;
    case TRP_FACT_BOOL:
        *out = trp_sticky_place_of_int(seed, key->v.b);
        return true;
    case TRP_FACT_DOUBLE:
        *out = trp_sticky_place_of_double(seed, key->v.d);
        return true;
    default:
        return false;
    }
}

/* True: by a key. */
static bool find_place(const struct trp_route_plan *p, const struct trp_route_rule *rule,
                       struct trp_facts *facts, uint32_t *out)
{
    const struct trp_call *call = facts->call;
    struct trp_fact key = { .kind = TRP_FACT_UNKNOWN };
    if (rule->sticky)
        trp_expr_value(rule->sticky, facts, &key);
    if (place_key(p->seed, &key, out))
        return true;
    if (call->sequence_text.len)
        *out = trp_sticky_place_of_text(p->seed, call->sequence_text);
    else if (call->sequence_number)
        *out = trp_sticky_place_of_int(p->seed, (int64_t)call->sequence_number);
    else
        *out = trp_sticky_place_of_turn(p->seed + facts->loop_index, call->number);
    return trp_call_is_in_sequence(call);
}

static void choose(const struct trp_route_plan *p, const struct trp_route_rule *rule,
                   struct trp_facts *facts, struct trp_route_choice_made *out)
{
    uint32_t place;
    out->goal = rule->choices[0].goal;
    if (rule->choices_n == 1 && !rule->canary)
        return;
    out->is_sticky = find_place(p, rule, facts, &place);
    if (rule->canary) {
        out->is_canary = trp_canary_takes(&rule->canary->canary, place);
        out->goal = out->is_canary ? rule->canary->goal : out->goal;
        return;
    }
    out->goal = rule->choices[trp_sticky_pick(&rule->split, place)].goal;
}

void trp_route_decide(const struct trp_router *r, const struct trp_call *call, uint32_t loop_index,
                      struct trp_facts *facts, struct trp_route_choice_made *out)
{
    trp_route_facts(r, call, loop_index, facts);
    trp_route_decide_by(r, facts, out);
}

void trp_route_decide_by(const struct trp_router *r, struct trp_facts *facts,
                         struct trp_route_choice_made *out)
{
    const struct trp_route_plan *p = r->plan;
    out->is_made = out->is_sticky = out->is_canary = false;
    out->unknown_n = 0;
    for (uint32_t i = 0; i < p->rules_n; i++) {
        const struct trp_route_rule *rule = &p->rules[i];
        const enum trp_truth truth =
            rule->when ? trp_expr_holds(rule->when, facts, NULL) : TRP_TRUTH_TRUE;
        out->asked_n = i + 1;
        if (i % 64 == 0)
            out->unknown[i / 64] = 0;
        if (truth == TRP_TRUTH_UNKNOWN) {
            out->unknown[i / 64] |= UINT64_C(1) << (i % 64);
            out->unknown_n++;
        }
        if (truth != TRP_TRUTH_TRUE)
            continue;
        out->rule = i;
        out->is_made = true;
        choose(p, rule, facts, out);
        return;
    }
}

trp_status trp_route_refuse(const struct trp_router *r, struct trp_facts *facts,
                            struct trp_error *err)
{
    enum { SAID_MAX = 4, WORDS_MAX = 1024 };
    const struct trp_route_plan *p = r->plan;
    struct trp_buf words;
    trp_buf_init(&words, r->alloc, WORDS_MAX);
    for (uint32_t i = 0; i < p->rules_n && i < SAID_MAX; i++) {
        const struct trp_route_rule *rule = &p->rules[i];
        struct trp_fact why = trp_fact_unknown(TRP_UNKNOWN_MISSING);
        const enum trp_truth truth = trp_expr_holds(rule->when, facts, &why);
        trp_buf_addf(&words, "%srule %.*s ", i ? "; " : "", TRP_STR(rule->name));
        if (truth == TRP_TRUTH_UNKNOWN)
            trp_expr_why(rule->when, &why, &words);
        else
            trp_buf_add_text(&words, "does not hold");
    }
    if (p->rules_n > SAID_MAX)
        trp_buf_addf(&words, "; and %u more", p->rules_n - SAID_MAX);
    const struct trp_str said = trp_buf_str(&words);
    const trp_status st = trp_fail(err, TRP_NOT_FOUND, "no rule of route '%.*s' matches: %.*s",
                                   TRP_STR(p->name), TRP_STR(said));
    trp_buf_deinit(&words);
    return st;
}
