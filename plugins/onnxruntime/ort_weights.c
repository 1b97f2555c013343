/* onnxruntime/ort_weights.c - weights of a skeleton, handed to its session where we mapped them.
 *
 * ONNX Runtime would map each weight itself, once for each session and each time it is named.  It
 * also takes memory that somebody else keeps (AddInitializer), and then looks at no file.  So one
 * mapping serves all sessions of the process, and we know where it is: its pages can be dropped
 * while a model sleeps.
 *
 *  1. Handing over is a favour.  A weight that cannot be (in a subgraph, of a type that has no
 *     whole bytes, overridable by a client) is left to ONNX Runtime, which maps it as ever, and
 *     says what is wrong with it if anything is.
 *  2. The values and what they point to stay until the session is gone. */
#include "ort_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 4096u

struct handing {
    struct ort_model *m;
    struct OrtSessionOptions *options;
    const char *folder;
    uint32_t capacity;
    bool is_short; /* of memory */
};

static struct ort_weight *make_room(struct handing *h)
{
    struct ort_weights *w = &h->m->weights;
    if (w->n == h->capacity) {
        const uint32_t wanted = h->capacity ? 2 * h->capacity : 64;
        struct ort_weight *larger =
            wanted > h->capacity ? realloc(w->items, wanted * sizeof *larger) : NULL;
        if (!larger)
            return NULL;
        w->items = larger;
        h->capacity = wanted;
    }
    return &w->items[w->n];
}

/* Within the folder, whatever the skeleton says. */
static bool is_inside(const char *location)
{
    return location[0] != '/' && !strstr(location, "..");
}

static bool refused(const struct OrtApi *api, struct OrtStatus *status)
{
    if (status)
        api->ReleaseStatus(status);
    return status != NULL;
}

static bool hand_over(void *user, const struct ort_file_external *e)
{
    struct handing *h = user;
    struct ort_plugin *p = h->m->plugin;
    char path[PATH_BYTES];
    struct ort_weight *w = make_room(h);
    if (!w) {
        h->is_short = true;
        return false;
    }
    if (e->offset != 0 || !is_inside(e->location) ||
        snprintf(path, sizeof path, "%s/%s", h->folder, e->location) >= (int)sizeof path)
        return true;
    *w = (struct ort_weight){ .blob = ort_blobs_enter(&p->blobs, path, e->bytes) };
    if (!w->blob)
        return true;
    /* The C API takes memory that could be written; a weight is not. */
    void *data = (void *)(uintptr_t)ort_blob_data(w->blob);
    if (refused(p->api, p->api->CreateTensorWithDataAsOrtValue(p->cpu, data, e->bytes, e->dims,
                                                               e->rank, e->element, &w->value)) ||
        refused(p->api, p->api->AddInitializer(h->options, e->name, w->value))) {
        if (w->value)
            p->api->ReleaseValue(w->value);
        ort_blobs_leave(&p->blobs, w->blob, true);
        return true;
    }
    h->m->weights.n++;
    return true;
}

static int compare_blobs(const void *a, const void *b)
{
    const uintptr_t x = (uintptr_t)((const struct ort_weight *)a)->blob;
    const uintptr_t y = (uintptr_t)((const struct ort_weight *)b)->blob;
    return (x > y) - (x < y);
}

/* A weight that is named twice is there once. */
static void count_bytes(struct ort_weights *w)
{
    if (w->n)
        qsort(w->items, w->n, sizeof *w->items, compare_blobs);
    for (uint32_t i = 0; i < w->n; i++)
        if (i == 0 || w->items[i].blob != w->items[i - 1].blob)
            w->bytes += ort_blob_bytes(w->items[i].blob);
}

int32_t ort_weights_give(struct ort_model *m, const struct troupe_model_desc *desc,
                         struct OrtSessionOptions *options, struct troupe_error *error)
{
    struct handing h = { .m = m, .options = options, .folder = desc->blobs };
    struct ort_file *file = ort_file_open(desc->skeleton);
    if (file)
        (void)ort_file_each_external(file, hand_over, &h);
    ort_file_close(file);
    count_bytes(&m->weights);
    return h.is_short ? ort_words_fail(error, TROUPE_OUT_OF_MEMORY, "the list of weights")
                      : TROUPE_OK;
}

void ort_weights_free(struct ort_model *m)
{
    struct ort_weights *w = &m->weights;
    for (uint32_t i = 0; i < w->n; i++) {
        m->plugin->api->ReleaseValue(w->items[i].value);
        ort_blobs_leave(&m->plugin->blobs, w->items[i].blob, !w->are_asleep);
    }
    free(w->items);
    *w = (struct ort_weights){ .n = 0 };
}

int32_t ort_model_hibernate(void *model)
{
    struct ort_model *m = model;
    ort_cache_free(ort_run_detach_idle(m));
    if (m->weights.n == 0)
        return TROUPE_UNIMPLEMENTED; /* its weights are private: only closing it gives them back */
    for (uint32_t i = 0; !m->weights.are_asleep && i < m->weights.n; i++)
        ort_blobs_sleep(&m->plugin->blobs, m->weights.items[i].blob);
    m->weights.are_asleep = true;
    return TROUPE_OK;
}

void ort_weights_wake(struct ort_model *m)
{
    for (uint32_t i = 0; m->weights.are_asleep && i < m->weights.n; i++)
        ort_blobs_wake(&m->plugin->blobs, m->weights.items[i].blob);
    m->weights.are_asleep = false;
}

/* With its pages, which the kernel maps in one stroke faster than the next run would fault them in,
 * one after the other; so waking takes what it really costs. */
int32_t ort_model_wake(void *model)
{
    struct ort_model *m = model;
    const bool was_asleep = m->weights.are_asleep;
    ort_weights_wake(m);
    for (uint32_t i = 0; was_asleep && i < m->weights.n; i++)
        ort_blob_touch(m->weights.items[i].blob);
    return TROUPE_OK;
}
