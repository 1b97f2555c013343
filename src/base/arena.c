/* base/arena.c - see arena.h. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PIECE_ALIGN 16

struct trp_arena_block {
    struct trp_arena_block *next;
    size_t bytes; /* of `data` */
    alignas(PIECE_ALIGN) char data[];
};

void trp_arena_init(struct trp_arena *a, const struct trp_alloc *alloc, size_t block_bytes,
                    size_t limit)
{
    *a = (struct trp_arena){ .alloc = alloc, .block_bytes = block_bytes, .limit = limit };
}

static void free_from(struct trp_arena *a, struct trp_arena_block *block)
{
    while (block) {
        struct trp_arena_block *next = block->next;
        a->total -= block->bytes;
        trp_alloc_free(a->alloc, block);
        block = next;
    }
}

void trp_arena_deinit(struct trp_arena *a)
{
    free_from(a, a->first);
    a->first = a->current = NULL;
    a->used = 0;
}

void trp_arena_reset(struct trp_arena *a)
{
#ifdef TRP_ARENA_MALLOC
    trp_arena_deinit(a);
#else
    if (a->first && a->first->next) {
        free_from(a, a->first->next);
        a->first->next = NULL;
    }
    a->current = a->first;
    a->used = 0;
#endif
}

/* Appends a block of at least `bytes`; what was left of the current one is given up. */
static bool add_block(struct trp_arena *a, size_t bytes)
{
#ifdef TRP_ARENA_MALLOC
    const size_t size = bytes;
#else
    const size_t size = bytes > a->block_bytes ? bytes : a->block_bytes;
#endif
    if (size > SIZE_MAX - sizeof(struct trp_arena_block))
        return false;
    if (a->limit && (size > a->limit || a->total > a->limit - size))
        return false;
    struct trp_arena_block *block = trp_alloc_get(a->alloc, 1, sizeof *block + size);
    if (!block)
        return false;
    block->next = NULL;
    block->bytes = size;
    if (a->current)
        a->current->next = block;
    else
        a->first = block;
    a->current = block;
    a->used = 0;
    a->total += size;
    return true;
}

void *trp_arena_get(struct trp_arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX - PIECE_ALIGN)
        return NULL;
#ifdef TRP_ARENA_MALLOC
    if (!add_block(a, bytes ? bytes : 1))
        return NULL;
    return a->current->data;
#else
    const size_t rounded = (bytes + PIECE_ALIGN - 1) & ~(size_t)(PIECE_ALIGN - 1);
    if (!a->current || a->current->bytes - a->used < rounded) {
        if (!add_block(a, rounded))
            return NULL;
    }
    void *piece = a->current->data + a->used;
    a->used += rounded;
    return piece;
#endif
}

void *trp_arena_zeroed(struct trp_arena *a, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *piece = trp_arena_get(a, bytes);
    return piece ? memset(piece, 0, bytes) : NULL;
}

struct trp_str trp_arena_dup(struct trp_arena *a, struct trp_str s)
{
    return trp_arena_join(a, &s, 1);
}

struct trp_str trp_arena_join(struct trp_arena *a, const struct trp_str *pieces, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        if (__builtin_add_overflow(len, pieces[i].len, &len))
            return trp_str_make(NULL, 0);
    char *const text = len == SIZE_MAX ? NULL : trp_arena_get(a, len + 1), *at = text;
    if (!text)
        return trp_str_make(NULL, 0);
    for (size_t i = 0; i < n; i++) {
        if (pieces[i].len)
            memcpy(at, pieces[i].ptr, pieces[i].len);
        at += pieces[i].len;
    }
    *at = '\0';
    return trp_str_make(text, len);
}

struct trp_str trp_arena_format(struct trp_arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, format, args);
    char *text = n < 0 ? NULL : trp_arena_get(a, (size_t)n + 1);
    if (text)
        vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    va_end(args);
    return trp_str_make(text, text ? (size_t)n : 0);
}
