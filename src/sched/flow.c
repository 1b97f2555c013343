/* sched/flow.c - see flow.h.
 *
 * Flows are found by a digital search tree: at each step one more bit of the tenant's number, well
 * mixed, says left or right. It needs no balancing, and any leaf below a flow may stand in for it.
 * Source: Coffman, Eve: File structures using hashing functions, CACM 13(7), 1970. */
#include "sched/flow.h"

static struct trp_call *call_of(struct trp_queue_spot *spot)
{
    return TRP_CONTAINER_OF(spot, struct trp_call, seat.turn);
}

static struct trp_queue_flow **slot_of(struct trp_queue_flow **slot,
                                       const struct trp_sched_tenant *tenant)
{
    for (uint64_t bits = tenant->hash; *slot && (*slot)->tenant != tenant; bits >>= 1)
        slot = &(*slot)->tree[bits & 1];
    return slot;
}

struct trp_queue_flow *trp_flow_find(const struct trp_sched_line *line, uint32_t way,
                                     const struct trp_sched_tenant *tenant)
{
    struct trp_queue_flow *root = line->ways[way].tree;
    return *slot_of(&root, tenant);
}

static void link_in_lane(struct trp_queue_flow *flow)
{
    struct trp_sched_lane *const lane = trp_flow_lane(flow);
    flow->prev = NULL;
    flow->next = lane->flows;
    if (lane->flows)
        lane->flows->prev = flow;
    lane->flows = flow;
}

/* Whoever points at the flow in its lane's list points at `at` from now on: its successor or its
 * new place. */
static void relink_in_lane(struct trp_queue_flow *flow, struct trp_queue_flow *next,
                           struct trp_queue_flow *prev)
{
    if (flow->prev)
        flow->prev->next = next;
    else
        trp_flow_lane(flow)->flows = next;
    if (flow->next)
        flow->next->prev = prev;
}

struct trp_queue_flow *trp_flow_open(struct trp_sched_line *line, uint32_t way,
                                     struct trp_sched_tenant *tenant, struct trp_call *call)
{
    struct trp_queue_flow *const flow = &call->seat.flow;
    *flow = (struct trp_queue_flow){
        .tenant = tenant, .line = line, .way = way, .due_ns = INT64_MAX, .first = INT64_MAX
    };
    *slot_of(&line->ways[way].tree, tenant) = flow;
    link_in_lane(flow);
    return flow;
}

static void close_flow(struct trp_queue_flow *flow)
{
    struct trp_queue_flow **const slot = slot_of(&flow->line->ways[flow->way].tree, flow->tenant);
    struct trp_queue_flow **below = slot, *leaf = flow;
    while (leaf->tree[0] || leaf->tree[1]) {
        below = &leaf->tree[leaf->tree[0] ? 0 : 1];
        leaf = *below;
    }
    *below = NULL;
    if (leaf != flow) {
        leaf->tree[0] = flow->tree[0];
        leaf->tree[1] = flow->tree[1];
        *slot = leaf;
    }
    relink_in_lane(flow, flow->next, flow->prev);
}

static struct trp_queue_flow *move_flow(struct trp_queue_flow *flow, struct trp_call *call,
                                        struct trp_pairing *expiry)
{
    struct trp_queue_flow *const to = &call->seat.flow;
    *slot_of(&flow->line->ways[flow->way].tree, flow->tenant) = to;
    *to = *flow;
    relink_in_lane(flow, to, to);
    trp_pairing_move(&flow->line->ways[flow->way].flows, &flow->of_line, &to->of_line);
    if (flow->is_shown) {
        trp_pairing_move(&trp_flow_lane(flow)->shown, &flow->of_lane, &to->of_lane);
        flow->line->ways[flow->way].shown = to;
    }
    if (flow->due_ns != INT64_MAX)
        trp_pairing_move(expiry, &flow->of_expiry, &to->of_expiry);
    return to;
}

void trp_flow_push(struct trp_queue_flow *flow, struct trp_call *call)
{
    flow->count++;
    trp_sorted_push(&flow->calls, &call->seat.turn);
    if (flow->prev) { /* not the first of its lane, and has the newest call now */
        relink_in_lane(flow, flow->next, flow->prev);
        link_in_lane(flow);
    }
}

void trp_flow_remove(struct trp_queue_flow *flow, struct trp_call *call)
{
    trp_sorted_remove(&flow->calls, &call->seat.turn);
    flow->count--;
}

struct trp_queue_flow *trp_flow_tidy(struct trp_queue_flow *flow, const struct trp_call *gone,
                                     struct trp_pairing *expiry)
{
    if (flow->count == 0) {
        close_flow(flow);
        return NULL;
    }
    return flow == &gone->seat.flow ? move_flow(flow, trp_flow_last(flow), expiry) : flow;
}

struct trp_call *trp_flow_first(const struct trp_queue_flow *flow)
{
    return call_of(trp_sorted_first(&flow->calls));
}

struct trp_call *trp_flow_last(const struct trp_queue_flow *flow)
{
    return call_of(trp_sorted_last(&flow->calls));
}

/* The tree is no deeper than the bits of a tenant's number. */
static struct trp_queue_flow *longest(struct trp_queue_flow *flow, struct trp_queue_flow *found)
{
    for (; flow; flow = flow->tree[1]) {
        if (!found ||
            trp_flow_load(flow->count, flow->tenant) > trp_flow_load(found->count, found->tenant))
            found = flow;
        found = longest(flow->tree[0], found);
    }
    return found;
}

struct trp_queue_flow *trp_flow_longest(const struct trp_sched_line *line, uint32_t way)
{
    return longest(line->ways[way].tree, NULL);
}
