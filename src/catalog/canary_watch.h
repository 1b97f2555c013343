/* catalog/canary_watch.h - looks at the canaries of routes, once a second.
 * Answers "does this one get more by now, or nothing any more?".  What was decided is logged and
 * counted; a canary goes on where it was when its route is read again. */
#ifndef TRP_CANARY_WATCH_H
#define TRP_CANARY_WATCH_H

#include "base/clock.h"
#include "base/loop.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "route/route_file.h"

struct trp_canary_watch {
    struct trp_loop *control;
    const struct trp_clock *clock;
    struct trp_log *log;
    struct trp_metrics *metrics;
    struct trp_timer timer;
    const struct trp_route_file *file; /* that serves; NULL: none yet */
};

/* Looks from now on until it is stopped; the other fields are filled in before.
 *   Owns  : the caller's storage; stopped before the file goes.
 *   Thread: control.
 *   Errors: OUT_OF_MEMORY; stop: none, also of one that was not started. */
trp_status trp_canary_watch_start(struct trp_canary_watch *w, struct trp_error *err);
void trp_canary_watch_stop(struct trp_canary_watch *w);

/* Another file serves from now on: its canaries go on from the old one's, those that are new begin,
 * those of routes that it has adopted are not touched.
 *   Owns  : borrowed until the next one.
 *   Thread: control; before loops see its routes.
 *   Errors: none. */
void trp_canary_watch_show(struct trp_canary_watch *w, const struct trp_route_file *file);

#endif
