/* tune/sim_plot.c - see sim_plot.h. */
#include "tune/sim_plot.h"

#include <math.h>
#include <stdio.h>

#define BUCKETS 120u
#define WIDTH 960
#define LEFT 80
#define RIGHT 20
#define PLOT_WIDTH (WIDTH - LEFT - RIGHT)

struct panel { /* a part of the picture */
    int top, height;
    double low, high; /* of its values; their logarithms when is_log */
    bool is_log;
};

struct picture {
    struct trp_buf *b;
    int64_t from_ns, length_ns; /* of the time that is shown: from the first arrival to the last */
    double p50[TRP_SCHED_CLASSES][BUCKETS], p99[TRP_SCHED_CLASSES][BUCKETS]; /* ns; NAN: nothing */
    double queued[BUCKETS], busy[BUCKETS];
};

static const char *const colours[TRP_SCHED_CLASSES] = { "#1f77b4", "#2ca02c", "#d62728" };
static const char *const names[TRP_SCHED_CLASSES] = { "interactive", "normal", "batch" };

/* ---- what is shown ---- */

static uint32_t bucket_of(const struct picture *p, int64_t at_ns)
{
    const double share = (double)(at_ns - p->from_ns) / (double)p->length_ns;
    const double at = share * BUCKETS;
    return at < 0 ? 0 : at < BUCKETS - 1 ? (uint32_t)at : BUCKETS - 1;
}

/* Adds the time from one moment to another to the buckets that it lies in. */
static void add_time(const struct picture *p, double *buckets, int64_t from_ns, int64_t to_ns)
{
    const double width = (double)p->length_ns / BUCKETS;
    const double from = (double)(from_ns - p->from_ns) / width;
    const double to = fmin((double)(to_ns - p->from_ns) / width, BUCKETS);
    for (uint32_t i = bucket_of(p, from_ns); i < BUCKETS && i < to; i++) {
        const double inside = fmin(to, i + 1) - fmax(from, i);
        if (inside > 0)
            buckets[i] += inside;
    }
}

static void add_waits_and_runs(struct picture *p, const struct trp_sim_question *q,
                               const struct trp_sim_result *results)
{
    for (uint32_t i = 0; i < q->workload->arrivals_n; i++) {
        const struct trp_sim_result *r = &results[i];
        add_time(p, p->queued, r->queued_ns, r->start_ns > 0 ? r->start_ns : r->answered_ns);
        if (r->leads && !r->is_inline)
            add_time(p, p->busy, r->start_ns, r->run_end_ns);
    }
    for (uint32_t i = 0; i < BUCKETS; i++)
        p->busy[i] = 100 * p->busy[i] / q->opts->executors_n;
}

static uint32_t group_of(const struct picture *p, const struct trp_arrival *a)
{
    return trp_sched_way_of(a->class) * BUCKETS + bucket_of(p, a->at_ns);
}

static void add_latencies(struct picture *p, const struct trp_sim_question *q,
                          const struct trp_sim_result *results, int64_t *latencies)
{
    const struct trp_arrival *arrivals = q->workload->arrivals;
    uint32_t counts[TRP_SCHED_CLASSES * BUCKETS] = { 0 }, ends[TRP_SCHED_CLASSES * BUCKETS], at = 0;
    for (uint32_t i = 0; i < q->workload->arrivals_n; i++)
        counts[group_of(p, &arrivals[i])] += results[i].end == TRP_SIM_ANSWERED;
    for (uint32_t g = 0; g < ARRAY_LEN(counts); g++) {
        ends[g] = at;
        at += counts[g];
    }
    for (uint32_t i = 0; i < q->workload->arrivals_n; i++)
        if (results[i].end == TRP_SIM_ANSWERED)
            latencies[ends[group_of(p, &arrivals[i])]++] =
                trp_sim_latency_ns(&arrivals[i], &results[i]);
    for (uint32_t g = 0; g < ARRAY_LEN(counts); g++) {
        int64_t *const first = latencies + ends[g] - counts[g];
        trp_sim_sort(first, counts[g]);
        const bool is_there = counts[g] > 0;
        p->p50[g / BUCKETS][g % BUCKETS] =
            is_there ? (double)trp_sim_quantile(first, counts[g], 0.5) : NAN;
        p->p99[g / BUCKETS][g % BUCKETS] =
            is_there ? (double)trp_sim_quantile(first, counts[g], 0.99) : NAN;
    }
}

