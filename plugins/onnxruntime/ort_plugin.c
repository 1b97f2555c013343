/* onnxruntime/ort_plugin.c - the plugin's table, and what there is once per process: the library,
 * its environment, its log and its one pool of threads.
 *
 *  1. One environment.  ONNX Runtime keeps it for the process; options of a second one would be
 *     ignored.
 *  2. One pool of threads, that never spins: a pool that does burns a core and costs other models
 *     their latency.  Only sessions that ask for shared threads use it.
 *  3. Nothing is sent anywhere, and nothing is written to the standard streams. */
#include "ort_plugin.h"
#include "ort_threads.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* --- log -------------------------------------------------------------------------------------- */

static int32_t level_of(int32_t severity)
{
    switch (severity) {
    case ORT_SEVERITY_FATAL:
    case ORT_SEVERITY_ERROR:
        return TROUPE_LOG_ERROR;
    case ORT_SEVERITY_WARNING:
        return TROUPE_LOG_WARNING;
    default:
        return TROUPE_LOG_DEBUG; /* what ONNX Runtime finds informative is for its developers */
    }
}

static void take_line(void *param, int32_t severity, const char *category, const char *logid,
                      const char *code_location, const char *message)
{
    const struct ort_plugin *p = param;
    char text[1024];
    (void)category;
    (void)logid;
    (void)code_location;
    ort_words_clean(message ? message : "", text, sizeof text);
    p->host->log(p->host->user, level_of(severity), "onnxruntime", text);
}

/* --- environment ------------------------------------------------------------------------------ */

/* Processors that this process may use. */
static int processors(void)
{
    cpu_set_t set;
    const int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > 0 ? n : 1;
}

static const char *find_option(const struct troupe_option *options, uint32_t n, const char *key)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(options[i].key, key) == 0)
            return options[i].value;
    return NULL;
}

static int32_t read_threads(const char *text, int *out, struct troupe_error *error)
{
    char *end;
    const long n = text && *text ? strtol(text, &end, 10) : 0;
    if (text && *text && (*end || n < 0 || n > 1024))
        return ort_words_fail(error, TROUPE_INVALID_ARGUMENT,
                              "threads: '%s' is no number from 0 to 1024", text);
    *out = n ? (int)n : processors();
    return TROUPE_OK;
}

static int32_t set_threads(const struct ort_plugin *p, struct OrtThreadingOptions *threads, int n,
                           struct troupe_error *error)
{
    ORT_TRY(p->api, p->api->SetGlobalIntraOpNumThreads(threads, n), error);
    ORT_TRY(p->api, p->api->SetGlobalInterOpNumThreads(threads, 1), error);
    ORT_TRY(p->api, p->api->SetGlobalSpinControl(threads, 0), error);
    return TROUPE_OK;
}

static int32_t create_env(struct ort_plugin *p, int threads_n, struct troupe_error *error)
{
    struct OrtThreadingOptions *threads = NULL;
    sigset_t before;
    ORT_TRY(p->api, p->api->CreateThreadingOptions(&threads), error);
    int32_t code = set_threads(p, threads, threads_n, error);
    if (code == TROUPE_OK) {
        ort_threads_begin(&before);
        struct OrtStatus *status = p->api->CreateEnvWithCustomLoggerAndGlobalThreadPools(
            take_line, p, ORT_SEVERITY_WARNING, "troupe", threads, &p->env);
        ort_threads_end(&before);
        if (status)
            code = ort_words_of_status(p->api, status, ORT_PHASE_LOAD, error);
    }
    p->api->ReleaseThreadingOptions(threads);
    return code;
}

static int32_t register_memory(struct ort_plugin *p, struct troupe_error *error)
{
    const bool knows_account = p->host->struct_size > offsetof(struct troupe_host, account);
    ORT_TRY(p->api, p->api->CreateCpuMemoryInfo(ORT_ALLOCATOR_DEVICE, ORT_MEM_DEFAULT, &p->cpu),
            error);
    ort_memory_init(&p->memory, p->cpu, knows_account ? p->host->account : NULL);
    ORT_TRY(p->api, p->api->RegisterAllocator(p->env, &p->memory.face), error);
    p->is_registered = true;
    return TROUPE_OK;
}

/* The environment outlives this plugin when somebody else in the process uses it. */
static void unregister_memory(struct ort_plugin *p)
{
    struct OrtStatus *status =
        p->is_registered ? p->api->UnregisterAllocator(p->env, p->cpu) : NULL;
    if (status)
        p->api->ReleaseStatus(status); /* it is not there: nothing to do */
}

