/* residence/residence.c - see residence.h
 *
 *   ask ──► queue ──────────────► let in ──► COMING ──► IN ──► LEAVING ──► room
 *             ▲   in order of rank   │ no room                                │
 *             │                      ▼                                        │
 *             │              who leaves? (clearance.c) ──► evict ─────────────┤
 *             └──────────────── look again ◄──────────────────────────────────┘
 *
 * Everything that may have changed the answer queues one task, which looks at everybody who waits,
 * in order.  So nothing is decided inside of anybody's call, and a hundred things that happen in
 * one turn are one look. */
#include "residence/residence.h"

#include <inttypes.h>
#include <stdio.h>

#include "residence/clearance.h"

#define TICK_NS TRP_S(1)
#define RIGHT_OF_WAY_NS TRP_S(10) /* how long those who came later do without for somebody's sake */
#define DECISIONS_MAX 8u          /* in one look */
#define RUNS_WAIT_NS TRP_S(5)     /* how long room is made for a run */
#define RUNS_TAKE_NS TRP_S(1)     /* and kept free of loads, so that it may take it */

/* ---- letting in ---- */

/* Takes it out of the queue it is in; answers are given after the look, because an owner may do
 * anything. */
static void unlink_ask(struct trp_ask **at, struct trp_ask *ask)
{
    while (*at && *at != ask)
        at = &(*at)->next;
    if (*at)
        *at = ask->next;
    ask->next = NULL;
}

static void answer_later(struct trp_residence *r, struct trp_ask *ask)
{
    unlink_ask(&r->first, ask);
    r->waiting_n--;
    ask->state = TRP_ASK_ANSWERED;
    *r->answered_end = ask;
    r->answered_end = &ask->next;
}

static void give_answers(struct trp_residence *r)
{
    struct trp_ask *ask;
    while ((ask = r->answered) != NULL) {
        r->answered = ask->next;
        if (!r->answered)
            r->answered_end = &r->answered;
        ask->next = NULL;
        ask->state = TRP_ASK_IDLE;
        if (ask->refused.status.code == TRP_OVER_BUDGET)
            trp_metrics_add(r->opts.metrics, TRP_METRIC_LOADS_OVER_BUDGET, 1);
        ask->answer(ask, trp_failed(ask->refused.status) ? &ask->refused : NULL);
    }
}

static void let_in(struct trp_residence *r, struct trp_ask *ask, struct trp_hold *hold)
{
    for (struct trp_stay *s = ask->guest->stays; s; s = s->next)
        if (s->state == TRP_STAY_WAITING)
            trp_stay_admit(s);
    trp_ledger_release(r->opts.ledger, hold); /* held by its parts now */
    answer_later(r, ask);
}

static uint32_t waiting_of(const struct trp_guest *g, uint64_t *out_bytes)
{
    uint32_t n = 0;
    *out_bytes = 0;
    for (const struct trp_stay *s = g->stays; s; s = s->next) {
        if (s->state != TRP_STAY_WAITING)
            continue;
        n++;
        *out_bytes += trp_stay_loading_bytes(s);
    }
    return n;
}

/* As many at once as there are threads and bytes for; one alone always may. */
static bool has_turn(const struct trp_residence *r, const struct trp_ask *ask)
{
    uint64_t bytes;
    const uint32_t n = waiting_of(ask->guest, &bytes);
    if (r->coming_n == 0)
        return true;
    if (r->coming_n + n > r->opts.loads_max)
        return false;
    return r->opts.loading_bytes_max == 0 || r->coming_bytes + bytes <= r->opts.loading_bytes_max;
}

/* What it takes to have it again: who was asleep is woken. */
static int64_t cost_ns(const struct trp_guest *g)
{
    for (const struct trp_stay *s = g->stays; s; s = s->next)
        if (s->is_waking)
            return g->sleep.wake_ns;
    return g->reload_ns;
}

/* To be told before room is made for it: who goes for it was not in its way. */
static void note_wanted(struct trp_residence *r, struct trp_ask *ask, int64_t now_ns)
{
    if (ask->is_known)
        return;
    ask->is_known = true;
    if (trp_thrash_wanted(&r->thrash, ask->guest->id, cost_ns(ask->guest), now_ns))
        trp_metrics_add(r->opts.metrics, TRP_METRIC_RETURNS, 1);
}

/* Nobody else is told to go for it, but what is there and nobody before it waits for it may
 * have. */
