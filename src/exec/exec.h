/* exec/exec.h - the threads that run models.
 * Answers "where does it run?".  The shell around sched/: it holds the lock and the time, runs tiny
 * models inline on the loop (bounded per turn) and the others on executors, and posts back.
 *
 *  1. A loop collects what arrived in a turn; longer calls are handed to executors first, then tiny
 *     ones run inline.
 *  2. Executors are woken once per turn, and only when they sleep.
 *  3. A call that was cancelled or expired while queued is never run; it comes back through its
 *     `done` all the same. */
#ifndef TRP_EXEC_H
#define TRP_EXEC_H

#include "base/alloc.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/status.h"
#include "exec/tenants.h"
#include "memory/headroom.h"
#include "model/version.h"
#include "obs/metrics.h"
#include "sched/cost_curve.h"

struct trp_exec;
struct trp_admission;

struct trp_exec_opts {
    uint32_t executors_n, loops_n;
    int executors_nice; /* nice(2) of their threads, so that a loop is not kept waiting by long
                         * runs */
    int64_t inline_run_ns, inline_turn_ns;
    int64_t split_part_ns; /* shortest part of a run that idle executors share; 0: they never do */
    uint32_t queue_max, model_queue_max, sequences_max;   /* the last: open ones of a version */
    struct trp_loop *control;                             /* has their timers; NULL: no sequences */
    uint32_t floor_normal_permille, floor_batch_permille; /* of all work, while such calls wait */
    uint32_t tenants_max;
    const struct trp_tenant_rule *tenant_rules; /* borrowed, and their names */
    uint32_t tenant_rules_n;
    bool forecasts; /* refuse at once what cannot be answered in time */
    uint64_t output_bytes_max, run_bytes_max;
    struct trp_headrooms *headrooms; /* what runs may hold; NULL: they are not counted */
    struct trp_ledger *ledger;       /* theirs; NULL as well then */
    int64_t room_wait_ns;            /* longest that a call waits for memory */
    const struct trp_clock *clock;
    struct trp_commons
        *commons; /* as trp_run_place; outlive the exec and all that is answered; may be NULL */
    struct trp_metrics *metrics; /* shard i is loop i's; shard loops_n + e is executor e's */
};

/* Makes the executors; threads start at trp_exec_start().
 *   Owns  : the caller destroys; opts copied, clock and metrics borrowed.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY, IO. */
trp_status trp_exec_create(const struct trp_alloc *alloc, const struct trp_exec_opts *opts,
                           struct trp_exec **out_exec, struct trp_error *err);
trp_status trp_exec_attach(struct trp_exec *x, uint32_t loop_index, struct trp_loop *loop,
                           struct trp_error *err);
trp_status trp_exec_start(struct trp_exec *x, struct trp_error *err);

/* Ends the threads; queued calls come back UNAVAILABLE, in a later turn of their loop, as does what
 * is started afterwards. Destroy after the last turn of the loops (their hook is in here) and
 * before they are destroyed: what was started in that turn is posted to them then.
 *   Owns  : nothing; destroy frees.
 *   Thread: startup.
 *   Blocks: until running calls have ended.
 *   Errors: none. */
void trp_exec_stop(struct trp_exec *x);
void trp_exec_destroy(struct trp_exec *x);

/* A version's start and cancel, and the table with them (struct trp_version_opts): the runner is
 * the exec.
 *   Owns  : start moves the call until its `done`; the table is static.
 *   Thread: loop.
 *   Blocks: never.
 *   Errors: in call->error: QUEUE_FULL (also by a rate limit), INVALID_ARGUMENT (bound here), what
 *           kept its model from being loaded, BACKEND_FAILED, CANCELLED, DEADLINE_EXCEEDED,
 *           UNAVAILABLE (stopping, or no answer is possible in time). */
void trp_exec_start_call(struct trp_target *target, struct trp_call *call);
void trp_exec_cancel_call(struct trp_target *target, struct trp_call *call);
const struct trp_target_ops *trp_exec_version_ops(void);

/* Makes a sequencer for a version that will have this configuration, with `sequences`.
 *   Owns  : one reference, for v->sequencer; see exec/sequencer.h.
 *   Thread: any.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_exec_keep_sequences(struct trp_exec *x, struct trp_version *v,
                                   const struct trp_model_config *config,
                                   struct trp_sequencer **out_sequencer, struct trp_error *err);

/* Tries calls again that wait for memory; the ledger's words do that too, so it is enough to call
 * this now and then.
 *   Owns  : nothing.
 *   Thread: any that holds no lock.
 *   Errors: none. */
void trp_exec_tell_room(struct trp_exec *x);

/* Who may begin a run for its memory: for first runs, which no call asks for; after memory was
 * given back elsewhere (a backend was trimmed, a model closed) what models hold for their runs
 * follows at once.
 *   Owns  : borrowed from the exec.
 *   Thread: any; refresh: that holds no lock.
 *   Errors: none. */
const struct trp_admission *trp_exec_admission(const struct trp_exec *x);
void trp_exec_refresh_room(struct trp_exec *x);

/* Lets a version go that serves: its calls that wait for memory go on at `successor`, now and
 * later.  What runs ends where it is.
 *   Owns  : a reference of `successor` is taken.
 *   Thread: control.
 *   Errors: none. */
void trp_exec_let_go(struct trp_exec *x, struct trp_version *v, struct trp_version *successor);

/* What runs of a version were measured to take.  One that only ever ran on loops has a single
 * point: its average run.
 *   Owns  : copied.
 *   Thread: any that holds a reference to the version, which is READY.
 *   Errors: none; points without run_ns are not known. */
struct trp_exec_cost {
    struct trp_cost_curve curve;
    uint32_t slots;               /* runs at once; 0: no limit */
    uint32_t rows_max, rows_best; /* of a run of several calls, 1: they run alone; 0: not known */
};
void trp_exec_cost(const struct trp_version *v, struct trp_exec_cost *out);

/* How many runs of a version may go on at once, 0: any number; changes that, while it serves or
 * before (0: back to what its configuration says).  What runs goes on; more slots are used at once.
 *   Owns  : nothing.
 *   Thread: any that may read its configuration; resize: control.
 *   Errors: none: a backend that makes one run at a time keeps its one slot. */
uint32_t trp_exec_instances(const struct trp_version *v);
void trp_exec_resize(struct trp_exec *x, struct trp_version *v, uint32_t instances);

/* How busy a version is: its calls that wait, its runs on executors, and how long a call of class
 * normal that came now would likely wait for its run to begin, as admission forecasts it.  A model
 * that runs on loops, and of which nothing waits, has no wait.
 *   Units : ns.
 *   Owns  : copied.
 *   Thread: any that holds a reference to the version.
 *   Blocks: never for long: a look under the queue's lock.
 *   Errors: none. */
struct trp_exec_load {
    uint32_t queued, running;
    int64_t wait_ns;
};
void trp_exec_load(struct trp_exec *x, const struct trp_version *v, struct trp_exec_load *out);

/* Calls waiting now; executors that have nothing to do.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
uint32_t trp_exec_queued(const struct trp_exec *x);
uint32_t trp_exec_idle(const struct trp_exec *x);

#endif
