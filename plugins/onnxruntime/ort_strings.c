/* onnxruntime/ort_strings.c - tensors of strings.
 *
 * The server's layout: for each element a little-endian uint32 length, then that many bytes.  ONNX
 * Runtime keeps std::string objects, hands their contents out end to end, and takes them one by
 * one. */
#include "ort_plugin.h"

#include <stdlib.h>
#include <string.h>

#define LENGTH_BYTES 4u

static uint32_t get_u32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void put_u32(unsigned char *at, uint32_t v)
{
    for (unsigned i = 0; i < LENGTH_BYTES; i++)
        at[i] = (unsigned char)(v >> (8 * i));
}

/* ONNX Runtime has checked that the product of the sizes fits when it made the tensor. */
static uint64_t count(const struct troupe_tensor *t)
{
    uint64_t n = 1;
    for (uint32_t i = 0; i < t->rank; i++)
        n *= (uint64_t)t->shape[i];
    return n;
}

int32_t ort_strings_fill(const struct ort_model *m, const struct troupe_tensor *t,
                         struct OrtValue *value, struct troupe_error *error)
{
    const struct OrtApi *api = m->plugin->api;
    const unsigned char *at = t->data;
    uint64_t left = t->bytes;
    const uint64_t n = count(t);
    for (uint64_t i = 0; i < n; i++) {
        const uint32_t length = left >= LENGTH_BYTES ? get_u32(at) : 0;
        char *place = NULL;
        if (left < LENGTH_BYTES || left - LENGTH_BYTES < length)
            return ort_words_fail(error, TROUPE_INVALID_ARGUMENT,
                                  "string %llu of %llu ends past the data", (unsigned long long)i,
                                  (unsigned long long)n);
        ORT_RUN_TRY(api, api->GetResizedStringTensorElementBuffer(value, i, length, &place), error);
        if (length)
            memcpy(place, at + LENGTH_BYTES, length);
        at += LENGTH_BYTES + length;
        left -= LENGTH_BYTES + length;
    }
    if (left)
        return ort_words_fail(error, TROUPE_INVALID_ARGUMENT,
                              "%llu bytes are left behind %llu strings", (unsigned long long)left,
                              (unsigned long long)n);
    return TROUPE_OK;
}

/* The contents lie at the end of the block; each moves forward, behind its length.  What is written
 * never reaches what is not yet read: element i lands i + 1 lengths behind the start, and comes
 * from n lengths. */
static int32_t interleave(unsigned char *block, const size_t *offsets, uint64_t n, uint64_t content,
                          struct troupe_error *error)
{
    const unsigned char *contents = block + n * LENGTH_BYTES;
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t length = (i + 1 < n ? offsets[i + 1] : content) - offsets[i];
        unsigned char *to = block + i * LENGTH_BYTES + offsets[i];
        if (length > UINT32_MAX)
            return ort_words_fail(error, TROUPE_TOO_LARGE, "a string of more than 4 GiB came back");
        memmove(to + LENGTH_BYTES, contents + offsets[i], length);
        put_u32(to, (uint32_t)length);
    }
    return TROUPE_OK;
}

static int32_t copy_out(const struct OrtApi *api, const struct troupe_run *run,
                        struct OrtValue *value, uint64_t content, struct troupe_tensor *t)
{
    const uint64_t n = count(t);
    unsigned char *block = t->data;
    if (n == 0)
        return TROUPE_OK;
    size_t *offsets = malloc(n * sizeof *offsets);
    if (!offsets)
        return ort_words_fail(run->error, TROUPE_OUT_OF_MEMORY, "offsets of strings");
    struct OrtStatus *status =
        api->GetStringTensorContent(value, block + n * LENGTH_BYTES, content, offsets, n);
    const int32_t code = status ? ort_words_of_status(api, status, ORT_PHASE_RUN, run->error)
                                : interleave(block, offsets, n, content, run->error);
    free(offsets);
    return code;
}

int32_t ort_strings_to_tensor(const struct ort_model *m, const struct troupe_run *run,
                              const struct ort_io *io, struct OrtValue *value,
                              struct troupe_tensor *t)
{
    const struct OrtApi *api = m->plugin->api;
    const uint64_t capacity = t->data ? t->bytes : 0;
    size_t content = 0;
    int32_t code = ort_value_shape(m->plugin, io, value, t, run->error);
    if (code != TROUPE_OK)
        return code;
    ORT_RUN_TRY(api, api->GetStringTensorDataLength(value, &content), run->error);
    t->bytes = count(t) * LENGTH_BYTES + content;
    code = ort_value_place(run, t, capacity);
    if (code != TROUPE_OK)
        return code;
    code = copy_out(api, run, value, content, t);
    if (code != TROUPE_OK && t->release) {
        t->release(t->release_user, t->data);
        t->release = NULL;
        t->data = NULL;
    }
    return code;
}
