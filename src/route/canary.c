/* route/canary.c - see canary.h. */
#include "route/canary.h"

#include <stdio.h>

#include "base/status.h"
#include "base/str.h"
#include "route/binomial.h"

#define S ((int64_t)1000000000)

static const struct trp_canary_step usual_steps[] = { { 0.01, 300 * S, 100 },
                                                      { 0.05, 300 * S, 100 },
                                                      { 0.25, 300 * S, 100 },
                                                      { 0.5, 300 * S, 100 },
                                                      { 1, 300 * S, 100 } };

void trp_canary_count(struct trp_canary_tally *t, bool failed, int64_t took_ns)
{
    trp_counter_add(&t->calls, 1);
    if (failed)
        trp_counter_add(&t->failures, 1);
    else
        trp_latency_add(&t->latency, took_ns);
}

void trp_canary_read(const struct trp_canary_tally *t, struct trp_canary_counts *out)
{
    /* Failures first: a call that comes in between is one more answer, never one failure too
     * many. */
    out->failures = trp_counter_get(&t->failures);
    out->calls = trp_counter_get(&t->calls);
    trp_latency_get(&t->latency, &out->latency);
}

static void since(const struct trp_canary_counts *now, const struct trp_canary_counts *then,
                  struct trp_canary_counts *out)
{
    out->calls = now->calls > then->calls ? now->calls - then->calls : 0;
    out->failures = now->failures > then->failures ? now->failures - then->failures : 0;
    if (out->failures > out->calls)
        out->failures = out->calls;
    trp_latency_since(&now->latency, &then->latency, &out->latency);
}

static double share_of(const struct trp_canary_counts *c)
{
    return c->calls > 0 ? (double)c->failures / (double)c->calls : 0;
}

/* ---- shares ---- */

static void give(struct trp_canary *c, double share)
{
    const double part = share * 4294967296.0;
    trp_word_set(&c->part, part <= 0              ? 0
                           : part >= 4294967296.0 ? (uint64_t)1 << 32
                                                  : (uint64_t)part);
}

bool trp_canary_takes(const struct trp_canary *c, uint32_t place)
{
    return place < trp_word_get(&c->part);
}

static double share_now(const struct trp_canary *c)
{
    return c->phase == TRP_CANARY_ROLLED_BACK ? 0 : c->opts.steps[c->step].share;
}

static void begin_step(struct trp_canary *c, uint32_t step, int64_t now_ns,
                       const struct trp_canary_counts *old_one,
                       const struct trp_canary_counts *new_one)
{
    c->step = step;
    c->since_ns = now_ns;
    c->looked = 0;
    c->old_then = *old_one;
    c->new_then = *new_one;
    give(c, share_now(c));
}

static void fill_defaults(struct trp_canary_opts *o)
{
    if (!o->steps || o->steps_n == 0) {
        o->steps = usual_steps;
        o->steps_n = ARRAY_LEN(usual_steps);
    }
    if (o->calls_min == 0)
        o->calls_min = 20;
    if (o->error_margin <= 0)
        o->error_margin = 0.01;
    if (o->latency_ratio == 0)
        o->latency_ratio = 1.25;
    if (o->latency_least_ns == 0)
        o->latency_least_ns = 1000000;
    if (o->quantile <= 0 || o->quantile >= 1)
        o->quantile = 0.95;
    if (o->chance <= 0)
        o->chance = 0.00001;
}

void trp_canary_start(struct trp_canary *c, const struct trp_canary_opts *opts, int64_t now_ns,
                      const struct trp_canary_counts *old_one,
                      const struct trp_canary_counts *new_one)
{
    c->opts = opts ? *opts : (struct trp_canary_opts){ 0 };
    fill_defaults(&c->opts);
    c->phase = TRP_CANARY_WATCHING;
    c->is_of_failures = false;
    c->has_before = false;
    begin_step(c, 0, now_ns, old_one, new_one);
    (void)snprintf(c->reason, sizeof c->reason, "step 1 of %u begins with %.4g %%", c->opts.steps_n,
                   100 * c->opts.steps[0].share);
}

/* ---- comparing ---- */

enum finding {
    ALIKE,
    DOUBTFUL, /* looks worse; may be chance */
    WORSE
};

static enum finding compare_errors(struct trp_canary *c, const struct trp_canary_counts *old_one,
                                   const struct trp_canary_counts *new_one)
{
    const double old_share = share_of(old_one), new_share = share_of(new_one);
    if (new_share - old_share <= c->opts.error_margin)
        return ALIKE;
    const double chance =
        trp_binomial_compare(new_one->calls, new_one->failures, old_one->calls, old_one->failures);
    c->is_of_failures = true;
    (void)snprintf(c->reason, sizeof c->reason,
                   "%.3g %% of its %llu answers failed, %.3g %% of the old one's %llu%s",
                   100 * new_share, (unsigned long long)new_one->calls, 100 * old_share,
                   (unsigned long long)old_one->calls,
                   chance < c->opts.chance ? "" : ": may be chance");
    return chance < c->opts.chance ? WORSE : DOUBTFUL;
}

/* Of the old one, a share of 1 - quantile took longer than its quantile.  The new one is slower
 * when more than that share of its answers took even longer, by the ratio, and when the old
 * one's share that did so makes chance unlikely. */
