/* tests/conformance/run_cost.c - what a run costs beside bare OrtRun(); a measurement, not a test.
 *
 * The same tiny model (16-32-4, two layers) is run by trp_backend_run() and by the C API alone:
 * wrap the input, Run(), read the output's address, release.  Rounds alternate; the medians of the
 * rounds and of their differences are printed, in ns a run.
 *     TROUPE_ONNXRUNTIME=... build/tests/run_cost */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../plugins/onnxruntime/ort.h"
#include "harness.h"

#define ROUNDS 41
#define RUNS 20000

static struct harness h;
static float row[16];

static void write_model(const char *path)
{
    static float weights[32 * 16 + 32 * 4];
    struct onnx g = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(weights); i++)
        weights[i] = (float)(i % 7) / 7 - 0.4f;
    onnx_simple(&g, "MatMul", "x w0", "a");
    onnx_simple(&g, "Relu", "a", "b");
    onnx_simple(&g, "MatMul", "b w1", "y");
    onnx_initializer(&g, "w0", ONNX_FLOAT, 2, DIMS(16, 32), weights, 16 * 32 * 4);
    onnx_initializer(&g, "w1", ONNX_FLOAT, 2, DIMS(32, 4), weights + 512, 32 * 4 * 4);
    onnx_input(&g, "x", ONNX_FLOAT, 2, DIMS(-1, 16));
    onnx_output(&g, "y", ONNX_FLOAT, 2, DIMS(-1, 4));
    onnx_save(&g, path);
}

/* CPU time of this thread: a busy neighbour takes the core, but hardly changes this. */
static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return TRP_S(t.tv_sec) + t.tv_nsec;
}

/* --- bare ------------------------------------------------------------------------------------- */

struct bare {
    const struct OrtApi *api;
    struct OrtSession *session;
    struct OrtMemoryInfo *cpu;
};

static void check(const struct OrtApi *api, struct OrtStatus *status)
{
    if (!status)
        return;
    fprintf(stderr, "%s\n", api->GetErrorMessage(status));
    exit(1);
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

static void open_bare(struct bare *b, const char *path)
{
    struct OrtThreadingOptions *threads;
    struct OrtSessionOptions *options;
    struct OrtEnv *env;
    void *library = dlopen(getenv("TROUPE_ONNXRUNTIME"), RTLD_NOW | RTLD_LOCAL);
    const struct OrtApiBase *(*get_base)(void);
    *(void **)&get_base = dlsym(library, "OrtGetApiBase");
    const struct OrtApi *api = b->api = get_base()->GetApi(ORT_API_NEEDED);
    check(api, api->CreateThreadingOptions(&threads));
    check(api, api->CreateEnvWithCustomLoggerAndGlobalThreadPools(
                   log_nothing, NULL, ORT_SEVERITY_FATAL, "bare", threads, &env));
    check(api, api->CreateSessionOptions(&options));
    check(api, api->SetIntraOpNumThreads(options, 1));
    check(api, api->DisableCpuMemArena(options));
    check(api, api->CreateSession(env, path, options, &b->session));
    check(api, api->CreateCpuMemoryInfo(ORT_ALLOCATOR_DEVICE, ORT_MEM_DEFAULT, &b->cpu));
}

static double run_bare(const struct bare *b)
{
    static const char *const in_names[] = { "x" }, *const out_names[] = { "y" };
    const int64_t shape[2] = { 1, 16 };
    const struct OrtApi *api = b->api;
    const int64_t begun = now_ns();
    for (int i = 0; i < RUNS; i++) {
        struct OrtValue *in, *out = NULL;
        void *data;
        check(api, api->CreateTensorWithDataAsOrtValue(b->cpu, row, sizeof row, shape, 2,
                                                       ORT_ELEMENT_FLOAT, &in));
        check(api, api->Run(b->session, NULL, in_names, (const struct OrtValue *const *)&in, 1,
                            out_names, 1, &out));
        check(api, api->GetTensorMutableData(out, &data));
        api->ReleaseValue(out);
        api->ReleaseValue(in);
    }
    return (double)(now_ns() - begun) / RUNS;
}

/* --- ours ------------------------------------------------------------------------------------- */

static double run_ours(struct subject *s)
{
    const int64_t begun = now_ns();
    for (uint64_t i = 0; i < RUNS; i++) {
        s->run.id = i;
        if (trp_failed(trp_backend_run(s->model, &s->run, s->in, s->out, &h.err)))
            exit(1);
        s->out[0].release(s->out[0].release_user, s->out[0].data);
        s->out[0].data = NULL;
        s->out[0].release = NULL;
    }
    return (double)(now_ns() - begun) / RUNS;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, by_value);
    return values[ROUNDS / 2];
}

int main(void)
{
    static double bare[ROUNDS], ours[ROUNDS], added[ROUNDS];
    struct subject *s;
    struct bare b;
    harness_set_up(&h, "onnxruntime");
    write_model(harness_path(&h, "cost.onnx"));
    s = subject_open(&h, "cost.onnx");
    subject_send(s, 0, TROUPE_FP32, row, sizeof row, 2, DIMS(1, 16));
    open_bare(&b, harness_path(&h, "cost.onnx"));
    for (int i = 0; i < ROUNDS; i++) {
        bare[i] = run_bare(&b);
        ours[i] = run_ours(s);
        added[i] = ours[i] - bare[i];
    }
    const double bare_ns = median(bare), ours_ns = median(ours), added_ns = median(added);
    printf("bare OrtRun %.0f ns, trp_backend_run %.0f ns, added %.0f ns (medians of %d rounds)\n",
           bare_ns, ours_ns, added_ns, ROUNDS);
    b.api->ReleaseSession(b.session);
    subject_close(s);
    harness_tear_down(&h);
    return 0;
}
