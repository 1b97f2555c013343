/* admin/route_metrics.c - what routes have decided, as Prometheus text: by rule and by target. */
#include "admin/admin_internal.h"
#include "admin/series.h"
#include "call/target.h"
#include "route/route.h"
#include "route/route_canary.h"
#include "route/route_hedge.h"

#define NOTHING UINT64_MAX /* this one has no such thing */

/* Of a number: what a rule or target has, or has not. */
enum owner {
    RULE,
    SHADOW, /* numbers in the rule, where it has one */
    CANARY,
    HEDGE,
    GOAL
};

struct row {
    const char *name, *type, *help;
    enum owner of;
    size_t counter; /* where it stands in its owner; unless there is a function */
    uint64_t (*read)(const void *place, int64_t now_ns); /* of a rule or target */
};

static uint64_t read_open(const void *place, int64_t now_ns)
{
    const struct trp_route_goal *goal = place;
    return trp_breaker_is_refusing(&goal->breaker, now_ns);
}

static uint64_t read_canary_step(const void *place, int64_t now_ns)
{
    const struct trp_route_rule *rule = place;
    struct trp_route_canary_view view;
    (void)now_ns;
    trp_route_canary_get(rule->canary, &view);
    return view.phase == TRP_CANARY_ROLLED_BACK ? 0 : view.step;
}

/* In billionths: a row is written as the share of one. */
static uint64_t read_canary_share(const void *place, int64_t now_ns)
{
    const struct trp_route_rule *rule = place;
    struct trp_route_canary_view view;
    (void)now_ns;
    trp_route_canary_get(rule->canary, &view);
    return (uint64_t)(view.share * 1e9 + 0.5);
}

static uint64_t read_canary_back(const void *place, int64_t now_ns)
{
    const struct trp_route_rule *rule = place;
    struct trp_route_canary_view view;
    (void)now_ns;
    trp_route_canary_get(rule->canary, &view);
    return view.phase == TRP_CANARY_ROLLED_BACK;
}

static const struct row rows[] = {
    { "troupe_route_matched_total", "counter", "Requests that a rule of a route decided.", RULE,
      offsetof(struct trp_route_rule, matched), NULL },
    { "troupe_route_unknown_total", "counter",
      "Requests for which nobody could tell whether a rule holds.", RULE,
      offsetof(struct trp_route_rule, unknown), NULL },
    { "troupe_route_fallbacks_total", "counter",
      "Attempts at a target that stands in for another, by rule.", RULE,
      offsetof(struct trp_route_rule, fell_back), NULL },
    { "troupe_route_timeouts_total", "counter",
      "Attempts that took longer than their rule gives them.", RULE,
      offsetof(struct trp_route_rule, timed_out), NULL },
    { "troupe_route_canary_step", "gauge",
      "The step that the canary of a rule is at, from 1; 0: it gets nothing.", CANARY, 0,
      read_canary_step },
    { "troupe_route_canary_share", "gauge",
      "The part of its rule's requests that the canary gets, 0 to 1.", CANARY, 0,
      read_canary_share },
    { "troupe_route_canary_rolled_back", "gauge",
      "1: the canary of a rule did worse, and was taken back.", CANARY, 0, read_canary_back },
    { "troupe_route_hedges_total", "counter",
      "Requests that were sent a second time, because the answer was late.", HEDGE,
      offsetof(struct trp_route_hedge, hedge.sent), NULL },
    { "troupe_route_hedges_won_total", "counter", "Of these, those that answered first.", HEDGE,
      offsetof(struct trp_route_hedge, hedge.won), NULL },
    { "troupe_route_canary_calls_total", "counter",
      "Answers and failures of the canary of a rule, as its first choice.", CANARY,
      offsetof(struct trp_route_canary, new_one.calls), NULL },
    { "troupe_route_canary_failures_total", "counter", "Of these, failures.", CANARY,
      offsetof(struct trp_route_canary, new_one.failures), NULL },
    { "troupe_route_shadows_compared_total", "counter",
      "Answers of the shadow of a rule that were compared with the one that the client got.",
      SHADOW, offsetof(struct trp_route_rule, agreement.calls), NULL },
    { "troupe_route_shadows_failed_total", "counter", "Shadows of a rule that had no answer.",
      SHADOW, offsetof(struct trp_route_rule, agreement.failed), NULL },
    { "troupe_route_shadows_dropped_total", "counter",
      "Shadows of a rule that were given up, for lack of a place or of time.", SHADOW,
      offsetof(struct trp_route_rule, shadows_dropped), NULL },
    { "troupe_route_shadow_rows_total", "counter",
      "Rows of the outputs that were compared with a shadow's.", SHADOW,
      offsetof(struct trp_route_rule, agreement.rows), NULL },
    { "troupe_route_shadow_rows_agreeing_total", "counter", "Of these, rows that agree.", SHADOW,
      offsetof(struct trp_route_rule, agreement.rows_agreeing), NULL },
    { "troupe_route_asked_total", "counter", "Attempts at a target of a route.", GOAL,
      offsetof(struct trp_route_goal, asked), NULL },
    { "troupe_route_failed_total", "counter",
      "Attempts that their target failed, or that took longer than their rule or client lets them.",
      GOAL, offsetof(struct trp_route_goal, failed), NULL },
    { "troupe_route_client_errors_total", "counter",
      "Attempts that were the client's own mistake; no failures of the target.", GOAL,
      offsetof(struct trp_route_goal, client_errors), NULL },
    { "troupe_route_breaker_open", "gauge", "1: a target of a route is left alone for the moment.",
      GOAL, 0, read_open },
    { "troupe_route_breaker_opened_total", "counter",
      "Times that a target of a route began to be left alone.", GOAL,
      offsetof(struct trp_route_goal, breaker.opened), NULL },
    { "troupe_route_breaker_refused_total", "counter",
      "Attempts that passed by a target of a route, because it is left alone.", GOAL,
      offsetof(struct trp_route_goal, breaker.refused), NULL },
};

