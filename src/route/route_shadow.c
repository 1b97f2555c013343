/* route/route_shadow.c - see route_shadow.h.
 *
 * Whoever of the two comes last compares: the call's outputs are there until it is given back,
 * which waits for its children, and the child's until it is ended. */
#include "route/route_shadow.h"

#include "call/call_child.h"
#include "route/route_cast.h"
#include "route/route_lend.h"

#define OUT_MAX 64            /* shadows of one rule under way */
#define PATIENCE_NS TRP_S(10) /* nobody needs an older answer */
#define EVERY UINT32_C(1000)  /* shadow_permille */

struct trp_route_shadow {
    struct trp_router *route;
    struct trp_route_rule *rule;
    struct trp_route_goal *goal;
    struct trp_call *call, *child;
    struct trp_route_unfit unfit;
    struct trp_timer timer; /* its deadline, also of a run: nobody else looks */
    bool is_call_answered, has_child_ended;
};

static const struct trp_finder *finder(const struct trp_route_shadow *s)
{
    return &s->route->env->finder;
}

static bool is_due(const struct trp_route_rule *rule, const struct trp_call *call)
{
    struct trp_random chance = { call->number };
    return rule->shadow_permille >= EVERY ||
           trp_random_next(&chance) % EVERY < rule->shadow_permille;
}

static void set_urgency(struct trp_call *child)
{
    child->priority_class = TRP_PRIORITY_BATCH;
    child->is_class_named = true;
    child->priority = 0;
    child->is_aside = true;
    child->deadline_ns = trp_loop_now_ns(child->loop) + PATIENCE_NS;
}

/* Who stands behind a name now; only to be compared.  NULL: nobody. */
static const struct trp_target *target_of(const struct trp_router *r,
                                          const struct trp_route_goal *goal, struct trp_call *call)
{
    const struct trp_sought sought = { goal->model, goal->version, NULL };
    struct trp_target *target = NULL;
    void (*release)(struct trp_target *) = NULL;
    if (trp_failed(trp_finder_find(&r->env->finder, trp_call_loop_index(call), &sought, &target,
                                   &release, NULL)))
        return NULL;
    release(target);
    return target;
}

/* A sequence has one state with a version of a model, which a second request would move on,
 * whatever label it comes by. */
static bool would_be_a_step(const struct trp_router *r, const struct trp_route_goal *shadow,
                            const struct trp_route_goal *chosen, struct trp_call *call)
{
    return trp_call_is_in_sequence(call) && trp_str_is_equal(shadow->model, chosen->model) &&
           target_of(r, shadow, call) == target_of(r, chosen, call);
}

struct trp_route_shadow *trp_route_shadow_prepare(struct trp_router *r, struct trp_route_rule *rule,
                                                  const struct trp_route_goal *chosen,
                                                  struct trp_call *call)
{
    struct trp_route_shadow *s = NULL;
    struct trp_error err;
    if (rule->shadow == 0 || !is_due(rule, call))
        return NULL;
    if (!would_be_a_step(r, &r->plan->goals[rule->shadow - 1], chosen, call) &&
        trp_gauge_get(&rule->shadows_out) < OUT_MAX)
        s = trp_arena_zeroed(&call->arena, 1, sizeof *s);
    struct trp_call *child = s ? trp_call_child(call, 0, &err) : NULL;
    if (!child) {
        trp_counter_add(&rule->shadows_dropped, 1);
        return NULL;
    }
    *s = (struct trp_route_shadow){ .route = r,
                                    .rule = rule,
                                    .goal = &r->plan->goals[rule->shadow - 1],
                                    .call = call,
                                    .child = child };
    set_urgency(child);
    child->step_name = TRP_STR_LIT("shadow");
    trp_route_retain(&r->target);
    trp_gauge_add(&rule->shadows_out, 1);
    (void)trp_route_lend_as_sent(
        call, child,
        &child->error); /* what went wrong is in the child, and told when it would be started */
    return s;
}

/* The child goes, and with it perhaps the call, and all of this. */
static void end(struct trp_route_shadow *s)
{
    struct trp_router *r = s->route;
    trp_gauge_add(&s->rule->shadows_out, -1);
    trp_call_child_end(s->child, &r->env->finder);
    trp_route_release(&r->target);
}

