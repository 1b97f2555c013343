/* onnxruntime/ort_signature.c - what a session takes and gives, and what of it is not served.
 *
 * The C API tells rank 0 both for a scalar and for a tensor of undeclared rank; the file tells
 * which. Overridable initialisers are inputs that may be left out: they follow the others.
 *
 * scikit-learn's classifiers end in a ZipMap: a sequence (rows) of maps (class to probability).  It
 * is served as the dense tensor [rows, classes] that it was made from.  The classes are in the
 * file; the maps come ordered by key, so `column_of` says where the i-th smallest key belongs. */
#include "ort_plugin.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ort_file.h"

enum kind { INPUT, INITIALIZER, OUTPUT };

/* The one that is being read. */
struct reader {
    struct ort_model *model;
    const struct OrtApi *api;
    const char *path;
    struct ort_file *file; /* opened when first needed */
    struct troupe_error *error;
};

static const char *word_of(enum kind kind)
{
    return kind == OUTPUT ? "output" : "input";
}

static int32_t refuse(const struct reader *r, enum kind kind, const char *name, const char *why)
{
    return ort_words_fail(r->error, TROUPE_UNIMPLEMENTED, "%s '%s' %s, which is not served",
                          word_of(kind), name, why);
}

static int32_t no_memory(const struct reader *r)
{
    return ort_words_fail(r->error, TROUPE_OUT_OF_MEMORY, "signature");
}

static struct ort_file *file_of(struct reader *r)
{
    if (!r->file)
        r->file = ort_file_open(r->path);
    return r->file;
}

/* --- plain tensors ---------------------------------------------------------------------------- */

static const struct element {
    int32_t dtype;
    uint32_t width;
    const char *name; /* of those that are not served */
} elements[] = {
    [ORT_ELEMENT_UNDEFINED] = { TROUPE_NO_DTYPE, 0, "has elements of no type" },
    [ORT_ELEMENT_FLOAT] = { TROUPE_FP32, 4, NULL },
    [ORT_ELEMENT_UINT8] = { TROUPE_UINT8, 1, NULL },
    [ORT_ELEMENT_INT8] = { TROUPE_INT8, 1, NULL },
    [ORT_ELEMENT_UINT16] = { TROUPE_UINT16, 2, NULL },
    [ORT_ELEMENT_INT16] = { TROUPE_INT16, 2, NULL },
    [ORT_ELEMENT_INT32] = { TROUPE_INT32, 4, NULL },
    [ORT_ELEMENT_INT64] = { TROUPE_INT64, 8, NULL },
    [ORT_ELEMENT_STRING] = { TROUPE_BYTES, 0, NULL },
    [ORT_ELEMENT_BOOL] = { TROUPE_BOOL, 1, NULL },
    [ORT_ELEMENT_FLOAT16] = { TROUPE_FP16, 2, NULL },
    [ORT_ELEMENT_DOUBLE] = { TROUPE_FP64, 8, NULL },
    [ORT_ELEMENT_UINT32] = { TROUPE_UINT32, 4, NULL },
    [ORT_ELEMENT_UINT64] = { TROUPE_UINT64, 8, NULL },
    [ORT_ELEMENT_COMPLEX64] = { TROUPE_NO_DTYPE, 0, "has elements of type complex64" },
    [ORT_ELEMENT_COMPLEX128] = { TROUPE_NO_DTYPE, 0, "has elements of type complex128" },
    [ORT_ELEMENT_BFLOAT16] = { TROUPE_BF16, 2, NULL },
    [ORT_ELEMENT_FLOAT8E4M3FN] = { TROUPE_NO_DTYPE, 0, "has elements of type float8e4m3fn" },
    [ORT_ELEMENT_FLOAT8E4M3FNUZ] = { TROUPE_NO_DTYPE, 0, "has elements of type float8e4m3fnuz" },
    [ORT_ELEMENT_FLOAT8E5M2] = { TROUPE_NO_DTYPE, 0, "has elements of type float8e5m2" },
    [ORT_ELEMENT_FLOAT8E5M2FNUZ] = { TROUPE_NO_DTYPE, 0, "has elements of type float8e5m2fnuz" },
    [ORT_ELEMENT_UINT4] = { TROUPE_NO_DTYPE, 0, "has elements of type uint4" },
    [ORT_ELEMENT_INT4] = { TROUPE_NO_DTYPE, 0, "has elements of type int4" },
};

