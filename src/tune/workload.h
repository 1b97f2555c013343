/* tune/workload.h - what a simulated server is asked.
 * Answers "who comes when, and wants what?".  Arrivals in order of time, with the names of models
 * and tenants that they speak of. From a file (arrival_log.h), made up (traffic.h), or both
 * together. */
#ifndef TRP_WORKLOAD_H
#define TRP_WORKLOAD_H

#include "base/arena.h"
#include "base/status.h"
#include "call/call.h"

#define TRP_WORKLOAD_ARRIVALS_MAX 20000000u
#define TRP_WORKLOAD_NAMES_MAX 100000u /* models; tenants */
#define TRP_WORKLOAD_ROWS_MAX 1000000u

struct trp_arrival {
    int64_t at_ns;                /* since the workload began */
    int64_t timeout_ns;           /* from then to its deadline; 0: none */
    uint32_t model, tenant, rows; /* numbers of names; rows >= 1 */
    enum trp_priority_class class;
};

struct trp_workload_names {
    struct trp_table *table; /* number + 1, as a pointer */
    struct trp_str *names;   /* by number */
    uint32_t n, room;
};

struct trp_workload { /* trp_workload_init() makes it ready; read the arrays as you like */
    const struct trp_alloc *alloc;
    struct trp_arena arena; /* names */
    struct trp_arrival *arrivals;
    uint32_t arrivals_n, arrivals_room;
    struct trp_workload_names models, tenants; /* tenant 0 is nobody in particular */
    bool is_sorted;
};

/* Sets up a workload without arrivals.
 *   Owns  : the caller's storage; deinit frees, also after a failure; `alloc` is borrowed.
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_workload_init(struct trp_workload *w, const struct trp_alloc *alloc,
                             struct trp_error *err);
void trp_workload_deinit(struct trp_workload *w);

/* The number of a name, a new one for a name that was not there yet; find: UINT32_MAX then.
 *   Owns  : the name is copied.
 *   Thread: owner.
 *   Errors: OUT_OF_MEMORY, TOO_LARGE. */
trp_status trp_workload_model(struct trp_workload *w, struct trp_str name, uint32_t *out,
                              struct trp_error *err);
trp_status trp_workload_tenant(struct trp_workload *w, struct trp_str name, uint32_t *out,
                               struct trp_error *err);
uint32_t trp_workload_find_model(const struct trp_workload *w, struct trp_str name);
uint32_t trp_workload_find_tenant(const struct trp_workload *w, struct trp_str name);

/* The class of a name, "interactive", "normal" or "batch"; the name of a class.
 *   Owns  : borrowed; static. *out is untouched on false.
 *   Thread: any.
 *   Errors: false: no class is called so. */
bool trp_workload_parse_class(struct trp_str name, enum trp_priority_class *out);
const char *trp_workload_class_name(enum trp_priority_class class);

/* Adds an arrival, in any order of time.
 *   Units : ns; at_ns >= 0, timeout_ns >= 0, 1 <= rows.
 *   Owns  : copied.
 *   Thread: owner.
 *   Cost  : O(1) amortised.
 *   Errors: OUT_OF_MEMORY, TOO_LARGE. */
trp_status trp_workload_add(struct trp_workload *w, const struct trp_arrival *a,
                            struct trp_error *err);

/* Puts the arrivals in order of time, those of one moment as they were added.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : O(n) when they are in order already, else O(n log n) with memory for n more.
 *   Errors: OUT_OF_MEMORY; unchanged then. */
trp_status trp_workload_sort(struct trp_workload *w, struct trp_error *err);

/* Lets the first arrival come at 0, and the others as long after it as ever.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
void trp_workload_rebase(struct trp_workload *w);

/* Makes everything come so many times as often: time between arrivals is divided, deadlines are
 * left.
 *   Units : rate > 0.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Errors: none. */
void trp_workload_scale(struct trp_workload *w, double rate);

#endif
