/* route/route_race.c - see route_race.h, and route_call.c for what comes before and after.
 *
 *   send ──> child asked ──(late)──> the second asked as well
 *                │                          │
 *                ├── an answer ─────────────┤──> taken; the other is abandoned, or heard out (a canary's first choice)
 *                ├── a failure ─────────────┤──> the other is waited for; both: next attempt
 *                └── the time is up ────────┴──> both are abandoned; next attempt
 *
 * Whoever is abandoned comes back some time, to late_done(): it looks at the call's inputs, and
 * keeps the call and the route until then. */
#include "route/route_race.h"

#include "call/call_child.h"
#include "route/route_cast.h"
#include "route/route_hedge.h"
#include "route/route_lend.h"

#define LATE "it did not answer in the time that it has"
#define HEARD_OUT_NS TRP_S(10) /* an overtaken canary that takes longer has failed */

/* A child that nobody waits for any more; the visit may be over. */
static void late_done(struct trp_call *child, void *user)
{
    struct trp_router *r = user;
    trp_call_child_end(child, &r->env->finder);
    trp_route_release(&r->target);
}

static void child_done(struct trp_call *child, void *user);

/* Whoever holds it gives it back some time; it is ended then, and keeps the route until that. */
static void abandon(struct trp_route_visit *v, struct trp_call **slot,
                    bool (*wake)(struct trp_call *child))
{
    struct trp_call *child = *slot;
    *slot = NULL;
    if (!child)
        return;
    TRP_ASSERT(child->done_n > 0 && child->done[0].user == v);
    trp_route_retain(&v->route->target);
    child->done[0].fn = late_done;
    child->done[0].user = v->route;
    (void)wake(child);
}

static struct trp_route_goal *hedge_goal(const struct trp_route_visit *v)
{
    const uint32_t goal = v->rule->hedge->goal;
    return goal ? &v->route->plan->goals[goal - 1] : v->goal;
}

/* The hedge's own breaker hears how it did; CANCELLED: nobody knows.  The time that it had was
 * not its own: no failure of it. */
static void tell_second(struct trp_route_visit *v, int32_t code)
{
    struct trp_breaker *breaker = v->second_breaker;
    const enum trp_fault fault = trp_fault_of(trp_route_visit_code_of(v, code));
    v->second_breaker = NULL;
    if (!breaker)
        return;
    if (fault == TRP_FAULT_NONE || fault == TRP_FAULT_ERROR)
        trp_breaker_report(breaker, v->second_ticket, fault == TRP_FAULT_ERROR,
                           trp_route_visit_now_ns(v), trp_route_visit_chance(v));
    else
        trp_breaker_forget(breaker, v->second_ticket);
}

static void abandon_both(struct trp_route_visit *v, bool (*wake)(struct trp_call *child))
{
    abandon(v, &v->child, wake);
    abandon(v, &v->second, wake);
    tell_second(v, TRP_CANCELLED);
}

/* True: a helper casts what its target gave, and `done` is called again when it has. */
static bool is_being_cast(struct trp_route_visit *v, const struct trp_route_goal *goal,
                          struct trp_call *child, trp_done_fn done)
{
    const struct trp_route_casting how = trp_route_casting_of(v->route, goal, done, v);
    bool is_away = false;
    if (!trp_failed(child->error.status))
        child->error.status = trp_route_cast_outputs(&how, child, &is_away, &child->error);
    return is_away;
}

/* What a target gave becomes what clients get; where that cannot be, it has failed. */
static void take_as_ours(const struct trp_route_goal *goal, struct trp_call *child,
                         const struct trp_route_unfit *was)
{
    if (goal->fit && !trp_failed(child->error.status))
        child->error.status = trp_route_fit_answer(goal->fit, child, was, &child->error);
}

/* One of the two came back, and those who watch it are told; true: the other is waited for. */
static bool is_for_the_other(struct trp_route_visit *v, struct trp_call *child,
                             struct trp_route_goal *goal, bool is_hedge)
{
    const bool has_failed = trp_failed(child->error.status);
    if (is_hedge)
        tell_second(v, child->error.status.code);
    else
        trp_route_visit_compare(v, child->error.status.code, child->error.text);
    if (!has_failed || (!v->child && !v->second))
        return false;
    trp_route_goal_count(goal, child->error.status.code);
    if (!is_hedge) {
        v->has_failed = true;
        v->call->error = child->error;
    }
    trp_call_child_end(child, trp_route_visit_finder(v));
    return true;
}

