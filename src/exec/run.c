/* exec/run.c - see run.h.
 *
 * A run in five steps, each with its time stamp: gather the inputs as the file wants them, call the
 * backend, take the outputs over, put those that belong into shared memory there, count.  Tensor
 * arrays lie on the stack for any usual model. Inputs stay the call's: the backend gets copies of
 * the descriptions without a release function.  Outputs change hands as soon as the backend has
 * returned, so whatever fails afterwards, giving the call back releases them. */
#include "exec/run.h"

#include "backend/backend_host.h"
#include "exec/fanout.h"
#include "exec/quota.h"
#include "exec/seating.h"
#include "model/version.h"
#include "sched/placement.h"
#include "tensor/reshape.h"

#define FEW 64 /* inputs or outputs that fit on the stack: 168 bytes each */

struct arrays {
    struct troupe_tensor *inputs, *outputs;
    uint32_t *output_index;
};
struct frame {
    struct troupe_tensor inputs[FEW], outputs[FEW];
    uint32_t output_index[FEW];
};

static struct trp_version *version_of(const struct trp_call *call)
{
    return trp_version_of(call->target);
}

/* ---- before ---- */

static trp_status lay_out(struct trp_call *call, uint32_t inputs_n, struct frame *frame,
                          struct arrays *out)
{
    const uint32_t outputs_n = call->wanted_n;
    *out = (struct arrays){ frame->inputs, frame->outputs, frame->output_index };
    if (inputs_n > FEW)
        out->inputs = trp_arena_get(&call->arena, inputs_n * sizeof *out->inputs);
    if (outputs_n > FEW) {
        out->outputs = trp_arena_get(&call->arena, outputs_n * sizeof *out->outputs);
        out->output_index = trp_arena_get(&call->arena, outputs_n * sizeof *out->output_index);
    }
    if (!out->inputs || !out->outputs || !out->output_index)
        return trp_fail_limit(&call->error, TRP_OUT_OF_MEMORY, TRP_LIMIT_MEMORY,
                              "%u inputs and %u outputs", inputs_n, outputs_n);
    return trp_ok();
}

static void gather_inputs(const struct trp_version *v, const struct trp_call *call,
                          struct troupe_tensor *inputs)
{
    const struct trp_signature *file = &v->file_signature, *seen = &v->signature;
    for (uint32_t i = 0; i < file->inputs_n; i++) {
        const uint32_t at = trp_signature_place(
            seen->inputs, seen->inputs_n + seen->hidden_inputs_n, file->inputs[i].name, i);
        if (at >= call->inputs_n) { /* an optional one that the configuration hides */
            inputs[i] = (struct troupe_tensor){ .dtype = file->inputs[i].dtype };
            continue;
        }
        inputs[i] = call->inputs[at].tensor;
        inputs[i].release = NULL;
        trp_reshape_tensor(&seen->inputs[at], &file->inputs[i], &inputs[i]);
    }
}

static void offer_outputs(const struct trp_version *v, const struct trp_call *call,
                          const struct arrays *a, bool is_whole)
{
    const struct trp_signature *file = &v->file_signature;
    const bool may_give =
        is_whole && (trp_backend_capabilities(v->model) & TROUPE_CAN_GIVEN_OUT) != 0;
    for (uint32_t i = 0; i < call->wanted_n; i++) {
        const struct trp_wanted *w = &call->wanted[i];
        a->output_index[i] = trp_signature_place(file->outputs, file->outputs_n, w->name, w->index);
        a->outputs[i] = (struct troupe_tensor){ 0 };
        if (may_give && w->memory) {
            a->outputs[i].data = w->memory;
            a->outputs[i].bytes = w->memory_bytes;
        }
    }
}

/* ---- after ---- */

/* As clients see them. */
static void reshape_outputs(const struct trp_version *v, const struct trp_call *call,
                            const struct arrays *a)
{
    for (uint32_t i = 0; i < call->wanted_n; i++)
        trp_reshape_tensor(&v->file_signature.outputs[a->output_index[i]],
                           &v->signature.outputs[call->wanted[i].index], &a->outputs[i]);
}

