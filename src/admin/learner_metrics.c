/* admin/learner_metrics.c - whom ensembles that learn listen to, as Prometheus text. */
#include "admin/admin_internal.h"
#include "admin/series.h"
#include "base/json.h"
#include "call/target.h"
#include "compose/composition.h"

struct row {
    struct trp_series_metric metric;
    bool is_of_member;
    double (*read)(struct trp_learner *l, uint32_t member);
};

static double read_weight(struct trp_learner *l, uint32_t member)
{
    return trp_learner_weight(l, member);
}

static double read_outcomes(struct trp_learner *l, uint32_t member)
{
    (void)member;
    return (double)trp_learner_outcomes(l);
}

static const struct row rows[] = {
    { { "troupe_ensemble_weight", "gauge",
        "What a member of an ensemble that learns weighs now, by ensemble and member." },
      true,
      read_weight },
    { { "troupe_ensemble_outcomes_total", "counter",
        "Outcomes that an ensemble has learned from since it was written as it is." },
      false,
      read_outcomes },
};

static uint32_t count_members(struct trp_target *target)
{
    struct trp_learner *l = trp_composition_learner(target);
    return l ? trp_learner_members(l) : 0;
}

static void write_learner(struct trp_buf *b, const struct trp_directory_item *item,
                          const void *user)
{
    const struct row *row = user;
    struct trp_learner *l = trp_composition_learner(item->target);
    const uint32_t n = row->is_of_member ? trp_learner_members(l) : 1;
    for (uint32_t i = 0; i < n; i++) {
        trp_series_begin(b, row->metric.name, "ensemble", trp_learner_name(l),
                         row->is_of_member ? "member" : NULL, trp_learner_member(l, i));
        trp_json_write_f64(b, row->read(l, i));
        trp_buf_add_char(b, '\n');
    }
}

void trp_learner_metrics_write(const struct trp_directory *d, struct trp_buf *b)
{
    struct trp_series s = { .directory = d, .count = count_members };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        trp_series_write(&s, &rows[i].metric, b, write_learner, &rows[i]);
}
