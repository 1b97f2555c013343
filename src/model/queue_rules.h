/* model/queue_rules.h - how a model's owner wants its requests to wait.
 * Answers "how long may a request take, what does its number mean, and how many may there be?".
 * Triton's priorities and queue policies (under dynamic_batching), and our own keys `deadline`
 * and `rate_limit`. */
#ifndef TRP_QUEUE_RULES_H
#define TRP_QUEUE_RULES_H

#include "conf/model_schema.h"

#define TRP_QUEUE_LEVELS_MAX 1000u /* of priority */

struct trp_queue_policy {
    int64_t timeout_ns; /* for a request that names no time; 0: none */
    uint32_t calls_max; /* that wait; 0: as for all models */
};

struct trp_queue_level {
    uint64_t level;
    struct trp_queue_policy policy;
};

struct trp_queue_rules {
    uint64_t levels, usual; /* of priority, 1 is the most urgent; levels 0: numbers say nothing */
    int64_t deadline_ns;    /* as timeout_ns */
    struct trp_queue_policy policy;
    const struct trp_queue_level *of_level; /* whose policy differs */
    uint32_t of_level_n;
    double requests_per_second, rows_per_second; /* 0: no limit */
    uint32_t calls_max;                          /* at once; 0: no limit */
};

/* Takes them out of a model's configuration (normal form).
 *   Owns  : in `a`; *out_rules is NULL when nothing of them was written, which all functions below
 *           take.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT with file:line, OUT_OF_MEMORY. */
trp_status trp_queue_rules_take(struct trp_arena *a, const struct trp_node *tree,
                                const struct trp_queue_rules **out_rules, struct trp_error *err);

/* Copies them.
 *   Owns  : in `a`.
 *   Thread: owner.
 *   Errors: false without memory; a copy of NULL is NULL. */
bool trp_queue_rules_dup(struct trp_arena *a, const struct trp_queue_rules *from,
                         const struct trp_queue_rules **out_rules);

/* What holds for a request with a number (0, or one above the levels: the usual one): its level, 0
 * when numbers say nothing; how long it may take, 0: as long as it likes; how many of its level may
 * wait, 0: as many as of the model.
 *   Units : ns, calls.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
uint64_t trp_queue_rules_level(const struct trp_queue_rules *r, uint64_t number);
int64_t trp_queue_rules_timeout_ns(const struct trp_queue_rules *r, uint64_t number);
uint32_t trp_queue_rules_level_max(const struct trp_queue_rules *r, uint64_t number);

/* How many may wait of the model, 0: as of any; whether it has limits by time or at once.
 *   Units : calls.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
uint32_t trp_queue_rules_calls_max(const struct trp_queue_rules *r);
bool trp_queue_rules_has_rate(const struct trp_queue_rules *r);

#endif
