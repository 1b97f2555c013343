/* sched/sorted.h - calls in order of a key, then of arrival.
 * Answers "which one comes first?" for very many of them.  Keys that arrive in order (no deadline
 * at all, or all the same time from now) stand in rows, linked both ways: putting in and taking out
 * touches neighbours only, whatever the number.  A key that fits behind no row goes into a
 * pairing heap. */
#ifndef TRP_SORTED_H
#define TRP_SORTED_H

#include "sched/pairing.h"

/* Puts a spot in, whose key and arrival are set; takes out one that is in.
 *   Owns  : the spot is borrowed while it is in.
 *   Thread: owner.
 *   Cost  : O(1) in a row; in the heap as trp_pairing_push() and _remove(); no allocation.
 *   Errors: none; removing a spot that is elsewhere is a bug. */
void trp_sorted_push(struct trp_queue_rows *rows, struct trp_queue_spot *spot);
void trp_sorted_remove(struct trp_queue_rows *rows, struct trp_queue_spot *spot);

/* The first one, still in; and a late one: the newest of those that end a row; NULL when empty.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Cost  : O(1).
 *   Errors: none. */
struct trp_queue_spot *trp_sorted_first(const struct trp_queue_rows *rows);
struct trp_queue_spot *trp_sorted_last(const struct trp_queue_rows *rows);

static inline bool trp_sorted_is_before(const struct trp_queue_spot *a,
                                        const struct trp_queue_spot *b)
{
    return a->key != b->key ? a->key < b->key : a->arrival < b->arrival;
}

#endif
