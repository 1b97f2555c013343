/* life/warmup.c - see warmup.h */
#include "life/warmup.h"

#include "base/clock.h"
#include "base/half.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define COUNT_MAX 1000

enum fill { FILL_ZERO, FILL_RANDOM };

static void fill_element(int32_t dtype, uint64_t random, char *out)
{
    const float unit = (float)(random >> 40) / 16777216.0f; /* 24 bits: exact, and below 1 */
    const uint32_t width = trp_dtype_bytes(dtype);
    const uint16_t half = dtype == TROUPE_BF16 ? trp_bf16_of(unit) : trp_fp16_of(unit);
    const double wide = (double)unit;
    switch (dtype) {
    case TROUPE_FP32:
        memcpy(out, &unit, sizeof unit);
        break;
    case TROUPE_FP64:
        memcpy(out, &wide, sizeof wide);
        break;
    case TROUPE_FP16:
    case TROUPE_BF16:
        memcpy(out, &half, sizeof half);
        break;
    default: /* an index or a flag more often than a quantity: 0 and 1 are the safe ones */
        memset(out, 0, width);
        out[0] = (char)(random & 1);
    }
}

static void fill_tensor(struct troupe_tensor *t, enum fill fill, struct trp_random *random)
{
    memset(t->data, 0, t->bytes); /* BYTES: zero lengths, so empty strings */
    const uint32_t width = trp_dtype_bytes(t->dtype);
    if (fill == FILL_ZERO || width == 0)
        return;
    for (uint64_t at = 0; at + width <= t->bytes; at += width)
        fill_element(t->dtype, trp_random_next(random), (char *)t->data + at);
}

/* The shape that a sample gives to one input: its dims, the batch in front. */
static trp_status shape_input(const struct trp_node *input, int64_t batch, struct troupe_tensor *t,
                              struct trp_error *err)
{
    const struct trp_node *dims = trp_node_get(input, "dims");
    uint64_t elements;
    if (batch > 0)
        t->shape[t->rank++] = batch;
    for (const struct trp_node *d = dims ? dims->first : NULL; d; d = d->next) {
        if (t->rank == TROUPE_RANK_MAX)
            return trp_fail(err, TRP_INVALID_ARGUMENT, "rank above %d", TROUPE_RANK_MAX);
        t->shape[t->rank++] = d->kind == TRP_NODE_INT ? d->v.i : -1;
    }
    if (!trp_shape_elements(t->shape, t->rank, &elements) || elements > UINT64_MAX / 16)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "dims are not sizes");
    const uint32_t width = trp_dtype_bytes(t->dtype);
    t->bytes = elements * (width ? width : 4);
    return trp_ok();
}

static trp_status make_input(const struct trp_warmup *w, const struct trp_node *input,
                             int64_t batch, struct troupe_tensor *t, struct trp_error *err)
{
    struct trp_random random = { 42 }; /* the same each time: a failure can be repeated */
    const struct trp_str type = trp_node_str(input, "data_type", (struct trp_str){ 0 });
    t->dtype = (int32_t)trp_dtype_parse_config(type);
    if (t->dtype == TROUPE_NO_DTYPE)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "data_type '%.*s'", TRP_STR(type));
    TRP_CHECK(shape_input(input, batch, t, err));
    t->data = trp_alloc_aligned(&w->account->alloc, t->bytes ? t->bytes : 1, 64);
    if (!t->data)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%llu bytes", (unsigned long long)t->bytes);
    fill_tensor(t, trp_node_bool(input, "random_data", false) ? FILL_RANDOM : FILL_ZERO, &random);
    return trp_ok();
}

static trp_status make_inputs(const struct trp_warmup *w, const struct trp_node *sample,
                              struct troupe_tensor *tensors, struct trp_error *err)
{
    const struct trp_node *inputs = trp_node_get(sample, "inputs");
    const int64_t batch = trp_node_i64(sample, "batch_size", 0);
    uint32_t used = 0;
    for (uint32_t i = 0; i < w->signature->inputs_n; i++) {
        const struct trp_io *io = &w->signature->inputs[i];
        const struct trp_node *input = trp_node_get_str(inputs, io->name);
        if (!input && !io->optional)
            return trp_fail(err, TRP_INVALID_ARGUMENT, "input '%.*s' is missing",
                            TRP_STR(io->name));
        if (!input)
            continue;
        TRP_TRY(make_input(w, input, batch, &tensors[i], err), err, "input '%.*s'",
                TRP_STR(io->name));
        if (tensors[i].dtype != io->dtype)
            return trp_fail(err, TRP_INVALID_ARGUMENT, "input '%.*s': the model takes %s",
                            TRP_STR(io->name), trp_dtype_name(io->dtype));
        used++;
    }
    if (inputs && used != inputs->children_n)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "names an input that the model lacks");
    return trp_ok();
}

