/* route/route.c - see route.h. */
#include "route/route.h"

#include "call/target.h"
#include "repo/digest.h"
#include "route/route_fit.h"
#include "route/route_parts.h"
#include "route/route_rows.h"

#define WORDS_BYTES 1024u
#define FACE_MAX ((size_t)1 << 20) /* of what one target takes and gives */
#define WORDS_MAX 65536u           /* of one, of all doubts that there ever were: a guard */

static const struct trp_signature *signature(const struct trp_target *t)
{
    (void)t;
    return NULL; /* it is another one for each call */
}

static const struct trp_router *route_of(const struct trp_target *t)
{
    return (const struct trp_router *)t; /* its first member */
}

static const struct trp_node *config(const struct trp_target *t)
{
    (void)t;
    return NULL;
}

static void state(const struct trp_target *t, struct trp_target_state *out)
{
    *out = (struct trp_target_state){ .ready = true,
                                      .state = "READY",
                                      .reason = trp_route_doubt(route_of(t)) };
}

static struct trp_stats *stats(struct trp_target *t)
{
    return trp_route_of(t)->stats;
}

static void cost(const struct trp_target *t, struct trp_target_cost *out)
{
    (void)t;
    *out = (struct trp_target_cost){ 0 };
}

/* ---- what clients are told ---- */

static trp_status describe_goal(const struct trp_router *r, const struct trp_route_goal *goal,
                                uint32_t loop_index, struct trp_arena *arena,
                                struct trp_signature *out, struct trp_error *err)
{
    const struct trp_sought sought = { goal->model, goal->version, NULL };
    const struct trp_finder_wish wish = { .arena = arena, .out = out };
    TRP_CHECK(trp_finder_describe(&r->env->finder, loop_index, &sought, &wish, err));
    return out && goal->fit ? trp_route_fit_describe(goal->fit, arena, out, err) : trp_ok();
}

static bool is_route(struct trp_target *t)
{
    return trp_route_of(t) != NULL;
}

trp_status trp_route_look_for(const struct trp_router *r, const struct trp_route_goal *goal,
                              uint32_t loop_index, struct trp_error *err)
{
    const struct trp_sought sought = { goal->model, goal->version, NULL };
    const struct trp_finder_wish wish = { .is_enough = is_route };
    return trp_finder_describe(&r->env->finder, loop_index, &sought, &wish, err);
}

/* Of one of several that failed, when none of the others answers for it. */
static trp_status fail_as(trp_status st, const struct trp_error *why, struct trp_error *err)
{
    if (err)
        *err = *why;
    return st;
}

/* The first that there is: what the rule chooses mostly, then its fallbacks.  Words about the
 * first one are for when nobody is. */
static trp_status describe_rule(const struct trp_router *r, const struct trp_route_rule *rule,
                                uint32_t loop_index, struct trp_arena *arena,
                                struct trp_signature *out, struct trp_error *err)
{
    const struct trp_route_goal *goals = r->plan->goals;
    struct trp_error first = { 0 }, other = { 0 };
    trp_status st = trp_ok();
    for (uint32_t i = 0; i < rule->choices_n + rule->fallback_n; i++) {
        const uint32_t goal =
            i < rule->choices_n ? rule->choices[i].goal : rule->fallback[i - rule->choices_n];
        const trp_status one =
            describe_goal(r, &goals[goal], loop_index, arena, out, i ? &other : &first);
        if (!trp_failed(one))
            return one;
        st = i ? st : one;
    }
    return fail_as(st, &first, err);
}

/* Clients see what the last rule sends them to, which takes what the others leave; while nobody of
 * that one is there, what the one before it does. */
static trp_status describe_last(const struct trp_router *r, uint32_t loop_index,
                                struct trp_arena *arena, struct trp_signature *out,
                                struct trp_error *err)
{
    const struct trp_route_plan *p = r->plan;
    struct trp_error last = { 0 }, other = { 0 };
    trp_status st = describe_rule(r, &p->rules[p->rules_n - 1], loop_index, arena, out, &last);
    for (uint32_t i = p->rules_n - 1; i-- > 0 && trp_failed(st) && st.code != TRP_OUT_OF_MEMORY;) {
        const trp_status one = describe_rule(r, &p->rules[i], loop_index, arena, out, &other);
        if (!trp_failed(one))
            return one; /* the words about the last one are nobody's */
    }
    return trp_failed(st) ? fail_as(st, &last, err) : st;
}

/* A client that keeps to what it is told is refused by none of those that may answer. */
static void limit_rows(const struct trp_router *r, uint32_t loop_index, struct trp_signature *out)
{
    const struct trp_route_plan *p = r->plan;
    struct trp_route_rows rows;
    struct trp_arena scratch;
    trp_route_rows_init(&rows, p);
    trp_arena_init(&scratch, r->alloc, WORDS_BYTES, FACE_MAX);
    for (uint32_t i = 0; i < p->goals_n; i++) {
        struct trp_signature s;
        struct trp_error unsaid = { 0 };
        if (!trp_route_rows_asks(&rows, i))
            continue;
        const trp_status st = describe_goal(r, &p->goals[i], loop_index, &scratch, &s, &unsaid);
        trp_route_rows_add(&rows, trp_failed(st) ? NULL : &s);
        trp_arena_reset(&scratch);
    }
    trp_arena_deinit(&scratch);
    const int32_t limit = trp_route_rows_limit(&rows, out);
    out->batch_max = limit ? limit : out->batch_max;
}

