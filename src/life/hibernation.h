/* life/hibernation.h - loaded models whose pages are dropped, and that are woken when somebody asks
 * for them.
 * Answers "may this one sleep, and how does it wake?".  The residence decides who should; here it
 * is done, on a loader thread, as an op of the model like any other.  Control's, and private to
 * this room. */
#ifndef TRP_HIBERNATION_H
#define TRP_HIBERNATION_H

#include "life/life_parts.h"

/* Whether all that serves of a model can hibernate, as it is open now; whether any of it does, or
 * is about to.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
bool trp_hibernation_is_able(const struct trp_member *m);
bool trp_hibernation_is_asleep(const struct trp_member *m);

/* Shuts the doors of a model that nobody is asking for, and queues the op that drops its pages.
 * Calls wait from now on, and have it woken.
 *   Owns  : `why` is copied to the log, and kept for whoever asks where it is.
 *   Thread: control.
 *   Errors: false: not now: a call is in flight or waits, something is in hand, it cannot, or
 *           memory is short. */
bool trp_hibernation_begin(struct trp_member *m, const char *why);

/* The same as an idle model's keep_alive has passed, where it pays.
 *   Owns  : `why` is copied to the log.
 *   Thread: control.
 *   Errors: false: as above, or it does not pay: it had better go. */
bool trp_hibernation_try(struct trp_member *m, const char *why);

/* The ops: what is in hand is done on a loader thread, and ends by trp_member_finish().  sleep: a
 * failure leaves it awake, and it is not tried again.  wake: room is asked for first; what cannot
 * be woken is let go, and loaded for whoever waits.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: to trp_member_finish(): OVER_BUDGET with the numbers, OUT_OF_MEMORY,
 *           DEADLINE_EXCEEDED (timeouts.load), UNAVAILABLE. */
void trp_hibernation_sleep(struct trp_member *m);
void trp_hibernation_wake(struct trp_member *m);

/* Whoever orders that a model should be there finds it awake: puts a WAKE before the op in hand,
 * once.  What could not be woken is found asleep, and trp_keeping_ended refuses the order.
 *   Owns  : the op in hand goes back into the queue.
 *   Thread: control.
 *   Errors: none. */
void trp_hibernation_wake_first(struct trp_member *m);

#endif
