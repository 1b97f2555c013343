/* life/keeping.c - what an operator says of who stays
 *
 * A pin holds until it is taken back, the model is unloaded, or the server ends; `pin` of the configuration holds unless an operator
 * took it back.  Nothing that is pinned is evicted by mistake: it is unpinned first. */
#include "life/demand.h"
#include "life/life_parts.h"

static trp_status unpin(struct trp_member *m, struct trp_error *err)
{
    if (m->is_overridden)
        return trp_fail(
            err, TRP_FAILED_PRECONDITION,
            "'%.*s' was loaded with files or a configuration of an order, and could not "
            "be loaded again: unload it instead",
            TRP_STR(m->name));
    m->is_pinned = false;
    m->is_unpinned = m->keeping.pin;
    trp_idle_begin(m);
    return trp_ok();
}

static trp_status evict(struct trp_member *m, struct trp_error *err)
{
    if (m->serving.n == 0)
        return trp_ok();
    if (m->is_last_copy)
        return trp_fail(err, TRP_FAILED_PRECONDITION,
                        "the files of '%.*s' were replaced by some that do not load: it could not "
                        "be loaded again; unload it instead",
                        TRP_STR(m->name));
    if (trp_idle_is_pinned(m))
        return trp_fail(err, TRP_FAILED_PRECONDITION, "'%.*s' is pinned; unpin it first",
                        TRP_STR(m->name));
    if (!trp_cold_let_go(m, "an operator asked for it"))
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory to let '%.*s' go", TRP_STR(m->name));
    return trp_ok();
}

trp_status trp_keeping_order(struct trp_member *m, struct trp_error *err)
{
    switch (m->op->order->kind) {
    case TRP_ORDER_UNPIN:
        return unpin(m, err);
    case TRP_ORDER_EVICT:
        return evict(m, err);
    default:
        m->is_pinned = true;
        m->is_unpinned = m->has_stay = false;
        trp_idle_begin(m);
        return trp_ok();
    }
}
