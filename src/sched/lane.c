/* sched/lane.c - see lane.h. */
#include "sched/lane.h"

#define CREDIT_NS 1000000000 /* how far behind the others a lane may begin to wait somewhere else */
#define CORRECTIONS_MAX 8

static struct trp_sched_lane *lane_of(const struct trp_queue_node *node)
{
    return TRP_CONTAINER_OF(node, struct trp_sched_lane, node);
}

static struct trp_queue_flow *flow_of(const struct trp_queue_node *node)
{
    return TRP_CONTAINER_OF(node, struct trp_queue_flow, of_line);
}

static struct trp_queue_flow *shown_of(const struct trp_queue_node *node)
{
    return TRP_CONTAINER_OF(node, struct trp_queue_flow, of_lane);
}

static bool lane_before(const struct trp_queue_node *a, const struct trp_queue_node *b)
{
    const struct trp_sched_lane *const x = lane_of(a), *const y = lane_of(b);
    return x->time_ns != y->time_ns ? x->time_ns < y->time_ns : x->since < y->since;
}

static bool load_before(const struct trp_queue_node *a, const struct trp_queue_node *b)
{
    return TRP_CONTAINER_OF(a, struct trp_sched_lane, load_node)->load_seen >
           TRP_CONTAINER_OF(b, struct trp_sched_lane, load_node)->load_seen;
}

static bool flow_before(const struct trp_queue_node *a, const struct trp_queue_node *b)
{
    const struct trp_queue_flow *const x = flow_of(a), *const y = flow_of(b);
    return x->seen_time != y->seen_time ? x->seen_time < y->seen_time : x->since < y->since;
}

/* A tenant's calls: earliest deadline first, because whoever has less time should not wait for
 * whoever has more.
 * Source: Liu & Layland, JACM 20(1), 1973, section 7. */
static bool shown_before(const struct trp_queue_node *a, const struct trp_queue_node *b)
{
    const struct trp_queue_flow *const x = shown_of(a), *const y = shown_of(b);
    return x->due_ns != y->due_ns ? x->due_ns < y->due_ns : x->first < y->first;
}

static void leave(struct trp_sched_class *class, struct trp_sched_lane *lane)
{
    if (lane->is_in)
        trp_pairing_remove(&class->lanes, &lane->node);
    lane->is_in = false;
}

void trp_lane_settle(struct trp_sched_class *class, struct trp_sched_lane *lane)
{
    if (!trp_pairing_first(&lane->shown)) {
        leave(class, lane);
        return;
    }
    if (lane->is_in)
        return;
    class->lanes.before = lane_before;
    lane->since = class->turns++;
    trp_pairing_push(&class->lanes, &lane->node);
    lane->is_in = true;
}

static void set_time(struct trp_sched_class *class, struct trp_sched_lane *lane, int64_t time_ns)
{
    leave(class, lane);
    lane->time_ns = time_ns;
    trp_lane_settle(class, lane);
}

void trp_lane_begin(struct trp_sched_class *class, struct trp_sched_lane *lane)
{
    const int64_t least_ns = lane->queued == 0 ? class->time_ns : class->time_ns - CREDIT_NS;
    if (lane->time_ns < least_ns)
        set_time(class, lane, least_ns);
}

void trp_lane_charge(struct trp_sched_class *class, struct trp_sched_lane *lane, int64_t cost_ns)
{
    if (cost_ns > 0) {
        if (class->time_ns < lane->time_ns)
            class->time_ns = lane->time_ns;
        class->time_ns += cost_ns / (int64_t)(class->weights > 0 ? class->weights : 1);
    }
    set_time(class, lane, lane->time_ns + cost_ns / lane->tenant->weight);
}

void trp_lane_count(struct trp_sched_class *class, struct trp_sched_lane *lane, int32_t calls)
{
    if (lane->queued == 0)
        class->weights += lane->tenant->weight;
    lane->queued += (uint32_t)calls;
    if (lane->queued == 0)
        class->weights -= lane->tenant->weight;
    const int64_t load = trp_flow_load(lane->queued, lane->tenant), seen = lane->load_seen;
    const int64_t change = load > seen ? load - seen : seen - load;
    if (lane->queued > 0 && lane->is_loaded && 4 * change <= seen)
        return; /* about the same: putting it right each time would cost more than it tells */
    if (lane->is_loaded)
        trp_pairing_remove(&class->loads, &lane->load_node);
    lane->load_seen = load;
    lane->is_loaded = lane->queued > 0;
    class->loads.before = load_before;
    if (lane->is_loaded)
        trp_pairing_push(&class->loads, &lane->load_node);
}

void trp_lane_show(struct trp_queue_flow *flow)
{
    struct trp_sched_lane *const lane = trp_flow_lane(flow);
    lane->shown.before = shown_before;
    trp_pairing_push(&lane->shown, &flow->of_lane);
    flow->is_shown = true;
    flow->line->ways[flow->way].shown = flow;
}

void trp_lane_hide(struct trp_queue_flow *flow)
{
    trp_pairing_remove(&trp_flow_lane(flow)->shown, &flow->of_lane);
    flow->is_shown = false;
    flow->line->ways[flow->way].shown = NULL;
}

struct trp_queue_flow *trp_lane_first(const struct trp_sched_class *class)
{
    const struct trp_queue_node *const first = trp_pairing_first(&class->lanes);
    return first ? shown_of(trp_pairing_first(&lane_of(first)->shown)) : NULL;
}

void trp_lane_wait(struct trp_queue_flow *flow)
{
    struct trp_pairing *const flows = &flow->line->ways[flow->way].flows;
    flows->before = flow_before;
    flow->seen_time = trp_flow_lane(flow)->time_ns;
    trp_pairing_push(flows, &flow->of_line);
}

struct trp_queue_flow *trp_lane_best(struct trp_sched_line *line, uint32_t way)
{
    struct trp_pairing *const flows = &line->ways[way].flows;
    for (uint32_t i = 0; i < CORRECTIONS_MAX; i++) {
        struct trp_queue_node *const node = trp_pairing_first(flows);
        if (!node)
            return NULL;
        struct trp_queue_flow *const flow = flow_of(node);
        const int64_t time_ns = trp_flow_lane(flow)->time_ns;
        if (flow->seen_time >= time_ns)
            return flow;
        if (!node->child) { /* alone */
            flow->seen_time = time_ns;
            return flow;
        }
        trp_pairing_remove(flows, node);
        trp_lane_wait(flow);
    }
    return flow_of(trp_pairing_first(flows));
}
