/* sched/placement.h - which calls a loop runs itself.
 * Answers "here, on an executor, or in a moment?".  Waking a sleeping thread costs more than a tiny
 * model's whole run, so a loop runs those itself; but while it runs one, nobody is read from or
 * answered, so the time for it is bounded in each turn. Pure: costs and loads are arguments.
 *
 *  1. A model whose cost is not known yet runs on an executor, where a long run harms nobody but
 *     itself.
 *  2. A call that would run longer than `run_max_ns` goes to an executor; but while all of them are
 *     busy, one that fits what is left of the turn stays: in their queue it could stand behind
 *     whole runs of long models.
 *  3. When the turn's time is used up, the rest goes to executors that sleep; when none does, short
 *     ones wait for the next turn, for the same reason; and while an executor is in a run longer
 *     than a whole turn, so does what fits into a turn. */
#ifndef TRP_PLACEMENT_H
#define TRP_PLACEMENT_H

#include <stdbool.h>
#include <stdint.h>

enum trp_place { TRP_PLACE_INLINE, TRP_PLACE_EXECUTOR, TRP_PLACE_LATER };

struct trp_turn_budget {
    int64_t run_max_ns; /* longest run that a loop takes on; 0: none */
    int64_t left_ns;    /* of this turn's time */
    bool used;          /* a run was taken on in this turn: the first one always may */
    int64_t turn_ns;    /* a fresh turn's time */
};

/* What a glance at the executors shows. */
struct trp_executors_seen {
    uint32_t idle;
    bool has_long_run; /* one of them is in a run that is longer than a turn, or whose length is not
                       * known */
};

/* Decides for one call.
 *   Units : cost_ns from trp_cost_estimate(); 0: not known.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
enum trp_place trp_place_call(const struct trp_turn_budget *budget, int64_t cost_ns,
                              const struct trp_executors_seen *executors);

/* What a version's runs have cost so far. */
struct trp_cost {
    int64_t run_ns;    /* moving average; 0: not known */
    int64_t run_bytes; /* of their inputs, the same average */
};

/* The likely cost of a run with so many bytes of input: larger inputs than those learned from cost
 * more in proportion, smaller ones are not trusted to cost less.
 *   Units : ns, bytes.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none; 0 when nothing is known. */
int64_t trp_cost_estimate(const struct trp_cost *cost, uint64_t bytes);

/* What to learn from a measured run, 0: nothing.  Noise only ever makes a run longer (another
 * thread had the core, the caches were cold), so a cheaper run is believed twice as fast, and a
 * dearer one a quarter as fast.  A run that took several times what was expected counts as noise
 * the first time; the more of them come in a row, the larger a change is believed.
 *   Units : ns; known_ns is the average (0: none yet), expected_ns the estimate for this run;
 *           *surprises counts the long runs in a row and is kept by the caller.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
int64_t trp_cost_believe(int64_t known_ns, int64_t expected_ns, int64_t measured_ns,
                         int64_t *surprises);

#endif
