/* life/warmup.c - see warmup.h */
#include "life/warmup.h"

#include "life/warmup_input.h"
#include "store/sample.h"
#include "tensor/reshape.h"

#include <time.h>

#define COUNT_MAX 1000
#define REHEARSED_AGAIN_NS \
    INT64_C(1000000000) /* what a first run has to do once is little of so long a one */
#define ASKS_AGAIN_NS INT64_C(5000000) /* a load takes as long at least */

/* How many rows a sample has: one, where it does not say. */
static trp_status batch_of(const struct trp_warmup *w, const struct trp_node *sample,
                           int64_t *out_batch, struct trp_error *err)
{
    const int64_t written = trp_node_i64(sample, "batch_size", 0);
    const int64_t most = w->seen->batch_max > 0 ? w->seen->batch_max : 1;
    *out_batch = written > 0 ? written : 1;
    if (*out_batch <= most)
        return trp_ok();
    return trp_fail(err, TRP_INVALID_ARGUMENT, "batch_size is %lld, the model takes at most %lld",
                    (long long)*out_batch, (long long)most);
}

/* Tensors stand as the backend takes them; those that a sample leaves out have no data. */
static trp_status make_inputs(const struct trp_warmup *w, const struct trp_node *sample,
                              struct troupe_tensor *tensors, struct trp_error *err)
{
    const struct trp_node *inputs = trp_node_get(sample, "inputs");
    uint32_t used = 0;
    int64_t batch;
    TRP_CHECK(batch_of(w, sample, &batch, err));
    for (uint32_t i = 0; i < w->signature->inputs_n; i++) {
        const struct trp_io *file = &w->signature->inputs[i];
        const uint32_t at = trp_signature_place(
            w->seen->inputs, w->seen->inputs_n + w->seen->hidden_inputs_n, file->name, i);
        const struct trp_io *seen = at == UINT32_MAX ? NULL : &w->seen->inputs[at];
        const struct trp_node *entry = seen ? trp_node_get_str(inputs, file->name) : NULL;
        tensors[i] = (struct troupe_tensor){ .dtype = file->dtype };
        if (!entry && seen && at >= w->seen->inputs_n) {
            TRP_TRY(trp_warmup_input_hidden(w, at - w->seen->inputs_n, batch, &tensors[i], err),
                    err, "input '%.*s'", TRP_STR(file->name));
            continue;
        }
        if (!entry && seen && !seen->optional)
            return trp_fail(err, TRP_INVALID_ARGUMENT, "input '%.*s' is missing",
                            TRP_STR(file->name));
        if (!entry)
            continue;
        TRP_TRY(trp_warmup_input_make(w, entry, seen, batch, &tensors[i], err), err, "input '%.*s'",
                TRP_STR(file->name));
        trp_reshape_tensor(seen, file, &tensors[i]);
        used++;
    }
    if (inputs && used != inputs->children_n)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "names an input that the model lacks");
    return trp_ok();
}

/* ---- room ---- */

static uint64_t input_bytes(const struct trp_warmup *w, const struct troupe_tensor *inputs)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < w->signature->inputs_n; i++)
        bytes += inputs[i].bytes;
    return bytes;
}

/* This is a thread that may wait: it asks again and again, until others have left for it or it has
 * waited as long as a request.  For a try nobody has to leave. */
static void rest(int64_t *left_ns)
{
    const struct timespec turn = { .tv_nsec = ASKS_AGAIN_NS };
    (void)nanosleep(&turn, NULL);
    *left_ns -= ASKS_AGAIN_NS;
}

static trp_status wait_for_room(const struct trp_warmup *w, const struct trp_admission_wish *wish,
                                int64_t *left_ns, struct trp_admitted *out, struct trp_error *err)
{
    while (!trp_flag_is_up(w->stop)) {
        const enum trp_reserve r =
            trp_admission_ask(w->admission, w->version, wish, trp_clock_now_ns(w->clock), out);
        if (r == TRP_RESERVE_DONE)
            return trp_ok();
        if (r == TRP_RESERVE_NEVER || *left_ns <= 0 || wish->is_try)
            return trp_admission_refuse(w->admission, w->version, out, err);
        trp_admission_ask_room(w->admission, out);
        rest(left_ns);
    }
    return trp_fail(err, TRP_CANCELLED, "given up");
}

static uint64_t smaller(uint64_t a, uint64_t b) /* 0: no limit */
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* ---- runs ---- */

