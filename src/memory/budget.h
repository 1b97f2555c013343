/* memory/budget.h - how much there is to give out, of everything that runs out.
 * Answers "does it fit, now or ever?".  Bytes are not all that a model takes: a prepared one has a
 * mapping for each of its weights, and the kernel allows a process only so many
 * (vm.max_map_count); descriptors run out as well.  So a budget counts several resources at once,
 * and something fits when it fits in each of them.
 *
 *  1. A reservation never makes what is used pass a limit; it takes of all resources, or of none.
 *  2. What was measured is believed: a commitment may pass the limit, because the memory is taken
 *     already.  Then nothing more is reserved until enough was given back.
 *  3. Whoever reserved holds a `struct trp_hold`; giving it back twice gives back nothing.
 *
 * Pure: no lock, no clock, nobody waits here.  What the limits are is the caller's to find out
 * (base/machine.h tells the memory). */
#ifndef TRP_BUDGET_H
#define TRP_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum trp_resource {
    TRP_RESOURCE_BYTES,
    TRP_RESOURCE_MAPPINGS,
    TRP_RESOURCE_DESCRIPTORS,
    TRP_RESOURCES
};

/* So much of each. */
struct trp_amounts {
    uint64_t of[TRP_RESOURCES];
};

/* "bytes", "mappings", "descriptors".
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const char *trp_resource_name(enum trp_resource resource);

/* Both together; a without b; whether a is at most b in each.  Nothing wraps: a sum ends at
 * UINT64_MAX, a difference at 0.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
struct trp_amounts trp_amounts_sum(struct trp_amounts a, struct trp_amounts b);
struct trp_amounts trp_amounts_less(struct trp_amounts a, struct trp_amounts b);
bool trp_amounts_fit(struct trp_amounts a, struct trp_amounts b);
bool trp_amounts_is_zero(struct trp_amounts a);

struct trp_budget {           /* zero is a budget without limits */
    struct trp_amounts limit; /* 0: none */
    struct trp_amounts fixed; /* held in any case: the program itself, what nobody accounts for */
    struct trp_amounts committed;    /* really taken */
    struct trp_amounts reserved;     /* promised */
    uint64_t refused[TRP_RESOURCES]; /* reservations that this one was too short for */
};

/* What somebody has of a budget; zero holds nothing. */
struct trp_hold {
    struct trp_amounts amounts;
    bool is_committed;
};

enum trp_reserve {
    TRP_RESERVE_DONE,
    TRP_RESERVE_NOT_NOW, /* when others have given back, or were made to */
    TRP_RESERVE_NEVER    /* not even when nobody else holds anything */
};

/* Reserves `need`; on DONE `hold` has it, else it holds nothing.
 *   Owns  : `hold` is the caller's and holds nothing before; trp_budget_release() ends it.
 *   Thread: owner.
 *   Blocks: never; to wait is the caller's.
 *   Errors: none; see enum trp_reserve. */
enum trp_reserve trp_budget_reserve(struct trp_budget *b, struct trp_amounts need,
                                    struct trp_hold *hold);

/* What was promised is taken now, and is as much as was measured: more or less than was reserved.
 * Again with another measurement, that one counts.
 *   Owns  : as trp_budget_reserve(); `hold` may hold nothing before.
 *   Thread: owner.
 *   Errors: none; trp_budget_missing() of nothing is what passes a limit now. */
void trp_budget_commit(struct trp_budget *b, struct trp_hold *hold, struct trp_amounts measured);

/* Gives back what was reserved or committed.
 *   Owns  : `hold` holds nothing afterwards.
 *   Thread: owner.
 *   Errors: none. */
void trp_budget_release(struct trp_budget *b, struct trp_hold *hold);

/* What is used (fixed, committed and reserved); what is left (UINT64_MAX where there is no limit);
 * what would have to be given back so that `need` fits, also for what is used beyond a limit.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
struct trp_amounts trp_budget_used(const struct trp_budget *b);
struct trp_amounts trp_budget_left(const struct trp_budget *b);
struct trp_amounts trp_budget_missing(const struct trp_budget *b, struct trp_amounts need);

/* The most that could be had if only `kept` and what is fixed stayed (UINT64_MAX: no limit).
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
struct trp_amounts trp_budget_reach(const struct trp_budget *b, struct trp_amounts kept);

/* Says with numbers why `need` is not had, naming the first resource that is short of it: `had` is
 * what could be had, `when` the words for when ("now", "at most").
 *   Owns  : as trp_fail().
 *   Thread: owner.
 *   Errors: returns OVER_BUDGET. */
trp_status trp_budget_refuse(const struct trp_budget *b, struct trp_amounts need,
                             struct trp_amounts had, const char *when, struct trp_error *err);

#endif