static void stop(void *self)
{
    struct ort_plugin *p = self;
    if (!p)
        return;
    ort_value_free_spare(p);
    unregister_memory(p);
    if (p->env)
        p->api->ReleaseEnv(p->env);
    if (p->cpu)
        p->api->ReleaseMemoryInfo(p->cpu);
    ort_gpus_deinit(&p->gpus);
    pthread_mutex_destroy(&p->blobs.lock);
    pthread_cond_destroy(&p->trimmed);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static int32_t start_env(struct ort_plugin *p, const struct troupe_option *options,
                         uint32_t options_n, struct troupe_error *error)
{
    int threads_n = 1;
    int32_t code = read_threads(find_option(options, options_n, "threads"), &threads_n, error);
    if (code != TROUPE_OK)
        return code;
    const char *api = find_option(options, options_n, "api"); /* for tests of an older one */
    code = ort_library_open(find_option(options, options_n, "library"),
                            api && strcmp(api, "23") == 0 ? ORT_API_NEEDED : ORT_API_WANTED,
                            &p->library, error);
    if (code != TROUPE_OK)
        return code;
    p->api = p->library.api;
    code = create_env(p, threads_n, error);
    if (code != TROUPE_OK)
        return code;
    ORT_TRY(p->api, p->api->GetAllocatorWithDefaultOptions(&p->allocator), error);
    return register_memory(p, error);
}

static int32_t start(const struct troupe_host *host, const struct troupe_option *options,
                     uint32_t options_n, void **out_self, struct troupe_error *error)
{
    char text[768];
    *out_self = NULL;
    if (host->struct_size < offsetof(struct troupe_host, account))
        return ort_words_fail(error, TROUPE_UNIMPLEMENTED, "the server's host table is too short");
    struct ort_plugin *p = calloc(1, sizeof *p);
    if (!p)
        return ort_words_fail(error, TROUPE_OUT_OF_MEMORY, "ONNX Runtime plugin");
    p->host = host;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->trimmed, NULL);
    pthread_mutex_init(&p->blobs.lock, NULL);
    ort_gpus_init(&p->gpus);
    const int32_t code = start_env(p, options, options_n, error);
    if (code != TROUPE_OK) {
        stop(p);
        return code;
    }
    snprintf(text, sizeof text, "ONNX Runtime %s from %s", p->library.version, p->library.path);
    host->log(host->user, TROUPE_LOG_INFO, "onnxruntime", text);
    *out_self = p;
    return TROUPE_OK;
}

static const char *fingerprint(void *self)
{
    const struct ort_plugin *p = self;
    return p->library.version;
}

static void devices(void *self, void (*tell)(void *user, const struct troupe_device *device),
                    void *user)
{
    struct ort_plugin *p = self;
    ort_gpus_find(&p->gpus, &p->library, p->host);
    for (uint32_t i = 0; i < p->gpus.n; i++) {
        const struct troupe_device d = { .struct_size = sizeof d,
                                         .id = { .kind = TROUPE_DEVICE_GPU, .ordinal = i },
                                         .name = p->gpus.all[i].name,
                                         .memory_bytes = p->gpus.all[i].memory_bytes };
        tell(user, &d);
    }
}

static const char *why_no_device(void *self)
{
    struct ort_plugin *p = self;
    ort_gpus_find(&p->gpus, &p->library, p->host);
    return p->gpus.n == 0 ? p->gpus.why_none : NULL;
}

static void trim(void *self)
{
    if (ort_model_trim(self))
        ort_trim_heap();
}

const struct troupe_backend *troupe_backend_query(uint32_t host_abi);

__attribute__((visibility("default"))) const struct troupe_backend *
troupe_backend_query(uint32_t host_abi)
{
    static const struct troupe_backend onnxruntime = {
        .abi = TROUPE_BACKEND_ABI,
        .struct_size = sizeof onnxruntime,
        .name = "onnxruntime",
        .version = TRP_VERSION,
        .start = start,
        .stop = stop,
        .probe = ort_model_probe,
        .open = ort_model_open,
        .run = ort_run_model,
        .close = ort_model_close,
        .cancel = ort_run_cancel,
        .prepare = ort_prepare_model,
        .hibernate = ort_model_hibernate,
        .wake = ort_model_wake,
        .trim = trim,
        .memory = ort_model_memory,
        .fingerprint = fingerprint,
        .devices = devices,
        .why_no_device = why_no_device,
    };
    return host_abi == TROUPE_BACKEND_ABI ? &onnxruntime : NULL;
}
