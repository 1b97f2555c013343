/* route/attempts.h - whom to ask next, for one call of a route.
 * Answers "it failed: the same one again, the next one, or is that the answer?".  Pure: whoever
 * holds the call asks the target that it is told, and tells how that ended; time and chance are
 * arguments.
 *
 *      begin ──► ASK ──ended──► answered, the client's own fault, or gone ──────────────► ANSWER
 *                 ▲  │
 *                 │  ├─ an error, retries left, budget has one: the same target again ─┐
 *                 │  └─ a fault that falls back: the next target whose breaker allows ─┤
 *                 └────────────────────────────────────────────────────────────────────┘
 *      nobody left: ANSWER, with the last failure; nobody asked at all: NOBODY
 *
 *  1. Every ASK is ended by exactly one trp_attempts_next(), also when the client has gone
 *     (CANCELLED), or trp_attempts_settle(): a breaker waits for it.
 *  2. Nobody is asked twice but by a retry, and nobody after the call's deadline.
 *  3. The budget limits retries, never fallbacks.
 *  4. A breaker hears of errors, and of timeouts that were the rule's: a client in too much of a
 *     hurry opens none. */
#ifndef TRP_ATTEMPTS_H
#define TRP_ATTEMPTS_H

#include "base/status.h"
#include "route/fault.h"

struct trp_breaker;
struct trp_retry_budget;

/* A target as the plan sees it. */
struct trp_attempts_target {
    struct trp_breaker *breaker; /* NULL: none */
    const void *identity;        /* the same for all that mean the same; NULL: nobody else does */
};

/* What a rule says; constant. */
struct trp_attempts_rule {
    const struct trp_attempts_target *const *fallbacks; /* in their order */
    uint32_t fallbacks_n;
    int64_t timeout_ns;              /* of each attempt; 0: none but the call's deadline */
    uint32_t retries_max;            /* of one call */
    uint32_t falls_back;             /* TRP_FAULT_BITs; 0: all curable ones */
    struct trp_retry_budget *budget; /* shared by loops; NULL: without a limit */
};

enum trp_attempts_move {
    TRP_ATTEMPTS_ASK,    /* ask `target`, until `deadline_ns` */
    TRP_ATTEMPTS_ANSWER, /* what ended last is the answer */
    TRP_ATTEMPTS_NOBODY  /* all breakers are open, nobody was asked: UNAVAILABLE */
};

enum trp_attempts_why {
    TRP_ATTEMPTS_FIRST,
    TRP_ATTEMPTS_RETRY,
    TRP_ATTEMPTS_AFTER_ERROR,
    TRP_ATTEMPTS_AFTER_TIMEOUT,
    TRP_ATTEMPTS_AFTER_NOT_READY,
    TRP_ATTEMPTS_AFTER_OVERLOAD,
    TRP_ATTEMPTS_AFTER_OPEN, /* the breaker of the one before is open */
    TRP_ATTEMPTS_WHYS
};

struct trp_attempts_step {
    enum trp_attempts_move move;
    enum trp_attempts_why why;
    const struct trp_attempts_target *target;
    uint32_t place;         /* 0: the first choice; n: fallbacks[n - 1] */
    bool is_probe;          /* a breaker tries whether it works again */
    int64_t deadline_ns;    /* of this attempt; 0: none */
    int64_t retry_after_ns; /* NOBODY: until the first breaker tries again */
};

/* Lies with its call. */
struct trp_attempts {
    const struct trp_attempts_rule *rule;
    const struct trp_attempts_target *first, *asked;
    uint64_t ticket;       /* asked->breaker's */
    uint64_t asked_places; /* bits */
    int64_t deadline_ns, attempt_deadline_ns, retry_after_ns;
    uint32_t place, retries, attempts;
};

/* Begins with the first choice, or the first after it whose breaker allows; counts the request in
 * the budget.
 *   Units : ns, monotonic; deadline_ns: the call's, 0: none.
 *   Owns  : rule and targets are borrowed as long as `a` is used.
 *   Thread: loop.
 *   Cost  : O(fallbacks_n), no allocation.
 *   Errors: none; see the step. */
struct trp_attempts_step trp_attempts_begin(struct trp_attempts *a,
                                            const struct trp_attempts_rule *rule,
                                            const struct trp_attempts_target *first,
                                            int64_t deadline_ns, int64_t now_ns);

/* Tells how the attempt ended (OK, or its code), and what comes now.
 *   Units : as above; `random`: any 64 bits, for the breaker's delay.
 *   Owns  : as above.
 *   Thread: loop.
 *   Cost  : O(fallbacks_n), no allocation.
 *   Errors: none; see the step. */
struct trp_attempts_step trp_attempts_next(struct trp_attempts *a, int32_t code, int64_t now_ns,
                                           uint64_t random);

/* Tells how the attempt ended (CANCELLED: it had not yet), when somebody else has answered: nobody
 * is asked any more.
 *   Units : as above.
 *   Owns  : as above.
 *   Thread: loop.
 *   Errors: none. */
void trp_attempts_settle(struct trp_attempts *a, int32_t code, int64_t now_ns, uint64_t random);

/* "first choice", "retry", "fallback after a timeout", ...
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const char *trp_attempts_why_name(enum trp_attempts_why why);

#endif
