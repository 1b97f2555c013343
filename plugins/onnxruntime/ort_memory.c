/* onnxruntime/ort_memory.c - see ort_memory.h.
 *
 * ONNX Runtime has one allocator for all sessions of an environment, and its functions are told a
 * size and nothing else.  So the thread says for whom it works: a load or a run enters its payer
 * before it calls a session, and leaves it afterwards.  That is the one variable of this plugin
 * that is neither constant nor somebody's member; there is no other way in.
 *
 *   alloc ── cache of the ticket ── hit ──► no lock, no atomic
 *      └──── miss ──► the account: charged, or refused
 *   free ─── a run's own block ──► its ticket's cache
 *      ├──── a large output that left ──► its model's home, from where the next run takes it
 *      └──── any other (a weight, what is too much) ──► the account
 *
 *  1. A block knows its account, so whoever frees it, when and on which thread, discharges the
 *     right one.
 *  2. A cache holds no more than its ticket's runs held at once, and is emptied when the ticket was
 *     not used for a while (ort_model_trim()).  What two runs did not want makes room for what this
 *     one did: ONNX Runtime plans one large block once it has seen what a shape takes.  While a run
 *     goes on it may hold twice as much, because a first run asks for blocks of a few sizes in
 *     turn, and each that goes to the system and comes back has all its pages cleared again.
 *  3. An output may come back after its model was closed, so it holds its home (a count), and a
 *     home that is closed, or works for another account by now, keeps nothing.
 *  4. Nothing returns NULL to ONNX Runtime; see ort_memory_throw.cpp.
 *
 * A model that uses a pool of threads may allocate on one of those: the host's account for strays
 * pays.  Strings are C++ objects: their table is counted, their longer texts are not. */
#include "ort_memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define ALIGN 64u /* what ONNX Runtime's kernels expect */
#define PAGE 4096u
#define SMALL_BYTES (64u << (ORT_BINS - 1))
#define STALE_RUNS 2u
#define TOUCHED_BYTES \
    (64u * 1024u) /* a block of so many, which malloc() maps anew, has its pages at once */
#define HOME_BYTES_MAX (8u << 20)

/* Stands before the memory that ONNX Runtime sees. */
struct ort_block {
    const struct troupe_account *account; /* NULL: the heap's */
    uint64_t taken;                       /* with this head */
    struct ort_block *next;               /* while it is in a cache or a chain */
    uint64_t run;                         /* of its cache, or its home's round, when it came back */
    struct ort_home *home;                /* counted; NULL: none */
};
_Static_assert(sizeof(struct ort_block) <= ALIGN, "the head fits before an aligned block");

struct ort_home {
    atomic_uint refs;                     /* one of the model, one of each block */
    pthread_mutex_t lock;                 /* guards the rest */
    const struct troupe_account *account; /* of all that waits here */
    struct ort_block *waiting;
    uint64_t bytes, round; /* waiting; how often the stale ones were taken */
    bool is_closed;
};

static _Thread_local struct ort_payer *paying;

/* --- sizes ------------------------------------------------------------------------------------ */

/* The smallest bin with room for `bytes`, which is at most SMALL_BYTES. */
static unsigned bin_of(uint64_t bytes)
{
    return bytes <= 64 ? 0 : 58u - (unsigned)__builtin_clzll(bytes - 1);
}

static bool is_small(uint64_t taken)
{
    return taken - ALIGN <= SMALL_BYTES;
}

