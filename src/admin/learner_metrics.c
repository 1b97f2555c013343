/* admin/learner_metrics.c - whom ensembles that learn listen to, as Prometheus text.
 *
 * As with routes: ensembles whose members would make more than SERIES_MAX series together are
 * left out, later ones first. */
#include "admin/admin_internal.h"
#include "base/json.h"
#include "call/target.h"
#include "compose/composition.h"

#define SERIES_MAX 20000u

struct row {
    const char *name, *type, *help;
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
    { "troupe_ensemble_weight", "gauge",
      "What a member of an ensemble that learns weighs now, by ensemble and member.", true,
      read_weight },
    { "troupe_ensemble_outcomes_total", "counter",
      "Outcomes that an ensemble has learned from since it was written as it is.", false,
      read_outcomes },
};

static void write_learner(struct trp_buf *b, const struct row *row, struct trp_learner *l)
{
    const uint32_t n = row->is_of_member ? trp_learner_members(l) : 1;
    for (uint32_t i = 0; i < n; i++) {
        trp_buf_add_text(b, row->name);
        trp_buf_add_char(b, '{');
        trp_metrics_write_label(b, "ensemble", trp_learner_name(l));
        if (row->is_of_member) {
            trp_buf_add_char(b, ',');
            trp_metrics_write_label(b, "member", trp_learner_member(l, i));
        }
        trp_buf_add_text(b, "} ");
        trp_json_write_f64(b, row->read(l, i));
        trp_buf_add_char(b, '\n');
    }
}

void trp_learner_metrics_write(const struct trp_directory *d, struct trp_buf *b)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint32_t series = 0;
        bool has_head = false;
        for (uint32_t k = 0; k < trp_directory_count(d); k++) {
            struct trp_target *target = trp_directory_at(d, k)->target;
            struct trp_learner *l = target ? trp_composition_learner(target) : NULL;
            if (!l || (series += trp_learner_members(l)) > SERIES_MAX)
                continue;
            if (!has_head)
                trp_metrics_write_head(b, rows[i].name, rows[i].type, rows[i].help);
            has_head = true;
            write_learner(b, &rows[i], l);
        }
    }
}