struct outputs {
    struct troupe_tensor *tensors;
    uint32_t *indices;
};

/* *peak_bytes: what it held at most, or would have; 0: not known. */
static trp_status run_backend(const struct trp_warmup *w, const struct troupe_tensor *inputs,
                              const struct outputs *out, uint64_t bytes_max, uint64_t *peak_bytes,
                              struct trp_error *err)
{
    struct troupe_error words = { 0 };
    struct troupe_run run = { .struct_size = sizeof run,
                              .inputs_n = w->signature->inputs_n,
                              .outputs_n = w->signature->outputs_n,
                              .id = UINT64_MAX, /* nobody will cancel it by number */
                              .cancel = trp_flag_word(w->stop),
                              .account = &w->account->plugin,
                              .output_bytes_max = w->output_bytes_max,
                              .error = &words,
                              .output_index = out->indices,
                              .memory_bytes_max = bytes_max,
                              .out_peak_bytes = peak_bytes,
                              .device = w->device };
    *peak_bytes = 0;
    for (uint32_t i = 0; i < run.outputs_n; i++) {
        out->tensors[i] = (struct troupe_tensor){ 0 };
        out->indices[i] = i;
    }
    TRP_CHECK(trp_backend_run(w->model, &run, inputs, out->tensors, err));
    for (uint32_t i = 0; i < run.outputs_n; i++)
        if (out->tensors[i].release)
            out->tensors[i].release(out->tensors[i].release_user, out->tensors[i].data);
    return trp_ok();
}

/* Whether a failure is for want of the memory that was granted, and more could be. */
static bool was_too_little(const struct trp_warmup *w, trp_status st, uint64_t most, uint64_t peak,
                           uint64_t refusals_before)
{
    return (st.code == TRP_TOO_LARGE || st.code == TRP_OUT_OF_MEMORY) &&
           (trp_counter_get(&w->account->refused) != refusals_before ||
            (most != w->run_bytes_max && peak > most));
}

/* A run that is ended because more was held than there was room for has told how much that is, and
 * is tried again; also one that was refused what was expected of it, because others have that
 * now. */
static trp_status run_once(const struct trp_warmup *w, const struct troupe_tensor *inputs,
                           const struct outputs *out, bool is_try, struct trp_error *err)
{
    int64_t left_ns = w->admission ? w->admission->wait_ns : 0;
    struct trp_admission_wish wish = { .size = input_bytes(w, inputs), .is_try = is_try };
    for (;; rest(&left_ns)) {
        struct trp_admitted room = { .size = 0 };
        uint64_t peak;
        TRP_CHECK(wait_for_room(w, &wish, &left_ns, &room, err));
        const uint64_t most = smaller(w->run_bytes_max, room.bytes_max);
        const uint64_t refusals = trp_counter_get(&w->account->refused), had = room.pass.bytes;
        const trp_status st = run_backend(w, inputs, out, most, &peak, err);
        const bool is_short = was_too_little(w, st, most, peak, refusals);
        const bool was_expected = is_short && room.pass.is_counted && peak <= had;
        if (is_short && !was_expected) /* by a quarter at least, so that it ends soon */
            wish.least_bytes = peak = peak > had + had / 4 ? peak : had + had / 4 + 1;
        trp_admission_end(w->admission, w->version, &room, was_expected ? 0 : peak);
        if (!is_short || left_ns <= 0)
            return st;
    }
}

static trp_status run_sample(const struct trp_warmup *w, const struct trp_node *sample,
                             struct troupe_tensor *inputs, const struct outputs *out,
                             struct trp_error *err)
{
    int64_t count = trp_node_i64(sample, "count", 0);
    count = count < 1 ? 1 : count > COUNT_MAX ? COUNT_MAX : count;
    trp_status st = make_inputs(w, sample, inputs, err);
    for (int64_t i = 0; i < count && !trp_failed(st); i++)
        st = trp_flag_is_up(w->stop) ? trp_fail(err, TRP_CANCELLED, "given up")
                                     : run_once(w, inputs, out, false, err);
    for (uint32_t i = 0; i < w->signature->inputs_n; i++) {
        trp_alloc_free(&w->account->alloc, inputs[i].data);
        inputs[i] = (struct troupe_tensor){ 0 };
    }
    return st;
}

