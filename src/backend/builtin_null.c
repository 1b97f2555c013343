/* backend/builtin_null.c - a test backend: whatever is asked, the answer is zeros (and empty
 * strings).
 *
 * A size that is not fixed in the file is that of the first input at the same place, or 1.  Without
 * `output` lines there is one output, `OUTPUT0` FP32 [-1,1].  Small answers are views of a constant
 * page, so that an answer costs next to nothing; larger ones are memory of the run's account. */
#include "backend/backend_host.h"
#include "backend/script.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define PAGE_BYTES 4096

static const char zeros[PAGE_BYTES] __attribute__((aligned(64)));

static trp_status complete(struct trp_script *s, struct trp_error *err)
{
    (void)err;
    if (s->outputs_n == 0)
        s->outputs[s->outputs_n++] = (struct troupe_io){
            .name = "OUTPUT0", .dtype = TROUPE_FP32, .rank = 2, .dims = { -1, 1 }
        };
    return trp_ok();
}

static int32_t start(const struct troupe_host *host, const struct troupe_option *options,
                     uint32_t options_n, void **out_self, struct troupe_error *error)
{
    (void)options;
    (void)options_n;
    (void)error;
    *out_self = (void *)(uintptr_t)host; /* all it needs; the host outlives it */
    return TROUPE_OK;
}

static void stop(void *self)
{
    (void)self;
}

#define CAPABILITIES (TROUPE_CAN_CANCEL | TROUPE_CAN_GIVEN_OUT | TROUPE_CAN_CONCURRENT)

static int32_t probe(void *self, const struct troupe_model_desc *desc,
                     const struct troupe_sink *sink, uint32_t *out_capabilities,
                     struct troupe_error *error)
{
    struct trp_script *s;
    const int32_t code = trp_script_open(self, desc, false, complete, &s, error);
    if (code != TROUPE_OK)
        return code;
    trp_script_tell(s, sink, "troupe_null");
    trp_script_close(s);
    *out_capabilities = CAPABILITIES;
    return TROUPE_OK;
}

static int32_t open_model(void *self, const struct troupe_model_desc *desc,
                          const struct troupe_sink *sink, void **out_model,
                          uint32_t *out_capabilities, struct troupe_error *error)
{
    struct trp_script *s;
    const int32_t code = trp_script_open(self, desc, true, complete, &s, error);
    if (code != TROUPE_OK)
        return code;
    trp_script_tell(s, sink, "troupe_null");
    *out_model = s;
    *out_capabilities = CAPABILITIES;
    return TROUPE_OK;
}

/* Sets an output's type, shape and bytes; false when they pass all limits. */
static bool shape_output(const struct trp_script *s, uint32_t index,
                         const struct troupe_tensor *first, struct troupe_tensor *out)
{
    const struct troupe_io *io = &s->outputs[index];
    uint64_t elements;
    out->dtype = io->dtype;
    out->rank = io->any_rank ? first->rank : io->rank;
    for (uint32_t i = 0; i < out->rank; i++) {
        const bool is_fixed = !io->any_rank && io->dims[i] >= 0;
        out->shape[i] = is_fixed ? io->dims[i] : i < first->rank ? first->shape[i] : 1;
    }
    if (index == 0 && out->rank > 0 &&
        __builtin_mul_overflow(out->shape[0], (int64_t)s->grow, &out->shape[0]))
        return false;
    const uint32_t width = io->dtype == TROUPE_BYTES ? 4 : trp_dtype_bytes(io->dtype);
    return trp_shape_elements(out->shape, out->rank, &elements) &&
           !__builtin_mul_overflow(elements, width, &out->bytes);
}

static int32_t answer(const struct trp_script *s, const struct troupe_run *run, uint32_t index,
                      const struct troupe_tensor *first, struct troupe_tensor *out)
{
    const uint64_t capacity = out->bytes;
    if (!shape_output(s, index, first, out))
        return trp_script_fail(run->error, TROUPE_TOO_LARGE, "the output passes all limits");
    if (!out->data && out->bytes <= PAGE_BYTES) {
        out->data = (void *)(uintptr_t)zeros; /* read only, like every output that has no release */
        return TROUPE_OK;
    }
    const int32_t code = trp_script_place(run, out, capacity);
    if (code == TROUPE_OK)
        memset(out->data, 0, out->bytes);
    return code;
}

static int32_t run_model(void *model, const struct troupe_run *run,
                         const struct troupe_tensor *inputs, struct troupe_tensor *outputs)
{
    struct trp_script *s = model;
    int32_t code = trp_script_begin(s, run, inputs);
    for (uint32_t i = 0; code == TROUPE_OK && i < run->outputs_n; i++) {
        code = answer(s, run, run->output_index[i], &inputs[0], &outputs[i]);
        if (code != TROUPE_OK)
            trp_script_drop(outputs, i);
    }
    return code;
}

const struct troupe_backend *trp_builtin_null(void)
{
    static const struct troupe_backend null_backend = {
        .abi = TROUPE_BACKEND_ABI,
        .struct_size = sizeof null_backend,
        .name = "null",
        .version = TRP_VERSION,
        .start = start,
        .stop = stop,
        .probe = probe,
        .open = open_model,
        .run = run_model,
        .close = trp_script_close,
    };
    return &null_backend;
}
