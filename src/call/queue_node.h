/* call/queue_node.h - the links that a call brings to a priority queue.
 * Answers "how does a call wait without an allocation?".  sched/pairing.h uses them. */
#ifndef TRP_QUEUE_NODE_H
#define TRP_QUEUE_NODE_H

struct trp_queue_node {
    struct trp_queue_node *child, *next, *prev;
};

#endif
