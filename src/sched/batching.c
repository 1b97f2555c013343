/* sched/batching.c - see batching.h. */
#include "sched/batching.h"

#include "sched/lane.h"
#include "sched/resting.h"

#define WAKING_NS 200000 /* a rest may end so much too late */

/* Rows that wait may be more than a run can have. */
static uint32_t least(uint32_t a, uint64_t b)
{
    return a < b ? a : (uint32_t)b;
}

/* The largest preferred number that is reached by `rows`; `rows` itself when none is. */
static uint32_t preferred(const struct trp_batching_rules *rules, uint32_t rows)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < rules->preferred_n; i++)
        if (rules->preferred[i] <= rows)
            found = rules->preferred[i];
    return found > 0 ? found : rows;
}

/* The number that is waited for: what is called enough, or the next preferred one, or `most`; 0:
 * one is reached already. */
static uint32_t awaited(const struct trp_batching_rules *rules, uint32_t waiting, uint32_t most)
{
    if (rules->rows_enough > 0 && rules->rows_enough < most)
        return waiting < rules->rows_enough ? rules->rows_enough : 0;
    if (waiting >= most || (rules->preferred_n > 0 && rules->preferred[0] <= waiting))
        return 0;
    for (uint32_t i = 0; i < rules->preferred_n; i++)
        if (rules->preferred[i] > waiting && rules->preferred[i] < most)
            return rules->preferred[i];
    return most;
}

/* How long a run may be. */
static int64_t limit_of(const struct trp_batching_rules *rules, const struct trp_cost_curve *curve,
                        const struct trp_batching_view *view)
{
    int64_t limit_ns = rules->run_max_ns > 0 ? rules->run_max_ns : INT64_MAX;
    const int64_t alone_ns = trp_cost_curve_estimate(curve, view->rows_first);
    const int64_t others_ns = view->others_ns > alone_ns ? view->others_ns : alone_ns;
    if (others_ns < limit_ns)
        limit_ns = others_ns;
    if (view->deadline_ns != 0 && view->deadline_ns - view->now_ns < limit_ns)
        limit_ns = view->deadline_ns - view->now_ns;
    return limit_ns;
}

/* Until when it may wait for more than the rows that it has; 0: not at all. */
static int64_t patience(const struct trp_batching_rules *rules, const struct trp_cost_curve *curve,
                        const struct trp_batching_view *view)
{
    int64_t until_ns = view->since_ns + rules->delay_ns;
    if (view->since_ns == 0)
        return 0;
    if (view->deadline_ns != 0) { /* and then it still has to run */
        const int64_t cost_ns = trp_cost_curve_estimate(curve, view->rows_waiting);
        const int64_t needs_ns =
            cost_ns > 0 ? cost_ns + WAKING_NS : (view->deadline_ns - view->now_ns) / 2;
        if (view->deadline_ns - needs_ns < until_ns)
            until_ns = view->deadline_ns - needs_ns;
    }
    return until_ns > view->now_ns ? until_ns : 0;
}

struct trp_batching_plan trp_batching_choose(const struct trp_batching_rules *rules,
                                             struct trp_cost_curve *curve,
                                             const struct trp_batching_view *view)
{
    const uint32_t first = view->rows_first;
    struct trp_batching_plan plan = { .rows = first };
    if (rules->rows_max <= first)
        return plan;
    uint32_t rows = rules->is_forced ? rules->rows_max
                                     : trp_cost_curve_best_rows(curve, first, rules->rows_max);
    rows = trp_cost_curve_rows_within(curve, limit_of(rules, curve, view), rows);
    if (rows <= first)
        return plan;
    const uint32_t waiting = view->rows_waiting, wanted = awaited(rules, waiting, rows);
    if (wanted > 0 && rules->delay_ns > 0) {
        plan.rows = wanted;
        plan.until_ns = patience(rules, curve, view);
        if (plan.until_ns != 0)
            return plan;
    }
    const uint32_t idle =
        rules->delay_ns > 0 ? 0 : view->idle; /* what has waited for company keeps it */
    const uint32_t shared = waiting / (idle + 1) + (waiting % (idle + 1) != 0);
    rows = preferred(rules, least(rows, shared));
    plan.rows = rows > first ? rows : first;
    return plan;
}

/* What others leave for a run: nothing while a more urgent class waits; while another line has a
 * call with a deadline, the time until that must begin. */
