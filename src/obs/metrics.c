/* obs/metrics.c - counting where it is cheap, summing where it is rare.
 *
 * Every thread that counts often has a shard of its own and adds without a locked instruction; all
 * others share one shard and add atomically.  A scrape sums them, so a number may lag by an
 * instant but no count is lost. */
#include "obs/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

struct trp_metrics {
    const struct trp_alloc *alloc;
    uint32_t shards_n;
    struct trp_metrics_shard shared;
    struct trp_metrics_shard shards[];
};

enum kind { COUNTER, GAUGE, PEAK };

static const struct row {
    enum kind kind;
    const char *name, *label_key, *label_value, *help;
} rows[TRP_METRICS] = {
#define X(id, kind, name, label_key, label_value, help) \
    { kind, name, label_key, label_value, help },
#include "obs/metrics.def"
#undef X
};

trp_status trp_metrics_create(const struct trp_alloc *alloc, uint32_t shards,
                              struct trp_metrics **out_metrics, struct trp_error *err)
{
    *out_metrics = NULL;
    const size_t bytes = sizeof **out_metrics + shards * sizeof(struct trp_metrics_shard);
    struct trp_metrics *m = trp_alloc_aligned(alloc, bytes, _Alignof(struct trp_metrics_shard));
    if (!m)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "metrics of %u threads", shards);
    memset(m, 0, bytes);
    m->alloc = alloc;
    m->shards_n = shards;
    *out_metrics = m;
    return trp_ok();
}

void trp_metrics_destroy(struct trp_metrics *m)
{
    if (m)
        trp_alloc_free(m->alloc, m);
}

struct trp_metrics_shard *trp_metrics_shard(struct trp_metrics *m, uint32_t index)
{
    TRP_ASSERT(index < m->shards_n);
    return &m->shards[index];
}

void trp_metrics_add(struct trp_metrics *m, enum trp_metric id, uint64_t n)
{
    trp_counter_add(&m->shared.values[id], n);
}

void trp_metrics_set(struct trp_metrics *m, enum trp_metric id, uint64_t n)
{
    trp_counter_set(&m->shared.values[id], n);
}

int64_t trp_metrics_get(const struct trp_metrics *m, enum trp_metric id)
{
    uint64_t all = trp_counter_get(&m->shared.values[id]);
    for (uint32_t i = 0; i < m->shards_n; i++) {
        const uint64_t one = trp_counter_get(&m->shards[i].values[id]);
        if (rows[id].kind != PEAK)
            all += one; /* wraps: a shard may be below zero */
        else if (one > all)
            all = one;
    }
    return (int64_t)all;
}

/* TRP_METRICS for an error that tells of none. */
static enum trp_metric limit_metric(const struct trp_error *err)
{
    static const enum trp_metric metrics[TRP_LIMITS] = {
        [TRP_LIMIT_NONE] = TRP_METRICS,
#define X(id, settings) [TRP_LIMIT_##id] = TRP_METRIC_LIMIT_##id,
#include "base/limits.def"
#undef X
    };
    return err->limit > 0 && err->limit < TRP_LIMITS ? metrics[err->limit] : TRP_METRICS;
}

void trp_metric_hit(struct trp_metrics_shard *s, const struct trp_error *err)
{
    const enum trp_metric id = limit_metric(err);
    if (id != TRP_METRICS)
        trp_metric_add(s, id, 1);
}

void trp_metrics_hit(struct trp_metrics *m, const struct trp_error *err)
{
    const enum trp_metric id = limit_metric(err);
    if (id != TRP_METRICS)
        trp_metrics_add(m, id, 1);
}

/* ---- histograms ------------------------------------------------------------------------------ */

#define DECADE(us) (us) * INT64_C(1000), (us)*INT64_C(2000), (us)*INT64_C(5000)
static const int64_t bounds_ns[TRP_HISTOGRAM_BUCKETS - 1] = {
    DECADE(1),      DECADE(10),      DECADE(100),      DECADE(1000), DECADE(10000),
    DECADE(100000), DECADE(1000000), DECADE(10000000), TRP_S(100),
};
#undef DECADE

/* How many bounds have fewer bits than a duration of so many bits.  Bounds at least double, so no
 * two have the same number of bits, and one comparison tells the rest; a search would guess
 * wrong twice for every duration. */
static const uint8_t shorter_bounds[38] = { 0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  1,  2,
                                            2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 11, 12, 13,
                                            14, 15, 16, 17, 18, 19, 20, 20, 21, 22, 23, 24 };

