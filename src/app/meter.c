/* app/meter.c - see meter.h.
 *
 * The proportional set size needs a look at every page, while the process can map nothing.  So such
 * a look is taken only as often as it costs a hundredth of the time.  In between a glance has to
 * do: private pages as they are now, and the pages of files in the proportion of the last look.
 *
 *   used - accounts (*) ------------------------> the program itself, and what nobody accounts for   \
 *   activations - those of models with a hold --> runs so small that they ask nobody, strays          > fixed
 *   requests, backends: the ledger reads these accounts itself, at each step                          /
 *
 * (*) what is private and in no private account in any case: mapped weights that nobody has read
 *     yet are accounted and not used, and would hide as much of it. */
#include "app/meter.h"

#include "base/footprint.h"

#define COST_FACTOR 100
#define WORKERS_MAX 1024u

/* Adds up the accounts; of two sums the larger counts. */
static void sum_up(const struct trp_meter_opts *o, struct trp_usage_seen *seen)
{
    uint64_t bytes = 0;
    for (int i = 0; i < TRP_ACCOUNT_KINDS; i++)
        bytes += trp_counter_get(&o->accounts[i]->bytes);
    const uint64_t shared = trp_counter_get(&o->accounts[TRP_ACCOUNT_SHARED]->bytes) +
                            (o->commons ? trp_commons_paid_bytes(o->commons) : 0);
    const uint64_t own = bytes > shared ? bytes - shared : 0;
    if (bytes > seen->accounted_bytes)
        seen->accounted_bytes = bytes;
    if (own > seen->private_accounted_bytes)
        seen->private_accounted_bytes = own;
}

/* This process and those that run its isolated models, of which one may have ended since it was
 * listed.  What they share, the glance counts for each of them and the share once for all. */
struct family {
    pid_t pids[WORKERS_MAX];
    uint32_t n;
};

static bool glance(struct trp_meter *m, const struct family *f, struct trp_footprint *out)
{
    if (!trp_footprint_glance(m->opts.root, out))
        return false;
    for (uint32_t i = 0; i < f->n; i++) {
        struct trp_footprint one;
        if (!trp_footprint_glance_of(m->opts.root, f->pids[i], &one))
            continue;
        out->private_bytes += one.private_bytes;
        out->file_bytes += one.file_bytes;
    }
    return true;
}

static bool measure(struct trp_meter *m, const struct family *f, uint64_t *out)
{
    if (!trp_footprint_measure(m->opts.root, out))
        return false;
    for (uint32_t i = 0; i < f->n; i++) {
        uint64_t one;
        if (trp_footprint_measure_of(m->opts.root, f->pids[i], &one))
            *out += one;
    }
    return true;
}

/* What the process uses; false: the kernel does not say. */
static bool process_bytes(struct trp_meter *m, struct trp_usage_seen *out)
{
    struct trp_footprint now;
    struct family all = { .n = 0 };
    uint64_t share;
    if (m->opts.backends)
        all.n = trp_backends_pids(m->opts.backends, all.pids, WORKERS_MAX);
    if (!glance(m, &all, &now))
        return false;
    out->private_bytes = now.private_bytes;
    const int64_t begun_ns = trp_clock_now_ns(m->opts.clock);
    if (begun_ns >= m->next_measure_ns && measure(m, &all, &share)) {
        const int64_t ended_ns = trp_clock_now_ns(m->opts.clock);
        m->next_measure_ns = ended_ns + COST_FACTOR * (ended_ns - begun_ns);
        m->file_bytes = now.file_bytes;
        m->file_share_bytes = share > now.private_bytes ? share - now.private_bytes : 0;
        out->process_bytes = share;
        return true;
    }
    uint64_t files = now.file_bytes;
    if (m->file_bytes > 0)
        files = (uint64_t)((double)now.file_bytes *
                           ((double)m->file_share_bytes / (double)m->file_bytes));
    out->process_bytes = now.private_bytes + files;
    return true;
}

/* Activations that no model's hold covers. */
static uint64_t uncovered(const struct trp_meter *m)
{
    const uint64_t all = trp_counter_get(&m->opts.accounts[TRP_ACCOUNT_ACTIVATIONS]->bytes);
    const uint64_t covered = trp_headrooms_look(m->opts.headrooms).account_bytes;
    return all > covered ? all - covered : 0;
}

