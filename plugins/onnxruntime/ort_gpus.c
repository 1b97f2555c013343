/* onnxruntime/ort_gpus.c - see ort_gpus.h.
 *
 * Three things must be there, and each is missing in its own way: a build of ONNX Runtime with its
 * CUDA provider (a library of its own, of the same version, beside it), the driver (libcuda.so.1,
 * which comes with the kernel's), and CUDA's libraries, which the provider is linked with.  ONNX
 * Runtime says of the last only "Failed to load shared library", so the linker is asked again for
 * its words.
 *
 * The driver is asked directly, through a handful of functions that have been the same since CUDA
 * 3: so nothing of CUDA is needed to build this, and a machine without it is told from one that
 * is set up wrongly.  Numbers are the driver's, after CUDA_VISIBLE_DEVICES. */
#include "ort_gpus.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ort_threads.h"
#include "ort_words.h"

#define PROVIDER "libonnxruntime_providers_cuda.so"
#define DRIVER "libcuda.so.1"
#define CUDA_NO_DEVICE 100 /* CUDA_ERROR_NO_DEVICE */

/* What is used of the driver's API. */
struct driver {
    int (*init)(unsigned flags);
    int (*count)(int *out);
    int (*get)(int *out_device, int ordinal);
    int (*name)(char *out, int out_size, int device);
    int (*memory)(size_t *out_bytes, int device);
};

/* --- the driver ------------------------------------------------------------------------------- */

static bool find_functions(void *handle, struct driver *d)
{
    *(void **)&d->init = dlsym(handle, "cuInit"); /* POSIX blesses these casts */
    *(void **)&d->count = dlsym(handle, "cuDeviceGetCount");
    *(void **)&d->get = dlsym(handle, "cuDeviceGet");
    *(void **)&d->name = dlsym(handle, "cuDeviceGetName");
    *(void **)&d->memory = dlsym(handle, "cuDeviceTotalMem_v2");
    return d->init && d->count && d->get && d->name && d->memory;
}

static void describe(const struct driver *d, int ordinal, struct ort_gpu *out)
{
    int device = 0;
    size_t bytes = 0;
    if (d->get(&device, ordinal) != 0)
        return; /* it is there, and says no more of itself */
    if (d->name(out->name, sizeof out->name, device) != 0)
        out->name[0] = '\0';
    out->name[sizeof out->name - 1] = '\0';
    out->memory_bytes = d->memory(&bytes, device) == 0 ? bytes : 0;
}

static uint32_t ask_driver(const struct driver *d, struct ort_gpus *g)
{
    int n = 0;
    int code = d->init(0);
    if (code == 0)
        code = d->count(&n);
    if (code != 0 && code != CUDA_NO_DEVICE) {
        snprintf(g->why_none, sizeof g->why_none, "the NVIDIA driver answers with error %d", code);
        return 0;
    }
    if (code != 0 || n <= 0) {
        snprintf(g->why_none, sizeof g->why_none, "the NVIDIA driver shows no GPU");
        return 0;
    }
    n = n < (int)TROUPE_DEVICES_MAX ? n : (int)TROUPE_DEVICES_MAX;
    for (int i = 0; i < n; i++)
        describe(d, i, &g->all[i]);
    return (uint32_t)n;
}

/* Opened for good: its threads need its code. */
static uint32_t count_gpus(struct ort_gpus *g)
{
    struct driver d;
    void *handle = dlopen(DRIVER, RTLD_NOW | RTLD_LOCAL);
    const char *why = handle ? NULL : dlerror();
    if (!handle) {
        snprintf(g->why_none, sizeof g->why_none, "there is no NVIDIA driver: %s",
                 why ? why : DRIVER);
        return 0;
    }
    if (find_functions(handle, &d))
        return ask_driver(&d, g);
    snprintf(g->why_none, sizeof g->why_none, "%s is no NVIDIA driver", DRIVER);
    return 0;
}

/* --- the provider ----------------------------------------------------------------------------- */

