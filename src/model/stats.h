/* model/stats.h - what one version has answered so far.
 * Answers "how often, how long, how well?".  Lives in the version's own slot; written by loops and
 * executors, read by statistics and metrics. */
#ifndef TRP_STATS_H
#define TRP_STATS_H

#include "base/atomic.h"
#include "base/status.h"
#include "obs/metrics.h"

struct trp_duration {
    struct trp_counter count, ns;
};
#define TRP_STATS_BATCH_SIZES 32
#define TRP_STATS_ROWS_BUCKETS 14 /* runs of up to 1, 2, 4, ... 4096 rows, and of more */

struct trp_stats {
    struct trp_counter last_inference_ns; /* monotonic; 0: never */
    struct trp_counter last_asked_ns;     /* the same, answered or not */
    /* From here to `run_rows`: counters only, see trp_stats_counter(). */
    struct trp_counter inference_count, execution_count; /* rows answered; backend runs */
    struct trp_duration success, fail, queue, compute_input, compute_infer, compute_output;
    struct trp_counter errors[TRP_CODES];
    struct trp_counter bytes_in, bytes_out;
    struct trp_histogram decode, wait, compute, encode, total;
    struct trp_counter run_rows_sum, run_rows[TRP_STATS_ROWS_BUCKETS];
    struct trp_gauge in_flight, queued;
    struct trp_gauge
        own_runs; /* of those in flight: the server's own, to find out something about the model */
    struct trp_gauge sequences; /* the same: open ones, which keep the version as calls do */
    struct trp_gauge aside;     /* 1: those that are queued wait for memory; see trp_stats_busy() */
    struct {                    /* by batch size; size 0: unused */
        struct trp_oneshot taken; /* by which size; the last slot is nobody's and everybody's */
        struct trp_counter size;  /* the last one counted here */
        struct trp_duration compute_input, compute_infer, compute_output;
    } batches[TRP_STATS_BATCH_SIZES];
    struct trp_gauge run_ns;        /* moving average of one run; 0: not known */
    struct trp_gauge run_bytes;     /* of the inputs that run_ns was learned from; kept by exec */
    struct trp_gauge run_surprises; /* long runs in a row that were not believed; kept by exec */
};

static inline void trp_duration_add(struct trp_duration *d, int64_t ns)
{
    trp_counter_add(&d->count, 1);
    if (ns > 0)
        trp_counter_add(&d->ns, (uint64_t)ns);
}

/* Calls of clients that wait or run.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none; a glance. */
static inline uint32_t trp_stats_calls(const struct trp_stats *s)
{
    const int64_t n =
        trp_gauge_get(&s->in_flight) - trp_gauge_get(&s->own_runs) - trp_gauge_get(&s->sequences);
    return n > 0 ? (uint32_t)n : 0;
}

/* How many calls keep a model busy: those in flight, but for those that only wait until there is
 * room for their run.  Were these counted, models that wait for each other's memory would keep each
 * other from leaving.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none; it is a glance, and may be off while calls come and go. */
static inline uint32_t trp_stats_busy(const struct trp_stats *s)
{
    int64_t n = trp_gauge_get(&s->in_flight);
    if (trp_gauge_get(&s->aside) != 0)
        n -= trp_gauge_get(&s->queued);
    return n > 0 ? (uint32_t)n : 0;
}

/* How many requests have ended, well or not.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
static inline uint64_t trp_stats_asked(const struct trp_stats *s)
{
    return trp_counter_get(&s->success.count) + trp_counter_get(&s->fail.count);
}

/* Counts one run of `rows` rows by its batch size; sizes beyond the table's room count in the last
 * slot, an empty batch nowhere.
 *   Units : ns.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
void trp_stats_add_batch(struct trp_stats *s, uint64_t rows, int64_t input_ns, int64_t infer_ns,
                         int64_t output_ns);

/* Copies what another one has counted so far, for what takes its place; not what is in flight.
 *   Owns  : copied; nobody sees `now` yet.
 *   Thread: any.
 *   Errors: none; a glance at `before`. */
void trp_stats_carry(struct trp_stats *now, const struct trp_stats *before);

/* Moves the average of one run's time: a quarter of the way each time, at once for the first.
 *   Units : ns.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
void trp_stats_learn_run(struct trp_stats *s, int64_t run_ns);

/* The counters of a `trp_stats` as one row of numbers, so that all can be summed without naming
 * each: the one at a place.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
#define TRP_STATS_COUNTERS                                                                   \
    ((offsetof(struct trp_stats, in_flight) - offsetof(struct trp_stats, inference_count)) / \
     sizeof(struct trp_counter))
struct trp_stats_row {
    struct trp_counter n[TRP_STATS_COUNTERS];
};
static inline struct trp_counter *trp_stats_counter(struct trp_stats *s, size_t place)
{
    void *at = (char *)s + offsetof(struct trp_stats, inference_count) +
               place * sizeof(struct trp_counter);
    return at;
}

#endif
