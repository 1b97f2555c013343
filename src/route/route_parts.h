/* route/route_parts.h - what the files of a route share.
 * Answers "what does a route consist of?".  Private to this room. */
#ifndef TRP_ROUTE_PARTS_H
#define TRP_ROUTE_PARTS_H

#include "call/target.h"
#include "route/fault.h"
#include "route/route.h"
#include "route/route_samples.h"

struct trp_router {
    struct trp_target target; /* first */
    struct trp_refs refs;
    const struct trp_alloc *alloc;
    struct trp_route_plan *plan;
    const struct trp_route_common *common;
    const struct trp_route_env *env;
    struct trp_counter unmatched;
    struct trp_route_samples samples;
    /* The control thread's: digest of what the last check knew of its targets; 0: nothing. */
    uint64_t known;
    struct trp_arena words; /* the same: doubts, which others may be reading */
    const char *last_doubt; /* the same: it may come back */
    uint64_t
        doubt_digest; /* the same: of what was said last, though there was no room; 0: nothing */
    struct trp_pointer doubt;      /* a text; NULL: none */
    struct trp_counter doubts_cut; /* for whose words there was no room */
    struct trp_stats *stats;
    struct trp_route_owner owner;
};

/* Counts how an attempt at a goal failed: as its failure, or as the client's own mistake; of a
 * client that has gone nobody knows how it would have ended.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
static inline void trp_route_goal_count(struct trp_route_goal *goal, int32_t code)
{
    const enum trp_fault fault = trp_fault_of(code);
    if (fault == TRP_FAULT_CLIENT)
        trp_counter_add(&goal->client_errors, 1);
    else if (fault != TRP_FAULT_NONE && fault != TRP_FAULT_GONE)
        trp_counter_add(&goal->failed, 1);
}

/* Fills in what rules of this route see of a call.
 *   Owns  : all is borrowed while rules are evaluated.
 *   Thread: loop.
 *   Errors: none. */
void trp_route_facts(const struct trp_router *r, const struct trp_call *call, uint32_t loop_index,
                     struct trp_facts *out);

/* trp_route_decide() by facts that were filled in.
 *   Owns  : all is borrowed.
 *   Thread: loop.
 *   Errors: none. */
void trp_route_decide_by(const struct trp_router *r, struct trp_facts *facts,
                         struct trp_route_choice_made *out);

/* Begins to answer a call; the target's start.
 *   Owns  : the call comes back through its `done`.
 *   Thread: loop.
 *   Errors: in the call. */
void trp_route_start(struct trp_target *t, struct trp_call *call);
void trp_route_cancel(struct trp_target *t, struct trp_call *call);

/* Puts a doubt in the place of what was said before; NULL: there is none any more.  True: it is
 * another one.
 *   Owns  : copied, as long as the route; where there is no room there are plainer words, and it is
 *           counted.
 *   Thread: control.
 *   Errors: none. */
bool trp_route_set_doubt(struct trp_router *r, const char *text);

/* Whether somebody is there to be asked for a target now.  Of a route behind this one, which
 * decides for itself, that there is one.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: why nobody is. */
trp_status trp_route_look_for(const struct trp_router *r, const struct trp_route_goal *goal,
                              uint32_t loop_index, struct trp_error *err);

/* Says in words why no rule matched: what each of the first ones said.
 *   Owns  : copied to `err`.
 *   Thread: loop.
 *   Errors: returns NOT_FOUND. */
trp_status trp_route_refuse(const struct trp_router *r, struct trp_facts *facts,
                            struct trp_error *err);

#endif
