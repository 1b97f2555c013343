/* route/route_carry.c - what goes on when a route is read again.
 *
 * Files are read again for one word of one rule, or for a folder beside them.  What is written as
 * before is as it was before: a rule with its counts, how long answers took and how often its
 * shadow agreed; a target with its counts and its breaker, so that one that is left alone stays so;
 * the route's budget and its last decisions.  Rules may have moved: what they say tells which is
 * which.
 *
 *  1. Of a rule, what is learned of its targets (hedge, shadow) goes on only if these mean the same
 *     as before.
 *  2. Who began before the new rules hold reports to the old ones: what these hear from now on
 *     is lost, as it is of a moment only. */
#include "route/route_hedge.h"
#include "route/route_parts.h"

#define NOBODY UINT32_MAX

struct carrying {
    struct trp_router *now;
    const struct trp_router *before;
    uint32_t goals[TRP_ROUTE_GOALS_MAX]; /* where those of before are now; NOBODY: nowhere */
    uint32_t rules[TRP_ROUTE_RULES_MAX];
};

static void copy(struct trp_counter *to, const struct trp_counter *from)
{
    trp_counter_set(to, trp_counter_get(from));
}

/* ---- targets ---- */

/* What the route says of a target; NULL: it is named only. */
static const struct trp_node *said_of(const struct trp_route_plan *p,
                                      const struct trp_route_goal *g)
{
    const struct trp_node *targets =
        p->at && p->at->kind == TRP_NODE_MAP ? trp_node_get(p->at, "targets") : NULL;
    return trp_node_get_str(targets, g->text);
}

static bool is_same_goal(const struct carrying *c, const struct trp_route_goal *a,
                         const struct trp_route_goal *b)
{
    if (!trp_str_is_equal(a->text, b->text))
        return false;
    const struct trp_node *now = said_of(c->now->plan, a), *before = said_of(c->before->plan, b);
    return !now == !before && (!now || trp_node_is_same(c->now->alloc, now, before));
}

static void carry_goal(struct trp_route_goal *to, const struct trp_route_goal *from)
{
    copy(&to->asked, &from->asked);
    copy(&to->failed, &from->failed);
    copy(&to->client_errors, &from->client_errors);
    if (to->guarded.breaker && from->guarded.breaker)
        trp_breaker_carry(&to->breaker, &from->breaker);
}

static void carry_goals(struct carrying *c)
{
    const struct trp_route_plan *to = c->now->plan, *from = c->before->plan;
    for (uint32_t k = 0; k < from->goals_n; k++) {
        c->goals[k] = NOBODY;
        for (uint32_t i = 0; i < to->goals_n && c->goals[k] == NOBODY; i++)
            if (is_same_goal(c, &to->goals[i], &from->goals[k]))
                c->goals[k] = i;
        if (c->goals[k] != NOBODY)
            carry_goal(&to->goals[c->goals[k]], &from->goals[k]);
    }
}

/* ---- rules ---- */

/* What is cheap to compare comes first: a route has up to a thousand rules. */
static bool is_same_rule(const struct carrying *c, const struct trp_route_rule *a,
                         const struct trp_route_rule *b)
{
    if (!a->when_at != !b->when_at ||
        (a->when_at && !trp_str_is_equal(a->when_at->v.s, b->when_at->v.s)) ||
        a->choices_n != b->choices_n || a->fallback_n != b->fallback_n)
        return false;
    return trp_node_is_same(c->now->alloc, a->at, b->at);
}

/* All that it may choose is what it was. */
static bool has_same_choices(const struct carrying *c, const struct trp_route_rule *to,
                             const struct trp_route_rule *from)
{
    for (uint32_t i = 0; i < to->choices_n; i++)
        if (c->goals[from->choices[i].goal] != to->choices[i].goal)
            return false;
    return true;
}

static void carry_rule(const struct carrying *c, struct trp_route_rule *to,
                       const struct trp_route_rule *from)
{
    const bool is_same = has_same_choices(c, to, from);
    copy(&to->matched, &from->matched);
    copy(&to->unknown, &from->unknown);
    copy(&to->fell_back, &from->fell_back);
    copy(&to->timed_out, &from->timed_out);
    copy(&to->shadows_dropped, &from->shadows_dropped);
    if (is_same && to->shadow && c->goals[from->shadow - 1] == to->shadow - 1)
        trp_agreement_carry(&to->agreement, &from->agreement);
    if (!to->hedge)
        return;
    copy(&to->hedge->hedge.sent, &from->hedge->hedge.sent);
    copy(&to->hedge->hedge.won, &from->hedge->hedge.won);
    copy(&to->hedge->hedge.refused, &from->hedge->hedge.refused);
    if (is_same)
        trp_hedge_carry(&to->hedge->hedge, &from->hedge->hedge);
}

/* Rules mostly stand behind the one that they stood behind before; each of the old ones is found
 * once. */
static uint32_t find_rule(const struct carrying *c, const struct trp_route_rule *rule,
                          uint32_t expected)
{
    const struct trp_route_plan *from = c->before->plan;
    for (uint32_t n = 0; n < from->rules_n; n++) {
        const uint32_t k = (expected + n) % from->rules_n;
        if (c->rules[k] == NOBODY && is_same_rule(c, rule, &from->rules[k]))
            return k;
    }
    return NOBODY;
}

static void carry_rules(struct carrying *c)
{
    struct trp_route_plan *to = c->now->plan;
    const struct trp_route_plan *from = c->before->plan;
    uint32_t expected = 0;
    for (uint32_t k = 0; k < from->rules_n; k++)
        c->rules[k] = NOBODY;
    for (uint32_t i = 0; i < to->rules_n; i++) {
        const uint32_t k = find_rule(c, &to->rules[i], expected);
        if (k == NOBODY)
            continue;
        c->rules[k] = i;
        expected = k + 1;
        carry_rule(c, &to->rules[i], &from->rules[k]);
    }
}

/* ---- all of it ---- */

/* The last decisions, but for those of rules that are no more. */
static void carry_samples(const struct carrying *c)
{
    struct trp_router *before = (struct trp_router *)(uintptr_t)c->before; /* for its lock */
    struct trp_route_sample samples[TRP_ROUTE_SAMPLES_MAX];
    for (uint32_t n = trp_route_samples_copy(&before->samples, samples); n > 0; n--) {
        struct trp_route_sample *s = &samples[n - 1]; /* the oldest first */
        if (s->goal != UINT32_MAX) {
            s->rule = c->rules[s->rule];
            s->goal = c->goals[s->goal];
            if (s->rule == NOBODY || s->goal == NOBODY)
                continue;
        }
        trp_route_samples_add(&c->now->samples, s);
    }
}

void trp_route_carry(struct trp_router *now, const struct trp_router *before)
{
    struct carrying c = { .now = now, .before = before };
    carry_goals(&c);
    carry_rules(&c);
    carry_samples(&c);
    trp_retry_budget_carry(&now->plan->budget, &before->plan->budget);
    copy(&now->unmatched, &before->unmatched);
    trp_stats_carry(now->stats, before->stats);
}
