/* exec/lines.c - see lines.h. */
#include "exec/lines.h"

struct trp_sched_line *trp_lines_find(struct trp_lines *l, struct trp_arena *arena,
                                      const struct trp_call *call)
{
    struct trp_sched_line *empty = NULL;
    if (call->batch_key == 0)
        return &l->model.own;
    if (!l->shared)
        l->shared = trp_arena_zeroed(arena, 1, sizeof *l->shared);
    for (uint32_t i = 0; l->shared && i < TRP_LINES_MAX; i++) {
        struct trp_sched_line *line = &l->shared->lines[i];
        if (l->shared->keys[i] == call->batch_key)
            return line;
        if (!empty && line->queued == 0)
            empty = line;
    }
    if (!empty)
        return &l->model.own;
    empty->model = &l->model;
    l->shared->keys[empty - l->shared->lines] = call->batch_key;
    return empty;
}
