/* exec/quota.c - see quota.h.
 *
 * What a model has let through stands in its room, which all of its versions share, and so
 * outlives each of them. */
#include "exec/quota.h"

#include "exec/batch.h"
#include "exec/waiting.h"

#define NS_PER_MS 1000000

enum { OF_MODEL, OF_TENANT, LIMITS };

static struct trp_version *version_of(const struct trp_call *call)
{
    return trp_version_of(call->target);
}

/* The rule that its owner wrote last holds for all versions. */
static struct trp_rate_limit *limit_of(const struct trp_version *v)
{
    const struct trp_queue_rules *const rules = v->config.queue;
    if (!v->room || !trp_queue_rules_has_rate(rules))
        return NULL;
    struct trp_rate_limit *const limit = trp_waiting_rate(v->room);
    limit->requests.per_second = limit->requests.burst = rules->requests_per_second;
    limit->rows.per_second = limit->rows.burst = rules->rows_per_second;
    limit->calls_max = rules->calls_max;
    return limit;
}

static uint32_t rows_of(struct trp_call *call)
{
    uint64_t rows = trp_run_rows(call);
    if (trp_batch_limit(version_of(call)) > 0) {
        trp_batch_mark(call);
        rows = call->batch_key != 0 ? call->batch_rows : rows;
    }
    return rows < UINT32_MAX ? (uint32_t)rows : UINT32_MAX;
}

static trp_status refuse(const struct trp_tenants *t, struct trp_call *call,
                         const struct trp_rate_limit *limit, const struct trp_rate_answer *no)
{
    static const struct {
        enum trp_metric metric;
        const char *what;
    } kinds[] = {
        [TRP_RATE_REQUESTS] = { TRP_METRIC_REFUSED_REQUESTS, "requests a second" },
        [TRP_RATE_ROWS] = { TRP_METRIC_REFUSED_ROWS, "rows a second" },
        [TRP_RATE_CALLS] = { TRP_METRIC_REFUSED_CALLS, "requests at once" },
    };
    const double most = no->verdict == TRP_RATE_REQUESTS ? limit->requests.per_second
                        : no->verdict == TRP_RATE_ROWS   ? limit->rows.per_second
                                                         : limit->calls_max;
    const struct trp_str name = call->target->name;
    if (t->opts.metrics)
        trp_metrics_add(t->opts.metrics, kinds[no->verdict].metric, 1);
    const trp_status st =
        no->limit == OF_MODEL
            ? trp_fail(&call->error, TRP_QUEUE_FULL,
                       "model '%.*s' takes no more than %g %s (rate_limit)", TRP_STR(name), most,
                       kinds[no->verdict].what)
            : trp_fail(&call->error, TRP_QUEUE_FULL,
                       "tenant '%.*s' may ask for no more than %g %s (sched.tenants)",
                       (int)(call->tenant.len < 64 ? call->tenant.len : 64), call->tenant.ptr, most,
                       kinds[no->verdict].what);
    const int64_t ms = (no->retry_after_ns + NS_PER_MS - 1) / NS_PER_MS;
    call->error.retry_after_ms = ms < 1 ? 1 : ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
    return st;
}

trp_status trp_quota_begin(struct trp_tenants *t, struct trp_call *call, int64_t now_ns)
{
    const struct trp_version *const v = version_of(call);
    trp_status st = trp_ok();
    if (call->is_metered || !t->lock ||
        !(t->has_rates || trp_queue_rules_has_rate(v->config.queue)))
        return st;
    const uint32_t rows = rows_of(call);
    trp_lock_enter(t->lock);
    if (!call->payer)
        call->payer = trp_tenants_enter(t, call->tenant);
    struct trp_rate_limit *const limits[LIMITS] = {
        [OF_MODEL] = limit_of(v),
        [OF_TENANT] = t->has_rates ? &call->payer->rate : NULL,
    };
    const struct trp_rate_answer answer = trp_rate_limit_ask(limits, LIMITS, rows, now_ns);
    if (answer.verdict != TRP_RATE_FREE) {
        st = refuse(t, call, limits[answer.limit], &answer);
    } else {
        call->is_metered = true;
        call->model_rate = limits[OF_MODEL];
    }
    trp_lock_leave(t->lock);
    return st;
}

void trp_quota_end(struct trp_call *call)
{
    struct trp_tenant *const payer = call->payer;
    if (!payer)
        return;
    if (call->is_metered) {
        struct trp_tenants *const t = payer->all;
        struct trp_rate_limit *const limits[LIMITS] = {
            [OF_MODEL] = call->model_rate,
            [OF_TENANT] = t->has_rates ? &payer->rate : NULL,
        };
        trp_lock_enter(t->lock);
        trp_rate_limit_end(limits, LIMITS);
        trp_lock_leave(t->lock);
    }
    call->is_metered = false;
    call->model_rate = NULL;
    call->payer = NULL;
    trp_tenants_leave(payer);
}
