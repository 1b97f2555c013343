/* onnxruntime/ort_watcher.h - passes the server's wish to stop on to ONNX Runtime.
 * Answers "who raises its flag while it opens or compiles a model?". */
#ifndef TRP_ORT_WATCHER_H
#define TRP_ORT_WATCHER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "ort.h"

/* Set the first three; the rest is its own. */
struct ort_watcher {
    const struct OrtApi *api;
    struct OrtSessionOptions *options;
    const volatile int32_t *flag; /* NULL: nothing to watch */
    pthread_t thread;
    pthread_mutex_t lock; /* guards is_over */
    pthread_cond_t changed;
    bool is_over, is_running;
};

/* Whether somebody has lost interest.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none. */
static inline bool ort_is_raised(const volatile int32_t *flag)
{
    return flag && __atomic_load_n(flag, __ATOMIC_ACQUIRE) != 0;
}

/* Watches until it is stopped.
 *   Owns  : `w` is the caller's, its options and flag are borrowed until it is stopped.
 *   Thread: loader.
 *   Errors: none. */
void ort_watcher_start(struct ort_watcher *w);
void ort_watcher_stop(struct ort_watcher *w);

#endif
