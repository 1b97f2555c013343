/* tune/simulator.h - a server that is not there, and a day that takes a second.
 * Answers "who would be answered when, if these came and the machine were so?".  The scheduler
 * (sched/) is the server's own, and is asked as exec asks it; threads, runs and time are played.
 * Pure: the same question gives the same answer.
 *
 *     arrivals -> loop: reads, runs what is tiny ------------> answers
 *                   | push                                        ^
 *                   v            wake            run, by its price |
 *                 sched ----------------> executor ---------------+
 *
 *  1. A loop does one thing at a time: it reads a request, makes a tiny run, or sends an answer;
 *     its requests come to it in turn.
 *  2. An executor that is woken takes some time to come; one that has ended a run takes the next at
 *     once.
 *  3. A run takes what the price list says for its rows, times chance, and is learned from as the
 *     server learns.
 *  4. Whose deadline passes while it waits leaves then; while it runs, it is answered so, and its
 *     run is stopped if nobody else of it may still be in time.
 *  5. Not played: memory, loading, runs in parts, rate limits, cancelled requests, and
 *     processors that are shared with others. */
#ifndef TRP_SIMULATOR_H
#define TRP_SIMULATOR_H

#include "tune/price_list.h"
#include "tune/workload.h"

#define TRP_SIM_EXECUTORS_MAX 4096u
#define TRP_SIM_LOOPS_MAX 256u
#define TRP_SIM_LENGTH_MAX_NS \
    (INT64_C(366) * 86400 * 1000000000) /* of a workload, and of what comes of it */
#define TRP_SIM_RUN_MAX_NS \
    (INT64_C(900) * 1000000000) /* of the largest run: sums of all that waits fit 64 bits */

struct trp_sim_opts {
    uint32_t executors_n, loops_n;
    uint32_t queue_max, model_queue_max;
    int64_t inline_run_ns, inline_turn_ns;       /* as the settings sched.* */
    uint32_t floors_permille[TRP_SCHED_CLASSES]; /* by enum trp_priority_class */
    const uint32_t *weights; /* of tenants, by their number; NULL: all the same */
    bool forecasts;          /* refuses what cannot meet its deadline */
    bool sheds;              /* a full queue lets go of the least important */
    int64_t request_ns;      /* of a loop, to read a request */
    int64_t answer_ns;       /* of a loop, to send an answer */
    int64_t wake_ns;         /* until an executor that slept begins */
    int64_t turn_ns;         /* from a run's end to the next one's beginning */
    double jitter;           /* of runs: standard deviation by the mean; 0: none */
    bool is_memoryless;      /* of runs: exponential instead */
    uint64_t seed;
};

/* What is measured of a server on one machine, and holds for others as far as they are alike. */
#define TRP_SIM_REQUEST_NS 20000
#define TRP_SIM_ANSWER_NS 15000
#define TRP_SIM_WAKE_NS 15000
#define TRP_SIM_TURN_NS 4000

enum trp_sim_end {
    TRP_SIM_ANSWERED,
    TRP_SIM_EXPIRED, /* its deadline came first */
    TRP_SIM_REFUSED, /* it could not have met it */
    TRP_SIM_SHED,    /* the queue was full, and others were more important */
    TRP_SIM_ENDS
};

struct trp_sim_result {  /* of one arrival; ns since the workload began */
    int64_t queued_ns;   /* when a loop had read it */
    int64_t start_ns;    /* of its run; 0: it had none */
    int64_t run_end_ns;  /* of its run */
    int64_t answered_ns; /* whatever the answer */
    uint32_t run_rows;   /* with its company */
    uint8_t end;         /* enum trp_sim_end */
    bool leads;          /* its run is counted here */
    bool is_inline;      /* on a loop */
};

struct trp_sim_totals {
    int64_t end_ns;                /* when the last answer was sent */
    double executors_ns, loops_ns; /* that all of them worked */
    uint64_t runs, runs_inline;
    uint32_t queued_most;
};

/* Plays a workload, which is sorted, against prices, which every model of it has.
 *   Units : ns; results: one for each arrival.
 *   Owns  : results are the caller's storage; everything is borrowed for the call.
 *   Thread: owner.
 *   Blocks: never.
 *   Cost  : some microseconds an arrival; memory for as many requests as wait at once.
 *   Errors: INVALID_ARGUMENT (an option, a run that is too long), NOT_FOUND (a model without a
 *           price), TOO_LARGE (it lasts too long), OUT_OF_MEMORY. */
struct trp_sim_question {
    const struct trp_sim_opts *opts;
    const struct trp_workload *workload;
    const struct trp_price_list *prices;
};
trp_status trp_simulator_run(const struct trp_alloc *alloc, const struct trp_sim_question *question,
                             struct trp_sim_result *results, struct trp_sim_totals *out_totals,
                             struct trp_error *err);

#endif
