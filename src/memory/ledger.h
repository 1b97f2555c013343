/* memory/ledger.h - the one budget that loads and runs share.
 * Answers "may I have this much?" for any thread, and "who is told when there is room again?".  A
 * `struct trp_budget` behind one lock, and two lists of who wants to hear:
 *
 *     run or load -> reserve --DONE--> work --> commit what was measured --> release
 *                      | NOT_NOW: the asker puts itself aside, and waits for a word
 *                      |          ask_room() tells those who can make room, with the amounts
 *                      v NEVER    refuse() has the numbers
 *
 *  1. Between two looks nobody sees the budget half changed: each call is one step under the lock.
 *  2. After somebody was told NOT_NOW, the next step that leaves more room tells every `on_room`
 *     listener, once, outside the lock.  The word may come before the asker has put itself aside:
 *     so either asking and putting aside happen under a lock that the listener takes too, or the
 *     asker asks once more when it has.
 *  3. Listeners are called by whoever gave back: they post to somebody else's mailbox or raise a
 *     flag, and never ask the ledger for anything themselves that they would have to wait for. */
#ifndef TRP_LEDGER_H
#define TRP_LEDGER_H

#include "base/alloc.h"
#include "memory/account.h"
#include "memory/budget.h"

struct trp_ledger;

struct trp_ledger_opts {
    struct trp_amounts limit; /* 0: none */
    struct trp_amounts fixed; /* held in any case; see trp_ledger_set_fixed() */
};

/* Makes a ledger with nothing in it.
 *   Owns  : the caller destroys, when nobody uses it any more and everything was given back.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_ledger_create(const struct trp_alloc *alloc, const struct trp_ledger_opts *opts,
                             struct trp_ledger **out_ledger, struct trp_error *err);
void trp_ledger_destroy(struct trp_ledger *ledger); /* NULL is allowed */

/* As trp_budget_reserve(), for any thread.
 *   Owns  : `hold` is the caller's and holds nothing before; trp_ledger_release() ends it.
 *   Thread: any; locks of lower rank may be held.
 *   Blocks: never for long: a few additions under a lock.
 *   Errors: none; see enum trp_reserve. */
enum trp_reserve trp_ledger_reserve(struct trp_ledger *ledger, struct trp_amounts need,
                                    struct trp_hold *hold);

/* As trp_budget_commit() and trp_budget_release().  `hold` may hold nothing: commit takes what is
 * there already, release does nothing.
 *   Owns  : `hold` as above.
 *   Thread: any that holds no lock: listeners are called.
 *   Blocks: as trp_ledger_reserve(), and what the listeners take.
 *   Errors: none. */
void trp_ledger_commit(struct trp_ledger *ledger, struct trp_hold *hold,
                       struct trp_amounts measured);
void trp_ledger_release(struct trp_ledger *ledger, struct trp_hold *hold);

/* As trp_ledger_commit(), for whoever holds a lock: true when listeners have to be told, by
 * trp_ledger_tell_room(), after that lock was left.
 *   Owns  : as trp_ledger_commit(); a measurement of nothing ends the hold.
 *   Thread: settle: any, locks of lower rank may be held; tell_room: as trp_ledger_commit().
 *   Errors: none. */
bool trp_ledger_settle(struct trp_ledger *ledger, struct trp_hold *hold,
                       struct trp_amounts measured);
void trp_ledger_tell_room(struct trp_ledger *ledger);

/* Moves what `extra` has to `hold`, as a commitment: nothing more and nothing less is taken.
 *   Owns  : `extra` holds nothing afterwards.
 *   Thread: any; locks of lower rank may be held.
 *   Errors: none. */
void trp_ledger_join(struct trp_ledger *ledger, struct trp_hold *hold, struct trp_hold *extra);

/* Counts what an account holds, at every step as it is then, as part of what is fixed; never less
 * than `least_bytes`, which are kept for it.  For memory that nobody reserves: bodies and replies.
 *   Units : bytes.
 *   Owns  : `account` is borrowed until the ledger is destroyed.
 *   Thread: startup, before anybody reserves; up to four.
 *   Errors: none. */
void trp_ledger_count(struct trp_ledger *ledger, const struct trp_account *account,
                      uint64_t least_bytes);

/* What is held whatever anybody reserves: the program, and what nobody accounts for.  May be more
 * than the limit; then nothing is reserved until it is less.  Counted accounts come on top of it.
 *   Owns  : nothing.
 *   Thread: any that holds no lock.
 *   Errors: none. */
void trp_ledger_set_fixed(struct trp_ledger *ledger, struct trp_amounts fixed);

/* Copies the budget as it is now.
 *   Owns  : nothing.
 *   Thread: any; locks of lower rank may be held.
 *   Errors: none. */
void trp_ledger_look(struct trp_ledger *ledger, struct trp_budget *out_budget);

/* Says with numbers why `need` is refused: by now, what is left; or, when it can never be had, what
 * could be at most.
 *   Owns  : as trp_fail().
 *   Thread: any; locks of lower rank may be held.
 *   Errors: returns OVER_BUDGET. */
trp_status trp_ledger_refuse(struct trp_ledger *ledger, struct trp_amounts need,
                             struct trp_error *err);

/* Tells every `on_short` listener that somebody waits for `need`, and would be glad of room; a need
 * of nothing: that more is used than there is.
 *   Owns  : nothing.
 *   Thread: any that holds no lock.
 *   Blocks: what the listeners take.
 *   Errors: none; nobody listening is nobody told. */
void trp_ledger_ask_room(struct trp_ledger *ledger, struct trp_amounts need);

/* Tells every `on_served` listener that whoever asked for room has it by now: what was asked for so
 * far need not be kept free any more.  Who still waits asks again after this.
 *   Owns  : nothing.
 *   Thread: any that holds no lock.
 *   Blocks: what the listeners take.
 *   Errors: none. */
void trp_ledger_tell_served(struct trp_ledger *ledger);

/* Adds a listener: to room (invariant 2), to somebody short of it, to somebody who was.  Up to four
 * of each.
 *   Owns  : `user` is borrowed until trp_ledger_forget() or the ledger's end.
 *   Thread: startup, before anybody reserves; `fn` is called by any thread, which holds no lock.
 *   Errors: none. */
typedef void (*trp_ledger_room_fn)(void *user);
typedef void (*trp_ledger_short_fn)(void *user, struct trp_amounts need);
void trp_ledger_on_room(struct trp_ledger *ledger, trp_ledger_room_fn fn, void *user);
void trp_ledger_on_short(struct trp_ledger *ledger, trp_ledger_short_fn fn, void *user);
void trp_ledger_on_served(struct trp_ledger *ledger, trp_ledger_room_fn fn, void *user);

/* Takes back all listeners with this `user`, which goes before the ledger.
 *   Owns  : `user` is borrowed no more.
 *   Thread: startup, when no other thread uses the ledger any more.
 *   Errors: none. */
void trp_ledger_forget(struct trp_ledger *ledger, const void *user);

#endif
