/* obs/metrics.h - numbers to watch.
 * Answers "how often, how many bytes, how long?".  Every process-wide metric is a row of
 * obs/metrics.def; per-thread shards keep counting free of shared writes, a scrape sums them.
 * Per-model numbers live in the version's own slot (model/stats.h) and are printed by admin. */
#ifndef TRP_METRICS_H
#define TRP_METRICS_H

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/buf.h"

/* X(id, kind, name, label_key, label_value, help); kind is COUNTER, GAUGE, or PEAK: a
 * gauge that only rises, of all threads the largest.  Rows of one name stand together. */
enum trp_metric {
#define X(id, kind, name, label_key, label_value, help) TRP_METRIC_##id,
#include "obs/metrics.def"
#undef X
    TRP_METRICS
};

/* A histogram of durations with fixed upper bounds: 1, 2, 5, 10, ... us up to 100 s. */
#define TRP_HISTOGRAM_BUCKETS 26
struct trp_histogram {
    struct trp_counter buckets[TRP_HISTOGRAM_BUCKETS]; /* the last one is +Inf; not cumulative */
    struct trp_counter sum_ns;
};

/* Count one duration; all that were counted; the upper bound of a bucket.
 *   Units : ns; seconds.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
void trp_histogram_add(struct trp_histogram *h, int64_t duration_ns); /* any thread */
uint64_t trp_histogram_count(const struct trp_histogram *h);
double trp_histogram_bound_s(uint32_t bucket); /* upper bound in seconds; INFINITY for the last */

struct trp_metrics_shard {
    struct trp_counter values[TRP_METRICS]; /* written by one thread */
} __attribute__((aligned(64)));

struct trp_metrics;

/* Makes `shards` zeroed shards; thread i counts in shard i, and threads without one use
 * trp_metrics_add().
 *   Owns  : the caller destroys.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_metrics_create(const struct trp_alloc *alloc, uint32_t shards,
                              struct trp_metrics **out_metrics, struct trp_error *err);
void trp_metrics_destroy(struct trp_metrics *m);
struct trp_metrics_shard *trp_metrics_shard(struct trp_metrics *m, uint32_t index);

/* Counts: in an own shard (no locked instruction), or in the shared one (any thread).
 *   Owns  : nothing.
 *   Thread: owner of the shard; any.
 *   Errors: none. */
static inline void trp_metric_add(struct trp_metrics_shard *s, enum trp_metric id, uint64_t n)
{
    trp_counter_own_add(&s->values[id], n);
}
static inline void trp_metric_sub(struct trp_metrics_shard *s, enum trp_metric id, uint64_t n)
{
    trp_counter_own_add(&s->values[id], (uint64_t)0 - n);
}
static inline void trp_metric_raise(struct trp_metrics_shard *s, enum trp_metric id, uint64_t n)
{
    if (n > trp_counter_get(&s->values[id]))
        trp_counter_set(&s->values[id], n);
}
void trp_metrics_add(struct trp_metrics *m, enum trp_metric id, uint64_t n);
void trp_metrics_set(struct trp_metrics *m, enum trp_metric id, uint64_t n); /* gauges */
int64_t trp_metrics_get(const struct trp_metrics *m, enum trp_metric id);

/* Counts the limit that an error tells of, if any.
 *   Owns  : nothing.
 *   Thread: owner of the shard; any.
 *   Errors: none. */
void trp_metric_hit(struct trp_metrics_shard *s, const struct trp_error *err);
void trp_metrics_hit(struct trp_metrics *m, const struct trp_error *err);

/* Appends all rows, or one histogram, in the Prometheus text format.  `labels` is
 * `model="a",version="1"` or "".
 *   Owns  : copied.
 *   Thread: any.
 *   Errors: see b->failed.
 *   Source: Prometheus text exposition format 0.0.4. */
void trp_metrics_write(const struct trp_metrics *m, struct trp_buf *b);
void trp_metrics_write_head(struct trp_buf *b, const char *name, const char *type,
                            const char *help);
void trp_metrics_write_histogram(struct trp_buf *b, const char *name, const char *labels,
                                 const struct trp_histogram *h);
void trp_metrics_write_label(struct trp_buf *b, const char *key,
                             struct trp_str value); /* key="escaped" */

#endif