trp_status trp_run_make_outputs(struct trp_call *call)
{
    const struct trp_version *v = version_of(call);
    if (!call->outputs) /* else it was tried before */
        call->outputs = trp_arena_get(&call->arena, call->wanted_n * sizeof *call->outputs);
    if (!call->outputs)
        return trp_fail_limit(&call->error, TRP_OUT_OF_MEMORY, TRP_LIMIT_MEMORY, "%u outputs",
                              call->wanted_n);
    for (uint32_t i = 0; i < call->wanted_n; i++) {
        const struct trp_wanted *w = &call->wanted[i];
        call->outputs[i] = (struct trp_call_tensor){ .name = w->name,
                                                     .account = &v->activations.alloc,
                                                     .region = w->region,
                                                     .region_offset = w->region_offset,
                                                     .region_bytes = w->region_bytes };
    }
    return trp_ok();
}

static void take_outputs(struct trp_call *call, const struct arrays *a)
{
    for (uint32_t i = 0; i < call->wanted_n; i++)
        call->outputs[i].tensor = a->outputs[i];
    call->outputs_n = call->wanted_n;
}

/* Puts an output where the client wants it, when the backend has not written it there already. */
static trp_status place_output(const struct trp_run_place *p, struct trp_call *call, uint32_t i)
{
    const struct trp_wanted *w = &call->wanted[i];
    struct troupe_tensor *t = &call->outputs[i].tensor;
    if (!w->memory || t->data == w->memory)
        return trp_ok();
    if (t->bytes > w->memory_bytes)
        return trp_fail(
            &call->error, TRP_INVALID_ARGUMENT,
            "shared memory region too small: output '%.*s' needs %llu bytes, region has "
            "%llu",
            TRP_STR(w->name), (unsigned long long)t->bytes, (unsigned long long)w->memory_bytes);
    if (t->bytes > 0)
        memmove(w->memory, t->data, t->bytes); /* an echoed input may lie in the same region */
    trp_metric_add(p->metrics, TRP_METRIC_BYTES_COPIED, t->bytes);
    if (t->release)
        t->release(t->release_user, t->data);
    t->release = NULL;
    t->data = w->memory;
    return trp_ok();
}

static trp_status place_outputs(const struct trp_run_place *p, struct trp_call *call)
{
    for (uint32_t i = 0; i < call->outputs_n; i++)
        TRP_CHECK(place_output(p, call, i));
    return trp_ok();
}

/* ---- the run ---- */

/* Unique while it runs, and known to whoever cancels. */
static uint64_t name_of(const struct trp_call *call)
{
    return call->run_id != 0 ? call->run_id : (uint64_t)(uintptr_t)call;
}

static trp_status run_backend(const struct trp_run_place *p, struct trp_call *call,
                              const struct arrays *a, uint64_t bytes_max)
{
    struct trp_version *v = version_of(call);
    struct troupe_run run = {
        .struct_size = sizeof run,
        .inputs_n = v->file_signature.inputs_n,
        .outputs_n = call->wanted_n,
        .id = name_of(call),
        .deadline_ns = call->deadline_ns,
        .cancel = trp_flag_word(&call->cancel.raised),
        .account = &v->activations.plugin,
        .output_bytes_max = p->output_bytes_max,
        .output_index = a->output_index,
        .memory_bytes_max = bytes_max,
        .out_peak_bytes = &call->run_peak_bytes,
        .device = trp_seating_device(call),
    };
    if (!trp_fanout_is_part(call)) /* these are one */
        trp_counter_add(&v->stats->execution_count, 1);
    trp_metric_add(p->metrics, p->runs, 1);
    call->stamps_ns[TRP_PHASE_INPUT_END] = trp_clock_now_ns(p->clock);
    const trp_status st = trp_backend_run(v->model, &run, a->inputs, a->outputs, &call->error);
    call->stamps_ns[TRP_PHASE_OUTPUT_START] = trp_clock_now_ns(p->clock);
    if (trp_failed(st)) {
        trp_error_within(&call->error, "model '%s'", v->id);
        call->error.limit = st.code == TRP_TOO_LARGE       ? TRP_LIMIT_OUTPUT
                            : st.code == TRP_OUT_OF_MEMORY ? TRP_LIMIT_RUN_MEMORY
                                                           : TRP_LIMIT_NONE;
    }
    return st;
}

static trp_status run_steps(const struct trp_run_place *p, struct trp_call *call,
                            uint64_t bytes_max)
{
    struct trp_version *v = version_of(call);
    struct frame frame;
    struct arrays arrays;
    TRP_CHECK(lay_out(call, v->file_signature.inputs_n, &frame, &arrays));
    TRP_CHECK(trp_run_make_outputs(call));
    gather_inputs(v, call, arrays.inputs);
    offer_outputs(v, call, &arrays, true);
    TRP_CHECK(run_backend(p, call, &arrays, bytes_max));
    reshape_outputs(v, call, &arrays);
    take_outputs(call, &arrays);
    return trp_ok();
}