static uint32_t bucket_of(uint64_t duration_ns)
{
    const uint32_t bits = 64u - (uint32_t)__builtin_clzll(duration_ns | 1);
    if (bits >= ARRAY_LEN(shorter_bounds))
        return TRP_HISTOGRAM_BUCKETS - 1;
    const uint32_t first = shorter_bounds[bits];
    return first + (duration_ns > (uint64_t)bounds_ns[first]);
}

void trp_histogram_add(struct trp_histogram *h, int64_t duration_ns)
{
    const uint64_t ns = duration_ns > 0 ? (uint64_t)duration_ns : 0;
    trp_counter_add(&h->buckets[bucket_of(ns)], 1);
    trp_counter_add(&h->sum_ns, ns);
}

uint64_t trp_histogram_count(const struct trp_histogram *h)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < TRP_HISTOGRAM_BUCKETS; i++)
        n += trp_counter_get(&h->buckets[i]);
    return n;
}

double trp_histogram_bound_s(uint32_t bucket)
{
    return bucket < TRP_HISTOGRAM_BUCKETS - 1 ? (double)bounds_ns[bucket] / 1e9 : INFINITY;
}

/* ---- Prometheus ------------------------------------------------------------------------------ */

/* Escapes what ends a line or a quoted value; what is no UTF-8 becomes U+FFFD, as scrapers insist.
 * */
static void write_escaped(struct trp_buf *b, struct trp_str s, bool quoted)
{
    for (size_t i = 0; i < s.len;) {
        const size_t n = trp_str_utf8_length(s.ptr + i, s.len - i);
        if (s.ptr[i] == '\n')
            trp_buf_add_text(b, "\\n");
        else if (s.ptr[i] == '\\' || (quoted && s.ptr[i] == '"'))
            trp_buf_addf(b, "\\%c", s.ptr[i]);
        else
            trp_buf_add(b, n ? s.ptr + i : "\xef\xbf\xbd", n ? n : 3);
        i += n ? n : 1;
    }
}

void trp_metrics_write_head(struct trp_buf *b, const char *name, const char *type, const char *help)
{
    trp_buf_addf(b, "# HELP %s ", name);
    write_escaped(b, trp_str_of(help), false);
    trp_buf_addf(b, "\n# TYPE %s %s\n", name, type);
}

void trp_metrics_write_label(struct trp_buf *b, const char *key, struct trp_str value)
{
    trp_buf_add_text(b, key);
    trp_buf_add_text(b, "=\"");
    write_escaped(b, value, true);
    trp_buf_add_char(b, '"');
}

void trp_metrics_write(const struct trp_metrics *m, struct trp_buf *b)
{
    const char *last = "";
    for (const struct row *r = rows; r < rows + TRP_METRICS; r++) {
        if (strcmp(last, r->name) != 0)
            trp_metrics_write_head(b, r->name, r->kind == COUNTER ? "counter" : "gauge", r->help);
        last = r->name;
        trp_buf_add_text(b, r->name);
        if (r->label_key[0]) {
            trp_buf_add_char(b, '{');
            trp_metrics_write_label(b, r->label_key, trp_str_of(r->label_value));
            trp_buf_add_char(b, '}');
        }
        trp_buf_addf(b, " %" PRId64 "\n", trp_metrics_get(m, (enum trp_metric)(r - rows)));
    }
}

static void write_bucket(struct trp_buf *b, const char *name, const char *labels, uint32_t bucket,
                         uint64_t n)
{
    trp_buf_addf(b, "%s_bucket{%s%sle=\"", name, labels, labels[0] ? "," : "");
    if (bucket < TRP_HISTOGRAM_BUCKETS - 1)
        trp_json_write_f64(b, trp_histogram_bound_s(bucket));
    else
        trp_buf_add_text(b, "+Inf");
    trp_buf_addf(b, "\"} %" PRIu64 "\n", n);
}

void trp_metrics_write_histogram(struct trp_buf *b, const char *name, const char *labels,
                                 const struct trp_histogram *h)
{
    const char *open = labels[0] ? "{" : "", *close = labels[0] ? "}" : "";
    const double sum_s = (double)trp_counter_get(&h->sum_ns) / 1e9;
    uint64_t n = 0;
    for (uint32_t i = 0; i < TRP_HISTOGRAM_BUCKETS; i++) {
        n += trp_counter_get(&h->buckets[i]);
        write_bucket(b, name, labels, i, n);
    }
    trp_buf_addf(b, "%s_sum%s%s%s ", name, open, labels, close);
    trp_json_write_f64(b, sum_s);
    /* Not counted anew: the count must equal the last bucket, whatever other threads add
     * meanwhile. */
    trp_buf_addf(b, "\n%s_count%s%s%s %" PRIu64 "\n", name, open, labels, close, n);
}
