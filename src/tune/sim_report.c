/* tune/sim_report.c - see sim_report.h. */
#include "tune/sim_report.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/json.h"

#define ARENA_BLOCK_BYTES 65536

int64_t trp_sim_latency_ns(const struct trp_arrival *a, const struct trp_sim_result *r)
{
    return r->answered_ns - a->at_ns;
}

int64_t trp_sim_quantile(const int64_t *sorted, uint64_t n, double share)
{
    return n > 0 ? sorted[(uint64_t)(share * (double)(n - 1) + 0.5)] : 0;
}

static int by_size(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void trp_sim_sort(int64_t *numbers, uint64_t n)
{
    qsort(numbers, n, sizeof *numbers, by_size);
}

/* By what arrivals are told apart. */
enum by { BY_NOTHING, BY_CLASS, BY_MODEL, BY_TENANT };

static uint32_t group_of(const struct trp_arrival *a, enum by by)
{
    switch (by) {
    case BY_CLASS:
        return trp_sched_way_of(a->class);
    case BY_MODEL:
        return a->model;
    case BY_TENANT:
        return a->tenant;
    default:
        return 0;
    }
}

static void count(struct trp_sim_line *line, const struct trp_sim_result *r)
{
    line->arrived++;
    line->ends[r->end]++;
    if (r->end == TRP_SIM_ANSWERED)
        line->wait_ns += (double)(r->start_ns - r->queued_ns); /* the sum, for now */
    if (!r->leads)
        return;
    line->runs++;
    line->rows += r->run_rows;
    line->busy_ns += (double)(r->run_end_ns - r->start_ns);
}

static void set_latencies(struct trp_sim_line *line, int64_t *latencies)
{
    const uint64_t n = line->ends[TRP_SIM_ANSWERED];
    trp_sim_sort(latencies, n);
    line->p50_ns = trp_sim_quantile(latencies, n, 0.5);
    line->p90_ns = trp_sim_quantile(latencies, n, 0.9);
    line->p99_ns = trp_sim_quantile(latencies, n, 0.99);
    line->max_ns = trp_sim_quantile(latencies, n, 1);
    if (n > 0)
        line->wait_ns /= (double)n;
}

struct pass {
    const struct trp_workload *workload;
    const struct trp_sim_result *results;
    int64_t *latencies; /* room for all */
    uint64_t *ends;     /* of each group's part of them; room for all groups */
};

/* Fills the lines of one way to tell arrivals apart: counts, then puts latencies where their
 * group's are. */
static void fill(const struct pass *p, enum by by, struct trp_sim_line *lines, uint32_t lines_n)
{
    const struct trp_arrival *arrivals = p->workload->arrivals;
    const uint32_t n = p->workload->arrivals_n;
    uint64_t at = 0;
    for (uint32_t i = 0; i < n; i++)
        count(&lines[group_of(&arrivals[i], by)], &p->results[i]);
    for (uint32_t i = 0; i < lines_n; i++) {
        p->ends[i] = at;
        at += lines[i].ends[TRP_SIM_ANSWERED];
    }
    for (uint32_t i = 0; i < n; i++)
        if (p->results[i].end == TRP_SIM_ANSWERED)
            p->latencies[p->ends[group_of(&arrivals[i], by)]++] =
                trp_sim_latency_ns(&arrivals[i], &p->results[i]);
    for (uint32_t i = 0; i < lines_n; i++)
        set_latencies(&lines[i], p->latencies + p->ends[i] - lines[i].ends[TRP_SIM_ANSWERED]);
}

static struct trp_sim_line *make_lines(struct trp_sim_report *r,
                                       const struct trp_workload_names *names)
{
    struct trp_sim_line *lines = trp_arena_zeroed(&r->arena, names->n + 1, sizeof *lines);
    for (uint32_t i = 0; lines && i < names->n; i++)
        lines[i].name = names->names[i];
    return lines;
}

static void name_classes(struct trp_sim_report *r)
{
    static const enum trp_priority_class classes[] = { TRP_PRIORITY_INTERACTIVE,
                                                       TRP_PRIORITY_NORMAL, TRP_PRIORITY_BATCH };
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        r->classes[trp_sched_way_of(classes[i])].name =
            trp_str_of(trp_workload_class_name(classes[i]));
    r->all.name = TRP_STR_LIT("all");
}

static void set_totals(struct trp_sim_report *r, const struct trp_sim_question *q,
                       const struct trp_sim_totals *totals)
{
    const struct trp_workload *w = q->workload;
    r->length_ns = w->arrivals_n > 0 ? totals->end_ns - w->arrivals[0].at_ns : 0;
    r->queued_most = totals->queued_most;
    if (r->length_ns <= 0)
        return;
    r->executors_used = totals->executors_ns / ((double)r->length_ns * q->opts->executors_n);
    r->loops_used = totals->loops_ns / ((double)r->length_ns * q->opts->loops_n);
}

trp_status trp_sim_report_make(struct trp_sim_report *r, const struct trp_alloc *alloc,
                               const struct trp_sim_question *question,
                               const struct trp_sim_result *results,
                               const struct trp_sim_totals *totals, struct trp_error *err)
{
    const struct trp_workload *w = question->workload;
    const uint32_t groups = (w->models.n > w->tenants.n ? w->models.n : w->tenants.n) + 4;
    *r = (struct trp_sim_report){ .models_n = w->models.n, .tenants_n = w->tenants.n };
    trp_arena_init(&r->arena, alloc, ARENA_BLOCK_BYTES, 0);
    r->models = make_lines(r, &w->models);
    r->tenants = make_lines(r, &w->tenants);
    const struct pass p = { .workload = w,
                            .results = results,
                            .latencies =
                                trp_alloc_get(alloc, w->arrivals_n + 1, sizeof *p.latencies),
                            .ends = trp_arena_zeroed(&r->arena, groups, sizeof *p.ends) };
    const bool is_made = r->models && r->tenants && p.latencies && p.ends;
    if (is_made) {
        name_classes(r);
        fill(&p, BY_NOTHING, &r->all, 1);
        fill(&p, BY_CLASS, r->classes, TRP_SCHED_CLASSES);
        fill(&p, BY_MODEL, r->models, r->models_n);
        fill(&p, BY_TENANT, r->tenants, r->tenants_n);
        set_totals(r, question, totals);
    }
    trp_alloc_free(alloc, p.latencies);
    return is_made ? trp_ok()
                   : trp_fail(err, TRP_OUT_OF_MEMORY, "a report of %u arrivals", w->arrivals_n);
}

void trp_sim_report_deinit(struct trp_sim_report *r)
{
    if (r->arena.alloc)
        trp_arena_deinit(&r->arena);
}

static void write_line(struct trp_buf *b, const struct trp_sim_line *line)
{
    trp_buf_add_text(b, "{\"name\":");
    trp_json_write_str(b, line->name);
    trp_buf_addf(b,
                 ",\"arrived\":%" PRIu64 ",\"answered\":%" PRIu64 ",\"expired\":%" PRIu64
                 ",\"refused\":%" PRIu64 ",\"shed\":%" PRIu64,
                 line->arrived, line->ends[TRP_SIM_ANSWERED], line->ends[TRP_SIM_EXPIRED],
                 line->ends[TRP_SIM_REFUSED], line->ends[TRP_SIM_SHED]);
    trp_buf_addf(b,
                 ",\"p50_ns\":%" PRId64 ",\"p90_ns\":%" PRId64 ",\"p99_ns\":%" PRId64
                 ",\"max_ns\":%" PRId64 ",\"mean_wait_ns\":%.0f",
                 line->p50_ns, line->p90_ns, line->p99_ns, line->max_ns, line->wait_ns);
    trp_buf_addf(b, ",\"runs\":%" PRIu64 ",\"rows\":%" PRIu64 ",\"run_ns\":%.0f}", line->runs,
                 line->rows, line->busy_ns);
}

static void write_lines(struct trp_buf *b, const char *key, const struct trp_sim_line *lines,
                        uint32_t n)
{
    bool is_first = true;
    trp_buf_addf(b, ",\n \"%s\":[", key);
    for (uint32_t i = 0; i < n; i++) {
        if (lines[i].arrived == 0)
            continue;
        trp_buf_add_text(b, is_first ? "" : ",\n  ");
        write_line(b, &lines[i]);
        is_first = false;
    }
    trp_buf_add_char(b, ']');
}

void trp_sim_report_write(const struct trp_sim_report *r, struct trp_buf *b)
{
    trp_buf_addf(b,
                 "{\"seconds\":%.6f,\"executors_used\":%.4f,\"loops_used\":%.4f,"
                 "\"queued_most\":%" PRIu32,
                 (double)r->length_ns / 1e9, r->executors_used, r->loops_used, r->queued_most);
    trp_buf_add_text(b, ",\n \"all\":");
    write_line(b, &r->all);
    write_lines(b, "classes", r->classes, TRP_SCHED_CLASSES);
    write_lines(b, "models", r->models, r->models_n);
    write_lines(b, "tenants", r->tenants, r->tenants_n);
    trp_buf_add_text(b, "}\n");
}
