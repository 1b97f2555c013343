/* route/route_call.c - one call on its way through a route.
 *
 *   start ─ decide ─┬─ plain: pin the target to this call, bind, start ......... done ─> told
 *                   │
 *                   └─ attempts ─> ASK ─┬─ the same way ....................... done ─┐
 *                          ▲            └─ with a time of its own: a child ..... done ─┤
 *                          │                                  or its time is up ───────┤
 *                          └────────────── the next one ◄── trp_attempts_next() ◄──────┘─> ANSWER, told
 *
 *  1. An attempt that may take as long as the call does costs no second call: the target is pinned
 *     to the client's own.
 *  2. An attempt with a time of its own is a child: when its time is up the next is asked at once,
 *     whatever the first one does, and what it still works on stays where it is until it has come
 *     back.
 *  3. So is a first one that may be hedged, and the second that is asked as well when it is late.
 *     The first good answer is the answer, and the other is given up; a bad one counts when there
 *     is no other.  Canary, breaker and hedge hear of the first choice by what it did itself, never
 *     by what the second did, which has its own breaker told.
 *  4. A call comes back through its `done` exactly once, never from inside start.
 *  5. An attempt on the client's own call that fails is counted with its target, as one of a
 *     child's is, before the next is asked; what comes then has times of its own, and what is
 *     counted last is counted by front.
 *  6. The route stays as long as a call of its own is under way: a visit has a reference. */
#include "call/call_child.h"
#include "route/route_canary.h"
#include "route/route_cast.h"
#include "route/route_race.h"
#include "route/route_visit.h"

/* ---- one attempt on the client's own call ---- */

/* What the target gave becomes what clients of the route get; where that cannot be, it has
 * failed. */
static int32_t take_answer(struct trp_route_visit *v)
{
    struct trp_call *call = v->call;
    if (v->is_fitted && !trp_failed(call->error.status))
        call->error.status = trp_route_fit_answer(v->goal->fit, call, &v->unfit, &call->error);
    return call->error.status.code;
}

/* An answer that nobody gets: it may be a view of inputs that were made for the target. */
static void drop_outputs(struct trp_call *call)
{
    for (uint32_t i = 0; i < call->outputs_n; i++) {
        const struct troupe_tensor *t = &call->outputs[i].tensor;
        if (t->release)
            t->release(t->release_user, t->data);
    }
    call->outputs = NULL;
    call->outputs_n = 0;
}

static void unfit(struct trp_route_visit *v, bool is_answered)
{
    if (!v->is_fitted)
        return;
    v->is_fitted = false;
    if (!is_answered)
        drop_outputs(v->call);
    trp_route_fit_undo(v->call, &v->unfit, is_answered);
}

static trp_status find(struct trp_route_visit *v, struct trp_error *err)
{
    const struct trp_sought sought = { v->goal->model, v->goal->version, v->call };
    struct trp_target *target = NULL;
    void (*release)(struct trp_target *) = NULL;
    const struct trp_finder *finder = trp_route_visit_finder(v);
    TRP_CHECK(trp_finder_find(finder, v->loop_index, &sought, &target, &release, err));
    trp_call_pin(v->call, target, release);
    v->is_pinned = true;
    return trp_ok();
}

/* Whether the target's owner gives it less time than the call has: then it is asked by a child,
 * which is given up. */
static bool is_in_a_hurry(const struct trp_route_visit *v)
{
    const struct trp_call *call = v->call;
    const int64_t end_ns = trp_call_patience_end_ns(call, v->asked_ns);
    return end_ns != 0 && (call->deadline_ns == 0 || end_ns < call->deadline_ns);
}

static trp_status fit(struct trp_route_visit *v, struct trp_error *err)
{
    struct trp_call *call = v->call;
    const struct trp_signature *s = trp_target_signature(call->target);
    call->is_unbound = true;
    if (!v->goal->fit)
        return trp_ok();
    TRP_CHECK(trp_route_fit_apply(v->goal->fit, call, s ? s->batch_max : 0, &v->unfit, err));
    v->is_fitted = true;
    return trp_ok();
}

static trp_status bind(struct trp_route_visit *v, struct trp_error *err)
{
    struct trp_call *call = v->call;
    const struct trp_signature *s = trp_target_signature(call->target);
    if (!s)
        return trp_ok(); /* it is not loaded, or stands for others: bound when it is started on what
                          * is */
    TRP_CHECK(trp_call_bind(call, s, err));
    call->is_unbound = false;
    return trp_ok();
}