static int64_t left_by_others(const struct trp_sched *s, const struct trp_sched_turn *turn,
                              int64_t now_ns)
{
    for (uint32_t way = 0; way < turn->way; way++)
        if (trp_lane_first(&s->classes[way]))
            return 0;
    const struct trp_queue_node *const first = trp_pairing_first(&s->expiry);
    if (!first)
        return INT64_MAX;
    const struct trp_queue_flow *const flow =
        TRP_CONTAINER_OF(first, struct trp_queue_flow, of_expiry);
    if (flow->line == turn->line || flow->way > turn->way)
        return INT64_MAX;
    const int64_t left_ns = flow->due_ns - trp_flow_first(flow)->seat.cost_ns - now_ns;
    return left_ns > 0 ? left_ns : 0;
}

/* Whether a run of so many rows that begins now ends in time for a call. */
static bool is_in_time(const struct trp_cost_curve *curve, uint32_t rows, int64_t now_ns,
                       int64_t deadline_ns)
{
    return deadline_ns == 0 || deadline_ns - now_ns >= trp_cost_curve_estimate(curve, rows);
}

static int64_t sooner(int64_t a_ns, int64_t b_ns)
{
    return a_ns == 0 || (b_ns != 0 && b_ns < a_ns) ? b_ns : a_ns;
}

/* How many executors could begin another run of the model beside this one: a sleeper is of no
 * use to what has no slot. */
static uint32_t helpers_of(const struct trp_sched_model *m, uint32_t idle)
{
    const uint32_t taken = m->running + 1;
    const uint32_t left = m->slots > taken ? m->slots - taken : 0;
    return m->slots == 0 || idle < left ? idle : left;
}

static void take_company(struct trp_sched *s, struct trp_sched_line *line,
                         const struct trp_cost_curve *curve, const struct trp_batching_plan *plan,
                         int64_t now_ns, struct trp_call_list *calls)
{
    uint32_t rows = calls->first->seat.rows;
    int64_t deadline_ns = calls->first->deadline_ns;
    struct trp_call *call;
    const uint32_t expected = least(plan->rows, rows + line->rows);
    const int64_t cost_ns = trp_cost_curve_estimate(curve, expected);
    while (rows < plan->rows && (call = trp_sched_mate(s, line)) != NULL) {
        if (call->seat.rows > plan->rows - rows)
            return;
        const uint32_t joined = rows + call->seat.rows;
        if (!is_in_time(curve, joined, now_ns, deadline_ns) ||
            !is_in_time(curve, joined, now_ns, call->deadline_ns))
            return; /* it is next, alone, and may be in time */
        trp_sched_take_mate(s, call, cost_ns / expected * call->seat.rows);
        trp_call_list_push(calls, call);
        deadline_ns = sooner(deadline_ns, call->deadline_ns);
        rows = joined;
    }
}

bool trp_batching_take(struct trp_sched *s, const struct trp_sched_turn *turn,
                       const struct trp_batching_rules *rules, struct trp_cost_curve *curve,
                       const struct trp_batching_now *now, struct trp_call_list *out_calls)
{
    const struct trp_batching_view view = {
        .now_ns = now->now_ns,
        .rows_first = turn->call->seat.rows,
        .rows_waiting = least(UINT32_MAX, turn->line->rows),
        .idle = helpers_of(turn->line->model, now->idle),
        .since_ns = turn->line->has_rested ? 0 : turn->call->stamps_ns[TRP_PHASE_QUEUED],
        .deadline_ns = turn->call->deadline_ns,
        .others_ns = left_by_others(s, turn, now->now_ns),
    };
    const struct trp_batching_plan plan = trp_batching_choose(rules, curve, &view);
    if (plan.until_ns != 0) {
        trp_resting_begin(s, turn->line, plan.until_ns, plan.rows);
        return false;
    }
    struct trp_sched_line *const line = turn->line;
    const uint32_t expected = least(plan.rows, view.rows_waiting);
    const int64_t cost_ns = trp_cost_curve_estimate(curve, expected);
    line->has_rested = false;
    trp_sched_take_turn(s, turn, cost_ns / expected * view.rows_first);
    trp_call_list_push(out_calls, turn->call);
    if (plan.rows > view.rows_first)
        take_company(s, line, curve, &plan, now->now_ns, out_calls);
    return true;
}
