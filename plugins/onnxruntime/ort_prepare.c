/* onnxruntime/ort_prepare.c - optimises a model once, so that it can be mapped for ever.
 *
 * ONNX Runtime's compile API runs all of its optimisers and then asks, for each weight that is
 * left, where it should lie.  We answer with a file that the server has stored under a name made of
 * the bytes: equal weights of whatever models are one file.  What is left is a skeleton: the graph
 * and what is too small to be worth a mapping.
 *
 *  1. The skeleton fits this kind of processor, this ONNX Runtime and these options only; it is the
 *     server's to keep them apart.
 *  2. Strings have no bytes that could be mapped: they stay in the skeleton.
 *  3. A server that ends does not wait for a compilation: ONNX Runtime is told, and each weight
 *     asks.
 *  4. Nothing is promised about the skeleton here.  The server opens it, and compares its answers,
 *     before anybody is served by it. */
#include "ort_plugin.h"
#include "ort_watcher.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INLINE_BYTES 1024u /* a mapping costs more than it saves below */

struct maker {
    const struct OrtApi *api;
    const struct troupe_blob_sink *sink;
    const volatile int32_t *cancel;
    struct troupe_error *error; /* the words of the sink's own failure */
    int32_t code;               /* of that; TROUPE_OK: none */
    unsigned char *skeleton;
    size_t bytes, capacity;
};

/* A failure of ours, in the only form that ONNX Runtime passes on. */
static struct OrtStatus *fail(struct maker *m, int32_t code, const char *words)
{
    m->code = ort_words_fail(m->error, code, "%s", words);
    return m->api->CreateStatus(ORT_FAIL, words);
}

static struct OrtStatus *store(struct maker *m, const struct OrtValue *value, size_t bytes,
                               struct OrtExternalInitializerInfo **out)
{
    char name[TROUPE_BLOB_NAME_MAX];
    void *data = NULL;
    /* The C API reads through a pointer to a value that may be written; it is not. */
    struct OrtStatus *status =
        m->api->GetTensorMutableData((struct OrtValue *)(uintptr_t)value, &data);
    if (status)
        return status;
    m->code = m->sink->blob(m->sink->user, data, bytes, name);
    if (m->code != TROUPE_OK)
        return m->api->CreateStatus(ORT_FAIL, "the weights could not be stored");
    return m->api->CreateExternalInitializerInfo(name, 0, bytes, out);
}

/* OrtGetInitializerLocationFunc; NULL in *out: stays in the skeleton. */
static struct OrtStatus *place(void *state, const char *name, const struct OrtValue *value,
                               const struct OrtExternalInitializerInfo *external,
                               struct OrtExternalInitializerInfo **out)
{
    struct maker *m = state;
    struct OrtTensorTypeAndShapeInfo *info = NULL;
    int32_t element = ORT_ELEMENT_UNDEFINED;
    size_t bytes = 0;
    (void)name;
    (void)external; /* wherever it lies now, it is content like any other */
    *out = NULL;
    if (ort_is_raised(m->cancel))
        return fail(m, TROUPE_CANCELLED, "cancelled");
    if (!m->sink->blob)
        return NULL; /* the weights are to stay inside */
    struct OrtStatus *status = m->api->GetTensorTypeAndShape(value, &info);
    if (status)
        return status;
    status = m->api->GetTensorElementType(info, &element);
    m->api->ReleaseTensorTypeAndShapeInfo(info);
    if (status || element == ORT_ELEMENT_STRING)
        return status;
    status = m->api->GetTensorSizeInBytes(value, &bytes);
    if (status || bytes < INLINE_BYTES)
        return status;
    return store(m, value, bytes, out);
}

/* OrtWriteBufferFunc: pieces of the skeleton, in order. */
static struct OrtStatus *collect(void *state, const void *buffer, size_t n)
{
    struct maker *m = state;
    if (n > m->capacity - m->bytes) {
        const size_t wanted = m->bytes + n < SIZE_MAX / 2 ? 2 * (m->bytes + n) : SIZE_MAX;
        unsigned char *larger = realloc(m->skeleton, wanted);
        if (!larger)
            return fail(m, TROUPE_OUT_OF_MEMORY, "no memory for the skeleton");
        m->skeleton = larger;
        m->capacity = wanted;
    }
    memcpy(m->skeleton + m->bytes, buffer, n);
    m->bytes += n;
    return NULL;
}

