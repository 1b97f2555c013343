/* tune/traffic.h - arrivals that are made up.
 * Answers "who would come, if so many came in such a way?".  A stream is written as a kind and what
 * it is made of:
 *
 *   poisson:model=resnet50,rate=40                      at random, so many a second
 *   even:model=bert,rate=10,class=batch                 one after the other, at the same distance
 *   bursts:model=bert,rate=10,on=1s,off=4s              at random, all of them while it is on; both times are means, and random
 *   diurnal:model=mlp,rate=200,period=60s,swing=0.8     at random, between 0.2 and 1.8 times the rate; it begins low
 *
 * and class, tenant, timeout (50ms), rows (4, or 1-8: any of them), from and until (10s) where you
 * like.  Several streams together are a mix.  The same seed makes the same arrivals. */
#ifndef TRP_TRAFFIC_H
#define TRP_TRAFFIC_H

#include "base/clock.h"
#include "tune/workload.h"

enum trp_traffic_kind {
    TRP_TRAFFIC_POISSON,
    TRP_TRAFFIC_EVEN,
    TRP_TRAFFIC_BURSTS,
    TRP_TRAFFIC_DIURNAL,
    TRP_TRAFFIC_KINDS
};

struct trp_traffic {
    enum trp_traffic_kind kind;
    struct trp_str model, tenant; /* of the text; an empty tenant: nobody in particular */
    enum trp_priority_class class;
    double rate; /* a second, the mean */
    int64_t timeout_ns;
    uint32_t rows_min, rows_max;
    int64_t on_ns, off_ns;     /* bursts */
    int64_t period_ns;         /* diurnal */
    double swing;              /* 0..1 */
    int64_t from_ns, until_ns; /* when it is there; until 0: to the end */
};

/* Whether a text begins as a stream does.
 *   Owns  : borrowed.
 *   Thread: any.
 *   Errors: none. */
bool trp_traffic_is_spec(struct trp_str text);

/* Parses one.
 *   Owns  : names are borrowed from the text.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT: which part, and what is expected. */
trp_status trp_traffic_parse(struct trp_str text, struct trp_traffic *out, struct trp_error *err);

/* Adds its arrivals of so long a time to a workload, not in order with those of others
 * (trp_workload_sort()).
 *   Units : ns.
 *   Owns  : copied.
 *   Thread: owner.
 *   Errors: those of workload.h. */
trp_status trp_traffic_add(const struct trp_traffic *t, int64_t length_ns,
                           struct trp_random *random, struct trp_workload *w,
                           struct trp_error *err);

#endif
