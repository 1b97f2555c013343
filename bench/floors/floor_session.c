/* bench/floors/floor_session.c - see floor_session.h. */
#include "floor_session.h"

#include <dlfcn.h>
#include <stdlib.h>

#include "bench_common.h"
#include "onnxruntime/ort.h"

#define IO_MAX 16

struct api_base { /* OrtApiBase */
    const struct OrtApi *(*GetApi)(uint32_t version);
    const char *(*GetVersionString)(void);
};

struct floor_session {
    const struct OrtApi *api;
    struct OrtEnv *env; /* lives as long as the process */
    struct OrtSession *session;
    struct floor_session *next; /* takes what this one gives */
    int64_t rows, free_size;
    const char *gpu;
    size_t inputs_n, outputs_n;
    char *input_names[IO_MAX], *output_names[IO_MAX];
    struct OrtValue *inputs[IO_MAX];
};

static void check(const struct OrtApi *api, struct OrtStatus *status, const char *what)
{
    if (status)
        bench_die("%s: %s", what, api->GetErrorMessage(status));
}

static const struct OrtApi *open_library(void)
{
    const char *path = getenv("TROUPE_ONNXRUNTIME");
    setenv("ORT_DISABLE_TELEMETRY", "1", 1);
    void *library = dlopen(path ? path : "libonnxruntime.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        bench_die("%s", dlerror());
    struct api_base *(*get_base)(void);
    *(void **)&get_base = dlsym(library, "OrtGetApiBase");
    const struct OrtApi *api = get_base ? get_base()->GetApi(ORT_API_NEEDED) : NULL;
    if (!api)
        bench_die("%s: no ONNX Runtime of API %u", path, ORT_API_NEEDED);
    return api;
}

static void log_nothing(void *param, int32_t severity, const char *category, const char *logid,
                        const char *code_location, const char *message)
{
    (void)param;
    (void)severity;
    (void)category;
    (void)logid;
    (void)code_location;
    (void)message;
}

static size_t bytes_of(int32_t element)
{
    switch (element) {
    case ORT_ELEMENT_FLOAT:
    case ORT_ELEMENT_INT32:
    case ORT_ELEMENT_UINT32:
        return 4;
    case ORT_ELEMENT_INT64:
    case ORT_ELEMENT_UINT64:
    case ORT_ELEMENT_DOUBLE:
        return 8;
    case ORT_ELEMENT_INT8:
    case ORT_ELEMENT_UINT8:
    case ORT_ELEMENT_BOOL:
        return 1;
    default:
        bench_die("an input of element type %d", element);
    }
}

static struct OrtValue *make_input(struct floor_session *s, struct OrtMemoryInfo *memory, size_t i)
{
    const struct OrtApi *api = s->api;
    const struct OrtTensorTypeAndShapeInfo *info;
    struct OrtTypeInfo *type;
    struct OrtValue *value;
    int64_t shape[16];
    int32_t element;
    size_t rank, elements = 1;
    check(api, api->SessionGetInputTypeInfo(s->session, i, &type), "input type");
    check(api, api->CastTypeInfoToTensorInfo(type, &info), "input type");
    check(api, api->GetTensorElementType(info, &element), "input type");
    check(api, api->GetDimensionsCount(info, &rank), "input rank");
    if (rank > 16)
        bench_die("an input of rank %zu", rank);
    check(api, api->GetDimensions(info, shape, rank), "input shape");
    for (size_t d = 0; d < rank; d++) {
        if (shape[d] < 0)
            shape[d] = d == 0 ? s->rows : s->free_size;
        elements *= (size_t)shape[d];
    }
    api->ReleaseTypeInfo(type);
    const size_t bytes = elements * bytes_of(element);
    check(api,
          api->CreateTensorWithDataAsOrtValue(memory, bench_alloc(bytes), bytes, shape, rank,
                                              element, &value),
          "input");
    return value;
}

static void open_env(struct floor_session *s)
{
    const struct OrtApi *api = s->api;
    struct OrtThreadingOptions *threads;
    check(api, api->CreateThreadingOptions(&threads), "threads");
    check(api, api->SetGlobalIntraOpNumThreads(threads, 1), "threads");
    check(api, api->SetGlobalInterOpNumThreads(threads, 1), "threads");
    check(api, api->SetGlobalSpinControl(threads, 0), "threads");
    check(api,
          api->CreateEnvWithCustomLoggerAndGlobalThreadPools(log_nothing, NULL, ORT_SEVERITY_FATAL,
                                                             "floor", threads, &s->env),
          "environment");
}

/* As the plugin does it by itself; see plugins/onnxruntime/ort_cuda.c. */
static void use_gpu(const struct OrtApi *api, const char *gpu, struct OrtSessionOptions *options)
{
    static const char *const keys[] = { "device_id", "arena_extend_strategy",
                                        "cudnn_conv_algo_search" };
    const char *const values[] = { gpu, "kSameAsRequested", "HEURISTIC" };
    struct OrtCUDAProviderOptionsV2 *cuda;
    check(api, api->CreateCUDAProviderOptions(&cuda), "CUDA");
    check(api, api->UpdateCUDAProviderOptions(cuda, keys, values, 3), "CUDA");
    check(api, api->SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda), "CUDA");
    api->ReleaseCUDAProviderOptions(cuda);
}

