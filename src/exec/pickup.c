/* exec/pickup.c - see pickup.h. */
#include "exec/pickup.h"

#include "exec/batch.h"
#include "sched/resting.h"

static struct trp_lines *lines_of(struct trp_sched_model *m)
{
    return TRP_CONTAINER_OF(m, struct trp_lines, model);
}

/* Whoever has come into a line by a key that is not its own is told apart here: what stands in
 * the calls decides. */
static void part_unlike(struct trp_sched *s, struct trp_call_list *calls)
{
    struct trp_call_list alike = { 0 };
    struct trp_call *call, *first = trp_call_list_pop(calls);
    trp_call_list_push(&alike, first);
    while ((call = trp_call_list_pop(calls)) != NULL) {
        if (trp_batch_may_meet(first, call))
            trp_call_list_push(&alike, call);
        else
            trp_sched_give_back(s, &call->seat.line->model->own, call);
    }
    *calls = alike;
}

static struct trp_batching_rules rules_of(const struct trp_version *v, uint64_t most)
{
    const struct trp_joining_wishes *w = v->config.joining;
    struct trp_batching_rules rules = { .rows_max = most < UINT32_MAX ? (uint32_t)most : UINT32_MAX,
                                        .is_forced = v->config.batching == TRP_BATCHING_ON };
    _Static_assert(ARRAY_LEN(w->preferred) == ARRAY_LEN(rules.preferred), "one row for each");
    if (!w)
        return rules;
    rules.delay_ns = w->delay_ns;
    rules.rows_enough = w->rows_enough;
    for (; rules.preferred_n < w->preferred_n; rules.preferred_n++)
        rules.preferred[rules.preferred_n] = w->preferred[rules.preferred_n];
    return rules;
}

/* False: the line whose turn it was rests now. */
static bool take_turn(struct trp_sched *s, const struct trp_pickup *p,
                      const struct trp_sched_turn *turn, int64_t now_ns, struct trp_call_list *out)
{
    const struct trp_version *v = trp_version_of(turn->call->target);
    const uint64_t most = trp_batch_limit(v);
    if (most == 0 || turn->call->is_aside || !trp_lines_is_shared(turn->line)) {
        trp_sched_take_turn(s, turn, 0);
        trp_call_list_push(out, turn->call);
        return true;
    }
    const struct trp_batching_rules rules = rules_of(v, most);
    const struct trp_batching_now now = { .now_ns = now_ns, .idle = p->sleepers };
    if (!trp_batching_take(s, turn, &rules, &lines_of(turn->line->model)->curve, &now, out))
        return false;
    part_unlike(s, out);
    return true;
}

void trp_pickup_run(struct trp_sched *s, const struct trp_pickup *p, int64_t now_ns,
                    struct trp_call_list *out)
{
    struct trp_sched_turn turn;
    trp_resting_end_all(s, now_ns);
    while (trp_sched_next(s, &turn) && !take_turn(s, p, &turn, now_ns, out))
        ;
}

int64_t trp_pickup_until_ns(const struct trp_sched *s, const struct trp_pickup *p)
{
    const int64_t next_ns = trp_resting_next_ns(s);
    return p->kept_ns == 0 || next_ns < p->kept_ns ? next_ns : 0;
}

bool trp_pickup_has_more(struct trp_sched *s)
{
    struct trp_sched_turn turn;
    return trp_sched_next(s, &turn);
}
