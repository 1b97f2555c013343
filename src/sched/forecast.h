/* sched/forecast.h - when a call would be answered, if it were queued now.
 * Answers "can its deadline be met at all?", so that what cannot is refused at once instead of in
 * vain later.  The likely cost of all that waits before it, by its class, its tenant's share and
 * its deadline, over the executors there are. It takes the calls' own word for their cost: whoever
 * queues calls that will share runs gives the cost of their rows in such a run (cost_curve.h),
 * or the forecast is too dark. */
#ifndef TRP_FORECAST_H
#define TRP_FORECAST_H

#include "sched/sched.h"

struct trp_forecast_view {
    int64_t now_ns;
    uint32_t executors; /* at least 1 */
    int64_t busy_ns;    /* what is left of all runs that are running */
};

struct trp_forecast {
    int64_t ahead_ns;         /* likely cost of what waits and goes first */
    int64_t start_ns, end_ns; /* likely moments */
    int64_t retry_after_ns;   /* from now, when it would be met; 0: it is met */
    bool is_met;
};

/* Forecasts a call that is not queued yet.  Without a deadline, and while its cost is not known
 * (ask->cost_ns 0), it is met always.
 *   Units : ns, the clock of deadlines.
 *   Owns  : nothing.
 *   Thread: owner.
 *   Cost  : O(1), no allocation.
 *   Errors: none. */
struct trp_forecast trp_forecast_call(const struct trp_sched *s, const struct trp_sched_ask *ask,
                                      const struct trp_call *call,
                                      const struct trp_forecast_view *view);

#endif
