/* model/stats.c - see stats.h.  Every number is a relaxed counter of its own: a reader may see a
 * run counted in one and not yet in another, which statistics can bear and a lock on the way of
 * each run could not. */
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

static uint32_t bucket_of(uint64_t rows)
{
    uint32_t i = 0;
    while (i + 1 < TRP_STATS_ROWS_BUCKETS && rows > (uint64_t)1 << i)
        i++;
    return i;
}

void trp_stats_add_batch(struct trp_stats *s, uint64_t rows, int64_t input_ns, int64_t infer_ns,
                         int64_t output_ns)
{
    if (rows == 0)
        return; /* an empty batch has no size to count it under */
    trp_counter_add(&s->run_rows[bucket_of(rows)], 1);
    trp_counter_add(&s->run_rows_sum, rows);
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

static void copy_duration(struct trp_duration *to, const struct trp_duration *from)
{
    trp_counter_set(&to->count, trp_counter_get(&from->count));
    trp_counter_set(&to->ns, trp_counter_get(&from->ns));
}

void trp_stats_carry(struct trp_stats *now, const struct trp_stats *before)
{
    struct trp_stats *from = (struct trp_stats *)(uintptr_t)before; /* is read only */
    trp_counter_set(&now->last_inference_ns, trp_counter_get(&before->last_inference_ns));
    trp_counter_set(&now->last_asked_ns, trp_counter_get(&before->last_asked_ns));
    for (size_t i = 0; i < TRP_STATS_COUNTERS; i++)
        trp_counter_set(trp_stats_counter(now, i), trp_counter_get(trp_stats_counter(from, i)));
    for (uint32_t i = 0; i < TRP_STATS_BATCH_SIZES; i++) {
        const uint32_t taken = trp_oneshot_get(&before->batches[i].taken);
        if (taken != 0)
            (void)trp_oneshot_try(&now->batches[i].taken, taken);
        trp_counter_set(&now->batches[i].size, trp_counter_get(&before->batches[i].size));
        copy_duration(&now->batches[i].compute_input, &before->batches[i].compute_input);
        copy_duration(&now->batches[i].compute_infer, &before->batches[i].compute_infer);
        copy_duration(&now->batches[i].compute_output, &before->batches[i].compute_output);
    }
    trp_gauge_set(&now->run_ns, trp_gauge_get(&before->run_ns));
}
