/* sched/sorted.c - see sorted.h.
 *
 * A few rows suffice for what clients do: those without a deadline, and those with one of the usual
 * times.  A new spot goes behind the row whose end comes latest but before it, so that the other
 * rows stay open for earlier ones. */
#include "sched/sorted.h"

#define IN_HEAP TRP_QUEUE_RUNS

static struct trp_queue_spot *spot_of(const struct trp_queue_node *node)
{
    return TRP_CONTAINER_OF(node, struct trp_queue_spot, node);
}

static bool node_before(const struct trp_queue_node *a, const struct trp_queue_node *b)
{
    return trp_sorted_is_before(spot_of(a), spot_of(b));
}

static uint32_t row_for(const struct trp_queue_rows *rows, const struct trp_queue_spot *spot)
{
    uint32_t found = IN_HEAP;
    for (uint32_t i = 0; i < TRP_QUEUE_RUNS; i++) {
        const struct trp_queue_spot *const last = rows->last[i];
        if (last && trp_sorted_is_before(spot, last))
            continue;
        if (found == IN_HEAP || !rows->last[found] ||
            (last && trp_sorted_is_before(rows->last[found], last)))
            found = i;
    }
    return found;
}

void trp_sorted_push(struct trp_queue_rows *rows, struct trp_queue_spot *spot)
{
    const uint32_t i = spot->run = row_for(rows, spot);
    if (i == IN_HEAP) {
        struct trp_pairing heap = { rows->heap, node_before };
        trp_pairing_push(&heap, &spot->node);
        rows->heap = heap.root;
        return;
    }
    struct trp_queue_spot *const last = rows->last[i];
    spot->node = (struct trp_queue_node){ .prev = last ? &last->node : NULL };
    if (last)
        last->node.next = &spot->node;
    else
        rows->first[i] = spot;
    rows->last[i] = spot;
}

void trp_sorted_remove(struct trp_queue_rows *rows, struct trp_queue_spot *spot)
{
    const uint32_t i = spot->run;
    if (i == IN_HEAP) {
        struct trp_pairing heap = { rows->heap, node_before };
        trp_pairing_remove(&heap, &spot->node);
        rows->heap = heap.root;
        return;
    }
    const struct trp_queue_node node = spot->node;
    if (node.prev)
        node.prev->next = node.next;
    else
        rows->first[i] = node.next ? spot_of(node.next) : NULL;
    if (node.next)
        node.next->prev = node.prev;
    else
        rows->last[i] = node.prev ? spot_of(node.prev) : NULL;
    spot->node = (struct trp_queue_node){ NULL, NULL, NULL };
    if (!node.prev && node.next && node.next->next) /* it will be next to the first one soon */
        __builtin_prefetch(node.next->next, 1);
}

struct trp_queue_spot *trp_sorted_first(const struct trp_queue_rows *rows)
{
    struct trp_queue_spot *found = rows->heap ? spot_of(rows->heap) : NULL;
    for (uint32_t i = 0; i < TRP_QUEUE_RUNS; i++)
        if (rows->first[i] && (!found || trp_sorted_is_before(rows->first[i], found)))
            found = rows->first[i];
    return found;
}

#define DOWN_MAX 64

struct trp_queue_spot *trp_sorted_last(const struct trp_queue_rows *rows)
{
    struct trp_queue_spot *found = NULL;
    for (uint32_t i = 0; i < TRP_QUEUE_RUNS; i++)
        if (rows->last[i] && (!found || rows->last[i]->arrival > found->arrival))
            found = rows->last[i];
    if (found || !rows->heap)
        return found;
    struct trp_queue_node *node = rows->heap; /* whoever is below comes later */
    for (uint32_t i = 0; node->child && i < DOWN_MAX; i++)
        node = node->child;
    return spot_of(node);
}