static void open_session(struct floor_session *s, const char *model)
{
    const struct OrtApi *api = s->api;
    struct OrtSessionOptions *options;
    check(api, api->CreateSessionOptions(&options), "options");
    check(api, api->SetIntraOpNumThreads(options, 1), "options");
    check(api, api->DisablePerSessionThreads(options), "options");
    check(api, api->SetSessionGraphOptimizationLevel(options, ORT_LEVEL_ALL), "options");
    if (s->gpu && *s->gpu)
        use_gpu(api, s->gpu, options);
    check(api, api->CreateSession(s->env, model, options, &s->session), model);
}

static void read_names(struct floor_session *s, const char *model)
{
    const struct OrtApi *api = s->api;
    struct OrtAllocator *allocator;
    check(api, api->GetAllocatorWithDefaultOptions(&allocator), "allocator");
    check(api, api->SessionGetInputCount(s->session, &s->inputs_n), "inputs");
    check(api, api->SessionGetOutputCount(s->session, &s->outputs_n), "outputs");
    if (s->inputs_n > IO_MAX || s->outputs_n > IO_MAX)
        bench_die("%s: more than %d inputs or outputs", model, IO_MAX);
    for (size_t i = 0; i < s->inputs_n; i++)
        check(api, api->SessionGetInputName(s->session, i, allocator, &s->input_names[i]), "name");
    for (size_t i = 0; i < s->outputs_n; i++)
        check(api, api->SessionGetOutputName(s->session, i, allocator, &s->output_names[i]),
              "name");
}

struct floor_session *floor_session_open(const char *model, int64_t free_size)
{
    const struct floor_session_opts opts = { .free_size = free_size };
    return floor_session_open_as(model, &opts);
}

struct floor_session *floor_session_open_as(const char *model,
                                            const struct floor_session_opts *opts)
{
    struct floor_session *s = bench_alloc(sizeof *s);
    const struct OrtApi *api = s->api = open_library();
    struct OrtMemoryInfo *memory;
    s->rows = opts->rows ? opts->rows : 1;
    s->free_size = opts->free_size ? opts->free_size : 1;
    s->gpu = opts->gpu;
    open_env(s);
    open_session(s, model);
    read_names(s, model);
    check(api, api->CreateCpuMemoryInfo(ORT_ALLOCATOR_DEVICE, ORT_MEM_DEFAULT, &memory), "memory");
    for (size_t i = 0; i < s->inputs_n; i++)
        s->inputs[i] = make_input(s, memory, i);
    return s;
}

void floor_session_append(struct floor_session *s, const char *model)
{
    struct floor_session *next = bench_alloc(sizeof *next), *last = s;
    while (last->next)
        last = last->next;
    next->api = s->api;
    next->env = s->env;
    next->gpu = s->gpu;
    open_session(next, model);
    read_names(next, model);
    if (next->inputs_n != last->outputs_n)
        bench_die("%s takes %zu inputs, the one before gives %zu", model, next->inputs_n,
                  last->outputs_n);
    last->next = next;
}

/* outputs: room for those of this one. */
static void run_one(const struct floor_session *s, struct OrtValue *const *inputs,
                    struct OrtValue **outputs)
{
    for (size_t i = 0; i < s->outputs_n; i++)
        outputs[i] = NULL;
    check(s->api,
          s->api->Run(s->session, NULL, (const char *const *)s->input_names,
                      (const struct OrtValue *const *)inputs, s->inputs_n,
                      (const char *const *)s->output_names, s->outputs_n, outputs),
          "run");
}

static void release(const struct floor_session *s, struct OrtValue **outputs)
{
    for (size_t i = 0; i < s->outputs_n; i++)
        s->api->ReleaseValue(outputs[i]);
}

void floor_session_run(struct floor_session *s)
{
    struct OrtValue *room[2][IO_MAX], **given = room[0], **made = room[1];
    run_one(s, s->inputs, given);
    for (; s->next; s = s->next) {
        struct OrtValue **const old = given;
        run_one(s->next, given, made);
        release(s, given);
        given = made;
        made = old;
    }
    release(s, given);
}
