/* life/idle.c - who has not been asked for longer than its keep_alive
 *
 * One timer for each loaded model that has a keep_alive: when it is due it looks when the last
 * request was answered, and lets the model go or waits for what is left.  Where hibernating it pays
 * it does that first, and goes after another keep_alive.  Requests themselves touch nothing but
 * the statistics that they write anyway. */
#include <stdio.h>

#include "life/demand.h"
#include "life/hibernation.h"
#include "life/life_parts.h"

#define LOOK_NS TRP_MS(100) /* shortest time between two looks */

bool trp_idle_is_pinned(const struct trp_member *m)
{
    return (m->keeping.pin && !m->is_unpinned) || m->is_pinned || m->is_overridden ||
           m->is_last_copy;
}

int64_t trp_idle_stay_ns(const struct trp_member *m)
{
    if (trp_idle_is_pinned(m))
        return TRP_KEEP_ALIVE_NONE;
    return m->has_stay ? m->stay_ns : m->keeping.keep_alive_ns;
}

static bool is_busy(const struct trp_member *m)
{
    for (uint32_t i = 0; i < m->serving.n; i++)
        if (trp_gauge_get(&m->serving.items[i]->stats->in_flight) > 0)
            return true;
    return false;
}

/* The end of the last request, or of the load. */
static int64_t last_use_ns(const struct trp_member *m)
{
    int64_t last = 0;
    for (uint32_t i = 0; i < m->serving.n; i++) {
        const struct trp_version *v = m->serving.items[i];
        const int64_t asked = (int64_t)trp_counter_get(&v->stats->last_asked_ns);
        const int64_t loaded = v->life.since_ns[TRP_MODEL_READY];
        last = asked > last ? asked : last;
        last = loaded > last ? loaded : last;
    }
    return last;
}

static void look_at(struct trp_member *m, int64_t due_ns)
{
    struct trp_loop *control = m->life->opts.control;
    const int64_t soonest_ns = trp_loop_now_ns(control) + LOOK_NS;
    if (trp_failed(trp_timer_arm(control, &m->idle_timer, due_ns > soonest_ns ? due_ns : soonest_ns,
                                 NULL)))
        TRP_WARN(m->life->opts.log, "life", "'%.*s' stays loaded: no memory for its keep_alive",
                 TRP_STR(m->name));
}

/* Once it is hibernated, keep_alive begins anew. */
static bool sleeps_on(struct trp_member *m, int64_t stay_ns, int64_t now_ns)
{
    const int64_t since_ns = m->guest ? m->guest->sleep.since_ns : 0;
    if (!trp_hibernation_is_asleep(m) || now_ns - since_ns >= stay_ns)
        return false;
    look_at(m, since_ns + stay_ns);
    return true;
}

static void due(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_member *m = TRP_CONTAINER_OF(timer, struct trp_member, idle_timer);
    struct trp_metrics *metrics = m->life->opts.metrics;
    const int64_t stay = trp_idle_stay_ns(m), last = last_use_ns(m);
    char why[96];
    if (stay < 0 || m->serving.n == 0)
        return;
    if (is_busy(m) || now_ns - last < stay) {
        look_at(m, (is_busy(m) ? now_ns : last) + stay);
        return;
    }
    (void)snprintf(why, sizeof why, "no request for %lld ms (keep_alive)",
                   (long long)((now_ns - last) / 1000000));
    if (sleeps_on(m, stay, now_ns) || (stay > 0 && trp_hibernation_try(m, why)))
        return;                   /* its going to sleep begins to watch it anew */
    if (trp_member_evict(m, why)) /* what is in hand, or lacks memory, may be over the next time */
        trp_metrics_add(metrics, TRP_METRIC_IDLE_UNLOADS, 1);
    else if (!m->is_overridden)
        look_at(m, now_ns + TRP_S(1));
}

void trp_idle_begin(struct trp_member *m)
{
    const int64_t stay = trp_idle_stay_ns(m);
    m->idle_timer.due = due;
    trp_idle_end(m);
    if (stay >= 0 && m->serving.n)
        look_at(m, last_use_ns(m) + stay);
}

void trp_idle_end(struct trp_member *m)
{
    trp_timer_disarm(m->life->opts.control, &m->idle_timer);
}
