/* admin/metrics_page.c - everything that is counted, in the Prometheus text format.
 *
 * Three sources: the process-wide table (obs/metrics.def), the counters in each version's slot, and the kernel's view of
 * this process.  The per-model families are rows of one table here, so that the page, its order and docs/metrics.md agree. */
#include <stdio.h>
#include <unistd.h>

#include "admin/admin_internal.h"
#include "base/file.h"

#define PAGE_BYTES_MAX ((size_t)256 << 20)

struct page {
    struct trp_buf text;
    uint32_t row; /* of `families`, while walking */
};

typedef uint64_t (*read_fn)(const struct trp_version *v);

#define READ(name, expression)                        \
    static uint64_t name(const struct trp_version *v) \
    {                                                 \
        return trp_counter_get(&v->expression);       \
    }
READ(read_success, stats.success.count)
READ(read_fail, stats.fail.count)
READ(read_inferences, stats.inference_count)
READ(read_executions, stats.execution_count)
READ(read_bytes_in, stats.bytes_in)
READ(read_bytes_out, stats.bytes_out)
READ(read_weights, weights.bytes)
READ(read_activations, activations.bytes)
READ(read_request_ns, stats.success.ns)
READ(read_queue_ns, stats.queue.ns)
READ(read_input_ns, stats.compute_input.ns)
READ(read_infer_ns, stats.compute_infer.ns)
READ(read_output_ns, stats.compute_output.ns)

static uint64_t read_queued(const struct trp_version *v)
{
    const int64_t n = trp_gauge_get(&v->stats.queued);
    return n > 0 ? (uint64_t)n : 0;
}
static uint64_t read_in_flight(const struct trp_version *v)
{
    const int64_t n = trp_gauge_get(&v->stats.in_flight);
    return n > 0 ? (uint64_t)n : 0;
}

/* Per model and version.  The nv_ names are those that Triton's dashboards look for, with its units (microseconds). */
static const struct family {
    const char *name, *type, *help;
    read_fn read;
    uint64_t divisor;
} families[] = {
    { "nv_inference_request_success", "counter", "Requests answered.", read_success, 1 },
    { "nv_inference_request_failure", "counter", "Requests that failed.", read_fail, 1 },
    { "nv_inference_count", "counter", "Rows answered.", read_inferences, 1 },
    { "nv_inference_exec_count", "counter", "Backend runs.", read_executions, 1 },
    { "nv_inference_pending_request_count", "gauge", "Calls waiting for a run.", read_queued, 1 },
    { "nv_inference_request_duration_us", "counter", "Time of answered requests.", read_request_ns,
      1000 },
    { "nv_inference_queue_duration_us", "counter", "Time spent waiting.", read_queue_ns, 1000 },
    { "nv_inference_compute_input_duration_us", "counter", "Time preparing inputs.", read_input_ns,
      1000 },
    { "nv_inference_compute_infer_duration_us", "counter", "Time in the backend.", read_infer_ns,
      1000 },
    { "nv_inference_compute_output_duration_us", "counter", "Time taking outputs.", read_output_ns,
      1000 },
    { "troupe_model_in_flight", "gauge", "Calls that wait or run.", read_in_flight, 1 },
    { "troupe_model_received_bytes_total", "counter", "Input tensor bytes.", read_bytes_in, 1 },
    { "troupe_model_sent_bytes_total", "counter", "Output tensor bytes.", read_bytes_out, 1 },
    { "troupe_model_weights_bytes", "gauge", "Private weights held.", read_weights, 1 },
    { "troupe_model_activation_bytes", "gauge", "Activations and outputs held.", read_activations,
      1 },
};

static const struct {
    const char *name, *help;
    size_t offset; /* in struct trp_stats */
} durations[] = {
    { "troupe_decode_duration_seconds", "From a request's first byte to its tensors.",
      offsetof(struct trp_stats, decode) },
    { "troupe_queue_duration_seconds", "Waiting for a run.", offsetof(struct trp_stats, wait) },
    { "troupe_compute_duration_seconds", "In the backend.", offsetof(struct trp_stats, compute) },
    { "troupe_encode_duration_seconds", "From the end of a run to the reply's bytes.",
      offsetof(struct trp_stats, encode) },
    { "troupe_request_duration_seconds", "From a request's first byte to the reply's bytes.",
      offsetof(struct trp_stats, total) },
};

