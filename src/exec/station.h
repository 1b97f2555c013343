/* exec/station.h - the cores that an executor runs on.
 * Answers "where does this thread have to be for the next run?".  A model may name its cores; for a run of it the executor goes
 * there, and home again before it sleeps or runs another one. */
#ifndef TRP_STATION_H
#define TRP_STATION_H

#include "base/cores.h"
#include "obs/metrics.h"

/* Zero it, and begin on the thread that it is for. */
struct trp_station {
    struct trp_cores home, now;
    bool is_known, is_away; /* is_known: the system said where home is */
};

/* Notes where the calling thread is: that is home.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none: where the system does not say, it stays wherever it is. */
void trp_station_begin(struct trp_station *s);

/* Goes to these cores (NULL: home), unless the thread is there.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : none when it is there; otherwise a system call, and whatever the kernel takes to move a thread.
 *   Errors: none: cores that the system refuses (they were taken from the process since the model was loaded) are not gone to;
 *           the run is done where the thread is, and counted as refused. */
void trp_station_go(struct trp_station *s, const struct trp_cores *cores,
                    struct trp_metrics_shard *metrics);

#endif