static trp_status run_once(const struct trp_warmup *w, const struct troupe_tensor *inputs,
                           struct troupe_tensor *outputs, uint32_t *indices, struct trp_error *err)
{
    struct troupe_error words = { 0 };
    struct troupe_run run = { .struct_size = sizeof run,
                              .inputs_n = w->signature->inputs_n,
                              .outputs_n = w->signature->outputs_n,
                              .id = UINT64_MAX, /* nobody will cancel it by number */
                              .cancel = (const volatile int32_t *)(const void *)&w->stop->value,
                              .account = &w->account->plugin,
                              .output_bytes_max = w->output_bytes_max,
                              .error = &words,
                              .output_index = indices };
    for (uint32_t i = 0; i < run.outputs_n; i++) {
        outputs[i] = (struct troupe_tensor){ 0 };
        indices[i] = i;
    }
    TRP_CHECK(trp_backend_run(w->model, &run, inputs, outputs, err));
    for (uint32_t i = 0; i < run.outputs_n; i++)
        if (outputs[i].release)
            outputs[i].release(outputs[i].release_user, outputs[i].data);
    return trp_ok();
}

static trp_status run_sample(const struct trp_warmup *w, const struct trp_node *sample,
                             struct troupe_tensor *inputs, struct troupe_tensor *outputs,
                             uint32_t *indices, struct trp_error *err)
{
    int64_t count = trp_node_i64(sample, "count", 0);
    count = count < 1 ? 1 : count > COUNT_MAX ? COUNT_MAX : count;
    trp_status st = make_inputs(w, sample, inputs, err);
    for (int64_t i = 0; i < count && !trp_failed(st); i++)
        st = trp_flag_is_up(w->stop) ? trp_fail(err, TRP_CANCELLED, "given up")
                                     : run_once(w, inputs, outputs, indices, err);
    for (uint32_t i = 0; i < w->signature->inputs_n; i++) {
        trp_alloc_free(&w->account->alloc, inputs[i].data);
        inputs[i] = (struct troupe_tensor){ 0 };
    }
    return st;
}

static bool needs_a_file(const struct trp_node *sample)
{
    const struct trp_node *inputs = trp_node_get(sample, "inputs");
    for (const struct trp_node *i = inputs ? inputs->first : NULL; i; i = i->next)
        if (trp_node_get(i, "input_data_file"))
            return true;
    return false;
}

trp_status trp_warmup_run(const struct trp_warmup *w, struct trp_error *err)
{
    const struct trp_node *samples = trp_node_get(w->config, "model_warmup");
    if (!samples || !samples->first)
        return trp_ok();
    const struct trp_alloc *heap = trp_heap();
    struct troupe_tensor *tensors = trp_alloc_zeroed(
        heap, (size_t)w->signature->inputs_n + w->signature->outputs_n + 1, sizeof *tensors);
    uint32_t *indices =
        trp_alloc_zeroed(heap, (size_t)w->signature->outputs_n + 1, sizeof *indices);
    if (!tensors || !indices) {
        trp_alloc_free(heap, tensors);
        trp_alloc_free(heap, indices);
        return trp_fail(err, TRP_OUT_OF_MEMORY, "warm-up");
    }
    trp_status st = trp_ok();
    for (const struct trp_node *s = samples->first; s && !trp_failed(st); s = s->next) {
        const struct trp_str name = trp_node_str(s, "name", TRP_STR_LIT("unnamed"));
        if (needs_a_file(s)) {
            TRP_WARN(w->log, "life",
                     "%s: warm-up '%.*s' is passed over: input_data_file is not "
                     "used yet",
                     w->id, TRP_STR(name));
            continue;
        }
        st = run_sample(w, s, tensors, tensors + w->signature->inputs_n, indices, err);
        if (trp_failed(st))
            trp_error_within(err, "warm-up '%.*s'", TRP_STR(name));
    }
    trp_alloc_free(heap, tensors);
    trp_alloc_free(heap, indices);
    return st;
}
