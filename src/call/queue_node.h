/* call/queue_node.h - the links that a call brings to the queues it waits in.
 * Answers "how does a call wait without an allocation?".  A chain is here; sched/ has the others:
 * pairing.h, sorted.h and flow.h say how. */
#ifndef TRP_QUEUE_NODE_H
#define TRP_QUEUE_NODE_H

#include <stdbool.h>
#include <stdint.h>

struct trp_sched_tenant;
struct trp_sched_line;

struct trp_queue_node {
    struct trp_queue_node *child, *next, *prev;
};

/* Calls in the order in which they came; `child` is not used.  Zero is empty. */
struct trp_queue_chain {
    struct trp_queue_node *first, *last;
};

static inline void trp_queue_chain_append(struct trp_queue_chain *c, struct trp_queue_node *node)
{
    *node = (struct trp_queue_node){ .prev = c->last };
    if (c->last)
        c->last->next = node;
    else
        c->first = node;
    c->last = node;
}

/* Of a node that is in the chain. */
static inline void trp_queue_chain_remove(struct trp_queue_chain *c, struct trp_queue_node *node)
{
    if (node->prev)
        node->prev->next = node->next;
    else
        c->first = node->next;
    if (node->next)
        node->next->prev = node->prev;
    else
        c->last = node->prev;
    *node = (struct trp_queue_node){ 0 };
}

/* A place in an ordered queue: by key, then by arrival. */
struct trp_queue_spot {
    struct trp_queue_node node;
    int64_t key, arrival;
    uint32_t run; /* which row of the queue it stands in */
};

/* The rows and the heap of an ordered queue (sched/sorted.h); zero is empty. */
#define TRP_QUEUE_RUNS 4
struct trp_queue_rows {
    struct trp_queue_spot *first[TRP_QUEUE_RUNS], *last[TRP_QUEUE_RUNS];
    struct trp_queue_node *heap;
};

/* What waits of one tenant in one class and line.  One of the calls in it lends the memory, see
 * sched/flow.h. */
struct trp_queue_flow {
    struct trp_queue_node of_line,
        of_lane;                     /* in the line's queue of flows; in the tenant's, if shown */
    struct trp_queue_node of_expiry; /* among all that have a deadline, if `due_ns` is one */
    struct trp_queue_flow *tree[2];  /* found by its tenant */
    struct trp_queue_flow *next, *prev; /* of its lane; the one with the newest call first */
    struct trp_sched_tenant *tenant;
    struct trp_sched_line *line;
    struct trp_queue_rows calls;
    int64_t seen_time, since; /* the tenant's time as this flow is queued by; when it began */
    int64_t due_ns, first;    /* its first call's deadline, INT64_MAX: none; its arrival */
    uint32_t way, count;
    bool is_shown;
};

/* All that sched/ keeps in a waiting call, close together: of a hundred thousand calls hardly
 * one is in the caches. */
struct trp_queue_seat {
    struct trp_queue_spot turn; /* in its flow; key: the deadline, INT64_MAX: none */
    struct trp_sched_tenant *tenant;
    struct trp_sched_line *line;
    int64_t cost_ns, billed_ns; /* what its run is likely to cost; what its tenant was charged */
    uint32_t rows, way;
    struct trp_queue_flow flow; /* lent to the flow that it waits in, or to none */
};

#endif
