/* backend/builtin_echo.c - a test backend: each output is the input of the same place.
 *
 * An output is a view of its input's memory (release == NULL): whoever runs a model keeps the
 * inputs until the outputs were released, so nothing is copied and nothing is allocated.  Only
 * memory given for an output, and `grow`, cost a copy.  Without `output` lines there are as many
 * outputs as inputs, named OUTPUT0, OUTPUT1, ... of the same types and sizes. */
#include "backend/backend_host.h"
#include "backend/script.h"

static trp_status derive_outputs(struct trp_script *s, struct trp_error *err)
{
    for (uint32_t i = 0; i < s->inputs_n; i++) {
        struct troupe_io *out = &s->outputs[i];
        *out = s->inputs[i];
        out->optional = 0;
        out->name = trp_arena_format(&s->arena, "OUTPUT%u", i).ptr;
        if (!out->name)
            return trp_fail(err, TRP_OUT_OF_MEMORY, "script");
    }
    s->outputs_n = s->inputs_n;
    return trp_ok();
}

static trp_status complete(struct trp_script *s, struct trp_error *err)
{
    if (s->outputs_n == 0)
        return derive_outputs(s, err);
    if (s->outputs_n > s->inputs_n)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%u outputs cannot echo %u inputs", s->outputs_n,
                        s->inputs_n);
    for (uint32_t i = 0; i < s->outputs_n; i++)
        if (s->outputs[i].dtype != s->inputs[i].dtype)
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "output '%s' echoes '%s', which is of another type", s->outputs[i].name,
                            s->inputs[i].name);
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

#define CAPABILITIES (TROUPE_CAN_CANCEL | TROUPE_CAN_GIVEN_OUT)

static uint32_t capabilities_of(const struct trp_script *s)
{
    return CAPABILITIES | (s->is_alone ? 0u : (uint32_t)TROUPE_CAN_CONCURRENT);
}

static int32_t probe(void *self, const struct troupe_model_desc *desc,
                     const struct troupe_sink *sink, uint32_t *out_capabilities,
                     struct troupe_error *error)
{
    struct trp_script *s;
    const int32_t code = trp_script_open(self, desc, false, complete, &s, error);
    if (code != TROUPE_OK)
        return code;
    trp_script_tell(s, sink, "troupe_echo");
    *out_capabilities = capabilities_of(s);
    trp_script_close(s);
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
    trp_script_tell(s, sink, "troupe_echo");
    *out_model = s;
    *out_capabilities = capabilities_of(s) | (s->hibernates ? (uint32_t)TROUPE_CAN_HIBERNATE : 0);
    return TROUPE_OK;
}

/* Copies an input `times` times, one after the other. */
static int32_t copy_output(const struct troupe_run *run, const struct troupe_tensor *in,
                           uint32_t times, struct troupe_tensor *out)
{
    const uint64_t capacity = out->bytes;
    if (times > 1 && in->rank == 0)
        return trp_script_fail(run->error, TROUPE_INVALID_ARGUMENT, "a scalar has no rows to grow");
    out->dtype = in->dtype;
    out->rank = in->rank;
    memcpy(out->shape, in->shape, in->rank * sizeof *in->shape);
    if (__builtin_mul_overflow(in->bytes, times, &out->bytes) ||
        (times > 1 && __builtin_mul_overflow(in->shape[0], (int64_t)times, &out->shape[0])))
        return trp_script_fail(run->error, TROUPE_TOO_LARGE, "the output passes all limits");
    const int32_t code = trp_script_place(run, out, capacity);
    for (uint32_t i = 0; code == TROUPE_OK && i < times; i++)
        memcpy((char *)out->data + i * in->bytes, in->data, in->bytes);
    return code;
}

static int32_t echo(const struct trp_script *s, const struct troupe_run *run, uint32_t index,
                    const struct troupe_tensor *in, struct troupe_tensor *out)
{
    if (!in->data)
        return trp_script_fail(run->error, TROUPE_INVALID_ARGUMENT,
                               "output '%s' echoes input '%s', which was not sent",
                               s->outputs[index].name, s->inputs[index].name);
    const uint32_t times = index == 0 ? s->grow : 1;
    if (times > 1 || out->data)
        return copy_output(run, in, times, out);
    out->dtype = in->dtype;
    out->rank = in->rank;
    memcpy(out->shape, in->shape, in->rank * sizeof *in->shape);
    out->data = in->data; /* lives until the outputs are released; see above */
    out->bytes = in->bytes;
    return TROUPE_OK;
}

static int32_t run_model(void *model, const struct troupe_run *run,
                         const struct troupe_tensor *inputs, struct troupe_tensor *outputs)
{
    struct trp_script *s = model;
    int32_t code = trp_script_begin(s, run, inputs);
    for (uint32_t i = 0; code == TROUPE_OK && i < run->outputs_n; i++) {
        const uint32_t index = run->output_index[i];
        code = echo(s, run, index, &inputs[index], &outputs[i]);
        if (code != TROUPE_OK)
            trp_script_drop(outputs, i);
    }
    return code;
}

const struct troupe_backend *trp_builtin_echo(void)
{
    static const struct troupe_backend echo_backend = {
        .abi = TROUPE_BACKEND_ABI,
        .struct_size = sizeof echo_backend,
        .name = "echo",
        .version = TRP_VERSION,
        .start = start,
        .stop = stop,
        .probe = probe,
        .open = open_model,
        .run = run_model,
        .close = trp_script_close,
        .hibernate = trp_script_hibernate,
        .wake = trp_script_wake,
    };
    return &echo_backend;
}