/* Writes `model="a",version="1"` to a small buffer of its own. */
static void write_labels(struct trp_buf *b, const struct trp_version *v)
{
    trp_metrics_write_label(b, "model", v->target.name);
    trp_buf_add_text(b, ",version=\"");
    trp_buf_add_i64(b, v->target.version);
    trp_buf_add_char(b, '"');
}

static void write_family(void *user, const struct trp_entry *e)
{
    struct page *p = user;
    const struct family *f = &families[p->row];
    for (uint32_t i = 0; i < e->versions_n; i++) {
        const struct trp_version *v = e->versions[i];
        if (!trp_lifecycle_is_serving(&v->life))
            continue;
        trp_buf_add_text(&p->text, f->name);
        trp_buf_add_char(&p->text, '{');
        write_labels(&p->text, v);
        trp_buf_add_text(&p->text, "} ");
        trp_buf_add_u64(&p->text, f->read(v) / f->divisor);
        trp_buf_add_char(&p->text, '\n');
    }
}

static void write_errors(void *user, const struct trp_entry *e)
{
    struct page *p = user;
    for (uint32_t i = 0; i < e->versions_n; i++) {
        const struct trp_version *v = e->versions[i];
        for (int32_t code = 0; code < TRP_CODES; code++) {
            const uint64_t n = trp_counter_get(&v->stats.errors[code]);
            if (n == 0)
                continue;
            trp_buf_add_text(&p->text, "troupe_request_errors_total{");
            write_labels(&p->text, v);
            trp_buf_addf(&p->text, ",reason=\"%s\"} %llu\n", trp_code_name(code),
                         (unsigned long long)n);
        }
    }
}

static void write_duration(void *user, const struct trp_entry *e)
{
    struct page *p = user;
    struct trp_buf labels;
    for (uint32_t i = 0; i < e->versions_n; i++) {
        const struct trp_version *v = e->versions[i];
        const void *at = (const char *)&v->stats + durations[p->row].offset;
        const struct trp_histogram *histogram = at;
        if (!trp_lifecycle_is_serving(&v->life) || trp_histogram_count(histogram) == 0)
            continue; /* a thousand models that nobody has asked would be 100,000 lines of zeros */
        trp_buf_init(&labels, p->text.alloc, 4096);
        write_labels(&labels, v);
        const char *text = trp_buf_text(&labels);
        if (text)
            trp_metrics_write_histogram(&p->text, durations[p->row].name, text, histogram);
        else
            p->text.failed = labels.failed;
        trp_buf_deinit(&labels);
    }
}

struct state_counts {
    uint64_t n[TRP_MODEL_STATES];
    uint64_t models;
};

static void count_states(void *user, const struct trp_entry *e)
{
    struct state_counts *c = user;
    c->models++;
    for (uint32_t i = 0; i < e->versions_n; i++)
        c->n[trp_lifecycle_get(&e->versions[i]->life)]++;
}

static void write_states(struct trp_buf *b, const struct trp_snapshot *s)
{
    struct state_counts counts = { { 0 }, 0 };
    trp_snapshot_each(s, count_states, &counts);
    trp_metrics_write_head(b, "troupe_models", "gauge", "Models in the repository.");
    trp_buf_addf(b, "troupe_models %llu\n", (unsigned long long)counts.models);
    trp_metrics_write_head(b, "troupe_model_versions", "gauge", "Model versions, by state.");
    for (int i = 0; i < TRP_MODEL_STATES; i++)
        trp_buf_addf(b, "troupe_model_versions{state=\"%s\"} %llu\n",
                     trp_model_state_name((enum trp_model_state)i),
                     (unsigned long long)counts.n[i]);
}

