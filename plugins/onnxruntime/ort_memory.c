/* onnxruntime/ort_memory.c - see ort_memory.h.
 *
 * ONNX Runtime has one allocator for all sessions of an environment, and its functions are told a
 * size and nothing else.  So the thread says for whom it works: a load or a run enters its payer
 * before it calls a session, and leaves it afterwards.  That is the one variable of this plugin that
 * is neither constant nor somebody's member; there is no other way in.
 *
 *   alloc ── cache of the ticket ── hit ──► no lock, no atomic
 *      └──── miss ──► the account: charged, or refused
 *   free ─── a run's own block ──► its ticket's cache
 *      └──── any other (an output that left, a weight) ──► the account
 *
 *  1. A block knows its account, so whoever frees it, when and on which thread, discharges the
 *     right one.
 *  2. A cache holds no more than its ticket's runs held at once, and is emptied when the ticket was
 *     not used for a while (ort_model_trim()).  What two runs did not want makes room for what this
 *     one did: ONNX Runtime plans one large block once it has seen what a shape takes.
 *  3. Nothing returns NULL to ONNX Runtime; see ort_memory_throw.cpp.
 *
 * A model that uses a pool of threads may allocate on one of those: the host's account for strays
 * pays.  Strings are C++ objects: their table is counted, their longer texts are not. */
#include "ort_memory.h"

#include <stdlib.h>

#define ALIGN 64u /* what ONNX Runtime's kernels expect */
#define PAGE 4096u
#define SMALL_BYTES (64u << (ORT_BINS - 1))
#define STALE_RUNS 2u

/* Stands before the memory that ONNX Runtime sees. */
struct ort_block {
    const struct troupe_account *account; /* NULL: the heap's */
    uint64_t taken;                       /* with this head */
    struct ort_block *next;               /* while it is in a cache or a chain */
    uint64_t run;                         /* of its cache, when it came back last */
};
_Static_assert(sizeof(struct ort_block) <= ALIGN, "the head fits before an aligned block");

static _Thread_local struct ort_payer *paying;

void ort_memory_enter(struct ort_payer *payer)
{
    paying = payer;
    if (payer->cache)
        payer->cache->run++;
}

void ort_memory_leave(void)
{
    paying = NULL;
}

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

/* The best fit that wastes less than half. */
static struct ort_block *take_large(struct ort_cache *cache, uint64_t taken)
{
    struct ort_block **best = NULL;
    for (struct ort_block **at = &cache->large; *at; at = &(*at)->next) {
        const uint64_t has = (*at)->taken;
        if (has >= taken && has / 2 <= taken && (!best || has < (*best)->taken))
            best = at;
    }
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

static struct ort_block *buy(const struct troupe_account *account, uint64_t taken)
{
    struct ort_block *block =
        account ? account->alloc(account->user, taken, ALIGN) : aligned_alloc(ALIGN, taken);
    if (block)
        *block = (struct ort_block){ .account = account, .taken = taken };
    return block;
}

static void give_back(struct ort_block *block)
{
    const struct troupe_account *account = block->account;
    if (account)
        account->free(account->user, block, block->taken);
    else
        free(block);
}

void ort_cache_free(struct ort_block *chain)
{
    for (struct ort_block *block = chain, *next; block; block = next) {
        next = block->next;
        give_back(block);
    }
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

static struct ort_block *alloc_for(struct ort_payer *payer, uint64_t taken)
{
    if (payer->bytes_max && (taken > payer->bytes_max || payer->bytes > payer->bytes_max - taken)) {
        payer->is_over_limit = true;
        return NULL;
    }
    struct ort_block *block = payer->cache ? take_cached(payer->cache, taken) : NULL;
    if (!block)
        block = buy_somehow(payer, taken);
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
    if (payer->cache && make_room(payer->cache, block->taken, payer->peak_bytes))
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
    else
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
