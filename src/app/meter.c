/* app/meter.c - see meter.h.
 *
 * The proportional set size needs a look at every page, while the process can map nothing.  So such a look is taken only as often
 * as it costs a hundredth of the time.  In between a glance has to do: private pages as they are now, and the pages of files in the
 * proportion of the last look.
 *
 *   used - accounts ----------------------------> the program itself, and what nobody accounts for   \
 *   activations - those of models with a hold --> runs so small that they ask nobody, strays          > fixed
 *   requests, backends: the ledger reads these accounts itself, at each step                          /
 */
#include "app/meter.h"

#include "base/footprint.h"

#define COST_FACTOR 100

static uint64_t sum_of(struct trp_account *const *accounts)
{
    uint64_t bytes = 0;
    for (int i = 0; i < TRP_ACCOUNT_KINDS; i++)
        bytes += trp_counter_get(&accounts[i]->bytes);
    return bytes;
}

/* What the process uses; false: the kernel does not say. */
static bool process_bytes(struct trp_meter *m, uint64_t *out)
{
    struct trp_footprint now;
    uint64_t share;
    if (!trp_footprint_glance(m->opts.root, &now))
        return false;
    const int64_t begun_ns = trp_clock_now_ns(m->opts.clock);
    if (begun_ns >= m->next_measure_ns && trp_footprint_measure(m->opts.root, &share)) {
        const int64_t ended_ns = trp_clock_now_ns(m->opts.clock);
        m->next_measure_ns = ended_ns + COST_FACTOR * (ended_ns - begun_ns);
        m->file_bytes = now.file_bytes;
        m->file_share_bytes = share > now.private_bytes ? share - now.private_bytes : 0;
        *out = share;
        return true;
    }
    uint64_t files = now.file_bytes;
    if (m->file_bytes > 0)
        files = (uint64_t)((double)now.file_bytes *
                           ((double)m->file_share_bytes / (double)m->file_bytes));
    *out = now.private_bytes + files;
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
    uint64_t used;
    struct trp_amounts fixed = { { 0 } };
    trp_headrooms_refresh(m->opts.headrooms);
    const uint64_t before = sum_of(m->opts.accounts);
    if (process_bytes(m, &used)) {
        const uint64_t after = sum_of(m->opts.accounts);
        fixed.of[TRP_RESOURCE_BYTES] =
            trp_usage_note(m->opts.usage, used, before > after ? before : after);
    }
    fixed.of[TRP_RESOURCE_BYTES] += uncovered(m);
    trp_ledger_set_fixed(m->opts.ledger, fixed);
    tell_if_too_much(m);
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
