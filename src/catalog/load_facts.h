/* catalog/load_facts.h - how busy models and the server are, for rules to see.
 * Answers "how long is its queue, how slow was it lately?".  The control thread looks some ten
 * times a second at the models that rules name and publishes numbers; loops read them without a
 * lock (route/load_view.h).
 *
 *  1. Of a name all versions count together; of "model@label" and "model@3" the one.  What they
 *     have counted since the last look is put into the second that it was seen in; figures of a
 *     window are of the last TRP_LOAD_VIEW_WINDOW_S seconds and what there is of the present one.
 *  2. A quantile lies within its histogram's bucket (1, 2, 5, 10 us, ...) in proportion.
 *  3. What a client did wrong is no error of the model: those count that a server answers for (HTTP
 *     5xx) and full queues.
 *  4. Each number is whole, but those of one model may be of two looks. */
#ifndef TRP_LOAD_FACTS_H
#define TRP_LOAD_FACTS_H

#include "backend/backend_host.h"
#include "base/clock.h"
#include "base/loop.h"
#include "catalog/directories.h"
#include "exec/exec.h"
#include "memory/ledger.h"
#include "model/registry.h"
#include "obs/metrics.h"
#include "route/load_view.h"

struct trp_load_facts;

struct trp_load_facts_opts {
    struct trp_loop *control;
    const struct trp_clock *clock;
    int64_t interval_ns;
    double processors;           /* that the process may keep busy */
    struct trp_exec *exec;       /* NULL: nothing waits */
    struct trp_ledger *ledger;   /* NULL: there is no budget */
    struct trp_metrics *metrics; /* NULL: nothing is in flight */
    const struct trp_directories
        *directories;              /* of routes and compositions; NULL: there are none */
    struct trp_backends *backends; /* whose worker processes count too; NULL: there are none */
    /* What the process and these workers have used of processors so far, ns; NULL: what the
     * system says. */
    int64_t (*used_ns)(void *user);
    void *user;
};

/* Makes it; start looks again and again, stop ends that.
 *   Owns  : the caller destroys, when nobody reads any more; opts copied, what they point to
 *           borrowed.
 *   Thread: startup; start, stop: control, or while its loop does not run.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_load_facts_create(const struct trp_alloc *alloc,
                                 const struct trp_load_facts_opts *opts,
                                 struct trp_load_facts **out_facts, struct trp_error *err);
trp_status trp_load_facts_start(struct trp_load_facts *f, struct trp_error *err);
void trp_load_facts_stop(struct trp_load_facts *f);
void trp_load_facts_destroy(struct trp_load_facts *f); /* accepts NULL */

/* Tells which models there are from now on; one look, as they are made by time.
 *   Owns  : the snapshot is borrowed until the next one.
 *   Thread: control.
 *   Errors: none. */
void trp_load_facts_show(struct trp_load_facts *f, const struct trp_snapshot *snapshot);
void trp_load_facts_look(struct trp_load_facts *f);

/* What rules are given.
 *   Owns  : borrowed from the facts.
 *   Thread: any.
 *   Errors: none. */
const struct trp_load_view *trp_load_facts_view(const struct trp_load_facts *f);

#endif
