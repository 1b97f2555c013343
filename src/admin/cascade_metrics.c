/* admin/cascade_metrics.c - how often the steps of cascades were needed, as Prometheus text.
 *
 * As with routes: cascades whose steps would make more than SERIES_MAX series together are left
 * out, later ones first, and a metric of its own says how many these are. */
#include "admin/admin_internal.h"
#include "call/target.h"
#include "compose/composition.h"

#define SERIES_MAX 20000u

static uint32_t count_steps(const struct trp_target *target)
{
    struct trp_composition_step step;
    uint32_t cursor = 0, n = 0;
    while (target && trp_composition_next_step(target, &cursor, &step))
        n++;
    return n;
}

static void write_cascade(const struct trp_directory_item *item, struct trp_buf *b)
{
    struct trp_composition_step step;
    uint32_t cursor = 0;
    while (trp_composition_next_step(item->target, &cursor, &step)) {
        trp_buf_add_text(b, "troupe_cascade_rows_total{");
        trp_metrics_write_label(b, "cascade", item->name);
        trp_buf_add_char(b, ',');
        trp_metrics_write_label(b, "step", step.name);
        trp_buf_add_text(b, "} ");
        trp_buf_add_u64(b, step.asked);
        trp_buf_add_char(b, '\n');
    }
}

void trp_cascade_metrics_write(const struct trp_directory *d, struct trp_buf *b)
{
    uint32_t series = 0, left_out = 0;
    for (uint32_t k = 0; k < trp_directory_count(d); k++) {
        const struct trp_directory_item *item = trp_directory_at(d, k);
        const uint32_t n = count_steps(item->target);
        if (n == 0)
            continue;
        if (series == 0)
            trp_metrics_write_head(b, "troupe_cascade_rows_total", "counter",
                                   "Rows that a step of a cascade was asked about, by cascade "
                                   "and step; it answered "
                                   "those that the next step was not asked about.");
        series += n;
        if (series <= SERIES_MAX)
            write_cascade(item, b);
        else
            left_out++;
    }
    if (series == 0)
        return;
    trp_metrics_write_head(b, "troupe_cascade_metrics_left_out", "gauge",
                           "Cascades without series of their own here: there are too many steps.");
    trp_buf_addf(b, "troupe_cascade_metrics_left_out %u\n", left_out);
}
