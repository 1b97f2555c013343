/* life/joining.h - whether calls of a version may run together.
 * Answers "are its rows independent of each other?".  Its owner may say so, or forbid it.  Private to this room. */
#ifndef TRP_JOINING_H
#define TRP_JOINING_H

#include "life/life.h"

/* Settles what is known of a version that was just opened.
 *   Owns  : nothing.
 *   Thread: control; before its state lets calls in.
 *   Errors: none. */
void trp_joining_settle(struct trp_version *v);

#endif
