#include "wire/h2_memory.h"

#include <string.h>

#define SMALLEST_BITS 5u            /* 32 bytes */
#define LARGE TRP_H2_MEMORY_CLASSES /* the kind of what is not kept */
#define KEEP_BYTES ((size_t)4 << 20)

struct trp_h2_block { /* in front of the bytes that are handed out */
    union {
        struct trp_h2_block *next; /* while it is free */
        size_t bytes;              /* room, while it is used */
    };
    size_t kind;
};
_Static_assert(sizeof(struct trp_h2_block) == 16, "keeps the alignment");

void trp_h2_memory_init(struct trp_h2_memory *m, const struct trp_alloc *alloc)
{
    *m = (struct trp_h2_memory){ .alloc = alloc };
}

void trp_h2_memory_deinit(struct trp_h2_memory *m)
{
    for (size_t kind = 0; kind < TRP_H2_MEMORY_CLASSES; kind++)
        while (m->free[kind]) {
            struct trp_h2_block *block = m->free[kind];
            m->free[kind] = block->next;
            trp_alloc_free(m->alloc, block);
        }
    m->kept_bytes = 0;
}

static size_t class_of(size_t bytes)
{
    if (bytes <= (size_t)1 << SMALLEST_BITS)
        return 0;
    const size_t bits = 64u - (size_t)__builtin_clzll(bytes - 1);
    return bits - SMALLEST_BITS < LARGE ? bits - SMALLEST_BITS : LARGE;
}

static size_t room_of(size_t kind, size_t bytes)
{
    return kind < LARGE ? (size_t)1 << (kind + SMALLEST_BITS) : bytes;
}

void *trp_h2_memory_get(struct trp_h2_memory *m, size_t bytes)
{
    const size_t kind = class_of(bytes), room = room_of(kind, bytes);
    struct trp_h2_block *block = kind < LARGE ? m->free[kind] : NULL;
    if (block) {
        m->free[kind] = block->next;
        m->kept_bytes -= room;
    } else {
        if (room > SIZE_MAX - sizeof *block)
            return NULL;
        block = trp_alloc_get(m->alloc, 1, sizeof *block + room);
    }
    if (!block)
        return NULL;
    block->bytes = room;
    block->kind = kind;
    return block + 1;
}

void trp_h2_memory_give(struct trp_h2_memory *m, void *ptr)
{
    if (!ptr)
        return;
    struct trp_h2_block *block = (struct trp_h2_block *)ptr - 1;
    if (block->kind == LARGE || m->kept_bytes + block->bytes > KEEP_BYTES) {
        trp_alloc_free(m->alloc, block);
        return;
    }
    m->kept_bytes += block->bytes;
    block->next = m->free[block->kind];
    m->free[block->kind] = block;
}

void *trp_h2_memory_resize(struct trp_h2_memory *m, void *ptr, size_t bytes)
{
    if (!ptr)
        return trp_h2_memory_get(m, bytes);
    const struct trp_h2_block *block = (struct trp_h2_block *)ptr - 1;
    if (bytes <= block->bytes && block->kind < LARGE)
        return ptr;
    void *fresh = trp_h2_memory_get(m, bytes);
    if (!fresh)
        return NULL;
    memcpy(fresh, ptr, block->bytes < bytes ? block->bytes : bytes);
    trp_h2_memory_give(m, ptr);
    return fresh;
}