/* ---- drawing ---- */

static double x_of(double bucket)
{
    return LEFT + bucket * PLOT_WIDTH / BUCKETS;
}

static double y_of(const struct panel *panel, double value)
{
    const double v = panel->is_log ? log10(value) : value;
    return panel->top + panel->height * (1 - (v - panel->low) / (panel->high - panel->low));
}

static void draw_text(struct trp_buf *b, double x, double y, const char *anchor, const char *text)
{
    trp_buf_addf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor,
                 text);
}

static void draw_line(struct trp_buf *b, double x1, double y1, double x2, double y2)
{
    trp_buf_addf(b, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", x1,
                 y1, x2, y2);
}

static void draw_tick(struct trp_buf *b, const struct panel *panel, double value, const char *text)
{
    const double y = y_of(panel, value);
    draw_line(b, LEFT, y, WIDTH - RIGHT, y);
    draw_text(b, LEFT - 6, y + 4, "end", text);
}

/* Buckets without a value break the line. */
static void draw_values(struct trp_buf *b, const struct panel *panel, const double *values,
                        const char *colour, bool is_dashed)
{
    bool is_open = false;
    for (uint32_t i = 0; i < BUCKETS; i++) {
        if (isnan(values[i])) {
            trp_buf_add_text(b, is_open ? "\"/>\n" : "");
            is_open = false;
            continue;
        }
        if (!is_open)
            trp_buf_addf(b, "<path fill=\"none\" stroke=\"%s\"%s d=\"", colour,
                         is_dashed ? " stroke-dasharray=\"4 3\"" : "");
        trp_buf_addf(b, "%c%.1f %.1f", is_open ? 'L' : 'M', x_of(i + 0.5), y_of(panel, values[i]));
        if (!is_open) /* a lone one is seen, too */
            trp_buf_addf(b, "h0.5");
        is_open = true;
    }
    trp_buf_add_text(b, is_open ? "\"/>\n" : "");
}

/* A step of 1, 2 or 5 times a power of ten, some four of them up to `most`. */
static double step_to(double most)
{
    const double power = pow(10, floor(log10(most / 4)));
    const double times = most / 4 / power;
    return power * (times < 1.5 ? 1 : times < 3.5 ? 2 : times < 7.5 ? 5 : 10);
}

static void draw_time(const struct picture *p, const struct panel *panel)
{
    const double seconds = (double)p->length_ns / 1e9, step = step_to(seconds);
    for (int i = 0; i * step <= seconds * 1.0001; i++) {
        const double at = i * step;
        char text[32];
        (void)snprintf(text, sizeof text, "%g s", at);
        const double x = x_of(at / seconds * BUCKETS);
        draw_line(p->b, x, panel->top, x, panel->top + panel->height);
        draw_text(p->b, x, panel->top + panel->height + 16, "middle", text);
    }
}

static void widen(const double *values, double *low, double *high)
{
    for (uint32_t i = 0; i < BUCKETS; i++) {
        if (isnan(values[i]))
            continue;
        *low = fmin(*low, fmax(values[i], 1));
        *high = fmax(*high, fmax(values[i], 1));
    }
}

