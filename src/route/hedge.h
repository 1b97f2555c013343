/* route/hedge.h - a second request for an answer that is late.
 * Answers "how long is it worth waiting before another one is asked too?".  As long as most answers
 * of this target take, by default 95 of 100: then one request in twenty is sent twice, and an
 * answer that hangs does not make its client wait.  Never before a least time, never for a target
 * that is hardly known, and only while the retry budget lasts.  Shared by loops, pure.
 *   Source: hedged requests; Dean and Barroso, The Tail at Scale, CACM 56(2), 2013. */
#ifndef TRP_HEDGE_H
#define TRP_HEDGE_H

#include <stdbool.h>

#include "route/latency.h"

struct trp_retry_budget;

struct trp_hedge_opts {
    double quantile;      /* of the answers so far; 0: least_ns is all that counts */
    int64_t least_ns;     /* to wait in any case */
    uint32_t answers_min; /* known ones before it hedges at all */
    int64_t half_life_ns; /* of what is known */
};

/* p95, 1 ms, 100 answers, 30 s. */
#define TRP_HEDGE_OPTS_DEFAULT \
    ((struct trp_hedge_opts){  \
        .quantile = 0.95, .least_ns = 1000000, .answers_min = 100, .half_life_ns = 30000000000 })

struct trp_hedge {
    struct trp_hedge_opts opts;
    struct trp_latency latency;
    struct trp_word looked;   /* when the wait was computed last */
    struct trp_gauge wait_ns; /* 0: not known */
    struct trp_counter sent, won, refused;
};

/* Makes one that knows nothing.
 *   Units : ns; quantile 0..1.
 *   Owns  : the caller's storage.
 *   Thread: owner.
 *   Errors: none. */
void trp_hedge_init(struct trp_hedge *h, const struct trp_hedge_opts *opts);

/* Takes over what another one with the same options knows of the same target.
 *   Owns  : copied; nobody uses `h` yet.
 *   Thread: owner.
 *   Errors: none. */
void trp_hedge_carry(struct trp_hedge *h, const struct trp_hedge *from);

/* Tells how long an answer took; or one that was given up because the second one came first: it
 * took at least so long.
 *   Units : ns.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
void trp_hedge_add(struct trp_hedge *h, int64_t took_ns);

/* When a request that begins now should be asked a second time.
 *   Units : ns, monotonic; deadline_ns: 0: none.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : O(1); ten times a second one of the callers reads all buckets.
 *   Errors: 0: not at all: too little is known, or its deadline comes first. */
int64_t trp_hedge_when_ns(struct trp_hedge *h, int64_t deadline_ns, int64_t now_ns);

/* That time has come: whether the budget has one (NULL: without a limit).  And: the second one
 * answered first.
 *   Units : ns, monotonic.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: false: no. */
bool trp_hedge_try_send(struct trp_hedge *h, struct trp_retry_budget *budget, int64_t now_ns);
void trp_hedge_won(struct trp_hedge *h);

#endif
