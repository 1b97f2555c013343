/* admin/cascade_metrics.c - how often the steps of cascades were needed, as Prometheus text. */
#include "admin/admin_internal.h"
#include "admin/series.h"
#include "call/target.h"
#include "compose/composition.h"

static const struct trp_series_metric rows = {
    "troupe_cascade_rows_total", "counter",
    "Rows that a step of a cascade was asked about, by cascade and step; it answered those that "
    "the next step was not asked about."
};
static const struct trp_series_metric left_out = {
    "troupe_cascade_metrics_left_out", "gauge",
    "Cascades without series of their own here: there are too many steps."
};

static uint32_t count_steps(struct trp_target *target)
{
    struct trp_composition_step step;
    uint32_t cursor = 0, n = 0;
    while (trp_composition_next_step(target, &cursor, &step))
        n++;
    return n;
}

static void write_steps(struct trp_buf *b, const struct trp_directory_item *item, const void *user)
{
    struct trp_composition_step step;
    uint32_t cursor = 0;
    (void)user;
    while (trp_composition_next_step(item->target, &cursor, &step)) {
        trp_series_begin(b, rows.name, "cascade", item->name, "step", step.name);
        trp_buf_add_u64(b, step.asked);
        trp_buf_add_char(b, '\n');
    }
}

void trp_cascade_metrics_write(const struct trp_directory *d, struct trp_buf *b)
{
    struct trp_series s = { .directory = d, .count = count_steps };
    trp_series_write(&s, &rows, b, write_steps, NULL);
    if (s.names_n > 0)
        trp_series_write_left_out(&s, &left_out, b);
}
