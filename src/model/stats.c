/* model/stats.c - see stats.h.  Every number is a relaxed counter of its own: a reader may see a run counted in one
 * and not yet in another, which statistics can bear and a lock on the way of each run could not. */
#include "model/stats.h"

/* A slot belongs to the first size that took it; the last one collects what found no slot. */
static uint32_t slot_of(struct trp_stats *s, uint32_t rows)
{
    for (uint32_t i = 0; i < TRP_STATS_BATCH_SIZES - 1; i++) {
        const uint32_t taken = trp_oneshot_get(&s->batches[i].taken);
        if (taken == rows)
            return i;
        if (taken == 0 && trp_oneshot_try(&s->batches[i].taken, rows))
            return i;
        if (trp_oneshot_get(&s->batches[i].taken) == rows)
            return i; /* lost the race to somebody of the same size */
    }
    return TRP_STATS_BATCH_SIZES - 1;
}

void trp_stats_add_batch(struct trp_stats *s, uint64_t rows, int64_t input_ns, int64_t infer_ns,
                         int64_t output_ns)
{
    if (rows == 0)
        return; /* an empty batch has no size to count it under */
    const uint32_t slot = slot_of(s, rows > UINT32_MAX ? UINT32_MAX : (uint32_t)rows);
    trp_counter_set(&s->batches[slot].size, rows);
    trp_duration_add(&s->batches[slot].compute_input, input_ns);
    trp_duration_add(&s->batches[slot].compute_infer, infer_ns);
    trp_duration_add(&s->batches[slot].compute_output, output_ns);
}

void trp_stats_learn_run(struct trp_stats *s, int64_t run_ns)
{
    if (run_ns < 1)
        run_ns = 1; /* 0 means "not known" */
    const int64_t old = trp_gauge_get(&s->run_ns);
    trp_gauge_set(&s->run_ns, old == 0 ? run_ns : old + (run_ns - old) / 4);
}
