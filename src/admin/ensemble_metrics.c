/* admin/ensemble_metrics.c - which ensembles answer without some of their members, and without
 * which, as Prometheus text.
 *
 * As with cascades: ensembles whose members would make more than SERIES_MAX series together are
 * left out, later ones first, and a metric of its own says how many these are. */
#include "admin/admin_internal.h"
#include "call/target.h"
#include "compose/composition.h"

#define SERIES_MAX 20000u

static uint32_t count_members(const struct trp_target *target)
{
    struct trp_composition_absence member;
    uint32_t cursor = 0, n = 0;
    while (target && trp_composition_next_absence(target, &cursor, &member))
        n++;
    return n;
}

static void write_partial(const struct trp_directory_item *item, struct trp_buf *b)
{
    trp_buf_add_text(b, "troupe_ensemble_partial_total{");
    trp_metrics_write_label(b, "ensemble", item->name);
    trp_buf_add_text(b, "} ");
    trp_buf_add_u64(b, trp_composition_partial(item->target));
    trp_buf_add_char(b, '\n');
}

static void write_members(const struct trp_directory_item *item, struct trp_buf *b)
{
    struct trp_composition_absence member;
    uint32_t cursor = 0;
    while (trp_composition_next_absence(item->target, &cursor, &member)) {
        trp_buf_add_text(b, "troupe_ensemble_missing_total{");
        trp_metrics_write_label(b, "ensemble", item->name);
        trp_buf_add_char(b, ',');
        trp_metrics_write_label(b, "member", member.name);
        trp_buf_add_text(b, "} ");
        trp_buf_add_u64(b, member.answers);
        trp_buf_add_char(b, '\n');
    }
}

/* Returns how many are left out; false in *out_any: there is none at all. */
static uint32_t write_each(const struct trp_directory *d, struct trp_buf *b, bool *out_any,
                           void (*write)(const struct trp_directory_item *item, struct trp_buf *b))
{
    uint32_t series = 0, left_out = 0;
    for (uint32_t k = 0; k < trp_directory_count(d); k++) {
        const struct trp_directory_item *item = trp_directory_at(d, k);
        const uint32_t n = count_members(item->target);
        series += n;
        if (n > 0 && series > SERIES_MAX)
            left_out++;
        else if (n > 0 && write)
            write(item, b);
    }
    *out_any = series > 0;
    return left_out;
}

void trp_ensemble_metrics_write(const struct trp_directory *d, struct trp_buf *b)
{
    bool any;
    const uint32_t left_out = write_each(d, b, &any, NULL);
    if (!any)
        return;
    trp_metrics_write_head(b, "troupe_ensemble_partial_total", "counter",
                           "Answers of an ensemble without some of its members.");
    (void)write_each(d, b, &any, write_partial);
    trp_metrics_write_head(b, "troupe_ensemble_missing_total", "counter",
                           "Answers of an ensemble without a member, by ensemble and member.");
    (void)write_each(d, b, &any, write_members);
    trp_metrics_write_head(b, "troupe_ensemble_metrics_left_out", "gauge",
                           "Ensembles without these series here: there are too many members.");
    trp_buf_addf(b, "troupe_ensemble_metrics_left_out %u\n", left_out);
}