/* Room for a run's inputs and, behind them, its outputs. */
static trp_status make_places(const struct trp_warmup *w, struct troupe_tensor **out_inputs,
                              struct outputs *out, struct trp_error *err)
{
    const size_t inputs_n = w->signature->inputs_n, outputs_n = w->signature->outputs_n;
    const struct trp_alloc *heap = trp_heap();
    struct troupe_tensor *tensors =
        trp_alloc_zeroed(heap, inputs_n + outputs_n + 1, sizeof *tensors);
    uint32_t *indices = trp_alloc_zeroed(heap, outputs_n + 1, sizeof *indices);
    if (!tensors || !indices) {
        trp_alloc_free(heap, tensors);
        trp_alloc_free(heap, indices);
        return trp_fail(err, TRP_OUT_OF_MEMORY, "warm-up");
    }
    *out_inputs = tensors;
    *out = (struct outputs){ tensors + inputs_n, indices };
    return trp_ok();
}

static void free_places(struct troupe_tensor *inputs, const struct outputs *out)
{
    trp_alloc_free(trp_heap(), inputs);
    trp_alloc_free(trp_heap(), out->indices);
}

static const struct trp_node *samples_of(const struct trp_warmup *w)
{
    const struct trp_node *samples = trp_node_get(w->config, "model_warmup");
    return samples && samples->first ? samples : NULL;
}

/* The first run shows its backend what such runs want, the second has it: only then has all been
 * done that is done once. */
static trp_status run_twice(const struct trp_warmup *w, const struct troupe_tensor *inputs,
                            const struct outputs *out, struct trp_error *err)
{
    const int64_t begun_ns = trp_clock_now_ns(w->clock);
    TRP_CHECK(run_once(w, inputs, out, true, err));
    if (trp_flag_is_up(w->stop) || trp_clock_now_ns(w->clock) - begun_ns >= REHEARSED_AGAIN_NS)
        return trp_ok();
    return run_once(w, inputs, out, true, err);
}

static trp_status rehearse_everywhere(const struct trp_warmup *w,
                                      const struct troupe_tensor *inputs, const struct outputs *out,
                                      struct trp_error *err)
{
    struct trp_warmup here = *w;
    trp_status st;
    here.device = 0;
    do
        st = run_twice(&here, inputs, out, err);
    while (!trp_failed(st) && ++here.device < w->devices_n);
    return st;
}

trp_status trp_warmup_rehearse(const struct trp_warmup *w, struct trp_error *err)
{
    static const struct trp_sample_size one = { .free = 1, .first = 1, .top = 1 };
    struct troupe_tensor *inputs;
    struct outputs out;
    uint64_t seed = 1;
    if (samples_of(w) || w->sequences) /* what is kept between runs is not for anybody to make up */
        return trp_ok();
    TRP_CHECK(make_places(w, &inputs, &out, err));
    trp_status st = trp_ok();
    for (uint32_t i = 0; i < w->signature->inputs_n && !trp_failed(st); i++) {
        const struct trp_io *io = &w->signature->inputs[i];
        inputs[i] = (struct troupe_tensor){ .dtype = io->dtype };
        if (!io->optional && !trp_sample_make(io, &one, &seed, &inputs[i]))
            st = trp_fail(err, TRP_OUT_OF_MEMORY, "no input for '%.*s'", TRP_STR(io->name));
    }
    if (!trp_failed(st))
        st = rehearse_everywhere(w, inputs, &out, err);
    for (uint32_t i = 0; i < w->signature->inputs_n; i++)
        trp_sample_drop(&inputs[i]);
    free_places(inputs, &out);
    return st;
}

static trp_status run_samples(const struct trp_warmup *w, struct troupe_tensor *tensors,
                              const struct outputs *out, struct trp_error *err)
{
    for (const struct trp_node *s = samples_of(w)->first; s; s = s->next) {
        const struct trp_str name = trp_node_str(s, "name", TRP_STR_LIT("unnamed"));
        TRP_TRY(run_sample(w, s, tensors, out, err), err, "warm-up '%.*s'", TRP_STR(name));
    }
    return trp_ok();
}

trp_status trp_warmup_run(const struct trp_warmup *w, struct trp_error *err)
{
    struct trp_warmup here = *w;
    struct troupe_tensor *tensors;
    struct outputs out;
    trp_status st;
    if (!samples_of(w))
        return trp_ok();
    TRP_CHECK(make_places(w, &tensors, &out, err));
    here.device = 0;
    do
        st = run_samples(&here, tensors, &out, err);
    while (!trp_failed(st) && ++here.device < w->devices_n);
    free_places(tensors, &out);
    return st;
}
