/* route/route_canary.h - the canary of a rule: a new target that gets more and more of its
 * requests.
 * Answers "who of the two answers this request, and how has each of them done?".  Loops ask and
 * count; the control thread decides once a second (route/canary.h), and writes down what it
 * decided for whoever wants to read it. */
#ifndef TRP_ROUTE_CANARY_H
#define TRP_ROUTE_CANARY_H

#include "base/thread.h"
#include "route/canary.h"
#include "route/route_plan.h"

struct trp_router;

/* The last decision, for people. */
struct trp_route_canary_view {
    enum trp_canary_phase phase;
    uint32_t step, steps_n; /* from 1; 0: it has not begun */
    double share;           /* of the requests */
    char reason[760];       /* with the last failure's own words, where it is about failures */
};

struct trp_route_canary {
    uint32_t goal;
    struct trp_canary_opts opts;
    struct trp_str why;       /* "route recommend, rule 2: canary" */
    struct trp_canary canary; /* the control thread's, but for its share */
    bool is_begun;            /* with the first look */
    struct trp_canary_tally old_one, new_one;
    struct trp_lock lock; /* of the view and the words */
    struct trp_route_canary_view view;
    char last_failure[512]; /* what the canary failed of last, in its own words */
};

/* Reads what stands behind `canary:`; its target was found already.
 *   Owns  : lives in the reader's arena until it is dropped; drop accepts NULL.
 *   Thread: control.
 *   Errors: as trp_policy_read_canary(), with file:line:column. */
trp_status trp_route_canary_read(const struct trp_route_reader *reader, const struct trp_node *at,
                                 uint32_t goal, struct trp_route_rule *rule, struct trp_error *err);
void trp_route_canary_drop(struct trp_route_canary *c);

/* Tells how an attempt at a goal of this rule ended; nothing, where that is neither of the two, or
 * the client had gone.  A client's own mistakes count as failures: it is the caller's to leave out
 * those that both would refuse.  `why` says in words what it failed of (NULL: nobody says); the
 * canary's last ones are kept.
 *   Units : ns.
 *   Owns  : `why` is copied.
 *   Thread: loop.
 *   Errors: none. */
void trp_route_canary_count(struct trp_route_rule *rule, uint32_t goal, int32_t code,
                            int64_t took_ns, const char *why);

/* The last decision.
 *   Owns  : copied.
 *   Thread: any.
 *   Blocks: as long as one is written down.
 *   Errors: none. */
void trp_route_canary_get(struct trp_route_canary *c, struct trp_route_canary_view *out);

/* Who is told of each decision that changes a share. */
struct trp_route_canary_told {
    void (*told)(void *user, const struct trp_route_plan *plan, const struct trp_route_rule *rule,
                 enum trp_canary_move move, const struct trp_route_canary_view *view);
    void *user;
};

/* Looks at all canaries of a route; once a second.
 *   Units : ns, monotonic.
 *   Owns  : borrowed.
 *   Thread: control.
 *   Errors: none. */
void trp_route_canary_look(struct trp_router *r, int64_t now_ns,
                           const struct trp_route_canary_told *told);

/* A route was read again: canaries of rules that say the same as before (name, both targets,
 * options) go on where they were.
 *   Owns  : copied.
 *   Thread: control; before loops see `now`.
 *   Errors: none. */
void trp_route_canary_resume(struct trp_router *now, const struct trp_router *before);

#endif
