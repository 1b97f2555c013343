/* route/retry_budget.h - how many more calls a route may make than it was asked for.
 * Answers "may it be tried once more?".  A share of the requests of the last while, and so many a
 * second on top, so that a quiet route may retry too.  Limits retries and hedges: without it, calls
 * that fail for lack of room would double what is asked. Fallbacks take nothing.  Shared by loops,
 * pure: time is an argument.
 *   Source: retry budgets of Finagle; Google SRE book, chapter 21. */
#ifndef TRP_RETRY_BUDGET_H
#define TRP_RETRY_BUDGET_H

#include <stdbool.h>

#include "base/atomic.h"
#include "route/recent.h"

struct trp_retry_budget_opts {
    int64_t window_ns;
    double share;       /* of the requests in the window */
    double floor_per_s; /* on top of it */
};

/* A tenth of the requests of 10 s, and one a second. */
#define TRP_RETRY_BUDGET_OPTS_DEFAULT \
    ((struct trp_retry_budget_opts){ .window_ns = 10000000000, .share = 0.1, .floor_per_s = 1 })

struct trp_retry_budget {
    struct trp_retry_budget_opts opts;
    struct trp_recent recent; /* requests, and what was taken */
    struct trp_counter taken, refused;
};

/* Makes a full one.
 *   Units : ns; shares from 0.
 *   Owns  : the caller's storage.
 *   Thread: owner.
 *   Errors: none. */
void trp_retry_budget_init(struct trp_retry_budget *b, const struct trp_retry_budget_opts *opts);

/* Takes over what was taken from another one that goes, if it has the same options.
 *   Owns  : copied; nobody uses `b` yet.
 *   Thread: owner.
 *   Errors: none. */
void trp_retry_budget_carry(struct trp_retry_budget *b, const struct trp_retry_budget *from);

/* Counts a request of a client.
 *   Units : ns, monotonic.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : one compare-and-swap.
 *   Errors: none. */
void trp_retry_budget_add(struct trp_retry_budget *b, int64_t now_ns);

/* Takes one more call, when there is one left.  Loops that take at once may take one each too many.
 *   Units : as above.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : O(1), no allocation.
 *   Errors: false: used up, and counted as refused. */
bool trp_retry_budget_try_take(struct trp_retry_budget *b, int64_t now_ns);

/* What is left, for people.
 *   Units : calls.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none; a glance. */
double trp_retry_budget_left(const struct trp_retry_budget *b, int64_t now_ns);

#endif
