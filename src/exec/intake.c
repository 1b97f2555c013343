/* exec/intake.c - see intake.h.
 *
 * What a forecast says is a guess, and one that errs only one way: towards letting a call in.  It
 * takes the shortest of all runs that are going on for all of them, and a call of a model of which
 * nothing waits or runs is let in whatever its run is thought to cost: otherwise one slow run
 * could close a model to everybody who is in a hurry, and nobody would ever find out that it is
 * fast again. */
#include "exec/intake.h"

#include "backend/backend_host.h"
#include "exec/batch.h"
#include "sched/forecast.h"
#include "sched/shedding.h"

#define NS_PER_MS 1000000
#define PACE_ONE 1000
#define SLACK_PART 8 /* of the wait */
#define PACE_MOST (16 * PACE_ONE)

static struct trp_version *version_of(const struct trp_call *call)
{
    return trp_version_of(call->target);
}

trp_status trp_intake_init(struct trp_intake *in, const struct trp_alloc *alloc,
                           const struct trp_intake_opts *opts, struct trp_sched *s,
                           struct trp_lock *lock)
{
    *in = (struct trp_intake){ .opts = *opts, .alloc = alloc };
    trp_gauge_set(&in->pace, PACE_ONE);
    in->runs = trp_alloc_zeroed(alloc, opts->executors_n + (size_t)1, sizeof *in->runs);
    if (!in->runs)
        return trp_fail(NULL, TRP_OUT_OF_MEMORY, "what %u executors do", opts->executors_n);
    return trp_tenants_init(&in->tenants, alloc, &opts->tenants, s, lock);
}

void trp_intake_deinit(struct trp_intake *in)
{
    if (!in->alloc)
        return;
    trp_tenants_deinit(&in->tenants);
    trp_alloc_free(in->alloc, in->runs);
    in->runs = NULL;
}

/* ---- where it stands ---- */

uint32_t trp_intake_slots(const struct trp_version *v)
{
    const bool is_single =
        v->model && !(trp_backend_capabilities(v->model) & TROUPE_CAN_CONCURRENT);
    return is_single ? 1 : trp_version_instances(v);
}

struct trp_lines *trp_intake_place(struct trp_version *v)
{
    struct trp_lines *l = v->exec_slot;
    if (l)
        return l;
    l = trp_arena_zeroed(&v->arena, 1, sizeof *l);
    if (l && v->config.groups)
        l->busy = trp_arena_zeroed(&v->arena, v->config.groups->groups_n, sizeof *l->busy);
    if (l && v->config.groups && !l->busy)
        return NULL;
    if (l) {
        l->model.slots = trp_intake_slots(v);
        l->model.queue_max = trp_queue_rules_calls_max(v->config.queue);
        l->model.own.model = &l->model;
    }
    v->exec_slot = l;
    return l;
}

/* What its run will cost.  A call that will share one costs its part of it: of as many rows as
 * wait there with it. */
static int64_t cost_of(const struct trp_lines *l, const struct trp_sched_line *line,
                       const struct trp_call *call, uint32_t rows)
{
    const int64_t alone_ns = trp_run_cost_ns(call);
    const uint64_t most = trp_batch_limit(version_of(call));
    if (!trp_lines_is_shared(line) || most == 0)
        return alone_ns;
    uint64_t joined = line->rows + rows < most ? line->rows + rows : most;
    joined = joined > rows ? joined : rows;
    const int64_t run_ns =
        trp_cost_curve_estimate(&l->curve, joined < UINT32_MAX ? (uint32_t)joined : UINT32_MAX);
    return run_ns > 0 ? (int64_t)((double)run_ns * rows / (double)joined) : alone_ns;
}

static uint32_t rows_of(const struct trp_call *call)
{
    const uint64_t rows = call->batch_key != 0 ? call->batch_rows : trp_run_rows(call);
    return rows < UINT32_MAX ? (uint32_t)rows : UINT32_MAX;
}

/* A tenant's place is its while a call of it is here, and is found once for each call. */
static struct trp_sched_tenant *tenant_of(struct trp_intake *in, struct trp_call *call)
{
    if (!call->payer && call->tenant.len > 0)
        call->payer = trp_tenants_enter(&in->tenants, call->tenant);
    return trp_tenants_share(call->payer);
}

/* ---- whether it can be in time ---- */

/* All executors are busy at least until the first of them has ended; 0: one of them has time. */
static int64_t busy_ns(const struct trp_intake *in, int64_t now_ns)
{
    int64_t least_ns = INT64_MAX;
    for (uint32_t i = 0; i < in->opts.executors_n; i++) {
        const int64_t left_ns = trp_gauge_get(&in->runs[i].until_ns) - now_ns;
        if (left_ns <= 0)
            return 0;
        least_ns = left_ns < least_ns ? left_ns : least_ns;
    }
    return in->opts.executors_n > 0 ? least_ns * in->opts.executors_n : 0;
}

