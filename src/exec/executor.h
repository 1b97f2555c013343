/* exec/executor.h - a thread that runs models.
 * Answers "who runs what the loops hand over?". */
#ifndef TRP_EXECUTOR_H
#define TRP_EXECUTOR_H

#include "exec/fanout.h"
#include "exec/station.h"

struct trp_executor {
    struct trp_thread thread;
    struct trp_runqueue *queue;
    uint32_t index, of; /* of: how many there are */
    struct trp_run_place place;
    struct trp_batch batch;   /* what it runs, when that is several calls together */
    struct trp_fanout fanout; /* how it runs, when that is side by side with others */
    struct trp_station station;
    int nice;
    int64_t long_run_ns;          /* what runs longer is long: a loop would not take it on */
    struct trp_thread_use before; /* the run under way */
    int64_t waited_ns;            /* for a processor, when that was looked up last */
    int64_t woke_late_ns;         /* for one, since it was called up for the run under way */
    bool is_aside; /* its turns on the processor are those of what nobody waits for */
};

/* Starts the thread; it ends after trp_runqueue_stop(), when what it runs has ended.  join: not
 * started, nothing happens.
 *   Owns  : the caller's storage until joined; `queue` is borrowed.
 *   Thread: startup.
 *   Blocks: join: until the thread has ended.
 *   Errors: as trp_thread_start(). */
trp_status trp_executor_start(struct trp_executor *e, uint32_t index, struct trp_error *err);
void trp_executor_join(struct trp_executor *e);

#endif
