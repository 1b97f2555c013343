/* exec/admission.h - whether a call's run may begin, for the memory that it will hold.
 * Answers "is there room for this run, now or ever?".  What runs of a model hold is learned, and reserved before the next one
 * (memory/headroom.h); tiny runs ask nobody. */
#ifndef TRP_ADMISSION_H
#define TRP_ADMISSION_H

#include "call/call.h"
#include "memory/headroom.h"
#include "obs/metrics.h"

struct trp_admission {
    struct trp_headrooms *headrooms; /* NULL, as no admission at all: every run may begin */
    struct trp_ledger *ledger;       /* theirs */
    int64_t wait_ns;                 /* longest that a call waits for room */
};

/* What an admitted run holds. */
struct trp_admitted {
    struct trp_headroom_pass pass;
    uint64_t size;           /* bytes of its inputs */
    uint64_t bytes_max;      /* what it may hold; 0: as the place says */
    struct trp_amounts need; /* NOT_NOW: what was short */
};

/* Whether a call's run is known to be so small that nobody is asked.
 *   Owns  : nothing.
 *   Thread: any, the one that holds the call.
 *   Cost  : O(inputs).
 *   Errors: none. */
bool trp_admission_is_free(const struct trp_admission *a, const struct trp_call *call);

/* Asks for room.  NOT_NOW: the call is to be put aside, whoever can make room is to be told (trp_admission_ask_room()), and it is
 * to be tried again after the ledger's next word, until it has waited for too long: then, and when it can never fit, NEVER, with
 * the words in the call.
 *   Units : now_ns monotonic.
 *   Owns  : trp_admission_end() takes `out` back after DONE.
 *   Thread: any that holds the call and no lock.
 *   Blocks: never for long.
 *   Errors: in call->error: OVER_BUDGET. */
enum trp_reserve trp_admission_begin(const struct trp_admission *a, struct trp_call *call,
                                     struct trp_metrics_shard *metrics, int64_t now_ns,
                                     struct trp_admitted *out);
void trp_admission_end(const struct trp_admission *a, struct trp_call *call,
                       struct trp_admitted *admitted);

/* As begin(), for a run that can be made smaller: false when there is no room now, and nobody is told.
 *   Units : now_ns monotonic.
 *   Owns  : trp_admission_end() takes `out` back after true.
 *   Thread: any that holds the call and no lock.
 *   Errors: none. */
bool trp_admission_try(const struct trp_admission *a, struct trp_call *call, int64_t now_ns,
                       struct trp_admitted *out);

/* Tells whoever can make room what is short.  After the call was put aside: until then its model is busy, and cannot leave for
 * another's run.
 *   Owns  : nothing.
 *   Thread: any that holds no lock.
 *   Errors: none. */
void trp_admission_ask_room(const struct trp_admission *a, const struct trp_admitted *admitted);

/* Ends a run that asked for more than it was given (trp_run_try()).  True: it begins again at once, and asks for that much; false: it
 * asked for what was expected, and others of its model have that; so it waits for a word.
 *   Owns  : as trp_admission_end().
 *   Thread: any that holds the call and no lock.
 *   Errors: none. */
bool trp_admission_fell_short(const struct trp_admission *a, struct trp_call *call,
                              struct trp_admitted *admitted);

#endif
