/* compose/cook_time.c - see cook_state.h: until when members are waited for.
 *
 *   now -------------------------- late ---------------------------------------- deadline
 *                                   | the vote, the steps behind it | those above | the reply
 *
 * An answer that is ready at the deadline comes too late: there is the vote, what stands behind it,
 * in this recipe and in those that asked for it, and then the reply is encoded and sent.  How long
 * steps take is known from the requests before, and taken one and a half times.  The reply gets a
 * tenth of the time that is left, 2 to 50 ms, and a fiftieth at least: gRPC's clients round the
 * time that they name up by as much as one in a hundred (10.01 s is sent as 10.1 s), and count
 * their own from before they sent it.  Of a time that is too short for all this a quarter is the
 * members', because what is known may be wrong. */
#include "compose/cook_state.h"

#define REPLY_SHARE 10
#define REPLY_NS_MIN TRP_MS(2)
#define REPLY_NS_MAX TRP_MS(50)
#define ROUNDED_SHARE 50
#define LEVEL_NS TRP_MS(1) /* who asks hears of an answer before he counts whoever gives it late */

static int64_t took_ns(const struct trp_recipe *r, uint32_t step)
{
    const int64_t ns = r->took ? trp_gauge_get(&r->took[step]) : 0;
    return ns + ns / 2;
}

/* A step uses what steps in front of it have made. */
static void lengthen(struct trp_cook *k, uint32_t tensor, int64_t ns)
{
    const uint32_t maker = tensor == TRP_RECIPE_NONE ? tensor : k->recipe->tensors[tensor].maker;
    if (maker != TRP_RECIPE_NONE && k->rest_ns[maker] < ns)
        k->rest_ns[maker] = ns;
}

void trp_cook_reckon(struct trp_cook *k)
{
    const struct trp_recipe *r = k->recipe;
    if (k->call->deadline_ns == 0)
        return;
    k->rest_ns = trp_arena_zeroed(&k->call->arena, r->steps_n, sizeof *k->rest_ns);
    for (uint32_t i = r->steps_n; k->rest_ns && i-- > 0;) {
        const struct trp_recipe_step *step = &r->steps[i];
        if ((k->needed >> i & 1) == 0)
            continue;
        const int64_t ns = k->rest_ns[i] + took_ns(r, i);
        for (uint32_t u = 0; u < step->uses_n; u++)
            lengthen(k, step->uses[u].tensor, ns);
        lengthen(k, step->doubt.tensor, ns);
    }
}

int64_t trp_cook_late_ns(const struct trp_cook *k, uint32_t step, int64_t now_ns)
{
    const int64_t own_ns = now_ns + k->recipe->steps[step].deadline_ns;
    const int64_t left_ns = k->call->deadline_ns - now_ns;
    if (k->call->deadline_ns == 0)
        return own_ns;
    if (left_ns <= 0)
        return now_ns;
    int64_t reply_ns = left_ns / REPLY_SHARE;
    reply_ns = reply_ns < REPLY_NS_MIN ? REPLY_NS_MIN : reply_ns;
    reply_ns = reply_ns > REPLY_NS_MAX ? REPLY_NS_MAX : reply_ns;
    reply_ns = reply_ns < left_ns / ROUNDED_SHARE ? left_ns / ROUNDED_SHARE : reply_ns;
    int64_t needs_ns = k->call->spare_ns + took_ns(k->recipe, step) + reply_ns;
    needs_ns += k->rest_ns ? k->rest_ns[step] : 0;
    needs_ns = needs_ns > left_ns / 4 * 3 ? left_ns / 4 * 3 : needs_ns;
    const int64_t late_ns = now_ns + left_ns - needs_ns;
    return late_ns < own_ns ? late_ns : own_ns;
}

int64_t trp_cook_spare_ns(const struct trp_cook *k, uint32_t step)
{
    return k->rest_ns ? k->call->spare_ns + k->rest_ns[step] + LEVEL_NS : k->call->spare_ns;
}

/* From below, because the first request may have waited for a model to be loaded. */
void trp_cook_learn_time(struct trp_cook *k, uint32_t step)
{
    const struct trp_cook_step *s = &k->steps[step];
    struct trp_gauge *took = k->recipe->took ? &k->recipe->took[step] : NULL;
    const int64_t ns = trp_loop_now_ns(k->call->loop) - s->begun_ns;
    const int64_t old = took ? trp_gauge_get(took) : 0;
    if (took && s->state == TRP_COOK_DONE)
        trp_gauge_set(took, old + (ns - old) / 4);
    else if (took && ns > old)
        trp_gauge_set(took, ns);
}
