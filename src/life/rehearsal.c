/* life/rehearsal.c - see rehearsal.h.
 *
 * A backend is asked to end a run with no lock held, so the model must not be closed meanwhile:
 * the loader waits for who asks. */
#include "life/rehearsal.h"

void trp_rehearsal_init(struct trp_rehearsal *r, struct trp_loop *control)
{
    *r = (struct trp_rehearsal){ .control = control };
    trp_lock_init(&r->lock, TRP_LOCK_REHEARSAL);
    trp_signal_init(&r->changed);
}

void trp_rehearsal_deinit(struct trp_rehearsal *r)
{
    trp_timer_disarm(r->control, &r->timer);
    trp_signal_deinit(&r->changed);
    trp_lock_deinit(&r->lock);
}

void trp_rehearsal_stop(struct trp_rehearsal *r)
{
    trp_flag_raise(&r->cancel);
    trp_lock_enter(&r->lock);
    struct trp_backend_model *model = r->model;
    r->is_used = model != NULL;
    trp_lock_leave(&r->lock);
    if (!model)
        return;
    trp_backend_cancel(model, UINT64_MAX);
    trp_lock_enter(&r->lock);
    r->is_used = false;
    trp_signal_all(&r->changed);
    trp_lock_leave(&r->lock);
}

static void too_long(struct trp_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    trp_rehearsal_stop(TRP_CONTAINER_OF(timer, struct trp_rehearsal, timer));
}

/* Without a timer nobody would end it, so it is not made. */
static void deliver_begun(struct trp_mail *mail)
{
    struct trp_rehearsal *r = TRP_CONTAINER_OF(mail, struct trp_rehearsal, begun);
    struct trp_error err;
    trp_lock_enter(&r->lock);
    const bool is_running = r->model != NULL;
    trp_lock_leave(&r->lock);
    r->timer.due = too_long;
    if (is_running &&
        trp_failed(trp_timer_arm(r->control, &r->timer,
                                 trp_loop_now_ns(r->control) + TRP_REHEARSAL_NS, &err)))
        trp_rehearsal_stop(r);
}

void trp_rehearsal_begin(struct trp_rehearsal *r, struct trp_backend_model *model)
{
    trp_lock_enter(&r->lock);
    r->model = model;
    trp_lock_leave(&r->lock);
    r->begun.deliver = deliver_begun;
    trp_loop_post(r->control, &r->begun);
}

void trp_rehearsal_end(struct trp_rehearsal *r)
{
    trp_lock_enter(&r->lock);
    r->model = NULL;
    while (r->is_used)
        trp_signal_wait(&r->changed, &r->lock);
    trp_lock_leave(&r->lock);
}
