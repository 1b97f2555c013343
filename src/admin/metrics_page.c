/* admin/metrics_page.c - everything that is counted, in the Prometheus text format.
 *
 * A thousand models that are asked make a page of 10 MB, which takes a tenth of a second to write:
 * nobody else on the loop may wait for that.  So only those that were used lately have rows of
 * their own (other_models.h), and the page is written in steps of about TURN_NS, one a turn; the
 * versions that it tells of are held meanwhile, and the numbers are those of the moment in which
 * their line is written.  The text is not copied on its way out.
 *
 * Four sources: the process-wide table (obs/metrics.def), the counters in each version's slot, the
 * same of routes and compositions (told_names.h), and the kernel's view of this process.  The
 * per-model families are rows of one table here, so that the page, its order and docs/metrics.md
 * agree. */
#include <stdio.h>
#include <unistd.h>

#include "admin/admin_internal.h"
#include "base/file.h"

#define PAGE_BYTES_MAX ((size_t)1 << 30)
#define TURN_NS TRP_US(500) /* of writing, in one turn */
#define LINE_BYTES 96       /* a line without its model's name, about */
#define DEVICES_MAX 256u    /* more than a machine has */

/* Whose numbers a row prints: a version's, a route's or composition's, or the sum of the versions
 * without rows of their own. */
struct subject {
    const struct trp_stats *stats;
    const struct trp_counter *weights, *activations; /* bytes; of what has a kind NULL */
    struct trp_str name;
    const char *kind;                      /* "route", "ensemble", ...; NULL: of models */
    int64_t version;                       /* 0: the sum */
    uint64_t instances;                    /* of one that serves */
    const struct trp_backend_model *model; /* the same; NULL: none */
    bool is_serving;
};

typedef uint64_t (*read_fn)(const struct subject *of);

#define READ(name, expression)                     \
    static uint64_t name(const struct subject *of) \
    {                                              \
        return trp_counter_get(expression);        \
    }
READ(read_success, &of->stats->success.count)
READ(read_fail, &of->stats->fail.count)
READ(read_inferences, &of->stats->inference_count)
READ(read_executions, &of->stats->execution_count)
READ(read_bytes_in, &of->stats->bytes_in)
READ(read_bytes_out, &of->stats->bytes_out)
READ(read_weights, of->weights)
READ(read_activations, of->activations)
READ(read_request_ns, &of->stats->success.ns)
READ(read_queue_ns, &of->stats->queue.ns)
READ(read_input_ns, &of->stats->compute_input.ns)
READ(read_infer_ns, &of->stats->compute_infer.ns)
READ(read_output_ns, &of->stats->compute_output.ns)

static uint64_t read_queued(const struct subject *of)
{
    const int64_t n = trp_gauge_get(&of->stats->queued);
    return n > 0 ? (uint64_t)n : 0;
}
static uint64_t read_in_flight(const struct subject *of)
{
    return trp_stats_calls(of->stats);
}
static uint64_t read_instances(const struct subject *of)
{
    return of->instances;
}

/* Per model and version.  The nv_ names are those that Triton's dashboards look for, with its
 * units (microseconds). */