static int32_t level_of(const struct troupe_model_desc *desc)
{
    for (uint32_t i = 0; i < desc->options_n; i++)
        if (strcmp(desc->options[i].key, "graph.level") == 0)
            return ort_options_level(strtol(desc->options[i].value, NULL, 10));
    return ORT_LEVEL_ALL;
}

static int32_t set_up(struct maker *m, const struct OrtCompileApi *compile,
                      const struct troupe_model_desc *desc,
                      struct OrtModelCompilationOptions *options)
{
    ORT_TRY(m->api, compile->ModelCompilationOptions_SetInputModelPath(options, desc->path),
            m->error);
    ORT_TRY(m->api, compile->ModelCompilationOptions_SetOutputModelWriteFunc(options, collect, m),
            m->error);
    ORT_TRY(m->api,
            compile->ModelCompilationOptions_SetGraphOptimizationLevel(options, level_of(desc)),
            m->error);
    ORT_TRY(m->api,
            compile->ModelCompilationOptions_SetOutputModelGetInitializerLocationFunc(options,
                                                                                      place, m),
            m->error);
    return TROUPE_OK;
}

static int32_t compile_model(struct ort_model *model, struct maker *m,
                             const struct troupe_model_desc *desc,
                             struct OrtSessionOptions *session)
{
    const struct OrtCompileApi *compile = m->api->GetCompileApi();
    struct OrtModelCompilationOptions *options = NULL;
    struct ort_payer payer = { .account = desc->account };
    struct ort_watcher w = { .api = m->api, .options = session, .flag = desc->cancel };
    if (!compile)
        return ort_words_fail(m->error, TROUPE_UNIMPLEMENTED, "this ONNX Runtime cannot compile");
    ORT_TRY(m->api,
            compile->CreateModelCompilationOptionsFromSessionOptions(model->plugin->env, session,
                                                                     &options),
            m->error);
    int32_t code = set_up(m, compile, desc, options);
    if (code == TROUPE_OK) {
        ort_watcher_start(&w);
        ort_memory_enter(&payer);
        struct OrtStatus *status = compile->CompileModel(model->plugin->env, options);
        ort_memory_leave();
        ort_watcher_stop(&w);
        if (status && m->code != TROUPE_OK) { /* the sink, or we, have said why */
            m->api->ReleaseStatus(status);
            code = m->code;
        } else if (status) {
            code = ort_words_of_status(m->api, status, ORT_PHASE_LOAD, m->error);
        }
    }
    compile->ReleaseModelCompilationOptions(options);
    return code;
}

int32_t ort_prepare_model(void *self, const struct troupe_model_desc *desc,
                          const struct troupe_blob_sink *sink, struct troupe_error *error)
{
    struct ort_plugin *p = self;
    struct ort_model model = { .plugin = p }; /* for its options only */
    struct maker m = { .api = p->api, .sink = sink, .cancel = desc->cancel, .error = error };
    struct OrtSessionOptions *session = NULL;
    if (desc->struct_size < sizeof *desc || sink->struct_size < sizeof *sink)
        return ort_words_fail(error, TROUPE_UNIMPLEMENTED, "the server's description is too short");
    if (access(desc->path, R_OK) != 0)
        return ort_words_fail(error, TROUPE_NOT_FOUND, "no file %s", desc->path);
    int32_t code = ort_options_make(&model, desc, ORT_CPU, &session, error);
    if (code != TROUPE_OK)
        return code;
    code = compile_model(&model, &m, desc, session);
    p->api->ReleaseSessionOptions(session);
    if (ort_is_raised(desc->cancel)) /* whatever it says of it */
        code = ort_words_fail(error, TROUPE_CANCELLED, "cancelled");
    if (code == TROUPE_OK && m.bytes == 0)
        code = ort_words_fail(error, TROUPE_BACKEND_FAILED, "no skeleton came back");
    if (code == TROUPE_OK)
        code = sink->skeleton(sink->user, m.skeleton, m.bytes);
    free(m.skeleton);
    ort_trim_heap();
    return code;
}
