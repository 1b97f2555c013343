/* life/backoff.c - when a load that failed is tried again
 *
 * After 1 s, then 2, 4, ... 60; at once when its files change or an operator asks.  A model that is
 * to be loaded by itself is tried by itself; one that is loaded by demand only by the next call
 * after that time: until then calls are answered at once with the reason.  What an operator
 * asked for and got no better is for the operator. */
#include "life/demand.h"
#include "life/life_parts.h"

#define FIRST_NS TRP_S(1)
#define LONGEST_NS TRP_S(60)

bool trp_backoff_is_by_itself(const struct trp_member *m)
{
    return m->wanted && m->is_present && !m->held_back &&
           (m->policy == TRP_LOAD_STARTUP || m->policy == TRP_LOAD_BACKGROUND);
}

static void allow_calls(struct trp_member *m)
{
    for (uint32_t i = 0; m->on_demand && i < m->shown.n; i++)
        if (trp_lifecycle_get(&m->shown.items[i]->life) == TRP_MODEL_FAILED)
            trp_flag_raise(&m->shown.items[i]->may_retry);
}

static void due(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_member *m = TRP_CONTAINER_OF(timer, struct trp_member, retry_timer);
    const struct trp_op op = { .kind = TRP_OP_LOAD };
    (void)now_ns;
    allow_calls(m);
    if (trp_backoff_is_by_itself(m))
        (void)trp_member_push(m,
                              &op); /* without memory for it: by the next call, or the next look */
}

void trp_backoff_failed(struct trp_member *m)
{
    struct trp_loop *control = m->life->opts.control;
    m->retry_ns = m->retry_ns == 0               ? FIRST_NS
                  : m->retry_ns * 2 < LONGEST_NS ? m->retry_ns * 2
                                                 : LONGEST_NS;
    m->retry_timer.due = due;
    if (!trp_failed(
            trp_timer_arm(control, &m->retry_timer, trp_loop_now_ns(control) + m->retry_ns, NULL)))
        return;
    TRP_WARN(m->life->opts.log, "life", "'%.*s': no memory to wait before it is tried again",
             TRP_STR(m->name));
    allow_calls(m);
}

void trp_backoff_reset(struct trp_member *m)
{
    trp_timer_disarm(m->life->opts.control, &m->retry_timer);
    m->retry_ns = 0;
}

int64_t trp_backoff_left_ns(const struct trp_member *m)
{
    const int64_t left_ns =
        m->retry_timer.slot ? m->retry_timer.due_ns - trp_loop_now_ns(m->life->opts.control) : 0;
    return left_ns > 0 ? left_ns : 0;
}
