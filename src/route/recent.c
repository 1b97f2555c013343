/* route/recent.c - see recent.h.
 *
 *   slot:  63      40 39      20 19       0
 *          | epoch   | all      | some    |      epoch: how many slots of time have passed, modulo 2^24
 *
 * An epoch comes back after 2^24 slots: with the shortest window (8 ms) after four and a half
 * hours.  A slot that nobody touched all that time would count again, for one slot's time; that
 * is noise that we can bear. */
#include "route/recent.h"

#define FIELD_BITS 20u
#define FIELD_MAX ((1u << FIELD_BITS) - 1)
#define EPOCH_BITS 24u
#define EPOCH_MASK ((1u << EPOCH_BITS) - 1)

static uint64_t pack(uint32_t epoch, uint32_t all, uint32_t some)
{
    return (uint64_t)epoch << (2 * FIELD_BITS) | (uint64_t)all << FIELD_BITS | some;
}

static uint32_t epoch_of(uint64_t word)
{
    return (uint32_t)(word >> (2 * FIELD_BITS));
}

static uint32_t all_of(uint64_t word)
{
    return (uint32_t)(word >> FIELD_BITS) & FIELD_MAX;
}

static uint32_t some_of(uint64_t word)
{
    return (uint32_t)word & FIELD_MAX;
}

static uint32_t epoch_at(int64_t window_ns, int64_t now_ns)
{
    const int64_t slot_ns = window_ns / TRP_RECENT_SLOTS;
    return (uint32_t)((uint64_t)now_ns / (uint64_t)(slot_ns > 0 ? slot_ns : 1)) & EPOCH_MASK;
}

/* Whether a slot belongs to the window that ends with `now`: one of the last, or, by another
 * loop's clock, one of the next. */
static bool is_within(uint32_t now, uint32_t then, uint32_t slots)
{
    return ((now - then) & EPOCH_MASK) < slots || ((then - now) & EPOCH_MASK) < TRP_RECENT_SLOTS;
}

static uint32_t at_most(uint32_t n, uint32_t max)
{
    return n < max ? n : max;
}

void trp_recent_add(struct trp_recent *r, int64_t window_ns, uint32_t all, uint32_t some,
                    int64_t now_ns)
{
    const uint32_t now = epoch_at(window_ns, now_ns);
    struct trp_word *slot = &r->slots[now % TRP_RECENT_SLOTS];
    uint64_t seen = trp_word_get(slot), next;
    do {
        const bool is_current = is_within(now, epoch_of(seen), 1);
        uint32_t a = is_current ? all_of(seen) : 0, s = is_current ? some_of(seen) : 0;
        const uint32_t epoch = is_current ? epoch_of(seen) : now;
        if (all > FIELD_MAX - a || some > FIELD_MAX - s) {
            a /= 2;
            s /= 2;
        }
        next = pack(epoch, a + at_most(all, FIELD_MAX - a), s + at_most(some, FIELD_MAX - s));
    } while (!trp_word_try_swap(slot, &seen, next));
}

struct trp_recent_sums trp_recent_get(const struct trp_recent *r, int64_t window_ns, int64_t now_ns)
{
    const uint32_t now = epoch_at(window_ns, now_ns);
    struct trp_recent_sums sums = { 0, 0 };
    for (uint32_t i = 0; i < TRP_RECENT_SLOTS; i++) {
        const uint64_t word = trp_word_get(&r->slots[i]);
        if (!is_within(now, epoch_of(word), TRP_RECENT_SLOTS))
            continue;
        sums.all += all_of(word);
        sums.some += some_of(word);
    }
    return sums;
}

void trp_recent_carry(struct trp_recent *r, const struct trp_recent *from)
{
    for (uint32_t i = 0; i < TRP_RECENT_SLOTS; i++)
        trp_word_set(&r->slots[i], trp_word_get(&from->slots[i]));
}

void trp_recent_clear(struct trp_recent *r)
{
    for (uint32_t i = 0; i < TRP_RECENT_SLOTS; i++)
        trp_word_set(&r->slots[i], 0);
}
