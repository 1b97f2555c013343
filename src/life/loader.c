/* life/loader.c - see loader.h */
#include "life/loader.h"

#include "base/thread.h"

struct queue {
    struct trp_job *first, **end;
};

struct trp_loaders {
    const struct trp_alloc *alloc;
    struct trp_loop *control;
    int nice;
    struct trp_lock lock;
    struct trp_signal work;
    struct queue queues[TRP_LANES]; /* lock */
    bool stopping;                  /* lock */
    struct trp_thread *threads;     /* the last one takes no loads */
    uint32_t threads_n;
    uint32_t out; /* control's: jobs submitted and not done */
    void (*idle)(void *user);
    void *idle_user;
};

static struct trp_job *pop(struct trp_loaders *l, bool takes_loads)
{
    for (int lane = 0; lane < TRP_LANES; lane++) {
        struct queue *q = &l->queues[lane];
        struct trp_job *job = q->first;
        if (!job || (lane == TRP_LANE_LOAD && !takes_loads))
            continue;
        q->first = job->next;
        if (!q->first)
            q->end = &q->first;
        return job;
    }
    return NULL;
}

static void deliver(struct trp_mail *mail)
{
    struct trp_job *job = TRP_CONTAINER_OF(mail, struct trp_job, mail);
    struct trp_loaders *l = job->loaders;
    job->done(job); /* may free the job, or submit it again */
    if (--l->out == 0 && l->idle)
        l->idle(l->idle_user);
}

static void serve(struct trp_loaders *l, bool takes_loads)
{
    trp_thread_yield_to_others(l->nice);
    trp_lock_enter(&l->lock);
    for (;;) {
        struct trp_job *job = pop(l, takes_loads);
        if (job) {
            trp_lock_leave(&l->lock);
            job->work(job);
            job->mail.deliver = deliver;
            trp_loop_post(l->control, &job->mail);
            trp_lock_enter(&l->lock);
        } else if (l->stopping) {
            break;
        } else {
            trp_signal_wait(&l->work, &l->lock);
        }
    }
    trp_lock_leave(&l->lock);
}

static void load_thread(void *user)
{
    serve(user, true);
}

static void chore_thread(void *user)
{
    serve(user, false);
}

trp_status trp_loaders_create(const struct trp_alloc *alloc, const struct trp_loaders_opts *opts,
                              struct trp_loaders **out_loaders, struct trp_error *err)
{
    const uint32_t threads_n = opts->threads_n;
    *out_loaders = NULL;
    struct trp_loaders *l = trp_alloc_zeroed(alloc, 1, sizeof *l);
    if (!l)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "loaders");
    l->alloc = alloc;
    l->control = opts->control;
    l->nice = opts->nice;
    trp_lock_init(&l->lock, TRP_LOCK_LIFE);
    trp_signal_init(&l->work);
    for (int lane = 0; lane < TRP_LANES; lane++)
        l->queues[lane].end = &l->queues[lane].first;
    l->threads = trp_alloc_zeroed(alloc, (size_t)threads_n + 1, sizeof *l->threads);
    trp_status st = l->threads ? trp_ok() : trp_fail(err, TRP_OUT_OF_MEMORY, "loaders");
    for (uint32_t i = 0; i <= threads_n && !trp_failed(st); i++) {
        st = trp_thread_start(&l->threads[i], i < threads_n ? "loader" : "chores",
                              i < threads_n ? load_thread : chore_thread, l, err);
        l->threads_n += !trp_failed(st);
    }
    if (trp_failed(st)) {
        trp_loaders_destroy(l);
        return st;
    }
    *out_loaders = l;
    return st;
}

void trp_loaders_destroy(struct trp_loaders *l)
{
    if (!l)
        return;
    trp_lock_enter(&l->lock);
    l->stopping = true;
    trp_signal_all(&l->work);
    trp_lock_leave(&l->lock);
    for (uint32_t i = 0; i < l->threads_n; i++)
        trp_thread_join(&l->threads[i]);
    trp_signal_deinit(&l->work);
    trp_lock_deinit(&l->lock);
    trp_alloc_free(l->alloc, l->threads);
    trp_alloc_free(l->alloc, l);
}

bool trp_loaders_are_busy(const struct trp_loaders *l)
{
    return l->out != 0;
}

void trp_loaders_on_idle(struct trp_loaders *l, void (*idle)(void *user), void *user)
{
    l->idle = idle;
    l->idle_user = user;
}

void trp_loaders_submit(struct trp_loaders *l, enum trp_lane lane, struct trp_job *job)
{
    job->next = NULL;
    job->loaders = l;
    l->out++;
    trp_lock_enter(&l->lock);
    struct queue *q = &l->queues[lane];
    *q->end = job;
    q->end = &job->next;
    trp_signal_all(&l->work); /* whoever wakes may be the one that takes no loads */
    trp_lock_leave(&l->lock);
}
