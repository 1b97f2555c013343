/* base/alloc.c - see alloc.h.  The only place of the core that calls malloc() and free(). */
#include "base/alloc.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/torture.h"

#define ALIGN_DEFAULT 16

static void *heap_alloc(const struct trp_alloc *a, size_t bytes, size_t align)
{
    (void)a;
    if (align <= ALIGN_DEFAULT)
        return malloc(bytes ? bytes : 1);
    const size_t rounded = (bytes + align - 1) & ~(align - 1);
    return rounded < bytes ? NULL : aligned_alloc(align, rounded ? rounded : align);
}

static void heap_free(const struct trp_alloc *a, void *block)
{
    (void)a;
    free(block);
}

static const struct trp_alloc heap = { heap_alloc, heap_free, NULL, "heap" };

const struct trp_alloc *trp_heap(void)
{
    return &heap;
}

void trp_heap_trim(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

void *trp_alloc_get(const struct trp_alloc *a, size_t count, size_t size)
{
    size_t bytes;
    if (TRP_TORTURE_FAILS("allocation") || __builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return a->alloc(a, bytes, ALIGN_DEFAULT);
}

void *trp_alloc_zeroed(const struct trp_alloc *a, size_t count, size_t size)
{
    size_t bytes;
    if (TRP_TORTURE_FAILS("allocation") || __builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *block = a->alloc(a, bytes, ALIGN_DEFAULT);
    return block ? memset(block, 0, bytes) : NULL;
}

void *trp_alloc_aligned(const struct trp_alloc *a, size_t bytes, size_t align)
{
    return TRP_TORTURE_FAILS("allocation") ? NULL : a->alloc(a, bytes, align);
}

void *trp_alloc_resize(const struct trp_alloc *a, void *block, size_t old_bytes, size_t new_bytes)
{
    if (TRP_TORTURE_FAILS("allocation"))
        return NULL;
    void *fresh = a->alloc(a, new_bytes, ALIGN_DEFAULT);
    if (fresh && block) {
        memcpy(fresh, block, old_bytes < new_bytes ? old_bytes : new_bytes);
        a->free(a, block);
    }
    return fresh;
}

void trp_alloc_free(const struct trp_alloc *a, void *block)
{
    if (block)
        a->free(a, block);
}

char *trp_alloc_text(const struct trp_alloc *a, const char *ptr, size_t len)
{
    if (len == SIZE_MAX || TRP_TORTURE_FAILS("allocation"))
        return NULL;
    char *text = a->alloc(a, len + 1, ALIGN_DEFAULT);
    if (text) {
        if (len)
            memcpy(text, ptr, len);
        text[len] = '\0';
    }
    return text;
}
