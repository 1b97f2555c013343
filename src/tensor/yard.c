/* tensor/yard.c - see yard.h.
 *
 * Sizes are rounded up to one of four steps between two powers of two; plots are not cut or joined.
 * That wastes addresses, of which there mostly are plenty, and hardly any memory: pages that nobody
 * writes to are not taken, and those of plots that lie idle are given back.  Where addresses run
 * out a new plot is laid in place of free ones that nothing in use lies behind; else a larger
 * one serves. */
#include "tensor/yard.h"

#include "base/alloc.h"

#define SMALLEST 64u
#define PAGE 4096u
#define BYTES_MAX (UINT64_C(1) << 42)

/* Which bin is for `bytes`, and how large its plots are. */
static uint32_t bin_of(uint64_t bytes, uint64_t *out_size)
{
    if (bytes <= SMALLEST) {
        *out_size = SMALLEST;
        return 0;
    }
    const unsigned below = 63u - (unsigned)__builtin_clzll(bytes - 1); /* 2^below < bytes */
    const unsigned step = (unsigned)((bytes - 1) >> (below - 2)) & 3u;
    *out_size = (uint64_t)(5u + step) << (below - 2);
    return (below - 6) * 4 + step + 1;
}

static uint64_t align_up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

void trp_yard_init(struct trp_yard *y, const struct trp_shm *shm)
{
    *y = (struct trp_yard){ .shm = *shm };
    trp_lock_init(&y->lock, TRP_LOCK_YARD);
}

static uint64_t end_of(const struct trp_plot *p)
{
    return p ? p->at + p->bytes : 0;
}

/* Ends all plots behind `last`; NULL: all. */
static void cut_back(struct trp_yard *y, struct trp_plot *last)
{
    for (struct trp_plot *p; (p = y->last) != last;) {
        y->last = p->below;
        trp_alloc_free(trp_heap(), p);
    }
}

void trp_yard_deinit(struct trp_yard *y)
{
    cut_back(y, NULL);
    trp_lock_deinit(&y->lock);
    trp_shm_close(&y->shm);
}

/* Whether `size` bytes fit behind `end`, and where. */
static bool fits(const struct trp_yard *y, uint64_t end, uint64_t size, struct trp_plot *out)
{
    const uint64_t align = size >= PAGE ? PAGE : SMALLEST;
    out->at = align_up(end, align);
    out->bytes = align_up(size, align);
    return trp_yard_has(&y->shm, out->at, out->bytes);
}

/* Free plots that begin at `at` or behind it are not handed out again. */
static void forget_free(struct trp_yard *y, uint64_t at)
{
    for (uint32_t i = 0; i < TRP_YARD_BINS; i++) {
        struct trp_plot **link = &y->free[i];
        while (*link) {
            if ((*link)->at >= at)
                *link = (*link)->next;
            else
                link = &(*link)->next;
        }
    }
}

/* Lays a new plot behind all others; where there is no room, in place of as few free ones at the
 * end as will do.  The lock is held. */
static bool lay_out(struct trp_yard *y, struct trp_plot *p, uint64_t size)
{
    struct trp_plot *below = y->last;
    const uint64_t top = end_of(below);
    while (!fits(y, end_of(below), size, p)) {
        if (!below || !below->is_free)
            return false;
        below = below->below;
    }
    if (below != y->last) {
        forget_free(y, end_of(below));
        cut_back(y, below);
    }
    if (end_of(p) < top) /* no trim sees these pages any more */
        trp_shm_forget(&y->shm, end_of(p), top - end_of(p));
    p->ptr = y->shm.ptr + p->at;
    p->below = below;
    y->last = p;
    return true;
}

/* The lock is held. */
static struct trp_plot *take_free(struct trp_yard *y, uint32_t bin)
{
    struct trp_plot *p = y->free[bin];
    if (p) {
        y->free[bin] = p->next;
        p->is_free = false;
    }
    return p;
}

