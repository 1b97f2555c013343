/* exec/sequencer.h - the sequences of one version, while they are open.
 * Answers "when may a request of a sequence begin, and with which state?".  The room in front of
 * the queue: a request of a sequence waits here until those before it have been answered, then it
 * goes on as any other call.  Which one is next says sched/sequences.h; what is added to it and
 * kept of it, exec/sequence_tensors.h.
 *
 *   loop: enter ──its turn──► given its state ──► the turn of its loop ... done ──► state taken back ──► the next one
 *            └──waits──► cancelled: remove                                             └── home to its loop, by mail
 *
 *  1. Of a sequence one call at a time is out of here; the lock is not held while anything is
 *     called.
 *  2. An open sequence holds its version, and counts in stats->in_flight: the version is busy, and
 *     stays open.
 *  3. A version that was replaced keeps its open sequences: the one that came after it knows
 *     where they are. */
#ifndef TRP_SEQUENCER_H
#define TRP_SEQUENCER_H

#include "base/loop.h"
#include "call/call.h"
#include "model/version.h"
#include "obs/metrics.h"

struct trp_sequencer; /* counted */

struct trp_sequencer_opts {
    struct trp_loop *control; /* has the timer */
    struct trp_metrics *metrics;
    uint32_t slots_n; /* sequences that may be under way at once; 0: no limit but the next */
    uint32_t open_max, calls_max; /* sequences; calls that wait */
    int64_t idle_ns;              /* without a request */
    uint64_t seed;
    /* Takes a call on that is inside its version's door; on the call's loop. */
    void (*collect)(void *runner, struct trp_call *call);
};

/* Makes one without sequences, with one reference, for a version that is being loaded.
 *   Owns  : counted; opts copied; the version is borrowed while one is open, else not touched.
 *   Thread: loader (create), any.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_sequencer_create(const struct trp_alloc *alloc, struct trp_version *v,
                                const struct trp_sequencer_opts *opts,
                                struct trp_sequencer **out_sequencer, struct trp_error *err);
void trp_sequencer_ref(struct trp_sequencer *s);
void trp_sequencer_unref(struct trp_sequencer *s); /* accepts NULL */

enum trp_sequencer_enter {
    TRP_SEQUENCER_TAKEN,
    TRP_SEQUENCER_REFUSED,  /* with words in call->error */
    TRP_SEQUENCER_ELSEWHERE /* its sequence is open at a version before: it is pinned to that,
                             * unbound, and to be started there */
};

/* Takes a bound call on that is inside its version's door.
 *   Owns  : TAKEN moves the call, which comes back through its `done`.
 *   Thread: loop.
 *   Blocks: never for long.
 *   Errors: in call->error: INVALID_ARGUMENT (no id, an unknown sequence, more than one row),
 *           QUEUE_FULL, OUT_OF_MEMORY, UNAVAILABLE (closed). */
enum trp_sequencer_enter trp_sequencer_enter(struct trp_sequencer *s, struct trp_call *call);

/* Takes a call out that waits for its turn, if it is still there.
 *   Owns  : moves the call to the caller, who settles it.
 *   Thread: loop, the call's.
 *   Errors: false: it is not there any more. */
bool trp_sequencer_remove(struct trp_sequencer *s, struct trp_call *call);

/* Says which one its version's successor may ask for sequences that began before it.
 *   Owns  : moves a reference of `before`, which may be NULL.
 *   Thread: control; before the version is published.
 *   Errors: none. */
void trp_sequencer_follow(struct trp_sequencer *s, struct trp_sequencer *before);

/* Changes how many sequences may be under way at once (0: no limit).
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_sequencer_resize(struct trp_sequencer *s, uint32_t slots_n);

/* Ends all sequences, now or with their running call, and lets none begin.
 *   Owns  : waiting calls are answered on their loops.
 *   Thread: control.
 *   Errors: none; a second time nothing happens. */
void trp_sequencer_close(struct trp_sequencer *s);

/* The same for it and all that came before it, whose sequences nobody can reach any more; accepts
 * NULL.
 *   Owns  : as trp_sequencer_close(), and moves the reference.
 *   Thread: control.
 *   Errors: none. */
void trp_sequencer_forget(struct trp_sequencer *s);

#endif
