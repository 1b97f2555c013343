/* onnxruntime/ort_watcher.c - see ort_watcher.h.
 *
 * ONNX Runtime looks at a flag of the session options now and then, also in a compilation that was
 * made from them; somebody else must raise it while the call is busy.  So a call with a cancel flag
 * has a thread that sleeps, looks, and passes the wish on.  It costs some 30 us a call.  Where
 * the thread cannot be made, the flag still counts before and after. */
#include "ort_watcher.h"

#include <signal.h>
#include <time.h>

#define LOOK_EVERY_NS 20000000

static void *watch(void *arg)
{
    struct ort_watcher *w = arg;
    struct timespec until;
    pthread_mutex_lock(&w->lock);
    while (!w->is_over && !ort_is_raised(w->flag)) {
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOOK_EVERY_NS;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        pthread_cond_timedwait(&w->changed, &w->lock, &until);
    }
    const bool gives_up = !w->is_over;
    pthread_mutex_unlock(&w->lock);
    if (gives_up) {
        struct OrtStatus *status = w->api->SessionOptionsSetLoadCancellationFlag(w->options, true);
        if (status)
            w->api->ReleaseStatus(status); /* the load then ends by itself */
    }
    return NULL;
}

void ort_watcher_start(struct ort_watcher *w)
{
    pthread_condattr_t monotonic;
    sigset_t all, before;
    if (!w->flag)
        return;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    w->is_running = pthread_create(&w->thread, NULL, watch, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void ort_watcher_stop(struct ort_watcher *w)
{
    if (!w->flag)
        return;
    pthread_mutex_lock(&w->lock);
    w->is_over = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    if (w->is_running)
        pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
}