/* Costs are learned without the time that a run did not have a processor; here that counts. */
static int64_t paced(const struct trp_intake *in, int64_t ns)
{
    const int64_t pace = trp_gauge_get(&in->pace);
    return pace <= PACE_ONE || ns > INT64_MAX / PACE_MOST ? ns : ns / PACE_ONE * pace;
}

/* What executors tell is real time already. */
static int64_t unpaced(const struct trp_intake *in, int64_t ns)
{
    const int64_t pace = trp_gauge_get(&in->pace);
    return pace <= PACE_ONE ? ns : ns / pace * PACE_ONE;
}

static struct trp_forecast forecast(const struct trp_intake *in, const struct trp_sched *s,
                                    const struct trp_sched_ask *ask, const struct trp_call *call,
                                    int64_t now_ns)
{
    const struct trp_forecast_view view = { .now_ns = now_ns,
                                            .executors = in->opts.executors_n,
                                            .busy_ns = unpaced(in, busy_ns(in, now_ns)) };
    struct trp_forecast f = trp_forecast_call(s, ask, call, &view);
    f.start_ns = now_ns + paced(in, f.start_ns - now_ns);
    f.end_ns = f.start_ns + paced(in, ask->cost_ns);
    /* Under too much work all that is let in ends when it must: without some slack half of it a
     * little later than that. */
    const int64_t sure_ns = f.end_ns + (f.start_ns - now_ns) / SLACK_PART;
    f.is_met = call->deadline_ns == 0 || ask->cost_ns == 0 || sure_ns <= call->deadline_ns;
    f.retry_after_ns = f.is_met ? 0 : sure_ns - call->deadline_ns;
    return f;
}

