/* tensor/pool.c - body and tensor buffers, kept for reuse.
 *
 * Problem.  A fresh buffer of 600 KB is 150 page faults before the first byte is useful, and
 * handing it back to the heap gives the pages back to the system, so that the next request pays
 * again.
 *
 * Design.  A block is [lease | data, aligned to 64 | padding].  Its capacity is one of 49 classes,
 * from 4 KB to 16 MB with four steps per doubling, so at most a fifth of a block is unused.  Idle
 * blocks lie in one stack per class, the last released on top, because its lines are still cached.
 * A release pushes the block on the pile, from whatever thread; the owner empties it on its next
 * call.  Thus the stacks need no lock, and a release never waits.
 *
 * Invariants.
 *  1. leased + idle is the sum of the capacities of all blocks that exist; it never passes
 *     bytes_max.  A block on the pile counts as leased until the owner has fetched it.
 *  2. idle never passes keep_bytes_max once a call of the owner has returned.
 *  3. Blocks above the largest class are never idle: they are freed by whoever releases them last.
 *  4. Once the commons are open, what a worker process would be sent a copy of lies where it can
 *     look: new blocks do, and those from before are freed as they come home.  Until then, and for
 *     smaller ones, nothing is different.
 *
 * Not done: no search in larger classes when the right one is empty; it would lend megabytes to
 * kilobytes and find nothing where it matters. */
#include "tensor/pool.h"

#include "base/low_water.h"

#include <string.h>

#include "base/json.h"
#include "base/str.h"

#define SMALLEST ((size_t)4096)
#define DOUBLINGS 12u /* 4 KB * 2^12 = 16 MB */
#define STEPS 4u      /* classes per doubling */
#define CLASSES (DOUBLINGS * STEPS + 1)
#define LARGEST (SMALLEST << DOUBLINGS)
#define ALIGNMENT ((size_t)64)
#define HEADER ((sizeof(struct trp_lease) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT)
#define KEEP_DEFAULT ((size_t)64 << 20)
#define COMMON_MIN ((size_t)80 << 10) /* a copy of less is soon made */

struct trp_pool {
    const struct trp_alloc *alloc;
    size_t keep_bytes_max, bytes_max;
    struct trp_lease *idle[CLASSES];
    struct trp_low_water low[CLASSES];
    struct trp_counter idle_bytes;   /* written by the owner only */
    struct trp_counter leased_bytes; /* written by the owner, and by who releases a large block */
    struct trp_pile returned;
    struct trp_commons *commons;
    const struct troupe_account *payer;
    bool has_commons; /* the owner has seen them open */
};

/* ---- size classes ---------------------------------------------------------------------------- */

/* 4K 5K 6K 7K, 8K 10K 12K 14K, 16K ... */
static size_t bytes_of_class(uint32_t class)
{
    const size_t doubled = SMALLEST << (class / STEPS);
    return doubled + doubled / STEPS * (class % STEPS);
}

/* The smallest class that holds `bytes`, which is at most LARGEST. */
static uint32_t class_of(size_t bytes)
{
    if (bytes <= SMALLEST)
        return 0;
    const size_t last = bytes - 1; /* with it, a size that fills its class exactly stays in it */
    const uint32_t doubling =
        (uint32_t)(63 - __builtin_clzll(last)) - (uint32_t)__builtin_ctzll(SMALLEST);
    const size_t step = (SMALLEST << doubling) / STEPS;
    return doubling * STEPS + (uint32_t)((last - (SMALLEST << doubling)) / step) + 1;
}

/* ---- construction ---------------------------------------------------------------------------- */

trp_status trp_pool_create(const struct trp_alloc *alloc, const struct trp_pool_opts *opts,
                           struct trp_pool **out_pool, struct trp_error *err)
{
    *out_pool = NULL;
    struct trp_pool *p = trp_alloc_zeroed(alloc, 1, sizeof *p);
    if (!p)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "buffer pool");
    p->alloc = alloc;
    p->keep_bytes_max = opts->keep_bytes_max ? opts->keep_bytes_max : KEEP_DEFAULT;
    p->bytes_max = opts->bytes_max ? opts->bytes_max : SIZE_MAX;
    p->commons = opts->commons;
    p->payer = opts->payer;
    *out_pool = p;
    return trp_ok();
}

void trp_pool_destroy(struct trp_pool *p)
{
    if (!p)
        return;
    trp_pool_trim(p);
    TRP_ASSERT(trp_pool_leased_bytes(p) == 0); /* somebody would write into freed memory */
    trp_alloc_free(p->alloc, p);
}

/* ---- where blocks lie ------------------------------------------------------------------------ */

static size_t bytes_of_block(size_t capacity)
{
    return HEADER + capacity + TRP_JSON_PADDING;
}

/* NULL: there is none in the commons, or none in this pool's name. */
static struct trp_lease *take_common(struct trp_pool *p, size_t bytes)
{
    struct trp_plot *plot = trp_commons_take(p->commons, p->payer, bytes);
    if (!plot)
        return NULL;
    struct trp_lease *l = (struct trp_lease *)(void *)plot->ptr;
    l->plot = plot;
    return l;
}

static struct trp_lease *take_block(struct trp_pool *p, size_t capacity)
{
    const size_t bytes = bytes_of_block(capacity);
    struct trp_lease *l = p->has_commons && capacity >= COMMON_MIN ? take_common(p, bytes) : NULL;
    if (l)
        return l;
    l = trp_alloc_aligned(p->alloc, bytes, ALIGNMENT);
    if (l)
        l->plot = NULL;
    return l;
}

static void free_block(struct trp_pool *p, struct trp_lease *l)
{
    if (l->plot)
        trp_commons_give(p->commons, p->payer, l->plot, bytes_of_block(l->capacity));
    else
        trp_alloc_free(p->alloc, l);
}

