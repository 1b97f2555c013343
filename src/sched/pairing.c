/* sched/pairing.c - see pairing.h.
 * `child` is the first child, `next` the right neighbour, `prev` the left one or, for a first
 * child, the parent. */
#include "sched/pairing.h"

#include <stddef.h>

/* Joins two heaps: the later root becomes the first child of the earlier one. */
static struct trp_queue_node *meld(const struct trp_pairing *p, struct trp_queue_node *a,
                                   struct trp_queue_node *b)
{
    if (!a || !b)
        return a ? a : b;
    if (p->before(b, a)) {
        struct trp_queue_node *const later = a;
        a = b;
        b = later;
    }
    b->prev = a;
    b->next = a->child;
    if (a->child)
        a->child->prev = b;
    a->child = b;
    return a;
}

/* Makes one heap of a row of siblings: in pairs from the left, then from the right into one.  The
 * pairs are kept on a list by `prev`, so that no depth of recursion depends on who queues what. */
static struct trp_queue_node *gather(const struct trp_pairing *p, struct trp_queue_node *first)
{
    struct trp_queue_node *pairs = NULL, *all = NULL;
    while (first) {
        struct trp_queue_node *const a = first, *const b = a->next;
        first = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        struct trp_queue_node *const pair = meld(p, a, b);
        pair->prev = pairs;
        pairs = pair;
    }
    while (pairs) {
        struct trp_queue_node *const pair = pairs;
        pairs = pair->prev;
        pair->prev = NULL;
        all = meld(p, all, pair);
    }
    return all;
}

void trp_pairing_push(struct trp_pairing *p, struct trp_queue_node *node)
{
    *node = (struct trp_queue_node){ NULL, NULL, NULL };
    p->root = meld(p, p->root, node);
}

void trp_pairing_remove(struct trp_pairing *p, struct trp_queue_node *node)
{
    struct trp_queue_node *const below = gather(p, node->child);
    if (node == p->root)
        p->root = below;
    else {
        if (node->prev->child == node)
            node->prev->child = node->next;
        else
            node->prev->next = node->next;
        if (node->next)
            node->next->prev = node->prev;
        p->root = meld(p, p->root, below);
    }
    *node = (struct trp_queue_node){ NULL, NULL, NULL };
}

void trp_pairing_move(struct trp_pairing *p, const struct trp_queue_node *from,
                      struct trp_queue_node *to)
{
    *to = *from;
    if (p->root == from)
        p->root = to;
    else if (to->prev->child == from)
        to->prev->child = to;
    else
        to->prev->next = to;
    if (to->next)
        to->next->prev = to;
    if (to->child)
        to->child->prev = to;
}
