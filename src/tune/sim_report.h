/* tune/sim_report.h - what came of a simulated day.
 * Answers "who waited how long, what was turned away, how busy was it?".  All of it follows from
 * the results of the arrivals. */
#ifndef TRP_SIM_REPORT_H
#define TRP_SIM_REPORT_H

#include "base/buf.h"
#include "tune/simulator.h"

struct trp_sim_line { /* of some of the arrivals */
    struct trp_str name;
    uint64_t arrived, ends[TRP_SIM_ENDS];
    int64_t p50_ns, p90_ns, p99_ns,
        max_ns;          /* from arrival to answer, of those that were answered */
    double wait_ns;      /* mean, until their run began */
    uint64_t runs, rows; /* of its requests; rows of these runs */
    double busy_ns;      /* that they took */
};

struct trp_sim_report {
    struct trp_arena arena; /* lines; names are borrowed from the workload */
    struct trp_sim_line all, classes[TRP_SCHED_CLASSES]; /* the most urgent first */
    struct trp_sim_line *models, *tenants;               /* by their numbers */
    uint32_t models_n, tenants_n;
    int64_t length_ns;                 /* from the first arrival to the last answer */
    double executors_used, loops_used; /* 0..1 of the time of all of them */
    uint32_t queued_most;
};

/* Makes the report.
 *   Owns  : the caller's storage; deinit frees, also after a failure.
 *   Thread: owner.
 *   Cost  : O(n log n), memory for 8 bytes an arrival meanwhile.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_sim_report_make(struct trp_sim_report *r, const struct trp_alloc *alloc,
                               const struct trp_sim_question *question,
                               const struct trp_sim_result *results,
                               const struct trp_sim_totals *totals, struct trp_error *err);
void trp_sim_report_deinit(struct trp_sim_report *r);

/* Appends it as one JSON object.
 *   Owns  : copied.
 *   Thread: owner.
 *   Errors: see b->failed. */
void trp_sim_report_write(const struct trp_sim_report *r, struct trp_buf *b);

/* How long an arrival took, until whatever answer; a quantile of numbers that are in order, as
 * bench/ counts them (0: none).
 *   Units : ns; 0 <= share <= 1.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
int64_t trp_sim_latency_ns(const struct trp_arrival *a, const struct trp_sim_result *r);
int64_t trp_sim_quantile(const int64_t *sorted, uint64_t n, double share);
void trp_sim_sort(int64_t *numbers, uint64_t n);

#endif
