/* base/atomic.h - the only atomic types of the house.
 * Answers "what may two threads touch at once?".  Each type names its memory order and why. */
#ifndef TRP_ATOMIC_H
#define TRP_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Counts.  Relaxed: nothing else is published through it. */
struct trp_counter {
    _Atomic uint64_t value;
};
static inline uint64_t trp_counter_add(struct trp_counter *c, uint64_t n)
{
    return atomic_fetch_add_explicit(&c->value, n, memory_order_relaxed) + n;
}
static inline uint64_t trp_counter_sub(struct trp_counter *c, uint64_t n)
{
    return atomic_fetch_sub_explicit(&c->value, n, memory_order_relaxed) - n;
}
static inline uint64_t trp_counter_get(const struct trp_counter *c)
{
    return atomic_load_explicit(&c->value, memory_order_relaxed);
}
static inline void trp_counter_set(struct trp_counter *c, uint64_t n)
{
    atomic_store_explicit(&c->value, n, memory_order_relaxed);
}
/* Returns what was there before. */
static inline uint64_t trp_counter_swap(struct trp_counter *c, uint64_t n)
{
    return atomic_exchange_explicit(&c->value, n, memory_order_relaxed);
}
/* Adds unless the sum would pass `limit`; a wrapped sum passes every limit. */
static inline bool trp_counter_try_add(struct trp_counter *c, uint64_t n, uint64_t limit)
{
    uint64_t now = trp_counter_get(c);
    do {
        if (n > limit || now > limit - n)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&c->value, &now, now + n, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}
/* Keeps the largest value ever seen. */
static inline void trp_counter_raise(struct trp_counter *c, uint64_t n)
{
    uint64_t now = trp_counter_get(c);
    while (now < n && !atomic_compare_exchange_weak_explicit(
                          &c->value, &now, n, memory_order_relaxed, memory_order_relaxed))
        ;
}
/* For a counter that one thread writes and others read: no locked instruction. */
static inline void trp_counter_own_add(struct trp_counter *c, uint64_t n)
{
    atomic_store_explicit(&c->value, atomic_load_explicit(&c->value, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* A signed gauge.  Relaxed, as above. */
struct trp_gauge {
    _Atomic int64_t value;
};
static inline void trp_gauge_add(struct trp_gauge *g, int64_t n)
{
    atomic_fetch_add_explicit(&g->value, n, memory_order_relaxed);
}
static inline void trp_gauge_set(struct trp_gauge *g, int64_t n)
{
    atomic_store_explicit(&g->value, n, memory_order_relaxed);
}
static inline int64_t trp_gauge_get(const struct trp_gauge *g)
{
    return atomic_load_explicit(&g->value, memory_order_relaxed);
}

/* Says "stop" or "changed".  Release on raise, acquire on look: what was before is seen after. */
struct trp_flag {
    _Atomic int32_t value;
};
static inline void trp_flag_raise(struct trp_flag *f)
{
    atomic_store_explicit(&f->value, 1, memory_order_release);
}
static inline void trp_flag_lower(struct trp_flag *f)
{
    atomic_store_explicit(&f->value, 0, memory_order_release);
}
static inline bool trp_flag_is_up(const struct trp_flag *f)
{
    return atomic_load_explicit(&f->value, memory_order_acquire) != 0;
}
/* The flag as the word that backends are told; the same look at such a word, NULL: never raised. */
static inline const volatile int32_t *trp_flag_word(const struct trp_flag *f)
{
    return (const volatile int32_t *)(const void *)&f->value; /* of the same representation */
}
static inline bool trp_flag_word_is_up(const volatile int32_t *word)
{
    return word && __atomic_load_n(word, __ATOMIC_ACQUIRE) != 0;
}

/* How far somebody has come; never falls.  Release on raise, acquire on look: the work is seen. */
struct trp_mark {
    _Atomic uint64_t value;
};
static inline void trp_mark_raise(struct trp_mark *m, uint64_t n)
{
    uint64_t now = atomic_load_explicit(&m->value, memory_order_relaxed);
    while (now < n && !atomic_compare_exchange_weak_explicit(
                          &m->value, &now, n, memory_order_release, memory_order_relaxed))
        ;
}
static inline uint64_t trp_mark_get(const struct trp_mark *m)
{
    return atomic_load_explicit(&m->value, memory_order_acquire);
}

/* Points to a constant thing that is replaced whole.  Release on put, acquire on get: the thing is
 * seen as it was made.  What it pointed to before stays as long as anybody may read it. */
struct trp_pointer {
    _Atomic uintptr_t value; /* a number, as below */
};
static inline void trp_pointer_put(struct trp_pointer *p, const void *thing)
{
    atomic_store_explicit(&p->value, (uintptr_t)thing, memory_order_release);
}
static inline const void *trp_pointer_get(const struct trp_pointer *p)
{
    return (const void *)atomic_load_explicit(&p->value, memory_order_acquire);
}

/* Leaves 0 exactly once, for the state of whoever comes first.  Acquire and release: the winner's
 * writes are seen by whoever reads the state. */
struct trp_oneshot {
    _Atomic uint32_t state;
};
static inline bool trp_oneshot_try(struct trp_oneshot *o, uint32_t state)
{
    uint32_t expected = 0;
    return atomic_compare_exchange_strong_explicit(&o->state, &expected, state,
                                                   memory_order_acq_rel, memory_order_acquire);
}
static inline uint32_t trp_oneshot_get(const struct trp_oneshot *o)
{
    return atomic_load_explicit(&o->state, memory_order_acquire);
}
/* For the next one to come; what was written before is seen by it. */
static inline void trp_oneshot_reopen(struct trp_oneshot *o)
{
    atomic_store_explicit(&o->state, 0, memory_order_release);
}
/* Only when no other thread can see it. */
static inline void trp_oneshot_reset(struct trp_oneshot *o)
{
    atomic_store_explicit(&o->state, 0, memory_order_relaxed);
}

/* A door beside a gauge of those inside.  Whoever comes in counts himself first and then looks at
 * the door; whoever shuts it does so first and then looks who is inside.  Sequentially consistent,
 * so one sees the other.  Release on leave, acquire on shut: what was done inside is seen then. */
struct trp_door {
    _Atomic int32_t is_shut;
};
static inline void trp_door_leave(struct trp_gauge *inside)
{
    atomic_fetch_sub_explicit(&inside->value, 1, memory_order_release);
}
/* False: it is shut, and he was not counted. */
static inline bool trp_door_try_enter(const struct trp_door *d, struct trp_gauge *inside)
{
    atomic_fetch_add_explicit(&inside->value, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&d->is_shut, memory_order_seq_cst) == 0)
        return true;
    trp_door_leave(inside);
    return false;
}
/* True: nobody is inside, and nobody comes in until it is opened.  It is shut either way. */
static inline bool trp_door_shut(struct trp_door *d, const struct trp_gauge *inside)
{
    atomic_store_explicit(&d->is_shut, 1, memory_order_seq_cst);
    return atomic_load_explicit(&inside->value, memory_order_seq_cst) == 0;
}
static inline void trp_door_open(struct trp_door *d)
{
    atomic_store_explicit(&d->is_shut, 0, memory_order_release);
}
static inline bool trp_door_is_shut(const struct trp_door *d)
{
    return atomic_load_explicit(&d->is_shut, memory_order_relaxed) != 0;
}

/* Counts owners.  Relaxed up; release down, acquire by the last, which sees all others' writes. */
struct trp_refs {
    _Atomic uint32_t count;
};
static inline void trp_refs_init(struct trp_refs *r)
{
    atomic_store_explicit(&r->count, 1, memory_order_relaxed);
}
static inline void trp_refs_up(struct trp_refs *r)
{
    atomic_fetch_add_explicit(&r->count, 1, memory_order_relaxed);
}
/* True for the last owner, who destroys. */
static inline bool trp_refs_down(struct trp_refs *r)
{
    if (atomic_load_explicit(&r->count, memory_order_acquire) == 1)
        return true; /* nobody else owns it who could share it meanwhile */
    if (atomic_fetch_sub_explicit(&r->count, 1, memory_order_release) != 1)
        return false;
    /* Not a fence: this does the same, and the thread sanitizer understands it. */
    (void)atomic_load_explicit(&r->count, memory_order_acquire);
    return true;
}
static inline uint32_t trp_refs_get(const struct trp_refs *r)
{
    return atomic_load_explicit(&r->count, memory_order_relaxed);
}

/* The head of an intrusive list that any thread adds to and one thread takes whole, newest first.
 * Release on push, acquire on take: what was written to a node before it was pushed is seen by
 * whoever takes it.  To push: void *top = trp_pile_top(p); do node->next = top; while
 * (!trp_pile_try_push(p, &top, node)); `top` lay there before.  None is popped: no ABA. */
struct trp_pile {
    _Atomic uintptr_t top; /* a number, because { 0 } must initialise it under every compiler */
};
static inline void *trp_pile_top(const struct trp_pile *p)
{
    return (void *)atomic_load_explicit(&p->top, memory_order_relaxed);
}
static inline bool trp_pile_try_push(struct trp_pile *p, void **top, void *node)
{
    uintptr_t expected = (uintptr_t)*top;
    const bool pushed = atomic_compare_exchange_weak_explicit(
        &p->top, &expected, (uintptr_t)node, memory_order_release, memory_order_relaxed);
    *top = (void *)expected;
    return pushed;
}
static inline void *trp_pile_take_all(struct trp_pile *p)
{
    if (!trp_pile_top(p))
        return NULL; /* the common case costs no locked instruction */
    return (void *)atomic_exchange_explicit(&p->top, (uintptr_t)0, memory_order_acquire);
}

#endif
