/* backend/builtin_echo.c - a test backend: each output is the input of the same place.
 *
 * An output is a view of its input's memory (release == NULL): whoever runs a model keeps the
 * inputs until the outputs were released, so nothing is copied and nothing is allocated.  Only
 * memory given for an output, and `grow`, cost a copy.  Without `output` lines there are as many
 * outputs as inputs, named OUTPUT0, OUTPUT1, ... of the same types and sizes.
 *
 * With the option `devices` it pretends to have so many GPUs; what a model's output `device`
 * says of a run is the only difference. */
#include <stdio.h>

#include "backend/backend_host.h"
#include "backend/script.h"

struct echo {
    const struct troupe_host *host; /* outlives it */
    uint32_t devices_n;             /* pretended ones */
};

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

/* After all others, and no input stands behind it. */
static trp_status add_device_output(struct trp_script *s, struct trp_error *err)
{
    if (!s->device_output)
        return trp_ok();
    if (s->outputs_n == TRP_SCRIPT_IO_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "more than %d of a kind", TRP_SCRIPT_IO_MAX);
    s->outputs[s->outputs_n++] = (struct troupe_io){
        .name = s->device_output, .dtype = TROUPE_INT32, .rank = 2, .dims = { -1, 1 }
    };
    return trp_ok();
}

static trp_status check_outputs(const struct trp_script *s, struct trp_error *err)
{
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

static trp_status complete(struct trp_script *s, struct trp_error *err)
{
    TRP_CHECK(s->outputs_n == 0 ? derive_outputs(s, err) : check_outputs(s, err));
    return add_device_output(s, err);
}

static int32_t start(const struct troupe_host *host, const struct troupe_option *options,
                     uint32_t options_n, void **out_self, struct troupe_error *error)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < options_n; i++)
        if (strcmp(options[i].key, "devices") == 0 &&
            (!trp_str_parse_u64(trp_str_of(options[i].value), &n) || n > TROUPE_DEVICES_MAX))
            return trp_script_fail(error, TROUPE_INVALID_ARGUMENT,
                                   "devices is '%s'; it is a number from 0 to %u", options[i].value,
                                   TROUPE_DEVICES_MAX);
    struct echo *e = trp_alloc_zeroed(trp_heap(), 1, sizeof *e);
    if (!e)
        return trp_script_fail(error, TROUPE_OUT_OF_MEMORY, "echo");
    *e = (struct echo){ .host = host, .devices_n = (uint32_t)n };
    *out_self = e;
    return TROUPE_OK;
}

static void stop(void *self)
{
    trp_alloc_free(trp_heap(), self);
}

static void devices(void *self, void (*tell)(void *user, const struct troupe_device *device),
                    void *user)
{
    const struct echo *e = self;
    char name[24];
    for (uint32_t i = 0; i < e->devices_n; i++) {
        (void)snprintf(name, sizeof name, "pretended %u", i);
        const struct troupe_device d = { .struct_size = sizeof d,
                                         .id = { TROUPE_DEVICE_GPU, i },
                                         .name = name };
        tell(user, &d);
    }
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
    const struct echo *e = self;
    struct trp_script *s;
    const int32_t code = trp_script_open(e->host, desc, false, complete, &s, error);
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
    const struct echo *e = self;
    struct trp_script *s;
    for (uint32_t i = 0; i < desc->devices_n; i++)
        if (desc->devices[i].kind == TROUPE_DEVICE_GPU && desc->devices[i].ordinal >= e->devices_n)
            return trp_script_fail(error, TROUPE_INVALID_ARGUMENT, "there is no GPU %u",
                                   desc->devices[i].ordinal);
    const int32_t code = trp_script_open(e->host, desc, true, complete, &s, error);
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

/* As many rows as the first input has. */
static int32_t tell_device(const struct trp_script *s, const struct troupe_run *run,
                           const struct troupe_tensor *in, struct troupe_tensor *out)
{
    const int64_t rows = in->data && in->rank > 0 ? in->shape[0] : 1;
    const uint64_t capacity = out->bytes;
    const struct troupe_device_id *id = s->devices_n ? &s->devices[run->device] : NULL;
    const int32_t value = id && id->kind == TROUPE_DEVICE_GPU ? (int32_t)id->ordinal : -1;
    out->dtype = TROUPE_INT32;
    out->rank = 2;
    out->shape[0] = rows;
    out->shape[1] = 1;
    out->bytes = (uint64_t)rows * sizeof value;
    const int32_t code = trp_script_place(run, out, capacity);
    for (int64_t i = 0; code == TROUPE_OK && i < rows; i++)
        memcpy((char *)out->data + (size_t)i * sizeof value, &value, sizeof value);
    return code;
}

static int32_t run_model(void *model, const struct troupe_run *run,
                         const struct troupe_tensor *inputs, struct troupe_tensor *outputs)
{
    struct trp_script *s = model;
    int32_t code = trp_script_begin(s, run, inputs);
    for (uint32_t i = 0; code == TROUPE_OK && i < run->outputs_n; i++) {
        const uint32_t index = run->output_index[i];
        code = s->device_output && index == s->outputs_n - 1
                   ? tell_device(s, run, &inputs[0], &outputs[i])
                   : echo(s, run, index, &inputs[index], &outputs[i]);
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
        .devices = devices,
    };
    return &echo_backend;
}
