/* route/route_plan.h - a route as it was written, read and checked.
 * Answers "which rules has it, and where may each send a request?".  Constant once read, but for
 * what is counted. */
#ifndef TRP_ROUTE_PLAN_H
#define TRP_ROUTE_PLAN_H

#include "base/arena.h"
#include "base/atomic.h"
#include "call/call.h"
#include "route/agreement.h"
#include "route/attempts.h"
#include "route/breaker.h"
#include "route/expr.h"
#include "route/retry_budget.h"
#include "route/route_source.h"
#include "route/sticky.h"

#define TRP_ROUTE_RULES_MAX 1000u
#define TRP_ROUTE_GOALS_MAX 256u /* different targets that the rules of one route name */
#define TRP_ROUTE_CHOICES_MAX TRP_STICKY_CHOICES_MAX /* of one split, and of one fallback chain */
#define TRP_ROUTE_DEPTH_MAX 4u                       /* routes behind routes */

struct trp_route_rename {
    struct trp_str ours, theirs; /* what clients of the route say; what the target says */
};
struct trp_route_cast {
    struct trp_str name; /* the target's */
    int32_t dtype;
};
struct trp_route_constant {
    struct trp_str name;         /* the target's; of an output, the clients' */
    struct troupe_tensor tensor; /* lives as long as the plan */
};

/* How a request is changed on the way to a target, and its answer on the way back. */
struct trp_route_fit {
    const struct trp_route_rename *inputs, *outputs;
    const struct trp_route_cast *casts;
    const struct trp_route_constant *constants; /* inputs that clients do not send */
    const struct trp_route_constant *given;     /* outputs that the target does not have */
    uint32_t inputs_n, outputs_n, casts_n, constants_n, given_n;
};

/* A target that rules name. */
struct trp_route_goal {
    struct trp_str text;             /* as it was written: "two_tower@canary" */
    struct trp_str model;            /* "two_tower" */
    int64_t version;                 /* 0: the default one; below: a label's key */
    const struct trp_route_fit *fit; /* NULL: as it comes */
    const struct trp_node *at;       /* where it is named first */
    const struct trp_node *target;   /* what `targets` say of it; NULL: nothing */
    struct trp_breaker breaker;
    struct trp_attempts_target guarded,
        bare; /* with the breaker; without, where nobody stands behind it */
    /* Attempts; of these, those that it failed, and those that were the client's own mistake. */
    struct trp_counter asked, failed, client_errors;
};

struct trp_route_choice {
    uint32_t goal;
    uint32_t weight;
};

struct trp_route_canary;
struct trp_route_hedge;

struct trp_route_rule {
    struct trp_str name; /* "1", "2", ... unless it was given one */
    const struct trp_node *at, *when_at, *sticky_at;
    struct trp_expr *when;   /* NULL: always */
    struct trp_expr *sticky; /* NULL: by chance */
    const struct trp_route_choice *choices;
    uint32_t choices_n;
    struct trp_sticky split;  /* among them */
    const uint32_t *fallback; /* goals */
    uint32_t fallback_n;
    struct trp_attempts_rule attempts; /* its timeout, retries, and whom to ask when it fails */
    bool is_plain;            /* one attempt, without a timeout of its own: nothing to look after */
    uint32_t shadow;          /* goal + 1; 0: none */
    uint32_t shadow_permille; /* of the requests */
    struct trp_route_canary *canary; /* NULL: none */
    struct trp_route_hedge *hedge;   /* NULL: none */
    struct trp_agreement agreement;  /* of the shadow with the answers */
    struct trp_gauge shadows_out;
    struct trp_counter shadows_dropped;
    struct trp_str why; /* "route recommend, rule 2": the response says it */
    struct trp_counter matched, unknown, fell_back, timed_out;
};

struct trp_route_plan {
    struct trp_str name;
    struct trp_str place; /* "routes.yaml:3" */
    const struct trp_route_source *source;
    const struct trp_node *at;   /* all of it, as it was written */
    const struct trp_str *lists; /* their names, as its rules count them */
    uint32_t lists_n;
    struct trp_route_rule *rules;
    struct trp_route_goal *goals;
    uint32_t rules_n, goals_n;
    uint64_t seed;                  /* of its splits */
    struct trp_retry_budget budget; /* of retries, for all rules */
    bool may_miss; /* `missing: allow`: models that are not there (yet) are no error */
};

/* What reading a route needs; the same for all routes of a file. */
struct trp_route_reader {
    const struct trp_alloc *alloc; /* of compiled rules */
    struct trp_arena *arena;
    const struct trp_route_source *source;
    const struct trp_str *lists; /* names of sets, in the order of trp_facts.lists */
    uint32_t lists_n;
};

/* Reads one route: a list of rules, or a map with `rules` and `targets`.
 *   Owns  : the plan lives in the reader's arena, compiled rules until drop; nodes and texts are
 *           borrowed from their tree, which must live as long.
 *   Thread: control.
 *   Errors: INVALID_ARGUMENT with file:line:column, the line and a caret; TOO_LARGE;
 *           OUT_OF_MEMORY; drop it then, too. */
trp_status trp_route_plan_read(const struct trp_route_reader *reader, struct trp_str name,
                               const struct trp_node *at, struct trp_route_plan *out,
                               struct trp_error *err);
void trp_route_plan_drop(struct trp_route_plan *plan);

/* Splits "model", "model@3" or "model@label".
 *   Owns  : borrowed from `text`.
 *   Thread: any.
 *   Errors: false: what stands after the last @ is neither a number from 1 nor a label. */
bool trp_route_goal_parse(struct trp_str text, struct trp_str *out_model, int64_t *out_version);

/* Where it mostly leads, so what clients are told that it takes: the first target of the last rule,
 * which the others go to.
 *   Owns  : borrowed from the plan.
 *   Thread: any.
 *   Errors: NULL: it has no rule. */
const struct trp_route_goal *trp_route_plan_lead(const struct trp_route_plan *plan);

#endif
