/* life/trimmer.c - gives back what runs left behind and nobody came for.
 *
 * A backend keeps the memory of a run for the next one.  Every so often a loader asks all backends
 * to give back what was not used since the last time, so a model that falls silent holds nothing
 * but its weights after two periods.  While no run holds or keeps anything, nobody is asked. */
#include "life/trimmer.h"
#include "life/life_parts.h"

static void arm(struct trp_life *l)
{
    struct trp_loop *control = l->opts.control;
    struct trp_error err;
    if (l->opts.trim_ns == 0 || l->is_stopping)
        return;
    if (trp_failed(trp_timer_arm(control, &l->trim_timer,
                                 trp_loop_now_ns(control) + l->opts.trim_ns, &err)))
        TRP_ERROR_LOG(l->opts.log, "life", "memory is not trimmed any more: %s", err.text);
}

static void trim(struct trp_job *job)
{
    struct trp_life *l = TRP_CONTAINER_OF(job, struct trp_life, trim_job);
    trp_backend_trim(l->opts.backends);
    trp_exec_refresh_room(l->opts.exec);
}

static void trimmed(struct trp_job *job)
{
    arm(TRP_CONTAINER_OF(job, struct trp_life, trim_job));
}

static void trim_due(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_life *l = TRP_CONTAINER_OF(timer, struct trp_life, trim_timer);
    (void)now_ns;
    if (trp_counter_get(&l->opts.activations->bytes) == 0)
        arm(l);
    else
        trp_loaders_submit(l->loaders, TRP_LANE_CHORE, &l->trim_job);
}

void trp_trimmer_start(struct trp_life *l)
{
    l->trim_timer.due = trim_due;
    l->trim_job.work = trim;
    l->trim_job.done = trimmed;
    arm(l);
}

void trp_trimmer_stop(struct trp_life *l)
{
    trp_timer_disarm(l->opts.control, &l->trim_timer);
}
