/* exec/run.h - one call meets the backend.
 * Answers "what happens while it runs?".  The same for a loop and for an executor; who calls
 * says where. */
#ifndef TRP_RUN_H
#define TRP_RUN_H

#include "base/clock.h"
#include "call/call.h"
#include "obs/metrics.h"

struct trp_admission;
struct trp_fanout;

struct trp_run_place {
    const struct trp_admission *admission; /* whoever begins a run asks it; NULL: nobody is asked */
    const struct trp_clock *clock;
    int64_t (*waited_ns)(void);        /* as trp_thread_waited_ns(); NULL: not known */
    struct trp_metrics_shard *metrics; /* of the thread */
    enum trp_metric runs;              /* which counter: on a loop, or on an executor */
    uint64_t output_bytes_max, run_bytes_max;
    struct trp_commons *commons; /* where models in processes of their own can look; may be NULL */
    struct trp_fanout *fanout;   /* who may do parts of a run elsewhere; NULL: nobody */
};

/* Runs a bound call whose target is a READY version, learns what it cost, and settles it.  A call
 * that was cancelled, or whose deadline has passed, is settled without a run.
 *   Shape : call->inputs as bound; call->outputs gets one entry per call->wanted.
 *   Units : now_ns monotonic; returns the time when the run had ended.
 *   Owns  : the call stays the caller's, who finishes it.
 *   Thread: any, the one that holds the call.
 *   Blocks: as long as the model runs.
 *   Errors: in call->error: the backend's with the model in front, INVALID_ARGUMENT (a shared
 *           memory region is too small), TOO_LARGE, OUT_OF_MEMORY, and those of
 *           trp_run_settle(). */
int64_t trp_run_call(const struct trp_run_place *p, struct trp_call *call, int64_t now_ns);

/* As trp_run_call(), with less memory: false when the run asked for more than `bytes_max`, and the
 * place would have allowed more. Then nothing has happened: no outputs, no error, the call is not
 * settled; call->run_peak_bytes is what it would have held at least.
 *   Units : bytes; *now_ns monotonic, before and after.
 *   Owns  : as trp_run_call().
 *   Thread: any, the one that holds the call.
 *   Blocks: as long as the model runs.
 *   Errors: as trp_run_call(). */
bool trp_run_try(const struct trp_run_place *p, struct trp_call *call, uint64_t bytes_max,
                 int64_t *now_ns);

/* Rows of a call's inputs. */
struct trp_run_slice {
    int64_t first, count, all; /* count >= 1 */
};

/* As trp_run_try(), of some rows of a call's inputs, and nothing else: nothing is counted, settled
 * or put into shared memory.
 *   Shape : inputs of [all, ...], none of BYTES; outputs: one per call->wanted, as the model gives
 *           them for so many rows.
 *   Owns  : outputs are the caller's after success.
 *   Thread: any, the one that holds the call.
 *   Blocks: as long as the model runs.
 *   Errors: after true in call->error, as trp_run_call(). */
bool trp_run_part(const struct trp_run_place *p, struct trp_call *call,
                  const struct trp_run_slice *rows, uint64_t bytes_max,
                  struct troupe_tensor *outputs);

/* As trp_run_try(), of a call that is a part of another: nothing is counted, settled, or put where
 * it was not written; memory that its `wanted` names is offered to the backend.
 *   Units : bytes.
 *   Owns  : as trp_run_call().
 *   Thread: any, the one that holds the call.
 *   Blocks: as long as the model runs.
 *   Errors: after true in call->error, the backend's. */
bool trp_run_piece(const struct trp_run_place *p, struct trp_call *call, uint64_t bytes_max);

/* The steps around it: makes call->outputs, one without data for each that is wanted (outputs_n is
 * the caller's); counts a run that went well, by its stamps, without the time that it did not have
 * a processor.  learn: only what it cost, not that it was.
 *   Units : ns.
 *   Owns  : pieces lie in the call's arena.
 *   Thread: any, the one that holds the call.
 *   Errors: in call->error: OUT_OF_MEMORY (make_outputs). */
trp_status trp_run_make_outputs(struct trp_call *call);
void trp_run_count(struct trp_call *call, int64_t waited_ns);
void trp_run_learn(const struct trp_call *call, int64_t waited_ns);

/* The two halves of a run of several calls together (exec/batch.h).  joint: as trp_run_try(), for
 * the call that stands for all of them: one run of `rows` rows, which nobody waits for, so it is
 * not settled.  share: ends one of them, whose outputs are views of the joint ones by now.
 *   Units : as trp_run_try().
 *   Owns  : the calls stay the caller's, who finishes them.
 *   Thread: any, the one that holds the calls.
 *   Blocks: joint: as long as the model runs.
 *   Errors: joint: as trp_run_try(), in joint->error; share: in call->error. */
bool trp_run_joint(const struct trp_run_place *p, struct trp_call *joint, uint64_t rows,
                   uint64_t bytes_max, int64_t *now_ns);
void trp_run_share(const struct trp_run_place *p, const struct trp_call *joint,
                   struct trp_call *call);

/* Ends a call for exec, once: decides its outcome, and writes the words when somebody else has
 * decided before.
 *   Owns  : the call stays the caller's, who finishes it.
 *   Thread: any, the one that holds the call.
 *   Errors: in call->error: what stands there, or CANCELLED, DEADLINE_EXCEEDED. */
void trp_run_settle(struct trp_call *call);

/* Ends a call that was never started on its target: as trp_run_settle(), but nobody counted it as
 * in flight.
 *   Owns  : the call stays the caller's, who finishes it.
 *   Thread: any, the one that holds the call.
 *   Errors: as trp_run_settle(). */
void trp_run_refuse(struct trp_call *call);

/* Bytes of all inputs; what their run will likely cost (0: not known); what it counts for in
 * Triton's statistics: its rows when max_batch_size says that it has some, else 1.
 *   Units : bytes; ns; rows.
 *   Owns  : nothing.
 *   Thread: any, the one that holds the call.
 *   Errors: none. */
uint64_t trp_run_input_bytes(const struct trp_call *call);
int64_t trp_run_cost_ns(const struct trp_call *call);
uint64_t trp_run_rows(const struct trp_call *call);

#endif
