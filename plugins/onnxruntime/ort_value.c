/* onnxruntime/ort_value.c - tensors to OrtValues and back.
 *
 *  1. Inputs are not copied: an OrtValue borrows the tensor's memory for the run.  Strings are
 *     copied.
 *  2. An output that ONNX Runtime allocated is not copied either: its OrtValue lives until the
 *     tensor is released.  The handle for that comes from a list of spare ones, so a steady server
 *     allocates none.
 *  3. What came back counts, not what was declared: exporters declare wrong shapes. */
#include "ort_plugin.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_ALIGN 64u

/* --- memory of outputs ------------------------------------------------------------------------ */

/* An OrtValue behind an output. */
struct ort_lent {
    struct ort_lent *next; /* while it is spare */
    struct ort_plugin *plugin;
    struct OrtValue *value;
};

static struct ort_lent *take_lent(struct ort_plugin *p)
{
    pthread_mutex_lock(&p->lock);
    struct ort_lent *lent = p->spare;
    if (lent)
        p->spare = lent->next;
    pthread_mutex_unlock(&p->lock);
    if (!lent)
        lent = calloc(1, sizeof *lent);
    if (lent)
        lent->plugin = p;
    return lent;
}

static void give_value_back(void *user, void *data)
{
    struct ort_lent *lent = user;
    struct ort_plugin *p = lent->plugin;
    (void)data;
    p->api->ReleaseValue(lent->value);
    pthread_mutex_lock(&p->lock);
    lent->next = p->spare;
    p->spare = lent;
    pthread_mutex_unlock(&p->lock);
}

void ort_value_free_spare(struct ort_plugin *p)
{
    for (struct ort_lent *lent = p->spare, *next; lent; lent = next) {
        next = lent->next;
        free(lent);
    }
    p->spare = NULL;
}

/* Stands before a block of the account, so that its release needs no memory of its own. */
struct block {
    const struct troupe_account *account;
    uint64_t bytes; /* with this head */
};
_Static_assert(sizeof(struct block) <= BLOCK_ALIGN, "the head fits before an aligned block");

static void give_block_back(void *user, void *data)
{
    struct block *block = user;
    (void)data;
    if (block->account)
        block->account->free(block->account->user, block, block->bytes);
    else
        free(block);
}

int32_t ort_value_place(const struct troupe_run *run, struct troupe_tensor *output,
                        uint64_t capacity)
{
    uint64_t bytes;
    struct block *block = NULL;
    if (run->output_bytes_max && output->bytes > run->output_bytes_max)
        return ort_words_fail(
            run->error, TROUPE_TOO_LARGE, "an output of %llu bytes; at most %llu are allowed",
            (unsigned long long)output->bytes, (unsigned long long)run->output_bytes_max);
    if (output->data && output->bytes <= capacity)
        return TROUPE_OK;
    if (!__builtin_add_overflow(output->bytes, 2 * BLOCK_ALIGN - 1, &bytes)) {
        bytes &= ~(uint64_t)(BLOCK_ALIGN - 1);
        block = run->account ? run->account->alloc(run->account->user, bytes, BLOCK_ALIGN)
                             : aligned_alloc(BLOCK_ALIGN, bytes);
    }
    if (!block)
        return ort_words_fail(run->error, TROUPE_OUT_OF_MEMORY,
                              "no memory for an output of %llu bytes",
                              (unsigned long long)output->bytes);
    *block = (struct block){ run->account, bytes };
    output->data = (char *)block + BLOCK_ALIGN;
    output->release = give_block_back;
    output->release_user = block;
    return TROUPE_OK;
}

/* --- in --------------------------------------------------------------------------------------- */

/* Each string has a length of four bytes: a shape of more would make ONNX Runtime build empty
 * ones. */
static bool holds_strings(const struct troupe_tensor *t)
{
    uint64_t n = 1;
    for (uint32_t i = 0; i < t->rank; i++)
        if (t->shape[i] < 0 || __builtin_mul_overflow(n, (uint64_t)t->shape[i], &n))
            return false;
    return n <= t->bytes / 4;
}

int32_t ort_value_of_tensor(const struct ort_model *m, const struct ort_io *io,
                            const struct troupe_tensor *t, struct OrtValue **out,
                            struct troupe_error *error)
{
    const struct OrtApi *api = m->plugin->api;
    *out = NULL;
    if (t->dtype != io->dtype)
        return ort_words_fail(error, TROUPE_INVALID_ARGUMENT, "input '%s' is of another type",
                              io->name);
    if (t->dtype == TROUPE_BYTES && !holds_strings(t))
        return ort_words_fail(error, TROUPE_INVALID_ARGUMENT,
                              "input '%s' holds fewer strings than its shape says", io->name);
    struct OrtStatus *status =
        io->dtype == TROUPE_BYTES
            ? api->CreateTensorAsOrtValue(&m->plugin->memory.face, t->shape, t->rank, io->element,
                                          out)
            : api->CreateTensorWithDataAsOrtValue(m->plugin->cpu, t->data, t->bytes, t->shape,
                                                  t->rank, io->element, out);
    if (status)
        return ort_words_of_status(api, status, ORT_PHASE_RUN, error);
    return io->dtype == TROUPE_BYTES ? ort_strings_fill(m, t, *out, error) : TROUPE_OK;
}