static bool try_spare(struct trp_residence *r, struct trp_ask *ask, struct trp_amounts need,
                      struct trp_amounts ahead)
{
    struct trp_hold hold = { 0 };
    struct trp_budget budget;
    if (!trp_amounts_is_zero(ahead)) {
        trp_ledger_look(r->opts.ledger, &budget);
        const struct trp_amounts later =
            trp_amounts_sum(trp_budget_left(&budget), trp_clearance_leaving(r, NULL));
        if (!trp_amounts_fit(trp_amounts_sum(need, ahead), later))
            return false;
    }
    if (trp_ledger_reserve(r->opts.ledger, need, &hold) != TRP_RESERVE_DONE)
        return false;
    let_in(r, ask, &hold);
    return true;
}

static void refuse(struct trp_residence *r, struct trp_ask *ask)
{
    trp_error_within(&ask->refused, "no room in memory (memory.budget)");
    answer_later(r, ask);
}

/* Has others evicted for it, or refuses it; true when it waits on. */
static bool make_room(struct trp_residence *r, struct trp_ask *ask, struct trp_amounts need,
                      int64_t now_ns)
{
    char for_whom[160];
    struct trp_eviction decision;
    struct trp_error err = { 0 };
    (void)snprintf(for_whom, sizeof for_whom, "'%.*s'", TRP_STR(ask->guest->name));
    const struct trp_clearance_wish wish = { .newcomer = ask->guest,
                                             .amounts = need,
                                             .for_whom = for_whom,
                                             .counted_as = TRP_METRIC_EVICTIONS_LOAD };
    if (trp_failed(trp_clearance_decide(r, &wish, &decision, &err))) {
        ask->refused = err;
        answer_later(r, ask);
        return false;
    }
    const bool may_wait = ask->is_asked_for && now_ns - ask->since_ns <= r->opts.wait_ns_max;
    if (decision.fit == TRP_FIT_EVICT && ask->is_asked_for) {
        (void)trp_fail(&ask->delay, TRP_OVER_BUDGET,
                       "%" PRIu32 " models leave for it, and free %" PRIu64 " bytes",
                       decision.victims_n, decision.freed.of[TRP_RESOURCE_BYTES]);
        (void)trp_clearance_carry_out(r, &wish, &decision); /* whom it could not: the next look */
        return true;
    }
    if (decision.fit == TRP_FIT_FREE && (may_wait || !ask->is_asked_for)) {
        (void)trp_fail(&ask->delay, TRP_OVER_BUDGET, "what it needs is being given back");
        return true;
    }
    if (decision.fit == TRP_FIT_NOT_NOW && may_wait) {
        ask->delay = err;
        return true;
    }
    if (decision.fit == TRP_FIT_EVICT || decision.fit == TRP_FIT_FREE)
        (void)trp_ledger_refuse(r->opts.ledger, need, &err);
    ask->is_put_off = !ask->is_asked_for && decision.fit != TRP_FIT_NEVER;
    ask->refused = err;
    refuse(r, ask);
    return false;
}

/* ---- looking at everybody who waits ---- */

static void take_short(struct trp_residence *r, int64_t now_ns)
{
    trp_lock_enter(&r->lock);
    const struct trp_amounts short_of = r->short_of;
    const bool is_served = r->is_served;
    r->short_of = (struct trp_amounts){ { 0 } };
    r->is_served = false;
    trp_lock_leave(&r->lock);
    if (!trp_amounts_is_zero(short_of)) {
        r->runs_short = short_of;
        r->runs_until_ns = now_ns + RUNS_WAIT_NS;
    } else if (is_served || now_ns >= r->runs_until_ns) {
        r->runs_short = (struct trp_amounts){ { 0 } };
    }
}

/* What runs wait for, and what is used beyond the budget, comes before any load. */
static void make_good(struct trp_residence *r, int64_t now_ns)
{
    struct trp_budget budget;
    struct trp_eviction decision;
    const bool is_for_runs = !trp_amounts_is_zero(r->runs_short);
    const struct trp_amounts loading = trp_clearance_loading(r), none = { { 0 } };
    const struct trp_clearance_wish wish = {
        .amounts = r->runs_short,
        .already = is_for_runs ? none : loading,
        .for_whom = is_for_runs ? "a run" : "what is used beyond the budget",
        .counted_as = is_for_runs ? TRP_METRIC_EVICTIONS_RUN : TRP_METRIC_EVICTIONS_OVER
    };
    trp_ledger_look(r->opts.ledger, &budget);
    budget.committed = trp_amounts_less(budget.committed, wish.already);
    if (trp_amounts_is_zero(trp_budget_missing(&budget, r->runs_short))) {
        if (r->runs_until_ns > now_ns + RUNS_TAKE_NS)
            r->runs_until_ns = now_ns + RUNS_TAKE_NS;
        return;
    }
    if (!trp_failed(trp_clearance_decide(r, &wish, &decision, NULL)))
        (void)trp_clearance_carry_out(r, &wish, &decision);
}