static trp_status send_cast(struct trp_route_visit *v)
{
    struct trp_call *call = v->call;
    TRP_CHECK(bind(v, &call->error));
    trp_call_push(call, v->done, v);
    trp_target_start(call->target, call);
    return trp_ok();
}

/* A helper has cast its inputs, or could not: then it comes back as if its target had said so. */
static void inputs_cast(struct trp_call *call, void *user)
{
    struct trp_route_visit *v = user;
    if (!trp_failed(call->error.status))
        call->error.status = send_cast(v);
    if (!trp_failed(call->error.status))
        return;
    unfit(v, false);
    v->done(call, v);
}

/* What was found is asked, once its inputs are what it takes. */
static trp_status send(struct trp_route_visit *v, trp_done_fn done)
{
    struct trp_call *call = v->call;
    const struct trp_route_casting how = trp_route_casting_of(v->route, v->goal, inputs_cast, v);
    bool is_away = false;
    v->done = done;
    trp_status st = fit(v, &call->error);
    if (!trp_failed(st))
        st = trp_route_cast_inputs(&how, call, v->unfit.inputs_n, &is_away, &call->error);
    if (!trp_failed(st) && !is_away)
        st = send_cast(v);
    if (trp_failed(st))
        unfit(v, false);
    return st;
}

/* True: a helper casts what the target gave, and `done` is called again when it has. */
static bool is_being_cast(struct trp_route_visit *v, trp_done_fn done)
{
    struct trp_call *call = v->call;
    const struct trp_route_casting how = trp_route_casting_of(v->route, v->goal, done, v);
    bool is_away = false;
    if (v->is_fitted && !trp_failed(call->error.status))
        call->error.status = trp_route_cast_outputs(&how, call, &is_away, &call->error);
    return is_away;
}

/* An attempt that is not the last one: as front counts the last, with the target that it was
 * made at. */
static void count_attempt(struct trp_route_visit *v)
{
    struct trp_call *call = v->call;
    const struct trp_finder *finder = trp_route_visit_finder(v);
    if (!v->is_pinned)
        return;
    call->stamps_ns[TRP_PHASE_ENCODED] = trp_loop_clock_ns(call->loop);
    call->is_attempt = true;
    if (finder->finished)
        finder->finished(finder->user, v->loop_index, call);
    call->is_attempt = false;
}

/* The next attempt is timed from now on. */
static void begin_anew(struct trp_route_visit *v)
{
    int64_t *at = v->call->stamps_ns;
    for (int phase = 0; phase < TRP_PHASES; phase++)
        at[phase] = phase <= TRP_PHASE_DECODED ? v->asked_ns : 0;
}

/* Nobody's attempt: what comes back now is the route's. */
static void unpin(struct trp_route_visit *v)
{
    v->call->answered_by = v->call->answered_why = (struct trp_str){ NULL, 0 };
    v->call->answered_version = 0;
    if (!v->is_pinned)
        return;
    v->is_pinned = false;
    trp_route_retain(&v->route->target);
    trp_call_pin(v->call, &v->route->target, trp_route_release);
}

/* It came back without an answer: it is counted, and as it was before it was sent. */
static bool take_back(struct trp_route_visit *v)
{
    struct trp_call *call = v->call;
    const bool was_bound = !call->is_unbound && !v->is_fitted && v->is_pinned;
    count_attempt(v);
    drop_outputs(call);
    unfit(v, false);
    call->error = (struct trp_error){ 0 };
    if (was_bound && trp_failed(trp_call_unbind(call, &call->error))) {
        trp_attempts_settle(&v->attempts, TRP_CANCELLED, trp_route_visit_now_ns(v),
                            trp_route_visit_chance(v)); /* never asked */
        return false;
    }
    unpin(v);
    call->answered_as = NULL;
    call->notes = NULL;
    call->notes_n = 0;
    call->is_too_late = false;
    if (trp_oneshot_get(&call->outcome) == TRP_OUTCOME_DONE)
        trp_oneshot_reset(&call->outcome); /* we hold it, and on this thread only is it cancelled */
    return true;
}