static const struct family {
    const char *name, *type, *help;
    read_fn read;
    uint64_t divisor;
    bool is_of_models; /* names that stand for them have no such thing */
} families[] = {
    { "nv_inference_request_success", "counter", "Requests answered.", read_success, 1, false },
    { "nv_inference_request_failure", "counter", "Requests that failed.", read_fail, 1, false },
    { "nv_inference_count", "counter", "Rows answered.", read_inferences, 1, false },
    { "nv_inference_exec_count", "counter", "Backend runs.", read_executions, 1, false },
    { "nv_inference_pending_request_count", "gauge", "Calls waiting for a run.", read_queued, 1,
      true },
    { "nv_inference_request_duration_us", "counter", "Time of answered requests.", read_request_ns,
      1000, false },
    { "nv_inference_queue_duration_us", "counter", "Time spent waiting.", read_queue_ns, 1000,
      false },
    { "nv_inference_compute_input_duration_us", "counter", "Time preparing inputs.", read_input_ns,
      1000, false },
    { "nv_inference_compute_infer_duration_us", "counter", "Time in the backend.", read_infer_ns,
      1000, false },
    { "nv_inference_compute_output_duration_us", "counter", "Time taking outputs.", read_output_ns,
      1000, false },
    { "troupe_model_in_flight", "gauge", "Calls that wait or run.", read_in_flight, 1, true },
    { "troupe_model_received_bytes_total", "counter", "Input tensor bytes.", read_bytes_in, 1,
      true },
    { "troupe_model_sent_bytes_total", "counter", "Output tensor bytes.", read_bytes_out, 1, true },
    { "troupe_model_weights_bytes", "gauge", "Private weights held.", read_weights, 1, true },
    { "troupe_model_activation_bytes", "gauge", "Activations and outputs held.", read_activations,
      1, true },
    { "troupe_model_instances", "gauge", "Runs that may go on at once; 0: no limit.",
      read_instances, 1, true },
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

static struct subject subject_of(const struct trp_version *v)
{
    const bool is_serving = trp_lifecycle_is_serving(&v->life);
    return (struct subject){ .stats = trp_version_counts(v),
                             .weights = &v->weights.bytes,
                             .activations = &v->activations.bytes,
                             .name = v->target.name,
                             .version = v->target.version,
                             .instances = is_serving ? trp_exec_instances(v) : 0,
                             .model = is_serving ? v->model : NULL,
                             .is_serving = is_serving };
}

static struct subject subject_of_name(const struct trp_told_name *n)
{
    return (struct subject){ .stats = n->stats,
                             .name = n->item.target->name,
                             .kind = n->item.kind,
                             .version = n->item.target->version,
                             .is_serving = true };
}

static struct subject subject_of_others(const struct trp_other_models *o)
{
    return (struct subject){ .stats = &o->stats,
                             .weights = &o->weights,
                             .activations = &o->activations,
                             .name = TRP_STR_LIT(TRP_OTHER_MODELS_NAME),
                             .is_serving = true };
}

/* Writes `model="a",version="1"`; the sum is of no version.  What stands for models has its kind
 * as well, so that sums over all models can leave it out. */
static void write_labels(struct trp_buf *b, const struct subject *of)
{
    trp_metrics_write_label(b, "model", of->name);
    trp_buf_add_text(b, ",version=\"");
    if (of->version)
        trp_buf_add_i64(b, of->version);
    trp_buf_add_char(b, '"');
    if (of->kind)
        trp_buf_addf(b, ",kind=\"%s\"", of->kind);
}

static void write_family(struct trp_buf *b, const struct subject *of, uint32_t row)
{
    const struct family *f = &families[row];
    /* A sum of instances would say nothing. */
    if (!of->is_serving || (f->read == read_instances && of->version == 0) ||
        (f->is_of_models && of->kind))
        return;
    trp_buf_add_text(b, f->name);
    trp_buf_add_char(b, '{');
    write_labels(b, of);
    trp_buf_add_text(b, "} ");
    trp_buf_add_u64(b, f->read(of) / f->divisor);
    trp_buf_add_char(b, '\n');
}

static void write_errors(struct trp_buf *b, const struct subject *of)
{
    for (int32_t code = 0; code < TRP_CODES; code++) {
        const uint64_t n = trp_counter_get(&of->stats->errors[code]);
        if (n == 0)
            continue;
        trp_buf_add_text(b, "troupe_request_errors_total{");
        write_labels(b, of);
        trp_buf_addf(b, ",reason=\"%s\"} %llu\n", trp_code_name(code), (unsigned long long)n);
    }
}

/* Of models that are on devices; warm-up runs count. */
static void write_device_runs(struct trp_buf *b, const struct subject *of)
{
    char text[TRP_DEVICE_TEXT_MAX];
    const struct trp_device_use *uses = NULL;
    const uint32_t n = of->model ? trp_backend_device_uses(of->model, &uses) : 0;
    for (uint32_t i = 0; i < n; i++) {
        trp_device_format(uses[i].id, text);
        trp_buf_add_text(b, "troupe_device_runs_total{");
        write_labels(b, of);
        trp_buf_addf(b, ",device=\"%s\"} %llu\n", text,
                     (unsigned long long)trp_counter_get(&uses[i].runs));
    }
}

static const struct trp_histogram *duration_of(const struct trp_stats *stats, uint32_t row)
{
    const void *at = (const char *)stats + durations[row].offset;
    return at;
}

static void write_duration(struct trp_buf *b, const struct subject *of, uint32_t row)
{
    struct trp_buf labels;
    const struct trp_histogram *h = duration_of(of->stats, row);
    if (!of->is_serving || trp_histogram_count(h) == 0)
        return; /* a thousand models that nobody has asked would be 100,000 lines of zeros */
    trp_buf_init(&labels, b->alloc, 4096);
    write_labels(&labels, of);
    const char *text = trp_buf_text(&labels);
    if (text)
        trp_metrics_write_histogram(b, durations[row].name, text, h);
    else
        b->failed = labels.failed;
    trp_buf_deinit(&labels);
}

static uint64_t runs_counted(const struct trp_stats *s)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < TRP_STATS_ROWS_BUCKETS; i++)
        n += trp_counter_get(&s->run_rows[i]);
    return n;
}

