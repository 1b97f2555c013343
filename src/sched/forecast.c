/* sched/forecast.c - see forecast.h. */
#include "sched/forecast.h"

#include "sched/flow.h"

static int64_t capped(double ns)
{
    return ns < 4e18 ? (int64_t)ns : INT64_MAX / 2;
}

/* Of its tenant's own work what goes first: none of it, when its deadline is before all of
 * theirs that may run. */
static int64_t own_work(const struct trp_sched_lane *lane, const struct trp_call *call)
{
    const struct trp_queue_node *const first = trp_pairing_first(&lane->shown);
    const int64_t due_ns = call->deadline_ns != 0 ? call->deadline_ns : INT64_MAX;
    if (first && due_ns < TRP_CONTAINER_OF(first, struct trp_queue_flow, of_lane)->due_ns)
        return 0;
    return lane->work_ns;
}

/* In its class all tenants are served side by side, by weight, until its own work is done; no
 * more than there is. */
static double work_in_class(const struct trp_sched_class *class, const struct trp_sched_lane *lane,
                            const struct trp_call *call, int64_t cost_ns)
{
    const double weight = lane->tenant->weight;
    const double weights = (double)class->weights + (lane->queued == 0 ? weight : 0);
    const double mine = (double)own_work(lane, call);
    const double ahead = (mine + (double)cost_ns) * weights / weight - (double)cost_ns;
    const double most = (double)class->work_ns - ((double)lane->work_ns - mine);
    return ahead < most ? ahead : most;
}

/* The part of all work that less urgent classes get meanwhile, by their floors. */
static double taken_by_floors(const struct trp_sched *s, uint32_t way)
{
    uint32_t permille = 0;
    while (++way < TRP_SCHED_WAYS)
        if (s->classes[way].queued > 0)
            permille += s->classes[way].floor_permille;
    return permille * 1e-3;
}

/* What of its own model goes first takes this long by its slots, however many executors are
 * idle. */
static double time_by_slots(const struct trp_sched_model *m, uint32_t way, double share,
                            int64_t cost_ns)
{
    double calls = share * m->ways[way];
    for (uint32_t i = 0; i < way; i++)
        calls += m->ways[i];
    return m->slots > 0 ? calls * (double)cost_ns / m->slots : 0;
}

struct trp_forecast trp_forecast_call(const struct trp_sched *s, const struct trp_sched_ask *ask,
                                      const struct trp_call *call,
                                      const struct trp_forecast_view *view)
{
    const uint32_t way = trp_sched_way_of_call(call);
    const struct trp_sched_tenant *const tenant = ask->tenant ? ask->tenant : &s->anyone;
    const struct trp_sched_class *const class = &s->classes[way];
    const double in_class = work_in_class(class, &tenant->lanes[way], call, ask->cost_ns);
    const double share = class->work_ns > 0 ? in_class / (double)class->work_ns : 0;
    double ahead = in_class;
    for (uint32_t i = 0; i < way; i++)
        ahead += (double)s->classes[i].work_ns;
    ahead /= 1 - taken_by_floors(s, way);
    const double wait =
                     (ahead + (double)view->busy_ns) / (view->executors > 0 ? view->executors : 1),
                 slots = time_by_slots(ask->line->model, way, share, ask->cost_ns);
    struct trp_forecast f = { .ahead_ns = capped(ahead), .is_met = true };
    f.start_ns = view->now_ns + capped(slots > wait ? slots : wait);
    f.end_ns = f.start_ns + ask->cost_ns;
    if (call->deadline_ns == 0 || ask->cost_ns == 0 || f.end_ns <= call->deadline_ns)
        return f;
    f.is_met = false;
    f.retry_after_ns = f.end_ns - call->deadline_ns;
    return f;
}
