/* admin/series.c - see series.h. */
#include "admin/series.h"

#include "obs/metrics.h"

static void write_head(const struct trp_series_metric *metric, struct trp_buf *b)
{
    trp_metrics_write_head(b, metric->name, metric->type, metric->help);
}

void trp_series_write(struct trp_series *s, const struct trp_series_metric *metric,
                      struct trp_buf *b, trp_series_fn write, const void *user)
{
    uint32_t series = 0;
    s->names_n = s->left_out = 0;
    for (uint32_t i = 0; i < trp_directory_count(s->directory); i++) {
        const struct trp_directory_item *item = trp_directory_at(s->directory, i);
        const uint32_t n = item->target ? s->count(item->target) : 0;
        if (n == 0)
            continue;
        if (s->names_n++ == 0)
            write_head(metric, b);
        series += n;
        if (series <= TRP_SERIES_MAX)
            write(b, item, user);
        else
            s->left_out++;
    }
}

void trp_series_write_left_out(const struct trp_series *s, const struct trp_series_metric *metric,
                               struct trp_buf *b)
{
    write_head(metric, b);
    trp_buf_addf(b, "%s %u\n", metric->name, s->left_out);
}

void trp_series_begin(struct trp_buf *b, const char *metric, const char *key, struct trp_str name,
                      const char *part_key, struct trp_str part)
{
    trp_buf_add_text(b, metric);
    trp_buf_add_char(b, '{');
    trp_metrics_write_label(b, key, name);
    if (part_key) {
        trp_buf_add_char(b, ',');
        trp_metrics_write_label(b, part_key, part);
    }
    trp_buf_add_text(b, "} ");
}
