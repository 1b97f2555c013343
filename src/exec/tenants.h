/* exec/tenants.h - who shares the machine.
 * Answers "whose share does this call take?".  A bounded table of tenants by the names that clients
 * give (header troupe-tenant): each has a share of its own in the scheduler, and limits of its own.
 * Who has no call here may have to leave for somebody new; while all places are taken by tenants
 * with calls, strangers share one.  Nothing is allocated when a tenant comes.
 *
 *  1. A tenant's place is its while a call holds it, so the scheduler never loses one whose calls
 *     wait.
 *  2. Two names are told apart by 64 bits of a hash with a seed of this process's own. */
#ifndef TRP_TENANTS_H
#define TRP_TENANTS_H

#include "base/alloc.h"
#include "base/thread.h"
#include "obs/metrics.h"
#include "sched/rate_limit.h"
#include "sched/sched.h"

#define TRP_TENANT_RULES_MAX 256

/* What the operator says of a tenant. */
struct trp_tenant_rule {
    struct trp_str name; /* "*": of everybody else, each, and of those without a name together */
    uint32_t weight;     /* 1 to 1000 */
    double requests_per_second, rows_per_second; /* 0: no limit */
    uint32_t calls_max;                          /* at once; 0: no limit */
};

struct trp_tenants_opts {
    uint32_t tenants_max; /* places, besides that of strangers; 0: none, all are strangers */
    const struct trp_tenant_rule *rules;
    uint32_t rules_n;
    uint64_t seed;
    struct trp_metrics *metrics; /* NULL: nothing is counted */
};

struct trp_tenants;
struct trp_tenant {
    struct trp_tenants *all;
    struct trp_sched_tenant share;
    struct trp_rate_limit rate; /* under the lock */
    struct trp_gauge calls;     /* that hold it */
    struct trp_tenant *next;    /* in its bucket */
    uint64_t name;
    bool is_asked; /* since somebody looked for one that can leave */
};

struct trp_tenants { /* zero: everybody is nobody in particular */
    const struct trp_alloc *alloc;
    struct trp_tenants_opts opts;
    struct trp_sched *sched;
    struct trp_lock *lock; /* the queue's: whoever touches this holds it */
    struct trp_tenant *places, **buckets;
    struct trp_tenant anyone, strangers; /* anyone: calls without a tenant */
    uint32_t buckets_n, used, hand;
    bool has_rates; /* some rule has limits */
};

/* Reads "gold weight=4 requests_per_second=100 rows_per_second=1000 concurrency=8"; what is left
 * out: weight 1, no limit.
 *   Owns  : out->name is borrowed from the text.
 *   Thread: any.
 *   Errors: INVALID_ARGUMENT with what is wrong. */
trp_status trp_tenant_rule_parse(struct trp_str text, struct trp_tenant_rule *out,
                                 struct trp_error *err);

/* What a tenant (empty: calls without one, together) gets against others, by what the operator
 * says.
 *   Units : 1 to 1000; 1 where nothing is said.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
uint32_t trp_tenant_weight(const struct trp_tenant_rule *rules, uint32_t rules_n,
                           struct trp_str name);

/* Sets up the table; a deinit table or one that was never set up may be deinit.
 *   Owns  : the caller's storage; everything given is borrowed, the rules too.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY. */
trp_status trp_tenants_init(struct trp_tenants *t, const struct trp_alloc *alloc,
                            const struct trp_tenants_opts *opts, struct trp_sched *s,
                            struct trp_lock *lock);
void trp_tenants_deinit(struct trp_tenants *t);

/* Finds a tenant's place or gives it one, for a call; no name: that of anyone.  leave: the call has
 * ended.
 *   Owns  : the place is held until trp_tenants_leave().
 *   Thread: owner, under the lock (enter); any (leave, which accepts NULL).
 *   Cost  : O(1) for one that is here, O(rules + a few places) for one that comes.
 *   Errors: none; NULL when the table was never set up. */
struct trp_tenant *trp_tenants_enter(struct trp_tenants *t, struct trp_str name);
void trp_tenants_leave(struct trp_tenant *tenant);

/* What the scheduler knows a tenant by; NULL: nobody in particular.
 *   Owns  : borrowed from the tenant.
 *   Thread: any.
 *   Errors: none. */
static inline struct trp_sched_tenant *trp_tenants_share(struct trp_tenant *tenant)
{
    return tenant && tenant != &tenant->all->anyone ? &tenant->share : NULL;
}

#endif