/* Others do without for its sake, but not for ever. */
static bool has_right_of_way(struct trp_ask *ask, int64_t now_ns)
{
    if (ask->tried_ns == 0)
        ask->tried_ns = now_ns;
    return now_ns - ask->tried_ns < RIGHT_OF_WAY_NS;
}

static void look_at_queue(struct trp_residence *r, int64_t now_ns)
{
    struct trp_amounts ahead = r->runs_short;
    uint32_t decisions_left = DECISIONS_MAX;
    for (struct trp_ask *ask = r->first, *next; ask && has_turn(r, ask); ask = next) {
        const struct trp_amounts need = trp_clearance_need(r, ask->guest);
        next = ask->next;
        note_wanted(r, ask, now_ns);
        if (try_spare(r, ask, need, ahead))
            continue;
        if (decisions_left == 0)
            continue;
        decisions_left--;
        if (!make_room(r, ask, need, now_ns) || !has_right_of_way(ask, now_ns))
            continue;
        ahead = trp_amounts_sum(ahead, need);
        decisions_left = 0;
    }
}

static void look_at_thrash(struct trp_residence *r, int64_t now_ns)
{
    struct trp_metrics *m = r->opts.metrics;
    const struct trp_thrash_seen seen = trp_thrash_look(&r->thrash, now_ns);
    trp_metrics_set(m, TRP_METRIC_THRASHING, seen.is_thrashing);
    trp_metrics_set(m, TRP_METRIC_THRASH_WASTE, (uint64_t)(seen.waste_ratio * 1000));
    trp_metrics_set(m, TRP_METRIC_THRASH_CURE, seen.cure_bytes);
    if (seen.has_changed && seen.is_thrashing)
        TRP_WARN(r->opts.log, "residence",
                 "memory is too small for what is asked for: %.0f %% of the time goes to loading "
                 "models that were evicted for others; %llu bytes more would end that "
                 "(memory.budget)",
                 seen.waste_ratio * 100, (unsigned long long)seen.cure_bytes);
    else if (seen.has_changed)
        TRP_INFO(r->opts.log, "residence", "memory is large enough again for what is asked for");
}

static void arm(struct trp_residence *r, int64_t now_ns)
{
    struct trp_error err;
    if (!r->guests || r->is_closed)
        trp_timer_disarm(r->opts.control, &r->timer);
    else if (!r->timer.slot &&
             trp_failed(trp_timer_arm(r->opts.control, &r->timer, now_ns + TICK_NS, &err)))
        TRP_ERROR_LOG(r->opts.log, "residence",
                      "memory is not looked at until something happens: %s", err.text);
}

static void refuse_all(struct trp_residence *r)
{
    while (r->first) {
        (void)trp_fail(&r->first->refused, TRP_UNAVAILABLE, "the server is stopping");
        answer_later(r, r->first);
    }
}

static void look(struct trp_task *task)
{
    struct trp_residence *r = TRP_CONTAINER_OF(task, struct trp_residence, task);
    const int64_t now_ns = trp_loop_now_ns(r->opts.control);
    if (!r->is_closed) {
        for (struct trp_guest *g = r->guests; g; g = g->next)
            trp_guest_count(g);
        take_short(r, now_ns);
        make_good(r, now_ns);
        look_at_queue(r, now_ns);
        trp_clearance_thin_out(r);
        look_at_thrash(r, now_ns);
    } else {
        refuse_all(r);
    }
    give_answers(r);
    trp_metrics_set(r->opts.metrics, TRP_METRIC_LOADS_WAITING, r->waiting_n);
    trp_metrics_set(r->opts.metrics, TRP_METRIC_RESIDENTS, r->guests_n);
    trp_metrics_set(r->opts.metrics, TRP_METRIC_HIBERNATED, r->asleep_n);
    trp_metrics_set(r->opts.metrics, TRP_METRIC_HIBERNATED_BYTES, r->asleep_bytes);
    arm(r, now_ns);
    if (r->is_closed && !trp_residence_is_busy(r))
        r->opts.idle(r->opts.user);
}

trp_status trp_residence_rank(struct trp_residence *r, struct trp_error *err)
{
    for (struct trp_guest *g = r->guests; g; g = g->next)
        trp_guest_count(g);
    return trp_clearance_rank(r, err);
}

void trp_residence_stir(struct trp_residence *r)
{
    trp_loop_ready(r->opts.control, &r->task);
}

static void tick(struct trp_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    trp_residence_stir(TRP_CONTAINER_OF(timer, struct trp_residence, timer));
}

/* ---- asking ---- */

