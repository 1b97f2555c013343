/* tests/conformance/fake_cuda.c - see fake_cuda.h: the library, or (FAKE_DRIVER) the driver. */
#include "fake_cuda.h"

#include <stdlib.h>
#include <string.h>

#ifdef FAKE_DRIVER

static int gpus(void)
{
    const char *set = getenv("TRP_FAKE_GPUS");
    return set ? atoi(set) : 2;
}

int cuInit(unsigned flags);
int cuDeviceGetCount(int *out);
int cuDeviceGet(int *out_device, int ordinal);
int cuDeviceGetName(char *out, int out_size, int device);
int cuDeviceTotalMem_v2(size_t *out_bytes, int device);

int cuInit(unsigned flags)
{
    (void)flags;
    if (gpus() < 0)
        return 999;
    return gpus() == 0 ? 100 : 0;
}

int cuDeviceGetCount(int *out)
{
    *out = gpus();
    return 0;
}

int cuDeviceGet(int *out_device, int ordinal)
{
    *out_device = ordinal;
    return ordinal < gpus() ? 0 : 101;
}

int cuDeviceGetName(char *out, int out_size, int device)
{
    strncpy(out, device == 0 ? "Fake GPU A" : "Fake GPU B", (size_t)out_size);
    return 0;
}

int cuDeviceTotalMem_v2(size_t *out_bytes, int device)
{
    *out_bytes = (size_t)(8 + device) << 30;
    return 0;
}

#else

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "../../plugins/onnxruntime/ort.h"

#define PLACES 64

/* Of options or sessions: on which GPU. */
struct place {
    const void *what;
    uint32_t gpu;
};

static struct {
    pthread_mutex_t lock;
    const struct OrtApi *real;
    struct OrtApi api;
    struct place options[PLACES], sessions[PLACES];
    struct fake_cuda seen;
} fake = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct OrtCUDAProviderOptionsV2 {
    uint32_t gpu;
    char text[sizeof((struct fake_cuda *)0)->options];
};

int cuInit(unsigned flags); /* so that the driver is there */

static void put(struct place *places, const void *what, uint32_t gpu)
{
    for (size_t i = 0; i < PLACES; i++)
        if (!places[i].what) {
            places[i] = (struct place){ what, gpu };
            return;
        }
    abort();
}

/* -1: it is nowhere. */
static int find(const struct place *places, const void *what)
{
    for (int i = 0; i < PLACES; i++)
        if (places[i].what == what)
            return i;
    return -1;
}

static struct OrtStatus *create_options(struct OrtCUDAProviderOptionsV2 **out)
{
    *out = calloc(1, sizeof **out);
    return *out ? NULL : fake.real->CreateStatus(ORT_FAIL, "no memory");
}

static void release_options(struct OrtCUDAProviderOptionsV2 *o)
{
    free(o);
}

static struct OrtStatus *update_options(struct OrtCUDAProviderOptionsV2 *o, const char *const *keys,
                                        const char *const *values, size_t n)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(keys[i], "device_id") == 0)
            o->gpu = (uint32_t)atoi(values[i]);
        if (strcmp(keys[i], "gpu_mem_limit") == 0 && strspn(values[i], "0123456789") == 0)
            return fake.real->CreateStatus(ORT_INVALID_ARGUMENT, "Failed to parse gpu_mem_limit");
        at += (size_t)snprintf(o->text + at, sizeof o->text - at, "%s%s=%s", i ? " " : "", keys[i],
                               values[i]);
    }
    return o->gpu < FAKE_GPUS_MAX ? NULL : fake.real->CreateStatus(ORT_FAIL, "no such device");
}

static struct OrtStatus *append(struct OrtSessionOptions *so,
                                const struct OrtCUDAProviderOptionsV2 *o)
{
    static const char failed[] =
        "OrtSessionOptionsAppendExecutionProvider_Cuda: Failed to load shared library";
    if (getenv("TRP_FAKE_BROKEN"))
        return fake.real->CreateStatus(ORT_FAIL, failed);
    pthread_mutex_lock(&fake.lock);
    put(fake.options, so, o->gpu);
    memcpy(fake.seen.options, o->text, sizeof o->text);
    pthread_mutex_unlock(&fake.lock);
    return NULL;
}

