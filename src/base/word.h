/* base/word.h - several small numbers in one, which change together.
 * Answers "how does a state change at once, without a lock?".  Whoever wants to change it looks,
 * makes the next state of what it saw, and swaps; who comes too late looks again.  As
 * base/atomic.h: acquire on look, release on swap, so that what was written before a state is
 * seen by who sees the state. */
#ifndef TRP_WORD_H
#define TRP_WORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct trp_word {
    _Atomic uint64_t value;
};
static inline uint64_t trp_word_get(const struct trp_word *w)
{
    return atomic_load_explicit(&w->value, memory_order_acquire);
}
/* False: `*seen` was not there any more, and is what is there now. */
static inline bool trp_word_try_swap(struct trp_word *w, uint64_t *seen, uint64_t next)
{
    return atomic_compare_exchange_weak_explicit(&w->value, seen, next, memory_order_acq_rel,
                                                 memory_order_acquire);
}
static inline void trp_word_set(struct trp_word *w, uint64_t next)
{
    atomic_store_explicit(&w->value, next, memory_order_release);
}

#endif