/* --- out -------------------------------------------------------------------------------------- */

static int32_t too_many_dimensions(const struct ort_io *io, struct troupe_error *error)
{
    return ort_words_fail(error, TROUPE_BACKEND_FAILED,
                          "output '%s' came with more than 16 dimensions", io->name);
}

static int32_t read_info(const struct OrtApi *api, const struct OrtTensorTypeAndShapeInfo *info,
                         const struct ort_io *io, struct troupe_tensor *t,
                         struct troupe_error *error)
{
    size_t rank = 0;
    ORT_RUN_TRY(api, api->GetDimensionsCount(info, &rank), error);
    if (rank > TROUPE_RANK_MAX)
        return too_many_dimensions(io, error);
    t->rank = (uint32_t)rank;
    ORT_RUN_TRY(api, api->GetDimensions(info, t->shape, rank), error);
    return TROUPE_OK;
}

/* Before 1.24 a shape is only told through an object that is made for it. */
static int32_t read_shape_by_info(const struct OrtApi *api, const struct ort_io *io,
                                  struct OrtValue *value, struct troupe_tensor *t,
                                  struct troupe_error *error)
{
    struct OrtTensorTypeAndShapeInfo *info = NULL;
    ORT_RUN_TRY(api, api->GetTensorTypeAndShape(value, &info), error);
    const int32_t code = read_info(api, info, io, t, error);
    api->ReleaseTensorTypeAndShapeInfo(info);
    return code;
}

int32_t ort_value_shape(const struct ort_plugin *p, const struct ort_io *io, struct OrtValue *value,
                        struct troupe_tensor *t, struct troupe_error *error)
{
    const struct OrtApi *api = p->api;
    int32_t element;
    const int64_t *shape = NULL;
    size_t rank = 0;
    t->dtype = io->dtype;
    if (p->library.api_version < ORT_API_WANTED)
        return read_shape_by_info(api, io, value, t, error);
    ORT_RUN_TRY(api, api->GetTensorElementTypeAndShapeDataReference(value, &element, &shape, &rank),
                error);
    if (rank > TROUPE_RANK_MAX)
        return too_many_dimensions(io, error);
    t->rank = (uint32_t)rank;
    if (rank > 0) /* a scalar has no shape to point to */
        memcpy(t->shape, shape, rank * sizeof *shape);
    return TROUPE_OK;
}

/* A tensor of numbers: its OrtValue stays, or it is copied into memory that was given. */
static int32_t keep_value(struct ort_model *m, const struct troupe_run *run,
                          const struct ort_io *io, struct OrtValue *value, struct troupe_tensor *t)
{
    const struct OrtApi *api = m->plugin->api;
    const uint64_t capacity = t->data ? t->bytes : 0;
    void *data = NULL;
    const int32_t code = ort_value_shape(m->plugin, io, value, t, run->error);
    if (code != TROUPE_OK)
        return code;
    ORT_RUN_TRY(api, api->GetTensorMutableData(value, &data), run->error);
    t->bytes = io->width;
    for (uint32_t i = 0; i < t->rank; i++)
        t->bytes *= (uint64_t)t->shape[i]; /* cannot wrap: it is memory that exists */
    if (t->data && t->bytes <= capacity) {
        if (t->data != data) /* else it was handed over, and is filled already */
            memcpy(t->data, data, t->bytes);
        api->ReleaseValue(value);
        return TROUPE_OK;
    }
    struct ort_lent *lent = take_lent(m->plugin);
    if (!lent)
        return ort_words_fail(run->error, TROUPE_OUT_OF_MEMORY, "handle of an output");
    lent->value = value;
    t->data = data;
    t->release = give_value_back;
    t->release_user = lent;
    return TROUPE_OK;
}

int32_t ort_value_to_tensor(struct ort_model *m, const struct troupe_run *run,
                            const struct ort_io *io, struct OrtValue *value,
                            struct troupe_tensor *t)
{
    int32_t code;
    if (!value)
        return ort_words_fail(run->error, TROUPE_BACKEND_FAILED, "output '%s' did not come back",
                              io->name);
    const bool is_kept = !io->is_zipmap && io->dtype != TROUPE_BYTES;
    if (is_kept)
        code = keep_value(m, run, io, value, t);
    else if (io->is_zipmap)
        code = ort_zipmap_to_tensor(m, run, io, value, t);
    else
        code = ort_strings_to_tensor(m, run, io, value, t);
    if (!is_kept || code != TROUPE_OK)
        m->plugin->api->ReleaseValue(value);
    return code;
}