/* The call was answered, and waits for its child: so the visit is there still. */
static void overtaken_done(struct trp_call *child, void *user)
{
    struct trp_route_visit *v = user;
    struct trp_router *r = v->route;
    if (is_being_cast(v, v->goal, child, overtaken_done))
        return;
    trp_timer_disarm(child->loop, &v->timer);
    take_as_ours(v->goal, child, &v->unfit);
    const int32_t code = child->error.status.code;
    trp_route_goal_count(v->goal, code);
    trp_route_visit_compare(v, code, child->error.text);
    trp_attempts_settle(&v->attempts, code, trp_route_visit_now_ns(v), trp_route_visit_chance(v));
    trp_call_child_end(child, &r->env->finder);
    trp_route_release(&r->target);
}

/* Perhaps the call goes with it, and the visit. */
static void stop_hearing(struct trp_route_visit *v)
{
    struct trp_router *r = v->route;
    if (!v->overtaken)
        return;
    trp_timer_disarm(v->call->loop, &v->timer);
    abandon(v, &v->overtaken, trp_call_child_expire);
    trp_route_release(&r->target);
}

static void is_heard_out(struct trp_timer *timer, int64_t at_ns)
{
    struct trp_route_visit *v = TRP_CONTAINER_OF(timer, struct trp_route_visit, timer);
    trp_route_visit_compare(v, TRP_DEADLINE_EXCEEDED, LATE);
    trp_attempts_settle(&v->attempts, TRP_DEADLINE_EXCEEDED, at_ns, trp_route_visit_chance(v));
    stop_hearing(v);
}

/* Of a rule with a canary, the first choice that was overtaken works on: else nobody would ever
 * know that one fails which always fails later than the hedge answers. */
static void hear_out(struct trp_route_visit *v)
{
    struct trp_call *child = v->child;
    const int64_t till_ns = v->step.deadline_ns ? v->step.deadline_ns : v->asked_ns + HEARD_OUT_NS;
    v->timer.due = is_heard_out;
    if (!v->rule->canary || trp_failed(trp_timer_arm(v->call->loop, &v->timer, till_ns, NULL)))
        return;
    v->overtaken = child;
    v->child = NULL;
    child->done[0].fn = overtaken_done;
    trp_route_retain(&v->route->target);
}

/* One of the two answered.  When it was the second, the first choice has failed, or is
 * overtaken: it took at least so long. */
static void settle(struct trp_route_visit *v, bool is_hedge)
{
    int32_t code = TRP_OK;
    if (v->overtaken)
        return; /* told when it has come back */
    if (is_hedge)
        code = v->has_failed ? v->call->error.status.code : TRP_CANCELLED;
    if (is_hedge && !v->has_failed)
        trp_route_visit_compare(v, TRP_OK, NULL);
    trp_attempts_settle(&v->attempts, trp_route_visit_code_of(v, code), trp_route_visit_now_ns(v),
                        trp_route_visit_chance(v));
}

/* Neither of the two has an answer.  What the first choice failed of is what is told, and
 * decides who is asked next. */
static void fail_both(struct trp_route_visit *v, const struct trp_error *error)
{
    const struct trp_attempts_step asked = v->step;
    if (!v->has_failed && error != &v->call->error)
        v->call->error = *error;
    if (trp_route_visit_next(v, v->call->error.status.code)) {
        v->call->error = (struct trp_error){ 0 };
        trp_route_call_act(v);
        return;
    }
    v->step = asked;
    trp_route_visit_conclude(v);
}

/* It was not even begun, because it could not have ended in time: where that time is the rule's
 * own, it is the rule's timeout. */
static void call_it_timeout(struct trp_route_visit *v, struct trp_call *child)
{
    const int64_t till_ns = v->step.deadline_ns;
    if (!child->is_too_late || !trp_failed(child->error.status) || till_ns == 0 ||
        (v->call->deadline_ns != 0 && till_ns >= v->call->deadline_ns))
        return;
    child->error.status.code = TRP_DEADLINE_EXCEEDED;
    trp_counter_add(&v->rule->timed_out, 1);
}

