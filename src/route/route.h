/* route/route.h - a name behind which rules choose.
 * Answers "which model answers this request?".
 *
 * A route is a target: it decides by its rules, pins what was chosen to the same call, and starts
 * that.  Nothing is copied, and for a rule without a second choice nothing is looked after but the
 * answer's statistics.  Where there is one (fallback, retries, a timeout), it is tried when the
 * first fails; see route_call.c. */
#ifndef TRP_ROUTE_H
#define TRP_ROUTE_H

#include "base/clock.h"
#include "call/directory.h"
#include "call/finder.h"
#include "call/target.h"
#include "model/stats.h"
#include "obs/metrics.h"
#include "route/route_plan.h"

struct trp_router;
struct trp_key_list;
struct trp_crew;

/* What all routes of a server are given; constant, and outlives them. */
struct trp_route_env {
    struct trp_finder finder;
    const struct trp_clock *clock;       /* its wall clock is what rules see */
    const struct trp_load_view *load;    /* NULL: nobody tells */
    struct trp_matcher *const *matchers; /* one for each loop; NULL: patterns are unknown */
    uint32_t loops_n;
    struct trp_crew *crew; /* casts what would hold up a loop; NULL: there is none */
};

/* What all routes of one file have in common; counted with them. */
struct trp_route_common {
    const struct trp_route_env *env;
    const struct trp_zone *zone; /* NULL: UTC */
    struct trp_key_list *const *lists;
    uint32_t lists_n;
};

/* What was decided, and why. */
struct trp_route_choice_made {
    uint32_t rule; /* of the plan; only when is_made */
    uint32_t goal;
    bool is_made;       /* false: no rule matched */
    bool is_sticky;     /* the split was decided by a key */
    bool is_canary;     /* the goal is the rule's canary */
    uint32_t asked_n;   /* rules that were asked */
    uint32_t unknown_n; /* of these, rules that nobody could tell, and which */
    uint64_t unknown[(TRP_ROUTE_RULES_MAX + 63) / 64];
};

/* Decides, as it does for every request: the first rule that holds.
 *   Owns  : all is borrowed.
 *   Thread: loop.
 *   Blocks: never.
 *   Cost  : rule by rule; no allocation.
 *   Errors: none; see is_made. */
void trp_route_decide(const struct trp_router *r, const struct trp_call *call, uint32_t loop_index,
                      struct trp_facts *facts, struct trp_route_choice_made *out);

/* Who keeps the plan of a route, and is told when its last reference has gone. */
struct trp_route_owner {
    void (*release)(void *user);
    void *user;
};

/* Makes a route of a plan, with one reference.
 *   Owns  : counted; plan, common and env are borrowed until the owner is told.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_route_create(const struct trp_alloc *alloc, struct trp_route_plan *plan,
                            const struct trp_route_common *common,
                            const struct trp_route_owner *owner, struct trp_router **out_route,
                            struct trp_error *err);

/* What stands for it in a directory, with how it is kept and let go.
 *   Owns  : borrowed, nothing is counted.
 *   Thread: any.
 *   Errors: none. */
struct trp_directory_item trp_route_item(struct trp_router *r);

/* As trp_directory_item has them; its target, its plan; and back.
 *   Owns  : counted; borrowed.
 *   Thread: any.
 *   Errors: NULL: the target is no route. */
void trp_route_retain(struct trp_target *t);
void trp_route_release(struct trp_target *t);
struct trp_target *trp_route_target(struct trp_router *r);
const struct trp_route_plan *trp_route_plan_of(const struct trp_router *r);
struct trp_router *trp_route_of(struct trp_target *t);

/* Why its rules do not fit what its targets take, where that became known only after it had been
 * taken up; empty: they do, or nobody knows yet.
 *   Owns  : borrowed from the route.
 *   Thread: any.
 *   Errors: none. */
struct trp_str trp_route_doubt(const struct trp_router *r);

/* Takes over what a route has counted and learned, rule by rule and target by target, where the
 * same is written: its canaries not.
 *   Owns  : copied; nobody sees `now` yet.
 *   Thread: control.
 *   Errors: none; it begins at 0 where they differ. */
void trp_route_carry(struct trp_router *now, const struct trp_router *before);

/* What rules have counted since the route was made: of a rule that none matched, too.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
uint64_t trp_route_unmatched(const struct trp_router *r);

/* As trp_target_ops.explain: writes how a decision for this call comes about, as JSON: each rule,
 * its value and why (also of those that are not asked any more), what was chosen, who would be
 * asked and who passed by, and what a route or composition behind it would do.  Where the first
 * rule that may hold depends on what nobody knows yet, nothing is chosen, and `undecided` says so.
 *   Owns  : copied.
 *   Thread: loop.
 *   Errors: see b->failed. */
void trp_route_explain(const struct trp_target *t, const struct trp_target_question *q,
                       struct trp_buf *b);

/* Writes what the route has counted, as the members of a JSON object that somebody has begun and
 * ends.
 *   Units : of breakers: ns on the monotonic clock.
 *   Owns  : copied.
 *   Thread: any.
 *   Errors: see b->failed. */
void trp_route_write_json(const struct trp_router *r, int64_t now_ns, struct trp_buf *b);

#endif