static bool is_provider_there(const struct ort_library *library, struct ort_gpus *g)
{
    char path[sizeof library->folder + sizeof PROVIDER];
    snprintf(path, sizeof path, "%s%s", library->folder, PROVIDER);
    if (access(path, R_OK) == 0)
        return true;
    snprintf(g->why_none, sizeof g->why_none,
             "%s is not beside ONNX Runtime %s in %s: it is in builds for GPUs", PROVIDER,
             library->version, library->folder);
    return false;
}

/* Why the linker does not open it; NULL: it does. */
static const char *linker_words(const struct ort_library *library)
{
    char path[sizeof library->folder + sizeof PROVIDER];
    snprintf(path, sizeof path, "%s%s", library->folder, PROVIDER);
    return dlopen(path, RTLD_LAZY | RTLD_LOCAL) ? NULL : dlerror();
}

/* Options for a session that nobody makes: they are refused where the provider cannot be opened. */
static struct OrtStatus *try_provider(const struct OrtApi *api)
{
    struct OrtSessionOptions *so = NULL;
    struct OrtCUDAProviderOptionsV2 *cuda = NULL;
    struct OrtStatus *status = api->CreateSessionOptions(&so);
    if (!status)
        status = api->CreateCUDAProviderOptions(&cuda);
    if (!status)
        status = api->SessionOptionsAppendExecutionProvider_CUDA_V2(so, cuda);
    if (cuda)
        api->ReleaseCUDAProviderOptions(cuda);
    if (so)
        api->ReleaseSessionOptions(so);
    return status;
}

static bool can_use_provider(const struct ort_library *library, struct ort_gpus *g)
{
    struct OrtStatus *status = try_provider(library->api);
    if (!status)
        return true;
    struct troupe_error words = { 0 };
    (void)ort_words_of_status(library->api, status, ORT_PHASE_LOAD, &words);
    const char *why = linker_words(library);
    snprintf(g->why_none, sizeof g->why_none, "%s cannot be used: %s", PROVIDER,
             why ? why : words.text);
    return false;
}

/* --- once ------------------------------------------------------------------------------------- */

static void log_found(const struct ort_gpus *g, const struct ort_library *library,
                      const struct troupe_host *host)
{
    char text[256];
    for (uint32_t i = 0; i < g->n; i++) {
        snprintf(text, sizeof text, "gpu%u is %s, %llu MiB, by CUDA of ONNX Runtime %s", i,
                 g->all[i].name[0] ? g->all[i].name : "a GPU",
                 (unsigned long long)(g->all[i].memory_bytes >> 20), library->version);
        host->log(host->user, TROUPE_LOG_INFO, "onnxruntime", text);
    }
}

/* CUDA starts threads, which leave signals to the server. */
static void look(struct ort_gpus *g, const struct ort_library *library,
                 const struct troupe_host *host)
{
    sigset_t before;
    ort_threads_begin(&before);
    uint32_t n = is_provider_there(library, g) ? count_gpus(g) : 0;
    if (n > 0 && !can_use_provider(library, g))
        n = 0;
    ort_threads_end(&before);
    g->n = n;
    log_found(g, library, host);
}

void ort_gpus_find(struct ort_gpus *g, const struct ort_library *library,
                   const struct troupe_host *host)
{
    pthread_mutex_lock(&g->lock);
    while (g->is_looking)
        pthread_cond_wait(&g->settled, &g->lock);
    const bool is_first = !g->is_settled;
    g->is_looking = is_first;
    pthread_mutex_unlock(&g->lock);
    if (!is_first)
        return;
    look(g, library, host);
    pthread_mutex_lock(&g->lock);
    g->is_looking = false;
    g->is_settled = true;
    pthread_cond_broadcast(&g->settled);
    pthread_mutex_unlock(&g->lock);
}

void ort_gpus_init(struct ort_gpus *g)
{
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->settled, NULL);
}

void ort_gpus_deinit(struct ort_gpus *g)
{
    pthread_cond_destroy(&g->settled);
    pthread_mutex_destroy(&g->lock);
}
