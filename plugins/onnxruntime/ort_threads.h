/* onnxruntime/ort_threads.h - around whatever may start threads that are not ours.
 * Answers "who gets the signals?": the server does. */
#ifndef TRP_ORT_THREADS_H
#define TRP_ORT_THREADS_H

#include <pthread.h>
#include <signal.h>

/* Threads that are started between the two have all signals blocked, but for SIGBUS: a mapped file
 * that was cut short, which the host may mend.
 *   Owns  : the caller keeps `before`.
 *   Thread: any.
 *   Errors: none. */
static inline void ort_threads_begin(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

static inline void ort_threads_end(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

#endif
