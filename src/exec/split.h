/* exec/split.h - a run that is too large for the budget, done in parts.
 * Answers "can it be answered row by row?".  Where the configuration says max_batch_size, rows do
 * not know of each other (that is Triton's promise), nor where that was found out (exec/batch.h): a
 * run that would not fit if everybody else went is cut by rows into parts that do, which run one
 * after the other, each with room of its own, and their outputs are joined in order.
 *
 *  1. Inputs are not copied; outputs are, once, into one buffer, which counts as the model's until
 *     the reply is out.
 *  2. Between two parts the call may wait in the queue like any other; how far it has come stands
 *     in the call.
 *  3. Parts are halved until one can fit; what parts have held is learned, so the next such run
 *     begins with the right size. */
#ifndef TRP_SPLIT_H
#define TRP_SPLIT_H

#include "exec/admission.h"
#include "exec/run.h"

/* Begins, for a call that can never fit as a whole.
 *   Shape : every input that was sent is [rows, ...] with rows >= 2; neither it nor an output that
 *           is wanted is of BYTES.
 *   Owns  : call->split lies in the call's arena.
 *   Thread: any, the one that holds the call.
 *   Errors: false: it cannot be done in parts; the call is as it was. */
bool trp_split_begin(struct trp_call *call);

/* Asks for room for the next part, as trp_admission_begin() does for a whole run; smaller parts are
 * tried before NEVER is said, which it is without words when the call was cancelled, or is too
 * late.
 *   Units : now_ns monotonic.
 *   Owns  : trp_split_run() takes `out` back after DONE.
 *   Thread: any that holds the call and no lock.
 *   Errors: in call->error: OVER_BUDGET. */
enum trp_reserve trp_split_ask(const struct trp_run_place *p, struct trp_call *call, int64_t now_ns,
                               struct trp_admitted *out);

enum trp_split_end {
    TRP_SPLIT_DONE,    /* the call has ended and is settled */
    TRP_SPLIT_GOES_ON, /* there is more to ask for and to run */
    TRP_SPLIT_WAITS /* the part was refused what was expected of it: it is asked for again after the
                     * ledger's next word */
};

/* Runs the part that was asked for.
 *   Owns  : `room` holds nothing afterwards; the outputs are the call's.
 *   Thread: any that holds the call and no lock.
 *   Blocks: as long as the part runs.
 *   Errors: after DONE in call->error: as trp_run_call(), and OVER_BUDGET when the outputs have no
 *           row for each row of the inputs. */
enum trp_split_end trp_split_run(const struct trp_run_place *p, struct trp_call *call,
                                 struct trp_admitted *room);

/* Whether something of it has been done; forgets all of that.
 *   Owns  : outputs are given back.
 *   Thread: any, the one that holds the call.
 *   Errors: none. */
bool trp_split_is_under_way(const struct trp_call *call);
void trp_split_drop(struct trp_call *call);

#endif