static uint64_t fixed_bytes(const struct ort_io *io)
{
    uint64_t bytes = io->width;
    if (bytes == 0 || io->any_rank)
        return UINT64_MAX;
    for (uint32_t i = 0; i < io->rank; i++)
        if (io->dims[i] < 0 || __builtin_mul_overflow(bytes, (uint64_t)io->dims[i], &bytes))
            return UINT64_MAX;
    return bytes;
}

static int32_t read_dims(struct reader *r, const struct OrtTensorTypeAndShapeInfo *info,
                         struct ort_io *io)
{
    const char *names[TROUPE_RANK_MAX];
    ORT_TRY(r->api, r->api->GetDimensions(info, io->dims, io->rank), r->error);
    ORT_TRY(r->api, r->api->GetSymbolicDimensions(info, names, io->rank), r->error);
    for (uint32_t i = 0; i < io->rank; i++) {
        if (io->dims[i] < 0)
            io->dims[i] = -1;
        if (!names[i] || !*names[i])
            continue;
        io->dim_names[i] = strdup(names[i]);
        if (!io->dim_names[i])
            return no_memory(r);
    }
    return TROUPE_OK;
}

static int32_t read_tensor(struct reader *r, enum kind kind, const struct OrtTypeInfo *type,
                           struct ort_io *io)
{
    const struct OrtTensorTypeAndShapeInfo *info = NULL;
    size_t rank = 0;
    ORT_TRY(r->api, r->api->CastTypeInfoToTensorInfo(type, &info), r->error);
    ORT_TRY(r->api, r->api->GetTensorElementType(info, &io->element), r->error);
    ORT_TRY(r->api, r->api->GetDimensionsCount(info, &rank), r->error);
    if (io->element < 0 || (size_t)io->element >= sizeof elements / sizeof elements[0])
        return refuse(r, kind, io->name, "has elements of an unknown type");
    if (elements[io->element].name)
        return refuse(r, kind, io->name, elements[io->element].name);
    if (rank > TROUPE_RANK_MAX)
        return refuse(r, kind, io->name, "has more than 16 dimensions");
    io->dtype = elements[io->element].dtype;
    io->width = elements[io->element].width;
    io->rank = (uint32_t)rank;
    if (rank == 0)
        io->any_rank = !file_of(r) || !ort_file_has_shape(r->file, io->name);
    const int32_t code = read_dims(r, info, io);
    io->fixed_bytes = fixed_bytes(io);
    return code;
}

/* --- sequences of maps ------------------------------------------------------------------------ */

struct key {
    const char *text;
    long long number;
    uint32_t column;
};

static int by_number(const void *a, const void *b)
{
    const long long x = ((const struct key *)a)->number, y = ((const struct key *)b)->number;
    return x < y ? -1 : x > y;
}
static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct key *)a)->text, ((const struct key *)b)->text);
}

/* Orders the keys as a map does.  Two that are equal would share a value: such a file is
 * refused. */
static int32_t order_columns(struct reader *r, const struct ort_file_keys *from, struct ort_io *io)
{
    int (*compare)(const void *, const void *) = from->are_integers ? by_number : by_text;
    struct key *sorted = calloc(from->n, sizeof *sorted);
    io->column_of = calloc(from->n, sizeof *io->column_of);
    if (!sorted || !io->column_of) {
        free(sorted);
        return no_memory(r);
    }
    for (uint32_t i = 0; i < from->n; i++)
        sorted[i] = (struct key){ from->texts[i], strtoll(from->texts[i], NULL, 10), i };
    qsort(sorted, from->n, sizeof *sorted, compare);
    bool is_twice = false;
    for (uint32_t i = 0; i < from->n; i++) {
        io->column_of[i] = sorted[i].column;
        is_twice |= i > 0 && compare(&sorted[i - 1], &sorted[i]) == 0;
    }
    free(sorted);
    return is_twice ? refuse(r, OUTPUT, io->name, "is a ZipMap with a key twice") : TROUPE_OK;
}

static int32_t read_zipmap(struct reader *r, struct ort_io *io)
{
    struct ort_file_keys keys;
    if (!file_of(r) || !ort_file_zipmap_keys(r->file, io->name, &keys))
        return refuse(r, OUTPUT, io->name,
                      "is a sequence of maps whose keys no ZipMap of the file tells");
    io->labels = keys.texts; /* moves */
    io->labels_n = keys.n;
    io->is_zipmap = true;
    io->dtype = TROUPE_FP32;
    io->element = ORT_ELEMENT_FLOAT;
    io->width = sizeof(float);
    io->rank = 2;
    io->dims[0] = -1;
    io->dims[1] = keys.n;
    io->fixed_bytes = UINT64_MAX;
    return order_columns(r, &keys, io);
}