static void draw_latencies(const struct picture *p)
{
    static const char *const units[] = { "ns", "us", "ms", "s" };
    struct panel panel = { .top = 60, .height = 260, .is_log = true };
    double low = 1e18, high = 1;
    for (uint32_t way = 0; way < TRP_SCHED_CLASSES; way++) {
        widen(p->p50[way], &low, &high);
        widen(p->p99[way], &low, &high);
    }
    panel.low = floor(log10(fmin(low, high)));
    panel.high = fmax(ceil(log10(high)), panel.low + 1);
    draw_text(p->b, LEFT, panel.top - 8, "start", "latency: p50, and p99 dashed");
    draw_time(p, &panel);
    for (int decade = (int)panel.low; decade <= (int)panel.high; decade++) {
        const int unit = decade / 3 < 3 ? decade / 3 : 3;
        char text[32];
        (void)snprintf(text, sizeof text, "%g %s", pow(10, decade - 3 * unit), units[unit]);
        draw_tick(p->b, &panel, pow(10, decade), text);
    }
    for (uint32_t way = 0; way < TRP_SCHED_CLASSES; way++) {
        draw_values(p->b, &panel, p->p50[way], colours[way], false);
        draw_values(p->b, &panel, p->p99[way], colours[way], true);
        trp_buf_addf(p->b, "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" fill=\"%s\"/>\n",
                     WIDTH - RIGHT - 300 + 100 * (int)way, panel.top - 18, colours[way]);
        draw_text(p->b, WIDTH - RIGHT - 282 + 100 * (int)way, panel.top - 8, "start", names[way]);
    }
}

static void draw_level(const struct picture *p, int top, const char *title, const double *values,
                       double most)
{
    struct panel panel = { .top = top, .height = 120 };
    for (uint32_t i = 0; i < BUCKETS; i++)
        most = fmax(most, values[i]);
    const double step = step_to(most);
    panel.high = step * ceil(most / step);
    draw_text(p->b, LEFT, top - 8, "start", title);
    draw_time(p, &panel);
    for (int i = 0; i * step <= panel.high * 1.0001; i++) {
        const double at = i * step;
        char text[32];
        (void)snprintf(text, sizeof text, "%g", at);
        draw_tick(p->b, &panel, at, text);
    }
    draw_values(p->b, &panel, values, "#555", false);
}

static void draw(const struct picture *p, uint32_t arrivals_n)
{
    char title[96];
    (void)snprintf(title, sizeof title, "%u arrivals in %.1f s, simulated", arrivals_n,
                   (double)p->length_ns / 1e9);
    trp_buf_addf(p->b,
                 "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"720\" "
                 "viewBox=\"0 0 %d 720\" font-family=\"sans-serif\" font-size=\"12\">\n"
                 "<rect width=\"%d\" height=\"720\" fill=\"white\"/>\n",
                 WIDTH, WIDTH, WIDTH);
    draw_text(p->b, LEFT, 24, "start", title);
    draw_latencies(p);
    draw_level(p, 380, "requests that wait", p->queued, 1);
    draw_level(p, 560, "executors busy, percent", p->busy, 100);
    trp_buf_add_text(p->b, "</svg>\n");
}

trp_status trp_sim_plot_write(const struct trp_alloc *alloc,
                              const struct trp_sim_question *question,
                              const struct trp_sim_result *results, struct trp_buf *b,
                              struct trp_error *err)
{
    const struct trp_workload *w = question->workload;
    struct picture *p = trp_alloc_zeroed(alloc, 1, sizeof *p);
    int64_t *latencies = trp_alloc_get(alloc, w->arrivals_n + 1, sizeof *latencies);
    if (p && latencies) {
        p->b = b;
        p->from_ns = w->arrivals_n > 0 ? w->arrivals[0].at_ns : 0;
        p->length_ns =
            1 + (w->arrivals_n > 0 ? w->arrivals[w->arrivals_n - 1].at_ns - p->from_ns : TRP_S(1));
        add_waits_and_runs(p, question, results);
        add_latencies(p, question, results, latencies);
        draw(p, w->arrivals_n);
    }
    const bool is_drawn = p && latencies;
    trp_alloc_free(alloc, latencies);
    trp_alloc_free(alloc, p);
    return is_drawn ? trp_buf_check(b, "picture", err)
                    : trp_fail(err, TRP_OUT_OF_MEMORY, "a picture of %u arrivals", w->arrivals_n);
}