static void child_done(struct trp_call *child, void *user)
{
    struct trp_route_visit *v = user;
    struct trp_call *call = v->call;
    const bool is_hedge = child == v->second;
    struct trp_route_goal *goal = is_hedge ? hedge_goal(v) : v->goal;
    if (is_being_cast(v, goal, child, child_done))
        return;
    if (!is_hedge)
        call_it_timeout(v, child);
    *(is_hedge ? &v->second : &v->child) = NULL;
    trp_timer_disarm(call->loop, &v->hedge_timer);
    take_as_ours(goal, child, is_hedge ? &v->second_unfit : &v->unfit);
    if (is_for_the_other(v, child, goal, is_hedge))
        return;
    const bool is_overtaken = v->child != NULL;
    trp_timer_disarm(call->loop, &v->timer);
    if (is_hedge && !trp_failed(child->error.status))
        trp_hedge_won(&v->rule->hedge->hedge);
    if (is_overtaken && !trp_failed(child->error.status))
        hear_out(v);
    abandon_both(v, trp_call_child_cancel);
    struct trp_error error = child->error;
    if (!trp_failed(error.status))
        error.status = trp_route_take_answer(call, child, &error);
    if (trp_failed(error.status)) {
        trp_route_goal_count(goal, error.status.code);
        trp_call_child_end(child, trp_route_visit_finder(v));
        if (is_overtaken)
            trp_route_visit_compare(v, TRP_OK, NULL);
        stop_hearing(v);
        fail_both(v, &error);
        return;
    }
    settle(v, is_hedge);
    call->error = error;
    trp_route_visit_sign(v, child, is_hedge);
    trp_call_child_keep(child, trp_route_visit_finder(v));
    trp_route_visit_conclude(v);
}

static void time_is_up(struct trp_timer *timer, int64_t at_ns)
{
    struct trp_route_visit *v = TRP_CONTAINER_OF(timer, struct trp_route_visit, timer);
    struct trp_call *call = v->call;
    (void)at_ns;
    trp_counter_add(&v->rule->timed_out, 1);
    trp_timer_disarm(call->loop, &v->hedge_timer);
    if (!v->has_failed) {
        trp_route_visit_compare(v, TRP_DEADLINE_EXCEEDED, LATE);
        (void)trp_fail(
            &call->error, TRP_DEADLINE_EXCEEDED,
            "route '%.*s', rule %.*s: '%.*s' did not answer in the time that %s gives it",
            TRP_STR(v->route->plan->name), TRP_STR(v->rule->name), TRP_STR(v->goal->text),
            v->is_owners_time ? "its model" : "the rule");
    }
    if (v->child)
        trp_route_goal_count(v->goal, TRP_DEADLINE_EXCEEDED);
    if (v->second)
        trp_route_goal_count(hedge_goal(v), TRP_DEADLINE_EXCEEDED);
    abandon_both(v, trp_call_child_expire);
    fail_both(v, &call->error);
}

/* The client has gone: what a queue or a model does for it ends sooner. */
static void wake_child(struct trp_cancel *token)
{
    (void)trp_call_child_cancel(TRP_CONTAINER_OF(token, struct trp_call, cancel));
}

/* What remains of the call's time, or less: the rule's, or what the model's owner gives it,
 * which the child knows once it is started. */
static trp_status watch_time(struct trp_route_visit *v, struct trp_error *err)
{
    struct trp_call *call = v->call;
    const int64_t till_ns = v->child->deadline_ns;
    v->timer.due = time_is_up;
    if (till_ns == 0 || (call->deadline_ns != 0 && till_ns >= call->deadline_ns))
        return trp_ok();
    v->is_owners_time = v->step.deadline_ns == 0 || till_ns < v->step.deadline_ns;
    v->step.deadline_ns = v->attempts.attempt_deadline_ns = till_ns;
    return trp_timer_arm(call->loop, &v->timer, till_ns, err);
}

static trp_status start_cast(struct trp_route_visit *v, const struct trp_route_goal *goal,
                             struct trp_call *child, struct trp_error *err)
{
    const struct trp_child_ask ask = { goal->model, goal->version, child_done, v };
    return trp_call_child_start(child, trp_route_visit_finder(v), &ask, err);
}

/* A helper has cast its inputs, or could not: then it comes back as if its target had said so.
 * Without memory for another timer it has the time that it had before it was started. */
