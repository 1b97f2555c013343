/* backend/nursery.c - see nursery.h. */
#include "backend/nursery.h"

struct trp_nursery_wish {
    struct trp_thread *thread;
    const char *name;
    void (*body)(void *user);
    void *user;
    struct trp_error *err;
    trp_status status;
    bool is_taken, is_done;
};

static void work(void *user)
{
    struct trp_nursery *n = user;
    trp_lock_enter(&n->lock);
    while (!n->is_ending) {
        struct trp_nursery_wish *w = n->wish;
        if (!w || w->is_taken) {
            trp_signal_wait(&n->changed, &n->lock);
            continue;
        }
        w->is_taken = true;
        trp_lock_leave(&n->lock);
        const trp_status st = trp_thread_start(w->thread, w->name, w->body, w->user, w->err);
        trp_lock_enter(&n->lock);
        w->status = st;
        w->is_done = true;
        trp_signal_all(&n->changed);
    }
    trp_lock_leave(&n->lock);
}

trp_status trp_nursery_init(struct trp_nursery *n, struct trp_error *err)
{
    *n = (struct trp_nursery){ .wish = NULL };
    trp_lock_init(&n->lock, TRP_LOCK_WORKERS);
    trp_signal_init(&n->changed);
    return trp_thread_start(&n->thread, "nursery", work, n, err);
}

void trp_nursery_deinit(struct trp_nursery *n)
{
    trp_lock_enter(&n->lock);
    n->is_ending = true;
    trp_signal_all(&n->changed);
    trp_lock_leave(&n->lock);
    trp_thread_join(&n->thread);
    trp_signal_deinit(&n->changed);
    trp_lock_deinit(&n->lock);
}

trp_status trp_nursery_start(struct trp_nursery *n, struct trp_thread *t, const char *name,
                             void (*body)(void *user), void *user, struct trp_error *err)
{
    struct trp_nursery_wish wish = {
        .thread = t, .name = name, .body = body, .user = user, .err = err
    };
    trp_lock_enter(&n->lock);
    while (n->wish)
        trp_signal_wait(&n->changed, &n->lock);
    n->wish = &wish;
    trp_signal_all(&n->changed);
    while (!wish.is_done)
        trp_signal_wait(&n->changed, &n->lock);
    n->wish = NULL;
    trp_signal_all(&n->changed);
    trp_lock_leave(&n->lock);
    return wish.status;
}