/* NULL: there is no room.  The lock is held. */
static struct trp_plot *take_new_or_larger(struct trp_yard *y, struct trp_plot *fresh,
                                           uint64_t size)
{
    if (lay_out(y, fresh, size))
        return fresh;
    struct trp_plot *p = NULL;
    for (uint32_t i = fresh->bin + 1; !p && i < TRP_YARD_BINS; i++)
        p = take_free(y, i);
    return p;
}

/* The lock is held. */
static enum trp_yard_lack lack_of(const struct trp_yard *y, uint64_t size)
{
    struct trp_plot where;
    return fits(y, y->floor, size, &where) ? TRP_YARD_LACKS_ROOM : TRP_YARD_IS_TOO_SMALL;
}

static struct trp_plot *take_otherwise(struct trp_yard *y, uint32_t bin, uint64_t size,
                                       enum trp_yard_lack *out_lack)
{
    struct trp_plot *fresh = trp_alloc_zeroed(trp_heap(), 1, sizeof *fresh);
    if (!fresh) {
        *out_lack = TRP_YARD_LACKS_HEAP;
        return NULL;
    }
    fresh->bin = bin;
    trp_lock_enter(&y->lock);
    struct trp_plot *p = take_new_or_larger(y, fresh, size);
    if (!p)
        *out_lack = lack_of(y, size);
    trp_lock_leave(&y->lock);
    if (p != fresh)
        trp_alloc_free(trp_heap(), fresh);
    if (!p)
        trp_counter_add(&y->refused, 1);
    return p;
}

struct trp_plot *trp_yard_try(struct trp_yard *y, uint64_t bytes, enum trp_yard_lack *out_lack)
{
    uint64_t size;
    if (bytes > BYTES_MAX) {
        *out_lack = TRP_YARD_IS_TOO_SMALL;
        return NULL;
    }
    const uint32_t bin = bin_of(bytes, &size);
    trp_lock_enter(&y->lock);
    struct trp_plot *p = take_free(y, bin);
    trp_lock_leave(&y->lock);
    if (!p)
        p = take_otherwise(y, bin, size, out_lack);
    if (p)
        trp_counter_add(&y->taken, p->bytes);
    return p;
}

struct trp_plot *trp_yard_take(struct trp_yard *y, uint64_t bytes)
{
    enum trp_yard_lack lack;
    return trp_yard_try(y, bytes, &lack);
}

void trp_yard_keep(struct trp_yard *y, const struct trp_plot *plot)
{
    trp_lock_enter(&y->lock);
    if (end_of(plot->below) <= y->floor)
        y->floor = end_of(plot);
    trp_lock_leave(&y->lock);
}

void trp_yard_give(struct trp_yard *y, struct trp_plot *plot)
{
    if (!plot)
        return;
    trp_counter_sub(&y->taken, plot->bytes);
    plot->is_stale = false;
    plot->is_forgotten = false;
    trp_lock_enter(&y->lock);
    plot->is_free = true;
    plot->next = y->free[plot->bin];
    y->free[plot->bin] = plot;
    trp_lock_leave(&y->lock);
}

/* With the lock: a plot that is forgotten must not be handed out meanwhile. */
static void look_at(struct trp_yard *y, struct trp_plot *p)
{
    if (p->is_stale && !p->is_forgotten) {
        trp_shm_forget(&y->shm, p->at, p->bytes);
        p->is_forgotten = true;
    }
    p->is_stale = true;
}

void trp_yard_trim(struct trp_yard *y)
{
    trp_lock_enter(&y->lock);
    for (uint32_t i = 0; i < TRP_YARD_BINS; i++)
        for (struct trp_plot *p = y->free[i]; p; p = p->next)
            look_at(y, p);
    trp_lock_leave(&y->lock);
}

bool trp_yard_has(const struct trp_shm *shm, uint64_t at, uint64_t bytes)
{
    return at <= shm->bytes && bytes <= shm->bytes - at;
}

bool trp_yard_find(const struct trp_shm *shm, const void *ptr, uint64_t bytes, uint64_t *out_at)
{
    const uintptr_t first = (uintptr_t)shm->ptr, here = (uintptr_t)ptr;
    if (here < first || !trp_yard_has(shm, here - first, bytes))
        return false;
    *out_at = here - first;
    return true;
}