static uint32_t ms_of(int64_t ns)
{
    const int64_t ms = (ns + NS_PER_MS - 1) / NS_PER_MS;
    return ms < 1 ? 1 : ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static void count(const struct trp_intake *in, enum trp_metric reason)
{
    if (in->opts.metrics)
        trp_metrics_add(in->opts.metrics, reason, 1);
}

static trp_status check_time(const struct trp_intake *in, const struct trp_sched *s,
                             const struct trp_sched_ask *ask, struct trp_call *call, int64_t now_ns)
{
    const struct trp_sched_model *const m = ask->line->model;
    if (!in->opts.forecasts || call->deadline_ns == 0 || ask->cost_ns == 0)
        return trp_ok();
    const struct trp_forecast f = forecast(in, s, ask, call, now_ns);
    if (f.is_met || (m->queued == 0 && m->running == 0 && f.start_ns < call->deadline_ns))
        return trp_ok();
    count(in, TRP_METRIC_REFUSED_DEADLINE);
    call->is_too_late = true;
    const trp_status st =
        trp_fail(&call->error, TRP_UNAVAILABLE,
                 "model '%s': no answer is possible in time: it would begin in about %.1f ms and "
                 "end in %.1f ms; %.1f ms are left",
                 version_of(call)->id, (double)(f.start_ns - now_ns) / NS_PER_MS,
                 (double)(call->deadline_ns + f.retry_after_ns - now_ns) / NS_PER_MS,
                 (double)(call->deadline_ns - now_ns) / NS_PER_MS);
    call->error.retry_after_ms = ms_of(f.retry_after_ns);
    return st;
}

/* ---- when it is full ---- */

/* When what waits now has been done, there is room. */
static void name_return(const struct trp_intake *in, const struct trp_sched *s,
                        const struct trp_sched_ask *ask, struct trp_call *call, int64_t now_ns)
{
    call->error.retry_after_ms = ms_of(forecast(in, s, ask, call, now_ns).start_ns - now_ns);
}

static trp_status refuse(const struct trp_intake *in, struct trp_call *call,
                         const struct trp_sched *s, enum trp_sched_push why)
{
    const struct trp_version *const v = version_of(call);
    const struct trp_lines *const l = v->exec_slot;
    count(in, TRP_METRIC_REFUSED_QUEUE);
    if (why == TRP_SCHED_FULL)
        return trp_fail_limit(&call->error, TRP_QUEUE_FULL, TRP_LIMIT_QUEUE,
                              "Exceeds maximum queue size: %u requests wait for all models",
                              s->queued);
    return trp_fail_limit(&call->error, TRP_QUEUE_FULL, TRP_LIMIT_QUEUE,
                          "Exceeds maximum queue size: %u requests wait for model '%s'",
                          l->model.queued, v->id);
}

/* Somebody who can be done without sooner goes, if there is one. */
static struct trp_call *make_room(const struct trp_intake *in, struct trp_sched *s,
                                  const struct trp_sched_ask *ask, const struct trp_call *call,
                                  enum trp_sched_push why)
{
    struct trp_call *const shed = trp_shedding_take(s, ask, call, why);
    if (!shed)
        return NULL;
    count(in, TRP_METRIC_REFUSED_SHED);
    (void)trp_fail_limit(&shed->error, TRP_QUEUE_FULL, TRP_LIMIT_QUEUE,
                         "Exceeds maximum queue size: it made room for a request that is more "
                         "urgent, or of a tenant with fewer that wait");
    return shed;
}

/* The model's rules may leave fewer places to a level of priority. */
static bool has_place(const struct trp_version *v, const struct trp_sched_model *m,
                      const struct trp_call *call)
{
    const uint32_t most = trp_queue_rules_level_max(v->config.queue, call->priority);
    return most == 0 || m->ways[trp_sched_way_of_call(call)] < most;
}

/* Puts it in, in somebody's place if need be. */
static enum trp_sched_push enter(const struct trp_intake *in, struct trp_sched *s,
                                 const struct trp_sched_ask *ask, struct trp_call *call,
                                 struct trp_call **out_shed)
{
    const enum trp_sched_push pushed = trp_sched_push_as(s, ask, call);
    if (pushed == TRP_SCHED_QUEUED)
        return pushed;
    *out_shed = make_room(in, s, ask, call, pushed);
    return *out_shed ? trp_sched_push_as(s, ask, call) : pushed;
}

trp_status trp_intake_push(struct trp_intake *in, struct trp_sched *s, struct trp_call *call,
                           int64_t now_ns, struct trp_call **out_shed)
{
    struct trp_version *const v = version_of(call);
    struct trp_lines *const l = trp_intake_place(v);
    *out_shed = NULL;
    if (!l)
        return trp_fail(&call->error, TRP_OUT_OF_MEMORY, "model '%s': its queue", v->id);
    struct trp_sched_ask ask = { .line = trp_lines_find(l, &v->arena, call),
                                 .tenant = tenant_of(in, call),
                                 .rows = rows_of(call) };
    ask.cost_ns = cost_of(l, ask.line, call, ask.rows);
    TRP_CHECK(check_time(in, s, &ask, call, now_ns));
    const enum trp_sched_push pushed =
        has_place(v, &l->model, call) ? enter(in, s, &ask, call, out_shed) : TRP_SCHED_MODEL_FULL;
    const trp_status st = pushed == TRP_SCHED_QUEUED ? trp_ok() : refuse(in, call, s, pushed);
    if (trp_failed(st))
        name_return(in, s, &ask, call, now_ns);
    if (*out_shed)
        name_return(in, s, &ask, *out_shed, now_ns);
    return st;
}

/* ---- how busy it is ---- */

void trp_intake_look(const struct trp_intake *in, const struct trp_sched *s,
                     const struct trp_version *v, int64_t now_ns, struct trp_intake_load *out)
{
    static const struct trp_call plain = { .deadline_ns = 0 };
    struct trp_lines *const l = v->exec_slot;
    struct trp_lines nothing = { .model.slots = 0 }; /* no call has come to it yet */
    nothing.model.own.model = &nothing.model;
    struct trp_sched_model *const m = l ? &l->model : &nothing.model;
    const struct trp_sched_ask ask = { .line = &m->own,
                                       .cost_ns = trp_version_run_ns(v),
                                       .rows = 1 };
    const struct trp_forecast f = forecast(in, s, &ask, &plain, now_ns);
    *out = (struct trp_intake_load){ .queued = m->queued,
                                     .running = m->running,
                                     .wait_ns = f.start_ns - now_ns };
}

/* ---- what runs ---- */

void trp_intake_tell_run(struct trp_intake *in, uint32_t executor, const struct trp_call *calls,
                         int64_t now_ns)
{
    int64_t cost_ns = 0;
    if (!in->runs)
        return;
    struct trp_intake_run *const run = &in->runs[executor];
    for (const struct trp_call *call = calls; call; call = call->queue_next)
        cost_ns += call->seat.billed_ns;
    run->begun_ns = now_ns;
    run->expected_ns = trp_run_cost_ns(calls) > 0 ? cost_ns : 0;
    trp_gauge_set(&run->until_ns, now_ns + paced(in, cost_ns));
}

/* A run that ends early (it was cancelled, or put aside) is one sample of no delay: towards letting
 * in.  Two that end at once may lose one of their samples. */
void trp_intake_tell_end(struct trp_intake *in, uint32_t executor, int64_t now_ns)
{
    if (!in->runs)
        return;
    struct trp_intake_run *const run = &in->runs[executor];
    const int64_t took_ns = now_ns - run->begun_ns, pace = trp_gauge_get(&in->pace);
    double seen = run->expected_ns > 0 ? (double)took_ns / (double)run->expected_ns * PACE_ONE : 0;
    trp_gauge_set(&run->until_ns, 0);
    if (seen == 0)
        return;
    seen = seen < PACE_ONE ? PACE_ONE : seen > PACE_MOST ? PACE_MOST : seen;
    trp_gauge_set(&in->pace, pace + ((int64_t)seen - pace) / 8);
}
