/* onnxruntime/ort_cuda.c - a session's options for a GPU.
 *
 * The defaults of ONNX Runtime fit a program that has the GPU for itself.  Here many models share
 * one, so memory is taken as it is asked for, not in powers of two, and convolutions are chosen by
 * a rule of thumb: to try them takes longer, and with some versions of cuDNN seconds for the first
 * run of every shape.  The owner of a model may write otherwise, with Triton's keys; those that
 * hand over pointers, or that would bind all runs to one set of buffers, are not among them. */
#include "ort_plugin.h"

#include <stdio.h>
#include <string.h>

#define PREFIX \
    "gpu_execution_accelerator.cuda." /* of its parameters, as the server passes them on */
#define KEYS_MAX 24u

/* What may be written; `words` are the values 0, 1, ... of the older form, in `parameters`. */
static const struct cuda_key {
    const char *name;
    const char *words[3];
    bool is_parameter; /* also in the older form */
} known[] = {
    { "arena_extend_strategy", { "kNextPowerOfTwo", "kSameAsRequested" }, true },
    { "cudnn_conv_algo_search", { "EXHAUSTIVE", "HEURISTIC", "DEFAULT" }, true },
    { "gpu_mem_limit", { NULL }, true },
    { "do_copy_in_default_stream", { NULL }, true },
    { "use_tf32", { NULL }, false },
    { "cudnn_conv_use_max_workspace", { NULL }, false },
    { "cudnn_conv1d_pad_to_nc1d", { NULL }, false },
    { "prefer_nhwc", { NULL }, false },
    { "fuse_conv_bias", { NULL }, false },
    { "sdpa_kernel", { NULL }, false },
    { "use_ep_level_unified_stream", { NULL }, false },
    { "enable_skip_layer_norm_strict_mode", { NULL }, false },
};
#define KNOWN (sizeof known / sizeof known[0])

/* As ONNX Runtime wants them. */
struct pairs {
    const char *keys[KEYS_MAX], *values[KEYS_MAX];
    size_t n;
};
_Static_assert(KNOWN + 1 <= KEYS_MAX, "each key once, and the device");

static void set(struct pairs *p, const char *key, const char *value)
{
    size_t at = 0;
    while (at < p->n && strcmp(p->keys[at], key) != 0)
        at++;
    p->keys[at] = key;
    p->values[at] = value;
    p->n += at == p->n;
}

static const struct cuda_key *find_key(const char *name)
{
    for (size_t i = 0; i < KNOWN; i++)
        if (strcmp(known[i].name, name) == 0)
            return &known[i];
    return NULL;
}

/* Triton's numbers are ONNX Runtime's words. */
static const char *word_for(const struct cuda_key *key, const char *value)
{
    const bool is_number = value[0] >= '0' && value[0] <= '2' && value[1] == '\0';
    const char *word = is_number ? key->words[value[0] - '0'] : NULL;
    return word ? word : value;
}

static int32_t read_option(const struct troupe_option *o, struct pairs *p,
                           struct troupe_error *error)
{
    const bool is_own = strncmp(o->key, PREFIX, sizeof PREFIX - 1) == 0;
    const struct cuda_key *key = find_key(is_own ? o->key + sizeof PREFIX - 1 : o->key);
    if (key && (is_own || key->is_parameter))
        set(p, key->name, word_for(key, o->value));
    else if (is_own)
        return ort_words_fail(error, TROUPE_INVALID_ARGUMENT,
                              "'%s' is no parameter of the accelerator \"cuda\" that can be set",
                              o->key + sizeof PREFIX - 1);
    return TROUPE_OK;
}

static int32_t append(const struct OrtApi *api, const struct pairs *p, struct OrtSessionOptions *so,
                      struct troupe_error *error)
{
    struct OrtCUDAProviderOptionsV2 *cuda = NULL;
    ORT_TRY(api, api->CreateCUDAProviderOptions(&cuda), error);
    struct OrtStatus *status = api->UpdateCUDAProviderOptions(cuda, p->keys, p->values, p->n);
    if (!status)
        status = api->SessionOptionsAppendExecutionProvider_CUDA_V2(so, cuda);
    api->ReleaseCUDAProviderOptions(cuda);
    return status ? ort_words_of_status(api, status, ORT_PHASE_LOAD, error) : TROUPE_OK;
}

int32_t ort_cuda_append(const struct OrtApi *api, const struct troupe_model_desc *desc,
                        uint32_t ordinal, struct OrtSessionOptions *so, struct troupe_error *error)
{
    char device[16];
    struct pairs pairs = { .n = 0 };
    snprintf(device, sizeof device, "%u", ordinal);
    set(&pairs, "device_id", device);
    set(&pairs, "arena_extend_strategy", "kSameAsRequested");
    set(&pairs, "cudnn_conv_algo_search", "HEURISTIC");
    for (uint32_t i = 0; i < desc->options_n; i++) {
        const int32_t code = read_option(&desc->options[i], &pairs, error);
        if (code != TROUPE_OK)
            return code;
    }
    return append(api, &pairs, so, error);
}