/* The first size is the rows', also as the file declares it. */
static void cut(struct troupe_tensor *t, const struct trp_run_slice *rows)
{
    const uint64_t row_bytes = t->bytes / (uint64_t)rows->all;
    if (!t->data)
        return;
    t->data = (char *)t->data + (uint64_t)rows->first * row_bytes;
    t->bytes = (uint64_t)rows->count * row_bytes;
    t->shape[0] = rows->count;
}

static trp_status part_steps(const struct trp_run_place *p, struct trp_call *call,
                             const struct trp_run_slice *rows, uint64_t bytes_max,
                             struct troupe_tensor *outputs)
{
    struct trp_version *v = version_of(call);
    struct frame frame;
    struct arrays arrays;
    TRP_CHECK(lay_out(call, v->file_signature.inputs_n, &frame, &arrays));
    gather_inputs(v, call, arrays.inputs);
    for (uint32_t i = 0; i < v->file_signature.inputs_n; i++)
        cut(&arrays.inputs[i], rows);
    offer_outputs(v, call, &arrays, false);
    TRP_CHECK(run_backend(p, call, &arrays, bytes_max));
    reshape_outputs(v, call, &arrays);
    for (uint32_t i = 0; i < call->wanted_n; i++)
        outputs[i] = arrays.outputs[i];
    return trp_ok();
}

/* ---- what it cost ---- */

uint64_t trp_run_input_bytes(const struct trp_call *call)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < call->inputs_n; i++)
        bytes += call->inputs[i].tensor.bytes;
    return bytes;
}

static int64_t cost_of(const struct trp_stats *s, uint64_t bytes)
{
    const struct trp_cost cost = { trp_gauge_get(&s->run_ns), trp_gauge_get(&s->run_bytes) };
    return trp_cost_estimate(&cost, bytes);
}

uint64_t trp_run_rows(const struct trp_call *call)
{
    for (uint32_t i = 0; version_of(call)->signature.batch_max > 0 && i < call->inputs_n; i++)
        if (call->inputs[i].tensor.data)
            return (uint64_t)call->inputs[i].tensor.shape[0];
    return 1;
}

int64_t trp_run_cost_ns(const struct trp_call *call)
{
    return cost_of(version_of(call)->stats, trp_run_input_bytes(call));
}

/* Averages are read and written without a lock: two runs that end at once may lose one of their
 * samples. */
static void learn(struct trp_stats *s, uint64_t bytes, int64_t run_ns)
{
    const int64_t known_ns = trp_gauge_get(&s->run_ns), before = trp_gauge_get(&s->run_surprises);
    int64_t surprises = before;
    const int64_t believed_ns = trp_cost_believe(known_ns, cost_of(s, bytes), run_ns, &surprises);
    if (surprises != before)
        trp_gauge_set(&s->run_surprises, surprises);
    if (believed_ns == 0)
        return;
    const int64_t size = bytes < INT64_MAX ? (int64_t)bytes : INT64_MAX;
    const int64_t old = trp_gauge_get(&s->run_bytes);
    trp_stats_learn_run(s, believed_ns);
    trp_gauge_set(&s->run_bytes, known_ns == 0 ? size : old + (size - old) / 4);
}

/* A run that was interrupted looks long.  How long it really was is looked up when it matters: when
 * nothing is known yet, and when the last run was surprisingly long; that takes a few
 * microseconds. */
static int64_t waited_ns(const struct trp_run_place *p, bool matters)
{
    return matters && p->waited_ns ? p->waited_ns() : 0;
}

static int64_t between(const struct trp_call *call, enum trp_phase from, enum trp_phase to)
{
    return call->stamps_ns[to] - call->stamps_ns[from];
}

/* What the client of one call had of it. */
static void count_call(const struct trp_call *call)
{
    struct trp_stats *s = version_of(call)->stats;
    trp_duration_add(&s->queue, between(call, TRP_PHASE_QUEUED, TRP_PHASE_RUN_START));
    trp_duration_add(&s->compute_input, between(call, TRP_PHASE_RUN_START, TRP_PHASE_INPUT_END));
    trp_duration_add(&s->compute_infer, between(call, TRP_PHASE_INPUT_END, TRP_PHASE_OUTPUT_START));
    trp_duration_add(&s->compute_output, between(call, TRP_PHASE_OUTPUT_START, TRP_PHASE_RUN_END));
    trp_counter_add(&s->inference_count, trp_run_rows(call));
}