/* The server had more to do than what nobody waits for; that says nothing about its model. */
static bool found_no_time(const struct trp_call *child)
{
    const int32_t code = child->error.status.code;
    return code == TRP_QUEUE_FULL || code == TRP_DEADLINE_EXCEEDED;
}

static void compare(struct trp_route_shadow *s)
{
    const struct trp_call *call = s->call, *child = s->child;
    struct trp_route_rule *rule = s->rule;
    if (found_no_time(child)) {
        trp_counter_add(&rule->shadows_dropped, 1);
    } else if (trp_failed(child->error.status)) {
        trp_agreement_add_failure(&rule->agreement);
        trp_route_goal_count(s->goal, child->error.status.code);
    } else if (!trp_failed(call->error.status) && call->outputs_n > 0) {
        struct trp_agreement_result result;
        trp_agreement_compare(call->outputs, call->outputs_n, child->outputs, child->outputs_n,
                              NULL, &result);
        trp_agreement_add(&rule->agreement, &result);
    }
    end(s);
}

static void child_done(struct trp_call *child, void *user)
{
    struct trp_route_shadow *s = user;
    const struct trp_route_casting how = trp_route_casting_of(s->route, s->goal, child_done, s);
    bool is_away = false;
    if (!trp_failed(child->error.status))
        child->error.status = trp_route_cast_outputs(&how, child, &is_away, &child->error);
    if (is_away)
        return;
    s->has_child_ended = true;
    trp_timer_disarm(child->loop, &s->timer);
    if (s->goal->fit && !trp_failed(child->error.status))
        (void)trp_route_fit_answer(s->goal->fit, child, &s->unfit, &child->error);
    if (s->is_call_answered)
        compare(s);
}

static void time_is_up(struct trp_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    (void)trp_call_child_expire(TRP_CONTAINER_OF(timer, struct trp_route_shadow, timer)->child);
}

static trp_status start_cast(struct trp_route_shadow *s)
{
    const struct trp_child_ask ask = { s->goal->model, s->goal->version, child_done, s };
    return trp_call_child_start(s->child, finder(s), &ask, &s->child->error);
}

static void inputs_cast(struct trp_call *child, void *user)
{
    struct trp_route_shadow *s = user;
    if (!trp_failed(child->error.status))
        child->error.status = start_cast(s);
    if (trp_failed(child->error.status))
        child_done(child, s);
}

void trp_route_shadow_start(struct trp_route_shadow *s)
{
    struct trp_call *child = s->child;
    const struct trp_route_casting how = trp_route_casting_of(s->route, s->goal, inputs_cast, s);
    bool is_away = false;
    trp_counter_add(&s->goal->asked, 1);
    trp_call_child_detach(child); /* its own deadline ends it, not the client */
    trp_status st = child->error.status;
    s->timer.due = time_is_up;
    if (!trp_failed(st)) /* the first choice is on its way: now there is time for that */
        st = trp_route_lend_fit(s->route, s->goal, child, &s->unfit, &child->error);
    if (!trp_failed(st))
        st = trp_timer_arm(child->loop, &s->timer, child->deadline_ns, &child->error);
    if (!trp_failed(st) && s->goal->fit)
        st = trp_route_cast_inputs(&how, child, s->unfit.inputs_n, &is_away, &child->error);
    if (!trp_failed(st) && !is_away)
        st = start_cast(s);
    if (trp_failed(st))
        trp_timer_disarm(child->loop, &s->timer);
    s->has_child_ended = trp_failed(st);
    if (trp_failed(st) && s->is_call_answered)
        compare(s);
}

static void compare_later(struct trp_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    compare(TRP_CONTAINER_OF(timer, struct trp_route_shadow, timer));
}

void trp_route_shadow_answered(struct trp_route_shadow *s)
{
    struct trp_error err;
    s->is_call_answered = true;
    if (!s->has_child_ended)
        return;
    s->timer.due = compare_later; /* the answer goes out first */
    if (trp_failed(trp_timer_arm(s->call->loop, &s->timer, trp_loop_now_ns(s->call->loop), &err)))
        compare(s);
}
