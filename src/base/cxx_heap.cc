/* base/cxx_heap.cc - see cxx_heap.h.
 *
 * The others (for arrays, without exceptions) call one of these in the standard library that we
 * use.  A block counts with the bytes that it has, and the word that the heap keeps before it. */
#include <malloc.h>
#include <new>
#include <stdlib.h>

extern "C" {
#include "base/cxx_heap.h"
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

int64_t trp_cxx_heap_bytes(void)
{
    return 0;
}

void trp_cxx_heap_begin(struct trp_cxx_payer *)
{
}

int64_t trp_cxx_heap_end(struct trp_cxx_payer *)
{
    return 0;
}

#else

#define STEP_BYTES (256 * 1024) /* less is not worth the telling */

static thread_local int64_t held;
static thread_local struct trp_cxx_payer *paying;

/* Whoever frees more than it takes frees what was somebody else's: less than nothing is nobody's
 * to pay. */
static int64_t unpaid(const struct trp_cxx_payer *p)
{
    const int64_t taken = held - p->begun;
    return (taken > 0 ? taken : 0) - p->told;
}

static void settle(struct trp_cxx_payer *p)
{
    const int64_t change = unpaid(p);
    if (change == 0 || (change > 0 && p->is_refused))
        return;
    if (p->count(p->user, change))
        p->told += change;
    else
        p->is_refused = true;
}

static inline void changed()
{
    struct trp_cxx_payer *const p = paying;
    if (p && llabs(unpaid(p)) >= STEP_BYTES)
        settle(p);
}

void trp_cxx_heap_begin(struct trp_cxx_payer *payer)
{
    payer->begun = held;
    payer->told = 0;
    payer->is_refused = false;
    paying = payer;
}

int64_t trp_cxx_heap_end(struct trp_cxx_payer *payer)
{
    paying = nullptr;
    settle(payer);
    return payer->told;
}

int64_t trp_cxx_heap_bytes(void)
{
    return held;
}

static void *counted(void *block)
{
    if (!block)
        throw std::bad_alloc();
    held += (int64_t)(malloc_usable_size(block) + sizeof(size_t));
    changed();
    return block;
}

static void uncounted(void *block) noexcept
{
    if (block)
        held -= (int64_t)(malloc_usable_size(block) + sizeof(size_t));
    free(block);
    changed();
}

void *operator new(size_t bytes)
{
    return counted(malloc(bytes ? bytes : 1));
}

void *operator new(size_t bytes, std::align_val_t align)
{
    void *block = nullptr;
    const size_t at_least = sizeof(void *);
    const size_t wanted =
        static_cast<size_t>(align) < at_least ? at_least : static_cast<size_t>(align);
    return counted(posix_memalign(&block, wanted, bytes ? bytes : 1) == 0 ? block : nullptr);
}

void operator delete(void *block) noexcept
{
    uncounted(block);
}

void operator delete(void *block, size_t) noexcept
{
    uncounted(block);
}

void operator delete(void *block, std::align_val_t) noexcept
{
    uncounted(block);
}

void operator delete(void *block, size_t, std::align_val_t) noexcept
{
    uncounted(block);
}

#endif