static void release_session_options(struct OrtSessionOptions *so)
{
    pthread_mutex_lock(&fake.lock);
    const int at = find(fake.options, so);
    if (at >= 0)
        fake.options[at].what = NULL;
    pthread_mutex_unlock(&fake.lock);
    fake.real->ReleaseSessionOptions(so);
}

static struct OrtStatus *create_session(const struct OrtEnv *env, const char *path,
                                        const struct OrtSessionOptions *so, struct OrtSession **out)
{
    struct OrtStatus *status = fake.real->CreateSession(env, path, so, out);
    pthread_mutex_lock(&fake.lock);
    const int at = find(fake.options, so);
    if (!status && at >= 0) {
        put(fake.sessions, *out, fake.options[at].gpu);
        fake.seen.sessions[fake.options[at].gpu]++;
    }
    pthread_mutex_unlock(&fake.lock);
    return status;
}

static void release_session(struct OrtSession *session)
{
    pthread_mutex_lock(&fake.lock);
    const int at = find(fake.sessions, session);
    if (at >= 0) {
        fake.seen.sessions[fake.sessions[at].gpu]--;
        fake.sessions[at].what = NULL;
    }
    pthread_mutex_unlock(&fake.lock);
    fake.real->ReleaseSession(session);
}

static struct OrtStatus *run(struct OrtSession *session, const struct OrtRunOptions *options,
                             const char *const *in_names, const struct OrtValue *const *in,
                             size_t in_n, const char *const *out_names, size_t out_n,
                             struct OrtValue **out)
{
    pthread_mutex_lock(&fake.lock);
    const int at = find(fake.sessions, session);
    if (at >= 0)
        fake.seen.runs[fake.sessions[at].gpu]++;
    pthread_mutex_unlock(&fake.lock);
    return fake.real->Run(session, options, in_names, in, in_n, out_names, out_n, out);
}

static const struct OrtApiBase *real_base(void)
{
    const char *set = getenv("TRP_REAL_ONNXRUNTIME");
    const char *path = set ? set : TRP_SOURCE "/.deps/onnxruntime/libonnxruntime.so";
    const struct OrtApiBase *(*get_base)(void) = NULL;
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle)
        *(void **)&get_base = dlsym(handle, "OrtGetApiBase");
    return get_base ? get_base() : NULL;
}

/* Older tables end before ours does. */
static const struct OrtApi *get_api(uint32_t version)
{
    const size_t bytes = version >= ORT_API_WANTED
                             ? sizeof fake.api
                             : offsetof(struct OrtApi, GetTensorElementTypeAndShapeDataReference);
    fake.real = real_base()->GetApi(version);
    if (!fake.real)
        return NULL;
    memcpy(&fake.api, fake.real, bytes);
    fake.api.SessionOptionsAppendExecutionProvider_CUDA_V2 = append;
    fake.api.CreateCUDAProviderOptions = create_options;
    fake.api.UpdateCUDAProviderOptions = update_options;
    fake.api.ReleaseCUDAProviderOptions = release_options;
    fake.api.ReleaseSessionOptions = release_session_options;
    fake.api.CreateSession = create_session;
    fake.api.ReleaseSession = release_session;
    fake.api.Run = run;
    return &fake.api;
}

static const char *get_version(void)
{
    return real_base()->GetVersionString();
}

const struct OrtApiBase *OrtGetApiBase(void);
const struct fake_cuda *fake_cuda_look(void);

const struct OrtApiBase *OrtGetApiBase(void)
{
    static const struct OrtApiBase base = { get_api, get_version };
    (void)cuInit(0);
    return real_base() ? &base : NULL;
}

const struct fake_cuda *fake_cuda_look(void)
{
    return &fake.seen;
}

#endif