static void plain_done(struct trp_call *call, void *user)
{
    struct trp_route_visit *v = user;
    if (is_being_cast(v, plain_done))
        return;
    unfit(v, take_answer(v) == TRP_OK);
    trp_route_visit_compare(v, call->error.status.code, call->error.text);
    if (!trp_failed(call->error.status))
        trp_route_visit_sign(v, call, false);
    else
        trp_route_goal_count(v->goal, call->error.status.code);
    trp_route_visit_conclude(v);
}

/* ---- attempts ---- */

static void own_done(struct trp_call *call, void *user)
{
    struct trp_route_visit *v = user;
    const struct trp_attempts_step asked = v->step;
    if (is_being_cast(v, own_done))
        return;
    const int32_t code = take_answer(v);
    trp_route_visit_compare(v, code, call->error.text);
    trp_route_goal_count(v->goal, code);
    if (trp_route_visit_next(v, code) && take_back(v)) {
        trp_route_call_act(v);
        return;
    }
    v->step = asked;
    unfit(v, code == TRP_OK);
    if (!trp_failed(call->error.status))
        trp_route_visit_sign(v, call, false);
    trp_route_visit_conclude(v);
}

/* On the client's own call, unless the attempt may end before it, or is asked twice. */
static trp_status ask(struct trp_route_visit *v)
{
    struct trp_call *call = v->call;
    const int64_t hedge_ns = trp_route_race_hedge_at(v);
    const bool has_own_time = v->step.deadline_ns != 0 &&
                              (call->deadline_ns == 0 || v->step.deadline_ns < call->deadline_ns);
    if (!has_own_time && hedge_ns == 0) {
        TRP_CHECK(find(v, &call->error));
        if (!is_in_a_hurry(v))
            return send(v, own_done);
        unpin(v);
    }
    return trp_route_race_send(v, hedge_ns, &call->error);
}

/* ---- what the attempts say ---- */

static void rest(struct trp_route_visit *v)
{
    struct trp_error *err = &v->call->error;
    (void)trp_fail(err, TRP_UNAVAILABLE,
                   "route '%.*s': all targets of rule %.*s have failed of late, and are left alone "
                   "for a while",
                   TRP_STR(v->route->plan->name), TRP_STR(v->rule->name));
    err->retry_after_ms = (uint32_t)(v->step.retry_after_ns / 1000000) + 1;
}

/* Clients asked for the route, and are told whose name it is that they never wrote. */
static void tell_whose(const struct trp_route_visit *v, trp_status st)
{
    if (st.code == TRP_NOT_READY)
        trp_error_within(&v->call->error, "route '%.*s', rule %.*s", TRP_STR(v->route->plan->name),
                         TRP_STR(v->rule->name));
}

/* Asks whom the step names; those that cannot even be asked are passed over. */
void trp_route_call_act(struct trp_route_visit *v)
{
    while (v->step.move == TRP_ATTEMPTS_ASK) {
        const struct trp_route_plan *p = v->route->plan;
        v->goal = &p->goals[v->step.place == 0 ? v->chosen : v->rule->fallback[v->step.place - 1]];
        trp_counter_add(&v->goal->asked, 1);
        if (v->step.place > 0)
            trp_counter_add(&v->rule->fell_back, 1);
        v->asked_ns = trp_route_visit_now_ns(v);
        v->has_failed = false;
        if (v->attempts.attempts > 1)
            begin_anew(v);
        const trp_status st = ask(v);
        if (!trp_failed(st))
            return;
        tell_whose(v, st);
        trp_route_goal_count(v->goal, st.code);
        trp_route_visit_compare(v, st.code, v->call->error.text);
        if (trp_route_visit_next(v, st.code) && !take_back(v))
            break;
    }
    if (v->step.move == TRP_ATTEMPTS_NOBODY)
        rest(v);
    trp_route_visit_conclude(v);
}

/* ---- start ---- */

static void refuse(struct trp_call *call)
{
    trp_call_finish_soon(call);
}

static struct trp_route_visit *begin(struct trp_router *r, struct trp_call *call)
{
    if (call->done_n + 2 > TRP_CALL_DONE_MAX) {
        (void)trp_fail(&call->error, TRP_TOO_LARGE,
                       "route '%.*s': more than %u routes stand behind each other",
                       TRP_STR(r->plan->name), TRP_ROUTE_DEPTH_MAX);
        return NULL;
    }
    struct trp_route_visit *v = trp_arena_zeroed(&call->arena, 1, sizeof *v);
    if (!v) {
        (void)trp_fail(&call->error, TRP_OUT_OF_MEMORY, "no memory for a route's decision");
        return NULL;
    }
    v->route = r;
    v->call = call;
    v->loop_index = trp_call_loop_index(call);
    memcpy(v->stamps_ns, call->stamps_ns, sizeof v->stamps_ns);
    return v;
}

