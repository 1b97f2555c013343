/* exec/crew.h - threads that do long steps of compositions, and casts of routes.
 * Answers "who does what would hold up a loop, and in which order?".
 *
 *   loop --push--> WAITS --a thread is free--> work --> back, on the loop
 *                    \--withdraw: nobody wants it any more--> back
 *                    \--another one takes its place: too many wait--> back
 *
 *  1. Of those that wait the one of the highest class goes first; in it tenants have turns by
 *     weight; of a tenant the one whose deadline is the earliest, then whoever came first; one
 *     without a deadline as if it had a minute.  But a class that waits is owed its floor of all
 *     turns, and goes first once it is owed one; turns are counted, not their time.  Who was idle
 *     has saved nothing.
 *  2. Whatever was pushed comes back once: a crew that is stopped does what waits first.
 *  3. When too many wait, the least urgent class loses, in it the tenant with most waiting for its
 *     weight, and of its jobs a late one; perhaps the one that was just pushed.  So whoever floods
 *     the queue makes room for everybody else.
 *  4. A job lies in its owner's memory, until it is back. */
#ifndef TRP_CREW_H
#define TRP_CREW_H

#include "base/clock.h"
#include "base/loop.h"
#include "base/status.h"
#include "call/call.h"
#include "exec/tenants.h"

#define TRP_CREW_PATIENCE_NS TRP_S(60)

/* That a step works on, beyond which a helper does it: some 50 us. */
#define TRP_CREW_ASIDE_BYTES (256u << 10)

struct trp_crew;

struct trp_crew_opts {
    uint32_t threads_n, jobs_max; /* jobs that wait */
    uint32_t floor_normal_permille, floor_batch_permille;
    const struct trp_tenant_rule *tenant_rules; /* for their weights; outlive the crew */
    uint32_t tenant_rules_n;
    uint64_t seed;     /* so that nobody can choose a name that shares another one's turns */
    int nice;          /* how much the threads yield to others */
    const char *limit; /* the setting that says jobs_max: static */
};

struct trp_crew_job {
    void (*work)(struct trp_crew_job *job); /* on a thread of the crew */
    void (*back)(struct trp_crew_job *job); /* on the loop, in a later turn */
    struct trp_loop *loop;
    enum trp_priority_class priority_class;
    bool is_aside;         /* nobody waits for it: behind all classes, without a floor */
    int64_t deadline_ns;   /* 0: none */
    struct trp_str tenant; /* empty: nobody in particular; borrowed while it is pushed */
    bool is_withdrawn;     /* it comes back as it went: `work` was not called */
    bool is_shed;          /* so it does, because too many wait */
    /* the crew's own */
    struct trp_queue_spot spot;
    struct trp_crew_share *share;
    struct trp_mail mail;
    bool is_waiting;
};

/* Makes one whose threads do not run yet.
 *   Owns  : the caller destroys; alloc is borrowed.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_crew_create(const struct trp_alloc *alloc, const struct trp_crew_opts *opts,
                           struct trp_crew **out_crew, struct trp_error *err);
void trp_crew_destroy(struct trp_crew *c); /* accepts NULL; nothing waits */

/* Starts its threads; stops them once nothing waits.
 *   Owns  : nothing.
 *   Thread: startup.
 *   Blocks: stop: until the work that was pushed is done.
 *   Errors: as trp_thread_start(); those that were started run. */
trp_status trp_crew_start(struct trp_crew *c, struct trp_error *err);
void trp_crew_stop(struct trp_crew *c);

/* Hands a job over, whose first six members are set; `back` follows.
 *   Owns  : the job is the crew's until then.
 *   Thread: the job's loop.
 *   Cost  : O(1) mostly, no allocation; a lock.
 *   Errors: QUEUE_FULL (limit QUEUE): the job is the caller's still. */
trp_status trp_crew_push(struct trp_crew *c, struct trp_crew_job *job, struct trp_error *err);

/* What is to be told of a job that was shed: as if it had been refused when it was pushed.
 *   Owns  : as trp_fail().
 *   Thread: any.
 *   Errors: returns QUEUE_FULL (limit QUEUE). */
trp_status trp_crew_fail_full(const struct trp_crew *c, struct trp_error *err);

/* Sends a job back that still waits.  One that is at work or on its way back is left alone.
 *   Owns  : nothing; the job was pushed, and is not back yet.
 *   Thread: the job's loop.
 *   Errors: none. */
void trp_crew_withdraw(struct trp_crew *c, struct trp_crew_job *job);

/* Does the first of those that wait, here and now; for tests, which have no threads.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: false: nothing waits. */
bool trp_crew_do_one(struct trp_crew *c);

#endif
