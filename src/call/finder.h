/* call/finder.h - how a target finds another by name while a call is under way.
 * Answers "who answers to this name, on this loop, now?".  The same functions as front gets
 * (call/control.h): app hands them in, so that routes and compositions reach models, each other
 * and themselves without including any of them. */
#ifndef TRP_FINDER_H
#define TRP_FINDER_H

#include "call/control.h"
#include "call/target.h"

struct trp_finder {
    void *user;
    /* As trp_handlers.find.
     *   Owns  : one reference moves to the caller; *out_release gives it back.
     *   Thread: loop.
     *   Errors: NOT_FOUND, NOT_READY with the words that clients expect. */
    trp_status (*find)(void *user, uint32_t loop_index, const struct trp_sought *sought,
                       struct trp_target **out_target, void (**out_release)(struct trp_target *),
                       struct trp_error *err);
    /* As trp_handlers.finished: the statistics of a call that came back, for what is pinned to
     * it. */
    void (*finished)(void *user, uint32_t loop_index, struct trp_call *call);
};

/* Finds whoever answers to a name that is not the client's own but a route's or composition's: that
 * nobody does is no mistake of the client's, who asked for a name that is there, and may pass.
 *   Owns  : as trp_finder.find.
 *   Thread: loop.
 *   Errors: those of `find`, but NOT_READY in place of NOT_FOUND; without words about an unknown
 *           model. */
trp_status trp_finder_find(const struct trp_finder *f, uint32_t loop_index,
                           const struct trp_sought *sought, struct trp_target **out_target,
                           void (**out_release)(struct trp_target *), struct trp_error *err);

/* What is to be known of whoever answers to a name. */
struct trp_finder_wish {
    /* What it takes and gives, as clients are told; NULL: only whether it could answer now. */
    struct trp_signature *out;
    struct trp_arena *arena;                 /* of *out */
    bool (*is_enough)(struct trp_target *t); /* true: that it is there is all; NULL: of nobody */
};

/* Finds whoever answers to a name, as trp_finder_find(), describes it, and lets go of it.
 *   Owns  : *wish->out lives in wish->arena.
 *   Thread: loop.
 *   Errors: those of trp_finder_find(); NOT_READY: it could not answer now, or what it takes is not
 *           known before it is loaded; OUT_OF_MEMORY. */
trp_status trp_finder_describe(const struct trp_finder *f, uint32_t loop_index,
                               const struct trp_sought *sought, const struct trp_finder_wish *wish,
                               struct trp_error *err);

/* Writes what whoever answers to a name would do with the call of a question, as a JSON object; or
 * null: it is a model, or nobody, or enough names were looked behind.
 *   Owns  : all is borrowed.
 *   Thread: loop.
 *   Errors: those of trp_finder_find(); TOO_LARGE: `left` is used up.  See out->failed, too. */
trp_status trp_finder_explain(const struct trp_finder *f, const struct trp_sought *sought,
                              const struct trp_target_question *q, struct trp_buf *out,
                              struct trp_error *err);

#endif
