/* life/keeping.c - what an operator says of who stays
 *
 * A pin holds until it is taken back, the model is unloaded, or the server ends; `pin` of the
 * configuration holds unless an operator took it back.  Nothing that is pinned is evicted by
 * mistake: it is unpinned first.  A pin that is refused changes nothing. */
#include "life/demand.h"
#include "life/hibernation.h"
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
    return m->op->order->kind == TRP_ORDER_UNPIN ? unpin(m, err) : evict(m, err);
}

void trp_keeping_pin(struct trp_member *m, const struct trp_order *order)
{
    m->is_pinned = !order->has_keep_alive;
    m->is_unpinned = order->has_keep_alive;
    m->has_stay = order->has_keep_alive;
    m->stay_ns = order->keep_alive_ns;
}

/* The order that it was to be woken for comes next, and may need to say why it was not. */
static void note_why_asleep(struct trp_member *m, const struct trp_op *wake,
                            const struct trp_error *err)
{
    if (!wake->is_by_call && trp_failed(err->status) && m->first && m->first->is_woken)
        m->first->order->error = *err;
}

void trp_keeping_ended(struct trp_member *m, const struct trp_op *op, struct trp_error *err)
{
    const bool is_pin = op->kind == TRP_OP_KEEP && op->order && op->order->kind == TRP_ORDER_PIN;
    if (op->kind == TRP_OP_WAKE)
        note_why_asleep(m, op, err);
    if (trp_failed(err->status) || !op->order || (!is_pin && op->kind != TRP_OP_LOAD))
        return;
    if (trp_hibernation_is_asleep(m)) {
        *err = op->order->error;
        if (!trp_failed(err->status))
            (void)trp_fail(err, TRP_OUT_OF_MEMORY, "no memory to wake '%.*s'", TRP_STR(m->name));
        return;
    }
    trp_keeping_pin(m, op->order);
    trp_idle_begin(m);
}