/* How large runs are: a histogram whose bounds are rows. */
static void write_run_rows(struct trp_buf *b, const struct subject *of)
{
    uint64_t below = 0;
    if (!of->is_serving || of->kind || runs_counted(of->stats) == 0)
        return; /* as above; what stands for models runs nothing */
    for (uint32_t i = 0; i < TRP_STATS_ROWS_BUCKETS; i++) {
        below += trp_counter_get(&of->stats->run_rows[i]);
        trp_buf_add_text(b, "troupe_run_rows_bucket{");
        write_labels(b, of);
        if (i + 1 < TRP_STATS_ROWS_BUCKETS)
            trp_buf_addf(b, ",le=\"%u\"} %llu\n", 1u << i, (unsigned long long)below);
        else
            trp_buf_addf(b, ",le=\"+Inf\"} %llu\n", (unsigned long long)below);
    }
    trp_buf_add_text(b, "troupe_run_rows_sum{");
    write_labels(b, of);
    trp_buf_addf(b, "} %llu\ntroupe_run_rows_count{",
                 (unsigned long long)trp_counter_get(&of->stats->run_rows_sum));
    write_labels(b, of);
    trp_buf_addf(b, "} %llu\n", (unsigned long long)below);
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

static void write_value(struct trp_buf *b, const char *name, uint64_t value)
{
    trp_buf_addf(b, "%s %llu\n", name, (unsigned long long)value);
}

static void write_commons(struct trp_buf *b, const struct trp_admin *a)
{
    if (!a->opts.commons)
        return;
    const struct trp_commons_use use = trp_commons_look(a->opts.commons);
    trp_metrics_write_head(b, "troupe_commons_bytes", "gauge",
                           "Addresses taken of those that worker processes read requests from.");
    write_value(b, "troupe_commons_bytes", use.bytes);
    trp_metrics_write_head(b, "troupe_commons_limit_bytes", "gauge",
                           "How many there are (limits.commons_bytes).");
    write_value(b, "troupe_commons_limit_bytes", use.limit_bytes);
    trp_metrics_write_head(
        b, "troupe_commons_refused_total", "counter",
        "Bodies and joined inputs that found no room there, and are copied for worker processes.");
    write_value(b, "troupe_commons_refused_total", use.refused);
}

/* What of them is taken only their drivers know, and a driver is not asked because somebody
 * reads this page. */
static void write_devices(struct trp_buf *b, const struct trp_admin *a)
{
    struct trp_told_device told[DEVICES_MAX];
    char name[TRP_DEVICE_TEXT_MAX];
    if (!a->opts.backends)
        return;
    trp_metrics_write_head(
        b, "troupe_device_memory_bytes", "gauge",
        "Memory of each device, by backend and device, once a model has asked for one.");
    const uint32_t n = trp_backends_told_devices(a->opts.backends, told, DEVICES_MAX);
    for (uint32_t i = 0; i < n; i++) {
        trp_device_format(told[i].id, name);
        if (told[i].memory_bytes > 0)
            trp_buf_addf(b, "troupe_device_memory_bytes{backend=\"%s\",device=\"%s\"} %llu\n",
                         told[i].backend, name, (unsigned long long)told[i].memory_bytes);
    }
}

/* One row for each resource. */
static void write_amounts(struct trp_buf *b, const char *name, const char *part,
                          struct trp_amounts amounts)
{
    for (int r = 0; r < TRP_RESOURCES; r++)
        trp_buf_addf(b, "%s{resource=\"%s\"%s%s%s} %llu\n", name,
                     trp_resource_name((enum trp_resource)r), part ? ",part=\"" : "",
                     part ? part : "", part ? "\"" : "", (unsigned long long)amounts.of[r]);
}

static void write_budget(struct trp_buf *b, const struct trp_admin *a)
{
    struct trp_budget budget;
    if (!a->opts.ledger)
        return;
    trp_ledger_look(a->opts.ledger, &budget);
    trp_metrics_write_head(b, "troupe_budget_limit", "gauge",
                           "What may be taken of each resource; 0: no limit.");
    write_amounts(b, "troupe_budget_limit", NULL, budget.limit);
    trp_metrics_write_head(
        b, "troupe_budget_used", "gauge",
        "What is taken, by part: fixed, committed, reserved; see docs/memory.md.");
    write_amounts(b, "troupe_budget_used", "fixed", budget.fixed);
    write_amounts(b, "troupe_budget_used", "committed", budget.committed);
    write_amounts(b, "troupe_budget_used", "reserved", budget.reserved);
    trp_metrics_write_head(b, "troupe_budget_short_total", "counter",
                           "Reservations that found too little of a resource.");
    for (int r = 0; r < TRP_RESOURCES; r++)
        trp_buf_addf(b, "troupe_budget_short_total{resource=\"%s\"} %llu\n",
                     trp_resource_name((enum trp_resource)r),
                     (unsigned long long)budget.refused[r]);
}

static void write_usage(struct trp_buf *b, const struct trp_admin *a)
{
    const struct trp_usage *u = a->opts.usage;
    if (!u || !a->opts.headrooms)
        return;
    const struct trp_headrooms_seen runs = trp_headrooms_look(a->opts.headrooms);
    trp_metrics_write_head(
        b, "troupe_process_proportional_bytes", "gauge",
        "Memory of the process, pages that are shared counted in parts; as compared last.");
    write_value(b, "troupe_process_proportional_bytes", trp_counter_get(&u->process_bytes));
    trp_metrics_write_head(b, "troupe_process_accounted_bytes", "gauge",
                           "What all accounts held at that time.");
    write_value(b, "troupe_process_accounted_bytes", trp_counter_get(&u->accounted_bytes));
    trp_metrics_write_head(
        b, "troupe_process_unaccounted_bytes", "gauge",
        "What the process had beyond its accounts: the least of the last three times.");
    write_value(b, "troupe_process_unaccounted_bytes", trp_counter_get(&u->unaccounted_bytes));
    trp_metrics_write_head(b, "troupe_runs_held_bytes", "gauge",
                           "What models hold in the budget for their runs.");
    write_value(b, "troupe_runs_held_bytes", runs.held_bytes);
    trp_metrics_write_head(b, "troupe_runs_expected_bytes", "gauge",
                           "What runs under way are expected to hold at most.");
    write_value(b, "troupe_runs_expected_bytes", runs.running_bytes);
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

/* -- page by page -- */

/* A page that is being written: the versions without rows are summed, then row after row, each
 * for all that have some. */
struct scrape {
    struct trp_mail mail;
    struct trp_admin *admin;
    struct trp_control *control;
    struct trp_buf text;
    struct trp_told_version *versions; /* held; the first `own_n` have rows of their own */
    uint32_t versions_n, own_n, capacity;
    struct trp_told_names names; /* held */
    uint32_t summed_n;           /* of `versions`: told so far */
    uint32_t row, next;          /* what is written next: this row of this version */
    uint64_t bytes;              /* the page will have, about */
    int64_t now_ns;
};

enum {
    ERRORS_ROW = ARRAY_LEN(families),
    DEVICES_ROW,
    FIRST_DURATION,
    RUN_ROWS_ROW = FIRST_DURATION + ARRAY_LEN(durations),
    ROWS
};

static void free_scrape(struct scrape *s)
{
    for (uint32_t i = 0; i < s->versions_n; i++)
        trp_version_unref(s->versions[i].version);
    trp_alloc_free(s->admin->alloc, s->versions);
    trp_told_names_drop(&s->names);
    trp_buf_deinit(&s->text);
    trp_alloc_free(s->admin->alloc, s);
}

static bool has_rows(const struct trp_version *v)
{
    return trp_lifecycle_is_serving(&v->life) ||
           trp_counter_get(&trp_version_counts(v)->fail.count) > 0;
}

static void count_versions(void *user, const struct trp_entry *e)
{
    struct scrape *s = user;
    for (uint32_t i = 0; i < e->versions_n; i++)
        s->capacity += has_rows(e->versions[i]);
}

static void hold_versions(void *user, const struct trp_entry *e)
{
    struct scrape *s = user;
    for (uint32_t i = 0; i < e->versions_n && s->versions_n < s->capacity; i++) {
        struct trp_version *v = e->versions[i];
        if (!has_rows(v))
            continue;
        trp_version_ref(v);
        trp_other_models_note(&s->versions[s->versions_n++], v, s->now_ns);
    }
}

static uint64_t bytes_for(const struct trp_stats *stats, struct trp_str name)
{
    uint64_t lines = ARRAY_LEN(families);
    for (uint32_t row = 0; row < ARRAY_LEN(durations); row++)
        lines += trp_histogram_count(duration_of(stats, row)) ? TRP_HISTOGRAM_BUCKETS + 2 : 0;
    lines += runs_counted(stats) ? TRP_STATS_ROWS_BUCKETS + 2 : 0;
    return lines * (LINE_BYTES + name.len);
}

static void choose(struct scrape *s)
{
    const struct trp_admin *a = s->admin;
    s->own_n =
        trp_asked_most(s->versions, s->versions_n, sizeof *s->versions, a->opts.metrics_models_max);
    for (uint32_t i = 0; i < s->own_n; i++) {
        const struct trp_version *v = s->versions[i].version;
        s->bytes += bytes_for(trp_version_counts(v), v->target.name);
    }
    for (uint32_t i = 0; i < s->names.n; i++)
        s->bytes += bytes_for(s->names.all[i].stats, s->names.all[i].item.target->name);
}

static void write_head(struct scrape *s)
{
    struct trp_buf *b = &s->text;
    if (s->row < ERRORS_ROW)
        trp_metrics_write_head(b, families[s->row].name, families[s->row].type,
                               families[s->row].help);
    else if (s->row == ERRORS_ROW)
        trp_metrics_write_head(&s->text, "troupe_request_errors_total", "counter",
                               "Requests that failed, by reason.");
    else if (s->row == DEVICES_ROW)
        trp_metrics_write_head(&s->text, "troupe_device_runs_total", "counter",
                               "Backend runs of models that are on devices, by device.");
    else if (s->row == RUN_ROWS_ROW)
        trp_metrics_write_head(&s->text, "troupe_run_rows", "histogram", "Rows of backend runs.");
    else
        trp_metrics_write_head(b, durations[s->row - FIRST_DURATION].name, "histogram",
                               durations[s->row - FIRST_DURATION].help);
}

static void write_row(struct scrape *s, const struct subject *of)
{
    if (s->row < ERRORS_ROW)
        write_family(&s->text, of, s->row);
    else if (s->row == ERRORS_ROW)
        write_errors(&s->text, of);
    else if (s->row == DEVICES_ROW)
        write_device_runs(&s->text, of);
    else if (s->row == RUN_ROWS_ROW)
        write_run_rows(&s->text, of);
    else
        write_duration(&s->text, of, s->row - FIRST_DURATION);
}

/* One row has a line for each that has its own, first of models, and one for the sum of the
 * others. */
static uint32_t lines_of_row(const struct scrape *s)
{
    return s->own_n + s->names.n + (trp_flag_is_up(&s->admin->others.were_there) ? 1 : 0);
}

static void write_line(struct scrape *s, uint32_t line)
{
    const struct subject of = line < s->own_n ? subject_of(s->versions[line].version)
                              : line < s->own_n + s->names.n
                                  ? subject_of_name(&s->names.all[line - s->own_n])
                                  : subject_of_others(&s->admin->others);
    write_row(s, &of);
}

static bool sum_some(struct scrape *s, int64_t until_ns)
{
    struct trp_other_models *others = &s->admin->others;
    while (s->summed_n < s->versions_n) {
        const uint32_t i = s->summed_n++;
        trp_other_models_tell(others, s->versions[i].version, i < s->own_n);
        if (trp_clock_now_ns(s->admin->opts.clock) >= until_ns && s->summed_n < s->versions_n)
            return false;
    }
    return true;
}

/* Returns whether the page is complete; it is not when the turn's time is over. */
static bool write_some(struct scrape *s)
{
    const struct trp_clock *clock = s->admin->opts.clock;
    const int64_t until_ns = trp_clock_now_ns(clock) + TURN_NS;
    if (!sum_some(s, until_ns))
        return false;
    const uint32_t lines = lines_of_row(s);
    for (; s->row < ROWS; s->row++, s->next = 0) {
        if (s->next == 0)
            write_head(s);
        while (s->next < lines) {
            write_line(s, s->next++);
            if (trp_clock_now_ns(clock) >= until_ns && s->next < lines)
                return false;
        }
    }
    return true;
}

static void finish(struct scrape *s)
{
    struct trp_control *c = s->control;
    c->error.status = trp_buf_check(&s->text, "metrics", &c->error);
    c->page = &s->text;
    c->raw_type = "text/plain; version=0.0.4; charset=utf-8";
    c->done(c, c->done_user);
    free_scrape(s);
}

static void step(struct trp_mail *mail)
{
    struct scrape *s = TRP_CONTAINER_OF(mail, struct scrape, mail);
    if (write_some(s))
        finish(s);
    else
        trp_loop_post(s->control->loop, &s->mail); /* the next turn, after everybody else */
}

static void write_summed(struct trp_buf *b, const struct scrape *s)
{
    trp_metrics_write_head(b, "troupe_metrics_versions_summed", "gauge",
                           "Model versions that are in the sum `(others)` now.");
    trp_buf_addf(b, "troupe_metrics_versions_summed %u\n", s->versions_n - s->own_n);
    trp_metrics_write_head(
        b, "troupe_metrics_names_left_out", "gauge",
        "Routes and compositions without `nv_` and other such rows now: others are asked more.");
    trp_buf_addf(b, "troupe_metrics_names_left_out %u\n", s->names.left_out);
}

static bool begin(struct scrape *s, const struct trp_snapshot *snapshot)
{
    struct trp_admin *a = s->admin;
    struct trp_buf *b = &s->text;
    trp_snapshot_each(snapshot, count_versions, s);
    s->versions = trp_alloc_zeroed(a->alloc, s->capacity + 1u, sizeof *s->versions);
    if (!s->versions || trp_failed(trp_told_names_hold(
                            &s->names, a->alloc, trp_admin_directory(a, s->control->loop_index),
                            a->opts.metrics_models_max, NULL)))
        return false;
    s->now_ns = trp_clock_now_ns(a->opts.clock);
    trp_snapshot_each(snapshot, hold_versions, s);
    choose(s);
    trp_other_models_gauge(&a->others, s->versions + s->own_n, s->versions_n - s->own_n);
    (void)trp_buf_room(b, s->bytes < PAGE_BYTES_MAX ? (size_t)s->bytes : PAGE_BYTES_MAX);
    trp_metrics_write(a->opts.metrics, b);
    write_states(b, snapshot);
    write_summed(b, s);
    trp_route_metrics_write(trp_admin_directory(a, s->control->loop_index), s->now_ns, b);
    trp_learner_metrics_write(trp_admin_directory(a, s->control->loop_index), b);
    trp_cascade_metrics_write(trp_admin_directory(a, s->control->loop_index), b);
    trp_ensemble_metrics_write(trp_admin_directory(a, s->control->loop_index), b);
    write_accounts(b, a);
    write_commons(b, a);
    write_devices(b, a);
    write_budget(b, a);
    write_usage(b, a);
    write_trace(b, a);
    write_process(b, a);
    return true;
}

void trp_scrape_begin(struct trp_admin *a, struct trp_control *c)
{
    struct scrape *s = trp_alloc_zeroed(a->alloc, 1, sizeof *s);
    if (s) {
        *s = (struct scrape){ .mail = { .deliver = step }, .admin = a, .control = c };
        trp_buf_init(&s->text, c->arena->alloc, PAGE_BYTES_MAX);
    }
    if (s && begin(s, trp_admin_snapshot(a, c))) {
        trp_loop_post(c->loop, &s->mail);
        return;
    }
    if (s)
        free_scrape(s);
    c->error.status = trp_fail(&c->error, TRP_OUT_OF_MEMORY, "no memory for the metrics page");
    trp_control_finish_soon(c);
}
