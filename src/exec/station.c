/* exec/station.c - see station.h. */
#include "exec/station.h"

void trp_station_begin(struct trp_station *s)
{
    s->is_known = trp_cores_of_thread(&s->home);
    s->now = s->home;
    s->is_away = false;
}

void trp_station_go(struct trp_station *s, const struct trp_cores *cores,
                    struct trp_metrics_shard *metrics)
{
    if (!cores && !s->is_away)
        return;
    const struct trp_cores *const to = cores ? cores : &s->home;
    if (!s->is_known || trp_cores_is_equal(to, &s->now))
        return;
    if (!trp_cores_keep_thread(to)) {
        trp_metric_add(metrics, TRP_METRIC_CORES_REFUSED, 1);
        return;
    }
    trp_metric_add(metrics, TRP_METRIC_CORES_MOVED, 1);
    s->now = *to;
    s->is_away = !trp_cores_is_equal(to, &s->home);
}
