/* onnxruntime/ort_gpus.h - the GPUs that ONNX Runtime can use here.
 * Answers "which are there, and if none, why?". */
#ifndef TRP_ORT_GPUS_H
#define TRP_ORT_GPUS_H

#include <pthread.h>
#include <stdbool.h>

#include "ort_library.h"
#include "troupe/backend.h"

struct ort_gpu {
    char name[96]; /* "NVIDIA H100 80GB HBM3" */
    uint64_t memory_bytes;
};

/* Zero, but for the lock and the condition, until somebody asks. */
struct ort_gpus {
    pthread_mutex_t lock;   /* guards the next two */
    pthread_cond_t settled; /* is_looking was lowered */
    bool is_looking, is_settled;
    uint32_t n; /* from here on constant once it is settled */
    struct ort_gpu all[TROUPE_DEVICES_MAX];
    char why_none[512]; /* where n is 0 */
};

/* Makes it ready to be asked; the counterpart accepts what was never asked.
 *   Owns  : caller's storage.
 *   Thread: startup.
 *   Errors: none. */
void ort_gpus_init(struct ort_gpus *g);
void ort_gpus_deinit(struct ort_gpus *g);

/* Looks, once: whether the library's CUDA provider is beside it, the NVIDIA driver has GPUs, and
 * the provider can be opened, which opens CUDA's libraries for good.  A machine whose models ask
 * for no GPU pays nothing.
 *   Owns  : the names are kept in `g`.
 *   Thread: any; whoever comes second waits.
 *   Blocks: disk, device; seconds.
 *   Errors: none: `n` is 0, and `why_none` says why. */
void ort_gpus_find(struct ort_gpus *g, const struct ort_library *library,
                   const struct troupe_host *host);

#endif
