/* life/member.h - one model, one thing after the other.
 * Answers "who is asked to do something with a model, and who says what became of it?".  Control's, and private to this room. */
#ifndef TRP_MEMBER_H
#define TRP_MEMBER_H

#include "life/life_parts.h"

/* Finds a model by name, or makes an empty one.
 *   Owns  : borrowed from life; gone when nothing is left of it.
 *   Thread: control.
 *   Errors: NULL: absent; out of memory or over limits.models. */
struct trp_member *trp_member_get(struct trp_life *l, struct trp_str name);
struct trp_member *trp_member_make(struct trp_life *l, struct trp_str name);

/* Sets the reason to what `a` and `b` say together; both NULL: there is none.
 *   Owns  : copied.
 *   Thread: control.
 *   Errors: without memory for it, the reason is that. */
void trp_member_say(struct trp_member *m, const char *a, const char *b);

/* Queues an op and does it when its turn has come.
 *   Owns  : `op` is copied; its reference to the catalog moves.
 *   Thread: control.
 *   Errors: false: an order is answered with OUT_OF_MEMORY; otherwise logged. */
bool trp_member_push(struct trp_member *m, const struct trp_op *op);

/* Does what waits for its turn, when nothing is in hand; looks after the calls that wait for it.
 *   Owns  : `m` may be gone afterwards.
 *   Thread: control.
 *   Errors: none. */
void trp_member_go_on(struct trp_member *m);

/* The op in hand has ended: answers its order, goes on with the next.
 *   Owns  : `err` is copied.
 *   Thread: control.
 *   Errors: none. */
void trp_member_finish(struct trp_member *m, const struct trp_error *err);

/* What was found cannot be used: what serves goes on, the index says why, and the op in hand has failed.
 *   Owns  : `why` is copied.
 *   Thread: control.
 *   Errors: none. */
void trp_member_refuse(struct trp_member *m, const struct trp_error *why);

/* Shows it anew and counts it as settled or not.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_member_show(struct trp_member *m);

/* Gives a model up when the server ends, and forgets it when nothing is left.
 *   Owns  : `m` may be gone afterwards.
 *   Thread: control.
 *   Errors: none. */
void trp_member_stop(struct trp_member *m);
void trp_member_tidy(struct trp_member *m);

#endif