static void keep_sample(struct trp_route_visit *v, const struct trp_route_choice_made *made)
{
    struct trp_route_sample sample = { .wall_ns = trp_clock_wall_ns(v->route->env->clock),
                                       .rule = made->is_made ? made->rule : 0,
                                       .goal = made->is_made ? made->goal : UINT32_MAX,
                                       .is_sticky = made->is_made && made->is_sticky,
                                       .code = made->is_made ? TRP_OK : TRP_NOT_FOUND };
    (void)trp_str_copy(v->call->id, sample.id, sizeof sample.id);
    (void)trp_str_copy(v->call->tenant, sample.tenant, sizeof sample.tenant);
    v->sample = trp_route_samples_add(&v->route->samples, &sample);
}

/* False: no rule matched. */
static bool decide(struct trp_route_visit *v)
{
    struct trp_router *r = v->route;
    struct trp_facts facts;
    struct trp_route_choice_made made;
    trp_route_decide(r, v->call, v->loop_index, &facts, &made);
    for (uint32_t i = 0; made.unknown_n > 0 && i < made.asked_n; i++)
        if (made.unknown[i / 64] >> (i % 64) & 1)
            trp_counter_add(&r->plan->rules[i].unknown, 1);
    if (trp_route_samples_are_due(&r->samples, trp_route_visit_now_ns(v)))
        keep_sample(v, &made);
    if (!made.is_made) {
        trp_counter_add(&r->unmatched, 1);
        (void)trp_route_refuse(r, &facts, &v->call->error);
        return false;
    }
    struct trp_route_rule *rule = &r->plan->rules[made.rule];
    trp_counter_add(&rule->matched, 1);
    v->rule = rule;
    v->chosen = made.goal;
    v->is_canary = made.is_canary;
    return true;
}

/* False: its owner gives it less time than the call has, which is looked after. */
static bool send_plain(struct trp_route_visit *v)
{
    v->asked_ns = trp_route_visit_now_ns(v);
    trp_status st = find(v, &v->call->error);
    if (!trp_failed(st) && is_in_a_hurry(v)) {
        unpin(v);
        return false;
    }
    trp_counter_add(&v->goal->asked, 1);
    if (!trp_failed(st))
        st = send(v, plain_done);
    if (trp_failed(st)) {
        tell_whose(v, st);
        trp_route_goal_count(v->goal, st.code);
        trp_route_visit_compare(v, st.code, v->call->error.text);
        trp_route_visit_conclude(v);
    }
    return true;
}

static void send_first(struct trp_route_visit *v)
{
    if (v->rule->is_plain && send_plain(v))
        return;
    const struct trp_attempts_target *first =
        v->rule->fallback_n > 0 ? &v->goal->guarded : &v->goal->bare;
    v->step = trp_attempts_begin(&v->attempts, &v->rule->attempts, first, v->call->deadline_ns,
                                 trp_route_visit_now_ns(v));
    if (v->rule->canary && v->step.place > 0) /* its breaker is open: it would have failed */
        trp_route_canary_count(v->rule, v->chosen, TRP_UNAVAILABLE, 0, NULL);
    trp_route_call_act(v);
}

void trp_route_start(struct trp_target *t, struct trp_call *call)
{
    struct trp_router *r = trp_route_of(t);
    struct trp_route_visit *v = begin(r, call);
    if (!v || !decide(v)) {
        refuse(call);
        return;
    }
    trp_route_retain(t); /* the call's own reference goes when another target is pinned */
    v->is_starting = true;
    v->goal = &r->plan->goals[v->chosen];
    struct trp_route_shadow *shadow = trp_route_shadow_prepare(r, v->rule, v->goal, call);
    v->shadow = shadow;
    send_first(v);
    if (shadow)
        trp_route_shadow_start(shadow);
    v->is_starting = false;
}

/* What is pinned now is somebody else, who is woken; children are raised by their token. */
void trp_route_cancel(struct trp_target *t, struct trp_call *call)
{
    (void)t;
    (void)call;
}
