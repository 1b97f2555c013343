/* call/call_memory.h - pieces of memory that are made for a call on its way, too large for its
 * arena.
 * Answers "how long does what was made of a request stay?".  As the call does: its children may
 * look at it however early it came back (call/call_child.h), and outputs may be views of it.
 * Who made it may let go of it sooner when no child is left. */
#ifndef TRP_CALL_MEMORY_H
#define TRP_CALL_MEMORY_H

#include "call/call.h"

/* Makes a piece, aligned to 64; its contents are undefined.
 *   Owns  : the call's; `alloc` is borrowed until the call is given back.
 *   Thread: loop.
 *   Errors: NULL without memory. */
void *trp_call_memory_get(struct trp_call *call, const struct trp_alloc *alloc, size_t bytes);

/* Frees the pieces that were made since call->memory was `mark` (NULL: all of them).
 *   Owns  : they are gone; who calls it knows that nobody looks at them.
 *   Thread: loop.
 *   Errors: none. */
void trp_call_memory_free(struct trp_call *call, struct trp_call_memory *mark);

#endif
