/* call/call_memory.c - see call_memory.h. */
#include "call/call_memory.h"

#define ALIGNMENT 64u

struct trp_call_memory { /* in the call's arena */
    struct trp_call_memory *older;
    const struct trp_alloc *alloc;
    void *piece;
};

void *trp_call_memory_get(struct trp_call *call, const struct trp_alloc *alloc, size_t bytes)
{
    struct trp_call_memory *m = trp_arena_get(&call->arena, sizeof *m);
    void *piece = m ? trp_alloc_aligned(alloc, bytes ? bytes : 1, ALIGNMENT) : NULL;
    if (!piece)
        return NULL;
    *m = (struct trp_call_memory){ call->memory, alloc, piece };
    call->memory = m;
    return piece;
}

void trp_call_memory_free(struct trp_call *call, struct trp_call_memory *mark)
{
    while (call->memory != mark) {
        struct trp_call_memory *m = call->memory;
        call->memory = m->older;
        trp_alloc_free(m->alloc, m->piece);
    }
}
