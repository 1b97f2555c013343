/* onnxruntime/ort_model.c - opening and closing a model.
 *
 * A load can take seconds, and the server may lose interest meanwhile: ort_watcher.h. */
#include "ort_plugin.h"
#include "ort_threads.h"
#include "ort_watcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* --- opening ---------------------------------------------------------------------------------- */

struct skeleton {
    void *data;
    size_t bytes;
};

/* Reads a file of a size that is known.  The caller frees the data, also after a failure. */
static int32_t read_skeleton(const char *path, struct skeleton *out, struct troupe_error *error)
{
    FILE *f = fopen(path, "rbe");
    if (!f)
        return ort_words_fail(error, TROUPE_NOT_FOUND, "no file %s", path);
    out->data = malloc(out->bytes + 1);
    const size_t n = out->data ? fread(out->data, 1, out->bytes, f) : 0;
    fclose(f);
    if (!out->data)
        return ort_words_fail(error, TROUPE_OUT_OF_MEMORY, "the skeleton");
    if (n != out->bytes)
        return ort_words_fail(error, TROUPE_DATA_LOSS, "%s is shorter than it was", path);
    return TROUPE_OK;
}

static int32_t create_session(struct ort_model *m, const struct troupe_model_desc *desc,
                              const struct skeleton *skeleton, struct OrtSessionOptions *options,
                              struct troupe_error *error)
{
    const struct OrtApi *api = m->plugin->api;
    struct OrtSession **session = &m->sessions[m->sessions_n];
    sigset_t before;
    struct ort_watcher w = { .api = api, .options = options, .flag = desc->cancel };
    struct ort_payer payer = { .account = desc->account };
    if (ort_is_raised(desc->cancel))
        return ort_words_fail(error, TROUPE_CANCELLED, "cancelled");
    ort_watcher_start(&w);
    ort_threads_begin(&before);
    ort_memory_enter(&payer);
    struct OrtStatus *status =
        skeleton ? api->CreateSessionFromArray(m->plugin->env, skeleton->data, skeleton->bytes,
                                               options, session)
                 : api->CreateSession(m->plugin->env, desc->path, options, session);
    ort_memory_leave();
    ort_threads_end(&before);
    ort_watcher_stop(&w);
    if (status && payer.refused_bytes) {
        api->ReleaseStatus(status);
        return ort_words_fail(
            error, TROUPE_OUT_OF_MEMORY, "the model holds %llu bytes, and %llu more were refused",
            (unsigned long long)payer.held_bytes, (unsigned long long)payer.refused_bytes);
    }
    if (status)
        return ort_words_of_status(api, status, ORT_PHASE_LOAD, error);
    m->sessions_n++;
    if (ort_is_raised(desc->cancel))
        return ort_words_fail(error, TROUPE_CANCELLED, "cancelled");
    return TROUPE_OK;
}

static int32_t make_session(struct ort_model *m, const struct troupe_model_desc *desc,
                            const struct skeleton *skeleton, struct troupe_device_id device,
                            struct troupe_error *error)
{
    struct OrtSessionOptions *options;
    int32_t code = ort_options_make(m, desc, device, &options, error);
    if (code != TROUPE_OK)
        return code;
    if (skeleton && desc->blobs)
        code = ort_weights_give(m, desc, options, error);
    if (code == TROUPE_OK)
        code = create_session(m, desc, skeleton, options, error);
    m->plugin->api->ReleaseSessionOptions(options);
    if (code == TROUPE_OK && device.kind == TROUPE_DEVICE_CPU)
        m->cpu_sessions_n++;
    return code;
}

/* A server tells devices that it was told of; another one is somebody's mistake. */
static int32_t check_device(struct ort_plugin *p, struct troupe_device_id id,
                            struct troupe_error *error)
{
    if (id.kind == TROUPE_DEVICE_CPU)
        return TROUPE_OK;
    if (id.kind != TROUPE_DEVICE_GPU)
        return ort_words_fail(error, TROUPE_UNIMPLEMENTED, "devices of kind %d are not served",
                              id.kind);
    ort_gpus_find(&p->gpus, &p->library, p->host);
    if (id.ordinal < p->gpus.n)
        return TROUPE_OK;
    return ort_words_fail(error, TROUPE_FAILED_PRECONDITION, "there is no GPU %u%s%s", id.ordinal,
                          p->gpus.n ? "" : ": ", p->gpus.n ? "" : p->gpus.why_none);
}

/* From the model file: what is prepared is for the CPU. */
static int32_t open_plain(struct ort_model *m, const struct troupe_model_desc *desc,
                          struct troupe_error *error)
{
    int32_t code = TROUPE_OK;
    if (desc->devices_n == 0)
        return make_session(m, desc, NULL, ORT_CPU, error);
    for (uint32_t i = 0; code == TROUPE_OK && i < desc->devices_n; i++) {
        code = check_device(m->plugin, desc->devices[i], error);
        if (code == TROUPE_OK)
            code = make_session(m, desc, NULL, desc->devices[i], error);
    }
    return code;
}

/* Opened from its bytes: beside a path ONNX Runtime would look for the weights, which are
 * elsewhere. */
static int32_t open_skeleton(struct ort_model *m, const struct troupe_model_desc *desc,
                             struct troupe_error *error)
{
    struct skeleton skeleton = { .bytes = m->file_bytes };
    int32_t code = read_skeleton(desc->skeleton, &skeleton, error);
    if (code == TROUPE_OK)
        code = make_session(m, desc, &skeleton, ORT_CPU, error);
    free(skeleton.data);
    return code;
}