static enum finding compare_latency(struct trp_canary *c, const struct trp_canary_counts *old_one,
                                    const struct trp_canary_counts *new_one)
{
    const uint64_t old_n = trp_latency_count(&old_one->latency),
                   new_n = trp_latency_count(&new_one->latency);
    if (c->opts.latency_ratio < 0 || old_n < c->opts.calls_min || new_n < c->opts.calls_min)
        return ALIKE;
    const int64_t old_ns = trp_latency_quantile_ns(&old_one->latency, c->opts.quantile);
    int64_t most_ns = (int64_t)((double)old_ns * c->opts.latency_ratio);
    if (most_ns < old_ns + c->opts.latency_least_ns)
        most_ns = old_ns + c->opts.latency_least_ns;
    const uint64_t slower = trp_latency_slower(&new_one->latency, most_ns);
    if ((double)slower <= (1 - c->opts.quantile) * (double)new_n)
        return ALIKE;
    const double chance =
        trp_binomial_compare(new_n, slower, old_n, trp_latency_slower(&old_one->latency, most_ns));
    (void)snprintf(c->reason, sizeof c->reason,
                   "p%.4g of its %llu answers is %.3g ms, of the old one's %llu %.3g ms%s",
                   100 * c->opts.quantile, (unsigned long long)new_n,
                   (double)trp_latency_quantile_ns(&new_one->latency, c->opts.quantile) / 1e6,
                   (unsigned long long)old_n, (double)old_ns / 1e6,
                   chance < c->opts.chance ? "" : ": may be chance");
    return chance < c->opts.chance ? WORSE : DOUBTFUL;
}

/* DOUBTFUL when they may not be compared yet. */
static enum finding compare(struct trp_canary *c, const struct trp_canary_counts *old_one,
                            const struct trp_canary_counts *new_one)
{
    const bool is_old_known = old_one->calls >= c->opts.calls_min;
    const struct trp_canary_counts *beside =
        !is_old_known && c->has_before ? &c->old_before : old_one;
    if (beside->calls < c->opts.calls_min || new_one->calls < c->opts.calls_min) {
        const bool is_new = new_one->calls < c->opts.calls_min;
        (void)snprintf(c->reason, sizeof c->reason, "%s has %llu answers, %llu are needed",
                       is_new ? "it" : "the old one",
                       (unsigned long long)(is_new ? new_one->calls : beside->calls),
                       (unsigned long long)c->opts.calls_min);
        return DOUBTFUL;
    }
    const enum finding errors = compare_errors(c, beside, new_one);
    return errors == ALIKE ? compare_latency(c, beside, new_one) : errors;
}

/* ---- deciding ---- */

static struct trp_canary_decision decided(const struct trp_canary *c, enum trp_canary_move move)
{
    return (struct trp_canary_decision){ .move = move, .share = share_now(c), .reason = c->reason };
}

/* Whether the step was held as long as it must; says what is missing. */
static bool is_held(struct trp_canary *c, int64_t now_ns, uint64_t calls)
{
    const struct trp_canary_step *step = &c->opts.steps[c->step];
    const int64_t left_ns = c->since_ns + step->least_ns - now_ns;
    if (left_ns > 0) {
        (void)snprintf(c->reason, sizeof c->reason, "step %u of %u: %.4g %% for %.3g s more",
                       c->step + 1, c->opts.steps_n, 100 * step->share, (double)left_ns / 1e9);
        return false;
    }
    if (calls < step->least_calls) {
        (void)snprintf(c->reason, sizeof c->reason, "step %u of %u: %llu of %llu answers",
                       c->step + 1, c->opts.steps_n, (unsigned long long)calls,
                       (unsigned long long)step->least_calls);
        return false;
    }
    return true;
}

static struct trp_canary_decision advance(struct trp_canary *c, int64_t now_ns,
                                          const struct trp_canary_counts *old_one,
                                          const struct trp_canary_counts *new_one)
{
    if (c->step + 1 >= c->opts.steps_n) {
        c->phase = TRP_CANARY_DONE;
        (void)snprintf(c->reason, sizeof c->reason, "the last of %u steps was held",
                       c->opts.steps_n);
        return decided(c, TRP_CANARY_FINISH);
    }
    since(old_one, &c->old_then, &c->old_before);
    c->has_before = true;
    begin_step(c, c->step + 1, now_ns, old_one, new_one);
    (void)snprintf(c->reason, sizeof c->reason, "no worse: step %u of %u begins with %.4g %%",
                   c->step + 1, c->opts.steps_n, 100 * share_now(c));
    return decided(c, TRP_CANARY_ADVANCE);
}

struct trp_canary_decision trp_canary_tick(struct trp_canary *c, int64_t now_ns,
                                           const struct trp_canary_counts *old_one,
                                           const struct trp_canary_counts *new_one)
{
    struct trp_canary_counts old_since, new_since;
    if (c->phase != TRP_CANARY_WATCHING)
        return decided(c, TRP_CANARY_HOLD);
    c->is_of_failures = false;
    since(old_one, &c->old_then, &old_since);
    since(new_one, &c->new_then, &new_since);
    const bool is_more = new_since.calls > c->looked + c->looked / 5;
    if (is_more || is_held(c, now_ns, new_since.calls)) {
        const enum finding finding = compare(c, &old_since, &new_since);
        if (is_more && new_since.calls >= c->opts.calls_min)
            c->looked = new_since.calls;
        if (finding == WORSE && is_more) {
            c->phase = TRP_CANARY_ROLLED_BACK;
            give(c, 0);
            return decided(c, TRP_CANARY_ROLL_BACK);
        }
        if (finding != ALIKE)
            return decided(c, TRP_CANARY_HOLD);
    }
    if (!is_held(c, now_ns, new_since.calls))
        return decided(c, TRP_CANARY_HOLD);
    return advance(c, now_ns, old_one, new_one);
}

const char *trp_canary_phase_name(enum trp_canary_phase phase)
{
    static const char *const names[] = { "watching", "done", "rolled_back" };
    return names[phase];
}
