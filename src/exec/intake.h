/* exec/intake.h - the way into the queue.
 * Answers "what may wait, and where does it stand?".  Which line of its model a call stands in,
 * whose share its run takes, what that run is likely to cost, whether it can end in time, and
 * who makes room when the queue is full.  All under the queue's lock. */
#ifndef TRP_INTAKE_H
#define TRP_INTAKE_H

#include "base/clock.h"
#include "exec/lines.h"
#include "exec/tenants.h"
#include "model/version.h"
#include "obs/metrics.h"

struct trp_intake_opts {
    const struct trp_clock *clock;
    struct trp_metrics *metrics;
    uint32_t executors_n;
    bool forecasts; /* refuse at once what cannot be answered in time */
    struct trp_tenants_opts tenants;
};

/* What an executor does now. */
struct trp_intake_run {
    struct trp_gauge until_ns;     /* when its run is likely to end; 0: it has none */
    int64_t begun_ns, expected_ns; /* the executor's own; expected 0: nobody knew */
};

struct trp_intake { /* zero: no tenants, no forecasts, nothing is counted */
    struct trp_intake_opts opts;
    const struct trp_alloc *alloc;
    struct trp_tenants tenants;
    struct trp_intake_run *runs; /* of each executor */
    struct trp_gauge pace;       /* how much longer than expected runs take, in thousandths */
};

/* Makes room for tenants and for what executors tell of their runs.
 *   Owns  : the caller's storage; deinit when no call is in exec; `alloc`, `s`, `lock` and what
 *           opts point to are borrowed.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY; deinit is safe. */
trp_status trp_intake_init(struct trp_intake *in, const struct trp_alloc *alloc,
                           const struct trp_intake_opts *opts, struct trp_sched *s,
                           struct trp_lock *lock);
void trp_intake_deinit(struct trp_intake *in);

/* How many runs of a version may go on at once (0: no limit): a backend that cannot run twice at
 * once has one slot, so that no thread waits inside it.  place: where its calls stand, which is
 * made by the first of them, in the version's arena: it goes when the version goes, which every
 * call in here prevents.
 *   Owns  : borrowed from the version.
 *   Thread: owner, under the queue's lock (place); any (slots).
 *   Errors: place: NULL without memory. */
uint32_t trp_intake_slots(const struct trp_version *v);
struct trp_lines *trp_intake_place(struct trp_version *v);

/* Queues one call, or refuses it.
 *   Units : now_ns monotonic.
 *   Owns  : moves the call, unless it is refused; and *out_shed (NULL: none) back to the caller,
 *           which has left the queue for it and is to be answered; its words are in its error.
 *   Thread: owner, under the queue's lock.
 *   Cost  : O(log n) amortised, no allocation but for a version's first call.
 *   Errors: in call->error as well: QUEUE_FULL, UNAVAILABLE (it cannot be answered in time), both
 *           with the time to come back; OUT_OF_MEMORY. */
trp_status trp_intake_push(struct trp_intake *in, struct trp_sched *s, struct trp_call *call,
                           int64_t now_ns, struct trp_call **out_shed);

/* Tells when an executor's run is likely to end, which begins now, of calls that were taken
 * together; and that it has ended, which shows how long runs take where others want the processors
 * too.
 *   Units : now_ns monotonic.
 *   Owns  : nothing.
 *   Thread: executor, the index's.
 *   Errors: none. */
void trp_intake_tell_run(struct trp_intake *in, uint32_t executor, const struct trp_call *calls,
                         int64_t now_ns);
void trp_intake_tell_end(struct trp_intake *in, uint32_t executor, int64_t now_ns);

/* Tells how busy a version is, and when a run of one row would begin whose call came now: of class
 * normal, nobody's in particular and without a deadline.
 *   Units : ns; now_ns monotonic.
 *   Owns  : copied.
 *   Thread: owner, under the queue's lock.
 *   Cost  : O(1), no allocation.
 *   Errors: none. */
struct trp_intake_load {
    uint32_t queued, running; /* calls; runs on executors */
    int64_t wait_ns;
};
void trp_intake_look(const struct trp_intake *in, const struct trp_sched *s,
                     const struct trp_version *v, int64_t now_ns, struct trp_intake_load *out);

#endif