/* A route is ready when each of its rules can be followed. */
static trp_status describe(const struct trp_target *t, uint32_t loop_index, struct trp_arena *arena,
                           struct trp_signature *out, struct trp_error *err)
{
    const struct trp_router *r = route_of(t);
    const struct trp_route_plan *p = r->plan;
    if (out)
        TRP_TRY(describe_last(r, loop_index, arena, out, err), err, "route '%.*s'",
                TRP_STR(p->name));
    if (out)
        limit_rows(r, loop_index, out);
    for (uint32_t i = 0; !out && i < p->rules_n; i++)
        TRP_TRY(describe_rule(r, &p->rules[i], loop_index, arena, NULL, err), err,
                "route '%.*s': rule %.*s", TRP_STR(p->name), TRP_STR(p->rules[i].name));
    return trp_ok();
}

static const struct trp_target_ops route_ops = {
    .signature = signature,
    .describe = describe,
    .config = config,
    .start = trp_route_start,
    .cancel = trp_route_cancel,
    .state = state,
    .stats = stats,
    .cost = cost,
    .explain = trp_route_explain,
};

/* ---- the life of a route ---- */

trp_status trp_route_create(const struct trp_alloc *alloc, struct trp_route_plan *plan,
                            const struct trp_route_common *common,
                            const struct trp_route_owner *owner, struct trp_router **out_route,
                            struct trp_error *err)
{
    *out_route = NULL;
    struct trp_router *r = trp_alloc_zeroed(alloc, 1, sizeof *r);
    struct trp_stats *counts = trp_alloc_zeroed(alloc, 1, sizeof *counts);
    if (!r || !counts) {
        trp_alloc_free(alloc, r);
        trp_alloc_free(alloc, counts);
        return trp_fail(err, TRP_OUT_OF_MEMORY, "route '%.*s'", TRP_STR(plan->name));
    }
    *r = (struct trp_router){ .target = { .ops = &route_ops, .name = plan->name, .version = 1 },
                              .alloc = alloc,
                              .plan = plan,
                              .common = common,
                              .env = common->env,
                              .stats = counts,
                              .owner = *owner };
    trp_refs_init(&r->refs);
    trp_route_samples_init(&r->samples);
    trp_arena_init(&r->words, alloc, WORDS_BYTES, WORDS_MAX);
    *out_route = r;
    return trp_ok();
}

struct trp_directory_item trp_route_item(struct trp_router *r)
{
    const struct trp_route_plan *p = trp_route_plan_of(r);
    return (struct trp_directory_item){ .name = p->name,
                                        .kind = "route",
                                        .place = p->place,
                                        .target = trp_route_target(r),
                                        .retain = trp_route_retain,
                                        .release = trp_route_release };
}

void trp_route_retain(struct trp_target *t)
{
    trp_refs_up(&trp_route_of(t)->refs);
}

void trp_route_release(struct trp_target *t)
{
    struct trp_router *r = trp_route_of(t);
    if (!trp_refs_down(&r->refs))
        return;
    trp_route_plan_drop(r->plan);
    trp_alloc_free(r->alloc, r->stats);
    const struct trp_route_owner owner = r->owner;
    trp_route_samples_deinit(&r->samples);
    trp_arena_deinit(&r->words);
    trp_alloc_free(r->alloc, r);
    if (owner.release)
        owner.release(owner.user);
}

struct trp_target *trp_route_target(struct trp_router *r)
{
    return &r->target;
}

struct trp_router *trp_route_of(struct trp_target *t)
{
    return t->ops == &route_ops ? TRP_CONTAINER_OF(t, struct trp_router, target) : NULL;
}

const struct trp_route_plan *trp_route_plan_of(const struct trp_router *r)
{
    return r->plan;
}

struct trp_str trp_route_doubt(const struct trp_router *r)
{
    const char *text = trp_pointer_get(&r->doubt);
    return text ? trp_str_of(text) : trp_str_make("", 0);
}

bool trp_route_set_doubt(struct trp_router *r, const char *text)
{
    const uint64_t digest = text ? trp_digest_add_str(1, trp_str_of(text)) : 0;
    if (digest == r->doubt_digest)
        return false;
    r->doubt_digest = digest;
    if (text && (!r->last_doubt || strcmp(r->last_doubt, text) != 0)) {
        const char *copy = trp_arena_dup(&r->words, trp_str_of(text)).ptr;
        r->last_doubt =
            copy ? copy : "its rules do not fit what its targets take: the log says why";
        trp_counter_add(&r->doubts_cut, !copy);
    }
    trp_pointer_put(&r->doubt, text ? r->last_doubt : NULL);
    return true;
}

uint64_t trp_route_unmatched(const struct trp_router *r)
{
    return trp_counter_get(&r->unmatched);
}
