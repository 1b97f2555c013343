/* sched/shedding.c - see shedding.h. */
#include "sched/shedding.h"

#include "sched/flow.h"

/* The flow of the tenant with most waiting, in which its newest call waits (or did, if that one
 * has left). */
static struct trp_queue_flow *longest_of_all(const struct trp_sched *s, uint32_t way)
{
    const struct trp_queue_node *const first = trp_pairing_first(&s->classes[way].loads);
    return first ? TRP_CONTAINER_OF(first, struct trp_sched_lane, load_node)->flows : NULL;
}

static struct trp_queue_flow *longest_of_model(const struct trp_sched_model *m, uint32_t way)
{
    struct trp_queue_flow *found = NULL;
    for (const struct trp_sched_line *line = m->lines; line; line = line->next) {
        struct trp_queue_flow *const flow = trp_flow_longest(line, way);
        if (flow && (!found || trp_flow_load(flow->count, flow->tenant) >
                                   trp_flow_load(found->count, found->tenant)))
            found = flow;
    }
    return found;
}

struct trp_call *trp_shedding_take(struct trp_sched *s, const struct trp_sched_ask *ask,
                                   const struct trp_call *refused, enum trp_sched_push why)
{
    const uint32_t own = trp_sched_way_of_call(refused);
    const struct trp_sched_tenant *const tenant = ask->tenant ? ask->tenant : &s->anyone;
    struct trp_queue_flow *flow = NULL;
    uint32_t way = TRP_SCHED_WAYS;
    while (!flow && way-- > own)
        flow = why == TRP_SCHED_FULL ? longest_of_all(s, way)
                                     : longest_of_model(ask->line->model, way);
    if (!flow)
        return NULL;
    if (flow->way == own) { /* its own class: only for a tenant that has less, itself counted */
        const struct trp_queue_flow *const mine = trp_flow_find(ask->line, own, tenant);
        const uint32_t has = why == TRP_SCHED_FULL ? tenant->lanes[own].queued
                             : mine                ? mine->count
                                                   : 0;
        const uint32_t theirs = why == TRP_SCHED_FULL ? trp_flow_lane(flow)->queued : flow->count;
        if (flow->tenant == tenant ||
            trp_flow_load(theirs, flow->tenant) <= trp_flow_load(has + 1, tenant))
            return NULL;
    }
    struct trp_call *const call = trp_flow_last(flow);
    trp_sched_remove(s, call);
    return call;
}
