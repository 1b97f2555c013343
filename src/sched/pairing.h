/* sched/pairing.h - a priority queue of things that bring their own links.
 * Answers "which one comes first?".  A pairing heap: pushing and looking are O(1), taking out any
 * element is O(log n) amortised, and nothing is allocated, whatever the number of queues.  Elements
 * that neither comes `before` the other leave in no particular order; give them a number to
 * order them by. */
#ifndef TRP_PAIRING_H
#define TRP_PAIRING_H

#include <stdbool.h>

#include "call/call.h"

typedef bool (*trp_before_fn)(const struct trp_queue_node *a, const struct trp_queue_node *b);

struct trp_pairing { /* zero but for `before` is an empty queue */
    struct trp_queue_node *root;
    trp_before_fn before;
};

/* Puts a node in, or takes one out that is in.
 *   Owns  : the node is borrowed while it is in.
 *   Thread: owner.
 *   Cost  : push O(1); remove O(log n) amortised; no allocation.
 *   Errors: none; removing a node that is elsewhere is a bug.
 *   Source: Fredman, Sedgewick, Sleator, Tarjan: The pairing heap, Algorithmica 1 (1986). */
void trp_pairing_push(struct trp_pairing *p, struct trp_queue_node *node);
void trp_pairing_remove(struct trp_pairing *p, struct trp_queue_node *node);

/* Puts a node where another one stands, which is out then: `to` becomes a copy of `from`, and
 * nothing is compared.
 *   Owns  : `to` is borrowed instead of `from`.
 *   Thread: owner.
 *   Cost  : O(1).
 *   Errors: none. */
void trp_pairing_move(struct trp_pairing *p, const struct trp_queue_node *from,
                      struct trp_queue_node *to);

/* The first one, still in; NULL when empty.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Errors: none. */
static inline struct trp_queue_node *trp_pairing_first(const struct trp_pairing *p)
{
    return p->root;
}

#endif