/* ---- the idle blocks ------------------------------------------------------------------------- */

static void push_idle(struct trp_pool *p, struct trp_lease *l)
{
    const uint32_t class = class_of(l->capacity);
    l->next = p->idle[class];
    p->idle[class] = l;
    trp_low_water_put(&p->low[class]);
    trp_counter_own_add(&p->idle_bytes, l->capacity);
}

static struct trp_lease *pop_idle(struct trp_pool *p, uint32_t class)
{
    struct trp_lease *l = p->idle[class];
    if (!l)
        return NULL;
    p->idle[class] = l->next;
    trp_low_water_take(&p->low[class]);
    trp_counter_own_add(&p->idle_bytes, (uint64_t)0 - l->capacity);
    return l;
}

/* Frees idle blocks, the large ones first, until at most `keep` bytes are idle. */
static void shrink_idle(struct trp_pool *p, uint64_t keep)
{
    for (uint32_t class = CLASSES; class -- > 0;)
        while (trp_counter_get(&p->idle_bytes) > keep && p->idle[class])
            free_block(p, pop_idle(p, class));
}

/* It lies where no worker process can look, although it could. */
static bool is_apart(const struct trp_pool *p, const struct trp_lease *l)
{
    return p->has_commons && !l->plot && l->capacity >= COMMON_MIN;
}

/* Fetches what other threads have released.  What passes keep_bytes_max is freed here and not from
 * the idle ones: the newest block is no better than they are. */
static void fetch_returned(struct trp_pool *p)
{
    struct trp_lease *l = trp_pile_take_all(&p->returned);
    while (l) {
        struct trp_lease *below = l->next;
        const size_t capacity = l->capacity;
        if (!is_apart(p, l) && trp_counter_get(&p->idle_bytes) + capacity <= p->keep_bytes_max)
            push_idle(p, l);
        else
            free_block(p, l);
        trp_counter_sub(&p->leased_bytes, capacity);
        l = below;
    }
}

void trp_pool_trim(struct trp_pool *p)
{
    fetch_returned(p);
    shrink_idle(p, 0);
}

void trp_pool_age(struct trp_pool *p)
{
    fetch_returned(p);
    for (uint32_t class = 0; class < CLASSES; class ++) {
        for (uint32_t n = trp_low_water_age(&p->low[class]); n > 0; n--)
            free_block(p, pop_idle(p, class));
    }
}

/* The first worker process is being started: what lies idle is of no use to it. */
static void see_commons(struct trp_pool *p)
{
    p->has_commons = true;
    for (uint32_t class = class_of(COMMON_MIN); class < CLASSES; class ++)
        while (p->idle[class])
            free_block(p, pop_idle(p, class));
}

uint64_t trp_pool_idle_bytes(const struct trp_pool *p)
{
    return trp_counter_get(&p->idle_bytes);
}

uint64_t trp_pool_leased_bytes(const struct trp_pool *p)
{
    return trp_counter_get(&p->leased_bytes);
}

/* ---- leases ---------------------------------------------------------------------------------- */

/* Makes room under bytes_max by giving up idle blocks; false when the leased ones leave too
 * little. */
static bool make_room(struct trp_pool *p, size_t capacity)
{
    const uint64_t leased = trp_counter_get(&p->leased_bytes);
    if (capacity > p->bytes_max || leased > p->bytes_max - capacity)
        return false;
    const uint64_t left = p->bytes_max - capacity - leased;
    if (trp_counter_get(&p->idle_bytes) > left)
        shrink_idle(p, left);
    return true;
}

static struct trp_lease *new_block(struct trp_pool *p, size_t capacity)
{
    if (capacity > SIZE_MAX - HEADER - TRP_JSON_PADDING || !make_room(p, capacity))
        return NULL;
    struct trp_lease *l = take_block(p, capacity);
    if (!l) { /* the account may have room once our idle blocks are back in it */
        shrink_idle(p, 0);
        l = take_block(p, capacity);
    }
    if (!l)
        return NULL;
    *l = (struct trp_lease){
        .ptr = (char *)l + HEADER, .capacity = capacity, .pool = p, .plot = l->plot
    };
    memset(l->ptr + capacity, 0, TRP_JSON_PADDING); /* readers look past the end: show them zeros */
    return l;
}

struct trp_lease *trp_pool_acquire(struct trp_pool *p, size_t bytes)
{
    if (p->commons && !p->has_commons && trp_commons_is_open(p->commons))
        see_commons(p);
    fetch_returned(p);
    struct trp_lease *l = NULL;
    if (bytes <= LARGEST) {
        const uint32_t class = class_of(bytes);
        l = pop_idle(p, class);
        if (!l)
            l = new_block(p, bytes_of_class(class));
    } else {
        l = new_block(p, bytes);
    }
    if (!l)
        return NULL;
    l->next = NULL;
    trp_refs_init(&l->refs);
    trp_counter_add(&p->leased_bytes, l->capacity);
    return l;
}

void trp_lease_release(struct trp_lease *l)
{
    if (!l || !trp_refs_down(&l->refs))
        return;
    struct trp_pool *p = l->pool;
    if (l->capacity > LARGEST) {
        const size_t capacity = l->capacity;
        free_block(p, l);
        trp_counter_sub(&p->leased_bytes, capacity); /* last: afterwards the pool may be gone */
        return;
    }
    void *top = trp_pile_top(&p->returned);
    do
        l->next = top;
    while (!trp_pile_try_push(&p->returned, &top, l));
}

void trp_lease_release_tensor(void *lease, void *data)
{
    (void)data;
    trp_lease_release(lease);
}
