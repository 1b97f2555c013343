/* residence/residence.h - who may be in memory, and since when.
 * Answers "may this load begin, and who leaves for it?".  Loads ask; they are let in in order of
 * rank, as many at a time as there are threads and bytes for, and whoever waits for room has others
 * evicted (guest.h: who they are and what they hold).
 *
 *  1. What is in memory, or was promised it, is in the ledger.
 *  2. Who can never fit is refused before anybody is evicted.
 *  3. Who waits for room has the right of way: for a while nobody who came later takes what it
 *     waits for, or has others evicted.
 *  4. Memory counts as free when it is free: victims are LEAVING until their version is closed.
 *
 * clearance.c decides who leaves. */
#ifndef TRP_RESIDENCE_H
#define TRP_RESIDENCE_H

#include "base/clock.h"
#include "base/loop.h"
#include "base/thread.h"
#include "memory/eviction.h"
#include "memory/thrash.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "residence/guest.h"

/* One wish to load what a guest has sized: its WAITING stays, all of them or none. */
struct trp_ask { /* zero it before first use */
    struct trp_guest *guest;
    int32_t rank; /* higher is let in first */
    bool
        is_asked_for; /* somebody waits for it: others are evicted; else it is refused when there is
                       * no room */
    /* Told once, on the control loop and never inside trp_residence_ask(): refused (why), or let
     * in (NULL). */
    void (*answer)(struct trp_ask *ask, const struct trp_error *refused);
    /* the residence's own */
    struct trp_ask *next;
    enum { TRP_ASK_IDLE, TRP_ASK_QUEUED, TRP_ASK_ANSWERED } state;
    bool is_known; /* to the thrash meter */
    int64_t since_ns, tried_ns;
    struct trp_error refused;
    struct trp_error delay; /* while it waits: why; status OK: its turn has not come */
    bool is_put_off;        /* refused only because nobody asked for it: it fits when others go */
};

struct trp_residence_opts {
    struct trp_ledger *ledger;
    struct trp_loop *control;
    struct trp_log *log;
    struct trp_metrics *metrics;
    enum trp_eviction_policy policy;
    uint32_t loads_max;         /* at once; >= 1 */
    uint64_t loading_bytes_max; /* of those that load at once, unless it is one; 0: no limit */
    int64_t wait_ns_max;        /* for room, then refused */
    int64_t stay_ns;            /* who came less long ago is safe */
    /* Begins to unload all that a guest has, so that trp_stay_leave() is called for each of its
     * stays; false: not now. */
    bool (*evict)(void *user, struct trp_guest *guest, const char *why);
    /* Begins to have all that a guest has hibernate, so that trp_stay_doze() is called for each of
     * its stays; false: not now.  NULL: nobody hibernates. */
    bool (*hibernate)(void *user, struct trp_guest *guest, const char *why);
    uint64_t asleep_bytes_max; /* of all who hibernate; beyond it some of them are evicted */
    /* Says how things are with a guest now: `is_pinned`, `is_held`, `weight`, sleep.is_able;
     * NULL: they are what they are. */
    void (*describe)(void *user, struct trp_guest *guest);
    void (*idle)(
        void
            *user); /* the residence is closed, and nothing of it is under way; may be told again */
    void *user;
};

#define TRP_RESIDENCE_GHOSTS 512
#define TRP_RESIDENCE_HALF_LIFE_NS \
    TRP_S(300) /* of rates: with much less it is chance that decides, see bench/zipf_policy.c */

struct trp_residence {
    const struct trp_alloc *alloc;
    struct trp_residence_opts opts;
    struct trp_shares shares;
    struct trp_hold shared_hold;
    struct trp_guest *guests; /* those who have stays */
    uint32_t guests_n;        /* of them */
    uint32_t known_n;         /* of all */
    uint64_t last_id;
    struct trp_ask *first;                    /* waiting, in order */
    struct trp_ask *answered, **answered_end; /* to be told */
    uint32_t waiting_n;
    uint32_t coming_n;
    uint64_t coming_bytes;
    uint32_t asleep_n; /* stays */
    uint64_t asleep_bytes;
    struct trp_thrash thrash;
    struct trp_ghost ghosts[TRP_RESIDENCE_GHOSTS];
    struct trp_task task;
    struct trp_timer timer;
    bool is_closed;
    /* from other threads */
    struct trp_lock lock;
    struct trp_mail mail;
    bool is_posted;                /* lock */
    bool is_served;                /* lock: a run has the room that runs waited for */
    struct trp_amounts short_of;   /* lock: what runs wait for since */
    struct trp_amounts runs_short; /* control's copy, until runs_until_ns */
    int64_t runs_until_ns;
    struct trp_clearance *clearance;
};

/* Makes it.
 *   Owns  : the caller destroys, when all guests and asks have gone; opts copied, everything in
 *           them borrowed.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_residence_create(const struct trp_alloc *alloc,
                                const struct trp_residence_opts *opts,
                                struct trp_residence **out_residence, struct trp_error *err);
void trp_residence_destroy(struct trp_residence *r); /* accepts NULL */

/* Whether a word from another thread is still on its way, or somebody waits.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
bool trp_residence_is_busy(struct trp_residence *r);

/* The server ends: asks are refused from now on, those that wait at once, and nobody is evicted any
 * more.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_residence_close(struct trp_residence *r);

/* Asks for all waiting stays of ask->guest; takes a wish back, when it was not answered yet.
 *   Owns  : `ask` is borrowed until it is answered or cancelled.
 *   Thread: control.
 *   Errors: to ask->answer: OVER_BUDGET with the numbers, OUT_OF_MEMORY, UNAVAILABLE (closed). */
void trp_residence_ask(struct trp_residence *r, struct trp_ask *ask);
void trp_residence_cancel(struct trp_residence *r, struct trp_ask *ask);

/* Looks how everybody in memory stands, and who would go next: written into each guest's
 * `prospect`.
 *   Owns  : nothing; nobody is evicted.
 *   Thread: control.
 *   Cost  : O(TRP_RANKED_MAX * guests).
 *   Errors: OUT_OF_MEMORY. */
#define TRP_RANKED_MAX 100u
trp_status trp_residence_rank(struct trp_residence *r, struct trp_error *err);

/* Something outside has changed (a pin, a guest not held any more): look again soon.
 *   Owns  : nothing.
 *   Thread: control.
 *   Errors: none. */
void trp_residence_stir(struct trp_residence *r);

#endif
