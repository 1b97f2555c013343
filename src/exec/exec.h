/* exec/exec.h - the threads that run models.
 * Answers "where does it run?".  The shell around sched/: it holds the lock and the time, runs tiny models inline on the
 * loop (bounded per turn) and the others on executors, and posts back.
 *
 *  1. A loop collects what arrived in a turn; longer calls are handed to executors first, then tiny ones run inline.
 *  2. Executors are woken once per turn, and only when they sleep.
 *  3. A call that was cancelled or expired while queued is never run; it comes back through its `done` all the same. */
#ifndef TRP_EXEC_H
#define TRP_EXEC_H

#include "base/alloc.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/status.h"
#include "memory/headroom.h"
#include "model/version.h"
#include "obs/metrics.h"

struct trp_exec;
struct trp_admission;

struct trp_exec_opts {
    uint32_t executors_n, loops_n;
    int executors_nice; /* nice(2) of their threads, so that a loop is not kept waiting by long runs */
    int64_t inline_run_ns, inline_turn_ns;
    uint32_t queue_max, model_queue_max;
    uint64_t output_bytes_max, run_bytes_max;
    struct trp_headrooms *headrooms; /* what runs may hold; NULL: they are not counted */
    struct trp_ledger *ledger;       /* theirs; NULL as well then */
    int64_t room_wait_ns;            /* longest that a call waits for memory */
    const struct trp_clock *clock;
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

/* Ends the threads; queued calls come back UNAVAILABLE, in a later turn of their loop, as does what is started afterwards.
 * Destroy after the last turn of the loops (their hook is in here) and before they are destroyed: what was started in that turn is
 * posted to them then.
 *   Owns  : nothing; destroy frees.
 *   Thread: startup.
 *   Blocks: until running calls have ended.
 *   Errors: none. */
void trp_exec_stop(struct trp_exec *x);
void trp_exec_destroy(struct trp_exec *x);

/* A version's start and cancel (struct trp_version_opts): the runner is the exec.
 *   Owns  : start moves the call until its `done`.
 *   Thread: loop.
 *   Blocks: never.
 *   Errors: in call->error: QUEUE_FULL, INVALID_ARGUMENT (bound here), what kept its model from being loaded, BACKEND_FAILED, CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE (stopping). */
void trp_exec_start_call(struct trp_target *target, struct trp_call *call);
void trp_exec_cancel_call(struct trp_target *target, struct trp_call *call);

/* Tries calls again that wait for memory; the ledger's words do that too, so it is enough to call this now and then.
 *   Owns  : nothing.
 *   Thread: any that holds no lock.
 *   Errors: none. */
void trp_exec_tell_room(struct trp_exec *x);

/* Who may begin a run for its memory: for first runs, which no call asks for; after memory was given back elsewhere (a backend was
 * trimmed, a model closed) what models hold for their runs follows at once.
 *   Owns  : borrowed from the exec.
 *   Thread: any; refresh: that holds no lock.
 *   Errors: none. */
const struct trp_admission *trp_exec_admission(const struct trp_exec *x);
void trp_exec_refresh_room(struct trp_exec *x);

/* Lets a version go that serves: its calls that wait for memory go on at `successor`, now and later.  What runs ends where it is.
 *   Owns  : a reference of `successor` is taken.
 *   Thread: control.
 *   Errors: none. */
void trp_exec_let_go(struct trp_exec *x, struct trp_version *v, struct trp_version *successor);

/* Calls waiting now.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
uint32_t trp_exec_queued(const struct trp_exec *x);

#endif
