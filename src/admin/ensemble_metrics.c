/* admin/ensemble_metrics.c - which ensembles answer without some of their members, and without
 * which, as Prometheus text. */
#include "admin/admin_internal.h"
#include "admin/series.h"
#include "call/target.h"
#include "compose/composition.h"

static const struct trp_series_metric partial = {
    "troupe_ensemble_partial_total", "counter",
    "Answers of an ensemble without some of its members."
};
static const struct trp_series_metric missing = {
    "troupe_ensemble_missing_total", "counter",
    "Answers of an ensemble without a member, by ensemble and member."
};
static const struct trp_series_metric left_out = {
    "troupe_ensemble_metrics_left_out", "gauge",
    "Ensembles without these series here: there are too many members."
};

static uint32_t count_members(struct trp_target *target)
{
    struct trp_composition_absence member;
    uint32_t cursor = 0, n = 0;
    while (trp_composition_next_absence(target, &cursor, &member))
        n++;
    return n;
}

static void write_partial(struct trp_buf *b, const struct trp_directory_item *item,
                          const void *user)
{
    (void)user;
    trp_series_begin(b, partial.name, "ensemble", item->name, NULL, item->name);
    trp_buf_add_u64(b, trp_composition_partial(item->target));
    trp_buf_add_char(b, '\n');
}

static void write_members(struct trp_buf *b, const struct trp_directory_item *item,
                          const void *user)
{
    struct trp_composition_absence member;
    uint32_t cursor = 0;
    (void)user;
    while (trp_composition_next_absence(item->target, &cursor, &member)) {
        trp_series_begin(b, missing.name, "ensemble", item->name, "member", member.name);
        trp_buf_add_u64(b, member.answers);
        trp_buf_add_char(b, '\n');
    }
}

void trp_ensemble_metrics_write(const struct trp_directory *d, struct trp_buf *b)
{
    struct trp_series s = { .directory = d, .count = count_members };
    trp_series_write(&s, &partial, b, write_partial, NULL);
    trp_series_write(&s, &missing, b, write_members, NULL);
    if (s.names_n > 0)
        trp_series_write_left_out(&s, &left_out, b);
}
