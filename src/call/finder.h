/* call/finder.h - how a target finds another by name while a call is under way.
 * Answers "who answers to this name, on this loop, now?".  The same functions as front gets (call/control.h): app hands them in, so
 * that routes and compositions reach models, each other and themselves without including any of them. */
#ifndef TRP_FINDER_H
#define TRP_FINDER_H

#include "call/control.h"

struct trp_finder {
    void *user;
    /* As trp_handlers.find.
     *   Owns  : one reference moves to the caller; *out_release gives it back.
     *   Thread: loop.
     *   Errors: NOT_FOUND, NOT_READY with the words that clients expect. */
    trp_status (*find)(void *user, uint32_t loop_index, const struct trp_sought *sought,
                       struct trp_target **out_target, void (**out_release)(struct trp_target *),
                       struct trp_error *err);
    /* As trp_handlers.finished: the statistics of a call that came back, for what is pinned to it. */
    void (*finished)(void *user, uint32_t loop_index, struct trp_call *call);
};

#endif
