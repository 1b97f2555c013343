/* exec/station.c - see station.h. */
#include "exec/station.h"

#include "base/clock.h"

#define CROWDED_FIRST_NS TRP_S(1)
#define CROWDED_MOST_NS TRP_S(64)
#define CROWDED_LEAST_NS TRP_US(500) /* less is a loop's turn, or a tick */
#define CROWDED_PART 4
#define CROWDED_RUNS 3 /* one after the other: what happens once is no neighbour */

static void set_home(struct trp_station *s, const struct trp_cores *home)
{
    s->home = *home;
    s->is_away = !trp_cores_is_equal(&s->now, home);
}

void trp_station_begin(struct trp_station *s, uint32_t index, uint32_t executors_n)
{
    s->is_known = trp_cores_of_thread(&s->all);
    s->now = s->own = s->all;
    if (s->is_known && index < executors_n && executors_n == trp_cores_count(&s->all))
        s->own = trp_cores_at(&s->all, index);
    set_home(s, &s->own);
}

/* Whoever is back and finds the neighbour again stays away for longer: it costs runs each time. */
static int64_t leave_for(struct trp_station *s, int64_t now_ns)
{
    const bool is_again = s->crowded_for_ns != 0 && now_ns - s->back_ns < s->crowded_for_ns;
    s->crowded_for_ns = is_again ? s->crowded_for_ns * 2 : CROWDED_FIRST_NS;
    if (s->crowded_for_ns > CROWDED_MOST_NS)
        s->crowded_for_ns = CROWDED_MOST_NS;
    return s->crowded_for_ns;
}

void trp_station_hear(struct trp_station *s, int64_t now_ns, int64_t took_ns, int64_t waited_ns)
{
    if (s->crowded_till_ns != 0) {
        if (now_ns < s->crowded_till_ns) /* whatever it waits now, the cause may be that it roams */
            return;
        s->back_ns = s->crowded_till_ns;
        s->crowded_till_ns = 0;
        set_home(s, &s->own);
        return;
    }
    const bool waits = waited_ns > CROWDED_LEAST_NS && waited_ns > took_ns / CROWDED_PART;
    s->waits = waits ? s->waits + 1 : 0;
    if (s->waits < CROWDED_RUNS)
        return;
    s->waits = 0;
    s->crowded_till_ns = now_ns + leave_for(s, now_ns);
    set_home(s, &s->all);
}

void trp_station_go(struct trp_station *s, const struct trp_cores *cores,
                    struct trp_metrics_shard *metrics)
{
    if (cores || s->is_bound)
        trp_cores_bind_work(cores);
    s->is_bound = cores != NULL;
    if (!cores && !s->is_away)
        return;
    const struct trp_cores *const to = cores ? cores : &s->home;
    if (!s->is_known || trp_cores_is_equal(to, &s->now))
        return;
    if (!trp_cores_keep_thread(to)) {
        trp_metric_add(metrics, TRP_METRIC_CORES_REFUSED, 1);
        if (!cores) { /* it stays here, and does not ask again and again */
            s->own = s->all = s->now;
            set_home(s, &s->now);
        }
        return;
    }
    trp_metric_add(metrics, TRP_METRIC_CORES_MOVED, 1);
    s->now = *to;
    s->is_away = !trp_cores_is_equal(to, &s->home);
}
