/* route/route_visit.h - one call's visit to a route, shared by the files that lead it through
 * (route_call, route_race). Answers "how far is it, whom does it ask, and how does it end?".
 * Private to this room. */
#ifndef TRP_ROUTE_VISIT_H
#define TRP_ROUTE_VISIT_H

#include "route/route_fit.h"
#include "route/route_parts.h"
#include "route/route_shadow.h"

struct trp_route_visit { /* in the call's arena */
    struct trp_router *route;
    struct trp_call *call;
    struct trp_route_rule *rule; /* constant but for what is counted, as is the next */
    struct trp_route_goal *goal;
    uint32_t chosen, loop_index;
    bool is_starting; /* inside start(): whoever is told now is told by the ready list */
    bool is_fitted, is_canary;
    bool is_owners_time; /* what ends this attempt is its model's deadline */
    bool is_pinned;      /* the target of this attempt is the call's */
    int64_t asked_ns;    /* when this attempt began */
    uint64_t rows;       /* of the answer */
    const char *because; /* how the route came to who answered; static */
    uint64_t sample;     /* of the decision, where it is kept; 0: it is not */
    /* How the request came; the call's are the attempt's. */
    int64_t stamps_ns[TRP_PHASE_DECODED + 1];
    trp_done_fn done; /* of this attempt, on the call's own */
    struct trp_route_unfit unfit;
    struct trp_attempts attempts;
    struct trp_attempts_step step;
    struct trp_timer timer, hedge_timer;
    struct trp_route_shadow *shadow; /* NULL: none */
    struct trp_call *child;     /* the attempt that is waited for, when it has a time of its own */
    struct trp_call *second;    /* the hedge, beside it */
    struct trp_call *overtaken; /* a canary's first choice, after the hedge has answered */
    struct trp_breaker *second_breaker; /* NULL: none, or it was told */
    uint64_t second_ticket;
    bool has_failed; /* the one that is waited for, with call->error; the hedge is still asked */
    struct trp_route_unfit second_unfit; /* never undone: it goes with its call */
};

static inline const struct trp_finder *trp_route_visit_finder(const struct trp_route_visit *v)
{
    return &v->route->env->finder;
}

static inline int64_t trp_route_visit_now_ns(const struct trp_route_visit *v)
{
    return trp_loop_now_ns(v->call->loop);
}

/* Any 64 bits that differ from call to call. */
static inline uint64_t trp_route_visit_chance(const struct trp_route_visit *v)
{
    struct trp_random r = { v->call->number ^ (uint64_t)trp_route_visit_now_ns(v) };
    return trp_random_next(&r);
}

/* Says who has answered (a hedge, a canary or the rule's own choice), and counts the rows of that.
 *   Owns  : the words lie in the call's arena.
 *   Thread: loop.
 *   Errors: none. */
void trp_route_visit_sign(struct trp_route_visit *v, const struct trp_call *answered,
                          bool is_hedge);

/* Of a rule with a hedge or canary, notes how the first choice ended, with which it is compared;
 * later attempts are not.  `why`: what it failed of, in words; NULL: it did not.
 *   Owns  : `why` is copied.
 *   Thread: loop.
 *   Errors: none. */
void trp_route_visit_compare(const struct trp_route_visit *v, int32_t code, const char *why);

/* What an attempt ended with, whatever it failed of when nobody waits any more.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
int32_t trp_route_visit_code_of(const struct trp_route_visit *v, int32_t code);

/* Hears how the last attempt ended, and decides what is done next (v->step); true: somebody else is
 * asked now.
 *   Owns  : nothing.
 *   Thread: loop.
 *   Errors: none. */
bool trp_route_visit_next(struct trp_route_visit *v, int32_t code);

/* Ends the visit: it is counted, and the call goes on its way back with what it holds.
 *   Owns  : moves the call; the visit may be gone.
 *   Thread: loop.
 *   Errors: none. */
void trp_route_visit_conclude(struct trp_route_visit *v);

/* Does what the step says: asks whom it names, passing over those that cannot even be asked, or
 * concludes.
 *   Owns  : the visit may be gone.
 *   Thread: loop.
 *   Errors: in the call. */
void trp_route_call_act(struct trp_route_visit *v);

#endif