/* Else every model is refused, and nobody sees why: what is fixed is no model's. */
static void warn_if_too_small(struct trp_meter *m, const struct trp_budget *b)
{
    const uint64_t limit = b->limit.of[TRP_RESOURCE_BYTES];
    const uint64_t own = b->fixed.of[TRP_RESOURCE_BYTES];
    if (m->has_warned || limit == 0 || own < limit)
        return;
    m->has_warned = true;
    TRP_WARN(m->opts.log, "app",
             "memory.budget is too small: it is %llu bytes, and the process itself takes %llu; "
             "nothing is left for models, which are refused",
             (unsigned long long)limit, (unsigned long long)own);
}

/* Nothing fails for that; but models in processes of their own become slower, and it is not seen
 * why. */
static void tell_if_full(struct trp_meter *m)
{
    if (m->has_told_full || !m->opts.commons)
        return;
    const struct trp_commons_use use = trp_commons_look(m->opts.commons);
    if (use.refused == 0)
        return;
    m->has_told_full = true;
    TRP_WARN(m->opts.log, "app",
             "the memory that worker processes read requests from is full: what finds no room is "
             "copied for them (limits.commons_bytes is %llu, %llu are taken)",
             (unsigned long long)use.limit_bytes, (unsigned long long)use.bytes);
}

static void tell_if_too_much(struct trp_meter *m)
{
    struct trp_budget b;
    trp_ledger_look(m->opts.ledger, &b);
    warn_if_too_small(m, &b);
    const struct trp_amounts nothing = { { 0 } };
    if (!trp_amounts_is_zero(trp_budget_missing(&b, nothing)))
        trp_ledger_ask_room(m->opts.ledger, nothing); /* what is missing is missing anyhow */
}

void trp_meter_look(struct trp_meter *m)
{
    struct trp_usage_seen seen = { 0 };
    struct trp_amounts fixed = { { 0 } };
    trp_headrooms_refresh(m->opts.headrooms);
    sum_up(&m->opts, &seen);
    if (process_bytes(m, &seen)) {
        sum_up(&m->opts, &seen);
        fixed.of[TRP_RESOURCE_BYTES] = trp_usage_note(m->opts.usage, &seen);
    }
    fixed.of[TRP_RESOURCE_BYTES] += uncovered(m);
    trp_ledger_set_fixed(m->opts.ledger, fixed);
    tell_if_too_much(m);
    tell_if_full(m);
    if (m->opts.exec)
        trp_exec_tell_room(m->opts.exec);
}

/* -- the thread -- */

static void due(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_meter *m = TRP_CONTAINER_OF(timer, struct trp_meter, timer);
    (void)now_ns;
    trp_meter_look(m);
    /* The loop has room for one timer since the first time, so this cannot fail. */
    (void)trp_timer_arm(m->loop, timer, trp_clock_now_ns(m->opts.clock) + m->opts.interval_ns,
                        NULL);
}

static void run(void *user)
{
    struct trp_meter *m = user;
    (void)trp_loop_run(m->loop, NULL); /* ends by stop, or when epoll itself fails */
}

trp_status trp_meter_init(struct trp_meter *m, const struct trp_alloc *alloc,
                          const struct trp_meter_opts *opts, struct trp_error *err)
{
    const struct trp_loop_opts loop = { .name = "meter", .clock = opts->clock };
    *m = (struct trp_meter){ .opts = *opts, .timer.due = due };
    return trp_loop_create(alloc, &loop, &m->loop, err);
}

trp_status trp_meter_start(struct trp_meter *m, struct trp_error *err)
{
    const int64_t first_ns = trp_clock_now_ns(m->opts.clock) + m->opts.interval_ns;
    TRP_CHECK(trp_timer_arm(m->loop, &m->timer, first_ns, err));
    return trp_thread_start(&m->thread, "meter", run, m, err);
}

void trp_meter_stop(struct trp_meter *m)
{
    if (!m->thread.started)
        return;
    trp_loop_stop(m->loop);
    trp_thread_join(&m->thread);
}

void trp_meter_deinit(struct trp_meter *m)
{
    trp_loop_destroy(m->loop);
    m->loop = NULL;
}
