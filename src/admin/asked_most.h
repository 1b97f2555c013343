/* admin/asked_most.h - which of many have series of their own.
 * Answers "for whom is there room on a page of metrics?": those that were asked most, in the order
 * in which they stood. */
#ifndef TRP_ASKED_MOST_H
#define TRP_ASKED_MOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is known of one: the first member of whatever is chosen from. */
struct trp_asked {
    uint64_t asked_n;  /* how often it was, when the page was begun */
    bool is_candidate; /* false: it has none, however many there are */
    uint32_t place;    /* where it stood; trp_asked_most() fills it in */
};

/* Puts those that get series first, in their order: of the candidates, the `most` that were asked
 * most, of two that were asked alike the earlier one.  The others stand behind them.
 *   Units : size: bytes of one.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : O(n log n).
 *   Errors: none; returns how many they are. */
uint32_t trp_asked_most(void *all, uint32_t n, size_t size, uint32_t most);

#endif
