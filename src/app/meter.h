/* app/meter.h - compares what the process uses with what the accounts say.
 * Answers "does the budget hold for what we really take?".  A thread that looks once in a while:
 * the difference becomes what the ledger calls fixed, holds follow what runs have given back,
 * whoever can make room hears when a limit is passed, and calls that wait for room are tried
 * again.  A budget that the process fills before it has any model is told in the log. */
#ifndef TRP_METER_H
#define TRP_METER_H

#include "backend/backend_host.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/thread.h"
#include "exec/exec.h"
#include "memory/usage.h"
#include "obs/log.h"
#include "tensor/commons.h"

struct trp_meter_opts {
    const char *root; /* before /proc; "" is the real one */
    int64_t interval_ns;
    const struct trp_clock *clock;
    struct trp_ledger *ledger;
    struct trp_headrooms *headrooms;
    struct trp_account *const *accounts; /* of the process, by enum trp_account_kind */
    struct trp_exec *exec;               /* NULL: nobody waits */
    struct trp_backends *backends; /* whose worker processes count too; NULL: there are none */
    struct trp_commons *commons; /* pages of accounts that are not private; NULL: there are none */
    struct trp_usage *usage;     /* where the numbers are put */
    struct trp_log *log;         /* NULL: nobody is told of a budget that is too small */
};

struct trp_meter {
    struct trp_meter_opts opts;
    struct trp_loop *loop;
    struct trp_thread thread;
    struct trp_timer timer;
    int64_t next_measure_ns;   /* a look at every page costs time; see meter.c */
    uint64_t file_bytes;       /* at the last such look: of files, each page whole */
    uint64_t file_share_bytes; /* and each page in parts */
    bool has_warned;           /* that the budget is too small for anything: once is enough */
    bool has_told_full;        /* that the commons are: once, too */
};

/* Sets up; start runs the thread; stop ends it, deinit frees.  look: one comparison, as the thread
 * makes them.
 *   Owns  : the caller's storage; opts copied, what they point to borrowed.
 *   Thread: startup; look: the meter's own, or startup before start.
 *   Blocks: look: disk (the kernel's own files).
 *   Errors: OUT_OF_MEMORY, IO; a kernel that does not say what is used leaves the accounts alone
 *           to count. */
trp_status trp_meter_init(struct trp_meter *m, const struct trp_alloc *alloc,
                          const struct trp_meter_opts *opts, struct trp_error *err);
trp_status trp_meter_start(struct trp_meter *m, struct trp_error *err);
void trp_meter_stop(struct trp_meter *m);
void trp_meter_deinit(struct trp_meter *m);
void trp_meter_look(struct trp_meter *m);

#endif
