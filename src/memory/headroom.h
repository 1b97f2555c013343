/* memory/headroom.h - room for the runs of each model.
 * Answers "may this run begin?": what it will hold at most is estimated from what runs like it have
 * held (memory/peaks.h) and reserved in the ledger before it begins.
 *
 *  1. A model has one hold in the ledger for all of its runs together.  It is never less than what
 *     is expected of the runs that are under way, nor than what the model's account holds: what a
 *     backend keeps between runs, and outputs on their way to a client, count until they are freed.
 *     So a run that finds the memory of the last one still there needs no more room.
 *  2. Runs whose inputs are as small as those of runs that held less than `small_bytes` ask nobody:
 *     two loads and a comparison.  So many bytes for each thread that runs models are not counted.
 *  3. Who does not fit now is told so; after `patience_ns` nobody else whose hold would have to
 *     grow passes the one that waits longest.
 *  4. What a model's account holds passes its hold by what small runs may take, and no further:
 *     memory that was not expected is reserved at the moment when it is taken, or refused.  It is
 *     not enough to reserve before: what a backend keeps is not always what the next run can use.
 *  5. What was learned of a model outlives it: whoever comes with the same key goes on from there
 *     (memory/recollection.h).
 *  6. Room is asked for with what a run needs beside its own model's weights: what does not fit
 *     beside these, if everybody else went, will NEVER fit. */
#ifndef TRP_HEADROOM_H
#define TRP_HEADROOM_H

#include "memory/account.h"
#include "memory/ledger.h"
#include "memory/peaks.h"

struct trp_headrooms;
struct trp_headroom_book;

/* A model's; zero is a model that has not run. */
struct trp_headroom {
    struct trp_counter small_size; /* inputs of at most so many bytes ask nobody */
    uint64_t
        key; /* tells its files from others'; set before its first run; 0: it is not remembered */
    struct trp_headroom_book *book;
};

struct trp_headrooms_opts {
    struct trp_ledger *ledger;
    uint64_t small_bytes;
    int64_t patience_ns;
    uint32_t remembered_max; /* models that have gone */
};

/* Makes the books of all models.
 *   Units : bytes; ns.
 *   Owns  : the caller destroys, after each model's was closed; `ledger` is borrowed.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_headrooms_create(const struct trp_alloc *alloc,
                                const struct trp_headrooms_opts *opts,
                                struct trp_headrooms **out_all, struct trp_error *err);
void trp_headrooms_destroy(struct trp_headrooms *all); /* NULL is allowed */

/* What a run asks. */
struct trp_headroom_ask {
    struct trp_account *account; /* the model's, which the run's memory is charged to */
    uint64_t size;               /* of its inputs, in bytes; what memory grows with */
    uint64_t guess_bytes;        /* what it may hold, when no run has told yet */
    uint64_t beside_bytes;       /* what has to be in memory with it: the model's weights */
    int64_t now_ns;              /* monotonic */
    bool is_part;                /* of a run that does not fit: see trp_peaks_hope() */
    bool is_try;                 /* who is told NOT_NOW does with less: it does not wait */
    uint64_t least_bytes;        /* it is known to hold more than is learned */
    uint64_t kept_bytes;         /* what it has already, in the account, and keeps while it runs */
};

/* For so long who waits longest keeps its place in memory.  Then it may be told to leave like
 * others whose runs only wait: what it waits for may be held by whoever waits for its going. */
#define TRP_HEADROOM_FIRST_NS INT64_C(10000000000)

/* What a run was given; zero is nothing. */
struct trp_headroom_pass {
    uint64_t bytes;
    bool is_counted;
    bool ends_wait; /* it was the one that waited longest: the others may be tried again */
    bool is_short;  /* set by whoever ends it: it was refused what it wanted, and has given all
                   * back */
    bool is_first;  /* not given anything yet, and nobody waits longer; for TRP_HEADROOM_FIRST_NS
                   * only */
};

/* Whether runs with inputs of `size` bytes ask nobody.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : one load.
 *   Errors: none. */
static inline bool trp_headroom_is_small(const struct trp_headroom *h, uint64_t size)
{
    return size <= trp_counter_get(&h->small_size) && size > 0;
}

/* Begins a run; on DONE the pass has its room.  Otherwise *out_need is what was short.  Without
 * memory for the model's book the run begins uncounted.
 *   Owns  : trp_headroom_end() takes the pass back; `account` is borrowed until close.
 *   Thread: any that holds no lock: the ledger's listeners may be told.
 *   Blocks: never for long: a lock, and the ledger's.
 *   Cost  : O(points of peaks); O(models that have run) when there is no room.
 *   Errors: none; see enum trp_reserve. */
enum trp_reserve trp_headroom_begin(struct trp_headrooms *all, struct trp_headroom *h,
                                    const struct trp_headroom_ask *ask,
                                    struct trp_headroom_pass *pass, struct trp_amounts *out_need);

/* Ends it, and learns what it held at most (0: not known).
 *   Units : as trp_headroom_begin(); bytes.
 *   Owns  : `pass` holds nothing afterwards.
 *   Thread: any that holds no lock.
 *   Errors: none. */
void trp_headroom_end(struct trp_headrooms *all, struct trp_headroom *h, uint64_t size,
                      uint64_t peak_bytes, struct trp_headroom_pass *pass);

/* Learns from a run that was not asked for here (a warm-up).
 *   Units : bytes.
 *   Owns  : `account` is borrowed until close.
 *   Thread: any.
 *   Errors: none; without memory nothing is learned. */
void trp_headroom_learn(struct trp_headrooms *all, struct trp_headroom *h,
                        struct trp_account *account, uint64_t size, uint64_t peak_bytes);

/* Gives back what holds have more than their models' accounts and runs: after memory was freed
 * somewhere else.
 *   Owns  : nothing.
 *   Thread: any that holds no lock.
 *   Cost  : O(models that have run).
 *   Errors: none. */
void trp_headrooms_refresh(struct trp_headrooms *all);

/* Bytes of all models: held in the ledger; held by their accounts; expected of runs under way.
 *   Units : bytes.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : O(models that have run).
 *   Errors: none. */
struct trp_headrooms_seen {
    uint64_t held_bytes, account_bytes, running_bytes;
};
struct trp_headrooms_seen trp_headrooms_look(struct trp_headrooms *all);

/* Ends a model's: nothing runs any more.  What its account still holds is nobody's.
 *   Owns  : frees what it has; zero afterwards.
 *   Thread: any that holds no lock.
 *   Errors: none. */
void trp_headroom_close(struct trp_headroom *h);

#endif
