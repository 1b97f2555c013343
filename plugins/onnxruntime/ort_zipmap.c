/* onnxruntime/ort_zipmap.c - a sequence of maps as the dense tensor [rows, classes].
 *
 * A map hands its values out in the order of its keys; the classes of the file may stand in
 * another.  The order was worked out when the model was opened (`column_of`), so a run only moves
 * floats. */
#include "ort_plugin.h"

#include <string.h>

static int32_t copy_values(const struct OrtApi *api, const struct ort_io *io,
                           struct OrtValue *values, float *row, struct troupe_error *error)
{
    struct OrtTensorTypeAndShapeInfo *info = NULL;
    void *data = NULL;
    size_t n = 0;
    ORT_RUN_TRY(api, api->GetTensorMutableData(values, &data), error);
    ORT_RUN_TRY(api, api->GetTensorTypeAndShape(values, &info), error);
    struct OrtStatus *status = api->GetTensorShapeElementCount(info, &n);
    api->ReleaseTensorTypeAndShapeInfo(info);
    ORT_RUN_TRY(api, status, error);
    if (n != io->labels_n)
        return ort_words_fail(error, TROUPE_BACKEND_FAILED,
                              "output '%s': a map of %zu keys came back; the file names %u",
                              io->name, n, io->labels_n);
    const float *from = data;
    for (size_t i = 0; i < n; i++)
        row[io->column_of[i]] = from[i];
    return TROUPE_OK;
}

static int32_t copy_row(const struct ort_model *m, const struct ort_io *io, struct OrtValue *maps,
                        int index, float *row, struct troupe_error *error)
{
    const struct OrtApi *api = m->plugin->api;
    struct OrtValue *map = NULL, *values = NULL;
    ORT_RUN_TRY(api, api->GetValue(maps, index, &m->plugin->memory.face, &map), error);
    struct OrtStatus *status = api->GetValue(map, 1, &m->plugin->memory.face, &values);
    api->ReleaseValue(map);
    ORT_RUN_TRY(api, status, error);
    const int32_t code = copy_values(api, io, values, row, error);
    api->ReleaseValue(values);
    return code;
}

int32_t ort_zipmap_to_tensor(const struct ort_model *m, const struct troupe_run *run,
                             const struct ort_io *io, struct OrtValue *value,
                             struct troupe_tensor *t)
{
    const struct OrtApi *api = m->plugin->api;
    const uint64_t capacity = t->data ? t->bytes : 0;
    size_t rows = 0;
    ORT_RUN_TRY(api, api->GetValueCount(value, &rows), run->error);
    if (rows > INT32_MAX)
        return ort_words_fail(run->error, TROUPE_TOO_LARGE, "%zu rows came back", rows);
    t->dtype = TROUPE_FP32;
    t->rank = 2;
    t->shape[0] = (int64_t)rows;
    t->shape[1] = io->labels_n;
    t->bytes = rows * io->labels_n * sizeof(float); /* below 2^31 * 2^16 * 4 */
    int32_t code = ort_value_place(run, t, capacity);
    for (size_t i = 0; code == TROUPE_OK && i < rows; i++)
        code = copy_row(m, io, value, (int)i, (float *)t->data + i * io->labels_n, run->error);
    if (code != TROUPE_OK && t->release) {
        t->release(t->release_user, t->data);
        t->release = NULL;
        t->data = NULL;
    }
    return code;
}