/* With the head and the rounding; 0: no such memory. */
static uint64_t size_of(size_t asked)
{
    if (asked <= SMALL_BYTES)
        return ALIGN + (UINT64_C(64) << bin_of(asked));
    return asked > SIZE_MAX / 2 ? 0 : (ALIGN + asked + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

/* --- cache ------------------------------------------------------------------------------------ */

static struct ort_block *pop(struct ort_cache *cache, struct ort_block **at)
{
    struct ort_block *block = *at;
    if (block) {
        *at = block->next;
        cache->bytes -= block->taken;
    }
    return block;
}

/* The best fit that wastes less than half; NULL: none. */
static struct ort_block **best_of(struct ort_block **chain, uint64_t taken)
{
    struct ort_block **best = NULL;
    for (struct ort_block **at = chain; *at; at = &(*at)->next) {
        const uint64_t has = (*at)->taken;
        if (has >= taken && has / 2 <= taken && (!best || has < (*best)->taken))
            best = at;
    }
    return best;
}

static struct ort_block *take_large(struct ort_cache *cache, uint64_t taken)
{
    struct ort_block **best = best_of(&cache->large, taken);
    return best ? pop(cache, best) : NULL;
}

static struct ort_block *take_cached(struct ort_cache *cache, uint64_t taken)
{
    if (is_small(taken))
        return pop(cache, &cache->small[bin_of(taken - ALIGN)]);
    return take_large(cache, taken);
}

static void keep(struct ort_cache *cache, struct ort_block *block)
{
    struct ort_block **at =
        is_small(block->taken) ? &cache->small[bin_of(block->taken - ALIGN)] : &cache->large;
    block->next = *at;
    block->run = cache->run;
    *at = block;
    cache->bytes += block->taken;
}

struct ort_block *ort_cache_join(struct ort_block *first, struct ort_block *second)
{
    struct ort_block *last = first;
    while (last && last->next)
        last = last->next;
    if (!last)
        return second;
    last->next = second;
    return first;
}

struct ort_block *ort_cache_detach(struct ort_cache *cache)
{
    struct ort_block *chain = cache->large;
    for (unsigned i = 0; i < ORT_BINS; i++)
        chain = ort_cache_join(cache->small[i], chain);
    *cache = (struct ort_cache){ .run = cache->run };
    return chain;
}

/* --- accounts --------------------------------------------------------------------------------- */

/* One call for all pages instead of a fault for each: a first run is mostly faults.  A kernel that
 * cannot do it (before 5.14) leaves them to the faults. */
static void touch(const struct ort_block *block, uint64_t taken)
{
    const uintptr_t from = (uintptr_t)block & ~(uintptr_t)(PAGE - 1);
    if (taken >= TOUCHED_BYTES)
        (void)madvise((void *)from, (uintptr_t)block + taken - from, MADV_POPULATE_WRITE);
}

static struct ort_block *buy(const struct troupe_account *account, uint64_t taken)
{
    struct ort_block *block =
        account ? account->alloc(account->user, taken, ALIGN) : aligned_alloc(ALIGN, taken);
    if (!block)
        return NULL;
    touch(block, taken);
    *block = (struct ort_block){ .account = account, .taken = taken };
    return block;
}

static void leave_home(struct ort_home *home)
{
    if (!home || atomic_fetch_sub(&home->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&home->lock);
    free(home);
}

static void give_back(struct ort_block *block)
{
    const struct troupe_account *account = block->account;
    struct ort_home *home = block->home;
    if (account)
        account->free(account->user, block, block->taken);
    else
        free(block);
    leave_home(home);
}

void ort_cache_free(struct ort_block *chain)
{
    for (struct ort_block *block = chain, *next; block; block = next) {
        next = block->next;
        give_back(block);
    }
}

/* --- homes ------------------------------------------------------------------------------------ */

struct ort_home *ort_home_open(void)
{
    struct ort_home *home = calloc(1, sizeof *home);
    if (!home)
        return NULL;
    atomic_init(&home->refs, 1);
    pthread_mutex_init(&home->lock, NULL);
    return home;
}

void ort_home_close(struct ort_home *home)
{
    if (!home)
        return;
    pthread_mutex_lock(&home->lock);
    home->is_closed = true; /* from here on nothing is added */
    pthread_mutex_unlock(&home->lock);
    ort_cache_free(ort_home_detach(home, false));
    leave_home(home);
}

/* The lock is held. */
static struct ort_block *take_all(struct ort_home *home)
{
    struct ort_block *all = home->waiting;
    home->waiting = NULL;
    home->bytes = 0;
    return all;
}

/* The lock is held.  Those that were used last stand first. */
static struct ort_block *take_stale(struct ort_home *home)
{
    struct ort_block **at = &home->waiting;
    while (*at && (*at)->run == home->round)
        at = &(*at)->next;
    struct ort_block *stale = *at;
    *at = NULL;
    for (const struct ort_block *b = stale; b; b = b->next)
        home->bytes -= b->taken;
    home->round++;
    return stale;
}

struct ort_block *ort_home_detach(struct ort_home *home, bool is_stale_only)
{
    if (!home)
        return NULL;
    pthread_mutex_lock(&home->lock);
    struct ort_block *some = is_stale_only ? take_stale(home) : take_all(home);
    pthread_mutex_unlock(&home->lock);
    return some;
}

/* NULL: none of that size waits there.  From now on it is the home of that account's blocks. */
static struct ort_block *take_from_home(struct ort_home *home, const struct troupe_account *account,
                                        uint64_t taken)
{
    struct ort_block *others = NULL;
    pthread_mutex_lock(&home->lock);
    if (home->account != account)
        others = take_all(home);
    home->account = account;
    struct ort_block **best = best_of(&home->waiting, taken), *block = best ? *best : NULL;
    if (block) {
        *best = block->next;
        home->bytes -= block->taken;
    }
    pthread_mutex_unlock(&home->lock);
    ort_cache_free(others);
    return block;
}

/* False: it is not wanted there. */
static bool send_home(struct ort_block *block)
{
    struct ort_home *home = block->home;
    if (!home)
        return false;
    pthread_mutex_lock(&home->lock);
    const bool is_wanted = !home->is_closed && home->account == block->account &&
                           block->taken <= HOME_BYTES_MAX - home->bytes;
    if (is_wanted) {
        block->run = home->round;
        block->next = home->waiting;
        home->waiting = block;
        home->bytes += block->taken;
    }
    pthread_mutex_unlock(&home->lock);
    return is_wanted;
}

static void drop_stale(struct ort_cache *cache, struct ort_block **at, uint64_t bytes_max)
{
    while (*at && cache->bytes > bytes_max) {
        if ((*at)->run + STALE_RUNS > cache->run)
            at = &(*at)->next;
        else
            give_back(pop(cache, at));
    }
}

/* Whether so much can be kept beside what was wanted lately. */
static bool make_room(struct ort_cache *cache, uint64_t taken, uint64_t bytes_max)
{
    if (taken > bytes_max)
        return false;
    if (cache->bytes <= bytes_max - taken)
        return true;
    drop_stale(cache, &cache->large, bytes_max - taken);
    for (unsigned i = ORT_BINS; i-- > 0;)
        drop_stale(cache, &cache->small[i], bytes_max - taken);
    return cache->bytes <= bytes_max - taken;
}

/* What is left behind for the next run: the large ones go first, they are the fewest. */
static void shrink(struct ort_cache *cache, uint64_t bytes_max)
{
    (void)make_room(cache, 0, bytes_max); /* what nobody wanted lately */
    while (cache->bytes > bytes_max && cache->large)
        give_back(pop(cache, &cache->large));
    for (unsigned i = ORT_BINS; i-- > 0;)
        while (cache->bytes > bytes_max && cache->small[i])
            give_back(pop(cache, &cache->small[i]));
}

void ort_memory_enter(struct ort_payer *payer)
{
    paying = payer;
    if (payer->cache)
        payer->cache->run++;
}

void ort_memory_leave(void)
{
    if (paying && paying->cache)
        shrink(paying->cache, paying->peak_bytes);
    paying = NULL;
}

/* What is kept for later must not be why there is nothing now. */
static struct ort_block *buy_somehow(struct ort_payer *payer, uint64_t taken)
{
    struct ort_block *block = buy(payer->account, taken);
    if (!block && payer->cache && payer->cache->bytes > 0) {
        ort_cache_free(ort_cache_detach(payer->cache));
        block = buy(payer->account, taken);
    }
    struct ort_block *spare = !block && payer->spare ? payer->spare(payer->spare_user) : NULL;
    if (!spare)
        return block;
    ort_cache_free(spare);
    return buy(payer->account, taken);
}

/* One that came home, or a new one that will. */
static struct ort_block *buy_large(struct ort_payer *payer, uint64_t taken)
{
    struct ort_block *block = take_from_home(payer->home, payer->account, taken);
    if (block)
        return block;
    block = buy_somehow(payer, taken);
    if (block) {
        block->home = payer->home;
        atomic_fetch_add(&payer->home->refs, 1);
    }
    return block;
}

static struct ort_block *alloc_for(struct ort_payer *payer, uint64_t taken)
{
    if (payer->bytes_max && (taken > payer->bytes_max || payer->bytes > payer->bytes_max - taken)) {
        payer->is_over_limit = true;
        return NULL;
    }
    struct ort_block *block = payer->cache ? take_cached(payer->cache, taken) : NULL;
    if (!block)
        block = payer->home && taken >= TOUCHED_BYTES ? buy_large(payer, taken)
                                                      : buy_somehow(payer, taken);
    if (!block)
        return NULL;
    payer->bytes += block->taken;
    if (payer->bytes > payer->run_peak_bytes) {
        payer->run_peak_bytes = payer->bytes;
        if (payer->bytes > payer->peak_bytes)
            payer->peak_bytes = payer->bytes;
    }
    return block;
}

static void free_for(struct ort_payer *payer, struct ort_block *block)
{
    payer->bytes -= block->taken < payer->bytes ? block->taken : payer->bytes;
    if (payer->cache && make_room(payer->cache, block->taken, 2 * payer->peak_bytes))
        keep(payer->cache, block);
    else
        give_back(block);
}

/* --- ONNX Runtime's face ---------------------------------------------------------------------- */

static void *on_alloc(struct OrtAllocator *face, size_t size)
{
    const struct ort_memory *memory = (const struct ort_memory *)face;
    struct ort_payer *payer = paying;
    const uint64_t taken = size_of(size);
    struct ort_block *block = NULL;
    if (taken)
        block = payer ? alloc_for(payer, taken) : buy(memory->stray, taken);
    if (block)
        return (char *)block + ALIGN;
    if (payer) {
        payer->refused_bytes = size;
        payer->held_bytes = payer->bytes;
        if (payer->bytes + taken > payer->run_peak_bytes)
            payer->run_peak_bytes = payer->bytes + taken; /* what it would have taken at least */
    }
    ort_memory_throw();
}

static void on_free(struct OrtAllocator *face, void *data)
{
    struct ort_payer *payer = paying;
    (void)face;
    if (!data)
        return;
    struct ort_block *block = (struct ort_block *)(void *)((char *)data - ALIGN);
    if (payer && payer->account == block->account)
        free_for(payer, block);
    else if (!send_home(block))
        give_back(block);
}

static const struct OrtMemoryInfo *on_info(const struct OrtAllocator *face)
{
    return ((const struct ort_memory *)face)->info;
}

void ort_memory_init(struct ort_memory *memory, const struct OrtMemoryInfo *info,
                     const struct troupe_account *stray)
{
    *memory = (struct ort_memory){
        .face = { .version = ORT_API_NEEDED,
                  .Alloc = on_alloc,
                  .Free = on_free,
                  .Info = on_info,
                  .Reserve = on_alloc },
        .info = info,
        .stray = stray,
    };
}
