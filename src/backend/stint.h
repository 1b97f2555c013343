/* backend/stint.h - one worker process, from its start to its end.
 * Answers "who talks to it, and what has it in hand?".  A worker that ends and is started again is
 * two stints.  Counted: the minder, each run and each output that was not given back keep it,
 * and with it the memory that is shared. */
#ifndef TRP_STINT_H
#define TRP_STINT_H

#include "backend/worker_frame.h"
#include "base/child.h"
#include "tensor/commons.h"
#include "troupe/backend.h"

struct trp_stint {
    struct trp_refs refs;
    struct trp_child child; /* the minder's */
    pid_t pid;
    int control;
    struct trp_yard yard;        /* the server's */
    struct trp_shm theirs;       /* the worker's yard, as this process sees it */
    struct trp_commons *commons; /* may be NULL */
    bool sees_commons;           /* the worker said so; constant once runs come */
    int peer;                    /* the worker's end, until it has it */
    struct trp_lock lock;        /* what follows */
    struct trp_signal changed;
    int idle[TRP_WORKER_LANES_MAX]; /* lanes that nobody uses */
    uint32_t idle_n, lanes_n;
    bool is_over; /* no run begins, and it is known how it ended */
    char words[TRP_CHILD_WORDS_MAX];
    uint64_t released[TRP_WORKER_RELEASES_MAX], released_bytes;
    uint32_t released_n;
    struct trp_lock kept_lock; /* what follows */
    const struct troupe_account *payer;
    uint64_t kept_bytes; /* it is charged with */
    uint64_t refused;    /* how often it has said that its yard had no room */
    bool pays_nothing;   /* it is over */
};

/* Makes what both need, and starts `program` with it; nothing is said yet.  Without commons (NULL,
 * or they are not open) all inputs are copied.
 *   Units : yard_bytes: addresses of each of the two yards, of which memory is taken as it is
 *           written to; 0: 64 GiB.
 *   Owns  : counted; the caller has the first.  It ends it by trp_stint_end().  `commons` is
 *           borrowed until the last one is given back.
 *   Thread: owner: the one that minds it; when that ends, so does the process.
 *   Errors: as trp_child_start(), trp_shm_create(). */
trp_status trp_stint_begin(const char *const *argv, const char *program,
                           struct trp_commons *commons, uint64_t yard_bytes,
                           struct trp_stint **out_stint, struct trp_error *err);
void trp_stint_ref(struct trp_stint *s);
void trp_stint_unref(struct trp_stint *s); /* accepts NULL */

/* Hands it both yards and the commons, with an order.
 *   Owns  : copied.
 *   Thread: owner.
 *   Errors: UNAVAILABLE: it has gone, OUT_OF_MEMORY. */
trp_status trp_stint_order(struct trp_stint *s, struct trp_str order, struct trp_error *err);

/* Tells it to end, kills it if it does not within `wait_ns`, and says how it ended to all who wait
 * for that.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Blocks: until it has ended.
 *   Errors: none. */
void trp_stint_end(struct trp_stint *s, int64_t wait_ns);

/* A lane for one run, and back; `is_broken`: it said that the other one is gone.
 *   Owns  : the caller gives it back.
 *   Thread: any.
 *   Blocks: while all are in use.
 *   Errors: -1: it is over, or is about to be. */
int trp_stint_take_lane(struct trp_stint *s);
void trp_stint_give_lane(struct trp_stint *s, int lane, bool is_broken);

/* How it ended, once it has.
 *   Owns  : copied.
 *   Thread: any.
 *   Blocks: until it has ended; it is told to, because whoever asks was told on a lane that it has.
 *   Errors: none. */
void trp_stint_wait_end(struct trp_stint *s, char out_words[TRP_CHILD_WORDS_MAX]);

/* Charges an account (NULL: the one that it was last) with what runs hold there, instead of what it
 * was charged with before.
 *   Units : bytes.
 *   Owns  : `payer` is borrowed until the stint ends.
 *   Thread: any.
 *   Errors: false: the account refuses; it is charged with nothing more then. */
bool trp_stint_charge(struct trp_stint *s, const struct troupe_account *payer, uint64_t bytes);

/* Notes how often its yard has had no room so far, as it says after each run: by how much that is
 * more than anybody knew.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
uint64_t trp_stint_note_refused(struct trp_stint *s, uint64_t refused);

/* Orders without an answer.  Outputs go back with the next run, or at once when there are many, or
 * with a trim.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none: one that has ended holds nothing. */
void trp_stint_cancel(struct trp_stint *s, uint64_t run_id);
void trp_stint_release(struct trp_stint *s, uint64_t token, uint64_t bytes);
uint32_t trp_stint_take_releases(struct trp_stint *s, uint64_t out[TRP_WORKER_RELEASES_MAX]);
void trp_stint_trim(struct trp_stint *s);

#endif
