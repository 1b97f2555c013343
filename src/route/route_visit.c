/* route/route_visit.c - see route_visit.h. */
#include "route/route_visit.h"

#include "call/fit.h"
#include "route/route_canary.h"
#include "route/route_hedge.h"
#include "route/route_sign.h"

/* ---- the end of a visit ---- */

/* As many as whoever answered counts: rows of a batch, otherwise one. */
static uint64_t rows_of(const struct trp_call *answered)
{
    const struct trp_signature *s = trp_target_signature(answered->target);
    for (uint32_t i = 0; s && s->batch_max > 0 && i < answered->inputs_n; i++)
        if (answered->inputs[i].tensor.data && answered->inputs[i].tensor.rank > 0)
            return (uint64_t)answered->inputs[i].tensor.shape[0];
    return 1;
}

/* For those who ask afterwards. */
static const char *way_to(const struct trp_route_visit *v, bool is_hedge)
{
    if (is_hedge)
        return "hedge";
    return v->step.why == TRP_ATTEMPTS_FIRST && v->is_canary ? "canary"
                                                             : trp_attempts_why_name(v->step.why);
}

void trp_route_visit_sign(struct trp_route_visit *v, const struct trp_call *answered, bool is_hedge)
{
    v->rows = rows_of(answered);
    v->because = way_to(v, is_hedge);
    const struct trp_str rule = is_hedge       ? v->rule->hedge->why
                                : v->is_canary ? v->rule->canary->why
                                               : v->rule->why;
    trp_route_sign(v->call, answered, rule, v->step.why);
}

/* Clients' tools look here for what they have asked; the models count their own runs. */
static void count_run(struct trp_stats *s, uint64_t rows, int64_t took_ns)
{
    trp_duration_add(&s->queue, 0);
    trp_duration_add(&s->compute_input, 0);
    trp_duration_add(&s->compute_infer, took_ns);
    trp_duration_add(&s->compute_output, 0);
    trp_counter_add(&s->inference_count, rows);
    trp_counter_add(&s->execution_count, 1);
    trp_stats_add_batch(s, rows, 0, took_ns, 0);
}

/* While its own target is pinned, front counts the call there; once it is another's, we count. */
static void count(const struct trp_route_visit *v)
{
    const struct trp_call *call = v->call;
    struct trp_stats *s = v->route->stats;
    const int64_t took_ns = trp_loop_now_ns(call->loop) - v->stamps_ns[TRP_PHASE_ARRIVED];
    if (!trp_failed(call->error.status))
        count_run(s, v->rows, took_ns);
    if (call->target == &v->route->target)
        return;
    trp_histogram_add(&s->total, took_ns);
    trp_counter_set(&s->last_asked_ns, (uint64_t)trp_route_visit_now_ns(v));
    if (!trp_failed(call->error.status)) {
        trp_duration_add(&s->success, took_ns);
        trp_counter_set(&s->last_inference_ns, (uint64_t)trp_route_visit_now_ns(v));
        return;
    }
    const int32_t code = call->error.status.code;
    trp_duration_add(&s->fail, took_ns);
    trp_counter_add(&s->errors[code > 0 && code < TRP_CODES ? code : TRP_UNKNOWN], 1);
}

/* Of the two of a canary the one that was not asked: whether it would take what the asked one
 * refuses.  Where nobody can tell it might. */
static bool would_other_take(const struct trp_route_visit *v)
{
    const struct trp_route_rule *rule = v->rule;
    const uint32_t canary = rule->canary->goal;
    const struct trp_route_goal *other =
        &v->route->plan->goals[v->chosen == canary ? rule->choices[0].goal : canary];
    const struct trp_sought sought = { other->model, other->version, NULL };
    struct trp_target *target = NULL;
    void (*release)(struct trp_target *) = NULL;
    struct trp_error err = { 0 };
    bool is_known = v->call->is_unbound && !v->is_fitted && !other->fit;
    for (uint32_t i = 0; i < v->call->inputs_n; i++) /* else it is half bound, with gaps */
        is_known = is_known && v->call->inputs[i].tensor.data;
    if (!is_known || trp_failed(trp_finder_find(trp_route_visit_finder(v), v->loop_index, &sought,
                                                &target, &release, &err)))
        return true;
    const struct trp_signature *s = trp_target_signature(target);
    const bool takes = !s || trp_call_fits(v->call, s);
    release(target);
    return takes;
}

/* Of a rule with a canary, how each of the two does as the first choice is compared; what they
 * do for others would not be fair, nor is what both of them refuse. */
void trp_route_visit_compare(const struct trp_route_visit *v, int32_t code, const char *why)
{
    struct trp_route_rule *rule = v->rule;
    if ((!rule->hedge && !rule->canary) || v->step.place > 0)
        return;
    const int64_t took_ns = trp_loop_clock_ns(v->call->loop) - v->asked_ns;
    if (rule->hedge && code == TRP_OK)
        trp_hedge_add(&rule->hedge->hedge, took_ns);
    if (rule->canary && (trp_fault_of(code) != TRP_FAULT_CLIENT || would_other_take(v)))
        trp_route_canary_count(rule, v->chosen, code, took_ns, why);
}

void trp_route_visit_conclude(struct trp_route_visit *v)
{
    struct trp_router *r = v->route;
    struct trp_call *call = v->call;
    const bool is_inside = v->is_starting;
    if (call->target == &r->target) /* no attempt's, but the route's: all of its time is counted */
        memcpy(call->stamps_ns, v->stamps_ns, sizeof v->stamps_ns);
    count(v);
    if (trp_failed(call->error.status))
        trp_route_sign_failure(call, v->rule->why, v->goal->text);
    if (v->sample)
        trp_route_samples_end(&r->samples, v->sample, call, v->because);
    if (v->shadow)
        trp_route_shadow_answered(v->shadow);
    trp_route_release(&r->target);
    if (is_inside)
        trp_call_finish_soon(call);
    else
        trp_call_finish(call);
}

/* What an attempt ended with, whatever it failed of when nobody waits any more. */
int32_t trp_route_visit_code_of(const struct trp_route_visit *v, int32_t code)
{
    const uint32_t outcome = trp_oneshot_get(&v->call->outcome);
    const bool is_gone = outcome == TRP_OUTCOME_CANCELLED || outcome == TRP_OUTCOME_EXPIRED;
    return is_gone && code != TRP_OK ? TRP_CANCELLED : code;
}

/* How the last attempt ended; true: somebody else is asked now. */
bool trp_route_visit_next(struct trp_route_visit *v, int32_t code)
{
    v->step = trp_attempts_next(&v->attempts, trp_route_visit_code_of(v, code),
                                trp_route_visit_now_ns(v), trp_route_visit_chance(v));
    return v->step.move == TRP_ATTEMPTS_ASK;
}
