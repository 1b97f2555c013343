/* route/breaker.h - leaves alone what fails.
 * Answers "may it be asked, or is it better left to recover?".  One for each target, shared by all
 * loops; what counts as a failure is the caller's business.  Pure: time and chance are arguments.
 *
 *        too many of the recent calls failed,
 *        or as many in a row as may be                       the delay is over: up to `probes`
 *   CLOSED ─────────────────────────────► OPEN ─────────────────────────────► HALF_OPEN
 *     ▲                                    ▲      (refuses everybody)             │
 *     │                                    └──────── any probe failed ────────────┤
 *     └───────────────────────────── all probes were answered ────────────────────┘
 *
 *  1. Each opening soon after the last one waits twice as long, up to open_max_ns, give or take a
 *     fifth: loops and servers that saw the same failure do not come back together.  "Soon": within
 *     twice the last delay of having closed.
 *  2. Only probes decide in HALF_OPEN; answers to what was asked before count nowhere.
 *  3. Everything that is allowed is reported or forgotten.  A probe that never comes back is given
 *     up after open_max_ns.
 *  4. Closed, asking costs one load, reporting one compare-and-swap. */
#ifndef TRP_BREAKER_H
#define TRP_BREAKER_H

#include <stdbool.h>

#include "base/atomic.h"
#include "route/recent.h"

struct trp_breaker_opts {
    int64_t window_ns;    /* what "recent" means */
    uint32_t calls_min;   /* in the window, before the share counts */
    double failure_share; /* opens from here on; 0: the share does not matter */
    uint32_t row_max;     /* failures in a row that open it; 0: these do not matter */
    int64_t open_ns, open_max_ns;
    uint32_t probes; /* 1..255 answered ones close it */
};

/* 10 s, 20 calls, half of them; 10 in a row; 1 s doubling up to 60 s; 3 probes. */
#define TRP_BREAKER_OPTS_DEFAULT                            \
    ((struct trp_breaker_opts){ .window_ns = 10000000000,   \
                                .calls_min = 20,            \
                                .failure_share = 0.5,       \
                                .row_max = 10,              \
                                .open_ns = 1000000000,      \
                                .open_max_ns = 60000000000, \
                                .probes = 3 })

struct trp_breaker {
    struct trp_breaker_opts opts;
    struct trp_word state; /* phase, openings in a row, probes, a moment; see breaker.c */
    struct trp_recent recent;
    struct trp_counter row; /* failures since the last success */
    struct trp_counter opened, refused;
};

enum trp_breaker_phase { TRP_BREAKER_CLOSED, TRP_BREAKER_OPEN, TRP_BREAKER_HALF_OPEN };

struct trp_breaker_answer {
    bool allowed;
    uint64_t ticket;        /* allowed: for the report; 0: no probe */
    int64_t retry_after_ns; /* refused: until it tries again; at least 1 */
};

/* Makes a closed one.
 *   Units : ns; failure_share 0..1.  Times below 1 ms count as 1 ms, probes out of range as the
 *           nearest.
 *   Owns  : the caller's storage.
 *   Thread: owner.
 *   Errors: none. */
void trp_breaker_init(struct trp_breaker *b, const struct trp_breaker_opts *opts);

/* Takes over how another one stands, which was made with the same options and goes: a new one lets
 * its probes out again, because those that are out report to the old one.  With other options: its
 * counts alone.
 *   Owns  : copied; nobody uses `b` yet.
 *   Thread: owner.
 *   Errors: none. */
void trp_breaker_carry(struct trp_breaker *b, const struct trp_breaker *from);

/* Asks whether the target may be asked.
 *   Units : ns, monotonic.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : O(1), no allocation.
 *   Errors: none; see the answer. */
struct trp_breaker_answer trp_breaker_ask(struct trp_breaker *b, int64_t now_ns);

/* Tells how what was allowed ended; or, forget: that its end says nothing about the target.
 *   Units : as above; `random`: any 64 bits.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : O(1), no allocation.
 *   Errors: none. */
void trp_breaker_report(struct trp_breaker *b, uint64_t ticket, bool failed, int64_t now_ns,
                        uint64_t random);
void trp_breaker_forget(struct trp_breaker *b, uint64_t ticket);

/* How it stands, for people; and whether it would refuse right now, without asking for a probe.
 *   Units : as above.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none; a glance. */
struct trp_breaker_view {
    enum trp_breaker_phase phase;
    uint32_t calls, failures; /* in the window */
    uint32_t row, openings;   /* failures, and openings, in a row */
    uint32_t probes_out, probes_answered;
    uint64_t opened, refused; /* ever */
    int64_t retry_after_ns;   /* open: until it tries again; 0: now */
};
struct trp_breaker_view trp_breaker_get(const struct trp_breaker *b, int64_t now_ns);
bool trp_breaker_is_refusing(const struct trp_breaker *b, int64_t now_ns);

/* "closed", "open", "half_open".
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const char *trp_breaker_phase_name(enum trp_breaker_phase phase);

#endif
