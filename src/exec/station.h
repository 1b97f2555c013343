/* exec/station.h - the cores that an executor runs on.
 * Answers "where does this thread have to be for the next run?".
 *
 *  1. Where there are as many executors as cores, as there are by default, each stays on one of
 *     them.  Those that are woken together run side by side at once: the kernel may put two of them
 *     on one core beside an idle one, and leaves them there for milliseconds.
 *  2. When others want that core, so that several runs had to wait for much of their time, it goes
 *     wherever there is room, for a second; for twice as long when it finds them again (64 s).
 *  3. A model may name its cores; for a run of it the executor goes there, and home again before
 *     it sleeps or runs another one. */
#ifndef TRP_STATION_H
#define TRP_STATION_H

#include "base/cores.h"
#include "obs/metrics.h"

/* Zero it, and begin on the thread that it is for. */
struct trp_station {
    struct trp_cores all, own; /* where it may be; its own core, or all again */
    struct trp_cores home, now;
    bool is_known, is_away;          /* is_known: the system said where it is */
    bool is_bound;                   /* by the model that it runs */
    uint32_t waits;                  /* runs in a row that had to wait for much of their time */
    int64_t crowded_till_ns;         /* home is everywhere until then; 0: it is not */
    int64_t crowded_for_ns, back_ns; /* how long that was the last time; when it was over */
};

/* Notes where the calling thread may be; the first trp_station_go() takes it to its core.
 *   Shape : the executor at `index` of so many; a core of its own when there are exactly as many.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none: where the system does not say, it stays wherever it is. */
void trp_station_begin(struct trp_station *s, uint32_t index, uint32_t executors_n);

/* Whether it stays on a core that is its own.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
static inline bool trp_station_is_own(const struct trp_station *s)
{
    return s->crowded_till_ns == 0 && !trp_cores_is_equal(&s->own, &s->all);
}

/* Hears how long a run took since it could have begun, and how much of that it had no processor.
 *   Units : ns; now: monotonic.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
void trp_station_hear(struct trp_station *s, int64_t now_ns, int64_t took_ns, int64_t waited_ns);

/* Goes to these cores (NULL: home), unless the thread is there.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : none when it is there; otherwise a system call, and whatever the kernel takes to move a
 *           thread.
 *   Errors: none: cores that the system refuses (they were taken from the process since the model
 *           was loaded) are not gone to; the run is done where the thread is, and counted as
 *           refused. */
void trp_station_go(struct trp_station *s, const struct trp_cores *cores,
                    struct trp_metrics_shard *metrics);

#endif
