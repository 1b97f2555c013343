/* memory/account.h - bytes in somebody's name.
 * Answers "who holds how much?".  An account is a `trp_alloc` that counts and may refuse; it nests,
 * so that one model's private weights also count for the process. */
#ifndef TRP_ACCOUNT_H
#define TRP_ACCOUNT_H

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/status.h"
#include "troupe/backend.h"

enum trp_account_kind {
    TRP_ACCOUNT_REQUEST,     /* bodies, replies */
    TRP_ACCOUNT_ACTIVATIONS, /* a run's memory and outputs */
    TRP_ACCOUNT_WEIGHTS,     /* private weights */
    TRP_ACCOUNT_SHARED,      /* shared blobs */
    TRP_ACCOUNT_BACKEND,     /* what a backend holds in no model's name */
    TRP_ACCOUNT_LISTS,       /* keys that rules ask for */
    TRP_ACCOUNT_FEEDBACK,    /* what ensembles have learned, and what they will learn from */
    TRP_ACCOUNT_KINDS
};

/* "request", "activations", "weights", "shared", "backend", "lists", "feedback".
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const char *trp_account_kind_name(enum trp_account_kind kind);

/* Asked when a charge of `bytes` would pass an account's room: true when there is more room now.
 * Called by whoever charges, inside of a run: takes locks of its own at most, and never waits. */
typedef bool (*trp_account_more_fn)(void *user, uint64_t bytes);

struct trp_account {
    struct trp_alloc alloc; /* hand this out; must stay first */
    struct trp_account *parent;
    enum trp_account_kind kind;
    struct trp_counter bytes, peak, refused;
    uint64_t limit;           /* 0: none; set before use */
    struct trp_counter room;  /* while it is guarded: what may be held without asking */
    struct trp_pointer guard; /* whom `more` asks; NULL: not guarded */
    trp_account_more_fn more;
    struct troupe_account plugin; /* the same account, as a plugin sees it */
};

/* Sets up an account in the caller's storage; `parent` (may be NULL) is charged too.
 *   Units : limit in bytes; 0: none.
 *   Owns  : the caller deinits when nothing is held any more; `parent` is borrowed.
 *   Thread: any; allocation from any thread.
 *   Errors: none; trp_account_deinit() asserts that nothing is held. */
void trp_account_init(struct trp_account *a, enum trp_account_kind kind, struct trp_account *parent,
                      uint64_t limit);
void trp_account_deinit(struct trp_account *a);

/* Guards an account: who would pass `room_bytes`, or what `more` has made of it by
 * trp_account_set_room(), asks `more` first.  NULL ends that.
 *   Units : bytes.
 *   Owns  : `user` is borrowed until the end; not NULL.
 *   Thread: any; one at a time sets the guard, the same `more` each time, while others charge, and
 *           ends it when nobody does. set_room: any.
 *   Errors: none; what is held beyond the room already stays. */
void trp_account_guard(struct trp_account *a, trp_account_more_fn more, void *user,
                       uint64_t room_bytes);
void trp_account_set_room(struct trp_account *a, uint64_t bytes);

/* Charge and discharge without memory (mappings, memory that a backend reports).
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: false when a limit would be passed; nothing is charged then. */
bool trp_account_try_charge(struct trp_account *a, uint64_t bytes);
void trp_account_discharge(struct trp_account *a, uint64_t bytes);

#endif