/* Whether a sequence's elements are maps from int64 or string to float. */
static int32_t look_at_map(struct reader *r, const struct OrtTypeInfo *element, bool *out_is_served)
{
    const struct OrtMapTypeInfo *map = NULL;
    const struct OrtTensorTypeAndShapeInfo *tensor = NULL;
    struct OrtTypeInfo *value = NULL;
    int32_t key = ORT_ELEMENT_UNDEFINED, kind = ORT_TYPE_UNKNOWN, type = ORT_ELEMENT_UNDEFINED;
    *out_is_served = false;
    ORT_TRY(r->api, r->api->GetOnnxTypeFromTypeInfo(element, &kind), r->error);
    if (kind != ORT_TYPE_MAP)
        return TROUPE_OK;
    ORT_TRY(r->api, r->api->CastTypeInfoToMapTypeInfo(element, &map), r->error);
    ORT_TRY(r->api, r->api->GetMapKeyType(map, &key), r->error);
    ORT_TRY(r->api, r->api->GetMapValueType(map, &value), r->error);
    struct OrtStatus *status = r->api->CastTypeInfoToTensorInfo(value, &tensor);
    if (!status && tensor)
        status = r->api->GetTensorElementType(tensor, &type);
    r->api->ReleaseTypeInfo(value);
    ORT_TRY(r->api, status, r->error);
    *out_is_served =
        (key == ORT_ELEMENT_INT64 || key == ORT_ELEMENT_STRING) && type == ORT_ELEMENT_FLOAT;
    return TROUPE_OK;
}

static int32_t read_sequence(struct reader *r, enum kind kind, const struct OrtTypeInfo *type,
                             struct ort_io *io)
{
    const struct OrtSequenceTypeInfo *sequence = NULL;
    struct OrtTypeInfo *element = NULL;
    bool is_served = false;
    if (kind != OUTPUT)
        return refuse(r, kind, io->name, "is a sequence");
    ORT_TRY(r->api, r->api->CastTypeInfoToSequenceTypeInfo(type, &sequence), r->error);
    ORT_TRY(r->api, r->api->GetSequenceElementType(sequence, &element), r->error);
    const int32_t code = look_at_map(r, element, &is_served);
    r->api->ReleaseTypeInfo(element);
    if (code != TROUPE_OK)
        return code;
    if (!is_served)
        return refuse(r, kind, io->name,
                      "is a sequence of something else than maps from integer or string to float");
    return read_zipmap(r, io);
}

/* --- all of them ------------------------------------------------------------------------------ */

static int32_t read_type(struct reader *r, enum kind kind, const struct OrtTypeInfo *type,
                         struct ort_io *io)
{
    int32_t what = ORT_TYPE_UNKNOWN;
    ORT_TRY(r->api, r->api->GetOnnxTypeFromTypeInfo(type, &what), r->error);
    switch (what) {
    case ORT_TYPE_TENSOR:
        return read_tensor(r, kind, type, io);
    case ORT_TYPE_SEQUENCE:
        return read_sequence(r, kind, type, io);
    case ORT_TYPE_MAP:
        return refuse(r, kind, io->name, "is a map");
    case ORT_TYPE_SPARSE:
        return refuse(r, kind, io->name, "is a sparse tensor");
    case ORT_TYPE_OPTIONAL:
        return refuse(r, kind, io->name, "is of an optional type");
    default:
        return refuse(r, kind, io->name, "is of an opaque type");
    }
}

static int32_t read_name(struct reader *r, enum kind kind, size_t index, struct ort_io *io)
{
    const struct OrtSession *session = r->model->sessions[0];
    struct OrtAllocator *allocator = r->model->plugin->allocator;
    char *name = NULL;
    struct OrtStatus *status =
        kind == INPUT ? r->api->SessionGetInputName(session, index, allocator, &name)
        : kind == OUTPUT
            ? r->api->SessionGetOutputName(session, index, allocator, &name)
            : r->api->SessionGetOverridableInitializerName(session, index, allocator, &name);
    ORT_TRY(r->api, status, r->error);
    io->name = strdup(name);
    ORT_TRY(r->api, r->api->AllocatorFree(allocator, name), r->error);
    return io->name ? TROUPE_OK : no_memory(r);
}