static void count_run(const struct trp_call *call, uint64_t rows)
{
    trp_stats_add_batch(version_of(call)->stats, rows,
                        between(call, TRP_PHASE_RUN_START, TRP_PHASE_INPUT_END),
                        between(call, TRP_PHASE_INPUT_END, TRP_PHASE_OUTPUT_START),
                        between(call, TRP_PHASE_OUTPUT_START, TRP_PHASE_RUN_END));
}

void trp_run_learn(const struct trp_call *call, int64_t waited_ns)
{
    learn(version_of(call)->stats, trp_run_input_bytes(call),
          between(call, TRP_PHASE_INPUT_END, TRP_PHASE_OUTPUT_START) - waited_ns);
}

void trp_run_count(struct trp_call *call, int64_t waited_ns)
{
    count_call(call);
    count_run(call, trp_run_rows(call));
    trp_run_learn(call, waited_ns);
}

void trp_run_settle(struct trp_call *call)
{
    trp_door_leave(&version_of(call)->stats->in_flight);
    trp_run_refuse(call);
}

void trp_run_refuse(struct trp_call *call)
{
    trp_quota_end(call);
    if (trp_call_try_done(call))
        return;
    if (trp_oneshot_get(&call->outcome) == TRP_OUTCOME_EXPIRED)
        (void)trp_fail(&call->error, TRP_DEADLINE_EXCEEDED, "Request timeout expired");
    else
        (void)trp_fail(&call->error, TRP_CANCELLED, "the request was cancelled");
}

/* What a run is given. */
struct grant {
    uint64_t bytes_max;
    bool is_last;  /* it is not tried again with more */
    uint64_t rows; /* by which it may be divided; 0: it may not */
};

/* How often its model's account was refused more than is there now. */
static uint64_t refusals_of(const struct trp_call *call)
{
    return trp_counter_get(&version_of(call)->activations.refused);
}

/* Whether a failure is for want of the memory that was granted, and more could be. */
static bool was_too_little(const struct trp_run_place *p, const struct trp_call *call,
                           struct grant grant, uint64_t refusals_before)
{
    const int32_t code = call->error.status.code;
    if (grant.is_last || (code != TRP_TOO_LARGE && code != TRP_OUT_OF_MEMORY))
        return false;
    return refusals_of(call) != refusals_before ||
           (grant.bytes_max != p->run_bytes_max && call->run_peak_bytes > grant.bytes_max);
}

static void forget_failure(struct trp_call *call)
{
    call->error.status = trp_ok();
    call->error.text[0] = '\0';
    call->error.limit = TRP_LIMIT_NONE;
}

static uint64_t bytes_max_of(const struct trp_run_place *p, const struct grant *grant)
{
    return p->run_bytes_max != 0 && p->run_bytes_max < grant->bytes_max ? p->run_bytes_max
                                                                        : grant->bytes_max;
}

/* Some rows only, whose outputs go elsewhere; NULL: a whole run. */
struct part {
    const struct trp_run_slice *rows;
    struct troupe_tensor *outputs;
};

/* False: what it was granted is too little, and nothing has happened. */
static bool run_here(const struct trp_run_place *p, struct trp_call *call,
                     const struct grant *grant, const struct part *part)
{
    const uint64_t refusals_before = refusals_of(call);
    call->run_peak_bytes = 0;
    const trp_status st = part ? part_steps(p, call, part->rows, grant->bytes_max, part->outputs)
                               : run_steps(p, call, grant->bytes_max);
    if (!trp_failed(st) || !was_too_little(p, call, *grant, refusals_before))
        return true;
    forget_failure(call);
    return false;
}

/* As run_here(), side by side with others where that pays; and the outputs go where they belong. */
static bool run_granted(const struct trp_run_place *p, struct trp_call *call,
                        const struct grant *grant)
{
    const enum trp_fanout_end end =
        p->fanout ? trp_fanout_run(p->fanout, p, call, grant->rows, grant->bytes_max)
                  : TRP_FANOUT_WHOLE;
    if (end == TRP_FANOUT_TOO_LITTLE ||
        (end == TRP_FANOUT_WHOLE && !run_here(p, call, grant, NULL)))
        return false;
    if (!trp_failed(call->error.status))
        (void)place_outputs(p, call);
    return true;
}

