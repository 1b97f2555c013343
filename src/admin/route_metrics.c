/* admin/route_metrics.c - what routes have decided, as Prometheus text: by rule and by target.
 *
 * Routes whose rules would make more than SERIES_MAX series together are left out, those that come later in the file first: a scrape
 * has a size.  How many are is a metric of its own. */
#include "admin/admin_internal.h"
#include "call/target.h"
#include "route/route.h"
#include "route/route_canary.h"
#include "route/route_hedge.h"

#define SERIES_MAX 20000u /* rules and targets */

#define NOTHING UINT64_MAX /* this one has no such thing */

struct row {
    const char *name, *type, *help;
    bool is_of_target;
    size_t counter; /* where it stands in its rule or target; unless there is a function */
    uint64_t (*read)(const struct trp_route_rule *rule, const struct trp_route_goal *goal,
                     int64_t now_ns);
};

static uint64_t read_open(const struct trp_route_rule *rule, const struct trp_route_goal *goal,
                          int64_t now_ns)
{
    (void)rule;
    return trp_breaker_is_refusing(&goal->breaker, now_ns);
}

static uint64_t read_canary_step(const struct trp_route_rule *rule,
                                 const struct trp_route_goal *goal, int64_t now_ns)
{
    struct trp_route_canary_view view;
    (void)goal;
    (void)now_ns;
    if (!rule->canary)
        return NOTHING;
    trp_route_canary_get(rule->canary, &view);
    return view.phase == TRP_CANARY_ROLLED_BACK ? 0 : view.step;
}

static uint64_t read_canary_back(const struct trp_route_rule *rule,
                                 const struct trp_route_goal *goal, int64_t now_ns)
{
    struct trp_route_canary_view view;
    (void)goal;
    (void)now_ns;
    if (!rule->canary)
        return NOTHING;
    trp_route_canary_get(rule->canary, &view);
    return view.phase == TRP_CANARY_ROLLED_BACK;
}

static uint64_t read_hedges(const struct trp_route_rule *rule, const struct trp_route_goal *goal,
                            int64_t now_ns)
{
    (void)goal;
    (void)now_ns;
    return rule->hedge ? trp_counter_get(&rule->hedge->hedge.sent) : NOTHING;
}

static uint64_t read_hedges_won(const struct trp_route_rule *rule,
                                const struct trp_route_goal *goal, int64_t now_ns)
{
    (void)goal;
    (void)now_ns;
    return rule->hedge ? trp_counter_get(&rule->hedge->hedge.won) : NOTHING;
}

static uint64_t read_canary_calls(const struct trp_route_rule *rule,
                                  const struct trp_route_goal *goal, int64_t now_ns)
{
    (void)goal;
    (void)now_ns;
    return rule->canary ? trp_counter_get(&rule->canary->new_one.calls) : NOTHING;
}

static uint64_t read_canary_failures(const struct trp_route_rule *rule,
                                     const struct trp_route_goal *goal, int64_t now_ns)
{
    (void)goal;
    (void)now_ns;
    return rule->canary ? trp_counter_get(&rule->canary->new_one.failures) : NOTHING;
}

static uint64_t read_shadow(const struct trp_route_rule *rule, const struct trp_counter *counter)
{
    return rule->shadow ? trp_counter_get(counter) : NOTHING;
}

static uint64_t read_compared(const struct trp_route_rule *rule, const struct trp_route_goal *goal,
                              int64_t now_ns)
{
    (void)goal;
    (void)now_ns;
    return read_shadow(rule, &rule->agreement.calls);
}

static uint64_t read_shadows_failed(const struct trp_route_rule *rule,
                                    const struct trp_route_goal *goal, int64_t now_ns)
{
    (void)goal;
    (void)now_ns;
    return read_shadow(rule, &rule->agreement.failed);
}

static uint64_t read_shadows_dropped(const struct trp_route_rule *rule,
                                     const struct trp_route_goal *goal, int64_t now_ns)
{
    (void)goal;
    (void)now_ns;
    return read_shadow(rule, &rule->shadows_dropped);
}

static uint64_t read_shadow_rows(const struct trp_route_rule *rule,
                                 const struct trp_route_goal *goal, int64_t now_ns)
{
    (void)goal;
    (void)now_ns;
    return read_shadow(rule, &rule->agreement.rows);
}

static uint64_t read_shadow_agreeing(const struct trp_route_rule *rule,
                                     const struct trp_route_goal *goal, int64_t now_ns)
{
    (void)goal;
    (void)now_ns;
    return read_shadow(rule, &rule->agreement.rows_agreeing);
}