static void write_accounts(struct trp_buf *b, const struct trp_admin *a)
{
    trp_metrics_write_head(b, "troupe_account_bytes", "gauge", "Bytes held, by account.");
    for (uint32_t i = 0; i < a->opts.accounts_n; i++)
        trp_buf_addf(b, "troupe_account_bytes{account=\"%s\"} %llu\n",
                     trp_account_kind_name(a->opts.accounts[i]->kind),
                     (unsigned long long)trp_counter_get(&a->opts.accounts[i]->bytes));
    trp_metrics_write_head(b, "troupe_account_refused_total", "counter",
                           "Allocations that a limit refused, by account.");
    for (uint32_t i = 0; i < a->opts.accounts_n; i++)
        trp_buf_addf(b, "troupe_account_refused_total{account=\"%s\"} %llu\n",
                     trp_account_kind_name(a->opts.accounts[i]->kind),
                     (unsigned long long)trp_counter_get(&a->opts.accounts[i]->refused));
}

static void write_trace(struct trp_buf *b, const struct trp_admin *a)
{
    trp_metrics_write_head(b, "troupe_trace_records_lost_total", "counter",
                           "Traces that are missing in the trace file, by reason (full, write).");
    static const char *const reasons[TRP_TRACE_LOSSES] = {
        [TRP_TRACE_LOST_FULL] = "full", [TRP_TRACE_LOST_WRITE] = "write"
    };
    for (int i = 0; i < TRP_TRACE_LOSSES; i++)
        trp_buf_addf(b, "troupe_trace_records_lost_total{reason=\"%s\"} %llu\n", reasons[i],
                     (unsigned long long)trp_trace_lost(a->opts.trace, (enum trp_trace_loss)i));
}

/* The kernel's view; a system without /proc merely lacks these rows. */
static void write_process(struct trp_buf *b, const struct trp_admin *a)
{
    char *text;
    size_t len;
    unsigned long long total = 0, resident = 0;
    if (trp_failed(trp_file_read(a->alloc, "/proc/self/statm", 4096, &text, &len, NULL)))
        return;
    const int fields = sscanf(text, "%llu %llu", &total, &resident);
    trp_alloc_free(a->alloc, text);
    if (fields != 2)
        return;
    const unsigned long long page = (unsigned long long)sysconf(_SC_PAGESIZE);
    trp_metrics_write_head(b, "process_virtual_memory_bytes", "gauge", "Virtual memory size.");
    trp_buf_addf(b, "process_virtual_memory_bytes %llu\n", total * page);
    trp_metrics_write_head(b, "process_resident_memory_bytes", "gauge", "Resident memory size.");
    trp_buf_addf(b, "process_resident_memory_bytes %llu\n", resident * page);
}

trp_status trp_answer_metrics(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    const struct trp_snapshot *s = trp_admin_snapshot(a, c);
    struct page p = { .row = 0 };
    trp_buf_init(&p.text, a->alloc, PAGE_BYTES_MAX);
    trp_metrics_write(a->opts.metrics, &p.text);
    write_states(&p.text, s);
    write_accounts(&p.text, a);
    write_trace(&p.text, a);
    write_process(&p.text, a);
    for (p.row = 0; p.row < ARRAY_LEN(families); p.row++) {
        trp_metrics_write_head(&p.text, families[p.row].name, families[p.row].type,
                               families[p.row].help);
        trp_snapshot_each(s, write_family, &p);
    }
    trp_metrics_write_head(&p.text, "troupe_request_errors_total", "counter",
                           "Requests that failed, by reason.");
    trp_snapshot_each(s, write_errors, &p);
    for (p.row = 0; p.row < ARRAY_LEN(durations); p.row++) {
        trp_metrics_write_head(&p.text, durations[p.row].name, "histogram", durations[p.row].help);
        trp_snapshot_each(s, write_duration, &p);
    }
    trp_status st = trp_buf_check(&p.text, "metrics", err);
    if (!trp_failed(st)) {
        c->raw = trp_arena_dup(c->arena, trp_buf_str(&p.text));
        c->raw_type = "text/plain; version=0.0.4; charset=utf-8";
        if (!c->raw.ptr)
            st = trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the metrics page");
    }
    trp_buf_deinit(&p.text);
    return st;
}
