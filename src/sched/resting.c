/* sched/resting.c - see resting.h. */
#include "sched/resting.h"

void trp_resting_begin(struct trp_sched *s, struct trp_sched_line *line, int64_t until_ns,
                       uint32_t rows)
{
    TRP_ASSERT(line->queued > 0 && !line->is_resting);
    line->is_resting = line->has_rested = true;
    line->rest_rows = rows;
    line->rest.key = until_ns;
    line->rest.arrival = s->arrivals;
    trp_sorted_push(&s->resting, &line->rest);
    trp_sched_reshow(s, line);
}

void trp_resting_end(struct trp_sched *s, struct trp_sched_line *line)
{
    if (!line->is_resting)
        return;
    line->is_resting = false;
    trp_sorted_remove(&s->resting, &line->rest);
    trp_sched_reshow(s, line);
}

void trp_resting_joined(struct trp_sched *s, struct trp_sched_line *line,
                        const struct trp_call *call)
{
    const struct trp_queue_seat *const seat = &call->seat;
    if (line->is_resting && !call->is_aside &&
        (line->rows >= line->rest_rows ||
         (call->deadline_ns != 0 && call->deadline_ns - seat->cost_ns < line->rest.key)))
        trp_resting_end(s, line);
}

void trp_resting_end_all(struct trp_sched *s, int64_t now_ns)
{
    const struct trp_queue_spot *first;
    while ((first = trp_sorted_first(&s->resting)) != NULL && first->key <= now_ns)
        trp_resting_end(s, TRP_CONTAINER_OF(first, struct trp_sched_line, rest));
}

int64_t trp_resting_next_ns(const struct trp_sched *s)
{
    const struct trp_queue_spot *const first = trp_sorted_first(&s->resting);
    return first ? first->key : 0;
}