static void write_sample(struct trp_buf *b, const struct row *row, struct trp_str route,
                         struct trp_str of, uint64_t value)
{
    if (value == NOTHING)
        return;
    trp_series_begin(b, row->name, "route", route, row->of == GOAL ? "target" : "rule", of);
    if (row->read == read_canary_share)
        trp_buf_addf(b, "%.9g", (double)value / 1e9);
    else
        trp_buf_add_u64(b, value);
    trp_buf_add_char(b, '\n');
}

/* NULL: a rule has no such thing. */
static const void *owner_in(const void *place, enum owner of)
{
    const struct trp_route_rule *rule = place;
    switch (of) {
    case SHADOW:
        return rule->shadow ? rule : NULL;
    case CANARY:
        return rule->canary;
    case HEDGE:
        return rule->hedge;
    default:
        return place;
    }
}

static uint64_t read_row(const struct row *row, const void *place, int64_t now_ns)
{
    const char *const owner = owner_in(place, row->of);
    if (!owner)
        return NOTHING;
    if (row->read)
        return row->read(place, now_ns);
    return trp_counter_get((const struct trp_counter *)(const void *)(owner + row->counter));
}

static const struct trp_route_plan *plan_of(struct trp_target *t)
{
    const struct trp_router *route = trp_route_of(t);
    return route ? trp_route_plan_of(route) : NULL;
}

static uint32_t count_parts(struct trp_target *t)
{
    const struct trp_route_plan *p = plan_of(t);
    return p ? p->rules_n + p->goals_n : 0;
}

struct page { /* of one number */
    const struct row *row;
    int64_t now_ns;
};

static void write_route(struct trp_buf *b, const struct trp_directory_item *item, const void *user)
{
    const struct page *page = user;
    const struct row *row = page->row;
    const struct trp_route_plan *p = plan_of(item->target);
    for (uint32_t i = 0; row->of != GOAL && i < p->rules_n; i++)
        write_sample(b, row, p->name, p->rules[i].name, read_row(row, &p->rules[i], page->now_ns));
    for (uint32_t i = 0; row->of == GOAL && i < p->goals_n; i++)
        write_sample(b, row, p->name, p->goals[i].text, read_row(row, &p->goals[i], page->now_ns));
}

static const struct trp_series_metric left_out = {
    "troupe_route_metrics_left_out", "gauge",
    "Routes without series of their own here: there are too many rules and targets."
};

void trp_route_metrics_write(const struct trp_directory *d, int64_t now_ns, struct trp_buf *b)
{
    struct trp_series s = { .directory = d, .count = count_parts };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct trp_series_metric metric = { rows[i].name, rows[i].type, rows[i].help };
        const struct page page = { &rows[i], now_ns };
        trp_series_write(&s, &metric, b, write_route, &page);
    }
    trp_series_write_left_out(&s, &left_out, b);
}
