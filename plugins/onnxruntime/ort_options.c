/* onnxruntime/ort_options.c - how a session is made.
 *
 * Threads.  A run either uses the calling thread only (throughput: as many runs at once as the
 * server has executors), or the one pool that all such models share (latency).  A session that is
 * not told to use the shared pool makes a pool of its own; with one thread that pool has no thread
 * at all, which is what TROUPE_THREADS_ONE wants.  `intra_op_thread_count` above 1 asks for a pool
 * of its own on purpose.
 *
 * Memory.  Every session uses the plugin's allocator (ort_memory.h) and no arena of its own, which
 * would keep its high-water mark for good and outside of any account.  An owner who asks for the
 * arena gets what it is for: what a run held stays with the model. */
#include "ort_plugin.h"

#include <stdlib.h>
#include <string.h>

/* What the owner of a model may write; -1: not written. */
struct wishes {
    long intra, inter, mode, arena, pattern, level;
    const char *shrink;
};

static const struct key {
    const char *name;
    size_t offset;
    long minimum, maximum;
} keys[] = {
    { "intra_op_thread_count", offsetof(struct wishes, intra), 0, 1024 },
    { "inter_op_thread_count", offsetof(struct wishes, inter), 0, 1024 },
    { "execution_mode", offsetof(struct wishes, mode), 0, 1 },
    { "enable_mem_arena", offsetof(struct wishes, arena), 0, 1 },
    { "enable_mem_pattern", offsetof(struct wishes, pattern), 0, 1 },
    { "graph.level", offsetof(struct wishes, level), -1, 2 },
};

static int32_t read_key(const struct key *key, const char *value, struct wishes *out,
                        struct troupe_error *error)
{
    char *end;
    const long n = strtol(value, &end, 10);
    if (end == value || *end || n < key->minimum || n > key->maximum)
        return ort_words_fail(error, TROUPE_INVALID_ARGUMENT,
                              "%s: '%s' is no number from %ld to %ld", key->name, value,
                              key->minimum, key->maximum);
    memcpy((char *)out + key->offset, &n, sizeof n);
    return TROUPE_OK;
}

/* Other keys belong to others: a model's parameters are free. */
static int32_t read_wishes(const struct troupe_model_desc *desc, struct wishes *out,
                           struct troupe_error *error)
{
    *out = (struct wishes){ -1, -1, -1, -1, -1, 0, NULL };
    for (uint32_t i = 0; i < desc->options_n; i++) {
        const struct troupe_option *o = &desc->options[i];
        if (strcmp(o->key, "memory.enable_memory_arena_shrinkage") == 0)
            out->shrink = o->value;
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            if (strcmp(o->key, keys[k].name) != 0)
                continue;
            const int32_t code = read_key(&keys[k], o->value, out, error);
            if (code != TROUPE_OK)
                return code;
        }
    }
    return TROUPE_OK;
}

static int32_t set_threads(const struct OrtApi *api, const struct wishes *w, int32_t mode,
                           struct OrtSessionOptions *so, struct troupe_error *error)
{
    const bool is_parallel = w->mode == ORT_MODE_PARALLEL;
    const bool has_own = w->intra > 0 || w->inter > 0 || is_parallel;
    if (!has_own && mode == TROUPE_THREADS_SHARED) {
        ORT_TRY(api, api->DisablePerSessionThreads(so), error);
        return TROUPE_OK;
    }
    ORT_TRY(api, api->SetIntraOpNumThreads(so, w->intra > 0 ? (int)w->intra : 1), error);
    ORT_TRY(api, api->AddSessionConfigEntry(so, "session.intra_op.allow_spinning", "0"), error);
    if (!is_parallel)
        return TROUPE_OK;
    ORT_TRY(api, api->SetSessionExecutionMode(so, ORT_MODE_PARALLEL), error);
    ORT_TRY(api, api->AddSessionConfigEntry(so, "session.inter_op.allow_spinning", "0"), error);
    if (w->inter > 0)
        ORT_TRY(api, api->SetInterOpNumThreads(so, (int)w->inter), error);
    return TROUPE_OK;
}

static int32_t set_memory(const struct OrtApi *api, const struct wishes *w,
                          struct OrtSessionOptions *so, struct troupe_error *error)
{
    ORT_TRY(api, api->DisableCpuMemArena(so), error);
    ORT_TRY(api, api->AddSessionConfigEntry(so, "session.use_env_allocators", "1"), error);
    if (w->pattern == 0)
        ORT_TRY(api, api->DisableMemPattern(so), error);
    return TROUPE_OK;
}

int32_t ort_options_level(long level)
{
    static const int32_t levels[] = { ORT_LEVEL_BASIC, ORT_LEVEL_ALL, ORT_LEVEL_EXTENDED,
                                      ORT_LEVEL_NONE };
    return level >= -1 && level <= 2 ? levels[level + 1] : ORT_LEVEL_ALL;
}

/* A skeleton was optimised when it was made.  Its weights are used where they are mapped: packing
 * them anew for this processor would be a private copy, and most of the time of a load. */
static int32_t set_level(const struct OrtApi *api, long level, const struct troupe_model_desc *desc,
                         struct OrtSessionOptions *so, struct troupe_error *error)
{
    if (!desc->skeleton) {
        ORT_TRY(api, api->SetSessionGraphOptimizationLevel(so, ort_options_level(level)), error);
        return TROUPE_OK;
    }
    ORT_TRY(api, api->SetSessionGraphOptimizationLevel(so, ORT_LEVEL_NONE), error);
    if (!desc->blobs)
        return TROUPE_OK; /* its weights are inside, and private whatever we do */
    if (!desc->packed)
        ORT_TRY(api, api->AddSessionConfigEntry(so, "session.disable_prepacking", "1"), error);
    ORT_TRY(api,
            api->AddSessionConfigEntry(so, "session.model_external_initializers_file_folder_path",
                                       desc->blobs),
            error);
    return TROUPE_OK;
}

/* What goes wrong is returned, so it need not be logged as well; and what a session warns of (a
 * shape that was declared wrongly, say) it warns of in every run. */
static int32_t set_quiet(const struct OrtApi *api, struct OrtSessionOptions *so,
                         struct troupe_error *error)
{
    ORT_TRY(api, api->SetSessionLogSeverityLevel(so, ORT_SEVERITY_FATAL), error);
    return TROUPE_OK;
}

int32_t ort_options_make(struct ort_model *m, const struct troupe_model_desc *desc,
                         struct troupe_device_id device, struct OrtSessionOptions **out,
                         struct troupe_error *error)
{
    const struct ort_plugin *p = m->plugin;
    struct wishes w;
    struct OrtSessionOptions *so = NULL;
    *out = NULL;
    int32_t code = read_wishes(desc, &w, error);
    if (code != TROUPE_OK)
        return code;
    ORT_TRY(p->api, p->api->CreateSessionOptions(&so), error);
    code = set_threads(p->api, &w, desc->thread_mode, so, error);
    if (code == TROUPE_OK)
        code = set_memory(p->api, &w, so, error);
    if (code == TROUPE_OK)
        code = set_level(p->api, w.level, desc, so, error);
    if (code == TROUPE_OK)
        code = set_quiet(p->api, so, error);
    if (code == TROUPE_OK && device.kind == TROUPE_DEVICE_GPU)
        code = ort_cuda_append(p->api, desc, device.ordinal, so, error);
    if (code != TROUPE_OK) {
        p->api->ReleaseSessionOptions(so);
        return code;
    }
    m->keeps_memory = w.arena == 1;
    m->shrinks = w.shrink && *w.shrink;
    *out = so;
    return TROUPE_OK;
}
