/* exec/executor.h - a thread that runs models.
 * Answers "who runs what the loops hand over?". */
#ifndef TRP_EXECUTOR_H
#define TRP_EXECUTOR_H

#include "exec/run.h"
#include "exec/runqueue.h"

struct trp_executor {
    struct trp_thread thread;
    struct trp_runqueue *queue;
    struct trp_run_place place;
    struct trp_batch batch; /* what it runs, when that is several calls together */
    int nice;
    int64_t long_run_ns; /* what runs longer is long: a loop would not take it on */
};

/* Starts the thread; it ends after trp_runqueue_stop(), when what it runs has ended.  join: not started, nothing happens.
 *   Owns  : the caller's storage until joined; `queue` is borrowed.
 *   Thread: startup.
 *   Blocks: join: until the thread has ended.
 *   Errors: as trp_thread_start(). */
trp_status trp_executor_start(struct trp_executor *e, uint32_t index, struct trp_error *err);
void trp_executor_join(struct trp_executor *e);

#endif
