/* route/route_canary.c - see route_canary.h. */
#include "route/route_canary.h"

#include <stdio.h>

#include "route/fault.h"
#include "route/policy_options.h"
#include "route/route_parts.h"

/* ---- reading ---- */

static trp_status read_opts(const struct trp_route_reader *reader, const struct trp_node *at,
                            struct trp_canary_opts *out, struct trp_error *err)
{
    const struct trp_node *wrong = NULL;
    struct trp_error why = { 0 };
    *out = (struct trp_canary_opts){ 0 };
    if (at->kind != TRP_NODE_MAP)
        return trp_ok(); /* a name alone: the usual steps */
    const trp_status st = trp_policy_read_canary(reader->arena, at, out, &wrong, &why);
    if (!trp_failed(st))
        return st;
    if (!wrong)
        return trp_fail(err, (enum trp_code)st.code, "%s", why.text);
    return trp_route_source_fail(reader->source, wrong, wrong->key, err, "%s", why.text);
}

trp_status trp_route_canary_read(const struct trp_route_reader *reader, const struct trp_node *at,
                                 uint32_t goal, struct trp_route_rule *rule, struct trp_error *err)
{
    struct trp_canary_opts opts;
    TRP_CHECK(read_opts(reader, at, &opts, err));
    struct trp_route_canary *c = trp_arena_zeroed(reader->arena, 1, sizeof *c);
    const struct trp_str why = trp_arena_format(reader->arena, "%.*s: canary", TRP_STR(rule->why));
    if (!c || !why.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "routes: no memory for a canary");
    c->goal = goal;
    c->opts = opts;
    c->why = why;
    trp_lock_init(&c->lock, TRP_LOCK_CANARY);
    (void)snprintf(c->view.reason, sizeof c->view.reason, "it has not begun yet");
    rule->canary = c;
    return trp_ok();
}

void trp_route_canary_drop(struct trp_route_canary *c)
{
    if (c)
        trp_lock_deinit(&c->lock);
}

/* ---- counting ---- */

static void keep_words(struct trp_route_canary *c, const char *why)
{
    trp_lock_enter(&c->lock);
    (void)snprintf(c->last_failure, sizeof c->last_failure, "%s", why);
    trp_lock_leave(&c->lock);
}

void trp_route_canary_count(struct trp_route_rule *rule, uint32_t goal, int32_t code,
                            int64_t took_ns, const char *why)
{
    struct trp_route_canary *c = rule->canary;
    const enum trp_fault fault = trp_fault_of(code);
    if (!c || fault == TRP_FAULT_GONE)
        return;
    if (goal == c->goal && fault != TRP_FAULT_NONE && why)
        keep_words(c, why);
    if (goal == c->goal)
        trp_canary_count(&c->new_one, fault != TRP_FAULT_NONE, took_ns);
    else if (goal == rule->choices[0].goal)
        trp_canary_count(&c->old_one, fault != TRP_FAULT_NONE, took_ns);
}

/* ---- deciding ---- */

static double share_of(const struct trp_canary *c)
{
    return c->phase == TRP_CANARY_ROLLED_BACK ? 0 : c->opts.steps[c->step].share;
}

static void write_down(struct trp_route_canary *c)
{
    const struct trp_canary *now = &c->canary;
    trp_lock_enter(&c->lock);
    c->view.phase = now->phase;
    c->view.step = now->step + 1;
    c->view.steps_n = now->opts.steps_n;
    c->view.share = share_of(now);
    const bool has_words = now->is_of_failures && c->last_failure[0];
    (void)snprintf(c->view.reason, sizeof c->view.reason, "%s%s%s", now->reason,
                   has_words ? "; the last one of: " : "", has_words ? c->last_failure : "");
    trp_lock_leave(&c->lock);
}

void trp_route_canary_get(struct trp_route_canary *c, struct trp_route_canary_view *out)
{
    trp_lock_enter(&c->lock);
    *out = c->view;
    trp_lock_leave(&c->lock);
}