/* As run_granted(), a whole run, with its time stamps. */
static bool run_within(const struct trp_run_place *p, struct trp_call *call, struct grant grant,
                       int64_t *now_ns)
{
    call->stamps_ns[TRP_PHASE_RUN_START] = *now_ns;
    grant.bytes_max = bytes_max_of(p, &grant);
    const bool is_enough = run_granted(p, call, &grant);
    *now_ns = trp_clock_now_ns(p->clock);
    call->stamps_ns[TRP_PHASE_RUN_END] = *now_ns;
    return is_enough;
}

bool trp_run_part(const struct trp_run_place *p, struct trp_call *call,
                  const struct trp_run_slice *rows, uint64_t bytes_max,
                  struct troupe_tensor *outputs)
{
    const struct part part = { rows, outputs };
    struct grant grant = { .bytes_max = bytes_max };
    grant.bytes_max = bytes_max_of(p, &grant);
    return run_here(p, call, &grant, &part);
}

bool trp_run_piece(const struct trp_run_place *p, struct trp_call *call, uint64_t bytes_max)
{
    struct grant grant = { .bytes_max = bytes_max };
    grant.bytes_max = bytes_max_of(p, &grant);
    call->stamps_ns[TRP_PHASE_RUN_START] = trp_clock_now_ns(p->clock);
    const bool is_enough = run_here(p, call, &grant, NULL);
    call->stamps_ns[TRP_PHASE_RUN_END] = trp_clock_now_ns(p->clock);
    return is_enough;
}

static void count_whole(const struct trp_run_place *p, struct trp_call *call, int64_t waited_ns)
{
    count_call(call);
    count_run(call, trp_run_rows(call));
    if (!p->fanout || p->fanout->parts_n == 1) /* else its parts have told */
        trp_run_learn(call, waited_ns);
}

/* False: it may be tried again. */
static bool try_once(const struct trp_run_place *p, struct trp_call *call, struct grant grant,
                     int64_t *now_ns)
{
    if (call->deadline_ns != 0 && call->deadline_ns <= *now_ns)
        (void)trp_call_try_expire(call);
    if (trp_oneshot_get(&call->outcome) == TRP_OUTCOME_OPEN) {
        const struct trp_stats *s = version_of(call)->stats;
        const bool in_doubt =
            trp_gauge_get(&s->run_ns) == 0 || trp_gauge_get(&s->run_surprises) > 0;
        const int64_t waited_before = waited_ns(p, in_doubt);
        if (!run_within(p, call, grant, now_ns))
            return false;
        if (!trp_failed(call->error.status))
            count_whole(p, call, waited_ns(p, in_doubt) - waited_before);
    }
    trp_run_settle(call);
    return true;
}

bool trp_run_try(const struct trp_run_place *p, struct trp_call *call, uint64_t bytes_max,
                 int64_t *now_ns)
{
    const uint64_t rows = call->batch_key != 0 ? call->batch_rows : 0;
    return try_once(p, call, (struct grant){ .bytes_max = bytes_max, .rows = rows }, now_ns);
}

bool trp_run_joint(const struct trp_run_place *p, struct trp_call *joint, uint64_t rows,
                   uint64_t bytes_max, int64_t *now_ns)
{
    const struct grant grant = { .bytes_max = bytes_max, .rows = rows };
    if (!run_within(p, joint, grant, now_ns))
        return false;
    if (!trp_failed(joint->error.status))
        count_run(joint, rows);
    return true;
}

void trp_run_share(const struct trp_run_place *p, const struct trp_call *joint,
                   struct trp_call *call)
{
    for (int phase = TRP_PHASE_RUN_START; phase <= TRP_PHASE_RUN_END; phase++)
        call->stamps_ns[phase] = joint->stamps_ns[phase];
    if (!trp_failed(place_outputs(p, call)))
        count_call(call);
    trp_run_settle(call);
}

int64_t trp_run_call(const struct trp_run_place *p, struct trp_call *call, int64_t now_ns)
{
    const struct grant all = { .bytes_max = p->run_bytes_max, .is_last = true };
    (void)try_once(p, call, all, &now_ns);
    return now_ns;
}
