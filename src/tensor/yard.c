/* tensor/yard.c - see yard.h.
 *
 * Sizes are rounded up to one of four steps between two powers of two, and a plot keeps its size for ever: no plot is cut or
 * joined.  That wastes addresses, of which there are plenty, and hardly any memory: pages that nobody writes to are not taken, and
 * those of plots that lie idle are given back. */
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

void trp_yard_deinit(struct trp_yard *y)
{
    for (uint32_t i = 0; i < TRP_YARD_BINS; i++) {
        for (struct trp_plot *p = y->free[i], *next; p; p = next) {
            next = p->next;
            trp_alloc_free(trp_heap(), p);
        }
        y->free[i] = NULL;
    }
    trp_lock_deinit(&y->lock);
    trp_shm_close(&y->shm);
}

/* Lays a new plot behind all others.  The lock is held. */
static bool lay_out(struct trp_yard *y, struct trp_plot *p, uint64_t size)
{
    const uint64_t align = size >= PAGE ? PAGE : SMALLEST;
    const uint64_t at = align_up(y->top, align), bytes = align_up(size, align);
    if (at > y->shm.bytes || bytes > y->shm.bytes - at)
        return false;
    p->at = at;
    p->bytes = bytes;
    p->ptr = y->shm.ptr + at;
    y->top = at + bytes;
    return true;
}

struct trp_plot *trp_yard_take(struct trp_yard *y, uint64_t bytes)
{
    uint64_t size;
    if (bytes > BYTES_MAX)
        return NULL;
    const uint32_t bin = bin_of(bytes, &size);
    trp_lock_enter(&y->lock);
    struct trp_plot *p = y->free[bin];
    if (p)
        y->free[bin] = p->next;
    trp_lock_leave(&y->lock);
    if (p) {
        trp_counter_add(&y->taken, p->bytes);
        return p;
    }
    p = trp_alloc_zeroed(trp_heap(), 1, sizeof *p);
    if (!p)
        return NULL;
    p->bin = bin;
    trp_lock_enter(&y->lock);
    const bool has_room = lay_out(y, p, size);
    trp_lock_leave(&y->lock);
    if (has_room) {
        trp_counter_add(&y->taken, p->bytes);
        return p;
    }
    trp_counter_add(&y->refused, 1);
    trp_alloc_free(trp_heap(), p);
    return NULL;
}

void trp_yard_give(struct trp_yard *y, struct trp_plot *plot)
{
    if (!plot)
        return;
    trp_counter_sub(&y->taken, plot->bytes);
    plot->is_stale = false;
    plot->is_forgotten = false;
    trp_lock_enter(&y->lock);
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
