/* route/route_samples.c - see route_samples.h. */
#include "route/route_samples.h"

#define EVERY_NS UINT64_C(100000000)

void trp_route_samples_init(struct trp_route_samples *s)
{
    trp_lock_init(&s->lock, TRP_LOCK_ROUTE_SAMPLES);
}

void trp_route_samples_deinit(struct trp_route_samples *s)
{
    trp_lock_deinit(&s->lock);
}

bool trp_route_samples_are_due(struct trp_route_samples *s, int64_t now_ns)
{
    const uint64_t due_ns = trp_counter_get(&s->due_ns), now = (uint64_t)now_ns;
    if (now < due_ns)
        return false;
    return trp_counter_swap(&s->due_ns, now + EVERY_NS) == due_ns; /* else somebody was faster */
}

uint64_t trp_route_samples_add(struct trp_route_samples *s, const struct trp_route_sample *sample)
{
    trp_lock_enter(&s->lock);
    s->items[s->n++ % TRP_ROUTE_SAMPLES_MAX] = *sample;
    const uint64_t number = s->n;
    trp_lock_leave(&s->lock);
    return number;
}

void trp_route_samples_end(struct trp_route_samples *s, uint64_t number,
                           const struct trp_call *call, const char *because)
{
    trp_lock_enter(&s->lock);
    if (s->n - number < TRP_ROUTE_SAMPLES_MAX) {
        struct trp_route_sample *of = &s->items[(number - 1) % TRP_ROUTE_SAMPLES_MAX];
        of->code = call->error.status.code;
        if (of->code == TRP_OK) {
            of->because = because;
            of->version = call->answered_version;
            (void)trp_str_copy(call->answered_by, of->answered_by, sizeof of->answered_by);
        }
    }
    trp_lock_leave(&s->lock);
}

uint32_t trp_route_samples_copy(struct trp_route_samples *s, struct trp_route_sample *out)
{
    trp_lock_enter(&s->lock);
    const uint32_t n = s->n < TRP_ROUTE_SAMPLES_MAX ? (uint32_t)s->n : TRP_ROUTE_SAMPLES_MAX;
    for (uint32_t i = 0; i < n; i++)
        out[i] = s->items[(s->n - 1 - i) % TRP_ROUTE_SAMPLES_MAX];
    trp_lock_leave(&s->lock);
    return n;
}
