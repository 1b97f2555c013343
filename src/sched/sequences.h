/* sched/sequences.h - the sequences of one model, and the requests that each has waiting.
 * Answers "may this request of a sequence run now, and which one is next?".  A sequence has an id,
 * begins with a request that says so and ends with one that says so; its requests run one at a
 * time, in the order in which they came.  So many sequences have a slot; others wait for one, in
 * the order in which they began.  Pure: the owner brings the time, the memory and the lock.
 *
 *                  start, a slot is free                      end, or idle for too long
 *   unknown ──────────────────────────────────► has a slot ───────────────────────────► unknown
 *      │ start, none is                             ▲                                      ▲
 *      └───────────────────► in the backlog ────────┘ a slot came free                     │
 *                                   └──────────────────────────────────────────────────────┘ all it had was cancelled
 *
 *  1. Of a sequence at most one call is running; who was told to run it says when that has ended.
 *  2. A start in an open sequence begins it anew, behind what came before it.
 *  3. A call that waits here is linked by its queue_node; call->queue is its sequence. */
#ifndef TRP_SEQUENCES_H
#define TRP_SEQUENCES_H

#include "call/call_list.h"

struct trp_sequence_id {
    uint64_t number; /* counts when `text` is empty; 0 and an empty text: none */
    struct trp_str text;
};

/* The owner's memory; it sets `id`, all else is zero when it is lent. */
struct trp_sequence {
    struct trp_sequence_id id;
    uint64_t hash;
    struct trp_sequence *same_bucket;
    struct trp_sequence *next, *prev; /* in the backlog, or among those that are idle */
    struct trp_queue_chain calls;     /* that wait */
    int64_t idle_since_ns;
    bool is_open, has_slot;
    bool is_running, running_ends; /* a call of it is; it is the last one */
    bool is_ending;                /* the last call that came ends it */
    bool begins_anew;              /* the next call that comes: a start was taken back */
};

struct trp_sequence_row {
    struct trp_sequence *first, *last;
};

#define TRP_SEQUENCE_BUCKETS 256u
struct trp_sequences {
    struct trp_sequence *buckets[TRP_SEQUENCE_BUCKETS];
    struct trp_sequence_row idle, backlog; /* the one that waits longest first */
    uint32_t slots_n, open_max, calls_max; /* slots_n 0: no limit but open_max */
    uint32_t open_n, slots_taken, backlog_n, held_n;
    int64_t idle_ns; /* a sequence may be without a request for so long */
    uint64_t seed;
};

enum trp_sequence_push {
    TRP_SEQUENCE_RUNS,     /* it is its sequence's running call now */
    TRP_SEQUENCE_HELD,     /* it waits for its turn, or its sequence for a slot */
    TRP_SEQUENCE_NEW,      /* it begins a sequence: push it again with memory for that */
    TRP_SEQUENCE_UNKNOWN,  /* no such sequence is open, and it does not begin one */
    TRP_SEQUENCE_TOO_MANY, /* sequences are open */
    TRP_SEQUENCE_FULL      /* too many calls wait */
};

/* Whether two ids are one; what a call says of its sequence.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
bool trp_sequence_id_is_equal(const struct trp_sequence_id *a, const struct trp_sequence_id *b);
static inline struct trp_sequence_id trp_sequence_id_of(const struct trp_call *call)
{
    return (struct trp_sequence_id){ call->sequence_number, call->sequence_text };
}
static inline bool trp_sequence_id_is_none(const struct trp_sequence_id *id)
{
    return id->number == 0 && id->text.len == 0;
}

/* The open sequence with an id.
 *   Owns  : borrowed.
 *   Thread: owner.
 *   Cost  : O(open sequences / TRP_SEQUENCE_BUCKETS).
 *   Errors: NULL: none is open. */
struct trp_sequence *trp_sequences_find(const struct trp_sequences *t,
                                        const struct trp_sequence_id *id);

/* Takes a call on.
 *   Owns  : HELD moves the call here; *inout_memory, if it is given, moves here when it is taken
 *           (it is NULL then). *out_sequence is the call's, after RUNS and HELD.
 *   Thread: owner.
 *   Cost  : as trp_sequences_find().
 *   Errors: none; see enum trp_sequence_push. */
enum trp_sequence_push trp_sequences_push(struct trp_sequences *t, struct trp_call *call,
                                          struct trp_sequence **inout_memory,
                                          struct trp_sequence **out_sequence);

/* What follows from an end. */
struct trp_sequence_step {
    struct trp_call_list ready; /* calls that are their sequences' running ones now */
    struct trp_sequence *gone;  /* it is not open any more */
};

/* The running call of a sequence has ended: the next one may run, or it is idle, or over and
 * another has its slot.
 *   Units : now_ns monotonic.
 *   Owns  : moves the ready calls, and the sequence that has gone, to the caller.
 *   Thread: owner.
 *   Errors: none. */
void trp_sequences_end(struct trp_sequences *t, struct trp_sequence *s, int64_t now_ns,
                       struct trp_sequence_step *out);

/* Takes a call back that waits.  A sequence that waits for a slot and has nothing else to do is
 * gone with it.
 *   Units : now_ns monotonic.
 *   Owns  : as trp_sequences_end(); the call moves to the caller.
 *   Thread: owner.
 *   Errors: none. */
void trp_sequences_remove(struct trp_sequences *t, struct trp_call *call, int64_t now_ns,
                          struct trp_sequence_step *out);

/* Ends one sequence that has been idle for too long; when the next one will have been (0: none is
 * idle).
 *   Units : ns, monotonic.
 *   Owns  : as trp_sequences_end().
 *   Thread: owner.
 *   Errors: false: there is none. */
bool trp_sequences_expire(struct trp_sequences *t, int64_t now_ns, struct trp_sequence_step *out);
int64_t trp_sequences_due_ns(const struct trp_sequences *t);

/* Changes the number of slots (0: no limit): who waits for one gets it at once, nobody loses one.
 *   Owns  : as trp_sequences_end().
 *   Thread: owner.
 *   Errors: none. */
void trp_sequences_resize(struct trp_sequences *t, uint32_t slots_n, struct trp_sequence_step *out);

/* Ends any sequence that has no running call, whose waiting calls come out as refused; those with
 * one are ending from now on.
 *   Owns  : moves the calls and the sequence that has gone to the caller.
 *   Thread: owner.
 *   Errors: false: there is none left to do this to; *out_refused may have got calls all the
 *           same. */
bool trp_sequences_drop(struct trp_sequences *t, struct trp_call_list *out_refused,
                        struct trp_sequence **out_gone);

#endif
