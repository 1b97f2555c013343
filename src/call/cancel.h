/* call/cancel.h - a wish that work should stop, for a call and everything below it.
 * Answers "does anybody still want this?".  The tree is changed on the call's loop only; the flag
 * may be read anywhere (executors and backends look at it through a pointer). */
#ifndef TRP_CANCEL_H
#define TRP_CANCEL_H

#include "base/atomic.h"

struct trp_cancel { /* zero is a token that nobody cancelled */
    struct trp_flag raised;
    struct trp_cancel *parent, *child, *next, *prev;
    void (*on_raise)(struct trp_cancel *token); /* optional; called once, on the loop */
};

/* Hangs a token below another; a child of a raised parent is raised at once.
 *   Owns  : both stay their owners'; detach before either's memory goes.
 *   Thread: loop.
 *   Errors: none. */
void trp_cancel_attach(struct trp_cancel *parent, struct trp_cancel *child);
void trp_cancel_detach(struct trp_cancel *token); /* its children become roots */

/* Raises the token and everything below it; the second time nothing happens.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
void trp_cancel_raise(struct trp_cancel *token);

static inline bool trp_cancel_is_raised(const struct trp_cancel *token)
{
    return trp_flag_is_up(&token->raised);
}

#endif
