/* exec/admission.h - whether a run may begin, for the memory that it will hold.
 * Answers "is there room for this run, now or ever?".  What runs of a model hold is learned, and
 * reserved before the next one (memory/headroom.h); tiny runs ask nobody. */
#ifndef TRP_ADMISSION_H
#define TRP_ADMISSION_H

#include "call/call.h"
#include "memory/headroom.h"
#include "obs/metrics.h"

struct trp_version;

struct trp_admission {
    struct trp_headrooms *headrooms; /* NULL, as no admission at all: every run may begin */
    struct trp_ledger *ledger;       /* theirs */
    int64_t wait_ns;                 /* longest that a call waits for room */
};

/* A run that is to begin. */
struct trp_admission_wish {
    uint64_t size;        /* bytes of its inputs */
    bool is_part;         /* it is one of the parts of a run */
    bool is_try;          /* without room there is less of it */
    uint64_t least_bytes; /* that it is known to hold; 0: not known */
    uint64_t kept_bytes;  /* what the parts before it have left, and it does not count */
};

/* What an admitted run holds. */
struct trp_admitted {
    struct trp_headroom_pass pass;
    uint64_t size;           /* bytes of its inputs */
    uint64_t bytes_max;      /* what it may hold; 0: as the place says */
    struct trp_amounts need; /* not DONE: what was short */
    bool is_hopeless;        /* NEVER: not because it has waited for too long */
};

/* ---- any run of a version ---- */

/* Asks for room for a run.  NOT_NOW: whoever can make room is to be told
 * (trp_admission_ask_room()), and it is to be asked again after the ledger's next word.
 *   Units : bytes; now_ns monotonic.
 *   Owns  : trp_admission_end() takes `out` back after DONE.
 *   Thread: any that holds no lock.
 *   Blocks: never for long.
 *   Errors: none; trp_admission_refuse() has the words. */
enum trp_reserve trp_admission_ask(const struct trp_admission *a, struct trp_version *v,
                                   const struct trp_admission_wish *wish, int64_t now_ns,
                                   struct trp_admitted *out);

/* Ends the run, and learns what it held at most (0: not known).
 *   Units : bytes.
 *   Owns  : `admitted` holds nothing afterwards.
 *   Thread: any that holds no lock.
 *   Errors: none. */
void trp_admission_end(const struct trp_admission *a, struct trp_version *v,
                       struct trp_admitted *admitted, uint64_t peak_bytes);

/* Says with numbers that there is no room, now or ever, for what was asked for.
 *   Owns  : as trp_fail().
 *   Thread: any that holds no lock.
 *   Errors: returns OVER_BUDGET. */
trp_status trp_admission_refuse(const struct trp_admission *a, const struct trp_version *v,
                                const struct trp_admitted *asked, struct trp_error *err);

/* Tells whoever can make room what is short.  After the call was put aside: until then its model is
 * busy, and cannot leave for another's run.
 *   Owns  : nothing.
 *   Thread: any that holds no lock.
 *   Errors: none. */
void trp_admission_ask_room(const struct trp_admission *a, const struct trp_admitted *asked);

/* ---- a call's ---- */

/* Whether a call's run is known to be so small that nobody is asked.
 *   Owns  : nothing.
 *   Thread: any, the one that holds the call.
 *   Cost  : O(inputs).
 *   Errors: none. */
bool trp_admission_is_free(const struct trp_admission *a, const struct trp_call *call);

/* As trp_admission_ask(), for a call's run or a part of it, but NEVER also when the call has waited
 * for too long, and with the words in the call.
 *   Units : now_ns monotonic.
 *   Owns  : trp_admission_end_call() takes `out` back after DONE.
 *   Thread: any that holds the call and no lock.
 *   Blocks: never for long.
 *   Errors: in call->error: OVER_BUDGET. */
enum trp_reserve trp_admission_begin(const struct trp_admission *a, struct trp_call *call,
                                     const struct trp_admission_wish *wish,
                                     struct trp_metrics_shard *metrics, int64_t now_ns,
                                     struct trp_admitted *out);
void trp_admission_end_call(const struct trp_admission *a, struct trp_call *call,
                            struct trp_admitted *admitted);

/* As trp_admission_begin() of a whole run that can be made smaller: false when there is no room
 * now, and nobody is told.
 *   Units : now_ns monotonic.
 *   Owns  : trp_admission_end_call() takes `out` back after true.
 *   Thread: any that holds the call and no lock.
 *   Errors: none. */
bool trp_admission_try(const struct trp_admission *a, struct trp_call *call, int64_t now_ns,
                       struct trp_admitted *out);

/* Ends a run, or a part of one, that asked for more than it was given (trp_run_try()).  True: it
 * begins again at once, and asks for call->run_peak_bytes; false: it asked for what was expected,
 * and others of its model have that; so it waits for a word.
 *   Units : kept_bytes: as in the wish.
 *   Owns  : as trp_admission_end_call().
 *   Thread: any that holds the call and no lock.
 *   Errors: none. */
bool trp_admission_fell_short(const struct trp_admission *a, struct trp_call *call,
                              struct trp_admitted *admitted, uint64_t kept_bytes);

#endif
