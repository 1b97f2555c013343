/* exec/waiting.h - calls that wait for a model that is not loaded, or hibernated.
 * Answers "who is held until the load has ended, and who is sent on first?".  One room for each
 * name of a model: loops put calls in, the control thread takes them out when the load has ended,
 * well or not, and sends each back to its own loop, where it is bound and started as any other.
 *
 *   loop: enter ──first one──► control: wanted() ... load ... take ──send──► loop: pinned, bound, started
 *   loop: remove (cancelled, out of time) ──► answered at once
 *
 *  1. A call is in the room, or on its way home, or its loop's: whoever takes it out under the lock
 *     holds it alone.
 *  2. Whoever enters is followed by a call of wanted() that sees it, so nobody is forgotten.
 *  3. After trp_waiting_close() everybody is refused with the words given there, those who come
 *     later too. */
#ifndef TRP_WAITING_H
#define TRP_WAITING_H

#include "base/alloc.h"
#include "base/loop.h"
#include "base/status.h"
#include "call/call_list.h"
#include "model/version.h"
#include "obs/metrics.h"
#include "sched/rate_limit.h"

struct trp_waiting; /* counted */

struct trp_waiting_opts {
    uint32_t calls_max;
    struct trp_loop *control;
    struct trp_metrics *metrics;
    /* On the control loop, after somebody entered; never after trp_waiting_close(). */
    void (*wanted)(void *user);
    void *user;
};

/* Makes an empty room with one reference; count it.
 *   Owns  : counted: by its maker and by each version whose calls wait here; opts copied, their
 *           pointers borrowed.
 *   Thread: control (create), any.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_waiting_create(const struct trp_alloc *alloc, const struct trp_waiting_opts *opts,
                              struct trp_waiting **out_waiting, struct trp_error *err);
void trp_waiting_ref(struct trp_waiting *w);
void trp_waiting_unref(struct trp_waiting *w); /* accepts NULL */

/* Lets a call wait, and tells the control thread.  Where no more may wait, the newest of the least
 * urgent class makes room for a more urgent call: it is sent home, and refused there.
 *   Units : now_ns monotonic.
 *   Owns  : moves the call to the room; a refused one stays the caller's.
 *   Thread: loop.
 *   Blocks: never for long.
 *   Errors: in call->error as well: QUEUE_FULL, or the words of trp_waiting_close(). */
trp_status trp_waiting_enter(struct trp_waiting *w, struct trp_call *call, int64_t now_ns);

/* Takes one call out, if it is still there.
 *   Owns  : moves the call to the caller.
 *   Thread: loop, the call's.
 *   Errors: false: it is not there (any more). */
bool trp_waiting_remove(struct trp_waiting *w, struct trp_call *call);

/* How many wait; take them all, by class of priority and then as they came; decide what becomes of
 * one, and send it home.
 *   Units : now_ns monotonic.
 *   Owns  : take moves the calls to the caller; decide gives one a reference of `v`, send moves it
 *           on.  With an error it is answered on its loop (`v`, which may be NULL then, is whose
 *           statistics count it), otherwise pinned to `v`, bound and started.
 *   Thread: any (count); control.
 *   Errors: none. */
uint32_t trp_waiting_count(const struct trp_waiting *w);
void trp_waiting_take(struct trp_waiting *w, struct trp_call_list *out, int64_t now_ns);
void trp_waiting_decide(struct trp_call *call, struct trp_version *v, const struct trp_error *err);
void trp_waiting_send(struct trp_call *call);

/* What its model has let through of late: all of its versions have this room.
 *   Owns  : borrowed from the room.
 *   Thread: owner, under the run queue's lock.
 *   Errors: none. */
struct trp_rate_limit *trp_waiting_rate(struct trp_waiting *w);

/* Sends a call home that was started on a version and could not run there: it goes on at
 * `successor`, which serves, or is where it waits to be loaded; no limit refuses it there, because
 * it was let in before.
 *   Owns  : moves the call, which has left every queue; it keeps what it was pinned to until it is
 *           on its loop.
 *   Thread: any.
 *   Errors: in call->error: OUT_OF_MEMORY, the words of trp_waiting_close(). */
void trp_waiting_send_on(struct trp_call *call, struct trp_version *successor);

/* Refuses everybody, now and later; wanted() is not called any more.
 *   Owns  : `why` is copied; the maker's reference stays.
 *   Thread: control.
 *   Errors: none; a second time nothing happens. */
void trp_waiting_close(struct trp_waiting *w, const struct trp_error *why);

#endif
