/* catalog/canary_watch.c - see canary_watch.h. */
#include "catalog/canary_watch.h"

#include "route/route_canary.h"

#define EVERY_NS TRP_S(1)

static void told(void *user, const struct trp_route_plan *plan, const struct trp_route_rule *rule,
                 enum trp_canary_move move, const struct trp_route_canary_view *view)
{
    const struct trp_canary_watch *w = user;
    const struct trp_str target = plan->goals[rule->canary->goal].text;
    if (move == TRP_CANARY_ROLL_BACK) {
        trp_metrics_add(w->metrics, TRP_METRIC_CANARIES_BACK, 1);
        TRP_WARN(w->log, "route", "canary '%.*s' of %.*s is taken back: %s", TRP_STR(target),
                 TRP_STR(rule->why), view->reason);
        return;
    }
    trp_metrics_add(
        w->metrics,
        move == TRP_CANARY_FINISH ? TRP_METRIC_CANARIES_DONE : TRP_METRIC_CANARIES_STEPS, 1);
    TRP_INFO(w->log, "route", "canary '%.*s' of %.*s: %s", TRP_STR(target), TRP_STR(rule->why),
             view->reason);
}

static void look(struct trp_canary_watch *w)
{
    const struct trp_route_canary_told whom = { told, w };
    const int64_t now_ns = trp_clock_now_ns(w->clock);
    for (uint32_t i = 0; w->file && i < trp_route_file_count(w->file); i++)
        trp_route_canary_look(trp_route_file_at(w->file, i), now_ns, &whom);
}

static void due(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_canary_watch *w = TRP_CONTAINER_OF(timer, struct trp_canary_watch, timer);
    look(w);
    /* The loop has room for one timer since the first time, so this cannot fail. */
    (void)trp_timer_arm(w->control, timer, now_ns + EVERY_NS, NULL);
}

trp_status trp_canary_watch_start(struct trp_canary_watch *w, struct trp_error *err)
{
    w->timer.due = due;
    return trp_timer_arm(w->control, &w->timer, trp_clock_now_ns(w->clock) + EVERY_NS, err);
}

void trp_canary_watch_stop(struct trp_canary_watch *w)
{
    if (w->control)
        trp_timer_disarm(w->control, &w->timer);
}

static bool has_canary(const struct trp_router *r)
{
    const struct trp_route_plan *p = trp_route_plan_of(r);
    for (uint32_t i = 0; i < p->rules_n; i++)
        if (p->rules[i].canary)
            return true;
    return false;
}

static void resume(struct trp_router *route, const struct trp_route_file *before)
{
    const struct trp_router *old =
        before ? trp_route_file_find(before, trp_route_plan_of(route)->name) : NULL;
    if (old && old != route)
        trp_route_canary_resume(route, old);
}

void trp_canary_watch_show(struct trp_canary_watch *w, const struct trp_route_file *file)
{
    for (uint32_t i = 0; i < trp_route_file_count(file); i++)
        if (has_canary(trp_route_file_at(file, i)))
            resume(trp_route_file_at(file, i), w->file);
    w->file = file;
    look(w);
}