static void inputs_cast(struct trp_call *child, void *user)
{
    struct trp_route_visit *v = user;
    const struct trp_route_goal *goal = child == v->second ? hedge_goal(v) : v->goal;
    struct trp_error err = { 0 };
    if (!trp_failed(child->error.status))
        child->error.status = start_cast(v, goal, child, &child->error);
    if (trp_failed(child->error.status))
        child_done(child, v);
    else if (child == v->child)
        (void)watch_time(v, &err);
}

/* Makes a child for a goal and starts it, once its inputs are what it takes. */
static trp_status start_child(struct trp_route_visit *v, const struct trp_route_goal *goal,
                              struct trp_route_unfit *undo, struct trp_call **out_child,
                              struct trp_error *err)
{
    const struct trp_route_casting how = trp_route_casting_of(v->route, goal, inputs_cast, v);
    struct trp_call *child = trp_call_child(v->call, v->attempts.attempts, err);
    bool is_away = false;
    if (!child)
        return err->status;
    child->cancel.on_raise = wake_child;
    child->step_name = TRP_STR_LIT("attempt");
    if (v->step.deadline_ns != 0)
        child->deadline_ns = v->step.deadline_ns;
    trp_status st = trp_route_lend(v->route, goal, v->call, child, undo, err);
    if (!trp_failed(st) && goal->fit)
        st = trp_route_cast_inputs(&how, child, undo->inputs_n, &is_away, err);
    if (!trp_failed(st) && !is_away)
        st = start_cast(v, goal, child, err);
    if (trp_failed(st))
        trp_call_child_end(child, trp_route_visit_finder(v));
    else
        *out_child = child;
    return st;
}

/* Whether its breaker allows it: there is the first one to wait for, so an open one is heeded in
 * any case. */
static bool may_be_second(struct trp_route_visit *v, const struct trp_route_goal *goal,
                          int64_t at_ns)
{
    v->second_breaker = goal->guarded.breaker;
    if (!v->second_breaker)
        return true;
    const struct trp_breaker_answer answer = trp_breaker_ask(v->second_breaker, at_ns);
    v->second_ticket = answer.ticket;
    if (!answer.allowed)
        v->second_breaker = NULL;
    return answer.allowed;
}

/* It is late: another one is asked as well, when there is one left for that.  If that cannot be,
 * the first one is all there is. */
static void ask_another(struct trp_timer *timer, int64_t at_ns)
{
    struct trp_route_visit *v = TRP_CONTAINER_OF(timer, struct trp_route_visit, hedge_timer);
    struct trp_route_goal *goal = hedge_goal(v);
    struct trp_error err = { 0 };
    if (!may_be_second(v, goal, at_ns))
        return;
    if (!trp_hedge_try_send(&v->rule->hedge->hedge, &v->route->plan->budget, at_ns)) {
        tell_second(v, TRP_CANCELLED);
        return;
    }
    trp_counter_add(&goal->asked, 1);
    const trp_status st = start_child(v, goal, &v->second_unfit, &v->second, &err);
    if (!trp_failed(st))
        return;
    trp_route_goal_count(goal, st.code);
    tell_second(v, st.code);
}

/* When a second one is asked; 0: this attempt is not hedged. */
int64_t trp_route_race_hedge_at(const struct trp_route_visit *v)
{
    const int64_t deadline_ns = v->step.deadline_ns ? v->step.deadline_ns : v->call->deadline_ns;
    if (trp_call_is_in_sequence(v->call)) /* it would be a step too many of its state */
        return 0;
    return v->rule->hedge && v->step.place == 0 && v->step.why == TRP_ATTEMPTS_FIRST
               ? trp_hedge_when_ns(&v->rule->hedge->hedge, deadline_ns, trp_route_visit_now_ns(v))
               : 0;
}

static trp_status watch(struct trp_route_visit *v, int64_t hedge_ns, struct trp_error *err)
{
    TRP_CHECK(watch_time(v, err));
    v->hedge_timer.due = ask_another;
    return hedge_ns != 0 ? trp_timer_arm(v->call->loop, &v->hedge_timer, hedge_ns, err) : trp_ok();
}

trp_status trp_route_race_send(struct trp_route_visit *v, int64_t hedge_ns, struct trp_error *err)
{
    TRP_CHECK(start_child(v, v->goal, &v->unfit, &v->child, err));
    const trp_status st = watch(v, hedge_ns, err);
    if (trp_failed(st)) {
        trp_timer_disarm(v->call->loop, &v->timer);
        abandon(v, &v->child, trp_call_child_cancel);
    }
    return st;
}
