/* backend/worker.h - a model that runs in a process of its own.
 * Answers "is there a process that runs it, and what if not?".  A thread minds the process: starts
 * it, has it open the model, notices its end and starts another, at once or, when they end one
 * after the other, after a while. */
#ifndef TRP_WORKER_H
#define TRP_WORKER_H

#include "backend/nursery.h"
#include "backend/stint.h"
#include "base/clock.h"
#include "obs/log.h"
#include "obs/metrics.h"

/* What is the same for all workers of a backend.  Borrowed; constant. */
struct trp_worker_env {
    const char *program;           /* that serves as a worker when its first argument is "worker" */
    const char *backend, *plugins; /* as trp_worker_order */
    const struct troupe_option *options;
    uint32_t options_n;
    int32_t nice; /* of the threads that run, there */
    const struct trp_clock *clock;
    struct trp_log *log;         /* may be NULL */
    struct trp_metrics *metrics; /* may be NULL */
    struct trp_nursery *nursery;
    struct trp_commons *commons; /* opened with the first worker; may be NULL */
    uint64_t yard_bytes;         /* as trp_stint_begin() */
};

struct trp_worker;

/* Starts one and has it open the model; tells its signature.
 *   Owns  : the caller closes; desc's account and cancel flag outlive it, the rest of desc is
 *           copied.
 *   Thread: loader.
 *   Blocks: disk, until the model is open there.
 *   Errors: enum troupe_code with words: as the backend's open there; UNAVAILABLE: it ended
 *           before; OUT_OF_MEMORY, IO. */
int32_t trp_worker_open(const struct trp_worker_env *env, const struct troupe_model_desc *desc,
                        const struct troupe_sink *sink, struct trp_worker **out_worker,
                        uint32_t *out_capabilities, struct troupe_error *error);
void trp_worker_close(struct trp_worker *w); /* accepts NULL; no run is active */

/* As troupe_backend.run; one run waits while another process is being started, the others fail.
 *   Owns  : as trp_passage_run().
 *   Thread: executor; any number at once.
 *   Blocks: until the run has ended.
 *   Errors: as trp_passage_run(); UNAVAILABLE: there is no process just now. */
int32_t trp_worker_run(struct trp_worker *w, const struct troupe_run *run,
                       const struct troupe_tensor *inputs, struct troupe_tensor *outputs);

/* The process that runs it now, to be given back; its number; what it takes for itself alone:
 * whoever asks charges that, and what it takes beyond that later is charged to desc's account by
 * itself.
 *   Units : bytes.
 *   Owns  : counted; the caller gives it back.
 *   Thread: any.
 *   Errors: NULL, 0: there is none just now. */
struct trp_stint *trp_worker_stint(struct trp_worker *w);
pid_t trp_worker_pid(struct trp_worker *w);
uint64_t trp_worker_private_bytes(struct trp_worker *w);

/* When another process likely has the model open, while there is none.
 *   Units : ms from now, at least 1.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: 0: there is one, or none comes any more. */
uint32_t trp_worker_retry_ms(struct trp_worker *w);

/* Whether a process that ended so is a reason to open the next one's model without what was
 * prepared of it.  `opening`: how its opening went, UNAVAILABLE: it ended meanwhile, or took too
 * long; `words`: as trp_child_wait().
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
bool trp_worker_blames_files(enum trp_code opening, const char *words);

/* Links of whoever keeps a list of them.
 *   Owns  : borrowed.
 *   Thread: owner of the list.
 *   Errors: none. */
struct trp_worker **trp_worker_next(struct trp_worker *w);

#endif