static const struct row rows[] = {
    { "troupe_route_matched_total", "counter", "Requests that a rule of a route decided.", false,
      offsetof(struct trp_route_rule, matched), NULL },
    { "troupe_route_unknown_total", "counter",
      "Requests for which nobody could tell whether a rule holds.", false,
      offsetof(struct trp_route_rule, unknown), NULL },
    { "troupe_route_fallbacks_total", "counter",
      "Attempts at a target that stands in for another, by rule.", false,
      offsetof(struct trp_route_rule, fell_back), NULL },
    { "troupe_route_timeouts_total", "counter",
      "Attempts that took longer than their rule gives them.", false,
      offsetof(struct trp_route_rule, timed_out), NULL },
    { "troupe_route_canary_step", "gauge",
      "The step that the canary of a rule is at, from 1; 0: it gets nothing.", false, 0,
      read_canary_step },
    { "troupe_route_canary_rolled_back", "gauge",
      "1: the canary of a rule did worse, and was taken back.", false, 0, read_canary_back },
    { "troupe_route_hedges_total", "counter",
      "Requests that were sent a second time, because the answer was late.", false, 0,
      read_hedges },
    { "troupe_route_hedges_won_total", "counter", "Of these, those that answered first.", false, 0,
      read_hedges_won },
    { "troupe_route_canary_calls_total", "counter",
      "Answers and failures of the canary of a rule, as its first choice.", false, 0,
      read_canary_calls },
    { "troupe_route_canary_failures_total", "counter", "Of these, failures.", false, 0,
      read_canary_failures },
    { "troupe_route_shadows_compared_total", "counter",
      "Answers of the shadow of a rule that were compared with the one that the client got.", false,
      0, read_compared },
    { "troupe_route_shadows_failed_total", "counter", "Shadows of a rule that had no answer.",
      false, 0, read_shadows_failed },
    { "troupe_route_shadows_dropped_total", "counter",
      "Shadows of a rule that were given up, for lack of a place or of time.", false, 0,
      read_shadows_dropped },
    { "troupe_route_shadow_rows_total", "counter",
      "Rows of the outputs that were compared with a shadow's.", false, 0, read_shadow_rows },
    { "troupe_route_shadow_rows_agreeing_total", "counter", "Of these, rows that agree.", false, 0,
      read_shadow_agreeing },
    { "troupe_route_asked_total", "counter", "Attempts at a target of a route.", true,
      offsetof(struct trp_route_goal, asked), NULL },
    { "troupe_route_failed_total", "counter",
      "Of these, attempts that failed or took longer than their rule lets them.", true,
      offsetof(struct trp_route_goal, failed), NULL },
    { "troupe_route_breaker_open", "gauge", "1: a target of a route is left alone for the moment.",
      true, 0, read_open },
    { "troupe_route_breaker_opened_total", "counter",
      "Times that a target of a route began to be left alone.", true,
      offsetof(struct trp_route_goal, breaker.opened), NULL },
    { "troupe_route_breaker_refused_total", "counter",
      "Attempts that passed by a target of a route, because it is left alone.", true,
      offsetof(struct trp_route_goal, breaker.refused), NULL },
};

static void write_sample(struct trp_buf *b, const struct row *row, struct trp_str route,
                         struct trp_str of, uint64_t value)
{
    if (value == NOTHING)
        return;
    trp_buf_add_text(b, row->name);
    trp_buf_add_char(b, '{');
    trp_metrics_write_label(b, "route", route);
    trp_buf_add_char(b, ',');
    trp_metrics_write_label(b, row->is_of_target ? "target" : "rule", of);
    trp_buf_add_text(b, "} ");
    trp_buf_add_u64(b, value);
    trp_buf_add_char(b, '\n');
}

static uint64_t read_row(const struct row *row, const struct trp_route_rule *rule,
                         const struct trp_route_goal *goal, int64_t now_ns)
{
    if (row->read)
        return row->read(rule, goal, now_ns);
    const char *const owner = row->is_of_target ? (const char *)goal : (const char *)rule;
    return trp_counter_get((const struct trp_counter *)(const void *)(owner + row->counter));
}

static void write_plan(struct trp_buf *b, const struct row *row, const struct trp_route_plan *p,
                       int64_t now_ns)
{
    for (uint32_t i = 0; !row->is_of_target && i < p->rules_n; i++)
        write_sample(b, row, p->name, p->rules[i].name, read_row(row, &p->rules[i], NULL, now_ns));
    for (uint32_t i = 0; row->is_of_target && i < p->goals_n; i++)
        write_sample(b, row, p->name, p->goals[i].text, read_row(row, NULL, &p->goals[i], now_ns));
}

/* The next route of the directory that has a place in the scrape; NULL: there is none. */
static const struct trp_route_plan *next_plan(const struct trp_directory *d, uint32_t *cursor,
                                              uint32_t *series, uint32_t *left_out)
{
    while (*cursor < trp_directory_count(d)) {
        struct trp_target *t = trp_directory_at(d, (*cursor)++)->target;
        const struct trp_router *route = t ? trp_route_of(t) : NULL;
        const struct trp_route_plan *p = route ? trp_route_plan_of(route) : NULL;
        if (!p)
            continue;
        *series += p->rules_n + p->goals_n;
        if (*series <= SERIES_MAX)
            return p;
        ++*left_out;
    }
    return NULL;
}

static const struct row of_all[] = {
    { "troupe_route_metrics_left_out", "gauge",
      "Routes without series of their own here: there are too many rules and targets.", false, 0,
      NULL },
};

void trp_route_metrics_write(const struct trp_directory *d, int64_t now_ns, struct trp_buf *b)
{
    const struct trp_route_plan *p;
    uint32_t left_out = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint32_t series = 0, cursor = 0;
        bool has_head = false;
        left_out = 0;
        while ((p = next_plan(d, &cursor, &series, &left_out)) != NULL) {
            if (!has_head)
                trp_metrics_write_head(b, rows[i].name, rows[i].type, rows[i].help);
            has_head = true;
            write_plan(b, &rows[i], p, now_ns);
        }
    }
    trp_metrics_write_head(b, of_all[0].name, of_all[0].type, of_all[0].help);
    trp_buf_addf(b, "%s %u\n", of_all[0].name, left_out);
}