void trp_residence_ask(struct trp_residence *r, struct trp_ask *ask)
{
    struct trp_ask **at = &r->first;
    TRP_ASSERT(ask->state == TRP_ASK_IDLE);
    while (*at && (*at)->rank >= ask->rank)
        at = &(*at)->next;
    ask->next = *at;
    *at = ask;
    ask->state = TRP_ASK_QUEUED;
    ask->is_known = false;
    ask->refused = (struct trp_error){ 0 };
    ask->delay = (struct trp_error){ 0 };
    ask->is_put_off = false;
    ask->since_ns = trp_loop_now_ns(r->opts.control);
    ask->tried_ns = 0;
    r->waiting_n++;
    trp_residence_stir(r);
}

void trp_residence_cancel(struct trp_residence *r, struct trp_ask *ask)
{
    if (ask->state == TRP_ASK_QUEUED) {
        unlink_ask(&r->first, ask);
        r->waiting_n--;
    } else if (ask->state == TRP_ASK_ANSWERED) {
        unlink_ask(&r->answered, ask);
        for (r->answered_end = &r->answered; *r->answered_end;)
            r->answered_end = &(*r->answered_end)->next;
    }
    ask->state = TRP_ASK_IDLE;
    trp_residence_stir(r);
}

/* ---- from other threads ---- */

static void post(struct trp_residence *r)
{
    trp_lock_enter(&r->lock);
    const bool is_first = !r->is_posted;
    r->is_posted = true;
    trp_lock_leave(&r->lock);
    if (is_first)
        trp_loop_post(r->opts.control, &r->mail);
}

static void deliver(struct trp_mail *mail)
{
    struct trp_residence *r = TRP_CONTAINER_OF(mail, struct trp_residence, mail);
    trp_lock_enter(&r->lock);
    r->is_posted = false;
    trp_lock_leave(&r->lock);
    trp_residence_stir(r);
}

static void has_room(void *user)
{
    post(user);
}

static void is_short(void *user, struct trp_amounts need)
{
    struct trp_residence *r = user;
    trp_lock_enter(&r->lock);
    for (int i = 0; i < TRP_RESOURCES; i++)
        if (need.of[i] > r->short_of.of[i])
            r->short_of.of[i] = need.of[i];
    trp_lock_leave(&r->lock);
    post(r);
}

/* Kept free any longer, the room would be had twice: loads would wait beside it, or others go
 * for it. */
static void was_served(void *user)
{
    struct trp_residence *r = user;
    trp_lock_enter(&r->lock);
    r->is_served = true;
    r->short_of = (struct trp_amounts){ { 0 } };
    trp_lock_leave(&r->lock);
    post(r);
}

bool trp_residence_is_busy(struct trp_residence *r)
{
    trp_lock_enter(&r->lock);
    const bool is_posted = r->is_posted;
    trp_lock_leave(&r->lock);
    return is_posted || r->task.queued || r->first || r->answered;
}

/* ---- the beginning and the end ---- */

static const struct trp_thrash_opts thrash_opts = { .window_ns = TRP_S(600),
                                                    .half_life_ns = TRP_S(60),
                                                    .begin_ratio = 0.10,
                                                    .end_ratio = 0.05,
                                                    .returns_min = 3 };

trp_status trp_residence_create(const struct trp_alloc *alloc,
                                const struct trp_residence_opts *opts,
                                struct trp_residence **out_residence, struct trp_error *err)
{
    *out_residence = NULL;
    struct trp_residence *r = trp_alloc_zeroed(alloc, 1, sizeof *r);
    if (!r)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "residence");
    r->alloc = alloc;
    r->opts = *opts;
    r->answered_end = &r->answered;
    r->task.run = look;
    r->timer.due = tick;
    r->mail.deliver = deliver;
    trp_lock_init(&r->lock, TRP_LOCK_RESIDENCE);
    trp_thrash_init(&r->thrash, &thrash_opts, r->ghosts, TRP_RESIDENCE_GHOSTS);
    trp_status st = trp_clearance_create(alloc, &r->clearance, err);
    if (!trp_failed(st))
        st = trp_shares_init(&r->shares, alloc, err);
    if (trp_failed(st)) {
        trp_residence_destroy(r);
        return st;
    }
    trp_ledger_on_room(opts->ledger, has_room, r);
    trp_ledger_on_short(opts->ledger, is_short, r);
    trp_ledger_on_served(opts->ledger, was_served, r);
    *out_residence = r;
    return st;
}

void trp_residence_destroy(struct trp_residence *r)
{
    if (!r)
        return;
    TRP_ASSERT(r->known_n == 0 && !r->first && !r->answered);
    trp_ledger_forget(r->opts.ledger, r);
    trp_timer_disarm(r->opts.control, &r->timer);
    trp_shares_deinit(&r->shares);
    trp_clearance_destroy(r->clearance);
    trp_lock_deinit(&r->lock);
    trp_alloc_free(r->alloc, r);
}

void trp_residence_close(struct trp_residence *r)
{
    r->is_closed = true;
    trp_residence_stir(r);
}