static int32_t fill_model(struct ort_model *m, const struct troupe_model_desc *desc,
                          struct troupe_error *error)
{
    const char *path = desc->skeleton ? desc->skeleton : desc->path;
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return ort_words_fail(error, TROUPE_NOT_FOUND, "no file %s", path);
    m->file_bytes = (uint64_t)st.st_size;
    m->sessions = calloc(desc->devices_n ? desc->devices_n : 1, sizeof(struct OrtSession *));
    if (!m->sessions)
        return ort_words_fail(error, TROUPE_OUT_OF_MEMORY, "model");
    const int32_t code =
        desc->skeleton ? open_skeleton(m, desc, error) : open_plain(m, desc, error);
    return code == TROUPE_OK ? ort_signature_read(m, path, error) : code;
}

static void enlist(struct ort_model *m)
{
    struct ort_plugin *p = m->plugin;
    pthread_mutex_lock(&p->lock);
    m->next = p->models;
    p->models = m;
    pthread_mutex_unlock(&p->lock);
}

/* Under the plugin's lock.  What a trim on another thread took from a model is back before anybody
 * is told that the model is closed: its accounts may end then. */
static void wait_for_trim(struct ort_plugin *p)
{
    while (p->is_trimming)
        pthread_cond_wait(&p->trimmed, &p->lock);
}

/* Also of a model that never got into the list. */
static void delist(const struct ort_model *m)
{
    struct ort_plugin *p = m->plugin;
    pthread_mutex_lock(&p->lock);
    struct ort_model **at = &p->models;
    while (*at && *at != m)
        at = &(*at)->next;
    if (*at)
        *at = m->next;
    p->has_closed = true;
    wait_for_trim(p); /* a later one does not find it */
    pthread_mutex_unlock(&p->lock);
}

int32_t ort_model_open(void *self, const struct troupe_model_desc *desc,
                       const struct troupe_sink *sink, void **out_model, uint32_t *out_capabilities,
                       struct troupe_error *error)
{
    *out_model = NULL;
    if (desc->struct_size < sizeof *desc)
        return ort_words_fail(error, TROUPE_UNIMPLEMENTED, "the server's description is too short");
    struct ort_model *m = calloc(1, sizeof *m);
    if (!m)
        return ort_words_fail(error, TROUPE_OUT_OF_MEMORY, "model");
    m->plugin = self;
    pthread_mutex_init(&m->lock, NULL);
    m->home = ort_home_open();
    const int32_t code = fill_model(m, desc, error);
    if (code != TROUPE_OK) {
        ort_model_close(m);
        return code;
    }
    if (m->file_bytes >= ORT_LARGE_BYTES || desc->packed)
        ort_trim_heap();
    if (desc->packed &&
        m->weights.n) { /* what was copied is not read again; the rest comes back by itself */
        (void)ort_model_hibernate(m);
        ort_weights_wake(m);
    }
    enlist(m);
    if (sink)
        ort_signature_tell(m, sink);
    *out_model = m;
    *out_capabilities =
        TROUPE_CAN_CANCEL | TROUPE_CAN_GIVEN_OUT | TROUPE_CAN_CONCURRENT | TROUPE_CAN_PREPARE;
    if (m->weights.n > 0)
        *out_capabilities |= TROUPE_CAN_HIBERNATE;
    return TROUPE_OK;
}

void ort_model_close(void *model)
{
    struct ort_model *m = model;
    if (!m)
        return;
    delist(m);
    ort_run_free_tickets(m);
    ort_home_close(m->home);
    for (uint32_t i = 0; i < m->sessions_n; i++)
        m->plugin->api->ReleaseSession(m->sessions[i]);
    free(m->sessions);
    ort_weights_free(m);
    ort_signature_free(m);
    const bool is_large = m->file_bytes >= ORT_LARGE_BYTES;
    pthread_mutex_destroy(&m->lock);
    free(m);
    if (is_large)
        ort_trim_heap();
}

/* What a model takes stands in the session only, so looking means opening; without optimising. */
int32_t ort_model_probe(void *self, const struct troupe_model_desc *desc,
                        const struct troupe_sink *sink, uint32_t *out_capabilities,
                        struct troupe_error *error)
{
    static const struct troupe_option plain = { "graph.level", "2" };
    struct troupe_model_desc bare = *desc;
    void *model;
    bare.options = &plain;
    bare.options_n = 1;
    const int32_t code = ort_model_open(self, &bare, sink, &model, out_capabilities, error);
    ort_model_close(code == TROUPE_OK ? model : NULL);
    return code;
}

bool ort_model_trim(struct ort_plugin *p)
{
    struct ort_block *all = NULL;
    pthread_mutex_lock(&p->lock);
    wait_for_trim(p);
    p->is_trimming = true;
    const bool has_closed = p->has_closed;
    p->has_closed = false;
    for (struct ort_model *m = p->models; m; m = m->next)
        all = ort_cache_join(ort_run_detach_stale(m), all);
    pthread_mutex_unlock(&p->lock);
    const bool has_any = all != NULL;
    ort_cache_free(all); /* calls the host, so not under a lock */
    pthread_mutex_lock(&p->lock);
    p->is_trimming = false;
    pthread_cond_broadcast(&p->trimmed);
    pthread_mutex_unlock(&p->lock);
    return has_any || has_closed;
}

/* What a session takes for itself besides is measured by the host, which counts what is taken
 * while it opens one. */
int32_t ort_model_memory(void *model, struct troupe_memory *out)
{
    const struct ort_model *m = model;
    if (out->struct_size < sizeof *out)
        return TROUPE_UNIMPLEMENTED;
    /* What stays of a plain load, within a few percent.  On a GPU they are in its own memory,
     * which nobody counts. */
    out->weights_bytes = m->file_bytes * m->cpu_sessions_n;
    out->shared_bytes = m->weights.bytes;
    out->arena_bytes = 0;
    return TROUPE_OK;
}
