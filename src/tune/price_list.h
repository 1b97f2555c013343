/* tune/price_list.h - what runs of models cost.
 * Answers "how long does a run of so many rows take, and how many may run?".  As a server learned
 * it (`GET /api/cost`, the same JSON in a file), or as you suppose.
 *
 *     {"models": [{"name": "mlp", "instances": 2, "batching": "on", "rows_max": 64, "delay_ns": 0,
 *                  "points": [{"rows": 1, "run_ns": 2000000}, {"rows": 8, "run_ns": 6000000}]}]}
 *
 * and, where requests that wait are joined whatever it costs, "forced": true; "preferred_rows": [8,
 * 16]; and what runs of one size took in the mean, "measured": [{"rows": 1, "runs": 900, "mean_ns":
 * 2100000}], which is then what they take, while points are what the scheduler believes. */
#ifndef TRP_PRICE_LIST_H
#define TRP_PRICE_LIST_H

#include "base/arena.h"
#include "base/status.h"
#include "sched/batching.h"

#define TRP_PRICE_POINTS_MAX 64u
#define TRP_PRICE_MODELS_MAX 100000u

struct trp_price_point {
    uint32_t rows;
    int64_t run_ns;
};
struct trp_price_points { /* by rows, ascending */
    struct trp_price_point at[TRP_PRICE_POINTS_MAX];
    uint32_t n;
};

struct trp_price { /* of one model */
    struct trp_str name;
    uint32_t slots; /* runs at once; 0: no limit */
    struct trp_batching_rules rules;
    struct trp_price_points points;   /* as the scheduler believes */
    struct trp_price_points measured; /* none: as above */
    struct trp_price *next;
};

struct trp_price_list {
    struct trp_arena arena; /* of all prices */
    struct trp_price *first, *last;
    uint32_t n;
};

/* Sets up an empty list.
 *   Owns  : the caller's storage; deinit frees; `alloc` is borrowed.
 *   Thread: owner.
 *   Errors: none. */
void trp_price_list_init(struct trp_price_list *l, const struct trp_alloc *alloc);
void trp_price_list_deinit(struct trp_price_list *l);

/* Reads what a server says, or a file does.  Of several versions of a model the last one counts;
 * one without a point, which has not run yet, does not.
 *   Owns  : copied.
 *   Thread: owner.
 *   Errors: INVALID_ARGUMENT: which model, and what is wrong; OUT_OF_MEMORY, TOO_LARGE. */
trp_status trp_price_list_parse(struct trp_price_list *l, struct trp_str json,
                                struct trp_error *err);

/* Finds a model's price; NULL when there is none.  set: sets the points of one, which is made when
 * there is none, from a text: "5ms", or "1:5ms,8:12ms" by rows.
 *   Owns  : borrowed from the list.
 *   Thread: owner.
 *   Cost  : O(models).
 *   Errors: set: INVALID_ARGUMENT, OUT_OF_MEMORY. */
struct trp_price *trp_price_list_find(const struct trp_price_list *l, struct trp_str name);
trp_status trp_price_list_set(struct trp_price_list *l, struct trp_str name, struct trp_str points,
                              struct trp_error *err);

/* What a run takes: between two points on the line between them, beyond the last one in proportion,
 * before the first one as that.
 *   Units : rows >= 1; ns.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : O(points).
 *   Errors: none. */
int64_t trp_price_run_ns(const struct trp_price *p, uint32_t rows);

/* Teaches a curve what the scheduler believes.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
void trp_price_teach(const struct trp_price *p, struct trp_cost_curve *curve);

#endif
