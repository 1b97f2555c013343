/* exec/seating.c - see seating.h. */
#include "exec/seating.h"

#include "exec/lines.h"

static struct trp_version *version_of(const struct trp_call *call)
{
    return trp_version_of(call->target);
}

void trp_seating_take(const struct trp_call_list *run, uint32_t usual)
{
    uint32_t place = TRP_SEATING_NOWHERE;
    struct trp_version *const v = run->first ? version_of(run->first) : NULL;
    if (v && v->config.groups) {
        struct trp_lines *const l = v->exec_slot;
        const uint32_t before = usual == TRP_SEATING_NOWHERE ? UINT32_MAX : usual - 1;
        const uint32_t group =
            trp_slot_groups_choose(v->config.groups, l->busy, l->model.slots, before);
        l->busy[group]++;
        place = group + 1;
    }
    for (struct trp_call *call = run->first; call; call = call->queue_next)
        call->slot_group = place;
}

uint32_t trp_seating_leave(struct trp_call *call)
{
    const uint32_t place = call->slot_group;
    if (place == TRP_SEATING_NOWHERE)
        return place;
    struct trp_lines *const l = version_of(call)->exec_slot;
    TRP_DEBUG_ASSERT(l->busy[place - 1] > 0);
    l->busy[place - 1]--;
    call->slot_group = TRP_SEATING_NOWHERE;
    return place;
}

uint32_t trp_seating_device(const struct trp_call *call)
{
    if (call->slot_group == TRP_SEATING_NOWHERE)
        return 0;
    return version_of(call)->config.groups->groups[call->slot_group - 1].device;
}

const struct trp_cores *trp_seating_cores(const struct trp_call *call)
{
    const struct trp_version *v = version_of(call);
    if (call->slot_group == TRP_SEATING_NOWHERE)
        return v->config.cores;
    const struct trp_slot_group *g = &v->config.groups->groups[call->slot_group - 1];
    return g->is_bound ? &g->cores : NULL;
}
