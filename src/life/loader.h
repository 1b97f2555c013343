/* life/loader.h - the threads that do the slow steps.
 * Answers "who reads the disk and opens models, while the control thread goes on?".  Private to
 * this room. */
#ifndef TRP_LOADER_H
#define TRP_LOADER_H

#include "base/loop.h"
#include "base/status.h"

/* What must not wait for what: a chore (list, close) never waits for a load that takes minutes, and
 * what runs in the background waits for both. */
enum trp_lane { TRP_LANE_CHORE, TRP_LANE_LOAD, TRP_LANE_BACKGROUND, TRP_LANES };

/* Lives in its owner's memory, so that the queue cannot be full: it is as long as there are things
 * to do, and every kind of thing has a limit of its own (models, versions, orders). */
struct trp_job {
    void (*work)(struct trp_job *job); /* on a loader thread */
    void (*done)(struct trp_job *job); /* then on the control loop; may submit the job again */
    struct trp_job *next;
    struct trp_mail mail;
    struct trp_loaders *loaders;
};

struct trp_loaders;

struct trp_loaders_opts {
    uint32_t threads_n; /* that take jobs of every lane; one more takes no loads */
    int nice;           /* how much they yield to others: nice(2) */
    struct trp_loop *control;
};

/* Makes the queues and their threads.
 *   Owns  : the caller destroys, when no job is out any more; `control` is borrowed.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY, IO. */
trp_status trp_loaders_create(const struct trp_alloc *alloc, const struct trp_loaders_opts *opts,
                              struct trp_loaders **out_loaders, struct trp_error *err);
void trp_loaders_destroy(struct trp_loaders *l); /* accepts NULL; joins the threads */

/* Whether any job is out, and who is told (on the control loop, after the job's `done`) when none
 * is any more.
 *   Owns  : `user` is borrowed.
 *   Thread: control.
 *   Errors: none. */
bool trp_loaders_are_busy(const struct trp_loaders *l);
void trp_loaders_on_idle(struct trp_loaders *l, void (*idle)(void *user), void *user);

/* Queues a job.
 *   Owns  : the job is borrowed until its `done`.
 *   Thread: control.
 *   Errors: none. */
void trp_loaders_submit(struct trp_loaders *l, enum trp_lane lane, struct trp_job *job);

#endif