static int32_t read_one(struct reader *r, enum kind kind, size_t index, struct ort_io *io)
{
    const struct OrtSession *session = r->model->sessions[0];
    struct OrtTypeInfo *type = NULL;
    int32_t code = read_name(r, kind, index, io);
    if (code != TROUPE_OK)
        return code;
    io->is_optional = kind == INITIALIZER;
    struct OrtStatus *status =
        kind == INPUT    ? r->api->SessionGetInputTypeInfo(session, index, &type)
        : kind == OUTPUT ? r->api->SessionGetOutputTypeInfo(session, index, &type)
                         : r->api->SessionGetOverridableInitializerTypeInfo(session, index, &type);
    ORT_TRY(r->api, status, r->error);
    code = read_type(r, kind, type, io);
    r->api->ReleaseTypeInfo(type);
    return code;
}

static int32_t read_all(struct reader *r)
{
    struct ort_model *m = r->model;
    size_t inputs = 0, initializers = 0, outputs = 0;
    int32_t code = TROUPE_OK;
    ORT_TRY(r->api, r->api->SessionGetInputCount(m->sessions[0], &inputs), r->error);
    ORT_TRY(r->api, r->api->SessionGetOverridableInitializerCount(m->sessions[0], &initializers),
            r->error);
    ORT_TRY(r->api, r->api->SessionGetOutputCount(m->sessions[0], &outputs), r->error);
    m->inputs = calloc(inputs + initializers + 1, sizeof *m->inputs); /* + 1: never empty */
    m->outputs = calloc(outputs + 1, sizeof *m->outputs);
    if (!m->inputs || !m->outputs)
        return no_memory(r);
    m->inputs_n = (uint32_t)(inputs + initializers);
    m->outputs_n = (uint32_t)outputs;
    for (size_t i = 0; code == TROUPE_OK && i < inputs; i++)
        code = read_one(r, INPUT, i, &m->inputs[i]);
    for (size_t i = 0; code == TROUPE_OK && i < initializers; i++)
        code = read_one(r, INITIALIZER, i, &m->inputs[inputs + i]);
    for (size_t i = 0; code == TROUPE_OK && i < outputs; i++)
        code = read_one(r, OUTPUT, i, &m->outputs[i]);
    return code;
}

int32_t ort_signature_read(struct ort_model *m, const char *path, struct troupe_error *error)
{
    struct reader r = { .model = m, .api = m->plugin->api, .path = path, .error = error };
    const int32_t code = read_all(&r);
    ort_file_close(r.file);
    return code;
}

static struct troupe_io told(const struct ort_io *io)
{
    struct troupe_io out = {
        .name = io->name,
        .dtype = io->dtype,
        .rank = io->rank,
        .optional = io->is_optional,
        .any_rank = io->any_rank,
        .labels = (const char *const *)io->labels,
        .labels_n = io->labels_n,
    };
    memcpy(out.dims, io->dims, sizeof out.dims);
    for (uint32_t i = 0; i < io->rank; i++)
        out.dim_names[i] = io->dim_names[i];
    return out;
}

void ort_signature_tell(const struct ort_model *m, const struct troupe_sink *sink)
{
    for (uint32_t i = 0; i < m->inputs_n; i++) {
        const struct troupe_io io = told(&m->inputs[i]);
        sink->input(sink->user, &io);
    }
    for (uint32_t i = 0; i < m->outputs_n; i++) {
        const struct troupe_io io = told(&m->outputs[i]);
        sink->output(sink->user, &io);
    }
    sink->platform(sink->user, "onnxruntime_onnx");
}

static void free_ios(struct ort_io *ios, uint32_t n)
{
    for (struct ort_io *io = ios; io && io < ios + n; io++) {
        free(io->name);
        for (uint32_t i = 0; i < TROUPE_RANK_MAX; i++)
            free(io->dim_names[i]);
        for (uint32_t i = 0; i < io->labels_n; i++)
            free(io->labels[i]);
        free(io->labels);
        free(io->column_of);
    }
    free(ios);
}

void ort_signature_free(struct ort_model *m)
{
    free_ios(m->inputs, m->inputs_n);
    free_ios(m->outputs, m->outputs_n);
}