static enum trp_canary_move look(struct trp_route_canary *c, int64_t now_ns)
{
    struct trp_canary_counts old_one, new_one;
    enum trp_canary_move move = TRP_CANARY_ADVANCE; /* to the first step */
    trp_canary_read(&c->old_one, &old_one);
    trp_canary_read(&c->new_one, &new_one);
    if (c->is_begun)
        move = trp_canary_tick(&c->canary, now_ns, &old_one, &new_one).move;
    else
        trp_canary_start(&c->canary, &c->opts, now_ns, &old_one, &new_one);
    c->is_begun = true;
    write_down(c);
    return move;
}

void trp_route_canary_look(struct trp_router *r, int64_t now_ns,
                           const struct trp_route_canary_told *told)
{
    struct trp_route_canary_view view;
    for (uint32_t i = 0; i < r->plan->rules_n; i++) {
        const struct trp_route_rule *rule = &r->plan->rules[i];
        if (!rule->canary)
            continue;
        const enum trp_canary_move move = look(rule->canary, now_ns);
        if (move == TRP_CANARY_HOLD)
            continue;
        trp_route_canary_get(rule->canary, &view);
        told->told(told->user, r->plan, rule, move, &view);
    }
}

/* ---- read again ---- */

static bool is_same_opts(const struct trp_canary_opts *a, const struct trp_canary_opts *b)
{
    if (a->steps_n != b->steps_n || a->error_margin != b->error_margin ||
        a->latency_ratio != b->latency_ratio || a->quantile != b->quantile)
        return false;
    for (uint32_t i = 0; i < a->steps_n; i++)
        if (a->steps[i].share != b->steps[i].share ||
            a->steps[i].least_ns != b->steps[i].least_ns ||
            a->steps[i].least_calls != b->steps[i].least_calls)
            return false;
    return true;
}

static bool is_same(const struct trp_route_plan *p, const struct trp_route_rule *a,
                    const struct trp_route_plan *q, const struct trp_route_rule *b)
{
    return a->canary && b->canary && trp_str_is_equal(a->name, b->name) &&
           trp_str_is_equal(p->goals[a->canary->goal].text, q->goals[b->canary->goal].text) &&
           trp_str_is_equal(p->goals[a->choices[0].goal].text, q->goals[b->choices[0].goal].text) &&
           is_same_opts(&a->canary->opts, &b->canary->opts);
}

static void copy_tally(struct trp_canary_tally *to, const struct trp_canary_tally *from)
{
    trp_counter_set(&to->failures, trp_counter_get(&from->failures));
    trp_counter_set(&to->calls, trp_counter_get(&from->calls));
    for (uint32_t i = 0; i < TRP_LATENCY_BUCKETS; i++)
        trp_counter_set(&to->latency.buckets[i], trp_counter_get(&from->latency.buckets[i]));
}

/* Answers that come to the old rules from now on are lost to the comparison: those of a moment. */
static void resume(struct trp_route_canary *now, struct trp_route_canary *before)
{
    if (!before->is_begun)
        return;
    const struct trp_canary_counts none = { 0 };
    trp_canary_start(&now->canary, &now->opts, before->canary.since_ns, &none, &none);
    copy_tally(&now->old_one, &before->old_one);
    copy_tally(&now->new_one, &before->new_one);
    const uint64_t part = trp_word_get(&before->canary.part);
    now->canary.phase = before->canary.phase;
    now->canary.step = before->canary.step;
    now->canary.looked = before->canary.looked;
    now->canary.old_then = before->canary.old_then;
    now->canary.new_then = before->canary.new_then;
    now->canary.old_before = before->canary.old_before;
    now->canary.has_before = before->canary.has_before;
    now->canary.is_of_failures = before->canary.is_of_failures;
    (void)snprintf(now->canary.reason, sizeof now->canary.reason, "%s", before->canary.reason);
    trp_word_set(&now->canary.part, part);
    now->is_begun = true;
    trp_lock_enter(&before->lock); /* loops may count for it still */
    memcpy(now->last_failure, before->last_failure, sizeof now->last_failure);
    trp_lock_leave(&before->lock);
    write_down(now);
}

void trp_route_canary_resume(struct trp_router *now, const struct trp_router *before)
{
    const struct trp_route_plan *p = now->plan, *q = before->plan;
    for (uint32_t i = 0; i < p->rules_n; i++)
        for (uint32_t k = 0; p->rules[i].canary && k < q->rules_n; k++)
            if (is_same(p, &p->rules[i], q, &q->rules[k]))
                resume(p->rules[i].canary, q->rules[k].canary);
}
